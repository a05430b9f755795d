//! `sluis chain close`: the last token of a workload.

use sluis_chain::workload::{Closed, Protection};
use sluis_core::framing::Text;
use sluis_tokio::SystemClock;

use super::add;
use super::args::CloseArgs;
use super::ledger::{Keys, Ledger};
use super::lines::Lines;
use crate::fail::Fail;
use crate::output::Out;

/// Say how many steps there were and how they ended, so that none can be cut off or put behind them.
pub(super) fn close(out: &mut Out, args: &CloseArgs) -> Result<(), Fail> {
    let keys = Keys::read(&args.protect)?;
    add::refuse_another(&keys, args.actor.as_deref())?;
    let file = args.file.display();
    if !args.file.exists() {
        return Err(Fail::runtime(format!("there is no {file}, name the chain that is to be closed")));
    }
    let ledger = Ledger::open(&args.file)?;
    let at = SystemClock::new().now().wall;
    let node = add::node_name();
    let added = ledger.append(|lines: &Lines, room| {
        let running = match lines.kept.workload.as_deref() {
            Some(running) if !running.closed => running,
            Some(running) => return Err(Fail::runtime(format!("{} in {file} is closed already", running.name))),
            None => {
                let why = "has no workload: `sluis chain new` or `run` begins one";
                return Err(Fail::runtime(format!("{file} {why}")));
            }
        };
        let actor = args.actor.clone().or_else(|| keys.actor()).unwrap_or_else(|| running.owner.clone());
        let closed = Closed {
            workload_id: running.id,
            actor: Text::new(&actor),
            node: Text::new(&node),
            at,
            status: running.counts.outcome(),
            counts: running.counts,
            after: running.after,
        };
        let written = keys
            .sealing(at, |seal| closed.write(&Protection { mac: keys.mac.as_ref(), seal, link: lines.link() }, room));
        written.map(|written| written.len).map_err(Fail::runtime)
    })?;
    ledger.checkpoint(&keys)?;
    add::say(out, &args.file, &added);
    Ok(())
}
