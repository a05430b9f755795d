//! `--scenario signal`: pairs of nodes at brokers that lie, lose, repeat, hang and die.
//!
//! For most of the time everything goes wrong that can: brokers have every fault, restart, fall silent; streams break; nodes are killed and
//! come back with what they kept; clocks are off; somebody replays in the clear what is signed by a node. Then all heals, and every pair must
//! reach each other again.
//!
//! | invariant | |
//! |---|---|
//! | `exactly-once` | what was acknowledged was handed over, and nothing is twice, over restarts too |
//! | `order` | what is handed over is in the order in which it was sent |
//! | `sender` | a message is from whom it says, and came sealed |
//! | `secret` | nothing that was said is found in what a broker delivers |
//! | `ends` | every send ends, once |
//! | `caps` | no table of a node passes its cap |
//! | `joined` | a broker that has been silent for 45 s is not called joined |
//! | `heals` | once all is well, what is sent is acknowledged |
//! | `panic`, `spin` | nothing panics, nothing spins |

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::App;
use sluis_core::sim::streams::{HostId, Reach, StreamLink, StreamWorld};
use sluis_core::{Durable as _, Instant, Machine as _, Now, Rng, Security, Seed};
use sluis_signal::Fault;
use sluis_signal::broker::Settings;
use sluis_signal::delivery::{InboxLimits, SenderLimits};
use sluis_signal::envelope::{Content, Kind};
use sluis_signal::key::{PublicKey, SecretKey};
use sluis_signal::mqtt::{Connect, MAX_PACKET, Packet, Publish, Qos, Reader, encode};
use sluis_signal::rank::{Family, Weight};
use sluis_signal::rendezvous::{Config, Event, Legacy, MessageKey, Place, Rendezvous, Turned};
use sluis_signal::server::{ConnId, Fault as BrokerFault, Faults, Server, ServerLimits};

use super::run::{Finding, Outcome};

/// How long everything heals at the end.
const HEALING: Duration = Duration::from_secs(150);
/// How long a broker may be silent before it must be noticed: 10 s until it is asked, 10 s to answer, and some.
const SILENT: Duration = Duration::from_secs(45);
/// How long a message is tried.
const TIMEOUT: Duration = Duration::from_secs(20);
/// What every message says beside its number: not to be found anywhere.
const SECRET: &str = "a secret of ours";

/// The brokers that there are, as nodes know them.
fn places(count: usize) -> Vec<Place> {
    let place = |n| Place {
        family: Family::V4,
        host: format!("broker{n}"),
        port: 1883,
        weight: Weight::ONE,
        security: Security::Plain,
        settings: Settings { rate: 10_000, burst: 1000, ..Settings::default() },
    };
    (0..count).map(place).collect()
}

/// What became of what a node sent in one of its lives, and of what it heard.
#[derive(Default)]
struct Desk {
    to_send: VecDeque<(usize, String)>,
    /// What is under way: who, what.
    open: BTreeMap<(PublicKey, u64), (usize, String)>,
    /// Everything that was acknowledged, with whom.
    acked: Vec<(usize, String)>,
    ended: u64,
    sent: u64,
    heard: Vec<(PublicKey, String)>,
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
    unconfirmed: Vec<MessageKey>,
    /// The application does something else until then.
    busy: Option<Instant>,
    joined: usize,
    /// What has passed its cap.
    over_cap: Option<&'static str>,
    /// What was turned away, by reason.
    turned: [u64; Turned::COUNT],
    plain: u64,
    twice_ended: u64,
    /// How often it was killed.
    life: u64,
}

type Shared = Rc<RefCell<Desk>>;

/// An application that is busy now and then, and confirms a while after it has looked.
struct Application {
    desk: Shared,
    peer: PublicKey,
    keys: Rc<Vec<PublicKey>>,
    rng: Rng,
}

impl App<Rendezvous> for Application {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, machine: &mut Rendezvous) -> Poll<()> {
        let desk = &mut *self.desk.borrow_mut();
        keep(now, machine, desk);
        (desk.joined, desk.turned) = (machine.joined().0, Turned::ALL.map(|why| machine.turned(why)));
        desk.over_cap = desk.over_cap.or_else(|| machine.over_cap());
        while let Some((to, text)) = desk.to_send.pop_front() {
            let Some(key) = self.keys.get(to) else { continue };
            if let Ok(number) = machine.send(now, key, Arc::from(text.as_bytes()), true, TIMEOUT) {
                desk.sent += 1;
                desk.open.insert((*key, number), (to, text));
            }
        }
        if desk.busy.is_some_and(|until| now.mono < until) {
            return Poll::Pending;
        }
        desk.busy = self.rng.u64().is_multiple_of(3).then(|| now.mono + Duration::from_millis(self.rng.u64() % 4000));
        for key in core::mem::take(&mut desk.unconfirmed) {
            machine.confirm(now, &key);
        }
        while let Some(event) = machine.poll_event() {
            match event {
                Event::Message(message) => {
                    if message.key.is_sealed() {
                        desk.heard.push((message.key.from(), String::from_utf8_lossy(&message.body).into_owned()));
                    } else {
                        // Of others, whom it has not met, a broker may bring what it likes.
                        desk.plain += u64::from(message.key.from() == self.peer);
                    }
                    if self.rng.u64().is_multiple_of(3) {
                        desk.unconfirmed.push(message.key);
                    } else {
                        machine.confirm(now, &message.key);
                    }
                }
                Event::Sent { to, number, outcome } => match desk.open.remove(&(to, number)) {
                    Some(sent) => {
                        desk.ended += 1;
                        if outcome.is_ok() {
                            desk.acked.push(sent);
                        }
                    }
                    None => desk.twice_ended += 1,
                },
                _ => {}
            }
        }
        keep(now, machine, desk);
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        self.desk.borrow().busy
    }
}

/// What is to be kept is, at once.
fn keep(now: Now, machine: &mut Rendezvous, desk: &mut Desk) {
    let mut upto = None;
    while let Some(op) = machine.poll_store() {
        upto = Some(op.seq());
        match op.value() {
            Some(value) => drop(desk.kept.insert(op.key().to_vec(), value.to_vec())),
            None => drop(desk.kept.remove(op.key())),
        }
    }
    if let Some(upto) = upto {
        machine.handle_stored(now, upto, Ok(()));
    }
}

/// What happens at a broker besides its clients: somebody listens to everything, and posts what he likes.
#[derive(Default)]
struct Backroom {
    faults: Faults,
    to_post: Vec<(String, Vec<u8>)>,
    /// The secret was seen.
    read: bool,
}

struct Landlord {
    room: Rc<RefCell<Backroom>>,
    spy: Option<(ConnId, Reader)>,
}

impl App<Server> for Landlord {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, machine: &mut Server) -> Poll<()> {
        let room = &mut *self.room.borrow_mut();
        machine.set_faults(room.faults);
        let mut wire = vec![0; 4096];
        let connect =
            |name| Connect { client_id: name, clean: true, keep_alive: 0, user: None, password: None, will: None };
        if self.spy.is_none()
            && let Some(conn) = machine.accept(now.mono)
        {
            if let Ok(len) = encode::connect(&connect("spy"), &mut wire) {
                machine.client_bytes(now.mono, conn, &wire[..len]);
            }
            if let Ok(len) = encode::subscribe(1, &[("#", Qos::AtMostOnce)], &mut wire) {
                machine.client_bytes(now.mono, conn, &wire[..len]);
            }
            self.spy = Some((conn, Reader::new(MAX_PACKET)));
        }
        if let Some((conn, reader)) = &mut self.spy {
            loop {
                let len = machine.client_output(now.mono, *conn, &mut wire);
                let mut rest = &wire[..len];
                while let Ok((Some(packet), taken)) = reader.read(rest) {
                    if let Packet::Publish(publish) = packet {
                        room.read |= publish.payload.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
                    }
                    rest = &rest[taken..];
                }
                if len == 0 {
                    break;
                }
            }
        }
        for (topic, payload) in room.to_post.drain(..) {
            let Some(conn) = machine.accept(now.mono) else { continue };
            if let Ok(len) = encode::connect(&connect("poster"), &mut wire) {
                machine.client_bytes(now.mono, conn, &wire[..len]);
            }
            let publish = Publish { topic: &topic, payload: &payload, id: None, retain: false, duplicate: false };
            if let Ok(len) = encode::publish(&publish, &mut wire) {
                machine.client_bytes(now.mono, conn, &wire[..len]);
            }
            machine.client_end(conn);
        }
        Poll::Pending
    }
}

/// A world of a seed.
struct Pairs {
    world: StreamWorld,
    seed: u64,
    rng: Rng,
    fault: Option<Fault>,
    keys: Rc<Vec<PublicKey>>,
    nodes: Vec<(HostId, Shared)>,
    brokers: Vec<(HostId, Rc<RefCell<Backroom>>)>,
    silent: BTreeMap<usize, Instant>,
    lives: u64,
    said: u64,
    findings: Vec<Finding>,
}

fn secret(n: usize) -> SecretKey {
    SecretKey::generate(&mut Seed::from_u64(n as u64 + 100).fork("key"))
}

/// Run a seed. `nodes` is rounded up to pairs.
#[must_use]
pub fn run(nodes: u32, seed: u64, span: Duration, fault: Option<Fault>) -> Outcome {
    let nodes = (nodes as usize).next_multiple_of(2).max(2);
    let mut pairs = Pairs::new(nodes, seed, fault);
    let start = pairs.world.now().mono;
    let spins = !pairs.chaos(span) || !pairs.heal();
    if spins {
        pairs.find("spin", 0, "a host spins".to_owned());
    }
    pairs.examine();
    let mut digest = 0_u64;
    let (mut deliveries, mut events) = (0, 0);
    for (_, desk) in &pairs.nodes {
        let desk = desk.borrow();
        deliveries += desk.heard.len() as u64;
        events += desk.sent + desk.ended;
        for (_, text) in &desk.heard {
            digest = text.bytes().fold(digest, |digest, byte| digest.wrapping_mul(31).wrapping_add(u64::from(byte)));
        }
    }
    let elapsed = pairs.world.now().mono.saturating_since(start);
    Outcome { seed, events, deliveries, findings: pairs.findings, elapsed, digest, mesh: None }
}

impl Pairs {
    fn new(nodes: usize, seed: u64, fault: Option<Fault>) -> Self {
        let mut rng = Seed::from_u64(seed).fork("pairs");
        let resets = if rng.u64().is_multiple_of(3) { 60_000 } else { 0 };
        let chunk = usize::try_from(1 + rng.u64() % 2000).unwrap_or(1);
        let link = StreamLink { chunk, reset_within: resets, ..StreamLink::default() };
        let world = StreamWorld::new(link, &Seed::from_u64(seed));
        let keys = Rc::new((0..nodes).map(|n| secret(n).public()).collect());
        let count = 1 + usize::try_from(rng.u64() % 4).unwrap_or(0);
        let mut this = Self {
            world,
            seed,
            rng,
            fault,
            keys,
            nodes: Vec::new(),
            brokers: Vec::new(),
            silent: BTreeMap::new(),
            lives: 0,
            said: 0,
            findings: Vec::new(),
        };
        for n in 0..count {
            let room = Rc::new(RefCell::new(Backroom::default()));
            let landlord = Landlord { room: Rc::clone(&room), spy: None };
            let machine = this.server(n);
            let host = this.world.listen(&format!("broker{n}"), machine, landlord);
            this.brokers.push((host, room));
        }
        for n in 0..nodes {
            let desk = Shared::default();
            let (machine, app) = this.node(n, &desk);
            let host = this.world.add(&format!("node{n}"), machine, app);
            this.nodes.push((host, desk));
        }
        this
    }

    fn server(&mut self, n: usize) -> Server {
        self.lives += 1;
        Server::new(ServerLimits::default(), Seed::from_u64(self.seed).fork(&format!("server {n} {}", self.lives)))
    }

    fn node(&mut self, n: usize, desk: &Shared) -> (Rendezvous, Application) {
        self.lives += 1;
        let base = Config::new(secret(n), places(self.brokers.len()));
        // So little that it is full now and then.
        let inbox = InboxLimits { waiting: 16, bytes: 1024, bytes_per_epoch: 512, ..InboxLimits::default() };
        let sender = SenderLimits { in_flight: 64, bytes: 4096, ..SenderLimits::default() };
        let config = Config { keeps: true, legacy: Legacy::Everybody, inbox, sender, ..base };
        let seed = Seed::from_u64(self.seed.wrapping_mul(1000).wrapping_add(self.lives));
        let now = self.world.now();
        let mut machine = Rendezvous::new(config, &seed, now);
        if let Some(fault) = self.fault {
            machine.switch_off(fault);
        }
        for (key, value) in &desk.borrow().kept {
            if machine.restore(now, key, value).is_err() {
                self.findings.push(Finding::new(
                    Duration::ZERO,
                    n,
                    "restore",
                    "what was kept cannot be read".to_owned(),
                ));
            }
        }
        let rng = seed.fork("application");
        let peer = secret(n ^ 1).public();
        (machine, Application { desk: Rc::clone(desk), peer, keys: Rc::clone(&self.keys), rng })
    }

    fn find(&mut self, invariant: &'static str, node: usize, detail: String) {
        let at = self.world.now().mono.saturating_since(Instant::ZERO + Duration::from_secs(1000));
        self.findings.push(Finding::new(at, node, invariant, detail));
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.rng.u64() % (n as u64).max(1)).unwrap_or(0)
    }

    /// Everything goes wrong, step by step; `false` when something spins.
    fn chaos(&mut self, span: Duration) -> bool {
        let end = self.world.now().mono + span;
        while self.world.now().mono < end {
            let n = self.below(self.nodes.len());
            self.say(n, n ^ 1);
            match self.below(24) {
                0 => self.kill(n),
                1 | 2 => {
                    let at = self.below(self.brokers.len());
                    if !self.is_left_alone(at) {
                        self.restart_broker(at);
                    }
                }
                3 => {
                    let at = self.below(self.brokers.len());
                    let fault = BrokerFault::ALL[self.below(BrokerFault::ALL.len())];
                    let much = [50, 300, 1000][self.below(3)];
                    if fault != BrokerFault::Freeze && !self.silent.contains_key(&at) {
                        self.set_faults(at, Faults::default().with(fault, much));
                    }
                }
                4 | 5 => {
                    let at = self.below(self.brokers.len());
                    if !self.silent.contains_key(&at) {
                        self.set_faults(at, Faults::default());
                    }
                }
                6 => {
                    // A broker hangs, or goes on.
                    let at = self.below(self.brokers.len());
                    if self.is_left_alone(at) {
                        continue;
                    }
                    if self.silent.remove(&at).is_none() {
                        self.silent.insert(at, self.world.now().mono);
                        self.set_faults(at, Faults::default().with(BrokerFault::Freeze, 1000));
                    } else {
                        self.set_faults(at, Faults::default());
                    }
                }
                7 => {
                    let off = [0, 0, -400, 400, 30][self.below(5)];
                    self.world.set_clock(self.nodes[n].0, off);
                }
                8 | 9 => self.replay_in_the_clear(n),
                10 => {
                    let at = self.below(self.brokers.len());
                    if !self.is_left_alone(at) {
                        self.world.cut(self.brokers[at].0);
                    }
                }
                _ => {}
            }
            let pause = Duration::from_millis(50 + self.rng.u64() % 1000);
            if !self.world.run_for(pause) {
                return false;
            }
            self.look_at_joined();
        }
        true
    }

    /// A broker that hangs is left alone until it must have been noticed.
    fn is_left_alone(&self, at: usize) -> bool {
        let now = self.world.now().mono;
        self.silent.get(&at).is_some_and(|since| now.saturating_since(*since) < SILENT + SILENT / 2)
    }

    fn set_faults(&mut self, at: usize, faults: Faults) {
        self.brokers[at].1.borrow_mut().faults = faults;
        self.world.wake(self.brokers[at].0);
    }

    fn say(&mut self, from: usize, to: usize) {
        self.said += 1;
        let life = self.nodes[from].1.borrow().life;
        let text = format!("{from}>{to} {} {life} {SECRET}", self.said);
        self.nodes[from].1.borrow_mut().to_send.push_back((to, text));
        self.world.wake(self.nodes[from].0);
    }

    /// A node is killed, and comes back with what it kept.
    fn kill(&mut self, n: usize) {
        let (host, desk) = (self.nodes[n].0, Rc::clone(&self.nodes[n].1));
        {
            // What it had under way, and what it was to say, is gone with it.
            let mut desk = desk.borrow_mut();
            (desk.busy, desk.joined) = (None, 0);
            desk.life += 1;
            let lost = core::mem::take(&mut desk.open).len() as u64;
            desk.ended += lost;
            desk.to_send.clear();
            desk.unconfirmed.clear();
        }
        let (machine, app) = self.node(n, &desk);
        self.world.restart(host, Reach::Refusing, machine, app);
    }

    fn restart_broker(&mut self, at: usize) {
        let machine = self.server(at);
        let (host, room) = (self.brokers[at].0, Rc::clone(&self.brokers[at].1));
        self.world.restart(host, Reach::Listening, machine, Landlord { room, spy: None });
    }

    /// Somebody has something that a node signed in the clear for another, and posts it to its peer.
    fn replay_in_the_clear(&mut self, n: usize) {
        // Who has not met it yet may take it for one of the reference.
        if self.nodes[n ^ 1].1.borrow().heard.is_empty() {
            return;
        }
        let timestamp = u64::try_from(self.world.now().wall.as_micros() / 1_000_000).unwrap_or(0);
        let mut queue = [0; 32];
        self.rng.fill(&mut queue);
        let content =
            Content { queue, seq: 0, timestamp, kind: Kind::Message as u8, body: b"signed for somebody else" };
        let mut envelope = vec![0; content.envelope_len()];
        if content.sign(&secret(n), &mut envelope).is_ok() {
            let at = self.below(self.brokers.len());
            let topic = self.keys[n ^ 1].to_string();
            self.brokers[at].1.borrow_mut().to_post.push((topic, envelope));
            self.world.wake(self.brokers[at].0);
        }
    }

    fn look_at_joined(&mut self) {
        let now = self.world.now().mono;
        let silent = self.silent.values().filter(|since| now.saturating_since(**since) >= SILENT).count();
        for n in 0..self.nodes.len() {
            let joined = self.nodes[n].1.borrow().joined;
            if joined + silent > self.brokers.len() {
                self.find("joined", n, format!("{joined} of {} joined, {silent} are silent", self.brokers.len()));
                return;
            }
        }
    }

    /// Everything is well again; `false` when something spins.
    fn heal(&mut self) -> bool {
        for at in 0..self.brokers.len() {
            self.silent.remove(&at);
            self.set_faults(at, Faults::default());
            // Nothing of before is left.
            self.world.cut(self.brokers[at].0);
        }
        for n in 0..self.nodes.len() {
            self.world.set_clock(self.nodes[n].0, 0);
            self.world.wake(self.nodes[n].0);
        }
        let mut good = self.world.run_for(HEALING);
        let before: Vec<usize> = self.nodes.iter().map(|(_, desk)| desk.borrow().acked.len()).collect();
        for n in 0..self.nodes.len() {
            self.say(n, n ^ 1);
        }
        good &= self.world.run_for(TIMEOUT * 2);
        for (n, before) in before.into_iter().enumerate() {
            if self.nodes[n].1.borrow().acked.len() == before {
                let peer = self.nodes[n ^ 1].1.borrow();
                let (joined, turned, waiting) = (peer.joined, peer.turned, peer.unconfirmed.len());
                drop(peer);
                let why = format!(
                    "not acknowledged: the peer has joined {joined}, turned {turned:?} away, has {waiting} to confirm"
                );
                self.find("heals", n, why);
            }
        }
        good
    }

    fn examine(&mut self) {
        let mut findings = Vec::new();
        for (n, (_, desk)) in self.nodes.iter().enumerate() {
            let desk = desk.borrow();
            let mut seen = BTreeSet::new();
            // In the order of one life of the sender: what an earlier one said may be under way for long.
            let mut last: BTreeMap<&str, u64> = BTreeMap::new();
            for (from, text) in &desk.heard {
                let mut words = text.split(' ').skip(1);
                let number = words.next().and_then(|number| number.parse::<u64>().ok());
                let last = last.entry(words.next().unwrap_or_default()).or_default();
                let from_peer = self.keys.get(n ^ 1) == Some(from) && text.starts_with(&format!("{}>{n} ", n ^ 1));
                let Some(number) = number.filter(|_| from_peer) else {
                    findings.push(("sender", n, format!("heard {text:?}")));
                    continue;
                };
                if !seen.insert(text) {
                    findings.push(("exactly-once", n, format!("{text:?} came twice")));
                } else if number < *last {
                    findings.push(("order", n, format!("{number} came after {last}")));
                }
                *last = number.max(*last);
            }
            if let Some(which) = desk.over_cap {
                findings.push(("caps", n, format!("more {which} than may be")));
            }
            if desk.plain > 0 {
                findings.push(("sender", n, format!("{} messages in the clear were believed", desk.plain)));
            }
            let heard = self.nodes[n ^ 1].1.borrow();
            for (_, text) in &desk.acked {
                if !heard.heard.iter().any(|(_, other)| other == text) {
                    findings.push(("exactly-once", n, format!("{text:?} was acknowledged and not handed over")));
                }
            }
            if desk.twice_ended > 0 || desk.sent != desk.ended {
                findings.push((
                    "ends",
                    n,
                    format!("{} sent, {} ended, {} twice", desk.sent, desk.ended, desk.twice_ended),
                ));
            }
        }
        for (_, room) in &self.brokers {
            if room.borrow().read {
                findings.push(("secret", 0, "a broker delivers what was said".to_owned()));
            }
        }
        for (invariant, n, detail) in findings {
            self.find(invariant, n, detail);
        }
    }
}
