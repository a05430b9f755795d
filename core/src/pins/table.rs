//! Pinned names and retired keys.

use alloc::boxed::Box;

use super::record::{Change, Undo};
use crate::did::{DidError, check_did};
use crate::identity::{PublicKey, Statement};
use crate::seed::{Name, SipKey};
use crate::table::{Chain, Chained, Heap, Index, Slab};

/// How many names one key may be pinned to: what a statement about it touches at most.
const MAX_NAMES_OF_A_KEY: usize = 64;

/// How much [`Pins`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinConfig {
    /// How many names. Default 65,536.
    pub max_pins: usize,
    /// How many retired keys. Default 65,536.
    pub max_retired: usize,
}

impl Default for PinConfig {
    fn default() -> Self {
        Self { max_pins: 65_536, max_retired: 65_536 }
    }
}

/// Who decided that a key speaks for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The operator named both.
    Operator,
    /// Somebody approved a ping that bore this key, and said that it is to be pinned.
    Approved,
    /// It was the first key seen under this name, where the operator allows that.
    FirstUse,
    /// Both sides have shown that they know a join token ([`discovery`](crate::discovery)).
    Joined,
}

impl Origin {
    /// Its name in records and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Approved => "approved",
            Self::FirstUse => "first_use",
            Self::Joined => "joined",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Operator, Self::Approved, Self::FirstUse, Self::Joined]
            .into_iter()
            .find(|origin| origin.as_str() == name)
    }
}

/// Why a pin or a statement is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The DID cannot be one.
    #[error(transparent)]
    Did(#[from] DidError),
    /// The key has been rotated or revoked.
    #[error("this key has been retired (rotated or revoked) and speaks for nobody any longer")]
    Retired,
    /// The name is pinned to another key already.
    #[error("this name is pinned to another key, which has to be unpinned first")]
    OtherKey,
    /// There are as many pins as the configuration allows.
    #[error("{0} names are pinned already, the most that the configuration allows")]
    TooMany(usize),
    /// One key would speak for more names than a statement about it may touch.
    #[error("a key speaks for {MAX_NAMES_OF_A_KEY} names at most")]
    TooManyNames,
    /// There are as many retired keys as the configuration allows.
    #[error("{0} keys have been retired already, the most that the configuration allows")]
    TooManyRetired(usize),
    /// Too many changes wait to be kept: try again once some are.
    #[error("too many changes wait for the store")]
    Busy,
    /// A statement about a key that is pinned to no name here.
    #[error("the statement is about a key that no name is pinned to")]
    Unknown,
}

/// What a key is to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// No key is pinned to the name, and nothing is known against this one.
    Unpinned,
    /// It is the key that speaks for the name.
    Pinned,
    /// Another key speaks for the name, or it spoke and has been revoked.
    OtherKey,
    /// The key has been rotated or revoked.
    Retired,
}

/// A name and the key that speaks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin<'a> {
    /// The name.
    pub did: &'a str,
    /// The key: the successor where the one that was pinned has been rotated.
    pub key: PublicKey,
    /// Who decided it.
    pub origin: Origin,
    /// When it was decided, in seconds since the Unix epoch.
    pub since: u64,
    /// The key has been revoked: until another one is pinned, nothing is believed of this name.
    pub revoked: bool,
    /// There was an encrypted session with this key, or with one that it is the successor of: who speaks them is not believed to have lost them.
    pub session: bool,
}

/// How a name is pinned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    pub(super) key: PublicKey,
    pub(super) origin: Origin,
    pub(super) since: u64,
    pub(super) session: bool,
}

struct ByDid;
struct ByKey;

pub(super) struct Entry {
    did: Box<str>,
    pub(super) binding: Binding,
    /// The change that made it so: it can be undone as long as no other came after it.
    serial: u64,
    by_did: Chain,
    by_key: Chain,
}

impl Chained<ByDid> for Entry {
    fn chain(&self) -> &Chain {
        &self.by_did
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_did
    }
}

impl Chained<ByKey> for Entry {
    fn chain(&self) -> &Chain {
        &self.by_key
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_key
    }
}

struct Retired {
    key: PublicKey,
    successor: Option<PublicKey>,
    chain: Chain,
}

impl Chained<ByKey> for Retired {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

/// Every pin, and every key that has been retired. See the [module](super).
pub struct Pins {
    hash: SipKey,
    config: PinConfig,
    /// Made with the first pin: most nodes of a simulation, and many others, never have one.
    tables: Option<Box<Tables>>,
}

struct Tables {
    pins: Slab<Entry, Heap>,
    by_did: Index<ByDid, Heap>,
    by_key: Index<ByKey, Heap>,
    retired: Slab<Retired, Heap>,
    by_retired: Index<ByKey, Heap>,
    did_bytes: usize,
    serial: u64,
}

impl Tables {
    fn new(config: PinConfig) -> Self {
        Self {
            pins: Slab::new(config.max_pins),
            by_did: Index::new(),
            by_key: Index::new(),
            retired: Slab::new(config.max_retired),
            by_retired: Index::new(),
            did_bytes: 0,
            serial: 0,
        }
    }
}

impl Pins {
    /// Empty.
    #[must_use]
    pub const fn new(config: PinConfig, hash: SipKey) -> Self {
        Self { hash, config, tables: None }
    }

    fn tables_mut(&mut self) -> &mut Tables {
        self.tables.get_or_insert_with(|| Box::new(Tables::new(self.config)))
    }

    /// Bind a name to a key, from this time on (seconds since the Unix epoch). A pin to the same key stays as it is, and a revoked key is replaced.
    ///
    /// # Errors
    /// [`PinError`]: another key is pinned to the name, the key has been retired, there is no room, or the DID is none.
    pub fn pin(&mut self, did: &str, key: PublicKey, origin: Origin, since: u64) -> Result<Change, PinError> {
        check_did(did)?;
        if self.is_retired(&key) {
            return Err(PinError::Retired);
        }
        let before = match self.find(self.hash.name(did)) {
            Some((_, entry)) if entry.binding.key == key => return Ok(Change::nothing()),
            Some((_, entry)) if !self.is_retired(&entry.binding.key) => return Err(PinError::OtherKey),
            Some((slot, entry)) => Some((slot, entry.binding)),
            None if self.is_full() => return Err(PinError::TooMany(self.config.max_pins)),
            None => None,
        };
        if self.names_of(&key) >= MAX_NAMES_OF_A_KEY {
            return Err(PinError::TooManyNames);
        }
        if let Some((slot, _)) = before {
            self.take_out(slot);
        }
        let binding = Binding { key, origin, since, session: false };
        self.put(did, binding);
        let before = before.map(|(_, before)| before);
        let undo = Undo::Pin { did: did.into(), serial: self.tables_mut().serial, before };
        Ok(Change::put(did, binding, undo))
    }

    /// Forget which key speaks for a name; `None` when none does.
    pub fn unpin(&mut self, did: &str) -> Option<Change> {
        let (slot, entry) = self.find(self.hash.name(did))?;
        let before = Some(entry.binding);
        self.take_out(slot);
        self.tables_mut().serial += 1;
        Some(Change::remove(did, Undo::Pin { did: did.into(), serial: self.tables_mut().serial, before }))
    }

    /// Note that there was an encrypted session with the key that is pinned to a name; `None` when that is known, or no key is pinned.
    pub fn note_session(&mut self, did: &str) -> Option<Change> {
        let (slot, entry) = self.find(self.hash.name(did))?;
        if entry.binding.session {
            return None;
        }
        let binding = Binding { session: true, ..entry.binding };
        self.tables_mut().pins.at_mut(slot)?.binding = binding;
        Some(Change::put(did, binding, Undo::Session { did: did.into() }))
    }

    /// Retire a key. Names that were pinned to it are pinned to its successor, if there is one. With `only_pinned` a statement about a key
    /// that no name here is pinned to is refused, so that strangers cannot fill the table.
    ///
    /// It holds at once; that a record of it cannot be written does not undo it.
    ///
    /// # Errors
    /// [`PinError`]: the key has been retired before, its successor has been, there is no room, or nobody is pinned to it.
    pub fn retire(&mut self, statement: &Statement, only_pinned: bool) -> Result<Change, PinError> {
        let (key, successor) = (statement.key(), statement.successor());
        if self.is_retired(&key) || successor.is_some_and(|new| self.is_retired(&new)) {
            return Err(PinError::Retired);
        }
        let names = self.names_of(&key);
        if only_pinned && names == 0 {
            return Err(PinError::Unknown);
        }
        if successor.is_some_and(|new| names + self.names_of(&new) > MAX_NAMES_OF_A_KEY) {
            return Err(PinError::TooManyNames);
        }
        self.note_retired(key, successor)?;
        Ok(Change::retire(statement))
    }

    /// What this key is to this name.
    #[must_use]
    pub fn judge(&self, did: &str, key: PublicKey) -> Judgement {
        self.judge_name(self.hash.name(did), key)
    }

    /// The same for a name that was hashed with this table's key.
    pub(crate) fn judge_name(&self, name: Name<'_>, key: PublicKey) -> Judgement {
        if self.is_retired(&key) {
            return Judgement::Retired;
        }
        match self.find(name) {
            None => Judgement::Unpinned,
            Some((_, entry)) if entry.binding.key == key => Judgement::Pinned,
            Some(_) => Judgement::OtherKey,
        }
    }

    /// The pin of a name.
    #[must_use]
    pub fn get(&self, did: &str) -> Option<Pin<'_>> {
        self.get_name(self.hash.name(did))
    }

    /// The same for a name that was hashed with this table's key.
    pub(crate) fn get_name(&self, name: Name<'_>) -> Option<Pin<'_>> {
        self.find(name).map(|(_, entry)| self.show(entry))
    }

    /// Whether a key has been rotated or revoked.
    #[must_use]
    pub fn is_retired(&self, key: &PublicKey) -> bool {
        self.retired_slot(key.as_bytes()).is_some()
    }

    /// The same for bytes that may be no key at all.
    pub(crate) fn is_retired_bytes(&self, key: &[u8; 32]) -> bool {
        self.retired_slot(key).is_some()
    }

    /// Whether this key speaks for any name.
    #[must_use]
    pub fn speaks(&self, key: &PublicKey) -> bool {
        self.first_of(key).is_some()
    }

    /// Every pin, in no meaningful but a reproducible order.
    pub fn iter(&self) -> impl Iterator<Item = Pin<'_>> {
        self.tables.iter().flat_map(|tables| tables.pins.iter()).map(|(_, entry)| self.show(entry))
    }

    /// How many names are pinned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.as_ref().map_or(0, |tables| tables.pins.len())
    }

    /// No name is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_full(&self) -> bool {
        self.len() >= self.config.max_pins
    }

    /// Bytes of heap held, the allocator's own overhead aside.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let Some(Tables { pins, by_did, by_key, retired, by_retired, did_bytes, .. }) = self.tables.as_deref() else {
            return 0;
        };
        let indexes = by_did.heap_bytes() + by_key.heap_bytes() + by_retired.heap_bytes();
        size_of::<Tables>() + pins.heap_bytes() + retired.heap_bytes() + indexes + did_bytes
    }

    /// Take back a change whose record could not be written; false when something newer has been decided about that name, or when it is not to be
    /// taken back: a retired key stays retired.
    pub fn undo(&mut self, change: &Change) -> bool {
        let (did, serial, before) = match change.undone_by() {
            Some(Undo::Pin { did, serial, before }) => (did, serial, before),
            Some(Undo::Session { did }) => return self.forget_session(did),
            None => return false,
        };
        let now = self.find(self.hash.name(did)).map(|(slot, entry)| (slot, entry.serial));
        match now {
            Some((_, now)) if now != *serial => return false,
            None if self.is_full() => return false,
            Some((slot, _)) => self.take_out(slot),
            None => {}
        }
        if let Some(before) = before {
            self.put(did, Binding { key: self.last_successor(before.key), ..*before });
        }
        true
    }

    fn forget_session(&mut self, did: &str) -> bool {
        let Some(slot) = self.find(self.hash.name(did)).map(|(slot, _)| slot) else { return false };
        let entry = self.tables_mut().pins.at_mut(slot);
        entry.is_some_and(|entry| core::mem::replace(&mut entry.binding.session, false))
    }

    /// A pin of a record.
    pub(super) fn restore_pin(&mut self, did: &str, binding: Binding) -> Result<(), PinError> {
        check_did(did)?;
        match self.find(self.hash.name(did)) {
            Some((slot, _)) => self.take_out(slot),
            None if self.is_full() => return Err(PinError::TooMany(self.config.max_pins)),
            None => {}
        }
        self.put(did, Binding { key: self.last_successor(binding.key), ..binding });
        Ok(())
    }

    /// A retired key of a record.
    pub(super) fn restore_retired(&mut self, key: PublicKey, successor: Option<PublicKey>) -> Result<(), PinError> {
        if self.is_retired(&key) { Ok(()) } else { self.note_retired(key, successor) }
    }

    fn note_retired(&mut self, key: PublicKey, successor: Option<PublicKey>) -> Result<(), PinError> {
        let (full, hash) = (PinError::TooManyRetired(self.config.max_retired), self.hash.hash(key.as_bytes()));
        let Tables { retired, by_retired, .. } = self.tables_mut();
        let id = retired.insert(Retired { key, successor, chain: Chain::default() }).map_err(|_| full)?;
        by_retired.insert(retired, id.slot(), hash);
        if let Some(new) = successor {
            let new = self.last_successor(new);
            while let Some(slot) = self.first_of(&key) {
                self.rebind(slot, new);
            }
        }
        Ok(())
    }

    /// The key that a rotated one has ended in. Every rotation on the way was recorded once, and none leads to a key that had been retired when it
    /// was taken, so the way ends.
    fn last_successor(&self, mut key: PublicKey) -> PublicKey {
        let Some(Tables { retired, .. }) = self.tables.as_deref() else { return key };
        for _ in 0..=retired.len() {
            match self.retired_slot(key.as_bytes()).and_then(|slot| retired.at(slot)?.successor) {
                Some(new) => key = new,
                None => break,
            }
        }
        key
    }

    fn rebind(&mut self, slot: u32, key: PublicKey) {
        let hash = self.hash.hash(key.as_bytes());
        let Tables { pins, by_key, .. } = self.tables_mut();
        by_key.remove(pins, slot);
        if let Some(entry) = pins.at_mut(slot) {
            entry.binding.key = key;
        }
        by_key.insert(pins, slot, hash);
    }

    fn put(&mut self, did: &str, binding: Binding) {
        let hashes = (self.hash.hash(did.as_bytes()), self.hash.hash(binding.key.as_bytes()));
        let Tables { pins, by_did, by_key, did_bytes, serial, .. } = self.tables_mut();
        *serial += 1;
        let chains = (Chain::default(), Chain::default());
        let entry = Entry { did: did.into(), binding, serial: *serial, by_did: chains.0, by_key: chains.1 };
        let Ok(id) = pins.insert(entry) else { return };
        by_did.insert(pins, id.slot(), hashes.0);
        by_key.insert(pins, id.slot(), hashes.1);
        *did_bytes += did.len();
    }

    fn take_out(&mut self, slot: u32) {
        let Tables { pins, by_did, by_key, did_bytes, .. } = self.tables_mut();
        by_did.remove(pins, slot);
        by_key.remove(pins, slot);
        if let Some(entry) = pins.remove_at(slot) {
            *did_bytes -= entry.did.len();
        }
    }

    fn show<'a>(&self, entry: &'a Entry) -> Pin<'a> {
        let Binding { key, origin, since, session } = entry.binding;
        Pin { did: &entry.did, key, origin, since, revoked: self.is_retired(&key), session }
    }

    fn find(&self, name: Name<'_>) -> Option<(u32, &Entry)> {
        let Tables { pins, by_did, .. } = self.tables.as_deref()?;
        let slot = by_did.find(pins, name.hash(), |entry| *entry.did == *name.as_str())?;
        pins.at(slot).map(|entry| (slot, entry))
    }

    fn first_of(&self, key: &PublicKey) -> Option<u32> {
        let Tables { pins, by_key, .. } = self.tables.as_deref()?;
        by_key.find(pins, self.hash.hash(key.as_bytes()), |entry| entry.binding.key == *key)
    }

    /// How many names are pinned to a key, counted up to the most there can be.
    fn names_of(&self, key: &PublicKey) -> usize {
        let Some(Tables { pins, by_key, .. }) = self.tables.as_deref() else { return 0 };
        let mut names = 0;
        by_key.find(pins, self.hash.hash(key.as_bytes()), |entry| {
            names += usize::from(entry.binding.key == *key);
            names > MAX_NAMES_OF_A_KEY
        });
        names
    }

    fn retired_slot(&self, key: &[u8; 32]) -> Option<u32> {
        let Tables { retired, by_retired, .. } = self.tables.as_deref()?;
        if retired.is_empty() {
            return None;
        }
        by_retired.find(retired, self.hash.hash(key), |entry| entry.key.as_bytes() == key)
    }
}

impl core::fmt::Debug for Pins {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pins").field("pins", &self.len()).finish_non_exhaustive()
    }
}
