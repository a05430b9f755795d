//! `library_states.jsonl`: what the counters of the reference's library say after each step, and ours.

use serde_json::{Value, json};
use sluis_core::Seed;
use sluis_core::data::Value as Payload;
use sluis_mux::rest::{Answer, Request, rest};
use sluis_mux::switchboard::{Body, ChannelId, Config, Open, Refusal, SocketId, SocketOptions, Switchboard};
use sluis_mux::{Access, Caller, Credential, access};

use crate::common::{Difference, at, compare, rows, str};
use crate::deviations;

const FILE: &str = "library_states.jsonl";
const ME: Caller = Caller::Anyone;

struct Library {
    mux: Switchboard,
    listeners: Vec<SocketId>,
    channels: Vec<ChannelId>,
}

impl Library {
    fn new() -> Self {
        let mut config = Config::new("Alice.aint");
        (config.access, config.max_channels) = (Access::Open, 2);
        let mut mux = Switchboard::new(config, &Seed::from_u64(3), at(0));
        let listeners = ["bob", "x"].map(|name| mux.attach(at(0), &ME, name, SocketOptions::default()).unwrap());
        Self { mux, listeners: listeners.to_vec(), channels: Vec::new() }
    }

    fn open(&mut self, agent: &str, intent: &str) -> Result<ChannelId, Refusal> {
        let ask = Open { agent, target: "bob", intent, metadata: None, socket: None };
        let channel = self.mux.open(at(1), &ME, &ask)?.channel;
        self.channels.push(channel);
        Ok(channel)
    }

    fn send(&mut self, channel: usize, json: &str) -> Result<u64, Refusal> {
        let id = self.channels[channel];
        let sent = self.mux.send(at(1), &ME, id, Body::Value(Payload::from_json(json).unwrap()));
        self.listeners.iter().for_each(|socket| while self.mux.poll_text(at(1), *socket).is_some() {});
        sent.map(|sent| sent.seq)
    }

    /// What the reference calls receiving: the target sends.
    fn receive(&mut self, channel: usize, json: &str) -> Result<u64, Refusal> {
        let target = Credential {
            name: "bob".into(),
            token_sha256: access::token_hash("t"),
            key: None,
            may: vec![],
            to: vec![],
        };
        let target = Caller::Agent(target.into());
        let id = self.channels[channel];
        let sent = self.mux.send(at(1), &target, id, Body::Value(Payload::from_json(json).unwrap()));
        let alice = self.mux.attach(at(1), &ME, "alice", SocketOptions::default()).unwrap();
        while self.mux.poll_text(at(1), alice).is_some() {}
        self.mux.detach(at(1), alice);
        sent.map(|sent| sent.seq)
    }

    fn detail(&mut self, channel: usize) -> Value {
        let target = format!("/api/mux/channel/{}", self.channels[channel]);
        self.get(&target)
    }

    fn get(&mut self, target: &str) -> Value {
        self.ask("GET", target, "")
    }

    fn ask(&mut self, method: &str, target: &str, body: &str) -> Value {
        let request = Request { method, target, content_type: Some("application/json"), body: body.as_bytes() };
        let Answer::Done(response) = rest(&mut self.mux, at(1), Some(&ME), request) else { panic!("waits") };
        serde_json::from_str(&response.body).unwrap()
    }

    fn refusal<T>(&self, outcome: Result<T, Refusal>) -> Value {
        let mut text = outcome.err().map_or_else(|| "done".to_owned(), |refusal| refusal.to_string());
        for (n, id) in self.channels.iter().enumerate() {
            text = text.replace(&id.to_string(), &format!("${{C{}}}", n + 1));
        }
        json!(text)
    }

    /// Do the step of this name; its outcome in the words of the table.
    fn step(&mut self, name: &str) -> Value {
        match name {
            "new Mux(agent='Alice.aint', max_channels=2)" => json!({}),
            "open 1" => {
                self.open("", "chat").unwrap();
                json!({})
            }
            "open 2" => {
                self.open("", "task").unwrap();
                json!({})
            }
            "open 3" => {
                let outcome = self.open("", "mail");
                json!({"result": self.refusal(outcome)})
            }
            "open for another agent" => {
                self.open("Carol", "chat").unwrap();
                json!({"result": self.detail(2)["agent"]})
            }
            "c1.send" => {
                let seq = self.send(0, r#"{"a": 1}"#).unwrap();
                let frame = &self.detail(0)["recent_frames"][0];
                json!({"frame": {"seq": seq, "intent": frame["intent"], "payload": frame["payload"]}})
            }
            "c1.receive: own numbering, counts bytes, appends to the chain" => {
                let seq = self.receive(0, r#"{"b": 22}"#).unwrap();
                json!({"frame": {"seq": seq}, "chain_len": self.detail(0)["tbz_chain"].as_array().unwrap().len()})
            }
            "150 more sends" => {
                (0..150).for_each(|n| assert!(self.send(0, &n.to_string()).is_ok()));
                let detail = self.detail(0);
                let recent: Vec<&Value> =
                    detail["recent_frames"].as_array().unwrap().iter().map(|f| &f["seq"]).collect();
                json!({"frame_log": recent.len(), "chain_len": detail["tbz_chain"].as_array().unwrap().len(), "recent": recent})
            }
            "150 receives: the frame log is not cut on receive" => {
                (0..150).for_each(|n| assert!(self.receive(0, &n.to_string()).is_ok()));
                let detail = self.detail(0);
                let (log, chain) = (&detail["recent_frames"], &detail["tbz_chain"]);
                json!({"frame_log": log.as_array().unwrap().len(), "chain_len": chain.as_array().unwrap().len()})
            }
            "throttle" => {
                let full = format!("\"{}\"", "a".repeat(49_998));
                self.send(1, &full).unwrap();
                let outcome = self.send(1, "1");
                let text = self.refusal(outcome);
                json!({"result": {"error": "ChannelThrottled", "text": text}, "c2_frames": self.detail(1)["frames_sent"]})
            }
            "Channel.close() on the object: total_closed not counted, slot freed" => {
                self.mux.close(at(1), &ME, self.channels[0], "bye").unwrap();
                json!({"result": self.detail(0)["state"]})
            }
            "send on closed" => {
                let outcome = self.send(0, "1");
                json!({"result": self.refusal(outcome)})
            }
            "receive on closed is allowed" => match self.receive(0, "1") {
                Ok(seq) => json!({"seq": seq}),
                Err(_) => json!({"seq": null}),
            },
            "Mux.close of the closed channel: counted" => json!({"reason": self.close_first("again")["reason"]}),
            "and again" => json!({"reason": self.close_first("third")["reason"]}),
            "Mux.close unknown" => {
                json!({"result": self.close("nope", "x")["detail"]})
            }
            "get unknown" => json!({"result": self.get("/api/mux/channel/nope").get("id")}),
            "channels('ALICE.aint') / channels(' alice ') / channels('x')" => {
                let names = ["ALICE.aint", "%20alice%20", "x"];
                json!({"result": names.map(|name| self.get(&format!("/api/mux/channels?agent={name}"))["count"].clone())})
            }
            other => panic!("unknown step {other}"),
        }
    }

    fn close_first(&mut self, reason: &str) -> Value {
        let id = self.channels[0].to_string();
        self.close(&id, reason)
    }

    fn close(&mut self, id: &str, reason: &str) -> Value {
        let body = json!({"channel_id": id, "reason": reason}).to_string();
        self.ask("POST", "/api/mux/close", &body)
    }
}

#[test]
fn library_states() {
    let (mut library, mut found, mut keys) = (Library::new(), Vec::new(), 0);
    for row in rows(FILE) {
        let name = str(&row, "do");
        if name.ends_with("keys") {
            keys += 1;
            check_keys(&row);
            continue;
        }
        let mut ours = library.step(name);
        let status = library.get("/api/mux/status");
        for key in ["agent", "channels", "messages_routed", "bytes_transferred"] {
            ours[key] = status[key].clone();
        }
        let mut reference = row.clone();
        reference.as_object_mut().unwrap().remove("do");
        let (reference, ours) = (sorted(&reference), sorted(&ours));
        let differences = compare(&reference, &ours, &[]);
        found.extend(differences.into_iter().map(|(at, ours)| Difference {
            file: FILE.into(),
            row: name.into(),
            at,
            ours,
        }));
    }
    assert_eq!(keys, 2);
    deviations::check(FILE, found);
}

/// The order of members is the table's, not the library's.
fn sorted(value: &Value) -> Value {
    let members: std::collections::BTreeMap<_, _> = value.as_object().unwrap().iter().collect();
    json!(members)
}

/// Every key of the reference's reports is in ours, in its order.
fn check_keys(row: &Value) {
    let mut library = Library::new();
    library.open("", "chat").unwrap();
    library.send(0, "1").unwrap();
    let status = library.get("/api/mux/status");
    let detail = library.detail(0);
    let closed = library.close_first("x");
    let starts_with = |ours: &Value, keys: Vec<&str>| {
        let have: Vec<&str> = ours.as_object().unwrap().keys().map(String::as_str).take(keys.len()).collect();
        assert_eq!(have, keys);
    };
    let list = |key: &str| row[key].as_array().map(|keys| keys.iter().map(|key| key.as_str().unwrap()).collect());
    if let Some(keys) = list("keys") {
        starts_with(&detail, keys);
        starts_with(&detail["recent_frames"][0], list("frame_keys").unwrap());
        starts_with(&closed, list("close_keys").unwrap());
    } else {
        starts_with(&status, row["status"].as_object().unwrap().keys().map(String::as_str).collect());
    }
}
