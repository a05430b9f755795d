//! Agents that speak JSON and agents on native connections at one hub, and frames that carry their own signature.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value as Json;
use sluis_core::data::Value;
use sluis_core::identity::SecretKey;
use sluis_core::{Conn, End, Instant, ListenerId, Machine as _, Now, Order, Origin, Seed, Streams as _, Up, Wall};
use sluis_mux::channel::Kind;
use sluis_mux::native::{Channel, Client, ClientConfig, Event, Hub, HubConfig};
use sluis_mux::rest::{Answer, Request, rest};
use sluis_mux::signed::{Guard, Place, SKEW_S, Wrong, canonical_without, check, is_signed, sign};
use sluis_mux::switchboard::{Config, SocketId, SocketOptions, Switchboard};
use sluis_mux::talk::talk;
use sluis_mux::{Access, Bridge, Caller};

/// The first byte says what the rest is: a payload that may be a signed frame (0, 1), or what agents do (else).
pub fn bridge(data: &[u8]) {
    match data.split_first() {
        Some((0, rest)) => frame(rest),
        Some((1, rest)) => payload(rest),
        Some((_, rest)) => World::new().play(rest),
        None => {}
    }
}

const PLACE: Place<'_> = Place { from: "alice", to: "bob", intent: "chat" };

fn made() -> Wall {
    Wall::from_secs(1_700_000_000)
}

/// One that began long enough before that.
fn guard() -> Guard {
    Guard::new(made().saturating_sub(std::time::Duration::from_secs(60)))
}

/// Anything as a frame: it is looked at without a word, and what nobody signed is not believed.
fn frame(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(value) = Value::from_json(&text) else { return };
    let key = SecretKey::from_seed(&[1; 32]).public();
    let _ = is_signed(value);
    assert!(check(value, &key, made()).is_err() && guard().admit(made(), value, &PLACE, Some(&key)).is_err());
    if let Some(bytes) = canonical_without(value, &["sig"]) {
        assert_eq!(Some(bytes), canonical_without(value, &["sig"]));
    }
}

/// A payload that is signed is believed once, on its own channel, while it is fresh, and with no byte of it changed. The first two bytes say
/// which is.
fn payload(data: &[u8]) {
    let Some(([at, bit], payload)) = data.split_first_chunk::<2>() else { return };
    let (key, payload) = (SecretKey::from_seed(&[1; 32]), String::from_utf8_lossy(payload));
    let Ok(frame) = sign(&key, &PLACE, 1, made(), &payload, &[7; 16]) else { return };
    let (value, public) = (Value::from_json(&frame).expect("a frame is JSON"), key.public());
    let mut guard = guard();
    let late = made().saturating_add(std::time::Duration::from_secs(SKEW_S + 1));
    assert!(is_signed(value));
    assert_eq!(guard.admit(late, value, &PLACE, Some(&public)), Err(Wrong::Stale));
    assert_eq!(guard.admit(made(), value, &Place { to: "carol", ..PLACE }, Some(&public)), Err(Wrong::OtherChannel));
    assert_eq!(guard.admit(made(), value, &PLACE, Some(&public)), Ok(()));
    assert_eq!(guard.admit(made(), value, &PLACE, Some(&public)), Err(Wrong::Replayed));
    let mut changed = frame.clone().into_bytes();
    let place = (usize::from(*at) * changed.len() / 256).min(changed.len() - 1);
    changed[place] ^= 1 << (bit % 8);
    if let Ok(text) = std::str::from_utf8(&changed)
        && let Ok(changed) = Value::from_json(text)
        // Space between members, or another way to write the same, is no change.
        && canonical_without(changed, &[]) != canonical_without(value, &[])
    {
        let believed = guard.admit(made(), changed, &PLACE, Some(&public));
        assert!(believed.is_err(), "{text}");
    }
}

const NAMES: [&str; 3] = ["alice", "bob", "carol"];
const FROM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Numbers that anybody took, and those that native agents did: each once, while one that a socket did not acknowledge comes again on the next.
#[derive(Default)]
struct Taken {
    all: BTreeSet<u64>,
    natively: BTreeSet<u64>,
}

/// An agent on a native connection.
struct Native {
    client: Client,
    /// Its name of the connection, and the hub's.
    conns: Option<[Conn; 2]>,
    channels: Vec<Channel>,
    /// What was sent on each, in the order of the messages.
    sent: BTreeMap<Channel, Vec<u64>>,
    /// Refuses what is opened to it.
    refuses: bool,
}

struct World {
    hub: Hub,
    board: Switchboard,
    bridge: Bridge,
    natives: [Option<Native>; 3],
    sockets: [Vec<SocketId>; 3],
    /// Names of channels that were opened in JSON, by who opened them.
    opened: [Vec<String>; 3],
    after: [u64; 3],
    millis: u64,
    /// The next number to say, and those that anybody took.
    next: u64,
    taken: Taken,
}

impl World {
    fn new() -> Self {
        let mut config = Config::new("node");
        config.access = Access::Open;
        (config.max_channels, config.max_all_channels, config.max_agents, config.max_sockets) = (8, 24, 12, 8);
        config.queue_bytes = 256;
        let mut native = HubConfig::new("node");
        native.access = Access::Open;
        (native.max_connections, native.max_channels, native.max_all_channels) = (8, 8, 24);
        let mut hub = Hub::new(native, &Seed::from_u64(1));
        let bridge = Bridge::new(&mut hub);
        Self {
            board: Switchboard::new(config, &Seed::from_u64(2), Now::default()),
            hub,
            bridge,
            natives: Default::default(),
            sockets: Default::default(),
            opened: Default::default(),
            after: [0; 3],
            millis: 0,
            next: 0,
            taken: Taken::default(),
        }
    }

    fn now(&self) -> Now {
        let wall = i64::try_from(self.millis * 1000).unwrap_or(i64::MAX);
        Now::new(Instant::from_nanos(self.millis * 1_000_000), Wall::from_micros(wall))
    }

    /// Two bytes a step: who does what, and how.
    fn play(&mut self, data: &[u8]) {
        for step in data.chunks_exact(2).take(200) {
            let (who, what, how) = (usize::from(step[0] % 3), step[0] / 3 % 16, usize::from(step[1]));
            self.step(who, what, how);
            self.carry(usize::from(step[1]) * 16 + 1);
        }
        self.settle();
    }

    fn step(&mut self, who: usize, what: u8, how: usize) {
        let now = self.now();
        match what {
            0 => self.join(who, how),
            1 => self.cut(who),
            2 => {
                let credit = how.is_multiple_of(3).then_some(1 + u32::try_from(how % 4).unwrap_or(0));
                let options = SocketOptions { credit, mac: how.is_multiple_of(5) };
                let socket = self.board.attach(now, &Caller::Anyone, NAMES[who], options);
                self.sockets[who].extend(socket.ok());
            }
            3 => {
                if let Some(socket) = self.sockets[who].pop() {
                    self.board.detach(now, socket);
                }
            }
            4 => {
                let target = if how % 16 == 15 { "node" } else { NAMES[how % 3] };
                let intent = ["chat", "stream", "file:sync"][how / 3 % 3];
                if let Some(native) = &mut self.natives[who] {
                    native.channels.extend(native.client.open(now, target, intent, "{}").ok());
                }
            }
            5 => self.send(who, how),
            6 => {
                if let Some(native) = &mut self.natives[who]
                    && let Some(channel) = native.channels.get(how % 4)
                {
                    native.client.close(now, *channel, "done");
                }
            }
            7 => {
                let said = format!(r#"{{"action":"open","target":"{}","intent":"stream"}}"#, NAMES[how % 3]);
                self.say(who, &said);
            }
            8 => {
                let of = self.opened.iter().flatten().nth(how % 6).cloned().unwrap_or_default();
                let said = format!(r#"{{"action":"send","channel_id":"{of}","payload":{}}}"#, self.number());
                self.say(who, &said);
            }
            9 => {
                let of = self.opened.iter().flatten().nth(how % 6).cloned().unwrap_or_default();
                self.say(who, &format!(r#"{{"action":"close","channel_id":"{of}"}}"#));
            }
            10 | 11 => self.read(who, what == 11),
            12 => self.fetch(who),
            13 => self.pass(how as u64 * how as u64 * 5),
            14 => {
                if let Some(native) = &mut self.natives[who] {
                    native.refuses = how.is_multiple_of(2);
                }
            }
            _ => self.pass(1),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn join(&mut self, who: usize, how: usize) {
        if self.natives[who].is_none() {
            let mut config = ClientConfig::new(NAMES[who], "hub", 1);
            config.beside = how % 4 == 3;
            config.max_channels = 8;
            let client = Client::new(config, &Seed::from_u64(self.next + 7 + who as u64), self.now());
            let (channels, sent) = (Vec::new(), BTreeMap::new());
            self.natives[who] = Some(Native { client, conns: None, channels, sent, refuses: false });
        }
    }

    /// The connection breaks; both ends are told.
    fn cut(&mut self, who: usize) {
        let now = self.now();
        if let Some(native) = &mut self.natives[who]
            && let Some([here, there]) = native.conns.take()
        {
            native.client.handle_end(now, here, End::Lost);
            self.hub.handle_end(now, there, End::Lost);
            self.bridge.run(now, &mut self.board, &mut self.hub);
        }
    }

    fn send(&mut self, who: usize, how: usize) {
        let (now, number) = (self.now(), self.number());
        if let Some(native) = &mut self.natives[who]
            && let Some(channel) = native.channels.get(how % 4).copied()
        {
            let kind = if how.is_multiple_of(2) { Kind::Json } else { Kind::Bytes };
            if native.client.send(now, channel, kind, number.to_string().as_bytes()).is_ok() {
                native.sent.entry(channel).or_default().push(number);
            }
        }
    }

    fn say(&mut self, who: usize, said: &str) {
        let now = self.now();
        if let Some(socket) = self.sockets[who].last().filter(|socket| self.board.may_read(**socket)) {
            talk(&mut self.board, now, *socket, said);
        }
    }

    /// What is on the sockets of an agent is read, and acknowledged or not.
    fn read(&mut self, who: usize, acknowledges: bool) {
        let now = self.now();
        for socket in self.sockets[who].clone() {
            while let Some(text) = self.board.poll_text(now, socket) {
                let event: Json = serde_json::from_str(&text).expect("events are JSON");
                let id = &event["channel_id"];
                match event["event"].as_str() {
                    Some("channel_opened") => self.opened[who].extend(id.as_str().map(str::to_owned)),
                    Some("frame") => {
                        note(&mut self.taken, &event);
                        if acknowledges {
                            let seq = &event["seq"];
                            let said = format!(r#"{{"action":"ack","channel_id":{id},"seq":{seq}}}"#);
                            talk(&mut self.board, now, socket, &said);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// What waits in the inbox is fetched, and what was fetched before is taken.
    fn fetch(&mut self, who: usize) {
        let target = format!("/api/mux/inbox?agent={}&after={}", NAMES[who], self.after[who]);
        let request = Request { method: "GET", target: &target, content_type: None, body: b"" };
        let now = self.now();
        let Answer::Done(answer) = rest(&mut self.board, now, Some(&Caller::Anyone), request) else { return };
        let answer: Json = serde_json::from_str(&answer.body).expect("answers are JSON");
        for event in answer["events"].as_array().into_iter().flatten() {
            note(&mut self.taken, event);
        }
        self.after[who] = answer["after"].as_u64().unwrap_or(self.after[who]);
    }

    /// Carry everything between the native agents and the hub, in pieces of this size.
    fn carry(&mut self, size: usize) {
        let mut wire = vec![0; size];
        for _ in 0..10_000 {
            let now = self.now();
            let mut moved = false;
            for who in 0..3 {
                moved |= self.act(now, who, &mut wire);
            }
            self.bridge.run(now, &mut self.board, &mut self.hub);
            while let Some(order) = self.hub.poll_order(now) {
                moved = true;
                let (conn, last) = match order {
                    Order::Write(conn) | Order::Read(conn) => (conn, None),
                    Order::Finish(conn) => (conn, Some(End::Eof)),
                    Order::Abort(conn) => (conn, Some(End::Lost)),
                    Order::Dial(..) => panic!("a hub dials nobody"),
                };
                self.deliver(now, conn, last, &mut wire);
            }
            self.bridge.run(now, &mut self.board, &mut self.hub);
            if !moved {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Bring a native agent what the hub has for it.
    fn deliver(&mut self, now: Now, conn: Conn, last: Option<End>, wire: &mut [u8]) {
        let to = self.natives.iter_mut().flatten().find(|native| native.conns.is_some_and(|conns| conns[1] == conn));
        let Some(native) = to else { return };
        let Some([here, _]) = native.conns else { return };
        loop {
            let len = self.hub.poll_bytes(now, conn, wire);
            if len == 0 {
                break;
            }
            native.client.handle_bytes(now, here, &wire[..len]).expect("a hub says what it must");
        }
        if let Some(end) = last {
            native.client.handle_end(now, here, end);
            if end.is_last() {
                native.conns = None;
            }
        }
    }

    /// Do what a native agent's machine asks for, and what its application does.
    fn act(&mut self, now: Now, who: usize, wire: &mut [u8]) -> bool {
        let Some(native) = &mut self.natives[who] else { return false };
        let mut moved = hear(now, native, &mut self.taken);
        loop {
            let order = match native.client.poll_order(now) {
                None => return moved,
                Some(Order::Dial(conn, _)) => Err(conn),
                Some(Order::Write(conn) | Order::Read(conn)) => Ok((conn, None)),
                Some(Order::Finish(conn)) => Ok((conn, Some(End::Eof))),
                Some(Order::Abort(conn)) => Ok((conn, Some(End::Lost))),
            };
            moved = true;
            match order {
                Err(conn) => {
                    let up = |origin| Up { origin, remote: FROM, alpn: None, exporter: None };
                    match self.hub.handle_up(now, &up(Origin::Accepted(ListenerId::new(0)))) {
                        Ok(there) => {
                            native.client.handle_up(now, &up(Origin::Dialled(conn))).expect("it wanted it");
                            native.conns = Some([conn, there]);
                        }
                        Err(_) => native.client.handle_end(now, conn, End::Refused),
                    }
                }
                Ok((conn, end)) => {
                    let Some([_, there]) = native.conns.filter(|conns| conns[0] == conn) else { continue };
                    loop {
                        let len = native.client.poll_bytes(now, conn, wire);
                        if len == 0 {
                            break;
                        }
                        self.hub.handle_bytes(now, there, &wire[..len]).expect("an agent says what it must");
                        self.bridge.run(now, &mut self.board, &mut self.hub);
                    }
                    if let Some(end) = end {
                        self.hub.handle_end(now, there, end);
                        if end.is_last() {
                            native.conns = None;
                        }
                    }
                }
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        self.millis += millis.min(400_000);
        let now = self.now();
        for native in self.natives.iter_mut().flatten() {
            native.client.handle_timeout(now);
        }
        self.hub.handle_timeout(now);
        for _ in 0..1000 {
            match self.board.deadline() {
                Some(due) if due <= now.mono => self.board.handle_timeout(now),
                _ => break,
            }
        }
        self.bridge.run(now, &mut self.board, &mut self.hub);
        assert!(self.board.deadline().is_none_or(|due| due > now.mono), "what is due is never done");
    }

    /// Everybody leaves: in the end nothing is left.
    fn settle(&mut self) {
        for who in 0..3 {
            self.cut(who);
            self.natives[who] = None;
            let now = self.now();
            for socket in std::mem::take(&mut self.sockets[who]) {
                self.board.detach(now, socket);
            }
        }
        for _ in 0..8 {
            self.pass(400_000);
            self.carry(4096);
        }
        assert_eq!((self.hub.connections(), self.hub.channels()), (0, 0), "a hub keeps channels of nobody");
        let totals = self.board.totals();
        assert!(totals.delivered + totals.queued == totals.frames && totals.closed <= totals.opened);
    }
}

/// A frame was taken.
fn note(taken: &mut Taken, event: &Json) {
    let said = [&event["payload"], &event["raw"]].into_iter().find(|said| !said.is_null());
    let number: Option<u64> = said.and_then(|said| said.to_string().replace(['"', '\\'], "").parse().ok());
    taken.all.extend(number);
}

/// Hear what happened to a native agent: what it sent and what is acknowledged was taken by somebody.
fn hear(now: Now, native: &mut Native, taken: &mut Taken) -> bool {
    let mut moved = false;
    loop {
        let (mut incoming, mut take) = (None, None);
        match native.client.poll_event() {
            None => return moved,
            Some(Event::Incoming(channel, ..)) => incoming = Some(channel),
            Some(Event::Message(channel, number, _, body)) => {
                let said = std::str::from_utf8(body).ok().and_then(|text| text.trim_matches('"').parse().ok());
                let said = said.expect("somebody said a number");
                taken.all.insert(said);
                assert!(taken.natively.insert(said), "it came twice");
                take = Some((channel, number));
            }
            Some(Event::Acked(channel, upto)) => {
                let sent = native.sent.get(&channel).map_or(&[][..], Vec::as_slice);
                let upto = usize::try_from(upto).unwrap_or(usize::MAX).min(sent.len());
                assert!(
                    sent[..upto].iter().all(|number| taken.all.contains(number)),
                    "acknowledged, and nobody has it"
                );
            }
            Some(Event::Broken(_, fault)) => panic!("nobody alters anything: {fault}"),
            Some(Event::Finished(channel, _)) => native.client.close(now, channel, "done too"),
            Some(_) => {}
        }
        moved = true;
        if let Some(channel) = incoming {
            if native.refuses {
                native.client.refuse(now, channel, "not now");
            } else {
                native.client.accept(now, channel);
                native.channels.push(channel);
            }
        }
        if let Some((channel, number)) = take {
            native.client.take(now, channel, number);
        }
    }
}
