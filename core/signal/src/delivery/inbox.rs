//! The messages of all peers.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use sluis_core::time::Duration;
use sluis_core::{Instant, SipKey};

use super::super::sealed::{GRACE, LIFETIME};
use super::epochs::Epochs;
use super::kept::{Keeping, Then};
use super::record::MAX_ACKS;
use crate::key::PublicKey;
use crate::row::Row;
use crate::seconds::Second;

/// What an inbox holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxLimits {
    /// Epochs of senders, in all.
    pub epochs: usize,
    /// Epochs of one sender: how often it may start anew within the life of a session.
    pub epochs_per_sender: usize,
    /// Messages of one epoch that wait for one before them, for the application, or to be confirmed, or that came out of order.
    pub waiting: usize,
    /// Bytes of messages that wait, in all.
    pub bytes: usize,
    /// Bytes of messages of one epoch that wait.
    pub bytes_per_epoch: usize,
    /// Gaps of one epoch that are remembered: numbers that were given up.
    pub gaps: usize,
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self {
            epochs: 16_384,
            epochs_per_sender: 64,
            waiting: 1024,
            bytes: 16 * 1024 * 1024,
            bytes_per_epoch: 512 * 1024,
            gaps: 64,
        }
    }
}

/// An epoch of which nothing was heard for so long gives back the memory that it can do without.
const RESTS: Duration = Duration::from_secs(20);

/// So many pieces of memory are kept that were handed back, of so many bytes at most.
const SPARE: usize = 16;
const SPARE_BYTES: usize = 4096;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is new and will be handed over.
    New,
    /// It is new and waits for one before it.
    Held,
    /// A copy of one that is not confirmed yet: nothing is to be done.
    Pending,
    /// A copy of one that the application has: it is acknowledged again.
    Again,
    /// Its sender had given it up: it is not handed over, and not acknowledged.
    GivenUp,
}

/// Why a message was not taken. It may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// No room for it, or for what has to be remembered of it.
    #[error("no room for the message")]
    Busy,
}

/// A message that came, of a sender that was proven by its session; see [`Record::Message`](super::Record::Message) for the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived<'a> {
    /// Who sent it.
    pub from: PublicKey,
    /// Under which epoch.
    pub epoch: u64,
    /// Within the epoch.
    pub number: u64,
    /// What is below was acknowledged or given up.
    pub oldest: u64,
    /// To be handed over in order.
    pub ordered: bool,
    /// When it was sent first, in milliseconds since 1970 by the sender's clock.
    pub said: u64,
    /// Over which broker it came.
    pub broker: usize,
    /// What is said.
    pub body: &'a [u8],
}

/// A message for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Who sent it.
    pub from: PublicKey,
    /// With the number, what [`Inbox::confirm`] takes.
    pub epoch: u64,
    /// Within the epoch.
    pub number: u64,
    /// When it was sent first, in milliseconds since 1970 by the sender's clock.
    pub said: u64,
    /// Over which broker it came first.
    pub broker: usize,
    /// What is said.
    pub body: Vec<u8>,
}

/// The messages of all peers: handed over once each, in order.
#[derive(Debug)]
pub struct Inbox {
    limits: InboxLimits,
    pub(super) epochs: Epochs,
    bytes: usize,
    pub(super) ready: VecDeque<(PublicKey, u64, u64)>,
    /// Memory of messages that were handed back.
    spare: Vec<Vec<u8>>,
    /// Who has acknowledgements to get.
    pub(super) owed: Row<Key, ()>,
    /// What waits for the medium, where what is known is kept.
    pub(super) keeping: Option<Keeping>,
}

/// A sender and its epoch.
pub(super) type Key = (PublicKey, u64);

#[derive(Debug)]
pub(super) struct Epoch {
    /// All below were handed over in order, or came out of order, or were given up.
    pub(super) next: u64,
    heard: Second,
    /// Behind a pointer, because most epochs are idle.
    pub(super) open: Lazy,
}

/// What is under way of an epoch.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Below this it is not known any more which were given up: nothing there is acknowledged again.
    pub(super) unknown: u64,
    /// Not handed over yet.
    pub(super) bodies: Row<u64, Waiting>,
    bytes: usize,
    /// Handed over and not confirmed.
    pub(super) unconfirmed: Row<u64, ()>,
    /// Confirmed, which the medium does not know yet.
    pub(super) confirming: Row<u64, ()>,
    /// At or above `next`, handed to the application or about to be: those that are not to be kept in order.
    pub(super) apart: BTreeSet<u64>,
    /// Given up and never handed over, or not known to have been.
    pub(super) gaps: BTreeSet<u64>,
    pub(super) acks: Row<u64, ()>,
}

impl Open {
    const NOTHING: &Self = &Self {
        unknown: 0,
        bodies: Row::new(),
        bytes: 0,
        unconfirmed: Row::new(),
        confirming: Row::new(),
        apart: BTreeSet::new(),
        gaps: BTreeSet::new(),
        acks: Row::new(),
    };

    fn is_empty(&self) -> bool {
        let rows = [&self.unconfirmed, &self.confirming, &self.acks];
        let sets = [&self.apart, &self.gaps];
        self.unknown == 0
            && self.bodies.is_empty()
            && rows.iter().all(|row| row.is_empty())
            && sets.iter().all(|set| set.is_empty())
    }
}

/// What is under way, made when it is first written to.
#[derive(Debug)]
pub(super) struct Lazy(Option<Box<Open>>);

impl Deref for Lazy {
    type Target = Open;

    fn deref(&self) -> &Open {
        self.0.as_deref().unwrap_or(Open::NOTHING)
    }
}

impl DerefMut for Lazy {
    fn deref_mut(&mut self) -> &mut Open {
        self.0.get_or_insert_default()
    }
}

#[derive(Debug)]
pub(super) struct Waiting {
    body: Vec<u8>,
    said: u64,
    broker: usize,
    /// It was put to the application's queue.
    pub(super) ready: bool,
}

impl Inbox {
    /// An empty one. Senders are found by a hash with this key.
    #[must_use]
    pub fn new(limits: InboxLimits, hash: SipKey) -> Self {
        let epochs = Epochs::new(hash);
        Self { limits, epochs, bytes: 0, ready: VecDeque::new(), owed: Row::new(), spare: Vec::new(), keeping: None }
    }

    /// Take a message.
    ///
    /// # Errors
    /// [`Refused::Busy`]: the message was not kept, and is not acknowledged.
    pub fn receive(&mut self, now: Instant, arrived: &Arrived<'_>) -> Result<Received, Refused> {
        let Arrived { from, epoch, number, oldest, ordered, said, broker, body } = *arrived;
        self.make_room(now, from, epoch)?;
        let key = (from, epoch);
        self.make_room_for_next(&key, (number, oldest), ordered, body.len());
        let Self { limits, epochs, bytes, ready, owed, spare, keeping } = self;
        let mut hand = |number| match keeping {
            Some(keeping) => keeping.first(key, Then::Hand(number)),
            None => ready.push_back((from, epoch, number)),
        };
        let known = epochs.entry(key, || Epoch::new(now)).ok_or(Refused::Busy)?;
        known.heard = Second::of(now);
        known.skip_to(oldest, limits.gaps, &mut hand);
        let received = match known.state_of(number) {
            Some(Received::Again) => {
                known.open.acks.insert(number, ());
                owed.insert(key, ());
                return Ok(Received::Again);
            }
            Some(copy) => return Ok(copy),
            None if ordered && number > known.next => Received::Held,
            None => Received::New,
        };
        let full = known.waiting() >= limits.waiting
            || known.open.bytes + body.len() > limits.bytes_per_epoch
            || *bytes + body.len() > limits.bytes;
        if full {
            return Err(Refused::Busy);
        }
        known.open.bytes += body.len();
        *bytes += body.len();
        let mut copy = spare.pop().unwrap_or_default();
        copy.extend_from_slice(body);
        known.open.bodies.insert(number, Waiting { body: copy, said, broker, ready: false });
        if !ordered {
            known.hand(number, &mut hand);
            known.open.apart.insert(number);
        }
        known.advance(&mut hand);
        Ok(received)
    }

    /// What waits for one before it was not acknowledged, and comes again: it makes room for what can be handed over now. Otherwise a sender might
    /// fill his own room so that what all of it waits for finds none, and a few strangers that of everybody.
    fn make_room_for_next(&mut self, key: &Key, (number, oldest): (u64, u64), ordered: bool, len: usize) {
        let known = self.epochs.get(key);
        let is_next = !ordered || number <= known.map_or(0, |known| known.next).max(oldest);
        if !is_next || known.is_some_and(|known| known.state_of(number).is_some()) {
            return;
        }
        let Self { limits, epochs, bytes, .. } = self;
        if let Some(known) = epochs.get_mut(key) {
            while (known.waiting() >= limits.waiting || known.open.bytes + len > limits.bytes_per_epoch)
                && let Some(freed) = known.drop_last_held()
            {
                *bytes -= freed;
            }
        }
        while *bytes + len > limits.bytes {
            let held = epochs.iter().filter(|(_, known)| known.open.bodies.values().any(|waiting| !waiting.ready));
            let Some(most) = held.max_by_key(|(_, known)| known.open.bytes).map(|(key, _)| key) else { return };
            let Some(known) = epochs.get_mut(&most) else { return };
            while let Some(freed) = known.drop_last_held() {
                *bytes -= freed;
            }
        }
    }

    /// Whether there is a message for the application.
    #[must_use]
    pub(crate) fn has_message(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next message for the application. It is acknowledged when it is [confirmed](Self::confirm).
    pub fn poll(&mut self) -> Option<Handed> {
        let (from, epoch, number) = self.ready.pop_front()?;
        let known = self.epochs.get_mut(&(from, epoch))?;
        let Waiting { body, said, broker, .. } = known.open.bodies.remove(&number)?;
        known.open.bytes -= body.len();
        self.bytes -= body.len();
        known.open.unconfirmed.insert(number, ());
        Some(Handed { from, epoch, number, said, broker, body })
    }

    /// The application has a message: it is acknowledged. Says whether there was one to confirm.
    pub fn confirm(&mut self, from: PublicKey, epoch: u64, number: u64) -> bool {
        let key = (from, epoch);
        let Some(known) = self.epochs.get_mut(&key).filter(|known| known.open.unconfirmed.contains_key(&number)) else {
            return false;
        };
        known.open.unconfirmed.remove(&number);
        if let Some(keeping) = &mut self.keeping {
            known.open.confirming.insert(number, ());
            keeping.first(key, Then::Acknowledge(number));
        } else {
            known.open.acks.insert(number, ());
            self.owed.insert(key, ());
        }
        true
    }

    /// Acknowledge what nobody has yet: only a simulation asks for that, to prove that it would notice.
    pub(crate) fn acknowledge_early(&mut self, from: PublicKey, epoch: u64, number: u64) {
        if let Some(known) = self.epochs.get_mut(&(from, epoch)) {
            known.open.acks.insert(number, ());
            self.owed.insert((from, epoch), ());
        }
    }

    /// Acknowledgements that are to be sent to somebody: of one epoch, as many as fit into a packet. Each is given once; a copy of the
    /// message asks for it again.
    pub fn poll_acks(&mut self) -> Option<(PublicKey, u64, Vec<[u8; 8]>)> {
        let mut numbers = Vec::new();
        self.poll_acks_into(&mut numbers).map(|(from, epoch)| (from, epoch, numbers))
    }

    /// The same, the numbers in the place of what there is.
    pub(crate) fn poll_acks_into(&mut self, numbers: &mut Vec<[u8; 8]>) -> Option<(PublicKey, u64)> {
        let key = *self.owed.first()?;
        numbers.clear();
        if let Some(known) = self.epochs.get_mut(&key) {
            while numbers.len() < MAX_ACKS
                && let Some((number, ())) = known.open.acks.pop_first()
            {
                numbers.push(number.to_be_bytes());
            }
        }
        if self.epochs.get(&key).is_none_or(|known| known.open.acks.is_empty()) {
            self.owed.remove(&key);
        }
        Some(key)
    }

    /// Take back the memory of a message that was handed over: the next that comes is put into it.
    pub fn take_back(&mut self, mut body: Vec<u8>) {
        if self.spare.len() < SPARE && (1..=SPARE_BYTES).contains(&body.capacity()) {
            body.clear();
            self.spare.push(body);
        }
    }

    /// Bytes of messages that wait.
    #[must_use]
    pub const fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Epochs that are remembered.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.epochs.len()
    }

    /// Give back the memory of epochs that are quiet. What is known of them stays; it is to be called now and then.
    pub fn rest(&mut self, now: Instant) {
        self.epochs.for_each(|known| {
            if known.heard.since(now) >= RESTS {
                known.open.0.take_if(|open| open.is_empty());
            }
        });
    }

    /// Room for an epoch that is not known: what can be forgotten is, where it is needed.
    fn make_room(&mut self, now: Instant, from: PublicKey, epoch: u64) -> Result<(), Refused> {
        if self.epochs.get(&(from, epoch)).is_some() {
            return Ok(());
        }
        let (mut own, mut old) = (0, None);
        self.epochs.of_sender(&from, |epoch, known| {
            own += 1;
            // The same one, whatever order they stand in.
            old = if known.is_over(now) { old.into_iter().chain([epoch]).min() } else { old };
        });
        if own < self.limits.epochs_per_sender && self.epochs.len() < self.limits.epochs {
            return Ok(());
        }
        if let Some(old) = old {
            self.forget((from, old));
            return Ok(());
        }
        if own >= self.limits.epochs_per_sender {
            return Err(Refused::Busy);
        }
        let over: Vec<Key> = self.epochs.iter().filter(|(_, known)| known.is_over(now)).map(|(key, _)| key).collect();
        over.iter().for_each(|key| self.forget(*key));
        if over.is_empty() { Err(Refused::Busy) } else { Ok(()) }
    }

    fn forget(&mut self, key: Key) {
        self.bytes -= self.epochs.get(&key).map_or(0, |known| known.open.bytes);
        self.epochs.remove(&key);
        if let Some(keeping) = &mut self.keeping {
            keeping.changed(key);
        }
    }
}

impl Epoch {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: 0, heard: Second::of(now), open: Lazy(None) }
    }

    /// No packet of it can be opened any more, and nothing of it is under way to the application or to be acknowledged. What still waits for one
    /// before it waits in vain, and what was not confirmed yet nobody asks for any more.
    fn is_over(&self, now: Instant) -> bool {
        self.heard.since(now) >= LIFETIME + GRACE
            && !self.open.bodies.values().any(|waiting| waiting.ready)
            && self.open.confirming.is_empty()
            && self.open.acks.is_empty()
    }

    /// Drop the last message of those that wait for one before them; how many bytes that frees.
    fn drop_last_held(&mut self) -> Option<usize> {
        let last = *self.open.bodies.iter().rev().find(|(_, waiting)| !waiting.ready)?.0;
        let freed = self.open.bodies.remove(&last)?.body.len();
        self.open.bytes -= freed;
        Some(freed)
    }

    fn waiting(&self) -> usize {
        self.open.bodies.len() + self.open.unconfirmed.len() + self.open.confirming.len() + self.open.apart.len()
    }

    /// What is known of a number; `None`: it is new.
    fn state_of(&self, number: u64) -> Option<Received> {
        let pending = [&self.open.unconfirmed, &self.open.confirming].iter().any(|row| row.contains_key(&number));
        if pending || self.open.bodies.contains_key(&number) {
            return Some(Received::Pending);
        }
        if self.open.gaps.contains(&number) {
            return Some(Received::GivenUp);
        }
        if number >= self.next {
            return self.open.apart.contains(&number).then_some(Received::Again);
        }
        Some(if number < self.open.unknown { Received::GivenUp } else { Received::Again })
    }

    /// Nobody sends what is below any more: hand over what came of it, and remember what did not.
    fn skip_to(&mut self, oldest: u64, most_gaps: usize, ready: &mut impl FnMut(u64)) {
        while self.next < oldest {
            if self.open.bodies.contains_key(&self.next) {
                self.hand(self.next, ready);
                self.open.apart.remove(&self.next);
            } else if !self.open.apart.remove(&self.next) {
                // The next that came ends the gap. A sender may jump as far as it likes; the work is bounded by what is kept.
                let came = self.open.bodies.first_from(&self.next).copied();
                let came_apart = self.open.apart.range(self.next..).next().copied();
                let end = [came, came_apart].into_iter().flatten().fold(oldest, u64::min);
                self.gap(self.next, end, most_gaps);
                self.next = end;
                continue;
            }
            self.next += 1;
        }
        self.advance(ready);
    }

    fn gap(&mut self, from: u64, to: u64, most: usize) {
        if usize::try_from(to - from).is_ok_and(|len| len + self.open.gaps.len() <= most) {
            self.open.gaps.extend(from..to);
        } else {
            // Too many to remember: what is below is left alone.
            self.open.unknown = to;
            self.open.gaps = self.open.gaps.split_off(&to);
        }
    }

    /// Hand over what is next, as far as it came.
    fn advance(&mut self, ready: &mut impl FnMut(u64)) {
        loop {
            if self.open.bodies.contains_key(&self.next) {
                self.hand(self.next, ready);
                self.open.apart.remove(&self.next);
            } else if !self.open.apart.remove(&self.next) {
                return;
            }
            self.next += 1;
        }
    }

    fn hand(&mut self, number: u64, ready: &mut impl FnMut(u64)) {
        if let Some(waiting) = self.open.bodies.get_mut(&number)
            && !core::mem::replace(&mut waiting.ready, true)
        {
            ready(number);
        }
    }
}
