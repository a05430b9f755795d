//! Small machines to try drivers and adapters with; they hold to the contract of [`Machine`] and nothing else.

mod orders;
mod streams;

use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use crate::driver::{Answer, Requests};
use crate::time::{Duration, Instant, Now, Reason};
use crate::{Datagrams, Machine, Path, Reject, RejectCounts, Transmit, Wants};

pub use crate::sim::keeper::{Change, Keeper};
pub use streams::{Call, StreamCaller, StreamEcho};

/// Sends every datagram back to where it came from, as long as its queue has room.
#[derive(Debug)]
pub struct Echo {
    queue: VecDeque<(Path, Vec<u8>)>,
    /// Emptied buffers, so that a datagram in steady state costs no allocation.
    spare: Vec<Vec<u8>>,
    cap: usize,
    /// How many datagrams came in.
    pub heard: u64,
}

impl Echo {
    /// With room for `cap` datagrams.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self { queue: VecDeque::with_capacity(cap), spare: Vec::with_capacity(cap), cap, heard: 0 }
    }

    /// Send a datagram.
    ///
    /// # Errors
    /// [`Reject::Busy`] when the queue is full.
    pub fn send(&mut self, path: Path, bytes: &[u8]) -> Result<(), Reject> {
        if self.queue.len() >= self.cap {
            return Err(Reject::Busy);
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.extend_from_slice(bytes);
        self.queue.push_back((path, buffer));
        Ok(())
    }
}

impl Machine for Echo {
    type Event<'a> = ();

    fn handle_timeout(&mut self, _: Now) {}

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        Wants { output: !self.queue.is_empty(), ..Wants::NOTHING }
    }
}

impl Datagrams for Echo {
    fn handle_datagram(&mut self, _: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        self.heard += 1;
        self.send(path, bytes)
    }

    fn poll_transmit(&mut self, _: Now, out: &mut [u8]) -> Option<Transmit> {
        let (_, bytes) = self.queue.front()?;
        out.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let (path, mut bytes) = self.queue.pop_front()?;
        let len = bytes.len();
        bytes.clear();
        self.spare.push(bytes);
        Some(Transmit { path, len })
    }
}

/// First byte of a [`Talker`]'s datagram; eight bytes of id and the body follow.
const ASK: u8 = 0;
const ANSWER: u8 = 1;
const PENDING: u8 = 2;

/// Asks and answers. What it is asked it tells as a [`Told`] notice; it answers at once with the same body, or, if it
/// [defers](Self::defer), says *pending* and waits for [`decide`](Self::decide).
#[derive(Debug)]
pub struct Talker {
    timeout: Duration,
    /// Answer with *pending* first.
    pub defer: bool,
    /// Most notices that wait to be taken; further questions are [`Reject::Busy`].
    pub max_notices: usize,
    next_id: u64,
    open: BTreeMap<u64, (Path, Instant)>,
    queue: VecDeque<(Path, Vec<u8>)>,
    replies: VecDeque<Answer<u64, Reply>>,
    notices: VecDeque<Told>,
    /// What was turned away.
    pub rejects: RejectCounts,
    /// Requests given up by their futures.
    pub cancelled: u64,
}

/// What a [`Talker`] was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// By whom, and at which of our addresses.
    pub path: Path,
    /// The asker's number for it.
    pub id: u64,
    /// What it said.
    pub body: Vec<u8>,
}

/// How a question of ours ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The other side will decide later.
    Pending(Vec<u8>),
    /// Its answer.
    Answer(Vec<u8>),
    /// Nothing came in time.
    Timeout,
    /// The driver ended first.
    Ended,
}

/// What a [`Talker`] lends through `poll_event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Talk {
    /// An answer to a question of ours.
    Reply(Answer<u64, Reply>),
    /// A question.
    Told(Told),
}

impl Talker {
    /// Its questions time out after `timeout`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            defer: false,
            max_notices: 1 << 20,
            next_id: 0,
            open: BTreeMap::new(),
            queue: VecDeque::new(),
            replies: VecDeque::new(),
            notices: VecDeque::new(),
            rejects: RejectCounts::default(),
            cancelled: 0,
        }
    }

    /// The same, answering with *pending* first.
    #[must_use]
    pub fn deferring(timeout: Duration) -> Self {
        Self { defer: true, ..Self::new(timeout) }
    }

    /// Ask somebody; the answer comes under the number returned.
    pub fn ask(&mut self, now: Now, path: Path, body: &[u8]) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.open.insert(id, (path, now.mono + self.timeout));
        self.say(path, ASK, id, body);
        id
    }

    /// Give the answer that was deferred.
    pub fn decide(&mut self, told: &Told, body: &[u8]) {
        self.say(told.path, ANSWER, told.id, body);
    }

    /// How many questions of ours are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    fn say(&mut self, path: Path, kind: u8, id: u64, body: &[u8]) {
        let mut bytes = Vec::with_capacity(9 + body.len());
        bytes.push(kind);
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend_from_slice(body);
        self.queue.push_back((path, bytes));
    }

    fn take(&mut self, path: Path, bytes: &[u8]) -> Result<(), Reject> {
        let (head, body) = bytes.split_first_chunk::<9>().ok_or(Reject::Header)?;
        let [kind, id @ ..] = *head;
        let (id, body) = (u64::from_be_bytes(id), body.to_vec());
        match kind {
            ASK if self.notices.len() >= self.max_notices => return Err(Reject::Busy),
            ASK => {
                let kind = if self.defer { PENDING } else { ANSWER };
                self.say(path, kind, id, &body);
                self.notices.push_back(Told { path, id, body });
            }
            ANSWER | PENDING => {
                let (asked, _) = self.open.get(&id).ok_or(Reject::Unrequested)?;
                if asked.remote != path.remote {
                    return Err(Reject::WrongResponder);
                }
                let last = kind == ANSWER;
                if last {
                    self.open.remove(&id);
                }
                let reply = if last { Reply::Answer(body) } else { Reply::Pending(body) };
                self.replies.push_back(Answer { id, reply, last });
            }
            _ => return Err(Reject::Malformed),
        }
        Ok(())
    }
}

impl Machine for Talker {
    type Event<'a> = Talk;

    fn handle_timeout(&mut self, now: Now) {
        let late: Vec<u64> = self.open.iter().filter(|(_, (_, at))| *at <= now.mono).map(|(id, _)| *id).collect();
        for id in late {
            self.open.remove(&id);
            self.replies.push_back(Answer { id, reply: Reply::Timeout, last: true });
        }
    }

    fn poll_event(&mut self) -> Option<Talk> {
        self.poll_reply().map(Talk::Reply).or_else(|| self.poll_notice().map(Talk::Told))
    }

    fn wants(&self) -> Wants {
        let first = self.open.values().map(|(_, at)| *at).min();
        Wants {
            events: !self.replies.is_empty() || !self.notices.is_empty(),
            output: !self.queue.is_empty(),
            at: first.map(|at| (at, Reason::RequestTimeout)),
            ..Wants::NOTHING
        }
    }
}

impl Datagrams for Talker {
    fn handle_datagram(&mut self, _: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        self.take(path, bytes).inspect_err(|why| self.rejects.count(*why))
    }

    fn poll_transmit(&mut self, _: Now, out: &mut [u8]) -> Option<Transmit> {
        let (_, bytes) = self.queue.front()?;
        out.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let (path, bytes) = self.queue.pop_front()?;
        Some(Transmit { path, len: bytes.len() })
    }
}

impl Requests for Talker {
    type Id = u64;
    type Reply = Reply;
    type Notice = Told;

    fn poll_reply(&mut self) -> Option<Answer<u64, Reply>> {
        self.replies.pop_front()
    }

    fn poll_notice(&mut self) -> Option<Told> {
        self.notices.pop_front()
    }

    fn cancel(&mut self, id: u64) {
        self.open.remove(&id);
        self.cancelled += 1;
    }

    fn ended(_: u64) -> Reply {
        Reply::Ended
    }
}
