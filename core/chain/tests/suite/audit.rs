//! Events of a node become tokens: those of whoever passes the gate, and of nobody else.

use std::net::SocketAddr;

use sluis_chain::audit::{Happening, Kinds, Recorder};
use sluis_chain::log::{Log, Protection};
use sluis_chain::token::Token;
use sluis_core::data::{Text, Value};
use sluis_core::framing::{Encoding, Message, Packet, PingType};
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{Event, Node, NodeConfig, Ping};
use sluis_core::{Datagrams, Did, Duration, Instant, Machine, Now, Path, Seed, Wall};

fn at(seconds: u64) -> Now {
    let micros = 1_736_942_400_000_000 + i64::try_from(seconds).unwrap() * 1_000_000;
    Now::new(Instant::ZERO + Duration::from_secs(seconds), Wall::from_micros(micros))
}

fn path(port: u16) -> Path {
    Path::to(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn node(did: &str, seed: u64, tell_heartbeats: bool) -> Node {
    let mut config = NodeConfig::new(Did::new(did).unwrap());
    config.tell_heartbeats = tell_heartbeats;
    let mut node = Node::new(config, &Seed::from_u64(seed)).unwrap();
    node.allow_legacy("*").unwrap();
    node
}

fn sent(node: &mut Node, now: Now) -> Vec<Vec<u8>> {
    let mut buf = vec![0; MAX_DATAGRAM_V6];
    std::iter::from_fn(|| node.poll_transmit(now, &mut buf).map(|t| buf[..t.len].to_vec())).collect()
}

fn heartbeat(did: &str, nonce: &str) -> Vec<u8> {
    let packet = Packet {
        packet_id: Text::new("ping_1"),
        source_did: Text::new(did),
        target_did: Text::new("jis:hub"),
        ping_type: PingType::Heartbeat,
        nonce: Text::new(nonce),
        timestamp: Text::new("2025-01-15T12:00:00+00:00"),
        ..Packet::default()
    };
    let mut out = vec![0; MAX_DATAGRAM_V6];
    let len = Message::Packet(packet).encode(Encoding::Json, &mut out).unwrap();
    out.truncate(len);
    out
}

/// Everything that a node tells goes through a recorder into a log; what kinds of events there were.
fn record(node: &mut Node, recorder: &mut Recorder, log: &mut Log, file: &mut Vec<u8>) -> Vec<Kinds> {
    let mut kinds = Vec::new();
    while let Some(event) = node.poll_event() {
        kinds.extend(Kinds::of_event(&event));
        let Some(happening) = Happening::of_event(&event) else { continue };
        assert_eq!(Some(Kinds::of(&happening)), Kinds::of_event(&event));
        let Some(draft) = recorder.draft(&happening) else { continue };
        let mut line = [0; 4096];
        let made = log.append(at(0), &draft, Protection::default(), &mut line).unwrap();
        file.extend(&line[..made.len]);
        recorder.follow(made.token_id.unwrap().as_text());
    }
    kinds
}

#[test]
fn what_passes_is_recorded_and_what_does_not_is_not() {
    let (mut hub, mut sensor) = (node("jis:hub", 1, true), node("jis:sensor", 2, true));
    let mut stranger = node("jis:stranger", 3, true);
    hub.set_trust("jis:sensor", 0.9).unwrap();
    let (mut recorder, mut log, mut file) = (Recorder::new("jis:hub"), Log::new(&Seed::from_u64(4)), Vec::new());

    sensor.ping(at(0), &Ping::new("jis:hub", path(1).remote, "door.open")).unwrap();
    stranger.ping(at(0), &Ping::new("jis:hub", path(1).remote, "door.open")).unwrap();
    hub.handle_datagram(at(0), path(2), &mut sent(&mut sensor, at(0)).remove(0)).unwrap();
    hub.handle_datagram(at(0), path(3), &mut sent(&mut stranger, at(0)).remove(0)).unwrap_err();
    hub.handle_datagram(at(0), path(3), &mut { *b"TP garbage" }).unwrap_err();
    hub.handle_datagram(at(0), path(2), &mut heartbeat("jis:sensor", "n1")).unwrap();
    hub.handle_datagram(at(0), path(3), &mut heartbeat("jis:stranger", "n2")).unwrap_err();
    hub.set_trust("jis:stranger", 0.5).unwrap();
    hub.handle_datagram(at(0), path(3), &mut heartbeat("jis:stranger", "n3")).unwrap_err();
    stranger.ping(at(0), &Ping::new("jis:hub", path(1).remote, "door.open")).unwrap();
    hub.handle_datagram(at(0), path(3), &mut sent(&mut stranger, at(0)).remove(0)).unwrap();
    let kinds = record(&mut hub, &mut recorder, &mut log, &mut file);
    assert_eq!(kinds, [Kinds::DISCOVERY, Kinds::PING, Kinds::HEARTBEAT, Kinds::PING]);

    // The other side records the answer.
    sensor.handle_datagram(at(0), path(1), &mut sent(&mut hub, at(0)).remove(0)).unwrap();
    record(&mut sensor, &mut Recorder::new("jis:sensor"), &mut Log::new(&Seed::from_u64(5)), &mut file);

    let text = String::from_utf8(file).unwrap();
    let tokens: Vec<_> = text.lines().map(|line| Token::parse(line).unwrap()).collect();
    assert!(tokens.iter().all(|token| token.verify(None).is_ok()));
    let actions: Vec<_> = tokens.iter().map(|token| token.action.to_string()).collect();
    assert_eq!(actions, ["discovery", "ping.intent", "heartbeat", "ping.intent", "response", "discovery"]);
    for two in tokens[..4].windows(2) {
        assert_eq!(two[1].parent_id, Some(two[0].token_id));
    }
    let around = |n: usize, key: &str| tokens[n].eromheen.get(key).and_then(Value::as_text).map(|t| t.to_string());
    assert_eq!(around(1, "decision").as_deref(), Some("accept"));
    assert_eq!(around(3, "decision").as_deref(), Some("pending"));
    assert_eq!((tokens[3].actor, around(3, "host").as_deref()), (Text::new("jis:stranger"), Some("127.0.0.1")));
    assert_eq!(tokens[4].actor, "jis:hub");
}

/// Unless it is asked for, a heartbeat is no event, so nobody pays for it.
#[test]
fn heartbeats_are_told_only_when_asked_for() {
    let mut hub = node("jis:hub", 1, false);
    hub.set_trust("jis:sensor", 0.9).unwrap();
    hub.handle_datagram(at(0), path(2), &mut heartbeat("jis:sensor", "n1")).unwrap();
    assert!(matches!(hub.poll_event(), Some(Event::PeerSeen { .. })));
    assert!(hub.poll_event().is_none());
}
