//! The agent behind a handle: what came on each of its channels and was not taken, and who waits for something there.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;

use sluis_core::driver::{Answer, Requests};
use sluis_core::{Conn, End, Machine, Now, Order, Reject, Streams, Up, Wants};
use sluis_mux::channel::{Fault, Kind, Proof, SendError};
use sluis_mux::native::{self, Client, Event, Lost};

/// Channels that were opened to us and wait for an answer; more are refused.
const MAX_INCOMING: usize = 256;
/// News of the connection that wait; older ones make way.
const MAX_CHANGES: usize = 64;
/// Messages of a channel, and bytes of them, that wait: as many as the other end may send before they are acknowledged. Of one that sends
/// more nothing is read.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 256 * 1024;

/// A channel that somebody opens to us: to be [accepted](super::Agent::accept) or [refused](super::Agent::refuse).
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming {
    pub(super) channel: native::Channel,
    /// Who.
    pub agent: Box<str>,
    /// What for.
    pub intent: Box<str>,
    /// What else it says: a JSON object.
    pub metadata: Box<str>,
    /// What is known of who that is.
    pub proof: Proof,
}

/// What an agent is told besides what is said on its channels.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// The hub of this name has let us in.
    Connected(Box<str>),
    /// There is no connection; it is made again, and channels that are open wait for it.
    Disconnected(Lost),
    /// Somebody opens a channel.
    Incoming(Incoming),
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why nothing comes of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Gone {
    /// The other end, or the hub, does not want the channel.
    #[error("the channel is refused: {0}")]
    Refused(String),
    /// It was closed.
    #[error("the channel is closed")]
    Closed,
    /// What came was not what the other end sent or may send.
    #[error("{0}")]
    Broken(Fault),
    /// Its connection was lost, and it could not go on in time.
    #[error("the other end did not come back")]
    Abandoned,
    /// It cannot be opened, or the message cannot be sent.
    #[error("{0}")]
    Invalid(String),
    /// The agent has ended.
    #[error("the agent has ended")]
    Ended,
}

/// Whether whoever waits is to look again, or there is nothing more to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Something has changed.
    Again,
    /// The agent has ended.
    Never,
}

/// One channel.
#[derive(Debug, Default)]
struct Door {
    proof: Option<Proof>,
    waits: VecDeque<(u64, Message)>,
    bytes: usize,
    acked: u64,
    held: bool,
    /// The other end sends no more, for this reason.
    finished: Option<String>,
    gone: Option<Gone>,
    /// Nobody uses it any more.
    left: bool,
    watchers: Vec<u64>,
}

/// A [`Client`] whose channels can be used one by one, through a [`Handle`](sluis_core::driver::Handle).
pub struct AgentMachine {
    pub(super) client: Client,
    doors: BTreeMap<native::Channel, Door>,
    watched: BTreeMap<u64, native::Channel>,
    next_watch: u64,
    replies: VecDeque<Answer<u64, Look>>,
    incoming: VecDeque<Incoming>,
    changes: VecDeque<Notice>,
    now: Now,
}

impl fmt::Debug for AgentMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentMachine").field("client", &self.client).finish_non_exhaustive()
    }
}

impl AgentMachine {
    pub(super) fn new(client: Client, now: Now) -> Self {
        Self {
            client,
            doors: BTreeMap::new(),
            watched: BTreeMap::new(),
            next_watch: 0,
            replies: VecDeque::new(),
            incoming: VecDeque::new(),
            changes: VecDeque::new(),
            now,
        }
    }

    /// Be answered when something of a channel changes.
    pub(super) fn watch(&mut self, channel: native::Channel) -> u64 {
        self.next_watch += 1;
        self.watched.insert(self.next_watch, channel);
        self.doors.entry(channel).or_default().watchers.push(self.next_watch);
        self.next_watch
    }

    pub(super) fn open(
        &mut self,
        now: Now,
        target: &str,
        intent: &str,
        metadata: &str,
    ) -> Result<native::Channel, Gone> {
        let opened = self.client.open(now, target, intent, metadata).map_err(|why| Gone::Invalid(why.to_string()))?;
        self.doors.insert(opened, Door::default());
        Ok(opened)
    }

    pub(super) fn accept(&mut self, now: Now, channel: native::Channel, proof: Proof) {
        // What came before it was accepted stays.
        self.doors.entry(channel).or_default().proof = Some(proof);
        self.client.accept(now, channel);
        self.drain();
    }

    /// What is known of the other end, once the channel is open.
    pub(super) fn opened(&mut self, channel: native::Channel) -> Option<Result<Proof, Gone>> {
        self.drain();
        let door = self.doors.get(&channel)?;
        door.proof.map(Ok).or_else(|| door.gone.clone().map(Err))
    }

    /// Send a message: its number, or nothing while there is no room.
    pub(super) fn send(
        &mut self,
        now: Now,
        channel: native::Channel,
        kind: Kind,
        body: &[u8],
    ) -> Option<Result<u64, Gone>> {
        self.drain();
        if let Some(gone) = self.doors.get(&channel).and_then(|door| door.gone.clone()) {
            return Some(Err(gone));
        }
        match self.client.send(now, channel, kind, body) {
            Ok(number) => Some(Ok(number)),
            Err(SendError::Full) => None,
            Err(SendError::Closed) => Some(Err(Gone::Closed)),
            Err(why) => Some(Err(Gone::Invalid(why.to_string()))),
        }
    }

    /// Whether the other end's application took a message.
    pub(super) fn acked(&mut self, channel: native::Channel, number: u64) -> Option<Result<(), Gone>> {
        self.drain();
        let Some(door) = self.doors.get(&channel) else { return Some(Err(Gone::Closed)) };
        if door.acked >= number {
            return Some(Ok(()));
        }
        door.gone.clone().map(Err)
    }

    /// The next message, which is taken with this, or the end: `None` where the other end has closed the channel.
    pub(super) fn receive(&mut self, now: Now, channel: native::Channel) -> Option<Result<Option<Message>, Gone>> {
        self.drain();
        let Some(door) = self.doors.get_mut(&channel) else { return Some(Err(Gone::Closed)) };
        if let Some((number, message)) = door.waits.pop_front() {
            door.bytes -= message.body.len();
            let release = door.held && door.waits.len() < MAX_WAITING / 2 && door.bytes < MAX_WAITING_BYTES / 2;
            door.held &= !release;
            self.client.take(now, channel, number);
            if release {
                self.client.hold(channel, false);
            }
            return Some(Ok(Some(message)));
        }
        if door.finished.is_some() {
            return Some(Ok(None));
        }
        door.gone.clone().map(Err)
    }

    /// Why the other end has closed a channel.
    pub(super) fn reason(&self, channel: native::Channel) -> Option<String> {
        self.doors.get(&channel)?.finished.clone()
    }

    /// Whether both ends are done.
    pub(super) fn is_over(&mut self, channel: native::Channel) -> Option<Result<(), Gone>> {
        self.drain();
        match self.doors.get(&channel).map(|door| door.gone.clone()) {
            None | Some(Some(Gone::Closed)) => Some(Ok(())),
            Some(gone) => gone.map(Err),
        }
    }

    /// Nobody uses a channel any more: it is closed, and given up if the other end still has something to say.
    pub(super) fn leave(&mut self, now: Now, channel: native::Channel) {
        self.drain();
        let Some(door) = self.doors.get_mut(&channel) else { return };
        if door.gone.is_some() {
            self.doors.remove(&channel);
        } else if door.waits.is_empty() && door.proof.is_some() {
            door.left = true;
            self.client.close(now, channel, "client_close");
        } else {
            self.doors.remove(&channel);
            self.client.abandon(now, channel);
        }
    }

    /// Sort what the client tells by its channels.
    fn drain(&mut self) {
        let now = self.now;
        loop {
            let Some(event) = self.client.poll_event() else { return };
            let (channel, mut unwanted) = match event {
                Event::Connected(hub) => {
                    let hub = hub.into();
                    self.change(Notice::Connected(hub));
                    continue;
                }
                Event::Disconnected(why, _) => {
                    self.change(Notice::Disconnected(why));
                    continue;
                }
                Event::Incoming(channel, opening, proof) => {
                    let (agent, intent) = (opening.agent.clone(), opening.intent.clone());
                    let incoming = Incoming { channel, agent, intent, metadata: opening.metadata.clone(), proof };
                    if self.incoming.len() >= MAX_INCOMING {
                        self.client.refuse(now, channel, "too many channels");
                    } else {
                        self.incoming.push_back(incoming);
                    }
                    continue;
                }
                Event::Message(channel, number, kind, body) => {
                    let message = Message { kind, body: body.to_vec() };
                    let door = self.doors.entry(channel).or_default();
                    let (left, len) = (door.left, message.body.len());
                    door.bytes += len;
                    door.waits.push_back((number, message));
                    if door.waits.len() > MAX_WAITING || door.bytes > MAX_WAITING_BYTES + len {
                        door.held = true;
                        self.client.hold(channel, true);
                    }
                    (channel, left)
                }
                Event::Opened(channel, proof) => (self.door(channel, |door| door.proof = Some(proof)), false),
                Event::Acked(channel, upto) => (self.door(channel, |door| door.acked = upto), false),
                Event::Finished(channel, reason) => (self.door(channel, |door| door.finished = Some(reason)), false),
                Event::Refused(channel, why) => {
                    (self.door(channel, |door| door.gone = Some(Gone::Refused(why))), false)
                }
                Event::Closed(channel) => (self.door(channel, |door| door.gone = Some(Gone::Closed)), false),
                Event::Broken(channel, fault) => {
                    (self.door(channel, |door| door.gone = Some(Gone::Broken(fault))), false)
                }
                Event::Abandoned(channel, _) => (self.door(channel, |door| door.gone = Some(Gone::Abandoned)), false),
                Event::Writable(channel) => (channel, false),
                _ => continue,
            };
            self.look(channel);
            let door = self.doors.get(&channel);
            if door.is_some_and(|door| door.left && door.gone.is_some()) {
                self.doors.remove(&channel);
                unwanted = false;
            }
            if unwanted {
                self.doors.remove(&channel);
                self.client.abandon(now, channel);
            }
        }
    }

    /// Note something of a channel.
    fn door(&mut self, channel: native::Channel, note: impl FnOnce(&mut Door)) -> native::Channel {
        note(self.doors.entry(channel).or_default());
        channel
    }

    /// Answer those who wait for a change of a channel.
    fn look(&mut self, channel: native::Channel) {
        let watchers = self.doors.get_mut(&channel).map(|door| std::mem::take(&mut door.watchers)).unwrap_or_default();
        for id in watchers {
            if self.watched.remove(&id).is_some() {
                self.replies.push_back(Answer { id, reply: Look::Again, last: true });
            }
        }
    }

    fn change(&mut self, notice: Notice) {
        if self.changes.len() >= MAX_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(notice);
    }
}

impl Requests for AgentMachine {
    type Id = u64;
    type Reply = Look;
    type Notice = Notice;

    fn poll_reply(&mut self) -> Option<Answer<u64, Look>> {
        self.drain();
        self.replies.pop_front()
    }

    fn poll_notice(&mut self) -> Option<Notice> {
        self.drain();
        self.changes.pop_front().or_else(|| self.incoming.pop_front().map(Notice::Incoming))
    }

    fn cancel(&mut self, id: u64) {
        if let Some(door) = self.watched.remove(&id).and_then(|channel| self.doors.get_mut(&channel)) {
            door.watchers.retain(|other| *other != id);
        }
    }

    fn ended(_: u64) -> Look {
        Look::Never
    }
}

impl Machine for AgentMachine {
    type Event<'a> = Infallible;

    fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        self.client.handle_timeout(now);
    }

    fn poll_event(&mut self) -> Option<Infallible> {
        None
    }

    fn wants(&self) -> Wants {
        let wants = self.client.wants();
        let told = !self.replies.is_empty() || !self.changes.is_empty() || !self.incoming.is_empty();
        Wants { events: wants.events || told, ..wants }
    }
}

impl Streams for AgentMachine {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        self.now = now;
        self.client.handle_up(now, up)
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        self.now = now;
        self.client.handle_bytes(now, conn, bytes)
    }

    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        self.now = now;
        self.client.handle_end(now, conn, end);
    }

    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        self.client.poll_order(now)
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        self.client.poll_bytes(now, conn, out)
    }
}
