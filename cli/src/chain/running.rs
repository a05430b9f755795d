//! What the tokens of a log say, as far as the next one depends on it.

use std::collections::BTreeMap;

use sluis_chain::token::Token;
use sluis_chain::workload::{Entry, Plan, Planned, Refused, StepStatus, Workload};
use sluis_core::table::Heap;
use sluis_core::{Rng, Seed};

use super::files::{self, Hashes};
use crate::fail::Fail;

/// What is known of a log.
pub(super) struct Known {
    /// The last workload that began in it.
    pub(super) workload: Option<Running>,
    /// Some line is signed.
    pub(super) sealed: bool,
    rng: Rng,
    /// Tokens so far.
    tokens: u64,
}

/// A file that a step put out.
pub(super) struct Output {
    pub(super) hash: String,
    /// The step that left it so.
    pub(super) step: String,
}

/// A workload, and the files of its steps.
pub(super) struct Running {
    pub(super) workload: Workload<Heap>,
    /// What its steps put out, as the last of them left each.
    pub(super) outputs: BTreeMap<String, Output>,
    /// The files that went into the step that was started and has not ended.
    pub(super) inputs: Hashes,
    /// Names by which some of them were given, with those under which they stand there.
    pub(super) links: Hashes,
    /// The number of the token from which on they do not follow each other, and why.
    broken: Option<(u64, Refused)>,
}

impl Known {
    /// Of an empty log.
    pub(super) fn new(seed: &Seed) -> Self {
        Self { workload: None, sealed: false, rng: seed.fork("workload"), tokens: 0 }
    }

    /// Take note of the next token.
    pub(super) fn fold(&mut self, token: &Token<'_>) {
        self.tokens += 1;
        self.sealed |= !token.signature.is_empty();
        if let Some(Ok(plan)) = Plan::read(token) {
            self.plan(&plan);
        }
        let (Some(Ok(entry)), Some(hash)) = (Entry::read(token), token.said_hash()) else { return };
        if let Entry::Created(created) = &entry {
            let workload = Workload::resume(created, hash, self.rng.sip_key(), 0);
            self.workload = workload.ok().map(Running::new);
            return;
        }
        let Some(running) = self.workload.as_mut().filter(|running| running.workload.id() == entry.workload_id())
        else {
            return;
        };
        match running.workload.replay(&entry, hash) {
            Ok(()) => running.ended(&entry),
            Err(why) => drop(running.broken.get_or_insert((self.tokens, why))),
        }
    }

    fn plan(&mut self, plan: &Plan<'_>) {
        let Some(running) = self.workload.as_mut().filter(|running| running.workload.id() == plan.workload_id) else {
            return;
        };
        if let Err(why) = running.workload.replay_plan(plan) {
            running.broken.get_or_insert((self.tokens, why));
        } else if let Planned::Started { inputs, links, .. } = plan.said {
            running.inputs = files::from_json(Some(inputs));
            running.links = files::texts(Some(links));
        }
    }

    /// The workload that goes on; `None` when there is none, or it is closed.
    ///
    /// # Errors
    /// Its tokens do not follow each other: nothing is put behind them.
    pub(super) fn open(&mut self, file: &std::path::Path) -> Result<Option<&mut Running>, Fail> {
        let Some(running) = self.workload.as_mut().filter(|running| !running.workload.is_closed()) else {
            return Ok(None);
        };
        match running.broken {
            None => Ok(Some(running)),
            Some((token, why)) => {
                let (line, file) = (line_of(file, token), file.display());
                Err(Fail::runtime(format!(
                    "line {line} of {file} is no next step of its workload ({why}), no step is added: see `sluis chain \
                     verify {file}`"
                )))
            }
        }
    }

    /// Whose the log is, if it says so.
    pub(super) fn owner(&self) -> Option<&str> {
        self.workload.as_ref().map(|running| running.workload.owner())
    }
}

/// The line in which the token of this number stands: blank lines are none.
fn line_of(file: &std::path::Path, token: u64) -> u64 {
    let (mut tokens, mut line) = (0, token);
    let _ = super::read::lines(file, |number, _| {
        tokens += 1;
        if tokens == token {
            line = number;
        }
    });
    line
}

impl Running {
    pub(super) fn new(workload: Workload<Heap>) -> Self {
        Self { workload, outputs: BTreeMap::new(), inputs: Hashes::new(), links: Hashes::new(), broken: None }
    }

    /// A step ended: what it put out is what a later one may take in.
    fn ended(&mut self, entry: &Entry<'_>) {
        let Entry::Step(step) = entry else { return };
        self.inputs.clear();
        self.links.clear();
        if step.status != StepStatus::Completed {
            return;
        }
        let name = step.name.to_cow();
        let files = files::from_json(step.metadata.get("outputs"));
        // What is not what its hash covers is nothing that it put out: `verify` says so.
        if files::hash_all(&files) != step.output {
            return;
        }
        for (file, hash) in files {
            self.outputs.insert(file, Output { hash, step: name.clone().into_owned() });
        }
    }
}
