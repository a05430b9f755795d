//! `sluis signal`: signalling over a pool of MQTT brokers.

pub(crate) mod args;
mod broker;
mod check;
mod demo;
mod listen;
mod node;
mod pool;
mod probe;
mod rank;
mod send;
mod told;

use std::process::ExitCode;

use self::args::{IdArgs, SignalCommand};
use crate::common::Common;
use crate::fail::Fail;
use crate::key::file;
use crate::output::{Out, Style};

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &SignalCommand) -> Result<ExitCode, Fail> {
    let mut out = Out::new(common, false).timed();
    match command {
        SignalCommand::Id(args) => id(&mut out, args)?,
        SignalCommand::Rank(args) => rank::rank(common, &mut out, args)?,
        SignalCommand::Listen(args) => return listen::run(common, args),
        SignalCommand::Send(args) => return send::run(common, args),
        SignalCommand::Probe(args) => return probe::run(common, args),
        SignalCommand::Broker(args) => return broker::run(common, args),
        SignalCommand::Demo => return demo::run(common),
    }
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

fn id(out: &mut Out, args: &IdArgs) -> Result<(), Fail> {
    let key = file::signal_public_in(&args.file).map_err(Fail::into_usage)?;
    match out.style {
        Style::Json => {
            out.json("id", |o| o.str("file", &args.file.display().to_string()).str("public_key", &key.to_string()));
        }
        Style::Text => out.line(|line, _| line.extend_from_slice(&key.to_hex())),
    }
    Ok(())
}
