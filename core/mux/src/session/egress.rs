//! What goes out, and in which order.

use alloc::collections::VecDeque;

use sluis_core::Instant;

use super::frame::{ACK, FIN, HEADER_LEN, Header, Kind, RST, SYN};
use super::stream::Flags;
use super::{LEVELS, Session, SessionError, State, StreamId};

/// Most data in a frame: what is more urgent waits no longer than for one.
const MAX_DATA: u32 = 16 * 1024;

/// A level that waits gains one on the others with every so many bytes that they send.
const AGEING: u64 = 64 * 1024;

/// Answers to pings, and resets, that may wait while nothing can be written.
const MAX_PONGS: usize = 64;
const MAX_CONTROLS: usize = 4096;

/// A frame without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// A window update, or the opening or acceptance of a stream.
    Stream(StreamId),
    /// The end of the stream with this number.
    Reset(u32),
    Ping,
    Pong(u32),
    /// With its code.
    GoAway(u32),
}

/// What waits to be written.
#[derive(Debug)]
pub(super) struct Egress {
    header: [u8; HEADER_LEN],
    /// Bytes of it that are written.
    written: usize,
    /// The stream whose data follows, and how much.
    body: Option<(StreamId, u32)>,
    controls: VecDeque<Control>,
    pongs: usize,
    /// Streams with data, by level.
    levels: [Level; LEVELS],
    /// Data bytes that were sent.
    sent: u64,
}

#[derive(Debug, Default)]
struct Level {
    streams: VecDeque<StreamId>,
    /// What `sent` was when this level had its turn, or began to wait.
    turn: u64,
}

impl Egress {
    pub(super) fn new() -> Self {
        Self {
            header: [0; HEADER_LEN],
            written: HEADER_LEN,
            body: None,
            controls: VecDeque::new(),
            pongs: 0,
            levels: core::array::from_fn(|_| Level::default()),
            sent: 0,
        }
    }

    /// Have a frame written. There are as many as streams, and few more.
    pub(super) fn push(&mut self, control: Control) {
        self.controls.push_back(control);
    }

    /// Refuse a stream.
    pub(super) fn refuse(&mut self, wire: u32) -> Result<(), SessionError> {
        if self.controls.len() >= MAX_CONTROLS {
            return Err(SessionError::Flood);
        }
        self.push(Control::Reset(wire));
        Ok(())
    }

    pub(super) fn answer_ping(&mut self, value: u32) -> Result<(), SessionError> {
        if self.pongs >= MAX_PONGS {
            return Err(SessionError::Flood);
        }
        self.pongs += 1;
        self.push(Control::Pong(value));
        Ok(())
    }

    /// Nothing is written any more but this, and that only where no frame is in the middle of its data.
    pub(super) fn abandon(&mut self, last: Option<Control>) {
        self.controls.clear();
        self.levels.iter_mut().for_each(|level| level.streams.clear());
        if self.body.take().is_some() {
            self.written = HEADER_LEN;
        } else {
            self.controls.extend(last);
        }
    }

    /// Data bytes of a stream that have to go out because their header has.
    pub(super) fn begun(&self, id: StreamId) -> u32 {
        self.body.filter(|(stream, _)| *stream == id).map_or(0, |(_, left)| left)
    }

    pub(super) fn is_idle(&self) -> bool {
        let levels = self.levels.iter().all(|level| level.streams.is_empty());
        self.written == HEADER_LEN && self.body.is_none() && self.controls.is_empty() && levels
    }

    /// Give back what the queues have grown to.
    pub(super) fn trim(&mut self) {
        if self.is_idle() {
            self.controls = VecDeque::new();
            self.levels.iter_mut().for_each(|level| level.streams = VecDeque::new());
        }
    }

    pub(super) fn queue(&mut self, id: StreamId, level: u8) {
        let sent = self.sent;
        if let Some(level) = self.levels.get_mut(usize::from(level)) {
            if level.streams.is_empty() {
                level.turn = sent;
            }
            level.streams.push_back(id);
        }
    }

    /// The stream whose turn it is: of the lowest level, where others have not waited too long.
    fn next_stream(&mut self) -> Option<StreamId> {
        let sent = self.sent;
        let waiting = self.levels.iter_mut().enumerate().filter(|(_, level)| !level.streams.is_empty());
        let urgency = |at: usize, turn: u64| {
            let aged = i64::try_from((sent - turn) / AGEING).unwrap_or(i64::MAX);
            i64::try_from(at).unwrap_or(i64::MAX).saturating_sub(aged)
        };
        let (_, level) = waiting.min_by_key(|(at, level)| urgency(*at, level.turn))?;
        level.turn = sent;
        level.streams.pop_front()
    }

    /// Write what is left of the header.
    fn write_header(&mut self, out: &mut [u8]) -> usize {
        let left = self.header.get(self.written..).unwrap_or_default();
        let len = left.len().min(out.len());
        out.iter_mut().zip(left).for_each(|(to, from)| *to = *from);
        self.written += len;
        len
    }

    fn begin(&mut self, header: Header) {
        (self.header, self.written) = (header.bytes(), 0);
    }
}

impl Session {
    /// Write what is to be sent to the start of `out`, and say how much that is; 0: nothing for now.
    pub fn poll_bytes(&mut self, now: Instant, out: &mut [u8]) -> usize {
        let mut at = 0;
        loop {
            at += self.egress.write_header(out.get_mut(at..).unwrap_or_default());
            if self.egress.written < HEADER_LEN {
                return at;
            }
            at += self.write_body(out.get_mut(at..).unwrap_or_default());
            if self.egress.body.is_some() || at == out.len() || !self.begin_frame(now) {
                return at;
            }
        }
    }

    /// Whether [`poll_bytes`](Self::poll_bytes) may have something.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.egress.is_idle()
    }

    fn write_body(&mut self, out: &mut [u8]) -> usize {
        let Some((id, mut left)) = self.egress.body else { return 0 };
        let mut at = 0;
        while left > 0 {
            let Some(stream) = self.streams.get_mut(id) else { break };
            let room = out.get_mut(at..).unwrap_or_default();
            let front = stream.outbound.front(&self.blocks);
            let len = front.len().min(left as usize).min(room.len());
            if len == 0 {
                break;
            }
            let (Some(to), Some(from)) = (room.get_mut(..len), front.get(..len)) else { break };
            to.copy_from_slice(from);
            let count = u32::try_from(len).unwrap_or_default();
            stream.outbound.advance(&mut self.blocks, count);
            (left, at) = (left - count, at + len);
        }
        self.egress.body = Some((id, left)).filter(|(_, left)| *left > 0);
        if left == 0 {
            self.frame_is_out(id);
        }
        at
    }

    /// A data frame of this stream is written.
    fn frame_is_out(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let dropped = stream.flags.has(Flags::DROPPED);
        if stream.flags.take(Flags::RESET_DUE) {
            self.egress.push(Control::Reset(stream.wire));
        }
        if dropped {
            return self.forget(id);
        }
        if (stream.outbound.len() as usize) <= self.config.send_buffer / 2 && stream.flags.take(Flags::BLOCKED) {
            self.streams.tell(id, Flags::WRITABLE);
        }
        self.queue_data(id);
        self.forget_if_over(id);
        self.settle();
    }

    /// Prepare the next frame; `false` when there is none.
    fn begin_frame(&mut self, now: Instant) -> bool {
        while let Some(control) = self.egress.controls.pop_front() {
            if let Some(header) = self.header_of(now, control) {
                self.egress.begin(header);
                return true;
            }
        }
        while let Some(id) = self.egress.next_stream() {
            if self.begin_data_frame(id) {
                return true;
            }
        }
        false
    }

    fn header_of(&mut self, now: Instant, control: Control) -> Option<Header> {
        let (kind, flags, stream, length) = match control {
            Control::Stream(id) => return self.window_update(id),
            Control::Reset(wire) => (Kind::WindowUpdate, RST, wire, 0),
            Control::Ping => (Kind::Ping, SYN, 0, self.pings.write(now)),
            Control::Pong(value) => {
                self.egress.pongs -= 1;
                (Kind::Ping, ACK, 0, value)
            }
            Control::GoAway(code) => (Kind::GoAway, 0, 0, code),
        };
        Some(Header { kind, flags, stream, length })
    }

    fn window_update(&mut self, id: StreamId) -> Option<Header> {
        let stream = self.streams.get_mut(id)?;
        stream.flags.take(Flags::CONTROL_QUEUED);
        if !stream.is_live() || stream.flags.has(Flags::SYN_DUE) && stream.is_sendable() {
            // Its data frame opens it.
            return None;
        }
        let ended = stream.flags.has(Flags::FIN_SEEN);
        let unread = if self.faults.no_credit() { 0 } else { stream.inbound.len() };
        let length = if ended { 0 } else { stream.window.due(unread) };
        let flags = due_flags(&mut stream.flags);
        if length == 0 && flags == 0 {
            return None;
        }
        stream.window.grant(length);
        Some(Header { kind: Kind::WindowUpdate, flags, stream: stream.wire, length })
    }

    fn begin_data_frame(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.streams.get_mut(id) else { return false };
        stream.flags.take(Flags::DATA_QUEUED);
        if !stream.is_sendable() {
            return false;
        }
        let length = stream.outbound.len().min(stream.credit).min(MAX_DATA);
        stream.credit -= length;
        let mut flags = due_flags(&mut stream.flags);
        if stream.flags.has(Flags::FINISHING) && length == stream.outbound.len() {
            stream.flags.set(Flags::FIN_SENT);
            flags |= FIN;
        }
        let header = Header { kind: Kind::Data, flags, stream: stream.wire, length };
        self.egress.sent += u64::from(length);
        self.egress.body = Some((id, length));
        self.egress.begin(header);
        true
    }

    /// Let a stream have its turn, if it has something to send.
    pub(super) fn queue_data(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let may = self.state != State::Closed && stream.is_sendable();
        if may && !stream.flags.has(Flags::DATA_QUEUED) {
            stream.flags.set(Flags::DATA_QUEUED);
            self.egress.queue(id, stream.level);
        }
    }

    /// Let a stream have a frame without data, unless it waits for one already.
    pub(super) fn queue_control(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if self.state != State::Closed && !stream.flags.has(Flags::CONTROL_QUEUED) {
            stream.flags.set(Flags::CONTROL_QUEUED);
            self.egress.push(Control::Stream(id));
        }
    }
}

fn due_flags(flags: &mut Flags) -> u16 {
    let syn = if flags.take(Flags::SYN_DUE) { SYN } else { 0 };
    let ack = if flags.take(Flags::ACK_DUE) { ACK } else { 0 };
    syn | ack
}
