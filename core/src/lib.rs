//! # Sluis
//!
//! Sans-IO state machines for traffic that carries identity.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod airlock;
mod did;
#[cfg(feature = "alloc")]
pub mod driver;
pub mod framing;
pub mod limits;
mod machine;
#[cfg(feature = "alloc")]
pub mod node;
mod reject;
mod route;
mod seed;
#[cfg(any(feature = "sim", all(test, feature = "std")))]
pub mod sim;
pub mod table;
pub mod time;

#[cfg(feature = "alloc")]
pub use did::Did;
pub use did::{DidError, check_did};
pub use machine::{Datagrams, Machine, Transmit};
pub use reject::{Reject, RejectCounts};
pub use route::Route;
pub use seed::{Rng, Seed, SipKey};
pub use time::{Deadline, Duration, Instant, Now, Reason, Wall};
