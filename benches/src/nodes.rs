//! A hub and a sensor, and what goes between them, without sockets.

use std::hint::black_box;
use std::net::SocketAddr;

use sluis_core::airlock::Rule;
use sluis_core::framing::{Decision, Encoding, Response, ValueBuf, Zone};
use sluis_core::identity::{PublicKey, SecretKey};
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{Event, Identity, Node, NodeConfig, OpenId, Ping, Reply, SessionPolicy, WaitId};
use sluis_core::pins::Origin;
use sluis_core::session::{self, Sessions};
use sluis_core::time::{Duration, Instant, Now, Wall};
use sluis_core::{Datagrams, Did, Machine, Path, Reject, Seed};

use crate::samples::{HUB, INTENT, PURPOSE, SENSOR, reading};

/// Between two pings: 100,000 of them a second, so that a replay window of 30 s holds all that it may.
pub const STEP: Duration = Duration::from_micros(10);

/// Where the hub is.
#[must_use]
pub fn hub_addr() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7150))
}

/// Where the sensor is.
#[must_use]
pub fn sensor_addr() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 40_000))
}

/// A node with the defaults.
///
/// # Panics
/// `did` is none.
#[must_use]
pub fn node(did: &str, seed: u64) -> Node {
    let config = NodeConfig::new(Did::new(did).expect("a DID"));
    Node::new(config, &Seed::from_u64(seed)).expect("the defaults make sense")
}

/// A hub that trusts [`SENSOR`] this far and answers with a reading.
///
/// # Panics
/// Never: the settings are within their limits.
#[must_use]
pub fn hub(trust: f64) -> Node {
    let mut hub = node(HUB, 1);
    hub.allow_legacy("*").expect("a pattern within its limit");
    hub.set_trust(SENSOR, trust).expect("a trust within its limits");
    hub.set_reply("*", Reply::Now(reading_buf())).expect("a pattern within its limit");
    hub
}

/// The reading, owned.
///
/// # Panics
/// Never: it is JSON.
#[must_use]
pub fn reading_buf() -> ValueBuf {
    ValueBuf::new(reading()).expect("the reading has a JSON form")
}

/// A sensor.
#[must_use]
pub fn sensor() -> Node {
    node(SENSOR, 2)
}

const HUB_KEY: u8 = 1;
const SENSOR_KEY: u8 = 2;

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// A node with a key.
fn keyed(did: &str, key: u8, sessions: SessionPolicy) -> Node {
    let mut config = NodeConfig::new(Did::new(did).expect("a DID"));
    config.identity = Some(Identity::from(secret(key)));
    config.sessions = sessions;
    Node::new(config, &Seed::from_u64(key.into())).expect("the defaults make sense")
}

/// The same hub with sessions: what [`sealed_sensor`] asks is believed because of its key.
///
/// # Panics
/// Never: the settings are within their limits.
#[must_use]
pub fn sealed_hub(now: Now, trust: f64) -> Node {
    keyed_hub(now, trust, SessionPolicy::Auto)
}

fn keyed_hub(now: Now, trust: f64, sessions: SessionPolicy) -> Node {
    let mut hub = keyed(HUB, HUB_KEY, sessions);
    hub.set_trust(SENSOR, trust).expect("a trust within its limits");
    hub.set_reply("*", Reply::Now(reading_buf())).expect("a pattern within its limit");
    hub.pin(now, SENSOR, secret(SENSOR_KEY).public(), Origin::Operator).expect("a free name");
    hub
}

/// A sensor that has pinned the key of [`sealed_hub`].
///
/// # Panics
/// Never: the name is free.
#[must_use]
pub fn sealed_sensor(now: Now) -> Node {
    keyed_sensor(now, SessionPolicy::Auto)
}

fn keyed_sensor(now: Now, sessions: SessionPolicy) -> Node {
    let mut sensor = keyed(SENSOR, SENSOR_KEY, sessions);
    sensor.pin(now, HUB, hub_key(), Origin::Operator).expect("a free name");
    sensor
}

/// The sessions of somebody whom nobody knows.
///
/// # Panics
/// Never: the caps are within their limits.
#[must_use]
pub fn stranger(n: u32) -> Sessions {
    let mut seed = [0xf1; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    let mut config =
        session::Config::new(Did::new(&format!("jis:far:{n}")).expect("a DID"), SecretKey::from_seed(&seed));
    config.caps.sessions = 1;
    Sessions::new(config, &Seed::from_u64(n.into())).expect("the defaults make sense")
}

/// The key of [`sealed_hub`].
#[must_use]
pub fn hub_key() -> PublicKey {
    secret(HUB_KEY).public()
}

/// The ping that a sensor sends.
#[must_use]
pub fn ask(encoding: Encoding) -> Ping<'static> {
    let mut ping = Ping::new(HUB, hub_addr(), INTENT);
    ping.purpose = PURPOSE;
    ping.payload = reading();
    ping.encoding = encoding;
    ping
}

/// A clock that moves when told to.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Now);

impl Default for Clock {
    fn default() -> Self {
        Self(Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000)))
    }
}

impl Clock {
    /// What it shows.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.0
    }

    /// Move it on, and read it.
    pub fn advance(&mut self, by: Duration) -> Now {
        self.0 = Now::new(self.0.mono + by, self.0.wall.saturating_add(by));
        self.0
    }
}

/// Datagrams one after the other in one piece of memory that is used again.
#[derive(Clone, Debug, Default)]
pub struct Packets {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Packets {
    /// Nothing in it; memory is kept.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Copy one in.
    pub fn push(&mut self, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push(self.bytes.len());
    }

    /// One of them; empty beyond the last.
    #[must_use]
    pub fn get(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends.get(at - 1).copied().unwrap_or_default() };
        self.ends.get(at).and_then(|end| self.bytes.get(start..*end)).unwrap_or_default()
    }

    /// The same, for a machine to read.
    pub fn get_mut(&mut self, at: usize) -> &mut [u8] {
        let start = if at == 0 { 0 } else { self.ends.get(at - 1).copied().unwrap_or_default() };
        self.ends.get(at).and_then(|end| self.bytes.get_mut(start..*end)).unwrap_or_default()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.get(at))
    }
}

/// A hub and a sensor with the line between them cut: datagrams are carried by hand.
#[derive(Debug)]
pub struct Pair {
    /// Who is asked.
    pub hub: Node,
    /// Who asks.
    pub sensor: Node,
    /// What time it is for both.
    pub clock: Clock,
    /// How the sensor writes.
    pub encoding: Encoding,
    /// Between two pings.
    step: Duration,
    out: Vec<u8>,
}

/// What one call to the hub came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Bytes of all that it sent.
    pub sent: usize,
    /// Events that it told, `PeerSeen` aside.
    pub events: usize,
    /// The ping that waits for a decision.
    pub wait: Option<WaitId>,
    /// The ping that waits for the application's answer.
    pub open: Option<OpenId>,
}

impl Pair {
    /// A hub that trusts the sensor this far.
    #[must_use]
    pub fn new(trust: f64, encoding: Encoding) -> Self {
        Self::of(hub(trust), sensor(), encoding, STEP)
    }

    fn of(hub: Node, sensor: Node, encoding: Encoding, step: Duration) -> Self {
        Self { hub, sensor, clock: Clock::default(), encoding, step, out: vec![0; MAX_DATAGRAM_V6] }
    }

    /// The same without a session, and signed: both have pinned the other's key. No more come in a second than are verified of who has not shown where it is.
    #[must_use]
    pub fn signed(trust: f64, encoding: Encoding) -> Self {
        let now = Clock::default().now();
        let (hub, sensor) = (keyed_hub(now, trust, SessionPolicy::Off), keyed_sensor(now, SessionPolicy::Off));
        Self::of(hub, sensor, encoding, Duration::from_micros(250))
    }

    /// The same through an encrypted session, which is up: both have pinned the other's key.
    ///
    /// # Panics
    /// The session does not come up.
    #[must_use]
    pub fn sealed(trust: f64, encoding: Encoding) -> Self {
        let now = Clock::default().now();
        let (hub, sensor) = (sealed_hub(now, trust), sealed_sensor(now));
        let mut pair = Self::of(hub, sensor, encoding, STEP);
        let now = pair.clock.advance(STEP);
        pair.sensor.ping(now, &ask(encoding)).expect("room for a request");
        let Self { hub, sensor, out, .. } = &mut pair;
        let mut sides = [(sensor, sensor_addr()), (hub, hub_addr())];
        let mut quiet = 0;
        while quiet < 2 {
            let [(from, at), (to, _)] = &mut sides;
            quiet += 1;
            while let Some(sent) = from.poll_transmit(now, out) {
                to.handle_datagram(now, Path::to(*at), &mut out[..sent.len]).expect("nobody disturbs them");
                quiet = 0;
            }
            while from.poll_event().is_some() {}
            sides.reverse();
        }
        assert_eq!(pair.sensor.stats().responses, 1, "the session is up");
        pair
    }

    /// The sensor asks, a step later (10 µs, or what is told of the pair); the datagram.
    ///
    /// # Panics
    /// The sensor cannot ask: too many requests are open.
    pub fn ask(&mut self) -> &[u8] {
        let now = self.clock.advance(self.step);
        self.sensor.ping(now, &ask(self.encoding)).expect("room for one more request");
        let sent = self.sensor.poll_transmit(now, &mut self.out).expect("the ping");
        &self.out[..sent.len]
    }

    /// The sensor asks and does not care for the answer.
    ///
    /// # Panics
    /// The sensor cannot ask: too many requests are open.
    pub fn ask_and_forget(&mut self) -> &[u8] {
        let now = self.clock.advance(self.step);
        let request = self.sensor.ping(now, &ask(self.encoding)).expect("room for one more request");
        let sent = self.sensor.poll_transmit(now, &mut self.out).expect("the ping");
        self.sensor.forget(request);
        &self.out[..sent.len]
    }

    /// Hand a datagram to the hub and drain it; answers go into `answers`.
    ///
    /// # Errors
    /// What the hub says.
    pub fn tell_hub(&mut self, datagram: &mut [u8], answers: &mut Packets) -> Result<Heard, Reject> {
        let now = self.clock.now();
        self.hub.handle_datagram(now, Path::to(sensor_addr()), datagram)?;
        Ok(drain(&mut self.hub, now, &mut self.out, answers))
    }

    /// Hand an answer to the sensor and drain it; how many of its requests ended.
    ///
    /// # Errors
    /// What the sensor says.
    pub fn tell_sensor(&mut self, datagram: &mut [u8]) -> Result<usize, Reject> {
        self.sensor.handle_datagram(self.clock.now(), Path::to(hub_addr()), datagram)?;
        let mut ended = 0;
        while let Some(event) = self.sensor.poll_event() {
            let Event::Response(answered) = event else { continue };
            ended += usize::from(answered.last && is_answer(&answered.response()));
        }
        Ok(ended)
    }

    /// Drain what the application's own doing left in the hub.
    pub fn drain_hub(&mut self, answers: &mut Packets) -> Heard {
        let now = self.clock.now();
        drain(&mut self.hub, now, &mut self.out, answers)
    }
}

/// Take everything out of a node: datagrams to send, then events.
pub fn drain(node: &mut Node, now: Now, out: &mut [u8], answers: &mut Packets) -> Heard {
    let mut heard = Heard { sent: 0, events: 0, wait: None, open: None };
    while let Some(transmit) = node.poll_transmit(now, out) {
        heard.sent += transmit.len;
        answers.push(&out[..transmit.len]);
    }
    while let Some(event) = node.poll_event() {
        heard.events += usize::from(!matches!(event, Event::PeerSeen { .. }));
        if let Event::Ping(ping) = event {
            (heard.wait, heard.open) = (ping.wait, ping.open);
            // As an application that wants to know.
            black_box(&ping.packet());
        }
    }
    heard
}

/// Whether this is what [`hub`] answers.
fn is_answer(response: &Response<'_>) -> bool {
    response.decision == Decision::Accept && response.payload == reading()
}

/// Rules as an operator would write them, none of which concerns [`SENSOR`]: by name, by prefix,
/// by intent, by least trust.
pub fn rules(count: usize) -> impl Iterator<Item = Rule<String>> {
    (0..count).map(|i| {
        let mut rule = Rule::new(format!("r{i}"), format!("rule {i}"), Zone::Groen);
        match i % 4 {
            0 => rule.source_did = Some(format!("jis:home:other-{i}")),
            1 => rule.source_did = Some(format!("jis:site-{i}:*")),
            2 => rule.intent = Some(format!("*.command-{i}")),
            _ => {
                rule.intent = Some("temperature.*".into());
                rule.source_did = Some(format!("*:gateway-{i}"));
            }
        }
        rule
    })
}
