//! Vouches: a trusted DID lends a share of its trust to others.

mod held;
mod record;
mod registry;
mod signed;
#[cfg(test)]
mod signed_tests;
#[cfg(test)]
mod tests;

pub use held::{AcceptError, HeldVouch, RestoreVouchError, SignedVouches, VouchChange};
pub use registry::VouchRegistry;
pub use signed::{
    MAX_DEPTH, MAX_NAMED, MakeVouchError, SignedId, SignedVouch, SignedVouchError, VouchDraft, VouchRevocation,
};

use crate::did::{DidError, check_did};
use crate::table::SlotId;
use crate::time::{Wall, iso};

/// When a vouch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// After this moment: at exactly this moment it still counts.
    After(Wall),
    /// It has ended: the text could not be read.
    Unreadable,
}

impl Expiry {
    /// From the text of a vouch record: none or an empty one is never, one that cannot be read has expired.
    #[must_use]
    pub fn from_text(text: Option<&str>) -> Self {
        match text {
            None | Some("") => Self::Never,
            Some(text) => iso::parse(text).map_or(Self::Unreadable, Self::After),
        }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(self, wall: Wall) -> bool {
        match self {
            Self::Never => false,
            Self::After(end) => wall > end,
            Self::Unreadable => true,
        }
    }
}

/// A vouch, as it is handed in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vouch<'a> {
    /// Names it: adding another with the same id replaces it.
    pub id: &'a str,
    /// Who vouches.
    pub voucher_did: &'a str,
    /// How far the voucher is trusted, 0 to 1.
    pub voucher_trust: f64,
    /// Which share of that is lent, 0 to 1. Default in the reference: 0.7.
    pub factor: f64,
    /// To whom. Exact DIDs, no patterns.
    pub vouched: &'a [&'a str],
    /// Until when.
    pub expires: Expiry,
}

/// Why a vouch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VouchError {
    /// Trust or factor is not a number from 0 to 1. (The reference takes any, and so lends more than everything.)
    #[error("{0} must be a number from 0 to 1")]
    OutOfRange(&'static str),
    /// The id is empty or longer than [`MAX_VOUCH_ID`] bytes.
    #[error("a vouch id has 1 to {MAX_VOUCH_ID} bytes, this one has {0}")]
    Id(usize),
    /// A DID cannot be one.
    #[error(transparent)]
    Did(#[from] DidError),
    /// There are as many vouches as the configuration allows.
    #[error("there are {0} vouches already, the most that the configuration allows")]
    TooMany(usize),
    /// There are as many vouched DIDs as the configuration allows, each counted once for each vouch.
    #[error("more than {0} vouched senders, the most that the configuration allows")]
    TooManyVouched(usize),
    /// One DID has as many vouches as the configuration allows.
    #[error("one sender has {0} vouches already, the most that the configuration allows")]
    TooManyForOne(usize),
    /// It would pass the bytes that the configuration allows.
    #[error("the vouches take the {0} bytes that the configuration allows")]
    TooLarge(usize),
    /// It names more than a record of a store may hold, so many bytes.
    #[error("a vouch that is kept has at most {0} bytes: name fewer senders in it")]
    Record(usize),
    /// Too many changes wait to be kept: try again once some are.
    #[error("too many changes wait for the store")]
    Busy,
}

/// Longest id of a vouch in bytes.
pub const MAX_VOUCH_ID: usize = 64;

/// How much a [`VouchRegistry`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VouchConfig {
    /// How many vouches. Default 4,096.
    pub max_vouches: usize,
    /// How many vouched DIDs over all vouches. Default 65,536.
    pub max_vouched: usize,
    /// How many vouches for one DID. Default 64: this bounds what a look-up does.
    pub max_for_one: usize,
    /// How many bytes of heap; below 64 KiB nothing fits. Default 64 MiB.
    pub max_bytes: usize,
}

impl Default for VouchConfig {
    fn default() -> Self {
        Self { max_vouches: 4096, max_vouched: 65_536, max_for_one: 64, max_bytes: 64 << 20 }
    }
}

/// Names one vouch of a registry.
pub type VouchId = SlotId;

/// Counts of a [`VouchRegistry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VouchStats {
    /// Vouches held, expired ones that have not been swept yet included.
    pub total: usize,
    /// Of these, the ones that count now.
    pub active: usize,
    /// DIDs with at least one vouch held.
    pub devices: usize,
}

/// Check what is wrong with a vouch whatever the registry holds.
fn check(vouch: &Vouch<'_>) -> Result<(), VouchError> {
    for (name, value) in [("voucher_trust", vouch.voucher_trust), ("factor", vouch.factor)] {
        if !(0.0..=1.0).contains(&value) {
            return Err(VouchError::OutOfRange(name));
        }
    }
    if vouch.id.is_empty() || vouch.id.len() > MAX_VOUCH_ID {
        return Err(VouchError::Id(vouch.id.len()));
    }
    check_did(vouch.voucher_did)?;
    vouch.vouched.iter().try_for_each(|did| check_did(did))?;
    Ok(())
}
