//! Frames signed as `tibet-mux` 1.3.1 does: ours checked by it, its own checked by hub and listener.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::folder::Folder;
use crate::common::process::Process;
use crate::common::venv;
use crate::hub::{Hub, json};
use crate::on_both;

on_both! {
    what_a_pipe_signs_is_believed_by_the_listener_and_by_the_reference
    what_the_reference_signs_is_believed_once_and_from_nobody_else
    what_a_hub_has_believed_it_does_not_believe_again_after_a_restart
}

fn python() -> Option<&'static Path> {
    static PYTHON: venv::Cell = venv::Cell::new();
    venv::python(&PYTHON, "mux-131-venv", "mux/python/requirements131.txt")
}

/// `signed.py` with this on its standard input: the lines that it prints.
fn script(python: &Path, folder: &Folder, args: &[&str], input: &str) -> Vec<String> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mux/python/signed.py");
    let mut command = Command::new(python);
    command.arg(script).args(args).current_dir(&folder.0).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python starts");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A hub that knows alice's key, and of carol and dave and bob none.
fn hub(name: &str, runtime: &'static str) -> (Hub, String) {
    let folder = Folder::new(&format!("{name}-{runtime}"));
    for agent in ["bob", "carol", "dave", "alice"] {
        let token = folder.ends(0, &["mux", "token", agent, "--agents", "agents.toml"]);
        folder.write(&format!("{agent}.token"), token);
    }
    let made = json(&folder.ends(0, &["key", "new", "alice.pem", "--json"]));
    folder.ends(0, &["key", "new", "carol.pem"]);
    let public = made["public"].as_str().unwrap().to_owned();
    let agents = std::fs::read_to_string(folder.0.join("agents.toml")).unwrap();
    folder.write("agents.toml", format!("{agents}key = \"{public}\"\n"));
    let hub = Hub::in_folder(folder, runtime, &["--agents", "agents.toml", "--self-signed", "certs"]);
    (hub, public)
}

/// Frames bear whole seconds, of a clock that may be two of them ahead: one that is made before the third one after somebody began is not
/// told from one that somebody else has believed before.
fn when_frames_are_believed() {
    std::thread::sleep(std::time::Duration::from_secs(3));
}

/// The next frame, or what was rejected.
fn heard(process: &Process) -> Value {
    loop {
        let said = json(&process.line());
        if said["event"] == "frame" || said["event"] == "rejected" {
            return said;
        }
    }
}

fn what_a_pipe_signs_is_believed_by_the_listener_and_by_the_reference(runtime: &'static str) {
    // Before anything is signed: where its environment has to be made first, frames would be stale meanwhile.
    let python = python();
    let (hub, public) = hub("signed", runtime);
    let known = ["--agent-key", "alice=alice.pem"];
    let piped =
        ["--agent", "alice", "--target", "bob", "--intent", "chat", "--key", "alice.pem", "--sign-131", "--count", "3"];
    hub.folder.ends(0, &["key", "new", "bob.pem"]);
    let mut frames = Vec::new();
    let mut bob = hub.listen("bob", &[&known[..], &["--native", "--key", "bob.pem", "--count", "3"]].concat());
    when_frames_are_believed();
    hub.asked(0, Some("alice"), "pipe", &piped);
    frames.extend((0..3).map(|_| heard(&bob)));
    assert_eq!(bob.finish().0, 0);
    let to_dave = [
        "--agent",
        "alice",
        "--target",
        "dave",
        "--intent",
        "chat",
        "--key",
        "alice.pem",
        "--sign-131",
        "--count",
        "2",
    ];
    let dave = hub.listen("dave", &[]);
    hub.asked(0, Some("alice"), "pipe", &to_dave);
    for frame in &frames {
        assert_eq!((&frame["event"], &frame["signed"]), (&"frame".into(), &true.into()), "{frame}");
    }
    // He knows no key of hers.
    for _ in 0..2 {
        let said = heard(&dave);
        assert_eq!((&said["event"], &said["reason"]), (&"rejected".into(), &"unknown-key".into()));
    }
    let Some(python) = python else { return };
    let input: String = frames.iter().map(|frame| format!("{}\n", frame["payload"])).collect();
    for line in script(python, &hub.folder, &["check", &public], &input) {
        let found = json(&line);
        assert_eq!((&found["reason"], &found["actor"]), (&"verified-mux-frame".into(), &"alice.aint".into()));
    }
}

fn what_the_reference_signs_is_believed_once_and_from_nobody_else(runtime: &'static str) {
    let Some(python) = python() else { return };
    let (hub, _) = hub("signed-by", runtime);
    let bob = hub.listen("bob", &["--agent-key", "alice=alice.pem"]);
    let payloads = [r#"{"text":"h\u00e9 \ud83d\ude00"}"#, "[1.5,1e100,-0.0,null]", "10000000000000000000000000"];
    let made = |key: &str, from: &str| {
        script(python, &hub.folder, &[&["make", key, from, "bob", "chat"][..], &payloads].concat(), "")
    };
    when_frames_are_believed();
    let frames = made("alice.pem", "alice");
    let channel = hub.open("alice", "bob", "chat");
    let send = |frame: &str| hub.ask("alice", "send", &["--channel", &channel, "--payload", frame]);
    let refused = |agent: &str, channel: &str, frame: &str, why: &str| {
        let said = hub.refused(agent, "send", &["--channel", channel, "--payload", frame]);
        assert!(said.contains(why), "{said}");
    };
    for frame in &frames {
        assert_eq!(send(frame)["delivered"], true);
        let heard = heard(&bob);
        assert_eq!((&heard["signed"], &heard["from"]), (&true.into(), &"alice".into()), "{heard}");
        refused("alice", &channel, frame, "replayed");
    }
    refused("alice", &channel, &frames[0].replace("\"n0\"", "\"n9\""), "bad-signature");
    refused("alice", &channel, &frames[0].replacen('{', "{\"a=1\\u001fb\": 1, ", 1), "ambiguous-member");
    refused("alice", &channel, &made("carol.pem", "alice")[0], "bad-signature");
    let other = hub.open("alice", "bob", "mail");
    refused("alice", &other, &made("alice.pem", "alice")[0], "other-channel");
    // Whose key nobody has named vouches for himself in vain, and under her name, too.
    let carols = hub.open("carol", "bob", "chat");
    refused("carol", &carols, &made("carol.pem", "carol")[0], "unknown-key");
    refused("carol", &carols, &made("alice.pem", "alice")[0], "unknown-key");
}

fn what_a_hub_has_believed_it_does_not_believe_again_after_a_restart(runtime: &'static str) {
    let (hub, _) = hub("signed-again", runtime);
    let bob = hub.listen("bob", &["--native", "--agent-key", "alice=alice.pem"]);
    let piped = ["--target", "bob", "--intent", "chat", "--key", "alice.pem", "--sign-131", "--count", "1"];
    when_frames_are_believed();
    hub.asked(0, Some("alice"), "pipe", &[&["--agent", "alice"], &piped[..]].concat());
    let frame = heard(&bob)["payload"].to_string();
    drop(bob);
    let channel = hub.open("alice", "bob", "chat");
    hub.ask("alice", "send", &["--channel", &channel, "--payload", &frame]);
    let (folder, _) = hub.ended();
    let hub = Hub::in_folder(folder, runtime, &["--agents", "agents.toml", "--self-signed", "certs"]);
    let channel = hub.open("alice", "bob", "chat");
    let said = hub.refused("alice", "send", &["--channel", &channel, "--payload", &frame]);
    assert!(said.contains("stale-frame"), "{said}");
}
