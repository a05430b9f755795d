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
    kept: Vec<Kept>,
}

impl Replayer {
    /// One that sends again with this probability.
    #[must_use]
    pub const fn new(zeal: f64) -> Self {
        Self { zeal, kept: Vec::new() }
    }
}

impl Adversary for Replayer {
    fn pass(&mut self, hand: &mut AdversaryContext<'_>, passing: &mut Passing<'_>) -> Passage {
        if hand.dice.chance(self.zeal) {
            let letter = Kept::of(passing);
            let after = match hand.dice.below(4) {
                0 => 0,
                1 => hand.dice.below(1_000),
                2 => hand.dice.below(29_000),
                _ => hand.dice.between(29_000, 36_000),
            };
            let from = if hand.dice.chance(0.2) { hand.me } else { letter.from };
            hand.send(Duration::from_millis(after), from, letter.to, letter.serial, letter.bytes.clone());
            if self.kept.len() < KEPT {
                self.kept.push(letter);
            } else {
                let place = hand.dice.index(KEPT);
                self.kept[place] = letter;
            }
        }
        Passage::Go
    }

    fn wake(&mut self, hand: &mut AdversaryContext<'_>) {
        if !self.kept.is_empty() {
            let letter = &self.kept[hand.dice.index(self.kept.len())];
            hand.send(Duration::ZERO, letter.from, letter.to, letter.serial, letter.bytes.clone());
        }
        let after = hand.dice.between(100, 2_000);
        hand.wake_after(Duration::from_millis(after));
    }
}
