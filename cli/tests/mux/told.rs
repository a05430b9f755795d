//! What a hub and its clients say of what happens, event by event and member by member; and what a hub records.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::{Value, json as value};
use sluis_core::data::hex;
use sluis_core::identity::PublicKey;

use crate::hub::{Hub, json};
use crate::on_both;

on_both! {
    every_event_has_its_members
    what_both_ends_sign_for_is_recorded_as_tokens
    whoever_does_not_read_what_a_hub_says_does_not_hold_it_up
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

/// Of each event all members but the time, sorted.
#[track_caller]
fn has(all: &[Value], event: &str, members: &[&str]) -> Vec<Value> {
    let of: Vec<Value> = all.iter().filter(|line| line["event"] == event).cloned().collect();
    assert!(!of.is_empty(), "no {event} in {all:#?}");
    for line in &of {
        for member in members {
            assert!(line.get(member).is_some(), "{member} is missing in {line}");
        }
    }
    of
}

fn every_event_has_its_members(runtime: &'static str) {
    let hub = Hub::of(
        "mux-told",
        runtime,
        &["alice", "bob", "carol"],
        &["--self-signed", "certs", "--intent", "iot:sensor=mqtt"],
    );
    for name in ["alice", "bob"] {
        hub.folder.ends(0, &["key", "new", &format!("{name}.pem")]);
    }
    // In JSON, from REST to a WebSocket.
    let mut bob = hub.listen("bob", &["--count", "1"]);
    let channel = hub.open("alice", "bob", "iot:sensor");
    hub.ask("alice", "send", &["--channel", &channel, "--payload", "21.5"]);
    hub.ask("alice", "close", &["--channel", &channel, "--reason", "done"]);
    let heard: Vec<Value> = bob.finish().1.iter().map(|line| json(line)).collect();
    has(&heard, "incoming", &["channel_id", "from", "intent", "metadata"]);
    has(&heard, "frame", &["channel_id", "from", "seq", "payload", "tbz_hash", "proof", "verified"]);
    // Natively.
    let native = hub.listen("bob", &["--native", "--key", "bob.pem"]);
    let piped =
        ["--agent", "alice", "--target", "bob", "--intent", "chat", "--key", "alice.pem", "--count", "3", "--json"];
    let said = lines(&hub.asked(0, Some("alice"), "pipe", &piped));
    let connected = has(&said, "connected", &["agent", "via", "from", "hub"]);
    assert_eq!((&connected[0]["via"], &connected[0]["hub"]), (&value!("native"), &value!("node")));
    assert_eq!(connected[0]["from"], hub.url.trim_start_matches("https://"));
    let opened = has(&said, "opened", &["channel_id", "agent", "target", "intent", "backend", "via", "proof"]);
    assert_eq!((&opened[0]["via"], &opened[0]["backend"]), (&value!("native"), &value!("ipoll")));
    has(&said, "sent", &["seq", "acked", "ms"]);
    let closed = has(&said, "closed", &["channel_id", "reason", "frames", "bytes"]);
    assert_eq!((&closed[0]["reason"], &closed[0]["frames"]), (&value!("client_close"), &value!(3)));
    has(&said, "summary", &["sent", "acked", "lost", "received", "bytes", "per_second", "rtt_ms"]);
    let mut heard = Vec::new();
    while heard.last().is_none_or(|line: &Value| line["event"] != "closed") {
        heard.push(json(&native.line()));
    }
    has(&heard, "incoming", &["channel_id", "from", "intent", "metadata"]);
    has(&heard, "frame", &["channel_id", "from", "seq", "payload", "tbz_hash", "proof", "verified"]);
    has(&heard, "closed", &["channel_id", "reason", "frames", "bytes"]);
    // Somebody whom nobody knows.
    hub.folder.write("nobody.token", "nobody");
    hub.refused("nobody", "status", &[]);
    let (_folder, told) = hub.ended();
    let came: Vec<Value> = has(&told, "connected", &["agent", "via", "from"]);
    let came: Vec<(&str, &str)> =
        came.iter().map(|line| (line["agent"].as_str().unwrap(), line["via"].as_str().unwrap())).collect();
    for who in [("bob", "websocket"), ("bob", "native"), ("alice", "native")] {
        assert!(came.contains(&who), "{who:?} in {came:?}");
    }
    let opened = has(&told, "opened", &["channel_id", "agent", "target", "intent", "backend", "via", "proof"]);
    let of = |line: &Value| ["intent", "backend", "via", "proof"].map(|name| line[name].as_str().unwrap().to_owned());
    assert_eq!(of(&opened[0]), ["iot:sensor", "mqtt", "rest", "hop"]);
    assert_eq!(of(&opened[1]), ["chat", "ipoll", "native", "end"]);
    let closed = has(&told, "closed", &["channel_id", "reason", "frames", "bytes"]);
    assert_eq!(
        (&closed[0]["channel_id"], &closed[0]["reason"], &closed[0]["frames"]),
        (&value!(channel), &value!("done"), &value!(1))
    );
    assert_eq!((&closed[1]["frames"], &closed[1]["bytes"]), (&value!(3), &value!(3 * 128)));
    let rejected = has(&told, "rejected", &["reason", "count"]);
    assert!(rejected.iter().any(|line| line["reason"] == "unauthorised"), "{rejected:?}");
    let summary =
        has(&told, "summary", &["connections", "channels", "frames", "delivered", "queued", "throttled", "elapsed_s"]);
    assert_eq!((&summary[0]["channels"], &summary[0]["frames"]), (&value!(2), &value!(1)));
}

fn what_both_ends_sign_for_is_recorded_as_tokens(runtime: &'static str) {
    let folder = crate::common::folder::Folder::new(&format!("mux-record-{runtime}"));
    let mut public = Vec::new();
    for name in ["alice", "bob", "hub"] {
        let made = json(&folder.ends(0, &["key", "new", &format!("{name}.pem"), "--json"]));
        public.push(made["public"].as_str().unwrap().to_owned());
    }
    for agent in ["alice", "bob"] {
        let token = folder.ends(0, &["mux", "token", agent, "--agents", "agents.toml"]);
        folder.write(&format!("{agent}.token"), token);
    }
    let args =
        ["--agents", "agents.toml", "--self-signed", "certs", "--record", "log.jsonl", "--record-key", "hub.pem"];
    let hub = Hub::in_folder(folder, runtime, &args);
    let bob = hub.listen("bob", &["--native", "--key", "bob.pem"]);
    let piped = ["--agent", "alice", "--target", "bob", "--intent", "chat", "--count", "5"];
    hub.asked(0, Some("alice"), "pipe", &[&piped[..], &["--key", "alice.pem"]].concat());
    // What is not signed leaves no token.
    hub.asked(0, Some("alice"), "pipe", &piped);
    drop(bob);
    let (folder, told) = hub.ended();
    let summary = told.last().unwrap();
    let log = std::fs::read_to_string(folder.0.join("log.jsonl")).unwrap();
    let tokens: Vec<Value> = log.lines().map(json).filter(|token| token["action"] == "channel.signed").collect();
    assert_eq!(summary["record"], value!({"recorded": tokens.len(), "lost": 0}), "{log}");
    folder.ends(0, &["chain", "verify", "log.jsonl", "--key", &public[2]]);
    let last =
        |way: &str| tokens.iter().rev().find(|token| token["erin"]["way"] == way).unwrap_or_else(|| panic!("{log}"));
    for (way, byte, actor, key, count) in [("out", 0, "alice", &public[0], 6), ("back", 1, "bob", &public[1], 1)] {
        let token = last(way);
        let erin = &token["erin"];
        assert_eq!((&token["actor"], &erin["count"], &erin["key"]), (&value!(actor), &value!(count), &value!(key)));
        // Whoever has the token alone can check it, as the page of the wire says.
        let (mut hash, mut signature, mut shown) = ([0; 32], [0; 64], [0; 32]);
        hex::parse(erin["hash"].as_str().unwrap().as_bytes(), &mut hash).unwrap();
        hex::parse(erin["signature"].as_str().unwrap().as_bytes(), &mut signature).unwrap();
        hex::parse(key.as_bytes(), &mut shown).unwrap();
        let count = u64::try_from(count).unwrap().to_be_bytes();
        let text = [&b"sluis mux sign 1\0"[..], &[byte], &count, &hash].concat();
        assert!(PublicKey::from_bytes(shown).unwrap().verify(&text, &signature).is_ok(), "{token}");
    }
}

/// The answer to one request without TLS.
fn post(addr: &str, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let mut stream = TcpStream::connect(addr).unwrap();
    let head = format!(
        "POST /api/mux/{path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-type: application/json\r\n"
    );
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    json(answer.split_once("\r\n\r\n").unwrap().1)
}

/// More events than a pipe of the system holds, which nobody reads: the hub goes on.
fn whoever_does_not_read_what_a_hub_says_does_not_hold_it_up(runtime: &'static str) {
    let folder = crate::common::folder::Folder::new(&format!("mux-unread-{runtime}"));
    let serve = ["mux", "serve", "--json", "--runtime", runtime, "--bind", "127.0.0.1:0", "--open", "--plain"];
    let mut hub = folder.command(&serve).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::with_capacity(256, hub.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let addr = json(&line)["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
    for n in 0..300 {
        let ask = value!({"agent": "alice", "target": format!("bob{n}"), "intent": format!("{n:0>200}")});
        let channel = post(&addr, "open", &ask)["channel_id"].clone();
        let closed = post(&addr, "close", &value!({"channel_id": channel, "reason": "x".repeat(200)}));
        assert_eq!(closed["state"], "closed", "{n}");
    }
    hub.kill().unwrap();
    hub.wait().unwrap();
}
