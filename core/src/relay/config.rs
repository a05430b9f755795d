//! How a relay behaves, and how much it may hold.

use crate::time::Duration;

/// To how many neighbours one ping goes at most, whatever the configuration says.
pub const MAX_FANOUT: usize = 4;

/// So many a second on average, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Sustained rate, per second. 0 lets nothing through.
    pub per_second: u32,
    /// How many may come at once after a time of silence. 0 lets nothing through.
    pub burst: u32,
}

impl Rate {
    /// Both numbers.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second, burst }
    }

    /// The same, so many times as fast.
    pub(super) const fn times(self, factor: u32) -> Self {
        Self { per_second: self.per_second.saturating_mul(factor), burst: self.burst.saturating_mul(factor) }
    }

    /// The same in nanoseconds.
    pub(super) const fn pace(self) -> Pace {
        // Rounded up, so that what is let through is never more than the rate. Above 10^9 a second there is no limit but that.
        let each = match self.per_second {
            0 => u64::MAX,
            rate => 1_000_000_000_u64.div_ceil(rate as u64),
        };
        Pace { each, burst: each.saturating_mul(self.burst as u64) }
    }
}

/// A [`Rate`] in nanoseconds: of each one, and of as many as may come at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) each: u64,
    pub(super) burst: u64,
}

impl Pace {
    /// What sources that prove nothing get of it all together: the last sixteenth is for those that do.
    pub(super) fn for_strangers(self) -> Self {
        Self { burst: (self.burst - self.burst / 16).max(self.each), ..self }
    }

    /// What they get of it over one link: half.
    pub(super) fn for_one_link(self) -> Self {
        let each = self.each.saturating_mul(2);
        Self { each, burst: self.burst.max(each) }
    }
}

/// How many of so many places sources have that prove nothing: all together, and over one link. As with [rates](Pace).
pub(super) const fn for_strangers(places: usize) -> [usize; 2] {
    let all = places - places / 16;
    [all, if places > 1 { places / 2 } else { all }]
}

/// How a [`Relay`](super::Relay) behaves, and how much it may hold. Every number of entries is a hard cap.
///
/// Of what all sources share (the rate of a target, ways back, circuits) those that [prove](super::Transit::proven) nothing get 15 of 16
/// parts together, and half over one link; what counts for one source counts for one that proves nothing on each link by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// Most hops that a ping may have travelled when it leaves here, whatever its own `max_hops` says. Default 16.
    pub max_hops: u8,
    /// To how many neighbours a ping goes whose way is not known; to one more for each known next hop over which its source had no
    /// answer a moment ago. Default 2, at least 1; together at most [`MAX_FANOUT`].
    pub fanout: u8,
    /// From so many relays between here and the target on, a ping goes over two next hops that were learned and not over one: the longer a way, the likelier something is lost on it. Only
    /// where nobody has answered over the first one lately. Default 3.
    pub twice_from: u8,
    /// Pings of one source DID that is proven, and of one that is not from each address. Default 50/s, 100 at once.
    pub source_rate: Rate,
    /// Pings for one target DID. Default 200/s, 400 at once, and half of these from sources that are not proven: beside a flood under many names there is room for who
    /// is.
    pub target_rate: Rate,
    /// Pings and answers over one link, that is from one address of a neighbour. Default 2,000/s, 4,000 at once, and half of these from sources that are not proven.
    pub link_rate: Rate,
    /// How many times these rates a name has that holds a reservation. Default 4.
    pub reserved_factor: u32,
    /// How many names or addresses each of the five quotas counts (sources that are proven, others, targets, what others have of a target over each link, links) at once. Default 4,096.
    pub max_rates: usize,
    /// How long a forwarded ping is remembered, so that it is not forwarded again. Default 60 s, more than a stamp lives.
    pub seen_for: Duration,
    /// How many forwarded pings are remembered; the oldest is forgotten for a new one. Default 16,384.
    pub max_seen: usize,
    /// How long the way back is kept open for a first answer. Default 10 s, the time that a node waits for one.
    pub answer_within: Duration,
    /// The same for the decision, after an answer that said `pending`. Default 300 s.
    pub decision_within: Duration,
    /// After how long without an answer the next ping of the same source to the same target takes another way. Default 3 s.
    pub patience: Duration,
    /// For how long the way that failed is avoided. Default 30 s.
    pub avoid_for: Duration,
    /// How many ways back are open at once, half of them at most for sources that are not proven. Default 4,096.
    pub max_open: usize,
    /// How many of them for one source DID. Default 256.
    pub max_open_per_source: usize,
    /// How long a next hop that was learned counts. Default 90 s, as long as a peer that is silent.
    pub route_for: Duration,
    /// How many next hops are learned; the one that was heard of longest ago is forgotten for a new one. Default 16,384.
    pub max_routes: usize,
    /// How many neighbours there are to choose from. Default 64.
    pub max_neighbours: usize,
    /// How many names hold a reservation at once. Default 128.
    pub max_reservations: usize,
    /// How many of them from one IP address. Default 8.
    pub max_reservations_per_address: usize,
    /// How long a reservation lasts if it is not renewed. Default 1 h.
    pub reservation_for: Duration,
    /// How many circuits there are at once; where there is no room for one more of a source that is proven, the one of all others
    /// makes way that was not used for longest. Default 256.
    pub max_circuits: usize,
    /// How many of them one source has asked for; the one that it did not use for longest makes way. Default 32.
    pub max_circuits_per_source: usize,
    /// After how long without a packet a circuit is over. Default 180 s, as a session.
    pub circuit_idle: Duration,
    /// Bytes of one circuit, both directions together. Default 1 MiB/s, 1 MiB at once.
    pub circuit_rate: Rate,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            max_hops: 16,
            fanout: 2,
            twice_from: 3,
            source_rate: Rate::new(50, 100),
            target_rate: Rate::new(200, 400),
            link_rate: Rate::new(2000, 4000),
            reserved_factor: 4,
            max_rates: 4096,
            seen_for: Duration::from_secs(60),
            max_seen: 16_384,
            answer_within: Duration::from_secs(10),
            decision_within: Duration::from_secs(300),
            patience: Duration::from_secs(3),
            avoid_for: Duration::from_secs(30),
            max_open: 4096,
            max_open_per_source: 256,
            route_for: Duration::from_secs(90),
            max_routes: 16_384,
            max_neighbours: 64,
            max_reservations: 128,
            max_reservations_per_address: 8,
            reservation_for: Duration::from_secs(3600),
            max_circuits: 256,
            max_circuits_per_source: 32,
            circuit_idle: Duration::from_secs(180),
            circuit_rate: Rate::new(1 << 20, 1 << 20),
        }
    }
}
