//! `sluis pin`: which key speaks for which name, in the state of a node that does not run.

pub(crate) mod args;

use std::io::Write as _;
use std::process::ExitCode;

use sluis_core::framing::Text;
use sluis_core::pins::{Origin, Pin, PinError};

use self::args::{AddArgs, PinCommand, RemoveArgs};
use crate::args::StateDir;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::{Color, Out};
use crate::{key, run, state};

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &PinCommand) -> Result<ExitCode, Fail> {
    let mut out = Out::new(common, false).timed();
    match command {
        PinCommand::Add(args) => add(&mut out, args)?,
        PinCommand::Remove(args) => remove(&mut out, args)?,
        PinCommand::List(args) => list(&mut out, args)?,
    }
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

fn add(out: &mut Out, args: &AddArgs) -> Result<(), Fail> {
    let key = key::file::public(&args.key)?;
    let mut store = state::open(&args.dir.state)?;
    let mut pins = state::pins(&mut store)?;
    let did = args.did.as_str();
    let since = u64::try_from(run::wall().as_micros() / 1_000_000).unwrap_or(0);
    let change = pins.pin(did, key, Origin::Operator, since).map_err(|why| match why {
        PinError::OtherKey => Fail::runtime(format!(
            "{} is pinned to another key ({}): if that one is to go, `sluis pin remove {0} --state {}` first",
            did,
            pins.get(did).map(|pin| pin.key.fingerprint().to_string()).unwrap_or_default(),
            args.dir.state.display()
        )),
        why => Fail::runtime(format!("{did}: {why}")),
    })?;
    state::keep(&mut store, &change)?;
    if let Some(pin) = pins.get(did) {
        show(out, &pin);
    }
    Ok(())
}

fn remove(out: &mut Out, args: &RemoveArgs) -> Result<(), Fail> {
    let mut store = state::open_kept(&args.dir.state)?;
    let mut pins = state::pins(&mut store)?;
    let Some(change) = pins.unpin(&args.did) else {
        return Err(Fail::runtime(format!("no key is pinned to {}, nothing was changed", args.did)));
    };
    state::keep(&mut store, &change)?;
    out.event(
        "unpin",
        |o| o.str("source_did", &args.did),
        |flow| {
            flow.word(Color::Bold, "unpinned").quoted("", Text::new(&args.did));
        },
    );
    Ok(())
}

fn list(out: &mut Out, args: &StateDir) -> Result<(), Fail> {
    let mut store = state::open_kept(&args.state)?;
    let pins = state::pins(&mut store)?;
    let mut all: Vec<_> = pins.iter().collect();
    all.sort_unstable_by_key(|pin| pin.did);
    all.iter().for_each(|pin| show(out, pin));
    Ok(())
}

fn show(out: &mut Out, pin: &Pin<'_>) {
    let fingerprint = pin.key.fingerprint().to_string();
    out.event(
        "pin",
        |o| {
            o.str("source_did", pin.did)
                .str("public", &pin.key.to_string())
                .str("fingerprint", &fingerprint)
                .str("origin", pin.origin.as_str())
                .raw("since", pin.since)
                .raw("revoked", pin.revoked)
                .raw("session", pin.session)
        },
        |flow| {
            flow.quoted("", Text::new(pin.did));
            flow.piece(Color::Plain, |line| drop(write!(line, "{fingerprint}")));
            flow.text(Color::Dim, pin.origin.as_str());
            if pin.revoked {
                flow.text(Color::Red, "REVOKED: nothing is believed of this name");
            } else if pin.session {
                flow.text(Color::Dim, "spoke sessions: nothing goes to it without one");
            }
        },
    );
}
