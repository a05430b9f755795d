//! The one boundary: what every state machine has, whatever drives it.

use crate::path::Path;
use crate::reject::Reject;
use crate::time::{Duration, Instant, Now, Reason};
use crate::unsent::Unsent;

/// A state machine without I/O, clock, thread, global or hidden randomness.
///
/// The caller mutates it (`handle_*`, or a method of the machine's own), then drains it (`poll_*`) and then waits for
/// whatever comes first: input, or the instant that [`wants`](Self::wants) names. A caller that forgets to drain is told so
/// there, too.
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

    /// What the machine waits for, besides input.
    fn wants(&self) -> Wants;
}

/// A machine that is told things by its application, all of them through one type: so recordings, replay, fuzzing and simulation can
/// wrap it at its boundary and need nothing inside.
pub trait Commands: Machine {
    /// All that the application may ask for.
    type Command<'a>;
    /// What came of it.
    type Outcome: core::fmt::Debug;

    /// Do what the application asks for.
    fn handle_command(&mut self, now: Now, command: &Self::Command<'_>) -> Self::Outcome;
}

/// What a machine waits for, besides input: to be drained, and to be called at a certain time. Neither hides the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[must_use]
pub struct Wants {
    /// Events are to be taken with [`poll_event`](Machine::poll_event).
    pub events: bool,
    /// Datagrams are to be taken with [`poll_transmit`](Datagrams::poll_transmit).
    pub output: bool,
    /// When [`handle_timeout`](Machine::handle_timeout) is to be called at the latest, and why; `None` is never. Not in the past
    /// after a full drain at that time.
    pub at: Option<(Instant, Reason)>,
}

impl Wants {
    /// Nothing but input.
    pub const NOTHING: Self = Self { events: false, output: false, at: None };

    /// Whether it is to be drained.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.events || self.output
    }

    /// Whether its time has come.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.at.is_some_and(|(at, _)| at <= now)
    }

    /// How long to wait for input at most before the machine is looked after again; `None` is for ever.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        if self.is_pending() { Some(Duration::ZERO) } else { self.at.map(|(at, _)| at.saturating_since(now)) }
    }

    /// Whether the caller has to act on this sooner than on `before`.
    #[must_use]
    pub fn is_sooner_than(&self, before: &Self) -> bool {
        let more = self.events && !before.events || self.output && !before.output;
        more || self.at.is_some_and(|(at, _)| before.at.is_none_or(|(before, _)| at < before))
    }
}

/// A machine that speaks datagrams, through one socket or several.
pub trait Datagrams: Machine {
    /// Take in one datagram. What it holds is the machine's to change: it decrypts in place.
    ///
    /// # Errors
    /// Why it was turned away. The machine has counted it already; a driver has nothing left to do.
    fn handle_datagram(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject>;

    /// Write the next datagram to send into `out` and say where it goes; `None` when there is nothing to send.
    ///
    /// `out` must hold any datagram ([`MAX_DATAGRAM_V6`](crate::limits::MAX_DATAGRAM_V6) bytes): into a smaller one
    /// nothing is written and nothing is lost, the answer is `None` and the datagram stays queued.
    fn poll_transmit(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit>;

    /// A datagram of [`poll_transmit`](Self::poll_transmit) did not leave, and why. Nothing is to be done about it; a machine
    /// that waits for an answer to it can stop waiting.
    fn handle_unsent(&mut self, now: Now, path: Path, bytes: &[u8], why: Unsent) {
        let _ = (now, path, bytes, why);
    }
}

/// A datagram that [`Datagrams::poll_transmit`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes, and from which of our addresses.
    pub path: Path,
    /// How many bytes of the caller's buffer it takes.
    pub len: usize,
}
