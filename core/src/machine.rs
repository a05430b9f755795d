//! The one boundary: what every state machine has, whatever drives it.

use crate::limits::{MAX_STORE_KEY, MAX_STORE_VALUE};
use crate::network::NetworkChange;
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

    /// Its driver is about to end: what the machine still has to say may be queued now (that it goes, to whoever relies on it), and is flushed with the rest. It may be driven
    /// again afterwards.
    fn handle_stop(&mut self, now: Now) {
        let _ = now;
    }

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
    /// Orders are to be taken with [`poll_order`](crate::Streams::poll_order).
    pub orders: bool,
    /// Changes of what is kept are to be taken with [`poll_store`](Durable::poll_store).
    pub store: bool,
    /// When [`handle_timeout`](Machine::handle_timeout) is to be called at the latest, and why; `None` is never. Not in the past
    /// after a full drain at that time.
    pub at: Option<(Instant, Reason)>,
}

impl Wants {
    /// Nothing but input.
    pub const NOTHING: Self = Self { events: false, output: false, orders: false, store: false, at: None };

    /// Whether it is to be drained.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.events || self.output || self.orders || self.store
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
    #[cfg(feature = "std")]
    pub(crate) fn is_sooner_than(&self, before: &Self) -> bool {
        let more = self.events && !before.events
            || self.output && !before.output
            || self.orders && !before.orders
            || self.store && !before.store;
        more || self.at.is_some_and(|(at, _)| before.at.is_none_or(|(before, _)| at < before))
    }
}

/// A machine with state that survives: what it must not forget is on the medium before it is acknowledged to anybody.
///
/// The machine numbers its changes and gives them out, oldest first, with [`poll_store`](Self::poll_store). Whoever drives it brings them
/// to the medium in that order, many at once where there are many, and says so with [`handle_stored`](Self::handle_stored). Until then the machine
/// answers nobody in a way that relies on them. When it is made anew, it is given what the store then holds.
pub trait Durable: Machine {
    /// The next change, lent from the machine's own memory. It is given out once.
    fn poll_store(&mut self) -> Option<StoreOp<'_>>;

    /// How the changes up to `upto` have ended that this was not said of yet.
    ///
    /// `Ok`: they are on the medium, all of them. `Err`: the machine must not acknowledge them. After a restart either all of
    /// them may be found or none; which, is not known before. Nobody tries them again unless the machine gives them out again, under
    /// new numbers; it should wait a while before it does.
    fn handle_stored(&mut self, now: Now, upto: StoreSeq, result: Result<(), StoreError>);
}

/// The number of a change of what is kept. They count up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StoreSeq(pub u64);

impl StoreSeq {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A change of what is kept: a key gets a value, or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOp<'a> {
    seq: StoreSeq,
    key: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> StoreOp<'a> {
    /// Keep a value under a key, in place of what was there.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]: the key is longer than [`MAX_STORE_KEY`], or the value than [`MAX_STORE_VALUE`].
    pub const fn put(seq: StoreSeq, key: &'a [u8], value: &'a [u8]) -> Result<Self, StoreError> {
        if key.len() > MAX_STORE_KEY || value.len() > MAX_STORE_VALUE {
            return Err(StoreError::TooLarge);
        }
        Ok(Self { seq, key, value: Some(value) })
    }

    /// Keep nothing under a key.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]: the key is longer than [`MAX_STORE_KEY`].
    pub const fn remove(seq: StoreSeq, key: &'a [u8]) -> Result<Self, StoreError> {
        if key.len() > MAX_STORE_KEY {
            return Err(StoreError::TooLarge);
        }
        Ok(Self { seq, key, value: None })
    }

    /// Of parts that were one before.
    #[cfg(feature = "alloc")]
    pub(crate) const fn copied(seq: StoreSeq, key: &'a [u8], value: Option<&'a [u8]>) -> Self {
        Self { seq, key, value }
    }

    /// Its number.
    #[must_use]
    pub const fn seq(&self) -> StoreSeq {
        self.seq
    }

    /// What it concerns.
    #[must_use]
    pub const fn key(&self) -> &'a [u8] {
        self.key
    }

    /// What is kept there from now on; `None` is nothing.
    #[must_use]
    pub const fn value(&self) -> Option<&'a [u8]> {
        self.value
    }
}

/// Why a change is not known to be on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room. It may be tried again once there is.
    #[error("the disk is full")]
    Full,
    /// A key or a value is longer than may be.
    #[error("a key of more than {MAX_STORE_KEY} bytes, or a value of more than {MAX_STORE_VALUE}")]
    TooLarge,
    /// The system refuses, or the medium fails. It may be tried again.
    #[error("the store cannot be written")]
    Failed,
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

    /// A network on which everybody can be called has come or gone. Machines that call nobody need not care.
    fn handle_network(&mut self, now: Now, change: NetworkChange) {
        let _ = (now, change);
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
