//! Which record is taken in.

use alloc::vec::Vec;

use super::fira::Proven;
use super::record::{Record, Unverified};
use super::table::{Device, Devices, Heard, State};
use super::{Change, Undo, kept};
use crate::identity::{PublicKey, Statement};
use crate::pins::{Judgement, Pins};
use crate::seed::SipKey;
use crate::time::{Duration, Wall};

/// How many names one key may speak for: what a statement about it touches at most.
const MAX_NAMES_OF_A_KEY: usize = 64;
/// How many devices one registration looks at for one that makes way.
const SWEEP: u32 = 64;
/// What the tables may grow by beyond the bytes of a record: a chunk and its entry in a list for each.
const ROOM_TO_GROW: usize = 64 * 1024;

/// How much a [`Registry`] may hold, and which records it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// How many devices. Default 65,536.
    pub max_devices: usize,
    /// How many capabilities over all devices, each counted once for each device. Default 262,144.
    pub max_offers: usize,
    /// How many bytes of heap; below 64 KiB nothing fits. Default 64 MiB.
    pub max_bytes: usize,
    /// How long a record may hold from now on. Default 30 days.
    pub max_life: Duration,
    /// How far ahead of our clock a record may have been made. Default 60 s.
    pub skew: Duration,
    /// How long after its record has expired a name stays bound to its key where room is short; with room it stays for ever. Default 30 days.
    pub keep: Duration,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self {
            max_devices: 65_536,
            max_offers: 262_144,
            max_bytes: 64 << 20,
            max_life: days(30),
            skew: Duration::from_secs(60),
            keep: days(30),
        }
    }
}

/// Why a record is not taken in. It is counted by whoever asked; nothing is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Its time is over.
    #[error("the record has expired")]
    Expired,
    /// It was made in the future.
    #[error("the record was made in the future")]
    Future,
    /// It would hold longer than records may.
    #[error("the record would hold longer than is allowed")]
    TooLong,
    /// The name is another key's.
    #[error("another key speaks for this name")]
    OtherKey,
    /// The key was rotated or revoked.
    #[error("the key of the record has been retired")]
    Retired,
    /// A newer record is known.
    #[error("a newer record is known")]
    Stale,
    /// Another record with this number is known: its key has signed both. Counted as an anomaly of the device.
    #[error("another record with the same number is known")]
    Conflict,
    /// The key speaks for as many names as a key may.
    #[error("a key speaks for {MAX_NAMES_OF_A_KEY} names at most")]
    TooManyNames,
    /// There is no room.
    #[error("the registry is full")]
    Full,
}

/// What a record was to the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The first of its name.
    New,
    /// Newer than what was known.
    Newer {
        /// It names other endpoints.
        moved: bool,
    },
    /// Known already.
    Same,
}

/// A record that was taken in.
#[derive(Debug)]
#[must_use = "unless the change is written, the record is forgotten at the next start"]
pub struct Registered {
    /// What it was.
    pub news: News,
    /// What is to be kept.
    pub change: Change,
}

/// Devices by name, and what each says about itself. See the [module](super).
pub struct Registry {
    config: RegistryConfig,
    devices: Devices,
    /// The slot that the search for one that makes way looks at next.
    sweep: u32,
}

impl Registry {
    /// Empty.
    #[must_use]
    pub fn new(config: RegistryConfig, hash: SipKey) -> Self {
        Self { devices: Devices::new(hash, config.max_devices, config.max_offers), config, sweep: 0 }
    }

    /// Take in a record. `pins` says which key the operator or a statement has bound to a name, and which keys were retired: that goes before what
    /// this registry has heard.
    ///
    /// # Errors
    /// [`RegisterError`]; then nothing has changed, but for the anomaly of a [`RegisterError::Conflict`].
    pub fn register(
        &mut self,
        now: Wall,
        record: &Record<'_>,
        heard: Heard,
        pins: &Pins,
    ) -> Result<Registered, RegisterError> {
        let claims = record.claims();
        self.check_times(now, claims.issued, claims.expires)?;
        let judgement = pins.judge(claims.did, claims.key);
        match judgement {
            Judgement::Retired => return Err(RegisterError::Retired),
            Judgement::OtherKey => return Err(RegisterError::OtherKey),
            Judgement::Pinned | Judgement::Unpinned => {}
        }
        let Some(slot) = self.devices.find(claims.did) else { return self.add(now, record, heard) };
        let Some(before) = self.devices.state(slot) else { return Err(RegisterError::Full) };
        if before.revoked || before.key != claims.key {
            // Only a pin that was set since says that it is this key's name now.
            let taken_over = judgement == Judgement::Pinned;
            return if taken_over {
                self.replace(now, record, heard, before, true)
            } else {
                Err(RegisterError::OtherKey)
            };
        }
        let known = self.devices.at(slot).ok_or(RegisterError::Full)?.front();
        // Two keys, one after the other, may have used the same number: that is no anomaly.
        if claims.seq < known.seq || claims.seq == known.seq && claims.key != known.key {
            return Err(RegisterError::Stale);
        }
        if claims.seq > known.seq {
            return self.replace(now, record, heard, before, false);
        }
        let same = *before.record == *record.as_bytes();
        let Some(entry) = self.devices.at_mut(slot) else { return Err(RegisterError::Full) };
        if !same {
            entry.history.note(now, Proven::Anomaly);
            return Err(RegisterError::Conflict);
        }
        if heard == Heard::Directly || entry.heard == heard {
            (entry.heard, entry.heard_at) = (heard, now);
        }
        Ok(Registered { news: News::Same, change: Change::nothing() })
    }

    fn check_times(&self, now: Wall, issued: u64, expires: u64) -> Result<(), RegisterError> {
        if Wall::from_secs(expires) <= now {
            Err(RegisterError::Expired)
        } else if Wall::from_secs(issued) > now.saturating_add(self.config.skew) {
            Err(RegisterError::Future)
        } else if Wall::from_secs(expires) > now.saturating_add(self.config.max_life) {
            Err(RegisterError::TooLong)
        } else {
            Ok(())
        }
    }

    fn add(&mut self, now: Wall, record: &Record<'_>, heard: Heard) -> Result<Registered, RegisterError> {
        let claims = record.claims();
        if self.devices.of_key(&claims.key, MAX_NAMES_OF_A_KEY).len() >= MAX_NAMES_OF_A_KEY {
            return Err(RegisterError::TooManyNames);
        }
        if self.devices.is_full() {
            self.make_way(now);
        }
        if self.devices.is_full() || !self.has_room(record, 0, 0) {
            return Err(RegisterError::Full);
        }
        let mut history = super::History::default();
        history.note(now, Proven::Registered);
        self.devices.put(record, claims.key, (history, now, heard, false));
        Ok(Registered { news: News::New, change: self.change(claims.did, None) })
    }

    fn replace(
        &mut self,
        now: Wall,
        record: &Record<'_>,
        heard: Heard,
        before: State,
        taken_over: bool,
    ) -> Result<Registered, RegisterError> {
        let claims = record.claims();
        let known = Record::kept(&before.record);
        let offers = known.map_or(0, |known| known.claims().capabilities().count());
        if !self.has_room(record, before.record.len(), offers) {
            return Err(RegisterError::Full);
        }
        let moved = known.is_none_or(|known| !known.claims().same_endpoints(claims));
        // Another key's past says nothing about this one.
        let history = if taken_over { super::History::default() } else { before.history };
        self.devices.put(record, claims.key, (history, now, heard, false));
        Ok(Registered { news: News::Newer { moved }, change: self.change(claims.did, Some(before)) })
    }

    /// Whether a record fits, in the place of one of so many bytes and capabilities.
    fn has_room(&self, record: &Record<'_>, bytes: usize, offers: usize) -> bool {
        let more = record.claims().capabilities().count();
        let texts: usize = record.claims().capabilities().map(str::len).sum();
        let needed = self.heap_bytes() + ROOM_TO_GROW + record.as_bytes().len() + texts;
        self.devices.room_for_offers() + offers >= more && needed <= self.config.max_bytes.saturating_add(bytes)
    }

    /// Drop one device that was heard of by others and whose record has expired, or one whose record has expired long ago.
    fn make_way(&mut self, now: Wall) {
        for _ in 0..SWEEP.min(self.devices.slots()) {
            let slot = self.sweep;
            self.sweep = (slot + 1) % self.devices.slots().max(1);
            let Some(entry) = self.devices.at(slot) else { continue };
            let until = Wall::from_secs(entry.front().expires);
            let until = if entry.heard == Heard::Directly { until.saturating_add(self.config.keep) } else { until };
            if until <= now && !entry.revoked {
                self.devices.remove(slot);
                return;
            }
        }
    }

    /// A key says that another takes its place, or that nobody is to believe it. Names bound to it are bound to its successor, whose records hold from
    /// now on; until one comes, the last one of the old key is still what is known. After a revocation nothing is said of these names.
    ///
    /// The registry remembers names, not retired keys: have [`Pins::retire`] take the statement in, too.
    ///
    /// # Errors
    /// [`RegisterError::TooManyNames`]: the successor would speak for more names than a key may.
    pub fn retire(&mut self, statement: &Statement) -> Result<Vec<Change>, RegisterError> {
        let slots = self.devices.of_key(&statement.key(), MAX_NAMES_OF_A_KEY);
        let taken = statement.successor().map_or(0, |key| self.devices.of_key(&key, MAX_NAMES_OF_A_KEY).len());
        if slots.len() + taken > MAX_NAMES_OF_A_KEY {
            return Err(RegisterError::TooManyNames);
        }
        let mut changes = Vec::with_capacity(slots.len());
        for slot in slots {
            match (statement.successor(), self.devices.at_mut(slot)) {
                (Some(key), _) => self.devices.rebind(slot, key),
                (None, Some(entry)) => entry.revoked = true,
                (None, None) => continue,
            }
            if let Some(entry) = self.devices.at(slot) {
                changes.push(kept::put(entry, None));
            }
        }
        Ok(changes)
    }

    /// Forget a device, and which key its name is bound to; `None` when none is known. For the operator alone: from then on the name is whose record
    /// comes first.
    pub fn forget(&mut self, did: &str) -> Option<Change> {
        let slot = self.devices.find(did)?;
        let before = self.devices.state(slot);
        self.devices.remove(slot);
        Some(kept::remove(did, before.map(|before| Undo { did: did.into(), now: None, before: Some(before) })))
    }

    /// Note something proven about a device; its score then. `None` when it is not known.
    pub fn note(&mut self, now: Wall, did: &str, event: Proven) -> Option<f64> {
        let slot = self.devices.find(did)?;
        let entry = self.devices.at_mut(slot)?;
        entry.history.note(now, event);
        Some(entry.history.fira(now).score)
    }

    /// What is to be written so that the history of a device survives. Counting alone writes nothing: do this now and then.
    pub fn keep_history(&self, did: &str) -> Option<Change> {
        self.devices.at(self.devices.find(did)?).map(|entry| kept::put(entry, None))
    }

    fn change(&self, did: &str, before: Option<State>) -> Change {
        let Some(entry) = self.devices.find(did).and_then(|slot| self.devices.at(slot)) else {
            return Change::nothing();
        };
        let now = Some((entry.key(), entry.front().seq));
        kept::put(entry, Some(Undo { did: did.into(), now, before }))
    }

    /// Take back a change that could not be written; false when something newer is known of that device, or when it is not to be taken back: a
    /// retired key stays retired.
    pub fn undo(&mut self, change: &Change) -> bool {
        let Some(Undo { did, now, before }) = change.undone_by() else { return false };
        let slot = self.devices.find(did);
        let is = slot.and_then(|slot| self.devices.at(slot)).map(|entry| (entry.key(), entry.front().seq));
        if is != *now {
            return false;
        }
        match (before, slot) {
            (Some(before), _) => self.put_back(before),
            (None, Some(slot)) => {
                self.devices.remove(slot);
                true
            }
            (None, None) => false,
        }
    }

    pub(super) fn put_back(&mut self, state: &State) -> bool {
        let State { record, key, history, heard_at, heard, revoked } = state;
        Record::kept(record)
            .is_some_and(|record| self.devices.put(&record, *key, (*history, *heard_at, *heard, *revoked)))
    }

    /// The record itself, if it is known byte for byte: it was verified when it was taken in, and need not be again.
    #[must_use]
    pub fn recognise<'r>(&self, record: &Unverified<'r>) -> Option<Record<'r>> {
        let known = self.devices.at(self.devices.find(record.claims().did)?)?;
        (*known.record == *record.as_bytes()).then(|| record.recognised())
    }

    /// What is known of a name, whether its record still holds or not.
    #[must_use]
    pub fn get(&self, did: &str) -> Option<Device<'_>> {
        self.devices.find(did).and_then(|slot| self.devices.at(slot)).map(Device)
    }

    /// Devices that can do this and whose record holds, in the order in which they said so. Costs what it finds, and not what there is.
    pub fn find(&self, now: Wall, capability: &str) -> impl Iterator<Item = Device<'_>> {
        self.devices.with(capability).map(Device).filter(move |device| device.is_current(now))
    }

    /// Names that a key speaks for; at most 64.
    pub fn of_key(&self, key: &PublicKey) -> impl Iterator<Item = Device<'_>> {
        self.devices.of_key(key, MAX_NAMES_OF_A_KEY).into_iter().filter_map(|slot| self.devices.at(slot)).map(Device)
    }

    /// Every device, in no meaningful but a reproducible order.
    pub fn iter(&self) -> impl Iterator<Item = Device<'_>> {
        self.devices.iter().map(Device)
    }

    /// Every capability, and how many devices have it, in no meaningful but a reproducible order.
    pub fn capabilities(&self) -> impl Iterator<Item = (&str, usize)> {
        self.devices.capabilities()
    }

    /// How many devices are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// None is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.devices.len() == 0
    }

    /// Bytes of heap held, the allocator's own overhead aside.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.devices.heap_bytes()
    }
}

impl core::fmt::Debug for Registry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registry").field("devices", &self.len()).finish_non_exhaustive()
    }
}
