//! Who is ROOD hears nothing, whatever there was before.

use super::*;
use crate::session::Down;

/// What the operator does about a sensor that has a session.
const WORDS: [fn(&mut Node); 3] = [
    |hub| _ = hub.set_trust(SENSOR, 0.0).unwrap(),
    |hub| _ = hub.decide_trust(SENSOR, 0.1).unwrap(),
    |hub| hub.add_rule(&Rule { source_did: Some("jis:home:*"), ..Rule::new("out", "out", Zone::Rood) }).unwrap(),
];

impl Net {
    /// The kinds of what the hub has sent since.
    fn heard_since(&self, wire: usize) -> Vec<u8> {
        self.wire[wire..].iter().filter(|seen| seen.from == HUB_AT).map(Seen::kind).collect()
    }

    fn shut_out(&self, n: usize) -> usize {
        self.changes[n].iter().filter(|change| **change == SessionState::Down(Down::Rood)).count()
    }
}

#[test]
fn who_is_rood_by_decision_gets_no_further_byte_of_its_session() {
    for (n, word) in WORDS.into_iter().enumerate() {
        // The keys are of any age: a keepalive, new keys or a challenge may be due.
        for (gap, moves) in [(0, false), (9_000, true), (130_000, false), (160_000, true)] {
            let mut net = Net::pair();
            net.ping(Encoding::Json);
            net.run(1000 + gap);
            net.ping(Encoding::Json);
            net.run(50);
            if moves {
                net.ports[1] = 7998;
                net.ping(Encoding::Json);
                net.run(50);
            }
            word(&mut net.nodes[0]);
            let before = net.wire.len();
            for _ in 0..5 {
                net.ping(Encoding::Json);
                net.run(5_000);
            }
            net.ports[1] = 7999;
            net.ping(Encoding::Json);
            net.run(60_000);
            let heard = net.heard_since(before);
            assert!(heard.is_empty(), "word {n}, after {gap} ms: {heard:?}");
            assert_eq!((net.shut_out(0), net.nodes[0].stats().tables.sessions), (1, 0), "{:?}", net.told[0]);
            net.books_hold();
        }
    }
}

#[test]
fn a_rood_ping_that_was_kept_is_answered_by_no_handshake() {
    let mut net = Net::pair();
    net.nodes[0].set_reply("*", Reply::Later).unwrap();
    net.ping(Encoding::Json);
    net.run(100);
    let (open, now) = (net.open.unwrap(), net.now());
    net.nodes[0].set_trust(SENSOR, 0.0).unwrap();
    let before = net.wire.len();
    net.run(100);
    assert_eq!(net.nodes[0].respond(now, open, Value::EMPTY_OBJECT), Err(AnswerError::Rood));
    net.run(60_000);
    assert!(net.heard_since(before).is_empty());
}

#[test]
fn who_may_not_ask_is_asked_and_answers() {
    let mut net = Net::pair();
    net.nodes[1].set_trust(HUB, 0.0).unwrap();
    for n in 1..=5 {
        net.ping(Encoding::Json);
        net.run(200);
        net.nodes[1].set_trust("jis:home:lamp", 0.9).unwrap();
        net.run(15_000);
        assert_eq!(net.count(1, "answer accept"), n, "{:?}", net.told[1]);
    }
    // A decision while an answer is on its way does not lose it.
    net.ping(Encoding::Json);
    net.nodes[1].set_trust(HUB, 0.1).unwrap();
    net.run(200);
    assert_eq!(net.count(1, "answer accept"), 6);
    assert!(net.wire.iter().all(Seen::is_sealed));
}

#[test]
fn who_waits_or_is_let_in_for_something_keeps_its_session() {
    let rule = Rule { intent: Some("door.*"), ..Rule::new("door", "door", Zone::Groen) };
    for some in [false, true] {
        let mut net = Net::pair();
        net.ping(Encoding::Json);
        net.run(1000);
        if some {
            net.nodes[0].add_rule(&rule).unwrap();
            net.nodes[0].set_trust(SENSOR, 0.0).unwrap();
        } else {
            net.nodes[0].set_trust(SENSOR, 0.5).unwrap();
        }
        net.ping(Encoding::Json);
        net.run(1000);
        assert_eq!((net.shut_out(0), net.nodes[0].stats().tables.sessions), (0, 1));
        assert_eq!(net.count(1, "answer pending"), usize::from(!some), "{:?}", net.told[1]);
    }
}
