//! A machine shared between its driver and any number of handles (feature `std`).
//!
//! [`share`] puts a machine behind a mutex and gives three things: the [`Task`] that drives it, a cloneable [`Handle`],
//! and the stream of [`Events`]. There are no command channels: a handle locks, calls the
//! machine, and wakes the driver if the machine wants to be called sooner than before.
//!
//! * **Requests.** [`Handle::request`] calls the machine and gives a [`Request`], the future of its answer. Works on
//!   every executor; dropping it frees its place.
//! * **Backpressure.** The event stream holds a bounded number of notices. When it is full the driver takes no more of
//!   them out of the machine, which then answers by its own caps (a node turns pings away as
//!   [`Busy`](crate::Reject::Busy)). Replies to requests come out of the machine separately
//!   ([`Requests::poll_reply`]), so a stream that nobody reads holds up no request.
//! * **The end.** [`Handle::shutdown`] flushes what is queued and ends the driver. So does dropping the last handle,
//!   event stream and request: nobody is left whom the machine could serve. Dropping only the event stream discards
//!   (and counts) notices from then on.

mod dispatcher;
mod events;
mod request;
mod shared;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::DriverConfig;
use crate::Machine;
use crate::time::Now;

pub use events::Events;
pub use request::Request;
pub use shared::{Ended, Handle, Shared, Task, share, share_over};

/// A machine whose requests can be awaited and whose events can be owned.
///
/// What [`poll_event`](Machine::poll_event) lends comes out here as owned values, in two streams: answers to requests
/// of ours, and everything else.
pub trait Requests: Machine {
    /// Names a request. Not used again while anybody may still wait for the old one.
    type Id: Copy + Eq + Hash + Send;
    /// What a request is answered with, a failure included (`Result<Response, PingError>`, say).
    type Reply: Send;
    /// Any other event.
    type Notice: Send;

    /// The oldest answer that was not taken yet. It passes over notices, which stay where they are.
    fn poll_reply(&mut self) -> Option<Answer<Self::Id, Self::Reply>>;

    /// The oldest notice that was not taken yet. It passes over answers, which stay where they are.
    fn poll_notice(&mut self) -> Option<Self::Notice>;

    /// Nobody waits for this request any more. Answers that come nevertheless are thrown away by the handle.
    fn cancel(&mut self, id: Self::Id);

    /// The answer that a request gets when the driver has ended before a real one came.
    fn ended(id: Self::Id) -> Self::Reply;
}

/// One answer to a request. There may be several: *pending* first, say, and the decision later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<I, R> {
    /// The request.
    pub id: I,
    /// What it is answered with.
    pub reply: R,
    /// No further answer follows.
    pub last: bool,
}

/// Where a [`Handle`] has its time from: the same clocks as the [`Io`](super::Io) of its driver.
pub trait Clock: Send + Sync {
    /// Read both clocks.
    fn now(&self) -> Now;
}

impl<F: Fn() -> Now + Send + Sync> Clock for F {
    fn now(&self) -> Now {
        self()
    }
}

/// Bounds of a shared machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleConfig {
    /// Notices that wait for the event stream (at least 1). The stream itself may hold as many again, on their way to
    /// the reader.
    pub notices: usize,
    /// The driver's own sizes.
    pub driver: DriverConfig,
}

impl Default for HandleConfig {
    /// 1,024 notices.
    fn default() -> Self {
        Self { notices: 1024, driver: DriverConfig::default() }
    }
}

/// Why a driver ended other than by its own will: its io failed, or its task was dropped or panicked.
#[derive(Clone)]
pub struct Failure(pub(super) Arc<dyn core::error::Error + Send + Sync>);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl core::error::Error for Failure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.source()
    }
}
