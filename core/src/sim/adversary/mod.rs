//! Those who mean harm, each a member of a world that any scenario can place.
//!
//! An adversary has an address of its own with links to its targets, and may sit on the path of one victim, where it sees,
//! changes and swallows what comes and goes. It may put any address on what it sends. Where nodes have no keys, what it must not do is what no
//! unsigned protocol can prevent: answer in the name, from the address and with the packet id of who was asked.

mod alterer;
mod black_hole;
mod burner;
mod copier;
mod downgrader;
mod flooder;
mod forger;
mod knocker;
mod replayer;
mod squatter;
mod tamperer;

use alloc::vec::Vec;

pub use alterer::Alterer;
pub use black_hole::BlackHole;
pub use burner::Burner;
pub use copier::Copier;
pub use downgrader::Downgrader;
pub use flooder::Flooder;
pub use forger::Forger;
pub use knocker::Knocker;
pub use replayer::Replayer;
pub use squatter::Squatter;
pub use tamperer::Tamperer;

use super::clock::EPOCH;
use super::rng::SimRng;
use crate::framing::Encoding;
use crate::time::{Duration, Wall};

/// Somebody who means harm. Every method does nothing unless it is written.
pub trait Adversary {
    /// A datagram passes on the victim's path; it may be changed.
    fn pass(&mut self, _: &mut AdversaryContext<'_>, _: &mut Passing<'_>) -> Passage {
        Passage::Go
    }

    /// A datagram came to the adversary's own address.
    fn receive(&mut self, _: &mut AdversaryContext<'_>, _from: u32, _bytes: &[u8]) {}

    /// The time has come that [`AdversaryContext::wake_after`] asked for. Called once at the beginning.
    fn wake(&mut self, _: &mut AdversaryContext<'_>) {}
}

/// What becomes of a datagram on the victim's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It goes on.
    Go,
    /// It is gone.
    Swallow,
}

/// A datagram on the victim's path.
#[derive(Debug)]
pub struct Passing<'a> {
    /// Whose address it bears.
    pub from: u32,
    /// Whom it is for.
    pub to: u32,
    /// The datagram; changing it is tampering.
    pub bytes: &'a mut Vec<u8>,
    /// Its [number](super::Origin::serial); give it to [`AdversaryContext::send`] with a copy.
    pub serial: u64,
}

/// What an adversary can do.
#[derive(Debug)]
pub struct AdversaryContext<'a> {
    /// Its own number in the world.
    pub me: u32,
    /// The node on whose path it sits.
    pub victim: Option<u32>,
    /// The nodes it has a link to.
    pub targets: &'a [u32],
    /// Virtual time since the beginning.
    pub elapsed: Duration,
    /// Its own randomness.
    pub rng: &'a mut SimRng,
    /// How the nodes write.
    pub encoding: Encoding,
    pub(super) outbox: &'a mut Vec<Injection>,
    pub(super) wake: &'a mut Option<Duration>,
}

/// A datagram that an adversary sends.
#[derive(Debug)]
pub(super) struct Injection {
    pub(super) after: Duration,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) serial: u64,
    pub(super) bytes: Vec<u8>,
}

impl AdversaryContext<'_> {
    /// What a right wall clock shows.
    #[must_use]
    pub fn wall(&self) -> Wall {
        EPOCH.saturating_add(self.elapsed)
    }

    /// Send a datagram to a member so that it arrives `after` so long, with the address of `from` on it. `serial` is that of the
    /// packet it is a copy of, or 0. Lost where `from` and `to` have no link.
    pub fn send(&mut self, after: Duration, from: u32, to: u32, serial: u64, bytes: Vec<u8>) {
        self.outbox.push(Injection { after, from, to, serial, bytes });
    }

    /// Have [`Adversary::wake`] called.
    pub fn wake_after(&mut self, after: Duration) {
        *self.wake = Some(after);
    }
}

/// A datagram that an adversary keeps.
#[derive(Clone, Debug)]
struct Kept {
    from: u32,
    to: u32,
    serial: u64,
    bytes: Vec<u8>,
}

impl Kept {
    fn of(passing: &Passing<'_>) -> Self {
        Self { from: passing.from, to: passing.to, serial: passing.serial, bytes: passing.bytes.clone() }
    }
}

/// Write a frame of at most 4 KiB; empty if it cannot be written.
fn written<E>(encode: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Vec<u8> {
    let mut bytes = alloc::vec![0; 4096];
    let len = encode(&mut bytes).unwrap_or(0);
    bytes.truncate(len);
    bytes
}
