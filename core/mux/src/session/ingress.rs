//! What comes in.

use sluis_core::Instant;

use super::frame::{ACK, FIN, HEADER_LEN, Header, Kind, RST, SYN};
use super::stream::{Flags, Stream};
use super::{MAX_UNANSWERED, Role, Session, SessionError, State, StreamId};

/// Where in a frame the next byte belongs.
#[derive(Debug, Default)]
pub(super) struct Ingress {
    header: [u8; HEADER_LEN],
    have: usize,
    body: Option<Body>,
}

/// The rest of a data frame.
#[derive(Clone, Copy, Debug)]
struct Body {
    /// `None`: for nobody.
    stream: Option<StreamId>,
    left: u32,
    fin: bool,
}

impl Session {
    /// Take in bytes from the connection: all of them. What they mean shows in [`poll_event`](Self::poll_event), and may be read at
    /// once. What comes after the session has ended in peace, where the other side went away and had no stream, is for nobody.
    ///
    /// # Errors
    /// They are not what the protocol allows, or a flood: the session is over, and [`poll_bytes`](Self::poll_bytes) gives the frame
    /// that says so. What comes after that has the same error.
    pub fn handle_bytes(&mut self, now: Instant, mut bytes: &[u8]) -> Result<(), SessionError> {
        if !bytes.is_empty() {
            self.pings.alive();
        }
        while !bytes.is_empty() {
            // Also in the middle of these: any chunking has the same end.
            if self.state == State::Closed {
                return self.error.map_or(Ok(()), Err);
            }
            bytes = match self.ingress.body {
                Some(body) => self.take_body(body, bytes),
                None => match self.take_header(now, bytes) {
                    Ok(rest) => rest,
                    Err(error) => {
                        self.fail(error);
                        return Err(error);
                    }
                },
            };
            self.settle();
        }
        Ok(())
    }

    fn take_body<'b>(&mut self, mut body: Body, bytes: &'b [u8]) -> &'b [u8] {
        let (now, later) = bytes.split_at(bytes.len().min(body.left as usize));
        // Not longer than what is left, which a `u32` counts.
        body.left -= u32::try_from(now.len()).unwrap_or(body.left);
        // A stream that was reset since the header came takes no more.
        let live = body.stream.filter(|id| self.streams.get(*id).is_some_and(Stream::is_live));
        if let Some(id) = live
            && let Some(stream) = self.streams.get_mut(id)
        {
            stream.inbound.push(&mut self.blocks, now);
            self.streams.unread += now.len();
            self.streams.tell(id, Flags::READABLE);
        }
        self.ingress.body = Some(body).filter(|body| body.left > 0);
        if body.left == 0 && body.fin {
            self.peer_finished(live);
        }
        later
    }

    fn take_header<'b>(&mut self, now: Instant, bytes: &'b [u8]) -> Result<&'b [u8], SessionError> {
        let at = &mut self.ingress;
        let (some, rest) = bytes.split_at(bytes.len().min(HEADER_LEN - at.have));
        at.header.iter_mut().skip(at.have).zip(some).for_each(|(to, from)| *to = *from);
        at.have += some.len();
        if at.have == HEADER_LEN {
            at.have = 0;
            let header = Header::read(&at.header)?;
            self.handle_header(now, header)?;
        }
        Ok(rest)
    }

    fn handle_header(&mut self, now: Instant, header: Header) -> Result<(), SessionError> {
        match header.kind {
            Kind::Ping | Kind::GoAway if header.stream != 0 => Err(SessionError::Stream),
            Kind::Data | Kind::WindowUpdate if header.stream == 0 => Err(SessionError::Stream),
            Kind::Ping if header.flags == SYN => self.answer_ping(now, header.length),
            Kind::Ping if header.flags == ACK => {
                self.pings.answered(now, header.length);
                self.patience.spend(now)
            }
            Kind::Ping => Err(SessionError::Flags),
            Kind::GoAway if header.length == 0 => {
                self.going_away |= !self.peer_drains;
                self.peer_drains = true;
                self.patience.spend(now)
            }
            Kind::GoAway => Err(SessionError::Refused),
            Kind::Data | Kind::WindowUpdate => self.handle_stream_frame(now, header),
        }
    }

    fn answer_ping(&mut self, now: Instant, value: u32) -> Result<(), SessionError> {
        self.patience.spend(now)?;
        self.egress.answer_ping(value)
    }

    fn handle_stream_frame(&mut self, now: Instant, header: Header) -> Result<(), SessionError> {
        let mut found = self.streams.find(header.stream);
        if header.flags & SYN != 0 {
            if found.is_some() {
                return Err(SessionError::Reused);
            }
            found = self.peer_opens(now, header)?;
        }
        let found = found.filter(|id| self.streams.get(*id).is_some_and(Stream::is_live));
        let Some(id) = found else { return self.handle_stray(now, header) };
        if header.flags & ACK != 0 {
            self.streams.acknowledge(id, Flags::UNANSWERED);
        }
        if header.flags & RST != 0 {
            self.patience.spend(now)?;
            self.skip(header);
            self.peer_resets(id);
            return Ok(());
        }
        match header.kind {
            Kind::Data => self.begin_data(now, id, header),
            _ => self.handle_window(now, id, header),
        }
    }

    fn handle_window(&mut self, now: Instant, id: StreamId, header: Header) -> Result<(), SessionError> {
        if header.length == 0 && header.flags == 0 {
            self.patience.spend(now)?;
        }
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        stream.credit = stream.credit.checked_add(header.length).ok_or(SessionError::Window)?;
        self.queue_data(id);
        if header.flags & FIN != 0 {
            self.peer_finished(Some(id));
        }
        Ok(())
    }

    fn begin_data(&mut self, now: Instant, id: StreamId, header: Header) -> Result<(), SessionError> {
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        if stream.flags.has(Flags::FIN_SEEN) && header.length > 0 {
            return Err(SessionError::AfterEnd);
        }
        if !stream.window.spend(header.length) {
            return Err(SessionError::Credit);
        }
        let due = if self.faults.no_credit() { stream.window.due(0) } else { 0 };
        let fin = header.flags & FIN != 0;
        match header.length {
            0 if header.flags & (SYN | ACK | FIN) == 0 => self.patience.spend(now)?,
            0 => {}
            _ => self.patience.reward(),
        }
        if due > 0 {
            self.queue_control(id);
        }
        let mut body = Body { stream: Some(id), left: header.length, fin };
        if self.streams.unread + header.length as usize > self.config.max_unread {
            // One stream loses its data, and is told, before all of them wait for it.
            self.stats.overflows += 1;
            self.reset_by_us(id);
            body.stream = None;
        }
        if header.length == 0 {
            if fin {
                self.peer_finished(body.stream);
            }
        } else {
            self.ingress.body = Some(body);
        }
        Ok(())
    }

    /// The other side opens a stream; `None` where it is refused.
    fn peer_opens(&mut self, now: Instant, header: Header) -> Result<Option<StreamId>, SessionError> {
        let by_client = header.stream % 2 == 1;
        if by_client == (self.role == Role::Client) {
            return Err(SessionError::Stream);
        }
        let full = self.streams.is_full() || self.streams.unaccepted >= MAX_UNANSWERED || self.drains;
        let windows = [self.config.first_window, self.peer_window];
        let stream = Stream::new(header.stream, self.config.level, Flags::UNACCEPTED, windows, now);
        match Some(stream).filter(|_| !full).and_then(|stream| self.streams.insert(stream)) {
            Some(id) => {
                self.stats.accepted += 1;
                self.streams.tell(id, Flags::OPENED);
                Ok(Some(id))
            }
            None => {
                self.stats.refused += 1;
                self.patience.spend(now)?;
                // What it sends before it knows counts against nobody.
                self.strays = self.strays.saturating_add(u64::from(self.config.first_window));
                self.egress.refuse(header.stream)?;
                Ok(None)
            }
        }
    }

    /// A frame for a stream that is not there (any more).
    fn handle_stray(&mut self, now: Instant, header: Header) -> Result<(), SessionError> {
        self.stats.strays += 1;
        if header.kind == Kind::Data && header.length > 0 {
            self.strays = self.strays.checked_sub(u64::from(header.length)).ok_or(SessionError::Flood)?;
        } else {
            self.patience.spend(now)?;
        }
        self.skip(header);
        Ok(())
    }

    /// Let what a frame holds go by.
    fn skip(&mut self, header: Header) {
        if header.kind == Kind::Data && header.length > 0 {
            self.ingress.body = Some(Body { stream: None, left: header.length, fin: false });
        }
    }

    /// A stream goes while the other side may still be sending on it.
    pub(super) fn strays_to_come(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get(id).filter(|stream| !stream.flags.has(Flags::FIN_SEEN)) {
            self.strays = self.strays.saturating_add(u64::from(stream.window.size()));
        }
    }

    fn peer_finished(&mut self, id: Option<StreamId>) {
        let Some((id, stream)) = id.and_then(|id| Some((id, self.streams.get_mut(id)?))) else { return };
        stream.flags.set(Flags::FIN_SEEN);
        self.streams.tell(id, Flags::READABLE);
    }

    fn peer_resets(&mut self, id: StreamId) {
        self.stats.resets += 1;
        self.streams.acknowledge(id, Flags::UNANSWERED);
        self.abandon(id);
    }
}
