//! Edges of the node that the tables and the fuzzer led to. Each was wrong once.

use std::net::SocketAddr;

use sluis_core::airlock::Rank;
use sluis_core::framing::{Frame, Message, PingType};
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{Event, Node, NodeConfig, Ping};
use sluis_core::{Datagrams, Did, Duration, Instant, Machine, Now, Path, Seed, Wall};

fn at(seconds: u64) -> Now {
    let micros = 1_736_942_400_000_000 + i64::try_from(seconds).unwrap() * 1_000_000;
    Now::new(Instant::ZERO + Duration::from_secs(seconds), Wall::from_micros(micros))
}

fn from(port: u16) -> Path {
    Path::to(SocketAddr::from(([127, 0, 0, 1], port)))
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
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    let answer = sent(&mut hub, at(0)).remove(0);
    let answer = with_payload(&answer, |text| {
        text.replace('_', "\\u005f").replace("in\\u005fresponse\\u005fto", "in_response_to")
    });
    sensor.handle_datagram(at(0), from(7150), &mut answer.clone()).unwrap();
    assert!(matches!(sensor.poll_event(), Some(Event::Response(r)) if r.request == request && r.last));
}

/// What happened to peers, in a few words.
fn peers_told(node: &mut Node) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(event) = node.poll_event() {
        match event {
            Event::PeerSeen { did, .. } => out.push(format!("seen {did}")),
            Event::PeerLost { did } => out.push(format!("lost {did}")),
            _ => {}
        }
    }
    out
}

/// A ping from a node of this name, as bytes.
fn ping_from(did: &str, now: Now) -> Vec<u8> {
    let mut sender = node(did);
    sender.ping(now, &Ping::new("jis:hub", from(7150).remote, "x")).unwrap();
    sent(&mut sender, now).remove(0)
}

/// A stale peer that makes room for another before the next clean-up is lost, and that is told.
#[test]
fn a_peer_that_makes_room_is_told_to_be_lost() {
    let mut config = NodeConfig::new(Did::new("jis:hub").unwrap());
    config.caps.peers = 1;
    config.peer_cleanup = Duration::from_secs(1000);
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    for did in ["jis:a", "jis:b"] {
        hub.set_trust(did, 0.9).unwrap();
    }
    hub.allow_legacy("*").unwrap();
    hub.handle_datagram(at(0), from(1), &mut ping_from("jis:a", at(0))).unwrap();
    assert_eq!(peers_told(&mut hub), ["seen jis:a"]);
    assert!(hub.handle_datagram(at(90), from(2), &mut ping_from("jis:b", at(90))).is_err(), "not stale yet");
    hub.handle_datagram(at(91), from(2), &mut ping_from("jis:b", at(91))).unwrap();
    assert_eq!(peers_told(&mut hub), ["lost jis:a", "seen jis:b"]);
}

/// A peer that comes back to the address that it has proven gets heartbeats again.
#[test]
fn heartbeats_go_on_when_a_peer_comes_back_to_its_proven_address() {
    let (mut hub, mut sensor) = (node("jis:hub"), node("jis:sensor"));
    hub.set_trust("jis:sensor", 0.9).unwrap();
    sensor.set_trust("jis:hub", 0.9).unwrap();
    hub.ping(at(0), &Ping::new("jis:sensor", from(9).remote, "x")).unwrap();
    sensor.handle_datagram(at(0), from(7150), &mut sent(&mut hub, at(0)).remove(0)).unwrap();
    hub.handle_datagram(at(0), from(9), &mut sent(&mut sensor, at(0)).remove(0)).unwrap();
    let heartbeats = |hub: &mut Node, now: Now| {
        hub.handle_timeout(now);
        while hub.poll_event().is_some() {}
        let frames = sent(hub, now);
        let beats = |frame: &&Vec<u8>| matches!(Frame::decode(frame).unwrap().message, Message::Packet(p) if p.ping_type == PingType::Heartbeat);
        frames.iter().filter(beats).count()
    };
    assert_eq!(heartbeats(&mut hub, at(30)), 1);
    for (now, port, beats) in [(at(50), 10, 0), (at(80), 9, 1)] {
        let mut other = node("jis:sensor");
        // Another seed would do as well; another time gives another nonce its turn.
        other.ping(now, &Ping::new("jis:hub", from(7150).remote, "y")).unwrap();
        let mut frame = sent(&mut other, now).remove(0);
        if port == 9 {
            frame = with_payload(&frame, |text| text.replacen("\"nonce\":\"", "\"nonce\":\"9", 1));
        }
        hub.handle_datagram(now, from(port), &mut frame.clone()).unwrap();
        let later = at(now.mono.as_nanos() / 1_000_000_000 + 30);
        assert_eq!(heartbeats(&mut hub, later), beats, "from port {port}");
    }
}

/// Bytes of peers are held below their cap, whatever the rows and the index take.
#[test]
fn peers_never_pass_their_byte_cap() {
    use sluis_core::node::{Peers, Recorded};
    for max_bytes in [0, 5_000, 20_000, 70_001, 300_000] {
        let mut peers =
            Peers::new(100_000, max_bytes, Duration::from_secs(90), Seed::from_u64(1).fork("test").sip_key());
        let mut full = 0;
        for n in 0..5000 {
            let did = format!("jis:{n}:{}", "x".repeat(n % 200));
            let seat = peers.look_up(&did);
            let rank = if n % 3 == 0 { Rank::Trusted } else { Rank::Stranger };
            let room = peers.has_room_for(Instant::ZERO, seat, rank);
            peers.make_room(Instant::ZERO, seat, rank);
            let recorded = peers.record(Instant::ZERO, seat, from(1), rank);
            assert_eq!(recorded, if room { Recorded::New } else { Recorded::Full });
            assert!(peers.heap_bytes() <= max_bytes);
            full += usize::from(!room);
        }
        assert!(full > 0, "{max_bytes}");
    }
}
