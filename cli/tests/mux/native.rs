//! Native connections: our agents with each other, and a client that knows nothing but the page of the wire.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json as value};

use crate::common::venv;
use crate::hub::{Hub, json};
use crate::on_both;

on_both! {
    a_pipe_reaches_a_listener_with_proof
    a_pipe_signs_as_often_as_it_is_told
    whoever_is_not_who_he_should_be_is_refused
    a_client_made_from_the_page_talks_to_our_listener
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

fn a_pipe_reaches_a_listener_with_proof(runtime: &'static str) {
    let hub = Hub::of("native", runtime, &["alice", "bob"], &["--self-signed", "certs"]);
    for name in ["alice", "bob"] {
        hub.folder.ends(0, &["key", "new", &format!("{name}.pem")]);
    }
    let listening = ["--key", "bob.pem", "--agent-key", "alice=alice.pem", "--count", "50"];
    let mut bob = hub.listen("bob", &listening);
    let piped = ["--agent", "alice", "--target", "bob", "--intent", "chat", "--json", "--count", "50", "--size", "300"];
    let keys = ["--key", "alice.pem", "--agent-key", "bob=bob.pem"];
    let said = lines(&hub.asked(0, Some("alice"), "pipe", &[&piped[..], &keys].concat()));
    let named = |event: &str| said.iter().filter(|line| line["event"] == event).count();
    assert_eq!((named("connected"), named("opened"), named("sent")), (1, 1, 50), "{said:?}");
    let opened = said.iter().find(|line| line["event"] == "opened").unwrap();
    assert_eq!((&opened["proof"], &opened["target"]), (&value!("end"), &value!("bob")));
    let summary = said.last().unwrap();
    assert_eq!((&summary["sent"], &summary["acked"], &summary["lost"]), (&value!(50), &value!(50), &value!(0)));
    let (code, heard) = bob.finish();
    let frames: Vec<Value> = heard.iter().map(|line| json(line)).filter(|line| line["event"] == "frame").collect();
    assert_eq!((code, frames.len()), (0, 50), "{heard:?}");
    assert!(
        frames.iter().all(|frame| frame["verified"] == true && frame["from"] == "alice" && frame["proof"] == "end")
    );
    // Nobody listens any more.
    let refused = hub.asked(1, Some("alice"), "pipe", &[&piped[..], &keys, &["--timeout", "1s"]].concat());
    assert!(lines(&refused).iter().all(|line| line["event"] != "sent"), "{refused}");
}

fn a_pipe_signs_as_often_as_it_is_told(runtime: &'static str) {
    let hub = Hub::of("native-signs", runtime, &["alice", "bob"], &["--self-signed", "certs"]);
    for name in ["alice", "bob"] {
        hub.folder.ends(0, &["key", "new", &format!("{name}.pem")]);
    }
    for (flag, signed, proof) in [("--sign-each", 20, "unpinned"), ("--quiet", 1, "unpinned"), ("--unsigned", 0, "hop")]
    {
        let bob = hub.listen("bob", &["--native", "--key", "bob.pem"]);
        let piped = ["--agent", "alice", "--key", "alice.pem", "--target", "bob", "--intent", "chat"];
        // One at a time, so that each goes out by itself.
        hub.asked(0, Some("alice"), "pipe", &[&piped[..], &["--count", "20", "--in-flight", "1", flag]].concat());
        let mut heard = Vec::new();
        while heard.last().is_none_or(|line: &Value| line["event"] != "closed") {
            heard.push(json(&bob.line()));
        }
        let named = |event: &str| heard.iter().filter(|line| line["event"] == event).count();
        assert!(named("signed") >= signed && (signed > 1 || named("signed") == signed), "{flag}: {heard:?}");
        assert!(heard.iter().all(|line| line["event"] != "frame" || line["proof"] == proof), "{flag}: {heard:?}");
    }
}

fn whoever_is_not_who_he_should_be_is_refused(runtime: &'static str) {
    let hub = Hub::of("native-who", runtime, &["alice", "bob"], &["--self-signed", "certs"]);
    for name in ["bob", "mallory"] {
        hub.folder.ends(0, &["key", "new", &format!("{name}.pem")]);
    }
    let piped = ["--target", "bob", "--intent", "chat", "--json", "--count", "1"];
    // The token of another agent.
    hub.asked(1, Some("bob"), "pipe", &[&["--agent", "alice"], &piped[..]].concat());
    // The right one, at an end with another key than the one that is known.
    let _bob = hub.listen("bob", &["--native", "--key", "mallory.pem"]);
    let known = ["--agent", "alice", "--key", "bob.pem", "--agent-key", "bob=bob.pem"];
    let said = lines(&hub.asked(1, Some("alice"), "pipe", &[&known, &piped[..]].concat()));
    assert!(said.iter().any(|line| line["event"] == "tampered"), "{said:?}");
}

fn python() -> Option<&'static Path> {
    static PYTHON: venv::Cell = venv::Cell::new();
    venv::python(&PYTHON, "mux-venv", "mux/python/requirements.txt")
}

fn a_client_made_from_the_page_talks_to_our_listener(runtime: &'static str) {
    let Some(python) = python() else { return };
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mux/python/native.py");
    let ask = |hub: &Hub, token: &str, certificate: &[PathBuf]| {
        let port = hub.url.rsplit(':').next().unwrap();
        let mut command = Command::new(python);
        command.arg(&script).args(["127.0.0.1", port, "alice", "bob", token]).args(certificate);
        let out = command.output().expect("python starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(json(&String::from_utf8(out.stdout).unwrap()), value!({"heard": 2, "same": true, "acked": 3}));
    };
    let hub = Hub::of("native-page", runtime, &["alice", "bob"], &["--self-signed", "certs"]);
    let _bob = hub.listen("bob", &["--native", "--echo"]);
    ask(&hub, &hub.token("alice"), &[hub.folder.0.join("certs/cert.pem")]);
    // Without TLS, where the first byte decides.
    let hub = Hub::start("native-plain", runtime, &["--open", "--plain"]);
    let args =
        ["mux", "listen", "--runtime", runtime, "--url", &hub.url, "--agent", "bob", "--native", "--echo", "--json"];
    let bob = crate::common::process::Process::spawn("sluis mux listen", &mut hub.folder.command(&args));
    assert_eq!(json(&bob.line())["event"], "ready");
    ask(&hub, "", &[]);
}

#[test]
fn the_story_goes_as_it_is_told() {
    let folder = crate::common::folder::Folder::new("native-demo");
    for runtime in ["tokio", "smol"] {
        let told = lines(&folder.ends(0, &["mux", "demo", "--json", "--runtime", runtime]));
        let steps: Vec<&Value> =
            told.iter().filter(|line| line["event"] == "step" && line["ok"] != Value::Null).collect();
        assert_eq!(steps.len(), 4, "{told:?}");
        assert!(steps.iter().all(|step| step["ok"] == true), "{told:?}");
        assert_eq!(told.last().unwrap()["ok"], true);
    }
}
