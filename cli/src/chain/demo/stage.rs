//! Where a story is played: a folder of its own with one chain in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use sluis_chain::token::Hash32;
use sluis_chain::verify::Finding;
use sluis_chain::workload::{Data, NewStep, NewWorkload, Spiffe, Workload};
use sluis_core::framing::{Text, Value};
use sluis_core::identity::SecretKey;
use sluis_core::table::Heap;
use sluis_core::{Rng, Wall};
use sluis_tokio::SystemClock;

use super::tell::Teller;
use crate::chain::args::Judge;
use crate::chain::ledger::{Keys, Ledger};
use crate::chain::{check, judge};
use crate::fail::Fail;
use crate::tokens;

pub(super) struct Stage<'o> {
    pub(super) teller: Teller<'o>,
    folder: PathBuf,
    pub(super) clock: SystemClock,
    pub(super) rng: Rng,
    workload: Option<Workload<Heap>>,
}

/// Somebody who runs steps.
pub(super) struct Actor {
    pub(super) name: &'static str,
    pub(super) did: String,
    pub(super) keys: Keys,
}

impl<'t> Stage<'t> {
    /// An empty folder.
    pub(super) fn new(teller: Teller<'_>) -> Result<Stage<'_>, Fail> {
        let mut rng = tokens::seed()?.fork("demo");
        let folder = std::env::temp_dir().join(format!("sluis-demo-{:016x}", rng.u64()));
        let cannot = |why| Fail::runtime(format!("cannot make the folder {} ({why})", folder.display()));
        fs::create_dir(&folder).map_err(cannot)?;
        Ok(Stage { teller, folder, clock: SystemClock::new(), rng, workload: None })
    }

    pub(super) fn now(&self) -> Wall {
        self.clock.now().wall
    }

    /// Somebody with a key of their own.
    pub(super) fn actor(&mut self, name: &'static str) -> Actor {
        let keys = Keys {
            secret: Some(SecretKey::generate(&mut self.rng)),
            // Who keeps the log signs for all who write to it.
            new_checkpoint: true,
            ..Keys::default()
        };
        Actor { name, did: format!("jis:demo:{name}"), keys }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The chain.
    pub(super) fn chain(&self) -> PathBuf {
        self.path("chain.jsonl")
    }

    /// Begin the chain: its first token, sealed by whoever coordinates it.
    pub(super) fn begin(&mut self, name: &str, coordinator: &Actor) -> Result<(), Fail> {
        let new = NewWorkload {
            name,
            owner: &coordinator.did,
            actor: &coordinator.did,
            node: "demo",
            ..NewWorkload::default()
        };
        let workload = Workload::new(self.clock.now(), &new, &mut self.rng).map_err(Fail::runtime)?;
        self.workload = Some(workload);
        self.teller.says(coordinator.name, &format!("begins {name}"));
        self.write(coordinator)
    }

    /// A step: what goes in is what came out of the one before, and it puts out a value.
    pub(super) fn step(&mut self, actor: &Actor, name: &str, intent: &str, output: &str) -> Result<(), Fail> {
        let now = self.clock.now();
        let workload = self.workload.as_mut().ok_or_else(|| Fail::runtime("there is no workload"))?;
        let step = NewStep { name, executor: Some(&actor.did), intent: Some(intent), ..NewStep::default() };
        let sequence = workload.add(&step, &mut self.rng).map_err(Fail::runtime)?;
        workload.start(now, sequence, Data::None, None).map_err(Fail::runtime)?;
        if let Some(svid) = &actor.keys.svid {
            let spiffe = Spiffe {
                id: Text::new(&actor.did),
                expires_at: svid.expires_at(),
                certificate: Hash32(svid.certificate_sha256()),
            };
            workload.bind_spiffe(sequence, &spiffe).map_err(Fail::runtime)?;
        }
        let output = Value::from_json(output).map_err(Fail::runtime)?;
        workload.complete(self.clock.now(), sequence, Data::Value(output), None).map_err(Fail::runtime)?;
        self.teller.says(actor.name, &format!("{name}: {intent}"));
        self.write(actor)
    }

    /// Write the tokens that wait, sealed by this one.
    fn write(&mut self, actor: &Actor) -> Result<(), Fail> {
        let Some(workload) = &mut self.workload else { return Ok(()) };
        let mut ledger = Ledger::open(&self.folder.join("chain.jsonl"), &actor.keys, Some(workload.name()))?;
        let now = self.clock.now();
        while workload.pending().is_some() {
            ledger.append_waiting(&actor.keys, now, workload, None)?;
        }
        Ok(())
    }

    /// Sign a checkpoint with somebody's key.
    pub(super) fn checkpoint(&mut self, actor: &Actor) -> Result<(), Fail> {
        self.teller.says(actor.name, "signs the checkpoint: how many lines, and the root of their tree");
        Ledger::open(&self.chain(), &actor.keys, None)?.renew(&actor.keys).done()
    }

    /// Check the chain by these keys; what is found is told.
    pub(super) fn verify(&mut self, keys: &Arc<judge::Keys>) -> Result<Vec<Finding>, Fail> {
        let mut findings = Vec::new();
        check::check(&self.chain(), &[], &Judge::default(), keys, &mut |finding| findings.push(finding.clone()))?;
        self.teller.found(&findings);
        Ok(findings)
    }

    /// Check it: exactly these kinds must be found, in these lines.
    pub(super) fn expect(&mut self, keys: &Arc<judge::Keys>, kinds: &[(u64, &str)]) -> Result<(), Fail> {
        let findings = self.verify(keys)?;
        let found: Vec<(u64, &str)> = findings.iter().map(|finding| (finding.line, finding.kind.as_str())).collect();
        self.teller.check(found == kinds, &format!("{kinds:?} was to be found, it was {found:?}"));
        Ok(())
    }

    /// The lines of the chain.
    pub(super) fn lines(&self) -> Result<Vec<String>, Fail> {
        let text = fs::read_to_string(self.chain()).map_err(Fail::runtime)?;
        Ok(text.lines().map(ToOwned::to_owned).collect())
    }

    /// Somebody writes another file in its place.
    pub(super) fn put(&self, lines: &[String]) -> Result<(), Fail> {
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        fs::write(self.chain(), text).map_err(Fail::runtime)
    }

    pub(super) fn clear(self) -> Teller<'t> {
        // What is left is in a folder for such things.
        let _ = fs::remove_dir_all(&self.folder);
        self.teller
    }
}

/// By which public keys a chain is judged: each signs for its actor.
pub(super) fn known(actors: &[&Actor]) -> Arc<judge::Keys> {
    let key = |actor: &&Actor| Some((actor.did.clone(), vec![actor.keys.secret.as_ref()?.public()]));
    let actors: BTreeMap<_, _> = actors.iter().filter_map(key).collect();
    let known = actors.values().flatten().copied().collect();
    Arc::new(judge::Keys { known, actors, signed: true, ..judge::Keys::default() })
}
