//! A node under any sequence of packets, commands and clock readings.

mod act;
mod build;
mod ledger;
mod ops;
mod settle;
mod world;

use std::hash::{DefaultHasher, Hash, Hasher};

use arbitrary::{Arbitrary, Unstructured};
use sluis_core::record::{Lines, ReplayError, replay};

use self::ops::{Op, Setup};
use self::world::World;

/// Most operations of one run.
const MOST: usize = 400;

/// Lead a node through the operations; after each step every promise is checked, and at the end everything that is still
/// open comes to an end. Then the same again: it must come out the same, and so must the replay of its recording.
pub fn node(data: &[u8]) {
    let once = run(data, None);
    // Twice as slow, so only for some inputs; which ones depends on nothing else.
    match data.len() % 4 {
        0 => assert_eq!(once, run(data, None), "the same seed and inputs gave other outputs"),
        2 => {
            let lines = Lines::default();
            assert_eq!(once, run(data, Some(lines.clone())), "a recording changed what came out");
            match replay(&lines.text()) {
                Ok(_) | Err(ReplayError::Empty) => {}
                Err(why) => panic!("the recording does not replay: {why}"),
            }
        }
        _ => {}
    }
}

/// A digest of everything that came out.
fn run(data: &[u8], tape: Option<Lines>) -> u64 {
    let mut input = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut input) else { return 0 };
    let mut world = World::new(setup, tape);
    let mut count = 0;
    while count < MOST && !input.is_empty() {
        let Ok(op) = Op::arbitrary(&mut input) else { break };
        world.act(&op);
        world.check();
        count += 1;
    }
    world.settle();
    let mut digest = DefaultHasher::new();
    world.ledger.trace.hash(&mut digest);
    digest.finish()
}
