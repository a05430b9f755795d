use super::{Adversary, AdversaryContext, Passage, Passing};
use crate::session::is_session_frame;
use crate::time::Duration;

/// Somebody on the path who would like a session to move to him: what passes comes from his address first, and what he is asked there he passes on.
#[derive(Clone, Copy, Debug)]
pub struct Copier {
    /// Probability that a frame of a session is copied.
    pub zeal: f64,
    /// Who talked last.
    ends: Option<(u32, u32)>,
}

impl Copier {
    /// One that copies with this probability.
    #[must_use]
    pub const fn new(zeal: f64) -> Self {
        Self { zeal, ends: None }
    }
}

impl Adversary for Copier {
    fn pass(&mut self, context: &mut AdversaryContext<'_>, passing: &mut Passing<'_>) -> Passage {
        if !is_session_frame(passing.bytes) || !context.rng.chance(self.zeal) {
            return Passage::Go;
        }
        self.ends = Some((passing.from, passing.to));
        context.send(Duration::ZERO, context.me, passing.to, 0, passing.bytes.clone());
        context.send(Duration::from_micros(1), passing.from, passing.to, passing.serial, passing.bytes.clone());
        Passage::Swallow
    }

    fn receive(&mut self, context: &mut AdversaryContext<'_>, from: u32, bytes: &[u8]) {
        let Some((one, other)) = self.ends else { return };
        let to = if from == one { other } else { one };
        context.send(Duration::ZERO, context.me, to, 0, bytes.to_vec());
    }
}
