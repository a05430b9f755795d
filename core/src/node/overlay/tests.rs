//! What a user of the overlay would miss if it broke, in a small network on virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::string::{String, ToString as _};
use std::vec::Vec;
use std::{format, vec};

use super::wire::Members;
use super::*;
use crate::airlock::{SignedVouch, VouchDraft, VouchRevocation};
use crate::discovery::JoinToken;
use crate::framing::{Frame, Message};
use crate::identity::SecretKey;
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::{Event, Identity, NodeConfig, Ping, SessionPolicy};
use crate::pins::Origin;
use crate::registry::{Address, Draft, Record, Source};
use crate::time::Wall;
use crate::{Datagrams as _, Did, Durable as _, Machine as _, StoreError, StoreSeq};

pub(super) const HUB: &str = "jis:home:hub";
pub(super) const SENSOR: &str = "jis:home:sensor";
pub(super) const PHONE: &str = "jis:home:phone";

type Medium = BTreeMap<Vec<u8>, Vec<u8>>;

/// A node somewhere, and what it told.
pub(super) struct Member {
    pub(super) node: Node,
    pub(super) addr: SocketAddr,
    medium: Medium,
    pub(super) store: Option<StoreError>,
    told: Vec<String>,
    pub(super) news: Vec<OverlayNews>,
    /// Up to which change commits went, and how they ended.
    pub(super) kept: Vec<(StoreSeq, Result<(), StoreError>)>,
    ended: Vec<(OperationId, Result<OperationOutcome, OperationError>)>,
    /// Intents of accepted pings, in their order.
    pub(super) heard: Vec<String>,
}

/// Datagrams take no time; those that `lose` picks are lost.
pub(super) struct Net {
    pub(super) now: Now,
    pub(super) members: Vec<Member>,
    pub(super) lose: fn(&mut BTreeSet<u64>, u64) -> bool,
    lost: BTreeSet<u64>,
    count: u64,
    /// Where payloads of pings went: address and intent.
    pub(super) sent: Vec<(SocketAddr, String)>,
    /// Somebody on the way drops the frames of sessions, and carries everything else.
    pub(super) no_sessions: bool,
    /// What went to the first of them.
    pub(super) to_hub: Vec<Vec<u8>>,
}

pub(super) fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

pub(super) fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 7150))
}

pub(super) fn start(did: &str, key: u8, life: u64, change: impl FnOnce(&mut OverlayConfig)) -> Node {
    start_with(did, key, life, |_, overlay| change(overlay))
}

pub(super) fn start_with(
    did: &str,
    key: u8,
    life: u64,
    change: impl FnOnce(&mut NodeConfig, &mut OverlayConfig),
) -> Node {
    let mut config = NodeConfig::new(Did::new(did).unwrap());
    config.identity = Some(Identity::from(secret(key)));
    config.heartbeat = None;
    config.durable = true;
    let mut overlay = OverlayConfig::default();
    change(&mut config, &mut overlay);
    config.overlay = Some(overlay.into());
    Node::new(config, &Seed::from_u64(u64::from(key) + 1000 * life)).unwrap()
}

impl Net {
    pub(super) fn new() -> Self {
        let wall = Wall::from_micros(1_764_400_000_000_000);
        Self {
            now: Now::new(Instant::ZERO, wall),
            members: Vec::new(),
            lose: |_, _| false,
            lost: BTreeSet::new(),
            count: 0,
            sent: Vec::new(),
            no_sessions: false,
            to_hub: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, node: Node, n: u8) -> usize {
        self.members.push(Member {
            node,
            addr: addr(n),
            medium: Medium::new(),
            store: None,
            told: Vec::new(),
            news: Vec::new(),
            kept: Vec::new(),
            ended: Vec::new(),
            heard: Vec::new(),
        });
        self.members.len() - 1
    }

    /// A hub that serves, a sensor that is trusted by it, and a phone; the hub knows the keys of both, and both its.
    pub(super) fn home() -> Self {
        let mut net = Self::new();
        net.add(start(HUB, 1, 0, |overlay| overlay.serve = true), 1);
        net.add(start(SENSOR, 2, 0, |_| ()), 2);
        net.add(start(PHONE, 3, 0, |_| ()), 3);
        for (who, whom, key) in [(0, SENSOR, 2), (0, PHONE, 3), (1, HUB, 1), (1, PHONE, 3), (2, HUB, 1)] {
            net.trust(who, whom, key);
        }
        net.node(2).ask_registry(HUB, Path::to(addr(1))).unwrap();
        net
    }

    pub(super) fn trust(&mut self, who: usize, whom: &str, key: u8) {
        let now = self.now;
        let node = self.node(who);
        node.set_trust(whom, 0.9).unwrap();
        node.pin(now, whom, secret(key).public(), Origin::Operator).unwrap();
    }

    pub(super) fn node(&mut self, who: usize) -> &mut Node {
        &mut self.members[who].node
    }

    pub(super) fn profile(&mut self, who: usize, endpoints: &[&str], capabilities: &[&str]) {
        let endpoints: Vec<_> = endpoints.iter().map(|text| Address::parse(text).unwrap()).collect();
        let now = self.now;
        let profile = Profile { endpoints: &endpoints, capabilities, ..Profile::default() };
        self.node(who).set_profile(now, &profile).unwrap();
    }

    /// Deliver everything, and let time pass up to here.
    pub(super) fn run(&mut self, until: u64) {
        let end = Instant::from_nanos(until * 1_000_000);
        loop {
            while self.turn() {}
            let next = self.members.iter().filter_map(|member| member.node.wants().at.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.advance(next.max(self.now.mono));
            let now = self.now;
            self.members.iter_mut().for_each(|member| member.node.handle_timeout(now));
        }
        self.advance(end);
    }

    fn advance(&mut self, to: Instant) {
        let by = to.saturating_since(self.now.mono);
        self.now = Now::new(to, self.now.wall.saturating_add(by));
    }

    pub(super) fn turn(&mut self) -> bool {
        let (now, mut any) = (self.now, false);
        let mut buf = vec![0; MAX_DATAGRAM_V6];
        let mut flying = VecDeque::new();
        for member in &mut self.members {
            any |= member.keep(now);
            while let Some(t) = member.node.poll_transmit(now, &mut buf) {
                flying.push_back((member.addr, t.path.remote, buf[..t.len].to_vec()));
            }
            any |= member.listen();
        }
        while let Some((from, to, mut bytes)) = flying.pop_front() {
            any = true;
            if let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(&bytes) {
                self.sent.push((to, packet.intent.to_cow().into_owned()));
            }
            if to == addr(1) {
                self.to_hub.push(bytes.clone());
            }
            self.count += 1;
            let cut = self.no_sessions && crate::session::is_session_frame(&bytes);
            if cut || (self.lose)(&mut self.lost, self.count) {
                continue;
            }
            for member in self.members.iter_mut().filter(|member| member.addr == to) {
                let _ = member.node.handle_datagram(now, Path::to(from), &mut bytes);
            }
        }
        any
    }

    pub(super) fn begin(&mut self, who: usize, operation: &Operation<'_>) -> OperationId {
        let now = self.now;
        self.node(who).start_operation(now, operation, None).unwrap()
    }

    /// Begin an operation, and what it comes to.
    pub(super) fn operate(
        &mut self,
        who: usize,
        operation: &Operation<'_>,
    ) -> Result<OperationOutcome, OperationError> {
        let id = self.begin(who, operation);
        let until = self.now.mono.as_nanos() / 1_000_000 + 6_000;
        self.run(until);
        self.ended(who, id)
    }

    pub(super) fn ended(&mut self, who: usize, id: OperationId) -> Result<OperationOutcome, OperationError> {
        let ended: Vec<_> = self.members[who].ended.iter().filter(|(other, _)| *other == id).collect();
        assert_eq!(ended.len(), 1, "an operation ends once");
        ended[0].1.clone()
    }

    pub(super) fn register(&mut self, who: usize) -> Result<OperationOutcome, OperationError> {
        self.operate(who, &Operation::Register { server: HUB, path: Path::to(addr(1)) })
    }

    pub(super) fn restart(&mut self, who: usize, node: Node) {
        let medium = self.members[who].medium.clone();
        self.members[who].node = node;
        for (key, value) in &medium {
            assert_eq!(self.node(who).restore(key, value), Ok(true));
        }
    }
}

impl Member {
    /// One commit.
    fn keep(&mut self, now: Now) -> bool {
        let mut batch = Vec::new();
        while let Some(op) = self.node.poll_store() {
            batch.push((op.seq(), op.key().to_vec(), op.value().map(<[u8]>::to_vec)));
        }
        let Some(upto) = batch.last().map(|(seq, ..)| *seq) else { return false };
        let result = self.store.map_or(Ok(()), Err);
        if result.is_ok() {
            for (_, key, value) in batch {
                match value {
                    Some(value) => drop(self.medium.insert(key, value)),
                    None => drop(self.medium.remove(&key)),
                }
            }
        }
        self.node.handle_stored(now, upto, result);
        true
    }

    fn listen(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.node.poll_event() {
            any = true;
            match event {
                Event::Overlay(news) => self.news.push(news.clone()),
                Event::Operation { id, result } => {
                    self.ended.push((id, result.cloned().map_err(Clone::clone)));
                }
                Event::Ping(ping) => self.heard.push(ping.packet().intent.to_cow().into_owned()),
                Event::Response(answer) => self.told.push(format!("{}", answer.decision)),
                Event::Timeout { .. } => self.told.push("timeout".to_string()),
                Event::Kept { upto, result } => self.kept.push((upto, result)),
                _ => {}
            }
        }
        any
    }
}

fn resolution(outcome: Result<OperationOutcome, OperationError>) -> Resolution {
    match outcome {
        Ok(OperationOutcome::Resolved(resolution) | OperationOutcome::Reached { resolution, .. }) => resolution,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_that_registered_is_found_by_name_and_reached_where_its_key_answers() {
    let mut net = Net::home();
    net.profile(1, &["192.0.2.2:7150"], &["temperature"]);
    let registered = net.register(1).unwrap();
    assert!(
        matches!(&registered, OperationOutcome::Registered { endpoint: Some(at), .. } if **at == *"192.0.2.2:7150")
    );
    let news = &net.members[0].news;
    assert!(matches!(&news[0], OverlayNews::Registered { did, .. } if **did == *SENSOR), "{news:?}");
    let verified = |news: &OverlayNews| matches!(news, OverlayNews::Verified { took: Some(_), score: Some(_), .. });
    assert!(net.members[1].heard.contains(&VERIFY.to_string()) || !news.iter().any(verified));

    let found = resolution(net.operate(2, &Operation::Resolve(SENSOR)));
    assert_eq!((&*found.endpoint, found.source), ("192.0.2.2:7150", Source::Network));
    assert_eq!(found.key, Some(secret(2).public()));
    let cached = resolution(net.operate(2, &Operation::Resolve(SENSOR)));
    assert_eq!(cached.source, Source::Cache);
    match net.operate(2, &Operation::Reach(SENSOR)) {
        Ok(OperationOutcome::Reached { path, .. }) => assert_eq!(path.remote, addr(2)),
        other => panic!("{other:?}"),
    }
    assert_eq!(net.operate(2, &Operation::Resolve("jis:home:nobody")), Err(OperationError::Unknown));
}

#[test]
fn a_stolen_address_never_receives_a_payload() {
    let mut net = Net::home();
    net.profile(1, &["192.0.2.2:7150"], &[]);
    net.register(1).unwrap();
    // Somebody else has the address now, says that it is the sensor, and trusts everybody.
    net.members[1].addr = addr(9);
    let mut thief = start(SENSOR, 66, 0, |_| ());
    thief.set_trust(PHONE, 1.0).unwrap();
    thief.allow_legacy("*").unwrap();
    net.add(thief, 2);
    let reached = net.operate(2, &Operation::Reach(SENSOR));
    assert!(reached.is_err(), "{reached:?}");
    assert!(net.sent.iter().filter(|(to, _)| *to == addr(2)).all(|(_, intent)| intent == VERIFY));
    assert!(net.operate(2, &Operation::Reach(SENSOR)).is_err());
}

/// A sensor that registered, and a phone that looks it up; both with sessions where `sessions` says so.
fn looked_up(sessions: SessionPolicy, pinned: bool) -> Net {
    let mut net = Net::new();
    net.add(start(HUB, 1, 0, |overlay| overlay.serve = true), 1);
    net.add(start_with(SENSOR, 2, 0, |config, _| config.sessions = SessionPolicy::Auto), 2);
    net.add(start_with(PHONE, 3, 0, |config, _| config.sessions = sessions), 3);
    for (who, whom, key) in [(0, SENSOR, 2), (0, PHONE, 3), (1, HUB, 1), (1, PHONE, 3), (2, HUB, 1)] {
        net.trust(who, whom, key);
    }
    if pinned {
        net.trust(2, SENSOR, 2);
    }
    net.node(2).ask_registry(HUB, Path::to(addr(1))).unwrap();
    net.profile(1, &["192.0.2.2:7150"], &[]);
    net.register(1).unwrap();
    net
}

#[test]
fn who_carries_a_challenge_to_the_key_and_no_session_gets_no_payload() {
    for (sessions, cut, pinned) in [
        (SessionPolicy::Auto, true, true),
        (SessionPolicy::Auto, true, false),
        (SessionPolicy::Auto, false, true),
        (SessionPolicy::Auto, false, false),
        (SessionPolicy::Off, true, true),
    ] {
        let mut net = looked_up(sessions, pinned);
        net.no_sessions = cut;
        // Also when it is looked up again after nobody answered.
        for _ in 0..2 {
            let reached = net.operate(2, &Operation::Reach(SENSOR));
            assert!(matches!(reached, Ok(OperationOutcome::Reached { .. })), "{reached:?}");
            let ping =
                Ping { timeout: Some(Duration::from_secs(20)), ..Ping::new(SENSOR, Path::to(addr(2)), "payload") };
            net.members[2].told.clear();
            let now = net.now;
            if net.node(2).pins().get(SENSOR).is_none() {
                assert_eq!(net.node(2).ping(now, &ping), Err(crate::node::PingError::NoSession));
                net.node(2).pin(now, SENSOR, secret(2).public(), Origin::Operator).unwrap();
            }
            net.node(2).ping(now, &ping).unwrap();
            net.run(now.mono.as_nanos() / 1_000_000 + 30_000);
            let hidden = sessions == SessionPolicy::Auto;
            let told = if hidden && cut { "timeout" } else { "accept" };
            assert_eq!(net.members[2].told, [told], "{sessions:?} {cut} {pinned}");
            assert_eq!(net.sent.iter().any(|(_, intent)| intent == "payload"), !hidden, "{sessions:?} {cut} {pinned}");
        }
    }
}

#[test]
fn who_roams_is_found_where_it_is_after_the_old_address_was_silent() {
    let mut net = Net::home();
    net.profile(1, &[], &[]);
    let registered = net.register(1).unwrap();
    assert!(
        matches!(&registered, OperationOutcome::Registered { endpoint: Some(at), .. } if **at == *"192.0.2.2:7150"),
        "as the hub sees it"
    );
    assert!(net.operate(2, &Operation::Reach(SENSOR)).is_ok());
    net.members[1].addr = addr(8);
    net.register(1).unwrap();
    let moved = |news: &OverlayNews| match news {
        OverlayNews::Moved { from: Some(from), to: Some(to), .. } => Some((from.to_string(), to.to_string())),
        _ => None,
    };
    let at = |n| format!("192.0.2.{n}:7150");
    assert_eq!(net.members[0].news.iter().filter_map(moved).collect::<Vec<_>>(), [(at(2), at(8))]);
    // The phone still knows the old one.
    let now = net.now;
    let id = net.node(2).start_operation(now, &Operation::Reach(SENSOR), Some(Duration::from_secs(10))).unwrap();
    let until = now.mono.as_nanos() / 1_000_000 + 200_000;
    net.run(until);
    match net.ended(2, id) {
        Ok(OperationOutcome::Reached { path, .. }) => assert!(path.remote == addr(8) || path.remote == addr(2)),
        other => panic!("{other:?}"),
    }
    let found = net.operate(2, &Operation::Reach(SENSOR));
    assert!(matches!(&found, Ok(OperationOutcome::Reached { path, .. }) if path.remote == addr(8)), "{found:?}");
}

#[test]
fn a_name_is_not_taken_over_and_an_old_record_does_not_come_back() {
    let mut net = Net::home();
    net.profile(1, &["192.0.2.2:7150"], &[]);
    net.register(1).unwrap();
    let seq = net.node(0).registry().unwrap().get(SENSOR).unwrap().seq();
    let wall = u64::try_from(net.now.wall.as_micros() / 1_000_000).unwrap();
    let draft = Draft { did: SENSOR, seq: 1, issued: wall, expires: wall + 60, ..Draft::default() };
    let mut send = |key: u8, seq: u64, signer: u8| {
        let mut buf = [0; Record::MAX_LEN];
        let mut text = [0; Record::MAX_TEXT];
        let record = Draft { seq, ..draft }.sign(&secret(key), &mut buf).unwrap();
        let payload = Members::new().text("record", record.to_text(&mut text)).finish();
        let mut other = start(SENSOR, signer, u64::from(key) + seq, |_| ());
        let mut ping = Ping::new(HUB, Path::to(addr(1)), REGISTER);
        ping.payload = crate::framing::Value::from_wire(&payload);
        other.ping(net.now, &ping).unwrap();
        let n = net.add(other, 40);
        net.run(net.now.mono.as_nanos() / 1_000_000 + 500);
        net.members.remove(n);
    };
    send(2, seq - 1, 2);
    send(66, seq + 1, 2);
    send(66, seq + 2, 66);
    assert_eq!(net.node(0).registry().unwrap().get(SENSOR).unwrap().seq(), seq);
    let refused: Vec<_> = net.node(0).refused_records().collect();
    assert_eq!(refused, [("other_key", 1), ("stale", 1)]);
}

#[test]
fn a_record_is_acknowledged_when_it_is_kept_and_is_there_after_a_restart() {
    let mut net = Net::home();
    net.profile(1, &["192.0.2.2:7150"], &["light"]);
    net.run(10);
    net.members[0].store = Some(StoreError::Full);
    let failed = net.register(1);
    assert!(failed.is_err(), "{failed:?}");
    assert!(net.node(0).registry().unwrap().is_empty(), "what cannot be kept is not known");
    assert!(net.members[0].news.is_empty());
    net.members[0].store = None;
    net.run(net.now.mono.as_nanos() / 1_000_000 + 20_000);
    let registered = net.register(1);
    assert!(registered.is_ok(), "{registered:?} {:?}", net.node(0).stats());
    let mut again = start(HUB, 1, 1, |overlay| overlay.serve = true);
    again.set_trust(PHONE, 0.9).unwrap();
    net.restart(0, again);
    // Nothing stamped up to the mark that was kept is taken in.
    net.run(net.now.mono.as_nanos() / 1_000_000 + 3_000);
    assert_eq!(net.node(0).registry().unwrap().find(Wall::MIN, "light").count(), 1);
    assert_eq!(&*resolution(net.operate(2, &Operation::Resolve(SENSOR))).endpoint, "192.0.2.2:7150");
}

#[test]
fn what_is_lost_is_sent_again_and_an_operation_ends_in_time_whatever_comes() {
    let mut net = Net::home();
    net.profile(1, &["192.0.2.2:7150"], &[]);
    // Two of three datagrams.
    net.lose = |_, n| !(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).is_multiple_of(3);
    let now = net.now;
    let operation = Operation::Register { server: HUB, path: Path::to(addr(1)) };
    let id = net.node(1).start_operation(now, &operation, Some(Duration::from_secs(60))).unwrap();
    net.run(61_000);
    assert!(net.ended(1, id).is_ok());
    net.lose = |_, _| true;
    for operation in [
        Operation::Resolve("jis:x"),
        Operation::Reach(SENSOR),
        Operation::Find("light"),
        Operation::Verify { did: HUB, key: None, path: Some(Path::to(addr(1))) },
    ] {
        let before = net.now.mono;
        assert!(net.operate(2, &operation).is_err() || matches!(operation, Operation::Find(_)));
        assert!(net.now.mono.saturating_since(before) <= Duration::from_secs(6));
    }
    net.run(net.now.mono.as_nanos() / 1_000_000 + 20_000);
    assert!(net.node(2).rooms.overlay.as_ref().unwrap().deadline().is_none(), "nothing is left");
}

#[test]
fn devices_are_found_by_what_they_can_do_across_the_network() {
    let mut net = Net::home();
    let count = 120;
    for n in 0..count {
        let did = format!("jis:home:lamp{n}");
        let wall = u64::try_from(net.now.wall.as_micros() / 1_000_000).unwrap();
        let draft = Draft {
            did: &did,
            seq: 1,
            issued: wall,
            expires: wall + 600,
            capabilities: &["light"],
            ..Draft::default()
        };
        let mut buf = [0; Record::MAX_LEN];
        let record = draft.sign(&secret(100 + u8::try_from(n % 50).unwrap()), &mut buf).unwrap();
        let Node { rooms, policy, .. } = net.node(0);
        let overlay = rooms.overlay.as_mut().unwrap();
        let _ = overlay
            .registry
            .register(Wall::from_secs(wall), &record, crate::registry::Heard::Directly, &policy.pins)
            .unwrap();
    }
    match net.operate(2, &Operation::Find("light")) {
        Ok(OperationOutcome::Found(found)) => {
            assert_eq!(found.len(), count);
            assert!(found.iter().all(|device| !device.bound));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(net.operate(2, &Operation::Find("heat")), Ok(OperationOutcome::Found(Vec::new())));
}

#[test]
fn a_score_is_trust_only_where_the_operator_says_so_and_for_the_key_that_earned_it() {
    for (on, key, accepted) in [(true, 2, true), (false, 2, false), (true, 66, false)] {
        let mut net = Net::new();
        net.add(
            start(HUB, 1, 0, |overlay| {
                (overlay.serve, overlay.trust_score) = (true, on);
            }),
            1,
        );
        net.add(start(SENSOR, 2, 0, |_| ()), 2);
        net.trust(0, SENSOR, 2);
        net.trust(1, HUB, 1);
        net.profile(1, &["192.0.2.2:7150"], &[]);
        net.register(1).unwrap();
        // Its endpoint was challenged, and it answered. Now nothing is said of it but what it has proven.
        net.node(0).remove_trust(SENSOR);
        net.node(0).unpin(SENSOR).unwrap();
        net.run(net.now.mono.as_nanos() / 1_000_000 + 3_000);
        let now = net.now;
        let mut sensor = start(SENSOR, key, 9, |_| ());
        sensor.ping(now, &Ping::new(HUB, Path::to(addr(1)), "hello")).unwrap();
        let n = net.add(sensor, 90);
        net.run(now.mono.as_nanos() / 1_000_000 + 100);
        assert_eq!(net.members[n].told == ["accept"], accepted, "{on} {key}");
    }
}

pub(super) fn token(net: &mut Net, uses: u32, life: u64) -> JoinToken {
    let now = net.now;
    net.node(0).new_join_token(now, uses, Duration::from_secs(life), 0.8).unwrap().0
}

pub(super) fn join(
    net: &mut Net,
    did: &str,
    key: u8,
    token: &JoinToken,
) -> (usize, Result<OperationOutcome, OperationError>) {
    let n = net.add(start(did, key, 0, |_| ()), key);
    let joined = net.operate(n, &Operation::Join { token, path: Path::to(addr(1)) });
    (n, joined)
}

#[test]
fn a_device_joins_by_a_token_without_a_person_and_no_more_devices_than_it_may() {
    let mut net = Net::home();
    net.profile(1, &["192.0.2.2:7150"], &[]);
    net.register(1).unwrap();
    let token = token(&mut net, 2, 3600);
    let (first, joined) = join(&mut net, "jis:new:a", 20, &token);
    assert!(
        matches!(&joined, Ok(OperationOutcome::Joined { hub, peers: 1, trust, .. }) if **hub == *HUB && *trust == 0.8),
        "{joined:?}"
    );
    assert_eq!(net.node(first).pins().get(HUB).unwrap().key, secret(1).public());
    assert_eq!(net.node(0).pins().get("jis:new:a").unwrap().key, secret(20).public());
    assert_eq!(net.node(0).trusted("jis:new:a"), Some(0.8));
    // What it sent comes again from elsewhere, and the hub does not say it again.
    for sent in net.to_hub.clone() {
        assert_eq!(heard_back(&mut net, &sent), 0);
    }
    // The same device again costs nothing.
    assert!(net.operate(first, &Operation::Join { token: &token, path: Path::to(addr(1)) }).is_ok());
    // A restart of the hub gives none back.
    net.restart(0, start(HUB, 1, 2, |overlay| overlay.serve = true));
    assert!(join(&mut net, "jis:new:b", 21, &token).1.is_ok());
    assert_eq!(join(&mut net, "jis:new:c", 22, &token).1, Err(OperationError::NotLetIn));
    assert!(net.node(0).pins().get("jis:new:c").is_none());
    assert_eq!(net.node(0).join_tokens().map(|token| (token.used, token.uses)).collect::<Vec<_>>(), [(2, 2)]);
    // Let in, it may do what its trust lets it do.
    net.profile(first, &[], &["door"]);
    assert!(net.register(first).is_ok());
}

#[test]
fn a_token_that_is_over_revoked_or_for_somebody_elses_name_lets_nobody_in() {
    let mut net = Net::home();
    let over = token(&mut net, 5, 1);
    net.run(net.now.mono.as_nanos() / 1_000_000 + 2_000);
    assert_eq!(join(&mut net, "jis:new:a", 20, &over).1, Err(OperationError::NotLetIn));
    let revoked = token(&mut net, 5, 3600);
    net.node(0).revoke_join_token(&revoked.id()).unwrap();
    assert_eq!(join(&mut net, "jis:new:b", 21, &revoked).1, Err(OperationError::NotLetIn));
    let good = token(&mut net, 5, 3600);
    net.node(0).set_trust("jis:new:boss", 1.0).unwrap();
    assert!(matches!(join(&mut net, "jis:new:boss", 22, &good).1, Err(OperationError::Refused(_))));
    net.node(0).set_trust("jis:new:thief", 0.0).unwrap();
    assert_eq!(join(&mut net, "jis:new:thief", 23, &good).1, Err(OperationError::NotLetIn), "silence");
    assert!(net.node(0).join_tokens().all(|token| token.used == 0));
}

/// A ping that wants to join, its first step, as a stranger sends it.
fn knock(net: &mut Net, did: &str, key: u8, token: [u8; 8]) -> (usize, Vec<u8>) {
    let payload = Members::new().hex("token", &token).hex("nonce", &[0; 16]).question();
    let mut stranger = start(did, key, u64::from(token[0]), |_| ());
    let mut ping = Ping::new(crate::limits::BROADCAST, Path::to(addr(1)), JOIN);
    ping.payload = crate::framing::Value::from_wire(&payload);
    stranger.ping(net.now, &ping).unwrap();
    let mut buf = vec![0; MAX_DATAGRAM_V6];
    let sent = stranger.poll_transmit(net.now, &mut buf).unwrap().len;
    buf.truncate(sent);
    (heard_back(net, &buf), buf)
}

/// What the hub sends in answer to a datagram.
fn heard_back(net: &mut Net, bytes: &[u8]) -> usize {
    let (now, mut buf) = (net.now, vec![0; MAX_DATAGRAM_V6]);
    net.run(now.mono.as_nanos() / 1_000_000);
    let now = net.now;
    let _ = net.node(0).handle_datagram(now, Path::to(addr(77)), &mut bytes.to_vec());
    let mut sent = 0;
    loop {
        while net.node(0).poll_transmit(now, &mut buf).is_some() {
            sent += 1;
        }
        if !net.members[0].keep(now) {
            return sent;
        }
    }
}

#[test]
fn who_knows_no_token_that_lets_somebody_in_hears_nothing() {
    let mut net = Net::home();
    let over = token(&mut net, 5, 1);
    net.run(2_000);
    let (revoked, used, good) = (token(&mut net, 5, 3600), token(&mut net, 1, 3600), token(&mut net, 1, 3600));
    net.node(0).revoke_join_token(&revoked.id()).unwrap();
    assert!(join(&mut net, "jis:new:a", 20, &used).1.is_ok());
    let before = net.node(0).stats().rejected.total();
    for (n, id) in [[0; 8], over.id(), revoked.id(), used.id()].into_iter().enumerate() {
        assert_eq!(knock(&mut net, &format!("jis:new:n{n}"), 60, id).0, 0, "{n}");
        // Nor by a name that the hub knows, with another key.
        assert_eq!(knock(&mut net, "jis:new:a", 61, id).0, 0, "{n}");
    }
    assert_eq!(net.node(0).stats().rejected.total() - before, 8);
    let (answers, ping) = knock(&mut net, "jis:new:b", 62, good.id());
    assert_eq!(answers, 1);
    let before = net.node(0).stats().rejected.get(crate::Reject::Replay);
    assert_eq!(heard_back(&mut net, &ping), 0, "it is heard once");
    assert_eq!(net.node(0).stats().rejected.get(crate::Reject::Replay), before + 1);
    // Who has used it is known by name and key.
    assert_eq!(knock(&mut net, "jis:new:a", 20, used.id()).0, 1);
}

#[test]
fn a_token_gives_nobody_a_name_that_is_in_use_or_cannot_be_read() {
    let mut net = Net::home();
    let token = token(&mut net, 9, 3600);
    net.run(10);
    net.node(0).allow_legacy("jis:leg:*").unwrap();
    net.node(0).set_trust("jis:leg:known", 0.9).unwrap();
    net.node(0).remove_trust("jis:leg:known");
    let mut config = NodeConfig::new(Did::new("jis:leg:u").unwrap());
    config.heartbeat = None;
    let mut legacy = Node::new(config, &Seed::from_u64(5)).unwrap();
    let now = net.now;
    legacy.ping(now, &Ping::new(HUB, Path::to(addr(1)), "hello")).unwrap();
    net.node(0).set_trust("jis:leg:u", 0.9).unwrap();
    net.add(legacy, 80);
    net.run(100);
    net.node(0).remove_trust("jis:leg:u");
    assert!(net.node(0).rooms.peers.get(now.mono, "jis:leg:u").is_some());
    let refused = |net: &mut Net, did: &str| join(net, did, 70, &token).1;
    assert!(matches!(refused(&mut net, "jis:leg:u"), Err(OperationError::Refused(_))));
    let named = [("jis:leg:v", secret(71).public())];
    let wall = u64::try_from(net.now.wall.as_micros() / 1_000_000).unwrap();
    let draft = VouchDraft {
        id: [1; 16],
        voucher: PHONE,
        issued: wall,
        expires: wall + 3600,
        factor: 900,
        depth: 0,
        named: &named,
    };
    let now = net.now;
    net.node(0).accept_vouch(now, &draft.sign(&secret(3)).unwrap()).unwrap();
    assert!(matches!(refused(&mut net, "jis:leg:v"), Err(OperationError::Refused(_))));
    for did in ["broadcast", "jis:new:\u{202e}x", "jis:new:\u{2066}x"] {
        assert_eq!(refused(&mut net, did), Err(OperationError::NotLetIn), "{did:?}");
    }
    assert!(net.node(0).join_tokens().all(|token| token.used == 0));
    assert!(join(&mut net, "jis:leg:w", 72, &token).1.is_ok());
}

#[test]
fn a_record_has_a_number_that_can_be_acknowledged_and_a_name_that_can_be_read() {
    let sign = |did: &str, seq: u64| {
        let draft = Draft { did, seq, issued: 1, expires: 2, ..Draft::default() };
        draft.sign(&secret(1), &mut [0; Record::MAX_LEN]).is_ok()
    };
    assert!(sign("jis:a", i64::MAX.unsigned_abs()));
    assert!(!sign("jis:a", i64::MAX.unsigned_abs() + 1));
    assert!(!sign("broadcast", 1) && !sign("jis:\u{202e}a", 1));
}

#[test]
fn a_join_that_cannot_be_kept_lets_nobody_in() {
    let mut net = Net::home();
    let token = token(&mut net, 1, 3600);
    net.run(10);
    net.members[0].store = Some(StoreError::Full);
    assert!(join(&mut net, "jis:new:a", 20, &token).1.is_err());
    assert!(net.node(0).pins().get("jis:new:a").is_none() && net.node(0).trusted("jis:new:a").is_none());
    assert!(net.node(0).join_tokens().all(|token| token.used == 0));
}

/// A vouch of the hub for so many sensors.
pub(super) fn vouch(net: &Net, sensors: u8, life: u64) -> Vec<u8> {
    let names: Vec<_> = (0..sensors).map(|n| format!("jis:field:{n:03}")).collect();
    let named: Vec<_> = (0..sensors).map(|n| (names[usize::from(n)].as_str(), secret(100 + n).public())).collect();
    let wall = u64::try_from(net.now.wall.as_micros() / 1_000_000).unwrap();
    let draft = VouchDraft {
        id: [7; 16],
        voucher: HUB,
        issued: wall,
        expires: wall + life,
        factor: 900,
        depth: 0,
        named: &named,
    };
    draft.sign(&secret(1)).unwrap()
}

#[test]
fn one_trusted_hub_brings_in_fifty_sensors_with_their_keys_and_takes_them_out_again() {
    let mut net = Net::home();
    let vouch = vouch(&net, 50, 3600);
    let now = net.now;
    net.node(2).accept_vouch(now, &vouch).unwrap();
    let accepted = |net: &mut Net, key: u8, did: &str| {
        let now = net.now;
        let mut sensor = start(did, key, now.mono.as_nanos(), |_| ());
        sensor.ping(now, &Ping::new(PHONE, Path::to(addr(3)), "hello")).unwrap();
        let n = net.add(sensor, 90);
        net.run(net.now.mono.as_nanos() / 1_000_000 + 100);
        net.members.remove(n).told == ["accept"]
    };
    for n in [0, 17, 49] {
        assert!(accepted(&mut net, 100 + n, &format!("jis:field:{n:03}")));
    }
    assert!(!accepted(&mut net, 7, "jis:field:003"), "another key");
    assert!(!accepted(&mut net, 103, "jis:field:004"), "the key of another");
    assert!(!accepted(&mut net, 150, "jis:field:050"), "not named");
    // It survives a restart, and the operator's word about the hub counts then, too.
    let mut again = start(PHONE, 3, 5, |_| ());
    again.set_trust(HUB, 0.9).unwrap();
    net.restart(2, again);
    net.run(net.now.mono.as_nanos() / 1_000_000 + 3_000);
    assert!(accepted(&mut net, 101, "jis:field:001"));
    // The hub takes it back, in a packet that anybody may carry.
    let revocation = VouchRevocation::sign([7; 16], 1_764_400_100, &secret(1)).unwrap();
    let text = <base64ct::Base64UrlUnpadded as base64ct::Encoding>::encode_string(&revocation);
    let payload = Members::new().text("revoke", &text).finish();
    let now = net.now;
    let mut ping = Ping::new(PHONE, Path::to(addr(3)), VOUCH);
    ping.payload = crate::framing::Value::from_wire(&payload);
    net.node(1).ping(now, &ping).unwrap();
    net.run(net.now.mono.as_nanos() / 1_000_000 + 100);
    assert!(matches!(&net.members[2].news[..], [.., OverlayNews::VouchRevoked { id }] if *id == [7; 16]));
    assert!(!accepted(&mut net, 102, "jis:field:002"));
    assert!(net.node(2).accept_vouch(now, &vouch).is_err(), "it does not come back");
}

#[test]
fn a_vouch_counts_only_while_its_voucher_is_trusted_and_comes_in_the_first_ping() {
    let mut net = Net::home();
    let bytes = vouch(&net, 2, 60);
    let text = SignedVouch::read(&bytes).unwrap().to_text();
    let payload = Members::new().text("vouch", &text).finish();
    let now = net.now;
    let mut sensor = start("jis:field:000", 100, 0, |_| ());
    let mut ping = Ping::new(PHONE, Path::to(addr(3)), VOUCH);
    ping.payload = crate::framing::Value::from_wire(&payload);
    sensor.ping(now, &ping).unwrap();
    let n = net.add(sensor, 90);
    net.run(100);
    assert_eq!(net.members[n].told, ["accept"]);
    assert_eq!(net.node(2).held_vouches().count(), 1);
    net.node(2).set_trust(HUB, 0.1).unwrap();
    let hello = |net: &mut Net| {
        let now = net.now;
        net.members[n].told.clear();
        net.node(n).ping(now, &Ping::new(PHONE, Path::to(addr(3)), "hello")).unwrap();
        net.run(net.now.mono.as_nanos() / 1_000_000 + 100);
        net.members[n].told == ["accept"]
    };
    assert!(!hello(&mut net), "a tenth of nine tenths");
    net.node(2).set_trust(HUB, 0.9).unwrap();
    assert!(hello(&mut net));
    net.run(90_000);
    assert!(!hello(&mut net), "it is over");
    assert_eq!(net.node(2).held_vouches().count(), 0);
}

#[test]
fn a_device_that_was_vouched_for_makes_no_second_key_for_a_name() {
    const DEVICE: &str = "jis:field:a";
    const DELEGATE: &str = "jis:field:c";
    let vouched = |net: &Net, id: u8, voucher: &str, signer: u8, depth: u8, named: &[(&str, u8)]| {
        let mut named: Vec<_> = named.iter().map(|(did, key)| (*did, secret(*key).public())).collect();
        named.sort_by_key(|(did, _)| *did);
        let wall = u64::try_from(net.now.wall.as_micros() / 1_000_000).unwrap();
        let (id, expires) = ([id; 16], wall + 3600);
        let draft = VouchDraft { id, voucher, issued: wall, expires, factor: 1000, depth, named: &named };
        draft.sign(&secret(signer)).unwrap()
    };
    for delegate_first in [false, true] {
        let mut net = Net::home();
        let now = net.now;
        let root = vouched(&net, 1, HUB, 1, 1, &[(DEVICE, 100), (DELEGATE, 101)]);
        let early = vouched(&net, 2, HUB, 1, 1, &[(DELEGATE, 101)]);
        let second = vouched(&net, 3, DELEGATE, 101, 0, &[(DEVICE, 102)]);
        if delegate_first {
            net.node(2).accept_vouch(now, &early).unwrap();
            net.node(2).accept_vouch(now, &second).unwrap();
        }
        net.node(2).accept_vouch(now, &root).unwrap();
        if !delegate_first {
            let why = net.node(2).accept_vouch(now, &second);
            assert!(matches!(why, Err(VouchRefusal::Accept(crate::airlock::AcceptError::NameTaken))), "{why:?}");
        }
        for (key, accepted) in [(100, true), (102, false)] {
            let now = net.now;
            let mut device = start(DEVICE, key, 1, |_| ());
            device.ping(now, &Ping::new(PHONE, Path::to(addr(3)), "hello")).unwrap();
            let n = net.add(device, 90);
            net.run(net.now.mono.as_nanos() / 1_000_000 + 100);
            assert_eq!(net.members.remove(n).told == ["accept"], accepted, "{key} {delegate_first}");
        }
    }
}
