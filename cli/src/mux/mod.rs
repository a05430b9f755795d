//! `sluis mux`: a hub for channels between agents, and its clients.

mod agents;
pub(crate) mod args;
mod ask;
mod connect;
mod demo;
mod forward;
mod hear;
mod listen;
mod native;
pub(crate) mod orders;
mod pipe;
mod serve;
mod stdio;
mod tell;

use std::process::ExitCode;

use self::args::MuxCommand;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::{Out, Style};

/// Run a future on the chosen runtime, which it is given.
macro_rules! on_runtime {
    ($choice:expr, $runtime:ident => $body:expr) => {
        match $choice {
            crate::common::Runtime::Tokio => {
                let $runtime = sluis_tokio::net::Tokio;
                sluis_tokio::block_on(async { $body })
            }
            crate::common::Runtime::Smol => {
                let $runtime = sluis_smol::net::Smol;
                sluis_smol::block_on(async { $body })
            }
        }
    };
}
pub(crate) use on_runtime;

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &MuxCommand) -> Result<ExitCode, Fail> {
    match command {
        MuxCommand::Serve(args) => serve::run(common, args),
        MuxCommand::Listen(args) if args.native => hear::run(common, args),
        MuxCommand::Listen(args) => listen::run(common, args),
        MuxCommand::Pipe(args) if args.forward.is_some() => forward::run(common, args),
        MuxCommand::Pipe(args) if args.bytes => forward::run_bytes(common, args),
        MuxCommand::Pipe(args) => pipe::run(common, args),
        MuxCommand::Demo => demo::run(common),
        MuxCommand::Token(args) => {
            let token = agents::add(args)?;
            let mut out = Out::new(common, false).timed();
            match out.style {
                Style::Json => out.json("token", |o| o.str("agent", &args.name).str("token", &token)),
                Style::Text => out.line(|line, _| line.extend_from_slice(token.as_bytes())),
            }
            let (name, agents) = (&args.name, args.agents.display());
            out.finish().map_err(|why| {
                let why = Fail::output(&why);
                Fail::runtime(format!(
                    "{name} is written to {agents}, but its token is lost: {why}; remove it there and make another"
                ))
            })?;
            Ok(ExitCode::SUCCESS)
        }
        _ => ask::run(common, command),
    }
}
