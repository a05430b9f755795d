//! A store beside a machine.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use sluis_core::driver::blocking::{Job, Spawn};
use sluis_core::driver::{Store as _, StoreBatch};
use sluis_core::sim::machines::Keeper;
use sluis_core::{Durable as _, Instant, Now, Wall};
use sluis_store::Background;

use crate::files::{Dir, kept};

/// Jobs run when the test says so.
#[derive(Clone, Default)]
struct Later(Arc<Mutex<Vec<Job>>>);

impl Spawn for Later {
    fn spawn(&self, job: Job) {
        self.0.lock().unwrap().push(job);
    }
}

impl Later {
    fn run(&self) {
        let jobs = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(jobs.len(), 1);
        jobs.into_iter().for_each(Job::run);
    }
}

fn now() -> Now {
    Now::new(Instant::ZERO, Wall::from_micros(0))
}

#[test]
fn a_machine_is_made_anew_from_what_it_kept() {
    let dir = Dir::new("machine");
    let (later, mut cx) = (Later::default(), Context::from_waker(Waker::noop()));
    for round in 0..3_u8 {
        let mut store = dir.open();
        let mut keeper = Keeper::new(10, store.entries().unwrap().map(Result::unwrap));
        assert_eq!(keeper.get(b"round"), round.checked_sub(1).as_ref().map(std::slice::from_ref));
        let mut background = Background::new(store, later.clone());
        keeper.change(b"round", Some(&[round])).unwrap();
        let mut batch = StoreBatch::new();
        batch.push(&keeper.poll_store().unwrap());
        background.start(batch);
        assert!(background.poll_commit(&mut cx).is_pending());
        assert_eq!(keeper.get(b"round"), round.checked_sub(1).as_ref().map(std::slice::from_ref), "not yet");
        later.run();
        let Poll::Ready((batch, Ok(()))) = background.poll_commit(&mut cx) else { panic!("it is done") };
        keeper.handle_stored(now(), batch.upto().unwrap(), Ok(()));
        assert_eq!(keeper.get(b"round"), Some(&[round][..]));
    }
}

/// One that is dropped runs its commit to the end all the same.
#[test]
fn what_was_begun_ends() {
    let dir = Dir::new("dropped");
    let later = Later::default();
    let mut background = Background::new(dir.open(), later.clone());
    let mut keeper = Keeper::new(10, []);
    keeper.change(b"k", Some(b"v")).unwrap();
    let mut batch = StoreBatch::new();
    batch.push(&keeper.poll_store().unwrap());
    background.start(batch);
    drop(background);
    later.0.lock().unwrap().clear();
    assert_eq!(kept(&mut dir.open()).len(), 1);
}
