//! The operations of ours that are under way: what each waits for, and when it is over.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::Server;
use super::news::{FoundDevice, OperationError, OperationId, OperationOutcome, Resolution};
use crate::Path;
use crate::discovery::JoinToken;
use crate::identity::PublicKey;
use crate::node::RequestId;
use crate::node::heap::DeadlineHeap;
use crate::registry::{Nonce, QueryId};
use crate::table::{Heap, Slab};
use crate::time::Instant;

/// Something that is asked of others, in as many steps as it takes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// Have a registry keep our record. It is renewed in time until another one is asked.
    Register {
        /// The registry.
        server: &'a str,
        /// Where it is.
        path: Path,
    },
    /// Find out where a name is: what the operator named, what was heard, peers; else others are asked.
    Resolve(&'a str),
    /// The same, and have its key answer there: only then is anything to be sent to it.
    Reach(&'a str),
    /// Find devices that can do this, here and in the registries that are asked.
    Find(&'a str),
    /// Challenge a key.
    Verify {
        /// Under this name.
        did: &'a str,
        /// Which; `None`: the one that is pinned to the name, or signed its record.
        key: Option<PublicKey>,
        /// Where; `None`: where the name is known to be.
        path: Option<Path>,
    },
    /// Be let in by a hub that has made this token: it trusts us then, and its key is pinned here.
    Join {
        /// The token.
        token: &'a JoinToken,
        /// Where the hub is.
        path: Path,
    },
}

/// What is to be done, owned.
#[derive(Debug)]
pub(super) enum Job {
    Register { server: Server, again: bool },
    Resolve { did: Box<str> },
    Reach { did: Box<str>, asked: bool },
    Find { capability: Box<str>, found: Vec<FoundDevice>, servers: Vec<Server>, skip: u64 },
    Verify { did: Box<str>, key: Option<PublicKey>, path: Option<Path> },
    Join(Box<Joining>),
}

/// A join that is under way.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) token: JoinToken,
    pub(super) path: Path,
    pub(super) nonce: [u8; 16],
    pub(super) challenge: Option<[u8; 32]>,
}

/// Who is challenged.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) did: Box<str>,
    pub(super) key: PublicKey,
    pub(super) path: Path,
    pub(super) nonce: Option<Nonce>,
    /// How the address was found.
    pub(super) resolution: Option<Resolution>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) job: Job,
    pub(super) deadline: Instant,
    /// Pings sent in this step.
    pub(super) tries: u8,
    pub(super) query: Option<QueryId>,
    pub(super) target: Option<Box<Target>>,
    /// What came in answer, of who was asked and of others.
    pub(super) came: Came,
    /// Begun by the node itself: its end is no event.
    pub(super) internal: bool,
    outcome: Option<Result<OperationOutcome, OperationError>>,
}

/// What a ping of the overlay asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A step of an operation.
    Step(OperationId),
    /// Where a name is, for whoever waits for this query.
    Question(QueryId),
}

/// What came in answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Came {
    /// Something that nothing shows to be from who was asked, or a record that its key has not signed.
    pub(super) unproven: bool,
    /// An answer of who was asked, who knows nothing.
    pub(super) nothing: bool,
}

impl Came {
    /// Whether all that came was unproven.
    pub(super) const fn is_doubted(self) -> bool {
        self.unproven && !self.nothing
    }
}

pub(super) struct Operations {
    rows: Slab<Row, Heap>,
    deadlines: DeadlineHeap,
    /// Those that go on at the next occasion.
    due: VecDeque<OperationId>,
    done: VecDeque<OperationId>,
    asks: BTreeMap<RequestId, Ask>,
}

impl Operations {
    pub(super) fn new(max: usize) -> Self {
        Self {
            rows: Slab::new(max),
            deadlines: DeadlineHeap::default(),
            due: VecDeque::new(),
            done: VecDeque::new(),
            asks: BTreeMap::new(),
        }
    }

    /// Begin one; `None` where there is no room.
    pub(super) fn insert(&mut self, job: Job, deadline: Instant, internal: bool) -> Option<OperationId> {
        let row =
            Row { job, deadline, tries: 0, query: None, target: None, came: Came::default(), internal, outcome: None };
        let id = OperationId(self.rows.insert(row).ok()?);
        self.deadlines.set(id.0.slot(), deadline);
        self.due.push_back(id);
        Some(id)
    }

    pub(super) fn get_mut(&mut self, id: OperationId) -> Option<&mut Row> {
        self.rows.get_mut(id.0).filter(|row| row.outcome.is_none())
    }

    /// Note what came in answer to a query.
    pub(super) fn note(&mut self, query: QueryId, note: impl Fn(&mut Came)) {
        for id in self.waiting_for(query) {
            self.get_mut(id).into_iter().for_each(|row| note(&mut row.came));
        }
    }

    /// The operations that wait for this query.
    pub(super) fn waiting_for(&self, query: QueryId) -> Vec<OperationId> {
        let waits = |row: &Row| row.query == Some(query) && row.outcome.is_none();
        self.rows.iter().filter(|(_, row)| waits(row)).map(|(id, _)| OperationId(id)).collect()
    }

    /// An operation has ended; its end waits to be told. One of the node's own is given back.
    pub(super) fn end(
        &mut self,
        id: OperationId,
        outcome: Result<OperationOutcome, OperationError>,
    ) -> Option<(Row, Result<OperationOutcome, OperationError>)> {
        let Self { rows, deadlines, done, .. } = self;
        let row = rows.get_mut(id.0).filter(|row| row.outcome.is_none())?;
        deadlines.remove(id.0.slot());
        if row.internal {
            return rows.remove(id.0).map(|row| (row, outcome));
        }
        row.outcome = Some(outcome);
        done.push_back(id);
        None
    }

    /// Give one up; false when it has ended and was told.
    pub(super) fn remove(&mut self, id: OperationId) -> bool {
        self.deadlines.remove(id.0.slot());
        self.rows.remove(id.0).is_some()
    }

    pub(super) fn set_due(&mut self, id: OperationId) {
        self.due.push_back(id);
    }

    pub(super) fn pop_due(&mut self) -> Option<OperationId> {
        self.due.pop_front()
    }

    /// The next one whose time is up.
    pub(super) fn over(&self, now: Instant) -> Option<OperationId> {
        let (at, slot) = self.deadlines.first()?;
        if at <= now { self.rows.id_at(slot).map(OperationId) } else { None }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        // What is due does not wait.
        if self.due.is_empty() { self.deadlines.first().map(|(at, _)| at) } else { Some(Instant::ZERO) }
    }

    pub(super) fn has_done(&self) -> bool {
        !self.done.is_empty()
    }

    pub(super) fn pop_done(&mut self) -> Option<(OperationId, Result<OperationOutcome, OperationError>)> {
        loop {
            let id = self.done.pop_front()?;
            if let Some(outcome) = self.rows.remove(id.0).and_then(|row| row.outcome) {
                return Some((id, outcome));
            }
        }
    }

    /// A ping of the overlay was sent.
    pub(super) fn ask(&mut self, request: RequestId, ask: Ask) {
        self.asks.insert(request, ask);
    }

    /// What a request asks, if it is one of the overlay's.
    pub(super) fn asked(&self, request: RequestId) -> Option<Ask> {
        self.asks.get(&request).copied()
    }

    /// A request of the overlay has ended.
    pub(super) fn answered(&mut self, request: RequestId) -> Option<Ask> {
        self.asks.remove(&request)
    }
}
