//! A machine whose state survives, on a store that loses power and fails: what was acknowledged is there afterwards, and nothing that
//! was never asked for.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sluis_core::driver::{Requests as _, StoreBatch};
use sluis_core::sim::machines::Keeper;
use sluis_core::sim::{MemoryStore, SimRng};
use sluis_core::{Durable as _, Instant, Now, Seed, StoreError, Wall};

#[derive(Clone, Debug)]
enum Op {
    /// Keep a value (or nothing) under one of a few keys.
    Change(u8, Option<u8>),
    Begin,
    Confirm,
    Fail,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u8..5, prop::option::weighted(0.8, any::<u8>())).prop_map(|(key, value)| Op::Change(key, value)),
        4 => Just(Op::Begin),
        4 => Just(Op::Confirm),
        1 => Just(Op::Fail),
        1 => Just(Op::Crash),
    ]
}

struct Run {
    keeper: Keeper,
    store: MemoryStore,
    /// Which key a request is about.
    asked: BTreeMap<u64, u8>,
    /// What a key may hold: what was last acknowledged, and everything asked for since then, each with its request.
    may: BTreeMap<u8, Vec<(u64, Option<u8>)>>,
}

fn now() -> Now {
    Now::new(Instant::ZERO, Wall::from_micros(0))
}

impl Run {
    fn tell(&mut self, batch: Option<StoreBatch>, result: Result<(), StoreError>) {
        let Some(upto) = batch.and_then(|batch| batch.upto()) else { return };
        self.keeper.handle_stored(now(), upto, result);
        while let Some(answer) = self.keeper.poll_reply() {
            let key = self.asked.remove(&answer.id).unwrap();
            if answer.reply.is_ok() {
                self.may.entry(key).or_default().retain(|(id, _)| *id >= answer.id);
            }
        }
    }

    fn check(&self) {
        for key in 0..5 {
            let found = self.store.get(&[key]).map(|value| value[0]);
            let may = self.may.get(&key).map_or(&[(0, None)][..], Vec::as_slice);
            assert!(may.iter().any(|(_, may)| *may == found), "key {key} holds {found:?}, and may hold {may:?}");
        }
    }

    fn op(&mut self, op: &Op) {
        match *op {
            Op::Change(key, value) => {
                let bytes = value.map(|value| [value]);
                if let Ok(id) = self.keeper.change(&[key], bytes.as_ref().map(<[u8; 1]>::as_slice)) {
                    self.asked.insert(id, key);
                    self.may.entry(key).or_insert_with(|| vec![(0, None)]).push((id, value));
                }
            }
            Op::Begin if !self.store.is_busy() => {
                let mut batch = StoreBatch::new();
                while let Some(op) = self.keeper.poll_store() {
                    batch.push(&op);
                }
                if !batch.is_empty() {
                    self.store.begin(batch);
                }
            }
            Op::Begin => {}
            Op::Confirm => {
                let batch = self.store.confirm();
                self.tell(batch, Ok(()));
            }
            Op::Fail => {
                let batch = self.store.fail();
                self.tell(batch, Err(StoreError::Failed));
            }
            Op::Crash => {
                self.store.crash();
                self.check();
                let kept = self.store.entries().map(|(key, value)| (key.to_vec(), value.to_vec()));
                self.keeper = Keeper::new(20, kept);
                self.asked.clear();
                // What is found is what it is from now on.
                self.may = (0..5).map(|key| (key, vec![(0, self.store.get(&[key]).map(|value| value[0]))])).collect();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_with_the_power(seed: u64, ops in prop::collection::vec(op(), 1..60)) {
        let store = MemoryStore::new(SimRng::new(&Seed::from_u64(seed), "store"));
        let mut run = Run { keeper: Keeper::new(20, []), store, asked: BTreeMap::new(), may: BTreeMap::new() };
        for op in &ops {
            run.op(op);
        }
        run.op(&Op::Crash);
    }
}

/// Chance decides about what was under way, and the same seed decides the same.
#[test]
fn what_was_under_way_is_kept_or_lost_by_the_seed() {
    let survives = |seed| {
        let mut store = MemoryStore::new(SimRng::new(&Seed::from_u64(seed), "store"));
        let mut keeper = Keeper::new(1, []);
        keeper.change(b"k", Some(b"v")).unwrap();
        let mut batch = StoreBatch::new();
        batch.push(&keeper.poll_store().unwrap());
        store.begin(batch);
        store.crash();
        store.entries().len() == 1
    };
    let kept = (0..100).filter(|seed| survives(*seed)).count();
    assert!((20..80).contains(&kept), "{kept}");
    assert!((0..100).all(|seed| survives(seed) == survives(seed)));
}
