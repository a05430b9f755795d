//! `peers.jsonl`: the peer table over time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::common::{Deviations, Json, Row, rows};
use sluis_core::airlock::Rank;
use sluis_core::node::{Peer, Peers, Recorded};
use sluis_core::{Duration, Instant, Path, Seed};

/// Seconds on the monotonic clock. The table goes a second back and forth; the clock starts well before it.
fn at(json: &Json) -> Instant {
    Instant::ZERO + Duration::from_secs_f64(json.f64().unwrap())
}

/// Seconds of a duration as the table rounds them: not at all.
fn since(later: Instant, earlier: Instant) -> f64 {
    later.saturating_since(earlier).as_secs_f64()
}

fn path(addr: &Json) -> Path {
    let parts = addr.array().unwrap();
    let host = parts[0].str().unwrap().parse().unwrap_or(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    Path::to(SocketAddr::new(host, u16::try_from(parts[1].int().unwrap()).unwrap()))
}

/// One step here, and what the reference says of it, each as text.
fn step(peers: &mut Peers, step: &Json) -> (String, String) {
    let now = at(step.get("t").unwrap());
    let did = step.get("did").and_then(Json::str).unwrap_or_default();
    let result = step.get("result");
    match step.get("op").and_then(Json::str).unwrap() {
        "record" => {
            let known = peers.get(Instant::ZERO, did).is_some();
            let seat = peers.look_up(did);
            let recorded = peers.record(now, seat, path(step.get("addr").unwrap()), Rank::Stranger);
            assert_eq!(recorded, if known { Recorded::Known } else { Recorded::New });
            let describe = |packets: u64, first: f64, last: f64| format!("{packets} packets {first} to {last}");
            let seconds = |key: &str| step.get(key).and_then(Json::f64).unwrap();
            let packets = u64::try_from(step.get("packet_count").and_then(Json::int).unwrap()).unwrap();
            let peer = peers.get(now, did).unwrap();
            (
                describe(packets, seconds("first_seen"), seconds("last_seen")),
                describe(
                    peer.packets(),
                    since(peer.first_seen(), Instant::ZERO),
                    since(peer.last_seen(), Instant::ZERO),
                ),
            )
        }
        "address" => {
            let reference = result.filter(|r| !r.is_null()).map(|r| path(r).remote);
            (format!("{reference:?}"), format!("{:?}", peers.get(now, did).map(|p| p.path().remote)))
        }
        "peer" => {
            let describe = |at: SocketAddr, packets: u64, age: f64, idle: f64| format!("{at} {packets} {age} {idle}");
            let reference = result.filter(|r| !r.is_null()).map(|r| {
                let number = |key: &str| r.get(key).and_then(Json::f64).unwrap();
                let packets = u64::try_from(r.get("packet_count").and_then(Json::int).unwrap()).unwrap();
                describe(path(r.get("addr").unwrap()).remote, packets, number("age"), number("idle"))
            });
            let ours = |p: &Peer| {
                describe(p.path().remote, p.packets(), since(now, p.first_seen()), since(now, p.last_seen()))
            };
            (format!("{reference:?}"), format!("{:?}", peers.get(now, did).map(ours)))
        }
        "alive" => {
            let dids = result.and_then(Json::array).unwrap().iter().filter_map(Json::str);
            (dids.collect::<Vec<_>>().join(" "), peers.alive(now).map(Peer::did).collect::<Vec<_>>().join(" "))
        }
        "prune" => {
            let mut pruned = 0_i64;
            while peers.prune_one(now).is_some() {
                pruned += 1;
            }
            (result.and_then(Json::int).unwrap().to_string(), pruned.to_string())
        }
        "len" => (result.and_then(Json::int).unwrap().to_string(), peers.len().to_string()),
        other => panic!("unknown step {other}"),
    }
}

fn outcome(row: &Row) -> String {
    let timeout = row.get("timeout").and_then(Json::f64).unwrap();
    let Ok(timeout) = Duration::try_from_secs_f64(timeout) else { return "no such timeout".into() };
    let mut peers = Peers::new(100, 1 << 20, timeout, Seed::from_u64(1).fork("test").sip_key());
    let mut differences = Vec::new();
    for (n, json) in row.get("steps").and_then(Json::array).unwrap().iter().enumerate() {
        let (reference, ours) = step(&mut peers, json);
        if reference != ours {
            differences.push(format!("{n}: {ours}"));
        }
        let stats = json.get("stats").unwrap();
        let stat = |key: &str| usize::try_from(stats.get(key).and_then(Json::int).unwrap()).unwrap();
        let alive = peers.alive(at(json.get("t").unwrap())).count();
        if (stat("total_tracked"), stat("alive"), stat("stale")) != (peers.len(), alive, peers.len() - alive) {
            differences.push(format!("{n}: {alive} of {} alive", peers.len()));
        }
    }
    if differences.is_empty() { "agrees".into() } else { differences.join("; ") }
}

#[test]
fn peers() {
    let mut deviations = Deviations::of("peers.jsonl");
    let rows = rows("peers.jsonl");
    assert_eq!(rows.len(), 12);
    for row in rows {
        deviations.check(row.id(), "agrees", &outcome(&row));
    }
    deviations.finish();
}
