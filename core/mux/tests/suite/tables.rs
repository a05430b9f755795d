//! The tables of single functions: names, intents, policies, buckets, sizes.

use serde_json::{Value, json};
use sluis_core::Instant;
use sluis_mux::agent::normalise;
use sluis_mux::intents::{Intent, Intents, Policy};
use sluis_mux::switchboard::{Open, SocketOptions, payload_size};
use sluis_mux::{Bucket, Caller, Verdict};

use crate::common::{Difference, compare, rows, str};
use crate::deviations;
use crate::hub::Hub;

#[test]
fn agent_normalise() {
    for row in rows("agent_normalise.jsonl") {
        let name = str(&row, "in");
        assert_eq!(normalise(name), str(&row, "library"), "{row}");
        let mut hub = Hub::open();
        let now = hub.tick();
        let query: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let listed = hub.http("GET", &format!("/api/mux/channels?agent={query}"), None, "");
        let listed: Value = serde_json::from_str(&listed.body).unwrap();
        assert_eq!(listed["agent"], row["channels_echo"], "{row}");
        let socket = hub.board.attach(now, &Caller::Anyone, name, SocketOptions::default()).unwrap();
        sluis_mux::talk::talk(&mut hub.board, now, socket, r#"{"action":"open","target":"t","intent":"chat"}"#);
        let opened: Value = serde_json::from_str(&hub.board.poll_text(now, socket).unwrap()).unwrap();
        let detail = hub.http("GET", &format!("/api/mux/channel/{}", str(&opened, "channel_id")), None, "");
        let detail: Value = serde_json::from_str(&detail.body).unwrap();
        assert_eq!(detail["agent"], row["ws_then_open"], "{row}");
    }
}

fn policy_json(policy: &Policy) -> Value {
    json!({
        "priority": policy.priority,
        "max_bytes_per_sec": policy.max_bytes_per_sec,
        "burst_bytes": policy.burst_bytes,
        "preemptible": policy.preemptible,
        "is_realtime": policy.is_realtime(),
        "is_unlimited": policy.is_unlimited(),
    })
}

fn intent_json(intent: &Intent<'_>) -> Value {
    json!({
        "name": intent.name,
        "backend": intent.backend,
        "description": intent.description,
        "parent": intent.parent,
        "parts": intent.name.split(':').collect::<Vec<_>>(),
        "is_realtime": intent.policy.is_realtime(),
        "is_messaging": intent.is_messaging(),
        "bandwidth": policy_json(&intent.policy),
    })
}

#[test]
fn intents() {
    let intents = Intents::new();
    for row in rows("intents.jsonl") {
        let intent = intents.resolve(str(&row, "intent"));
        assert_eq!(intent_json(&intent), row["resolved"], "{row}");
        assert_eq!(intent.policy == Policy::DEFAULT, row["policy_is_default"], "{row}");
    }
}

#[test]
fn bandwidth_policies() {
    let (intents, mut unnamed) = (Intents::new(), 0);
    for row in rows("bandwidth_policies.jsonl") {
        let policy = match (row["intent"].as_str(), row["note"].as_str()) {
            (Some(intent), _) => intents.resolve(intent).policy,
            (None, Some(note)) if note.starts_with("default") => Policy::DEFAULT,
            _ => Policy::new(5, 0, 0, true),
        };
        unnamed += usize::from(row["intent"].is_null());
        for (key, value) in policy_json(&policy).as_object().unwrap() {
            assert_eq!(*value, row[key], "{row}");
        }
    }
    assert_eq!(unnamed, 2);
}

#[test]
fn custom_intents() {
    const FILE: &str = "custom_intents.jsonl";
    let (mut intents, mut found) = (Intents::new(), Vec::new());
    for row in rows(FILE) {
        if row["do"] == "register" {
            let (name, backend) = (str(&row, "name"), str(&row, "backend"));
            intents.register(name, backend, str(&row, "description")).unwrap();
            assert_eq!(json!(intents.len()), row["known_intents"], "{row}");
            let listed = intents.iter().find(|(listed, ..)| *listed == name).unwrap();
            assert_eq!(json!({"backend": listed.1, "description": listed.2}), row["route"]);
        } else {
            let name = str(&row, "intent");
            let differences = compare(&row["resolved"], &intent_json(&intents.resolve(name)), &[]);
            found.extend(differences.into_iter().map(|(at, ours)| Difference {
                file: FILE.into(),
                row: name.into(),
                at,
                ours,
            }));
        }
    }
    deviations::check(FILE, found);
}

#[test]
fn payload_sizes() {
    for row in rows("payload_size.jsonl") {
        // The table's own text keeps what a parser of floats might change.
        let text = str(&row, "counted_text");
        let value = sluis_core::data::Value::from_json(text).unwrap();
        assert_eq!(json!(payload_size(value)), row["size"], "{row}");
        let compact = row["payload"].to_string();
        let value = sluis_core::data::Value::from_json(&compact).unwrap();
        assert_eq!(json!(payload_size(value)), row["size"], "{row}");
    }
}

#[test]
fn bandwidth_guard() {
    const FILE: &str = "bandwidth_guard.jsonl";
    let mut found = Vec::new();
    for row in rows(FILE) {
        let number = |key: &str| row["policy"][key].as_u64().unwrap();
        let priority = u8::try_from(number("priority")).unwrap();
        let preemptible = row["policy"]["preemptible"].as_bool().unwrap();
        let policy = Policy::new(priority, number("max_bytes_per_sec"), number("burst_bytes"), preemptible);
        let mut guard = Guard { policy, bucket: Bucket::new(&policy, at("1000.0")), stats: [0; 3] };
        let counted = &row["steps"].as_array().unwrap().last().unwrap()["stats"]["frames_throttled"];
        if policy.is_realtime() && *counted != 0 {
            let (row, at) = (str(&row, "name").to_owned(), "/*/throttled".to_owned());
            found.push(Difference { file: FILE.into(), row, at, ours: "never counted".into() });
        }
        for (n, step) in row["steps"].as_array().unwrap().iter().enumerate() {
            let differences = guard.step(step);
            let row = format!("{}/{n}", str(&row, "name"));
            found.extend(differences.into_iter().map(|(at, ours)| Difference {
                file: FILE.into(),
                row: row.clone(),
                at,
                ours,
            }));
        }
    }
    deviations::check(FILE, found);
}

/// The reference's clock in seconds.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "about a thousand seconds")]
fn at(clock: &str) -> Instant {
    let seconds: f64 = clock.parse().unwrap();
    Instant::from_nanos((seconds * 1e9).round() as u64)
}

/// A bucket, and what a channel counts.
struct Guard {
    policy: Policy,
    bucket: Bucket,
    /// Bytes allowed, bytes throttled, frames throttled.
    stats: [u64; 3],
}

impl Guard {
    fn step(&mut self, step: &Value) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if let Some(size) = step["size"].as_u64() {
            let verdict = self.bucket.check(&self.policy, at(str(step, "clock_repr")), size);
            let allowed = matches!(verdict, Verdict::Pass { .. } | Verdict::Paced(_));
            let throttled = verdict != Verdict::Pass { over: false };
            if throttled && !self.policy.is_realtime() {
                self.stats[1] += size;
                self.stats[2] += 1;
            }
            self.stats[0] += if allowed { size } else { 0 };
            let ours = json!({"allowed": allowed, "throttled": throttled, "tokens_remaining": 0});
            found = compare(&step["result"], &ours, &["/tokens_remaining".into()]);
        }
        let mut ignore = vec!["/tokens_remaining".to_owned()];
        if self.policy.is_realtime() {
            assert_eq!(self.stats[1..], [0, 0]);
            ignore.extend(["/bytes_throttled".into(), "/frames_throttled".into()]);
        }
        let ours = json!({
            "priority": self.policy.priority,
            "max_bytes_per_sec": self.policy.max_bytes_per_sec,
            "burst_bytes": self.policy.burst_bytes,
            "preemptible": self.policy.preemptible,
            "bytes_allowed": self.stats[0],
            "bytes_throttled": self.stats[1],
            "frames_throttled": self.stats[2],
            "tokens_remaining": self.bucket.tokens(),
        });
        let inside = compare(&step["stats"], &ours, &ignore);
        found.extend(inside.into_iter().map(|(at, ours)| (format!("/stats{at}"), ours)));
        // The reference counts in floats, off by less than a thousandth of a byte; we count exactly.
        let tokens: f64 = step["tokens_after_repr"]
            .as_str()
            .map_or_else(|| step["stats"]["tokens_remaining"].as_f64().unwrap(), |repr| repr.parse().unwrap());
        let exact = self.bucket.units() as f64 / 1e9;
        if (exact - tokens).abs() > 1e-3 {
            found.push(("/tokens".into(), exact.to_string()));
        }
        found
    }
}

#[test]
fn a_hub_charges_the_size_of_the_table() {
    let mut hub = Hub::open();
    let now = hub.tick();
    let ask = Open { agent: "a", target: "b", intent: "stream", metadata: None, socket: None };
    for row in rows("payload_size.jsonl") {
        let channel = hub.board.open(now, &Caller::Anyone, &ask).unwrap().channel;
        let body = format!("{{\"channel_id\":\"{channel}\",\"payload\":{}}}", str(&row, "counted_text"));
        hub.http("POST", "/api/mux/send", Some("application/json"), &body);
        let body = format!("{{\"channel_id\":\"{channel}\"}}");
        let closed = hub.http("POST", "/api/mux/close", Some("application/json"), &body);
        let closed: Value = serde_json::from_str(&closed.body).unwrap();
        assert_eq!(closed["bytes_transferred"], row["size"], "{row}");
    }
}
