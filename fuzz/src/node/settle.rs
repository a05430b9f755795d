//! The end of a run: everything that is open comes to an end, once.

use sluis_core::node::Reply;
use sluis_core::{Duration, Machine, Wants};

use super::build;
use super::ops::{self, Sent};
use super::world::World;

/// The number of a sender that is trusted a little.
const GEEL: u8 = 1;

/// More than any deadline of the node is away.
const LONG: Duration = Duration::from_secs(1000);

impl World {
    /// Let everything run out, as a driver would: to each deadline in turn. Then the books must balance.
    pub(super) fn settle(&mut self) {
        self.drain();
        self.check();
        let end = self.now.mono + LONG;
        let mut wakes = 0;
        while let Some((at, _)) = self.node.wants().at {
            if at > end {
                break;
            }
            wakes += 1;
            assert!(wakes < 1000, "woken {wakes} times in {LONG:?}");
            self.pass(at.saturating_since(self.now.mono));
            self.drain();
            self.check();
        }
        self.balance();
        self.serves();
    }

    /// Whatever happened, a day later the node takes in as many pings of one sender as may wait, and tells each.
    fn serves(&mut self) {
        self.now.wall = self.latest.max(self.now.wall);
        self.pass(Duration::from_secs(86_400));
        for id in 0..6 {
            self.node.remove_rule(&ops::rule_id(id));
        }
        for n in 0..12 {
            self.node.remove_trust(&ops::did(n));
        }
        // What a sender could not be sent once it is let in keeps its ping out.
        for n in 0..6 {
            let _ = self.node.set_reply(&ops::pattern(n), Reply::Later);
        }
        self.node.set_trust(&ops::did(GEEL), 0.5).expect("there is room");
        for n in 0..2 {
            let waiting = self.tables().waiting;
            let sent = Sent { sender: GEEL, target: 2, kind: 1, id: n, nonce: 200 + n, ..Sent::default() };
            self.receive(ops::path(0), &build::ping(&sent, self.now.wall));
            assert_eq!(self.tables().waiting, waiting + 1, "{:?}", self.node.stats());
            self.drain();
            self.check();
        }
    }

    fn balance(&self) {
        let (stats, ledger) = (self.node.stats(), &self.ledger);
        let (tables, counts) = (stats.tables, &ledger.counts);
        assert_eq!((tables.requests, tables.waiting, tables.open, tables.peers), (0, 0, 0, 0));
        assert_eq!(self.node.wants(), Wants::NOTHING, "nothing is left to wait for");
        assert_eq!(counts.pings, stats.accepted - stats.heartbeats + stats.waiting);
        assert_eq!(counts.decided, stats.approved + stats.refused + stats.expired + stats.displaced);
        assert_eq!(counts.decided, stats.waiting, "every waiting ping is decided once");
        assert_eq!(counts.responses, stats.responses);
        assert_eq!(counts.timeouts, stats.timeouts);
        assert_eq!(counts.unanswered, stats.unanswered);
        assert!(ledger.requests.iter().all(|asked| asked.over && asked.queued == 0), "a request never ended");
        assert!(ledger.waiting.is_empty() && ledger.open.is_empty() && ledger.approved.is_empty());
        assert!(ledger.asked.is_empty() && ledger.due.values().all(|due| due.count == 0), "something was not sent");
        assert!(ledger.peers.is_empty(), "a peer was seen and never lost: {:?}", ledger.peers);
    }
}
