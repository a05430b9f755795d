//! An open hub as the tables were recorded on one, with the scenario's targets there and listening.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sluis_core::{Now, Seed};
use sluis_mux::rest::{Answer, Request, Response, rest};
use sluis_mux::switchboard::{Config, SocketId, SocketOptions, Switchboard};
use sluis_mux::talk::{join, talk, talk_binary};
use sluis_mux::{Access, Caller, agent};

use crate::common::at;

pub(crate) struct Hub {
    pub(crate) board: Switchboard,
    clock: u64,
    listeners: BTreeMap<String, SocketId>,
    /// Sockets of the scenario by its name for them; `None` when they are closed.
    conns: BTreeMap<String, Option<SocketId>>,
    present: BTreeSet<String>,
    captured: BTreeMap<String, String>,
}

impl Hub {
    pub(crate) fn open() -> Self {
        let mut config = Config::new("node");
        config.access = Access::Open;
        Self {
            board: Switchboard::new(config, &Seed::from_u64(7), at(0)),
            clock: 0,
            listeners: BTreeMap::new(),
            conns: BTreeMap::new(),
            present: BTreeSet::new(),
            captured: BTreeMap::new(),
        }
    }

    /// The time of the next step.
    pub(crate) fn tick(&mut self) -> Now {
        self.clock += 1;
        let now = at(self.clock);
        self.board.handle_timeout(now);
        now
    }

    /// Put in what was captured.
    pub(crate) fn fill(&self, text: &str) -> String {
        self.captured.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
    }

    /// Capture what a row asks for from our own answer.
    pub(crate) fn capture(&mut self, row: &Value, answer: &Value) {
        for (name, pointer) in row["capture"].as_object().into_iter().flatten() {
            let value = answer.pointer(pointer.as_str().unwrap()).and_then(Value::as_str);
            // Where we refuse what the reference opens there is nothing to capture.
            self.captured.insert(name.clone(), value.unwrap_or("ch-none").to_owned());
        }
    }

    /// Whoever a message opens a channel to is there.
    fn invite(&mut self, now: Now, message: &str) {
        let target = serde_json::from_str::<Value>(message).ok();
        let Some(target) = target.as_ref().and_then(|message| message["target"].as_str()) else { return };
        let name = agent::normalise(target);
        if name.is_empty() || name.len() > 256 || self.present.contains(&name) || self.listeners.contains_key(&name) {
            return;
        }
        let socket = self.board.attach(now, &Caller::Anyone, &name, SocketOptions::default()).unwrap();
        self.listeners.insert(name, socket);
    }

    /// What the listeners hear is read.
    fn listen(&mut self, now: Now) {
        for socket in self.listeners.values() {
            while self.board.poll_text(now, *socket).is_some() {}
        }
    }

    pub(crate) fn http(&mut self, method: &str, target: &str, content_type: Option<&str>, body: &str) -> Response {
        let now = self.tick();
        let (target, body) = (self.fill(target), self.fill(body));
        self.invite(now, &body);
        let request = Request { method, target: &target, content_type, body: body.as_bytes() };
        let answer = rest(&mut self.board, now, Some(&Caller::Anyone), request);
        self.listen(now);
        match answer {
            Answer::Done(response) => response,
            Answer::Wait(wait) => panic!("waits for an inbox: {wait:?}"),
        }
    }

    pub(crate) fn connect(&mut self, conn: &str, target: &str) -> Result<(), Response> {
        let now = self.tick();
        let socket = join(&mut self.board, now, Some(&Caller::Anyone), target).expect("the path of the socket")?;
        if let Some((_, name)) = target.split_once("agent=") {
            self.present.insert(name.to_owned());
        }
        self.conns.insert(conn.into(), Some(socket));
        Ok(())
    }

    pub(crate) fn conn_send(&mut self, conn: &str, text: &str) {
        let now = self.tick();
        let text = self.fill(text);
        self.invite(now, &text);
        let socket = self.conns[conn].expect("a socket that is there");
        talk(&mut self.board, now, socket, &text);
        self.listen(now);
    }

    pub(crate) fn conn_send_binary(&mut self, conn: &str) {
        let socket = self.conns[conn].expect("a socket that is there");
        talk_binary(&mut self.board, socket);
    }

    pub(crate) fn conn_recv(&mut self, conn: &str) -> Option<String> {
        let now = self.tick();
        self.board.poll_text(now, self.conns[conn]?)
    }

    pub(crate) fn conn_close(&mut self, conn: &str) {
        let now = self.tick();
        if let Some(socket) = self.conns.insert(conn.into(), None).flatten() {
            self.board.detach(now, socket);
        }
    }
}

/// A text that a row gives in parts.
pub(crate) fn assembled(text: &Value, parts: &Value) -> Option<String> {
    if let Some(text) = text.as_str() {
        return Some(text.to_owned());
    }
    let part = |part: &Value| match part.as_str() {
        Some(text) => text.to_owned(),
        None => {
            let times = usize::try_from(part["times"].as_u64().unwrap()).unwrap();
            part["repeat"].as_str().unwrap().repeat(times)
        }
    };
    parts.as_array().map(|parts| parts.iter().map(part).collect())
}
