//! Who was heard from and accepted, where they are, and since when they are silent.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::config::Caps;
use crate::airlock::Rank;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::{Duration, Instant};
use crate::{Name, Path, SipKey};

/// A DID that was heard from and accepted.
#[derive(Debug)]
pub struct Peer {
    did: Box<str>,
    path: Path,
    /// The address that last answered a request of ours. It counts while it is also the address heard from last: a packet from
    /// elsewhere suspends the proof, and coming back restores it.
    proven: Option<SocketAddr>,
    first_seen: Instant,
    last_seen: Instant,
    /// How many accepted packets and responses came from it, and in the highest bit whether the operator trusted its name when it
    /// was last heard from: a byte more for that would be eight a peer.
    packets_and_trust: u64,
    by_age: Link,
    by_proof: Link,
    by_name: Chain,
}

/// The highest bit of a count of packets.
const TRUSTED: u64 = 1 << 63;

impl Peer {
    /// Its name.
    #[must_use]
    pub fn did(&self) -> &str {
        &self.did
    }

    /// Where it was last heard from.
    #[must_use]
    pub const fn path(&self) -> Path {
        self.path
    }

    /// Whether that address has proven itself: it answered a request of ours.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven == Some(self.path.remote)
    }

    /// How well it is known.
    fn rank(&self) -> Rank {
        match (self.is_proven(), self.packets_and_trust & TRUSTED != 0) {
            (true, _) => Rank::Proven,
            (false, true) => Rank::Trusted,
            (false, false) => Rank::Stranger,
        }
    }

    /// When it was first heard from since it was last unknown.
    #[must_use]
    pub const fn first_seen(&self) -> Instant {
        self.first_seen
    }

    /// When it was last heard from.
    #[must_use]
    pub const fn last_seen(&self) -> Instant {
        self.last_seen
    }

    /// How many accepted packets and responses came from it.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets_and_trust & !TRUSTED
    }

    /// Note one more packet, and whether its sender is trusted by name.
    const fn count(&mut self, trusted: bool) {
        let packets = self.packets();
        let packets = if packets < !TRUSTED { packets + 1 } else { packets };
        self.packets_and_trust = packets | if trusted { TRUSTED } else { 0 };
    }
}

/// How many rows of a table are worth touching beforehand.
#[cfg(feature = "sim")]
const FEW: usize = 8;

#[derive(Debug)]
struct ByAge;
#[derive(Debug)]
struct ByProof;
#[derive(Debug)]
struct ByName;

macro_rules! place {
    ($trait:ident<$kind:ty>, $field:ident: $type:ty, $get:ident, $get_mut:ident) => {
        impl $trait<$kind> for Peer {
            fn $get(&self) -> &$type {
                &self.$field
            }
            fn $get_mut(&mut self) -> &mut $type {
                &mut self.$field
            }
        }
    };
}
place!(Linked<ByAge>, by_age: Link, link, link_mut);
place!(Linked<ByProof>, by_proof: Link, link, link_mut);
place!(Chained<ByName>, by_name: Chain, chain, chain_mut);

/// A DID and where it stands in a peer table, if it does. Valid until the table is next changed.
#[derive(Clone, Copy, Debug)]
pub struct PeerLookup<'a> {
    name: Name<'a>,
    slot: Option<u32>,
}

impl<'a> PeerLookup<'a> {
    /// The DID.
    #[must_use]
    pub(crate) const fn did(self) -> &'a str {
        self.name.as_str()
    }

    /// The DID's keyed hash.
    pub(super) const fn hash(self) -> u64 {
        self.name.hash()
    }

    /// Whether it is a peer already, stale or not.
    #[must_use]
    pub(crate) const fn is_known(self) -> bool {
        self.slot.is_some()
    }
}

/// What [`Peers::record`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// A peer that was not known.
    New,
    /// A peer that was known.
    Known,
    /// There was no room.
    Full,
}

/// The peer table: bounded in entries and bytes, aged by silence.
///
/// Where room is short a newcomer takes the place of the stranger that is silent for longest, so that nobody who makes up names
/// can keep others out; who is proven also that of somebody whose name is trusted and whose address has proven nothing. An eighth
/// of the table is never given to strangers, and a sixteenth only to who is proven.
#[derive(Debug)]
pub struct Peers {
    slab: Slab<Peer, Heap>,
    names: Index<ByName, Heap>,
    /// Those of each rank, longest silent first.
    by_rank: [List<ByAge>; 3],
    /// Peers at a proven address, in the order in which they proved it.
    proven: List<ByProof>,
    key: SipKey,
    did_bytes: usize,
    max_bytes: usize,
    stale_after: Duration,
}

impl Peers {
    /// Empty; holds at most `max_peers` peers in at most `max_bytes` bytes of heap, each for `stale_after` of silence.
    /// A peer takes about 200 bytes; up to 16 take no more than half as much again, and every 16 beyond take another 3 KiB.
    #[must_use]
    pub fn new(max_peers: u32, max_bytes: usize, stale_after: Duration, key: SipKey) -> Self {
        Self {
            slab: Slab::new(max_peers as usize),
            names: Index::new(),
            by_rank: [const { List::new() }; 3],
            proven: List::new(),
            key,
            did_bytes: 0,
            max_bytes,
            stale_after,
        }
    }

    /// How many peers are held, stale ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// No peer is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Bytes of heap that the table holds, the allocator's own overhead aside.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.slab.heap_bytes() + self.names.heap_bytes() + self.did_bytes
    }

    /// Look a DID up once, for all that is to be asked and said about it next.
    #[must_use]
    pub fn look_up<'a>(&self, did: &'a str) -> PeerLookup<'a> {
        self.look_up_name(self.key.name(did))
    }

    /// The same for a name that was hashed with this table's key.
    pub(super) fn look_up_name<'a>(&self, name: Name<'a>) -> PeerLookup<'a> {
        PeerLookup { name, slot: self.names.find(&self.slab, name.hash(), |peer| *peer.did == *name.as_str()) }
    }

    /// Whether [`record`](Self::record) would succeed now, after [`make_room`](Self::make_room).
    #[must_use]
    pub fn has_room_for(&self, now: Instant, seat: PeerLookup<'_>, rank: Rank) -> bool {
        seat.slot.is_some() || self.fits(seat.did(), rank, None) || self.makes_room(now, seat.did(), rank).is_some()
    }

    /// Remove a peer where a new one needs its room: the one that is stale for longest, or else the stranger that is silent for
    /// longest. Its name, and whether it was stale.
    pub fn make_room(&mut self, now: Instant, seat: PeerLookup<'_>, rank: Rank) -> Option<(Box<str>, bool)> {
        if seat.slot.is_some() || self.fits(seat.did(), rank, None) {
            return None;
        }
        let slot = self.makes_room(now, seat.did(), rank)?;
        let stale = self.slab.at(slot).is_some_and(|peer| self.is_stale(now, peer));
        Some((self.remove(slot)?, stale))
    }

    /// Note an accepted packet. A new address is unproven.
    pub fn record(&mut self, now: Instant, seat: PeerLookup<'_>, path: Path, rank: Rank) -> Recorded {
        if let Some(slot) = seat.slot {
            self.refresh(now, slot, path, rank);
            return Recorded::Known;
        }
        if self.fits(seat.did(), rank, None) { self.insert(now, seat.name, path, rank) } else { Recorded::Full }
    }

    /// A peer's session moved, after its new address had proven itself. Nothing where there is no such peer.
    pub(super) fn follow(&mut self, now: Instant, seat: PeerLookup<'_>, path: Path) {
        if let Some(slot) = seat.slot {
            self.refresh(now, slot, path, Rank::Proven);
            self.prove(seat, path.remote);
        }
    }

    /// Note that the address answered a request of ours. The peer must be recorded at this path; its seat may be from before
    /// that.
    pub(crate) fn prove(&mut self, seat: PeerLookup<'_>, remote: SocketAddr) {
        let Some(slot) = seat.slot.or_else(|| self.look_up_name(seat.name).slot) else { return };
        if let Some(peer) = self.slab.at_mut(slot)
            && peer.path.remote == remote
        {
            let was = peer.rank();
            peer.proven = Some(remote);
            self.proven.push_back(&mut self.slab, slot);
            self.age(slot, was);
        }
    }

    /// Whether this address has proven to be that of this DID.
    #[must_use]
    pub(crate) fn is_proven(&self, seat: PeerLookup<'_>, remote: SocketAddr) -> bool {
        seat.slot.and_then(|slot| self.slab.at(slot)).is_some_and(|p| p.proven == Some(remote))
    }

    /// The peer of this name, unless it is stale.
    #[must_use]
    pub fn get(&self, now: Instant, did: &str) -> Option<&Peer> {
        self.slab.at(self.look_up(did).slot?).filter(|peer| !self.is_stale(now, peer))
    }

    /// Every peer that is not stale, in the order in which they were first seen, as the reference lists them. Sorts the whole table.
    pub fn alive(&self, now: Instant) -> impl Iterator<Item = &Peer> {
        let alive = self.slab.iter().map(|(_, peer)| peer).filter(|peer| !self.is_stale(now, peer));
        let mut peers: Vec<&Peer> = alive.collect();
        peers.sort_by_key(|peer| peer.first_seen);
        peers.into_iter()
    }

    /// Remove the peer that is stale for longest, and give its name back.
    pub fn prune_one(&mut self, now: Instant) -> Option<Box<str>> {
        let slot = self.oldest_stale(now)?;
        self.remove(slot)
    }

    /// Whether any peer is stale.
    #[must_use]
    pub(crate) fn any_stale(&self, now: Instant) -> bool {
        self.oldest_stale(now).is_some()
    }

    /// How many peers stand at a proven address.
    #[must_use]
    pub fn proven_len(&self) -> usize {
        self.proven.len()
    }

    /// Peers at a proven address that are not stale, in the order in which they proved it, rotated by every round of heartbeats.
    pub(super) fn proven(&self, now: Instant) -> impl Iterator<Item = &Peer> {
        let peers = self.proven.iter(&self.slab).filter_map(|slot| self.slab.at(slot));
        peers.filter(move |peer| !self.is_stale(now, peer))
    }

    /// The proven peer whose turn is next; it goes to the end of the line.
    pub(super) fn next_proven(&mut self) -> Option<&Peer> {
        let slot = self.proven.front()?;
        self.proven.move_to_back(&mut self.slab, slot);
        self.slab.at(slot)
    }

    /// See [`Node::touch`](super::Node::touch).
    #[cfg(feature = "sim")]
    #[inline]
    pub(super) fn touch(&self, level: u32) -> u64 {
        match level {
            0 => (self.slab.len() ^ self.names.len() ^ self.by_rank[0].len()) as u64,
            1 => self.slab.touch(FEW) ^ self.names.touch(),
            2 => self.slab.touch_entries(FEW, |peer| {
                peer.last_seen.as_nanos()
                    ^ peer.packets_and_trust
                    ^ u64::from(peer.path.remote.port())
                    ^ peer.did.len() as u64
            }),
            _ => self.slab.touch_entries(FEW, |peer| peer.did.as_bytes().first().copied().unwrap_or(0).into()),
        }
    }

    /// Whether a new peer fits: beside all others, or in the place of this one.
    fn fits(&self, did: &str, rank: Rank, gone: Option<&Peer>) -> bool {
        let (row, grown) = match gone {
            Some(_) => (true, 0),
            None => (!self.slab.is_full(), self.slab.growth_bytes() + self.names.growth_bytes()),
        };
        let bytes = self.heap_bytes() - gone.map_or(0, |peer| peer.did.len()) + did.len() + grown;
        // All that are not better known share what is not reserved for others.
        let others = self.by_rank.iter().take(rank as usize + 1).map(List::len).sum::<usize>();
        let others = others - usize::from(gone.is_some_and(|peer| peer.rank() <= rank));
        let (rows, max_bytes) = (self.slab.capacity(), self.max_bytes);
        row && others < rows - Caps::reserved(rows, rank) && bytes <= max_bytes - Caps::reserved(max_bytes, rank)
    }

    /// The peer in whose place a new one fits: the one that is stale for longest, else the one of the lowest rank that is silent for
    /// longest. Strangers make way for each other, too.
    fn makes_room(&self, now: Instant, did: &str, rank: Rank) -> Option<u32> {
        let lower = self.by_rank.iter().take((rank as usize).max(1)).find_map(List::front);
        let fits = |slot: &u32| self.fits(did, rank, self.slab.at(*slot));
        [self.oldest_stale(now), lower].into_iter().flatten().find(fits)
    }

    fn is_stale(&self, now: Instant, peer: &Peer) -> bool {
        now.saturating_since(peer.last_seen) > self.stale_after
    }

    fn oldest_stale(&self, now: Instant) -> Option<u32> {
        let stale = |list: &List<ByAge>| {
            let slot = list.front()?;
            self.slab.at(slot).filter(|peer| self.is_stale(now, peer)).map(|peer| (peer.last_seen, slot))
        };
        self.by_rank.iter().filter_map(stale).min().map(|(_, slot)| slot)
    }

    fn refresh(&mut self, now: Instant, slot: u32, path: Path, rank: Rank) {
        let Some(peer) = self.slab.at_mut(slot) else { return };
        let was = peer.rank();
        peer.last_seen = peer.last_seen.max(now);
        peer.path = path;
        peer.count(rank == Rank::Trusted);
        // Heartbeats go only where the peer both is and has answered from.
        if peer.is_proven() {
            self.proven.push_back(&mut self.slab, slot);
        } else {
            self.proven.remove(&mut self.slab, slot);
        }
        self.age(slot, was);
    }

    /// Put a peer that was just heard from at the end of the list in which it belongs now.
    fn age(&mut self, slot: u32, was: Rank) {
        let rank = self.slab.at(slot).map_or(was, Peer::rank);
        let Self { by_rank, slab, .. } = self;
        if was == rank {
            by_rank[rank as usize].move_to_back(slab, slot);
        } else {
            by_rank[was as usize].remove(slab, slot);
            by_rank[rank as usize].push_back(slab, slot);
        }
    }

    fn insert(&mut self, now: Instant, name: Name<'_>, path: Path, rank: Rank) -> Recorded {
        let did = name.as_str();
        let mut peer = Peer {
            did: did.into(),
            path,
            proven: None,
            first_seen: now,
            last_seen: now,
            packets_and_trust: 0,
            by_age: Link::default(),
            by_proof: Link::default(),
            by_name: Chain::default(),
        };
        peer.count(rank == Rank::Trusted);
        let list = peer.rank() as usize;
        let Ok(id) = self.slab.insert(peer) else { return Recorded::Full };
        self.did_bytes += did.len();
        self.names.insert(&mut self.slab, id.slot(), name.hash());
        self.by_rank[list].push_back(&mut self.slab, id.slot());
        Recorded::New
    }

    fn remove(&mut self, slot: u32) -> Option<Box<str>> {
        let rank = self.slab.at(slot)?.rank();
        self.by_rank[rank as usize].remove(&mut self.slab, slot);
        self.names.remove(&mut self.slab, slot);
        self.proven.remove(&mut self.slab, slot);
        let peer = self.slab.remove_at(slot)?;
        self.did_bytes -= peer.did.len();
        Some(peer.did)
    }
}
