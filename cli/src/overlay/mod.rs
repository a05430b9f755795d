//! `sluis overlay`: devices are found by name and not by address.

pub(crate) mod args;
mod ask;
mod demo;
mod kept;
pub(crate) mod view;

use std::process::ExitCode;

use sluis_core::Path;
use sluis_core::node::Operation;
use sluis_core::registry::Address;

use self::args::{FindArgs, OverlayCommand, RegisterArgs, ResolveArgs, VerifyArgs};
use self::ask::Client;
pub(crate) use self::ask::{add_registries, allow_legacy, check_believed, profile, reason, trust_registries};
use crate::common::Common;
use crate::fail::Fail;
use crate::run;
use crate::values::Place;

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &OverlayCommand) -> Result<ExitCode, Fail> {
    match command {
        OverlayCommand::Register(args) => register(common, args),
        OverlayCommand::Resolve(args) => resolve(common, args),
        OverlayCommand::Find(args) => find(common, args),
        OverlayCommand::Verify(args) => verify(common, args),
        OverlayCommand::Status(args) => kept::status(common, &args.state),
        OverlayCommand::Export(args) => kept::export(common, &args.state),
        OverlayCommand::Import(args) => kept::import(common, &args.file, &args.dir.state),
        OverlayCommand::Demo => story(common),
    }
}

/// Play the story of a device that moves.
pub(crate) fn story(common: Common) -> Result<ExitCode, Fail> {
    demo::run(common)
}

fn register(common: Common, args: &RegisterArgs) -> Result<ExitCode, Fail> {
    if args.ask.key.is_none() {
        return Err(Fail::usage("a record is signed with the key of the device, add --key FILE (see `sluis key new`)"));
    }
    if args.ask.asker.did.is_none() {
        return Err(Fail::usage("a record has a name in it, add --did DID"));
    }
    let mut client = Client::new(&args.ask, std::slice::from_ref(&args.at))?;
    let endpoints = endpoints(&args.endpoint)?;
    let capabilities: Vec<&str> = args.capability.iter().map(String::as_str).collect();
    let addresses: Vec<_> = endpoints.iter().filter_map(|text| Address::parse(text).ok()).collect();
    let profile = profile(&addresses, &capabilities, args.behind_nat, args.ttl);
    client.set_profile(&profile)?;
    let (server, path) = client.registry(0)?;
    client.run(common, &args.ask, &Operation::Register { server: &server, path }, None)
}

/// Endpoints as a record has them.
pub(crate) fn endpoints(places: &[Place]) -> Result<Vec<String>, Fail> {
    let texts: Vec<String> = places.iter().map(Place::to_string).collect();
    for text in &texts {
        Address::parse(text).map_err(|why| Fail::usage(format!("--endpoint {text}: {why}")))?;
    }
    Ok(texts)
}

fn resolve(common: Common, args: &ResolveArgs) -> Result<ExitCode, Fail> {
    let client = Client::new(&args.ask, &args.at)?;
    client.run(common, &args.ask, &Operation::Resolve(args.name.as_str()), None)
}

fn find(common: Common, args: &FindArgs) -> Result<ExitCode, Fail> {
    let client = Client::new(&args.ask, &args.at)?;
    client.run(common, &args.ask, &Operation::Find(&args.capability), None)
}

fn verify(common: Common, args: &VerifyArgs) -> Result<ExitCode, Fail> {
    let client = Client::new(&args.ask, &args.at)?;
    let name = args.name.as_str();
    let Some(place) = &args.addr else {
        // Where it is known to be, or found: that its key answers there is what reaching it takes.
        return client.run(common, &args.ask, &Operation::Reach(name), Some(name));
    };
    let Some(addr) = run::resolve(place)?.first().copied() else {
        return Err(Fail::runtime(format!("{place} has no address")));
    };
    let operation = Operation::Verify { did: name, key: None, path: Some(Path::to(addr)) };
    client.run(common, &args.ask, &operation, Some(name))
}
