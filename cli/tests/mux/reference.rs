//! The published `tibet-mux` 1.0.0: its client at our hub, our clients at its server.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json as value};

use crate::common::folder::Folder;
use crate::common::process::Process;
use crate::common::venv;
use crate::hub::{Hub, json};
use crate::on_both;

on_both! {
    its_client_at_our_open_hub
    its_client_at_our_hub_with_a_token_over_tls
    our_clients_at_its_server
}

fn python() -> Option<&'static Path> {
    static PYTHON: venv::Cell = venv::Cell::new();
    venv::python(&PYTHON, "mux-venv", "mux/python/requirements.txt")
}

/// `client.py`: what the reference's client and an independent WebSocket client are answered, step by step.
fn client(python: &Path, hub: &Hub, base: &str, socket: &str) -> Vec<Value> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mux/python/client.py");
    let mut command = Command::new(python);
    command.arg(script).arg(base).arg(socket).env("SSL_CERT_FILE", hub.folder.0.join("certs/cert.pem"));
    let out = command.output().expect("python starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(json).collect()
}

fn check(answers: &[Value]) {
    let step = |name: &str| {
        let found = answers.iter().find(|answer| answer["step"] == name);
        &found.unwrap_or_else(|| panic!("no step {name} in {answers:?}"))["answer"]
    };
    assert_eq!(step("open")["route"], value!({"backend": "ipoll", "description": "Text messaging via I-Poll"}));
    assert_eq!((&step("send")["delivered"], &step("send")["seq"]), (&value!(true), &value!(0)));
    let incoming = step("incoming");
    assert_eq!((&incoming["event"], &incoming["agent"]), (&value!("channel_incoming"), &value!("alice")));
    let frame = step("frame");
    assert_eq!((&frame["payload"], &frame["from"]), (&value!({"text": "h\u{e9}"}), &value!("alice")));
    assert_eq!(frame["tbz_hash"], step("send")["tbz_hash"]);
    assert_eq!(step("back")["event"], "frame_ack");
    assert_eq!(step("channel")["frames_received"], 1);
    assert_eq!(step("channels")["count"], 1);
    assert_eq!(step("close"), step("close again"));
    assert_eq!((&step("closed")["event"], &step("closed")["reason"]), (&value!("channel_closed"), &value!("done")));
    assert_eq!(step("intents")["intents"].as_object().unwrap().len(), 13);
    assert_eq!(step("send closed"), &value!(409));
    assert_eq!(step("status")["messages_routed"], 2);
}

fn its_client_at_our_open_hub(runtime: &'static str) {
    let Some(python) = python() else { return };
    let hub = Hub::start("mux-ref-open", runtime, &["--open", "--plain"]);
    let socket = format!("{}/api/mux/ws?agent=bob", hub.url.replace("http", "ws"));
    check(&client(python, &hub, &hub.url, &socket));
}

fn its_client_at_our_hub_with_a_token_over_tls(runtime: &'static str) {
    let Some(python) = python() else { return };
    let hub = Hub::of("mux-ref-token", runtime, &["alice", "bob"], &["--self-signed", "certs"]);
    let url = hub.url.replace("127.0.0.1", "localhost");
    let socket = format!("{}/api/mux/ws?agent=bob&mac=1&token={}", url.replace("http", "ws"), hub.token("bob"));
    let answers = client(python, &hub, &format!("{url}/as/{}", hub.token("alice")), &socket);
    check(&answers);
    let verified: Vec<&Value> =
        answers.iter().filter(|answer| answer["step"].as_str().unwrap().starts_with("verified")).collect();
    assert!(verified.len() == 2 && verified.iter().all(|answer| answer["answer"] == true), "{verified:?}");
    assert!(!hub.process.stderr().contains(&hub.token("alice")), "a token is never logged");
}

/// The attacks that `holes.rs` of `sluis-mux` shows to fail here succeed there.
#[test]
fn each_attack_on_a_hole_of_the_reference_succeeds_there() {
    let Some(python) = python() else { return };
    let (_server, theirs) = server(python);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mux/python/attacks.py");
    let out = Command::new(python).arg(script).arg(theirs).output().expect("python starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let attacks: Vec<Value> = String::from_utf8(out.stdout).unwrap().lines().map(json).collect();
    assert!(attacks.len() >= 18 && attacks.iter().all(|attack| attack["succeeds"] == true), "{attacks:#?}");
}

/// `tibet-mux serve` on a port of its own.
fn server(python: &Path) -> (Process, String) {
    // Free now; nobody else asks for this very one.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(python.with_file_name("tibet-mux"));
    command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string(), "--agent", "node"]);
    let process = Process::spawn("tibet-mux serve", &mut command);
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not listen: {}", process.stderr());
        std::thread::sleep(Duration::from_millis(50));
    }
    (process, format!("http://127.0.0.1:{port}"))
}

fn our_clients_at_its_server(runtime: &'static str) {
    let Some(python) = python() else { return };
    let (_server, theirs) = server(python);
    let hub = Hub::start("mux-ref-server", runtime, &["--open", "--plain"]);
    let folder = Folder::new(&format!("mux-ref-clients-{runtime}"));
    let both = |command: &str, args: &dyn Fn(&str) -> Vec<String>| {
        let one = |url: &str| {
            let mut all: Vec<String> = ["mux", command, "--runtime", runtime, "--url", url].map(Into::into).into();
            all.extend(args(url));
            json(&folder.ends(0, &all.iter().map(String::as_str).collect::<Vec<_>>()))
        };
        (one(&theirs), one(&hub.url))
    };
    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let opened = both("open", &|_| words(&["--agent", "Alice.aint", "--target", "bob", "--intent", "call:voice:opus"]));
    same(&opened, &["channel_id", "tbz_hash"]);
    let ids = (opened.0["channel_id"].clone(), opened.1["channel_id"].clone());
    let id = |url: &str| if url == theirs { ids.0.as_str() } else { ids.1.as_str() }.unwrap().to_owned();
    let sent = both("send", &|url| words(&["--channel", &id(url), "--payload", "{\"a\":[1,2.5,\"\u{e9}\"]}"]));
    same(&sent, &["channel_id", "tbz_hash", "delivered"]);
    let listed = both("channels", &|_| words(&["--agent", "alice"]));
    let listed = (listed.0["channels"][0].clone(), listed.1["channels"][0].clone());
    same(&listed, &["id", "opened_at", "last_activity"]);
    let closed = both("close", &|url| words(&["--channel", &id(url), "--reason", "f\u{e9}"]));
    same(&closed, &["channel_id"]);
    same(&both("intents", &|_| Vec::new()), &[]);
    same(&both("status", &|_| Vec::new()), &["uptime_since", "security"]);
    // What it refuses is said, with exit code 1.
    folder.ends(1, &["mux", "send", "--url", &theirs, "--channel", "ch-none", "--payload", "1"]);
}

/// Every member of the reference's answer is in ours, with the same value unless it is another one each time.
#[track_caller]
fn same((theirs, ours): &(Value, Value), volatile: &[&str]) {
    for (key, value) in theirs.as_object().unwrap() {
        assert!(ours.get(key).is_some(), "no {key} in {ours}");
        assert!(volatile.contains(&key.as_str()) || ours[key] == *value, "{key}: {value} and {}", ours[key]);
    }
}
