//! Why an input was turned away, and how often.
//!
//! Rooms that are of use without a node say it in an enum of their own ([`DecodeError`](crate::framing::DecodeError),
//! [`ReplayReject`](crate::airlock::ReplayReject), [`SessionReject`](crate::session::SessionReject)) and beside that, with `From`, under
//! which of the reasons below it counts. A new reason is one line of the list below, at its end.

use core::fmt;

macro_rules! rejects {
    ($($(#[$doc:meta])+ $reason:ident = $name:literal,)+) => {
        /// Why a datagram was turned away. Every one is counted; none gets a reply.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Reject {
            $($(#[$doc])+ #[cfg_attr(feature = "serde", serde(rename = $name))] $reason,)+
        }

        impl Reject {
            /// Every reason, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$reason),+];

            /// The name in logs and JSON: lower case with underscores.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)+
                }
            }
        }
    };
}

rejects! {
    /// Not a TP frame: short, wrong magic or version, unknown flags, or shorter than it says.
    Header = "header",
    /// The payload is not what its encoding and the packet layout demand.
    Malformed = "malformed",
    /// A text or number is over its limit.
    TooLong = "too_long",
    /// From UDP port 0, to which nothing can be sent back (RFC 768).
    SourcePortZero = "source_port_zero",
    /// Named for another node.
    NotForUs = "not_for_us",
    /// Our own name as the sender.
    OwnName = "own_name",
    /// It bears no valid signature, although one is demanded: a key is pinned to its sender's name, or whoever is heard has to sign or to come through a session. Also what comes
    /// through a session in another name than that of the session.
    BadSignature = "bad_signature",
    /// Signed by another key than the one that is pinned to its sender's name.
    Unpinned = "unpinned",
    /// Signed by a key that has been rotated or revoked.
    Revoked = "revoked",
    /// The airlock said ROOD.
    Rood = "rood",
    /// A heartbeat from a sender that the airlock does not accept outright: it has nothing to wait for.
    HeartbeatNotAccepted = "heartbeat_not_accepted",
    /// The timestamp cannot be read.
    BadTimestamp = "bad_timestamp",
    /// Stamped longer ago than the replay window, or before what this sender's window still covers.
    Stale = "stale",
    /// Stamped further in the future than the clock skew allows.
    Future = "future",
    /// The nonce was seen from this sender before.
    Replay = "replay",
    /// The answer would be more than three times what this unproven address sent.
    Amplification = "amplification",
    /// No room for the event, the answer or a table entry; nothing was remembered, so the sender may try again.
    Busy = "busy",
    /// A response that no request of ours is waiting for.
    Unrequested = "unrequested",
    /// A response from another address or name than the one that was asked.
    WrongResponder = "wrong_responder",
    /// A message of a session's handshake that does not hold, or that nobody waits for.
    Handshake = "handshake",
    /// A first message of a session while there are too many of them, without a valid cookie.
    Cookie = "cookie",
    /// Encrypted under keys that are not, or no longer, those of any session.
    Sealed = "sealed",
    /// Its sender has a name and key with which another node speaks as well.
    Clone = "clone",
    /// Signed, traced, or of a circuit: not for a relay without a key to pass on.
    Keyless = "keyless",
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Reject {}

/// A counter for each [`Reject`] reason. Counters stop at `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RejectCounts([u64; Reject::ALL.len()]);

impl RejectCounts {
    /// Count one.
    pub fn count(&mut self, why: impl Into<Reject>) {
        let n = &mut self.0[why.into() as usize];
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
        Reject::ALL.iter().map(|why| (*why, self.get(*why))).filter(|(_, n)| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reject, RejectCounts};

    #[test]
    fn every_reason_has_its_own_counter() {
        let mut counts = RejectCounts::default();
        for (i, why) in Reject::ALL.iter().copied().enumerate() {
            assert_eq!(why as usize, i);
            for _ in 0..=i {
                counts.count(why);
            }
        }
        assert!(counts.iter().enumerate().all(|(i, (why, n))| why == Reject::ALL[i] && n == i as u64 + 1));
        let reasons = Reject::ALL.len() as u64;
        assert_eq!(counts.total(), reasons * (reasons + 1) / 2);
    }
}
