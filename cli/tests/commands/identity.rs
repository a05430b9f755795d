//! Keys on the wire: who is believed, what is kept, and what a stolen name is worth.

use std::fs;

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::on_both;
use crate::sluis::{HUB, Listen, Ping, SENSOR};

on_both! {
    a_pinned_key_is_believed_and_a_name_alone_is_not
    an_unknown_key_is_shown_and_approving_pins_it_for_good
    a_statement_reaches_a_hub_that_runs_and_survives
    a_forged_answer_is_no_answer
    two_pinned_keys_talk_through_a_session
}

/// A folder with keys of a hub, a sensor, and a thief.
fn keys(name: &str, runtime: &str) -> Folder {
    let folder = Folder::new(&format!("identity-{name}-{runtime}"));
    for key in ["hub", "sensor", "thief"] {
        folder.prints(&["key", "new", &format!("{key}.key")]);
        folder.write(&format!("{key}.pub"), folder.prints(&["key", "export", &format!("{key}.key")]));
    }
    folder
}

fn path(folder: &Folder, name: &str) -> String {
    folder.0.join(name).to_str().expect("UTF-8").to_owned()
}

fn hub(runtime: &str, folder: &Folder, more: &[&str]) -> Listen {
    let (key, state) = (path(folder, "hub.key"), path(folder, "state"));
    let usual = ["--bind", "127.0.0.1:0", "--trust", "jis:test:sensor=0.9", "--key", &key, "--state", &state];
    Listen::bare(runtime, &[&usual[..], more].concat())
}

/// Ping once, and wait for a short while only; how it ends.
fn ping(runtime: &str, folder: &Folder, hub: &Listen, key: Option<&str>) -> (i32, Vec<Json>) {
    let key = key.map(|name| path(folder, name));
    let key = key.as_ref().map_or(vec![], |key| vec!["--key", key]);
    let (code, events, _) =
        Ping::start(runtime, SENSOR, &hub.addr, &[&["-t", "700ms", "--no-wait"], &key[..]].concat()).finish();
    (code, events)
}

fn a_pinned_key_is_believed_and_a_name_alone_is_not(runtime: &str) {
    let folder = keys("pinned", runtime);
    let added = folder.json(&["pin", "add", SENSOR, "sensor.pub", "--state", "state"]);
    let fingerprint = folder.json(&["key", "show", "sensor.key"]).str("fingerprint").to_owned();
    assert_eq!((added.str("event"), added.str("fingerprint")), ("pin", fingerprint.as_str()));

    let hub = hub(runtime, &folder, &["--allow-legacy"]);
    let (code, events) = ping(runtime, &folder, &hub, Some("sensor.key"));
    assert_eq!((code, events[0].str("auth")), (0, "signed"));
    let heard = hub.expect("ping");
    assert_eq!((heard.str("auth"), heard.str("fingerprint")), ("signed", fingerprint.as_str()));
    for (key, reason) in [(None, "bad_signature"), (Some("thief.key"), "unpinned")] {
        let (code, events) = ping(runtime, &folder, &hub, key);
        assert_eq!((code, events[0].str("event")), (1, "timeout"), "silence");
        assert_eq!(hub.expect("rejected").str("reason"), reason);
    }
    let (_, summary) = hub.quit();
    assert_eq!((summary.count("received"), summary.count("accepted")), (3, 1));
}

fn an_unknown_key_is_shown_and_approving_pins_it_for_good(runtime: &str) {
    let folder = keys("approve", runtime);
    let mut first = hub(runtime, &folder, &[]);
    let (key, addr) = (path(&folder, "sensor.key"), first.addr.clone());
    let waits = Ping::start(runtime, SENSOR, &addr, &["--key", &key, "-t", "50"]);
    let heard = first.expect("ping");
    assert_eq!((heard.str("zone"), heard.str("auth")), ("GEEL", "signed"));
    waits.expect("response");
    first.process.say(&format!("approve {} --pin", heard.count("wait")));
    let mut events: Vec<Json> = (0..3).map(|_| first.next()).collect();
    events.sort_by_key(|event| event.str("event").to_owned());
    let names: Vec<&str> = events.iter().map(|event| event.str("event")).collect();
    assert_eq!(names, ["decided", "kept", "pin"]);
    assert_eq!((events[1].get("ok"), events[2].str("fingerprint")), (&Json::Bool(true), heard.str("fingerprint")));
    assert_eq!(waits.finish().0, 0);
    // What was said to be kept is there after the worst end.
    first.process.signal("KILL");
    first.process.finish();

    let again = hub(runtime, &folder, &[]);
    assert_eq!(ping(runtime, &folder, &again, Some("sensor.key")).0, 0);
    assert_eq!(again.expect("ping").str("zone"), "GROEN");
    assert_eq!(ping(runtime, &folder, &again, None).0, 1);
    // One process at a time.
    let why = folder.fails(1, &["pin", "list", "--state", "state"]);
    assert!(why.contains("in use"), "{why}");
    again.quit();
    let pins = folder.events(0, &["pin", "list", "--state", "state"]);
    assert_eq!((pins.len(), pins[0].str("origin")), (1, "approved"));
}

fn a_statement_reaches_a_hub_that_runs_and_survives(runtime: &str) {
    let folder = keys("statement", runtime);
    folder.prints(&["pin", "add", SENSOR, "sensor.pub", "--state", "state"]);
    folder.write("rotation.json", folder.prints(&["key", "rotate", "sensor.key", "thief.key"]));
    let mut first = hub(runtime, &folder, &[]);
    first.process.say(&format!("accept {}", path(&folder, "rotation.json")));
    let change = first.expect("retired").count("change");
    let kept = first.expect("kept");
    assert_eq!((kept.count("change"), kept.get("ok")), (change, &Json::Bool(true)));
    assert_eq!(ping(runtime, &folder, &first, Some("thief.key")).0, 0);
    first.expect("ping");
    assert_eq!(ping(runtime, &folder, &first, Some("sensor.key")).0, 1);
    assert_eq!(first.expect("rejected").str("reason"), "revoked");
    first.quit();

    let mut again = hub(runtime, &folder, &[]);
    assert_eq!(ping(runtime, &folder, &again, Some("sensor.key")).0, 1);
    assert_eq!(again.expect("rejected").str("reason"), "revoked");
    let rotation = folder.text("rotation.json");
    folder.write("cut.json", &rotation[..rotation.len() / 2]);
    folder.write("member.json", rotation.replace("new_signature", "next_signature"));
    // A letter of a signature, which is its last member.
    folder.write("signature.json", rotation.replace("\"}", "0\"}").replacen("signature\":\"", "signature\":\"0", 1));
    for bad in ["hub.pub", "nowhere.json", "cut.json", "member.json", "signature.json"] {
        again.process.say(&format!("accept {}", path(&folder, bad)));
        again.process.wait_for_stderr(bad);
        let said = again.process.stderr();
        let line = said.lines().find(|line| line.contains(bad)).expect("it was said");
        let mend = "write one with `sluis key rotate` or `key revoke`";
        assert!(bad == "nowhere.json" || line.contains(mend), "{line}");
    }
    again.process.say(&format!("pin {SENSOR} {}", path(&folder, "hub.pub")));
    again.process.wait_for_stderr("pinned to another key");
    again.process.say(&format!("unpin {SENSOR}"));
    assert_eq!(again.expect("unpin").str("source_did"), SENSOR);
    again.expect("kept");
    again.quit();
    assert!(folder.events(0, &["pin", "list", "--state", "state"]).is_empty());
    let why = folder.fails(1, &["pin", "add", SENSOR, "sensor.pub", "--state", "state"]);
    assert!(why.contains("retired"), "{why}");
}

fn a_forged_answer_is_no_answer(runtime: &str) {
    let folder = keys("answer", runtime);
    // Somebody else answers in the hub's name, with another key or with none.
    for key in [Some("thief.key"), None] {
        let key = key.map(|name| path(&folder, name));
        let key = key.as_ref().map_or(vec![], |key| vec!["--key", key]);
        let usual = ["--bind", "127.0.0.1:0", "--trust", "jis:test:sensor=0.9", "--allow-legacy"];
        let forger = Listen::bare(runtime, &[&usual[..], &key].concat());
        let pin = path(&folder, "hub.pub");
        let (code, events, _) = Ping::start(runtime, SENSOR, &forger.addr, &["-t", "700ms", "--pin", &pin]).finish();
        assert_eq!((code, events[0].str("event")), (1, "timeout"));
        let (code, ..) = Ping::start(runtime, SENSOR, &forger.addr, &["-t", "5"]).finish();
        assert_eq!(code, 0, "who pins nothing believes the name");
        forger.quit();
    }
}

#[test]
fn state_that_cannot_be_used_is_one_sentence_and_stays_as_it_is() {
    let folder = keys("state", "any");
    let listen = ["listen", "--did", HUB, "--bind", "127.0.0.1:0", "--duration", "100ms", "--state", "state"];
    folder.prints(&["pin", "add", SENSOR, "sensor.pub", "--state", "state"]);
    let file = folder.0.join("state/state.redb");
    let whole = fs::read(&file).expect("a file");
    fs::write(&file, &whole[..whole.len() / 2]).expect("it can be written");
    for args in [&listen[..], &["pin", "list", "--state", "state"]] {
        let why = folder.fails(1, args);
        assert!(why.contains("state.redb") && why.contains("move it away"), "{why}");
        assert_eq!(fs::read(&file).expect("a file").len(), whole.len() / 2);
    }
    fs::write(&file, &whole).expect("it can be written");
    #[cfg(unix)]
    {
        folder.set_mode("state", 0o755);
        let why = folder.fails(1, &listen);
        assert!(why.contains("chmod 700"), "{why}");
        folder.set_mode("state", 0o700);
    }
    folder.prints(&["pin", "list", "--state", "state"]);
    let why = folder.fails(1, &["pin", "add", SENSOR, "thief.pub", "--state", "state"]);
    assert!(why.contains("pinned to another key") && why.contains("pin remove"), "{why}");
    // A name that was mistyped does not stand for a node that pins nothing.
    for args in [
        &["pin", "list"][..],
        &["pin", "remove", SENSOR],
        &["ping", HUB, "127.0.0.1:9", "--intent", "t", "-t", "100ms"],
    ] {
        let why = folder.fails(1, &[args, &["--state", "nowhere"]].concat());
        assert!(why.contains("nowhere") && !folder.exists("nowhere"), "{why}");
    }
    let both = ["listen", "--did", HUB, "--capture", "c.jsonl", "--key", "hub.key"];
    let why = folder.fails(2, &both);
    assert!(why.contains("--capture") && !folder.exists("c.jsonl"), "{why}");
    folder.fails(2, &["listen", "--did", HUB, "--pin", "jis:x=nothing"]);
    folder.fails(2, &["pin", "add", "jis home", "sensor.pub", "--state", "state"]);
}

fn two_pinned_keys_talk_through_a_session(runtime: &str) {
    let folder = keys("session", runtime);
    folder.prints(&["pin", "add", SENSOR, "sensor.pub", "--state", "state"]);
    let hub = hub(runtime, &folder, &["--require", "session"]);
    let [key, pin] = ["sensor.key", "hub.pub"].map(|name| path(&folder, name));
    let with = |more: &[&str]| {
        let usual = ["--key", &key, "--pin", &pin];
        Ping::start(runtime, SENSOR, &hub.addr, &[&usual[..], more].concat()).finish()
    };
    let fingerprint = folder.json(&["key", "show", "hub.key"]).str("fingerprint").to_owned();
    let (code, events, _) = with(&["-t", "5", "--count", "3", "--interval", "10ms"]);
    assert_eq!(code, 0, "{events:?}");
    let up = events.iter().find(|event| event.str("event") == "session").expect("it is told");
    assert_eq!((up.str("state"), up.str("did"), up.str("fingerprint")), ("up", HUB, fingerprint.as_str()));
    let answers: Vec<&Json> = events.iter().filter(|event| event.str("event") == "response").collect();
    assert!(answers.len() == 3 && answers.iter().all(|answer| answer.str("auth") == "session"));
    assert_eq!(hub.next_of("ping").str("auth"), "session");
    // What is only signed is not heard by who requires a session.
    let (code, events, _) = with(&["--session", "off", "-t", "700ms"]);
    assert_eq!((code, events[0].str("event")), (1, "timeout"));
    let summary = hub.quit().1;
    assert_eq!(summary.count("accepted"), 3);

    // And where nobody speaks sessions, auto goes signed and require does not.
    let plain = Listen::bare(runtime, &["--bind", "127.0.0.1:0", "--allow-legacy", "--trust", "jis:test:sensor=0.9"]);
    for (session, auth) in [("auto", 0), ("require", 1)] {
        let usual = ["--key", &key, "--session", session, "-t", "3"];
        let (code, ..) = Ping::start(runtime, SENSOR, &plain.addr, &usual).finish();
        assert_eq!(code, auth, "{session}");
    }
    plain.quit();
    let why = folder.fails(2, &["ping", HUB, "127.0.0.1:9", "--intent", "x", "--session", "require"]);
    assert!(why.contains("--key"), "{why}");
    let why = folder.fails(2, &["listen", "--did", HUB, "--require", "session"]);
    assert!(why.contains("--key"), "{why}");
}
