use alloc::vec::Vec;

use super::{Adversary, AdversaryContext, Kept, Passage, Passing};
use crate::time::Duration;

/// How many datagrams a replayer keeps.
const KEPT: usize = 64;

/// Keeps what passes and sends it again: at once, soon, and when the replay window is nearly over or past; from the
/// address it came from and from its own.
#[derive(Clone, Debug)]
pub struct Replayer {
    /// Probability that a datagram is sent again.
    pub zeal: f64,
    /// Whether it sends also to whom it was not for: to its sender, and to others.
    anywhere: bool,
    kept: Vec<Kept>,
}

impl Replayer {
    /// One that sends again with this probability.
    #[must_use]
    pub const fn new(zeal: f64) -> Self {
        Self { zeal, anywhere: false, kept: Vec::new() }
    }

    /// One that sends also to whom it was not for: back to its sender, and to others.
    #[must_use]
    pub fn anywhere(mut self) -> Self {
        self.anywhere = true;
        self
    }
}

impl Adversary for Replayer {
    fn pass(&mut self, context: &mut AdversaryContext<'_>, passing: &mut Passing<'_>) -> Passage {
        if context.rng.chance(self.zeal) {
            let datagram = Kept::of(passing);
            let after = match context.rng.below(4) {
                0 => 0,
                1 => context.rng.below(1_000),
                2 => context.rng.below(29_000),
                _ => context.rng.between(29_000, 36_000),
            };
            let (mut from, mut to) = (datagram.from, datagram.to);
            if context.rng.chance(0.2) {
                from = context.me;
            }
            if self.anywhere {
                match context.rng.below(4) {
                    0 => (from, to) = (to, from),
                    1 if !context.targets.is_empty() => to = context.targets[context.rng.index(context.targets.len())],
                    _ => {}
                }
            }
            context.send(Duration::from_millis(after), from, to, datagram.serial, datagram.bytes.clone());
            if self.kept.len() < KEPT {
                self.kept.push(datagram);
            } else {
                let place = context.rng.index(KEPT);
                self.kept[place] = datagram;
            }
        }
        Passage::Go
    }

    fn wake(&mut self, context: &mut AdversaryContext<'_>) {
        if !self.kept.is_empty() {
            let datagram = &self.kept[context.rng.index(self.kept.len())];
            context.send(Duration::ZERO, datagram.from, datagram.to, datagram.serial, datagram.bytes.clone());
        }
        let after = context.rng.between(100, 2_000);
        context.wake_after(Duration::from_millis(after));
    }
}
