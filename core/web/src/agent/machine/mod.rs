//! The agent behind a handle: what came on each of its channels and was not taken, and who waits for something there.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;

use std::time::Duration;

use sluis_core::driver::{Answer, Requests};
use sluis_core::{Conn, End, Instant, Machine, Now, Order, Reason, Reject, Streams, Up, Wants};
use sluis_mux::channel::{Fault, Kind, Proof, SendError};
use sluis_mux::native::{self, Client, Event, Lost};

use crate::splice::DONE;

/// Channels that were opened to us and wait for an answer, whether or not the application has them; more are refused.
const MAX_INCOMING: usize = 256;
/// What those are told who open a channel that no application will hear of.
const NOBODY: &str = "no application listens";
/// News of the connection that wait; older ones make way.
const MAX_CHANGES: usize = 64;
/// Messages of a channel, and bytes of them, that wait: as many as the other end may send before they are acknowledged. Of one that sends
/// more nothing is read.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_BYTES: usize = 256 * 1024;

/// A channel that somebody opens to us, as the machine has it.
#[derive(Debug)]
pub struct Asked {
    pub(super) channel: native::Channel,
    pub(super) agent: Box<str>,
    pub(super) intent: Box<str>,
    pub(super) metadata: Box<str>,
    pub(super) proof: Proof,
}

/// What becomes a [`Notice`](super::Notice) once it is read.
#[derive(Debug)]
pub enum Told {
    Connected(Box<str>),
    Disconnected(Lost),
    Incoming(Asked),
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
    incoming: VecDeque<Asked>,
    /// Channels that were opened to us and not answered, and whether the application has them.
    unanswered: BTreeMap<native::Channel, bool>,
    /// Nobody reads notices any more.
    deaf: bool,
    /// Channels that nobody uses any more, by when they are given up if the client still has them.
    leaving: VecDeque<(Instant, native::Channel)>,
    leave_time: Duration,
    changes: VecDeque<Told>,
    now: Now,
}

impl fmt::Debug for AgentMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentMachine").field("client", &self.client).finish_non_exhaustive()
    }
}

impl AgentMachine {
    /// A channel that nobody uses any more is given up after `leave_time`.
    pub(super) const fn new(client: Client, leave_time: Duration, now: Now) -> Self {
        Self {
            client,
            doors: BTreeMap::new(),
            watched: BTreeMap::new(),
            next_watch: 0,
            replies: VecDeque::new(),
            incoming: VecDeque::new(),
            unanswered: BTreeMap::new(),
            deaf: false,
            leaving: VecDeque::new(),
            leave_time,
            changes: VecDeque::new(),
            now,
        }
    }

    /// Be answered when something of a channel changes.
    pub(super) fn watch(&mut self, channel: native::Channel) -> u64 {
        self.next_watch += 1;
        self.watched.insert(self.next_watch, channel);
        if let Some(door) = self.doors.get_mut(&channel) {
            door.watchers.push(self.next_watch);
        }
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

    /// The application gets a channel that was opened to us; `false` where nobody waits for its answer any more.
    pub(super) fn hand_over(&mut self, channel: native::Channel) -> bool {
        self.drain();
        self.unanswered.get_mut(&channel).is_some_and(|has| {
            *has = true;
            true
        })
    }

    pub(super) fn accept(&mut self, now: Now, channel: native::Channel, proof: Proof) {
        self.unanswered.remove(&channel);
        // What came before it was accepted stays.
        self.note(channel, |door| door.proof = Some(proof));
        self.client.accept(now, channel);
        self.drain();
    }

    /// Refuse a channel, unless it was answered.
    pub(super) fn refuse(&mut self, now: Now, channel: native::Channel, reason: &str) {
        if self.unanswered.remove(&channel).is_some() {
            self.doors.remove(&channel);
            self.client.refuse(now, channel, reason);
        }
    }

    /// Nobody reads notices any more: what the application does not have yet is refused, and so is what comes.
    pub(super) fn stop_listening(&mut self, now: Now) {
        self.drain();
        self.deaf = true;
        self.incoming.clear();
        let unseen: Vec<_> = self.unanswered.iter().filter(|(_, has)| !**has).map(|(channel, _)| *channel).collect();
        unseen.into_iter().for_each(|channel| self.refuse(now, channel, NOBODY));
    }

    /// What is known of the other end, once the channel is open.
    pub(super) fn opened(&mut self, channel: native::Channel) -> Option<Result<Proof, Gone>> {
        self.drain();
        let Some(door) = self.doors.get(&channel) else { return Some(Err(Gone::Closed)) };
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

    /// Nobody uses a channel any more: it is closed, and given up if the other end still has something to say, or does not close it in
    /// time.
    pub(super) fn leave(&mut self, now: Now, channel: native::Channel) {
        self.drain();
        let Some(door) = self.doors.get_mut(&channel) else { return };
        if door.gone.is_some() {
            self.doors.remove(&channel);
        } else if door.waits.is_empty() && door.proof.is_some() {
            door.left = true;
            self.client.close(now, channel, DONE);
        } else {
            self.doors.remove(&channel);
            self.client.abandon(now, channel);
        }
        // One that both ends have closed stays in the client until its stream has ended.
        if self.client.channel(channel).is_some() {
            self.leaving.push_back((now.mono + self.leave_time, channel));
        }
        if self.leaving.len() > 2 * self.client.channels() + 64 {
            self.leaving.retain(|(_, channel)| self.client.channel(*channel).is_some());
        }
    }

    /// Give up channels that were left, and that the other end has not ended in time.
    fn give_up(&mut self, now: Now) {
        while let Some((_, channel)) = self.leaving.pop_front_if(|(until, _)| *until <= now.mono) {
            self.doors.remove(&channel);
            self.client.abandon(now, channel);
        }
    }

    /// Sort what the client tells by its channels. Only those that somebody is told of have a place here: who opens and gives up, again and
    /// again, leaves nothing behind.
    fn drain(&mut self) {
        while let Some(event) = self.client.poll_event() {
            let channel = match event {
                Event::Connected(hub) => {
                    let hub = hub.into();
                    self.change(Told::Connected(hub));
                    continue;
                }
                Event::Disconnected(why, _) => {
                    self.change(Told::Disconnected(why));
                    continue;
                }
                Event::Incoming(channel, opening, proof) => {
                    let (agent, intent) = (opening.agent.clone(), opening.intent.clone());
                    let asked = Asked { channel, agent, intent, metadata: opening.metadata.clone(), proof };
                    self.asked(asked);
                    continue;
                }
                Event::Message(channel, number, kind, body) => {
                    let message = Message { kind, body: body.to_vec() };
                    self.message(channel, number, message);
                    channel
                }
                Event::Opened(channel, proof) => self.note(channel, |door| door.proof = Some(proof)),
                Event::Acked(channel, upto) => self.note(channel, |door| door.acked = upto),
                Event::Finished(channel, reason) => self.note(channel, |door| door.finished = Some(reason)),
                Event::Refused(channel, why) => self.note(channel, |door| door.gone = Some(Gone::Refused(why))),
                Event::Closed(channel) => self.note(channel, |door| door.gone = Some(Gone::Closed)),
                Event::Broken(channel, fault) => self.note(channel, |door| door.gone = Some(Gone::Broken(fault))),
                Event::Abandoned(channel, _) => self.note(channel, |door| door.gone = Some(Gone::Abandoned)),
                Event::Writable(channel) => channel,
                _ => continue,
            };
            self.look(channel);
            self.sweep(channel);
        }
    }

    /// Somebody opens a channel to us.
    fn asked(&mut self, asked: Asked) {
        let why = if self.deaf {
            NOBODY
        } else if self.unanswered.len() >= MAX_INCOMING {
            "too many channels"
        } else {
            self.doors.insert(asked.channel, Door::default());
            self.unanswered.insert(asked.channel, false);
            return self.incoming.push_back(asked);
        };
        self.client.refuse(self.now, asked.channel, why);
    }

    fn message(&mut self, channel: native::Channel, number: u64, message: Message) {
        let Some(door) = self.doors.get_mut(&channel).filter(|door| !door.left) else {
            // Nobody will read it, and its sender is to learn that.
            self.doors.remove(&channel);
            return self.client.abandon(self.now, channel);
        };
        let len = message.body.len();
        door.bytes += len;
        door.waits.push_back((number, message));
        if door.waits.len() > MAX_WAITING || door.bytes > MAX_WAITING_BYTES + len {
            door.held = true;
            self.client.hold(channel, true);
        }
    }

    /// Note something of a channel.
    fn note(&mut self, channel: native::Channel, note: impl FnOnce(&mut Door)) -> native::Channel {
        if let Some(door) = self.doors.get_mut(&channel) {
            note(door);
        }
        channel
    }

    /// Forget a channel that is gone, where nobody has it who would ask for it.
    fn sweep(&mut self, channel: native::Channel) {
        let Some(door) = self.doors.get(&channel).filter(|door| door.gone.is_some()) else { return };
        let unseen = self.unanswered.get(&channel) == Some(&false);
        if door.left || unseen {
            self.doors.remove(&channel);
        }
        if unseen {
            self.unanswered.remove(&channel);
            self.incoming.retain(|asked| asked.channel != channel);
        }
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

    fn change(&mut self, notice: Told) {
        if self.changes.len() >= MAX_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(notice);
    }
}

impl Requests for AgentMachine {
    type Id = u64;
    type Reply = Look;
    type Notice = Told;

    fn poll_reply(&mut self) -> Option<Answer<u64, Look>> {
        self.drain();
        self.replies.pop_front()
    }

    fn poll_notice(&mut self) -> Option<Told> {
        self.drain();
        self.changes.pop_front().or_else(|| self.incoming.pop_front().map(Told::Incoming))
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
        self.give_up(now);
    }

    fn poll_event(&mut self) -> Option<Infallible> {
        None
    }

    fn wants(&self) -> Wants {
        let wants = self.client.wants();
        let told = !self.replies.is_empty() || !self.changes.is_empty() || !self.incoming.is_empty();
        let leaving = self.leaving.front().map(|(until, _)| (*until, Reason::Session));
        let at = [wants.at, leaving].into_iter().flatten().min_by_key(|(at, _)| *at);
        Wants { events: wants.events || told, at, ..wants }
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
