//! Which packets of a session were seen.

use alloc::boxed::Box;

use super::SealedError;

/// How many packets behind the newest can be told apart. Brokers differ by a tenth of a second: that is ten thousand packets a second.
const BITS: u64 = 1024;
const WORDS: usize = 16;

/// A sliding window over the counters of one direction.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// One above the highest counter seen.
    next: u64,
    /// Bit `counter % BITS` for each counter in reach; without it everything below `next` is old.
    seen: Option<Box<[u64; WORDS]>>,
}

impl Window {
    pub(super) const fn new() -> Self {
        Self { next: 0, seen: None }
    }

    /// Nothing came for long: what is missing is not waited for any more, and takes no memory.
    pub(super) fn rest(&mut self) {
        self.seen = None;
    }

    /// Whether a packet is fresh; nothing is remembered yet.
    pub(super) fn check(&self, counter: u64) -> Result<bool, SealedError> {
        if counter >= self.next {
            return Ok(true);
        }
        let Some(seen) = self.seen.as_ref().filter(|_| self.next - counter <= BITS) else {
            return Err(SealedError::Old);
        };
        let (word, bit) = place(counter);
        Ok(seen.get(word).is_none_or(|word| word & bit == 0))
    }

    /// Remember a packet that was [checked](Self::check) and verified.
    pub(super) fn mark(&mut self, counter: u64) {
        // All that was before is old, or (at the start) there was nothing.
        let seen =
            self.seen.get_or_insert_with(|| Box::new(if self.next == 0 { [0; WORDS] } else { [u64::MAX; WORDS] }));
        if counter >= self.next {
            // What is new in the window was not seen.
            let new = (counter - self.next).saturating_add(1);
            if new >= BITS {
                **seen = [0; WORDS];
            } else {
                for counter in self.next..=counter {
                    let (word, bit) = place(counter);
                    if let Some(word) = seen.get_mut(word) {
                        *word &= !bit;
                    }
                }
            }
            self.next = counter.saturating_add(1);
        }
        let (word, bit) = place(counter);
        if let Some(word) = seen.get_mut(word) {
            *word |= bit;
        }
    }
}

fn place(counter: u64) -> (usize, u64) {
    let at = counter % BITS;
    // Below 16.
    #[allow(clippy::cast_possible_truncation)]
    let word = (at / 64) as usize;
    (word, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Beside a set that forgets nothing: whatever the order, a copy is a copy, and nothing fresh within reach is refused.
        #[test]
        fn it_says_what_a_set_says(steps in proptest::collection::vec((any::<bool>(), 0_u64..3000), 1..400)) {
            let (mut window, mut set, mut highest) = (Window::new(), BTreeSet::new(), 0_u64);
            for (back, by) in steps {
                let counter = if back { highest.saturating_sub(by) } else { highest + by % 40 };
                let reach = highest.saturating_sub(BITS - 1);
                match window.check(counter) {
                    Ok(fresh) => {
                        prop_assert_eq!(fresh, !set.contains(&counter));
                        window.mark(counter);
                        set.insert(counter);
                        highest = highest.max(counter);
                    }
                    Err(why) => prop_assert!(why == SealedError::Old && counter < reach),
                }
            }
        }
    }

    /// After a rest nothing that came before is fresh, and what comes then is told apart as ever.
    #[test]
    fn what_was_missing_before_a_rest_is_old() {
        let mut window = Window::new();
        [0, 5].iter().for_each(|counter| window.mark(*counter));
        assert_eq!((window.check(3), window.check(5)), (Ok(true), Ok(false)));
        window.rest();
        assert_eq!([3, 5].map(|counter| window.check(counter)), [Err(SealedError::Old); 2]);
        window.mark(8);
        assert_eq!([3, 5, 6, 7, 8].map(|counter| window.check(counter)), [false, false, true, true, false].map(Ok));
    }

    #[test]
    fn it_lives_to_the_end_of_numbers() {
        let mut window = Window::new();
        for counter in [u64::MAX, u64::MAX - 1] {
            assert_eq!(window.check(counter), Ok(true));
            window.mark(counter);
            assert_eq!(window.check(u64::MAX - 5000), Err(SealedError::Old));
        }
        assert_eq!(window.check(u64::MAX - 1), Ok(false));
    }
}
