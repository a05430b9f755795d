//! What a user of the overlay would miss if it broke, in a small network on virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::string::{String, ToString as _};
use std::vec::Vec;
use std::{format, vec};

use super::*;
use crate::airlock::VouchDraft;
use crate::discovery::JoinToken;
use crate::framing::{Frame, Message};
use crate::identity::SecretKey;
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::{Event, Identity, NodeConfig};
use crate::pins::Origin;
use crate::registry::Address;
use crate::time::Wall;
use crate::{Datagrams as _, Did, Durable as _, Machine as _, StoreError, StoreSeq};

pub(super) const HUB: &str = "jis:home:hub";
pub(super) const SENSOR: &str = "jis:home:sensor";
pub(super) const PHONE: &str = "jis:home:phone";

pub(super) type Medium = BTreeMap<Vec<u8>, Vec<u8>>;

/// A node somewhere, and what it told.
pub(super) struct Member {
    pub(super) node: Node,
    pub(super) addr: SocketAddr,
    pub(super) medium: Medium,
    pub(super) store: Option<StoreError>,
    pub(super) told: Vec<String>,
    pub(super) news: Vec<OverlayNews>,
    /// Up to which change commits went, and how they ended.
    pub(super) kept: Vec<(StoreSeq, Result<(), StoreError>)>,
    pub(super) ended: Vec<(OperationId, Result<OperationOutcome, OperationError>)>,
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
    pub(super) fn keep(&mut self, now: Now) -> bool {
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
