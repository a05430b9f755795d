//! Executors that are SPIFFE workloads: identities from an agent or from files, steps sealed with them, and such seals
//! judged offline.
//!
//! * An identity is an X.509-SVID, [`Svid`]: certificates that follow every rule of the X509-SVID specification, and
//!   the private key that belongs to the leaf. ECDSA P-256 and P-384, Ed25519 and RSA, as authorities issue them.
//! * It comes [from files](Identities::from_files) as spire-agent writes them or, with the feature `workload-api`, from
//!   the agent's socket (`workload_api::fetch`, and `workload_api::Watch`, which takes rotated ones). Either way the
//!   [`TrustBundles`] vouched for it first.
//! * [`Svid::seal_at`] is a [`Seal`](sluis_chain::token::Seal): `x509:<signature>:<leaf>[:<intermediate>]…` in
//!   the `signature` member of a token. A step is [bound](Svid::binding) to the ID, the end of the certificate's
//!   validity and the certificate itself by its content hash.
//! * [`SpiffeAuthority`] is an [`Authority`](sluis_chain::token::Authority) over such seals: the chain had a path
//!   to a root of its own trust domain at the time of the step, the ID is the actor, the certificate had not ended, and
//!   its key signed. It needs the bundles and nothing else.
//!
//! ```
//! # #[cfg(feature = "throwaway")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use sluis_chain::token::Token;
//! use sluis_chain::workload::{Data, MAX_LINE, NewStep, NewWorkload, Protection, Workload};
//! use sluis_core::table::Heap;
//! use sluis_core::{Instant, Now, Seed, Wall};
//! use sluis_spiffe::{SpiffeAuthority, ThrowawayCa};
//!
//! // A demo's authority; in production `Identities::from_files` or `workload_api::Watch`.
//! let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
//! let hour = Duration::from_secs(3600);
//! let ca = ThrowawayCa::new("fleet.example", now.wall, hour)?;
//! let svid = ca.issue("drone/7", now.wall, now.wall.saturating_add(hour))?.svid()?;
//!
//! let mut rng = Seed::from_u64(1).fork("workload");
//! let new = NewWorkload { name: "survey", actor: svid.id_text(), ..NewWorkload::default() };
//! let mut workload: Workload<Heap> = Workload::new(now, &new, &mut rng)?;
//! let fly = workload.add(&NewStep { name: "fly", ..NewStep::default() }, &mut rng)?;
//! workload.start(now, fly, Data::None, None)?;
//! workload.bind_spiffe(fly, &svid.binding())?;
//! workload.complete(now, fly, Data::None, None)?;
//!
//! let (seal, authority) = (svid.seal_at(now.wall), SpiffeAuthority::new(ca.bundles()?));
//! let mut room = vec![0; MAX_LINE];
//! while let Some(written) = workload.poll_token(&Protection { seal: Some(&seal), ..Protection::default() }, &mut room) {
//!     let token = Token::parse(core::str::from_utf8(&room[..written?.len])?)?;
//!     assert_eq!(token.check_seal(&authority), sluis_chain::token::Verdict::Good);
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "throwaway"))]
//! # fn main() {}
//! ```
//!
//! # What it does not do
//!
//! It asks no revocation lists (SPIFFE has short-lived certificates instead), and refuses paths with name constraints
//! on URIs, which its path validation does not understand. A step that was dated back by somebody who kept an old key
//! looks like an old step: only a log's checkpoint tells them apart.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod authority;
mod bundle;
mod error;
mod files;
mod identities;
mod key;
mod rules;
mod seal;
mod svid;
#[cfg(feature = "throwaway")]
mod throwaway;
#[cfg(feature = "workload-api")]
pub mod workload_api;

pub use authority::{SealFault, SpiffeAuthority};
pub use bundle::{MAX_ROOTS, TrustBundles};
pub use error::{SpiffeError, Unfit};
pub use files::SvidFiles;
pub use identities::Identities;
pub use key::Algorithm;
pub use seal::{MAX_SEAL, PREFIX, SvidSeal, is_seal};
pub use spiffe::{SpiffeId, TrustDomain};
pub use svid::{MAX_CHAIN, Svid};
#[cfg(feature = "throwaway")]
pub use throwaway::{Issued, ThrowawayCa};
