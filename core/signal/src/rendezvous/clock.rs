//! Whether our wall clock is right, by the stamps of peers.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::key::PublicKey;

/// Peers whose stamps are looked at: the latest.
const PEERS: usize = 8;
/// Seconds that are nothing to speak of.
const SLACK: i64 = 30;

/// By how much the clocks of peers differ from ours.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// Seconds that ours is ahead of each.
    ahead: VecDeque<(PublicKey, i64)>,
    /// What was told.
    told: i64,
}

impl Clocks {
    /// A peer that we know stamped something just now. What there is to be told of it: by how much we are ahead of most of them.
    pub(super) fn note(&mut self, peer: PublicKey, theirs: u64, ours: u64) -> Option<i64> {
        let signed = |seconds| i64::try_from(seconds).unwrap_or(i64::MAX);
        let ahead = signed(ours).saturating_sub(signed(theirs));
        self.ahead.retain(|(known, _)| *known != peer);
        self.ahead.push_back((peer, ahead));
        if self.ahead.len() > PEERS {
            self.ahead.pop_front();
        }
        let mut sorted: Vec<i64> = self.ahead.iter().map(|(_, ahead)| *ahead).collect();
        sorted.sort_unstable();
        let median = *sorted.get(sorted.len() / 2)?;
        let off = if median.unsigned_abs() > SLACK.unsigned_abs() { median } else { 0 };
        if off.abs_diff(self.told) <= SLACK.unsigned_abs() {
            return None;
        }
        self.told = off;
        Some(off)
    }
}

#[cfg(test)]
mod tests {
    use sluis_core::Seed;

    use super::*;
    use crate::key::SecretKey;

    #[test]
    fn a_clock_that_is_off_is_told_once_and_when_it_changes() {
        let key = |n| SecretKey::generate(&mut Seed::from_u64(n).fork("key")).public();
        let mut clocks = Clocks::default();
        assert_eq!([clocks.note(key(1), 1000, 1010), clocks.note(key(1), 1000, 1600)], [None, Some(600)]);
        assert_eq!([clocks.note(key(1), 1001, 1601), clocks.note(key(1), 1000, 1615)], [None, None]);
        // Most of them count.
        assert_eq!([clocks.note(key(2), 1000, 1600), clocks.note(key(3), 1000, 9000)], [None, None]);
        // It was set.
        assert_eq!([clocks.note(key(1), 1000, 1000), clocks.note(key(2), 1000, 999)], [None, Some(0)]);
        assert_eq!(clocks.note(key(4), u64::MAX, 0), None);
    }
}
