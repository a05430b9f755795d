//! The network of a world: links, what is on them, and what each end knows of the other.

use alloc::vec;
use alloc::vec::Vec;

use super::observe::same_packet;
use super::report::{Counts, Trace};
use crate::framing::Zone;
use crate::sim::agenda::{Agenda, Due};
use crate::sim::link::{LinkConfig, LinkState, Lost};
use crate::sim::rng::SimRng;
use crate::sim::topology::Wire;
use crate::sim::transit::{Origin, Transit, Way};

/// One direction of a link, and the ledger that its sending end keeps of the other end.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    /// The receiving end.
    pub(super) to: u32,
    /// The other direction.
    pub(super) back: u32,
    class: u8,
    /// Somebody is on this path.
    pub(super) tapped: bool,
    /// What the sending end thinks of the receiving end.
    pub(super) zone: Zone,
    /// The receiving end answered a request of the sending end.
    pub(super) proven: bool,
    /// The sending end asked the receiving end something.
    pub(super) asked: bool,
    /// A packet from the receiving end's address was taken in.
    pub(super) heard: bool,
    /// Something that named another sender came from the receiving end's address.
    pub(super) lied: bool,
    /// The sending end had a session with the receiving end.
    pub(super) speaks: bool,
    /// Bytes that came to the sending end from the receiving end.
    pub(super) got: u64,
    /// Bytes of answers that the sending end gave.
    pub(super) gave: u64,
    link: LinkState,
}

/// Links, agenda and post.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) agenda: Agenda,
    pub(super) post: Transit,
    pub(super) edges: Vec<Edge>,
    /// Where the edges of each member begin.
    pub(super) starts: Vec<u32>,
    links: Vec<LinkConfig>,
    /// On which side of each cut a member is, a bit for each.
    pub(super) sides: Vec<u8>,
    pub(super) rng: SimRng,
    pub(super) counts: Counts,
    pub(super) trace: Trace,
}

impl Net {
    pub(super) fn new(members: usize, wires: &[Wire], links: &[LinkConfig], rng: SimRng) -> Self {
        let mut edges = Vec::with_capacity(wires.len() * 2);
        let mut ends: Vec<(u32, u32, u8)> = wires.iter().map(|w| (w.a, w.b, w.class)).collect();
        ends.extend(wires.iter().map(|w| (w.b, w.a, w.class)));
        ends.sort_unstable();
        let mut starts = vec![0_u32; members + 1];
        for (from, ..) in &ends {
            starts[*from as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        for (from, to, class) in &ends {
            let back = ends.binary_search_by_key(&(*to, *from), |(a, b, _)| (*a, *b)).unwrap_or_default() as u32;
            edges.push(Edge {
                to: *to,
                back,
                class: *class,
                tapped: false,
                zone: Zone::Rood,
                proven: false,
                asked: false,
                heard: false,
                lied: false,
                speaks: false,
                got: 0,
                gave: 0,
                link: LinkState::default(),
            });
        }
        Self {
            agenda: Agenda::new(),
            post: Transit::default(),
            edges,
            starts,
            links: links.to_vec(),
            sides: vec![0; members],
            rng,
            counts: Counts::default(),
            trace: Trace::default(),
        }
    }

    /// The edges of a member, by number of the other end.
    pub(super) fn edges_of(&self, member: u32) -> core::ops::Range<u32> {
        self.starts[member as usize]..self.starts[member as usize + 1]
    }

    /// The edge from one member to another. `hint` is tried first.
    pub(super) fn edge(&self, from: u32, to: u32, hint: Option<u32>) -> Option<u32> {
        if let Some(hint) = hint
            && self.edges[hint as usize].to == to
        {
            return Some(hint);
        }
        let range = self.edges_of(from);
        let edges = &self.edges[range.start as usize..range.end as usize];
        let at = if edges.len() <= 16 {
            edges.iter().position(|e| e.to == to)?
        } else {
            edges.binary_search_by_key(&to, |e| e.to).ok()?
        };
        Some(range.start + at as u32)
    }

    /// What a node thinks of a neighbour, or of a stranger.
    pub(super) fn zone(&self, node: u32, other: Option<u32>) -> Zone {
        let edge = other.and_then(|other| self.edge(node, other, None));
        edge.map_or(Zone::Rood, |edge| self.edges[edge as usize].zone)
    }

    /// Which end sends along this edge.
    pub(super) fn from(&self, edge: u32) -> u32 {
        let back = self.edges[edge as usize].back;
        self.edges[back as usize].to
    }

    /// Put a datagram of this member on the way.
    pub(super) fn send(&mut self, now: u64, from: u32, edge: u32, bytes: &[u8], origin: Origin) {
        self.counts.sent += 1;
        let Self { edges, links, sides, rng, .. } = self;
        let along = &mut edges[edge as usize];
        let Some(link) = links.get(usize::from(along.class)).or(links.first()) else { return };
        let journey = if sides[from as usize] == sides[along.to as usize] {
            along.link.carry(link, now, bytes.len(), rng)
        } else {
            Err(Lost::Partition)
        };
        let way = Way { edge, back: along.back, to: along.to };
        let journey = match journey {
            Ok(journey) => journey,
            Err(why) => return self.counts.lose(why),
        };
        let datagram = self.post.put(bytes, way, origin);
        self.agenda.push(journey.at, Due::Mail(datagram));
        if journey.corrupt {
            self.corrupt(datagram, bytes);
        }
        if let Some(again) = journey.again {
            self.counts.duplicated += 1;
            let copy = self.post.put(bytes, way, origin);
            self.agenda.push(again, Due::Mail(copy));
        }
    }

    /// Change some bits of a datagram on its way.
    fn corrupt(&mut self, datagram: u32, before: &[u8]) {
        let Some(datagram) = self.post.get_mut(datagram) else { return };
        self.counts.corrupted += 1;
        for _ in 0..self.rng.between(1, 3) {
            let at = self.rng.index(datagram.bytes.len());
            if let Some(byte) = datagram.bytes.get_mut(at) {
                *byte ^= 1 << self.rng.below(8);
            }
        }
        let serial = datagram.origin.map_or(0, |o| o.serial);
        let serial = if same_packet(before, &datagram.bytes) { serial } else { 0 };
        datagram.origin = Some(Origin { serial, genuine: false });
    }

    /// Put a datagram of an adversary on the way: no link does anything to it.
    pub(super) fn inject(&mut self, at: u64, edge: u32, bytes: &[u8], serial: u64) {
        self.counts.injected += 1;
        let Edge { to, back, .. } = self.edges[edge as usize];
        let datagram = self.post.put(bytes, Way { edge, back, to }, Origin { serial, genuine: false });
        self.agenda.push(at, Due::Mail(datagram));
    }
}
