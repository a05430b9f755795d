//! Every event of `--json`, with the members that it is promised to have, and words where nobody is reached.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use sluis_signal::envelope::{Content, Kind};
use sluis_signal::key::SecretKey;
use sluis_signal::mqtt::{Connect, Publish, encode};

use crate::cast::{ALICE, Broker, Keys, event, json, named};
use crate::common::process::Process;

/// Exactly these, and its name and time.
#[track_caller]
fn has(event: &Value, members: &[&str]) {
    let mut found: Vec<&str> = event.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut promised = [members, &["event", "t"]].concat();
    found.sort_unstable();
    promised.sort_unstable();
    assert_eq!(found, promised, "{event}");
    // Told at a time that has come.
    assert!(event["t"].as_str().expect("a time") > "2020", "{event}");
}

/// The key of the reference's fixtures, as `alice.key` too.
fn alice(keys: &Keys) -> SecretKey {
    keys.folder.write("secret.hex", ALICE.1);
    keys.folder.set_mode("secret.hex", 0o600);
    keys.folder.prints(&["key", "new", "alice.key", "--kind", "secp256k1", "--import", "secret.hex"]);
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&ALICE.1[2 * at..2 * at + 2], 16).expect("hex")).collect();
    SecretKey::from_bytes(&bytes.try_into().expect("32")).expect("a key")
}

/// Publish something that is not a packet of ours, as anybody at a broker can.
fn publish(url: &str, topic: &str, payload: &[u8]) {
    let mut stream = TcpStream::connect(url.strip_prefix("mqtt://").expect("a URL")).expect("a broker");
    let mut out = vec![0; payload.len() + 300];
    let connect = Connect { client_id: "anybody", clean: true, keep_alive: 0, user: None, password: None, will: None };
    let len = encode::connect(&connect, &mut out).expect("room");
    stream.write_all(&out[..len]).expect("it reads");
    stream.read_exact(&mut [0; 4]).expect("CONNACK");
    let publish = Publish { topic, payload, id: None, retain: false, duplicate: false };
    let len = encode::publish(&publish, &mut out).expect("room");
    stream.write_all(&out[..len]).expect("it reads");
}

#[test]
fn every_event_of_a_listener_and_a_sender_has_its_members() {
    let mut process = Process::spawn("broker", &mut {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluis"));
        command.args(["signal", "broker", "--json", "--bind", "127.0.0.1:0"]);
        command
    });
    let listening = event(&process, "listening");
    has(&listening, &["addr", "url"]);
    let brokers = [listening["url"].as_str().expect("a URL").to_owned(), "mqtt://127.0.0.1:1".to_owned()];
    let keys = Keys::new("members", "tokio", &["bob.key"]);
    alice(&keys);
    let bob = keys.public("bob.key");
    let all = keys.args(&["listen", "--confirm"], "bob.key", &brokers);
    let mut listener = Process::spawn("listen", &mut keys.folder.command(&all));
    let heard = [json(&listener.line()), json(&listener.line())];
    has(named(&heard, "joined")[0], &["broker", "rtt_ms"]);
    has(named(&heard, "left")[0], &["broker", "reason", "words"]);
    let ready = event(&listener, "ready");
    has(&ready, &["public_key", "joined", "wanted"]);
    assert_eq!((&ready["joined"], &ready["wanted"]), (&1.into(), &2.into()));

    // The first is given up before it is confirmed, and its acknowledgement is late.
    let text = ["send", &bob, "--text", "{i}", "--count", "2", "--timeout", "3", "--interval", "2", "--in-flight", "2"];
    let mut sender = Process::spawn("send", &mut keys.folder.command(&keys.args(&text, "alice.key", &brokers)));
    let message = event(&listener, "message");
    has(&message, &["n", "from", "did", "text", "hex", "len", "sha256", "sealed", "broker", "id", "age_s"]);
    assert_eq!((&message["from"], &message["hex"], &message["text"]), (&ALICE.0.into(), &"30".into(), &"0".into()));
    let lost = event(&sender, "sent");
    has(&lost, &["i", "acked", "ms", "broker", "sealed", "maybe_dropped", "reason"]);
    assert_eq!(
        (&lost["i"], &lost["acked"], &lost["reason"]),
        (&0.into(), &false.into(), &"no acknowledgement in time".into())
    );
    listener.say(&format!("ok {}", message["id"].as_str().expect("an id")));
    let late = event(&sender, "late");
    has(&late, &["i", "ms"]);
    assert!(late["i"] == 0 && late["ms"].as_f64() >= Some(3000.0), "{late}");
    let (code, said) = sender.finish();
    let said: Vec<Value> = said.iter().map(|line| json(line)).collect();
    let summary = named(&said, "summary")[0];
    has(summary, &["count", "acked", "failed", "replies", "per_second", "rtt_ms", "elapsed_s"]);
    assert_eq!((code, &summary["count"], &summary["failed"]), (1, &2.into(), &2.into()));

    publish(&brokers[0], &bob, b"nothing");
    let rejected = event(&listener, "rejected");
    has(&rejected, &["reason", "count"]);
    assert_eq!((&rejected["reason"], &rejected["count"]), (&"unverified".into(), &1.into()));

    let probe = keys.args(&["probe", &bob, "--timeout", "60"], "alice.key", &brokers);
    let probe: Vec<Value> = keys.folder.ends(0, &probe).lines().map(json).collect();
    has(named(&probe, "probe")[0], &["broker", "kind", "ms"]);
    listener.signal("TERM");
    let (code, rest) = listener.finish();
    let summary = json(rest.last().expect("a summary"));
    has(&summary, &["messages", "sealed", "rejected", "elapsed_s"]);
    assert_eq!((code, &summary["messages"], &summary["rejected"]["unverified"]), (0, &2.into(), &1.into()));
    process.signal("TERM");
    let (code, rest) = process.finish();
    let summary = json(rest.last().expect("a summary"));
    has(&summary, &["published", "delivered", "lost", "dropped", "elapsed_s"]);
    assert_eq!((code, &summary["lost"], &summary["dropped"]), (0, &0.into(), &0.into()), "all left in peace");
}

/// The stamps of a peer that is known say that a clock is off.
#[test]
fn a_clock_that_is_off_is_told_by_how_much() {
    let broker = [Broker::start(&[])];
    let brokers = [broker[0].url.clone()];
    let keys = Keys::new("clock", "smol", &["bob.key"]);
    let alice = alice(&keys);
    let bob = keys.public("bob.key");
    let listener = keys.listen("bob.key", &brokers, &[]);
    keys.send(0, &bob, &brokers, &["--text", "x", "--timeout", "60"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + Duration::from_secs(600);
    let hello = Content { queue: [1; 32], seq: 0, timestamp: now.as_secs(), kind: Kind::Probe as u8, body: b"" };
    let mut envelope = vec![0; hello.envelope_len()];
    hello.sign(&alice, &mut envelope).expect("room");
    publish(&brokers[0], &bob, &envelope);
    let clock = event(&listener, "clock");
    has(&clock, &["off_s"]);
    assert!((-602..=-595).contains(&clock["off_s"].as_i64().expect("a number")), "{clock}");
}
