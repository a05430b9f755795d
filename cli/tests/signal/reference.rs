//! The published `sidewire` 0.1.9 and Sluis, both ways, over mosquitto.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json as value};
use sluis_signal::mqtt::{Connect, MAX_PACKET, Packet, Qos, Reader, encode};

use crate::cast::{ALICE, Keys, Mosquittos, event, json, mosquitto, named};
use crate::common::process::Process;
use crate::common::venv;
use crate::on_both;

on_both! {
    its_messages_are_told_and_acknowledged
    our_messages_reach_its_application
    over_one_broker_and_over_ipv6
    brokers_die_between_the_two
}

const THREE: [&str; 3] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];

fn python() -> Option<&'static Path> {
    static PYTHON: venv::Cell = venv::Cell::new();
    venv::python(&PYTHON, "signal-venv", "signal/python/requirements.txt")
}

/// So many tests at once run the reference, which keeps a processor busy with its signatures and gives each message a minute: what takes longer
/// because others run beside it would be lost by it, and not by us.
const AT_ONCE: usize = 2;

static FREE: (Mutex<usize>, Condvar) = (Mutex::new(AT_ONCE), Condvar::new());

/// A turn of a test.
struct Turn;

impl Turn {
    fn take() -> Self {
        let free = FREE.0.lock().unwrap_or_else(PoisonError::into_inner);
        *FREE.1.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner) -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        FREE.1.notify_one();
    }
}

/// Both that a test needs, and its turn.
fn needed() -> Option<(&'static Path, PathBuf, Turn)> {
    Some((python()?, mosquitto()?, Turn::take()))
}

/// A peer that runs the reference.
struct Reference {
    process: Process,
    public: String,
}

impl Reference {
    /// `skew`: seconds that its clock is ahead.
    fn start(python: &Path, secret: &str, brokers: &[String], skew: i64) -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/signal/python/peer.py");
        let mut command = Command::new(python);
        command.arg(script).arg(secret).args(brokers.iter().map(|url| url.trim_start_matches("mqtt://")));
        let process = Process::spawn("peer.py", command.env("SKEW", skew.to_string()));
        let public = event(&process, "ready")["public_key"].as_str().expect("a key").to_owned();
        Self { process, public }
    }

    /// Have it send, and say how many bytes it counts as delivered: 0 is none. A slow machine has time for it.
    fn sends(&mut self, to: &str, text: &str) -> u64 {
        self.sends_within(45, to, text)
    }

    fn sends_within(&mut self, seconds: u32, to: &str, text: &str) -> u64 {
        self.process.say(&format!("send {seconds} {to} {text}"));
        event(&self.process, "sent")["result"].as_u64().expect("a number")
    }

    fn hears(&self) -> String {
        event(&self.process, "message")["text"].as_str().expect("text").to_owned()
    }
}

fn its_messages_are_told_and_acknowledged(runtime: &'static str) {
    let Some((python, program, _turn)) = needed() else { return };
    let running = Mosquittos::start(&format!("ref-to-{runtime}"), program, &THREE);
    let (brokers, keys) = (running.urls(), Keys::new("ref-to", runtime, &["bob.key"]));
    let bob = keys.public("bob.key");
    let allow = format!("--allow-legacy={}", ALICE.0);
    let listener = keys.listen("bob.key", &brokers, &[&allow, "--state", "bob.state"]);
    let mut alice = Reference::start(python, ALICE.1, &brokers, 0);
    assert_eq!(alice.public, ALICE.0);
    // The same twice is two messages here; the reference itself would tell one.
    for text in ["ping", "ping", "h\u{e9} there"] {
        assert!(alice.sends(&bob, text) > 0, "{text}");
        let told = event(&listener, "message");
        // Its sender lets go of letters that are not ASCII.
        assert_eq!((&told["text"], &told["from"]), (&value!(text.replace('\u{e9}', "")), &value!(ALICE.0)));
        assert_eq!((&told["sealed"], &told["did"]), (&value!(false), &Value::Null));
    }
    // It asks whether we are there.
    alice.process.say(&format!("probe {bob}"));
    assert_eq!(event(&alice.process, "probed")["acked"], true);
    // 200 at once.
    for n in 0..200 {
        alice.process.say(&format!("send 60 {bob} burst {n}"));
    }
    let mut told: Vec<String> =
        (0..200).map(|_| event(&listener, "message")["text"].as_str().expect("text").to_owned()).collect();
    for _ in 0..200 {
        assert!(event(&alice.process, "sent")["result"].as_u64() > Some(0));
    }
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 200);
}

fn our_messages_reach_its_application(runtime: &'static str) {
    let Some((python, program, _turn)) = needed() else { return };
    let running = Mosquittos::start(&format!("ref-from-{runtime}"), program, &THREE);
    let (brokers, keys) = (running.urls(), Keys::new("ref-from", runtime, &["alice.key"]));
    let mut bob = Reference::start(python, &"7".repeat(64), &brokers, 0);
    let to = bob.public.clone();
    // Nothing is said in the clear unasked.
    let said = keys.send(1, &to, &brokers, &["--text", "secret", "--timeout", "60"]);
    let sent = named(&said, "sent")[0];
    assert!(sent["acked"] == false && sent["reason"].as_str().is_some_and(|why| why.contains("not allowed")), "{sent}");
    let probe = keys.args(&["probe", &to, "--timeout", "60"], "alice.key", &brokers);
    assert_eq!(json(&keys.folder.ends(0, &probe))["kind"], "reference");

    let allow = format!("--allow-legacy={to}");
    let send = |args: &[&str]| keys.send(0, &to, &brokers, &[args, &["--timeout", "300", &allow]].concat());
    let said = send(&["--text", "h\u{e9}llo {i}", "--count", "3"]);
    let sent = named(&said, "sent");
    assert!(sent.iter().all(|sent| sent["sealed"] == false && sent["acked"] == true), "{sent:?}");
    // It hears what we wrote, with its letters.
    let mut heard: Vec<String> = (0..3).map(|_| bob.hears()).collect();
    heard.sort_unstable();
    assert_eq!(heard, ["h\u{e9}llo 0", "h\u{e9}llo 1", "h\u{e9}llo 2"]);
    // A copy of a text is acknowledged and thrown away there: we say so.
    let said = send(&["--text", "same", "--count", "2"]);
    let maybe: Vec<&Value> = named(&said, "sent").iter().map(|sent| &sent["maybe_dropped"]).collect();
    assert_eq!(maybe, [&value!(false), &value!(true)]);
    assert_eq!(bob.hears(), "same");
    // What it would mangle is not sent.
    let said = keys.send(1, &to, &brokers, &["--hex", "61ff", "--timeout", "60", &allow]);
    assert!(named(&said, "sent")[0]["reason"].as_str().is_some_and(|why| why.contains("text only")), "{said:?}");
    // 200 at once.
    let said = send(&["--text", "burst {i}", "--count", "200", "--in-flight", "200"]);
    assert_eq!(named(&said, "summary")[0]["acked"], 200);
    // It answers, and that is told as an answer.
    bob.process.say("echo on");
    let all = ["send", &to, "--text", "back {i}", "--count", "100", "--interval", "1", "--timeout", "300", &allow];
    let mut sender = Process::spawn("send", &mut keys.folder.command(&keys.args(&all, "alice.key", &brokers)));
    let answer = event(&sender, "message");
    assert_eq!((&answer["from"], &answer["sealed"]), (&value!(to), &value!(false)));
    assert!(answer["text"].as_str().is_some_and(|text| text.starts_with("back ")), "{answer}");
    sender.signal("TERM");
    let (_, said) = sender.finish();
    assert!(json(said.last().expect("a summary"))["replies"].as_u64() >= Some(1), "{said:?}");
}

fn over_one_broker_and_over_ipv6(runtime: &'static str) {
    let Some((python, program, _turn)) = needed() else { return };
    let v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    for (n, host) in ["127.0.0.1", "::1"].into_iter().enumerate().filter(|(n, _)| *n == 0 || v6) {
        let running = Mosquittos::start(&format!("ref-one-{n}-{runtime}"), program.clone(), &[host]);
        let (brokers, keys) = (running.urls(), Keys::new(&format!("ref-one-{n}"), runtime, &["bob.key", "alice.key"]));
        // The reference joins nothing in a pool of one; a second one, which is dead or the same by another name, makes it join one.
        let second = if n == 0 { "mqtt://127.0.0.9" } else { "mqtt://[0:0:0:0:0:0:0:1]" };
        let theirs = [brokers[0].clone(), format!("{second}:{}", running.port)];
        let bob = keys.public("bob.key");
        let listener = keys.listen("bob.key", &brokers, &["--allow-legacy"]);
        let mut alice = Reference::start(python, ALICE.1, &theirs, 0);
        assert!(alice.sends(&bob, "one broker") > 0);
        assert_eq!(event(&listener, "message")["text"], "one broker");
        let said = keys.send(0, ALICE.0, &brokers, &["--text", "back", "--timeout", "300", "--allow-legacy"]);
        assert_eq!(named(&said, "sent")[0]["sealed"], false);
        assert_eq!(alice.hears(), "back");
    }
}

fn brokers_die_between_the_two(runtime: &'static str) {
    let Some((python, program, _turn)) = needed() else { return };
    let mut running = Mosquittos::start(&format!("ref-die-{runtime}"), program, &THREE);
    let (brokers, keys) = (running.urls(), Keys::new("ref-die", runtime, &["alice.key", "bob.key"]));
    let bob = keys.public("bob.key");
    let listener = keys.listen("bob.key", &brokers, &["--allow-legacy"]);
    let mut alice = Reference::start(python, ALICE.1, &brokers, 0);
    for at in 0..3 {
        running.kill(at);
        running.revive(at);
        // The one of us is there again within seconds; the other one tries the same message for a minute.
        alice.process.say(&format!("send 60 {bob} after {at}"));
        assert_eq!(event(&listener, "message")["text"], format!("after {at}"));
        assert!(event(&alice.process, "sent")["result"].as_u64() > Some(0));
        // And back: it is there again once it has noticed and come to its next try.
        let back = format!("back {at}");
        keys.send(0, ALICE.0, &brokers, &["--text", &back, "--timeout", "300", "--allow-legacy"]);
        while alice.hears() != back {}
    }
}

/// A clock that is off by less than two minutes does no harm; one that is off by more is said.
#[test]
fn clocks_that_are_off() {
    let Some((python, program, _turn)) = needed() else { return };
    let running = Mosquittos::start("ref-clock", program, &THREE);
    let (brokers, keys) = (running.urls(), Keys::new("ref-clock", "tokio", &["bob.key"]));
    let bob = keys.public("bob.key");
    let listener = keys.listen("bob.key", &brokers, &["--allow-legacy", "--accept-older", "--echo"]);
    let mut early = Reference::start(python, &"5".repeat(64), &brokers, -100);
    assert!(early.sends(&bob, "slow") > 0);
    assert_eq!((event(&listener, "message")["text"].clone(), early.hears()), (value!("slow"), "slow".to_owned()));
    let mut wrong = Reference::start(python, &"6".repeat(64), &brokers, 600);
    assert_eq!(wrong.sends_within(8, &bob, "from the future"), 0);
    // Echoes that it acknowledged late are counted, too.
    while event(&listener, "rejected")["reason"] != "time" {}
}

/// One who hears everything that passes a broker.
struct Spy {
    stream: TcpStream,
    reader: Reader,
}

fn has(payload: &[u8], text: &str) -> bool {
    payload.windows(text.len()).any(|window| window == text.as_bytes())
}

impl Spy {
    fn new(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut out = [0; 100];
        let connect = Connect { client_id: "spy", clean: true, keep_alive: 0, user: None, password: None, will: None };
        let len = encode::connect(&connect, &mut out).unwrap();
        stream.write_all(&out[..len]).unwrap();
        let len = encode::subscribe(1, &[("#", Qos::AtMostOnce)], &mut out).unwrap();
        stream.write_all(&out[..len]).unwrap();
        let mut spy = Self { stream, reader: Reader::new(MAX_PACKET) };
        spy.read(|packet| matches!(packet, Packet::SubAck { codes: [0], .. }));
        spy
    }

    /// Read packets up to the one that was waited for.
    fn read(&mut self, mut is_it: impl FnMut(Packet<'_>) -> bool) {
        let (mut buffer, mut found) = ([0; 4096], false);
        while !found {
            let len = self.stream.read(&mut buffer).unwrap();
            assert!(len > 0, "the broker ends the spy's connection");
            let mut rest = &buffer[..len];
            while let (Some(packet), taken) = self.reader.read(rest).unwrap() {
                found |= is_it(packet);
                rest = &rest[taken..];
            }
        }
    }

    /// Every payload up to one with this text in it.
    fn reads_until(&mut self, text: &str) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        self.read(|packet| match packet {
            Packet::Publish(publish) => {
                seen.push(publish.payload.to_vec());
                has(publish.payload, text)
            }
            _ => false,
        });
        seen
    }
}

/// Everybody at a broker reads what the reference sends, and nothing of what two of ours say.
#[test]
fn who_listens_at_a_broker_reads_the_reference_and_not_us() {
    let Some((python, program, _turn)) = needed() else { return };
    let running = Mosquittos::start("ref-spy", program, &["127.0.0.1"]);
    let (brokers, keys) = (running.urls(), Keys::new("ref-spy", "tokio", &["alice.key", "bob.key"]));
    let mut spy = Spy::new(running.port);
    let bob = keys.public("bob.key");
    let listener = keys.listen("bob.key", &brokers, &["--allow-legacy"]);
    // Until the spy hears something, nothing is proven by its silence.
    let dead = format!("mqtt://127.0.0.9:{}", running.port);
    let mut alice = Reference::start(python, ALICE.1, &[brokers[0].clone(), dead], 0);
    assert!(alice.sends(&bob, "a text in the clear") > 0);
    spy.reads_until("a text in the clear");
    keys.send(0, &bob, &brokers, &["--text", "a text that is sealed", "--count", "5", "--timeout", "60"]);
    assert!(alice.sends(&bob, "the end") > 0);
    let seen = spy.reads_until("the end");
    assert!(seen.len() > 10, "the sealed ones went by");
    for text in ["sealed", "a text that"] {
        assert!(!seen.iter().any(|payload| has(payload, text)), "{text}");
    }
    drop(listener);
}

/// Attacks on peers that run the reference: each of these is open there. What closes it here is said beside it: a test that does the same to us.
fn open_there(name: &str, script: &str, holes: &[&str]) {
    let Some((python, program, _turn)) = needed() else { return };
    let running = Mosquittos::start(name, program, &["127.0.0.1", "127.0.0.2"]);
    let brokers = running.urls();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/signal/python").join(script);
    let mut command = Command::new(python);
    command.arg(script).args(brokers.iter().map(|url| url.trim_start_matches("mqtt://")));
    let out = command.output().expect("python starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let open: Vec<Value> = text.lines().map(json).collect();
    for hole in holes {
        let found = open.iter().find(|found| found["hole"] == *hole);
        assert_eq!(found.map(|found| &found["open"]), Some(&value!(true)), "{hole}: {found:?}");
    }
    assert_eq!(open.len(), holes.len(), "one is missing in this table");
}

/// In `sluis-signal`: `tests/rendezvous` and `tests/delivery.rs`; here: `its_messages_are_told_and_acknowledged` and what stands beside it.
#[test]
fn what_chance_does_to_the_reference() {
    open_there(
        "ref-holes",
        "holes.py",
        &[
            "one broker is none",
            "one bad entry stops the start",
            "the documented shape of a pool crashes",
            "an equal text is swallowed and acknowledged",
            "another sender's equal text is swallowed and acknowledged",
            "everybody reads along",
            "letters are lost",
            "bytes are lost",
            "acknowledged although the handler failed",
            "acknowledged before it is handled",
            "a message for bob is accepted by carol",
            "a message from the future is accepted",
            "a stranger takes a queue id and the ack",
            "a replay after a restart is accepted",
        ],
    );
}

/// In `sluis-signal`: `tests/rendezvous/{legacy,strangers,meeting}.rs`, `tests/sealed.rs`, `tests/broker.rs` and `broker::outbox`.
#[test]
fn what_the_wire_does_to_the_reference() {
    open_there(
        "ref-wire",
        "holes_wire.py",
        &[
            "a signature can be made into another one",
            "resent after the acknowledgement",
            "probes are remembered for ever",
            "a replay through another broker is accepted",
            "one odd key ends the sender's task",
            "65,535 open publishes end the sender's task",
        ],
    );
}

/// In `sluis-signal`: `tests/rank.rs`, `tests/rendezvous/{meeting,streams,kept}.rs`, `tests/broker.rs` and `tests/mqtt.rs`.
#[test]
fn what_distance_and_odd_brokers_do_to_the_reference() {
    open_there(
        "ref-net",
        "holes_net.py",
        &[
            "weights are ignored",
            "started offline, deaf for 1,200 s",
            "the second port of a host is lost",
            "sides do not meet",
            "no PINGRESP is missed",
            "a bad length freezes the reader",
            "one bad cache line stops the start",
        ],
    );
}
