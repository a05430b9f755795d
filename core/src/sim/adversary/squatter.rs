use alloc::vec::Vec;

use super::flooder::ping_of;
use super::{Adversary, AdversaryContext};
use crate::sim::names::Name;
use crate::time::Duration;

/// Fills the tables of its targets with pings in the names of others, each name in turn, from its own address. Several of them
/// are one attacker with several addresses.
#[derive(Clone, Debug)]
pub struct Squatter {
    names: Vec<u32>,
    interval: Duration,
    turn: usize,
}

impl Squatter {
    /// One that writes the names of these members, a ping every `interval`.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = u32>, interval: Duration) -> Self {
        Self { names: names.into_iter().collect(), interval, turn: 0 }
    }
}

impl Adversary for Squatter {
    fn wake(&mut self, context: &mut AdversaryContext<'_>) {
        let targets = context.targets;
        if let (Some(name), true) = (self.names.get(self.turn % self.names.len().max(1)), !targets.is_empty()) {
            let to = targets[(self.turn / self.names.len()) % targets.len()];
            let bytes = ping_of(context, to, Name::of(*name).as_str());
            context.send(Duration::ZERO, context.me, to, 0, bytes);
            self.turn = self.turn.wrapping_add(1);
        }
        context.wake_after(self.interval);
    }
}
