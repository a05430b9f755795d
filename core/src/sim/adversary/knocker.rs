use alloc::vec::Vec;

use super::{Adversary, AdversaryContext};
use crate::identity::SecretKey;
use crate::session::{Config, Peer, Sessions};
use crate::sim::clock::EPOCH;
use crate::sim::names::{Name, address, key};
use crate::time::{Duration, Instant, Now};
use crate::{Did, Path, Seed};

/// Asks for sessions all the time, from all the addresses that it can write on a datagram: in names of others, with a key of its own, as somebody who knows the key
/// of whom it asks.
#[derive(Debug)]
pub struct Knocker {
    /// Time between two first messages.
    pub interval: Duration,
    key: SecretKey,
    /// A first message to each target, once it has made one: to be turned away costs the other side as much the next time.
    made: Vec<Vec<u8>>,
}

impl Knocker {
    /// One that asks so often, with this key.
    #[must_use]
    pub const fn new(interval: Duration, key: SecretKey) -> Self {
        Self { interval, key, made: Vec::new() }
    }

    /// A first message to a node, in the name of another.
    fn message(&self, to: u32, name: u32, seed: &Seed) -> Option<Vec<u8>> {
        let did = Did::new(Name::of(name).as_str()).ok()?;
        let mut sessions = Sessions::new(Config::new(did, SecretKey::from_seed(&self.key.to_seed())), seed).ok()?;
        let now = Now::new(Instant::ZERO, EPOCH.saturating_add(Duration::from_secs(3600)));
        let (target, whom) = (Name::of(to), key(to).public());
        sessions.connect(now, &Peer::pinned(target.as_str(), whom), Path::to(address(to)), &[]).ok()?;
        let mut bytes = alloc::vec![0; 2048];
        let len = sessions.poll_transmit(now, &mut bytes)?.len;
        bytes.truncate(len);
        Some(bytes)
    }
}

impl Adversary for Knocker {
    fn wake(&mut self, context: &mut AdversaryContext<'_>) {
        let targets = context.targets;
        if !targets.is_empty() {
            if self.made.is_empty() {
                // In the names of nodes that the target may know.
                let made = |(at, to): (usize, &u32)| {
                    let name = targets[(at + 1) % targets.len()];
                    self.message(*to, name, &context.rng.seed()).unwrap_or_default()
                };
                self.made = targets.iter().enumerate().map(made).collect();
            }
            let at = context.rng.index(targets.len());
            let spoofed = targets[context.rng.index(targets.len())];
            let from = if context.rng.chance(0.5) { context.me } else { spoofed };
            context.send(Duration::ZERO, from, targets[at], 0, self.made[at].clone());
        }
        context.wake_after(self.interval);
    }
}
