//! Anything that clients may say to a mux hub.

use std::collections::BTreeSet;

use sluis_core::data::Value;
use sluis_core::{Instant, Now, Seed, Wall};
use sluis_mux::access::presented;
use sluis_mux::rest::{Answer, Request, Response, read_inbox, rest};
use sluis_mux::switchboard::{Config, SocketId, Switchboard, Transport};
use sluis_mux::talk::{join, talk, talk_binary};
use sluis_mux::{Access, Caller};

/// Statuses that a hub answers with; 500 is none of them.
const STATUSES: [u16; 14] = [200, 307, 400, 401, 403, 404, 405, 409, 413, 422, 426, 429, 101, 204];

/// Play a dialogue, a line a step: its first byte says what it is, the rest is said. `@N` is the name of the Nth channel.
///
/// * `A` target: a WebSocket is asked for · `D`: the newest one is gone · `T` text, `B`: a message on it · `R`: it reads all
/// * `G` target · `P` target, a blank, and a body · `W` milliseconds pass · `H` target and headers, from which a token is read
pub fn hub(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut world = World::new();
    for line in text.lines().take(200) {
        let mut chars = line.chars();
        let Some(step) = chars.next() else { continue };
        let said = world.named(chars.as_str());
        world.step(step, &said);
    }
    world.settle();
}

struct World {
    board: Switchboard,
    millis: u64,
    sockets: Vec<SocketId>,
    channels: Vec<String>,
}

impl World {
    fn new() -> Self {
        let mut config = Config::new("node");
        (config.access, config.transport) = (Access::Open, Transport::Tls13);
        (config.max_channels, config.max_all_channels, config.max_agents, config.max_sockets) = (8, 16, 12, 6);
        config.kept_bytes = 4096;
        let board = Switchboard::new(config, &Seed::from_u64(5), Now::default());
        Self { board, millis: 0, sockets: Vec::new(), channels: Vec::new() }
    }

    fn now(&self) -> Now {
        let wall = i64::try_from(self.millis * 1000).unwrap_or(i64::MAX);
        Now::new(Instant::from_nanos(self.millis * 1_000_000), Wall::from_micros(wall))
    }

    fn named(&self, said: &str) -> String {
        let names = self.channels.iter().enumerate().rev();
        names.fold(said.to_owned(), |said, (n, id)| said.replace(&format!("@{n}"), id))
    }

    fn step(&mut self, step: char, said: &str) {
        let now = self.now();
        match step {
            'A' => match join(&mut self.board, now, Some(&Caller::Anyone), said) {
                Some(Ok(socket)) => self.sockets.push(socket),
                Some(Err(refused)) => check(&refused),
                None => {}
            },
            'D' => {
                if let Some(socket) = self.sockets.pop() {
                    self.board.detach(now, socket);
                }
            }
            'T' => {
                if let Some(socket) = self.sockets.last().filter(|socket| self.board.may_read(**socket)) {
                    talk(&mut self.board, now, *socket, said);
                }
            }
            'B' => {
                if let Some(socket) = self.sockets.last() {
                    talk_binary(&mut self.board, *socket);
                }
            }
            'R' => self.read(),
            'G' => self.ask("GET", said, ""),
            'P' => {
                let (target, body) = said.split_once(' ').unwrap_or((said, ""));
                self.ask("POST", target, body);
            }
            'W' => self.pass(said.trim().parse().unwrap_or(0)),
            'H' => {
                let mut parts = said.split('\t');
                let target = parts.next().unwrap_or_default();
                let found = presented(target, parts.next(), parts.next());
                assert!(target.ends_with(found.target) || found.target.is_empty());
            }
            _ => {}
        }
    }

    fn ask(&mut self, method: &str, target: &str, body: &str) {
        let now = self.now();
        let request = Request { method, target, content_type: Some("application/json"), body: body.as_bytes() };
        match rest(&mut self.board, now, Some(&Caller::Anyone), request) {
            Answer::Done(response) => {
                check(&response);
                self.note(&response.body);
            }
            Answer::Wait(wait) => {
                if self.board.wait_for_inbox(now, &wait.agent).is_ok() {
                    check(&read_inbox(&mut self.board, now, &wait));
                    self.board.stop_waiting(now, &wait.agent);
                }
            }
        }
    }

    /// Keep the name of a channel that was opened.
    fn note(&mut self, answer: &str) {
        let Ok(answer) = Value::from_json(answer) else { return };
        let opened = answer.get("intent").is_some() && answer.get("tbz_hash").is_some();
        if let Some(id) = answer.get("channel_id").and_then(Value::as_text).filter(|_| opened) {
            self.channels.push(id.to_cow().into_owned());
        }
    }

    fn read(&mut self) {
        let now = self.now();
        for socket in self.sockets.clone() {
            // Each frame is heard once, in the order of its channel and sender.
            let mut seen = BTreeSet::new();
            while let Some(text) = self.board.poll_text(now, socket) {
                let event = Value::from_json(&text).expect("events are JSON");
                assert!(event.is_object() && event.is_finite());
                let member = |name: &str| event.get(name).and_then(|value| value.to_json_string().ok());
                if member("event").as_deref() == Some("\"frame\"") {
                    assert!(seen.insert((member("channel_id"), member("from"), member("seq"))), "{text}");
                }
                self.note(&text);
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        self.millis += millis.min(1_000_000);
        let now = self.now();
        for _ in 0..1000 {
            match self.board.deadline() {
                Some(due) if due <= now.mono => self.board.handle_timeout(now),
                _ => return,
            }
        }
        panic!("what is due is never done");
    }

    /// Everybody leaves: in the end nothing is left.
    fn settle(&mut self) {
        self.read();
        let now = self.now();
        for socket in std::mem::take(&mut self.sockets) {
            self.board.detach(now, socket);
        }
        let totals = self.board.totals();
        assert!(totals.closed <= totals.opened && totals.delivered + totals.queued == totals.frames);
        for id in self.channels.clone() {
            self.ask("POST", "/api/mux/close", &format!("{{\"channel_id\":\"{id}\"}}"));
        }
        for _ in 0..4 {
            self.pass(400_000);
        }
        assert_eq!(self.board.deadline(), None, "something is kept for ever");
        assert_eq!(self.board.totals().closed, self.board.totals().opened);
    }
}

fn check(response: &Response) {
    assert!(STATUSES.contains(&response.status), "{response:?}");
    if !response.body.is_empty() {
        Value::from_json(&response.body).expect("answers are JSON");
    }
    assert!(response.headers.iter().all(|(_, value)| !value.contains(['\r', '\n'])), "{response:?}");
}
