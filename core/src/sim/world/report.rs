//! What a run came to.

use alloc::string::String;
use core::fmt;

use crate::sim::link::Lost;
use crate::time::Duration;

/// What happened to datagrams in a world, and how many events there were.
///
/// Every datagram is accounted for: `sent + duplicated + injected` are the sum of the others and of what is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Events: arrivals, timers, errands, plans.
    pub events: u64,
    /// Datagrams that nodes sent.
    pub sent: u64,
    /// Of those, arrived a second time.
    pub duplicated: u64,
    /// Datagrams that adversaries sent.
    pub injected: u64,
    /// Datagrams changed on their way.
    pub corrupted: u64,
    /// Datagrams handed to nodes and taken in by them: pings, heartbeats and responses.
    pub deliveries: u64,
    /// Datagrams handed to nodes and turned away.
    pub rejected: u64,
    /// Datagrams that reached an adversary's own address.
    pub caught: u64,
    /// Lost on links.
    pub lost: u64,
    /// Longer than an MTU.
    pub oversized: u64,
    /// Lost in queues.
    pub dropped: u64,
    /// Lost to partitions.
    pub cut: u64,
    /// Sent to a node that was down.
    pub down: u64,
    /// Swallowed by an adversary.
    pub swallowed: u64,
    /// Sent to nowhere.
    pub unroutable: u64,
    /// Requests made.
    pub requests: u64,
    /// Requests that ended with an answer.
    pub answered: u64,
    /// Requests that ran out of time.
    pub timeouts: u64,
}

impl Counts {
    pub(super) fn lose(&mut self, why: Lost) {
        *match why {
            Lost::Link => &mut self.lost,
            Lost::Mtu => &mut self.oversized,
            Lost::Queue => &mut self.dropped,
            Lost::Partition => &mut self.cut,
            Lost::Down => &mut self.down,
            Lost::Swallowed => &mut self.swallowed,
            Lost::NoRoute => &mut self.unroutable,
        } += 1;
    }

    /// Datagrams that came into the world less those that left it: what must be on its way.
    pub(super) const fn on_the_way(&self) -> u64 {
        let came = self.sent + self.duplicated + self.injected;
        let lost = self.lost + self.oversized + self.dropped + self.cut + self.down + self.swallowed + self.unroutable;
        came.wrapping_sub(lost + self.deliveries + self.rejected + self.caught)
    }
}

/// What must hold of every node at all times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Invariant {
    /// A request ends at most once, and no event names one that is over.
    CompletesOnce,
    /// Only who was asked can answer.
    OnlyTheAsked,
    /// A ROOD sender never gets a byte, and its packets are not taken in.
    RoodSilence,
    /// No table passes its cap.
    TableCaps,
    /// An address that has not proven itself is never answered with more than three times its bytes, and never written to
    /// unasked.
    Amplification,
    /// After `handle_timeout` and a full drain the deadline is in the future, and not later than an open request runs out.
    Deadline,
    /// No packet is taken in twice; where nodes have keys and stores, not after a restart either.
    NoReplay,
    /// What is taken in under a name was said under that name, to this node, and is as it was said. Where nodes have keys.
    NoForgery,
    /// To a pinned name nothing goes unsigned, and no ping without a session once there was one.
    Downgrade,
    /// No more first messages of sessions are looked at in a second than there may be.
    Load,
    /// Every datagram is counted once.
    Counters,
    /// Nothing panics. A world cannot say this of itself; who runs it does.
    Panic,
    /// The world itself lost track of something: a bug in the simulator.
    World,
}

impl Invariant {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CompletesOnce => "completes-once",
            Self::OnlyTheAsked => "only-the-asked",
            Self::RoodSilence => "rood-silence",
            Self::TableCaps => "table-caps",
            Self::Amplification => "amplification",
            Self::Deadline => "deadline",
            Self::NoReplay => "no-replay",
            Self::NoForgery => "no-forgery",
            Self::Downgrade => "downgrade",
            Self::Load => "load",
            Self::Counters => "counters",
            Self::Panic => "panic",
            Self::World => "world",
        }
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Virtual time since the beginning.
    pub at: Duration,
    /// The node.
    pub node: u32,
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, node, invariant, detail } = self;
        write!(f, "{} at node {node} after {:.6} s: {detail}", invariant.name(), at.as_secs_f64())
    }
}

/// A running digest of everything that goes in and out of nodes. Equal digests: equal runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trace([u64; 2]);

const ODD: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];

/// A multiplication whose both halves count.
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    wide as u64 ^ (wide >> 64) as u64
}

impl Trace {
    /// Note two numbers.
    pub(super) fn note(&mut self, a: u64, b: u64) {
        self.0[0] = fold(self.0[0] ^ a ^ ODD[0], b ^ ODD[1]).wrapping_add(self.0[1].rotate_left(23));
    }

    /// Note a datagram.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let word = |b: &[u8; 8]| u64::from_le_bytes(*b);
        let [mut x, mut y] = [bytes.len() as u64 ^ ODD[0], ODD[1]];
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            if let [a, b, c, d] = words {
                x = fold(x ^ word(a), word(b) ^ ODD[0]);
                y = fold(y ^ word(c), word(d) ^ ODD[1]);
            }
        }
        let mut last = [0; 32];
        last[..rest.len()].copy_from_slice(rest);
        for words in last.chunks_exact(8) {
            let mut buf = [0; 8];
            buf.copy_from_slice(words);
            x = fold(x ^ word(&buf), ODD[1]);
        }
        self.0[1] = self.0[1].rotate_left(29) ^ y;
        self.note(x, y);
    }

    pub(super) fn digest(self) -> u64 {
        fold(self.0[0] ^ ODD[1], self.0[1] ^ ODD[0])
    }
}
