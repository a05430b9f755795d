//! The messages to one peer.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use sluis_core::Instant;
use sluis_core::time::Duration;

use crate::row::Row;
use crate::sealed::LIFETIME;

/// The longest message in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// The longest time for which a message is tried: those to whom it goes know it for so long, however full they are.
pub const MAX_TIMEOUT: Duration = LIFETIME;

/// Without an answer for so long, more brokers are asked, or for two round trips where that is longer.
const PATIENCE: Duration = Duration::from_millis(300);
/// From the third time on a message is sent again after this, doubled each time.
const AGAIN: Duration = Duration::from_millis(500);
/// At most so long from one time to the next.
const LONGEST: Duration = Duration::from_secs(4);

/// How many brokers a message goes to this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Those that the peer told us of, or the first three of its ranking.
    Near,
    /// The first ten of its ranking.
    Wider,
    /// All of the pool.
    All,
}

/// What a sender holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderLimits {
    /// Messages without an answer.
    pub in_flight: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Messages that were given up and whose acknowledgement would still be said.
    pub late: usize,
}

impl Default for SenderLimits {
    fn default() -> Self {
        Self { in_flight: 1024, bytes: 1024 * 1024, late: 256 }
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Too many are without an answer, or too many bytes.
    #[error("too many messages to this peer are without an answer")]
    Full,
    /// Longer than [`MAX_MESSAGE`].
    #[error("the message is longer than {MAX_MESSAGE} bytes")]
    TooLong,
}

/// A message to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// Its number.
    pub number: u64,
    /// The oldest that is still tried; see [`Record::Message`](super::Record::Message).
    pub oldest: u64,
    /// To be handed over in order.
    pub ordered: bool,
    /// To how many brokers.
    pub reach: Reach,
    /// When it was given to be sent.
    pub since: Instant,
    /// What is said.
    pub body: Arc<[u8]>,
}

/// What an acknowledgement was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// A message that waited for it: so long after it was sent. Its copies are to be taken back.
    Delivered(Duration),
    /// A message that was given up: so long after it was sent.
    Late(Duration),
    /// Nothing that is known: a copy of an acknowledgement, or a lie.
    Unknown,
}

/// The messages to one peer that are under way.
#[derive(Debug)]
pub struct Sender {
    epoch: u64,
    next: u64,
    /// Shared: there may be thousands of senders.
    limits: Arc<SenderLimits>,
    /// Behind a pointer, because most senders are idle.
    open: Option<Box<Open>>,
}

/// What is not known to be over.
#[derive(Debug, Default)]
struct Open {
    bytes: usize,
    under_way: Row<u64, Sending>,
    /// When those that were given up were sent.
    given_up: BTreeMap<u64, Instant>,
}

impl Open {
    fn take(&mut self, number: u64) -> Option<Sending> {
        let sending = self.under_way.remove(&number)?;
        self.bytes -= sending.body.len();
        Some(sending)
    }
}

#[derive(Debug)]
struct Sending {
    body: Arc<[u8]>,
    ordered: bool,
    since: Instant,
    until: Instant,
    times: u32,
    due: Instant,
}

impl Sender {
    /// A sender of a random epoch, which it must never use again.
    #[must_use]
    pub fn new(epoch: u64, limits: impl Into<Arc<SenderLimits>>) -> Self {
        Self { epoch, next: 0, limits: limits.into(), open: None }
    }

    /// Its epoch.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many messages are without an answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.under_way().len()
    }

    /// Whether anything was ever sent.
    pub(crate) const fn has_sent(&self) -> bool {
        self.next > 0
    }

    fn under_way(&self) -> &Row<u64, Sending> {
        const NONE: &Row<u64, Sending> = &Row::new();
        self.open.as_ref().map_or(NONE, |open| &open.under_way)
    }

    /// Nothing was sent for a while: give back the memory that it does not need. It takes it anew when it goes on.
    pub fn rest(&mut self) {
        self.open.take_if(|open| open.under_way.is_empty() && open.given_up.is_empty());
    }

    /// Send a message; it is tried for so long, [`MAX_TIMEOUT`] at most. Says its number.
    ///
    /// # Errors
    /// [`SendError`]: nothing was kept.
    pub fn send(&mut self, now: Instant, body: Arc<[u8]>, ordered: bool, timeout: Duration) -> Result<u64, SendError> {
        if body.len() > MAX_MESSAGE {
            return Err(SendError::TooLong);
        }
        let open = self.open.get_or_insert_default();
        if open.under_way.len() >= self.limits.in_flight || open.bytes + body.len() > self.limits.bytes {
            return Err(SendError::Full);
        }
        let (number, timeout) = (self.next, timeout.min(MAX_TIMEOUT));
        // The last number is never given: it could not be followed by one.
        self.next = self.next.checked_add(1).filter(|next| *next < u64::MAX).ok_or(SendError::Full)?;
        open.bytes += body.len();
        open.under_way.insert(number, Sending { body, ordered, since: now, until: now + timeout, times: 0, due: now });
        Ok(number)
    }

    /// The next message to be sent, lowest number first. `rtt` is the round trip to the peer, as far as it is known; only the first `window`
    /// messages are looked at, the others wait until those are answered or given up.
    pub fn poll(&mut self, now: Instant, rtt: Duration, window: usize) -> Option<Transmission> {
        let oldest = self.oldest();
        let (number, sending) =
            self.open.as_mut()?.under_way.iter_mut().take(window).find(|(_, sending)| sending.due <= now)?;
        let reach = match sending.times {
            0 => Reach::Near,
            1 => Reach::Wider,
            _ => Reach::All,
        };
        let wait = match sending.times.checked_sub(2) {
            None => PATIENCE.max(rtt * 2),
            Some(doubled) => AGAIN.saturating_mul(1 << doubled.min(3)).min(LONGEST).max(rtt * 2),
        };
        sending.times = sending.times.saturating_add(1);
        sending.due = now + wait;
        let Sending { body, ordered, since, .. } = sending;
        Some(Transmission { number: *number, oldest, ordered: *ordered, reach, since: *since, body: body.clone() })
    }

    /// Something changed that makes it worth to try all again at once: a broker came up, a session is new.
    pub fn hurry(&mut self, now: Instant) {
        for sending in self.open.iter_mut().flat_map(|open| open.under_way.values_mut()) {
            sending.due = sending.due.min(now);
        }
    }

    /// An acknowledgement came.
    pub fn acked(&mut self, now: Instant, epoch: u64, number: u64) -> Acked {
        if epoch != self.epoch {
            return Acked::Unknown;
        }
        let Some(open) = &mut self.open else { return Acked::Unknown };
        if let Some(sending) = open.take(number) {
            return Acked::Delivered(now.saturating_since(sending.since));
        }
        match open.given_up.remove(&number) {
            Some(since) => Acked::Late(now.saturating_since(since)),
            None => Acked::Unknown,
        }
    }

    /// The next message whose time is over: it is given up, and whether it arrived is not known.
    pub fn poll_given_up(&mut self, now: Instant) -> Option<u64> {
        let open = self.open.as_mut()?;
        let number = *open.under_way.iter().find(|(_, sending)| sending.until <= now)?.0;
        let sending = open.take(number)?;
        if open.given_up.len() >= self.limits.late {
            open.given_up.pop_first();
        }
        open.given_up.insert(number, sending.since);
        Some(number)
    }

    /// Give a message up at once: it cannot reach its peer. An acknowledgement of it is not known any more. Says whether it was under way.
    pub fn refuse(&mut self, number: u64) -> bool {
        self.open.as_mut().is_some_and(|open| open.take(number).is_some())
    }

    /// The oldest message that is under way.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.under_way().first().copied()
    }

    /// When [`poll`](Self::poll) with this window or [`poll_given_up`](Self::poll_given_up) has something next.
    #[must_use]
    pub fn deadline(&self, window: usize) -> Option<Instant> {
        let due = self.under_way().values().take(window).map(|sending| sending.due).min();
        due.into_iter().chain(self.ends()).min()
    }

    /// When the next message is given up.
    #[must_use]
    pub fn ends(&self) -> Option<Instant> {
        self.under_way().values().map(|sending| sending.until).min()
    }

    /// The oldest number that is still tried; with none, the next.
    fn oldest(&self) -> u64 {
        self.first().unwrap_or(self.next)
    }
}
