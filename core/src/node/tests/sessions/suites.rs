//! Suite 2 between nodes: used where both speak it, and nobody on the way decides about that.

use super::*;
use crate::session::{Down, SUITE, SUITE_HYBRID};

fn pair(suites: [Suites; 2]) -> Net {
    let [of_hub, of_sensor] = suites;
    let mut hub = with(HUB, 1, 21, |config| config.suites = of_hub);
    hub.set_trust(SENSOR, 0.9).unwrap();
    hub.pin(millis(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
    Net::new(hub, sensor(22, |config| config.suites = of_sensor))
}

#[test]
fn nodes_that_are_left_as_they_are_speak_suite_2_and_the_first_ping_takes_one_flight_more() {
    assert_eq!(NodeConfig::new(Did::new(HUB).unwrap()).suites, Suites::Any);
    for encoding in ENCODINGS {
        let mut net = pair([Suites::Any; 2]);
        net.ping(encoding);
        net.run(0);
        // Two datagrams each way, then the ping and its answer: nothing else is waited for.
        let kinds: Vec<u8> = net.wire.iter().map(Seen::kind).collect();
        assert_eq!(kinds[..6], [1, 6, 2, 6, 5, 5], "{encoding:?}");
        assert!(net.wire.iter().filter(|seen| seen.kind() < 5).all(|seen| seen.suite() == SUITE_HYBRID));
        assert_eq!((net.count(0, "ping accept"), net.count(1, "answer accept")), (1, 1), "{encoding:?}");
        assert_eq!(net.suites, [[SUITE_HYBRID], [SUITE_HYBRID]]);
        let before = net.wire.len();
        net.ping(encoding);
        net.run(0);
        assert_eq!(net.wire.len() - before, 2, "a packet and its answer");
        assert!(net.wire.iter().all(Seen::is_sealed));
        net.books_hold();
    }
}

#[test]
fn a_first_ping_survives_the_loss_of_any_datagram_of_suite_2() {
    for lost in 0..6 {
        let (mut net, mut n) = (pair([Suites::Any; 2]), 0);
        net.loses = Box::new(move |_| {
            n += 1;
            n - 1 == lost
        });
        net.ping(Encoding::Json);
        net.run(2500);
        // The ping itself, behind the packet that confirms the keys, may be what is lost, as it may be without a session.
        assert!(net.count(0, "ping accept") == usize::from(lost != 5), "{lost}: {:?}", net.told);
        net.ping(Encoding::Json);
        net.run(1000);
        assert!(net.count(1, "answer accept") >= 1 && net.suites[1] == [SUITE_HYBRID], "{lost}: {:?}", net.told[1]);
        assert!(net.wire.iter().all(Seen::is_sealed));
    }
}

#[test]
fn who_says_that_it_speaks_suite_1_only_is_spoken_to_in_it() {
    for suites in [[Suites::One, Suites::Any], [Suites::Any, Suites::One]] {
        let mut net = pair(suites);
        net.ping(Encoding::Json);
        net.run(9_000);
        assert_eq!(net.count(1, "answer accept"), 1, "{suites:?}: {:?}", net.told);
        net.ping(Encoding::Json);
        net.run(100);
        assert!(matches!(net.auths[1].last(), Some(Auth::Session(..))), "{suites:?}");
        assert_eq!((net.suites[0].first(), net.suites[1].first()), (Some(&SUITE), Some(&SUITE)));
    }
}

/// Who drops all of suite 2, or only its second datagrams as a path does that carries nothing of their length, gets no session in suite 1. Nor does he get a ping in the clear: what goes out
/// after three seconds is signed, and only where there never was a session.
#[test]
fn nobody_on_the_way_gets_a_session_in_suite_1() {
    let drops: [fn(&Seen) -> bool; 2] =
        [|seen| seen.is_sealed() && seen.suite() == SUITE_HYBRID, |seen| seen.is_sealed() && seen.kind() == 6];
    for drops in drops {
        let mut net = pair([Suites::Any; 2]);
        net.loses = Box::new(drops);
        for _ in 0..3 {
            net.ping(Encoding::Json);
            net.run(40_000);
        }
        assert!(net.changes.iter().flatten().all(|state| *state == SessionState::Down(Down::NoAnswer)));
        assert!(net.auths.iter().flatten().all(|auth| matches!(auth, Auth::Signed(_))), "{:?}", net.auths);
        assert_eq!((net.count(0, "ping accept"), net.count(1, "answer accept")), (3, 3));
        // Had they spoken before, not even that.
        let mut net = pair([Suites::Any; 2]);
        net.ping(Encoding::Json);
        net.run(1000);
        net.loses = Box::new(drops);
        for _ in 0..20 {
            net.ping(Encoding::Json);
            net.run(20_000);
        }
        assert!(net.wire.iter().all(Seen::is_sealed));
        // The keys that they had serve for three minutes.
        assert!(net.count(1, "answer accept") <= 10 && net.count(1, "timeout") >= 10, "{:?}", net.told);
        assert!(net.changes.iter().flatten().all(|state| !matches!(state, SessionState::Rekeyed)));
    }
}

#[test]
fn keys_are_renewed_in_suite_2_without_a_ping_lost() {
    let mut net = pair([Suites::Any; 2]);
    for _ in 0..40 {
        net.ping(Encoding::Postcard);
        net.run(5000);
    }
    assert_eq!((net.count(0, "ping accept"), net.count(1, "answer accept")), (40, 40));
    assert!(net.count(0, "session rekeyed") >= 1);
    assert!(net.suites.iter().flatten().all(|suite| *suite == SUITE_HYBRID));
    assert!(net.wire.iter().filter(|seen| seen.kind() < 5).all(|seen| seen.suite() == SUITE_HYBRID));
}
