//! `sluis chain close`: the last token of a workload.

use sluis_chain::workload::Refused;
use sluis_tokio::SystemClock;

use super::add;
use super::args::CloseArgs;
use super::ledger::{Keys, Ledger};
use crate::fail::Fail;
use crate::output::Out;

/// Say how many steps there were and how they ended, so that none can be cut off or put behind them.
pub(super) fn close(out: &mut Out, args: &CloseArgs) -> Result<(), Fail> {
    let keys = Keys::read(&args.protect)?;
    keys.refuse_another(args.actor.as_deref())?;
    let file = args.file.display();
    if !args.file.exists() {
        return Err(Fail::runtime(format!("there is no {file}, name the chain that is to be closed")));
    }
    let mut ledger = Ledger::open(&args.file, &keys, None)?;
    let now = SystemClock::new().now();
    let actor = args.actor.clone().or_else(|| keys.actor());
    let closed = ledger.known.workload.as_ref().filter(|running| running.workload.is_closed());
    if let Some(running) = closed {
        return Err(Fail::runtime(format!("{} in {file} is closed already", running.workload.name())));
    }
    let Some(running) = ledger.known.open(&args.file)? else {
        let why = "has no workload: `sluis chain new` or `run` begins one";
        return Err(Fail::runtime(format!("{file} {why}")));
    };
    let workload = &mut running.workload;
    let actor = actor.unwrap_or_else(|| workload.owner().to_owned());
    workload.set_actor(&actor).map_err(Fail::usage)?;
    workload.set_node(None, &add::node_name()).map_err(Fail::runtime)?;
    if let Err(why) = workload.close(now) {
        let step = match why {
            Refused::Unfinished { first } => workload.step(first).map(|step| step.name.to_owned()),
            _ => None,
        };
        return Err(match step {
            Some(step) => Fail::runtime(format!(
                "step `{step}` was planned and has not ended: run it, or leave it out (`sluis chain complete {file} --step \
                 {step} --skip`)"
            )),
            None => Fail::runtime(why),
        });
    }
    let added = ledger.append_step(&keys, now, None)?;
    add::say(out, "chain close", &args.file, &added, &ledger.renew(&keys));
    Ok(())
}
