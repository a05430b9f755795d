//! Who records, drops, forges and floods, and what it is worth.

use super::*;
use crate::identity::Statement;
use crate::session::Down;

#[test]
fn a_retired_key_ends_its_live_session_with_the_next_packet() {
    for unpins in [true, false] {
        let mut net = Net::pair();
        net.ping(Encoding::Json);
        net.run(1000);
        if unpins {
            net.nodes[0].unpin(SENSOR).unwrap();
        } else {
            net.nodes[0].retire(&Statement::revocation(&secret(2), 1).unwrap()).unwrap();
        }
        net.events(0);
        assert_eq!(net.changes[0].last(), Some(&SessionState::Down(Down::Revoked)));
        net.ping(Encoding::Json);
        net.run(500);
        assert_eq!(net.count(0, "ping accept"), 1, "unpinned: {unpins}");
        assert!(net.rejects.contains(&Reject::Sealed));
        net.run(60_000);
        assert!(unpins || net.count(0, "ping pending") + net.count(0, "ping accept") == 1, "{:?}", net.told[0]);
    }
}

#[test]
fn what_is_recorded_is_worth_nothing_again() {
    let mut net = Net::pair();
    net.ping(Encoding::Json);
    net.ping(Encoding::Json);
    net.run(1000);
    let (told, wire) = (net.told.clone(), net.wire.clone());
    net.rejects.clear();
    for seen in &wire {
        net.deliver(seen);
        // Back to who sent it.
        net.deliver(&Seen { from: seen.to, to: seen.from, bytes: seen.bytes.clone() });
    }
    net.carry();
    assert_eq!(net.told, told);
    assert_eq!(net.rejects.len(), 2 * wire.len());
    assert!(net.wire.len() == wire.len(), "and nobody answers it");
    // Nor in another life of the hub, whose replay window does not reach back before its start.
    net.nodes[0] = {
        let mut hub = with(HUB, 1, 77, |config| config.not_before = Some(millis(1500).wall));
        hub.set_trust(SENSOR, 0.9).unwrap();
        hub.pin(millis(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
        hub
    };
    net.ms = 1500;
    wire.iter().filter(|seen| seen.to == HUB_AT).for_each(|seen| net.deliver(seen));
    assert_eq!(net.told[0], told[0], "early data passes the replay window");
}

#[test]
fn early_data_that_comes_twice_is_heard_once() {
    let mut net = Net::pair();
    // The second message is lost, so the first is repeated, under a newer stamp and with the same ping.
    let mut lost = false;
    net.loses = Box::new(move |seen| seen.kind() == 2 && !core::mem::replace(&mut lost, true));
    net.ping(Encoding::Json);
    net.run(5000);
    assert_eq!(net.wire.iter().filter(|seen| seen.kind() == 1).count(), 2);
    assert!(net.count(0, "ping accept") == 1 && net.rejects.contains(&Reject::Replay));
}

#[test]
fn who_speaks_no_sessions_is_asked_signed_and_without_delay_the_next_time() {
    let mut hub = with(HUB, 1, 1, |config| config.sessions = SessionPolicy::Off);
    hub.set_trust(SENSOR, 0.9).unwrap();
    hub.pin(millis(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
    let mut net = Net::new(hub, sensor(12, |_| ()));
    net.ping(Encoding::Json);
    net.run(2500);
    assert_eq!(net.count(0, "ping accept"), 0);
    net.run(1000);
    assert!(matches!(net.auths[0][..], [Auth::Signed(_)]) && matches!(net.auths[1][..], [Auth::Signed(_)]));
    net.ping(Encoding::Json);
    net.run(0);
    assert_eq!(net.count(1, "answer accept"), 2, "at once");
    // It is asked for a session again after a while, and no ping waits for that.
    let firsts = |net: &Net| net.wire.iter().filter(|seen| seen.is_sealed() && seen.kind() == 1).count();
    net.run(120_000);
    let before = firsts(&net);
    net.ping(Encoding::Json);
    net.run(0);
    assert!(net.count(1, "answer accept") == 3 && firsts(&net) == before + 1);
    // Once it speaks them, they are used.
    let mut speaking = self::hub(5);
    speaking.set_trust(SENSOR, 0.9).unwrap();
    net.nodes[0] = speaking;
    net.run(30_000);
    net.ping(Encoding::Json);
    net.run(0);
    assert!(matches!(net.auths[1].last(), Some(Auth::Session(..))), "{:?}", net.told[1]);
}

#[test]
fn nobody_talks_two_nodes_down_that_had_a_session() {
    let mut net = Net::pair();
    net.ping(Encoding::Json);
    net.run(1000);
    // Somebody on the way drops all that is sealed, for as long as it takes for the session to end.
    net.loses = Box::new(Seen::is_sealed);
    net.run(400_000);
    assert!(net.count(1, "session down") >= 1);
    net.wire.clear();
    for _ in 0..5 {
        net.ping(Encoding::Json);
        net.run(20_000);
    }
    assert!(net.wire.iter().all(Seen::is_sealed) && net.count(1, "timeout") == 5, "{:?}", net.told[1]);
    // And when that ends, so does it.
    net.loses = Box::new(|_| false);
    net.run(30_000);
    net.ping(Encoding::Json);
    net.run(1000);
    assert_eq!(net.count(1, "answer accept"), 2);
}

#[test]
fn nothing_falls_back_where_sessions_are_required() {
    let mut hub = with(HUB, 1, 1, |config| config.sessions = SessionPolicy::Off);
    hub.set_trust(SENSOR, 0.9).unwrap();
    let mut net = Net::new(hub, sensor(12, |config| config.sessions = SessionPolicy::Require));
    net.ping(Encoding::Json);
    net.run(60_000);
    assert!(net.wire.iter().all(Seen::is_sealed) && net.count(1, "timeout") == 1);
    assert_eq!(net.changes[1], [SessionState::Down(Down::NoAnswer)]);
    let everybody = Ping::new(crate::limits::BROADCAST, addr(HUB_AT), "status");
    let now = net.now();
    assert_eq!(net.nodes[1].ping(now, &everybody), Err(PingError::NoSession));
}

#[test]
fn an_answer_in_the_clear_counts_for_nothing_where_a_session_was_asked() {
    let mut net = Net::pair();
    net.loses = Box::new(|seen| seen.to == SENSOR_AT && seen.kind() == 5);
    net.ping(Encoding::Json);
    net.run(100);
    // The hub's own key, and even the id of the ping: what it is bound to was asked in the session.
    let mut forger = with(HUB, 1, 8, |config| config.sessions = SessionPolicy::Off);
    forger.allow_legacy("*").unwrap();
    let mut asks = node(SENSOR, 3);
    asks.ping(net.now(), &Ping::new(HUB, addr(HUB_AT), "temperature.read")).unwrap();
    let now = net.now();
    let plain = drain(&mut asks, now).remove(0).1;
    forger.set_trust(SENSOR, 0.9).unwrap();
    forger.handle_datagram(now, from(SENSOR_AT), &mut plain.clone()).unwrap();
    let answer = drain(&mut forger, now).remove(0).1;
    net.rejects.clear();
    net.deliver(&Seen { from: HUB_AT, to: SENSOR_AT, bytes: answer });
    assert!(matches!(net.rejects[..], [Reject::Unrequested | Reject::WrongResponder]));
    assert_eq!(net.count(1, "answer accept"), 0);
}

#[test]
fn who_the_gate_keeps_out_hears_nothing() {
    for (trust, key) in [(0.1, 2), (0.9, 3)] {
        let mut net = Net::pair();
        net.nodes[0].set_trust(SENSOR, trust).unwrap();
        let mut config = NodeConfig::new(Did::new(SENSOR).unwrap());
        config.identity = Some(Identity::from(secret(key)));
        (config.sessions, config.suites) = (SessionPolicy::Require, Suites::One);
        config.keep_last_rood = true;
        net.nodes[1] = Node::new(config, &Seed::from_u64(5)).unwrap();
        net.nodes[1].pin(millis(0), HUB, secret(1).public(), Origin::Operator).unwrap();
        net.ping(Encoding::Json);
        net.run(5000);
        assert!(net.wire.iter().all(|seen| seen.to == HUB_AT), "trust {trust}, key {key}");
        assert!(net.told[0].is_empty() && net.nodes[0].stats().tables.sessions == 0);
        let why = if key == 2 { Reject::Rood } else { Reject::Unpinned };
        assert!(net.rejects.iter().all(|reject| *reject == why), "{:?}", net.rejects);
    }
}

#[test]
fn who_is_in_speaks_in_no_other_name() {
    let mut net = Net::pair();
    let lamp = "jis:home:lamp";
    net.nodes[0].set_trust(lamp, 0.9).unwrap();
    net.nodes[0].pin(millis(0), lamp, secret(7).public(), Origin::Operator).unwrap();
    // A session of the lamp's, and in it what the sensor would say.
    let mut room = {
        let mut config = crate::session::Config::new(Did::new(lamp).unwrap(), secret(7));
        config.caps.sessions = 4;
        crate::session::Sessions::new(config, &Seed::from_u64(4)).unwrap()
    };
    let mut says = with(SENSOR, 9, 6, |config| config.sessions = SessionPolicy::Off);
    says.ping(millis(0), &Ping::new(HUB, addr(HUB_AT), "door.open")).unwrap();
    let frame = drain(&mut says, millis(0)).remove(0).1;
    let peer = crate::session::Peer::pinned(HUB, secret(1).public());
    room.connect(millis(0), &peer, from(HUB_AT), &frame).unwrap();
    let mut buf = vec![0; MAX_DATAGRAM_V6];
    let sent = room.poll_transmit(millis(0), &mut buf).unwrap();
    net.deliver(&Seen { from: 5, to: HUB_AT, bytes: buf[..sent.len].to_vec() });
    assert_eq!(net.rejects, [Reject::BadSignature]);
    assert_eq!(net.count(0, "ping accept") + net.count(0, "ping pending"), 0);
}

#[test]
fn a_flood_of_first_messages_leaves_nothing_and_gets_no_more_than_it_sends() {
    let mut net = Net::pair();
    net.nodes[0] = {
        let mut hub = with(HUB, 1, 3, |config| config.session_caps.handshakes_per_second = 8);
        hub.pin(millis(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
        hub
    };
    // First messages that are right in all but who sent them, from 10,000 addresses.
    let (mut sent, mut first) = (0, Vec::new());
    let mut buf = vec![0; MAX_DATAGRAM_V6];
    for n in 0..10_000_u32 {
        if n % 100 == 0 {
            let mut stranger = with(SENSOR, 3, u64::from(n), |config| config.sessions = SessionPolicy::Require);
            stranger.pin(millis(0), HUB, secret(1).public(), Origin::Operator).unwrap();
            stranger.ping(millis(0), &Ping::new(HUB, addr(HUB_AT), "x")).unwrap();
            first = drain(&mut stranger, millis(0)).remove(0).1;
        }
        let [_, _, high, low] = n.to_be_bytes();
        let path = Path::to(([10, 0, high, low], 7000).into());
        let why = net.nodes[0].handle_datagram(millis(0), path, &mut first.clone()).unwrap_err();
        assert!(matches!(why, Reject::Unpinned | Reject::Cookie), "{why}");
        let mut answered = 0;
        while let Some(transmit) = net.nodes[0].poll_transmit(millis(0), &mut buf) {
            answered += transmit.len;
        }
        assert!(answered <= first.len());
        sent += answered;
    }
    let stats = net.nodes[0].stats();
    assert!(stats.tables.sessions == 0 && stats.rejected.get(Reject::Cookie) > 9_900 && sent > 0);
    // Who has the key gets in all the same, by way of a cookie.
    net.ping(Encoding::Json);
    net.nodes[0].set_trust(SENSOR, 0.9).unwrap();
    net.run(2000);
    assert_eq!(net.count(1, "answer accept"), 1, "{:?}", net.told);
}

#[test]
fn without_a_key_there_are_no_sessions() {
    let make = |change: fn(&mut NodeConfig)| {
        let mut config = NodeConfig::new(Did::new(HUB).unwrap());
        change(&mut config);
        Node::new(config, &Seed::from_u64(1)).map(|_| ())
    };
    assert_eq!(make(|config| config.sessions = SessionPolicy::Auto), Err(crate::node::ConfigError::NoStaticKey));
    assert_eq!(make(|config| config.require = Require::Session), Err(crate::node::ConfigError::SessionsOff));
}

#[test]
fn strangers_leave_places_for_pinned_keys() {
    let mut net = Net::pair();
    let mut hub = with(HUB, 1, 3, |config| config.session_caps.sessions = 8);
    hub.set_trust(SENSOR, 0.9).unwrap();
    hub.pin(millis(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
    net.nodes[0] = hub;
    for n in 0..8 {
        let did = std::format!("jis:home:stranger-{n}");
        net.nodes[0].set_trust(&did, 0.5).unwrap();
        net.nodes[1] = with(&did, 10 + n, u64::from(n) + 50, |config| config.sessions = SessionPolicy::Require);
        net.ports[1] = 8000 + u16::from(n);
        net.ping(Encoding::Json);
        net.run(500);
        assert_eq!(net.nodes[0].stats().tables.sessions, usize::from(n + 1).min(7));
    }
    assert!(net.rejects.contains(&Reject::Busy) && net.count(0, "ping pending") == 7);
    (net.nodes[1], net.ports[1]) = (sensor(12, |_| ()), SENSOR_AT);
    net.ping(Encoding::Json);
    net.run(500);
    assert_eq!(net.count(1, "answer accept"), 1, "{:?}", net.told);
}
