//! A hub that nobody enters without a token.

use serde_json::Value;
use sluis_core::{Now, Seed};
use sluis_mux::rest::{Answer, Request, Response, rest};
use sluis_mux::switchboard::{Config, SocketId, Switchboard, Transport};
use sluis_mux::talk::{join, talk};
use sluis_mux::{Access, Credential, access};

use crate::common::at;

pub(crate) fn agent(name: &str, may: &[&str], to: &[&str]) -> Credential {
    let list = |patterns: &[&str]| patterns.iter().map(|text| (*text).into()).collect();
    Credential { name: name.into(), token_sha256: access::token_hash(name), key: None, may: list(may), to: list(to) }
}

/// A hub for alice, bob, carol and mallory, whose tokens are their names.
pub(crate) struct Closed {
    pub(crate) board: Switchboard,
    pub(crate) clock: u64,
}

impl Closed {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("node");
        config.access = Access::agents(everybody()).unwrap();
        config.transport = Transport::Tls13;
        change(&mut config);
        Self { board: Switchboard::new(config, &Seed::from_u64(1), at(0)), clock: 0 }
    }

    pub(crate) fn now(&self) -> Now {
        at(self.clock)
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.clock += millis;
        while self.board.deadline().is_some_and(|due| due <= self.now().mono) {
            self.board.handle_timeout(self.now());
        }
    }

    pub(crate) fn ask(&mut self, token: &str, method: &str, target: &str, body: &Value) -> Answer {
        let caller = self.board.identify(Some(token));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let target = format!("/api/mux/{target}");
        let request =
            Request { method, target: &target, content_type: Some("application/json"), body: body.as_bytes() };
        let now = self.now();
        rest(&mut self.board, now, caller.as_ref(), request)
    }

    pub(crate) fn done(&mut self, token: &str, method: &str, target: &str, body: &Value) -> Response {
        match self.ask(token, method, target, body) {
            Answer::Done(response) => response,
            Answer::Wait(wait) => panic!("waits: {wait:?}"),
        }
    }

    pub(crate) fn get(&mut self, token: &str, target: &str) -> (u16, Value) {
        let response = self.done(token, "GET", target, &Value::Null);
        (response.status, serde_json::from_str(&response.body).unwrap())
    }

    pub(crate) fn post(&mut self, token: &str, target: &str, body: Value) -> (u16, Value) {
        let response = self.done(token, "POST", target, &body);
        (response.status, serde_json::from_str(&response.body).unwrap())
    }

    pub(crate) fn open(&mut self, agent: &str, target: &str, intent: &str) -> String {
        let (status, opened) =
            self.post(agent, "open", serde_json::json!({"agent": agent, "target": target, "intent": intent}));
        assert_eq!(status, 200, "{opened}");
        opened["channel_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn send(&mut self, agent: &str, channel: &str, payload: Value) -> (u16, Value) {
        self.post(agent, "send", serde_json::json!({"channel_id": channel, "payload": payload}))
    }

    pub(crate) fn socket(&mut self, token: &str, query: &str) -> Result<SocketId, Response> {
        let caller = self.board.identify(Some(token));
        let target = format!("/api/mux/ws?{query}");
        let now = self.now();
        join(&mut self.board, now, caller.as_ref(), &target).unwrap()
    }

    pub(crate) fn say(&mut self, socket: SocketId, message: &Value) {
        let now = self.now();
        talk(&mut self.board, now, socket, &message.to_string());
    }

    pub(crate) fn hear(&mut self, socket: SocketId) -> Vec<Value> {
        let now = self.now();
        std::iter::from_fn(|| self.board.poll_text(now, socket))
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect()
    }
}

pub(crate) fn everybody() -> Vec<Credential> {
    vec![
        agent("alice", &["*"], &["*"]),
        agent("bob", &["*"], &["*"]),
        agent("carol", &["chat", "call:*"], &["bob"]),
        agent("mallory", &["*"], &["*"]),
    ]
}
