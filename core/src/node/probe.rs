//! What a simulation looks at in a node, without the cost of what it does not look at.

use super::stats::Tables;
use super::{Node, Rooms};

impl Node {
    /// Datagrams received, and the sum of what became of them.
    #[inline]
    pub(crate) fn books(&self) -> (u64, u64) {
        let (received, sum) = self.rooms.traffic.books();
        (received, sum + self.rooms.lan.as_ref().map_or(0, |lan| lan.heard()))
    }

    /// What the tables hold.
    #[inline]
    pub(crate) fn tables(&self) -> Tables {
        self.rooms.tables()
    }

    /// What the tables hold that is bounded besides their entries: what it is, how much there is, and how much there may be.
    pub(crate) fn bounds(&self) -> [(&'static str, usize, usize); 6] {
        let (rooms, caps, replay) = (&self.rooms, &self.config.caps, &self.config.replay);
        let most = caps.waiting_per_sender.max(caps.waiting_per_name).max(caps.waiting_per_address);
        let (events, transmits) = (rooms.events.storage(), rooms.outbox.storage());
        [
            ("bytes of nonces", rooms.admission.replay().heap_bytes(), replay.max_bytes),
            ("senders of nonces", rooms.admission.replay().senders(), replay.max_senders),
            ("bytes of peers", rooms.peers.heap_bytes(), caps.peer_bytes),
            ("bytes of events", events, 2 * caps.event_bytes),
            ("bytes of transmits", transmits, caps.transmit_bytes),
            ("pings of one sender, name or address wait", rooms.inbox.most_of_one() as usize, most as usize),
        ]
    }

    /// How many levels [`touch`](Self::touch) has.
    pub(crate) const LEVELS: u32 = 4;

    /// Read something of every line of memory that the next datagram or timer will need. Each level is found by way of the
    /// one before: the node, the rows of its tables, the rest of long rows, the texts in them. The result means nothing.
    #[inline]
    pub(crate) fn touch(&self, level: u32) -> u64 {
        let Rooms { admission, peers, client, inbox, events, outbox, timers, traffic, .. } = &self.rooms;
        let policy = &self.policy;
        let replay = admission.replay();
        let tables = replay.touch(level) ^ peers.touch(level) ^ policy.trust.touch(level) ^ client.touch(level);
        let fields = if level == 0 {
            let (gate, room) = (policy.gate.config().rood.to_bits(), inbox.waiting_len() ^ inbox.open_len());
            let queues = events.len() ^ outbox.len() ^ usize::from(policy.legacy.allows(""));
            let more = usize::from(events.room_for_notices(0, 0));
            let rounds = timers.heartbeats_left() ^ usize::from(timers.is_cleaning()) ^ more;
            let node = timers.now().as_nanos() ^ self.config.heartbeat_encoding as u64;
            let (received, rest) = traffic.books();
            node ^ gate ^ received ^ rest ^ outbox.counts().0 ^ (room ^ queues ^ rounds) as u64
        } else if level == 1 {
            outbox.did().as_bytes().first().copied().unwrap_or(0).into()
        } else {
            0
        };
        tables ^ fields
    }
}
