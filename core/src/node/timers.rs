//! What happens by the clock: rounds of heartbeats, and the removal of peers that are silent.

use crate::time::{Duration, Instant, Reason};

/// The latest time that the node was told, and its two recurring rounds. A round is planned only while there is somebody in it.
#[derive(Debug)]
pub(super) struct Timers {
    now: Instant,
    heartbeat: Option<Duration>,
    heartbeat_at: Option<Instant>,
    /// How many peers this round of heartbeats still has to reach.
    heartbeats_left: usize,
    cleanup: Duration,
    cleanup_at: Option<Instant>,
    cleaning: bool,
}

impl Timers {
    /// Nothing is planned. Heartbeats every so often, if at all, and removals.
    pub(super) const fn new(heartbeat: Option<Duration>, cleanup: Duration) -> Self {
        Self {
            now: Instant::ZERO,
            heartbeat,
            heartbeat_at: None,
            heartbeats_left: 0,
            cleanup,
            cleanup_at: None,
            cleaning: false,
        }
    }

    /// The latest time that the node was told.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// The node is told the time; it never goes back.
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Somebody is to hear heartbeats from now on.
    pub(super) fn plan_heartbeats(&mut self, now: Instant) {
        if let (None, Some(interval)) = (self.heartbeat_at, self.heartbeat) {
            self.heartbeat_at = Some(now + interval);
        }
    }

    /// There are peers that may become silent.
    pub(super) fn plan_cleanup(&mut self, now: Instant) {
        if self.cleanup_at.is_none() {
            self.cleanup_at = Some(now + self.cleanup);
        }
    }

    /// Start the round of heartbeats if it is due, for so many peers; the next is planned if there are any.
    pub(super) fn start_heartbeats(&mut self, peers: usize) {
        if self.heartbeat_at.is_some_and(|at| at <= self.now) {
            self.heartbeats_left = peers;
            self.heartbeat_at = None;
            if peers > 0 {
                self.plan_heartbeats(self.now);
            }
        }
    }

    /// Whether the removal of silent peers is due.
    pub(super) fn is_cleanup_due(&self) -> bool {
        self.cleanup_at.is_some_and(|at| at <= self.now)
    }

    /// Start it if any peer is silent; the next is planned if there are peers.
    pub(super) fn start_cleanup(&mut self, any_stale: bool, any_peer: bool) {
        self.cleaning = any_stale;
        self.cleanup_at = None;
        if any_peer {
            self.plan_cleanup(self.now);
        }
    }

    /// Whether silent peers are being removed.
    pub(super) const fn is_cleaning(&self) -> bool {
        self.cleaning
    }

    /// No silent peer is left.
    pub(super) const fn end_cleanup(&mut self) {
        self.cleaning = false;
    }

    /// How many heartbeats this round still has to send.
    pub(super) const fn heartbeats_left(&self) -> usize {
        self.heartbeats_left
    }

    /// One heartbeat was sent; or there was nobody left to send one to, and the round is over.
    pub(super) const fn heartbeat_sent(&mut self, sent: bool) {
        self.heartbeats_left = if sent { self.heartbeats_left.saturating_sub(1) } else { 0 };
    }

    /// When the rounds are due.
    pub(super) const fn deadlines(&self) -> [(Option<Instant>, Reason); 2] {
        [(self.heartbeat_at, Reason::Heartbeat), (self.cleanup_at, Reason::PeerCleanup)]
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;
    use crate::time::{Duration, Instant};

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn rounds_are_planned_only_while_somebody_is_in_them() {
        let mut timers = Timers::new(Some(Duration::from_secs(30)), Duration::from_secs(45));
        assert_eq!(timers.deadlines().map(|(at, _)| at), [None, None]);
        timers.plan_heartbeats(at(1));
        timers.plan_heartbeats(at(9));
        timers.plan_cleanup(at(1));
        assert_eq!(timers.deadlines().map(|(at, _)| at), [Some(at(31)), Some(at(46))]);
        timers.advance(at(31));
        timers.advance(at(3));
        timers.start_heartbeats(2);
        assert_eq!((timers.now(), timers.heartbeats_left(), timers.is_cleanup_due()), (at(31), 2, false));
        timers.heartbeat_sent(true);
        timers.heartbeat_sent(false);
        assert_eq!(timers.heartbeats_left(), 0);
        timers.advance(at(100));
        timers.start_heartbeats(0);
        assert!(timers.is_cleanup_due());
        timers.start_cleanup(true, false);
        assert!(timers.is_cleaning());
        timers.end_cleanup();
        assert_eq!((timers.is_cleaning(), timers.deadlines().map(|(at, _)| at)), (false, [None, None]));
    }
}
