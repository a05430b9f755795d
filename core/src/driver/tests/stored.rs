//! What a machine keeps, through the driver: in batches, in order, beside the datagrams.

use core::cell::RefCell;
use std::rc::Rc;
use std::string::String;

use super::*;
use crate::driver::{DatagramTransport, Driver, DriverConfig, Flow, Lend, Store, StoreBatch};
use crate::sim::machines::Keeper;
use crate::{Durable, Duration, StoreError, StoreOp, StoreSeq};

/// A store whose commits end when the test says so.
#[derive(Default)]
struct Slow {
    under_way: Option<StoreBatch>,
    waker: Option<Waker>,
    end: Option<Result<(), StoreError>>,
    /// How many changes each batch had.
    batches: Vec<usize>,
    kept: Vec<Vec<u8>>,
}

#[derive(Clone, Default)]
struct SlowStore(Rc<RefCell<Slow>>);

impl SlowStore {
    fn end(&self, result: Result<(), StoreError>) {
        let mut slow = self.0.borrow_mut();
        slow.end = Some(result);
        slow.waker.take().expect("somebody waits").wake();
    }
}

impl Store for SlowStore {
    fn start(&mut self, batch: StoreBatch) {
        let mut slow = self.0.borrow_mut();
        assert!(slow.under_way.is_none() && !batch.is_empty());
        slow.batches.push(batch.len());
        slow.under_way = Some(batch);
    }

    fn poll_commit(&mut self, cx: &mut Context<'_>) -> Poll<(StoreBatch, Result<(), StoreError>)> {
        let mut slow = self.0.borrow_mut();
        let Some(end) = slow.end.take() else {
            slow.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let batch = slow.under_way.take().expect("one is under way");
        if end.is_ok() {
            slow.kept.extend(batch.ops().map(|op| op.key().to_vec()));
        }
        Poll::Ready((batch, end))
    }
}

fn receive(world: &Shared, datagrams: &[&str]) {
    let batch = datagrams.iter().map(|text| text.as_bytes().to_vec()).collect();
    world.borrow_mut().inbox.push_back(batch);
}

fn sent(world: &Shared) -> Vec<String> {
    world.borrow_mut().outbox.drain(..).map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

#[test]
fn answers_wait_for_the_medium_and_datagrams_do_not() {
    let (world, store) = (world(), SlowStore::default());
    let mut keeper = Keeper::new(100, []);
    let mut app = |_: Now, _: &mut Keeper| Flow::Continue;
    let driver = Driver::lend(FakeIo(Rc::clone(&world)), &mut keeper, &mut app, DriverConfig::default());
    let mut task = Task::new(driver.with_store(store.clone()));
    receive(&world, &["a=1", "b=2"]);
    assert!(task.settle().is_pending());
    assert_eq!((sent(&world), store.0.borrow().batches.clone()), (Vec::new(), [2].to_vec()));
    // While a commit is under way the rest goes on, and the next batch forms.
    for text in ["?", "c=3", "d=4", "a"] {
        receive(&world, &[text]);
        assert!(task.settle().is_pending());
    }
    assert_eq!(sent(&world), ["+?"]);
    assert_eq!(store.0.borrow().batches, [2]);
    store.end(Ok(()));
    assert_eq!(task.bell.rung(), 1, "the driver is woken, and does not look again and again");
    assert!(task.settle().is_pending());
    assert_eq!(sent(&world), ["+a=1", "+b=2"]);
    assert_eq!(store.0.borrow().batches, [2, 3]);
    // A failed commit is told to the machine, which decides.
    store.end(Err(StoreError::Full));
    assert!(task.settle().is_pending());
    assert_eq!(sent(&world), ["!c=3", "!d=4", "!a"]);
    assert_eq!(store.0.borrow().kept, [b"a", b"b"]);
    receive(&world, &["e=5"]);
    assert!(task.settle().is_pending());
    store.end(Ok(()));
    assert!(task.settle().is_pending());
    assert_eq!(sent(&world), ["+e=5"]);
    drop(task);
    assert_eq!((keeper.get(b"a"), keeper.get(b"c"), keeper.get(b"e")), (Some(&b"1"[..]), None, Some(&b"5"[..])));
}

#[test]
fn stopping_waits_for_the_commit_and_sends_the_answers() {
    for grace_is_over in [false, true] {
        let (world, store) = (world(), SlowStore::default());
        let mut keeper = Keeper::new(100, []);
        let mut app = |_: Now, keeper: &mut Keeper| if keeper.wants().store { Flow::Stop } else { Flow::Continue };
        let driver = Driver::lend(FakeIo(Rc::clone(&world)), &mut keeper, &mut app, DriverConfig::default());
        let mut task = Task::new(driver.with_store(store.clone()));
        receive(&world, &["a=1"]);
        assert!(task.settle().is_pending(), "it waits for the commit");
        if grace_is_over {
            // But not for ever.
            world.borrow_mut().now += 1_000_000_000;
            assert!(task.settle().is_ready());
            assert_eq!(sent(&world), [""; 0]);
            continue;
        }
        store.end(Ok(()));
        assert!(task.settle().is_ready());
        assert_eq!(sent(&world), ["+a=1"]);
    }
}

#[test]
fn a_batch_has_caps_and_the_rest_comes_with_the_next() {
    let (world, store) = (world(), SlowStore::default());
    let mut keeper = Keeper::new(10_000, []);
    for n in 0..3000_u32 {
        keeper.change(&n.to_be_bytes(), Some(b"")).unwrap();
    }
    for n in 0..40_u32 {
        keeper.change(&n.to_be_bytes(), Some(&[7; 65_536])).unwrap();
    }
    let mut app = |_: Now, _: &mut Keeper| Flow::Continue;
    let driver = Driver::lend(FakeIo(Rc::clone(&world)), &mut keeper, &mut app, DriverConfig::default());
    let mut task = Task::new(driver.with_store(store.clone()));
    assert!(task.settle().is_pending());
    while store.0.borrow().under_way.is_some() {
        store.end(Ok(()));
        assert!(task.settle().is_pending());
    }
    let batches = store.0.borrow().batches.clone();
    assert_eq!(batches.iter().sum::<usize>(), 3040);
    assert_eq!(batches[..2], [1024, 1024]);
    assert!(batches[3..].iter().all(|changes| *changes <= 16), "{batches:?}");
    drop(task);
    assert_eq!(keeper.kept().len(), 3000);
    assert!(keeper.kept().iter().all(|(key, value)| value.is_empty() != (key[2..] < [0, 40][..])));
}

/// A machine that has always something to be kept, and a store that is always done at once.
#[test]
fn commits_that_end_at_once_starve_nobody() {
    struct Greedy(u64);

    impl Machine for Greedy {
        type Event<'a> = ();
        fn handle_timeout(&mut self, _: Now) {}
        fn poll_event(&mut self) -> Option<()> {
            None
        }
        fn wants(&self) -> Wants {
            Wants { store: true, ..Wants::NOTHING }
        }
    }

    impl Durable for Greedy {
        fn poll_store(&mut self) -> Option<StoreOp<'_>> {
            self.0 += 1;
            StoreOp::put(StoreSeq(self.0), b"n", b"").ok()
        }
        fn handle_stored(&mut self, _: Now, _: StoreSeq, _: Result<(), StoreError>) {}
    }

    impl Datagrams for Greedy {
        fn handle_datagram(&mut self, _: Now, _: Path, _: &mut [u8]) -> Result<(), Reject> {
            Ok(())
        }
        fn poll_transmit(&mut self, _: Now, _: &mut [u8]) -> Option<Transmit> {
            None
        }
    }

    #[derive(Default)]
    struct Instantly(Option<StoreBatch>);

    impl Store for Instantly {
        fn start(&mut self, batch: StoreBatch) {
            self.0 = Some(batch);
        }
        fn poll_commit(&mut self, _: &mut Context<'_>) -> Poll<(StoreBatch, Result<(), StoreError>)> {
            Poll::Ready((self.0.take().expect("one is under way"), Ok(())))
        }
    }

    let world = world();
    let mut app = |_: Now, _: &mut Greedy| Flow::Continue;
    let mut greedy = Greedy(0);
    let access = Lend { machine: &mut greedy, app: &mut app };
    let config = DriverConfig::default();
    let driver = Driver::over(DatagramTransport::new(FakeIo(Rc::clone(&world)), &config), access, config.grace);
    let mut task = Task::new(driver.with_store(Instantly::default()));
    // One poll ends, and other tasks have their turn.
    assert!(task.poll().is_pending());
    assert_eq!(task.bell.rung(), 1);
    drop(task);
    assert!(greedy.0 < 200_000, "{}", greedy.0);
}

/// Without a store nothing that is to be kept is acknowledged, and nobody spins.
#[test]
fn what_is_kept_nowhere_is_not_acknowledged() {
    let world = world();
    let mut keeper = Keeper::new(100, []);
    let mut app = |_: Now, _: &mut Keeper| Flow::Continue;
    let driver = Driver::lend(FakeIo(Rc::clone(&world)), &mut keeper, &mut app, DriverConfig::default());
    let mut task = Task::new(driver);
    receive(&world, &["a=1", "?"]);
    assert!(task.settle().is_pending());
    assert_eq!(sent(&world), ["+?"]);
    assert_eq!(world.borrow().timer, Some(Instant::ZERO + Duration::from_millis(10)));
}
