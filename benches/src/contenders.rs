//! What is timed against what: ours and the floor of each comparison, as closures.

use std::hint::black_box;
use std::time::Duration;

use sluis_core::framing::{Encoding, Frame, Message, Packet, Response, Text};
use sluis_core::identity::SecretKey;
use sluis_core::limits::{MAX_DATAGRAM_V6, MAX_FRAME};
use sluis_core::node::Event;
use sluis_core::{Datagrams, Machine, Path};

use crate::contest::Stopwatch;
use crate::floors::{
    JsonPing, JsonResponse, MsgpackPing, MsgpackResponse, PostcardPing, PostcardResponse, from_json, from_msgpack,
    from_postcard, to_json, to_msgpack, to_postcard,
};
use crate::nodes::{Packets, Pair, sensor_addr};
use crate::samples::{ping, ping_frame, response, response_frame};

/// What ours is compared with.
#[must_use]
pub const fn floor_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "serde_json",
        Encoding::Msgpack => "rmp-serde",
        Encoding::Postcard => "postcard crate",
    }
}

/// Decode a frame and encode it again.
pub fn ours(frame: &[u8]) -> impl FnMut() {
    let mut out = vec![0; MAX_FRAME];
    move || {
        let decoded = Frame::decode(black_box(frame)).expect("a frame");
        let len = decoded.message.encode(decoded.encoding, &mut out).expect("room");
        black_box(&out[..len]);
    }
}

/// Decode a ping into a borrowed struct and encode it again, with serde.
pub fn floor<'a>(encoding: Encoding, frame: &'a [u8]) -> Box<dyn FnMut() + 'a> {
    let mut out = vec![0; 4096];
    match encoding {
        Encoding::Json => Box::new(move || {
            to_json(&from_json::<JsonPing<'_>>(black_box(frame)), &mut out);
            black_box(&out);
        }),
        Encoding::Msgpack => Box::new(move || {
            to_msgpack(&from_msgpack::<MsgpackPing<'_>>(black_box(frame)), &mut out);
            black_box(&out);
        }),
        Encoding::Postcard => Box::new(move || {
            let len = to_postcard(&from_postcard::<PostcardPing<'_>>(black_box(frame)), &mut out);
            black_box(&out[..len]);
        }),
    }
}

/// How long Ed25519 takes depends on what is signed, so several are taken in turn.
const SIGNED: usize = 16;

/// Decode a signed ping of a known key, verify it, sign its answer and encode that.
pub fn signed(encoding: Encoding) -> impl FnMut() {
    let (sensor, hub) = keys();
    let frames: Vec<Vec<u8>> = (0..SIGNED)
        .map(|n| {
            let plain = Packet { packet_id: Text::new(format!("ping_{n:016x}").leak()), ..ping() };
            let made = plain.sign(encoding, &sensor, &mut [0; MAX_FRAME]).expect("it has a JSON form");
            let mut frame = vec![0; MAX_FRAME];
            let len = made.on(plain).encode(encoding, &mut frame).expect("room");
            frame.truncate(len);
            frame
        })
        .collect();
    let (known, mut out, mut at) = (sensor.public(), vec![0; MAX_FRAME], 0);
    move || {
        at = (at + 1) % SIGNED;
        let frame = black_box(&frames[at]);
        let Ok(Frame { message: Message::Packet(ping), .. }) = Frame::decode(frame) else { panic!("a ping") };
        let asked = ping.digest(encoding).expect("it has a JSON form");
        ping.verify_digest(&asked, Some(&known)).expect("it was signed");
        let proof = response().sign(encoding, &asked, &hub).expect("it has a JSON form");
        let answer = Response { proof: Some(proof.as_text()), ..response() };
        black_box(answer.encode(encoding, &mut out)).expect("room");
    }
}

/// The same unsigned, and one strict verification and one signature of 48 bytes.
pub fn signed_floor(encoding: Encoding) -> impl FnMut() {
    let (sensor, hub) = keys();
    let signed: Vec<_> = (0..SIGNED).map(|n| [n.to_le_bytes()[0]; 48]).map(|m| (m, sensor.sign_now(&m))).collect();
    let (frame, known, mut out, mut at) = (ping_frame(encoding), sensor.public(), vec![0; MAX_FRAME], 0);
    move || {
        at = (at + 1) % SIGNED;
        let (message, signature) = black_box(&signed[at]);
        black_box(Frame::decode(black_box(&frame))).expect("a ping");
        known.verify(message, signature).expect("it was signed");
        black_box(hub.sign_now(message));
        black_box(response().encode(encoding, &mut out)).expect("room");
    }
}

fn keys() -> (SecretKey, SecretKey) {
    (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]))
}

/// What is done with a ping.
type AnswerFloor = Box<dyn FnMut(&[u8])>;

/// Decode a ping and encode the typical answer (not made of the ping: that costs nothing), with serde.
fn answer_floor(encoding: Encoding) -> AnswerFloor {
    let frame: &'static [u8] = response_frame(encoding).leak();
    let mut out = vec![0; 4096];
    let mut encode: Box<dyn FnMut()> = match encoding {
        Encoding::Json => {
            let response: JsonResponse<'static> = from_json(frame);
            Box::new(move || to_json(black_box(&response), &mut out))
        }
        Encoding::Msgpack => {
            let response: MsgpackResponse<'static> = from_msgpack(frame);
            Box::new(move || to_msgpack(black_box(&response), &mut out))
        }
        Encoding::Postcard => {
            let response: PostcardResponse<'static> = from_postcard(frame);
            Box::new(move || {
                black_box(to_postcard(black_box(&response), &mut out));
            })
        }
    };
    Box::new(move |ping| {
        match encoding {
            Encoding::Json => drop(black_box(from_json::<JsonPing<'_>>(ping))),
            Encoding::Msgpack => drop(black_box(from_msgpack::<MsgpackPing<'_>>(ping))),
            Encoding::Postcard => drop(black_box(from_postcard::<PostcardPing<'_>>(ping))),
        }
        encode();
    })
}

/// Pings made before the clock starts: few enough to lie in the nearest cache, as they would just after a receive call.
const CHUNK: u64 = 64;

/// Whole pings in the core: what arrives is handed to the hub, its answer is taken, its event is read.
pub struct WholePing {
    pair: Pair,
    /// The application looks at what was asked.
    looks: bool,
    pings: Packets,
    out: Vec<u8>,
}

impl WholePing {
    /// Warmed up, so that tables have their size.
    ///
    /// # Panics
    /// A ping is not accepted.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self::of(Pair::new(0.9, encoding))
    }

    /// The same through an encrypted session.
    ///
    /// # Panics
    /// A ping is not accepted.
    #[must_use]
    pub fn sealed(encoding: Encoding) -> Self {
        Self::of(Pair::sealed(0.9, encoding))
    }

    /// The same without a session, and signed, as the answer is.
    ///
    /// # Panics
    /// A ping is not accepted.
    #[must_use]
    pub fn signed(encoding: Encoding) -> Self {
        Self::of(Pair::signed(0.9, encoding))
    }

    fn of(pair: Pair) -> Self {
        let (pings, out) = (Packets::default(), vec![0; MAX_DATAGRAM_V6]);
        let mut whole = Self { pair, looks: false, pings, out };
        whole.run(20_000);
        whole
    }

    /// As the mutable fields of the node and its defaults stand, with so many rules that do not match.
    ///
    /// # Panics
    /// The node does not take them.
    #[must_use]
    pub fn with_rules(encoding: Encoding, rules: usize) -> Self {
        let mut whole = Self::new(encoding);
        for rule in crate::nodes::rules(rules) {
            whole.pair.hub.add_rule(&rule).expect("within the limits");
        }
        whole
    }

    /// The same with an application that looks at every ping it is told of.
    #[must_use]
    pub fn looked_at(mut self) -> Self {
        self.looks = true;
        self
    }

    /// Take in so many pings; how long that took, without making them.
    ///
    /// # Panics
    /// A ping is not accepted and answered.
    pub fn run(&mut self, pings: u64) -> Duration {
        let Self { pair, looks, pings: made, out } = self;
        chunks(pair, made, pings, |pair, made| {
            let (path, now) = (Path::to(sensor_addr()), pair.clock.now());
            for at in 0..made.len() {
                pair.hub.handle_datagram(now, path, black_box(made.get_mut(at))).expect("an accepted ping");
                let sent = pair.hub.poll_transmit(now, out).expect("its answer");
                black_box(&out[..sent.len]);
                while let Some(event) = pair.hub.poll_event() {
                    if let (Event::Ping(ping), true) = (&event, *looks) {
                        black_box(&ping.packet());
                    }
                    black_box(&event);
                }
            }
        })
    }
}

/// The same pings through serde: decode the request, encode the answer, and nothing else.
pub struct WholePingFloor {
    pair: Pair,
    pings: Packets,
    work: AnswerFloor,
}

impl WholePingFloor {
    /// In the encoding's own floor.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self { pair: Pair::new(0.9, encoding), pings: Packets::default(), work: answer_floor(encoding) }
    }

    /// Take in so many pings; how long that took, without making them.
    pub fn run(&mut self, pings: u64) -> Duration {
        let Self { pair, pings: made, work } = self;
        chunks(pair, made, pings, |_, made| made.iter().for_each(|ping| work(black_box(ping))))
    }
}

/// Make pings chunk by chunk and time what is done with them.
fn chunks(
    pair: &mut Pair,
    made: &mut Packets,
    mut left: u64,
    mut work: impl FnMut(&mut Pair, &mut Packets),
) -> Duration {
    let mut took = Duration::ZERO;
    while left > 0 {
        let chunk = left.min(CHUNK);
        made.clear();
        for _ in 0..chunk {
            made.push(pair.ask_and_forget());
        }
        let began = Stopwatch::start();
        work(pair, made);
        took += began.elapsed();
        left -= chunk;
    }
    took
}
