//! Steps that run elsewhere: offered in a ping, checked and run by an executor, admitted when its signed token comes back.
//!
//! ```text
//!  coordinator                                executor
//!  Workload::offer ── Offer::write ──ping──▶  Offer::read, Offer::check
//!                                             … runs …
//!  Workload::admit ◀──────answer── line ────  Offer::step, Step::write
//! ```
//!
//! With a heap, [`Executor`] remembers what it was offered, so that an offer that comes twice (a ping that was sent again because the
//! answer was lost) runs once and is answered with the same token. Without one, the caller keeps its last answer.

mod admit;
#[cfg(feature = "alloc")]
mod executor;
mod keys;
mod offer;
mod reply;

pub use admit::{Admitted, NotAdmitted};
#[cfg(feature = "alloc")]
pub use executor::{Executor, FinishError, JobId, Offered, Outcome};
pub use keys::{BoundKeys, Proof};
pub use offer::{Declined, Offer, offer_text};
pub use reply::Reply;

/// The intent of a ping that offers a step.
pub const INTENT: &str = "sluis.step";
