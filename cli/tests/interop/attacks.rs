//! The adversary table: each attack succeeds against the reference, so that a change of theirs is noticed, and the same attack
//! fails against `sluis` with keys.
//!
//! Where a ping is attacked, `sluis ping --key` sends it, in both cases: the reference passes over the proof, and does not verify the
//! signature that it defines itself. What has no counterpart in the reference (sessions, statements, pins) is in `commands` and in
//! the simulator of the core.

use std::net::UdpSocket;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluis_core::Wall;
use sluis_core::framing::{Encoding, Packet, Text, Value};
use sluis_core::identity::SecretKey;
use sluis_core::time::iso;

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::data::EVERYDAY;
use crate::peers::Peer;
use crate::sluis::{HUB, Listen, Ping, SENSOR};
use crate::{Setup, matrix};

// Each encoding and each runtime once.
matrix! { @corner tokio_json "tokio" "json"
    a_forged_source
    a_packet_that_was_changed_on_its_way
    a_packet_for_another_target
    a_replay_now_and_after_a_restart
    a_nonce_that_a_stranger_burns
    a_forged_answer
    an_answer_that_was_changed_on_its_way
}
matrix! { @corner smol_msgpack "smol" "msgpack"
    a_forged_source
    a_packet_that_was_changed_on_its_way
    a_packet_for_another_target
    a_replay_now_and_after_a_restart
    a_nonce_that_a_stranger_burns
    a_forged_answer
    an_answer_that_was_changed_on_its_way
}

/// What the attacker is after.
const LOOT: &str = r#"{"door":"open"}"#;
/// Longer than any answer takes here.
const LONG: &str = "50";

/// A sensor and a hub with keys.
struct Keyed<'a> {
    python: &'a Path,
    setup: Setup,
    folder: Folder,
}

fn sensor_key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

impl<'a> Keyed<'a> {
    fn new(python: &'a Path, setup: Setup, name: &str) -> Self {
        let folder = Folder::new(&format!("attacks-{name}-{}", setup.runtime));
        for (name, key) in [("sensor", sensor_key()), ("hub", SecretKey::from_seed(&[2; 32]))] {
            folder.write(&format!("{name}.key"), &*key.to_pem().expect("PEM"));
            folder.write(&format!("{name}.pub"), key.public().to_pem().expect("PEM"));
            #[cfg(unix)]
            folder.set_mode(&format!("{name}.key"), 0o600);
        }
        folder.prints(&["pin", "add", SENSOR, "sensor.pub", "--state", "state"]);
        Self { python, setup, folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.0.join(name).to_str().expect("UTF-8").to_owned()
    }

    /// The reference as the hub: it trusts the sensor by name, because it knows nothing else.
    fn reference(&self) -> Peer {
        let trust = format!("{SENSOR}=0.9");
        Peer::node(self.python, &[&["--did", HUB, "--trust", &trust, "--echo"], self.setup.peer_flag()].concat())
    }

    /// `sluis listen` as the hub: it has pinned the sensor's key.
    fn hub(&self) -> Listen {
        let (trust, key, state) = (format!("{SENSOR}=0.9"), self.path("hub.key"), self.path("state"));
        Listen::start(self.setup, &["--trust", &trust, "--key", &key, "--state", &state])
    }

    fn attacker(&self, hub: &str) -> Peer {
        Peer::attacker(self.python, hub)
    }

    /// `sluis ping` with the sensor's key.
    fn ping(&self, target: &str, addr: &str, args: &[&str]) -> Ping {
        // The attacker reads and writes frames as they are signed, so none is encrypted.
        let usual = ["--key", &self.path("sensor.key"), "--session", "off", "--payload", EVERYDAY];
        Ping::start(self.setup, target, addr, &[&usual, args].concat())
    }

    /// The same, when nothing is expected to come back.
    fn ping_in_vain(&self, target: &str, addr: &str, args: &[&str]) {
        let outcome = self.ping(target, addr, &[args, &["--timeout", "200ms"]].concat()).finish();
        outcome.assert(1, &[("sent", 1), ("received", 0)]);
    }
}

/// The reference accepts the ping that comes next.
#[track_caller]
fn reference_accepts(hub: &Peer) -> Json {
    let packet = hub.expect("packet");
    assert_eq!(hub.expect("handled").str("decision"), "accept", "{packet:?}");
    packet
}

fn a_forged_source(python: &Path, setup: Setup) {
    let keyed = Keyed::new(python, setup, "source");
    // The reference's own node, with a name that is not its own.
    let forge = |hub: &str| {
        let args = ["--did", SENSOR, "--target", HUB, "--addr", hub];
        let mut forger = Peer::sender(python, &[&args, setup.peer_flag()].concat());
        forger.tell("send", &format!("\"intent\":\"door.open\",\"payload\":{LOOT}"));
        forger.expect("sent");
        forger
    };
    let mut hub = keyed.reference();
    let forger = forge(&hub.addr);
    assert_eq!(reference_accepts(&hub).get("fields").get("payload"), &Json::parse(LOOT));
    // And what is for the sensor goes to the forger from now on.
    hub.tell("where", &format!("\"did\":{SENSOR:?}"));
    assert_eq!(hub.expect("where").str("addr"), forger.addr);
    assert_eq!(forger.expect("response").get("fields").str("decision"), "accept");

    let hub = keyed.hub();
    let forger = forge(&hub.addr);
    hub.expect_rejected(&[("bad_signature", 1)]);
    // Silence.
    assert_eq!(forger.quit().count("orphans"), 0);
    assert_eq!(hub.quit().count("accepted"), 0);
}

/// What is done to a packet, whether the signature that the reference defines still holds afterwards, and why we refuse it.
const CHANGES: [(&str, &str, Json, &str); 19] = [
    ("purpose", r#""set":{"purpose":"another"}"#, Json::Bool(true), "bad_signature"),
    ("priority", r#""set":{"priority":3}"#, Json::Bool(true), "bad_signature"),
    ("routing", r#""set":{"routing_mode":"mesh"}"#, Json::Bool(true), "bad_signature"),
    ("hops", r#""set":{"max_hops":10}"#, Json::Bool(true), "bad_signature"),
    ("pod", r#""set":{"pod_id":"vault"}"#, Json::Bool(true), "bad_signature"),
    ("station", r#""set":{"station_id":"vault"}"#, Json::Bool(true), "bad_signature"),
    ("voucher", r#""set":{"vouched_by":"jis:evil:friend"}"#, Json::Bool(true), "bad_signature"),
    ("vouch", r#""set":{"vouch_signature":"00"}"#, Json::Bool(true), "bad_signature"),
    ("token", r#""set":{"tibet_token_id":"t"}"#, Json::Bool(true), "bad_signature"),
    ("encoding", r#""recode":true"#, Json::Bool(true), "bad_signature"),
    ("intent", r#""set":{"intent":"door.open"}"#, Json::Bool(false), "bad_signature"),
    ("payload", r#""set":{"payload":{"door":"open"}}"#, Json::Bool(false), "bad_signature"),
    ("nonce", r#""set":{"nonce":"00112233445566778899aabbccddeeff"}"#, Json::Bool(false), "bad_signature"),
    ("nothing-signed", r#""set":{"signature":""},"drop":["proof"]"#, Json::Null, "bad_signature"),
    ("no-proof", r#""drop":["proof"]"#, Json::Bool(true), "bad_signature"),
    ("no-signature", r#""set":{"signature":""}"#, Json::Null, "bad_signature"),
    ("capitals", r#""digits":"upper""#, Json::Bool(true), "bad_signature"),
    ("order", r#""digits":"order""#, Json::Bool(true), "bad_signature"),
    ("other-key", r#""resign":true"#, Json::Bool(true), "unpinned"),
];

fn a_packet_that_was_changed_on_its_way(python: &Path, setup: Setup) {
    let keyed = Keyed::new(python, setup, "changed");
    let reference = keyed.reference();
    let mut attacker = keyed.attacker(&reference.addr);
    for (what, how, holds, _) in CHANGES {
        have(&mut attacker, "pings", how);
        keyed.ping(HUB, &attacker.addr, &["--intent", what, "--timeout", LONG]).finish().assert(0, &[("accept", 1)]);
        reference_accepts(&reference);
        // The key is told by the proof, where there is one.
        let known = !what.starts_with("no-") && !what.starts_with("nothing") && what != "other-key";
        if known && what != "capitals" {
            assert_eq!(attacker.expect("ping").get("signature"), &holds, "{what}");
        } else {
            attacker.expect("ping");
        }
    }

    let hub = keyed.hub();
    let mut attacker = keyed.attacker(&hub.addr);
    for (what, how, ..) in CHANGES {
        have(&mut attacker, "pings", how);
        keyed.ping_in_vain(HUB, &attacker.addr, &["--intent", what]);
        attacker.expect("ping");
    }
    let count = |why| CHANGES.iter().filter(|(.., reason)| *reason == why).count() as u64;
    hub.expect_rejected(&["bad_signature", "unpinned"].map(|why| (why, count(why))));
    // A relay may count hops; and it is not the attacker's way of writing that is refused.
    have(&mut attacker, "pings", r#""set":{"hop_count":1}"#);
    keyed.ping(HUB, &attacker.addr, &["--intent", "hop", "--timeout", LONG]).finish().assert(0, &[("accept", 1)]);
    assert_eq!(hub.expect("ping").str("auth"), "signed");
    assert_eq!(hub.quit().count("accepted"), 1);
}

fn a_packet_for_another_target(python: &Path, setup: Setup) {
    const OTHER: &str = "jis:sluis:other";
    let keyed = Keyed::new(python, setup, "target");
    let change = format!("\"set\":{{\"target_did\":{HUB:?}}}");
    let attack = |attacker: &mut Peer| {
        // As it is, both leave it alone.
        for how in ["", change.as_str()] {
            have(attacker, "pings", how);
            keyed.ping_in_vain(OTHER, &attacker.addr, &["--intent", "door.open"]);
            attacker.expect("ping");
        }
    };
    let reference = keyed.reference();
    attack(&mut keyed.attacker(&reference.addr));
    assert_eq!(reference.expect("packet").get("fields").str("target_did"), OTHER);
    reference_accepts(&reference);

    let hub = keyed.hub();
    attack(&mut keyed.attacker(&hub.addr));
    hub.expect_rejected(&[("not_for_us", 1), ("bad_signature", 1)]);
    assert_eq!(hub.quit().count("accepted"), 0);
}

fn a_replay_now_and_after_a_restart(python: &Path, setup: Setup) {
    let keyed = Keyed::new(python, setup, "replay");
    let first = |hub: &str| {
        let attacker = keyed.attacker(hub);
        let asked = keyed.ping(HUB, &attacker.addr, &["--intent", "door.open", "--timeout", LONG]);
        asked.finish().assert(0, &[("accept", 1)]);
        attacker
    };
    let again = |attacker: &mut Peer, hub: &str| attacker.tell("again", &format!("\"addr\":{hub:?}"));

    let reference = keyed.reference();
    let mut attacker = first(&reference.addr);
    let sent = reference_accepts(&reference);
    again(&mut attacker, &reference.addr);
    reference.expect("packet");
    assert_eq!(reference.expect("handled").str("reason"), "replay_detected");
    drop(reference);
    let reference = keyed.reference();
    again(&mut attacker, &reference.addr);
    assert_eq!(reference_accepts(&reference).get("frame"), sent.get("frame"));

    let hub = keyed.hub();
    let mut attacker = first(&hub.addr);
    hub.expect("ping");
    again(&mut attacker, &hub.addr);
    hub.expect_rejected(&[("replay", 1)]);
    drop(hub);
    let hub = keyed.hub();
    again(&mut attacker, &hub.addr);
    hub.expect_rejected(&[("stale", 1)]);
    assert_eq!(hub.quit().count("accepted"), 0);
}

fn a_nonce_that_a_stranger_burns(python: &Path, setup: Setup) {
    let keyed = Keyed::new(python, setup, "nonce");
    let stranger = r#""first":{"source_did":"jis:evil:stranger","packet_id":"ping_0000000000000000"}"#;
    let reference = keyed.reference();
    let mut attacker = keyed.attacker(&reference.addr);
    have(&mut attacker, "pings", stranger);
    keyed.ping_in_vain(HUB, &attacker.addr, &["--intent", "alarm.raise"]);
    for (decision, reason) in [("reject", Json::Null), ("reject", Json::text("replay_detected"))] {
        reference.expect("packet");
        let handled = reference.expect("handled");
        assert_eq!((handled.str("decision"), handled.get("reason")), (decision, &reason));
    }

    let hub = keyed.hub();
    let mut attacker = keyed.attacker(&hub.addr);
    have(&mut attacker, "pings", stranger);
    let asked = keyed.ping(HUB, &attacker.addr, &["--intent", "alarm.raise", "--timeout", LONG]);
    asked.finish().assert(0, &[("accept", 1)]);
    hub.expect("ping");
    hub.expect_rejected(&[("rood", 1)]);
    hub.quit();
}

/// What is made up, and from where it comes.
fn forgeries() -> [String; 3] {
    let forged =
        |name: &str, place| format!(r#""forge":{{"decision":"reject","payload":{LOOT}{name}}},"place":"{place}""#);
    [forged("", "asked"), forged("", "elsewhere"), forged(r#","responder_did":"jis:evil:stranger""#, "asked")]
}

/// Have an attacker do this to what passes from now on. What it said before is of no interest.
fn have(attacker: &mut Peer, what: &str, how: &str) {
    attacker.tell(what, how);
    while attacker.take(1)[0].str("event") != "set" {}
}

fn reference_sender(keyed: &Keyed<'_>, hub: &str) -> Peer {
    let args = ["--did", SENSOR, "--target", HUB, "--addr", hub];
    Peer::sender(keyed.python, &[&args, keyed.setup.peer_flag()].concat())
}

fn a_forged_answer(python: &Path, setup: Setup) {
    let keyed = Keyed::new(python, setup, "forged");
    let reference = keyed.reference();
    let mut attacker = keyed.attacker(&reference.addr);
    let mut sender = reference_sender(&keyed, &attacker.addr);
    for how in forgeries() {
        have(&mut attacker, "answers", &how);
        sender.tell("ping", &format!("\"payload\":{EVERYDAY}"));
        sender.expect("sent");
        assert_eq!(sender.expect("response").get("fields").get("payload"), &Json::parse(LOOT), "{how}");
        // It is what the reference believes; the true answer comes too late.
        let events = sender.take(2);
        let batch = events.iter().find(|event| event.str("event") == "batch").expect("it has ended");
        assert_eq!((batch.count("reject"), batch.count("accept")), (1, 0), "{how}");
    }

    let hub = keyed.hub();
    let mut attacker = keyed.attacker(&hub.addr);
    for how in forgeries() {
        have(&mut attacker, "answers", &how);
        let pin = keyed.path("hub.pub");
        let args = ["--intent", "door.state", "--pin", &pin, "--timeout", LONG];
        let outcome = keyed.ping(HUB, &attacker.addr, &args).finish();
        outcome.assert(0, &[("received", 1), ("accept", 1)]);
        hub.expect("ping");
        let taken = &outcome.events[0];
        assert_eq!((taken.str("auth"), taken.get("payload")), ("signed", &Json::parse("{}")), "{how}");
    }
    assert_eq!(hub.quit().count("accepted"), 3);
}

/// What is done to answers; the last needs two.
fn answer_changes() -> [String; 5] {
    [
        format!(r#""set":{{"payload":{LOOT}}}"#),
        r#""set":{"decision":"pending"}"#.to_owned(),
        r#""set":{"trust_score":1.0}"#.to_owned(),
        r#""drop":["proof"]"#.to_owned(),
        r#""swap":true"#.to_owned(),
    ]
}

fn an_answer_that_was_changed_on_its_way(python: &Path, setup: Setup) {
    let keyed = Keyed::new(python, setup, "answers");
    let reference = keyed.reference();
    let mut attacker = keyed.attacker(&reference.addr);
    let mut sender = reference_sender(&keyed, &attacker.addr);
    for how in answer_changes() {
        have(&mut attacker, "answers", &how);
        sender.tell("ping", &format!("\"count\":2,\"in_flight\":2,\"payload\":{EVERYDAY}"));
        let events = sender.take(5);
        let batch = events.last().expect("five events");
        assert_eq!((batch.str("event"), batch.count("lost")), ("batch", 0), "{how}");
    }

    let hub = keyed.hub();
    let mut attacker = keyed.attacker(&hub.addr);
    let pin = keyed.path("hub.pub");
    for how in answer_changes() {
        have(&mut attacker, "answers", &how);
        let args = ["--intent", "door.state", "--pin", &pin, "--count", "2", "--in-flight", "2", "--interval", "0"];
        let outcome = keyed.ping(HUB, &attacker.addr, &[&args[..], &["--timeout", "700ms"]].concat()).finish();
        outcome.assert(1, &[("sent", 2), ("received", 0), ("lost", 2)]);
        // Both have been answered.
        for _ in 0..2 {
            hub.expect("ping");
        }
    }
    hub.quit();
}

/// A sender's clock may be ahead by 5 seconds.
const AHEAD: Duration = Duration::from_millis(4_900);

/// A signed ping whose sender's clock is that much ahead of the hub's.
fn ahead_of_time() -> Vec<u8> {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
    let wall = Wall::from_micros(i64::try_from(micros).expect("before 292,000")).saturating_add(AHEAD);
    let mut stamp = [0; 32];
    let plain = Packet {
        packet_id: Text::new("ping_0123456789abcdef"),
        source_did: Text::new(SENSOR),
        target_did: Text::new(HUB),
        intent: Text::new("door.open"),
        payload: Value::EMPTY_OBJECT,
        nonce: Text::new("00112233445566778899aabbccddeeff"),
        timestamp: Text::new(iso::format(wall, &mut stamp)),
        ..Packet::default()
    };
    let made = plain.sign(Encoding::Json, &sensor_key(), &mut [0; 4096]).expect("JSON has a form for it");
    let mut frame = vec![0; 2048];
    let len = made.on(plain).encode(Encoding::Json, &mut frame).expect("room");
    frame.truncate(len);
    frame
}

/// The reference forgets a nonce 30 seconds after it came, and takes a stamp for 30 seconds after what it says.
#[test]
fn a_replay_after_31_seconds_and_after_a_clock_was_set_back() {
    let Some(python) = crate::peers::python() else { return };
    let keyed = Keyed::new(python, Setup { runtime: "tokio", encoding: "json" }, "later");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let send = |frame: &[u8], hub: &str| _ = socket.send_to(frame, hub).expect("it is sent");

    let hub = keyed.hub();
    let frame = ahead_of_time();
    send(&frame, &hub.addr);
    assert_eq!(hub.expect("ping").str("auth"), "signed");

    // Meanwhile, on a clock that can be moved.
    let mut reference = keyed.reference();
    let theirs = ahead_of_time();
    send(&theirs, &reference.addr);
    reference_accepts(&reference);
    reference.tell("clock", "\"wall\":30.5,\"monotonic\":30.5");
    // The answer to it says that the clock has been moved.
    reference.tell("where", &format!("\"did\":{SENSOR:?}"));
    reference.expect("where");
    send(&theirs, &reference.addr);
    assert_eq!(reference_accepts(&reference).str("frame").len(), 2 * theirs.len());
    // An hour later its wall clock is wrong by as much.
    reference.tell("clock", "\"wall\":0,\"monotonic\":3600");
    reference.tell("where", &format!("\"did\":{SENSOR:?}"));
    reference.expect("where");
    send(&theirs, &reference.addr);
    reference_accepts(&reference);

    thread::sleep(Duration::from_secs(31));
    send(&frame, &hub.addr);
    // On a machine that is held up it is stale by then.
    let why = hub.rejected();
    assert!(["replay", "stale"].contains(&why.str("reason")), "{why:?}");
    assert_eq!(hub.quit().count("accepted"), 1);
}
