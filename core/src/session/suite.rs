//! Which primitives a handshake uses, and who decides it.

/// Suite 1: X25519, ChaCha20-Poly1305, SHA-256, Ed25519.
pub const SUITE: u8 = 1;
/// Suite 2: suite 1, and ML-KEM-768 (FIPS 203) beside X25519. What is said in its sessions stays closed to who records it now and breaks X25519 later.
pub const SUITE_HYBRID: u8 = 2;

/// Which suites a node speaks.
///
/// Both sides of a handshake say, signed, which is the best that they speak, and refuse one in a lesser suite than both speak ([`SessionReject::Suite`](super::SessionReject::Suite)). So nobody on the way talks two nodes down to suite 1: who drops all that is of suite 2 only keeps
/// them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Suites {
    /// Suite 1 only. A first message carries early data.
    #[default]
    One,
    /// Suite 2 only. There is no early data: it would be open to who breaks X25519 later.
    Two,
    /// Suite 2; suite 1 with nodes that say, signed, that they speak nothing better. To them a session takes three seconds more.
    Any,
}

impl Suites {
    /// The best suite.
    #[must_use]
    pub const fn best(self) -> u8 {
        match self {
            Self::One => SUITE,
            Self::Two | Self::Any => SUITE_HYBRID,
        }
    }

    /// Whether a handshake may be in this suite.
    pub(super) const fn takes(self, suite: u8) -> bool {
        match suite {
            SUITE => !matches!(self, Self::Two),
            SUITE_HYBRID => !matches!(self, Self::One),
            _ => false,
        }
    }

    /// Whether a handshake in this suite, with somebody who speaks `theirs` at best, is in the best suite of both.
    pub(super) const fn agrees(self, suite: u8, theirs: u8) -> bool {
        self.takes(suite) && (suite >= theirs || suite >= self.best())
    }
}
