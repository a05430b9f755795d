//! Journals on a disk that fails and loses power at any moment: what was acknowledged is there afterwards, in its order, and
//! nothing that cannot be read.

use crate::common::disk::{Disk, Fault};
use crate::common::linked::{Linked, id};
use proptest::prelude::*;
use sluis_journal::spawn::{Job, Spawn};
use sluis_journal::{AppendError, Chain, Journal, Names, OpenError, Options, Setup, Ticket};

/// Jobs run where they are given away.
struct Here;

impl Spawn for Here {
    fn spawn(&self, job: Job) {
        job.run();
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Queue lines with so much padding each.
    Append(Vec<usize>),
    /// Wait for all of them.
    Wait,
    Flush,
    Rotate,
    Checkpoint,
    Recover,
    /// Something goes wrong so many operations from now.
    Fault(u64, Fault),
    /// Close and open.
    Reopen,
    /// The power goes now; and again so many operations into the opening, if it is still at it.
    Crash(Option<u64>),
}

fn op() -> impl Strategy<Value = Op> {
    let fault = prop_oneof![Just(Fault::Short), Just(Fault::Full), Just(Fault::Io), Just(Fault::PowerOff)];
    prop_oneof![
        6 => prop::collection::vec(prop_oneof![3 => 0_usize..40, 2 => 0_usize..1500], 1..12).prop_map(Op::Append),
        5 => Just(Op::Wait),
        1 => Just(Op::Flush),
        1 => Just(Op::Rotate),
        2 => Just(Op::Checkpoint),
        2 => Just(Op::Recover),
        4 => (0_u64..25, fault).prop_map(|(at, fault)| Op::Fault(at, fault)),
        1 => Just(Op::Reopen),
        2 => prop::option::of(0_u64..40).prop_map(Op::Crash),
    ]
}

struct Run {
    disk: Disk,
    options: Options,
    journal: Option<Journal<Linked, Disk>>,
    tickets: Vec<(u64, Ticket)>,
    acknowledged: Vec<u64>,
    next: u64,
    /// Of which segment there is a checkpoint, and over how many lines.
    checkpoint: Option<(u64, u64)>,
}

impl Run {
    fn open(&self) -> Result<Journal<Linked, Disk>, OpenError> {
        let setup = Setup::default().options(self.options).spawn(Here).closing(|chain: &Linked| Some(chain.note()));
        Journal::open_in(self.disk.clone(), Names::new("log.jsonl"), Linked::default(), setup)
            .map(|(journal, _)| journal)
    }

    fn settle(&mut self) {
        for (id, ticket) in self.tickets.drain(..) {
            if ticket.wait().is_ok() {
                self.acknowledged.push(id);
            }
        }
    }

    /// The power goes, perhaps again while opening, and comes back. What was acknowledged before stays so.
    fn crash(&mut self, again: Option<u64>) {
        for (id, ticket) in self.tickets.drain(..) {
            if ticket.outcome() == Some(Ok(())) {
                self.acknowledged.push(id);
            }
            // It cannot be written any more, and must not start to be.
            self.disk.fault(0, Fault::PowerOff);
            drop(ticket);
        }
        self.journal = None;
        self.disk.crash();
        if let Some(at) = again {
            self.disk.fault(at, Fault::PowerOff);
            if let Err(error) = self.open() {
                assert!(matches!(error, OpenError::Io { .. }), "{error}");
            }
            self.disk.crash();
        }
        self.reopen();
    }

    fn reopen(&mut self) {
        self.journal = None;
        self.disk.calm();
        let journal = self.open().unwrap_or_else(|error| panic!("{error}; {:?}", self.disk.list()));
        self.check();
        self.journal = Some(journal);
    }

    /// All segments and the file in one chain, with every acknowledged line in its order.
    fn check(&self) {
        let names = Names::new("log.jsonl");
        let mut closed: Vec<u64> = self.disk.list().iter().filter_map(|name| names.number(name)).collect();
        closed.sort_unstable();
        assert_eq!(closed, (1..=closed.len() as u64).collect::<Vec<_>>());
        let mut chain = Linked::default();
        let mut found = Vec::new();
        let files: Vec<String> = closed.iter().map(|n| names.segment(*n)).chain([names.file().to_owned()]).collect();
        for (at, file) in files.iter().enumerate() {
            if at > 0 {
                chain.turn();
            }
            let bytes = self.disk.read(file).unwrap();
            let mut lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
            assert_eq!(lines.pop(), Some(&b""[..]), "{file} ends in the middle of a line");
            for line in lines {
                chain.check(line).unwrap_or_else(|fault| panic!("{file}: {fault}"));
                chain.push(line);
                found.push(id(line));
            }
            if at + 1 < files.len() {
                assert!(chain.size > 0, "{file} is empty");
                assert_eq!(
                    self.disk.read(&Names::checkpoint(file)),
                    Some(chain.note()),
                    "{file} has its last checkpoint"
                );
            }
        }
        // A closed segment has its last one, as seen above.
        if let Some((segment, size)) = self.checkpoint
            && segment == closed.len() as u64
        {
            let note = self.disk.read("log.jsonl.checkpoint").expect("the checkpoint is there");
            assert!(Linked::covered(&note).unwrap() >= size, "an older checkpoint is back");
        }
        assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        let missing: Vec<_> = self.acknowledged.iter().filter(|id| found.binary_search(id).is_err()).collect();
        assert!(missing.is_empty(), "missing {missing:?} of {:?} in {found:?}", self.acknowledged);
        for left in ["log.jsonl.next", "log.jsonl.checkpoint.new"] {
            assert_eq!(self.disk.read(left), None, "{left}");
        }
        let next = names.segment(closed.len() as u64 + 1);
        assert_eq!(self.disk.read(&Names::tree(&next)), None, "{next}");
    }

    fn append(&mut self, padding: usize) {
        let Some(journal) = &self.journal else { return };
        loop {
            let id = self.next;
            match journal.try_append(|chain, line| chain.compose(id, padding, line)) {
                Ok((ticket, _)) => {
                    self.next += 1;
                    self.tickets.push((id, ticket));
                    return;
                }
                Err(AppendError::Busy) => {
                    let (bytes, entries) = journal.held();
                    assert!(bytes <= self.options.queue_bytes && entries <= self.options.queue_entries);
                    let _ = journal.flush_blocking();
                }
                Err(AppendError::Failed(_)) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn op(&mut self, op: Op) {
        match op {
            Op::Append(lines) => lines.into_iter().for_each(|padding| self.append(padding)),
            Op::Wait => self.settle(),
            Op::Flush => drop(self.journal.as_ref().map(Journal::flush_blocking)),
            Op::Rotate => drop(self.journal.as_ref().map(Journal::rotate_blocking)),
            Op::Checkpoint => {
                let make = |chain: &Linked, out: &mut Vec<u8>| {
                    out.extend(chain.note());
                    Ok::<_, std::convert::Infallible>(chain.size)
                };
                if let Some(journal) = &self.journal
                    && let Ok(size) = journal.checkpoint_blocking(make)
                {
                    self.checkpoint = Some((journal.segments(), size));
                }
            }
            Op::Recover => drop(self.journal.as_ref().map(Journal::recover_blocking)),
            Op::Fault(at, fault) => self.disk.fault(at, fault),
            Op::Reopen => {
                if !self.disk.is_off() {
                    self.settle();
                }
                if self.disk.is_off() { self.crash(None) } else { self.reopen() }
            }
            Op::Crash(again) => self.crash(again),
        }
    }
}

fn options() -> impl Strategy<Value = Options> {
    (prop::option::of(1_u64..6000), prop::option::of(1_u64..12), 1_usize..20, 2001_usize..6000).prop_map(
        |(rotate_bytes, rotate_entries, entries, bytes)| {
            let mut options = Options::default();
            options.rotate_bytes = rotate_bytes;
            options.rotate_entries = rotate_entries;
            options.queue_entries = entries;
            options.queue_bytes = bytes;
            options.max_line = 2000;
            options
        },
    )
}

/// `PROPTEST_CASES`, or what takes a few seconds.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_acknowledged_line_is_lost(chance: u64, options in options(), ops in prop::collection::vec(op(), 1..40)) {
        live(chance, options, ops);
    }
}

/// A life of a journal, at the end of which the power goes.
fn live(chance: u64, options: Options, ops: Vec<Op>) {
    let disk = Disk::new(chance);
    let (tickets, acknowledged) = (Vec::new(), Vec::new());
    let mut run = Run { disk, options, journal: None, tickets, acknowledged, next: 0, checkpoint: None };
    run.reopen();
    for op in ops {
        run.op(op);
    }
    run.crash(None);
}

/// Found by the test above: the write of the first line of a segment is torn, and what is left of it is zeros.
#[test]
fn the_first_line_of_a_segment_may_be_torn() {
    let mut options = Options::default();
    (options.queue_bytes, options.queue_entries, options.max_line) = (2088, 2, 2000);
    let ops = vec![
        Op::Append(vec![0]),
        Op::Rotate,
        Op::Fault(8, Fault::Full),
        Op::Fault(7, Fault::Full),
        Op::Checkpoint,
        Op::Append(vec![444]),
        Op::Wait,
    ];
    live(6_735_660_193_708_320_258, options, ops);
    // The shape of it, whatever chance makes of it on the way: every kind of first write, torn by chance.
    for chance in 0..2000 {
        for padding in [0, 444, 1500] {
            let appended = || Op::Append(vec![padding; 3]);
            let torn =
                vec![Op::Append(vec![0]), Op::Wait, Op::Rotate, Op::Fault(2, Fault::PowerOff), appended(), Op::Wait];
            live(chance, options, torn);
        }
    }
}
