//! Seals: who vouches for a content hash.

use super::{Hash32, Token};
use sluis_core::data::{Text, hex};
use sluis_core::identity::{MacKey, PublicKey, SignError, Signature, Signer, Verifier};

/// What a signed text begins with, so that no signature over anything else can be taken for a seal.
const CONTEXT: &[u8; 15] = b"sluis token v1\n";
/// Bytes of a [`signed_text`].
pub const SIGNED_TEXT_LEN: usize = CONTEXT.len() + 64 + 1;
/// What an Ed25519 seal begins with.
const ED25519: &str = "ed25519:";
/// Bytes of an Ed25519 seal.
const ED25519_LEN: usize = ED25519.len() + 64 + 1 + 128;

/// The text that a seal signs: `sluis token v1`, a line feed, the content hash in lower-case hex, a line feed.
#[must_use]
pub fn signed_text(content_hash: &Hash32) -> [u8; SIGNED_TEXT_LEN] {
    let mut text = [b'\n'; SIGNED_TEXT_LEN];
    let (context, rest) = text.split_at_mut(CONTEXT.len());
    context.copy_from_slice(CONTEXT);
    rest.iter_mut().zip(content_hash.to_hex()).for_each(|(to, digit)| *to = digit);
    text
}

/// A token cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The buffer is too short.
    #[error("the buffer for the seal is too short: it takes {need} bytes")]
    NoRoom {
        /// Bytes that the seal takes.
        need: usize,
    },
    /// The signer did not sign.
    #[error("{0}")]
    Sign(#[from] SignError),
    /// The identity behind the key is not valid now.
    #[error("the identity that seals is not valid now")]
    NotValid,
}

/// Writes the `signature` member of a token. Every [`Signer`] is one.
pub trait Seal {
    /// Bytes of the longest seal that it writes.
    fn max_len(&self) -> usize {
        ED25519_LEN
    }

    /// Write the seal over a [`signed_text`] into the front of `out`, as printable ASCII without `"` and `\`, and say how long
    /// it is.
    ///
    /// # Errors
    /// [`SealError`].
    fn seal(&self, signed_text: &[u8], out: &mut [u8]) -> Result<usize, SealError>;
}

/// `ed25519:<64 hex of the public key>:<128 hex of the signature>`.
impl<S: Signer + ?Sized> Seal for S {
    fn seal(&self, signed_text: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        let out = out.get_mut(..ED25519_LEN).ok_or(SealError::NoRoom { need: ED25519_LEN })?;
        let signature = self.sign(signed_text)?;
        let digits = |bytes: &[u8], out: &mut [u8]| {
            out.as_chunks_mut::<2>().0.iter_mut().zip(bytes).for_each(|(two, byte)| *two = hex::pair(*byte));
        };
        let (prefix, rest) = out.split_at_mut(ED25519.len());
        prefix.copy_from_slice(ED25519.as_bytes());
        let (key, rest) = rest.split_at_mut(64);
        digits(self.public().as_bytes(), key);
        let (colon, rest) = rest.split_at_mut(1);
        colon.fill(b':');
        digits(&signature, rest);
        Ok(ED25519_LEN)
    }
}

/// What an [`Authority`] thinks of a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds, and whoever made it is known.
    Good,
    /// There is none.
    Unsigned,
    /// Whoever made it is not known; whether it holds was not looked at.
    Unknown,
    /// It does not hold, or cannot be read.
    Bad,
    /// It holds, and is not that of the actor that the token names.
    NotTheActor,
    /// A kind of seal about which this authority says nothing.
    OtherKind,
}

/// Judges seals.
pub trait Authority {
    /// Judge the seal of a token over a [`signed_text`].
    fn check(&self, token: &Token<'_>, signed_text: &[u8]) -> Verdict;
}

impl<A: Authority + ?Sized> Authority for &A {
    fn check(&self, token: &Token<'_>, signed_text: &[u8]) -> Verdict {
        (**self).check(token, signed_text)
    }
}

/// The Ed25519 keys that somebody knows.
#[derive(Clone, Copy, Debug)]
pub struct KnownKeys<'k>(&'k [Verifier]);

impl<'k> KnownKeys<'k> {
    /// Know these keys; they are put in order.
    #[must_use]
    pub fn new(keys: &'k mut [Verifier]) -> Self {
        keys.sort_unstable_by_key(Verifier::key);
        Self(keys)
    }

    fn find(&self, key: &[u8; 32]) -> Option<&'k Verifier> {
        let at = self.0.binary_search_by(|known| known.key().as_bytes().cmp(key)).ok()?;
        self.0.get(at)
    }
}

impl Authority for KnownKeys<'_> {
    fn check(&self, token: &Token<'_>, signed_text: &[u8]) -> Verdict {
        if token.signature.is_empty() {
            return Verdict::Unsigned;
        }
        let Some(seal) = token.signature.as_str() else { return Verdict::OtherKind };
        let Some(seal) = seal.strip_prefix(ED25519) else { return Verdict::OtherKind };
        let Some((key, signature)) = read(seal) else { return Verdict::Bad };
        match self.find(&key) {
            None => Verdict::Unknown,
            Some(known) if known.verify(signed_text, &signature).is_ok() => Verdict::Good,
            Some(_) => Verdict::Bad,
        }
    }
}

/// Key and signature behind the prefix.
fn read(seal: &str) -> Option<([u8; 32], Signature)> {
    let (key, signature) = seal.split_once(':')?;
    let (mut key_bytes, mut signature_bytes) = ([0; 32], [0; 64]);
    hex::parse(key.as_bytes(), &mut key_bytes)?;
    hex::parse(signature.as_bytes(), &mut signature_bytes)?;
    Some((key_bytes, signature_bytes))
}

impl<'a> Token<'a> {
    /// Ask an authority about the seal. The content hash is taken as it stands in the token: [`verify`](Self::verify) says
    /// whether it is true.
    #[must_use]
    pub fn check_seal(&self, authority: &impl Authority) -> Verdict {
        if self.signature.is_empty() {
            return Verdict::Unsigned;
        }
        match self.said_hash() {
            Some(hash) => authority.check(self, &signed_text(&hash)),
            None => Verdict::Bad,
        }
    }

    /// The key in an Ed25519 seal, whether it is known or not.
    #[must_use]
    pub fn sealed_by(&self) -> Option<PublicKey> {
        let (key, _) = read(self.signature.as_str()?.strip_prefix(ED25519)?)?;
        PublicKey::from_bytes(key).ok()
    }

    /// A seal, as it is written: printable ASCII without `"` and `\`. Anything else is `None`.
    #[must_use]
    pub fn seal_text(seal: &'a [u8]) -> Option<Text<'a>> {
        let plain = seal.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\'));
        core::str::from_utf8(seal).ok().filter(|_| plain).map(Text::from_wire)
    }
}

/// What protects a token beyond its plain SHA-256 hash. Without either it is hashed and not signed.
#[derive(Clone, Copy, Default)]
pub struct Protection<'k> {
    /// HMAC-SHA256 under this key in place of SHA-256.
    pub mac: Option<&'k MacKey>,
    /// Signs it.
    pub seal: Option<&'k dyn Seal>,
}

impl core::fmt::Debug for Protection<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Protection").field("mac", &self.mac.is_some()).field("seal", &self.seal.is_some()).finish()
    }
}
