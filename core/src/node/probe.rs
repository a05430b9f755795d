//! What a simulation looks at in a node, without the cost of what it does not look at.

use super::stats::Tables;
use super::{Node, State};

impl Node {
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

    /// What the tables hold that is bounded besides their entries: what it is, how much there is, and how much there may be.
    pub(crate) fn bounds(&self) -> [(&'static str, usize, usize); 6] {
        let (state, caps, replay) = (&self.state, &self.config.caps, &self.config.replay);
        let most = caps.waiting_per_sender.max(caps.waiting_per_name).max(caps.waiting_per_address);
        let (events, transmits) = (state.events.storage(), state.outbox.storage());
        [
            ("bytes of nonces", state.replay.heap_bytes(), replay.max_bytes),
            ("senders of nonces", state.replay.senders(), replay.max_senders),
            ("bytes of peers", state.peers.heap_bytes(), caps.peer_bytes),
            ("bytes of events", events, 2 * caps.event_bytes),
            ("bytes of transmits", transmits, caps.transmit_bytes),
            ("pings of one sender, name or address wait", state.inbox.most_of_one() as usize, most as usize),
        ]
    }

    /// How many levels [`touch`](Self::touch) has.
    pub(crate) const LEVELS: u32 = 4;

    /// Read something of every line of memory that the next datagram or timer will need. Each level is found by way of the
    /// one before: the node, the rows of its tables, the rest of long rows, the texts in them. The result means nothing.
    #[inline]
    pub(crate) fn touch(&self, level: u32) -> u64 {
        let State { stats, replay, peers, requests, inbox, events, outbox, .. } = &self.state;
        let policy = &self.policy;
        let tables = replay.touch(level) ^ peers.touch(level) ^ policy.trust.touch(level) ^ requests.touch(level);
        let fields = if level == 0 {
            let (gate, room) = (policy.gate.config().rood.to_bits(), inbox.waiting_len() ^ inbox.open_len());
            let queues = events.len() ^ outbox.len() ^ usize::from(policy.legacy.allows(""));
            let more = usize::from(events.room_for_notices(0, 0));
            let timers = self.state.heartbeat.left ^ usize::from(self.state.cleanup.running) ^ more;
            let node = self.state.now.as_nanos() ^ self.config.heartbeat_encoding as u64;
            node ^ gate ^ stats.received ^ stats.rejected.total() ^ stats.transmitted ^ (room ^ queues ^ timers) as u64
        } else if level == 1 {
            self.state.outbox.did().as_bytes().first().copied().unwrap_or(0).into()
        } else {
            0
        };
        tables ^ fields
    }
}
