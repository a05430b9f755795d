//! Somebody floods our topic with what he makes up, at one broker or at all: ten thousand hellos and as many answers a second at each.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use sluis_core::driver::{App, Flow};
use sluis_core::sim::streams::{HostId, StreamLink, StreamWorld};
use sluis_core::time::Duration;
use sluis_core::{Instant, Machine as _, Now, Seed};
use sluis_signal::envelope::{Content, Kind, Unverified};
use sluis_signal::key::PublicKey;
use sluis_signal::mqtt::{Connect, MAX_PACKET, Packet, Publish, Qos, Reader, encode};
use sluis_signal::rendezvous::{Config, Delivered, Event, NotDelivered, Rendezvous, Turned};
use sluis_signal::sealed::{Offer, session_of};
use sluis_signal::server::{ConnId, Server, ServerLimits};

use super::{places, secret};

const BROKERS: usize = 3;
/// Of each kind, in each millisecond.
const EACH_MS: u64 = 10;
/// Strangers who sign what they flood with.
const STRANGERS: usize = 100;
/// Peers that have met the victim before, and others of each kind.
const KNOWN: usize = 6;
const FRESH: usize = 4;
/// Whom everybody is about.
const VICTIM: usize = 0;

/// Sits in a broker: hears everything at once, and publishes as fast as it likes.
struct Flooder {
    floods: Rc<RefCell<bool>>,
    victim: PublicKey,
    hellos: Rc<Vec<Vec<u8>>>,
    conn: Option<ConnId>,
    reader: Reader,
    /// What is made up of the last that was heard.
    answers: VecDeque<Vec<u8>>,
    n: u64,
    next: Instant,
}

impl Flooder {
    fn join(&mut self, now: Now, server: &mut Server) -> ConnId {
        let conn = server.accept(now.mono).expect("room");
        let mut out = [0; 300];
        let connect =
            Connect { client_id: "flood", clean: true, keep_alive: 0, user: None, password: None, will: None };
        let len = encode::connect(&connect, &mut out).unwrap();
        server.client_bytes(now.mono, conn, &out[..len]);
        let len = encode::subscribe(1, &[("#", Qos::AtMostOnce)], &mut out).unwrap();
        server.client_bytes(now.mono, conn, &out[..len]);
        self.conn = Some(conn);
        conn
    }

    /// Of a hello of the victim an answer is made, in the name of whom it is for; of the first packet of a session one that begins as it does.
    fn hear(&mut self, now: Now, server: &mut Server, conn: ConnId) {
        let mut buffer = vec![0; 64 * 1024];
        while let len @ 1.. = server.client_output(now.mono, conn, &mut buffer) {
            let mut rest = &buffer[..len];
            while let (Some(packet), taken) = self.reader.read(rest).unwrap() {
                rest = &rest[taken..];
                let Packet::Publish(Publish { topic, payload, .. }) = packet else { continue };
                let made_up = if topic == self.victim.to_string() {
                    first_made_up(payload)
                } else {
                    answer_made_up(now, payload, topic, &self.victim)
                };
                self.answers.extend(made_up);
                if self.answers.len() > 8 {
                    self.answers.pop_front();
                }
            }
        }
    }

    fn flood(&mut self, now: Now, server: &mut Server, conn: ConnId) {
        let topic = self.victim.to_string();
        for _ in 0..EACH_MS {
            self.n += 1;
            let hello = &self.hellos[usize::try_from(self.n).unwrap() % self.hellos.len()];
            publish(now, server, conn, &topic, hello);
            if let Some(answer) = self.answers.back_mut() {
                // Never twice the same.
                let at = answer.len() - 1 - usize::try_from(self.n % 8).unwrap();
                answer[at] = answer[at].wrapping_add(1);
                publish(now, server, conn, &topic, &answer.clone());
            }
        }
    }
}

impl App<Server> for Flooder {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, server: &mut Server) -> Poll<()> {
        let conn = self.conn.unwrap_or_else(|| self.join(now, server));
        self.hear(now, server, conn);
        while self.next <= now.mono {
            self.next = self.next + Duration::from_millis(1);
            if *self.floods.borrow() {
                self.flood(now, server, conn);
            }
        }
        // What it publishes itself it hears, too.
        self.hear(now, server, conn);
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.next)
    }
}

fn publish(now: Now, server: &mut Server, conn: ConnId, topic: &str, payload: &[u8]) {
    let mut out = vec![0; payload.len() + 200];
    let publish = Publish { topic, payload, id: None, retain: false, duplicate: false };
    let len = encode::publish(&publish, &mut out).unwrap();
    server.client_bytes(now.mono, conn, &out[..len]);
}

fn stamp(now: Now) -> u64 {
    u64::try_from(now.wall.as_micros() / 1_000_000).unwrap()
}

/// A hello of the victim is answered in the name of whom it is for, with a signature of somebody else.
fn answer_made_up(now: Now, heard: &[u8], topic: &str, victim: &PublicKey) -> Option<Vec<u8>> {
    let parsed = Unverified::parse(heard).ok()?;
    let claimed = parsed.claimed();
    if claimed.kind != Kind::Probe as u8 || parsed.claimed_source() != victim.as_bytes() {
        return None;
    }
    let body = [&b"ack\0"[..], &[2; 49]].concat();
    let content =
        Content { queue: claimed.queue, seq: claimed.seq, timestamp: stamp(now), kind: Kind::Ack as u8, body: &body };
    let mut out = vec![0; content.envelope_len()];
    content.sign(&secret(99_999), &mut out).unwrap();
    let peer: Vec<u8> = (0..33).map(|at| u8::from_str_radix(&topic[2 * at..2 * at + 2], 16).unwrap()).collect();
    out[..33].copy_from_slice(&peer);
    Some(out)
}

fn first_made_up(heard: &[u8]) -> Option<Vec<u8>> {
    (heard.first() == Some(&0x54) && session_of(heard).is_some()).then(|| {
        let mut out = heard.to_vec();
        // Behind the key, in what proves it.
        out[61] ^= 1;
        out
    })
}

/// Hellos to the victim: every second one is signed by its stranger, the others bear the name of a peer that the victim knows.
fn hellos(now: Now, known: &PublicKey) -> Vec<Vec<u8>> {
    let victim = secret(VICTIM).public();
    let hello = |n: usize| {
        let key = secret(50_000 + n);
        let offer = Offer::new(&key, victim, secret(60_000 + n)).unwrap();
        let content =
            Content { queue: [7; 32], seq: 0, timestamp: stamp(now), kind: Kind::Probe as u8, body: offer.body() };
        let mut out = vec![0; content.envelope_len()];
        content.sign(&key, &mut out).unwrap();
        if n % 2 == 1 {
            out[..33].copy_from_slice(known.as_bytes());
        }
        out
    };
    (0..STRANGERS).map(hello).collect()
}

#[derive(Default)]
struct Seen {
    to_send: VecDeque<(PublicKey, Duration)>,
    heard: usize,
    sent: Vec<(PublicKey, Result<Delivered, NotDelivered>)>,
    over_cap: Option<&'static str>,
    turned: [u64; Turned::COUNT],
}

type Shared = Rc<RefCell<Seen>>;

fn node(world: &mut StreamWorld, n: usize, life: u64) -> (HostId, Shared) {
    let machine =
        Rendezvous::new(Config::new(secret(n), places(BROKERS)), &Seed::from_u64(1000 * life + n as u64), world.now());
    let seen = Shared::default();
    let shown = Rc::clone(&seen);
    let app = move |now: Now, machine: &mut Rendezvous| {
        let mut seen = shown.borrow_mut();
        while let Some((to, timeout)) = seen.to_send.pop_front() {
            machine.send(now, &to, Arc::from(&b"hello"[..]), true, timeout).unwrap();
        }
        while let Some(event) = machine.poll_event() {
            match event {
                Event::Message(message) => {
                    seen.heard += 1;
                    assert!(machine.confirm(now, &message.key));
                }
                Event::Sent { to, outcome, .. } => seen.sent.push((to, outcome)),
                _ => {}
            }
        }
        seen.over_cap = seen.over_cap.or_else(|| machine.over_cap());
        seen.turned = Turned::ALL.map(|why| machine.turned(why));
        Flow::Continue
    };
    (world.add(&format!("node{n}"), machine, app), seen)
}

/// The victim and its peers at three brokers, so many of which are flooded when it is said so.
struct Scene {
    world: StreamWorld,
    nodes: Vec<(HostId, Shared)>,
    floods: Rc<RefCell<bool>>,
}

impl Scene {
    /// The first peers and the victim have sessions when all begins.
    fn new(peers: usize, flooded: usize) -> Self {
        let link =
            StreamLink { delay: Duration::from_millis(20), chunk: 60_000, buffer: 4 << 20, ..StreamLink::default() };
        let mut world = StreamWorld::new(link, &Seed::from_u64(1));
        let floods = Rc::new(RefCell::new(false));
        let hellos = Rc::new(hellos(world.now(), &secret(1).public()));
        let limits = ServerLimits { queue: 8 << 20, ..ServerLimits::default() };
        for n in 0..BROKERS {
            let server = Server::new(limits, Seed::from_u64(n as u64).fork("server"));
            if n >= flooded {
                world.listen(&format!("n{n}.test"), server, |_: Now, _: &mut Server| Flow::Continue);
                continue;
            }
            let app = Flooder {
                floods: Rc::clone(&floods),
                victim: secret(VICTIM).public(),
                hellos: Rc::clone(&hellos),
                conn: None,
                reader: Reader::new(MAX_PACKET),
                answers: VecDeque::new(),
                n: 0,
                next: world.now().mono,
            };
            world.listen(&format!("n{n}.test"), server, app);
        }
        let nodes = (0..=peers).map(|n| node(&mut world, n, 0)).collect();
        let mut this = Self { world, nodes, floods };
        this.run(Duration::from_secs(2));
        for n in 1..=1 + KNOWN {
            this.send(n, VICTIM, 5);
            this.run(Duration::from_millis(100));
        }
        this.run(Duration::from_secs(1));
        assert!((1..=1 + KNOWN).all(|n| matches!(this.sent(n)[..], [Ok(_)])));
        *this.floods.borrow_mut() = true;
        this.run(Duration::from_millis(300));
        this
    }

    /// A peer begins anew, with nothing but its key.
    fn again(&mut self, n: usize) -> usize {
        self.world.crash(self.nodes[n].0);
        let node = node(&mut self.world, n, 1);
        self.nodes.push(node);
        self.run(Duration::from_millis(150));
        self.nodes.len() - 1
    }

    fn run(&mut self, time: Duration) {
        assert!(self.world.run_for(time), "it spins");
    }

    fn send(&mut self, from: usize, to: usize, timeout: u64) {
        let (host, seen) = &self.nodes[from];
        seen.borrow_mut().to_send.push_back((secret(to).public(), Duration::from_secs(timeout)));
        let host = *host;
        self.world.wake(host);
    }

    fn sent(&self, n: usize) -> Vec<Result<Delivered, NotDelivered>> {
        self.nodes[n].1.borrow().sent.iter().map(|(_, outcome)| *outcome).collect()
    }

    /// The flood arrived, and nothing has passed its cap.
    fn look(&self, least: u64) {
        let victim = self.nodes[VICTIM].1.borrow();
        let count = victim.turned.iter().sum::<u64>();
        assert!(count >= least, "{count} were turned away: {:?}", victim.turned);
        for (_, seen) in &self.nodes {
            assert_eq!(seen.borrow().over_cap, None);
        }
    }
}

/// How long 99 of 100 took at most, and all did.
fn p99(mut took: Vec<Duration>) -> (Duration, Duration) {
    took.sort_unstable();
    (took[(took.len() * 99).div_ceil(100) - 1], *took.last().unwrap())
}

/// At one of three brokers: whoever has never met the victim meets it, and is met, as if nothing were.
#[test]
fn a_flood_at_one_broker_keeps_nobody_apart() {
    const PEERS: usize = 30;
    let mut scene = Scene::new(PEERS, 1);
    let first = 2 + KNOWN;
    for n in first..=PEERS {
        if n % 2 == 0 {
            scene.send(n, VICTIM, 10);
        } else {
            scene.send(VICTIM, n, 10);
        }
        scene.send(1, VICTIM, 10);
        scene.run(Duration::from_millis(120));
    }
    scene.run(Duration::from_secs(1));
    let sent = |n| scene.sent(n).into_iter().map(|outcome| outcome.expect("it arrives").after);
    let fresh: Vec<Duration> = [VICTIM].into_iter().chain(first..=PEERS).flat_map(sent).collect();
    assert_eq!(fresh.len(), PEERS + 1 - first);
    let (of_fresh, of_joined) = (p99(fresh), p99(sent(1).collect()));
    // A hello and its answer, a message and its acknowledgement, each over two links of 20 ms: 160 ms at least.
    assert!(of_fresh.0 <= Duration::from_millis(200), "{of_fresh:?}");
    assert!(of_joined.0 <= Duration::from_millis(200), "{of_joined:?}");
    scene.look(40_000);
}

/// At all of them: a session goes on, who is known is heard, whom the victim looks for is found, and of strangers every send comes to its end.
#[test]
fn a_flood_at_all_brokers_does_not_touch_sessions() {
    let mut scene = Scene::new(1 + KNOWN + 2 * FRESH, BROKERS);
    // They begin anew, with the same keys: the victim knows them, and has to answer their hellos.
    let again: Vec<usize> = (2..2 + KNOWN).map(|n| scene.again(n)).collect();
    again.iter().for_each(|n| scene.send(*n, VICTIM, 5));
    let (fresh, strangers) = (2 + KNOWN..2 + KNOWN + FRESH, 2 + KNOWN + FRESH..2 + KNOWN + 2 * FRESH);
    strangers.clone().for_each(|n| scene.send(n, VICTIM, 5));
    for n in fresh {
        scene.send(VICTIM, n, 5);
        for _ in 0..10 {
            scene.send(1, VICTIM, 5);
            scene.run(Duration::from_millis(100));
        }
    }
    scene.run(Duration::from_millis(5100 - 1000 * FRESH as u64));
    let of_joined = p99(scene.sent(1).iter().map(|outcome| outcome.expect("it arrives").after).collect());
    assert!(of_joined.1 <= Duration::from_millis(200), "{of_joined:?}");
    let found = scene.sent(VICTIM);
    assert_eq!((found.len(), found.iter().flatten().count()), (FRESH, FRESH), "{found:?}");
    let met: Vec<_> = again.into_iter().flat_map(|n| scene.sent(n)).collect();
    assert_eq!(met.len(), KNOWN);
    assert!(met.iter().flatten().count() * 2 >= KNOWN, "{met:?}");
    let others: Vec<_> = strangers.flat_map(|n| scene.sent(n)).collect();
    assert_eq!(others.len(), FRESH, "every send ends");
    assert!(others.iter().all(|outcome| matches!(outcome, Ok(_) | Err(NotDelivered::NoAck))), "{others:?}");
    scene.look(200_000);
}
