//! Messages that come in the clear: each is handed over once, and acknowledged once it was.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Instant, StoreSeq};

use super::budget::Budget;
use super::incoming::SKEW;
use super::{Message, MessageKey, Turned};
use crate::key::{PUBLIC_LEN, PublicKey};

/// The body of our acknowledgements of what came in the clear, and of probes that ask for no session. A peer of the reference does not look at
/// it. It shows who is one of ours: a bare `ack` is never signed by one, so nobody can make one look like a peer of the reference.
pub(super) const OUR_ACK: &[u8] = b"acksluis1";

/// The most that is remembered, in all and of one sender.
const MOST: usize = 65_536;
const MOST_OF_ONE: usize = 4096;
/// The most bytes that wait for the application.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Over how many brokers copies are acknowledged that came before the application had it.
const MOST_BROKERS: usize = 16;
/// From one signature to the next that is checked, in the long run: a twentieth of the time or so.
const INTERVAL: Duration = Duration::from_millis(1);
/// At once.
const BURST: u32 = 2000;

/// Sender, queue, number in it.
type Key = (PublicKey, [u8; 32], u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The medium is to know it before it is handed over.
    Coming,
    /// It waits for the application.
    Ready,
    /// The application has it and has not confirmed it.
    Handed,
    /// The medium is to know that it was confirmed.
    Confirming,
    /// It is acknowledged, and so is every copy.
    Done,
    /// It was under way when everything stopped: it is never handed over again, and never acknowledged.
    Lost,
}

#[derive(Debug)]
struct Entry {
    stamp: u64,
    state: State,
    body: Vec<u8>,
    /// Over which brokers it came.
    heard: Vec<usize>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It will be acknowledged, or never.
    Pending,
    /// A copy of one that the application has.
    Again,
}

/// What is known of messages in the clear, until no copy can be young enough any more.
#[derive(Debug)]
pub(super) struct Plain {
    entries: BTreeMap<Key, Entry>,
    of_one: BTreeMap<PublicKey, usize>,
    bytes: usize,
    ready: VecDeque<Key>,
    /// To be acknowledged, over these brokers.
    acks: VecDeque<(Key, Vec<usize>)>,
    /// What was stamped before is not taken: it was before our time.
    since: u64,
    /// Nor is what is as old as something that was forgotten, whatever becomes of our clock.
    floor: u64,
    checks: Budget,
    keeps: bool,
    /// Records that are to be written, and what waits for those that were.
    changed: VecDeque<Key>,
    written: VecDeque<(StoreSeq, Key)>,
    bounds_changed: bool,
}

impl Plain {
    pub(super) fn new(since: u64, keeps: bool, brokers: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            of_one: BTreeMap::new(),
            bytes: 0,
            ready: VecDeque::new(),
            acks: VecDeque::new(),
            since,
            floor: 0,
            checks: Budget::new(brokers, INTERVAL, BURST),
            keeps,
            changed: VecDeque::new(),
            written: VecDeque::new(),
            bounds_changed: keeps,
        }
    }

    /// Whether there is budget to check a signature that a broker brings, while so many are joined; it is spent.
    pub(super) fn spend(&mut self, now: Instant, at: usize, joined: usize) -> bool {
        self.checks.spend(now, at, joined)
    }

    /// Whether a stamp is of our time.
    pub(super) const fn takes(&self, stamp: u64, accept_older: bool) -> bool {
        stamp > self.floor && (accept_older || stamp >= self.since)
    }

    /// Take a message whose signature holds and whose stamp is [of our time](Self::takes).
    pub(super) fn receive(
        &mut self,
        clock: u64,
        key: Key,
        stamp: u64,
        body: &[u8],
        broker: usize,
    ) -> Result<Taken, Turned> {
        if let Some(entry) = self.entries.get_mut(&key) {
            // Who stamps each copy anew is remembered until the last one is too old.
            entry.stamp = entry.stamp.max(stamp);
            if entry.state == State::Done {
                return Ok(Taken::Again);
            }
            if !entry.heard.contains(&broker) && entry.heard.len() < MOST_BROKERS {
                entry.heard.push(broker);
            }
            return Ok(Taken::Pending);
        }
        let is_full = |this: &Self| {
            this.entries.len() >= MOST || this.of_one.get(&key.0).is_some_and(|count| *count >= MOST_OF_ONE)
        };
        if is_full(self) {
            self.forget(clock);
        }
        if is_full(self) || self.bytes + body.len() > MOST_BYTES {
            return Err(Turned::Busy);
        }
        self.bytes += body.len();
        *self.of_one.entry(key.0).or_default() += 1;
        let state = if self.keeps { State::Coming } else { State::Ready };
        self.entries.insert(key, Entry { stamp, state, body: body.to_vec(), heard: Vec::from([broker]) });
        if self.keeps {
            self.changed.push_back(key);
        } else {
            self.ready.push_back(key);
        }
        Ok(Taken::Pending)
    }

    #[cfg(feature = "sim")]
    pub(super) fn is_within_cap(&self) -> bool {
        self.entries.len() <= MOST
            && self.of_one.values().all(|count| *count <= MOST_OF_ONE)
            && self.bytes <= MOST_BYTES
    }

    pub(super) fn has_message(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next message for the application.
    pub(super) fn poll(&mut self) -> Option<Message> {
        let key = self.ready.pop_front()?;
        let entry = self.entries.get_mut(&key)?;
        entry.state = State::Handed;
        let body = core::mem::take(&mut entry.body);
        self.bytes -= body.len();
        let (from, queue, seq) = key;
        let broker = entry.heard.first().copied().unwrap_or_default();
        let said = entry.stamp.saturating_mul(1000);
        Some(Message { key: MessageKey::Plain { from, queue, seq }, name: None, said, broker, body })
    }

    /// The application has a message. Says whether there was one to confirm.
    pub(super) fn confirm(&mut self, key: Key) -> bool {
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.state == State::Handed) else {
            return false;
        };
        if self.keeps {
            entry.state = State::Confirming;
            self.changed.push_back(key);
        } else {
            entry.state = State::Done;
            self.acks.push_back((key, core::mem::take(&mut entry.heard)));
        }
        true
    }

    /// What is to be acknowledged, and over which brokers.
    pub(super) fn poll_ack(&mut self) -> Option<(Key, Vec<usize>)> {
        self.acks.pop_front()
    }

    /// Forget what is too old for a copy of it to be taken.
    pub(super) fn forget(&mut self, clock: u64) {
        let Self { entries, of_one, floor, changed, keeps, bounds_changed, .. } = self;
        let before = *floor;
        entries.retain(|key, entry| {
            let waits = matches!(entry.state, State::Coming | State::Ready | State::Confirming);
            if waits || entry.stamp.saturating_add(SKEW) >= clock {
                return true;
            }
            *floor = entry.stamp.max(*floor);
            if let Some(count) = of_one.get_mut(&key.0) {
                *count -= 1;
            }
            if *keeps {
                changed.push_back(*key);
            }
            false
        });
        of_one.retain(|_, count| *count > 0);
        *bounds_changed |= *keeps && *floor != before;
    }

    pub(super) fn has_record(&self) -> bool {
        self.bounds_changed || !self.changed.is_empty()
    }

    /// The bounds of what is taken, where they are to be kept.
    pub(super) fn poll_bounds(&mut self) -> Option<[u8; 16]> {
        if !core::mem::take(&mut self.bounds_changed) {
            return None;
        }
        let mut out = [0; 16];
        let parts = self.since.to_be_bytes().into_iter().chain(self.floor.to_be_bytes());
        out.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        Some(out)
    }

    /// The bounds are not known to be kept.
    pub(super) const fn bounds_again(&mut self) {
        self.bounds_changed = true;
    }

    /// The next record to be kept; without a value it is to go.
    pub(super) fn poll_record(&mut self, seq: StoreSeq) -> Option<(Vec<u8>, Option<[u8; 9]>)> {
        let key = self.changed.pop_front()?;
        self.written.push_back((seq, key));
        let value = self.entries.get(&key).map(|entry| {
            let mut value = [0; 9];
            let state = u8::from(matches!(entry.state, State::Confirming | State::Done));
            let parts = [state].into_iter().chain(entry.stamp.to_be_bytes());
            value.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
            value
        });
        let (from, queue, number) = key;
        Some(([&from.as_bytes()[..], &queue, &number.to_be_bytes()].concat(), value))
    }

    /// The records up to this number are on the medium, or (`false`) not known to be.
    pub(super) fn handle_kept(&mut self, upto: StoreSeq, is_kept: bool) {
        while let Some((_, key)) = self.written.pop_front_if(|(seq, _)| *seq <= upto) {
            if !is_kept {
                self.changed.push_back(key);
                continue;
            }
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            match entry.state {
                State::Coming => {
                    entry.state = State::Ready;
                    self.ready.push_back(key);
                }
                State::Confirming => {
                    entry.state = State::Done;
                    self.acks.push_back((key, core::mem::take(&mut entry.heard)));
                }
                State::Ready | State::Handed | State::Done | State::Lost => {}
            }
        }
    }

    /// Take back the bounds as they were kept.
    pub(super) fn restore_bounds(&mut self, value: &[u8]) -> Option<()> {
        let (since, floor) = value.split_first_chunk()?;
        (self.since, self.floor) = (u64::from_be_bytes(*since), u64::from_be_bytes(floor.try_into().ok()?));
        self.bounds_changed = false;
        Some(())
    }

    /// Take back what was kept of a message.
    pub(super) fn restore(&mut self, clock: u64, key: &[u8], value: &[u8]) -> Option<()> {
        let (from, rest) = key.split_first_chunk::<PUBLIC_LEN>()?;
        let (queue, number) = rest.split_first_chunk()?;
        let from = PublicKey::from_bytes(*from).ok()?;
        let (state, stamp) = value.split_first()?;
        // Copies that were stamped later may have come meanwhile.
        let stamp = u64::from_be_bytes(stamp.try_into().ok()?).max(clock);
        let state = if *state == 1 { State::Done } else { State::Lost };
        let key = (from, *queue, u32::from_be_bytes(number.try_into().ok()?));
        *self.of_one.entry(from).or_default() += 1;
        self.entries.insert(key, Entry { stamp, state, body: Vec::new(), heard: Vec::new() });
        Some(())
    }
}

/// What was said to a peer of the reference, which knows messages by their letters only.
#[derive(Debug, Default)]
pub(super) struct Texts {
    said: VecDeque<([u8; 32], Instant)>,
    /// Until then some are not known any more.
    lost_until: Option<Instant>,
}

impl Texts {
    /// How long the reference may remember one: until its first PINGREQ after two minutes, and a copy is under way for a while.
    const LIFE: Duration = Duration::from_secs(240);
    const MOST: usize = 4096;

    /// A text is said. Whether the peer may know it already.
    pub(super) fn say(&mut self, now: Instant, hash: [u8; 32]) -> bool {
        while self.said.pop_front_if(|(_, at)| now.saturating_since(*at) >= Self::LIFE).is_some() {}
        if self.said.len() >= Self::MOST
            && let Some((_, at)) = self.said.pop_front()
        {
            self.lost_until = Some(at + Self::LIFE);
        }
        let known = self.said.iter().any(|(known, _)| *known == hash);
        self.said.push_back((hash, now));
        known || self.lost_until.is_some_and(|until| now < until)
    }
}
