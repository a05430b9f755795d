//! Everything that can be wrong with a datagram, endlessly and without an allocation.
//!
//! Names, ids, nonces and stamps of a well-formed packet are written over in place, so a flood can come from a million
//! senders and costs the flooder little.

use std::ops::Range;

use sluis_core::framing::{Encoding, Frame, Message, PingType, Text};
use sluis_core::limits::{MAX_DATAGRAM_V6, MAX_FRAME};
use sluis_core::node::{Node, Ping, Stats};
use sluis_core::time::{Duration, Now, iso};
use sluis_core::{Datagrams, Machine, Path, Reject};

use crate::nodes::{Clock, node, sensor_addr};
use crate::samples::{HUB, SENSOR, ping, response};

/// A sender in the middle zone.
const LAMP: &str = "jis:home:lamp";
/// A trusted sender whose unsigned packets are not let in outright.
const BOSS: &str = "jis:home:boss";
/// A stranger, 16 digits of whose name are made up anew each time.
const STRANGER: &str = "jis:strange:0123456789abcdef";

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Random bytes.
    Noise,
    /// A header, and random bytes behind it.
    Framed,
    /// A ping of a stranger with one byte changed.
    Damaged,
    /// A ping cut off.
    CutOff,
    /// A ping of a stranger, a new one each time.
    Stranger,
    /// A ping for somebody else.
    NotForUs,
    /// A ping in the hub's own name.
    OwnName,
    /// A ping that was accepted, once more.
    Replayed,
    /// A trusted sender's, stamped too early.
    Stale,
    /// A trusted sender's, stamped too late.
    Future,
    /// A trusted sender's, stamped with something else.
    NoStamp,
    /// A name that is too long.
    LongName,
    /// A heartbeat of a sender in the middle zone.
    Heartbeat,
    /// An answer that nobody asked for.
    Unrequested,
    /// An answer from another address than was asked.
    Forged,
    /// An unsigned ping in the name of a trusted sender that signs: it may wait for a decision, as long as there is room.
    Borrowed,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Noise,
        Self::Framed,
        Self::Damaged,
        Self::CutOff,
        Self::Stranger,
        Self::NotForUs,
        Self::OwnName,
        Self::Replayed,
        Self::Stale,
        Self::Future,
        Self::NoStamp,
        Self::LongName,
        Self::Heartbeat,
        Self::Unrequested,
        Self::Forged,
        Self::Borrowed,
    ];

    /// How it may be turned away; none given: in any way, as long as it is.
    const fn rejects(self) -> &'static [Reject] {
        match self {
            Self::Noise => &[Reject::Header],
            Self::Framed | Self::Damaged => &[],
            Self::CutOff => &[Reject::Header],
            Self::Stranger => &[Reject::Rood],
            Self::NotForUs => &[Reject::NotForUs],
            Self::OwnName => &[Reject::OwnName],
            // Once the window has passed it is too old to be a replay.
            Self::Replayed => &[Reject::Replay, Reject::Stale],
            Self::Stale => &[Reject::Stale],
            Self::Future => &[Reject::Future],
            Self::NoStamp => &[Reject::BadTimestamp],
            Self::LongName => &[Reject::TooLong],
            Self::Heartbeat => &[Reject::HeartbeatNotAccepted],
            Self::Unrequested => &[Reject::Unrequested],
            Self::Forged => &[Reject::WrongResponder],
            Self::Borrowed => &[Reject::Busy],
        }
    }

    /// Whether it may be taken in, without being accepted.
    const fn may_wait(self) -> bool {
        matches!(self, Self::Borrowed)
    }
}

/// Pseudo-random numbers (xorshift): the same each time, and nothing to keep secret.
#[derive(Clone, Debug)]
struct SimRng(u64);

impl SimRng {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap_or(0)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for eight in bytes.chunks_mut(8) {
            let rolled = self.roll().to_le_bytes();
            eight.copy_from_slice(&rolled[..eight.len()]);
        }
    }

    fn hex(&mut self, digits: &mut [u8]) {
        for digit in digits {
            *digit = b"0123456789abcdef"[self.below(16)];
        }
    }
}

/// A hub to be flooded: it trusts [`SENSOR`] as a legacy sender, a lamp half, and a boss that has to sign.
///
/// # Panics
/// Never: the settings are within their limits.
#[must_use]
pub fn victim() -> Node {
    let mut hub = node(HUB, 7);
    hub.allow_legacy(SENSOR).expect("a pattern within its limit");
    for (did, trust) in [(SENSOR, 0.9), (LAMP, 0.5), (BOSS, 0.9)] {
        hub.set_trust(did, trust).expect("a trust within its limits");
    }
    hub
}

/// A clock that never shows a whole second: every stamp then has the same length.
#[must_use]
pub fn odd_clock() -> Clock {
    let mut clock = Clock::default();
    clock.advance(Duration::from_micros(5));
    clock
}

/// Makes bad datagrams of one kind.
#[derive(Clone, Debug)]
pub struct Source {
    /// What is wrong with them.
    pub kind: Kind,
    template: Vec<u8>,
    work: Vec<u8>,
    /// Digits to be made up.
    digits: Vec<Range<usize>>,
    stamp: Option<Range<usize>>,
    rng: SimRng,
}

impl Source {
    /// Prepare, with the victim's help where a bad packet needs a good one first.
    ///
    /// # Panics
    /// The victim does not do what a hub should.
    #[must_use]
    pub fn new(kind: Kind, encoding: Encoding, hub: &mut Node, now: Now) -> Self {
        let long = "jis:".repeat(100);
        let mut packet = ping();
        let fresh_stamp = stamp_text(now);
        packet.timestamp = Text::new(&fresh_stamp);
        match kind {
            Kind::Damaged | Kind::Stranger => packet.source_did = Text::new(STRANGER),
            Kind::NotForUs => packet.target_did = Text::new("jis:home:somebody-else"),
            Kind::OwnName => packet.source_did = Text::new(HUB),
            Kind::NoStamp => packet.timestamp = Text::new("yesterday at noon"),
            Kind::LongName => packet.source_did = Text::new(&long),
            Kind::Heartbeat => {
                packet.source_did = Text::new(LAMP);
                packet.ping_type = PingType::Heartbeat;
            }
            Kind::Borrowed => packet.source_did = Text::new(BOSS),
            _ => {}
        }
        let asked;
        let message = match kind {
            Kind::Unrequested => Message::Response(response()),
            Kind::Forged => {
                asked = request_of(hub, now);
                let mut response = response();
                response.in_response_to = Text::new(&asked);
                response.responder_did = Text::new(SENSOR);
                Message::Response(response)
            }
            _ => Message::Packet(packet),
        };
        let mut source = Self::of(kind, encoding, &message, &fresh_stamp);
        if kind == Kind::Replayed {
            source.stamp = None;
            source.digits.clear();
            // In another encoding it may have been taken in before.
            let first = hub.handle_datagram(now, Path::to(sensor_addr()), &mut source.template.clone());
            assert!(matches!(first, Ok(()) | Err(Reject::Replay)), "{first:?}");
        }
        source
    }

    fn of(kind: Kind, encoding: Encoding, message: &Message<'_>, stamp: &str) -> Self {
        let mut template = vec![0; MAX_FRAME];
        let len = message.encode(encoding, &mut template).expect("a packet that can be written");
        template.truncate(len);
        let find = |text: &str| {
            let at = template.windows(text.len()).position(|window| window == text.as_bytes());
            at.map(|at| at..at + text.len())
        };
        let mut digits: Vec<_> = ["00112233445566778899aabbccddeeff", "ping_0123456789abcdef", STRANGER]
            .into_iter()
            .filter_map(find)
            .map(|range| range.end - 16..range.end)
            .collect();
        let stamp = find(stamp);
        // What was asked for is not in there under this name, and must stay.
        digits.sort_by_key(|range| range.start);
        let work = Vec::with_capacity(template.len().max(1024));
        Self { kind, template, work, digits, stamp, rng: SimRng(0x5105_1500 + 4 * kind as u64 + encoding as u64) }
    }

    /// The next one.
    ///
    /// # Panics
    /// Never: a stamp has the length of a stamp.
    pub fn next(&mut self, now: Now) -> &mut [u8] {
        let Self { kind, template, work, digits, stamp, rng } = self;
        work.clear();
        match kind {
            Kind::Noise => {
                work.resize(rng.below(1024), 0);
                rng.fill(work);
                return work;
            }
            Kind::Framed => {
                work.extend_from_slice(template);
                rng.fill(&mut work[8..]);
                return work;
            }
            _ => work.extend_from_slice(template),
        }
        for range in digits {
            rng.hex(&mut work[range.clone()]);
        }
        if let Some(range) = stamp {
            let mut text = [0; 32];
            let wall = match kind {
                Kind::Stale => now.wall.saturating_sub(Duration::from_secs(31)),
                Kind::Future => now.wall.saturating_add(Duration::from_secs(6)),
                _ => now.wall,
            };
            work[range.clone()].copy_from_slice(iso::format(wall, &mut text).as_bytes());
        }
        match kind {
            Kind::Damaged => {
                let at = rng.below(work.len());
                work[at] ^= 1 << rng.below(8);
            }
            Kind::CutOff => work.truncate(rng.below(template.len())),
            _ => {}
        }
        work
    }
}

fn stamp_text(now: Now) -> String {
    iso::format(now.wall, &mut [0; 32]).to_owned()
}

/// Let the hub ask the sensor for something; the id of what it asked.
///
/// # Panics
/// The hub has no room for that.
fn request_of(hub: &mut Node, now: Now) -> String {
    let mut ping = Ping::new(SENSOR, sensor_addr(), "are.you.there");
    ping.timeout = Some(Duration::from_secs(1 << 20));
    hub.ping(now, &ping).expect("room for a request");
    let mut out = vec![0; MAX_DATAGRAM_V6];
    while let Some(sent) = hub.poll_transmit(now, &mut out) {
        // Answers to others may stand in front of it.
        if let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(&out[..sent.len]) {
            return packet.packet_id.to_string();
        }
    }
    unreachable!("the hub has a request to send")
}

/// A hub, and a source of bad datagrams for it.
#[derive(Debug)]
pub struct Flood {
    /// Who has to take it.
    pub hub: Node,
    sources: Vec<Source>,
    clock: Clock,
    step: Duration,
    out: Vec<u8>,
    sent: u64,
    /// What was counted before the flood.
    before: Stats,
}

impl Flood {
    /// Of these kinds in these encodings, one after the other, with so much time in between.
    #[must_use]
    pub fn new(kinds: &[Kind], encodings: &[Encoding], step: Duration) -> Self {
        let (mut hub, clock) = (victim(), odd_clock());
        let mut sources = Vec::new();
        for kind in kinds {
            for encoding in encodings {
                sources.push(Source::new(*kind, *encoding, &mut hub, clock.now()));
            }
        }
        let mut flood =
            Self { hub, sources, clock, out: vec![0; MAX_DATAGRAM_V6], step, sent: 0, before: Stats::default() };
        flood.drain();
        flood.before = flood.hub.stats();
        flood
    }

    fn drain(&mut self) -> usize {
        let mut bytes = 0;
        while let Some(transmit) = self.hub.poll_transmit(self.clock.now(), &mut self.out) {
            bytes += transmit.len;
        }
        while self.hub.poll_event().is_some() {}
        bytes
    }

    /// Send the next one, from an address that nobody asked anything.
    ///
    /// # Panics
    /// It is not turned away as it should be.
    pub fn send(&mut self) {
        let now = self.clock.advance(self.step);
        let count = self.sources.len() as u64;
        let source = &mut self.sources[usize::try_from(self.sent % count).unwrap_or(0)];
        self.sent += 1;
        let kind = source.kind;
        let [_, _, c, d, e, f, ..] = self.sent.to_be_bytes();
        let from = Path::to(([198, c, d, e], 1024 + u16::from(f)).into());
        let taken = self.hub.handle_datagram(now, from, source.next(now));
        let bytes = self.drain();
        match taken {
            Ok(()) => assert!(kind.may_wait(), "{kind:?} was taken in"),
            Err(why) => {
                assert!(kind.rejects().is_empty() || kind.rejects().contains(&why), "{kind:?} is {why}");
                assert_eq!(bytes, 0, "{kind:?} was answered");
            }
        }
        if self.sent.is_multiple_of(1024) {
            self.hub.handle_timeout(now);
            self.drain();
        }
    }

    /// Nothing was accepted and everything was counted.
    ///
    /// # Panics
    /// Otherwise.
    pub fn check(&self) {
        let (before, stats) = (self.before, self.hub.stats());
        assert_eq!(stats.accepted, before.accepted, "something was accepted");
        assert_eq!(stats.received, stats.accepted + stats.waiting + stats.responses + stats.rejected.total());
        assert_eq!(stats.received, before.received + self.sent);
    }
}
