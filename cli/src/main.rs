//! The command line of Sluis: see `sluis --help`.
//!
//! Each command is one app that looks after a node; the driver of the chosen runtime polls it. What comes from outside
//! the network (signals, standard input) wakes that same app, so a command is a single task on a single thread.

mod args;
mod capture;
mod chain;
mod common;
mod config;
#[cfg(unix)]
mod ctl;
mod demo;
mod discover;
mod doctor;
mod fail;
mod files;
mod help;
mod histogram;
mod input;
mod install;
mod key;
mod listen;
mod metrics;
mod mux;
mod notify;
mod output;
mod overlay;
mod parts;
mod pin;
mod ping;
mod record;
mod replay;
mod run;
mod signal;
mod signals;
mod state;
mod token;
mod tokens;
mod trace;
mod usage;
mod values;
mod view;
mod vouch;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::{Cli, Command, Scenario};
use crate::fail::Fail;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let matches = Cli::command().color(usage::color_wanted(&args)).try_get_matches_from(&args);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(shown) if matches!(shown.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return match shown.print().and_then(|()| io::stdout().flush()) {
                // `| head` has seen enough.
                Err(why) if why.kind() != io::ErrorKind::BrokenPipe => Fail::output(&why).report(None),
                _ => ExitCode::SUCCESS,
            };
        }
        Err(error) => {
            let args: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
            return Fail::refused(&error, usage::sentence(&error, &args)).report(usage::command(&args).as_deref());
        }
    };
    let (name, done) = match cli.command {
        Command::Listen(args) => ("listen", listen::run(cli.common, *args)),
        Command::Relay(args) => ("relay", listen::relay(cli.common, *args)),
        Command::Trace(args) => ("trace", trace::run(cli.common, &args)),
        Command::Ping(args) => ("ping", ping::run(cli.common, &args)),
        #[cfg(unix)]
        Command::Ctl(args) => ("ctl", ctl::run(cli.common, &args)),
        Command::Replay(args) => ("replay", replay::run(cli.common, &args)),
        Command::Pin(args) => (args.command.name(), pin::run(cli.common, &args.command)),
        Command::Key(args) => (args.command.name(), key::run(cli.common, &args.command)),
        Command::Signal(args) => (args.command.name(), signal::run(cli.common, &args.command)),
        Command::Chain(args) => (args.command.name(), chain::run(cli.common, &args.command)),
        Command::Mux(args) => (args.command.name(), mux::run(cli.common, &args.command)),
        Command::Discover(args) => ("discover", discover::run(cli.common, &args)),
        Command::Overlay(args) => (args.command.name(), overlay::run(cli.common, &args.command)),
        Command::Token(args) => (args.command.name(), token::run(cli.common, &args.command)),
        Command::Vouch(args) => (args.command.name(), vouch::run(cli.common, &args.command)),
        Command::Doctor(args) => ("doctor", doctor::run(cli.common, &args)),
        Command::Completions(args) => ("completions", install::completions(cli.common, &args)),
        Command::Man(args) => ("man", install::pages(cli.common, &args)),
        Command::Config(args) => (args.command.name(), config::template::run(cli.common, &args.command)),
        Command::Demo(args) => match args.scenario {
            Scenario::Airlock => ("demo", demo::run(cli.common)),
            Scenario::Cgnat => ("demo", overlay::story(cli.common)),
        },
    };
    let code = done.unwrap_or_else(|fail| fail.report(Some(name)));
    output::settle();
    code
}
