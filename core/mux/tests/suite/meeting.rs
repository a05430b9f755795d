//! Agents that speak JSON and agents on native connections, at one hub.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use sluis_core::driver::Flow;
use sluis_core::sim::streams::{HostId, StreamLink, StreamWorld};
use sluis_core::{Conn, End, Machine, Now, Order, Reject, Seed, Streams, Up, Wants};
use sluis_mux::native::{Client, Hub};
use sluis_mux::rest::{Answer, Request, rest};
use sluis_mux::switchboard::{Body, ChannelId, Config, Open, SocketId, SocketOptions};
use sluis_mux::talk::talk;
use sluis_mux::{Bridge, Caller, Switchboard};

use crate::native::{Agent, config, hub_config};

/// A hub of native connections, a switchboard, and what is between them.
struct Exchange {
    hub: Hub,
    board: Rc<RefCell<Switchboard>>,
    bridge: Bridge,
}

impl Exchange {
    fn pass(&mut self, now: Now) {
        self.bridge.run(now, &mut self.board.borrow_mut(), &mut self.hub);
    }
}

impl Machine for Exchange {
    type Event<'a> = ();

    fn handle_timeout(&mut self, now: Now) {
        self.hub.handle_timeout(now);
        self.board.borrow_mut().handle_timeout(now);
        self.pass(now);
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        let mut wants = self.hub.wants();
        let board = self.board.borrow().deadline().map(|at| (at, sluis_core::Reason::Session));
        wants.at = [wants.at, board].into_iter().flatten().min_by_key(|(at, _)| *at);
        wants
    }
}

impl Streams for Exchange {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        let conn = self.hub.handle_up(now, up);
        self.pass(now);
        conn
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        let taken = self.hub.handle_bytes(now, conn, bytes);
        self.pass(now);
        taken
    }

    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        self.hub.handle_end(now, conn, end);
        self.pass(now);
    }

    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        self.hub.poll_order(now)
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        let len = self.hub.poll_bytes(now, conn, out);
        self.pass(now);
        len
    }
}

struct World {
    world: StreamWorld,
    board: Rc<RefCell<Switchboard>>,
    hub: HostId,
    hosts: Vec<HostId>,
    seed: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = StreamWorld::new(StreamLink::default(), &Seed::from_u64(seed));
        let mut settings = Config::new("hub");
        settings.access = hub_config().access;
        let board = Switchboard::new(settings, &Seed::from_u64(seed), world.now());
        let board = Rc::new(RefCell::new(board));
        let mut hub = Hub::new(hub_config(), &Seed::from_u64(seed));
        let bridge = Bridge::new(&mut hub);
        let exchange = Exchange { hub, board: Rc::clone(&board), bridge };
        let hub = world.listen("hub", exchange, |now: Now, exchange: &mut Exchange| {
            exchange.pass(now);
            Flow::Continue
        });
        Self { world, board, hub, hosts: vec![hub], seed }
    }

    /// An agent on a native connection of its own.
    fn native(&mut self, name: &str, beside: bool) -> (HostId, Agent) {
        let agent = Agent::default();
        agent.0.borrow_mut().json = true;
        self.seed += 1;
        let mut settings = config(name, false);
        settings.beside = beside;
        let client = Client::new(settings, &Seed::from_u64(self.seed), self.world.now());
        let host = self.world.add(&format!("{name}{}", self.seed), client, agent.clone());
        self.hosts.push(host);
        (host, agent)
    }

    fn run(&mut self, millis: u64) {
        self.hosts.iter().for_each(|host| self.world.wake(*host));
        assert!(self.world.run_for(Duration::from_millis(millis)), "a machine spins");
    }

    /// Do something at the switchboard, and pass on what comes of it.
    fn at<T>(&mut self, act: impl FnOnce(&mut Switchboard, Now) -> T) -> T {
        let now = self.world.now();
        let done = act(&mut self.board.borrow_mut(), now);
        self.run(1);
        done
    }

    fn caller(&self, name: &str) -> Caller {
        self.board.borrow().identify(Some(name)).unwrap()
    }

    fn attach(&mut self, name: &str, credit: Option<u32>) -> SocketId {
        let caller = self.caller(name);
        let options = SocketOptions { credit, mac: false };
        self.at(|board, now| board.attach(now, &caller, name, options).unwrap())
    }

    fn open(&mut self, from: &str, to: &str) -> ChannelId {
        let caller = self.caller(from);
        let ask = Open { agent: from, target: to, intent: "chat", metadata: None, socket: None };
        self.at(|board, now| board.open(now, &caller, &ask).unwrap().channel)
    }

    /// Send a number; whether it is delivered.
    fn send(&mut self, from: &str, channel: ChannelId, n: u64) -> Option<bool> {
        let caller = self.caller(from);
        let text = n.to_string();
        let value = sluis_core::data::Value::from_json(&text).unwrap();
        let sent = self.at(|board, now| board.send(now, &caller, channel, Body::Value(value)));
        sent.ok().map(|sent| sent.delivered)
    }

    /// What a socket has to write.
    fn heard(&mut self, socket: SocketId) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(text) = self.at(|board, now| board.poll_text(now, socket)) {
            all.push(serde_json::from_str(&text).unwrap());
        }
        all
    }

    fn inbox(&mut self, name: &str, after: u64) -> Value {
        let caller = self.caller(name);
        let target = format!("/api/mux/inbox?agent={name}&after={after}");
        let request = Request { method: "GET", target: &target, content_type: None, body: b"" };
        match self.at(|board, now| rest(board, now, Some(&caller), request)) {
            Answer::Done(response) => serde_json::from_str(&response.body).unwrap(),
            Answer::Wait(_) => panic!("nobody asked to wait"),
        }
    }
}

fn say(agent: &Agent, numbers: std::ops::Range<u64>) {
    agent.0.borrow_mut().texts.extend(numbers.map(|n| (0, n.to_string().into_bytes())));
}

fn frames(events: &[Value]) -> Vec<u64> {
    events.iter().filter(|event| event["event"] == "frame").map(|event| event["payload"].as_u64().unwrap()).collect()
}

/// The numbers that came on the only channel of an agent.
fn numbers(agent: &Agent) -> Vec<u64> {
    let state = agent.0.borrow();
    let heard = state.heard.values().next().cloned().unwrap_or_default();
    heard.iter().map(|text| std::str::from_utf8(text).unwrap().parse().unwrap()).collect()
}

fn acked(agent: &Agent) -> u64 {
    let state = agent.0.borrow();
    state.channels.first().and_then(|channel| state.acked.get(channel)).copied().unwrap_or(0)
}

#[test]
fn a_json_agent_reaches_the_newest_native_connection_of_its_target() {
    let mut world = World::new(10);
    let (_, old) = world.native("bob", false);
    world.run(1_000);
    let (_, new) = world.native("bob", false);
    let alice = world.attach("alice", None);
    let web = world.attach("bob", None);
    world.run(1_000);
    let channel = world.open("alice", "bob");
    assert_eq!(world.send("alice", channel, 1), Some(false), "the channel is not accepted yet, the frame waits");
    world.run(500);
    assert_eq!(world.send("alice", channel, 2), Some(true), "the native stream has it");
    world.run(500);
    assert_eq!((numbers(&new), numbers(&old)), (vec![1, 2], vec![]));
    assert!(world.heard(web).is_empty(), "the WebSocket is for who has no native connection");
    // And back, on the same channel.
    {
        let state = &mut *new.0.borrow_mut();
        state.channels = state.incoming.clone();
    }
    say(&new, 7..10);
    world.run(500);
    let heard = world.heard(alice);
    assert_eq!(frames(&heard), [7, 8, 9]);
    assert!(heard.iter().all(|event| event["from"] == "bob" && event["proof"] == "hop"), "{heard:?}");
    world.run(500);
    assert_eq!(acked(&new), 3);
    let caller = world.caller("alice");
    world.at(|board, now| board.close(now, &caller, channel, "that is all").unwrap());
    world.run(1_000);
    let bob = new.0.borrow();
    assert_eq!((&bob.finished[..], bob.closed, bob.abandoned.len()), (&["that is all".to_owned()][..], 1, 0));
}

#[test]
fn frames_that_are_held_back_for_their_budget_reach_a_native_agent_later() {
    let mut world = World::new(15);
    let (_, bob) = world.native("bob", false);
    world.run(1_000);
    let channel = world.open("alice", "bob");
    world.run(500);
    // `chat` is not preemptible: what is far above its budget is accepted, and paced.
    let caller = world.caller("alice");
    let text = format!("\"{}\"", "x".repeat(15_000));
    let mut delivered = Vec::new();
    while delivered.len() < 200 {
        let value = sluis_core::data::Value::from_json(&text).unwrap();
        let Ok(sent) = world.at(|board, now| board.send(now, &caller, channel, Body::Value(value))) else { break };
        delivered.push(sent.delivered);
    }
    assert!(delivered.contains(&false) && delivered.contains(&true), "{delivered:?}");
    for _ in 0..300 {
        world.run(1_000);
    }
    let heard: usize = bob.0.borrow().heard.values().map(Vec::len).sum();
    assert_eq!(heard, delivered.len());
}

#[test]
fn a_socket_beside_a_native_connection_hears_who_speaks_json() {
    let mut world = World::new(20);
    let (_, native) = world.native("bob", true);
    let web = world.attach("bob", None);
    world.run(1_000);
    let channel = world.open("alice", "bob");
    assert_eq!(world.send("alice", channel, 1), Some(true));
    assert_eq!(frames(&world.heard(web)), [1]);
    assert!(native.0.borrow().incoming.is_empty());
}

#[test]
fn a_native_message_is_acknowledged_when_the_socket_of_its_target_took_it() {
    for credit in [None, Some(2)] {
        let mut world = World::new(30);
        let (_, alice) = world.native("alice", false);
        let bob = world.attach("bob", credit);
        alice.0.borrow_mut().opens.push_back(("bob".into(), "chat".into()));
        world.run(1_000);
        say(&alice, 0..5);
        world.run(1_000);
        assert_eq!(acked(&alice), 0, "nobody has read the socket");
        let heard = world.heard(bob);
        let incoming = &heard[0];
        assert_eq!((&incoming["event"], &incoming["agent"]), (&json!("channel_incoming"), &json!("alice")));
        if credit.is_some() {
            assert_eq!(frames(&heard), [0, 1]);
            world.run(500);
            assert_eq!(acked(&alice), 0, "written, and not taken");
            let take = json!({"action": "ack", "channel_id": incoming["channel_id"], "seq": 0}).to_string();
            world.at(|board, now| talk(board, now, bob, &take));
            world.run(500);
            assert_eq!((acked(&alice), frames(&world.heard(bob))), (1, vec![2]));
        } else {
            assert_eq!(frames(&heard), [0, 1, 2, 3, 4]);
            world.run(500);
            assert_eq!(acked(&alice), 5);
        }
    }
}

#[test]
fn a_socket_that_does_not_read_holds_a_native_sender_back_and_loses_nothing() {
    let mut world = World::new(40);
    let (_, alice) = world.native("alice", false);
    let bob = world.attach("bob", None);
    alice.0.borrow_mut().opens.push_back(("bob".into(), "vpn:tunnel".into()));
    world.run(1_000);
    let long = |n: usize| format!("\"{n:05}{}\"", ".".repeat(4000));
    alice.0.borrow_mut().texts.extend((0..300).map(|n| (0, long(n).into_bytes())));
    world.run(5_000);
    let totals = world.board.borrow().totals();
    assert!((10..40).contains(&totals.frames), "{} frames for 128 KiB of room", totals.frames);
    assert!(!alice.0.borrow().texts.is_empty(), "the sender waits");
    let mut heard = Vec::new();
    for _ in 0..400 {
        heard.extend(world.heard(bob));
        world.run(20);
    }
    let heard: Vec<&str> = heard
        .iter()
        .filter(|event| event["event"] == "frame")
        .map(|event| &event["payload"].as_str().unwrap()[..5])
        .collect();
    assert!(heard.iter().enumerate().all(|(n, text)| *text == format!("{n:05}")) && heard.len() == 300, "{heard:?}");
    assert_eq!(acked(&alice), 300);
}

#[test]
fn what_is_said_to_an_agent_that_is_away_waits_in_its_inbox() {
    let mut world = World::new(50);
    let (_, alice) = world.native("alice", false);
    alice.0.borrow_mut().opens.push_back(("bob".into(), "chat".into()));
    world.run(1_000);
    say(&alice, 0..3);
    world.run(1_000);
    let inbox = world.inbox("bob", 0);
    let events = inbox["events"].as_array().unwrap().clone();
    assert_eq!((events.len(), frames(&events)), (4, vec![0, 1, 2]));
    world.run(500);
    assert_eq!(acked(&alice), 0, "it may have got lost on the way");
    world.inbox("bob", inbox["after"].as_u64().unwrap());
    world.run(500);
    assert_eq!(acked(&alice), 3);
}

#[test]
fn what_waits_goes_to_the_native_connection_that_comes() {
    let mut world = World::new(60);
    let (_, alice) = world.native("alice", false);
    alice.0.borrow_mut().opens.push_back(("bob".into(), "chat".into()));
    let channel = world.open("bob", "alice");
    world.run(1_000);
    say(&alice, 0..3);
    world.run(1_000);
    // Said in JSON by somebody else, too.
    assert_eq!(numbers(&alice), Vec::<u64>::new());
    assert_eq!(world.send("bob", channel, 5), Some(true));
    world.run(500);
    assert_eq!(numbers(&alice), [5]);
    let (_, bob) = world.native("bob", false);
    world.run(2_000);
    assert_eq!(numbers(&bob), [0, 1, 2]);
    assert_eq!(acked(&alice), 3, "when bob took them");
    assert_eq!(world.inbox("bob", 0)["events"], json!([]));
}

#[test]
fn a_message_that_nobody_fetches_is_not_acknowledged_and_its_channel_ends() {
    let mut world = World::new(70);
    let (_, alice) = world.native("alice", false);
    alice.0.borrow_mut().opens.push_back(("bob".into(), "chat".into()));
    world.run(1_000);
    say(&alice, 0..2);
    for _ in 0..38 {
        world.run(10_000);
    }
    let alice = alice.0.borrow();
    assert_eq!((alice.acked.len(), &alice.abandoned[..]), (0, &[2][..]));
    assert_eq!(world.board.borrow().totals().expired, 2);
}

#[test]
fn a_cut_loses_nothing_between_json_and_native() {
    let mut world = World::new(80);
    let (host, bob) = world.native("bob", false);
    let alice = world.attach("alice", None);
    world.run(1_000);
    let channel = world.open("alice", "bob");
    world.run(500);
    let mut said = 0;
    for round in 0..6 {
        for _ in 0..5 {
            assert!(world.send("alice", channel, said).is_some());
            said += 1;
        }
        if round == 0 {
            world.run(200);
            let state = &mut *bob.0.borrow_mut();
            state.channels = state.incoming.clone();
        }
        say(&bob, round * 3..round * 3 + 3);
        world.run(7);
        if round % 2 == 1 {
            let cut = if round == 3 { world.hub } else { host };
            world.world.cut(cut);
            world.run(5);
            assert!(world.send("alice", channel, said).is_some(), "it waits for the connection");
            said += 1;
        }
        world.run(10_000);
    }
    world.run(10_000);
    assert_eq!(numbers(&bob), (0..said).collect::<Vec<_>>());
    assert_eq!(frames(&world.heard(alice)), (0..18).collect::<Vec<_>>());
    world.run(1_000);
    assert_eq!((acked(&bob), bob.0.borrow().broken.len()), (18, 0));
}

#[test]
fn who_may_not_does_not_and_bytes_come_as_a_text_or_in_base64() {
    let mut world = World::new(90);
    let (_, alice) = world.native("alice", false);
    let bob = world.attach("bob", None);
    for (target, intent) in [("carol", "chat"), ("bob", "call:voice"), ("bob", "chat")] {
        alice.0.borrow_mut().opens.push_back((target.into(), intent.into()));
    }
    world.run(1_000);
    assert_eq!(alice.0.borrow().refused, ["it is not allowed", "it is not allowed"]);
    alice.0.borrow_mut().json = false;
    alice.0.borrow_mut().texts.extend([(2, vec![255]), (2, b"a line".to_vec())]);
    world.run(1_000);
    let heard = world.heard(bob);
    let payloads: Vec<&Value> = heard.iter().skip(1).map(|event| &event["payload"]).collect();
    assert_eq!(payloads, [&json!({"base64": "/w=="}), &json!("a line")]);
}
