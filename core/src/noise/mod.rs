//! Handshakes of the Noise Protocol Framework (revision 34), with the curve as a parameter.
//!
//! What this room promises:
//!
//! - **Three patterns**, one cipher suite: [`Pattern::Xx`], [`Pattern::Ik`] and [`Pattern::Xk`] with `ChaChaPoly` and `SHA256`. The
//!   curve is a [`Curve`]: [`X25519`] is here, others live beside the protocol that wants them. The published vectors are
//!   tests.
//! - **A message that does not verify changes nothing.** The handshake stays where it was and takes the right message when
//!   that comes: what carries it may lose, repeat, reorder and forge.
//! - **No clock, no randomness, no heap.** The one ephemeral key of a handshake comes in with it and is never used for another;
//!   the long-term secret is lent to each call, so that a thousand open handshakes hold no copy of it.
//! - **Keys are wiped when dropped and never printed**, and numbers of messages are the caller's: [`CipherKey`] takes its counter
//!   with each message, because datagrams come in any order. Whoever uses one counter twice under a key gives the
//!   messages away.
//!
//! ```
//! use sluis_core::Seed;
//! use sluis_core::noise::{Curve, Handshake, Pattern, X25519};
//!
//! # fn main() -> Result<(), sluis_core::noise::NoiseError> {
//! let mut rng = Seed::from_u64(1).fork("keys"); // in production: a seed of the system's
//! let (alice, bob) = (X25519::generate(&mut rng), X25519::generate(&mut rng));
//! let to_bob = Some(X25519::public(&bob));
//! let mut a = Handshake::<X25519>::initiator(Pattern::Ik, b"example 1", to_bob, X25519::generate(&mut rng))?;
//! let mut b = Handshake::<X25519>::responder(Pattern::Ik, b"example 1", &bob, X25519::generate(&mut rng));
//!
//! let (mut wire, mut text) = ([0; 256], [0; 256]);
//! let n = a.write(&alice, b"early data: it may be a replay", &mut wire)?;
//! b.read(&bob, &wire[..n], &mut text)?;
//! let n = b.write(&bob, b"", &mut wire)?;
//! a.read(&alice, &wire[..n], &mut text)?;
//!
//! let (a, b) = (a.finish()?, b.finish()?);
//! assert_eq!(b.remote, X25519::public(&alice));
//! let mut message = *b"hello";
//! let tag = a.send.seal(0, b"", &mut message)?;
//! b.receive.open(0, b"", &mut message, &tag)?;
//! assert_eq!(&message, b"hello");
//! # Ok(())
//! # }
//! ```

mod cipher;
mod curve;
mod handshake;
mod pattern;
mod symmetric;

pub use cipher::{CipherKey, TAG_LEN};
pub use curve::{Curve, X25519, X25519Public, X25519Secret};
pub use handshake::{Finished, Handshake};
pub use pattern::{Pattern, Role};

/// The longest message of a handshake in bytes, its payload included (Noise 3).
pub const MAX_MESSAGE: usize = 65_535;

/// Why a handshake or a message under its keys went no further. Nothing was changed by the call that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoiseError {
    /// The message is of the wrong length, has a key that is none, or was not made by who knows the keys.
    #[error("the message does not verify")]
    Unverified,
    /// It is the other side's turn, or the handshake has come to its end, or has not yet.
    #[error("the handshake is at another message")]
    Turn,
    /// The pattern wants to know the responder's key before it begins.
    #[error("this pattern needs the responder's public key")]
    RemoteNeeded,
    /// The caller's buffer does not hold what is to be written.
    #[error("the buffer is too short for this message")]
    Room,
    /// The message would be longer than Noise allows.
    #[error("the payload is too long for a message of a handshake")]
    TooLong,
    /// The peer's key leads to a secret that everybody knows.
    #[error("the peer's public key is weak")]
    Weak,
}
