//! Counters and gauges of a node.

use alloc::boxed::Box;

use super::Rooms;
use super::inbox::Counts;
use super::receive::Taken;
use crate::{Reject, RejectCounts};

/// What a node has done and holds. Counters stop at `u64::MAX`.
///
/// Every datagram is counted once: `received = accepted + waiting + responses + sessions + beacons + forwarded + rejected.total() + held`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams taken in. Of several frames in one packet of a session each counts.
    pub received: u64,
    /// Of those, frames that came behind another one in the same packet.
    pub bundled: u64,
    /// Pings accepted, heartbeats included.
    pub accepted: u64,
    /// Of those, heartbeats.
    pub heartbeats: u64,
    /// Pings put into the waiting room.
    pub waiting: u64,
    /// Responses to requests of ours.
    pub responses: u64,
    /// Datagrams that concerned nothing but a session: handshakes, and packets of its own.
    pub sessions: u64,
    /// Beacons heard on the local network, those of other installations and our own included.
    pub beacons: u64,
    /// Datagrams passed on for others, and answers passed back to them. What went with them [`Node::relay_stats`](super::Node::relay_stats) tells.
    pub forwarded: u64,
    /// Datagrams turned away, by reason.
    pub rejected: RejectCounts,
    /// Datagrams that passed and wait until the store has what they rest on.
    pub held: u64,
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

/// Every datagram that came in, by what became of it: the one table in which all reasons of all rooms are counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    received: u64,
    bundled: u64,
    accepted: u64,
    heartbeats: u64,
    waiting: u64,
    responses: u64,
    sessions: u64,
    forwarded: u64,
    /// Nothing before the first of them: in a quiet network most nodes turn nothing away.
    rejected: Option<Box<RejectCounts>>,
    held: u64,
    /// Peers that made way for others.
    peers_displaced: u64,
}

impl Traffic {
    /// Count a datagram, and what became of it.
    pub(super) fn count(&mut self, taken: Result<Taken, Reject>) {
        let add = |n: &mut u64| *n = n.saturating_add(1);
        add(&mut self.received);
        self.count_outcome(taken);
    }

    /// Count a frame that has more behind it in the same packet, and what became of it.
    pub(super) fn count_bundled(&mut self, taken: Result<Taken, Reject>) {
        self.bundled = self.bundled.saturating_add(1);
        self.count(taken);
    }

    /// Count what became of one that was held.
    pub(super) fn count_held(&mut self, taken: Result<Taken, Reject>) {
        self.held = self.held.saturating_sub(1);
        self.count_outcome(taken);
    }

    fn count_outcome(&mut self, taken: Result<Taken, Reject>) {
        let add = |n: &mut u64| *n = n.saturating_add(1);
        match taken {
            Ok(Taken::Accepted) => add(&mut self.accepted),
            Ok(Taken::Heartbeat) => {
                add(&mut self.accepted);
                add(&mut self.heartbeats);
            }
            Ok(Taken::Waiting) => add(&mut self.waiting),
            Ok(Taken::Response) => add(&mut self.responses),
            Ok(Taken::Held) => add(&mut self.held),
            Ok(Taken::Session) => add(&mut self.sessions),
            Ok(Taken::Forwarded) => add(&mut self.forwarded),
            // Counted where they are taken in.
            Ok(Taken::Beacon) => {}
            Err(why) => self.rejected.get_or_insert_default().count(why),
        }
    }

    /// Count a peer that made way for another.
    pub(super) const fn count_displaced_peer(&mut self) {
        self.peers_displaced = self.peers_displaced.saturating_add(1);
    }

    /// Datagrams received, and the sum of what became of them; of several frames in one packet one counts.
    #[cfg(feature = "sim")]
    #[inline]
    pub(super) fn books(&self) -> (u64, u64) {
        (
            self.received - self.bundled,
            self.accepted
                + self.waiting
                + self.responses
                + self.sessions
                + self.forwarded
                + self.rejected.as_ref().map_or(0, |rejected| rejected.total())
                + self.held
                - self.bundled,
        )
    }
}

impl Rooms {
    /// What all rooms have counted and hold.
    pub(super) fn stats(&self) -> Stats {
        let Traffic {
            received,
            bundled,
            accepted,
            heartbeats,
            waiting,
            responses,
            sessions,
            forwarded,
            ref rejected,
            held,
            peers_displaced,
        } = self.traffic;
        // What was given up while it waited for its session counts as if it had been handed out.
        let lost = self.links.as_ref().map_or(0, |links| links.lost());
        let of_circuits = self.circuits.as_ref().map_or(0, |circuits| circuits.lost());
        let ((transmitted, unsent), (requests, timeouts)) = (self.outbox.counts(), self.client.counts());
        let Counts { approved, refused, expired, displaced, unanswered } = self.inbox.counts();
        Stats {
            received,
            bundled,
            accepted,
            heartbeats,
            waiting,
            responses,
            sessions,
            beacons: self.lan.as_ref().map_or(0, |lan| lan.heard()),
            forwarded,
            rejected: rejected.as_deref().copied().unwrap_or_default(),
            held,
            transmitted: transmitted.saturating_add(lost),
            unsent: unsent.saturating_add(lost).saturating_add(of_circuits),
            requests,
            timeouts,
            approved,
            refused,
            expired,
            displaced,
            peers_displaced,
            unanswered,
            tables: self.tables(),
        }
    }

    /// How full the tables are.
    pub(super) fn tables(&self) -> Tables {
        Tables {
            peers: self.peers.len(),
            waiting: self.inbox.waiting_len(),
            open: self.inbox.open_len(),
            requests: self.client.len(),
            nonces: self.admission.nonces(),
            events: self.events.len(),
            transmits: self.outbox.len(),
            sessions: self.links.as_ref().map_or(0, |links| links.len()),
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
    /// Sessions, those included that are not up yet.
    pub sessions: usize,
}
