//! Steps that run on other machines: real nodes, pings over links that lose, repeat and reorder, clocks that are off, and an
//! executor that cheats.

mod cases;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use sluis_chain::token::Token;
use sluis_chain::workload::check::StepVerifier;
use sluis_chain::workload::handover::{
    BoundKeys, Executor, INTENT, JobId, NotAdmitted, Offer, Offered, Outcome, Proof, Reply,
};
use sluis_chain::workload::{Data, Entry, MAX_LINE, NewStep, NewWorkload, Protection, Refused, StepStatus, Workload};
use sluis_core::data::{Number, Value};
use sluis_core::framing::Encoding;
use sluis_core::identity::SecretKey;
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{self, Event, Node, NodeConfig, OpenId, Ping};
use sluis_core::sim::SimRng;
use sluis_core::sim::clock::Clock;
use sluis_core::table::Heap;
use sluis_core::time::Duration;
use sluis_core::{Datagrams, Did, Machine, Now, Path, Rng, Seed};

const MS: u64 = 1_000_000;
const COORDINATOR: &str = "jis:site:coordinator";

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn executor_did(n: usize) -> String {
    format!("jis:site:worker{n}")
}

/// What a machine beside the coordinator does with what it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Signs with a key that is not its own name's.
    WrongKey,
    /// Says that it is another.
    WrongName,
    /// Signs that the step ran on another input.
    WrongInput,
    /// Signs that the step follows something else.
    WrongParent,
    /// Edits the line after signing it.
    Edited,
    /// Adds white space, which would break the file in two lines.
    Split,
    /// Sends the token of a step that it ran before.
    Replayed,
    /// Signs it twice, a little otherwise.
    Twice,
}

const CHEATS: [Manner; 8] = [
    Manner::WrongKey,
    Manner::WrongName,
    Manner::WrongInput,
    Manner::WrongParent,
    Manner::Edited,
    Manner::Split,
    Manner::Replayed,
    Manner::Twice,
];

struct Host {
    node: Node,
    clock: Clock,
    address: SocketAddr,
    executor: Executor,
    key: SecretKey,
    did: String,
    manner: Manner,
    /// Work in hand: what to answer when it is done.
    work: VecDeque<(u64, OpenId, JobId, i64)>,
    old: Option<String>,
    runs: BTreeMap<String, u32>,
}

struct Net {
    hosts: Vec<Host>,
    /// Virtual time, to whom, from whom, bytes.
    wire: BTreeMap<(u64, u64), (usize, usize, Vec<u8>)>,
    sent: u64,
    now: u64,
    dice: SimRng,
    loss: f64,
}

impl Net {
    fn new(seed: u64, loss: f64, manners: &[Manner]) -> Self {
        let mut dice = SimRng::new(&Seed::from_u64(seed), "handover");
        let hosts = (0..=manners.len())
            .map(|n| {
                let did = if n == 0 { COORDINATOR.to_owned() } else { executor_did(n) };
                let mut node = Node::new(NodeConfig::new(Did::new(&did).unwrap()), &dice.seed()).unwrap();
                node.allow_legacy("*").unwrap();
                for other in 0..=manners.len() {
                    let other = if other == 0 { COORDINATOR.to_owned() } else { executor_did(other) };
                    node.set_trust(&other, 0.9).unwrap();
                }
                node.set_reply(INTENT, node::Reply::Later).unwrap();
                let clock = Clock::new(0, dice.between(0, 2_000_000) as i64 - 1_000_000, 50);
                Host {
                    node,
                    clock,
                    address: format!("192.0.2.{}:7150", n + 1).parse().unwrap(),
                    executor: Executor::new(&did, &format!("machine-{n}"), 4),
                    key: key(u8::try_from(n).unwrap() + 1),
                    did,
                    manner: if n == 0 { Manner::Honest } else { manners[n - 1] },
                    work: VecDeque::new(),
                    old: None,
                    runs: BTreeMap::new(),
                }
            })
            .collect();
        Self { hosts, wire: BTreeMap::new(), sent: 0, now: 0, dice, loss }
    }

    fn now(&self, n: usize) -> Now {
        self.hosts[n].clock.now(self.now)
    }

    /// Let everything out that waits; lose, repeat and delay it.
    fn flush(&mut self, n: usize) {
        let now = self.now(n);
        let mut out = vec![0; MAX_DATAGRAM_V6];
        while let Some(transmit) = self.hosts[n].node.poll_transmit(now, &mut out) {
            let to = self.hosts.iter().position(|host| host.address == transmit.path.remote).unwrap();
            let copies = if self.dice.chance(0.1) { 2 } else { 1 };
            for _ in 0..copies {
                if !self.dice.chance(self.loss) {
                    let arrives = self.now + self.dice.between(MS, 80 * MS);
                    self.sent += 1;
                    self.wire.insert((arrives, self.sent), (to, n, out[..transmit.len].to_vec()));
                }
            }
        }
    }

    /// The next thing that happens: an arrival, a timer, or work that is done.
    fn step(&mut self) {
        let mut next = self.wire.keys().next().map_or(u64::MAX, |(at, _)| *at);
        for host in &self.hosts {
            let wants = host.node.wants();
            let due =
                if wants.is_pending() { self.now } else { wants.at.map_or(u64::MAX, |(at, _)| host.clock.when(at)) };
            next = next.min(due).min(host.work.front().map_or(u64::MAX, |(at, ..)| *at));
        }
        self.now = next.max(self.now).min(self.now + 500 * MS);
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, from, bytes) = entry.remove();
            let (now, path) = (self.now(to), Path::to(self.hosts[from].address));
            let _ = self.hosts[to].node.handle_datagram(now, path, &mut bytes.clone());
        }
        for n in 0..self.hosts.len() {
            let now = self.now(n);
            self.hosts[n].node.handle_timeout(now);
            if n > 0 {
                self.execute(n);
            }
            self.flush(n);
        }
    }

    /// What an executor does with its events and its work.
    fn execute(&mut self, n: usize) {
        let at = self.now;
        let now = self.now(n);
        let Host { node, executor, work, key, manner, old, did, runs, .. } = &mut self.hosts[n];
        let coordinators = [(COORDINATOR, self::key(1).public().verifier().unwrap())];
        let coordinators = BoundKeys::new(&coordinators);
        let mut answers: Vec<(OpenId, String)> = Vec::new();
        while let Some(event) = node.poll_event() {
            let Event::Ping(received) = event else { continue };
            let Some(id) = received.open else { continue };
            let packet = received.packet();
            match executor.offered(now, packet.payload, &coordinators) {
                Ok(Offered::Run(job)) => {
                    *runs.entry(job.step.to_string()).or_default() += 1;
                    let value = packet.payload.get("input").and_then(|input| input.get("n")).unwrap();
                    let Some(Number::Int(value)) = value.as_number() else { panic!("{value:?}") };
                    work.push_back((at + 30 * MS, id, job, value));
                }
                // The answer goes to the ping that comes after it is done.
                Ok(Offered::Running(_)) => {}
                Ok(Offered::Done(line)) => answers.push((id, line.to_owned())),
                Err(declined) => panic!("{did}: {declined}"),
            }
        }
        while let Some((due, id, job, value)) = work.front().copied() {
            if due > at {
                break;
            }
            work.pop_front();
            let output = format!(r#"{{"n": {}}}"#, value + 1);
            let output = Data::Value(Value::from_json(&output).unwrap());
            let seal: &SecretKey = &*key;
            let forger = self::key(99);
            let seal = if *manner == Manner::WrongKey { &forger } else { seal };
            let protection = Protection { seal: Some(seal), ..Protection::default() };
            let outcome = Outcome::Completed { output, verify: None };
            let line = executor.finish(now, job, outcome, None, &protection).unwrap().to_owned();
            answers.push((id, line));
        }
        for (id, line) in answers {
            let said = cheat(*manner, &line, key, old.as_deref());
            *old = Some(line);
            let mut payload = Vec::new();
            Reply::token(&said).write(&mut payload).unwrap();
            let payload = String::from_utf8(payload).unwrap();
            // A ping that is too old to be answered is answered the next time.
            let _ = node.respond(now, id, Value::from_json(&payload).unwrap());
        }
    }
}

/// What is sent in place of an honest line.
fn cheat(manner: Manner, line: &str, key: &SecretKey, old: Option<&str>) -> String {
    let protection = Protection { seal: Some(key), ..Protection::default() };
    let resign = |edit: &dyn Fn(&mut sluis_chain::workload::Step<'_>)| {
        let token = Token::parse(line).unwrap();
        let Some(Ok(Entry::Step(mut step))) = Entry::read(&token) else { panic!() };
        edit(&mut step);
        let mut out = vec![0; MAX_LINE];
        let len = step.write(&protection, &mut out).unwrap().len;
        String::from_utf8(out[..len].to_vec()).unwrap()
    };
    let other = sluis_chain::token::Hash32([9; 32]);
    match manner {
        Manner::Honest | Manner::WrongKey => line.to_owned(),
        Manner::WrongName => resign(&|step| step.executor = COORDINATOR.into()),
        Manner::WrongInput => resign(&|step| step.input = Some(other)),
        Manner::WrongParent => resign(&|step| step.after.token = other),
        Manner::Edited => line.replace("machine-", "somewhere-"),
        Manner::Split => line.replacen(", ", ",\n", 1),
        Manner::Replayed => old.unwrap_or("{}").to_owned(),
        Manner::Twice => resign(&|step| step.duration_ms += 1.0),
    }
}

/// The coordinator's application: one workload, steps handed to whoever is next.
struct Coordinator {
    workload: Workload<Heap>,
    lines: Vec<String>,
    refused: BTreeMap<String, u32>,
    trusted: Vec<bool>,
    late: u32,
}

impl Coordinator {
    fn new(net: &Net, steps: u32, rng: &mut Rng) -> Self {
        let new = NewWorkload {
            name: "relay",
            owner: "jis:owner",
            actor: COORDINATOR,
            node: "machine-0",
            ..NewWorkload::default()
        };
        let mut workload = Workload::new(net.now(0), &new, rng).unwrap();
        for n in 1..=steps {
            let name = format!("step-{n}");
            workload.add(&NewStep { name: &name, ..NewStep::default() }, rng).unwrap();
        }
        Self { workload, lines: Vec::new(), refused: BTreeMap::new(), trusted: vec![true; net.hosts.len()], late: 0 }
    }

    fn poll(&mut self, key: &SecretKey) {
        let protection = Protection { seal: Some(key), ..Protection::default() };
        let mut out = vec![0; MAX_LINE];
        while let Some(written) = self.workload.poll_token(&protection, &mut out) {
            self.lines.push(String::from_utf8(out[..written.unwrap().len].to_vec()).unwrap());
        }
    }
}

fn run(seed: u64, steps: u32, loss: f64, manners: &[Manner]) -> (Net, Coordinator) {
    let mut net = Net::new(seed, loss, manners);
    let mut rng = Seed::from_u64(seed).fork("coordinator");
    let mut coordinator = Coordinator::new(&net, steps, &mut rng);
    let own = key(1);
    let dids: Vec<String> = (1..net.hosts.len()).map(executor_did).collect();
    let keys: Vec<_> =
        dids.iter().zip(2..).map(|(did, n)| (did.as_str(), key(n).public().verifier().unwrap())).collect();
    let keys = BoundKeys::new(&keys);
    let proof = Proof { authority: Some(&keys), mac: None };
    let mut asked: Option<(node::RequestId, usize)> = None;
    coordinator.poll(&own);
    for _ in 0..200_000 {
        let sequence = coordinator.workload.first_open();
        if sequence > steps {
            break;
        }
        if asked.is_none() {
            let to = who(&coordinator, sequence, manners.len());
            let input = format!(r#"{{"n": {sequence}}}"#);
            let input = Value::from_json(&input).unwrap();
            let now = net.now(0);
            if coordinator.workload.offered(sequence).is_none() {
                let did = executor_did(to);
                let valid = Duration::from_secs(600);
                coordinator.workload.offer(now, sequence, Data::Value(input), &did, valid).unwrap();
            }
            let mut payload = vec![0; MAX_LINE];
            let offer = coordinator.workload.offered(sequence).unwrap();
            let len = offer.write(Some(input), Some(&own), &mut payload).unwrap();
            let payload = Value::from_json(std::str::from_utf8(&payload[..len]).unwrap()).unwrap();
            let did = executor_did(to);
            let mut ping = Ping::new(&did, net.hosts[to].address, INTENT);
            ping.payload = payload;
            ping.timeout = Some(Duration::from_millis(400));
            ping.encoding = [Encoding::Json, Encoding::Msgpack, Encoding::Postcard][net.dice.index(3)];
            asked = Some((net.hosts[0].node.ping(now, &ping).unwrap(), to));
            net.flush(0);
        }
        net.step();
        let now = net.now(0);
        while let Some(event) = net.hosts[0].node.poll_event() {
            match event {
                Event::Response(answer) if answer.last => {
                    let response = answer.response();
                    let Some(Reply::Token(line)) = Reply::read(response.payload) else { panic!("{response:?}") };
                    let line = line.to_cow().into_owned();
                    let current = asked.is_some_and(|(request, _)| request == answer.request);
                    match coordinator.workload.admit(now, &line, &proof) {
                        Ok(admitted) => {
                            assert_eq!((admitted.sequence, admitted.status), (sequence, StepStatus::Completed));
                            coordinator.lines.push(line);
                        }
                        Err(NotAdmitted::Refused(Refused::Ended(_))) => coordinator.late += 1,
                        Err(why) => {
                            *coordinator.refused.entry(why.to_string()).or_default() += 1;
                            if let Some((_, to)) = asked.filter(|_| current) {
                                // Not again to this one.
                                coordinator.trusted[to] = false;
                                coordinator.workload.withdraw(sequence).unwrap();
                            }
                        }
                    }
                    if current {
                        asked = None;
                    }
                }
                Event::Timeout { request, .. } if asked.is_some_and(|(id, _)| id == request) => asked = None,
                _ => {}
            }
        }
    }
    coordinator.workload.close(net.now(0)).unwrap();
    coordinator.poll(&own);
    (net, coordinator)
}

/// Whose turn it is, of those who have not cheated.
fn who(coordinator: &Coordinator, sequence: u32, count: usize) -> usize {
    let first = sequence as usize % count;
    (0..count).map(|n| (first + n) % count + 1).find(|to| coordinator.trusted[*to]).expect("an honest one")
}

/// The chain verifies for whoever knows the keys.
fn verify(coordinator: &Coordinator, hosts: usize) {
    let dids: Vec<String> = (1..hosts).map(executor_did).collect();
    let mut keys = vec![(COORDINATOR, key(1).public().verifier().unwrap())];
    keys.extend(dids.iter().zip(2..).map(|(did, n)| (did.as_str(), key(n).public().verifier().unwrap())));
    let keys = BoundKeys::new(&keys);
    let mut verifier = StepVerifier::new(None, Some(&keys), &Seed::from_u64(1));
    for line in &coordinator.lines {
        assert_eq!(verifier.line(line.as_bytes()), None, "{line}");
    }
    assert_eq!(verifier.unfinished().count(), 0);
}
