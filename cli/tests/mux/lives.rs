//! A hub and its agents, from the first token to the summary.

use serde_json::{Value, json as value};

use crate::common::process::Process;
use crate::hub::{Hub, json};
use crate::on_both;

on_both! {
    what_is_sent_arrives_over_tls_and_is_checked
    what_is_sent_to_nobody_waits
    an_agent_that_is_taken_out_is_cut_off_and_a_broken_file_changes_nothing
    a_certificate_is_exchanged_and_a_broken_one_changes_nothing
    an_open_hub_believes_names
    a_pipe_outlives_the_hub
}

fn what_is_sent_arrives_over_tls_and_is_checked(runtime: &'static str) {
    let hub = Hub::of("mux-arrives", runtime, &["alice", "bob"], &["--self-signed", "certs"]);
    let mut bob = hub.listen("bob", &["--count", "3", "--accept", "chat", "--echo"]);
    let refused = hub.open("alice", "bob", "file:sync");
    let channel = hub.open("alice", "bob", "chat");
    for (n, payload) in ["{\"text\":\"h\u{e9}\"}", "1.0", "[]"].iter().enumerate() {
        let sent = hub.ask("alice", "send", &["--channel", &channel, "--payload", payload]);
        assert_eq!((&sent["delivered"], &sent["seq"]), (&value!(true), &value!(n)));
    }
    let (code, rest) = bob.finish();
    assert_eq!(code, 0);
    let heard: Vec<Value> = rest.iter().map(|line| json(line)).collect();
    let names: Vec<&str> = heard.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["incoming", "incoming", "frame", "frame", "frame", "summary"]);
    for (event, payload) in heard[2..5].iter().zip([value!({"text": "h\u{e9}"}), value!(1.0), value!([])]) {
        assert_eq!((&event["payload"], &event["from"], &event["proof"]), (&payload, &value!("alice"), &value!("hop")));
        assert_eq!(event["verified"], true, "{event}");
    }
    // The intent that bob does not take was closed by him, and alice has his echoes.
    let all = hub.ask("alice", "channels", &["--agent", "alice"]);
    assert_eq!(all["channels"].as_array().unwrap().len(), 1, "{all}");
    assert_ne!(all["channels"][0]["id"], value!(refused));
    let closed = hub.ask("alice", "close", &["--channel", &channel, "--reason", "done"]);
    assert_eq!((&closed["reason"], &closed["state"]), (&value!("done"), &value!("closed")));
    assert!(closed["duration_frames"].as_u64().unwrap() >= 3);
    assert_eq!(hub.ask("alice", "status", &[])["security"]["transport"], "TLS 1.3");
    let summary = hub.end();
    assert_eq!((&summary["channels"], &summary["event"]), (&value!(2), &value!("summary")));
    assert!(summary["delivered"].as_u64().unwrap() >= 3);
}

fn what_is_sent_to_nobody_waits(runtime: &'static str) {
    let hub = Hub::of("mux-waits", runtime, &["alice", "bob"], &["--plain"]);
    let channel = hub.open("alice", "bob", "iot:sensor");
    let sent = hub.ask("alice", "send", &["--channel", &channel, "--payload", "21.5"]);
    assert_eq!((&sent["delivered"], &sent["queued"]), (&value!(false), &value!(true)));
    let bob = hub.listen("bob", &["--count", "1"]);
    assert_eq!(json(&bob.line())["event"], "incoming");
    let frame = json(&bob.line());
    // Without TLS nobody is given a key, and nothing is said to be checked that was not.
    assert_eq!((&frame["payload"], &frame["verified"]), (&value!(21.5), &Value::Null));
    assert_eq!(hub.ask("alice", "status", &[])["security"]["transport"], "none");
}

fn an_agent_that_is_taken_out_is_cut_off_and_a_broken_file_changes_nothing(runtime: &'static str) {
    let hub = Hub::of("mux-reload", runtime, &["alice", "bob"], &["--self-signed", "certs"]);
    let mut bob = hub.listen("bob", &[]);
    let file = hub.folder.0.join("agents.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "[agents.alice]\nmay = []").unwrap();
    hub.process.signal("HUP");
    while !hub.process.stderr().contains("the agents stay as they were") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    hub.ask("bob", "status", &[]);
    std::fs::write(&file, before.split("[agents.\"bob\"]").next().unwrap()).unwrap();
    hub.process.signal("HUP");
    let (code, _) = bob.finish();
    assert_eq!(code, 1);
    bob.wait_for_stderr("may not be here any more");
    assert_eq!(hub.asked(1, Some("bob"), "status", &[]), "");
    hub.ask("alice", "status", &[]);
    hub.end();
}

fn a_certificate_is_exchanged_and_a_broken_one_changes_nothing(runtime: &'static str) {
    // Two of them, as hubs make them.
    let mut folder = crate::common::folder::Folder::new(&format!("mux-certs-{runtime}"));
    let mut fingerprints = Vec::new();
    for dir in ["one", "two"] {
        let hub = Hub::in_folder(folder, runtime, &["--open", "--self-signed", dir]);
        fingerprints.push(hub.fingerprint.clone());
        folder = hub.ended().0;
    }
    let args = ["--open", "--cert", "one/cert.pem", "--cert-key", "one/key.pem"];
    let mut hub = Hub::in_folder(folder, runtime, &args);
    assert_eq!(hub.fingerprint, fingerprints[0]);
    let at = |name: &str| hub.folder.0.join(name);
    for file in ["cert.pem", "key.pem"] {
        std::fs::copy(at(&format!("two/{file}")), at(&format!("one/{file}"))).unwrap();
    }
    hub.process.signal("HUP");
    // Whoever has pinned the old one is told no lies, and whoever has pinned the new one comes in.
    let began = std::time::Instant::now();
    let asks = |hub: &Hub| {
        let args = ["mux", "status", "--url", &hub.url, "--pin", fingerprints[1].as_deref().unwrap()];
        hub.folder.sluis(&args).status.success()
    };
    while !asks(&hub) {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{}", hub.process.stderr());
    }
    hub.asked(1, None, "status", &[]);
    std::fs::write(hub.folder.0.join("one/cert.pem"), "no certificate").unwrap();
    hub.process.signal("HUP");
    hub.process.wait_for_stderr("the certificate stays as it was");
    hub.fingerprint.clone_from(&fingerprints[1]);
    hub.asked(0, None, "status", &[]);
    hub.end();
}

fn an_open_hub_believes_names(runtime: &'static str) {
    let args = ["--open", "--plain", "--intent", "iot:sensor=mqtt=Sensor data", "--max-channels", "2"];
    let hub = Hub::start("mux-open", runtime, &args);
    let ask = |command: &str, args: &[&str]| json(&hub.asked(0, None, command, args));
    assert_eq!(ask("intents", &[])["intents"]["iot:sensor"], value!({"backend": "mqtt", "description": "Sensor data"}));
    let open = ["--agent", "Alice.aint", "--target", "bob", "--intent", "iot:sensor", "--metadata", "{\"unit\":\"C\"}"];
    let opened = ask("open", &open);
    assert_eq!((&opened["agent"], &opened["route"]["backend"]), (&value!("alice"), &value!("mqtt")));
    ask("open", &open);
    assert_eq!(hub.asked(1, None, "open", &open), "", "two are as many as one may have");
    hub.end();
}

fn a_pipe_outlives_the_hub(runtime: &'static str) {
    let mut hub = Hub::of("native-outlives", runtime, &["alice", "bob"], &["--self-signed", "certs"]);
    let mut bob = hub.listen("bob", &["--native"]);
    let mut alice = hub.spawn("alice", "pipe", &["--target", "bob", "--intent", "stream", "--in-flight", "1024"]);
    let mut said = Vec::new();
    let mut hear = |alice: &Process, event: &str, count: usize| {
        while said.iter().filter(|line: &&Value| line["event"] == event).count() < count {
            said.push(json(&alice.line()));
        }
    };
    (0..100).for_each(|n| alice.say(&n.to_string()));
    hear(&alice, "sent", 100);
    hub.process.signal("KILL");
    hub.process.finish();
    hear(&alice, "disconnected", 1);
    // What is said meanwhile waits for another hub, which has never heard of the channel.
    (100..200).for_each(|n| alice.say(&n.to_string()));
    let place = hub.url.strip_prefix("https://").unwrap().to_owned();
    let again = ["mux", "serve", "--json", "--runtime", runtime, "--bind", &place, "--agents", "agents.toml"];
    let again = [&again[..], &["--self-signed", "certs"]].concat();
    let mut hub_again = Process::spawn("sluis mux serve", &mut hub.folder.command(&again));
    assert_eq!(json(&hub_again.line())["event"], "listening");
    hear(&alice, "reconnected", 1);
    alice.close_stdin();
    hear(&alice, "summary", 1);
    let summary = said.last().unwrap();
    assert_eq!((&summary["sent"], &summary["acked"], &summary["lost"]), (&value!(200), &value!(200), &value!(0)));
    let reconnected = said.iter().find(|line| line["event"] == "reconnected").unwrap();
    assert!(reconnected["channels"] == 1 && reconnected["after_ms"].is_u64(), "{reconnected}");
    assert_eq!(alice.finish().0, 0);
    let mut heard: Vec<Value> = Vec::new();
    while heard.last().is_none_or(|line| line["event"] != "closed") {
        heard.push(json(&bob.line()));
    }
    bob.signal("TERM");
    let (code, _) = bob.finish();
    let frames: Vec<&Value> = heard.iter().filter(|line| line["event"] == "frame").collect();
    assert_eq!((code, frames.len()), (0, 200));
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!((&frame["seq"], &frame["payload"]), (&value!(n), &value!(n.to_string())), "each once, in order");
    }
    assert!(heard.iter().any(|line| line["event"] == "reconnected" && line["channels"] == 1), "{heard:?}");
    // Both ends say how it ended, and so does the hub that had never heard of it, of what it has seen.
    let closed = |lines: &[Value]| lines.iter().find(|line| line["event"] == "closed").cloned().unwrap_or_default();
    for lines in [&said, &heard] {
        assert_eq!((&closed(lines)["reason"], &closed(lines)["frames"]), (&value!("client_close"), &value!(200)));
    }
    hub_again.signal("TERM");
    let told: Vec<Value> = hub_again.finish().1.iter().map(|line| json(line)).collect();
    let last = closed(&told);
    assert_eq!((&last["reason"], &last["channel_id"]), (&value!("client_close"), &closed(&said)["channel_id"]));
    assert!(last["frames"].as_u64().is_some_and(|frames| (100..=200).contains(&frames)), "{last}");
}
