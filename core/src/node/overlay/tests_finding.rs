//! Names that are registered, looked up, reached and verified, and what a thief of a name or an address gets.

use std::format;
use std::string::ToString as _;
use std::vec::Vec;

use super::tests::{HUB, Net, PHONE, SENSOR, addr, secret, start, start_with};
use super::wire::Members;
use super::*;
use crate::StoreError;
use crate::node::{Ping, SessionPolicy};
use crate::pins::Origin;
use crate::registry::{Draft, Record, Source};
use crate::time::Wall;

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
