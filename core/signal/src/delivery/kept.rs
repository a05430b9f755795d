//! What is known of the messages of all peers, kept over a restart.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use sluis_core::{Instant, StoreSeq};

use super::inbox::{Epoch, Inbox, Key};
use crate::key::{PUBLIC_LEN, PublicKey};

/// Length of the key of a record: a sender and its epoch.
const KEY_LEN: usize = PUBLIC_LEN + 8;
/// The form of the records.
const VERSION: u8 = 1;

/// What is done with a message once the medium knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It is handed to the application.
    Hand(u64),
    /// It is acknowledged.
    Acknowledge(u64),
}

/// What waits for the medium.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// Epochs whose record has changed, and what waits for it.
    changed: BTreeMap<Key, Vec<Then>>,
    /// What waits for a record that was given out.
    written: VecDeque<(StoreSeq, Key, Vec<Then>)>,
}

impl Keeping {
    /// The record of an epoch is to be written again.
    pub(super) fn changed(&mut self, key: Key) {
        self.changed.entry(key).or_default();
    }

    /// As [`changed`](Self::changed), and then this.
    pub(super) fn first(&mut self, key: Key, then: Then) {
        self.changed.entry(key).or_default().push(then);
    }
}

/// What is to be kept of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRecord {
    /// Under which key.
    pub key: [u8; KEY_LEN],
    /// What; `None`: nothing any more.
    pub value: Option<Vec<u8>>,
}

/// Why a record that was kept cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of the state is damaged, or of another version")]
pub struct RecordError;

impl Inbox {
    /// Keep what is known: nothing is handed over or acknowledged any more that the medium does not know.
    #[must_use]
    pub fn keeping(mut self) -> Self {
        self.keeping.get_or_insert_default();
        self
    }

    /// Whether [`poll_record`](Self::poll_record) has something.
    #[must_use]
    pub fn has_record(&self) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| !keeping.changed.is_empty())
    }

    /// The next record to be kept, in the place of an earlier one of its key. How that ended is to be [said](Self::handle_kept) under this
    /// number.
    pub fn poll_record(&mut self, seq: StoreSeq) -> Option<EpochRecord> {
        let Self { epochs, keeping, .. } = self;
        let keeping = keeping.as_mut()?;
        let (key, then) = keeping.changed.pop_first()?;
        keeping.written.push_back((seq, key, then));
        Some(EpochRecord { key: name(&key), value: epochs.get(&key).map(write) })
    }

    /// The records up to this number are on the medium, or (`false`) not known to be: then they are given out again.
    pub fn handle_kept(&mut self, upto: StoreSeq, is_kept: bool) {
        let Self { epochs, keeping: Some(keeping), ready, owed, .. } = self else { return };
        while let Some((_, key, then)) = keeping.written.pop_front_if(|(seq, ..)| *seq <= upto) {
            if !is_kept {
                let again = keeping.changed.entry(key).or_default();
                again.splice(0..0, then);
                continue;
            }
            let Some(known) = epochs.get_mut(&key) else { continue };
            for then in then {
                match then {
                    Then::Hand(number) => ready.push_back((key.0, key.1, number)),
                    Then::Acknowledge(number) => {
                        known.open.confirming.remove(&number);
                        known.open.acks.insert(number, ());
                        owed.insert(key, ());
                    }
                }
            }
        }
    }

    /// Take back what was kept, before anything is received.
    ///
    /// # Errors
    /// [`RecordError`]: who passes it over may be told things twice.
    pub fn restore(&mut self, now: Instant, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        let (from, epoch) = key.split_first_chunk().ok_or(RecordError)?;
        let from = PublicKey::from_bytes(*from).map_err(|_| RecordError)?;
        let epoch = u64::from_be_bytes(epoch.try_into().map_err(|_| RecordError)?);
        let kept = read(now, value).ok_or(RecordError)?;
        *self.epochs.entry((from, epoch), || Epoch::new(now)).ok_or(RecordError)? = kept;
        Ok(())
    }
}

fn name((from, epoch): &Key) -> [u8; KEY_LEN] {
    let mut out = [0; KEY_LEN];
    let parts = from.as_bytes().iter().chain(&epoch.to_be_bytes()).copied().collect::<Vec<u8>>();
    out.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    out
}

/// `version u8 · next u64 · unknown u64 · ` and three rows, each `count u32 · numbers u64`: those that came apart from the order, those
/// that were given up, and those that were about to be handed over or were and are not confirmed.
fn write(known: &Epoch) -> Vec<u8> {
    let about = known.open.bodies.iter().filter(|(_, waiting)| waiting.ready).map(|(number, _)| *number);
    let open: BTreeSet<u64> = about.chain(known.open.unconfirmed.keys().copied()).collect();
    let mut out = Vec::from([VERSION]);
    out.extend(known.next.to_be_bytes());
    out.extend(known.open.unknown.to_be_bytes());
    for row in [&known.open.apart, &known.open.gaps, &open] {
        // Their caps are far below.
        out.extend(u32::try_from(row.len()).unwrap_or(u32::MAX).to_be_bytes());
        row.iter().for_each(|number| out.extend(number.to_be_bytes()));
    }
    out
}

fn read(now: Instant, value: &[u8]) -> Option<Epoch> {
    let (version, rest) = value.split_first()?;
    let (next, rest) = rest.split_first_chunk()?;
    let (unknown, mut rest) = rest.split_first_chunk()?;
    let mut known = Epoch::new(now);
    (known.next, known.open.unknown) = (u64::from_be_bytes(*next), u64::from_be_bytes(*unknown));
    let mut rows = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
    for row in &mut rows {
        let (count, after) = rest.split_first_chunk()?;
        let len = usize::try_from(u32::from_be_bytes(*count)).ok()?.checked_mul(8)?;
        let (numbers, after) = after.split_at_checked(len)?;
        row.extend(numbers.as_chunks().0.iter().map(|number| u64::from_be_bytes(*number)));
        rest = after;
    }
    let [apart, gaps, open] = rows;
    known.open.apart = apart;
    // Whether the application has those is not known: they are not handed over again, and never acknowledged.
    known.open.gaps = gaps.into_iter().chain(open).collect();
    (*version == VERSION && rest.is_empty()).then_some(known)
}
