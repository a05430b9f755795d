//! Keys: who signed, and whether it is true.
//!
//! What this room promises:
//!
//! - **One acceptance rule** for Ed25519 in the whole project: [`PublicKey::from_bytes`] lets in only canonical keys that are
//!   not of small order, and [`PublicKey::verify`] is `verify_strict`. What differs from other verifiers is listed there and
//!   held by tests. There is no batch verification, because a batch accepts what a single check refuses.
//! - **Secrets stay secret**: [`SecretKey`] and [`MacKey`] are wiped when dropped, never printed (`Debug` is redacted, there is
//!   no `Display`), and compared in constant time.
//! - **Signing is a trait** ([`Signer`], object safe): the key may be a [`SecretKey`] here, a chip, or a service elsewhere.
//! - **Keys have forms that others read**: hex, a [`Fingerprint`] as `ssh-keygen -l` prints it, a line for a signed note
//!   ([`note`]), and with `alloc` PEM as `openssl` writes it.
//!
//! ```
//! use sluis_core::Seed;
//! use sluis_core::identity::{SecretKey, Signer};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let key = SecretKey::generate(&mut Seed::from_u64(1).fork("key")); // in production: a seed of the system's
//! let signature = key.sign(b"what ran")?;
//! key.public().verify(b"what ran", &signature)?;
//! assert!(key.public().verify(b"what did not", &signature).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! Without `alloc` everything works but PEM.

mod fingerprint;
mod mac;
pub mod note;
#[cfg(feature = "alloc")]
mod pem;
mod public;
mod secret;
mod statement;
#[cfg(test)]
mod tests;

pub use fingerprint::Fingerprint;
pub use mac::{Mac, MacKey};
#[cfg(feature = "alloc")]
pub use pem::PemError;
pub use public::{BadSignature, KeyError, PublicKey, Signature, Verifier};
pub use secret::{SecretKey, SignError, Signer};
pub use statement::{MakeStatementError, Statement, StatementError};
