//! The sliding window of one key: which counters were taken.

use alloc::boxed::Box;

use super::SessionReject;

/// How far a packet may be behind the newest one, in packets.
pub(super) const WIDTH: u64 = 2048;

const WORDS: usize = 32;

/// Exactly the last [`WIDTH`] counters up to the newest one that was taken.
///
/// The last 64 are a word. As long as nothing is missing behind them, all that is older was taken and needs no memory; the first time
/// a counter leaves that word without having been seen, the whole window is made, 256 bytes, and given back by [`narrow`](Self::narrow). A session on a path that loses nothing never has it.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// The newest counter that was taken, plus one.
    next: u64,
    /// Bit n is counter `next - 1 - n`. What is before the first counter counts as taken.
    recent: u64,
    /// Bit `counter % WIDTH` of a ring.
    wide: Option<Box<[u64; WORDS]>>,
}

impl Window {
    pub(super) const fn new() -> Self {
        Self { next: 0, recent: u64::MAX, wide: None }
    }

    /// Whether a packet with this counter may be taken. Changes nothing.
    pub(super) fn check(&self, counter: u64) -> Result<(), SessionReject> {
        let Some(age) = self.next.checked_sub(counter + 1) else { return Ok(()) };
        let taken = match &self.wide {
            _ if age >= WIDTH => true,
            Some(ring) => is_set(ring, counter),
            None => age >= 64 || self.recent >> age & 1 == 1,
        };
        if taken { Err(SessionReject::Replay) } else { Ok(()) }
    }

    /// Take a counter that [`check`](Self::check) lets through; says whether it is the newest now.
    pub(super) fn take(&mut self, counter: u64) -> bool {
        let forward = (counter + 1).saturating_sub(self.next);
        if self.wide.is_none() && self.loses(forward) {
            self.widen();
        }
        match &mut self.wide {
            Some(ring) => {
                for skipped in (counter.saturating_sub(forward.min(WIDTH).saturating_sub(1)))..counter {
                    put(ring, skipped, false);
                }
                put(ring, counter, true);
            }
            None if forward > 0 => self.recent = self.recent.checked_shl(forward_bits(forward)).unwrap_or(0) | 1,
            None => self.recent |= 1 << (self.next - 1 - counter),
        }
        self.next += forward;
        forward > 0
    }

    /// Whether it holds the whole window.
    pub(super) const fn is_wide(&self) -> bool {
        self.wide.is_some()
    }

    /// Give the whole window back: counters that are missing behind the last 64 count as taken from now on.
    pub(super) fn narrow(&mut self) {
        let Some(ring) = self.wide.take() else { return };
        let missing = (0..self.next.min(64)).filter(|age| !is_set(&ring, self.next - 1 - age));
        self.recent = missing.fold(u64::MAX, |recent, age| recent & !(1 << age));
    }

    /// Whether a counter that is missing would leave the recent ones by going so far forward.
    const fn loses(&self, forward: u64) -> bool {
        match forward {
            0 => false,
            1..=63 => self.recent >> (64 - forward) != u64::MAX >> (64 - forward),
            64 => self.recent != u64::MAX,
            _ => true,
        }
    }

    /// From the recent ones to all of them.
    #[cold]
    fn widen(&mut self) {
        let mut ring = Box::new([u64::MAX; WORDS]);
        for age in (0..self.next.min(64)).filter(|age| self.recent >> age & 1 == 0) {
            put(&mut ring, self.next - 1 - age, false);
        }
        self.wide = Some(ring);
    }
}

fn forward_bits(forward: u64) -> u32 {
    u32::try_from(forward).unwrap_or(u32::MAX)
}

#[allow(clippy::cast_possible_truncation, reason = "below the width of the window")]
const fn place(counter: u64) -> (usize, u64) {
    ((counter / 64) as usize % WORDS, 1 << (counter % 64))
}

const fn is_set(ring: &[u64; WORDS], counter: u64) -> bool {
    let (word, bit) = place(counter);
    ring[word] & bit != 0
}

const fn put(ring: &mut [u64; WORDS], counter: u64, taken: bool) {
    let (word, bit) = place(counter);
    if taken {
        ring[word] |= bit;
    } else {
        ring[word] &= !bit;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::{WIDTH, Window};

    /// The definition: nothing twice, nothing that is `WIDTH` or more behind the newest.
    #[derive(Default)]
    struct Model(BTreeSet<u64>);

    impl Model {
        fn take(&mut self, counter: u64) -> bool {
            let behind = self.0.last().is_some_and(|newest| newest.saturating_sub(counter) >= WIDTH);
            !behind && self.0.insert(counter)
        }
    }

    fn step() -> impl Strategy<Value = i64> {
        prop_oneof![4 => Just(1_i64), 3 => -70_i64..70, 2 => -2100_i64..2100, 1 => -5000_i64..5000]
    }

    proptest! {
        #[test]
        fn it_takes_what_the_definition_takes(steps in prop::collection::vec(step(), 1..400), start in 0_i64..3000) {
            let (mut window, mut model) = (Window::new(), Model::default());
            for step in steps {
                let newest = model.0.last().copied();
                let at = newest.map_or(start, |newest| newest.cast_signed()) + step;
                let Ok(counter) = u64::try_from(at) else { continue };
                let fresh = window.check(counter).is_ok();
                prop_assert_eq!(fresh, model.take(counter), "counter {}", counter);
                if fresh {
                    prop_assert_eq!(window.take(counter), newest.is_none_or(|newest| newest < counter));
                }
            }
        }
    }

    #[test]
    fn what_is_missing_behind_the_last_64_is_given_up_when_the_memory_is() {
        let mut window = Window::new();
        let lost = [3, 940, 999];
        (0..1001).filter(|counter| !lost.contains(counter)).for_each(|counter| assert!(window.take(counter)));
        assert!(window.is_wide() && lost.iter().all(|counter| window.check(*counter).is_ok()));
        window.narrow();
        assert!(!window.is_wide());
        let fresh: Vec<u64> = (0..1002).filter(|counter| window.check(*counter).is_ok()).collect();
        assert_eq!(fresh, [940, 999, 1001]);
        // Before anything like 64 were taken, nothing that never was counts as missing.
        let mut window = Window::new();
        window.take(70);
        window.narrow();
        assert_eq!((0..71).filter(|counter| window.check(*counter).is_ok()).count(), 63);
    }

    #[test]
    fn what_comes_in_order_or_a_little_out_of_it_needs_no_memory() {
        let mut window = Window::new();
        for pair in 0..5000_u64 {
            for counter in [2 * pair + 1, 2 * pair] {
                assert!(window.check(counter).is_ok());
                window.take(counter);
            }
        }
        assert!(window.wide.is_none());
        window.take(10_001);
        assert!((10_002..10_100).all(|counter| window.take(counter)));
        assert!(window.wide.is_some() && window.check(10_000).is_ok());
    }
}
