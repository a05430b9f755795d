//! Agents on native connections and agents that speak JSON, at one hub.

use serde_json::{Value, json as value};

use crate::common::process::Process;
use crate::hub::{Hub, json};
use crate::on_both;

on_both! {
    what_is_sent_by_rest_arrives_on_a_native_connection
    what_is_piped_natively_arrives_on_a_websocket_and_is_acknowledged
    a_native_channel_to_the_hub_itself_wants_somebody_who_listens_there
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

fn what_is_sent_by_rest_arrives_on_a_native_connection(runtime: &'static str) {
    let hub = Hub::of("meeting-rest", runtime, &["alice", "bob"], &["--self-signed", "certs"]);
    let mut bob = hub.listen("bob", &["--native", "--count", "2"]);
    let channel = hub.open("alice", "bob", "chat");
    let incoming = json(&bob.line());
    assert_eq!((&incoming["event"], &incoming["from"]), (&value!("incoming"), &value!("alice")));
    for n in 0..2 {
        let sent = hub.ask("alice", "send", &["--channel", &channel, "--payload", &format!("{{\"n\":{n}}}")]);
        assert_eq!(sent["seq"], n, "{sent}");
    }
    let (code, heard) = bob.finish();
    let frames: Vec<Value> = heard.iter().map(|line| json(line)).filter(|line| line["event"] == "frame").collect();
    assert_eq!((code, frames.len()), (0, 2), "{heard:?}");
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!((&frame["payload"], &frame["proof"]), (&value!({"n": n}), &value!("hop")));
        assert_eq!((&frame["from"], &frame["verified"]), (&value!("alice"), &Value::Null));
    }
}

/// An agent that is on a WebSocket alone, at a hub that believes names.
fn on_a_socket(hub: &Hub, runtime: &'static str, agent: &str, count: &str) -> Process {
    std::fs::write(hub.folder.0.join("any.token"), "any").expect("written");
    // A token is not shown natively without TLS.
    let args = ["mux", "listen", "--runtime", runtime, "--url", &hub.url, "--agent", agent, "--json"];
    let more = ["--token-file", "any.token", "--count", count];
    let process = Process::spawn("sluis mux listen", &mut hub.folder.command(&[&args[..], &more].concat()));
    assert_eq!(json(&process.line())["event"], "ready");
    process
}

const PIPED: [&str; 11] =
    ["--agent", "alice", "--target", "bob", "--intent", "chat", "--json", "--count", "20", "--size", "300"];

fn what_is_piped_natively_arrives_on_a_websocket_and_is_acknowledged(runtime: &'static str) {
    let hub = Hub::start("meeting-socket", runtime, &["--open", "--plain"]);
    let mut bob = on_a_socket(&hub, runtime, "bob", "20");
    let said = lines(&hub.asked(0, None, "pipe", &PIPED));
    let opened = said.iter().find(|line| line["event"] == "opened").unwrap();
    assert_eq!(opened["proof"], "hop");
    let summary = said.last().unwrap();
    assert_eq!((&summary["sent"], &summary["acked"], &summary["lost"]), (&value!(20), &value!(20), &value!(0)));
    let (code, heard) = bob.finish();
    let frames: Vec<Value> = heard.iter().map(|line| json(line)).filter(|line| line["event"] == "frame").collect();
    assert_eq!((code, frames.len()), (0, 20), "{heard:?}");
    assert!(frames.iter().enumerate().all(|(n, frame)| frame["seq"] == n && frame["from"] == "alice"), "{frames:?}");
}

fn a_native_channel_to_the_hub_itself_wants_somebody_who_listens_there(runtime: &'static str) {
    let hub = Hub::start("meeting-own", runtime, &["--open", "--plain"]);
    let piped = ["--agent", "alice", "--target", "node", "--intent", "chat", "--json", "--count", "3"];
    let refused = hub.folder.sluis(&[&["mux", "pipe", "--runtime", runtime, "--url", &hub.url][..], &piped].concat());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("there is no such service"), "{said}");
    let mut node = on_a_socket(&hub, runtime, "node", "3");
    let said = lines(&hub.asked(0, None, "pipe", &piped));
    assert_eq!(said.last().unwrap()["acked"], 3, "{said:?}");
    assert_eq!(node.finish().0, 0);
}
