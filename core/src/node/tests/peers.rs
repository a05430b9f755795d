//! Who is known, and who hears heartbeats.

use std::vec;
use std::vec::Vec;

use super::*;

#[test]
fn heartbeats_go_to_proven_addresses_and_draw_no_answer() {
    let (mut hub, mut sensor) = pair(0.9);
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    let answer = drain(&mut hub, at(0)).remove(0).1;
    sensor.handle_datagram(at(0), from(7150), &mut answer.clone()).unwrap();
    told(&mut sensor);
    told(&mut hub);
    // The hub was asked and never asked itself: nobody has proven anything to it.
    hub.handle_timeout(at(31));
    assert!(drain(&mut hub, at(31)).is_empty());
    sensor.handle_timeout(at(31));
    assert!(sensor.wants().output);
    let beats = drain(&mut sensor, at(31));
    assert_eq!(beats.len(), 1);
    assert_eq!(beats[0].0.remote, addr(7150));
    hub.handle_datagram(at(31), from(9), &mut beats[0].1.clone()).unwrap();
    assert!(drain(&mut hub, at(31)).is_empty());
    assert_eq!(told(&mut hub), [] as [&str; 0]);
    assert_eq!(hub.stats().heartbeats, 1);
    assert_eq!(hub.peer(SENSOR).unwrap().last_seen(), at(31).mono);
    // It keeps the peer from going stale; when it stops, the peer is lost.
    hub.handle_timeout(at(100));
    assert_eq!(told(&mut hub), [] as [&str; 0]);
    hub.handle_timeout(at(150));
    assert_eq!(told(&mut hub), ["lost jis:home:sensor"]);
    assert!(!hub.wants().is_pending());
}

#[test]
fn a_changed_address_is_unproven_until_it_answers() {
    let (mut hub, mut sensor) = pair(0.9);
    sensor.allow_legacy("*").unwrap();
    sensor.set_trust(HUB, 0.9).unwrap();
    let prove = |hub: &mut Node, sensor: &mut Node, port| {
        hub.ping(at(0), &Ping::new(SENSOR, addr(port), "hello")).unwrap();
        let hello = drain(hub, at(0)).remove(0).1;
        sensor.handle_datagram(at(0), from(7150), &mut hello.clone()).unwrap();
        let answer = drain(sensor, at(0)).remove(0).1;
        hub.handle_datagram(at(0), from(port), &mut answer.clone()).unwrap();
    };
    prove(&mut hub, &mut sensor, 9);
    assert!(hub.peer(SENSOR).unwrap().is_proven());
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(10), &mut ping.clone()).unwrap();
    drain(&mut hub, at(0));
    assert!(!hub.peer(SENSOR).unwrap().is_proven());
    hub.handle_timeout(at(31));
    assert!(drain(&mut hub, at(31)).is_empty(), "no heartbeat to an unproven address");
    prove(&mut hub, &mut sensor, 10);
    assert!(hub.peer(SENSOR).unwrap().is_proven());
}

/// 75,000 names from one address, all let in by a rule: newcomers from elsewhere are heard at once, trusted or not.
#[test]
fn made_up_names_shut_nobody_out() {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    config.caps.peers = 4096;
    config.replay.max_senders = 4096;
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.allow_legacy("*").unwrap();
    hub.add_rule(&Rule { source_did: Some("jis:*"), ..Rule::new("all", "all", Zone::Groen) }).unwrap();
    hub.set_trust(SENSOR, 0.9).unwrap();
    let (mut busy, mut room) = (0, vec![0; MAX_DATAGRAM_V6]);
    let mut send = |hub: &mut Node, did: &str, from| {
        let took = hub.handle_datagram(at(0), from, &mut written(&named(did, "n"), Encoding::Postcard));
        while hub.poll_event().is_some() {}
        while hub.poll_transmit(at(0), &mut room).is_some() {}
        took
    };
    for n in 0..9000 {
        busy += u32::from(send(&mut hub, &std::format!("jis:x:{n}"), host(66, 9)).is_err());
    }
    assert!(busy > 6000, "{busy}");
    assert_eq!(send(&mut hub, "jis:new:1", host(1, 9)), Ok(()), "a newcomer from another address");
    assert_eq!(send(&mut hub, SENSOR, host(2, 9)), Ok(()), "who is trusted");
    assert_eq!(send(&mut hub, "jis:x:late", host(66, 9)), Err(Reject::Busy));
    // Even where strangers from everywhere take all that they may.
    for n in 0..5000_u32 {
        let _ = send(&mut hub, &std::format!("jis:y:{n}"), host(u8::try_from(n % 250).unwrap(), 9));
    }
    assert_eq!(send(&mut hub, "jis:new:2", host(3, 9)), Err(Reject::Busy));
    for n in 0..200 {
        let did = std::format!("jis:trusted:{n}");
        hub.set_trust(&did, 0.9).unwrap();
        assert_eq!(send(&mut hub, &did, host(66, 9)), Ok(()));
    }
    let stats = hub.stats();
    assert!(hub.peer(SENSOR).is_some() && stats.tables.peers <= 4096);
    assert!(stats.rejected.get(Reject::Busy) > 6000);
}

/// Peers that anybody could have made up give their places to others, the longest silent first; those that have proven
/// themselves keep theirs.
#[test]
fn unproven_peers_make_way() {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    config.caps.peers = 8;
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.allow_legacy("*").unwrap();
    hub.add_rule(&Rule { source_did: Some("jis:*"), ..Rule::new("all", "all", Zone::Groen) }).unwrap();
    let mut sensor = node(SENSOR, 2);
    sensor.allow_legacy("*").unwrap();
    sensor.set_trust(HUB, 0.9).unwrap();
    hub.ping(at(0), &Ping::new(SENSOR, addr(9), "hello")).unwrap();
    sensor.handle_datagram(at(0), from(7150), &mut drain(&mut hub, at(0)).remove(0).1).unwrap();
    hub.handle_datagram(at(0), from(9), &mut drain(&mut sensor, at(0)).remove(0).1).unwrap();
    told(&mut hub);
    let mut lost = Vec::new();
    for n in 0..20_u8 {
        let did = std::format!("jis:x:{n}");
        hub.handle_datagram(at(0), host(n, 9), &mut written(&named(&did, "n"), Encoding::Json)).unwrap();
        lost.extend(told(&mut hub).into_iter().filter(|event| event.starts_with("lost")));
        drain(&mut hub, at(0));
    }
    assert_eq!((lost.len(), lost[0].as_str(), hub.stats().peers_displaced), (13, "lost jis:x:0", 13));
    assert!(hub.peer(SENSOR).unwrap().is_proven());
    assert_eq!(hub.peers().alive(at(0).mono).next().unwrap().did(), SENSOR);
}
