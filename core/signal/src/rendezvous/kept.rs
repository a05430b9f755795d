//! What survives of a rendezvous.
//!
//! | key | value |
//! |---|---|
//! | `e` sender epoch | what is known of an epoch, see [`delivery`](crate::delivery) |
//! | `m` sender queue seq | a message in the clear: whether it was confirmed, and its stamp |
//! | `s` | which stamps of messages in the clear are of our time |
//! | `p` peer | it is one of ours |
//! | `h` peer | when and at which brokers it was heard |

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Durable, Instant, Now, StoreError, StoreOp, StoreSeq};

use super::Place;
use super::machine::Rendezvous;
use super::outgoing::seconds;
use crate::delivery::{EpochRecord, RecordError};
use crate::key::PublicKey;
use crate::rank::Family;

const EPOCH: u8 = b'e';
const MESSAGE: u8 = b'm';
const BOUNDS: u8 = b's';
const PIN: u8 = b'p';
const HINTS: u8 = b'h';

/// How long the store is left alone after it failed.
const REST: Duration = Duration::from_secs(1);
/// How long it counts where a peer was heard.
const HINT_LIFE: u64 = 3600;
/// Of how many peers that is kept.
const MOST_HINTED: usize = 4096;

/// What waits for the medium.
#[derive(Debug, Default)]
pub(super) struct Keep {
    last: StoreSeq,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    written: VecDeque<(StoreSeq, Written)>,
    rests_until: Option<Instant>,
    hinted: BTreeMap<PublicKey, Hinted>,
    hints_changed: BTreeSet<PublicKey>,
}

#[derive(Clone, Copy, Debug)]
enum Written {
    Pin(PublicKey),
    Hints(PublicKey),
    Bounds,
}

#[derive(Debug)]
struct Hinted {
    at: u64,
    brokers: Vec<usize>,
}

impl Keep {
    /// Where a peer was heard in an earlier life.
    pub(super) fn hints_of(&self, peer: &PublicKey) -> &[usize] {
        self.hinted.get(peer).map_or(&[], |hinted| &hinted.brokers)
    }

    /// A peer was heard at these brokers.
    pub(super) fn heard(&mut self, clock: u64, peer: &PublicKey, brokers: &[usize]) {
        if self.hinted.len() >= MOST_HINTED && !self.hinted.contains_key(peer) {
            let old = self.hinted.iter().min_by_key(|(_, hinted)| hinted.at).map(|(peer, _)| *peer);
            old.into_iter().for_each(|old| {
                self.hinted.remove(&old);
                self.hints_changed.insert(old);
            });
        }
        self.hinted.insert(*peer, Hinted { at: clock, brokers: brokers.to_vec() });
        self.hints_changed.insert(*peer);
    }

    pub(super) const fn rests_until(&self) -> Option<Instant> {
        self.rests_until
    }

    /// Prepare a change.
    fn put(&mut self, kind: u8, key: &[u8], value: Option<Vec<u8>>) {
        self.key.clear();
        self.key.push(kind);
        self.key.extend_from_slice(key);
        self.value = value;
    }
}

impl Rendezvous {
    /// Take back what was kept, record by record, before anything else is done.
    ///
    /// # Errors
    /// [`RecordError`]: who passes it over may be told things twice, or believe what should not be believed. Where peers were heard is passed over
    /// when it is damaged.
    pub fn restore(&mut self, now: Now, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        let (kind, key) = key.split_first().ok_or(RecordError)?;
        let peer = || key.try_into().ok().and_then(|key| PublicKey::from_bytes(key).ok()).ok_or(RecordError);
        match *kind {
            EPOCH => self.inbox.restore(now.mono, key, value)?,
            MESSAGE => self.plain.restore(seconds(now), key, value).ok_or(RecordError)?,
            BOUNDS => self.plain.restore_bounds(value).ok_or(RecordError)?,
            PIN => self.pins.restore(peer()?),
            // Where a peer was heard is worth no start that fails: what cannot be read, or is old, is not used and goes.
            HINTS => {
                let Ok(peer) = peer() else { return Ok(()) };
                let hinted = read_hints(value, &self.config.brokers);
                let fresh = hinted.filter(|hinted| seconds(now).saturating_sub(hinted.at) <= HINT_LIFE);
                match fresh {
                    None => drop(self.keep.hints_changed.insert(peer)),
                    Some(hinted) if self.config.cache => drop(self.keep.hinted.insert(peer, hinted)),
                    Some(_) => {}
                }
            }
            _ => return Err(RecordError),
        }
        Ok(())
    }

    /// Whether there are changes to be kept, now.
    pub(super) fn has_changes(&self) -> bool {
        let rests = self.keep.rests_until.is_some_and(|until| self.called < until);
        let any = self.pins.has_fresh()
            || self.plain.has_record()
            || self.inbox.has_record()
            || !self.keep.hints_changed.is_empty();
        self.config.keeps && any && !rests
    }

    /// Prepare the next change.
    fn next_change(&mut self) -> Option<()> {
        let Self { keep, pins, plain, inbox, config, .. } = self;
        let seq = keep.last.next();
        // Who is one of ours comes first: nothing that is acknowledged is on the medium without it.
        if let Some(peer) = pins.poll_fresh() {
            keep.put(PIN, peer.as_bytes(), Some(Vec::new()));
            keep.written.push_back((seq, Written::Pin(peer)));
        } else if let Some(bounds) = plain.poll_bounds() {
            keep.put(BOUNDS, &[], Some(bounds.to_vec()));
            keep.written.push_back((seq, Written::Bounds));
        } else if let Some(EpochRecord { key, value }) = inbox.poll_record(seq) {
            keep.put(EPOCH, &key, value);
        } else if let Some((key, value)) = plain.poll_record(seq) {
            keep.put(MESSAGE, &key, value.map(|value| value.to_vec()));
        } else {
            let peer = keep.hints_changed.pop_first()?;
            let value = keep.hinted.get(&peer).map(|hinted| write_hints(hinted, &config.brokers));
            keep.put(HINTS, peer.as_bytes(), value);
            keep.written.push_back((seq, Written::Hints(peer)));
        }
        self.keep.last = seq;
        Some(())
    }
}

impl Durable for Rendezvous {
    fn poll_store(&mut self) -> Option<StoreOp<'_>> {
        if !self.has_changes() {
            return None;
        }
        self.next_change()?;
        let Keep { last, key, value, .. } = &self.keep;
        // No record is as long as one may be.
        match value {
            Some(value) => StoreOp::put(*last, key, value).ok(),
            None => StoreOp::remove(*last, key).ok(),
        }
    }

    fn handle_stored(&mut self, now: Now, upto: StoreSeq, result: Result<(), StoreError>) {
        self.called = now.mono;
        let is_kept = result.is_ok();
        self.keep.rests_until = (!is_kept).then(|| now.mono + REST);
        self.inbox.handle_kept(upto, is_kept);
        self.plain.handle_kept(upto, is_kept);
        while let Some((_, written)) = self.keep.written.pop_front_if(|(seq, _)| *seq <= upto) {
            match written {
                _ if is_kept => {}
                Written::Pin(peer) => self.pins.again(peer),
                Written::Bounds => self.plain.bounds_again(),
                Written::Hints(peer) => drop(self.keep.hints_changed.insert(peer)),
            }
        }
        self.acknowledge(now);
    }
}

/// `at u64 · ` and a line for each broker: its family, its port and its host.
fn write_hints(hinted: &Hinted, places: &[Place]) -> Vec<u8> {
    let mut out = Vec::from(hinted.at.to_be_bytes());
    let names = hinted.brokers.iter().filter_map(|at| places.get(*at)).map(name);
    names.for_each(|name| out.extend_from_slice(name.as_bytes()));
    out
}

fn name(place: &Place) -> String {
    let family = match place.family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    };
    format!("{family} {} {}\n", place.port, place.host)
}

/// Brokers that there are no more are left out.
fn read_hints(value: &[u8], places: &[Place]) -> Option<Hinted> {
    let (at, names) = value.split_first_chunk()?;
    let names = core::str::from_utf8(names).ok()?;
    let place = |line: &str| places.iter().position(|place| name(place) == line);
    Some(Hinted { at: u64::from_be_bytes(*at), brokers: names.split_inclusive('\n').filter_map(place).collect() })
}
