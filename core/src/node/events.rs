//! The queues of events: what happened, kept in the node's own memory until it is polled.
//!
//! There are two, so that an application that is slow to read about the pings of others still hears the answers to its
//! own.

use super::event::{Answered, Decided, Event, Outcome, PingId, Received};
use super::policy::Judged;
use super::queue::{Full, Queue};
use super::requests::RequestId;
use crate::Route;
use crate::airlock::Source;
use crate::framing::{Decision, Encoding, Zone};
use crate::time::Duration;

/// The fixed part of a queued event. Texts and the datagram itself are the record's bytes.
#[derive(Clone, Copy, Debug)]
enum Head {
    /// Bytes: the datagram, then the name of the rule.
    Ping {
        id: Option<PingId>,
        encoding: Encoding,
        from: Route,
        zone: Zone,
        decision: Decision,
        trust: f64,
        source: Source,
        frame: u32,
        rule: bool,
    },
    /// Bytes: the packet id, then the sender.
    Decided { id: PingId, outcome: Outcome, open: Option<PingId>, packet_id: u32 },
    /// Bytes: the name.
    Heartbeat { route: Route },
    /// Bytes: the name.
    PeerSeen { route: Route },
    /// Bytes: the name.
    PeerLost,
}

/// The fixed part of a queued response; its bytes are the datagram.
#[derive(Clone, Copy, Debug)]
struct ReplyHead {
    request: RequestId,
    decision: Decision,
    from: Route,
    rtt: Duration,
    last: bool,
}

/// Events that wait to be polled.
#[derive(Debug)]
pub(super) struct Events {
    replies: Queue<ReplyHead>,
    notices: Queue<Head>,
}

/// A length that fits by construction: everything here comes out of one datagram or is a limited text.
fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl Events {
    /// Each of the two queues has these bounds.
    pub(super) const fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { replies: Queue::new(max_events, max_bytes), notices: Queue::new(max_events, max_bytes) }
    }

    pub(super) fn len(&self) -> usize {
        self.replies.len() + self.notices.len()
    }

    pub(super) fn has_reply(&self) -> bool {
        !self.replies.is_empty()
    }

    pub(super) fn has_notice(&self) -> bool {
        !self.notices.is_empty()
    }

    /// Whether `count` notices of `bytes` bytes together fit.
    pub(super) fn room_for_notices(&self, count: usize, bytes: usize) -> bool {
        self.notices.has_room(count, bytes)
    }

    /// Whether a response of `bytes` bytes fits.
    pub(super) fn room_for_reply(&self, bytes: usize) -> bool {
        self.replies.has_room(1, bytes)
    }

    pub(super) fn ping(
        &mut self,
        datagram: &[u8],
        encoding: Encoding,
        from: Route,
        judged: &Judged<'_>,
        decision: Decision,
        id: Option<PingId>,
    ) -> Result<(), Full> {
        let head = Head::Ping {
            id,
            encoding,
            from,
            zone: judged.zone,
            decision,
            trust: judged.trust,
            source: judged.source,
            frame: len32(datagram),
            rule: judged.rule.is_some(),
        };
        self.notices.push(head, &[datagram, judged.rule.unwrap_or_default().as_bytes()])
    }

    pub(super) fn decided(
        &mut self,
        id: PingId,
        packet_id: &str,
        did: &str,
        outcome: Outcome,
        open: Option<PingId>,
    ) -> Result<(), Full> {
        let head = Head::Decided { id, outcome, open, packet_id: len32(packet_id.as_bytes()) };
        self.notices.push(head, &[packet_id.as_bytes(), did.as_bytes()])
    }

    pub(super) fn response(
        &mut self,
        datagram: &[u8],
        from: Route,
        request: RequestId,
        rtt: Duration,
        decision: Decision,
        last: bool,
    ) -> Result<(), Full> {
        self.replies.push(ReplyHead { request, decision, from, rtt, last }, &[datagram])
    }

    pub(super) fn heartbeat(&mut self, did: &str, route: Route) -> Result<(), Full> {
        self.notices.push(Head::Heartbeat { route }, &[did.as_bytes()])
    }

    pub(super) fn peer_seen(&mut self, did: &str, route: Route) -> Result<(), Full> {
        self.notices.push(Head::PeerSeen { route }, &[did.as_bytes()])
    }

    pub(super) fn peer_lost(&mut self, did: &str) -> Result<(), Full> {
        self.notices.push(Head::PeerLost, &[did.as_bytes()])
    }

    /// Take out the oldest response.
    pub(super) fn pop_reply(&mut self) -> Option<Event<'_>> {
        let (ReplyHead { request, decision, from, rtt, last }, bytes) = self.replies.pop()?;
        Some(Event::Response(Answered { request, decision, from, rtt, last, frame: bytes }))
    }

    /// Take out the oldest notice.
    pub(super) fn pop_notice(&mut self) -> Option<Event<'_>> {
        let (head, bytes) = self.notices.pop()?;
        // What is read back here was checked before it was queued, so none of the `?` is ever taken.
        match head {
            Head::Ping { id, encoding, from, zone, decision, trust, source, frame, rule } => {
                let (datagram, name) = bytes.split_at_checked(frame as usize)?;
                let rule = if rule { core::str::from_utf8(name).ok() } else { None };
                Some(Event::Ping(Received { id, encoding, from, zone, decision, trust, source, rule, frame: datagram }))
            }
            Head::Decided { id, outcome, open, packet_id } => {
                let (packet_id, did) = bytes.split_at_checked(packet_id as usize)?;
                let packet_id = core::str::from_utf8(packet_id).ok()?;
                let source_did = core::str::from_utf8(did).ok()?;
                Some(Event::Decided(Decided { id, packet_id, source_did, outcome, open }))
            }
            Head::Heartbeat { route } => Some(Event::Heartbeat { did: core::str::from_utf8(bytes).ok()?, route }),
            Head::PeerSeen { route } => Some(Event::PeerSeen { did: core::str::from_utf8(bytes).ok()?, route }),
            Head::PeerLost => Some(Event::PeerLost { did: core::str::from_utf8(bytes).ok()? }),
        }
    }
}
