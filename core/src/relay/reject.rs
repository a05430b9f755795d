//! Why a relay does not pass something on, and how often.

use core::fmt;

use crate::Reject;

macro_rules! reasons {
    ($($(#[$doc:meta])+ $reason:ident = $name:literal as $counted:ident,)+) => {
        /// Why a relay does not pass something on. Every one is counted; nobody is told.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum RelayReject {
            $($(#[$doc])+ #[cfg_attr(feature = "serde", serde(rename = $name))] $reason,)+
        }

        impl RelayReject {
            /// Every reason, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$reason),+];

            /// The name in logs, metrics and JSON: lower case with underscores.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)+
                }
            }
        }

        /// The reason under which a node counts it.
        impl From<RelayReject> for Reject {
            fn from(why: RelayReject) -> Self {
                match why {
                    $(RelayReject::$reason => Self::$counted,)+
                }
            }
        }
    };
}

reasons! {
    /// It does not ask to be passed on: its `routing_mode` is not `mesh`.
    NotMesh = "not_mesh" as NotForUs,
    /// The airlock does not let its source through.
    NotAllowed = "not_allowed" as Rood,
    /// A name or another text in it is none.
    Malformed = "malformed" as Malformed,
    /// A text in it is over its limit.
    TooLong = "too_long" as TooLong,
    /// Its `hop_count` or `max_hops` is negative.
    BadHops = "bad_hops" as Malformed,
    /// It has travelled as far as it may.
    HopLimit = "hop_limit" as NotForUs,
    /// It was passed on before.
    Duplicate = "duplicate" as Replay,
    /// Its source sent more than its quota.
    SourceQuota = "source_quota" as Busy,
    /// Its target was sent more than its quota.
    TargetQuota = "target_quota" as Busy,
    /// Its link brought more than its quota.
    LinkQuota = "link_quota" as Busy,
    /// Nobody is known who could pass it on, but for whom it came from.
    NoRoute = "no_route" as NotForUs,
    /// There is no room to remember the way back.
    Busy = "busy" as Busy,
    /// An answer to nothing that was passed on, or to what was answered already.
    Unrequested = "unrequested" as Unrequested,
    /// An answer from a link over which nobody was asked, or in another name than was asked.
    WrongResponder = "wrong_responder" as WrongResponder,
    /// It is for an address that has not proven itself, and more than three times the bytes that came from there: of an answer, than the ping had.
    Amplification = "amplification" as Amplification,
    /// A packet of a circuit that there is not.
    NoCircuit = "no_circuit" as NotForUs,
    /// A circuit carried more bytes than its quota.
    CircuitQuota = "circuit_quota" as Busy,
    /// It is signed or bears a trace, or is of a circuit, and this relay has no key: it passes on legacy packets only.
    Keyless = "keyless" as Keyless,
}

impl fmt::Display for RelayReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for RelayReject {}

/// A counter for each [`RelayReject`]. Counters stop at `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RelayRejects([u64; RelayReject::ALL.len()]);

impl RelayRejects {
    pub(super) const fn count(&mut self, why: RelayReject) {
        let n = &mut self.0[why as usize];
        *n = n.saturating_add(1);
    }

    /// How often this reason was counted.
    #[must_use]
    pub const fn get(&self, why: RelayReject) -> u64 {
        self.0[why as usize]
    }

    /// All reasons together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Reasons that were counted at least once, in declaration order.
    pub fn iter(&self) -> impl Iterator<Item = (RelayReject, u64)> + '_ {
        RelayReject::ALL.iter().map(|why| (*why, self.get(*why))).filter(|(_, n)| *n > 0)
    }
}
