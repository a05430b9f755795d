//! Who is where: signed records of devices, found by name and by what they can do.
//!
//! What this room promises:
//!
//! - **A record is the device's word.** [`Record`] is signed by the key of the device, has one form, and fits into a datagram: any node may pass it on, none can
//!   change it, and none can bring back an older one where a newer is known.
//! - **A name stays its key's.** The first record of a name binds it, a [`Pins`] of the operator goes before that, and only a [`Statement`] that rotates
//!   the key moves it. A name stays bound when its record has expired.
//! - **Only what is proven counts**: the score ([`Fira`]) knows answered challenges and signed deeds, not look-ups.
//! - **A look-up ends.** A [`Resolver`] knows what the operator named, what was heard, and whom to believe; what it does not know it asks for, and every
//!   query ends when it is answered or its time is up.
//! - **Bounded**: devices, capabilities and bytes have caps ([`RegistryConfig`]); finding by name or by capability does not depend on how many devices there are.
//! - **Every change can be kept** ([`Change`], [`Registry::restore`]), as those of [`Pins`].
//!
//! ```
//! use sluis_core::identity::SecretKey;
//! use sluis_core::pins::{PinConfig, Pins};
//! use sluis_core::registry::{Address, Draft, Heard, News, Record, RegisterError, Registry, RegistryConfig};
//! use sluis_core::{Seed, Wall};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let mut rng = Seed::from_u64(1).fork("registry"); // in production: a seed of the system's
//! let pins = Pins::new(PinConfig::default(), rng.sip_key());
//! let mut registry = Registry::new(RegistryConfig::default(), rng.sip_key());
//! let (device, thief) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
//! let now = Wall::from_micros(1_764_400_000_000_000);
//!
//! let endpoints = [Address::parse("192.0.2.7:7150")?];
//! let draft = Draft {
//!     did: "jis:home:sensor",
//!     seq: 1,
//!     issued: 1_764_400_000,
//!     expires: 1_764_403_600,
//!     endpoints: &endpoints,
//!     capabilities: &["temperature"],
//!     ..Draft::default()
//! };
//! let mut buf = [0; Record::MAX_LEN];
//! let record = draft.sign(&device, &mut buf)?;
//! let registered = registry.register(now, &record, Heard::Directly, &pins)?;
//! assert_eq!(registered.news, News::New); // write registered.change; if that fails: registry.undo(&registered.change)
//! assert_eq!(registry.find(now, "temperature").next().and_then(|device| device.endpoint()), Some(endpoints[0]));
//!
//! let mut buf = [0; Record::MAX_LEN];
//! let stolen = Draft { seq: 2, ..draft }.sign(&thief, &mut buf)?;
//! let refused = registry.register(now, &stolen, Heard::Directly, &pins).map(|_| ());
//! assert_eq!(refused, Err(RegisterError::OtherKey));
//! # Ok(())
//! # }
//! ```
//!
//! Source of what a record says and of the score: `tibet_overlay` 0.1.2 and `tibet_iot` 0.1.1 (`topology.py`); where ours differ on purpose the item says so and
//! `core/tests/deviations.toml` lists the fixture.

#[cfg(doc)]
use crate::identity::Statement;
#[cfg(doc)]
use crate::pins::Pins;

mod address;
mod challenge;
mod draft;
mod fira;
mod intake;
mod kept;
mod record;
mod resolve;
#[cfg(test)]
mod resolve_tests;
mod table;
#[cfg(test)]
mod tests;
mod topology;

pub use address::{Address, BadAddress, MAX_HOST};
pub use challenge::{AnswerError, AskError, Challenges, Nonce, Verified, answer};
pub use draft::{Draft, MakeRecordError};
pub use fira::{Fira, History, Proven};
pub use intake::{News, RegisterError, Registered, Registry, RegistryConfig};
pub use kept::{Change, RestoreError, Undo};
pub use record::{Claims, Record, RecordError, Role, Unverified};
pub use resolve::{AnswerReject, Ended, QueryId, Question, ResolveConfig, ResolveError, Resolved, Resolver, Source};
pub use table::{Device, Heard};
pub use topology::{Pod, Station, Topology, TopologyConfig, TopologyError, TopologyStats};
