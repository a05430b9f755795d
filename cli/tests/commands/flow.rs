//! Pings and answers.

use std::collections::HashSet;

use sluis_core::framing::Value;

use crate::common::json::Json;
use crate::on_both;
use crate::sluis::{HUB, Listen, Ping, Raw, SENSOR, assert_counts, assert_rejected};

on_both! {
    groen_carries_any_data_both_ways
    no_payload_stops_a_json_reader
    every_encoding_works
    ipv6_works
    thousands_in_flight_and_none_lost
    strangers_hear_nothing
    rejects_are_told_once_a_second
    the_configuration_counts_and_flags_win
    a_rhythm_is_kept
    unsigned_pings_wait_unless_allowed
}

const PAYLOAD: &str = r#"{"é":["😀","\u001b[2J\u0085",1e-7,-0.0,-9007199254740991,1e+16],"deep":[[[{}]]],"n":null}"#;

fn groen_carries_any_data_both_ways(runtime: &str) {
    let listen = Listen::start(runtime, &["--reply", PAYLOAD]);
    let args = ["--count", "1", "--intent", "温度.read", "--purpose", "why\u{1b}[0m not", "--payload", PAYLOAD];
    let (code, events, summary) = Ping::start(runtime, SENSOR, &listen.addr, &args).finish();
    let heard = listen.expect("ping");
    let text = |key| heard.str(key).to_owned();
    assert_eq!([text("source_did"), text("target_did")], [SENSOR, HUB]);
    assert_eq!([text("intent"), text("purpose")], ["温度.read", "why\u{1b}[0m not"]);
    assert_eq!([text("zone"), text("decision")], ["GROEN", "accept"]);
    assert_eq!((heard.get("payload"), heard.get("rule")), (&Json::parse(PAYLOAD), &Json::Null));
    assert!((heard.number("trust_score") - 0.9).abs() < 1e-9);

    let [answer] = &events[..] else { panic!("one answer: {events:?}") };
    assert_eq!((answer.get("packet_id"), answer.count("seq")), (heard.get("packet_id"), 1));
    assert_eq!((answer.str("decision"), answer.str("zone")), ("accept", "GROEN"));
    assert_eq!((answer.str("responder_did"), answer.str("from")), (HUB, listen.addr.as_str()));
    assert_eq!(answer.get("payload"), &Json::parse(PAYLOAD));
    assert_eq!(code, 0);
    assert_counts(&summary, &[("sent", 1), ("received", 1), ("lost", 0), ("accept", 1), ("pending", 0), ("reject", 0)]);
    let rtt = summary.get("rtt_ms");
    assert!((rtt.number("p50") - answer.number("rtt_ms")).abs() < 1e-3 && rtt.number("min") > 0.0, "{summary:?}");

    let (events, summary) = listen.quit();
    assert!(events.is_empty(), "{events:?}");
    assert_counts(&summary, &[("received", 1), ("accepted", 1), ("pending", 0)]);
}

fn no_payload_stops_a_json_reader(runtime: &str) {
    let listen = Listen::start(runtime, &["--reply", r#"{"n":[9007199254740993]}"#]);
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let hostile = [
        &*deep(65),
        &deep(260),
        &deep(985),
        r#"{"a":1,"b":2,"a":3}"#,
        "[9007199254740993]",
        "-1e400",
        r#"{"n":{"n":1,"n":1}}"#,
    ];
    let raw = Raw::new(listen.addr());
    for (i, payload) in hostile.iter().enumerate() {
        // As a stranger writes it: our own encoder would put some of these right.
        let (id, mark) = (format!("p{i}"), "[\"the payload\"]");
        let frame = Raw::frame_with(SENSOR, &id, "a", &id, Value::from_json(mark).expect("JSON"));
        let text = String::from_utf8(frame[8..].to_vec()).expect("UTF-8").replace(mark, payload);
        let length = u32::try_from(text.len()).expect("it is short").to_be_bytes();
        raw.ask(&[b"TP\x01\x00", &length[..], text.as_bytes()].concat()).expect("an answer");
        let heard = listen.expect("ping");
        assert_eq!(heard.get("payload"), &Json::Object(vec![("text".to_owned(), Json::text(payload))]));
    }
    // What the hub is told is printed by `ping` in the same way.
    let (code, events, _) =
        Ping::start(runtime, SENSOR, &listen.addr, &["--count", "1", "--payload", &deep(64)]).finish();
    assert_eq!(listen.expect("ping").get("payload"), &Json::parse(&deep(64)));
    assert_eq!((code, events[0].get("payload")), (0, &Json::parse(r#"{"text":"{\"n\":[9007199254740993]}"}"#)));
    listen.quit();
}

fn every_encoding_works(runtime: &str) {
    let listen = Listen::start(runtime, &["--reply", r#"{"ok":[1,2.5,"é"]}"#]);
    for encoding in ["json", "msgpack", "postcard"] {
        let args = ["--count", "2", "--interval", "0", "--encoding", encoding, "--payload", r#"[1,{"a":"é"}]"#];
        let args = [&args[..], &["--priority", "urgent"]].concat();
        let (code, events, _) = Ping::start(runtime, SENSOR, &listen.addr, &args).finish();
        assert_eq!((code, events.len()), (0, 2), "{encoding}: {events:?}");
        assert_eq!(events[1].get("payload"), &Json::parse(r#"{"ok":[1,2.5,"é"]}"#), "{encoding}");
        for _ in 0..2 {
            assert_eq!(listen.expect("ping").get("payload"), &Json::parse(r#"[1,{"a":"é"}]"#), "{encoding}");
        }
    }
    listen.quit();
}

fn ipv6_works(runtime: &str) {
    let trust = ["--trust", "jis:test:sensor=0.9", "--allow-legacy=jis:test:*"];
    let listen = Listen::bare(runtime, &[&["--bind", "[::1]:0"], &trust[..]].concat());
    assert!(listen.addr.starts_with("[::1]:"), "{}", listen.addr);
    let (code, events, _) = Ping::start(runtime, SENSOR, &listen.addr, &["--count", "1"]).finish();
    assert_eq!((code, events[0].str("from")), (0, listen.addr.as_str()));
    let from = listen.expect("ping").str("from").to_owned();
    assert!(from.starts_with("[::1]:"), "{from}");
    let args = ["--count", "1", "--bind", "[::1]:0"];
    assert_eq!(Ping::start(runtime, SENSOR, &listen.addr, &args).finish().0, 0);
    listen.quit();

    // One socket for both families; a name instead of a number.
    let listen = Listen::bare(runtime, &[&["--bind", "[::]:0"], &trust[..]].concat());
    let port = listen.addr().port();
    for target in [format!("127.0.0.1:{port}"), format!("[::1]:{port}"), format!("localhost:{port}")] {
        let (code, _, summary) = Ping::start(runtime, SENSOR, &target, &["--count", "1"]).finish();
        assert_eq!(code, 0, "{target}: {summary:?}");
    }
    listen.quit();
}

fn thousands_in_flight_and_none_lost(runtime: &str) {
    let listen = Listen::start(runtime, &["--count", "5000"]);
    let args = ["--count", "5000", "--in-flight", "64", "--interval", "0", "--payload", r#"{"x":"é"}"#];
    let (code, events, summary) = Ping::start(runtime, SENSOR, &listen.addr, &args).finish();
    assert_eq!((code, events.len()), (0, 5000), "{summary:?}");
    assert_counts(&summary, &[("sent", 5000), ("received", 5000), ("lost", 0), ("accept", 5000)]);
    let seqs: HashSet<u64> = events.iter().map(|event| event.count("seq")).collect();
    assert!(seqs.len() == 5000 && seqs.contains(&1) && seqs.contains(&5000));

    // `--count` ended it by itself, with every answer sent.
    let (heard, summary) = listen.finish();
    let asked: HashSet<&str> = events.iter().map(|event| event.str("packet_id")).collect();
    let ids: HashSet<&str> = heard.iter().map(|event| event.str("packet_id")).collect();
    assert!(asked == ids && ids.len() == 5000 && heard.len() == 5000);
    assert_counts(&summary, &[("received", 5000), ("accepted", 5000), ("pending", 0)]);
    assert_rejected(&summary, &[]);
}

fn strangers_hear_nothing(runtime: &str) {
    let listen = Listen::start(runtime, &[]);
    let args = ["--count", "3", "--in-flight", "3", "--interval", "0", "--timeout", "0.3"];
    let (code, events, summary) = Ping::start(runtime, "jis:test:stranger", &listen.addr, &args).finish();
    assert_eq!(code, 1);
    assert!(events.iter().all(|event| event.str("event") == "timeout"));
    let seqs: Vec<u64> = events.iter().map(|event| event.count("seq")).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_counts(&summary, &[("sent", 3), ("received", 0), ("lost", 3), ("accept", 0), ("pending", 0), ("reject", 0)]);
    assert_eq!(summary.get("rtt_ms").get("p50"), &Json::Null);
    let (events, summary) = listen.quit();
    assert_eq!(events.iter().map(|event| event.count("count")).sum::<u64>(), 3);
    assert_rejected(&summary, &[("rood", 3)]);
}

fn rejects_are_told_once_a_second(runtime: &str) {
    let listen = Listen::start(runtime, &[]);
    let raw = Raw::new(listen.addr());
    let frame = Raw::frame(SENSOR, "p1", "a", "n1");
    for datagram in [&frame[..], &frame, &frame, b"junk", b"TP\x01\x00\x00\x00\x00\x02{}"] {
        raw.send(datagram);
    }
    listen.expect("ping");
    // A second after the first of them, all that came meanwhile.
    let mut told: Vec<(String, u64)> = Vec::new();
    for _ in 0..3 {
        let event = listen.expect("rejected");
        told.push((event.str("reason").to_owned(), event.count("count")));
    }
    assert_eq!(told, [("header".to_owned(), 1), ("malformed".to_owned(), 1), ("replay".to_owned(), 2)]);
    raw.send(&frame);
    let event = listen.expect("rejected");
    assert_eq!((event.str("reason"), event.count("count")), ("replay", 1), "only what is new");
    let (_, summary) = listen.quit();
    assert_rejected(&summary, &[("header", 1), ("malformed", 1), ("replay", 3)]);
    assert_counts(&summary, &[("received", 6), ("accepted", 1), ("pending", 0)]);
}

fn the_configuration_counts_and_flags_win(runtime: &str) {
    let file = format!("{}/hub-{runtime}.toml", env!("CARGO_TARGET_TMPDIR"));
    let text = r#"
        did = "jis:test:overruled"
        bind = "127.0.0.1:0"
        allow_legacy = ["jis:test:*"]
        reply = '{"from":"config"}'
        trust = { "jis:test:sensor" = 0.2, "jis:test:door" = 0.85 }
        thresholds = { groen = 0.8, rood = 0.4 }
        [[rules]]
        name = "doors wait"
        zone = "GEEL"
        intent = "door.*"
        priority = 90
        [[replies]]
        intent = "temperature.*"
        reply = '{"celsius":21.5}'
    "#;
    std::fs::write(&file, text).expect("a file can be written");
    let flags = ["--config", &file, "--trust", "jis:test:sensor=0.8", "--reply", r#"{"from":"flag"}"#];
    let listen = Listen::bare(runtime, &flags);
    let no_wait = ["--count", "1", "--no-wait"];
    for (did, intent, decision, payload, rule) in [
        (SENSOR, "temperature.read", "accept", r#"{"celsius":21.5}"#, Json::Null),
        (SENSOR, "other", "accept", r#"{"from":"flag"}"#, Json::Null),
        ("jis:test:door", "other", "accept", r#"{"from":"flag"}"#, Json::Null),
        ("jis:test:door", "door.open", "pending", "{}", Json::text("doors wait")),
    ] {
        let args = [&no_wait[..], &["--intent", intent]].concat();
        let (code, events, _) = Ping::start(runtime, did, &listen.addr, &args).finish();
        assert_eq!((code, events[0].str("decision")), (0, decision), "{did} {intent}");
        assert_eq!(events[0].get("payload"), &Json::parse(payload), "{did} {intent}");
        assert_eq!(listen.expect("ping").get("rule"), &rule, "{did} {intent}");
    }
    listen.quit();
}

fn a_rhythm_is_kept(runtime: &str) {
    let listen = Listen::start(runtime, &[]);
    let args = ["--count", "4", "--interval", "0.1"];
    let (code, _, summary) = Ping::start(runtime, SENSOR, &listen.addr, &args).finish();
    assert!(code == 0 && summary.number("elapsed_s") >= 0.3, "{summary:?}");
    // Also with more than one in flight: nobody answers, and yet the third is sent no sooner.
    let args = ["--count", "3", "--in-flight", "3", "--interval", "0.1", "--timeout", "0.05"];
    let (_, _, summary) = Ping::start(runtime, "jis:test:stranger", &listen.addr, &args).finish();
    assert!(summary.number("elapsed_s") >= 0.25, "{summary:?}");
    listen.quit();
}

fn unsigned_pings_wait_unless_allowed(runtime: &str) {
    let trust = ["--trust", "jis:test:sensor=0.9", "--trust", "jis:friend:x=0.9", "--allow-legacy=jis:friend:*"];
    let listen = Listen::bare(runtime, &[&["--bind", "127.0.0.1:0"], &trust[..]].concat());
    for (did, decision, trust) in [(SENSOR, "pending", 0.5), ("jis:friend:x", "accept", 0.9)] {
        let (code, events, _) = Ping::start(runtime, did, &listen.addr, &["--count", "1", "--no-wait"]).finish();
        assert_eq!((code, events[0].str("decision")), (0, decision), "{did}");
        assert!((events[0].number("trust_score") - trust).abs() < 1e-9, "{events:?}");
    }
    listen.quit();
}
