//! Any machine on any io: one generic loop over `core::task`.
//!
//! What this room promises:
//!
//! * [`Driver`] feeds a machine through a [`Transport`] and an [`App`] from the machine: receive a batch, hand it in, serve due
//!   timers, let the app drain events, take out what is to go, send. It repeats that while anything moves and then waits for
//!   whatever comes first.
//! * [`DatagramTransport`] is for [`Datagrams`](crate::Datagrams) machines on an [`Io`], [`StreamTransport`] for
//!   [`Streams`](crate::Streams) machines on a [`StreamIo`]; with [`Both`] neither kind waits for the other.
//! * It reads the clock once per turn, allocates nothing per packet, and touches the runtime's timer only when it has
//!   to fire earlier than it is set.
//! * A blocked socket parks the writes: the driver waits for it and reads on only while there is room for the answers.
//! * A flood starves neither timers, nor the app, nor the sends, nor other tasks: every poll has a budget.
//! * A machine whose output nobody takes does not make it spin.
//! * What a [`Durable`](crate::Durable) machine keeps goes to a [`Store`] in batches, one at a time, while datagrams come and go.
//! * Once the app says [stop](Flow::Stop), what is queued is flushed, a commit that is under way is waited for, and the driver ends.
//!
//! With the feature `std` a machine can also be shared: see [`Handle`].

mod access;
mod drive;
mod recv;
mod send;
mod store;
mod stream_io;
mod streams;
mod transport;

#[cfg(feature = "std")]
pub mod blocking;
#[cfg(feature = "std")]
mod handle;
#[cfg(feature = "std")]
mod node;
#[cfg(test)]
mod tests;

use core::task::{Context, Poll};

use crate::time::{Instant, Now};

pub use access::{Lend, MachineAccess, Own};
pub use drive::{Driver, DriverConfig, DriverStats};
#[cfg(feature = "std")]
pub use handle::{
    Answer, Clock, Ended, Events, Failure, Handle, HandleConfig, Request, Requests, Shared, Task, share, share_over,
};
#[cfg(feature = "std")]
pub use node::{
    NoOutcome, NoReply, NodeReply, NodeRequest, Notice, OperationResult, PingNotice, PingReply, PingResult,
};
pub use recv::RecvBatch;
pub use send::{Run, RunLimits, SendBatch};
pub use store::{Store, StoreBatch, Stored};
pub use stream_io::{Accepted, Established, Happened, StreamIo};
pub use streams::StreamTransport;
pub use transport::{Both, DatagramTransport, Sent, Transport};

/// The sockets, the timer and the clock of one runtime.
///
/// Every `poll_*` that answers [`Poll::Pending`] has arranged for the task to be woken; one that answers
/// [`Poll::Ready`] has not, and is called again.
pub trait Io {
    /// What ends the driver. Trouble with a single datagram or a single peer is no error: the io counts it in the batch
    /// ([`SendBatch::refuse`], [`SendBatch::discard`], [`RecvBatch::note_error`]) and goes on.
    type Error;

    /// Read both clocks.
    fn now(&self) -> Now;

    /// Fill `rx`, which is empty, with at least one datagram, or wait for one.
    ///
    /// `Ready(Ok(()))` with an empty batch is allowed (an error that only concerned one peer, say): it is tried again.
    ///
    /// # Errors
    /// The socket can no longer be used.
    fn poll_recv(&mut self, cx: &mut Context<'_>, rx: &mut RecvBatch) -> Poll<Result<(), Self::Error>>;

    /// Send from the front of `tx`, which is not empty, and take what was sent out of it. `Pending` when the socket
    /// takes no more for now; what it took before stays taken.
    ///
    /// # Errors
    /// The socket can no longer be used.
    fn poll_send(&mut self, cx: &mut Context<'_>, tx: &mut SendBatch) -> Poll<Result<(), Self::Error>>;

    /// Set the timer to `at` (`None` unsets it) and wait for it. `Ready` once the clock has reached `at`.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()>;
}

impl<I: Io + ?Sized> Io for &mut I {
    type Error = I::Error;

    fn now(&self) -> Now {
        (**self).now()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, rx: &mut RecvBatch) -> Poll<Result<(), Self::Error>> {
        (**self).poll_recv(cx, rx)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, tx: &mut SendBatch) -> Poll<Result<(), Self::Error>> {
        (**self).poll_send(cx, tx)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        (**self).poll_timer(cx, at)
    }
}

/// What the owner of a machine plugs into the driver: it drains the machine's events and gives it commands.
///
/// A closure `FnMut(Now, &mut M) -> Flow` is an app too (write the argument types out, `|now: Now, node: &mut Node|`, or
/// inference makes it too narrow). It is called whenever something may have happened, so it needs no waker.
pub trait App<M> {
    /// Look after the machine: take its events with `poll_event`, call whatever is to be called. Runs after inputs and
    /// timers, and whenever the driver's task is woken, so a waker taken from `cx` brings the app back here.
    ///
    /// `Ready` stops the driver: what is queued is flushed, then it ends. Events left untaken are not lost, but nothing
    /// calls again because of them until the next input or wake.
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, machine: &mut M) -> Poll<()>;

    /// When the app wants to be called at the latest; `None` is whenever.
    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// What a closure as [`App`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Go on.
    Continue,
    /// Flush what is queued and end.
    Stop,
}

impl<M, F: FnMut(Now, &mut M) -> Flow> App<M> for F {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, machine: &mut M) -> Poll<()> {
        match self(now, machine) {
            Flow::Continue => Poll::Pending,
            Flow::Stop => Poll::Ready(()),
        }
    }
}
