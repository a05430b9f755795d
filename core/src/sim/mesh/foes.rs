//! Who means harm in a mesh, and how.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::shape::{Part, Shape};
use super::watch::Damning;
use super::{Mesh, SimRng};
use crate::framing::{Decision, Digest, Encoding, Frame, Message, Packet, Response, RoutingMode, Text, Value};
use crate::relay::trace::{Deed, MARK, Trace, append, budget, flag, lie, ping_digest, response_digest};
use crate::sim::{Name, key};
use crate::time::{Wall, iso};

/// How often a foe passes the same ping on at most.
const COPIES: u8 = 3;
/// Pings and answers that it remembers.
const MEMORY: usize = 4096;
/// Foes that say something else under the ids of others, at most: one fewer than one id has ways back to the same target. What more of them say, in names that are let in and ask no more
/// than others, leaves none for the one who made the id.
const POISONERS: u32 = 3;
/// Longest datagram that it makes.
const ROOM: usize = 8192;

/// What a foe does with what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing goes on.
    Hole,
    /// Changes a packet, and signs what it did.
    Frank,
    /// Changes it, and signs that it was so when it came.
    Liar,
    /// Changes it behind a record that says it did not.
    Sly,
    /// Changes it, and takes the trace off.
    Stripper,
    /// Changes it, and puts garbage where the last record has its signature.
    Smearer,
    /// Changes it, and says that it came so from its neighbour.
    Accuser,
    /// Counts hops back, and sends pings back to where they came from.
    Rewinder,
    /// Says something else under the id of what passes, to everybody who has not heard of it yet.
    Poisoner,
    /// Sends a great deal.
    Flooder,
}

const KINDS: [Kind; 10] = [
    Kind::Frank,
    Kind::Liar,
    Kind::Hole,
    Kind::Poisoner,
    Kind::Flooder,
    Kind::Sly,
    Kind::Accuser,
    Kind::Rewinder,
    Kind::Stripper,
    Kind::Smearer,
];

/// Those who change what passes, and of whom the trace says so.
const TAMPERERS: [Kind; 2] = [Kind::Frank, Kind::Liar];

#[derive(Debug)]
pub(super) struct Foe {
    kind: Kind,
    /// Whom it gives everything that it can.
    partner: Option<u32>,
    /// Where pings came from, and how often they went on, by packet id.
    ways: BTreeMap<String, (u32, u8)>,
}

impl Foe {
    /// All foes of a mesh: the kinds in turn, from one that is drawn. Two who come one after the other may work together.
    pub(super) fn draw(shape: &mut Shape, (flooders, tamperers): (u32, bool), rng: &mut SimRng) -> Vec<Self> {
        let kinds = if tamperers { &TAMPERERS[..] } else { &KINDS };
        let (first, range) = (rng.index(kinds.len()), shape.all_foes());
        let mut foes: Vec<Self> = Vec::new();
        let (mut floods, mut poisons) = (0, 0);
        for n in range.clone() {
            let mut kind = kinds[(first + (n - range.start) as usize) % kinds.len()];
            floods += u32::from(kind == Kind::Flooder);
            poisons += u32::from(kind == Kind::Poisoner);
            if (kind == Kind::Flooder && floods > flooders) || (kind == Kind::Poisoner && poisons > POISONERS) {
                kind = Kind::Liar;
            }
            foes.push(Self { kind, partner: None, ways: BTreeMap::new() });
        }
        for n in range.clone().skip(1).step_by(2).filter(|_| rng.chance(0.4)) {
            shape.tie(n - 1, n);
            foes[(n - 1 - range.start) as usize].partner = Some(n);
        }
        foes
    }
}

/// What goes on: the frame and what stands behind it.
struct Made {
    bytes: Vec<u8>,
    /// It was changed.
    altered: bool,
    /// Its last record names who made it to everybody who reads it.
    damning: bool,
}

impl Mesh {
    fn foe(&mut self, n: u32) -> &mut Foe {
        let first = self.shape.all_foes().start;
        &mut self.foes[(n - first) as usize]
    }

    fn kind(&self, n: u32) -> Kind {
        self.foes[(n - self.shape.all_foes().start) as usize].kind
    }

    /// A datagram came to a foe.
    pub(super) fn foe_hears(&mut self, n: u32, from: u32, bytes: &[u8]) {
        if self.calm || self.kind(n) == Kind::Hole {
            return;
        }
        match Frame::decode(bytes) {
            Ok(Frame { message: Message::Packet(packet), encoding }) => {
                self.foe_passes(n, from, (&packet, encoding), bytes);
            }
            Ok(Frame { message: Message::Response(response), encoding }) => {
                let id = response.in_response_to.to_cow();
                let Some((back, _)) = self.foe(n).ways.get(&*id).copied() else { return };
                let altered = self.kind(n) == Kind::Frank && self.rng.chance(0.5);
                let made = match altered {
                    true => self.forged_answer(n, &response, encoding, bytes),
                    false => bytes.to_vec(),
                };
                self.send(n, back, made, 0);
            }
            Err(_) => {}
        }
    }

    fn foe_passes(&mut self, n: u32, from: u32, (packet, encoding): (&Packet<'_>, Encoding), bytes: &[u8]) {
        if packet.target_did == *self.shape.did(n) {
            return;
        }
        let id = packet.packet_id.to_cow().into_owned();
        let foe = self.foe(n);
        if foe.ways.len() >= MEMORY {
            foe.ways.pop_first();
        }
        let (_, copies) = foe.ways.entry(id.clone()).or_insert((from, 0));
        *copies += 1;
        let (copies, kind, partner) = (*copies, foe.kind, foe.partner);
        // With two foes in the way of one packet it is not known any more who is to be named.
        if let Some(damning) = self.watch.damning.get_mut(&id).filter(|damning| damning.foe != n) {
            damning.void = true;
        }
        let first = copies == 1;
        if copies > COPIES {
            return;
        }
        let Some(made) = self.made(n, (packet, encoding), bytes, from) else { return };
        if made.altered {
            let did = self.shape.did(n);
            self.watch.guilty.insert(did);
        }
        if made.damning
            && let Some(signature) = made.bytes.last_chunk::<64>()
        {
            let fresh = Damning { foe: n, signatures: Vec::new(), void: false };
            let damning = self.watch.damning.entry(id.clone()).or_insert(fresh);
            damning.void |= damning.foe != n;
            damning.signatures.push(*signature);
        }
        if kind == Kind::Poisoner && first {
            self.poison(n, &id);
        }
        if kind == Kind::Rewinder && first {
            self.send(n, from, made.bytes.clone(), 0);
        }
        match partner.filter(|partner| *partner != from) {
            Some(partner) => self.send(n, partner, made.bytes, 0),
            None => self.pass_nearer(n, from, packet, &made.bytes),
        }
    }

    /// Foes know the way, and take it mostly.
    fn pass_nearer(&mut self, n: u32, from: u32, packet: &Packet<'_>, bytes: &[u8]) {
        let target = packet.target_did.to_cow();
        let Some(to) = Name::member(&target).filter(|to| self.shape.part(*to) == Part::Relay) else { return };
        let steps = self.shape.steps(to, |_| true);
        let mut next: Vec<u32> = self.shape.around(n).iter().copied().filter(|other| *other != from).collect();
        next.sort_by_key(|other| steps[*other as usize]);
        if self.rng.chance(0.2) && next.len() > 1 {
            next.swap(0, 1);
        }
        let count = 1 + usize::from(self.rng.chance(0.5));
        for to in next.into_iter().take(count) {
            self.send(n, to, bytes.to_vec(), 0);
        }
    }

    /// What a foe makes of a ping that came from there.
    fn made(&self, n: u32, (packet, encoding): (&Packet<'_>, Encoding), bytes: &[u8], from: u32) -> Option<Made> {
        let (did, wall, secret) = (self.shape.did(n), self.clock().wall, key(n));
        let who = (did.as_str(), wall, &secret);
        let kind = self.kind(n);
        let alters = !matches!(kind, Kind::Hole | Kind::Poisoner | Kind::Flooder | Kind::Rewinder);
        let hop_count = match kind {
            Kind::Rewinder => 0,
            _ => packet.hop_count.saturating_add(1),
        };
        // Each puts something else in the place of what was said.
        let forged = format!("to sell by {n}");
        let after = match alters {
            true => Packet { purpose: Text::new(&forged), proof: None, hop_count, ..*packet },
            false => Packet { hop_count, ..*packet },
        };
        let mut out = vec![0; ROOM];
        let len = after.encode(encoding, &mut out).ok()?;
        out.truncate(len);
        let (frame, trace) = Trace::split(bytes);
        let behind = bytes.get(frame.len()..).unwrap_or_default();
        let (Some(trace), true) = (trace, alters) else {
            let marked = packet.hop_count == 0 && behind.is_empty();
            out.extend_from_slice(if marked { &MARK } else { behind });
            let altered = alters || hop_count <= packet.hop_count;
            return Some(Made { bytes: out, altered, damning: false });
        };
        let mut scratch = vec![0; ROOM];
        let [received, passed] = [ping_digest(packet, &mut scratch).ok()?, ping_digest(&after, &mut scratch).ok()?];
        let record = |passed: &Digest| {
            let deed = Deed::Passed { received: &received, passed, hop_count: Some(packet.hop_count), from: None };
            signed(Some(trace), (who.0, who.1), &deed, n, len)
        };
        // Who lies behind the record of an honest relay that it came from is known by that.
        let honest =
            self.shape.part(from) == Part::Relay && trace.last().is_some_and(|last| last.did() == self.shape.did(from));
        let (records, damning) = match kind {
            Kind::Frank => (record(&passed), true),
            Kind::Liar => (lie(trace, who, &passed, 0), honest),
            Kind::Accuser => (lie(trace, who, &passed, flag::DISPUTE), false),
            Kind::Sly => (record(&received), false),
            Kind::Smearer => (smeared(behind).and_then(|smeared| lie(Trace::read(&smeared)?, who, &passed, 0)), false),
            _ => (None, false),
        };
        let damning = damning && records.is_some();
        out.extend(records.unwrap_or_default());
        Some(Made { bytes: out, altered: true, damning })
    }

    /// An answer with something else in it, and a record that says so.
    fn forged_answer(&mut self, n: u32, response: &Response<'_>, encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let after = Response { payload: Value::from_json(r#"{"ok":"sold"}"#).unwrap_or(Value::NULL), ..*response };
        let (mut out, mut scratch) = (vec![0; ROOM], vec![0; ROOM]);
        let Ok(len) = after.encode(encoding, &mut out) else { return Vec::new() };
        out.truncate(len);
        let did = self.shape.did(n);
        let digests = [response_digest(response, &mut scratch), response_digest(&after, &mut scratch)];
        if let (_, Some(trace), [Ok(received), Ok(passed)]) = (0, Trace::split(bytes).1, digests) {
            let deed = Deed::Passed { received: &received, passed: &passed, hop_count: None, from: None };
            out.extend(signed(Some(trace), (&did, self.clock().wall), &deed, n, len).unwrap_or_default());
        }
        self.watch.guilty.insert(did);
        out
    }

    /// Something else under this id, to everybody whom it may reach first.
    fn poison(&mut self, n: u32, id: &str) {
        let mut to: Vec<u32> = self.shape.around(n).to_vec();
        to.extend((0..3).map(|_| self.rng.below(self.shape.relays.into()) as u32));
        let did = self.shape.did(n);
        for relay in to {
            let target = self.someone(relay);
            let bytes = self.ping_as((&did, Some(n)), &target, id);
            self.send(n, relay, bytes, 0);
        }
    }

    /// The name of somebody who is asked, and is not this one.
    fn someone(&mut self, but: u32) -> String {
        let endpoints = self.shape.endpoints();
        let n = self.rng.below(endpoints.into()) as u32;
        self.shape.did(if n == but { (n + 1) % endpoints } else { n })
    }

    /// A ping in this name, signed by this foe.
    fn ping_as(&mut self, (source, signer): (&str, Option<u32>), target: &str, id: &str) -> Vec<u8> {
        let (nonce, mut stamp) = (format!("{:032x}", self.rng.u64()), [0; 32]);
        let packet = Packet {
            packet_id: Text::new(id),
            source_did: Text::new(source),
            target_did: Text::new(target),
            routing_mode: RoutingMode::Mesh,
            intent: Text::new("temperature.read"),
            purpose: Text::new("of a foe"),
            max_hops: 16,
            nonce: Text::new(&nonce),
            timestamp: Text::new(iso::format(self.clock().wall, &mut stamp)),
            ..Packet::default()
        };
        let made = signer.and_then(|n| packet.sign(Encoding::Json, &key(n), &mut [0; 4096]).ok());
        let packet = made.as_ref().map_or(packet, |made| made.on(packet));
        // In another name than its own nothing that it signs holds, and that takes arithmetic to see.
        let own = signer.is_some_and(|n| self.shape.did(n) == source);
        let packet = if own { packet } else { Packet { purpose: Text::new("of nobody"), ..packet } };
        let mut out = vec![0; ROOM];
        let len = packet.encode(Encoding::Json, &mut out).unwrap_or(0);
        out.truncate(len);
        out
    }

    /// One of those who flood begins.
    pub(super) fn flood(&mut self) {
        let flooders: Vec<u32> = self.shape.all_foes().filter(|n| self.kind(*n) == Kind::Flooder).collect();
        if flooders.is_empty() {
            return;
        }
        let n = flooders[self.rng.index(flooders.len())];
        let around = self.shape.around(n);
        let to = around[self.rng.index(around.len())];
        // In its own name, which is let in; in ever new names; in such names, badly signed, from
        // its own address or from many; answers that nobody asked for.
        let (what, did, target) = (self.rng.below(5), self.shape.did(n), self.someone(to));
        let (count, gap) = if what == 0 { (80, 5_000_000) } else { (300, 1_000_000) };
        self.counts.flooded += count;
        for at in 0..count {
            let id = format!("ping_{:016x}", self.rng.u64());
            let bytes = match what {
                0 => self.ping_as((&did, Some(n)), &target, &id),
                1 => self.ping_as((&format!("jis:guest:x{at}"), None), &target, &id),
                2 | 3 => self.ping_as((&format!("jis:guest:x{at}"), Some(n)), &target, &id),
                _ => unasked(&id, &target),
            };
            let from = if what == 3 { self.shape.all_foes().end + at as u32 % 8 } else { n };
            self.send(from, to, bytes, at * gap);
        }
    }
}

fn unasked(id: &str, by: &str) -> Vec<u8> {
    let response = Response {
        in_response_to: Text::new(id),
        responder_did: Text::new(by),
        decision: Decision::Accept,
        ..Response::default()
    };
    let mut out = vec![0; ROOM];
    let len = response.encode(Encoding::Json, &mut out).unwrap_or(0);
    out.truncate(len);
    out
}

/// A trace with one record more of this foe.
fn signed(trace: Option<Trace<'_>>, who: (&str, Wall), deed: &Deed<'_>, n: u32, frame: usize) -> Option<Vec<u8>> {
    let mut out = vec![0; ROOM];
    let len = append(trace, who, deed, &key(n), budget(frame), &mut out).ok()?.len;
    out.truncate(len);
    Some(out)
}

/// What stands behind a frame, with one bit of the last signature turned.
fn smeared(behind: &[u8]) -> Option<Vec<u8>> {
    let mut smeared = behind.to_vec();
    *smeared.last_mut()? ^= 1;
    Some(smeared)
}
