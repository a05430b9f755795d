//! A node against a small plain model of what it must do: airlock, replay window, waiting room, request correlation.
//!
//! Wall clocks only move forward here: what a step back does is the replay window's own test.

#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

#[path = "model_node/model.rs"]
mod model;
#[path = "model_node/ops.rs"]
mod ops;

use std::collections::BTreeMap;

use proptest::prelude::*;
use sluis_core::airlock::Rule;
use sluis_core::framing::{
    Decision, Encoding, Frame, Message, Number, Packet, PingType, Priority, Response, RoutingMode, Text, Value, Zone,
};
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{AnswerError, Event, Node, NodeConfig, Outcome, Ping, WaitId};
use sluis_core::time::{Duration, Instant, Now, Wall, iso};
use sluis_core::{Datagrams, Did, Machine, Path, Reject, Seed};

use self::model::{Model, ModelRule, Request, Seen};
use self::ops::{INTENTS, ME, Op, PER_SENDER, SENDERS, TIMEOUT_MS, WAITING, op};

fn at(ms: u64) -> Now {
    let wall = Wall::from_micros(1_736_942_400_000_000).saturating_add(Duration::from_millis(ms));
    Now::new(Instant::from_nanos(ms * 1_000_000), wall)
}

fn path(address: u8) -> Path {
    Path::to(([192, 0, 2, address], 7150).into())
}

/// Addresses of those who send packets; the two that are asked are 100 and 101.
fn asked_path(address: u8) -> Path {
    path(100 + address)
}

struct Harness {
    node: Node,
    model: Model,
    ids: BTreeMap<String, WaitId>,
    packets: u32,
    out: Vec<u8>,
    rejects: BTreeMap<Reject, u64>,
}

impl Harness {
    fn new() -> Self {
        let mut config = NodeConfig::new(Did::new(ME).unwrap());
        (config.caps.waiting, config.caps.waiting_per_sender) = (WAITING as u32, PER_SENDER as u32);
        config.heartbeat = None;
        let mut node = Node::new(config, &Seed::from_u64(4)).unwrap();
        node.allow_legacy("jis:legacy*").unwrap();
        let (ids, rejects) = (BTreeMap::new(), BTreeMap::new());
        Self { node, model: Model::default(), ids, packets: 0, out: vec![0; MAX_DATAGRAM_V6], rejects }
    }

    fn now(&self) -> Now {
        at(self.model.now)
    }

    fn packet(&mut self, op: &Op) -> (Result<(), Reject>, Result<(), Reject>) {
        let &Op::Packet { sender, nonce, stamp, intent, heartbeat, for_us, encoding } = op else { unreachable!() };
        self.packets += 1;
        let (packet_id, nonce) = (format!("p{}", self.packets), format!("n{nonce}"));
        let time = self.now().wall.as_micros() + stamp * 1000;
        let mut text = [0; 32];
        let packet = Packet {
            packet_id: Text::new(&packet_id),
            source_did: Text::new(SENDERS[sender]),
            target_did: Text::new(if for_us { ME } else { "jis:other" }),
            ping_type: if heartbeat { PingType::Heartbeat } else { PingType::Intent },
            priority: Priority::Normal,
            routing_mode: RoutingMode::Direct,
            intent: Text::new(INTENTS[intent]),
            purpose: Text::new(
                "so that an answer of thrice the length is long enough in every encoding, as in practice",
            ),
            payload: Value::EMPTY_OBJECT,
            pod_id: None,
            station_id: None,
            hop_count: 0,
            max_hops: 5,
            nonce: Text::new(&nonce),
            timestamp: Text::new(iso::format(Wall::from_micros(time), &mut text)),
            tibet_token_id: None,
            vouched_by: None,
            vouch_signature: None,
            signature: Text::EMPTY,
            proof: None,
        };
        let mut bytes = vec![0; 2000];
        let len = packet.encode(encoding, &mut bytes).unwrap();
        let now = self.now();
        (self.node.handle_datagram(now, path(sender as u8), &mut bytes[..len]), self.model.packet(op, &packet_id))
    }

    fn ask(&mut self, whom: usize, address: u8) {
        let now = self.now();
        let id = self.node.ping(now, &Ping::new(SENDERS[whom], asked_path(address), "status")).unwrap();
        let sent = self.node.poll_transmit(now, &mut self.out).unwrap();
        let Message::Packet(packet) = Frame::decode(&self.out[..sent.len]).unwrap().message else { unreachable!() };
        let packet_id = packet.packet_id.as_str().unwrap().to_owned();
        let until = self.model.now + TIMEOUT_MS;
        self.model.requests.push(Request { id, packet_id, whom, address, until, pending: false });
    }

    fn answer(
        &mut self,
        request: usize,
        name: usize,
        address: u8,
        decision: Decision,
    ) -> (Result<(), Reject>, Result<(), Reject>) {
        let unknown = "ping_0000000000000000".to_owned();
        let packet_id = self.model.requests.get(request).map_or(unknown, |r| r.packet_id.clone());
        let response = Response {
            response_id: Text::new("resp_1"),
            in_response_to: Text::new(&packet_id),
            responder_did: Text::new(SENDERS[name]),
            decision,
            payload: Value::EMPTY_OBJECT,
            capabilities: Value::EMPTY_ARRAY,
            trust_score: Number::Float(0.5),
            fira_breakdown: Value::EMPTY_OBJECT,
            tibet_token_id: None,
            timestamp: Text::new("2025-01-15T12:00:00+00:00"),
            rtt_ms: None,
            airlock_zone: Text::new("GROEN"),
            applied_rule: None,
            proof: None,
        };
        let mut bytes = vec![0; 2000];
        let len = response.encode(Encoding::Json, &mut bytes).unwrap();
        let result = self.node.handle_datagram(self.now(), asked_path(address), &mut bytes[..len]);
        (result, self.model.answer(request, name, address, decision))
    }

    fn decide(&mut self, which: usize, yes: bool) {
        if which >= self.model.waiting.len() {
            return;
        }
        let (wait, now) = (&self.model.waiting[which], self.now());
        let id = self.ids[&wait.packet_id];
        if yes && self.model.zone(wait.sender, wait.intent) == Zone::Rood {
            assert_eq!(self.node.approve(now, id), Err(AnswerError::Rood));
            return;
        }
        // Who is not let in any more hears nothing, not even that.
        let silent = self.model.zone(wait.sender, wait.intent) == Zone::Rood;
        let wait = self.model.waiting.remove(which);
        let (outcome, decision) =
            if yes { (Outcome::Approved, Decision::Accept) } else { (Outcome::Rejected, Decision::Reject) };
        if yes {
            assert_eq!(self.node.approve(now, id), Ok(None));
        } else {
            assert_eq!(self.node.reject(now, id), Ok(()));
        }
        assert!(self.node.approve(now, id).is_err(), "decided once");
        if !silent {
            self.model.expected.push(Seen::Sent(decision, wait.packet_id.clone(), wait.sender as u8));
        }
        self.model.expected.push(Seen::Decided(outcome, wait.packet_id));
    }

    /// Everything the node says now.
    fn drain(&mut self) -> Vec<Seen> {
        let (mut seen, now) = (Vec::new(), self.now());
        while let Some(event) = self.node.poll_event() {
            match event {
                Event::Ping(ping) => {
                    let packet_id = ping.packet().packet_id.as_str().unwrap().to_owned();
                    assert_eq!(ping.wait.is_some(), ping.decision == Decision::Pending);
                    self.ids.extend(ping.wait.map(|id| (packet_id.clone(), id)));
                    seen.push(Seen::Ping(ping.decision, ping.zone, packet_id));
                }
                Event::Decided(decided) => seen.push(Seen::Decided(decided.outcome, decided.packet_id.to_owned())),
                Event::Response(answer) => seen.push(Seen::Response(answer.request, answer.last)),
                Event::Timeout { request, pending } => seen.push(Seen::Timeout(request, pending)),
                Event::PeerSeen { .. } | Event::PeerLost { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        while let Some(sent) = self.node.poll_transmit(now, &mut self.out) {
            let frame = Frame::decode(&self.out[..sent.len]).unwrap();
            seen.push(match frame.message {
                Message::Packet(_) => Seen::Asked,
                Message::Response(response) => {
                    let std::net::IpAddr::V4(ip) = sent.path.remote.ip() else { unreachable!() };
                    let packet_id = response.in_response_to.as_str().unwrap().to_owned();
                    Seen::Sent(response.decision, packet_id, ip.octets()[3])
                }
            });
        }
        seen
    }

    fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let (result, expected) = match op {
            Op::Advance(ms) => {
                self.model.advance(*ms);
                self.node.handle_timeout(at(self.model.now));
                (Ok(()), Ok(()))
            }
            Op::Packet { .. } => self.packet(op),
            Op::Trust(sender, trust) => {
                self.node.set_trust(SENDERS[*sender], *trust).unwrap();
                self.model.trust.insert(*sender, *trust);
                (Ok(()), Ok(()))
            }
            &Op::Rule { id, intent, zone, priority } => {
                let name = format!("r{id}");
                let rule = Rule { intent: Some(INTENTS[intent]), priority, ..Rule::new(&*name, &*name, zone) };
                self.node.add_rule(&rule).unwrap();
                self.model.rules.retain(|rule| rule.id != id);
                self.model.rules.push(ModelRule { id, intent, zone, priority });
                (Ok(()), Ok(()))
            }
            Op::RemoveRule(id) => {
                let there = self.model.rules.iter().any(|rule| rule.id == *id);
                self.model.rules.retain(|rule| rule.id != *id);
                prop_assert_eq!(self.node.remove_rule(&format!("r{id}")), there);
                (Ok(()), Ok(()))
            }
            Op::Ask(whom, address) => {
                self.ask(*whom, *address);
                (Ok(()), Ok(()))
            }
            &Op::Answer { request, name, address, decision } => self.answer(request, name, address, decision),
            Op::Decide(which, yes) => {
                self.decide(*which, *yes);
                (Ok(()), Ok(()))
            }
        };
        prop_assert_eq!(result, expected, "{:?}", op);
        if let Err(why) = expected {
            *self.rejects.entry(why).or_default() += 1;
        }
        // Events come before datagrams as they are polled, and requests that run out of time together in any order.
        let rank = |seen: &Seen| match seen {
            Seen::Timeout(id, _) => (0, id.index()),
            Seen::Sent(..) => (2, 0),
            _ => (1, 0),
        };
        let (mut seen, mut expected) = (self.drain(), core::mem::take(&mut self.model.expected));
        seen.sort_by_key(rank);
        expected.sort_by_key(rank);
        prop_assert_eq!(seen, expected, "{:?}", op);
        let tables = self.node.stats().tables;
        prop_assert_eq!((tables.waiting, tables.requests), (self.model.waiting.len(), self.model.requests.len()));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_node_does_what_the_plain_model_does(ops in prop::collection::vec(op(), 1..120)) {
        let mut harness = Harness::new();
        for op in &ops {
            harness.step(op)?;
        }
        let stats = harness.node.stats();
        for (why, count) in &harness.rejects {
            prop_assert_eq!(stats.rejected.get(*why), *count, "{}", why);
        }
        prop_assert_eq!(stats.rejected.total(), harness.rejects.values().sum::<u64>());
        prop_assert_eq!(stats.received, stats.accepted + stats.waiting + stats.responses + stats.rejected.total());
    }
}
