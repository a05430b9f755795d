//! A vouch as its voucher signed it, and taking one back: the bytes of both.

use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64UrlUnpadded, Encoding as _};

use crate::data::cursor::{Cursor, put_text};
use crate::data::{Full, Sink as _};
use crate::did::{DidError, check_did};
use crate::identity::{PublicKey, SignError, Signature, Signer};

/// What every vouch begins with. It is signed, so that no signature made for anything else is one of a vouch.
const VOUCH: &[u8; 8] = b"sluis-v1";
/// The same of a revocation.
const REVOCATION: &[u8; 8] = b"sluis-w1";
/// The latest second that is taken.
const MAX_SECONDS: u64 = 1 << 40;
/// How many levels of vouching there can be below a DID that the operator trusts.
pub const MAX_DEPTH: u8 = 3;
/// How many devices one vouch names at most.
pub const MAX_NAMED: usize = 64;

/// Names a vouch: 16 random bytes that the voucher chose.
pub type SignedId = [u8; 16];

/// Why bytes are no vouch and no revocation, or not one to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedVouchError {
    /// It is longer than [`SignedVouch::MAX_LEN`] bytes.
    #[error("a signed vouch has at most {} bytes", SignedVouch::MAX_LEN)]
    TooLong,
    /// It is not in the one form that it has.
    #[error("this is no signed vouch: {0}")]
    Form(&'static str),
    /// A DID cannot be one.
    #[error(transparent)]
    Did(#[from] DidError),
    /// A key in it is none, or one that anybody can sign for.
    #[error("a key of the vouch is no Ed25519 public key that can be believed")]
    Key,
    /// The signature does not hold: somebody else wrote this, or changed it.
    #[error("the signature of the vouch does not hold")]
    Signature,
}

/// Why a vouch cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MakeVouchError {
    /// What it would say cannot be said.
    #[error(transparent)]
    Vouch(#[from] SignedVouchError),
    /// The signer does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// A vouch that names whom it is for *and their keys*, signed by who vouches. Every value of this type was verified.
///
/// That the voucher may vouch is for others to say: [`SignedVouches`](super::SignedVouches).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedVouch<'a> {
    bytes: &'a [u8],
    /// Its name: another with the same id and key and a later issue takes its place.
    pub id: SignedId,
    /// Who vouches.
    pub voucher: &'a str,
    /// The key of who vouches, which signed it.
    pub key: PublicKey,
    /// When it was made: seconds since the Unix epoch.
    pub issued: u64,
    /// Until when it counts: seconds since the Unix epoch, after `issued`.
    pub expires: u64,
    /// Which share of the voucher's trust is lent, in thousandths.
    pub factor: u16,
    /// How many levels of vouching the named devices may do in turn; 0: none.
    pub depth: u8,
    /// The entries, with their count in front.
    named: &'a [u8],
}

impl<'a> SignedVouch<'a> {
    /// The longest vouch in bytes.
    pub const MAX_LEN: usize = 8192;

    /// Read and verify a vouch.
    ///
    /// # Errors
    /// [`SignedVouchError`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, SignedVouchError> {
        let vouch = Self::parse(bytes, |key| PublicKey::from_bytes(key).ok())?;
        verify(bytes, &vouch.key)?;
        Ok(vouch)
    }

    /// Bytes that were a vouch before, and have not left this process.
    pub(super) fn kept(bytes: &'a [u8]) -> Option<Self> {
        Self::parse(bytes, |key| Some(PublicKey::checked(key))).ok()
    }

    fn parse(bytes: &'a [u8], key: impl Fn([u8; 32]) -> Option<PublicKey>) -> Result<Self, SignedVouchError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(SignedVouchError::TooLong);
        }
        let short = SignedVouchError::Form("it is cut short");
        let (signed, _) = split(bytes)?;
        let mut from = Cursor::new(signed);
        if from.array() != Some(*VOUCH) {
            return Err(SignedVouchError::Form("it does not begin as one"));
        }
        let (id, voucher_key) = (from.array().ok_or(short)?, from.array().ok_or(short)?);
        let (issued, expires) = (from.u64().ok_or(short)?, from.u64().ok_or(short)?);
        let (factor, depth) = (from.u16().ok_or(short)?, from.u8().ok_or(short)?);
        if expires <= issued || expires > MAX_SECONDS {
            return Err(SignedVouchError::Form("it ends before it begins, or after all time"));
        }
        if factor > 1000 || depth >= MAX_DEPTH {
            return Err(SignedVouchError::Form("it lends more than there is, or further than vouches go"));
        }
        let voucher = from.text().ok_or(short)?;
        check_did(voucher)?;
        let named = from.rest();
        let count = from.u8().ok_or(short)?;
        if count == 0 || usize::from(count) > MAX_NAMED {
            return Err(SignedVouchError::Form("it names nobody, or too many"));
        }
        let mut before = "";
        for _ in 0..count {
            key(from.array().ok_or(short)?).ok_or(SignedVouchError::Key)?;
            let did = from.text().ok_or(short)?;
            check_did(did)?;
            if did <= before {
                return Err(SignedVouchError::Form("the names are not in the order of their bytes"));
            }
            before = did;
        }
        if !from.rest().is_empty() {
            return Err(SignedVouchError::Form("something follows"));
        }
        let key = key(voucher_key).ok_or(SignedVouchError::Key)?;
        Ok(Self { bytes, id, voucher, key, issued, expires, factor, depth, named })
    }

    /// Whom it is for, and the key of each, in the order of the names.
    pub fn named(&self) -> impl Iterator<Item = (&'a str, PublicKey)> + use<'a> {
        let mut from = Cursor::new(self.named);
        let count = from.u8().unwrap_or(0);
        (0..count).map_while(move |_| {
            let key = PublicKey::checked(from.array()?);
            Some((from.text()?, key))
        })
    }

    /// Its bytes, to be passed on as they are.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its text, for JSON and command lines: base64 with the URL alphabet and without padding (RFC 4648 5).
    #[must_use]
    pub fn to_text(&self) -> String {
        Base64UrlUnpadded::encode_string(self.bytes)
    }

    /// The bytes of such a text, not looked at yet; `None` when it is none or too long.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Vec<u8>> {
        if text.len() > Self::MAX_LEN.div_ceil(3) * 4 { None } else { Base64UrlUnpadded::decode_vec(text).ok() }
    }
}

/// A vouch to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct VouchDraft<'a> {
    /// See [`SignedVouch::id`].
    pub id: SignedId,
    /// See [`SignedVouch::voucher`].
    pub voucher: &'a str,
    /// See [`SignedVouch::issued`].
    pub issued: u64,
    /// See [`SignedVouch::expires`].
    pub expires: u64,
    /// See [`SignedVouch::factor`]. 700 in the reference.
    pub factor: u16,
    /// See [`SignedVouch::depth`].
    pub depth: u8,
    /// Whom it is for, in any order, each once; 1 to 64.
    pub named: &'a [(&'a str, PublicKey)],
}

impl VouchDraft<'_> {
    /// Write and sign it: the bytes of a [`SignedVouch`].
    ///
    /// # Errors
    /// [`MakeVouchError`].
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, MakeVouchError> {
        let mut out = Vec::new();
        self.write(signer.public(), &mut out).map_err(|Full| SignedVouchError::TooLong)?;
        seal(&mut out, signer)?;
        SignedVouch::read(&out)?;
        Ok(out)
    }

    fn write(&self, key: PublicKey, out: &mut Vec<u8>) -> Result<(), Full> {
        out.put(VOUCH)?;
        out.put(&self.id)?;
        out.put(key.as_bytes())?;
        out.put(&self.issued.to_be_bytes())?;
        out.put(&self.expires.to_be_bytes())?;
        out.put(&self.factor.to_be_bytes())?;
        out.put(&[self.depth])?;
        put_text(out, self.voucher)?;
        let mut named = self.named.to_vec();
        named.sort_unstable();
        out.put(&[u8::try_from(named.len()).map_err(|_| Full)?])?;
        named.iter().try_for_each(|(did, key)| {
            out.put(key.as_bytes())?;
            put_text(out, did)
        })
    }
}

/// That a vouch counts no longer, signed by who vouched: the last word about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VouchRevocation {
    /// Which vouch.
    pub id: SignedId,
    /// The key that vouched, and signed this.
    pub key: PublicKey,
    /// When it was made: seconds since the Unix epoch.
    pub at: u64,
}

impl VouchRevocation {
    /// How many bytes it has.
    pub const LEN: usize = 128;

    /// Write and sign one.
    ///
    /// # Errors
    /// The signer does not sign.
    pub fn sign(id: SignedId, at: u64, signer: &dyn Signer) -> Result<Vec<u8>, SignError> {
        let mut out = Vec::with_capacity(Self::LEN);
        for part in [&REVOCATION[..], &id, signer.public().as_bytes(), &at.to_be_bytes()] {
            out.extend_from_slice(part);
        }
        seal(&mut out, signer)?;
        Ok(out)
    }

    /// The text of a signed one, as that of a [vouch](SignedVouch::to_text).
    #[must_use]
    pub fn text_of(bytes: &[u8]) -> String {
        Base64UrlUnpadded::encode_string(bytes)
    }

    /// Read and verify one.
    ///
    /// # Errors
    /// [`SignedVouchError`].
    pub fn read(bytes: &[u8]) -> Result<Self, SignedVouchError> {
        let (signed, _) = split(bytes)?;
        let mut from = Cursor::new(signed);
        let parts = (from.array(), from.array(), from.array(), from.u64());
        let (Some(REVOCATION), Some(id), Some(key), Some(at)) = (parts.0.as_ref(), parts.1, parts.2, parts.3) else {
            return Err(SignedVouchError::Form("it is no revocation"));
        };
        if !from.rest().is_empty() || at > MAX_SECONDS {
            return Err(SignedVouchError::Form("it is no revocation"));
        }
        let key = PublicKey::from_bytes(key).map_err(|_| SignedVouchError::Key)?;
        verify(bytes, &key)?;
        Ok(Self { id, key, at })
    }
}

fn seal(out: &mut Vec<u8>, signer: &dyn Signer) -> Result<(), SignError> {
    let signature = signer.sign(out)?;
    out.extend_from_slice(&signature);
    Ok(())
}

fn split(bytes: &[u8]) -> Result<(&[u8], Signature), SignedVouchError> {
    let (signed, signature) = bytes.split_last_chunk().ok_or(SignedVouchError::Form("it is cut short"))?;
    Ok((signed, *signature))
}

fn verify(bytes: &[u8], key: &PublicKey) -> Result<(), SignedVouchError> {
    let (signed, signature) = split(bytes)?;
    key.verify(signed, &signature).map_err(|_| SignedVouchError::Signature)
}
