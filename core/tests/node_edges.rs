//! Edges of the node that the tables and the fuzzer led to. Each was wrong once.
#![cfg(feature = "alloc")]

use std::net::SocketAddr;

use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{Event, Node, NodeConfig, Ping};
use sluis_core::{Datagrams, Did, Duration, Instant, Machine, Now, Route, Seed, Wall};

fn at(seconds: u64) -> Now {
    let micros = 1_736_942_400_000_000 + i64::try_from(seconds).unwrap() * 1_000_000;
    Now::new(Instant::ZERO + Duration::from_secs(seconds), Wall::from_micros(micros))
}

fn from(port: u16) -> Route {
    Route::to(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn node(did: &str) -> Node {
    let mut node = Node::new(NodeConfig::new(Did::new(did).unwrap()), &Seed::from_u64(1)).unwrap();
    node.allow_legacy("*").unwrap();
    node
}

fn sent(node: &mut Node, now: Now) -> Vec<Vec<u8>> {
    let mut buf = vec![0; MAX_DATAGRAM_V6];
    std::iter::from_fn(|| node.poll_transmit(now, &mut buf).map(|t| buf[..t.len].to_vec())).collect()
}

/// The frame with its payload changed.
fn with_payload(frame: &[u8], change: impl FnOnce(String) -> String) -> Vec<u8> {
    let payload = change(String::from_utf8(frame[8..].to_vec()).unwrap());
    let mut out = frame[..4].to_vec();
    out.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    out.extend(payload.into_bytes());
    out
}

/// JSON writers differ in what they escape; some write every `+` and `_` as `\u00XX`.
#[test]
fn escapes_anywhere_change_nothing() {
    let (mut hub, mut sensor) = (node("jis:hub"), node("jis:sensor"));
    hub.set_trust("jis:sensor", 0.9).unwrap();
    let request = sensor.ping(at(0), &Ping::new("jis:hub", from(7150).remote, "x")).unwrap();
    let ping = sent(&mut sensor, at(0)).remove(0);
    let ping = with_payload(&ping, |text| text.replace("+00:00", "\\u002b00:00").replace("jis:", "\\u006ais:"));
    hub.handle_datagram(at(0), from(9), &ping).unwrap();
    let answer = sent(&mut hub, at(0)).remove(0);
    let answer = with_payload(&answer, |text| {
        text.replace('_', "\\u005f").replace("in\\u005fresponse\\u005fto", "in_response_to")
    });
    sensor.handle_datagram(at(0), from(7150), &answer).unwrap();
    assert!(matches!(sensor.poll_event(), Some(Event::Response(r)) if r.request == request && r.last));
}
