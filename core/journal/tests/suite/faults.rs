//! What each fault does to a journal, one by one.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::common::disk::{Disk, Fault};
use crate::common::linked::Linked;
use sluis_journal::queue::{Broken, Fill, Queue, Wakers};
use sluis_journal::{AppendError, Chain, Composed, Failure, Journal, Names, OpenError, Options, Setup, Step};

type Appended = Result<u64, AppendError<Infallible>>;

fn open(disk: &Disk) -> Journal<Linked, Disk> {
    let opened = Journal::open_in(disk.clone(), Names::new("log.jsonl"), Linked::default(), Setup::default());
    opened.unwrap_or_else(|error| panic!("{error}")).0
}

fn append(journal: &Journal<Linked, Disk>, id: u64) -> Appended {
    journal.append_blocking(|chain, out| chain.compose(id, 20, out))
}

fn lines(disk: &Disk) -> usize {
    disk.read("log.jsonl").unwrap().split_inclusive(|b| *b == b'\n').count()
}

fn failed(appended: &Appended) -> Failure {
    match appended {
        Err(AppendError::Failed(failure)) => *failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_disk_fails_lines_until_there_is_room() {
    let disk = Disk::new(1);
    let journal = open(&disk);
    append(&journal, 0).unwrap();
    let whole = disk.read("log.jsonl").unwrap();
    // The write, and then also cutting off what it left.
    for also in [false, true] {
        disk.fault(1, Fault::Full);
        if also {
            // Three reads of length and page come before.
            disk.fault(3, Fault::Full);
        }
        let failure = failed(&append(&journal, 1));
        assert!(failure.is_disk_full() && failure.step == Step::Write, "{failure:?}");
        assert_eq!(journal.closed(), None);
        disk.calm();
        if !also {
            assert_eq!(disk.read("log.jsonl").unwrap(), whole, "cut back at once");
        }
        assert_eq!(journal.durable(|chain| chain.size), 1 + u64::from(also));
        assert_eq!(append(&journal, 2 + u64::from(also)), Ok(1 + u64::from(also)), "there is room again");
    }
    assert_eq!(lines(&disk), 3);
    drop(journal);
    assert_eq!(open(&disk).durable(|chain| chain.size), 3);
}

#[test]
fn any_other_failure_closes_the_journal_until_it_is_recovered() {
    for (after, step) in [(1, Step::Write), (2, Step::Sync)] {
        let disk = Disk::new(2);
        let journal = open(&disk);
        append(&journal, 0).unwrap();
        disk.fault(after, Fault::Io);
        let failure = failed(&append(&journal, 1));
        assert_eq!((failure.step, failure.os), (step, Some(5)));
        assert_eq!(failed(&append(&journal, 2)), failure, "refused, and for the same reason");
        assert_eq!(journal.rotate_blocking(), Err(failure));
        assert_eq!(lines(&disk), 1);
        journal.recover_blocking().unwrap();
        assert_eq!(append(&journal, 3), Ok(1));
        assert_eq!(lines(&disk), 2);
    }
}

/// After a failed sync the end of the file is cut, written anew and synced before anybody is told: no power is needed for it to
/// stay so.
#[test]
fn a_failed_sync_is_mended_on_the_medium_at_once() {
    for (chance, fault) in (0..64).flat_map(|chance| [(chance, Fault::Io), (chance, Fault::Damage)]) {
        for padding in [20, 700, 6000] {
            let disk = Disk::new(chance);
            let journal = open(&disk);
            journal.append_blocking(|chain, out| chain.compose(0, padding, out)).unwrap();
            disk.fault(2, fault);
            assert_eq!(failed(&append(&journal, 1)).step, Step::Sync);
            disk.fault(0, Fault::PowerOff);
            drop(journal);
            disk.crash();
            let journal = open(&disk);
            assert_eq!(journal.durable(|chain| chain.size), 1, "{chance} {fault:?} {padding}");
            assert_eq!(lines(&disk), 1, "{chance} {fault:?} {padding}");
        }
    }
}

#[test]
fn everything_queued_behind_a_failure_fails_with_it() {
    let disk = Disk::new(3);
    let journal = open(&disk);
    let tickets: Vec<_> =
        (0..3).map(|id| journal.try_append(|chain, out| chain.compose(id, 0, out)).unwrap().0).collect();
    disk.fault(2, Fault::Full);
    for ticket in tickets {
        assert_eq!(ticket.wait().unwrap_err().step, Step::Sync);
    }
    assert_eq!(journal.held(), (0, 0));
    assert_eq!(append(&journal, 9), Ok(0), "as if they had never been");
}

#[test]
fn a_rotation_that_fails_is_taken_back_or_stands() {
    // Whatever operation of a rotation fails, and its repair too.
    for at in 0..30 {
        for second in [None, Some(0), Some(1), Some(2), Some(5)] {
            let disk = Disk::new(at);
            let journal = open(&disk);
            append(&journal, 0).unwrap();
            let note = |chain: &Linked, out: &mut Vec<u8>| {
                out.extend(chain.note());
                Ok::<_, Infallible>(())
            };
            journal.checkpoint_blocking(note).unwrap();
            disk.fault(at, Fault::Io);
            if let Some(second) = second {
                disk.fault(at + 1 + second, Fault::Io);
            }
            let rotated = journal.rotate_blocking();
            disk.calm();
            if rotated.is_err() {
                journal.recover_blocking().unwrap();
            }
            append(&journal, 1).unwrap();
            let closed = disk.read("log.1.jsonl").is_some();
            assert_eq!(lines(&disk), if closed { 1 } else { 2 }, "{at} {second:?}");
            // The checkpoint went with the segment, and is never lost.
            let kept = if closed { "log.1.jsonl.checkpoint" } else { "log.jsonl.checkpoint" };
            assert!(disk.read(kept).is_some(), "{at} {second:?}");
            drop(journal);
            disk.crash();
            let journal = open(&disk);
            assert_eq!(journal.durable(|chain| chain.size), if closed { 1 } else { 2 }, "{at} {second:?}");
        }
    }
}

#[test]
fn what_is_no_line_closes_the_journal() {
    let disk = Disk::new(4);
    let journal = open(&disk);
    append(&journal, 0).unwrap();
    for text in ["", "  ", "two\nlines"] {
        let bad = |chain: &mut Linked, out: &mut [u8]| {
            out[..text.len()].copy_from_slice(text.as_bytes());
            Ok::<_, Infallible>(Composed { len: text.len(), leaf: chain.push(text.as_bytes()), value: 0 })
        };
        assert_eq!(failed(&journal.append_blocking(bad)).step, Step::Compose);
        assert!(append(&journal, 1).is_err());
        journal.recover_blocking().unwrap();
        assert_eq!(journal.durable(|chain| chain.size), 1, "the chain is where it was");
    }
    assert_eq!(append(&journal, 1), Ok(1));
    // As it is, a line is judged before it gets in.
    assert!(matches!(journal.append_line_blocking(b"two\nlines"), Err(AppendError::NotALine)));
    assert!(matches!(journal.append_line_blocking(b" "), Err(AppendError::NotALine)));
    assert!(matches!(journal.append_line_blocking(b"5 - ."), Err(AppendError::Compose(_))));
    let long = vec![b'x'; Options::default().max_line + 1];
    assert!(matches!(journal.append_line_blocking(&long), Err(AppendError::TooLong { .. })));
    assert_eq!(append(&journal, 2), Ok(2));
}

#[test]
fn a_panic_in_the_callers_code_fails_the_journal_and_does_not_hang_it() {
    let disk = Disk::new(6);
    let setup = Setup::default().closing(|_: &Linked| panic!("a signer that panics"));
    let (journal, _) = Journal::open_in(disk.clone(), Names::new("log.jsonl"), Linked::default(), setup).unwrap();
    append(&journal, 0).unwrap();
    let rotating = journal.clone();
    assert!(std::thread::spawn(move || rotating.rotate_blocking()).join().is_err());
    assert_eq!(failed(&append(&journal, 1)).step, Step::Compose);
    journal.recover_blocking().unwrap();
    assert_eq!(append(&journal, 2), Ok(1));
    assert_eq!(lines(&disk), 2);
}

#[test]
fn options_that_cannot_be_met_are_refused() {
    let refused = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        let setup = Setup::default().options(options);
        let opened = Journal::open_in(Disk::new(5), Names::new("log.jsonl"), Linked::default(), setup);
        matches!(opened, Err(OpenError::Options(_)))
    };
    assert!(refused(|options| options.max_line = 0));
    assert!(refused(|options| options.max_line = 1 << 20));
    assert!(refused(|options| options.queue_bytes = options.max_line));
    assert!(refused(|options| options.queue_entries = 0));
    assert!(refused(|options| options.rotate_bytes = Some(0)));
    assert!(refused(|options| options.rotate_entries = Some(0)));
    assert!(!refused(|_| ()));
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(std::sync::atomic::AtomicUsize);

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

fn queue(entries: usize) -> Queue<Linked> {
    let mut options = Options::default();
    options.queue_entries = entries;
    Queue::new(options, Linked::default(), Fill::default())
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell::default());
    (bell.clone(), Waker::from(bell))
}

#[test]
fn a_batch_forms_while_the_one_before_is_under_way() {
    let mut queue = queue(10);
    let mut wakers = Wakers::default();
    let add = |queue: &mut Queue<Linked>, id| {
        queue.append(|chain, out| chain.compose(id, 0, out), &mut Wakers::default()).unwrap().0
    };
    let (bell, waker) = bell();
    let mut cx = Context::from_waker(&waker);
    let first = add(&mut queue, 0);
    let batch = queue.take().unwrap();
    assert_eq!(batch.entries, 1);
    let second = add(&mut queue, 1);
    let third = add(&mut queue, 2);
    assert!(queue.take().is_none(), "one at a time");
    assert!(queue.poll(&first, &mut cx).is_pending());
    assert!(queue.poll(&third, &mut cx).is_pending());
    queue.settle(batch, Ok(()), &mut wakers);
    wakers.wake();
    assert_eq!(bell.rings(), 1, "the first, and not those behind it");
    assert_eq!(queue.poll(&first, &mut cx), Poll::Ready(Ok(())));
    assert_eq!(second.outcome(), None);
    let batch = queue.take().unwrap();
    assert_eq!(batch.entries, 2);
    let failure = Failure { step: Step::Write, kind: std::io::ErrorKind::StorageFull, os: Some(28) };
    let fourth = add(&mut queue, 3);
    queue.settle(batch, Err(Broken { failure, turned: false }), &mut wakers);
    wakers.wake();
    assert_eq!(bell.rings(), 2);
    for place in [&second, &third, &fourth] {
        assert_eq!(place.outcome(), Some(Err(failure)));
    }
    assert_eq!(first.outcome(), Some(Ok(())), "whenever it is asked");
    // The next line stands where the failed ones would have.
    let fifth = add(&mut queue, 4);
    assert_eq!(queue.durable().size, 1);
    let batch = queue.take().unwrap();
    queue.settle(batch, Ok(()), &mut wakers);
    assert_eq!((queue.durable().size, queue.held()), (2, (0, 0)));
    assert_eq!((fifth.outcome(), second.outcome()), (Some(Ok(())), Some(Err(failure))));
}

#[test]
fn room_goes_to_those_who_wait_longest() {
    let mut queue = queue(1);
    let mut wakers = Wakers::default();
    let add = |queue: &mut Queue<Linked>| {
        queue.append(|chain, out| chain.compose(0, 0, out), &mut Wakers::default()).map(|_| ())
    };
    add(&mut queue).unwrap();
    assert_eq!(add(&mut queue), Err(AppendError::Busy));
    let bells = [bell(), bell(), bell()];
    let mut ids = [None; 3];
    for (id, (_, waker)) in ids.iter_mut().zip(&bells) {
        assert!(queue.poll_room(id, &mut Context::from_waker(waker)).is_pending());
    }
    let batch = queue.take().unwrap();
    queue.settle(batch, Ok(()), &mut wakers);
    wakers.wake();
    let rings = |bells: &[(Arc<Bell>, Waker); 3]| [bells[0].0.rings(), bells[1].0.rings(), bells[2].0.rings()];
    assert_eq!(rings(&bells), [1, 0, 0]);
    // A newcomer stands behind them, and one that gives up passes its turn on.
    let (_, late) = bell();
    assert!(queue.poll_room(&mut None, &mut Context::from_waker(&late)).is_pending());
    queue.forget_room(&mut ids[0], &mut wakers);
    wakers.wake();
    assert_eq!(rings(&bells), [1, 1, 0]);
    assert!(queue.poll_room(&mut ids[1], &mut Context::from_waker(&bells[1].1)).is_ready());
    add(&mut queue).unwrap();
    assert_eq!(rings(&bells), [1, 1, 0]);
}

#[test]
fn segments_in_the_queue_are_bounded_too() {
    let disk = Disk::new(7);
    let mut options = Options::default();
    options.rotate_entries = Some(1);
    let setup = Setup::default().options(options);
    let (journal, _) = Journal::open_in(disk, Names::new("log.jsonl"), Linked::default(), setup).unwrap();
    let tickets: Vec<_> =
        (0..).map_while(|id| journal.try_append(|chain, out| chain.compose(id, 0, out)).ok()).collect();
    assert_eq!(tickets.len(), 65);
    for (ticket, _) in tickets {
        ticket.wait().unwrap();
    }
    assert_eq!(journal.segments(), 64);
    // Whoever waits for room gets it.
    std::thread::scope(|scope| {
        for thread in 0_u64..4 {
            let journal = &journal;
            let append =
                move |round| journal.append_blocking(|chain, out| chain.compose(thread * 1000 + round, 0, out));
            scope.spawn(move || (0_u64..50).for_each(|round| assert!(append(round).is_ok())));
        }
    });
    assert_eq!(journal.segments(), 264);
}
