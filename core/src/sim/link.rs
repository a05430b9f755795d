//! What happens to a datagram between two nodes.

use super::rng::SimRng;
use crate::time::Duration;

/// How a link loses datagrams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each by itself with this probability.
    Random(f64),
    /// In bursts (Gilbert-Elliott): a good link turns bad with probability `enter` at each datagram, a bad one good with
    /// `leave`; a good one loses with probability `good`, a bad one with `bad`.
    Bursts {
        /// From good to bad.
        enter: f64,
        /// From bad to good.
        leave: f64,
        /// Loss while good.
        good: f64,
        /// Loss while bad.
        bad: f64,
    },
}

/// What a link does to datagrams, in each direction by itself. Start from [`LinkConfig::perfect`] or
/// [`LinkConfig::light`] and change what differs.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Time from one end to the other.
    pub latency: Duration,
    /// Up to this much more, for each datagram anew.
    pub jitter: Duration,
    /// Datagrams that never arrive.
    pub loss: Loss,
    /// Probability that a datagram arrives twice.
    pub duplicate: f64,
    /// Probability that a datagram takes up to four times as long, so that later ones overtake it.
    pub reorder: f64,
    /// Probability that a few bits of a datagram change. (Real UDP finds most of that by its checksum.)
    pub corrupt: f64,
    /// Longest datagram that passes, in bytes; longer ones are lost, as on a path that forbids fragments. (The adapters
    /// let the system fragment; such a path is `usize::MAX`.)
    pub mtu: usize,
    /// Bytes a second; `None` is any number.
    pub bandwidth: Option<u64>,
    /// Bytes that may wait for the bandwidth; beyond, datagrams are lost.
    pub queue: u64,
}

impl LinkConfig {
    /// Everything arrives once, in order, after `latency`.
    #[must_use]
    pub const fn perfect(latency: Duration) -> Self {
        Self {
            latency,
            jitter: Duration::ZERO,
            loss: Loss::Random(0.0),
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            mtu: usize::MAX,
            bandwidth: None,
            queue: u64::MAX,
        }
    }

    /// A decent link with a few of every fault.
    #[must_use]
    pub const fn light(latency: Duration, jitter: Duration) -> Self {
        Self {
            jitter,
            loss: Loss::Random(0.002),
            duplicate: 0.002,
            reorder: 0.005,
            corrupt: 0.001,
            ..Self::perfect(latency)
        }
    }

    /// A bad link: bursts of loss, little bandwidth, a short queue, a low MTU, and much of every other fault.
    #[must_use]
    pub const fn bad(latency: Duration) -> Self {
        Self {
            jitter: latency,
            loss: Loss::Bursts { enter: 0.02, leave: 0.2, good: 0.01, bad: 0.7 },
            duplicate: 0.05,
            reorder: 0.1,
            corrupt: 0.02,
            mtu: 1200,
            bandwidth: Some(20_000),
            queue: 4_000,
            ..Self::perfect(latency)
        }
    }
}

/// What one direction of a link remembers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkState {
    /// Virtual time until which it is busy with what was sent before.
    busy: u64,
    /// In a burst of loss.
    bad: bool,
}

/// Why a datagram did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Lost on the way.
    Link,
    /// Longer than the MTU.
    Mtu,
    /// The queue for the bandwidth was full.
    Queue,
    /// The two ends were in different parts of a partitioned network.
    Partition,
    /// The receiver was down.
    Down,
    /// An adversary on the path swallowed it.
    Swallowed,
    /// There is no such address, or no link to it.
    NoRoute,
}

/// What becomes of one datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Journey {
    /// When it arrives.
    pub(super) at: u64,
    /// When it arrives once more.
    pub(super) again: Option<u64>,
    /// Some of its bits change.
    pub(super) corrupt: bool,
}

impl LinkState {
    /// Send a datagram of `len` bytes at virtual time `now`.
    pub(super) fn carry(
        &mut self,
        config: &LinkConfig,
        now: u64,
        len: usize,
        rng: &mut SimRng,
    ) -> Result<Journey, Lost> {
        if len > config.mtu {
            return Err(Lost::Mtu);
        }
        let mut sent = now;
        if let Some(bandwidth) = config.bandwidth {
            let bandwidth = bandwidth.max(1);
            let start = self.busy.max(now);
            let waiting = (u128::from(start - now) * u128::from(bandwidth) / 1_000_000_000) as u64;
            if waiting.saturating_add(len as u64) > config.queue {
                return Err(Lost::Queue);
            }
            sent = start.saturating_add((len as u64).saturating_mul(1_000_000_000) / bandwidth);
            self.busy = sent;
        }
        if self.loses(config.loss, rng) {
            return Err(Lost::Link);
        }
        let mut at = sent.saturating_add(self.delay(config, rng));
        if rng.chance(config.reorder) {
            at = at.saturating_add(rng.below(nanos(config.latency).saturating_mul(3)));
        }
        let again =
            if rng.chance(config.duplicate) { Some(sent.saturating_add(self.delay(config, rng))) } else { None };
        Ok(Journey { at, again, corrupt: rng.chance(config.corrupt) })
    }

    fn loses(&mut self, loss: Loss, rng: &mut SimRng) -> bool {
        match loss {
            Loss::Random(probability) => rng.chance(probability),
            Loss::Bursts { enter, leave, good, bad } => {
                if rng.chance(if self.bad { leave } else { enter }) {
                    self.bad = !self.bad;
                }
                rng.chance(if self.bad { bad } else { good })
            }
        }
    }

    fn delay(&self, config: &LinkConfig, rng: &mut SimRng) -> u64 {
        let jitter = nanos(config.jitter);
        nanos(config.latency).saturating_add(if jitter > 0 { rng.below(jitter) } else { 0 })
    }
}

/// A duration of less than 584 years in nanoseconds.
pub(super) fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{LinkConfig, LinkState, Loss, Lost, SimRng};
    use crate::Seed;
    use crate::time::Duration;

    const MS: u64 = 1_000_000;

    fn rng() -> SimRng {
        SimRng::new(&Seed::from_u64(1), "link")
    }

    #[test]
    fn faults_come_as_often_as_they_should() {
        let mut config = LinkConfig::perfect(Duration::from_millis(10));
        config.jitter = Duration::from_millis(5);
        (config.loss, config.duplicate, config.corrupt) = (Loss::Random(0.1), 0.2, 0.05);
        let (mut rng, mut link) = (rng(), LinkState::default());
        let (mut lost, mut twice, mut corrupt) = (0, 0, 0);
        for _ in 0..100_000 {
            match link.carry(&config, 0, 300, &mut rng) {
                Err(why) => {
                    assert_eq!(why, Lost::Link);
                    lost += 1;
                }
                Ok(journey) => {
                    assert!((10 * MS..15 * MS).contains(&journey.at));
                    twice += u32::from(journey.again.is_some());
                    corrupt += u32::from(journey.corrupt);
                }
            }
        }
        assert!((9_500..10_500).contains(&lost), "{lost}");
        assert!((17_000..19_000).contains(&twice), "{twice}");
        assert!((4_200..4_800).contains(&corrupt), "{corrupt}");
    }

    #[test]
    fn bursts_lose_in_a_row() {
        let mut config = LinkConfig::perfect(Duration::from_millis(10));
        config.loss = Loss::Bursts { enter: 0.01, leave: 0.1, good: 0.0, bad: 1.0 };
        let (mut rng, mut link) = (rng(), LinkState::default());
        let lost: std::vec::Vec<bool> = (0..100_000).map(|_| link.carry(&config, 0, 1, &mut rng).is_err()).collect();
        let total = lost.iter().filter(|l| **l).count();
        let bursts = lost.windows(2).filter(|w| !w[0] && w[1]).count();
        assert!((8_000..10_500).contains(&total), "{total}");
        assert!((7..13).contains(&(total / bursts)), "{total} {bursts}");
    }

    #[test]
    fn bandwidth_queue_and_mtu_limit() {
        let mut config = LinkConfig::perfect(Duration::from_millis(10));
        (config.bandwidth, config.queue, config.mtu) = (Some(1_000), 2_500, 1_000);
        let (mut rng, mut link) = (rng(), LinkState::default());
        let mut carry = |len| link.carry(&config, 0, len, &mut rng).map(|j| j.at);
        assert_eq!(carry(1_001), Err(Lost::Mtu));
        assert_eq!(carry(1_000), Ok(1_010 * MS));
        assert_eq!(carry(1_000), Ok(2_010 * MS));
        assert_eq!(carry(501), Err(Lost::Queue));
        assert_eq!(carry(500), Ok(2_510 * MS));
    }
}
