//! The connection: how it greets, what its streams say, and how it ends.

use alloc::boxed::Box;
use alloc::vec::Vec;

use sluis_core::table::SlotId;
use sluis_core::{End, Instant};

use super::super::hello::{Auth, ClientHello, ServerHello, WINDOW};
use super::super::orders::Kind as OrderKind;
use super::event::Lost;
use super::{Client, Credentials, Greeting, LONGEST, Link, PROVEN, Queued, SHORTEST};
use crate::channel::Side;
use crate::channel::record::{self, Reader};
use crate::proof::{ACCEPT, HELLO, REFUSE};
use crate::session::{self, Event as StreamEvent, Read, Session, StreamId};

impl Client {
    /// The connection is gone.
    pub(super) fn lost(&mut self, now: Instant, why: Lost) {
        let link = core::mem::replace(&mut self.link, Link::Waiting(now));
        if let Link::Up(up) = &link
            && now.saturating_since(up.since) >= PROVEN
            && matches!(up.greeting, Greeting::Done)
        {
            self.backoff = SHORTEST;
        }
        let pause = Self::jitter(&mut self.rng, self.backoff);
        self.backoff = (self.backoff * 2).min(LONGEST);
        self.link = Link::Waiting(now + pause);
        if !self.stopped {
            self.events.push_back(Queued::Disconnected(why, pause));
        }
        if let Link::Up(up) = link {
            for slot in up.channels.into_values() {
                self.park(now, slot);
            }
        }
    }

    /// End the connection, because of what came.
    pub(super) fn abort(&mut self, now: Instant, why: Lost) {
        if let Link::Up(up) = &self.link {
            self.orders.push(up.conn, OrderKind::Abort);
        }
        self.lost(now, why);
    }

    /// Do what the events of the connection's streams ask for.
    pub(super) fn serve(&mut self, now: Instant) {
        loop {
            let Link::Up(up) = &mut self.link else { return };
            let Some(event) = up.session.poll_event() else { break };
            match event {
                StreamEvent::Opened(stream) => self.opened(stream),
                StreamEvent::Readable(stream) => self.readable(now, stream),
                StreamEvent::Writable(stream) => {
                    if let Some(slot) = up.channels.get(&stream).copied() {
                        self.write(slot);
                        // An acknowledgement may have been the last that was missing.
                        self.close_if_over(slot);
                    }
                }
                StreamEvent::Reset(stream) => {
                    up.fresh.remove(&stream);
                    match up.channels.get(&stream).copied() {
                        Some(slot) => self.park(now, slot),
                        None if !matches!(up.greeting, Greeting::Done) => return self.abort(now, Lost::Greeting),
                        None => {}
                    }
                }
                StreamEvent::GoingAway => {}
            }
        }
        let Link::Up(up) = &self.link else { return };
        if up.session.state() == session::State::Closed {
            return self.abort(now, Lost::Connection(End::Closed));
        }
        self.settle();
    }

    fn opened(&mut self, stream: StreamId) {
        let full = self.channels.is_full();
        let Link::Up(up) = &mut self.link else { return };
        match &mut up.greeting {
            Greeting::Hello(at @ None, ..) => {
                *at = Some(stream);
                let _ = up.session.accept(stream, 0);
            }
            Greeting::Done if !full => {
                let _ = up.session.accept(stream, 5);
                up.fresh.insert(stream, Box::default());
            }
            _ => up.session.reset(stream),
        }
    }

    fn readable(&mut self, now: Instant, stream: StreamId) {
        let Link::Up(up) = &mut self.link else { return };
        if let Some(slot) = up.channels.get(&stream).copied() {
            return self.queue(slot);
        }
        if up.fresh.contains_key(&stream) {
            return self.first(now, stream);
        }
        match &up.greeting {
            Greeting::Hello(Some(hello), ..) if *hello == stream => self.greet(now, stream),
            Greeting::Answer(hello, ..) if *hello == stream => self.greeted(now),
            _ => {}
        }
    }

    pub(super) fn queue(&mut self, slot: SlotId) {
        if let Some(entry) = self.channels.get_mut(slot).filter(|entry| !entry.held)
            && !core::mem::replace(&mut entry.queued, true)
        {
            self.readable.push_back(slot);
        }
    }

    /// The hub has said HELLO, and we do.
    fn greet(&mut self, now: Instant, stream: StreamId) {
        let Link::Up(up) = &mut self.link else { return };
        let Greeting::Hello(_, reader, until) = &mut up.greeting else { return };
        let (kind, until) = match read_record(&mut up.session, now, stream, reader) {
            None => return,
            Some(kind) => (kind, *until),
        };
        let hello = (kind == Some(HELLO)).then(|| ServerHello::read(reader.body()).ok()).flatten();
        let auth = match (&self.config.credentials, &self.config.signer) {
            (Credentials::Token(token), _) => Auth::Token(token),
            (Credentials::Key, Some(signer)) => Auth::Key(&**signer),
            _ => Auth::Nothing,
        };
        let body = hello.as_ref().and_then(|hello| {
            ClientHello::write(&self.config.agent, self.config.beside, auth, &hello.nonce, &up.exporter).ok()
        });
        let (Some(hello), Some(body), Ok(own)) = (hello, body, up.session.open(now, 0)) else {
            return self.abort(now, Lost::Greeting);
        };
        up.session.set_first_windows(WINDOW, hello.window);
        up.hub = hello.agent;
        let mut first = Vec::new();
        record::put(&mut first, HELLO, &[&body]);
        let _ = up.session.write(own, &first);
        let _ = up.session.finish(own);
        up.greeting = Greeting::Answer(own, Reader::default(), until);
        self.settle();
    }

    /// The hub has answered.
    fn greeted(&mut self, now: Instant) {
        let Link::Up(up) = &mut self.link else { return };
        let Greeting::Answer(stream, reader, _) = &mut up.greeting else { return };
        match read_record(&mut up.session, now, *stream, reader) {
            None => {}
            Some(Some(ACCEPT)) => {
                up.greeting = Greeting::Done;
                self.events.push_back(Queued::Connected);
                let waiting: Vec<SlotId> = self
                    .channels
                    .iter()
                    .filter(|(_, entry)| entry.stream.is_none() && entry.channel.side() == Side::Opener)
                    .map(|(slot, _)| slot)
                    .collect();
                waiting.into_iter().for_each(|slot| self.attach(now, slot));
            }
            Some(Some(REFUSE)) => self.abort(now, Lost::Refused),
            Some(_) => self.abort(now, Lost::Greeting),
        }
    }
}

/// Read the next record of a stream: its kind; `Some(None)` where there is none any more.
pub(super) fn read_record(
    session: &mut Session,
    now: Instant,
    stream: StreamId,
    reader: &mut Reader,
) -> Option<Option<u8>> {
    loop {
        let bytes = match session.peek(stream) {
            Ok(Read::Bytes(bytes)) => bytes,
            Ok(Read::Pending) => return None,
            _ => return Some(None),
        };
        let Ok((used, kind)) = reader.take(bytes) else { return Some(None) };
        let _ = session.consume(now, stream, used);
        if kind.is_some() {
            return Some(kind);
        }
    }
}
