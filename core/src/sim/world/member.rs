//! What a world keeps of each member, and what applications mean to do later.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::sealed::Looked;
use crate::node::{Node, OpenId, RequestId, WaitId};
use crate::record::Recorded;
use crate::sim::adversary::Adversary;
use crate::sim::clock::Clock;
use crate::sim::rng::SimRng;
use crate::sim::store::MemoryStore;
use crate::time::Instant;

/// Later than any deadline.
pub(super) const NEVER: u64 = u64::MAX;

pub(super) enum Role {
    Node(Box<Recorded<Node>>),
    Down,
    /// Nothing while it acts.
    Foe(Option<Box<Foe>>),
}

pub(super) struct Foe {
    pub(super) adversary: Box<dyn Adversary>,
    pub(super) victim: Option<u32>,
    pub(super) targets: Vec<u32>,
    pub(super) rng: SimRng,
}

/// A request of a node that has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) request: RequestId,
    /// The edge to who was asked.
    pub(super) edge: u32,
    /// Its number, where the world knows who said what. One that has no room here is 0, whose answer is a violation.
    said: [u8; 3],
    pub(super) pending: bool,
}

impl Asked {
    pub(super) const fn said(&self) -> u32 {
        let [a, b, c] = self.said;
        u32::from_be_bytes([0, a, b, c])
    }
}

pub(super) struct Member {
    pub(super) role: Role,
    pub(super) clock: Clock,
    /// What survives of it, if anything does.
    pub(super) store: Option<Box<MemoryStore>>,
    /// Virtual time of its timer on the agenda, and what its own clock shows then.
    pub(super) armed: u64,
    pub(super) armed_local: Instant,
    pub(super) books: Books,
    /// How many of its first edges lead to nodes.
    pub(super) askable: u32,
    /// Touched since the last sweep.
    pub(super) touched: bool,
}

/// What the observer knows of one incarnation of a node.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// How often the node was started again.
    pub(super) incarnation: u32,
    /// Datagrams handed in.
    pub(super) handed: u64,
    /// Requests by their index; those that are not there have ended.
    asked: Vec<Option<Asked>>,
    open: u32,
    /// Requests were made that are not the world's.
    pub(super) commanded: bool,
    /// Until when the driver is away.
    pub(super) away: u64,
    /// Something that is not genuine came meanwhile.
    pub(super) foreign: bool,
    pub(super) looked: Looked,
}

impl Member {
    pub(super) fn new(role: Role, clock: Clock, askable: u32) -> Self {
        Self {
            role,
            clock,
            store: None,
            armed: NEVER,
            armed_local: Instant::from_nanos(NEVER),
            books: Books::default(),
            askable,
            touched: false,
        }
    }

    /// It goes down, and all that this incarnation did is over.
    pub(super) fn crash(&mut self) {
        self.role = Role::Down;
        self.store.iter_mut().for_each(|store| store.crash());
        self.books = Books { incarnation: self.books.incarnation + 1, ..Books::default() };
        self.disarm();
    }

    /// Have its timer go off when its own clock shows this.
    pub(super) fn arm(&mut self, now: u64, at: Instant) {
        (self.armed, self.armed_local) = (self.clock.when(at).max(now + 1), at);
    }

    pub(super) fn disarm(&mut self) {
        (self.armed, self.armed_local) = (NEVER, Instant::from_nanos(NEVER));
    }
}

impl Books {
    /// How many requests are open.
    pub(super) const fn open(&self) -> u32 {
        self.open
    }

    /// The same, counted.
    pub(super) fn count_open(&self) -> usize {
        self.asked.iter().flatten().count()
    }

    /// Whether any request has no answer at all yet.
    pub(super) fn waits(&self) -> bool {
        self.asked.iter().flatten().any(|asked| !asked.pending)
    }

    /// Note a new request; false if an open one has its place.
    pub(super) fn ask(&mut self, request: RequestId, edge: u32, said: u32) -> bool {
        let index = request.index() as usize;
        if self.asked.len() <= index {
            self.asked.resize(index + 1, None);
        }
        self.open += 1;
        let [over, a, b, c] = said.to_be_bytes();
        let said = if over == 0 { [a, b, c] } else { [0; 3] };
        self.asked[index].replace(Asked { request, edge, said, pending: false }).is_none()
    }

    /// An open request.
    pub(super) fn open_request(&mut self, request: RequestId) -> Option<&mut Asked> {
        self.asked.get_mut(request.index() as usize)?.as_mut().filter(|asked| asked.request == request)
    }

    /// A request has ended.
    pub(super) fn ended(&mut self, request: RequestId) {
        if let Some(asked) = self.asked.get_mut(request.index() as usize)
            && asked.take().is_some()
        {
            self.open -= 1;
        }
    }
}

/// What an application means to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doing {
    /// Ask somebody something.
    Ask,
    /// Ask every neighbour, the one at this edge first.
    Greet(u32),
    /// Answer an accepted ping.
    Answer(OpenId),
    /// Decide about a waiting ping.
    Decide(WaitId),
    /// Look after the node again.
    Return,
    /// What it keeps has reached its medium.
    Commit,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Errand {
    pub(super) member: u32,
    /// Nothing is done any more once the member was started again.
    pub(super) incarnation: u32,
    pub(super) doing: Doing,
}

/// Errands, in places that are used again.
#[derive(Debug, Default)]
pub(super) struct Errands {
    places: Vec<Errand>,
    free: Vec<u32>,
}

impl Errands {
    pub(super) fn put(&mut self, errand: Errand) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = errand;
                place
            }
            None => {
                self.places.push(errand);
                self.places.len() as u32 - 1
            }
        }
    }

    /// Whose errand it is.
    pub(super) fn member(&self, place: u32) -> Option<u32> {
        self.places.get(place as usize).map(|errand| errand.member)
    }

    pub(super) fn take(&mut self, place: u32) -> Option<Errand> {
        let errand = self.places.get(place as usize).copied()?;
        self.free.push(place);
        Some(errand)
    }
}
