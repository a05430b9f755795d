//! Datagrams on their way through a mesh, and what is seen of each.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::shape::Part;
use super::watch::{MeshInvariant, Print, Quota};
use super::{Mesh, Path};
use crate::framing::{Decision, Frame, Message, Packet};
use crate::node::Event;
use crate::relay::{RelayReject, RelayStats};
use crate::sim::LanNodeError;
use crate::sim::agenda::Due;
use crate::sim::names::{address, member};
use crate::time::Instant;
use crate::{Datagrams as _, Machine as _, Reject};

/// How long a datagram takes, in nanoseconds.
const DELAY: (u64, u64) = (1_000_000, 6_000_000);

/// A datagram on its way.
#[derive(Debug)]
pub(super) struct Flight {
    from: u32,
    to: u32,
    bytes: Vec<u8>,
}

impl Mesh {
    /// Let time pass until then.
    pub(super) fn run(&mut self, end: u64) -> Result<(), LanNodeError> {
        while let Some((at, due)) = self.agenda.pop(end) {
            self.now = at;
            match due {
                Due::Mail(slot) => {
                    if let Some(flight) = self.flights[slot as usize].take() {
                        self.free.push(slot);
                        self.arrive(flight);
                    }
                }
                Due::Timer(n) => self.wake(n),
                Due::Errand(ask) => self.again(ask as usize),
                Due::Plan(n) => self.come_back(n)?,
            }
        }
        self.now = end;
        Ok(())
    }

    /// Send a datagram, so many nanoseconds from now.
    pub(super) fn send(&mut self, from: u32, to: u32, bytes: Vec<u8>, after: u64) {
        let parted = self.sides.as_ref().is_some_and(|sides| sides.get(from as usize) != sides.get(to as usize));
        let nobody = to >= self.shape.all_foes().end;
        // A guest is where its relay is.
        let near = self.verifications.is_none() && [from, to].iter().any(|n| self.shape.part(*n) == Part::Guest);
        if parted || nobody || (!near && self.rng.chance(self.loss)) {
            return;
        }
        let flight = Some(Flight { from, to, bytes });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.flights[slot as usize] = flight;
                slot
            }
            None => {
                self.flights.push(flight);
                self.flights.len() as u32 - 1
            }
        };
        let takes = self.rng.between(DELAY.0, DELAY.1);
        self.agenda.push(self.now + after + takes, Due::Mail(slot));
    }

    fn arrive(&mut self, flight: Flight) {
        let Flight { from, to, bytes } = flight;
        self.counts.deliveries += 1;
        for part in [self.now, to.into(), bytes.len() as u64] {
            self.digest = (self.digest ^ part).wrapping_mul(0x100_0000_01b3);
        }
        if self.shape.part(to) == Part::Foe {
            return self.foe_hears(to, from, &bytes);
        }
        let Some(member) = self.members.get_mut(to as usize).filter(|member| member.up) else { return };
        let before = member.node.relay_stats();
        let now = self.clock();
        let member = &mut self.members[to as usize];
        let taken = member.node.receive(now, Path::to(address(from)), &mut bytes.clone()).map(|_| ());
        let after = self.members[to as usize].node.relay_stats();
        self.watch.told.clear();
        self.watch.coming = match Frame::decode(&bytes) {
            Ok(Frame { message: Message::Packet(packet), .. }) => Print::of(&packet, &mut self.scratch),
            _ => None,
        }
        .map(|print| (print, address(from)));
        self.look_after(to);
        let coming = self.watch.coming.take().map(|(print, _)| print);
        let stats = before.zip(after);
        match Frame::decode(&bytes) {
            Ok(Frame { message: Message::Packet(packet), .. }) if packet.target_did == *self.shape.did(to) => {
                self.check_named(to, &packet, taken.is_ok(), &bytes);
            }
            Ok(Frame { message: Message::Packet(packet), .. }) => {
                self.check_passed(to, from, (&packet, coming), (taken, stats));
            }
            Ok(Frame { message: Message::Response(_), .. })
                if stats.is_some_and(|(before, after)| after.answered > before.answered) =>
            {
                self.charge(to, Quota::Link, address(from).to_string());
            }
            _ => {}
        }
        if let Some(stats) = after {
            self.watch.check_bounds(self.now, to, &stats, &self.config);
        }
    }

    /// A ping came to whom it was for: whoever changed it and signed that is named now.
    fn check_named(&mut self, n: u32, packet: &Packet<'_>, taken: bool, bytes: &[u8]) {
        let id = packet.packet_id.to_cow();
        let Some(foe) = self.watch.to_be_named(&id, bytes).filter(|_| taken) else { return };
        let culprit = self.shape.did(foe);
        match self.watch.told.iter().any(|(about, named)| *about == *id && *named == culprit) {
            true => self.counts.named += 1,
            false => {
                let detail = format!("{culprit} changed {id}, named are {:?}", self.watch.told);
                self.watch.find(self.now, n, MeshInvariant::Named, detail);
            }
        }
    }

    /// What a relay made of a ping for somebody else.
    fn check_passed(
        &mut self,
        n: u32,
        from: u32,
        (packet, print): (&Packet<'_>, Option<Print>),
        (taken, stats): (Result<(), Reject>, Option<(RelayStats, RelayStats)>),
    ) {
        let (Some(print), Some((before, after))) = (print, stats) else { return };
        let known = self.watch.made.contains(&print);
        let book = &mut self.members[n as usize].book;
        let id = packet.packet_id;
        match taken {
            Ok(()) if after.forwarded > before.forwarded => {
                if book.pass(print, self.now, &self.config) {
                    self.watch.find(self.now, n, MeshInvariant::Once, format!("{id} was passed on before"));
                }
                // What nobody proves counts for one name on each link by itself: relays know no key of guests.
                let source = packet.source_did.to_cow();
                let source = match source.starts_with("jis:guest:") {
                    true => format!("{source} over {}", address(from)),
                    false => source.into_owned(),
                };
                self.charge(n, Quota::Source, source);
                self.charge(n, Quota::Target, packet.target_did.to_cow().into());
                self.charge(n, Quota::Link, address(from).to_string());
            }
            Err(Reject::Replay) if !book.knows(&print.said) => {
                self.watch.find(self.now, n, MeshInvariant::Recognised, format!("{id} is new, and taken for another"));
            }
            Err(Reject::Busy) if known => {
                let more = |why| after.rejects.get(why) > before.rejects.get(why);
                // What a foe has used up of its own link it took from nobody: it could have swallowed the ping.
                let own_link = self.shape.part(from) == Part::Foe && more(RelayReject::LinkQuota);
                // Two names that share a counter share what one of them may have open: where there is room it was that.
                if !own_link && (!more(RelayReject::Busy) || after.open >= self.config.max_open) {
                    let why = RelayReject::ALL.iter().find(|why| more(**why)).map_or("node", |why| why.name());
                    let detail = format!("{id} of {} found no room ({why})", packet.source_did);
                    self.watch.find(self.now, n, MeshInvariant::Crowded, detail);
                }
            }
            _ => {}
        }
    }

    fn charge(&mut self, n: u32, quota: Quota, name: String) {
        let rate = match quota {
            Quota::Source => self.config.source_rate,
            Quota::Target => self.config.target_rate,
            Quota::Link => self.config.link_rate,
        };
        let detail = format!("of {name}");
        if self.members[n as usize].book.charge(quota, name, self.now, rate) {
            self.watch.find(self.now, n, MeshInvariant::Quota, detail);
        }
    }

    fn wake(&mut self, n: u32) {
        let now = self.clock();
        let member = &mut self.members[n as usize];
        if member.up && member.wake == Some(now.mono) {
            member.wake = None;
            member.node.handle_timeout(now);
            self.look_after(n);
        }
    }

    /// Drain a node, and see to it that it is looked after in time.
    pub(super) fn look_after(&mut self, n: u32) {
        let now = self.clock();
        loop {
            if self.members[n as usize].node.wants().is_due(now.mono) {
                self.members[n as usize].node.handle_timeout(now);
            }
            self.listen(n);
            let member = &mut self.members[n as usize];
            let Some(sent) = member.node.poll_transmit(now, &mut self.buffer) else { break };
            self.counts.messages += 1;
            let bytes = self.buffer.get(..sent.len).unwrap_or_default().to_vec();
            self.check_sent(n, sent.path.remote, &bytes);
            if let Some(to) = self::member(&sent.path.remote) {
                self.send(n, to, bytes, 0);
            }
        }
        let member = &mut self.members[n as usize];
        let at = member.node.wants().at.map(|(at, _)| at.max(now.mono));
        if at != member.wake {
            member.wake = at;
            at.into_iter().for_each(|at: Instant| self.agenda.push(at.as_nanos(), Due::Timer(n)));
        }
    }

    /// What a node tells.
    fn listen(&mut self, n: u32) {
        loop {
            let Some(event) = self.members[n as usize].node.poll_event() else { return };
            match event {
                Event::Ping(ping) if ping.decision == Decision::Accept => {
                    let packet = ping.packet();
                    let [source, said] = [packet.source_did, packet.purpose].map(|text| text.to_cow().into_owned());
                    let hop_count = packet.hop_count;
                    self.heard(n, (&source, &said), hop_count);
                }
                Event::Response(answer) if answer.last => {
                    let (request, response) = (answer.request, answer.response());
                    let payload = response.payload.to_json_string().unwrap_or_default();
                    let decision = response.decision;
                    self.answered(n, request, decision, &payload);
                }
                Event::Timeout { request, .. } => _ = self.members[n as usize].open.remove(&request),
                Event::Trace(news) => {
                    let named = news.tampered.iter().filter_map(|found| found.relay.as_deref());
                    let named: Vec<_> = named.map(|relay| (news.packet_id.to_string(), relay.to_string())).collect();
                    self.check_told(n, &named);
                    self.watch.told.extend(named);
                }
                _ => {}
            }
        }
    }

    /// Only who changed something is named.
    fn check_told(&mut self, n: u32, named: &[(String, String)]) {
        if let Some((id, relay)) = named.iter().find(|(_, relay)| !self.watch.guilty.contains(relay)) {
            let detail = format!("{relay} is named for {id}, and changed nothing");
            self.watch.find(self.now, n, MeshInvariant::Wronged, detail);
        }
    }

    /// What a node sends: its own, or what it passes on.
    fn check_sent(&mut self, n: u32, to: SocketAddr, bytes: &[u8]) {
        let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(bytes) else { return };
        let Some(print) = Print::of(&packet, &mut self.scratch) else { return };
        if packet.source_did == *self.shape.did(n) {
            if self.shape.part(n) == Part::Relay {
                self.watch.made.insert(print);
            }
            return;
        }
        let (id, limit) = (packet.packet_id, packet.max_hops.min(self.config.max_hops.into()));
        if packet.hop_count > limit {
            let detail = format!("{id} leaves with {} hops of {limit}", packet.hop_count);
            self.watch.find(self.now, n, MeshInvariant::Hops, detail);
        }
        if self.watch.coming.as_ref().is_some_and(|(coming, from)| *coming == print && *from == to) {
            self.watch.find(self.now, n, MeshInvariant::Horizon, format!("{id} goes back to {to}"));
        }
    }
}
