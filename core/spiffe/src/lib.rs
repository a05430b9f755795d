//! SPIFFE
#![forbid(unsafe_code)]

mod bundle;
mod error;
mod key;
mod rules;
mod svid;

pub use bundle::{MAX_ROOTS, TrustBundles};
pub use error::{SpiffeError, Unfit};
pub use key::Algorithm;
pub use spiffe::{SpiffeId, TrustDomain};
pub use svid::{MAX_CHAIN, Svid};
