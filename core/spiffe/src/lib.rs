//! SPIFFE
#![forbid(unsafe_code)]

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
pub use seal::{MAX_SEAL, PREFIX, SvidSeal};
pub use spiffe::{SpiffeId, TrustDomain};
pub use svid::{MAX_CHAIN, Svid};
#[cfg(feature = "throwaway")]
pub use throwaway::{Issued, ThrowawayCa};
