//! Real nodes behind handles: what most users of an adapter do with it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::string::ToString;

use super::{Adapter, loopback, plain};
use crate::driver::{Events, Handle, HandleConfig, NoReply, Notice};
use crate::framing::{Decision, Encoding, Value, ValueBuf, Zone};
use crate::identity::SecretKey;
use crate::node::{Auth, Identity, Node, NodeConfig, Outcome, Ping, Reply, SessionPolicy};
use crate::pins::Origin;
use crate::time::{Duration, Now};
use crate::{Did, Seed};

const HUB: &str = "jis:test:hub";
const SENSOR: &str = "jis:test:sensor";
const TIMES: usize = 500;

fn json(text: &str) -> ValueBuf {
    ValueBuf::new(Value::from_json(text).expect("JSON")).expect("JSON")
}

fn node(did: &str, seed: u64) -> Node {
    let mut config = NodeConfig::new(Did::new(did).expect("a DID"));
    config.answer_timeout = Duration::from_secs(60);
    Node::new(config, &Seed::from_u64(seed)).expect("a node")
}

fn spawn<T: Adapter>(node: Node) -> (SocketAddr, Handle<Node>, Events<Node>) {
    let socket = T::bind(loopback()).expect("a socket");
    let addr = T::local_addr(&socket);
    let (handle, events) = T::spawn(socket, node, HandleConfig::default());
    (addr, handle, events)
}

/// A hub that trusts the sensor this far, and the sensor.
fn pair(trust: f64) -> (Node, Node) {
    let mut hub = node(HUB, 1);
    hub.allow_legacy("*").expect("allowed");
    hub.set_trust(SENSOR, trust).expect("set");
    (hub, node(SENSOR, 2))
}

/// `ping(…).await` returns the answer of its own ping, with many in flight and in every encoding.
pub(super) fn pings_are_awaited_through_the_handle<T: Adapter>() {
    T::block_on(async {
        let (mut hub, sensor) = pair(0.9);
        hub.set_reply("later", Reply::Later).expect("set");
        hub.set_reply("*", Reply::Now(json("{\"celsius\":21.5}"))).expect("set");
        let (addr, hub, mut heard) = spawn::<T>(hub);
        let (_, sensor, _events) = spawn::<T>(sensor);
        let mut flying = VecDeque::new();
        for i in 0..TIMES {
            let mut ping = Ping::new(HUB, addr, "temperature.read");
            ping.encoding = [Encoding::Json, Encoding::Msgpack, Encoding::Postcard][i % 3];
            flying.push_back(sensor.ping(&ping).expect("sent"));
            if flying.len() == 64 || i + 1 == TIMES {
                while let Some(request) = flying.pop_front() {
                    let reply = request.await.expect("an answer");
                    assert_eq!((reply.decision, reply.zone), (Decision::Accept, Some(Zone::Groen)));
                    assert_eq!(reply.payload, Some(json("{\"celsius\":21.5}")));
                    assert_eq!((&*reply.responder_did, reply.from.remote, reply.last), (HUB, addr, true));
                }
            }
        }
        // And one that the application answers when it likes.
        let request = sensor.ping(&Ping::new(HUB, addr, "later")).expect("sent");
        loop {
            match heard.next().await.expect("it goes on") {
                Notice::Ping(ping) if &*ping.intent == "later" => {
                    let id = ping.open.expect("it wants an answer");
                    hub.respond(id, Value::from_json("[1,2]").expect("JSON")).expect("sent");
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(request.await.expect("an answer").payload, Some(json("[1,2]")));
        assert_eq!(hub.with(|node, _| node.stats().accepted), TIMES as u64 + 1);
    });
}

/// A waiting ping is approved by whoever reads the events, and its sender hears of it.
pub(super) fn a_waiting_ping_is_decided_through_the_handle<T: Adapter>() {
    T::block_on(async {
        let (hub, sensor) = pair(0.5);
        let (addr, hub, mut heard) = spawn::<T>(hub);
        let (_, sensor, _events) = spawn::<T>(sensor);
        for approve in [true, false] {
            let mut request = sensor.ping(&Ping::new(HUB, addr, "door.open")).expect("sent");
            let first = request.next().await.expect("an answer").expect("in time");
            assert_eq!((first.decision, first.last), (Decision::Pending, false));
            let (id, packet) = loop {
                if let Notice::Ping(ping) = heard.next().await.expect("it goes on") {
                    break (ping.wait.expect("it waits"), ping.packet_id.to_string());
                }
            };
            if approve {
                hub.approve(id).expect("it waits");
            } else {
                hub.reject(id).expect("it waits");
            }
            let second = request.next().await.expect("the decision").expect("in time");
            let (want, outcome) =
                if approve { (Decision::Accept, Outcome::Approved) } else { (Decision::Reject, Outcome::Rejected) };
            assert_eq!((second.decision, second.last), (want, true));
            assert!(request.next().await.is_none(), "a request ends once");
            match heard.next().await.expect("it goes on") {
                Notice::Decided { packet_id, outcome: told, .. } => {
                    assert_eq!((&*packet_id, told), (packet.as_str(), outcome));
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

/// Nobody answers, nobody is there, and the driver ends: each says so.
pub(super) fn a_ping_without_an_answer_says_why<T: Adapter>() {
    T::block_on(async {
        let (_, sensor) = pair(0.9);
        let (_, sensor, _events) = spawn::<T>(sensor);
        let silent = plain(loopback());
        let silent = silent.local_addr().expect("bound");
        let mut ping = Ping::new(HUB, silent, "anybody");
        ping.timeout = Some(Duration::from_millis(40));
        assert_eq!(sensor.ping(&ping).expect("sent").await, Err(NoReply::Timeout));
        let open = sensor.ping(&Ping::new(HUB, silent, "anybody")).expect("sent");
        drop(sensor.ping(&Ping::new(HUB, silent, "never mind")).expect("sent"));
        assert_eq!(sensor.with(|node, _| node.stats().tables.requests), 1);
        sensor.shutdown().await.expect("a clean end");
        assert_eq!(open.await, Err(NoReply::Ended));
    });
}

/// Two nodes that have pinned each other's key talk through a session, which the first ping begins.
pub(super) fn encrypted_pings_are_awaited_through_the_handle<T: Adapter>() {
    T::block_on(async {
        let secret = |n: u8| SecretKey::from_seed(&[n; 32]);
        let keyed = |did: &str, key, peer: &str, peer_key: u8| {
            let mut config = NodeConfig::new(Did::new(did).expect("a DID"));
            config.identity = Some(Identity::from(secret(key)));
            config.sessions = SessionPolicy::Require;
            let mut node = Node::new(config, &Seed::from_u64(key.into())).expect("a node");
            node.pin(Now::default(), peer, secret(peer_key).public(), Origin::Operator).expect("pinned");
            node
        };
        let mut hub = keyed(HUB, 1, SENSOR, 2);
        hub.set_trust(SENSOR, 0.9).expect("set");
        let (addr, hub, mut heard) = spawn::<T>(hub);
        let (_, sensor, _events) = spawn::<T>(keyed(SENSOR, 2, HUB, 1));
        for i in 0..64 {
            let mut ping = Ping::new(HUB, addr, "temperature.read");
            ping.encoding = [Encoding::Json, Encoding::Msgpack, Encoding::Postcard][i % 3];
            let reply = sensor.ping(&ping).expect("sent").await.expect("an answer");
            assert!(matches!(reply.auth, Auth::Session(_, key) if key == secret(1).public()));
            loop {
                if let Notice::Ping(ping) = heard.next().await.expect("it goes on") {
                    assert!(matches!(ping.auth, Auth::Session(_, key) if key == secret(2).public()));
                    break;
                }
            }
        }
        assert_eq!(hub.with(|node, _| node.stats().tables.sessions), 1);
    });
}
