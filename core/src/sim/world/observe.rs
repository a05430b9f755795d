//! Who looks on and says when something is wrong.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::World;
use super::keep::wants_beside;
use super::member::{Books, Role};
use super::net::Edge;
use super::report::{Invariant, Violation};
use super::sealed::Opened;
use crate::framing::{Frame, Message, Packet, Text, Zone};
use crate::node::{Answered, Node, NodeConfig};
use crate::sim::names::{Name, address};
use crate::sim::transit::Origin;
use crate::time::Duration;
use crate::{Machine, Wants};

/// Bytes of a page of [`Taken`].
const PAGE: usize = 1 << 16;

/// The observer's memory.
#[derive(Debug, Default)]
pub(super) struct Observer {
    violations: Vec<Violation>,
    taken: Taken,
    /// (node, incarnation, sender with nonce and stamp) of packets that no node made as they are.
    foreign: BTreeSet<(u32, u32, u64)>,
    pub(super) opened: Opened,
    /// (node, sender with nonce and stamp) of pings that the applications of nodes with a store were told of, in whatever life.
    told: BTreeSet<(u32, u64)>,
    /// Serial number of the last packet made.
    serial: u64,
    /// Members touched since the last sweep.
    pub(super) touched: Vec<u32>,
}

/// Which packets were taken in, by serial number: by which incarnation of the only node they were for.
#[derive(Debug, Default)]
struct Taken(Vec<Box<[u8]>>);

impl Taken {
    /// Note that a packet was taken in; false if it had been by the same incarnation.
    fn note(&mut self, serial: u64, incarnation: u32) -> bool {
        let (page, place) = (serial as usize / PAGE, serial as usize % PAGE);
        while self.0.len() <= page {
            self.0.push(vec![0; PAGE].into_boxed_slice());
        }
        let mark = (incarnation % 255) as u8 + 1;
        core::mem::replace(&mut self.0[page][place], mark) != mark
    }
}

/// Whether two frames are one packet to a replay window: same sender, nonce and stamp. (With another stamp it is another packet
/// once the nonce has left the window; nothing is signed yet.)
pub(super) fn same_packet(a: &[u8], b: &[u8]) -> bool {
    match (packet(a), packet(b)) {
        (Some(a), Some(b)) => a.source_did == b.source_did && a.nonce == b.nonce && a.timestamp == b.timestamp,
        _ => false,
    }
}

fn packet(frame: &[u8]) -> Option<Packet<'_>> {
    match Frame::decode(frame).ok()?.message {
        Message::Packet(packet) => Some(packet),
        Message::Response(_) => None,
    }
}

/// Whether a frame says that it is a response.
pub(super) fn is_response(frame: &[u8]) -> bool {
    frame.get(3).is_some_and(|flags| flags & 1 == 1)
}

/// A short number for a sender, a nonce and a stamp.
fn number(packet: &Packet<'_>) -> u64 {
    let text = format!("{:?} {:?} {:?}", packet.source_did, packet.nonce, packet.timestamp);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

impl Observer {
    pub(super) fn counters_begin(&mut self, members: usize) {
        self.touched.reserve(members.min(1024));
    }

    pub(super) fn is_content(&self) -> bool {
        self.violations.is_empty()
    }

    pub(super) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    #[cold]
    pub(super) fn object(&mut self, now: u64, node: u32, invariant: Invariant, detail: String) {
        if self.violations.len() < 16 {
            self.violations.push(Violation { at: Duration::from_nanos(now), node, invariant, detail });
        }
    }

    /// The number of the next packet.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A node took a packet in that came from the address of node `from`, and whose sender, by its name, is in `zone`.
    pub(super) fn taken_in(
        &mut self,
        now: u64,
        (node, incarnation): (u32, u32),
        (from, zone): (u32, Option<Zone>),
        bytes: &[u8],
        origin: Origin,
    ) {
        if zone == Some(Zone::Rood) {
            let detail = format!("took in a packet from node {from} whose sender is ROOD");
            self.object(now, node, Invariant::RoodSilence, detail);
        }
        let fresh = if origin.serial != 0 {
            self.taken.note(origin.serial, incarnation)
        } else {
            let Some(packet) = packet(bytes) else { return };
            self.foreign.insert((node, incarnation, number(&packet)))
        };
        if !fresh {
            self.object(now, node, Invariant::NoReplay, format!("took a packet from node {from} in twice"));
        }
    }

    /// The application of a node that keeps its state was told of a ping.
    pub(super) fn told(&mut self, now: u64, node: u32, packet: &Packet<'_>) {
        if !self.told.insert((node, number(packet))) {
            let detail =
                format!("told its application twice of a ping from {:?}, in one life or two", packet.source_did);
            self.object(now, node, Invariant::NoReplay, detail);
        }
    }

    /// A node sent a datagram along an edge. `truthful`: the other end never lies about its name. `commanded`: the node may
    /// ask whom it likes, and trusts whom it was told to.
    pub(super) fn sent(
        &mut self,
        now: u64,
        node: u32,
        edge: &mut Edge,
        bytes: &[u8],
        (truthful, commanded): (bool, bool),
    ) {
        if !is_response(bytes) {
            edge.asked |= commanded;
            if !edge.asked && !edge.proven {
                let to = edge.to;
                self.object(now, node, Invariant::Amplification, format!("wrote to node {to} unasked and unproven"));
            }
            return;
        }
        if !edge.heard {
            let to = edge.to;
            let detail = format!("answered node {to}, from whose address it took nothing in");
            self.object(now, node, Invariant::RoodSilence, detail);
        }
        if edge.zone == Zone::Rood && truthful && !edge.lied && !commanded {
            let to = edge.to;
            self.object(now, node, Invariant::RoodSilence, format!("answered node {to}, which is ROOD"));
        }
        edge.gave += bytes.len() as u64;
        if !edge.proven && edge.gave > 3 * edge.got {
            let Edge { to, gave, got, .. } = *edge;
            let detail = format!("gave the unproven address of node {to} {gave} bytes for {got}");
            self.object(now, node, Invariant::Amplification, detail);
        }
    }

    /// Somebody may have lied about a name: note it on the receiver's edge back.
    pub(super) fn hear(edge: &mut Edge, bytes: &[u8]) {
        let name = Name::of(edge.to);
        if !edge.lied && packet(bytes).is_some_and(|packet| packet.source_did != *name.as_str()) {
            edge.lied = true;
        }
    }

    /// A request of a node was answered. `responder` is the name on the answer, if somebody looked.
    pub(super) fn answered(
        &mut self,
        now: u64,
        (node, books): (u32, &mut Books),
        edges: &mut [Edge],
        answered: &Answered<'_>,
        responder: Option<Text<'_>>,
    ) {
        let (request, from, last) = (answered.request, answered.from.remote, answered.last);
        let Some(asked) = books.open_request(request) else {
            if !books.commanded {
                self.object(now, node, Invariant::CompletesOnce, "an answer to a request that is over".into());
            }
            return;
        };
        let edge = &mut edges[asked.edge as usize];
        let to = edge.to;
        let wrong_name = responder.is_some_and(|name| name != *Name::of(to).as_str());
        if from != address(to) || wrong_name {
            let detail = format!("asked node {to} and took the answer of {responder:?} at {from}");
            self.object(now, node, Invariant::OnlyTheAsked, detail);
        }
        if asked.pending && !last {
            self.object(now, node, Invariant::CompletesOnce, "a request was put off twice".into());
        }
        asked.pending = !last;
        edge.proven = true;
        if last {
            books.ended(request);
        }
    }

    /// What is cheap to check of a node that was touched. `config` has the caps of all nodes.
    pub(super) fn check(&mut self, now: u64, node: u32, handed: u64, machine: &Node, config: &NodeConfig) {
        let (received, sum) = machine.books();
        if received != sum || received != handed {
            let detail = format!("{handed} datagrams handed in, {received} counted, {sum} by outcome");
            self.object(now, node, Invariant::Counters, detail);
        }
        let (caps, tables) = (&config.caps, machine.tables());
        let held = [
            ("peers", tables.peers, caps.peers as usize),
            ("waiting", tables.waiting, caps.waiting as usize),
            ("open", tables.open, caps.open as usize),
            ("requests", tables.requests, caps.requests as usize),
            ("nonces", tables.nonces, config.replay.max_entries),
            ("events", tables.events, 2 * caps.events as usize),
            ("transmits", tables.transmits, caps.transmits as usize),
        ];
        if let Some((name, has, cap)) = held.into_iter().find(|(_, has, cap)| has > cap) {
            let detail = format!("{has} {name}, the cap is {cap}");
            self.object(now, node, Invariant::TableCaps, detail);
        }
    }
}

impl World {
    /// In which zone a node must see the sender that a packet names; `None` where nobody can tell.
    pub(super) fn zone_of_sender(&self, node: u32, bytes: &[u8]) -> Option<Zone> {
        let packet = packet(bytes)?;
        let name = packet.source_did.as_str()?;
        if self.template.guests && name.starts_with("jis:guest:") {
            return Some(Zone::Geel);
        }
        Some(self.net.zone(node, Name::member(name).filter(|n| *n < self.nodes)))
    }

    /// Check everything: every node that was touched since the last sweep (an untouched one is as it was then), and that
    /// no datagram was lost track of.
    pub(super) fn sweep(&mut self) {
        let counts = &self.net.counts;
        if counts.on_the_way() != self.net.post.len() as u64 {
            let detail = format!("{} datagrams must be on their way, {} are", counts.on_the_way(), self.net.post.len());
            self.observer.object(self.now, 0, Invariant::World, detail);
        }
        let mut touched = core::mem::take(&mut self.observer.touched);
        for n in touched.drain(..) {
            let member = &mut self.members[n as usize];
            member.touched = false;
            let Role::Node(node) = &member.role else { continue };
            // What its driver has not heard of yet.
            let untold = self.now <= member.books.away;
            let requests = node.tables().requests;
            let kept = member.books.count_open();
            if kept != member.books.open() as usize || (requests != kept && !member.books.commanded && !untold) {
                let detail = format!("{requests} requests are open, {kept} should be");
                self.observer.object(self.now, n, Invariant::CompletesOnce, detail);
            }
            for (what, has, cap) in node.bounds() {
                if has > cap {
                    let detail = format!("{has} {what}, the cap is {cap}");
                    self.observer.object(self.now, n, Invariant::TableCaps, detail);
                }
            }
            let wants = wants_beside(member.store.as_deref(), node.wants());
            if member.armed == super::member::NEVER && !untold && wants != Wants::NOTHING {
                let detail = "wants to be woken, and nobody does".into();
                self.observer.object(self.now, n, Invariant::World, detail);
            }
            // Whoever asked hears in time that nobody answers.
            let latest = member.clock.now(self.now).mono + node.config().request_timeout;
            let in_time = wants.is_pending() || wants.is_due(latest);
            if !in_time && !untold && member.books.waits() {
                let detail = format!("a request is open, and it wants {wants:?}");
                self.observer.object(self.now, n, Invariant::Deadline, detail);
            }
        }
        self.observer.touched = touched;
    }
}
