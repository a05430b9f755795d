//! `sluis chain`: tamper-evident files of tokens, workloads and steps.

mod add;
pub(crate) mod args;
mod check;
mod demo;
mod export;
mod find;
mod help;
mod judge;
mod ledger;
mod lines;
mod progress;
mod proof;
mod prove;
mod read;
mod run;
mod show;
mod values;
mod verify;

use std::process::ExitCode;

use self::args::ChainCommand;
use crate::args::Common;
use crate::fail::Fail;
use crate::output::Out;

/// What stands under `sluis chain --help`.
pub(crate) use self::lines::origin;

pub(crate) const EXAMPLES: &str = help::CHAIN;

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &ChainCommand) -> Result<ExitCode, Fail> {
    let mut out = Out::new(common, false);
    let code = match command {
        ChainCommand::New(args) => add::new(&mut out, args).map(|()| ExitCode::SUCCESS),
        ChainCommand::Add(args) => add::add(&mut out, args).map(|()| ExitCode::SUCCESS),
        ChainCommand::Run(args) => run::run(&mut out, args),
        ChainCommand::Find(args) => find::find(&mut out, args).map(|()| ExitCode::SUCCESS),
        ChainCommand::Verify(args) => verify::verify(&mut out, args),
        ChainCommand::Show(args) => show::show(&mut out, args),
        ChainCommand::Export(args) => export::export(&mut out, args).map(|()| ExitCode::SUCCESS),
        ChainCommand::Demo(args) => demo::demo(&mut out, args),
        ChainCommand::Prove(args) => prove::prove(&mut out, args).map(|()| ExitCode::SUCCESS),
    };
    // What was printed before a failure is printed.
    let printed = out.finish();
    let code = code?;
    printed.map_err(|why| Fail::runtime(format!("cannot write to standard output: {why}")))?;
    Ok(code)
}
