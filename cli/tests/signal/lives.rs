//! Peers of ours at brokers of ours.

use std::time::Duration;

use serde_json::Value;

use crate::cast::{ALICE, Broker, Keys, event, json, named};
use crate::common::process::Process;
use crate::on_both;

on_both! {
    a_message_arrives_and_is_told
    a_message_bears_the_name_of_its_sender
    an_acknowledgement_waits_for_a_line
    the_demo_goes_as_told
}

fn urls(brokers: &[Broker]) -> Vec<String> {
    brokers.iter().map(|broker| broker.url.clone()).collect()
}

fn a_message_arrives_and_is_told(runtime: &'static str) {
    let running = [Broker::start(&[]), Broker::start(&[])];
    let brokers = urls(&running);
    let keys = Keys::new("arrives", runtime, &["alice.key", "bob.key"]);
    let (alice, bob) = (keys.public("alice.key"), keys.public("bob.key"));
    let mut listener = keys.listen("bob.key", &brokers, &["--echo", "--count", "3"]);
    let said = keys.send(0, &bob, &brokers, &["--text", "g\u{fc}n {i}", "--count", "2", "--timeout", "60"]);
    let sent = named(&said, "sent");
    assert_eq!(sent.len(), 2, "{said:?}");
    for (n, sent) in sent.iter().enumerate() {
        assert_eq!((&sent["i"], &sent["acked"], &sent["sealed"]), (&n.into(), &true.into(), &true.into()));
        assert_eq!((&sent["maybe_dropped"], &sent["reason"]), (&false.into(), &Value::Null));
        assert!(brokers.iter().any(|broker| sent["broker"] == **broker), "{sent}");
    }
    let first = event(&listener, "message");
    assert_eq!((&first["text"], &first["from"], &first["sealed"]), (&"g\u{fc}n 0".into(), &alice.into(), &true.into()));
    assert!(brokers.iter().any(|broker| first["broker"] == **broker), "{first}");
    assert!((-1.0..60.0).contains(&first["age_s"].as_f64().expect("a number")), "{first}");
    assert_eq!(event(&listener, "message")["text"], "g\u{fc}n 1");
    // All bytes arrive, and the longest message.
    keys.folder.write("long", [0xff; 65_536]);
    keys.send(0, &bob, &brokers, &["--file", "long", "--timeout", "60"]);
    let third = event(&listener, "message");
    assert_eq!((&third["len"], &third["text"], &third["hex"]), (&65_536.into(), &Value::Null, &Value::Null));
    let (code, rest) = listener.finish();
    let summary = json(rest.last().expect("a summary"));
    assert_eq!((code, &summary["messages"], &summary["sealed"]), (0, &3.into(), &3.into()));
    // Nobody is there any more. (Long enough that a slow machine has joined a broker before.)
    let said = keys.send(1, &bob, &brokers, &["--text", "x", "--timeout", "8"]);
    assert_eq!(named(&said, "sent")[0]["reason"], "no acknowledgement in time");
}

/// Both sides have names; only that of a key which is pinned to it is told as one.
fn a_message_bears_the_name_of_its_sender(runtime: &'static str) {
    let running = [Broker::start(&[])];
    let brokers = urls(&running);
    let keys = Keys::new("names", runtime, &["alice.key", "bob.key"]);
    for key in ["alice.id", "bob.id", "other.id"] {
        keys.folder.prints(&["key", "new", key]);
    }
    let bob = keys.public("bob.key");
    let named = ["--echo", "--did", "jis:test:bob", "--id-key", "bob.id", "--pin", "jis:test:alice=alice.id"];
    let listener = keys.listen("bob.key", &brokers, &named);
    let send = |key: &str, pin: &str| {
        let name = ["--did", "jis:test:alice", "--id-key", key, "--pin", pin];
        let args = [&["--text", "x", "--count", "2", "--interval", "0.5", "--timeout", "60"][..], &name].concat();
        (keys.send(0, &bob, &brokers, &args), event(&listener, "message"), event(&listener, "message"))
    };
    let (said, first, _) = send("alice.id", "jis:test:bob=bob.id");
    assert_eq!((&first["did"], first.get("claims")), (&"jis:test:alice".into(), None));
    let echo = named_echo(&said);
    assert_eq!((&echo["did"], echo.get("claims")), (&"jis:test:bob".into(), None));
    // Anybody may call himself so.
    let (said, first, _) = send("other.id", "jis:test:bob=other.id");
    let other = keys.folder.prints(&["key", "export", "other.id", "--format", "hex"]);
    assert_eq!((&first["did"], &first["claims"]["did"]), (&Value::Null, &"jis:test:alice".into()));
    assert_eq!(first["claims"]["key"], other.trim());
    let echo = named_echo(&said);
    assert_eq!((&echo["did"], &echo["claims"]["did"]), (&Value::Null, &"jis:test:bob".into()));
}

/// What came back while the sender was there.
fn named_echo(said: &[Value]) -> Value {
    (*named(said, "message").first().expect("an echo of the first one")).clone()
}

fn an_acknowledgement_waits_for_a_line(runtime: &'static str) {
    let running = [Broker::start(&[])];
    let brokers = urls(&running);
    let keys = Keys::new("confirm", runtime, &["alice.key", "bob.key"]);
    let bob = keys.public("bob.key");
    let mut listener = keys.listen("bob.key", &brokers, &["--confirm", "--count", "2"]);
    let send = |text: &str| {
        let all = keys.args(&["send", &bob, "--text", text, "--timeout", "300"], "alice.key", &brokers);
        Process::spawn("sluis signal send", &mut keys.folder.command(&all))
    };
    let mut sender = send("not yet");
    let first = event(&listener, "message");
    // That it is told is no reason to acknowledge it.
    std::thread::sleep(Duration::from_secs(1));
    sender.signal("TERM");
    let (code, said) = sender.finish();
    let summary = json(said.last().expect("a summary"));
    assert_eq!((code, &summary["count"], &summary["acked"]), (1, &1.into(), &0.into()), "{said:?}");
    let sender = send("now");
    let second = event(&listener, "message");
    listener.say("nonsense");
    listener.say("ok nobody");
    listener.wait_for_stderr("No message of this id waits to be confirmed.");
    listener.say(&format!("ok {}", second["id"].as_str().expect("an id")));
    assert_eq!(event(&sender, "sent")["acked"], true);
    listener.say(&format!("ok {}", first["id"].as_str().expect("an id")));
    assert_eq!(listener.finish().0, 0);
}

fn the_demo_goes_as_told(runtime: &'static str) {
    let keys = Keys::new("demo", runtime, &[]);
    let said = keys.folder.ends(0, &["signal", "demo", "--runtime", runtime, "--json"]);
    let events: Vec<Value> = said.lines().map(json).collect();
    let steps = named(&events, "step");
    assert_eq!(steps.len(), 8);
    assert!(steps.iter().all(|step| step["ok"] != false), "{steps:?}");
    assert!(named(&events, "message").len() == 6 && named(&events, "sent").iter().all(|sent| sent["acked"] == true));
    let summary = events.last().expect("a summary");
    assert_eq!((&summary["messages"], &summary["acked"], &summary["ok"]), (&6.into(), &6.into(), &true.into()));
    let text = keys.folder.prints(&["signal", "demo", "--runtime", runtime]);
    for part in ["lie", "dies", "good night", "All went as told."] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_pool_is_checked_broker_by_broker() {
    let running = [Broker::start(&[]), Broker::start(&["--fault", "refuse"])];
    let mut brokers = urls(&running);
    brokers.push("mqtt://127.0.0.1:1".to_owned());
    let keys = Keys::new("check", "tokio", &["check.key"]);
    let mut all = vec!["signal", "rank", ALICE.0, "--check", "--json"];
    all.extend(brokers.iter().flat_map(|broker| ["--broker", broker.as_str()]));
    let events: Vec<Value> = keys.folder.ends(0, &all).lines().map(json).collect();
    let of = |url: &str| *named(&events, "broker").iter().find(|event| event["broker"] == url).expect("a broker");
    assert_eq!((&of(&brokers[0])["up"], &of(&brokers[0])["reason"]), (&true.into(), &Value::Null));
    assert!(of(&brokers[0])["rtt_ms"].is_number());
    assert_eq!(of(&brokers[1])["reason"], "it refuses us with code 5");
    assert_eq!((&of(&brokers[2])["up"], &of(&brokers[2])["rtt_ms"]), (&false.into(), &Value::Null));
    assert_eq!(named(&events, "summary")[0]["up"], 1);
    // Under a key of our own, and from an address that there is or is not.
    for (from, up) in [("127.0.0.1", 1), ("192.0.2.1", 0)] {
        let checked = keys.folder.ends(0, &[&all[..], &["--key", "check.key", "--from4", from]].concat());
        assert_eq!(json(checked.lines().last().expect("a summary"))["up"], up, "{checked}");
    }
}

#[test]
fn a_hint_leads_to_a_broker_outside_of_the_pool() {
    let running = [Broker::start(&[]), Broker::start(&[])];
    let brokers = urls(&running);
    let keys = Keys::new("hint", "tokio", &["alice.key", "bob.key"]);
    let bob = keys.public("bob.key");
    let _listener = keys.listen("bob.key", &brokers[1..], &[]);
    keys.send(1, &bob, &brokers[..1], &["--text", "x", "--timeout", "1"]);
    let said = keys.send(0, &bob, &brokers[..1], &["--text", "x", "--timeout", "60", "--hint", &brokers[1]]);
    assert_eq!(named(&said, "sent")[0]["broker"], *brokers[1]);
    let all = keys.args(&["probe", &bob, "--timeout", "60", "--hint", &brokers[1]], "alice.key", &brokers[..1]);
    let probe = json(keys.folder.ends(0, &all).lines().last().expect("an answer"));
    assert_eq!((&probe["event"], &probe["kind"]), (&"probe".into(), &"sluis".into()));
}

/// The listener is killed again and again in the middle of it: nothing comes twice, what is acknowledged was told, and what is not is said.
#[cfg(unix)]
#[test]
fn acknowledged_is_told_exactly_once_however_often_the_listener_is_killed() {
    let running = [Broker::start(&[]), Broker::start(&["--fault", "duplicate=0.3"])];
    let brokers = urls(&running);
    let keys = Keys::new("state", "tokio", &["alice.key", "bob.key"]);
    let bob = keys.public("bob.key");
    let mut listener = keys.listen("bob.key", &brokers, &["--state", "bob.state"]);
    // Half as long as a line is waited for here: what was under way when it was killed is waited for until then, and nothing else may be.
    let text = ["send", &bob, "--text", "{i}", "--count", "300", "--in-flight", "8", "--timeout", "30"];
    let mut sender = Process::spawn("send", &mut keys.folder.command(&keys.args(&text, "alice.key", &brokers)));
    let mut told: Vec<String> = Vec::new();
    let text_of = |event: &Value| event["text"].as_str().expect("text").to_owned();
    // What it had written when it ended is told, too.
    let rest = |listener: &mut Process| {
        let lines = listener.finish().1.into_iter().map(|line| json(&line));
        lines.filter(|event| event["event"] == "message").map(|event| text_of(&event)).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        told.extend((0..40).map(|_| text_of(&event(&listener, "message"))));
        listener.signal("KILL");
        told.extend(rest(&mut listener));
        listener = keys.listen("bob.key", &brokers, &["--state", "bob.state"]);
    }
    let (_, lines) = sender.finish();
    listener.signal("TERM");
    told.extend(rest(&mut listener));
    let sent: Vec<Value> = lines.iter().map(|line| json(line)).filter(|event| event["event"] == "sent").collect();
    assert_eq!(sent.len(), 300);
    let mut numbers: Vec<u64> = told.iter().map(|text| text.parse().expect("a number")).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let all = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), all, "one came twice");
    for sent in &sent {
        let told = numbers.contains(&sent["i"].as_u64().expect("a number"));
        assert!(told || sent["acked"] == false, "{sent} was acknowledged and never told");
    }
    let lost = sent.iter().filter(|sent| sent["acked"] == false).count();
    assert!(lost <= 3 * 8, "{lost} were not acknowledged");
    // Nobody else's state is taken.
    let other = keys.args(&["listen", "--state", "bob.state"], "alice.key", &brokers);
    assert!(keys.folder.sluis(&other).status.code() == Some(1));
}
