//! What a simulation looks at in a node, without the cost of what it does not look at.

use super::Node;
use super::event::{Event, PingId};
use super::requests::RequestId;
use super::stats::Tables;
use crate::Route;
use crate::framing::{Decision, Text};

/// An [`Event`], as far as a simulation needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    /// A request of ours was answered. The responder's name is there if the datagram was decoded.
    Reply { request: RequestId, from: Route, last: bool, responder: Option<Text<'a>> },
    /// A request of ours ran out of time.
    Timeout { request: RequestId },
    /// A ping wants a decision (pending) or an answer (accept).
    Wants { id: PingId, decision: Decision },
    /// Anything else.
    Other,
}

impl<'a> From<Event<'a>> for Told<'a> {
    fn from(event: Event<'a>) -> Self {
        match event {
            Event::Response(answered) => Self::Reply {
                request: answered.request,
                from: answered.from,
                last: answered.last,
                responder: Some(answered.response.responder_did),
            },
            Event::Timeout { request, .. } => Self::Timeout { request },
            Event::Ping(ping) => match ping.id {
                Some(id) => Self::Wants { id, decision: ping.decision },
                None => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

impl Node {
    /// As [`poll_event`](crate::Machine::poll_event), but datagrams are not decoded a second time.
    pub(crate) fn poll_told(&mut self) -> Option<Told<'_>> {
        if self.state.events.has_reply() {
            return self.state.events.skip_reply();
        }
        if !self.state.has_reply() && self.state.events.has_notice() {
            return self.state.events.skip_notice();
        }
        crate::Machine::poll_event(self).map(Told::from)
    }

    /// Datagrams received, and the sum of what became of them.
    #[inline]
    pub(crate) fn books(&self) -> (u64, u64) {
        let stats = &self.state.stats;
        (stats.received, stats.accepted + stats.waiting + stats.responses + stats.rejected.total())
    }

    /// What the tables hold.
    #[inline]
    pub(crate) fn tables(&self) -> Tables {
        self.state.tables()
    }

    /// How many waiting pings the sender has that has most.
    pub(crate) fn most_waiting_of_one(&self) -> u32 {
        self.state.quota.most()
    }
}
