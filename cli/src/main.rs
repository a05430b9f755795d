//! The command line of Sluis: see `sluis --help` and DESIGN section 6.
//!
//! Each command is one app that looks after a node; the driver of the chosen runtime polls it. What comes from outside
//! the network (signals, standard input) wakes that same app, so a command is a single task on a single thread.

mod args;
mod capture;
mod chain;
mod common;
mod config;
mod demo;
mod fail;
mod files;
mod histogram;
mod input;
mod key;
mod listen;
mod output;
mod ping;
mod replay;
mod run;
mod signals;
mod tokens;
mod usage;
mod values;
mod view;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::args::{Cli, Command};
use crate::fail::Fail;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(shown) if matches!(shown.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // Nobody is left to hear of a failure.
            let _ = shown.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
            return Fail::usage(usage::sentence(&error, &args)).report(usage::command(&args).as_deref());
        }
    };
    let (name, done) = match cli.command {
        Command::Listen(args) => ("listen", listen::run(cli.common, args)),
        Command::Ping(args) => ("ping", ping::run(cli.common, &args)),
        Command::Replay(args) => ("replay", replay::run(cli.common, &args)),
        Command::Key(args) => (args.command.name(), key::run(cli.common, &args.command)),
        Command::Chain(args) => (args.command.name(), chain::run(cli.common, &args.command)),
        Command::Demo => ("demo", demo::run(cli.common)),
    };
    let code = done.unwrap_or_else(|fail| fail.report(Some(name)));
    output::settle();
    code
}
