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

    /// How many waiting pings the sender has that has most.
    pub(crate) fn most_waiting_of_one(&self) -> u32 {
        self.state.quota.most()
    }
}
