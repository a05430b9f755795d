//! Nodes at one broker, each on a blocking stream of its own, all in one thread: what a message costs from the call to the event.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant as Clock, SystemTime};

use sluis_core::{Instant, Machine as _, Now, Seed, Wall};
use sluis_signal::broker::Order;
use sluis_signal::delivery::message_overhead;
use sluis_signal::envelope::{Content, Kind, Unverified};
use sluis_signal::key::{PublicKey, SecretKey};
use sluis_signal::rendezvous::{Config, Event, Legacy, Message, Rendezvous};
use sluis_signal::sealed::packet_len;

use super::raw::Raw;
use super::{key, place};

/// How long messages are tried here.
const TIMEOUT: Duration = Duration::from_secs(60);
/// So many messages in the clear are under way to a peer at once.
const PLAIN_WINDOW: u64 = 16;

/// What a message took, in nanoseconds, one entry each.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// From the call to the event at the other node.
    pub event: Vec<u64>,
    /// From the call to the acknowledgement in the sender's hand.
    pub ack: Vec<u64>,
}

/// A node at one broker.
struct Node {
    machine: Rendezvous,
    stream: TcpStream,
    start: Clock,
    buffer: Vec<u8>,
}

fn now(start: Clock) -> Now {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now::new(Instant::ZERO + start.elapsed(), Wall::from_micros(i64::try_from(wall.as_micros()).unwrap_or(i64::MAX)))
}

impl Node {
    /// One that has joined.
    fn new(key: SecretKey, port: u16, configure: impl FnOnce(&mut Config)) -> io::Result<Self> {
        let start = Clock::now();
        let mut config = Config::new(key, vec![place(port)]);
        configure(&mut config);
        let seed = Seed::from_u64(now(start).wall.as_micros().unsigned_abs());
        let mut machine = Rendezvous::new(config, &seed, now(start));
        machine.handle_timeout(now(start));
        assert_eq!(machine.broker_order(), Some((0, Order::Dial)));
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        machine.broker_up(now(start), 0);
        let mut this = Self { machine, stream, start, buffer: vec![0; 128 * 1024] };
        this.until(|event| matches!(event, Event::Joined { .. }).then_some(()))?;
        Ok(this)
    }

    fn now(&self) -> Now {
        now(self.start)
    }

    fn flush(&mut self) -> io::Result<()> {
        let now = self.now();
        if self.machine.deadline().is_some_and(|at| at <= now.mono) {
            self.machine.handle_timeout(now);
        }
        loop {
            match self.machine.broker_output(now, 0, &mut self.buffer) {
                0 => return Ok(()),
                len => self.stream.write_all(&self.buffer[..len])?,
            }
        }
    }

    /// Read until there is such an event; others are passed over.
    fn until<T>(&mut self, mut is_it: impl FnMut(Event) -> Option<T>) -> io::Result<T> {
        loop {
            while let Some(event) = self.machine.poll_event() {
                if let Some(found) = is_it(event) {
                    return Ok(found);
                }
            }
            self.flush()?;
            let len = self.stream.read(&mut self.buffer)?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (now, mut at) = (self.now(), 0);
            while at < len {
                let used = self.machine.broker_bytes(now, 0, &self.buffer[at..len]);
                at += used;
                if used == 0 {
                    return Err(io::Error::other("the node takes no bytes"));
                }
            }
        }
    }

    fn send(&mut self, to: &PublicKey, body: Arc<[u8]>) -> io::Result<()> {
        let now = self.now();
        self.machine.send(now, to, body, true, TIMEOUT).map_err(io::Error::other)?;
        self.flush()
    }

    fn hear(&mut self) -> io::Result<Message> {
        self.until(|event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        })
    }
}

fn nanos(since: Clock) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Sealed messages of so many bytes from one node to another, one at a time.
///
/// # Errors
/// The system's.
pub fn sealed(port: u16, bytes: usize, count: usize) -> io::Result<Times> {
    let (mut alice, mut bob) = (Node::new(key(1), port, |_| {})?, Node::new(key(2), port, |_| {})?);
    let (to, body): (_, Arc<[u8]>) = (key(2).public(), vec![7; bytes].into());
    let mut times = Times::default();
    // The hello is answered by who reads, so the first message takes turns.
    let now = alice.now();
    alice.machine.probe(now, &to, TIMEOUT).map_err(io::Error::other)?;
    alice.flush()?;
    greet(&mut alice, &mut bob)?;
    for _ in 0..count {
        let began = Clock::now();
        alice.send(&to, body.clone())?;
        let message = bob.hear()?;
        times.event.push(nanos(began));
        let now = bob.now();
        bob.machine.confirm(now, &message.key);
        bob.flush()?;
        alice.until(|event| matches!(event, Event::Sent { outcome: Ok(_), .. }).then_some(()))?;
        times.ack.push(nanos(began));
    }
    Ok(times)
}

/// Until the one has a session with the other, both read in turns.
fn greet(alice: &mut Node, bob: &mut Node) -> io::Result<()> {
    for node in [&mut *alice, &mut *bob] {
        node.stream.set_read_timeout(Some(Duration::from_millis(5)))?;
    }
    let mut met = false;
    for _ in 0..2000 {
        let answered = alice.until(|event| matches!(event, Event::Answered { sealed: true, .. }).then_some(()));
        met |= answered.is_ok();
        let _ = bob.until(|_| None::<()>);
        if met {
            break;
        }
    }
    for node in [alice, bob] {
        node.stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    }
    if met { Ok(()) } else { Err(io::Error::other("they do not meet")) }
}

/// Messages in the clear of so many bytes from one node to another that it takes for a peer of the reference, one at a time, to the event.
///
/// # Errors
/// The system's.
pub fn plain(port: u16, bytes: usize, count: usize) -> io::Result<Vec<u64>> {
    let (peer, body): (_, Arc<[u8]>) = (key(2), vec![b'x'; bytes].into());
    let to = peer.public();
    let mut times = Vec::new();
    // Once the first is acknowledged it is known for one of ours, so nothing is: a window is all that is said to it.
    for round in 0.. {
        if times.len() >= count {
            break;
        }
        let only = Legacy::Only([to].into());
        let mut alice = Node::new(key(100 + round), port, |config| config.legacy = only)?;
        let mut by_hand = Raw::new(port, &format!("hand{round}"), &to.to_string())?;
        let now = alice.now();
        alice.machine.probe(now, &to, TIMEOUT).map_err(io::Error::other)?;
        alice.flush()?;
        let hello = by_hand.hear()?;
        let content =
            Unverified::parse(&hello).and_then(|envelope| envelope.verify()).map_err(io::Error::other)?.content;
        let ack = envelope(&peer, &Content { kind: Kind::Ack as u8, body: b"ack", ..content })?;
        by_hand.publish(&alice.machine.public_key().to_string(), &ack)?;
        alice.until(|event| matches!(event, Event::Answered { sealed: false, .. }).then_some(()))?;
        drop(by_hand);
        let mut bob = Node::new(peer.clone(), port, |config| config.legacy = Legacy::Everybody)?;
        for _ in 0..PLAIN_WINDOW {
            let began = Clock::now();
            alice.send(&to, body.clone())?;
            bob.hear()?;
            times.push(nanos(began));
        }
    }
    Ok(times)
}

fn envelope(key: &SecretKey, content: &Content<'_>) -> io::Result<Vec<u8>> {
    let mut out = vec![0; content.envelope_len()];
    content.sign(key, &mut out).map_err(io::Error::other)?;
    Ok(out)
}

/// Plain MQTT from one client to another, of as many bytes as a sealed message of so many takes, one at a time.
///
/// # Errors
/// The system's.
pub fn floor(port: u16, bytes: usize, count: usize) -> io::Result<Vec<u64>> {
    let topic = key(3).public().to_string();
    let (mut a, mut b) = (Raw::new(port, "raw a", &key(4).public().to_string())?, Raw::new(port, "raw b", &topic)?);
    let payload = vec![7; packet_len(message_overhead() + bytes)];
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Clock::now();
        a.publish(&topic, &payload)?;
        b.hear()?;
        times.push(nanos(began));
    }
    Ok(times)
}

/// What one signature and one verification of an envelope with so many bytes take, in nanoseconds, as often as is said.
///
/// # Errors
/// None that is known of.
pub fn signatures(bytes: usize, count: usize) -> io::Result<Vec<u64>> {
    let (key, body) = (key(5), vec![b'x'; bytes]);
    let content = Content { queue: [1; 32], seq: 0, timestamp: 1, kind: Kind::Message as u8, body: &body };
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Clock::now();
        let wire = envelope(&key, &content)?;
        Unverified::parse(&wire).and_then(|envelope| envelope.verify()).map_err(io::Error::other)?;
        times.push(nanos(began));
    }
    Ok(times)
}
