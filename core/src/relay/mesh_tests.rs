//! Networks of relays on virtual time, with loss, dead relays and floods: what a packet does as it goes from room to room.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::string::String;
use std::{format, vec, vec::Vec};

use super::faults::Faults;
use super::*;
use crate::framing::{Decision, Packet, Response, RoutingMode, Text, Zone};
use crate::seed::Rng;
use crate::time::Instant;
use crate::{Path, Seed};

/// How long a datagram takes.
const DELAY: u64 = 10_000_000;

fn at(n: usize) -> Path {
    let [.., high, low] = n.to_be_bytes();
    Path::to(core::net::SocketAddr::from(([10, 0, high, low], 7150)))
}

/// The one who sends for an application: not a neighbour of anybody.
fn own(n: usize) -> Path {
    let [.., high, low] = n.to_be_bytes();
    Path::to(core::net::SocketAddr::from(([127, 0, high, low], 7150)))
}

fn node_at(path: &Path) -> usize {
    let core::net::IpAddr::V4(ip) = path.remote.ip() else { panic!("an IPv4 address") };
    let [_, _, high, low] = ip.octets();
    usize::from(high) << 8 | usize::from(low)
}

#[derive(Clone, Debug)]
enum Said {
    Ping { ping: usize, hop_count: i64 },
    Answer { ping: usize },
}

/// A ping as its source made it.
#[derive(Clone, Debug)]
struct Made {
    id: String,
    source: usize,
    target: usize,
    max_hops: i64,
    nonce: String,
}

struct Net {
    relays: Vec<Relay>,
    around: Vec<Vec<usize>>,
    names: Vec<String>,
    down: BTreeSet<usize>,
    queue: BTreeMap<(u64, u64), (Path, usize, Said)>,
    made: Vec<Made>,
    /// Pings that reached their target, and those whose answer came home.
    delivered: BTreeSet<usize>,
    answered: BTreeSet<usize>,
    /// How often each relay passed on each ping.
    passed: BTreeMap<(usize, usize), u32>,
    messages: u64,
    now: u64,
    sequence: u64,
    /// In a thousand.
    loss: u64,
    rng: Rng,
    /// Everybody's record goes round before what it taught is forgotten, next at this time.
    gossips: Option<u64>,
    broken: Vec<String>,
}

impl Net {
    fn new(around: Vec<Vec<usize>>, config: RelayConfig, loss: u64, seed: u64) -> Self {
        let seed = Seed::from_u64(seed);
        let names: Vec<String> = (0..around.len()).map(|n| format!("jis:mesh:{n}")).collect();
        let relays = around.iter().enumerate().map(|(n, near)| {
            let mut relay = Relay::new(config, &mut seed.fork(&names[n]));
            near.iter().for_each(|other| assert!(relay.set_neighbour(&names[*other], at(*other), 0.5)));
            relay
        });
        Self {
            relays: relays.collect(),
            names,
            down: BTreeSet::new(),
            queue: BTreeMap::new(),
            made: Vec::new(),
            delivered: BTreeSet::new(),
            answered: BTreeSet::new(),
            passed: BTreeMap::new(),
            messages: 0,
            now: 0,
            sequence: 0,
            loss,
            rng: seed.fork("net"),
            gossips: None,
            broken: Vec::new(),
            around,
        }
    }

    /// A ring with chords: everybody has `degree` neighbours or a few more, and everybody reaches everybody.
    fn random(nodes: usize, degree: usize, rng: &mut Rng) -> Vec<Vec<usize>> {
        let mut around = vec![BTreeSet::new(); nodes];
        let mut tie = |a: usize, b: usize| {
            if a != b {
                around[a].insert(b);
                around[b].insert(a);
            }
        };
        for n in 0..nodes {
            tie(n, (n + 1) % nodes);
            for _ in 2..degree.div_ceil(2) + 1 {
                tie(n, below(rng, nodes));
            }
        }
        around.into_iter().map(|near| near.into_iter().collect()).collect()
    }

    /// Everybody's record reaches everybody, over the fewest hops, as gossip does: so next hops are learned.
    fn gossip(&mut self) {
        self.gossips = Some(self.now + 80_000_000_000);
        for source in 0..self.relays.len() {
            let mut reached: BTreeMap<usize, u8> = BTreeMap::from([(source, 0)]);
            let mut next = VecDeque::from([source]);
            while let Some(n) = next.pop_front() {
                let hops = reached[&n];
                if self.down.contains(&n) {
                    continue;
                }
                for other in self.around[n].clone() {
                    if other != source {
                        self.relays[other].learn(Instant::from_nanos(self.now), &self.names[source], at(n), hops);
                    }
                    if let std::collections::btree_map::Entry::Vacant(place) = reached.entry(other) {
                        place.insert(hops + 1);
                        next.push_back(other);
                    }
                }
            }
        }
    }

    fn send(&mut self, from: Path, to: usize, said: Said) {
        self.messages += 1;
        if self.rng.u64() % 1000 < self.loss || self.down.contains(&to) {
            return;
        }
        self.sequence += 1;
        self.queue.insert((self.now + DELAY, self.sequence), (from, to, said));
    }

    /// An application at one node asks somebody at another.
    fn ping(&mut self, source: usize, target: usize, max_hops: i64) -> usize {
        let n = self.made.len();
        let nonce = format!("nonce_{n}");
        self.made.push(Made { id: format!("ping_{n}"), source, target, max_hops, nonce });
        self.pass(own(source), source, n, 0);
        n
    }

    fn pass(&mut self, from: Path, n: usize, ping: usize, hop_count: i64) {
        let Made { id, source, target, max_hops, nonce } = self.made[ping].clone();
        let packet = Packet {
            packet_id: Text::new(&id),
            source_did: Text::new(&self.names[source]),
            target_did: Text::new(&self.names[target]),
            routing_mode: RoutingMode::Mesh,
            nonce: Text::new(&nonce),
            hop_count,
            max_hops,
            ..Packet::default()
        };
        let peer = self.around[n].contains(&target).then(|| at(target));
        let transit = Transit {
            packet: &packet,
            from,
            zone: Zone::Groen,
            proven: true,
            peer,
            recorded: None,
            room: None,
            len: 0,
            peer_proven: true,
        };
        let Ok(forward) = self.relays[n].forward(Instant::from_nanos(self.now), &transit) else { return };
        let passed = self.passed.entry((n, ping)).or_default();
        *passed += 1;
        if *passed > 1 {
            self.broken.push(format!("{n} passes ping {ping} on for the {passed}. time"));
        }
        if forward.to().contains(&from) {
            self.broken.push(format!("{n} sends ping {ping} back to where it came from"));
        }
        let limit = max_hops.min(self.relays[n].config().max_hops.into());
        if forward.hop_count() > limit {
            self.broken.push(format!("{n} lets ping {ping} go over {} hops", forward.hop_count()));
        }
        for to in forward.to().to_vec() {
            let hop_count = forward.hop_count();
            self.send(at(n), node_at(&to), Said::Ping { ping, hop_count });
        }
    }

    fn answer(&mut self, from: Path, n: usize, ping: usize) {
        let Made { id, target, source, .. } = self.made[ping].clone();
        let response = Response {
            in_response_to: Text::new(&id),
            responder_did: Text::new(&self.names[target]),
            decision: Decision::Accept,
            ..Response::default()
        };
        let Ok(back) = self.relays[n].answer(Instant::from_nanos(self.now), from, &response) else { return };
        for to in back.to().to_vec() {
            if to == own(n) {
                assert_eq!(n, source);
                self.answered.insert(ping);
            } else {
                self.send(at(n), node_at(&to), Said::Answer { ping });
            }
        }
    }

    /// Let so many seconds pass.
    fn run(&mut self, seconds: u64) {
        let end = self.now + seconds * 1_000_000_000;
        while let Some(((when, _), (from, n, said))) = self.queue.pop_first() {
            if when > end {
                self.sequence += 1;
                self.queue.insert((when, self.sequence), (from, n, said));
                break;
            }
            self.now = when;
            match said {
                Said::Ping { ping, .. } if self.made[ping].target == n => {
                    // Its replay window takes it once.
                    if self.delivered.insert(ping) {
                        self.send(at(n), node_at(&from), Said::Answer { ping });
                    }
                }
                Said::Ping { ping, hop_count } => self.pass(from, n, ping, hop_count),
                Said::Answer { ping } => self.answer(from, n, ping),
            }
        }
        self.now = end;
        if self.gossips.is_some_and(|at| at <= end) {
            self.gossip();
        }
        for relay in &mut self.relays {
            while relay.next_timeout().is_some_and(|at| at <= Instant::from_nanos(end)) {
                relay.handle_timeout(Instant::from_nanos(end));
            }
        }
    }

    /// What everybody would send if a ping went to everybody.
    fn flood(&self) -> u64 {
        self.around.iter().map(|near| near.len() as u64 - 1).sum()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below a small number")]
fn below(rng: &mut Rng, n: usize) -> usize {
    (rng.u64() % n as u64) as usize
}

/// Up to three tries for each of many pairs: how many were delivered and how many answered.
fn three_tries(net: &mut Net, pairs: usize) -> (usize, usize) {
    let nodes = net.relays.len();
    let (mut delivered, mut answered) = (0, 0);
    for _ in 0..pairs {
        let (source, target) = loop {
            let (source, target) = (below(&mut net.rng, nodes), below(&mut net.rng, nodes));
            let up = !net.down.contains(&source) && !net.down.contains(&target);
            if up && source != target {
                break (source, target);
            }
        };
        let mut reached = false;
        for _ in 0..3 {
            let ping = net.ping(source, target, 16);
            net.run(4);
            reached |= net.delivered.contains(&ping);
            if net.answered.contains(&ping) {
                answered += 1;
                break;
            }
        }
        delivered += usize::from(reached);
    }
    (delivered, answered)
}

#[test]
fn a_mesh_without_loss_finds_everybody_at_the_first_try() {
    let around = Net::random(100, 6, &mut Seed::from_u64(1).fork("shape"));
    let mut net = Net::new(around, RelayConfig::default(), 0, 1);
    net.gossip();
    for n in 0..200 {
        let (source, target) = (n % 100, (n * 37 + 11) % 100);
        if source != target {
            let ping = net.ping(source, target, 16);
            net.run(1);
            assert!(net.answered.contains(&ping), "{source} to {target}");
        }
    }
    assert_eq!(net.broken, Vec::<String>::new());
    assert!(net.messages < 200 * 16, "{} messages", net.messages);
}

#[test]
fn loss_and_dead_relays_are_passed_by() {
    const PAIRS: usize = 300;
    let around = Net::random(120, 8, &mut Seed::from_u64(2).fork("shape"));
    let mut net = Net::new(around, RelayConfig::default(), 100, 2);
    net.gossip();
    // One in twenty dies when everybody has learned to go over it.
    net.down = (0..6).map(|n| n * 19 + 3).collect();
    let (delivered, answered) = three_tries(&mut net, PAIRS);
    assert_eq!(net.broken, Vec::<String>::new());
    assert!(delivered * 1000 >= PAIRS * 999, "{delivered} of {PAIRS} delivered");
    assert!(answered * 100 >= PAIRS * 95, "{answered} of {PAIRS} answered");
    let flooding = net.flood() * net.made.len() as u64;
    assert!(net.messages * 20 <= flooding, "{} messages, flooding has {flooding}", net.messages);
}

/// Nothing was ever heard of the target, and its neighbours are chosen blindly: a packet still does not go round.
#[test]
fn a_loop_never_forms() {
    for seed in 0..10 {
        let around = Net::random(30, 4, &mut Seed::from_u64(seed).fork("shape"));
        let mut net = Net::new(around, RelayConfig { fanout: 4, ..RelayConfig::default() }, 50, seed);
        for n in 0..60 {
            let (source, target) = (n % 30, (n * 7 + 3) % 30);
            net.ping(source, target, if n % 2 == 0 { 16 } else { i64::MAX });
            net.run(1);
        }
        assert_eq!(net.broken, Vec::<String>::new(), "seed {seed}");
        assert!(net.delivered.len() > 40, "seed {seed}: {}", net.delivered.len());
    }
}

/// A line of relays, the middle one doubled: when one of the two dies, the next try goes over the other.
#[test]
fn an_answer_returns_on_a_live_path_within_one_heartbeat() {
    // 0 - 1 - {2, 3} - 4 - 5
    let around = vec![vec![1], vec![0, 2, 3], vec![1, 4], vec![1, 4], vec![2, 3, 5], vec![4]];
    let mut net = Net::new(around, RelayConfig::default(), 0, 3);
    net.gossip();
    for _ in 0..5 {
        let ping = net.ping(0, 5, 16);
        net.run(5);
        assert!(net.answered.contains(&ping));
    }
    let carried = |net: &Net, n: usize| net.relays[n].stats().forwarded;
    let dying = if carried(&net, 2) > carried(&net, 3) { 2 } else { 3 };
    net.down.insert(dying);
    let lost = net.ping(0, 5, 16);
    net.run(4);
    assert!(!net.answered.contains(&lost));
    for _ in 0..5 {
        let ping = net.ping(0, 5, 16);
        net.run(5);
        assert!(net.answered.contains(&ping), "9 s after it died");
    }
}

/// The tests above would notice each protection that is missing.
#[test]
fn what_is_switched_off_is_caught() {
    let line = |n: usize| (0..n).map(move |at| (at.saturating_sub(1)..(at + 2).min(n)).filter(|o| *o != at).collect());
    let config = RelayConfig { max_hops: 4, ..RelayConfig::default() };
    for (fault, caught) in [
        (Faults { no_hop_cap: true, ..Faults::default() }, "hops"),
        (Faults { no_split_horizon: true, ..Faults::default() }, "back to where"),
    ] {
        for switched in [false, true] {
            let mut net = Net::new(line(12).collect(), config, 0, 4);
            if switched {
                net.relays.iter_mut().for_each(|relay| relay.set_faults(fault));
            }
            net.ping(0, 11, 100);
            net.run(2);
            assert_eq!(
                net.broken.iter().any(|broken| broken.contains(caught)),
                switched,
                "{fault:?}: {:?}",
                net.broken
            );
        }
    }
    for switched in [false, true] {
        let mut net = Net::new(line(3).collect(), config, 0, 4);
        if switched {
            let faults = Faults { poisonable_seen: true, ..Faults::default() };
            net.relays.iter_mut().for_each(|relay| relay.set_faults(faults));
        }
        // Somebody who knows which id comes next says something else under it, and is faster.
        net.made.push(Made { id: "ping_1".into(), source: 2, target: 0, max_hops: 4, nonce: "other".into() });
        net.pass(at(2), 1, 0, 1);
        let honest = net.ping(0, 2, 16);
        net.run(2);
        assert_eq!(net.answered.contains(&honest), !switched);
    }
}
