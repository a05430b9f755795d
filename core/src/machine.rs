//! The one boundary: what every state machine has, whatever drives it.

use crate::reject::Reject;
use crate::route::Route;
use crate::time::{Deadline, Now};

/// A state machine without I/O, clock, thread, global or hidden randomness.
///
/// The caller mutates it (`handle_*`, or a method of the machine's own), then drains it (`poll_*`) and then waits for
/// whatever comes first: input or [`deadline`](Self::deadline). A caller that forgets to drain is told so: while
/// output is pending the deadline is [`Deadline::Now`].
///
/// Every call does bounded work and every table has a cap, so nothing that arrives can make a machine slow or large.
pub trait Machine {
    /// What the application is told, lent from the machine's own memory; ids in it are `Copy`.
    type Event<'a>
    where
        Self: 'a;

    /// Tell the machine that time has passed. Harmless when nothing is due.
    fn handle_timeout(&mut self, now: Now);

    /// The next event, oldest first.
    fn poll_event(&mut self) -> Option<Self::Event<'_>>;

    /// When the machine wants to be called next; `None` is never. Not in the past after a full drain at that time.
    fn deadline(&self) -> Option<Deadline>;
}

/// A machine that speaks datagrams.
pub trait Datagrams: Machine {
    /// Take in one datagram.
    ///
    /// # Errors
    /// Why it was turned away. The machine has counted it already; a driver has nothing left to do.
    fn handle_datagram(&mut self, now: Now, route: Route, bytes: &[u8]) -> Result<(), Reject>;

    /// Write the next datagram to send into `out` and say where it goes; `None` when there is nothing to send.
    ///
    /// `out` must hold any datagram ([`MAX_DATAGRAM_V6`](crate::limits::MAX_DATAGRAM_V6) bytes): into a smaller one
    /// nothing is written and nothing is lost, the answer is `None` and the datagram stays queued.
    fn poll_transmit(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit>;
}

/// A datagram that [`Datagrams::poll_transmit`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes, and from which of our addresses.
    pub route: Route,
    /// How many bytes of the caller's buffer it takes.
    pub len: usize,
}
