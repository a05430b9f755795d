//! Why an input was turned away, and how often.

use core::fmt;

/// Why a datagram was turned away. Every one is counted; none gets a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
#[non_exhaustive]
pub enum Reject {
    /// Not a TP frame: short, wrong magic or version, unknown flags, or shorter than it says.
    Header,
    /// The payload is not what its encoding and the packet layout demand.
    Malformed,
    /// A text or number is over its limit.
    TooLong,
    /// From UDP port 0, to which nothing can be sent back (RFC 768).
    SourcePortZero,
    /// Named for another node.
    NotForUs,
    /// Our own name as the sender.
    OwnName,
    /// It bears no valid signature, although one is demanded: a key is pinned to its sender's name, or whoever is heard has to sign.
    BadSignature,
    /// Signed by another key than the one that is pinned to its sender's name.
    Unpinned,
    /// Signed by a key that has been rotated or revoked.
    Revoked,
    /// The airlock said ROOD.
    Rood,
    /// A heartbeat from a sender that the airlock does not accept outright: it has nothing to wait for.
    HeartbeatNotAccepted,
    /// The timestamp cannot be read.
    BadTimestamp,
    /// Stamped longer ago than the replay window, or before what this sender's window still covers.
    Stale,
    /// Stamped further in the future than the clock skew allows.
    Future,
    /// The nonce was seen from this sender before.
    Replay,
    /// The answer would be more than three times what this unproven address sent.
    Amplification,
    /// No room for the event, the answer or a table entry; nothing was remembered, so the sender may try again.
    Busy,
    /// A response that no request of ours is waiting for.
    Unrequested,
    /// A response from another address or name than the one that was asked.
    WrongResponder,
}

impl Reject {
    /// How many reasons there are.
    pub(crate) const COUNT: usize = 19;

    /// Every reason, in declaration order.
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Header,
        Self::Malformed,
        Self::TooLong,
        Self::SourcePortZero,
        Self::NotForUs,
        Self::OwnName,
        Self::BadSignature,
        Self::Unpinned,
        Self::Revoked,
        Self::Rood,
        Self::HeartbeatNotAccepted,
        Self::BadTimestamp,
        Self::Stale,
        Self::Future,
        Self::Replay,
        Self::Amplification,
        Self::Busy,
        Self::Unrequested,
        Self::WrongResponder,
    ];

    /// The name in logs and JSON: lower case with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::SourcePortZero => "source_port_zero",
            Self::NotForUs => "not_for_us",
            Self::OwnName => "own_name",
            Self::BadSignature => "bad_signature",
            Self::Unpinned => "unpinned",
            Self::Revoked => "revoked",
            Self::Rood => "rood",
            Self::HeartbeatNotAccepted => "heartbeat_not_accepted",
            Self::BadTimestamp => "bad_timestamp",
            Self::Stale => "stale",
            Self::Future => "future",
            Self::Replay => "replay",
            Self::Amplification => "amplification",
            Self::Busy => "busy",
            Self::Unrequested => "unrequested",
            Self::WrongResponder => "wrong_responder",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Reject {}

/// A counter for each [`Reject`] reason. Counters stop at `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RejectCounts([u64; Reject::COUNT]);

impl RejectCounts {
    /// Count one.
    pub fn count(&mut self, why: Reject) {
        let n = &mut self.0[why as usize];
        *n = n.saturating_add(1);
    }

    /// How often this reason was counted.
    #[must_use]
    pub const fn get(&self, why: Reject) -> u64 {
        self.0[why as usize]
    }

    /// All reasons together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Reasons that were counted at least once, in declaration order.
    pub fn iter(&self) -> impl Iterator<Item = (Reject, u64)> + '_ {
        Reject::ALL.into_iter().map(|why| (why, self.get(why))).filter(|(_, n)| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reject, RejectCounts};

    #[test]
    fn every_reason_has_its_own_counter() {
        let mut counts = RejectCounts::default();
        for (i, why) in Reject::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, i);
            for _ in 0..=i {
                counts.count(why);
            }
        }
        assert!(counts.iter().enumerate().all(|(i, (why, n))| why == Reject::ALL[i] && n == i as u64 + 1));
        assert_eq!(counts.total(), 190);
    }
}
