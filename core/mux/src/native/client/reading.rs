//! Channels on the connection: those that are opened to us, and what comes on all of them.

use alloc::vec::Vec;

use sluis_core::Instant;
use sluis_core::table::SlotId;

use super::connection::read_record;
use super::event::{Channel, Event};
use super::{Client, Link, Queued};
use crate::channel::record;
use crate::channel::{self as ends, Kind, Resume, Side, Told};
use crate::proof::{OPEN, REFUSE, RESUME};
use crate::session::{Read, StreamId};

/// What reading found.
pub(super) enum Next {
    Event(Event<'static>),
    Message(SlotId, u64, Kind),
}

impl Client {
    /// What a stream that somebody opened to us begins with.
    pub(super) fn first(&mut self, now: Instant, stream: StreamId) {
        let Link::Up(up) = &mut self.link else { return };
        let Some(mut reader) = up.fresh.remove(&stream) else { return };
        let Some(kind) = read_record(&mut up.session, now, stream, &mut reader) else {
            up.fresh.insert(stream, reader);
            return;
        };
        match kind {
            Some(OPEN) => self.incoming(stream, reader.body()),
            Some(RESUME) => self.go_on(now, stream, reader.body()),
            _ => up.session.reset(stream),
        }
        self.settle();
    }

    pub(super) fn refuse_stream(&mut self, stream: StreamId, reason: &str) {
        let Link::Up(up) = &mut self.link else { return };
        let mut answer = Vec::new();
        record::put(&mut answer, REFUSE, &[reason.as_bytes()]);
        let _ = up.session.write(stream, &answer);
        let _ = up.session.finish(stream);
    }

    pub(super) fn incoming(&mut self, stream: StreamId, body: &[u8]) {
        let Ok(opening) = ends::peek_opening(body) else {
            return self.refuse_stream(stream, "the opening is malformed");
        };
        if *opening.target != *self.config.agent || self.by_id.contains_key(&opening.channel) {
            return self.refuse_stream(stream, "this is another agent's channel");
        }
        let own = Self::own(&self.config, &opening, Side::Target);
        let level = self.intents.resolve(&opening.intent).policy.priority;
        let Ok(channel) = ends::Channel::incoming(body, own, &mut self.rng) else {
            return self.refuse_stream(stream, "the opening is not signed as it must be");
        };
        let Some(slot) = self.insert(channel, level) else { return self.refuse_stream(stream, "too many channels") };
        if let (Link::Up(up), Some(entry)) = (&mut self.link, self.channels.get_mut(slot)) {
            entry.stream = Some(stream);
            up.channels.insert(stream, slot);
            let _ = up.session.set_level(stream, level);
        }
        self.events.push_back(Queued::Incoming(Channel(slot)));
        // Its end may have come with it.
        self.queue(slot);
    }

    /// The opener of a channel goes on with it.
    pub(super) fn go_on(&mut self, now: Instant, stream: StreamId, body: &[u8]) {
        let resume = Resume::parts(body).and_then(|(_, text)| Resume::read(text));
        let slot = resume.ok().and_then(|resume| self.by_id.get(&resume.channel).copied());
        let Some(slot) = slot else { return self.refuse_stream(stream, "the channel is not known") };
        // Nobody but its opener moves it away from the stream that it has.
        if self.channels.get(slot).is_none_or(|entry| entry.channel.check_resume(body).is_err()) {
            return self.refuse_stream(stream, "the channel cannot go on like this");
        }
        if self.channels.get(slot).is_some_and(|entry| entry.stream.is_some()) {
            // It knows of a cut of which we have not heard.
            self.park(now, slot);
        }
        let Some(entry) = self.channels.get_mut(slot) else { return };
        match entry.channel.handle_resume(body) {
            Ok(_) => {
                (entry.stream, entry.parked, entry.retry) = (Some(stream), None, None);
                if let Link::Up(up) = &mut self.link {
                    up.channels.insert(stream, slot);
                }
                if !self.channels.get(slot).is_some_and(|entry| entry.closed) {
                    self.tell(Event::Resumed(Channel(slot)));
                }
                self.arm(slot);
                self.write(slot);
                self.close_if_over(slot);
                self.queue(slot);
            }
            // Somebody who is not the opener: the channel goes on waiting for the one who is.
            Err(_) => self.refuse_stream(stream, "the channel cannot go on like this"),
        }
    }

    /// Read what a channel's stream has; the next event of it.
    pub(super) fn read(&mut self, now: Instant, slot: SlotId) -> Option<Told> {
        let (Link::Up(up), Some(entry)) = (&mut self.link, self.channels.get_mut(slot)) else { return None };
        let stream = entry.stream?;
        let own = Self::own(&self.config, entry.channel.opening(), entry.channel.side());
        match entry.channel.read(now, &mut up.session, stream, own) {
            Ok(Some(told)) => Some(told),
            Ok(None) => {
                if !matches!(up.session.peek(stream), Ok(Read::Pending | Read::Bytes(_))) {
                    self.stream_ended(now, slot);
                }
                self.settle();
                None
            }
            Err(fault) => {
                self.broken(slot, fault);
                None
            }
        }
    }

    /// The other end has ended the stream of a channel.
    pub(super) fn stream_ended(&mut self, now: Instant, slot: SlotId) {
        let Some(entry) = self.channels.get_mut(slot) else { return };
        if entry.closed {
            self.forget(slot, false);
        } else if entry.channel.is_over() {
            self.closed(slot);
            self.forget(slot, false);
        } else {
            self.park(now, slot);
        }
    }

    /// What a channel told, as an event that lends nothing; `None` for a message, and for what needs no event.
    pub(super) fn event_of(&mut self, now: Instant, slot: SlotId, told: Told) -> Option<Event<'static>> {
        let channel = Channel(slot);
        match told {
            Told::Opened(proof) => {
                if let Some(entry) = self.channels.get_mut(slot) {
                    entry.parked = None;
                }
                self.write(slot);
                Some(Event::Opened(channel, proof))
            }
            Told::Refused(reason) => {
                self.forget(slot, true);
                Some(Event::Refused(channel, reason))
            }
            Told::Acked { upto, room } => {
                if room {
                    self.tell(Event::Writable(channel));
                }
                self.close_if_over(slot);
                Some(Event::Acked(channel, upto))
            }
            Told::Signed(upto) => {
                self.close_if_over(slot);
                Some(Event::Signed(channel, upto))
            }
            Told::Resumed => {
                let entry = self.channels.get_mut(slot)?;
                (entry.parked, entry.retry) = (None, None);
                let closed = entry.closed;
                self.write(slot);
                self.close_if_over(slot);
                (!closed).then_some(Event::Resumed(channel))
            }
            Told::Away => {
                self.park(now, slot);
                None
            }
            Told::Finished(reason) => {
                self.write(slot);
                self.close_if_over(slot);
                Some(Event::Finished(channel, reason))
            }
            Told::Message(..) => None,
        }
    }

    /// What the next channel with something to read tells; `None` also where that became an event of its own.
    pub(super) fn next_told(&mut self) -> Option<Next> {
        // Credit that reading gives is measured against the last time that came in.
        let now = self.now;
        while self.events.is_empty() {
            let slot = self.readable.pop_front()?;
            if let Some(entry) = self.channels.get_mut(slot) {
                entry.queued = false;
                if entry.held {
                    continue;
                }
            }
            let Some(told) = self.read(now, slot) else { continue };
            self.queue(slot);
            if let Told::Message(number, kind) = told {
                return Some(Next::Message(slot, number, kind));
            }
            if let Some(event) = self.event_of(now, slot, told) {
                return Some(Next::Event(event));
            }
        }
        None
    }
}
