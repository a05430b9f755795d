//! The replay floor: a stored mark above which no packet was ever admitted.

use alloc::vec::Vec;

use crate::time::{Duration, Instant, Now, Wall};

/// The key of its record.
pub(super) const KEY: &[u8] = b"f";

/// How far ahead of the clock the mark is put while packets keep coming: what a crash costs, and how seldom it is written.
pub(super) const AHEAD: Duration = Duration::from_secs(2);

/// No stamp above [`kept`](Self::kept) was admitted. It is written before that changes, so that it can be the floor of the replay window after a restart,
/// whatever the wall clock shows then.
///
/// A packet that comes alone raises it to its own stamp; where they keep coming, it is put [`AHEAD`] of the clock, and raised again before it is reached. So
/// steady traffic waits for no write and causes one in a second, silence causes none, and after a crash what is stamped within [`AHEAD`] of it at most is refused.
#[derive(Debug)]
pub(super) struct Mark {
    /// On the medium.
    kept: Wall,
    /// Given out, at least as high.
    given: Wall,
    /// Asked for, at least as high.
    wanted: Wall,
    /// When it was last asked for.
    since: Option<Instant>,
}

impl Mark {
    pub(super) const fn new() -> Self {
        Self { kept: Wall::MIN, given: Wall::MIN, wanted: Wall::MIN, since: None }
    }

    /// What is on the medium.
    pub(super) const fn kept(&self) -> Wall {
        self.kept
    }

    /// Whether a packet with this stamp may be admitted. If not, it may be once the mark that is then [wanted](Self::wants) is kept. `again`: it was asked for this packet
    /// before, so that it says nothing about how often packets come.
    pub(super) fn admits(&mut self, now: Now, stamp: Wall, again: bool) -> bool {
        let keep_coming = self.since.is_some_and(|since| now.mono.saturating_since(since) < AHEAD);
        let ahead = now.wall.saturating_add(AHEAD);
        if stamp > self.kept {
            self.want(now, if keep_coming { stamp.max(ahead) } else { stamp });
            return false;
        }
        if keep_coming && !again && self.wanted < now.wall.saturating_add(AHEAD / 2) {
            self.want(now, ahead);
        }
        true
    }

    fn want(&mut self, now: Now, mark: Wall) {
        if mark > self.wanted {
            (self.wanted, self.since) = (mark, Some(now.mono));
        }
    }

    pub(super) fn wants(&self) -> bool {
        self.wanted > self.given
    }

    /// The mark that is to be written, and its record's value.
    pub(super) fn give(&mut self) -> Option<(Wall, Vec<u8>)> {
        if !self.wants() {
            return None;
        }
        self.given = self.wanted;
        Some((self.given, number(self.given.as_micros())))
    }

    /// It was written, or not.
    pub(super) fn end(&mut self, mark: Wall, kept: bool) {
        if kept {
            self.kept = self.kept.max(mark);
        } else {
            // Who comes next asks for it anew.
            (self.given, self.wanted) = (self.kept, self.kept);
        }
    }

    /// What was kept in an earlier life.
    pub(super) fn restore(&mut self, mark: Wall) {
        self.kept = self.kept.max(mark);
        self.given = self.given.max(mark);
        self.wanted = self.wanted.max(mark);
    }
}

/// A mark as the floor of a node that takes what is older by this much, too. Without leave for that it is the floor itself. With it, what counts is how late it was known to
/// be when it was written, which a mark is ahead of by [`AHEAD`] and the skew of senders at most.
pub(super) fn floor(mark: Wall, skew: Duration, older: Duration) -> Wall {
    if older.is_zero() { mark } else { mark.saturating_sub(AHEAD.saturating_add(skew)).saturating_sub(older) }
}

/// A number as the value of a record.
pub(super) fn number(n: i64) -> Vec<u8> {
    alloc::format!("{n}").into_bytes()
}

/// What [`number`] wrote.
pub(super) fn read_number(value: &[u8]) -> Option<i64> {
    let number: i64 = core::str::from_utf8(value).ok()?.parse().ok()?;
    // Nothing but what is written.
    (self::number(number) == value).then_some(number)
}
