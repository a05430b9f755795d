//! A name for a key: a DID, and the Ed25519 key by which others know it, which signs the handshake. What such a name is worth is for
//! the airlock to say; here it is only proven that who holds that key is who speaks in this session.
//!
//! ```text
//! length u16 · DID · Ed25519 key 32 · signature 64 over context · hash 32 · length u16 · DID
//! ```
//!
//! The hash is that of the handshake after act two: nobody else's, and no other session's. The context is `sluis signal name 1` for who said
//! hello (act three carries it) and `sluis signal answering name 1` for who answered (a sealed packet carries it, once the other side is
//! proven: no stranger hears it). So neither can show the other's signature as its own.

use alloc::vec::Vec;

use sluis_core::check_did;
use sluis_core::identity::{PublicKey, SignError, Signer};

use super::SealedError;

/// Whose name it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Who said hello.
    Initiator,
    /// Who answered.
    Responder,
}

impl Side {
    const fn context(self) -> &'static [u8] {
        match self {
            Self::Initiator => b"sluis signal name 1",
            Self::Responder => b"sluis signal answering name 1",
        }
    }
}

/// A name that was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// The DID.
    pub did: &'a str,
    /// The key that signed for it.
    pub key: PublicKey,
}

/// Sign for a handshake under a DID.
///
/// # Errors
/// [`SealedError::TooLong`] where it is no DID; [`SealedError::Name`] where the signer does not sign.
pub(super) fn write(side: Side, hash: &[u8; 32], did: &str, signer: &dyn Signer) -> Result<Vec<u8>, SealedError> {
    check_did(did).map_err(|_| SealedError::TooLong)?;
    let signature = signer.sign(&signed(side, hash, did)).map_err(|_: SignError| SealedError::Name)?;
    let len = u16::try_from(did.len()).map_err(|_| SealedError::TooLong)?;
    let key = signer.public();
    let parts: [&[u8]; 4] = [&len.to_be_bytes(), did.as_bytes(), key.as_bytes(), &signature];
    Ok(parts.concat())
}

/// Read a name, if there is one, and check it.
pub(super) fn read<'a>(side: Side, hash: &[u8; 32], bytes: &'a [u8]) -> Result<Option<Name<'a>>, SealedError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (len, rest) = bytes.split_first_chunk().ok_or(SealedError::Name)?;
    let (did, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or(SealedError::Name)?;
    let (key, rest) = rest.split_first_chunk().ok_or(SealedError::Name)?;
    let signature = rest.try_into().map_err(|_| SealedError::Name)?;
    let did = core::str::from_utf8(did).map_err(|_| SealedError::Name)?;
    check_did(did).map_err(|_| SealedError::Name)?;
    let key = PublicKey::from_bytes(*key).map_err(|_| SealedError::Name)?;
    key.verify(&signed(side, hash, did), signature).map_err(|_| SealedError::Name)?;
    Ok(Some(Name { did, key }))
}

fn signed(side: Side, hash: &[u8; 32], did: &str) -> Vec<u8> {
    // A DID was checked to be no longer than 256 bytes.
    let len = u16::try_from(did.len()).unwrap_or(u16::MAX);
    let parts: [&[u8]; 4] = [side.context(), hash, &len.to_be_bytes(), did.as_bytes()];
    parts.concat()
}
