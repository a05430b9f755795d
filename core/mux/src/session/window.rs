//! How much the other side may send: windows that grow with what is measured.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use sluis_core::Instant;

/// Memory that the windows of many sessions may grow into, together. Clones are the same memory.
///
/// Only what windows have grown above their first size counts; a session gives it back when its streams end.
#[derive(Clone, Debug)]
pub struct WindowPool(Arc<AtomicUsize>);

impl WindowPool {
    /// This many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Take up to so many bytes; how many there were.
    fn take(&self, bytes: u32) -> u32 {
        let mut taken = 0;
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            taken = bytes.min(u32::try_from(left).unwrap_or(u32::MAX));
            Some(left - taken as usize)
        });
        taken
    }

    fn give(&self, bytes: u32) {
        self.0.fetch_add(bytes as usize, Ordering::Relaxed);
    }
}

impl Default for WindowPool {
    /// 1 GiB, or half of what can be addressed.
    fn default() -> Self {
        Self::new(if usize::BITS > 32 { 1 << 30 } else { usize::MAX / 2 })
    }
}

/// What the windows of one session have to share.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) pool: WindowPool,
    /// Bytes that windows of this session may still grow by.
    pub(super) left: u32,
    /// No window is larger.
    pub(super) most: u32,
}

impl Room {
    fn take(&mut self, bytes: u32) -> u32 {
        let taken = self.pool.take(bytes.min(self.left));
        self.left -= taken;
        taken
    }

    fn give(&mut self, bytes: u32) {
        self.left += bytes;
        self.pool.give(bytes);
    }
}

/// The receiving side of a stream's flow control.
#[derive(Debug)]
pub(super) struct Window {
    /// Bytes that the other side may still send.
    credit: u32,
    /// Bytes that may be under way or unread at a time.
    size: u32,
    /// The size before it grew.
    first: u32,
    /// Since when, and how much the application took since then.
    since: Instant,
    taken: u64,
}

impl Window {
    pub(super) const fn new(first: u32, now: Instant) -> Self {
        Self { credit: first, size: first, first, since: now, taken: 0 }
    }

    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// The other side sends; `false` when it may not.
    #[must_use]
    pub(super) fn spend(&mut self, bytes: u32) -> bool {
        match self.credit.checked_sub(bytes) {
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }

    /// The application took bytes. The window becomes twice what it takes in a round trip, where that is more than it is.
    pub(super) fn take(&mut self, now: Instant, bytes: u32, round_trip: Option<Duration>, room: &mut Room) {
        self.taken += u64::from(bytes);
        let (passed, Some(round_trip)) = (now.saturating_since(self.since), round_trip) else { return };
        if passed < round_trip || passed.is_zero() {
            return;
        }
        let a_round_trip = u128::from(self.taken) * round_trip.as_nanos() / passed.as_nanos();
        let wanted = u32::try_from(a_round_trip.saturating_mul(2)).unwrap_or(u32::MAX).min(room.most);
        if wanted > self.size {
            self.size += room.take(wanted - self.size);
        }
        (self.since, self.taken) = (now, 0);
    }

    /// What can be granted while so many bytes are unread; 0 while that is not worth a frame.
    pub(super) const fn due(&self, unread: u32) -> u32 {
        let due = self.size.saturating_sub(self.credit).saturating_sub(unread);
        if due >= self.size / 4 { due } else { 0 }
    }

    /// Grant it.
    pub(super) fn grant(&mut self, bytes: u32) {
        self.credit += bytes;
    }

    /// The stream is over: what it had grown by is free.
    pub(super) fn release(&mut self, room: &mut Room) {
        room.give(self.size - self.first);
        self.size = self.first;
    }
}

/// When to ask for a sign of life, and how long the way there and back is.
#[derive(Debug)]
pub(super) struct Pings {
    every: Duration,
    next: Instant,
    value: u32,
    /// When the one that is not answered was written.
    sent: Option<Instant>,
    /// Asked since the last byte came.
    asked: u8,
    /// The last few measurements.
    measured: [Option<Duration>; 4],
}

/// Unanswered pings that a connection survives, less one.
const MISSING: u8 = 2;

impl Pings {
    pub(super) const fn new(every: Duration, now: Instant) -> Self {
        Self { every, next: now, value: 0, sent: None, asked: 0, measured: [None; 4] }
    }

    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// The shortest of the last round trips: what waited in queues counts least.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.measured.iter().flatten().min().copied()
    }

    /// A sign of life has come.
    pub(super) fn alive(&mut self) {
        self.asked = 0;
    }

    /// Time has passed: whether a ping is due, or else nobody is there any more.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<bool, super::SessionError> {
        if now < self.next {
            return Ok(false);
        }
        if self.asked >= MISSING {
            return Err(super::SessionError::Dead);
        }
        self.asked += 1;
        self.next = now + self.every;
        self.sent = None;
        Ok(true)
    }

    /// A ping is written: its value.
    pub(super) fn write(&mut self, now: Instant) -> u32 {
        self.value = self.value.wrapping_add(1);
        self.sent = Some(now);
        self.value
    }

    /// An answer has come.
    pub(super) fn answered(&mut self, now: Instant, value: u32) {
        if value == self.value
            && let Some(sent) = self.sent.take()
        {
            self.measured.rotate_right(1);
            self.measured[0] = Some(now.saturating_since(sent));
        }
    }
}

/// Frames that cost work and bring nothing: this many are put up with, and so many a second.
const PATIENCE: u32 = 8192;
const PATIENCE_PER_SECOND: u64 = 1024;

/// Counts what brings nothing.
#[derive(Debug)]
pub(super) struct Patience {
    left: u32,
    filled: Instant,
}

impl Patience {
    pub(super) const fn new(now: Instant) -> Self {
        Self { left: PATIENCE, filled: now }
    }

    /// Data came.
    pub(super) fn reward(&mut self) {
        self.left = (self.left + 1).min(PATIENCE);
    }

    /// Something came that brings nothing.
    pub(super) fn spend(&mut self, now: Instant) -> Result<(), super::SessionError> {
        if self.left == 0 {
            let more = now.saturating_since(self.filled).as_millis() * u128::from(PATIENCE_PER_SECOND) / 1000;
            self.left = u32::try_from(more).unwrap_or(PATIENCE).min(PATIENCE);
            self.filled = now;
        }
        self.left = self.left.checked_sub(1).ok_or(super::SessionError::Flood)?;
        Ok(())
    }
}
