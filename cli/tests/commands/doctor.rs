//! `sluis doctor`: what it finds, what it says to do, and that it leaves all as it was.

use std::fs;
use std::net::UdpSocket;

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::sluis::{HUB, Listen, SENSOR};

/// What it tells, and how it ends.
fn look(folder: &Folder, code: i32, args: &[&str]) -> Vec<Json> {
    let events = folder.events(code, &[&["--color", "never", "doctor"], args].concat());
    let summary = events.last().expect("a summary");
    assert_eq!(summary.str("event"), "summary");
    for (status, count) in [("ok", "ok"), ("warning", "warnings"), ("problem", "problems")] {
        let told =
            events.iter().filter(|event| event.find("status").is_some() && event.str("status") == status).count();
        assert_eq!(summary.count(count), told as u64, "{events:?}");
    }
    events
}

#[track_caller]
fn of<'a>(events: &'a [Json], check: &str) -> &'a Json {
    let found = events.iter().find(|event| event.find("check").is_some() && event.str("check") == check);
    found.unwrap_or_else(|| panic!("nothing of {check}: {events:?}"))
}

/// A key, and a state with a pin in it.
fn keys(folder: &Folder) {
    folder.prints(&["key", "new", "hub.key"]);
    folder.prints(&["pin", "add", SENSOR, "hub.key", "--state", "state"]);
}

fn bytes(folder: &Folder) -> Vec<u8> {
    fs::read(folder.0.join("state/state.redb")).expect("a state")
}

#[test]
fn all_is_well() {
    let folder = Folder::new("doctor-well");
    keys(&folder);
    let before = bytes(&folder);
    let hub = Listen::start("tokio", &[]);
    let peer = format!("{HUB}@{}", hub.addr);
    let args = ["--key", "hub.key", "--state", "state", "--peer", &peer, "--did", SENSOR];
    let events = look(&folder, 0, &args);
    for check in ["clock", "key", "state", "peer"] {
        assert_eq!(of(&events, check).str("status"), "ok", "{events:?}");
    }
    assert!(of(&events, "state").str("says").contains("records: 1"), "{events:?}");
    assert!(of(&events, "peer").str("says").contains("and accepts"), "{events:?}");
    for check in ["socket", "multicast", "offload"] {
        assert_ne!(of(&events, check).str("status"), "problem", "{events:?}");
    }
    assert_eq!(bytes(&folder), before, "it was only looked at");
    // For people: a line each, which begins with how it is.
    let lines = folder.prints(&[&["doctor"], &args[..]].concat());
    assert_eq!(lines.lines().count(), events.len() - 1, "{lines}");
    assert!(lines.lines().all(|line| line.starts_with("ok      ") || line.starts_with("warning ")), "{lines}");
    hub.quit();
}

#[cfg(unix)]
#[test]
fn keys_that_others_may_read_are_a_problem() {
    let folder = Folder::new("doctor-key");
    keys(&folder);
    folder.set_mode("hub.key", 0o644);
    let events = look(&folder, 1, &["--key", "hub.key"]);
    let key = of(&events, "key");
    assert!(key.str("status") == "problem" && key.str("says").contains("chmod 600 hub.key"), "{events:?}");
    assert_eq!((key.str("subject"), key.str("mend")), ("hub.key", "chmod 600 hub.key"));
    let lines = folder.ends(1, &["--color", "never", "doctor", "--key", "hub.key"]);
    assert_eq!(lines.matches("chmod").count(), 1, "what to do is said once: {lines}");
    let events = look(&folder, 1, &["--key", "no.key"]);
    let key = of(&events, "key");
    assert!(key.str("says").contains("cannot read no.key"), "{events:?}");
    assert!(key.str("subject") == "no.key" && key.str("mend").contains("sluis key new"), "{events:?}");
}

#[test]
fn a_state_is_looked_at_and_never_made_or_mended() {
    let folder = Folder::new("doctor-state");
    keys(&folder);
    let looked = |code: i32| {
        let events = look(&folder, code, &["--state", "state"]);
        let state = of(&events, "state");
        assert_eq!(state.str("subject"), "state");
        (state.str("status").to_owned(), state.str("says").to_owned())
    };
    #[cfg(unix)]
    {
        folder.set_mode("state", 0o755);
        let (status, says) = looked(1);
        assert!(status == "problem" && says.contains("chmod 700"), "{says}");
        folder.set_mode("state", 0o700);
    }
    let hub = Listen::start("tokio", &["--state", folder.0.join("state").to_str().expect("UTF-8")]);
    let (status, says) = looked(0);
    assert!(status == "warning" && says.contains("in use"), "{says}");
    hub.quit();
    assert_eq!(looked(0).0, "ok");
    folder.write("state/state.redb", b"no database");
    let (status, says) = looked(1);
    assert!(status == "problem" && says.contains("is damaged"), "{says}");
    assert!(of(&look(&folder, 1, &["--state", "state"]), "state").str("mend").contains("copy"));
    assert_eq!(folder.text("state/state.redb"), "no database");
    let events = look(&folder, 0, &["--state", "elsewhere"]);
    assert!(of(&events, "state").str("status") == "warning" && !folder.exists("elsewhere"), "{events:?}");
    folder.write("file", "");
    let events = look(&folder, 1, &["--state", "file"]);
    assert!(of(&events, "state").str("says").contains("is no directory"), "{events:?}");
}

#[test]
fn peers_that_do_not_answer_are_a_problem() {
    let folder = Folder::new("doctor-peers");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let silent = format!("jis:test:silent@{}", socket.local_addr().expect("an address"));
    // No name has as many letters, so nobody is asked for it.
    let nowhere = format!("jis:test:nobody@{}:7150", "x".repeat(300));
    let events = look(&folder, 1, &["--peer", &silent, "--peer", &nowhere, "--did", SENSOR]);
    let is_peer = |event: &&Json| event.find("check").is_some() && event.str("check") == "peer";
    let peers: Vec<&Json> = events.iter().filter(is_peer).collect();
    assert_eq!(peers.len(), 2, "{events:?}");
    assert!(peers.iter().all(|peer| peer.str("status") == "problem"), "{events:?}");
    assert!(peers[0].str("says").contains("no answer") && peers[0].str("mend").contains(SENSOR), "{events:?}");
    assert!(peers[1].str("says").contains("cannot find the address"), "{events:?}");
    // Its port is nobody's from here on.
    drop(socket);
    let events = look(&folder, 1, &["--peer", &silent]);
    let said = of(&events, "peer").str("says").to_owned();
    assert!(said.contains("nothing listens at") || said.contains("no answer"), "{said}");
    assert!(folder.fails(2, &["doctor", "--peer", "127.0.0.1:7150"]).contains("write DID@HOST:PORT"));
}
