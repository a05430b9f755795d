//! The plain model. It keeps everything in vectors and forgets nothing that still matters.

use std::collections::BTreeMap;

use sluis_core::Reject;
use sluis_core::framing::{Decision, Zone};
use sluis_core::node::{Outcome, RequestId};

use super::ops::{DECISION_MS, Op, PER_SENDER, SENDERS, SKEW_MS, WAITING, WAITING_MS, WINDOW_MS};

/// What is told or sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Ping(Decision, Zone, String),
    Decided(Outcome, String),
    Response(RequestId, bool),
    Timeout(RequestId, bool),
    /// A response of the node: its decision, the ping it answers, where it goes.
    Sent(Decision, String, u8),
    /// A request of the node.
    Asked,
}

pub(crate) struct Wait {
    pub(crate) packet_id: String,
    pub(crate) sender: usize,
    pub(crate) intent: usize,
    pub(crate) trusted: bool,
    /// How many its sender had when it came, to a factor of two.
    pub(crate) class: u32,
    pub(crate) until: u64,
}

pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) packet_id: String,
    pub(crate) whom: usize,
    pub(crate) address: u8,
    pub(crate) until: u64,
    pub(crate) pending: bool,
}

pub(crate) struct ModelRule {
    pub(crate) id: u8,
    pub(crate) intent: usize,
    pub(crate) zone: Zone,
    pub(crate) priority: i64,
}

/// The plain model.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) now: u64,
    pub(crate) trust: BTreeMap<usize, f64>,
    pub(crate) rules: Vec<ModelRule>,
    /// Sender, nonce, stamp.
    pub(crate) admitted: Vec<(usize, u8, i64)>,
    pub(crate) waiting: Vec<Wait>,
    pub(crate) requests: Vec<Request>,
    pub(crate) expected: Vec<Seen>,
}

impl Model {
    pub(crate) fn zone(&self, sender: usize, intent: usize) -> Zone {
        // Among equal priorities the rule added first counts.
        let mut best: Option<&ModelRule> = None;
        for rule in self.rules.iter().filter(|rule| rule.intent == intent) {
            if best.is_none_or(|best| rule.priority > best.priority) {
                best = Some(rule);
            }
        }
        let trust = self.trust.get(&sender).copied().unwrap_or(0.0);
        let by_trust = match trust {
            t if t >= 0.7 => Zone::Groen,
            t if t >= 0.3 => Zone::Geel,
            _ => Zone::Rood,
        };
        match best.map_or(by_trust, |rule| rule.zone) {
            Zone::Groen if !SENDERS[sender].starts_with("jis:legacy") => Zone::Geel,
            zone => zone,
        }
    }

    pub(crate) fn packet(&mut self, op: &Op, packet_id: &str) -> Result<(), Reject> {
        let &Op::Packet { sender, nonce, stamp, intent, heartbeat, for_us, .. } = op else { unreachable!() };
        if !for_us {
            return Err(Reject::NotForUs);
        }
        if SENDERS[sender].is_empty() {
            return Err(Reject::Malformed);
        }
        if sender == 0 {
            return Err(Reject::OwnName);
        }
        let zone = self.zone(sender, intent);
        match zone {
            Zone::Rood => return Err(Reject::Rood),
            Zone::Geel if heartbeat => return Err(Reject::HeartbeatNotAccepted),
            _ => {}
        }
        let now = self.now as i64;
        if stamp < -WINDOW_MS {
            return Err(Reject::Stale);
        }
        if stamp > SKEW_MS {
            return Err(Reject::Future);
        }
        let seen = |(s, n, at): &(usize, u8, i64)| *s == sender && *n == nonce && *at >= now - WINDOW_MS;
        if self.admitted.iter().any(seen) {
            return Err(Reject::Replay);
        }
        if zone == Zone::Geel {
            let own = self.waiting.iter().filter(|w| w.sender == sender).count();
            if own >= PER_SENDER {
                return Err(Reject::Busy);
            }
            let trusted = self.trust.get(&sender).is_some_and(|trust| *trust >= 0.3);
            // Of those under a name trusted by name, and of those from one address, who has many makes way for who has few.
            let class = own.checked_ilog2().map_or(0, |log| log + 1);
            if self.waiting.len() >= WAITING {
                let weaker = |w: &&Wait| (trusted && !w.trusted) || (trusted == w.trusted && w.class > class);
                let weakness = |w: &Wait| (w.trusted, u32::MAX - w.class);
                let least = self.waiting.iter().filter(weaker).map(weakness).min().ok_or(Reject::Busy)?;
                let place = self.waiting.iter().position(|w| weakness(w) == least).unwrap();
                let displaced = self.waiting.remove(place).packet_id;
                self.expected.push(Seen::Decided(Outcome::Displaced, displaced));
            }
            let until = self.now + WAITING_MS;
            self.waiting.push(Wait { packet_id: packet_id.into(), sender, intent, trusted, class, until });
        }
        self.admitted.push((sender, nonce, now + stamp));
        if !heartbeat {
            let decision = if zone == Zone::Groen { Decision::Accept } else { Decision::Pending };
            self.expected.push(Seen::Ping(decision, zone, packet_id.into()));
            self.expected.push(Seen::Sent(decision, packet_id.into(), sender as u8));
        }
        Ok(())
    }

    pub(crate) fn answer(
        &mut self,
        request: usize,
        name: usize,
        address: u8,
        decision: Decision,
    ) -> Result<(), Reject> {
        let Some(at) = (request < self.requests.len()).then_some(request) else { return Err(Reject::Unrequested) };
        let open = &mut self.requests[at];
        if open.whom != name || open.address != address {
            return Err(Reject::WrongResponder);
        }
        if decision == Decision::Pending {
            if open.pending {
                return Err(Reject::Unrequested);
            }
            (open.pending, open.until) = (true, self.now + DECISION_MS);
            self.expected.push(Seen::Response(open.id, false));
        } else {
            let open = self.requests.remove(at);
            self.expected.push(Seen::Response(open.id, true));
        }
        Ok(())
    }

    pub(crate) fn advance(&mut self, ms: u64) {
        self.now += ms;
        let now = self.now;
        let (mut late, open): (Vec<_>, Vec<_>) = self.requests.drain(..).partition(|r| r.until <= now);
        self.requests = open;
        late.sort_by_key(|r| r.until);
        self.expected.extend(late.iter().map(|r| Seen::Timeout(r.id, r.pending)));
        let (late, waiting): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|w| w.until <= now);
        self.waiting = waiting;
        self.expected.extend(late.into_iter().map(|w| Seen::Decided(Outcome::Expired, w.packet_id)));
    }
}
