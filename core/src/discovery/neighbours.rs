//! Who is on the network around us: beacons that are heard, the answers to them, and when we call ourselves.

use alloc::boxed::Box;
use core::net::{IpAddr, SocketAddr};

use super::beacon::{Beacon, Kind};
use crate::did::{Did, DidError, check_did};
use crate::identity::PublicKey;
use crate::path::Path;
use crate::seed::{Rng, SipKey};
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::{Duration, Instant, Wall};

/// How many times what was heard from an address may be sent to it before it has proven itself.
const AMPLIFICATION: usize = 3;
/// How many different delays the answers of those have who are named, and as many all others: those with one delay are due in the order in which they were begun.
const DELAYS: u8 = 16;

/// How a [`Neighbourhood`] behaves, and how much it may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Which installation this is: beacons of others are ignored. Empty by default, as the reference's are.
    pub domain: Box<str>,
    /// How often we call. Default 60 s. A neighbour that was not heard for three times as long is gone.
    pub interval: Duration,
    /// The longest time that the answer of somebody waits whom a call names. Default 500 ms.
    pub delay: Duration,
    /// The longest time that any other answer waits, so that few come in one second. Default 2 s.
    pub spread: Duration,
    /// How many answers a call that names nobody is to get from all that hear it together. One that names somebody gets theirs, and no others. Default 3.
    pub answers: u32,
    /// How many answers a query is to get from all that hear it together. Default 10: five a second.
    pub query_answers: u32,
    /// How many neighbours are remembered. Default 4,096.
    pub max_neighbours: usize,
    /// How many of them at one address that have not proven themselves. Default 16.
    pub max_per_address: usize,
    /// How many answers wait at once. Default 256.
    pub max_answers: usize,
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        Self {
            domain: "".into(),
            interval: Duration::from_secs(60),
            delay: Duration::from_millis(500),
            spread: Duration::from_secs(2),
            answers: 3,
            query_answers: 10,
            max_neighbours: 4096,
            max_per_address: 16,
            max_answers: 256,
        }
    }
}

/// Why a beacon is dropped. Nothing is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryReject {
    /// It is our own.
    #[error("our own beacon")]
    Own,
    /// It belongs to another installation.
    #[error("a beacon of another installation")]
    OtherDomain,
    /// Its sender can have no such name.
    #[error(transparent)]
    Did(#[from] DidError),
    /// It comes from a port that nobody can be answered at.
    #[error("a beacon from port 0")]
    Port,
    /// The name is known with another key, or from another address that has proven itself.
    #[error("the name is another's")]
    Taken,
    /// It was signed before one that was heard already: it is a copy.
    #[error("a beacon that is older than one that was heard before")]
    Replay,
    /// There is no room for somebody unproven.
    #[error("too many neighbours")]
    Full,
}

/// What a beacon was to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody new.
    Found,
    /// Somebody known, from another address.
    Moved {
        /// The one before.
        from: SocketAddr,
    },
    /// Somebody known.
    Known,
    /// Somebody who is not there to stay asks who is.
    Asked,
    /// Somebody has gone.
    Gone,
    /// Somebody has gone who was not known.
    Nobody,
}

/// Somebody around us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour<'a> {
    /// The name.
    pub did: &'a str,
    /// Where it says that it listens.
    pub addr: SocketAddr,
    /// The key that it has proven.
    pub key: Option<PublicKey>,
    /// When it was heard last.
    pub heard: Instant,
    /// What was [noted](Neighbourhood::note) about it.
    pub note: u64,
}

/// An answer to be sent, by unicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// To whom.
    pub did: &'a str,
    /// Through the socket on which the call was heard.
    pub path: Path,
    /// How many bytes it may have: nothing longer is sent to who has not proven himself.
    pub budget: usize,
    /// How long it has waited since the call was heard.
    pub waited: Duration,
}

struct ByDid;
struct ByIp;
struct ByAge;
struct ByDue;

/// A call that is to be answered.
#[derive(Clone, Copy)]
struct Call {
    /// Where the answer goes.
    path: Path,
    /// How long it was, in bytes.
    len: usize,
    heard: Instant,
    due: Instant,
    /// The delay that was drawn: those of who is not named come after those of who is.
    class: u8,
    /// How many are to answer.
    answers: u32,
    /// How many we took to have heard it; `None`: it named us.
    of: Option<u64>,
}

struct Entry {
    did: Box<str>,
    addr: SocketAddr,
    key: Option<PublicKey>,
    /// When it was signed what was heard last, by its own clock.
    stamp: Wall,
    heard: Instant,
    /// It only asks, and is nobody's neighbour.
    guest: bool,
    note: u64,
    call: Option<Call>,
    by_did: Chain,
    by_ip: Chain,
    by_age: Link,
    by_due: Link,
}

macro_rules! placed {
    ($($kind:ident in $field:ident: $tr:ident, $place:ident, $get:ident, $get_mut:ident;)+) => { $(
        impl $tr<$kind> for Entry {
            fn $get(&self) -> &$place {
                &self.$field
            }
            fn $get_mut(&mut self) -> &mut $place {
                &mut self.$field
            }
        }
    )+ };
}

placed! {
    ByDid in by_did: Chained, Chain, chain, chain_mut;
    ByIp in by_ip: Chained, Chain, chain, chain_mut;
    ByAge in by_age: Linked, Link, link, link_mut;
    ByDue in by_due: Linked, Link, link, link_mut;
}

/// Neighbours, the answers that they are owed, and our own calls. It sends nothing itself: the node writes what is due.
///
/// Who has proven a key is never pushed out by who has not, and one address that calls under many names pushes out only its own.
pub struct Neighbourhood {
    me: Did,
    config: DiscoveryConfig,
    hash: SipKey,
    rng: Rng,
    entries: Slab<Entry, Heap>,
    by_did: Index<ByDid, Heap>,
    by_ip: Index<ByIp, Heap>,
    /// Those that have proven a key, and those that have not; heard longest ago first.
    by_age: [List<ByAge>; 2],
    /// By the delay that was drawn for them.
    due: [List<ByDue>; 2 * DELAYS as usize],
    waiting: usize,
    next_call: Instant,
}

impl Neighbourhood {
    /// Nobody is known; the first call is due at once.
    #[must_use]
    pub fn new(now: Instant, me: Did, config: DiscoveryConfig, mut rng: Rng) -> Self {
        Self {
            me,
            hash: rng.sip_key(),
            rng,
            entries: Slab::new(config.max_neighbours),
            by_did: Index::new(),
            by_ip: Index::new(),
            by_age: [const { List::new() }; 2],
            due: [const { List::new() }; 2 * DELAYS as usize],
            waiting: 0,
            next_call: now,
            config,
        }
    }

    /// Take in a beacon of `len` bytes that was written at `stamp`. `key` is the key that its sender has proven to have and that speaks for the name: what is not proven is a
    /// claim, the stamp included. A beacon out of its time ([`AutoVouch::judge`](super::AutoVouch::judge)) is not to come here.
    ///
    /// # Errors
    /// [`DiscoveryReject`].
    pub fn hear(
        &mut self,
        now: Instant,
        (path, len): (Path, usize),
        did: &str,
        (key, stamp): (Option<PublicKey>, Wall),
        beacon: &Beacon<'_>,
    ) -> Result<Heard, DiscoveryReject> {
        check_did(did)?;
        if did == self.me.as_str() {
            return Err(DiscoveryReject::Own);
        }
        if beacon.domain != *self.config.domain {
            return Err(DiscoveryReject::OtherDomain);
        }
        if path.remote.port() == 0 {
            return Err(DiscoveryReject::Port);
        }
        // With the scope that an IPv6 address of the link has.
        let mut addr = path.remote;
        addr.set_port(beacon.port.unwrap_or_else(|| addr.port()));
        let known = self.find(did);
        if let Some(entry) = known.and_then(|slot| self.entries.at(slot)) {
            // What was proven once is not moved, nor sent away, by who proves nothing.
            if entry.key.is_some() && key != entry.key
                || beacon.kind == Kind::Goodbye && key.is_none() && addr.ip() != entry.addr.ip()
            {
                return Err(DiscoveryReject::Taken);
            }
            // A copy from elsewhere would move what was proven; and who is on two networks with us is heard twice at once.
            if entry.key.is_some() && stamp <= entry.stamp {
                return if stamp == entry.stamp { Ok(Heard::Known) } else { Err(DiscoveryReject::Replay) };
            }
        }
        if beacon.kind == Kind::Goodbye {
            let guest = known.and_then(|slot| self.entries.at(slot)).is_none_or(|entry| entry.guest);
            known.into_iter().for_each(|slot| self.remove(slot));
            return Ok(if guest { Heard::Nobody } else { Heard::Gone });
        }
        let (slot, heard) = match known {
            Some(slot) => (slot, self.touch(now, slot, addr, key)),
            None => (self.add(now, did, addr, key)?, Heard::Found),
        };
        let heard = self.settle_in(slot, stamp, beacon.kind, heard);
        if let Kind::Call | Kind::Query = beacon.kind {
            let wanted = beacon.wants().any(|did| did == self.me.as_str());
            let answers = match beacon.kind {
                Kind::Query => self.config.query_answers,
                _ if beacon.wants().next().is_some() => 0,
                _ => self.config.answers,
            };
            let class = if wanted { 0 } else { DELAYS };
            let of = if wanted { None } else { Some(self.around(answers)) };
            if of.is_none_or(|around| self.draw(answers.into(), around)) {
                let path = Path { remote: addr, ..path };
                self.owe(slot, Call { path, len, heard: now, due: now, class, answers, of });
            }
        }
        Ok(heard)
    }

    /// Note what a beacon says beside the address, and tell what it makes of its sender.
    fn settle_in(&mut self, slot: u32, stamp: Wall, kind: Kind, heard: Heard) -> Heard {
        let Some(entry) = self.entries.at_mut(slot) else { return heard };
        entry.stamp = stamp;
        match (kind, heard) {
            (Kind::Query, Heard::Found) => {
                entry.guest = true;
                Heard::Asked
            }
            (Kind::Query, _) if entry.guest => Heard::Asked,
            // Who asked before has come to stay.
            _ if core::mem::take(&mut entry.guest) => Heard::Found,
            _ => heard,
        }
    }

    /// How many hear a call, as far as we know: those that we hear, and no fewer than are to answer.
    fn around(&self, answers: u32) -> u64 {
        u64::try_from(self.entries.len()).unwrap_or(u64::MAX).max(answers.into()).max(1)
    }

    /// A chance of `part` in `whole`.
    fn draw(&mut self, part: u64, whole: u64) -> bool {
        self.rng.u64() % whole.max(1) < part
    }

    fn owe(&mut self, slot: u32, call: Call) {
        if self.waiting >= self.config.max_answers || self.entries.at(slot).is_none_or(|entry| entry.call.is_some()) {
            return;
        }
        let [class, ..] = self.rng.u64().to_le_bytes();
        let nth = class % DELAYS;
        let longest = if call.class < DELAYS { self.config.delay } else { self.config.spread };
        let due = call.heard + longest / u32::from(DELAYS) * u32::from(nth + 1);
        let class = call.class + nth;
        if let Some(entry) = self.entries.at_mut(slot) {
            entry.call = Some(Call { due, class, ..call });
        }
        if let Some(list) = self.due.get_mut(usize::from(class)) {
            list.push_back(&mut self.entries, slot);
            self.waiting += 1;
        }
    }

    /// The next answer that is due. A path that has proven itself otherwise may be sent more than the budget.
    pub fn poll_answer(&mut self, now: Instant) -> Option<Answer<'_>> {
        let (slot, call) = loop {
            let slot = self.next_answer().filter(|(due, _)| *due <= now)?.1;
            let call = self.settle(slot)?;
            // Who has come to know of more neighbours since, when all call at once, answers the more rarely.
            let around = self.around(call.answers);
            if call.of.is_none_or(|of| self.draw(of, around)) {
                break (slot, call);
            }
        };
        let entry = self.entries.at(slot)?;
        let (budget, waited) = (call.len.saturating_mul(AMPLIFICATION), now.saturating_since(call.heard));
        Some(Answer { did: &entry.did, path: call.path, budget, waited })
    }

    /// Whether an answer is due.
    #[must_use]
    pub fn has_answer(&self, now: Instant) -> bool {
        self.next_answer().is_some_and(|(due, _)| due <= now)
    }

    fn next_answer(&self) -> Option<(Instant, u32)> {
        let fronts = self.due.iter().filter_map(List::front);
        fronts.filter_map(|slot| Some((self.entries.at(slot)?.call?.due, slot))).min()
    }

    /// An entry is owed no answer any longer: what it was owed.
    fn settle(&mut self, slot: u32) -> Option<Call> {
        let call = self.entries.at_mut(slot)?.call.take()?;
        self.due.get_mut(usize::from(call.class))?.remove(&mut self.entries, slot);
        self.waiting -= 1;
        Some(call)
    }

    /// Have the next call be due now.
    pub fn call_now(&mut self, now: Instant) {
        self.next_call = now;
    }

    /// Whether a call of ours is due; the next one is then an interval later, and up to an eighth of it, so that neighbours do not fall into step.
    pub fn poll_call(&mut self, now: Instant) -> bool {
        let due = self.next_call <= now;
        if due {
            let eighth = self.config.interval / 8;
            let [draw, ..] = self.rng.u64().to_le_bytes();
            self.next_call = now + self.config.interval + eighth / 256 * u32::from(draw);
        }
        due
    }

    /// Take out a neighbour that was not heard for three intervals.
    pub fn poll_gone(&mut self, now: Instant) -> Option<(Box<str>, SocketAddr)> {
        loop {
            let slot = self.next_gone().filter(|(at, _)| *at <= now)?.1;
            let gone = self.entries.at(slot).filter(|entry| !entry.guest).map(|entry| (entry.did.clone(), entry.addr));
            self.remove(slot);
            if gone.is_some() {
                return gone;
            }
        }
    }

    /// Forget a neighbour, so that the name is free for another key; false when there is none of this name.
    pub fn forget(&mut self, did: &str) -> bool {
        let slot = self.find(did);
        slot.into_iter().for_each(|slot| self.remove(slot));
        slot.is_some()
    }

    /// Note something about a neighbour, whatever it means to the caller: 0 until then, and again once it has gone. False: there is none of this name.
    pub fn note(&mut self, did: &str, note: u64) -> bool {
        let entry = self.find(did).and_then(|slot| self.entries.at_mut(slot));
        entry.map(|entry| entry.note = note).is_some()
    }

    /// Whether anybody was not heard for three intervals.
    #[must_use]
    pub fn has_gone(&self, now: Instant) -> bool {
        self.next_gone().is_some_and(|(at, _)| at <= now)
    }

    fn next_gone(&self) -> Option<(Instant, u32)> {
        let fronts = self.by_age.iter().filter_map(List::front);
        fronts.filter_map(|slot| Some((self.entries.at(slot)?.heard + self.config.interval * 3, slot))).min()
    }

    /// When this wants to be called again.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        let others = self.next_answer().into_iter().chain(self.next_gone()).map(|(at, _)| at);
        others.fold(self.next_call, Instant::min)
    }

    /// A neighbour.
    #[must_use]
    pub fn get(&self, did: &str) -> Option<Neighbour<'_>> {
        self.entries.at(self.find(did)?).filter(|entry| !entry.guest).map(show)
    }

    /// Every neighbour, in no meaningful but a reproducible order.
    pub fn iter(&self) -> impl Iterator<Item = Neighbour<'_>> {
        self.entries.iter().filter(|(_, entry)| !entry.guest).map(|(_, entry)| show(entry))
    }

    /// How many are known, and how many of late only asked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Which installation this is.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.config.domain
    }

    fn find(&self, did: &str) -> Option<u32> {
        self.by_did.find(&self.entries, self.hash.hash(did.as_bytes()), |entry| *entry.did == *did)
    }

    fn hash_of(&self, ip: IpAddr) -> u64 {
        match ip {
            IpAddr::V4(ip) => self.hash.hash(&ip.octets()),
            IpAddr::V6(ip) => self.hash.hash(&ip.octets()),
        }
    }

    /// Somebody known is heard again.
    fn touch(&mut self, now: Instant, slot: u32, addr: SocketAddr, key: Option<PublicKey>) -> Heard {
        let ip = self.hash_of(addr.ip());
        let Some(entry) = self.entries.at(slot) else { return Heard::Known };
        let (from, was_proven) = (entry.addr, entry.key.is_some());
        if let Some(list) = self.by_age.get_mut(usize::from(!was_proven)) {
            list.remove(&mut self.entries, slot);
        }
        if from.ip() != addr.ip() {
            self.by_ip.remove(&mut self.entries, slot);
            self.by_ip.insert(&mut self.entries, slot, ip);
        }
        if let Some(entry) = self.entries.at_mut(slot) {
            (entry.addr, entry.heard, entry.key) = (addr, now, key.or(entry.key));
            let list = usize::from(entry.key.is_none());
            if let Some(list) = self.by_age.get_mut(list) {
                list.push_back(&mut self.entries, slot);
            }
        }
        if from == addr { Heard::Known } else { Heard::Moved { from } }
    }

    fn add(
        &mut self,
        now: Instant,
        did: &str,
        addr: SocketAddr,
        key: Option<PublicKey>,
    ) -> Result<u32, DiscoveryReject> {
        let (ip, proven) = (self.hash_of(addr.ip()), key.is_some());
        self.make_room(addr.ip(), ip, proven)?;
        let entry = Entry {
            did: did.into(),
            addr,
            key,
            stamp: Wall::MIN,
            heard: now,
            guest: false,
            note: 0,
            call: None,
            by_did: Chain::default(),
            by_ip: Chain::default(),
            by_age: Link::default(),
            by_due: Link::default(),
        };
        let slot = self.entries.insert(entry).map_err(|_| DiscoveryReject::Full)?.slot();
        self.by_did.insert(&mut self.entries, slot, self.hash.hash(did.as_bytes()));
        self.by_ip.insert(&mut self.entries, slot, ip);
        if let Some(list) = self.by_age.get_mut(usize::from(!proven)) {
            list.push_back(&mut self.entries, slot);
        }
        Ok(slot)
    }

    /// One of the same address makes way where that has as many as it may; else, where all is full, who was heard longest ago of those that have proven
    /// nothing.
    fn make_room(&mut self, ip: IpAddr, hash: u64, proven: bool) -> Result<(), DiscoveryReject> {
        let mut held = 0;
        self.by_ip.find(&self.entries, hash, |entry| {
            held += usize::from(!proven && entry.addr.ip() == ip && entry.key.is_none());
            held >= self.config.max_per_address
        });
        let slot = if held >= self.config.max_per_address {
            self.oldest_at(ip, hash)
        } else if self.entries.is_full() {
            self.by_age.last().and_then(List::front)
        } else {
            return Ok(());
        };
        let slot = slot.ok_or(DiscoveryReject::Full)?;
        self.remove(slot);
        Ok(())
    }

    /// The one heard longest ago of those at an address that have proven nothing.
    fn oldest_at(&self, ip: IpAddr, hash: u64) -> Option<u32> {
        let mut oldest: Option<Instant> = None;
        let unproven = |entry: &Entry| entry.addr.ip() == ip && entry.key.is_none();
        self.by_ip.find(&self.entries, hash, |entry| {
            if unproven(entry) {
                oldest = Some(oldest.map_or(entry.heard, |oldest| oldest.min(entry.heard)));
            }
            false
        });
        self.by_ip.find(&self.entries, hash, |entry| unproven(entry) && Some(entry.heard) == oldest)
    }

    fn remove(&mut self, slot: u32) {
        self.settle(slot);
        let Some(entry) = self.entries.at(slot) else { return };
        if let Some(list) = self.by_age.get_mut(usize::from(entry.key.is_none())) {
            list.remove(&mut self.entries, slot);
        }
        self.by_did.remove(&mut self.entries, slot);
        self.by_ip.remove(&mut self.entries, slot);
        self.entries.remove_at(slot);
    }
}

impl core::fmt::Debug for Neighbourhood {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Neighbourhood").field("neighbours", &self.len()).finish_non_exhaustive()
    }
}

fn show(entry: &Entry) -> Neighbour<'_> {
    Neighbour { did: &entry.did, addr: entry.addr, key: entry.key, heard: entry.heard, note: entry.note }
}
