//! Which key speaks for which name.
//!
//! What this room promises:
//!
//! - **A pin binds a DID to one Ed25519 key.** [`Pins::judge`] says of a name and a key that signed whether they belong together. A name that is
//!   pinned stays pinned until the operator removes the pin: when its key is revoked nothing is believed of that name, rather than everything.
//! - **A retired key stays retired.** A [`Statement`] that rotates or revokes a key is the last word about it, whatever arrives later and in whatever
//!   order; nobody can pin that key again. After a rotation every name that was pinned to the old key is pinned to its successor.
//! - **Every change can be kept.** A change is made at once and hands out a [`Change`]: its record for a store, and what undoes it when that could
//!   not be written. [`Pins::restore`] takes records in, in any order.
//! - **Bounded**: names, retired keys and names of one key have caps ([`PinConfig`]); the table starts empty.
//!
//! ```
//! use sluis_core::identity::{SecretKey, Signer, Statement};
//! use sluis_core::pins::{Judgement, Origin, PinConfig, Pins};
//! use sluis_core::Seed;
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let mut rng = Seed::from_u64(1).fork("pins"); // in production: a seed of the system's
//! let (old, new) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
//! let mut pins = Pins::new(PinConfig::default(), rng.sip_key());
//!
//! let change = pins.pin("jis:home:sensor", old.public(), Origin::Operator, 1_764_400_000)?;
//! let (_key, _value) = change.record().ok_or("nothing to write")?; // write it; if that fails: pins.undo(&change)
//! assert_eq!(pins.judge("jis:home:sensor", old.public()), Judgement::Pinned);
//!
//! let statement = Statement::rotation(&old, &new, 1_764_500_000)?;
//! let _write_it_too = pins.retire(&statement, true)?;
//! assert_eq!(pins.judge("jis:home:sensor", old.public()), Judgement::Retired);
//! assert_eq!(pins.judge("jis:home:sensor", new.public()), Judgement::Pinned);
//! # Ok(())
//! # }
//! ```

#[cfg(doc)]
use crate::identity::Statement;

mod record;
mod table;
#[cfg(test)]
mod tests;

pub use record::{Change, RecordError};
pub use table::{Judgement, Origin, Pin, PinConfig, PinError, Pins};
