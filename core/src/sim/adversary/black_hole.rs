use super::{Adversary, AdversaryContext, Passage, Passing};

/// Swallows what passes: some of it or, from time to time, everything.
#[derive(Clone, Copy, Debug)]
pub struct BlackHole {
    /// Probability that a datagram is swallowed.
    pub appetite: f64,
    /// Swallow only responses, so that the victim is heard but never answered.
    pub responses_only: bool,
}

impl Adversary for BlackHole {
    fn pass(&mut self, context: &mut AdversaryContext<'_>, passing: &mut Passing<'_>) -> Passage {
        let response = passing.bytes.get(3).is_some_and(|flags| flags & 1 == 1);
        if (response || !self.responses_only) && context.rng.chance(self.appetite) {
            Passage::Swallow
        } else {
            Passage::Go
        }
    }
}
