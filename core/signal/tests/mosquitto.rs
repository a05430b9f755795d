//! The machines over real streams, with Debian's mosquitto between them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "a test with real streams, time and processes"
)]

mod common;
#[path = "../examples/say/driver.rs"]
mod driver;

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::key;
use driver::Driver;
use sluis_core::{Instant, Security, Seed};
use sluis_signal::broker::{Broker, End, Event, Left, Order, Settings};
use sluis_signal::envelope::{Content, Kind, Unverified};
use sluis_signal::key::SecretKey;
use sluis_signal::mqtt::{Connect, MAX_PACKET, Packet, Qos, Reader, encode};
use sluis_signal::rank::{Family, Weight};
use sluis_signal::rendezvous::{Config, Event as Sent, Place};
use sluis_signal::sealed::{Answered, Offer, Session, is_hello};

/// The broker, or loud words that nothing was tried; in CI its absence is a failure.
fn mosquitto() -> Option<PathBuf> {
    let found = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "CI has no mosquitto: install it");
    if found.is_none() {
        eprintln!("NO MOSQUITTO HERE: that the machines work with a real broker was NOT tried");
    }
    found
}

/// A running broker; it ends with the test.
struct Mosquitto {
    program: PathBuf,
    config: PathBuf,
    port: u16,
    child: Child,
}

impl Mosquitto {
    fn start(name: &str, program: PathBuf) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{port}.conf"));
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
        std::fs::write(&config, text).unwrap();
        let child = Self::spawn(&program, &config);
        Self { program, config, port, child }
    }

    fn spawn(program: &PathBuf, config: &PathBuf) -> Child {
        Command::new(program).arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn revive(&mut self) {
        self.child = Self::spawn(&self.program, &self.config);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(&self.config);
    }
}

/// A machine on a stream.
struct Peer {
    key: SecretKey,
    broker: Broker,
    port: u16,
    stream: Option<TcpStream>,
    start: std::time::Instant,
    joined: u32,
    left: Vec<Left>,
    heard: Vec<Vec<u8>>,
    taken: Vec<u64>,
}

impl Peer {
    fn new(name: &str, port: u16, settings: Settings) -> Self {
        let (key, start) = (key(name), std::time::Instant::now());
        let seed = Seed::from_u64(u64::from(port) ^ u64::from(key.public().as_bytes()[5]));
        let broker = Broker::new(settings, &key.public(), seed.fork("broker"), Instant::ZERO, Duration::ZERO);
        Self {
            key,
            broker,
            port,
            stream: None,
            start,
            joined: 0,
            left: Vec::new(),
            heard: Vec::new(),
            taken: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// Do what is to be done, without waiting for anything.
    fn pump(&mut self) {
        let now = self.now();
        if self.broker.deadline().is_some_and(|at| at <= now) {
            self.left.extend(self.broker.handle_timeout(now));
        }
        while let Some(order) = self.broker.poll_order() {
            match order {
                Order::Dial => match TcpStream::connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port)) {
                    Ok(stream) => {
                        stream.set_nonblocking(true).unwrap();
                        stream.set_nodelay(true).unwrap();
                        self.stream = Some(stream);
                        self.broker.handle_up(now);
                    }
                    Err(_) => self.left.extend(self.broker.handle_end(now, End::Unreachable)),
                },
                Order::Abort | Order::Finish => self.stream = None,
            }
        }
        if let Err(end) = self.exchange(now) {
            self.stream = None;
            self.left.extend(self.broker.handle_end(now, end));
        }
    }

    fn exchange(&mut self, now: Instant) -> Result<(), End> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            // Loopback takes what one of these tests writes.
            let len = self.broker.poll_bytes(now, &mut buffer);
            let Some(stream) = self.stream.as_mut().filter(|_| len > 0) else { break };
            stream.set_nonblocking(false).unwrap();
            stream.write_all(&buffer[..len]).map_err(|_| End::Lost)?;
            stream.set_nonblocking(true).unwrap();
        }
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let len = match stream.read(&mut buffer) {
            Ok(0) => return Err(End::Ended),
            Ok(len) => len,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(End::Lost),
        };
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            match self.broker.handle_bytes(now, rest) {
                Ok((taken, event)) => {
                    rest = &rest[taken..];
                    match event {
                        Some(Event::Joined(_)) => self.joined += 1,
                        Some(Event::Message(payload)) => self.heard.push(payload.to_vec()),
                        Some(Event::Taken { ticket }) => self.taken.push(ticket),
                        None => {}
                    }
                }
                Err(why) => {
                    self.left.push(why);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self, to: &SecretKey, payload: &[u8], ticket: u64) {
        self.broker.publish(&to.public(), Arc::from(payload), ticket).unwrap();
    }

    /// An envelope of ours.
    fn envelope(&self, kind: Kind, body: &[u8]) -> Vec<u8> {
        let content = Content { queue: [7; 32], seq: 0, timestamp: 1_736_942_400, kind: kind as u8, body };
        let mut out = vec![0; content.envelope_len()];
        content.sign(&self.key, &mut out).unwrap();
        out
    }

    /// The next thing heard.
    fn next(&mut self) -> Option<Vec<u8>> {
        (!self.heard.is_empty()).then(|| self.heard.remove(0))
    }
}

/// One who hears everything that passes the broker.
struct Spy {
    stream: TcpStream,
    reader: Reader,
}

impl Spy {
    fn new(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut spy = Self { stream, reader: Reader::new(MAX_PACKET) };
        let mut out = [0; 100];
        let connect = Connect { client_id: "spy", clean: true, keep_alive: 0, user: None, password: None, will: None };
        let len = encode::connect(&connect, &mut out).unwrap();
        spy.stream.write_all(&out[..len]).unwrap();
        let len = encode::subscribe(1, &[("#", Qos::AtMostOnce)], &mut out).unwrap();
        spy.stream.write_all(&out[..len]).unwrap();
        // CONNACK and SUBACK.
        spy.read(2, |packet| matches!(packet, Packet::ConnAck { code: 0, .. } | Packet::SubAck { codes: [0], .. }));
        spy
    }

    /// The payloads of so many messages.
    fn sees(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        self.read(count, |packet| match packet {
            Packet::Publish(publish) => {
                seen.push(publish.payload.to_vec());
                true
            }
            _ => false,
        });
        seen
    }

    fn read(&mut self, count: usize, mut wanted: impl FnMut(Packet<'_>) -> bool) {
        let (mut buffer, mut found) = ([0; 4096], 0);
        while found < count {
            let len = self.stream.read(&mut buffer).unwrap();
            assert!(len > 0, "the broker ends the spy's connection");
            let mut rest = &buffer[..len];
            while let (Some(packet), taken) = self.reader.read(rest).unwrap() {
                assert!(wanted(packet), "{packet:?}");
                (rest, found) = (&rest[taken..], found + 1);
            }
        }
    }
}

/// Pump until something holds; not for ever.
fn until(peers: &mut [&mut Peer], what: &str, mut holds: impl FnMut(&mut [&mut Peer]) -> bool) {
    let start = std::time::Instant::now();
    while !holds(peers) {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        for peer in &mut *peers {
            peer.pump();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn joined(peers: &mut [&mut Peer], times: u32) {
    until(peers, "joined", |peers| peers.iter().all(|peer| peer.joined >= times && peer.broker.is_joined()));
}

#[test]
fn peers_meet_and_nobody_on_the_way_reads() {
    let Some(program) = mosquitto() else { return };
    let broker = Mosquitto::start("meet", program);
    let (mut alice, mut bob) =
        (Peer::new("alice", broker.port, Settings::default()), Peer::new("bob", broker.port, Settings::default()));
    joined(&mut [&mut alice, &mut bob], 1);
    let mut spy = Spy::new(broker.port);

    // A plain message of the reference's kind is read by everybody on the way.
    let plain = alice.envelope(Kind::Message, b"a text in the clear");
    alice.publish(&bob.key, &plain, 1);
    until(&mut [&mut alice, &mut bob], "a plain message", |peers| !peers[1].heard.is_empty() && peers[0].taken == [1]);
    let heard = bob.next().unwrap();
    let envelope = Unverified::parse(&heard).unwrap().verify().unwrap();
    assert_eq!((envelope.source, envelope.content.body), (alice.key.public(), &b"a text in the clear"[..]));

    // A sealed one is not.
    let mut rng = Seed::from_u64(1).fork("ephemeral");
    let mut offer = Offer::new(&alice.key, bob.key.public(), SecretKey::generate(&mut rng)).unwrap();
    let hello = alice.envelope(Kind::Probe, offer.body());
    alice.publish(&bob.key, &hello, 2);
    until(&mut [&mut alice, &mut bob], "a hello", |peers| !peers[1].heard.is_empty());
    let heard = bob.next().unwrap();
    let probe = Unverified::parse(&heard).unwrap().verify().unwrap();
    assert!(is_hello(probe.content.body));
    let mut answered = Answered::new(&bob.key, probe.content.body, SecretKey::generate(&mut rng)).unwrap();
    let answer = bob.envelope(Kind::Ack, answered.body());
    bob.publish(&alice.key, &answer, 3);
    until(&mut [&mut alice, &mut bob], "an answer", |peers| !peers[0].heard.is_empty());
    let heard = alice.next().unwrap();
    let ack = Unverified::parse(&heard).unwrap().verify().unwrap();
    let mut a = offer.answered(&alice.key, ack.content.body, None, alice.now()).unwrap();
    let seal = |session: &mut Session, now, body: &[u8]| {
        let mut out = vec![0; session.next_len(body.len())];
        session.seal(now, 1, &[7; 16], body, &mut out).unwrap();
        out
    };
    let packet = seal(&mut a, alice.now(), b"a text that is sealed");
    alice.publish(&bob.key, &packet, 4);
    until(&mut [&mut alice, &mut bob], "a sealed message", |peers| !peers[1].heard.is_empty());
    let mut heard = bob.next().unwrap();
    let proven = answered.first(&bob.key, &heard, bob.now()).unwrap();
    assert_eq!(proven.remote, alice.key.public());
    let mut b = proven.session;
    assert_eq!(b.open(bob.now(), &mut heard).unwrap().body, b"a text that is sealed");
    let packet = seal(&mut b, bob.now(), b"and one back");
    bob.publish(&alice.key, &packet, 5);
    until(&mut [&mut alice, &mut bob], "a sealed answer", |peers| !peers[0].heard.is_empty());
    let mut heard = alice.next().unwrap();
    assert_eq!(a.open(alice.now(), &mut heard).unwrap().body, b"and one back");

    let seen = spy.sees(5);
    let reads = |text: &[u8]| seen.iter().any(|payload| payload.windows(text.len()).any(|window| window == text));
    assert!(reads(b"a text in the clear"));
    for text in [&b"a text that is sealed"[..], b"sealed", b"and one back"] {
        assert!(!reads(text));
    }
}

#[test]
fn a_broker_that_dies_is_noticed_and_joined_again() {
    let Some(program) = mosquitto() else { return };
    let mut broker = Mosquitto::start("dies", program);
    let mut alice = Peer::new("alice", broker.port, Settings::default());
    joined(&mut [&mut alice], 1);
    for times in 2..4 {
        broker.kill();
        until(&mut [&mut alice], "left", |peers| !peers[0].broker.is_joined());
        broker.revive();
        joined(&mut [&mut alice], times);
        // It hears its topic again on the new connection.
        let (own, message) = (alice.key.clone(), alice.envelope(Kind::Message, b"to myself"));
        alice.publish(&own, &message, 9);
        until(&mut [&mut alice], "heard", |peers| !peers[0].heard.is_empty());
        alice.heard.clear();
    }
    assert!(
        alice.left.iter().all(|why| matches!(why, Left::Ended | Left::Lost | Left::Unreachable)),
        "{:?}",
        alice.left
    );
}

/// A broker that was stopped (as good as a cable that was cut) accepts streams and says nothing.
#[cfg(unix)]
#[test]
fn a_broker_that_hangs_is_noticed() {
    let Some(program) = mosquitto() else { return };
    let broker = Mosquitto::start("hangs", program);
    let settings =
        Settings { keep_alive: Duration::from_secs(1), patience: Duration::from_secs(1), ..Settings::default() };
    let mut alice = Peer::new("alice", broker.port, settings);
    joined(&mut [&mut alice], 1);
    // The broker may not have listened yet at the first try.
    alice.left.clear();
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &broker.child.id().to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    let start = std::time::Instant::now();
    until(&mut [&mut alice], "left", |peers| !peers[0].broker.is_joined());
    assert_eq!(alice.left, [Left::Silent]);
    assert!(start.elapsed() < Duration::from_secs(20));
    // It still accepts streams, as the kernel does for it.
    until(&mut [&mut alice], "no answer", |peers| peers[0].left.contains(&Left::NoConnAck));
    signal("-CONT");
    joined(&mut [&mut alice], 2);
}

#[test]
fn two_hundred_in_a_burst_arrive_once_each_and_in_order() {
    let Some(program) = mosquitto() else { return };
    let broker = Mosquitto::start("burst", program);
    let settings = || Settings { rate: 100_000, burst: 1000, ..Settings::default() };
    let (mut alice, mut bob) = (Peer::new("alice", broker.port, settings()), Peer::new("bob", broker.port, settings()));
    joined(&mut [&mut alice, &mut bob], 1);
    let to = bob.key.clone();
    for n in 0..200_u64 {
        alice.publish(&to, &n.to_be_bytes(), n);
    }
    until(&mut [&mut alice, &mut bob], "all of them", |peers| {
        peers[1].heard.len() >= 200 && peers[0].taken.len() >= 200
    });
    let expected: Vec<Vec<u8>> = (0..200_u64).map(|n| n.to_be_bytes().to_vec()).collect();
    assert_eq!(bob.heard, expected);
    assert_eq!(alice.taken, (0..200).collect::<Vec<_>>());
}

fn places(ports: &[u16]) -> Vec<Place> {
    let place = |port: &u16| Place {
        family: Family::V4,
        host: "127.0.0.1".to_owned(),
        port: *port,
        weight: Weight::ONE,
        security: Security::Plain,
        settings: Settings { rate: 10_000, burst: 1000, ..Settings::default() },
    };
    ports.iter().map(place).collect()
}

/// One of three dies or comes back every five seconds while 50 messages a second are sent, for a minute: what is acknowledged was handed over once,
/// in order, none is lost, and of a hundred 99 are acknowledged within two seconds. (The `signal` program of the benches does so for as long as
/// one likes.)
#[test]
fn a_rendezvous_lives_while_brokers_die() {
    const MESSAGES: u64 = 3000;
    let Some(program) = mosquitto() else { return };
    let mut brokers: Vec<Mosquitto> = (0..3).map(|n| Mosquitto::start(&format!("pool{n}"), program.clone())).collect();
    let ports: Vec<u16> = brokers.iter().map(|broker| broker.port).collect();
    let new = |name: &str| {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&ports[0].to_be_bytes());
        seed[2] = name.as_bytes()[0];
        Driver::new(Config::new(key(name), places(&ports)), &Seed::new(seed))
    };
    let (mut alice, mut bob) = (new("alice"), new("bob"));
    let to = key("bob").public();
    let (mut heard, mut sent, mut took) = (Vec::new(), Vec::new(), Vec::new());
    let start = std::time::Instant::now();
    let (mut next, mut turns) = (0_u64, 0_u64);
    while (sent.len() as u64) < MESSAGES {
        assert!(start.elapsed() < Duration::from_secs(180), "{} sent, {} heard", sent.len(), heard.len());
        if next < MESSAGES && start.elapsed() >= Duration::from_millis(20 * next) {
            if next == 250 * (turns + 1) {
                // One dies, it comes back, the next one dies.
                let broker = &mut brokers[usize::try_from(turns / 2 % 3).unwrap()];
                if turns.is_multiple_of(2) {
                    broker.kill();
                } else {
                    broker.revive();
                }
                turns += 1;
            }
            let now = alice.now();
            let body = Arc::from(&next.to_be_bytes()[..]);
            let number = alice.machine.send(now, &to, body, true, Duration::from_secs(60)).unwrap();
            assert_eq!(number, next);
            next += 1;
        }
        while let Some(event) = alice.wait(Duration::ZERO) {
            if let Sent::Sent { number, outcome, .. } = event {
                took.push(outcome.unwrap_or_else(|why| panic!("{number}: {why}")).after);
                sent.push(number);
            }
        }
        while let Some(event) = bob.wait(Duration::from_millis(1)) {
            if let Sent::Message(message) = event {
                assert_eq!(message.key.from(), key("alice").public());
                let now = bob.now();
                assert!(bob.machine.confirm(now, &message.key));
                heard.push(u64::from_be_bytes(message.body[..].try_into().unwrap()));
            }
        }
    }
    assert_eq!(heard, (0..MESSAGES).collect::<Vec<_>>());
    sent.sort_unstable();
    assert_eq!((sent, turns), ((0..MESSAGES).collect::<Vec<_>>(), 11));
    took.sort_unstable();
    let p99 = took[took.len() * 99 / 100];
    assert!(p99 <= Duration::from_secs(2), "{p99:?}");
}
