//! One connection of the server.

use alloc::borrow::ToOwned as _;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use sluis_core::Instant;
use sluis_core::time::Duration;

use super::{ConnId, Fault, Faults, ServerLimits};
use crate::mqtt::{EncodeError, Packet, Publish, Qos, Reader, SUBSCRIPTION_REFUSED, encode};

/// A client that publishes more than this in a second is too fast, where that counts.
const FAST: usize = 25;

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) topic: Arc<str>,
    pub(super) payload: Arc<[u8]>,
}

/// What a packet asks the server for.
pub(super) enum Deed {
    Nothing,
    Drop,
    /// It ends in peace.
    Leave,
    Connected(String),
    Publish(Delivery),
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ConnId,
    reader: Option<Reader>,
    name: Option<String>,
    filters: Vec<(String, Qos)>,
    /// Packets, each with the time from which on it may leave.
    queue: VecDeque<(Instant, Vec<u8>)>,
    queued: usize,
    /// How much of the first packet is written.
    written: usize,
    last_id: u16,
    keep_alive: Option<Duration>,
    /// Until when something has to come.
    until: Option<Instant>,
    published: VecDeque<Instant>,
    /// The most bytes that may wait.
    most: usize,
    /// It was sent more answers than that and reads none.
    choked: bool,
}

impl Client {
    pub(super) fn new(id: ConnId, now: Instant, limits: &ServerLimits) -> Self {
        Self {
            id,
            reader: None,
            name: None,
            filters: Vec::new(),
            queue: VecDeque::new(),
            queued: 0,
            written: 0,
            last_id: 0,
            keep_alive: None,
            until: Some(now + limits.patience),
            published: VecDeque::new(),
            most: limits.queue,
            choked: false,
        }
    }

    /// The reader, while the server looks at what is read.
    pub(super) fn take_reader(&mut self, max: usize) -> Reader {
        self.reader.take().unwrap_or_else(|| Reader::new(max))
    }

    pub(super) fn put_reader(&mut self, reader: Reader) {
        self.reader = Some(reader);
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether something that waits may leave.
    pub(super) fn may_write(&self, now: Instant) -> bool {
        self.queue.front().is_some_and(|(from, _)| *from <= now)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.until, self.queue.front().map(|(at, _)| *at)].into_iter().flatten().min()
    }

    /// Understand a packet.
    pub(super) fn packet(&mut self, now: Instant, packet: Packet<'_>, faults: &Faults, filters: usize) -> Deed {
        let deed = self.understand(now, packet, faults, filters);
        if self.choked { Deed::Drop } else { deed }
    }

    fn understand(&mut self, now: Instant, packet: Packet<'_>, faults: &Faults, filters: usize) -> Deed {
        match (&self.name, packet) {
            (None, Packet::Connect(connect)) => {
                if faults.has(Fault::Mute) {
                    return Deed::Nothing;
                }
                let refuse = faults.has(Fault::Refuse);
                self.reply(now, |out| encode::connack(if refuse { 5 } else { 0 }, out));
                if refuse {
                    return Deed::Nothing;
                }
                let seconds = u64::from(connect.keep_alive);
                // Half as long again (3.1.2-24); 0 is for ever.
                self.keep_alive = (seconds > 0).then(|| Duration::from_millis(seconds * 1500));
                self.name = Some(connect.client_id.to_owned());
                self.heard(now);
                Deed::Connected(connect.client_id.to_owned())
            }
            (None, _) | (Some(_), Packet::Connect(_)) => Deed::Drop,
            (Some(_), packet) => {
                self.heard(now);
                self.request(now, packet, faults, filters)
            }
        }
    }

    fn request(&mut self, now: Instant, packet: Packet<'_>, faults: &Faults, most: usize) -> Deed {
        match packet {
            Packet::Publish(publish) => {
                if let Some(id) = publish.id {
                    self.reply(now, |out| encode::puback(id, out));
                }
                let (topic, payload) = (Arc::from(publish.topic), Arc::from(publish.payload));
                Deed::Publish(Delivery { topic, payload })
            }
            Packet::Subscribe { id, filters } => {
                let mut codes = Vec::new();
                for (filter, qos) in filters.iter() {
                    let granted = qos.min(Qos::AtLeastOnce);
                    let refuse = faults.has(Fault::SubackFail) || self.filters.len() >= most;
                    codes.push(if refuse { SUBSCRIPTION_REFUSED } else { granted as u8 });
                    if !refuse {
                        self.filters.retain(|(known, _)| known != filter);
                        self.filters.push((filter.to_owned(), granted));
                    }
                }
                if !faults.has(Fault::NoSuback) {
                    let room = 16 + codes.len();
                    self.reply_in(now, room, |out| encode::suback(id, &codes, out));
                }
                Deed::Nothing
            }
            Packet::Unsubscribe { id, filters } => {
                for (filter, _) in filters.iter() {
                    self.filters.retain(|(known, _)| known != filter);
                }
                self.reply(now, |out| encode::unsuback(id, out));
                Deed::Nothing
            }
            Packet::PingReq => {
                self.reply(now, encode::pingresp);
                Deed::Nothing
            }
            // It has no more part in this: the stream below it delivers.
            Packet::PubAck { .. } => Deed::Nothing,
            Packet::Disconnect => Deed::Leave,
            // The rest is not for a client to send.
            _ => Deed::Drop,
        }
    }

    /// The quality in which it wants to hear a topic, if it does.
    pub(super) fn wants(&self, topic: &str) -> Option<Qos> {
        self.filters.iter().filter(|(filter, _)| matches(filter, topic)).map(|(_, qos)| *qos).max()
    }

    /// The quality of any of its filters.
    pub(super) fn any_qos(&self) -> Option<Qos> {
        self.filters.first().map(|(_, qos)| *qos)
    }

    /// A topic that it hears.
    pub(super) fn any_topic(&self) -> Option<Arc<str>> {
        self.filters
            .iter()
            .map(|(filter, _)| filter.as_str())
            .find(|filter| !filter.contains(['+', '#']))
            .map(Arc::from)
    }

    /// Queue a message; whether there was room.
    pub(super) fn put(&mut self, at: Instant, delivery: &Delivery, qos: Qos, early: bool, garbage: bool) -> bool {
        let room = encode::publish_len(delivery.topic.len(), delivery.payload.len());
        if self.queued + room > self.most {
            return false;
        }
        let id = (qos > Qos::AtMostOnce).then(|| self.fresh_id());
        let publish =
            Publish { topic: &delivery.topic, payload: &delivery.payload, id, retain: false, duplicate: false };
        let mut packet = encoded(room, |out| encode::publish(&publish, out));
        if garbage && let Some(first) = packet.first_mut() {
            *first |= 0x06;
        }
        self.queued += packet.len();
        // Not before one that is written in part.
        let first = usize::from(self.written > 0);
        if early && self.queue.len() > first {
            self.queue.insert(first, (at, packet));
        } else {
            self.queue.push_back((at, packet));
        }
        true
    }

    /// Whether it published more than it may within the last second, this time included.
    pub(super) fn is_too_fast(&mut self, now: Instant) -> bool {
        self.published.push_back(now);
        while self.published.front().is_some_and(|at| now.saturating_since(*at) >= Duration::from_secs(1)) {
            self.published.pop_front();
        }
        self.published.len() > FAST
    }

    /// Write what may leave, in its order.
    pub(super) fn write(&mut self, now: Instant, out: &mut [u8]) -> usize {
        let mut at = 0;
        while at < out.len()
            && let Some((_, packet)) = self.queue.front().filter(|(from, _)| *from <= now)
        {
            let rest = packet.get(self.written..).unwrap_or_default();
            let room = out.get_mut(at..).unwrap_or_default();
            let len = rest.len().min(room.len());
            room.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            (at, self.written) = (at + len, self.written + len);
            if self.written == packet.len() {
                self.queued -= packet.len();
                self.written = 0;
                self.queue.pop_front();
            }
        }
        at
    }

    fn heard(&mut self, now: Instant) {
        self.until = self.keep_alive.map(|keep_alive| now + keep_alive);
    }

    fn reply(&mut self, now: Instant, write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) {
        self.reply_in(now, 4, write);
    }

    fn reply_in(&mut self, now: Instant, room: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) {
        let packet = encoded(room, write);
        self.queued += packet.len();
        // Answers may go beyond what messages may fill, but not far.
        self.choked |= self.queued > self.most + 64 * 1024;
        self.queue.push_back((now, packet));
    }

    fn fresh_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }
}

fn encoded(room: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) -> Vec<u8> {
    let mut packet = alloc::vec![0; room];
    let len = write(&mut packet).unwrap_or_default();
    packet.truncate(len);
    packet
}

/// Whether a filter covers a topic (4.7).
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    let (mut filters, mut levels) = (filter.split('/'), topic.split('/'));
    // What begins with a dollar is the broker's own (4.7.2).
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    loop {
        match (filters.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(filter), Some(level)) if filter == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn filters_cover_what_the_standard_says() {
        for (filter, topic, covers) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+/c", "a/b/c", true),
            ("+/+", "/a", true),
            ("#", "a/b/c", true),
            ("a/#", "a", true),
            ("a/#", "ab", false),
            ("#", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
        ] {
            assert_eq!(matches(filter, topic), covers, "{filter} {topic}");
        }
    }
}
