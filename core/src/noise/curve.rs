//! What a handshake needs of a curve, and X25519.

use core::fmt;

use ed25519_dalek::{SigningKey, VerifyingKey};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::Rng;
use crate::identity::{PublicKey, SecretKey};

/// A curve for Diffie-Hellman, as Noise names it.
pub trait Curve {
    /// Its name within a protocol name: `25519`.
    const NAME: &'static str;
    /// Length of a public key on the wire, in bytes.
    const PUBLIC_LEN: usize;
    /// A secret key. Wipes itself when dropped.
    type Secret;
    /// A public key, checked as far as the curve wants it checked. As bytes it is [`PUBLIC_LEN`](Self::PUBLIC_LEN) long.
    type Public: Copy + Eq + AsRef<[u8]> + fmt::Debug;

    /// A new secret key, as random as the generator is.
    fn generate(rng: &mut Rng) -> Self::Secret;

    /// The public key of a secret one.
    fn public(secret: &Self::Secret) -> Self::Public;

    /// Read a public key; `None` for what is none.
    fn decode(bytes: &[u8]) -> Option<Self::Public>;

    /// The shared secret, 32 bytes; `None` where it is one that everybody knows.
    fn dh(secret: &Self::Secret, public: &Self::Public) -> Option<Zeroizing<[u8; 32]>>;
}

/// Curve25519 (RFC 7748), `25519` in protocol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X25519;

/// A secret key of X25519, and its public key, which is computed once. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct X25519Secret {
    secret: StaticSecret,
    public: X25519Public,
}

impl X25519Secret {
    /// Take 32 bytes; they are clamped when they are used (RFC 7748 5). The caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let secret = StaticSecret::from(*bytes);
        let public = X25519Public(x25519_dalek::PublicKey::from(&secret).to_bytes());
        Self { secret, public }
    }

    /// The key that belongs to an Ed25519 key: the scalar that it signs with (RFC 8032 5.1.5), used on the Montgomery form of the
    /// same curve (RFC 7748 4.1), as libsodium's `crypto_sign_ed25519_sk_to_curve25519` has it.
    #[must_use]
    pub fn of_identity(key: &SecretKey) -> Self {
        let scalar = Zeroizing::new(SigningKey::from_bytes(&key.to_seed()).to_scalar_bytes());
        Self::from_bytes(&scalar)
    }

    /// The 32 bytes, to be stored. The copy that is handed out wipes itself.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }
}

impl fmt::Debug for X25519Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("X25519Secret(<redacted>)")
    }
}

/// A public key of X25519: any 32 bytes. Those of small order are found out where a secret is shared with them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct X25519Public([u8; 32]);

impl X25519Public {
    /// Wrap 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key that belongs to an Ed25519 key, known to whoever knows that: the public part of [`X25519Secret::of_identity`].
    /// A key and its negative (the other sign of x) have the same.
    #[must_use]
    pub fn of_identity(key: &PublicKey) -> Self {
        // A `PublicKey` is a point: it was decoded when it was made.
        VerifyingKey::from_bytes(key.as_bytes()).map_or(Self([0; 32]), |point| Self(point.to_montgomery().to_bytes()))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl AsRef<[u8]> for X25519Public {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for X25519Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("X25519Public(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl Curve for X25519 {
    const NAME: &'static str = "25519";
    const PUBLIC_LEN: usize = 32;
    type Secret = X25519Secret;
    type Public = X25519Public;

    fn generate(rng: &mut Rng) -> X25519Secret {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill(bytes.as_mut_slice());
        X25519Secret::from_bytes(&bytes)
    }

    fn public(secret: &X25519Secret) -> X25519Public {
        secret.public
    }

    fn decode(bytes: &[u8]) -> Option<X25519Public> {
        bytes.try_into().ok().map(X25519Public)
    }

    fn dh(secret: &X25519Secret, public: &X25519Public) -> Option<Zeroizing<[u8; 32]>> {
        let shared = secret.secret.diffie_hellman(&x25519_dalek::PublicKey::from(public.0));
        shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
    }
}
