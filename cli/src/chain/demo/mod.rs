//! `sluis chain demo`: chains are made, checked, tampered with, and checked again. Everything is real: files, keys, signatures.

mod ai;
mod drone;
mod forge;
mod spiffe;
mod stage;
mod tell;

use std::process::ExitCode;

use self::stage::Stage;
use self::tell::Teller;
use super::args::{DemoArgs, Scenario};
use crate::fail::Fail;
use crate::output::Out;

/// Play the story; the exit code is 0 when everything went as it says.
pub(super) fn demo(out: &mut Out, args: &DemoArgs) -> Result<ExitCode, Fail> {
    let mut teller = Teller::new(out);
    for scenario in args.scenario.as_ref().map_or(Scenario::ALL, std::slice::from_ref) {
        let mut stage = Stage::new(teller)?;
        match scenario {
            Scenario::Drone => drone::play(&mut stage)?,
            Scenario::Ai => ai::play(&mut stage)?,
            Scenario::Spiffe => spiffe::play(&mut stage)?,
        }
        teller = stage.clear();
    }
    Ok(if teller.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
