use super::{Channel, ChannelId, Fault, Kind, MAX_MESSAGE, Opening, Own, Proof, Side, State, Told};
use crate::channel::record::Reader;
use crate::proof::{ACK, BYTES, CLOSE, OPEN, SIGN};
use crate::session::{Config, Event, Read, Role, Session, StreamId};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use sluis_core::identity::{SecretKey, Signer};
use sluis_core::{Instant, Seed};

const NOW: Instant = Instant::ZERO;

fn key(n: u64) -> SecretKey {
    SecretKey::generate(&mut Seed::from_u64(n).fork("key"))
}

fn opening() -> Opening {
    let text = |text: &str| text.into();
    Opening {
        channel: ChannelId([7; 16]),
        agent: text("alice"),
        target: text("bob"),
        intent: text("chat"),
        metadata: text("{}"),
    }
}

/// What the hub between the two ends may do to a record: its kind, and its body to change. The result is how often it is passed on.
type Alter<'a> = &'a mut dyn FnMut(Side, u8, &mut Vec<u8>) -> usize;

/// Two ends of a channel, a session each, and records that pass from one to the other.
struct Pair {
    keys: [Option<SecretKey>; 2],
    sessions: [Session; 2],
    streams: [Option<StreamId>; 2],
    channels: [Option<Channel>; 2],
    told: [Vec<Told>; 2],
    bodies: [Vec<Vec<u8>>; 2],
    faults: [Option<Fault>; 2],
    readers: [Reader; 2],
    /// The application takes what comes at once.
    takes: bool,
    pins: bool,
}

fn sides(side: usize) -> Side {
    if side == 0 { Side::Opener } else { Side::Target }
}

impl Pair {
    fn new(keys: [Option<SecretKey>; 2], pins: bool) -> Self {
        let mut pair = Self {
            keys,
            sessions: Self::sessions(),
            streams: [None; 2],
            channels: [None, None],
            told: Default::default(),
            bodies: Default::default(),
            faults: [None; 2],
            readers: Default::default(),
            takes: true,
            pins,
        };
        pair.streams[0] = pair.sessions[0].open(NOW, 3).ok();
        let channel = Channel::open(opening(), pair.own(0), &mut Seed::from_u64(5).fork("a")).unwrap();
        pair.channels[0] = Some(channel);
        pair
    }

    fn sessions() -> [Session; 2] {
        let session = |role| Session::new(role, Config::default(), &Seed::from_u64(1), NOW);
        [session(Role::Client), session(Role::Server)]
    }

    fn own(&self, side: usize) -> Own<'_> {
        let other = self.keys[1 - side].as_ref().filter(|_| self.pins);
        Own { signer: self.keys[side].as_ref().map(|key| key as &dyn Signer), pinned: other.map(Signer::public) }
    }

    fn channel(&mut self, side: usize) -> &mut Channel {
        self.channels[side].as_mut().unwrap()
    }

    /// Carry records from one side's session to the other's, through somebody who may alter them.
    fn carry_from(&mut self, side: usize, alter: Alter<'_>) -> bool {
        let mut moved = false;
        let mut out = vec![0; 1 << 20];
        loop {
            let len = self.sessions[side].poll_bytes(NOW, &mut out);
            if len == 0 {
                break;
            }
            moved = true;
            self.hub_side(side, &out[..len], alter);
        }
        moved
    }

    /// The hub takes a side's bytes apart with a session of its own kind, and passes the records on.
    fn hub_side(&mut self, side: usize, bytes: &[u8], alter: Alter<'_>) {
        // Frames are whole in the buffer more often than not; a session of the hub's own would do no more than this.
        let mut rest = bytes;
        while let Some((header, behind)) = rest.split_first_chunk::<12>() {
            let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
            let data = header[1] == 0;
            let (body, behind) = behind.split_at(if data { length } else { 0 });
            rest = behind;
            if !data {
                self.sessions[1 - side].handle_bytes(NOW, header).unwrap();
                continue;
            }
            let (mut altered, mut body) = (Vec::new(), body);
            while !body.is_empty() {
                let (used, kind) = self.readers[side].take(body).unwrap();
                body = &body[used..];
                let Some(kind) = kind else { continue };
                let mut record = self.readers[side].body().to_vec();
                for _ in 0..alter(sides(side), kind, &mut record) {
                    super::record::put(&mut altered, kind, &[&record]);
                }
            }
            let mut header = *header;
            header[8..].copy_from_slice(&u32::try_from(altered.len()).unwrap().to_be_bytes());
            self.sessions[1 - side].handle_bytes(NOW, &[&header, &altered[..]].concat()).unwrap();
        }
        assert!(rest.is_empty(), "a frame was cut");
    }

    fn run(&mut self, alter: Alter<'_>) {
        for _ in 0..1000 {
            let mut moved = false;
            for side in 0..2 {
                self.pump(side);
                moved |= self.carry_from(side, alter);
            }
            if !moved {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn pump(&mut self, side: usize) {
        while let Some(event) = self.sessions[side].poll_event() {
            if let Event::Opened(id) = event {
                self.sessions[side].accept(id, 3).unwrap();
                self.streams[side] = Some(id);
            }
        }
        let Some(stream) = self.streams[side] else { return };
        if self.channels[side].is_none() {
            self.first(side, stream);
        }
        let keys = [self.keys[0].as_ref(), self.keys[1].as_ref()];
        let own = Own {
            signer: keys[side].map(|key| key as &dyn Signer),
            pinned: keys[1 - side].filter(|_| self.pins).map(Signer::public),
        };
        let (Some(channel), None) = (&mut self.channels[side], self.faults[side]) else { return };
        let session = &mut self.sessions[side];
        loop {
            match channel.read(NOW, session, stream, own) {
                Ok(Some(told)) => {
                    if let Told::Message(n, _) = told {
                        self.bodies[side].push(channel.message().to_vec());
                        if self.takes {
                            channel.take(n);
                        }
                    }
                    self.told[side].push(told);
                }
                Ok(None) => break,
                Err(fault) => {
                    self.faults[side] = Some(fault);
                    return;
                }
            }
        }
        channel.write(session, stream, own).unwrap();
    }

    /// The target reads what its stream begins with.
    fn first(&mut self, side: usize, stream: StreamId) {
        let mut reader = Reader::default();
        while let Ok(Read::Bytes(bytes)) = self.sessions[side].peek(stream) {
            let (used, kind) = reader.take(bytes).unwrap();
            self.sessions[side].consume(NOW, stream, used).unwrap();
            let Some(kind) = kind else { continue };
            assert_eq!(kind, OPEN);
            match Channel::incoming(reader.body(), self.own(side), &mut Seed::from_u64(6).fork("b")) {
                Ok(mut channel) => {
                    channel.accept(self.own(side)).unwrap();
                    self.channels[side] = Some(channel);
                }
                Err(fault) => self.faults[side] = Some(fault),
            }
            return;
        }
    }

    /// The connection is cut, and another one made.
    fn cut(&mut self) {
        self.sessions = Self::sessions();
        self.readers = Default::default();
        for channel in self.channels.iter_mut().flatten() {
            assert!(channel.park());
            assert_eq!(channel.state(), State::Parked);
        }
        self.streams = [self.sessions[0].open(NOW, 3).ok(), None];
        self.channel(0).resume();
        self.run_resumed();
    }

    fn run_resumed(&mut self) {
        self.run(&mut honest);
    }
}

fn honest(_: Side, _: u8, _: &mut Vec<u8>) -> usize {
    1
}

fn keyed() -> [Option<SecretKey>; 2] {
    [Some(key(1)), Some(key(2))]
}

#[test]
fn what_is_sent_is_heard_acknowledged_and_signed_for() {
    let mut pair = Pair::new(keyed(), true);
    pair.run(&mut honest);
    assert_eq!(pair.told[0], [Told::Opened(Proof::Pinned(key(2).public()))]);
    assert_eq!(pair.channel(1).proof(), Proof::Pinned(key(1).public()));
    assert_eq!(pair.channel(0).send(Kind::Json, br#"{"text":"hi"}"#), Ok(1));
    assert_eq!(pair.channel(0).send(Kind::Bytes, &vec![9; MAX_MESSAGE]), Err(super::SendError::Full));
    assert!(pair.channel(0).send(Kind::Json, b"{").is_err());
    pair.run(&mut honest);
    assert_eq!(pair.channel(0).send(Kind::Bytes, &vec![9; 200_000]), Ok(2));
    assert_eq!(pair.channel(1).send(Kind::Bytes, b"back"), Ok(1));
    pair.channel(0).close("done");
    pair.channel(1).close("done too");
    pair.run(&mut honest);
    assert!(pair.bodies[1] == [br#"{"text":"hi"}"#.to_vec(), vec![9; 200_000]]);
    assert_eq!(pair.bodies[0], [b"back"]);
    assert!(pair.told[1].contains(&Told::Signed(3)) && pair.told[0].contains(&Told::Signed(2)), "{:?}", pair.told);
    assert!(pair.told[1].contains(&Told::Finished(String::from("done"))));
    assert!(pair.channel(0).is_over() && pair.channel(1).is_over());
    assert_eq!((pair.channel(0).acked(), pair.channel(1).acked()), (3, 2));
}

/// The connection is cut between the last message and the signature behind it: the channel is over once that has come on another one.
#[test]
fn the_signature_behind_the_end_comes_after_a_cut() {
    let mut pair = Pair::new(keyed(), true);
    pair.run(&mut honest);
    pair.channel(0).send(Kind::Bytes, b"x").unwrap();
    (0..2).for_each(|side| pair.channel(side).close("done"));
    pair.run(&mut |_, kind, _| usize::from(kind != SIGN));
    assert_eq!((pair.channel(0).acked(), pair.channel(1).acked()), (2, 1), "each has all of the other's messages");
    assert!(!pair.channel(0).is_over() && !pair.channel(1).is_over(), "and not its signature");
    pair.cut();
    assert!(pair.told[1].contains(&Told::Signed(2)) && pair.told[0].contains(&Told::Signed(1)), "{:?}", pair.told);
    assert!(pair.channel(0).is_over() && pair.channel(1).is_over());
}

/// A RESUME that is not the other end's, or cannot be gone on from, changes nothing.
#[test]
fn going_on_is_asked_for_by_the_other_end_only() {
    for keys in [[None, None], keyed()] {
        let is_keyed = keys[0].is_some();
        let mut pair = Pair::new(keys, false);
        pair.run(&mut honest);
        pair.channel(0).send(Kind::Bytes, b"x").unwrap();
        pair.channel(1).send(Kind::Bytes, b"y").unwrap();
        pair.run(&mut honest);
        let resume = |agent: &str, target: &str, n: u64| {
            let names = format!(r#""agent":"{agent}","target":"{target}","intent":"chat""#);
            [b"\0", format!(r#"{{"channel":"{}",{names},"received":{n}}}"#, "07".repeat(16)).as_bytes()].concat()
        };
        let bodies = [
            resume("carol", "bob", 1),
            resume("alice", "carol", 1),
            resume("bob", "alice", 1),
            // What bob has forgotten, because it was acknowledged; and what he never sent.
            resume("alice", "bob", 0),
            resume("alice", "bob", 2),
        ];
        for body in &bodies {
            assert!(pair.channel(1).check_resume(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(pair.channel(1).check_resume(&resume("alice", "bob", 1)).is_ok(), !is_keyed);
        assert_eq!(pair.channel(1).state(), State::Open);
        pair.cut();
        assert_eq!(pair.channel(1).state(), State::Open);
    }
}

#[test]
fn a_channel_of_which_not_all_was_taken_is_not_over() {
    let mut pair = Pair::new(keyed(), false);
    pair.takes = false;
    pair.run(&mut honest);
    pair.channel(0).send(Kind::Bytes, b"x").unwrap();
    (0..2).for_each(|side| pair.channel(side).close("done"));
    pair.run(&mut honest);
    assert!(pair.told[1].contains(&Told::Finished(String::from("done"))));
    assert!(!pair.channel(0).is_over() && !pair.channel(1).is_over());
    pair.channel(1).take(1);
    pair.run(&mut honest);
    assert!(pair.channel(0).is_over() && pair.channel(1).is_over());
}

#[test]
fn what_the_application_does_not_take_is_not_acknowledged() {
    let mut pair = Pair::new(keyed(), false);
    pair.takes = false;
    pair.run(&mut honest);
    for _ in 0..3 {
        pair.channel(0).send(Kind::Bytes, b"x").unwrap();
    }
    pair.run(&mut honest);
    assert_eq!((pair.bodies[1].len(), pair.channel(0).acked()), (3, 0));
    pair.channel(1).take(2);
    pair.run(&mut honest);
    assert_eq!(pair.channel(0).acked(), 2);
    pair.channel(1).take(u64::MAX);
    pair.run(&mut honest);
    assert_eq!(pair.channel(0).acked(), 3);
}

#[test]
fn each_thing_that_a_hub_can_do_is_found_out() {
    let flip = |body: &mut Vec<u8>, at: usize| {
        if let Some(byte) = body.get_mut(at) {
            *byte ^= 1;
        }
    };
    // The kind that is touched, and how: of the second message, of the acknowledgement, of the opening.
    for attack in 0..8 {
        let mut pair = Pair::new(keyed(), attack != 7);
        let mut nth = 0;
        let mut held: Option<Vec<u8>> = None;
        let mut alter = |side: Side, kind: u8, body: &mut Vec<u8>| -> usize {
            if kind == BYTES {
                nth += 1;
            }
            match attack {
                0 if kind == BYTES && nth == 2 => flip(body, 17),
                1 if kind == BYTES && nth == 2 => return 0,
                2 if kind == BYTES && nth == 2 => return 2,
                3 if kind == BYTES && nth == 2 => held = Some(core::mem::take(body)),
                3 if kind == BYTES && nth == 3 => drop(held.take().map(|first| *body = first)),
                4 if kind == ACK => flip(body, 7),
                5 if kind == OPEN => flip(body, 90),
                6 if kind == CLOSE && side == Side::Opener => flip(body, 16),
                // Somebody takes the signature away: then nothing is proven, and nobody says that it was.
                7 if kind == OPEN => {
                    let text = body.split_off(65);
                    *body = [&[0], &text[..]].concat();
                }
                _ => {}
            }
            1
        };
        pair.run(&mut alter);
        if pair.faults == [None; 2] {
            for n in 0..4u8 {
                pair.channel(0).send(Kind::Bytes, &[n; 3]).unwrap();
            }
            pair.channel(0).close("done");
            pair.run(&mut alter);
        }
        let found = pair.faults.iter().flatten().next().copied();
        match attack {
            3 => assert!(matches!(found, Some(Fault::Malformed | Fault::Tampered)), "{found:?}"),
            // OPEN without its signature is another OPEN: no tag that follows is right, and neither is ACCEPT's signature.
            7 => assert!(found.is_some() || pair.channel(0).proof() == Proof::None, "{found:?}"),
            _ => assert_eq!(found, Some(Fault::Tampered), "attack {attack}"),
        }
        let heard: Vec<Vec<u8>> = (0..4u8).map(|n| vec![n; 3]).take(pair.bodies[1].len()).collect();
        assert_eq!(pair.bodies[1], heard, "attack {attack}: what is heard is what was said");
    }
}

#[test]
fn a_key_that_is_pinned_has_to_be_shown() {
    let mut pair = Pair::new([Some(key(1)), Some(key(2))], true);
    // The target signs with another key than the one that its opener knows.
    pair.keys[1] = Some(key(2));
    pair.run(&mut |_, _, _| 1);
    assert_eq!(pair.faults, [None, None]);
    let mut other = Pair::new(keyed(), true);
    let channel = Channel::open(opening(), Own { signer: None, pinned: None }, &mut Seed::from_u64(5).fork("a"));
    other.channels[0] = channel.ok();
    other.run(&mut honest);
    assert_eq!(other.faults[1], Some(Fault::Unproven));
}

fn signed(told: &[Told]) -> Vec<u64> {
    told.iter().filter_map(|told| if let Told::Signed(upto) = told { Some(*upto) } else { None }).collect()
}

/// Who sends without a pause is not signed for at the end only.
#[test]
fn a_signature_stands_behind_every_4096th_message() {
    let mut pair = Pair::new(keyed(), true);
    pair.run(&mut honest);
    for n in 0..9000 {
        while pair.channel(0).send(Kind::Bytes, b"x") == Err(super::SendError::Full) {
            pair.run(&mut honest);
        }
        assert!(pair.channel(0).has_unsigned() || n % 4096 == 4095);
    }
    pair.run(&mut honest);
    assert_eq!(signed(&pair.told[1]), [4096, 8192]);
    pair.channel(0).sign_soon();
    pair.run(&mut honest);
    assert_eq!((signed(&pair.told[1]), pair.faults), (vec![4096, 8192, 9000], [None, None]));
    assert!(!pair.channel(0).has_unsigned() && !pair.channel(1).has_unsigned());
}

/// What is asked for while a signature further ahead waits for its message is signed for behind that, too.
#[test]
fn what_was_said_behind_a_place_that_is_waited_for_is_signed_for_as_well() {
    let mut pair = Pair::new(keyed(), true);
    pair.run(&mut honest);
    for n in 0..4200 {
        if n <= 4000 {
            pair.run(&mut honest);
        }
        pair.channel(0).send(Kind::Bytes, b"x").unwrap();
    }
    pair.channel(0).sign_soon();
    pair.run(&mut honest);
    assert_eq!(signed(&pair.told[1]), [4096, 4200]);
    assert!(!pair.channel(0).has_unsigned());
}

/// A signature that is lost with its connection comes again, and one that had come is told once.
#[test]
fn a_signature_survives_a_cut() {
    for lost in [true, false] {
        let mut pair = Pair::new(keyed(), true);
        pair.run(&mut honest);
        for _ in 0..3 {
            pair.channel(0).send(Kind::Bytes, b"x").unwrap();
        }
        pair.run(&mut honest);
        pair.channel(0).sign_soon();
        if lost {
            // It is written, and never carried.
            pair.pump(0);
        } else {
            pair.run(&mut honest);
        }
        assert_eq!((signed(&pair.told[1]).len(), pair.channel(0).has_unsigned()), (usize::from(!lost), false));
        pair.cut();
        assert_eq!((signed(&pair.told[1]), pair.faults), (vec![3], [None, None]), "{lost}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whenever the connection is cut, each message is heard once, in order, and what was acknowledged was heard.
    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(
        steps in prop::collection::vec((0..6u8, 0..5000usize), 1..60),
        with_keys in any::<bool>(),
    ) {
        let mut pair = Pair::new(if with_keys { keyed() } else { [None, None] }, with_keys);
        pair.run(&mut honest);
        let mut sent: [Vec<Vec<u8>>; 2] = Default::default();
        for (n, (step, size)) in steps.into_iter().enumerate() {
            match step {
                0..=2 => {
                    let side = usize::from(step == 2);
                    let body: Vec<u8> = (0..size).map(|i| u8::try_from((i + n) % 256).unwrap()).collect();
                    if pair.channel(side).send(Kind::Bytes, &body).is_ok() {
                        sent[side].push(body);
                    }
                }
                3 => pair.run(&mut honest),
                // Some of it is under way, and lost.
                4 => {
                    pair.pump(0);
                    pair.pump(1);
                    pair.cut();
                }
                _ => {
                    pair.pump(0);
                    let _ = pair.carry_from(0, &mut honest);
                    pair.pump(1);
                    pair.cut();
                }
            }
            for (side, sent) in sent.iter().enumerate() {
                let heard = pair.bodies[1 - side].len();
                prop_assert!(pair.bodies[1 - side][..] == sent[..heard]);
                prop_assert!(pair.channel(side).acked() <= heard as u64);
            }
        }
        pair.run(&mut honest);
        prop_assert_eq!(pair.faults, [None, None]);
        prop_assert!(pair.bodies[1] == sent[0] && pair.bodies[0] == sent[1]);
        prop_assert_eq!(pair.channel(0).acked(), sent[0].len() as u64);
    }
}
