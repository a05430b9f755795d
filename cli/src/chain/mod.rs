//! `sluis chain`: tamper-evident files of tokens, workloads and steps.

mod add;
pub(crate) mod args;
mod check;
mod close;
mod command;
mod demo;
mod earlier;
mod export;
mod files;
mod find;
mod help;
mod inputs;
mod judge;
mod ledger;
mod progress;
mod proof;
mod prove;
mod read;
mod run;
mod running;
mod seals;
mod segments;
mod show;
mod steps;
mod treefile;
mod unchecked;
mod values;
mod verify;

use std::process::ExitCode;

use self::args::ChainCommand;
#[cfg(unix)]
pub(crate) use self::earlier::first_of;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::Out;

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &ChainCommand) -> Result<ExitCode, Fail> {
    let mut out = Out::new(common, false).timed();
    let code = match command {
        ChainCommand::New(args) => add::new(&mut out, args).map(|()| ExitCode::SUCCESS),
        ChainCommand::Add(args) => add::add(&mut out, args).map(|()| ExitCode::SUCCESS),
        ChainCommand::Run(args) => run::run(&mut out, args),
        ChainCommand::Plan(args) => steps::plan(&mut out, args).map(|()| ExitCode::SUCCESS),
        ChainCommand::Start(args) => steps::start(&mut out, args).map(|()| ExitCode::SUCCESS),
        ChainCommand::Complete(args) => steps::complete(&mut out, args),
        ChainCommand::Close(args) => close::close(&mut out, args).map(|()| ExitCode::SUCCESS),
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
    printed.map_err(|why| Fail::output(&why).although(out.done.as_deref()))?;
    Ok(code)
}
