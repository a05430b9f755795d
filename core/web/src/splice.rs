//! Channels that are joined with byte streams: what comes on the one goes out on the other.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sluis_core::Now;
use sluis_mux::channel::{Kind, SendError};
use sluis_mux::native::{Channel, Client, Event};
use sluis_net::{ByteStream, ReadyList, Wakened};

/// The reason of a channel that ends in order; any other means that its stream broke, and the one at the other end is reset.
pub(crate) const DONE: &str = "client_close";
/// The reason of a channel whose stream broke.
pub(crate) const BROKEN: &str = "connection_lost";
/// Bytes that are read at a time: those of a message.
const CHUNK: usize = 16 * 1024;
/// Chunks that are moved each way before others get their turn.
const BUDGET: usize = 16;
/// Bytes that wait for a stream before its channel is read no more. An agent that is ours sends a fourth of that before the first is
/// acknowledged; so what it acknowledges is heard however slow its own bytes are taken.
const MAX_WAITING: usize = 1 << 20;

/// How a splice has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spliced {
    /// The channel, which is gone.
    pub channel: Channel,
    /// Why it did not end in order, where it did not.
    pub failure: Option<String>,
    /// Bytes of the stream that were sent on the channel.
    pub sent: u64,
    /// Bytes of the channel that the stream has taken.
    pub received: u64,
}

/// Splices of one agent: each joins a channel with a byte stream, of TCP say.
///
/// Every byte comes out as it went in, in order. A direction that ends, ends at the other side, and the other direction goes on. A
/// message is acknowledged when the stream has taken it, and nothing is read from a stream that its channel has no room for, so a slow
/// reader holds its own sender back and nobody else; at most 1 MiB and one message wait for a stream. Where a stream breaks, the one at the
/// other end is reset. A channel whose connection is gone waits, as always, and so does its stream.
///
/// Whoever runs the agent hands it each [event](Self::hear) and then lets it [move](Self::poll) what can be moved; that brings new events.
pub struct Splices<S> {
    splices: BTreeMap<Channel, Splice<S>>,
    keys: BTreeMap<u64, Channel>,
    next: u64,
    ready: Arc<ReadyList>,
    ended: VecDeque<Spliced>,
    buffer: Box<[u8]>,
}

type Dialling<S> = Pin<Box<dyn Future<Output = io::Result<S>> + Send>>;

enum Stage<S> {
    /// The stream comes about; the channel is accepted when it has, and else refused.
    Dialling(Dialling<S>),
    Up(S),
    /// It broke: what comes is thrown away until the other end has heard that.
    Broken(String),
}

struct Splice<S> {
    key: u64,
    wakened: Wakened,
    stage: Stage<S>,
    /// The channel may be sent on.
    open: bool,
    /// What has come on the channel: numbers and lengths of messages, and their bytes.
    messages: VecDeque<(u64, usize)>,
    bytes: VecDeque<u8>,
    held: bool,
    /// The other end sends no more; the stream was told so.
    finished: bool,
    shut: bool,
    /// What was read from the stream and has no room on the channel.
    unsent: Vec<u8>,
    /// What the other end was told: that the stream has ended, or broke.
    said: Option<&'static str>,
    /// The other end has told us that its stream broke.
    broke_there: bool,
    over: bool,
    sent: u64,
    received: u64,
}

impl<S: ByteStream> Default for Splices<S> {
    fn default() -> Self {
        Self {
            splices: BTreeMap::new(),
            keys: BTreeMap::new(),
            next: 0,
            ready: Arc::default(),
            ended: VecDeque::new(),
            buffer: vec![0; CHUNK].into(),
        }
    }
}

impl<S> fmt::Debug for Splices<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splices").field("splices", &self.splices.len()).finish_non_exhaustive()
    }
}

impl<S: ByteStream> Splices<S> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.splices.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.splices.is_empty()
    }

    /// Join a channel that we have opened with a stream. Nothing is read from it before the other end accepts.
    pub fn join(&mut self, channel: Channel, stream: S) {
        self.add(channel, Stage::Up(stream), false);
    }

    /// Join a channel that was opened to us with the stream that a future brings: it is accepted then, and refused where none comes,
    /// with the future's error.
    pub fn dial(&mut self, channel: Channel, stream: impl Future<Output = io::Result<S>> + Send + 'static) {
        self.add(channel, Stage::Dialling(Box::pin(stream)), true);
    }

    fn add(&mut self, channel: Channel, stage: Stage<S>, open: bool) {
        let key = self.next;
        self.next += 1;
        let splice = Splice {
            key,
            wakened: self.ready.add(key),
            stage,
            open,
            messages: VecDeque::new(),
            bytes: VecDeque::new(),
            held: false,
            finished: false,
            shut: false,
            unsent: Vec::new(),
            said: None,
            broke_there: false,
            over: false,
            sent: 0,
            received: 0,
        };
        self.splices.insert(channel, splice);
        self.keys.insert(key, channel);
    }

    /// Hear an event of the agent. Where this names a channel, it has to be [held](Client::hold) before the next event is asked for.
    #[must_use]
    pub fn hear(&mut self, event: &Event<'_>) -> Option<Channel> {
        let channel = *match event {
            Event::Opened(channel, _)
            | Event::Refused(channel, _)
            | Event::Message(channel, ..)
            | Event::Writable(channel)
            | Event::Finished(channel, _)
            | Event::Closed(channel)
            | Event::Broken(channel, _)
            | Event::Abandoned(channel, _) => channel,
            _ => return None,
        };
        let splice = self.splices.get_mut(&channel)?;
        splice.wakened.wake();
        match event {
            Event::Opened(..) => splice.open = true,
            Event::Message(_, number, _, body) => {
                splice.messages.push_back((*number, body.len()));
                splice.bytes.extend(*body);
                if splice.bytes.len() >= MAX_WAITING && !splice.held {
                    splice.held = true;
                    return Some(channel);
                }
            }
            Event::Finished(_, reason) => {
                splice.finished = true;
                if reason != DONE {
                    splice.broke_there = true;
                    splice.fail(&format!("the other end has ended it: {reason}"));
                }
            }
            Event::Closed(_) => splice.over = true,
            Event::Refused(_, reason) => splice.gone(&format!("it is refused: {reason}")),
            Event::Broken(_, fault) => splice.gone(&fault.to_string()),
            Event::Abandoned(..) => splice.gone("its connection did not come back"),
            _ => {}
        }
        None
    }

    /// Move what can be moved; the task is woken when more can be.
    pub fn poll(&mut self, cx: &Context<'_>, now: Now, client: &mut Client) {
        self.ready.set_driver(cx);
        // Those that are woken meanwhile have their turn in the next call, which they cause.
        let mut turns = self.splices.len();
        while let Some(key) = self.ready.next() {
            let Some(channel) = self.keys.get(&key).copied() else { continue };
            let Some(splice) = self.splices.get_mut(&channel) else { continue };
            if turns == 0 {
                return self.ready.again(key);
            }
            turns -= 1;
            splice.turn(now, channel, client, &mut self.buffer);
            if splice.is_over() {
                self.remove(channel);
            }
        }
    }

    fn remove(&mut self, channel: Channel) {
        let Some(splice) = self.splices.remove(&channel) else { return };
        self.keys.remove(&splice.key);
        let failure = match splice.stage {
            Stage::Broken(why) => Some(why),
            Stage::Dialling(_) | Stage::Up(_) => None,
        };
        let Splice { sent, received, .. } = splice;
        self.ended.push_back(Spliced { channel, failure, sent, received });
    }

    /// The next that has ended.
    pub fn poll_ended(&mut self) -> Option<Spliced> {
        self.ended.pop_front()
    }
}

impl<S: ByteStream> Splice<S> {
    fn is_over(&self) -> bool {
        self.over && (self.shut || matches!(self.stage, Stage::Broken(_)))
    }

    /// The stream is of no use any more.
    fn fail(&mut self, why: &str) {
        if let Stage::Up(stream) = &mut self.stage {
            stream.abort();
        }
        if !matches!(self.stage, Stage::Broken(_)) {
            self.stage = Stage::Broken(why.into());
        }
        (self.bytes, self.unsent) = (VecDeque::new(), Vec::new());
    }

    /// The channel is gone.
    fn gone(&mut self, why: &str) {
        self.fail(why);
        self.over = true;
    }

    fn turn(&mut self, now: Now, channel: Channel, client: &mut Client, buffer: &mut [u8]) {
        if let Stage::Dialling(stream) = &mut self.stage {
            match stream.as_mut().poll(&mut self.wakened.context()) {
                Poll::Pending => return,
                Poll::Ready(Ok(stream)) => {
                    self.stage = Stage::Up(stream);
                    client.accept(now, channel);
                }
                Poll::Ready(Err(error)) => {
                    client.refuse(now, channel, &error.to_string());
                    return self.gone(&error.to_string());
                }
            }
        }
        let moved = self.write_out(now, channel, client).and_then(|more| {
            let read = self.read_in(now, channel, client, buffer)?;
            Ok(more || read)
        });
        match moved {
            Ok(true) => self.wakened.wake(),
            Ok(false) => {}
            Err(error) => self.fail(&error.to_string()),
        }
        if matches!(self.stage, Stage::Broken(_)) {
            self.throw_away(now, channel, client);
        }
        if self.held && self.bytes.len() < MAX_WAITING / 2 {
            self.held = false;
            client.hold(channel, false);
        }
    }

    /// What came on the channel goes out on the stream; whether there is more to do at once.
    fn write_out(&mut self, now: Now, channel: Channel, client: &mut Client) -> io::Result<bool> {
        let Stage::Up(stream) = &mut self.stage else { return Ok(false) };
        let mut cx = self.wakened.context();
        let (mut taken, mut more) = (None, true);
        for _ in 0..BUDGET {
            let (front, _) = self.bytes.as_slices();
            if front.is_empty() {
                more = false;
                break;
            }
            let Poll::Ready(len) = stream.poll_write(&mut cx, front)? else {
                more = false;
                break;
            };
            self.bytes.drain(..len);
            self.received += len as u64;
            taken = settle(&mut self.messages, len).or(taken);
        }
        if self.bytes.is_empty() {
            taken = settle(&mut self.messages, 0).or(taken);
            self.bytes.shrink_to(CHUNK);
            let _ = stream.poll_flush(&mut cx)?;
            if self.finished && !self.shut {
                self.shut = stream.poll_close(&mut cx)?.is_ready();
            }
        }
        if let Some(number) = taken {
            client.take(now, channel, number);
        }
        Ok(more)
    }

    /// What comes on the stream goes out on the channel; whether there is more to do at once.
    fn read_in(&mut self, now: Now, channel: Channel, client: &mut Client, buffer: &mut [u8]) -> io::Result<bool> {
        let Stage::Up(stream) = &mut self.stage else { return Ok(false) };
        if !self.open || self.said.is_some() {
            return Ok(false);
        }
        let mut cx = self.wakened.context();
        for _ in 0..BUDGET {
            if self.unsent.is_empty() {
                let Poll::Ready(len) = stream.poll_read(&mut cx, buffer)? else { return Ok(false) };
                if len == 0 {
                    self.said = Some(DONE);
                    client.close(now, channel, DONE);
                    return Ok(false);
                }
                let bytes = buffer.get(..len).unwrap_or_default();
                if !send(now, channel, client, bytes)? {
                    self.unsent = bytes.to_vec();
                }
                self.sent += len as u64;
            } else if send(now, channel, client, &self.unsent)? {
                self.unsent = Vec::new();
            }
            if !self.unsent.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The stream is broken: the other end learns that, and what it sends is taken.
    fn throw_away(&mut self, now: Now, channel: Channel, client: &mut Client) {
        self.bytes = VecDeque::new();
        let all_taken = self.finished && self.messages.is_empty();
        if self.said == Some(DONE) && !self.broke_there && !all_taken {
            // It was told that all is well. That it is not, it can only see from what is not acknowledged.
            client.abandon(now, channel);
            self.over = true;
            return;
        }
        if let Some((number, _)) = self.messages.drain(..).next_back() {
            client.take(now, channel, number);
        }
        if self.open && self.said.is_none() {
            self.said = Some(BROKEN);
            client.close(now, channel, BROKEN);
        }
    }
}

/// So many more bytes were written: the number of the last message of which all were.
fn settle(messages: &mut VecDeque<(u64, usize)>, mut len: usize) -> Option<u64> {
    let mut done = None;
    while let Some((number, left)) = messages.front_mut() {
        let some = len.min(*left);
        (*left, len) = (*left - some, len - some);
        if *left > 0 {
            break;
        }
        done = Some(*number);
        messages.pop_front();
    }
    done
}

/// Send bytes on a channel; `false` where there is no room for them now.
fn send(now: Now, channel: Channel, client: &mut Client, bytes: &[u8]) -> io::Result<bool> {
    match client.send(now, channel, Kind::Bytes, bytes) {
        Ok(_) => Ok(true),
        Err(SendError::Full) => Ok(false),
        Err(error) => Err(io::Error::other(error)),
    }
}
