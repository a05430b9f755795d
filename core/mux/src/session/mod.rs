//! Many streams on one connection: the yamux protocol, byte for byte, without I/O.
//!
//! What this room promises:
//!
//! - **Any yamux peer is understood and understands.** The wire is that of the yamux specification; what is ours lies inside the streams.
//! - **Any chunking gives the same outputs**, of what comes in and of what is written.
//! - **Back-pressure by stream.** A stream is given credit only for what the application took. Windows grow with what is measured
//!   (twice what the application takes in a round trip), under a cap for each stream, each session, and all that share a [`WindowPool`].
//! - **One stream stalls no other one.** Bytes are always taken from the connection, whether or not it can be written; a stream that is
//!   not read holds its window and no more, and past [`Config::max_unread`] it is reset.
//! - **What is urgent goes first.** A frame has at most 16 KiB. Streams have a level, 0 to 9, the lowest first; one that waits gains a level
//!   with every 64 KiB that others send, so nothing starves. Small writes leave together in one frame.
//! - **An end is an end.** Half-close is kept; when the connection is lost every stream is told. Two pings without a sign of life, and the
//!   other side counts as gone.
//! - **Floods end the session**: of opens, resets, pings, empty frames, data that nobody may send.
//!
//! ```
//! use sluis_core::{Instant, Seed};
//! use sluis_mux::session::{Config, Event, Read, Role, Session};
//!
//! let now = Instant::ZERO;
//! let mut client = Session::new(Role::Client, Config::default(), &Seed::from_u64(1), now);
//! let mut server = Session::new(Role::Server, Config::default(), &Seed::from_u64(2), now);
//!
//! let stream = client.open(now, 3)?;
//! assert_eq!(client.write(stream, b"hello")?, 5);
//! client.finish(stream)?;
//!
//! let mut wire = [0; 1024];
//! let len = client.poll_bytes(now, &mut wire);
//! server.handle_bytes(now, &wire[..len])?;
//!
//! let Some(Event::Opened(incoming)) = server.poll_event() else { panic!("a stream") };
//! server.accept(incoming, 3)?;
//! let mut text = [0; 16];
//! assert_eq!(server.read(now, incoming, &mut text)?, Read::Bytes(5));
//! assert_eq!(&text[..5], b"hello");
//! assert_eq!(server.read(now, incoming, &mut text)?, Read::End);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;
mod egress;
mod frame;
mod ingress;
mod stream;
#[cfg(test)]
mod tests;
mod types;
mod window;

use alloc::vec::Vec;
use core::time::Duration;

use sluis_core::{Instant, Seed};

use blocks::Blocks;
use egress::{Control, Egress};
use ingress::Ingress;
use stream::{Flags, Stream, Streams};
use window::{Patience, Pings, Room};

use crate::faults::Faults;

pub use frame::FIRST_WINDOW;
pub use types::{
    Config, Event, Gone, LEVELS, MAX_UNANSWERED, OpenError, Read, Role, SessionError, State, Stats, StreamId,
};
pub use window::WindowPool;

/// Bytes of memory that are kept to put together what is to be written, until nothing was for a while.
const MAX_SCRATCH: usize = 128 * 1024;

/// One side of one connection.
#[derive(Debug)]
pub struct Session {
    role: Role,
    config: Config,
    state: State,
    error: Option<SessionError>,
    streams: Streams,
    blocks: Blocks,
    /// Where channels put together what they write, so that none of them keeps memory for it.
    scratch: Vec<u8>,
    room: Room,
    ingress: Ingress,
    egress: Egress,
    pings: Pings,
    patience: Patience,
    stats: Stats,
    /// What we may send on a new stream.
    peer_window: u32,
    next_wire: u32,
    /// We take no new streams; the other side takes none.
    drains: bool,
    peer_drains: bool,
    /// That is to be told.
    going_away: bool,
    /// Data bytes that may still come for streams that are gone.
    strays: u64,
    /// Where the streams are that were not told of the end.
    told: u32,
    faults: Faults,
}

impl Session {
    /// A session on a connection that is up.
    #[must_use]
    pub fn new(role: Role, config: Config, seed: &Seed, now: Instant) -> Self {
        let key = seed.fork("sluis mux session").sip_key();
        let left = config.max_growth;
        Self {
            role,
            state: State::Open,
            error: None,
            streams: Streams::new(config.max_streams, key),
            blocks: Blocks::new(),
            scratch: Vec::new(),
            room: Room { pool: config.pool.clone(), left, most: config.max_window },
            ingress: Ingress::default(),
            egress: Egress::new(),
            pings: Pings::new(config.ping_every, now),
            patience: Patience::new(now),
            stats: Stats::default(),
            peer_window: FIRST_WINDOW,
            next_wire: if role == Role::Client { 1 } else { 2 },
            drains: false,
            peer_drains: false,
            going_away: false,
            strays: 0,
            told: 0,
            faults: Faults::default(),
            config,
        }
    }

    /// How far it is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Why it is over, where that was not in peace.
    #[must_use]
    pub const fn error(&self) -> Option<SessionError> {
        self.error
    }

    /// What was counted.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Switch protections off: for simulations that prove that they would notice.
    pub(crate) const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Streams that there are.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Bytes of memory that streams hold, both directions.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.blocks.held()
    }

    /// The way there and back, once it was measured: the shortest of the last few.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.pings.round_trip()
    }

    /// What was agreed on for streams that are opened from now on: what the other side may send on one, and what we may, in bytes.
    pub const fn set_first_windows(&mut self, ours: u32, theirs: u32) {
        self.config.first_window = ours;
        self.peer_window = theirs;
    }

    /// Open a stream. The other side learns of it with its first data, or soon.
    ///
    /// # Errors
    /// Too many, or the session ends.
    pub fn open(&mut self, now: Instant, level: u8) -> Result<StreamId, OpenError> {
        if self.state != State::Open {
            return Err(OpenError::Draining);
        }
        if self.streams.unanswered >= MAX_UNANSWERED {
            return Err(OpenError::Unanswered);
        }
        let next = self.next_wire.checked_add(2).ok_or(OpenError::Draining)?;
        let flags = Flags::SYN_DUE.and(Flags::UNANSWERED);
        let windows = [self.config.first_window, self.peer_window];
        let stream = Stream::new(self.next_wire, clamped(level), flags, windows, now);
        let id = self.streams.insert(stream).ok_or(OpenError::Full)?;
        self.next_wire = next;
        self.stats.opened += 1;
        self.queue_control(id);
        Ok(id)
    }

    /// Accept a stream that the other side has opened, at this level. It is told so.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn accept(&mut self, id: StreamId, level: u8) -> Result<(), Gone> {
        self.live(id)?.level = clamped(level);
        if self.streams.acknowledge(id, Flags::UNACCEPTED) {
            if let Some(stream) = self.streams.get_mut(id) {
                stream.flags.set(Flags::ACK_DUE);
            }
            self.queue_control(id);
        }
        Ok(())
    }

    /// Change the level of a stream.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn set_level(&mut self, id: StreamId, level: u8) -> Result<(), Gone> {
        self.live(id)?.level = clamped(level);
        Ok(())
    }

    /// Write a prefix of these bytes to a stream, and say how many. Less than all: [`Event::Writable`] follows.
    ///
    /// # Errors
    /// It is not there any more, or was finished.
    pub fn write(&mut self, id: StreamId, bytes: &[u8]) -> Result<usize, Gone> {
        let room = self.room(id, bytes.len())?;
        let taken = bytes.get(..room).unwrap_or(bytes);
        if let Some(stream) = self.streams.get_mut(id) {
            stream.outbound.push(&mut self.blocks, taken);
        }
        self.queue_data(id);
        Ok(taken.len())
    }

    /// Bytes that a [`write`](Self::write) takes whole; where that is fewer than `wanted`, [`Event::Writable`] follows.
    ///
    /// # Errors
    /// It is not there any more, or was finished.
    pub fn room(&mut self, id: StreamId, wanted: usize) -> Result<usize, Gone> {
        let limit = self.config.send_buffer;
        let stream = self.live(id)?;
        if stream.flags.has(Flags::FINISHING) {
            return Err(Gone);
        }
        let room = limit.saturating_sub(stream.outbound.len() as usize);
        if room < wanted {
            stream.flags.set(Flags::BLOCKED);
        }
        Ok(room)
    }

    /// Memory to put together what is to be written, empty.
    pub(crate) fn lend_scratch(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.scratch)
    }

    /// The same, if there are so many bytes of it.
    pub(crate) fn lend_scratch_of(&mut self, least: usize) -> Option<Vec<u8>> {
        (self.scratch.capacity() >= least).then(|| self.lend_scratch())
    }

    /// Take that back for the next one.
    pub(crate) fn return_scratch(&mut self, mut scratch: Vec<u8>) {
        if scratch.capacity() <= MAX_SCRATCH {
            scratch.clear();
            self.scratch = scratch;
        }
    }

    /// Write no more: what was written goes out, then the end. Reading goes on.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn finish(&mut self, id: StreamId) -> Result<(), Gone> {
        self.live(id)?.flags.set(Flags::FINISHING);
        self.queue_data(id);
        Ok(())
    }

    /// End a stream at once, in both directions: what was not sent is not, what was not read is gone. It is not there afterwards.
    pub fn reset(&mut self, id: StreamId) {
        if self.live(id).is_ok() {
            self.strays_to_come(id);
            self.drop_stream(id);
            self.settle();
        }
    }

    /// Read from a stream.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn read(&mut self, now: Instant, id: StreamId, out: &mut [u8]) -> Result<Read, Gone> {
        let mut at = 0;
        while at < out.len() && (at == 0 || self.unread(id) > 0) {
            let bytes = match self.peek(id)? {
                Read::Bytes(bytes) => bytes,
                Read::Pending => return Ok(Read::Pending),
                Read::End => return Ok(Read::End),
            };
            let room = out.get_mut(at..).unwrap_or_default();
            let len = bytes.len().min(room.len());
            room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            at += len;
            self.consume(now, id, len)?;
        }
        Ok(Read::Bytes(at))
    }

    /// The next bytes of a stream: all that lie together, not all that are there. [`consume`](Self::consume) takes them.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn peek(&mut self, id: StreamId) -> Result<Read<&[u8]>, Gone> {
        let stream = self.live(id)?;
        if stream.inbound.is_empty() {
            if !stream.flags.has(Flags::FIN_SEEN) {
                return Ok(Read::Pending);
            }
            stream.flags.set(Flags::END_READ);
            self.forget_if_over(id);
            self.settle();
            return Ok(Read::End);
        }
        let stream = self.streams.get(id).ok_or(Gone)?;
        Ok(Read::Bytes(stream.inbound.front(&self.blocks)))
    }

    /// Bytes of a stream that are there to be read.
    #[must_use]
    pub fn unread(&self, id: StreamId) -> usize {
        self.streams.get(id).map_or(0, |stream| stream.inbound.len() as usize)
    }

    /// Take bytes that were looked at: the other side is given credit for them.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn consume(&mut self, now: Instant, id: StreamId, count: usize) -> Result<(), Gone> {
        let round_trip = self.pings.round_trip();
        self.live(id)?;
        let stream = self.streams.get_mut(id).ok_or(Gone)?;
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(stream.inbound.len());
        stream.inbound.advance(&mut self.blocks, count);
        stream.window.take(now, count, round_trip, &mut self.room);
        let due = stream.window.due(stream.inbound.len()) > 0 && !stream.flags.has(Flags::FIN_SEEN);
        self.streams.unread -= count as usize;
        if due {
            self.queue_control(id);
        }
        Ok(())
    }

    /// Take no new streams, tell the other side, and end with the last stream.
    pub fn close(&mut self) {
        if self.state != State::Closed && !self.drains {
            self.drains = true;
            self.egress.push(Control::GoAway(0));
            self.settle();
        }
    }

    /// The connection has ended, or the other side's half of it. Streams whose end has come can still be read to it.
    pub fn handle_end(&mut self) {
        if self.state != State::Closed {
            let peace = self.streams.len() == 0;
            self.state = State::Closed;
            self.error = (!peace).then_some(SessionError::Lost);
            self.egress.abandon(None);
        }
    }

    /// Tell the session that time has passed.
    ///
    /// # Errors
    /// [`SessionError::Dead`]: nobody is there any more.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        if self.state == State::Closed {
            return Ok(());
        }
        match self.pings.handle_timeout(now) {
            Ok(false) => {}
            Ok(true) => {
                self.blocks.trim();
                self.scratch = Vec::new();
                self.egress.trim();
                self.egress.push(Control::Ping);
            }
            Err(error) => {
                self.fail(error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        (self.state != State::Closed).then(|| self.pings.next())
    }

    /// Whether [`poll_event`](Self::poll_event) may have something.
    #[must_use]
    pub fn has_events(&self) -> bool {
        let lost = self.error.is_some() && self.told < self.streams.slots();
        lost || self.going_away || self.streams.has_events()
    }

    /// The next event. One kind waits once for each stream, however often it happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.error.is_some()
            && let Some(id) = self.next_lost()
        {
            return Some(Event::Reset(id));
        }
        if core::mem::take(&mut self.going_away) {
            return Some(Event::GoingAway);
        }
        let (id, what) = self.streams.next_event()?;
        Some(match what {
            Flags::OPENED => Event::Opened(id),
            Flags::READABLE => Event::Readable(id),
            Flags::WRITABLE => Event::Writable(id),
            _ => {
                self.forget_or_drop(id);
                self.settle();
                Event::Reset(id)
            }
        })
    }

    /// The next stream that ends with the session, before the other side had ended it.
    fn next_lost(&mut self) -> Option<StreamId> {
        while self.told < self.streams.slots() {
            let at = self.told;
            self.told += 1;
            let Some(id) = self.streams.id_at(at) else { continue };
            self.stop_writing(id);
            let Some(stream) = self.streams.get(id) else { continue };
            let flags = stream.flags;
            if flags.has(Flags::FIN_SEEN) && !flags.any(Flags::DROPPED.and(Flags::WAS_RESET).and(Flags::END_READ)) {
                self.streams.tell(id, Flags::READABLE);
                continue;
            }
            self.forget(id);
            if !flags.any(Flags::DROPPED.and(Flags::OPENED)) {
                return Some(id);
            }
        }
        None
    }

    /// The stream, where the application may do something with it.
    fn live(&mut self, id: StreamId) -> Result<&mut Stream, Gone> {
        let over = self.state == State::Closed;
        let live = |stream: &&mut Stream| stream.is_live() && (!over || stream.flags.has(Flags::FIN_SEEN));
        self.streams.get_mut(id).filter(live).ok_or(Gone)
    }

    /// Nothing more is sent on a stream than the frame that has begun.
    fn stop_writing(&mut self, id: StreamId) {
        let begun = self.egress.begun(id);
        if let Some(stream) = self.streams.get_mut(id) {
            stream.outbound.truncate(&mut self.blocks, begun);
            stream.flags.set(Flags::FINISHING.and(Flags::FIN_SENT));
        }
    }

    /// End a stream, and have RST sent.
    fn drop_stream(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        // What the other side has not heard of it need not hear the end of.
        let tell = !stream.flags.has(Flags::SYN_DUE) && self.state != State::Closed;
        let wire = stream.wire;
        if tell {
            stream.flags.set(Flags::RESET_DUE);
        }
        self.stop_writing(id);
        if self.forget_or_drop(id) && tell {
            self.egress.push(Control::Reset(wire));
        }
    }

    /// A stream is over, because of what it holds or because the other side says so: the application is told.
    fn abandon(&mut self, id: StreamId) {
        self.stop_writing(id);
        if let Some(stream) = self.streams.get_mut(id) {
            let unread = stream.inbound.len();
            stream.inbound.clear(&mut self.blocks);
            self.streams.unread -= unread as usize;
        }
        self.streams.tell(id, Flags::WAS_RESET);
    }

    /// A stream goes because of what it holds.
    fn reset_by_us(&mut self, id: StreamId) {
        self.strays_to_come(id);
        self.abandon(id);
        let begun = self.egress.begun(id) > 0;
        let Some(stream) = self.streams.get_mut(id) else { return };
        if begun {
            stream.flags.set(Flags::RESET_DUE);
        } else {
            let wire = stream.wire;
            self.egress.push(Control::Reset(wire));
        }
    }

    /// Forget a stream, or have it forgotten when the frame is written that has begun; whether it is gone.
    fn forget_or_drop(&mut self, id: StreamId) -> bool {
        if self.egress.begun(id) == 0 {
            self.forget(id);
            return true;
        }
        if let Some(stream) = self.streams.get_mut(id) {
            stream.flags.set(Flags::DROPPED);
        }
        false
    }

    fn forget(&mut self, id: StreamId) {
        self.streams.remove(id, &mut self.blocks, &mut self.room);
    }

    fn forget_if_over(&mut self, id: StreamId) {
        if self.streams.get(id).is_some_and(Stream::is_over) && self.egress.begun(id) == 0 {
            self.forget(id);
        }
    }

    /// The session goes on to the state that its streams and both sides' wishes make it be in.
    fn settle(&mut self) {
        if self.state == State::Open && (self.drains || self.peer_drains) {
            self.state = State::Draining;
        }
        if self.state == State::Draining && self.streams.len() == 0 {
            self.state = State::Closed;
        }
    }

    /// The session is over because of this.
    fn fail(&mut self, error: SessionError) {
        self.state = State::Closed;
        self.error = Some(error);
        let code = match error {
            SessionError::Dead | SessionError::Lost | SessionError::Refused => None,
            _ => Some(1),
        };
        self.egress.abandon(code.map(Control::GoAway));
    }
}

fn clamped(level: u8) -> u8 {
    // The number of levels fits.
    level.min(u8::try_from(LEVELS - 1).unwrap_or(u8::MAX))
}

impl Drop for Session {
    fn drop(&mut self) {
        // What the windows have grown by is for others.
        for slot in 0..self.streams.slots() {
            if let Some(id) = self.streams.id_at(slot) {
                self.forget(id);
            }
        }
    }
}
