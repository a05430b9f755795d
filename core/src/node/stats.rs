//! Counters and gauges of a node.

use super::receive::Taken;
use crate::{Reject, RejectCounts};

/// What a node has done and holds. Counters stop at `u64::MAX`.
///
/// Every datagram is counted once: `received = accepted + waiting + responses + rejected.total()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams taken in.
    pub received: u64,
    /// Pings accepted, heartbeats included.
    pub accepted: u64,
    /// Of those, heartbeats.
    pub heartbeats: u64,
    /// Pings put into the waiting room.
    pub waiting: u64,
    /// Responses to requests of ours.
    pub responses: u64,
    /// Datagrams turned away, by reason.
    pub rejected: RejectCounts,
    /// Datagrams handed to the driver.
    pub transmitted: u64,
    /// Of those, datagrams that did not leave.
    pub unsent: u64,
    /// Requests of ours made.
    pub requests: u64,
    /// Requests of ours that ran out of time.
    pub timeouts: u64,
    /// Waiting pings approved.
    pub approved: u64,
    /// Waiting pings refused.
    pub refused: u64,
    /// Waiting pings that nobody decided in time.
    pub expired: u64,
    /// Waiting pings that made way, undecided, for one of somebody better known.
    pub displaced: u64,
    /// Peers that had proven nothing and made way for another.
    pub peers_displaced: u64,
    /// Accepted pings that the application did not answer in time.
    pub unanswered: u64,
    /// Gauges: what the tables hold now.
    pub tables: Tables,
}

impl Stats {
    /// Count a datagram, and what became of it.
    pub(super) fn count(&mut self, taken: Result<Taken, Reject>) {
        let add = |n: &mut u64| *n = n.saturating_add(1);
        add(&mut self.received);
        match taken {
            Ok(Taken::Accepted) => add(&mut self.accepted),
            Ok(Taken::Heartbeat) => {
                add(&mut self.accepted);
                add(&mut self.heartbeats);
            }
            Ok(Taken::Waiting) => add(&mut self.waiting),
            Ok(Taken::Response) => add(&mut self.responses),
            Err(why) => self.rejected.count(why),
        }
    }
}

/// How many entries each table of a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tables {
    /// Peers.
    pub peers: usize,
    /// Pings waiting for a decision.
    pub waiting: usize,
    /// Accepted pings waiting for the application's answer.
    pub open: usize,
    /// Requests of ours waiting for an answer.
    pub requests: usize,
    /// Nonces remembered against replays.
    pub nonces: usize,
    /// Events waiting to be polled.
    pub events: usize,
    /// Datagrams waiting to be sent.
    pub transmits: usize,
}
