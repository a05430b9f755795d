//! Reference node → `sluis listen`.

use std::collections::HashSet;
use std::path::Path;

use crate::common::json::Json;
use crate::data::{EVERYDAY, INTENT, PURPOSE, assert_fresh, assert_id, assert_members};
use crate::peers::Peer;
use crate::sluis::{HUB, Listen};
use crate::{Setup, matrix};

/// A DID of the reference that the hub trusts, one that it half trusts, and one that it does not know.
const TRUSTED: &str = "jis:ref:trusted";
const WAITING: &str = "jis:ref:waiting";
const UNKNOWN: &str = "jis:ref:unknown";
const TRUST: [&str; 4] = ["--trust", "jis:ref:trusted=0.9", "--trust", "jis:ref:waiting=0.5"];

matrix! {
    groen_is_answered_with_data
    geel_waits_for_the_decision
    rood_replay_and_garbage_meet_silence
    unsigned_waits_unless_allowed
    five_thousand_with_64_in_flight
}

fn sensor(python: &Path, setup: Setup, listen: &Listen, did: &str) -> Peer {
    Peer::sender(python, &[&["--did", did, "--target", HUB, "--addr", &listen.addr], setup.peer_flag()].concat())
}

fn listen(setup: Setup, reply: &str) -> Listen {
    Listen::start(setup, &[&TRUST[..], &["--allow-legacy", "--reply", reply]].concat())
}

/// The `listen` event that belongs to a packet the reference sent.
#[track_caller]
fn assert_heard(event: &Json, sent: &Json, from: &str, zone: &str, decision: &str, trust: f64) {
    let fields = sent.get("fields");
    let same = ["source_did", "target_did", "packet_id", "intent", "purpose", "payload"];
    let mut expected: Vec<(&str, Json)> = same.iter().map(|key| (*key, fields.get(key).clone())).collect();
    expected.extend([
        ("event", Json::text("ping")),
        ("zone", Json::text(zone)),
        ("decision", Json::text(decision)),
        ("rule", Json::Null),
        ("from", Json::text(from)),
        ("auth", Json::text("none")),
        ("fingerprint", Json::Null),
    ]);
    assert_members(event, &expected, &["trust_score", "wait", "t"]);
    assert!((event.number("trust_score") - trust).abs() < 1e-9, "{event:?}");
}

/// The answer to a packet as the reference decoded it: every field of it.
#[track_caller]
fn assert_answer(setup: Setup, answer: &Json, sent: &Json, hub: &str, decision: &str, payload: &Json) {
    assert_eq!(answer.str("event"), "response");
    assert_eq!(answer.str("from"), hub, "answers leave from where the ping came in");
    assert_eq!(&answer.str("frame")[..8], format!("545001{}", setup.response_flags()), "the encoding of the request");
    assert_fresh(answer);
    let fields = answer.get("fields");
    let expected = [
        ("in_response_to", sent.get("fields").get("packet_id").clone()),
        ("responder_did", Json::text(HUB)),
        ("decision", Json::text(decision)),
        ("payload", payload.clone()),
        ("capabilities", Json::List(Vec::new())),
        ("applied_rule", Json::Null),
    ];
    let others =
        ["response_id", "trust_score", "fira_breakdown", "tibet_token_id", "timestamp", "rtt_ms", "airlock_zone"];
    assert_members(fields, &expected, &others);
    assert_id(fields.str("response_id"), "resp_", 16);
    assert!(matches!(fields.get("fira_breakdown"), Json::Object(_)), "{fields:?}");
    let rtt = fields.get("rtt_ms");
    assert!(*rtt == Json::Null || rtt.as_number().is_some_and(|ms| (0.0..60_000.0).contains(&ms)), "{fields:?}");
}

fn groen_is_answered_with_data(python: &Path, setup: Setup) {
    let listen = listen(setup, setup.payload());
    let mut sensor = sensor(python, setup, &listen, TRUSTED);
    let payload = setup.payload();
    sensor.tell(
        "ping",
        &format!("\"intent\":{INTENT:?},\"purpose\":{PURPOSE:?},\"priority\":\"urgent\",\"payload\":{payload}"),
    );
    let sent = sensor.expect("sent");
    assert_eq!(sent.get("fields").get("payload"), &Json::parse(payload));
    assert_heard(&listen.expect("ping"), &sent, &sensor.addr, "GROEN", "accept", 0.9);

    let answer = sensor.expect("response");
    assert_answer(setup, &answer, &sent, &listen.addr, "accept", &Json::parse(payload));
    assert_eq!(answer.get("fields").str("airlock_zone"), "GROEN");
    assert!((answer.get("fields").number("trust_score") - 0.9).abs() < 1e-9);
    let known = Json::parse(r#"{"score":0.9,"source":"known"}"#);
    assert_eq!(answer.get("fields").get("fira_breakdown"), &known);
    assert_eq!(sensor.expect("batch").count("accept"), 1);
    assert_eq!(sensor.quit().count("orphans"), 0);

    let summary = listen.quit();
    assert_eq!((summary.count("received"), summary.count("accepted"), summary.count("pending")), (1, 1, 0));
    assert_eq!(summary.get("rejected"), &Json::Object(Vec::new()));
}

fn geel_waits_for_the_decision(python: &Path, setup: Setup) {
    let mut listen = listen(setup, EVERYDAY);
    let mut sensor = sensor(python, setup, &listen, WAITING);
    for (word, decision) in [("approve", "accept"), ("reject", "reject")] {
        sensor.tell("ping", &format!("\"payload\":{EVERYDAY}"));
        let sent = sensor.expect("sent");
        let packet_id = sent.get("fields").str("packet_id");
        assert_heard(&listen.expect("ping"), &sent, &sensor.addr, "GEEL", "pending", 0.5);
        let first = sensor.expect("response");
        assert_answer(setup, &first, &sent, &listen.addr, "pending", &Json::parse("{}"));
        assert_eq!(first.get("orphan"), &Json::Bool(false));
        assert_eq!(first.get("fields").str("airlock_zone"), "GEEL");
        assert_eq!(sensor.expect("batch").count("pending"), 1);

        listen.say(&format!("{word} {packet_id}"));
        let decided = listen.expect("decided");
        assert_eq!((decided.str("packet_id"), decided.str("decision")), (packet_id, decision));
        // The reference itself waits for one answer only; its transport does hear the second.
        let second = sensor.expect("response");
        let data = if decision == "accept" { EVERYDAY } else { "{}" };
        assert_answer(setup, &second, &sent, &listen.addr, decision, &Json::parse(data));
        assert_eq!(second.get("orphan"), &Json::Bool(true));
        assert_ne!(second.get("fields").str("response_id"), first.get("fields").str("response_id"));
    }
    assert_eq!(sensor.quit().count("orphans"), 2);
    let summary = listen.quit();
    assert_eq!(summary.count("received"), 2);
    assert_eq!(summary.get("rejected"), &Json::Object(Vec::new()));
}

fn rood_replay_and_garbage_meet_silence(python: &Path, setup: Setup) {
    let listen = listen(setup, EVERYDAY);
    let mut sensor = sensor(python, setup, &listen, TRUSTED);
    sensor.tell("ping", "\"intent\":\"first\"");
    let first = sensor.expect("sent");
    assert_eq!(sensor.expect("response").get("fields").str("decision"), "accept");
    sensor.expect("batch");
    assert_eq!(listen.expect("ping").str("intent"), "first");

    // One socket and one order: an answer to any of these would come before the answer to the ping after them.
    for _ in 0..3 {
        sensor.tell("send", &format!("\"did\":{UNKNOWN:?}"));
        sensor.expect("sent");
    }
    for _ in 0..2 {
        sensor.tell("replay", &format!("\"packet_id\":{:?}", first.get("fields").str("packet_id")));
        sensor.expect("replayed");
    }
    let frame = first.str("frame");
    for hex in ["54", "6e6f742061206672616d65", &frame[..frame.len() - 2]] {
        sensor.tell("raw", &format!("\"hex\":{hex:?}"));
        sensor.expect("replayed");
    }
    sensor.tell("raw", "\"hex\":\"54500100000000027b7d\"");
    sensor.expect("replayed");
    sensor.tell("send", "\"target\":\"jis:ref:somebody-else\"");
    sensor.expect("sent");

    sensor.tell("ping", "\"intent\":\"last\"");
    let last = sensor.expect("sent");
    let answer = sensor.expect("response");
    assert_eq!(answer.get("fields").get("in_response_to"), last.get("fields").get("packet_id"));
    sensor.expect("batch");
    assert_eq!(sensor.quit().count("orphans"), 0);
    assert_eq!(listen.expect("ping").str("intent"), "last", "nothing turned away becomes an event");

    let summary = listen.quit();
    let rejected = summary.get("rejected");
    let counted = [("rood", 3), ("replay", 2), ("header", 3), ("malformed", 1), ("not_for_us", 1)];
    assert_members(rejected, &counted.map(|(reason, n)| (reason, Json::int(n))), &[]);
    assert_eq!((summary.count("accepted"), summary.count("pending")), (2, 0));
}

fn unsigned_waits_unless_allowed(python: &Path, setup: Setup) {
    let args = ["--trust", "jis:ref:trusted=0.9", "--trust", "jis:ref:friend=0.9", "--allow-legacy=jis:ref:friend"];
    let listen = Listen::start(setup, &args);
    let mut sensor = sensor(python, setup, &listen, TRUSTED);
    for (did, zone, decision, most) in [(TRUSTED, "GEEL", "pending", 0.5), ("jis:ref:friend", "GROEN", "accept", 0.9)] {
        sensor.tell("send", &format!("\"did\":{did:?}"));
        let sent = sensor.expect("sent");
        let answer = sensor.expect("response");
        assert_answer(setup, &answer, &sent, &listen.addr, decision, &Json::parse("{}"));
        assert_heard(&listen.expect("ping"), &sent, &sensor.addr, zone, decision, most);
        assert!((answer.get("fields").number("trust_score") - most).abs() < 1e-9, "{answer:?}");
    }
    sensor.quit();
    listen.quit();
}

fn five_thousand_with_64_in_flight(python: &Path, setup: Setup) {
    const PINGS: usize = 5000;
    let listen = listen(setup, EVERYDAY);
    let addr = ["--did", TRUSTED, "--target", HUB, "--addr", &listen.addr, "--quiet"];
    let mut sensor = Peer::sender(python, &[&addr, setup.peer_flag()].concat());
    sensor.tell("ping", &format!("\"count\":{PINGS},\"in_flight\":64,\"purpose\":{PURPOSE:?},\"payload\":{EVERYDAY}"));
    let payload = Json::parse(EVERYDAY);
    let mut ids = HashSet::new();
    for _ in 0..PINGS {
        let event = listen.expect("ping");
        assert_eq!((event.str("source_did"), event.str("purpose")), (TRUSTED, PURPOSE));
        assert_eq!((event.str("decision"), event.str("from")), ("accept", sensor.addr.as_str()));
        assert_eq!(event.get("payload"), &payload);
        assert!(ids.insert(event.str("packet_id").to_owned()), "accepted twice: {event:?}");
    }
    let batch = sensor.expect("batch");
    assert_eq!((batch.count("accept"), batch.count("lost")), (PINGS as u64, 0), "{batch:?}");
    sensor.quit();
    let summary = listen.quit();
    assert_eq!((summary.count("received"), summary.count("accepted")), (PINGS as u64, PINGS as u64));
    assert_eq!(summary.get("rejected"), &Json::Object(Vec::new()));
}
