//! What each flag of `listen` and `send` promises, where no other test here holds it.

use serde_json::Value;

use crate::cast::{Broker, Keys, event, json, named};
use crate::common::process::Process;

fn urls(brokers: &[Broker]) -> Vec<String> {
    brokers.iter().map(|broker| broker.url.clone()).collect()
}

/// `--only`, by a key file and in hex: nobody else is told, or acknowledged.
#[test]
fn only_who_is_named_is_told_and_acknowledged() {
    let broker = [Broker::start(&[])];
    let brokers = urls(&broker);
    let keys = Keys::new("only", "tokio", &["alice.key", "bob.key", "carol.key", "dave.key"]);
    let (bob, carol) = (keys.public("bob.key"), keys.public("carol.key"));
    let mut listener = keys.listen("bob.key", &brokers, &["--only", "alice.key", "--only", &carol]);
    let send = |key: &str, code: i32, timeout: &str| {
        let all = keys.args(&["send", &bob, "--text", key, "--timeout", timeout], key, &brokers);
        keys.folder.ends(code, &all);
    };
    send("dave.key", 1, "2");
    send("alice.key", 0, "60");
    send("carol.key", 0, "60");
    listener.signal("TERM");
    let (code, said) = listener.finish();
    let said: Vec<Value> = said.iter().map(|line| json(line)).collect();
    let texts: Vec<&Value> = named(&said, "message").iter().map(|message| &message["text"]).collect();
    assert_eq!((code, texts), (0, vec![&Value::from("alice.key"), &Value::from("carol.key")]));
    let summary = named(&said, "summary")[0];
    assert_eq!((&summary["messages"], &summary["rejected"]["not_allowed"]), (&2.into(), &1.into()), "{summary}");
}

/// `--quiet` on both sides: the summary alone. `--unordered`: all arrive, each once, though half of the brokers' deliveries are lost.
#[test]
fn quiet_says_the_summary_alone_and_unordered_loses_nothing() {
    let running = [Broker::start(&["--fault", "lose=0.5"]), Broker::start(&["--fault", "duplicate"])];
    let brokers = urls(&running);
    let keys = Keys::new("quiet", "smol", &["alice.key", "bob.key"]);
    let bob = keys.public("bob.key");
    let all = keys.args(&["listen", "--quiet", "--count", "40"], "bob.key", &brokers);
    let mut listener = Process::spawn("listen", &mut keys.folder.command(&all));
    let text = ["--unordered", "--text", "{i}", "--count", "40", "--in-flight", "40", "--timeout", "60", "--quiet"];
    let said = keys.send(0, &bob, &brokers, &text);
    assert_eq!((said.len(), &said[0]["event"], &said[0]["acked"]), (1, &"summary".into(), &40.into()), "{said:?}");
    let (code, said) = listener.finish();
    assert_eq!((code, said.len()), (0, 1), "{said:?}");
    let summary = json(&said[0]);
    assert_eq!(
        (&summary["event"], &summary["messages"], &summary["sealed"]),
        (&"summary".into(), &40.into(), &40.into())
    );
}

/// `--join`: so many of the own ranking, and a peer finds them. `--from6`: over IPv6, from an address that there is, or not at all.
#[test]
fn a_node_joins_as_many_as_it_is_told_and_dials_from_where_it_is_told() {
    let running: Vec<Broker> = (0..3).map(|_| Broker::start(&[])).collect();
    let brokers = urls(&running);
    let keys = Keys::new("join", "tokio", &["alice.key", "bob.key"]);
    let bob = keys.public("bob.key");
    let all = keys.args(&["listen", "--join", "1"], "bob.key", &brokers);
    let listener = Process::spawn("listen", &mut keys.folder.command(&all));
    let joined = event(&listener, "joined");
    let ready = event(&listener, "ready");
    assert_eq!((&ready["joined"], &ready["wanted"]), (&1.into(), &1.into()));
    // The first of its ranking.
    let mut rank = vec!["signal", "rank", &bob, "--json"];
    rank.extend(brokers.iter().flat_map(|broker| ["--broker", broker.as_str()]));
    assert_eq!(json(keys.folder.ends(0, &rank).lines().next().expect("a broker"))["broker"], joined["broker"]);
    let said = keys.send(0, &bob, &brokers, &["--text", "x", "--timeout", "60"]);
    assert_eq!(named(&said, "sent")[0]["broker"], joined["broker"]);

    let six = [Broker::at("[::1]:0")];
    let brokers = urls(&six);
    let _listener = keys.listen("bob.key", &brokers, &["--from6", "::1"]);
    keys.send(0, &bob, &brokers, &["--text", "x", "--timeout", "60", "--from6", "::1"]);
    let said = keys.send(1, &bob, &brokers, &["--text", "x", "--timeout", "2", "--from6", "2001:db8::1"]);
    assert_eq!(named(&said, "sent")[0]["reason"], "no broker could be joined");
}

/// `--cache` with `--state`: the second time a peer is looked for first where it was heard, and that takes no longer than it must.
#[test]
fn where_a_peer_was_heard_is_where_it_is_looked_for_first() {
    let running: Vec<Broker> = (0..8).map(|_| Broker::start(&[])).collect();
    let brokers = urls(&running);
    let keys = Keys::new("cache", "tokio", &["alice.key", "bob.key"]);
    let bob = keys.public("bob.key");
    let mut rank = vec!["signal", "rank", &bob, "--json"];
    rank.extend(brokers.iter().flat_map(|broker| ["--broker", broker.as_str()]));
    let ranked: Vec<Value> = keys.folder.ends(0, &rank).lines().map(json).collect();
    // Only at the last of its ranking, which nobody tries at first.
    let last = named(&ranked, "broker").last().expect("eight")["broker"].as_str().expect("a URL").to_owned();
    let _listener = keys.listen("bob.key", std::slice::from_ref(&last), &[]);
    let send = || {
        let args = ["--text", "x", "--timeout", "60", "--state", "alice.state", "--cache"];
        let sent = named(&keys.send(0, &bob, &brokers, &args), "sent")[0].clone();
        assert_eq!(sent["broker"], *last);
        sent["ms"].as_f64().expect("a number")
    };
    let first = send();
    assert!(first >= 300.0, "{first} ms: it was not looked for elsewhere before");
    // A machine that is busy may take longer now and then.
    let again: Vec<f64> = (0..5).map(|_| send()).collect();
    assert!(again.iter().any(|ms| *ms < 300.0), "{again:?} ms, and {first} ms at first");
}
