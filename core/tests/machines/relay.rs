//! `relay.jsonl`, and what `node_flow.jsonl` says of passing on: what goes where, and what is dropped, against the relay room alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sluis_core::framing::{Encoding, Frame, Message, Packet, RoutingMode, Zone};
use sluis_core::relay::{Rate, Relay, RelayConfig, RelayReject, Transit, Way};
use sluis_core::{Instant, Path, Seed};

use crate::common::{Deviations, Json, Row, rows};
use crate::nodes::{AGREES, Differences, address, frames_of};

const NO_LIMIT: Rate = Rate::new(1_000_000, 1_000_000);

fn config(max_hops: i64, max_seen: usize) -> RelayConfig {
    let max_hops = u8::try_from(max_hops).unwrap();
    RelayConfig {
        max_hops,
        // Of each ping there may be two hashes.
        max_seen: max_seen.div_ceil(2),
        source_rate: NO_LIMIT,
        target_rate: NO_LIMIT,
        link_rate: NO_LIMIT,
        max_open_per_source: usize::MAX,
        ..RelayConfig::default()
    }
}

fn relay(config: RelayConfig) -> Relay {
    let mut relay = Relay::new(config, &mut Seed::from_u64(1).fork("relay"));
    // In the reference there is always somebody: everybody.
    assert!(relay.set_neighbour("jis:relay", Path::to(NEIGHBOUR.parse().unwrap()), 0.5));
    relay
}

const NEIGHBOUR: &str = "127.0.0.1:1009";

/// A ping of the table, in JSON, and what the relay does with it: the hops that it has when it goes on.
fn passed_on(relay: &mut Relay, step: &Json) -> Option<i64> {
    let member = |name: &str| step.get(name).unwrap().tagged().json().unwrap();
    let text = format!(
        r#"{{"packet_id":{},"source_did":"jis:s","target_did":"jis:t","ping_type":"intent","priority":2,"routing_mode":{},"intent":"i","purpose":"","payload":{{}},"hop_count":{},"max_hops":{}}}"#,
        member("packet_id"),
        member("routing_mode"),
        member("hop_count"),
        member("packet_max_hops"),
    );
    let mut frame = vec![b'T', b'P', 1, 0];
    frame.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    frame.extend(text.as_bytes());
    let Frame { message: Message::Packet(packet), encoding } = Frame::decode(&frame).ok()? else { return None };
    let from = Path::to("127.0.0.1:1001".parse().unwrap());
    let transit = Transit {
        packet: &packet,
        from,
        zone: Zone::Groen,
        proven: false,
        peer: None,
        recorded: None,
        room: None,
        len: 0,
        peer_proven: true,
    };
    let forward = relay.forward(Instant::ZERO, &transit).ok()?;
    // What goes out is the same but for the hops.
    let mut out = vec![0; 2048];
    let len = forward.encode(&packet, encoding, &mut out).unwrap();
    let Message::Packet(sent) = Frame::decode(&out[..len]).unwrap().message else { panic!("a ping") };
    assert_eq!(sent, Packet { hop_count: forward.hop_count(), ..packet });
    Some(sent.hop_count)
}

fn outcome(row: &Row) -> String {
    let size = usize::try_from(row.int("seen_cache_size")).unwrap();
    let mut relay = relay(config(row.int("max_hops"), size));
    let mut differences = Differences::default();
    for (n, step) in row.get("steps").and_then(Json::array).unwrap().iter().enumerate() {
        let ours = passed_on(&mut relay, step);
        let shown = |hops: Option<String>| hops.unwrap_or_else(|| "dropped".to_owned());
        let reference = step.get("hop_count_out").filter(|out| !out.is_null()).map(|out| out.tagged().json().unwrap());
        differences.compare(&format!("{n}"), &shown(reference), &shown(ours.map(|hops| hops.to_string())));
        let stats = step.get("stats").unwrap();
        let seen = stats.get("cache_size").and_then(Json::int).unwrap();
        differences.compare(&format!("{n}: remembered"), &seen, &i64::try_from(relay.stats().seen).unwrap());
    }
    differences.outcome()
}

#[test]
fn relaying() {
    let mut deviations = Deviations::of("relay.jsonl");
    let rows = rows("relay.jsonl");
    assert_eq!(rows.len(), 20);
    for row in rows {
        deviations.check(row.id(), AGREES, &outcome(&row));
    }
    deviations.finish();
}

/// What the relay does with the last ping of a row of `node_flow.jsonl`, as far as it decides that: whether the gate lets the source
/// through, and who is a peer, is the node's.
fn flow(row: &Row) -> Vec<String> {
    let mut relay = relay(config(5, 10_000));
    let mut peers = BTreeMap::<String, SocketAddr>::new();
    let mut out = Vec::new();
    for op in row.get("ops").and_then(Json::array).unwrap() {
        let (Some(packet), Some(addr)) = (op.get("packet"), op.get("addr")) else { continue };
        let frames = frames_of(packet);
        let Message::Packet(packet) = Frame::decode(&frames[1]).unwrap().message else { panic!("a ping") };
        let (source, target) = (packet.source_did.as_str().unwrap(), packet.target_did.as_str().unwrap());
        peers.insert(source.to_owned(), address(addr));
        if target == row.str("device_did") {
            continue;
        }
        let (from, peer) = (Path::to(address(addr)), peers.get(target).map(|at| Path::to(*at)));
        let transit = Transit {
            packet: &packet,
            from,
            zone: Zone::Groen,
            proven: false,
            peer,
            recorded: None,
            room: None,
            len: 0,
            peer_proven: true,
        };
        out.push(match relay.forward(Instant::ZERO, &transit) {
            Ok(forward) => {
                let to: Vec<_> = forward.to().iter().map(|path| path.remote.port()).collect();
                let way = if forward.way() == Way::Peer { "peer" } else { "chosen" };
                assert!(forward.encode(&packet, Encoding::Json, &mut [0; 2048]).is_ok());
                format!("{way} {to:?} hop {}", forward.hop_count())
            }
            Err(why) => why.to_string(),
        });
    }
    out
}

#[test]
fn pings_of_the_mesh_go_to_a_peer_or_to_chosen_neighbours() {
    // Where the reference broadcasts, one ping goes to one neighbour here: there is only one.
    let expected: [(&str, &[&str]); 6] = [
        ("mesh_known_target_forwarded", &["peer [1002] hop 1"]),
        ("mesh_unknown_target_broadcast", &["chosen [1009] hop 1"]),
        ("mesh_duplicate_dropped", &["chosen [1009] hop 1", "duplicate"]),
        ("mesh_same_nonce_not_checked", &["chosen [1009] hop 1", "chosen [1009] hop 1", "chosen [1009] hop 1"]),
        ("mesh_hop_limit", &["chosen [1009] hop 5", "hop_limit"]),
        // The reference sends it back to where it came from.
        ("mesh_back_to_sender", &["no_route"]),
    ];
    let rows = rows("node_flow.jsonl");
    for (id, sent) in expected {
        let row = rows.iter().find(|row| row.id() == id).unwrap();
        assert_eq!(flow(row), sent, "{id}");
    }
}

#[test]
fn only_meshed_pings_of_those_let_in_go_on() {
    let mut relay = relay(RelayConfig::default());
    let packet = Packet {
        source_did: sluis_core::framing::Text::new("jis:s"),
        target_did: sluis_core::framing::Text::new("jis:t"),
        ..Packet::default()
    };
    let from = Path::to("127.0.0.1:1001".parse().unwrap());
    for mode in RoutingMode::ALL {
        for zone in Zone::ALL {
            let packet = Packet { routing_mode: *mode, ..packet };
            let transit = Transit {
                packet: &packet,
                from,
                zone: *zone,
                proven: false,
                peer: None,
                recorded: None,
                room: None,
                len: 0,
                peer_proven: true,
            };
            let expected = match (mode, zone) {
                (RoutingMode::Mesh, Zone::Groen) => None,
                (RoutingMode::Mesh, _) => Some(RelayReject::NotAllowed),
                _ => Some(RelayReject::NotMesh),
            };
            assert_eq!(relay.forward(Instant::ZERO, &transit).err(), expected);
        }
    }
}
