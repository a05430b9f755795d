//! With whom messages in the clear are exchanged.

use alloc::collections::BTreeSet;

use crate::key::PublicKey;

/// With whom messages in the clear are exchanged, as peers of the reference send and read them.
///
/// Everybody on the way reads them. Who signed them is checked, and that they are no older or newer than two minutes and no copy; for whom they
/// were is not in them: a broker can bring us what was signed for somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Legacy {
    /// With nobody.
    #[default]
    Nobody,
    /// With these peers.
    Only(BTreeSet<PublicKey>),
    /// With everybody who is not known to be one of ours.
    Everybody,
}

impl Legacy {
    /// Whether it names a peer.
    #[must_use]
    pub fn names(&self, peer: &PublicKey) -> bool {
        matches!(self, Self::Only(peers) if peers.contains(peer))
    }
}
