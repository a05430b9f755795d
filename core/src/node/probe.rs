//! What a simulation looks at in a node, without the cost of what it does not look at.

use super::Node;
use super::stats::Tables;

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
        let (events, transmits) = (state.events.storage(), state.out.storage());
        [
            ("bytes of nonces", state.replay.heap_bytes(), replay.max_bytes),
            ("senders of nonces", state.replay.senders(), replay.max_senders),
            ("bytes of peers", state.peers.heap_bytes(), caps.peer_bytes),
            ("bytes of events", events, 2 * caps.event_bytes),
            ("bytes of transmits", transmits, caps.transmit_bytes),
            ("pings of one sender wait", state.quota.most() as usize, caps.waiting_per_sender as usize),
        ]
    }
}
