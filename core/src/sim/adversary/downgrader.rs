use super::{Adversary, AdversaryContext, Passage, Passing};
use crate::session::is_session_frame;
use crate::time::Duration;

/// Lets no frame of a session through any more from some time on, so that two nodes would have to talk without one.
#[derive(Clone, Copy, Debug)]
pub struct Downgrader {
    /// When it begins: before, sessions come up.
    pub after: Duration,
}

impl Adversary for Downgrader {
    fn pass(&mut self, context: &mut AdversaryContext<'_>, passing: &mut Passing<'_>) -> Passage {
        if context.elapsed >= self.after && is_session_frame(passing.bytes) { Passage::Swallow } else { Passage::Go }
    }
}
