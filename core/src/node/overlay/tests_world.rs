//! Invariants of the overlay in random worlds: devices roam, addresses are stolen, a registry lies, datagrams are lost and come again, the hub starts again.

use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::tests::{HUB, Net, PHONE, addr, secret, start};
use super::wire::Members;
use super::*;
use crate::node::Ping;
use crate::pins::Origin;
use crate::registry::{Draft, Heard, Record};
use crate::time::Wall;
use crate::{Datagrams as _, StoreError};

const LIAR: &str = "jis:home:liar";
const DEVICES: usize = 3;
/// Where members stand in the net: hub, liar, phone, then the devices.
const FIRST: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A device is at another address, and a thief at its old one.
    Roam(usize),
    Register(usize),
    Resolve(usize),
    /// Reach it, and send it something.
    Send(usize),
    /// The liar learns what a device says now, to say it later; and forges something newer.
    Learn(usize),
    /// What was sent to the hub comes again, from elsewhere.
    Replay(prop::sample::Index),
    RestartHub,
    /// From now on this share of datagrams is lost.
    Lose(u8),
    Wait(u16),
}

fn op() -> impl Strategy<Value = Op> {
    let device = 0..DEVICES;
    prop_oneof![
        2 => device.clone().prop_map(Op::Roam),
        3 => device.clone().prop_map(Op::Register),
        3 => device.clone().prop_map(Op::Resolve),
        3 => device.clone().prop_map(Op::Send),
        2 => device.prop_map(Op::Learn),
        1 => any::<prop::sample::Index>().prop_map(Op::Replay),
        1 => Just(Op::RestartHub),
        1 => (0..3_u8).prop_map(Op::Lose),
        1 => (0..20_000_u16).prop_map(Op::Wait),
    ]
}

struct World {
    net: Net,
    /// Every endpoint that each device ever signed.
    said: Vec<Vec<std::string::String>>,
    /// The highest number under which the phone found each.
    found: [u64; DEVICES],
    next: u8,
    lives: u64,
}

fn did(device: usize) -> std::string::String {
    format!("jis:home:device{device}")
}

fn key(device: usize) -> u8 {
    10 + u8::try_from(device).unwrap()
}

impl World {
    fn new() -> Self {
        let mut net = Net::new();
        net.add(start(HUB, 1, 0, |overlay| overlay.serve = true), 1);
        net.add(start(LIAR, 4, 0, |overlay| overlay.serve = true), 4);
        net.add(start(PHONE, 3, 0, |_| ()), 3);
        for device in 0..DEVICES {
            let n = net.add(start(&did(device), key(device), 0, |_| ()), key(device));
            net.trust(n, HUB, 1);
            net.trust(n, PHONE, 3);
            net.trust(0, &did(device), key(device));
            net.trust(2, &did(device), key(device));
        }
        for (who, whom, key) in [(0, PHONE, 3), (1, PHONE, 3), (2, HUB, 1), (2, LIAR, 4)] {
            net.trust(who, whom, key);
        }
        net.node(2).ask_registry(LIAR, Path::to(addr(4))).unwrap();
        net.node(2).ask_registry(HUB, Path::to(addr(1))).unwrap();
        Self { net, said: vec![Vec::new(); DEVICES], found: [0; DEVICES], next: 100, lives: 0 }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Roam(device) => self.roam(device),
            Op::Register(device) => {
                let at = self.net.members[FIRST + device].addr;
                self.net.profile(FIRST + device, &[&format!("{at}")], &[]);
                let _ = self.net.register(FIRST + device);
                self.said[device].push(format!("{at}"));
            }
            Op::Resolve(device) => {
                let outcome = self.net.operate(2, &Operation::Resolve(&did(device)));
                if let Ok(OperationOutcome::Resolved(found)) = outcome {
                    self.check(device, &found);
                }
            }
            Op::Send(device) => self.send(device),
            Op::Learn(device) => self.learn(device),
            Op::Replay(at) => {
                let sent = self.net.to_hub.len();
                if sent > 0 {
                    let mut bytes = self.net.to_hub[at.index(sent)].clone();
                    let now = self.net.now;
                    let _ = self.net.node(0).handle_datagram(now, Path::to(addr(66)), &mut bytes);
                }
            }
            Op::RestartHub => {
                self.lives += 1;
                let mut hub = start(HUB, 1, self.lives, |overlay| overlay.serve = true);
                for device in 0..DEVICES {
                    hub.set_trust(&did(device), 0.9).unwrap();
                }
                hub.set_trust(PHONE, 0.9).unwrap();
                self.net.restart(0, hub);
            }
            Op::Lose(share) => {
                self.net.lose = match share {
                    0 => |_, _| false,
                    1 => |_, n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).is_multiple_of(5),
                    _ => |_, n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).is_multiple_of(2),
                };
            }
            Op::Wait(millis) => {
                let until = self.net.now.mono.as_nanos() / 1_000_000 + u64::from(millis);
                self.net.run(until);
            }
        }
    }

    /// The device gets a new address, and somebody who says that he is it the old one.
    fn roam(&mut self, device: usize) {
        let old = self.net.members[FIRST + device].addr;
        self.next += 1;
        self.net.members[FIRST + device].addr = addr(self.next);
        let mut thief = start(&did(device), 99, u64::from(self.next), |_| ());
        thief.allow_legacy("*").unwrap();
        thief.set_trust(PHONE, 1.0).unwrap();
        let n = self.net.add(thief, 0);
        self.net.members[n].addr = old;
    }

    fn send(&mut self, device: usize) {
        let Ok(OperationOutcome::Reached { resolution, path, .. }) =
            self.net.operate(2, &Operation::Reach(&did(device)))
        else {
            return;
        };
        self.check(device, &resolution);
        let now = self.net.now;
        self.net.node(2).ping(now, &Ping::new(&did(device), path, "payload")).unwrap();
        self.net.run(now.mono.as_nanos() / 1_000_000 + 100);
    }

    /// The liar knows what the device says now, and says it for ever; and what the device never said.
    fn learn(&mut self, device: usize) {
        let wall = u64::try_from(self.net.now.wall.as_micros() / 1_000_000).unwrap();
        let name = did(device);
        let known = self.net.node(0).registry().unwrap().get(&name).and_then(|known| known.record());
        let known: Option<Vec<u8>> = known.map(|record| record.as_bytes().to_vec());
        let endpoints = [addr(66).into()];
        let forged = Draft {
            did: &name,
            seq: i64::MAX.unsigned_abs(),
            issued: wall,
            expires: wall + 3600,
            endpoints: &endpoints,
            ..Draft::default()
        };
        let mut buf = [0; Record::MAX_LEN];
        let forged = forged.sign(&secret(98), &mut buf).unwrap();
        let Node { rooms, policy, .. } = self.net.node(1);
        let overlay = rooms.overlay.as_mut().unwrap();
        let mut take = |record: &Record<'_>| {
            drop(overlay.registry.register(Wall::from_secs(wall), record, Heard::Directly, &policy.pins));
        };
        match known.as_deref().and_then(|bytes| Record::read(bytes).ok()) {
            Some(record) => take(&record),
            None => take(&forged),
        }
    }

    /// What the phone found was signed by its owner, and is not older than what it found before.
    fn check(&mut self, device: usize, found: &Resolution) {
        let own = self.said[device].iter().any(|at| **at == *found.endpoint);
        assert!(own, "{found:?} of {:?}", self.said[device]);
        // A peer's address was proven by its key, and no record says so.
        if let Some(seq) = found.seq {
            assert_eq!(found.key, Some(secret(key(device)).public()));
            assert!(seq >= self.found[device], "{seq} after {}", self.found[device]);
            self.found[device] = seq;
        }
    }

    fn check_payloads(&self) {
        for (n, member) in self.net.members.iter().enumerate() {
            let is_device = (FIRST..FIRST + DEVICES).contains(&n);
            assert!(is_device || !member.heard.iter().any(|intent| intent == "payload"), "member {n} got a payload");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A resolved endpoint was signed by its owner, a stale record never wins over a newer one, and a stolen address never receives a payload.
    #[test]
    fn what_is_found_is_its_owners_word_and_payloads_go_to_nobody_else(ops in prop::collection::vec(op(), 1..24)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
            world.check_payloads();
        }
    }

    /// A join token never joins more than it may, whatever is lost, fails or starts again.
    #[test]
    fn a_token_joins_no_more_than_it_may(
        uses in 1..4_u32,
        tries in prop::collection::vec((0..6_u8, any::<bool>(), any::<bool>(), 0..3_u8), 1..16),
    ) {
        let mut net = Net::new();
        net.add(start(HUB, 1, 0, |overlay| overlay.serve = true), 1);
        net.run(1);
        let now = net.now;
        let (token, _) = net.node(0).new_join_token(now, uses, Duration::from_secs(1 << 20), 0.8).unwrap();
        net.run(2);
        let mut joined = std::collections::BTreeSet::new();
        let mut life = 0;
        for (device, fails, restart, loss) in tries {
            if restart {
                life += 1;
                net.members[0].store = None;
                let hub = start(HUB, 1, life, |overlay| overlay.serve = true);
                net.restart(0, hub);
            }
            net.members[0].store = fails.then_some(StoreError::Full);
            net.lose = match loss {
                0 => |_, _| false,
                1 => |_, n| n.is_multiple_of(2),
                _ => |_, n| n.is_multiple_of(3),
            };
            life += 1;
            let name = format!("jis:new:{device}");
            let n = net.add(start(&name, 20 + device, life, |_| ()), 20 + device);
            if net.operate(n, &Operation::Join { token: &token, path: Path::to(addr(1)) }).is_ok() {
                joined.insert(device);
            }
            net.members.remove(n);
            let pinned = |net: &mut Net| {
                let pins = net.node(0).pins().iter().filter(|pin| pin.origin == Origin::Joined);
                pins.map(|pin| std::string::String::from(pin.did)).collect::<Vec<_>>()
            };
            let names = pinned(&mut net);
            prop_assert!(names.len() <= uses as usize, "{:?}", names);
            prop_assert!(joined.len() <= uses as usize);
            let known = joined.iter().all(|device| names.contains(&format!("jis:new:{device}")));
            prop_assert!(known, "{:?} of {:?}", joined, names);
        }
    }

    /// Whatever a trusted sender writes into pings of the overlay: nothing of it is kept unless it is signed, and requests go on being answered.
    #[test]
    fn no_payload_does_more_than_be_counted(
        payloads in prop::collection::vec(
            (0..6_usize, prop::collection::vec((0..14_usize, "[a-zA-Z0-9_\\-]{0,90}", any::<i64>(), 0..3_u8), 0..5)),
            1..12,
        ),
    ) {
        const NAMES: [&str; 14] = [
            "record", "did", "capability", "skip", "challenge", "vouch", "revoke", "token", "nonce", "proof", "answer",
            "registered", "records", "seen",
        ];
        let mut net = Net::home();
        let now = net.now;
        net.node(0).new_join_token(now, 3, Duration::from_secs(3600), 0.8).unwrap();
        net.run(5);
        for (intent, members) in payloads {
            let intent = [REGISTER, RESOLVE, FIND, VERIFY, JOIN, VOUCH][intent];
            let mut payload = Members::new();
            let mut used = std::collections::BTreeSet::new();
            for (name, text, number, kind) in members {
                if used.insert(name) {
                    let name = NAMES[name];
                    payload = match kind {
                        0 => payload.text(name, &text),
                        1 => payload.number(name, number.unsigned_abs()),
                        _ => payload.hex(name, text.as_bytes()),
                    };
                }
            }
            let payload = payload.finish();
            let now = net.now;
            let mut ping = Ping::new(HUB, Path::to(addr(1)), intent);
            ping.payload = crate::framing::Value::from_wire(&payload);
            net.node(2).ping(now, &ping).unwrap();
            net.run(now.mono.as_nanos() / 1_000_000 + 50);
        }
        prop_assert!(net.node(0).registry().unwrap().is_empty());
        prop_assert!(net.node(0).held_vouches().next().is_none());
        prop_assert!(net.node(0).join_tokens().all(|token| token.used == 0));
        let verified = net.operate(2, &Operation::Verify { did: HUB, key: None, path: Some(Path::to(addr(1))) });
        prop_assert!(verified.is_ok(), "{:?}", verified);
    }
}
