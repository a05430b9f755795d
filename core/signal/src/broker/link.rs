//! The state of one connection: what packets and time do to it, and what it writes.

use alloc::string::String;
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Instant, Rng};

use super::backoff::{Backoff, jitter};
use super::machine::{Counts, Event};
use super::outbox::Outbox;
use super::{Left, Settings};
use crate::faults::Faults;
use crate::key::PUBLIC_LEN;
use crate::mqtt::{Connect, EncodeError, Packet, Publish, Qos, encode};

/// The packet id of the subscription: the first of every connection.
const SUBSCRIPTION: u16 = 1;
/// Memory that is kept for packets that do not fit into the caller's buffer at once, in bytes.
const KEPT: usize = 4096;
/// A machine that was not called for so much longer than it asked for has slept.
const OVERSLEPT: Duration = Duration::from_secs(5);
/// Who is wanted tries within this, and so again after that.
const SOON: Duration = Duration::from_secs(1);
const WANTED: Duration = Duration::from_secs(5);
/// The shortest time that is given to a broker after a gap.
const SHORTEST: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Resting { until: Instant },
    Dialling { until: Instant },
    Connecting { until: Instant, since: Instant },
    Subscribing { until: Instant },
    Joined { since: Instant },
    Closing,
    Closed,
}

/// All but the reader.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) settings: Settings,
    pub(super) topic: [u8; 2 * PUBLIC_LEN],
    pub(super) rng: Rng,
    pub(super) state: State,
    pub(super) backoff: Backoff,
    pub(super) others_up: bool,
    pub(super) dial: bool,
    pub(super) abort: bool,
    pub(super) finish: bool,
    pub(super) outbox: Outbox,
    /// Packets of the protocol itself, which go before all messages.
    pub(super) control: Vec<u8>,
    /// A message that is written in part, and how much of it.
    pub(super) current: Vec<u8>,
    pub(super) written: usize,
    pub(super) heard: Instant,
    pub(super) spoke: Instant,
    /// A PINGREQ that waits for an answer: since when, and until when.
    pub(super) asked: Option<(Instant, Instant)>,
    pub(super) called: Instant,
    /// When a rest was cut short last because somebody was waited for.
    pub(super) wanted: Option<Instant>,
    pub(super) rtt: Duration,
    pub(super) counts: Counts,
    /// It was joined before.
    pub(super) again: bool,
    pub(super) faults: Faults,
}

impl Link {
    pub(super) const fn is_joined(&self) -> bool {
        matches!(self.state, State::Joined { .. })
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self.state, State::Connecting { .. } | State::Subscribing { .. } | State::Joined { .. })
    }

    pub(super) fn set_others_up(&mut self, now: Instant, up: bool) {
        let lost = core::mem::replace(&mut self.others_up, up) && !up;
        if let State::Resting { until } = &mut self.state
            && lost
        {
            *until = (*until).min(now + self.backoff.hurry(&mut self.rng));
            self.want(now);
        }
    }

    /// Somebody waits for it: a peer does not answer elsewhere, or all others are lost.
    pub(super) fn want(&mut self, now: Instant) {
        if let State::Resting { until } = &mut self.state
            && self.wanted.is_none_or(|before| now.saturating_since(before) >= WANTED)
        {
            self.wanted = Some(now);
            *until = (*until).min(now + jitter(&mut self.rng, SOON));
        }
    }

    pub(super) fn close(&mut self) {
        match self.state {
            State::Closing | State::Closed => {}
            State::Resting { .. } => self.state = State::Closed,
            State::Dialling { .. } => {
                // An order that nobody took needs no other one.
                self.abort = !core::mem::take(&mut self.dial);
                self.state = State::Closed;
            }
            State::Connecting { .. } | State::Subscribing { .. } | State::Joined { .. } => {
                self.outbox.clear();
                self.put(2, encode::disconnect);
                (self.finish, self.state) = (true, State::Closing);
            }
        }
    }

    pub(super) fn up(&mut self, now: Instant) {
        self.called = now;
        if !matches!(self.state, State::Dialling { .. }) {
            return;
        }
        (self.heard, self.spoke) = (now, now);
        self.state = State::Connecting { until: now + self.settings.patience, since: now };
        let name = client_id(&mut self.rng);
        let Settings { user, password, keep_alive, .. } = &self.settings;
        let connect = Connect {
            client_id: &name,
            clean: true,
            keep_alive: u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX),
            user: user.as_deref(),
            password: password.as_ref().map(|password| password.as_bytes()),
            will: None,
        };
        let room = 64 + connect.user.map_or(0, str::len) + connect.password.map_or(0, <[u8]>::len);
        // Settings that MQTT cannot say leave nothing to write; that ends like a broker that does not answer.
        put(&mut self.control, room, |out| encode::connect(&connect, out));
    }

    /// What a packet means. What does not belong there ends the connection.
    pub(super) fn packet<'a>(&mut self, now: Instant, packet: Packet<'a>) -> Result<Option<Event<'a>>, Left> {
        self.heard = now;
        // Whatever comes shows that it is there.
        let asked = self.asked.take();
        match (self.state, packet) {
            (State::Connecting { since, .. }, Packet::ConnAck { session_present: false, code: 0 }) => {
                self.rtt = now.saturating_since(since);
                if self.again && self.faults.no_resubscribe() {
                    self.state = State::Joined { since: now };
                    return Ok(Some(Event::Joined(self.rtt)));
                }
                self.state = State::Subscribing { until: now + self.settings.patience };
                self.subscribe();
                Ok(None)
            }
            (State::Connecting { .. }, Packet::ConnAck { code, .. }) if code != 0 => {
                Err(self.leave(now, Left::Refused(code)))
            }
            (State::Subscribing { .. }, Packet::SubAck { id: SUBSCRIPTION, codes }) => match codes {
                [1] => {
                    self.again = true;
                    self.state = State::Joined { since: now };
                    Ok(Some(Event::Joined(self.rtt)))
                }
                [code] => Err(self.leave(now, Left::SubscriptionRefused(*code))),
                _ => Err(self.leave(now, Left::Protocol)),
            },
            (State::Subscribing { .. } | State::Joined { .. }, Packet::Publish(publish)) => Ok(self.message(&publish)),
            (State::Subscribing { .. } | State::Joined { .. }, Packet::PubAck { id }) => {
                let taken = self.outbox.taken(id);
                if taken.is_none() {
                    self.counts.unknown_ids = self.counts.unknown_ids.saturating_add(1);
                }
                Ok(taken.map(|ticket| Event::Taken { ticket }))
            }
            (State::Subscribing { .. } | State::Joined { .. }, Packet::PingResp) => {
                if let Some((since, _)) = asked {
                    self.rtt = now.saturating_since(since);
                }
                Ok(None)
            }
            // Nothing of a session before can be there, nothing was sent in quality 2, and the rest is for clients to send.
            _ => Err(self.leave(now, Left::Protocol)),
        }
    }

    fn message<'a>(&mut self, publish: &Publish<'a>) -> Option<Event<'a>> {
        if let Some(id) = publish.id {
            self.put(4, |out| encode::puback(id, out));
        }
        if publish.topic.as_bytes() == self.topic {
            return Some(Event::Message(publish.payload));
        }
        self.counts.foreign_topics = self.counts.foreign_topics.saturating_add(1);
        None
    }

    fn subscribe(&mut self) {
        let Self { topic, control, .. } = self;
        // Hex digits.
        let topic = core::str::from_utf8(topic).unwrap_or_default();
        put(control, 16 + topic.len(), |out| encode::subscribe(SUBSCRIPTION, &[(topic, Qos::AtLeastOnce)], out));
    }

    pub(super) fn timeout(&mut self, now: Instant) -> Option<Left> {
        let slept = now.saturating_since(self.called) > self.settings.keep_alive + OVERSLEPT;
        self.called = now;
        match self.state {
            State::Resting { until } if until <= now => {
                self.dial = true;
                self.state = State::Dialling { until: now + self.settings.patience };
                None
            }
            State::Dialling { until } if until <= now => Some(self.leave(now, Left::DialTimeout)),
            State::Connecting { until, .. } if until <= now => Some(self.leave(now, Left::NoConnAck)),
            State::Subscribing { until } if until <= now => Some(self.leave(now, Left::NoSubAck)),
            State::Joined { .. } if self.faults.no_pong_check() => {
                // Asked as ever, and never given up.
                (self.heard, self.spoke, self.asked) = (now, now, None);
                self.put(2, encode::pingreq);
                None
            }
            State::Joined { .. } if self.owed().is_some_and(|until| until <= now) && !slept => {
                Some(self.leave(now, Left::NoPubAck))
            }
            State::Joined { .. } => self.is_it_there(now, slept),
            _ => None,
        }
    }

    /// Ask a silent broker whether it is there, and give up one that was asked.
    fn is_it_there(&mut self, now: Instant, slept: bool) -> Option<Left> {
        if slept {
            // Whoever slept knows nothing: the broker may have given us up long ago.
            let until = now + (self.rtt * 3).max(SHORTEST);
            self.ask(now, until);
            return None;
        }
        match self.asked {
            Some((_, until)) if until <= now => Some(self.leave(now, Left::Silent)),
            None if self.next_ask() <= now => {
                self.ask(now, now + self.settings.keep_alive);
                None
            }
            _ => None,
        }
    }

    fn ask(&mut self, now: Instant, until: Instant) {
        self.asked = Some((now, until));
        self.put(2, encode::pingreq);
    }

    /// Until when the broker must acknowledge what it was sent.
    fn owed(&self) -> Option<Instant> {
        if self.faults.no_pong_check() {
            return None;
        }
        self.outbox.unanswered_since().map(|since| since + self.settings.keep_alive * 2)
    }

    fn next_ask(&self) -> Instant {
        self.heard.min(self.spoke) + self.settings.keep_alive
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Resting { until }
            | State::Dialling { until }
            | State::Connecting { until, .. }
            | State::Subscribing { until } => Some(until),
            State::Joined { .. } => {
                let alive = self.asked.map_or_else(|| self.next_ask(), |(_, until)| until);
                // What may leave already waits for the stream, not for time.
                let due = self.outbox.due(&self.settings).filter(|due| *due > self.called);
                [due, self.owed(), Some(alive)].into_iter().flatten().min()
            }
            State::Closing | State::Closed => None,
        }
    }

    /// Rest and try again.
    pub(super) fn leave(&mut self, now: Instant, why: Left) -> Left {
        let joined = match self.state {
            State::Joined { since } => Some(since),
            _ => None,
        };
        let rest = self.backoff.lost(now, joined, self.others_up, &mut self.rng);
        // An order to dial that nobody took needs none to abort.
        self.abort = !core::mem::take(&mut self.dial);
        self.state = State::Resting { until: now + rest };
        self.outbox.clear();
        (self.control, self.current, self.written) = (Vec::new(), Vec::new(), 0);
        self.asked = None;
        why
    }

    pub(super) fn write(&mut self, now: Instant, out: &mut [u8]) -> usize {
        if !(self.is_up() || self.state == State::Closing) {
            return 0;
        }
        let mut at = self.write_current(out);
        if self.written < self.current.len() {
            return at;
        }
        // Between two messages.
        let rest = out.get_mut(at..).unwrap_or_default();
        let len = self.control.len().min(rest.len());
        for (to, from) in rest.iter_mut().zip(self.control.drain(..len)) {
            *to = from;
        }
        at += len;
        while self.is_joined() && self.control.is_empty() && at < out.len() {
            let rest = out.get_mut(at..).unwrap_or_default();
            let Some((id, waiting)) = self.outbox.next(&self.settings, now) else { break };
            let publish = Publish {
                topic: core::str::from_utf8(&waiting.topic).unwrap_or_default(),
                payload: &waiting.payload,
                id: Some(id),
                retain: false,
                duplicate: false,
            };
            if let Ok(len) = encode::publish(&publish, rest) {
                at += len;
                continue;
            }
            let room = encode::publish_len(waiting.topic.len(), waiting.payload.len());
            put(&mut self.current, room, |out| encode::publish(&publish, out));
            at += self.write_current(rest);
        }
        if at > 0 {
            self.spoke = now;
        }
        at
    }

    /// The rest of a message that did not fit before.
    fn write_current(&mut self, out: &mut [u8]) -> usize {
        let rest = self.current.get(self.written..).unwrap_or_default();
        let len = rest.len().min(out.len());
        out.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.written += len;
        if self.written == self.current.len() {
            self.written = 0;
            self.current.clear();
            self.current.shrink_to(KEPT);
        }
        len
    }

    fn put(&mut self, room: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) {
        put(&mut self.control, room, write);
    }
}

/// Append a packet of at most so many bytes.
fn put(buffer: &mut Vec<u8>, room: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) {
    let start = buffer.len();
    buffer.resize(start + room, 0);
    let len = buffer.get_mut(start..).and_then(|out| write(out).ok()).unwrap_or_default();
    buffer.truncate(start + len);
}

/// A name that no other client has, of letters and digits that every broker takes (3.1.3.1): more than a hundred bits of them.
fn client_id(rng: &mut Rng) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0; 22];
    rng.fill(&mut bytes);
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}
