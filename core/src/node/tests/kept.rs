//! What survives the end of a process: nothing is taken twice, and what was decided stays decided.

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::airlock::{Expiry, Vouch};
use crate::identity::{PublicKey, SecretKey};
use crate::node::Keeping;
use crate::session::{Config, Sessions, Stamp};
use crate::time::Duration;
use crate::{Durable, StoreError, StoreSeq};

type Medium = BTreeMap<Vec<u8>, Vec<u8>>;

/// A hub and its medium, of which nothing is left but that.
struct Life {
    hub: Node,
    kept: Medium,
    under_way: Vec<(StoreSeq, Vec<u8>, Option<Vec<u8>>)>,
    lives: u64,
}

impl Life {
    fn new() -> Self {
        let mut life = Self { hub: node(HUB, 1), kept: Medium::new(), under_way: Vec::new(), lives: 0 };
        life.start(at(0));
        life
    }

    fn hub(&self, change: impl FnOnce(&mut NodeConfig)) -> Node {
        let mut config = NodeConfig::new(Did::new(HUB).unwrap());
        config.durable = true;
        change(&mut config);
        let mut hub = Node::new(config, &Seed::from_u64(self.lives)).unwrap();
        for (key, value) in &self.kept {
            assert_eq!(hub.restore(key, value), Ok(true));
        }
        hub.allow_legacy("*").unwrap();
        if hub.trusted(SENSOR).is_none() {
            hub.set_trust(SENSOR, 0.9).unwrap();
        }
        hub
    }

    fn start(&mut self, now: Now) {
        self.lives += 1;
        self.under_way.clear();
        self.hub = self.hub(|config| config.not_before = Some(now.wall));
    }

    fn begin(&mut self) {
        if self.under_way.is_empty() {
            while let Some(op) = self.hub.poll_store() {
                self.under_way.push((op.seq(), op.key().to_vec(), op.value().map(<[u8]>::to_vec)));
            }
        }
    }

    fn write(&mut self) {
        for (_, key, value) in &self.under_way {
            match value {
                Some(value) => drop(self.kept.insert(key.clone(), value.clone())),
                None => drop(self.kept.remove(key)),
            }
        }
    }

    fn end(&mut self, now: Now, result: Result<(), StoreError>) {
        let Some((upto, ..)) = self.under_way.last().cloned() else { return };
        if result.is_ok() {
            self.write();
        }
        self.under_way.clear();
        self.hub.handle_stored(now, upto, result);
    }

    fn commit(&mut self, now: Now) {
        self.begin();
        self.end(now, Ok(()));
    }

    fn take(&mut self, now: Now, bytes: &[u8]) -> Result<(), Reject> {
        self.hub.handle_datagram(now, from(9), &mut bytes.to_vec())
    }

    /// Packet ids of the pings that were told since the last time.
    fn heard(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(event) = self.hub.poll_event() {
            if let Event::Ping(ping) = event {
                heard.push(ping.packet().packet_id.to_cow().into_owned());
            }
        }
        heard
    }
}

fn later(now: Now, millis: u64) -> Now {
    let by = Duration::from_millis(millis);
    Now::new(now.mono + by, now.wall.saturating_add(by))
}

/// With its wall clock set.
fn stepped(now: Now, millis: i64) -> Now {
    Now::new(now.mono, Wall::from_micros(now.wall.as_micros() + millis * 1000))
}

#[derive(Clone, Debug)]
enum Op {
    /// A ping whose sender's clock is off by so many milliseconds.
    Ping(i64),
    /// Something that was sent before comes again.
    Again(prop::sample::Index),
    Wait(u64),
    Step(i64),
    Begin,
    Commit,
    /// The process ends, with what is under way written or not.
    Kill(bool),
}

fn op() -> impl Strategy<Value = Op> {
    const DAY: i64 = 86_400_000;
    prop_oneof![
        6 => (-6_000..6_000_i64).prop_map(Op::Ping),
        6 => any::<prop::sample::Index>().prop_map(Op::Again),
        3 => (0..3_000_u64).prop_map(Op::Wait),
        1 => prop_oneof![-DAY..DAY, -5_000..5_000_i64].prop_map(Op::Step),
        2 => Just(Op::Begin),
        4 => Just(Op::Commit),
        2 => any::<bool>().prop_map(Op::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_packet_is_taken_twice_whenever_it_is_killed_and_whatever_the_clock_shows(
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let (mut life, mut sensor, mut now) = (Life::new(), node(SENSOR, 7), at(100));
        let (mut sent, mut taken): (Vec<Vec<u8>>, BTreeSet<String>) = (Vec::new(), BTreeSet::new());
        for op in ops {
            match op {
                Op::Ping(off) => {
                    let (id, bytes) = ask(&mut sensor, stepped(now, off), Encoding::Json);
                    sensor.forget(id);
                    let _ = life.take(now, &bytes);
                    sent.push(bytes);
                }
                Op::Again(_) if sent.is_empty() => {}
                Op::Again(which) => _ = life.take(now, &which.get(&sent).clone()),
                Op::Wait(millis) => now = later(now, millis),
                Op::Step(millis) => now = stepped(now, millis),
                Op::Begin => life.begin(),
                Op::Commit => life.commit(now),
                Op::Kill(written) => {
                    if written {
                        life.write();
                    }
                    life.start(now);
                }
            }
            for id in life.heard() {
                prop_assert!(taken.insert(id.clone()), "{id} was taken twice");
            }
        }
    }
}

/// How long fresh pings are refused after a restart: not at all after one that came alone, for two seconds where they kept coming.
#[test]
fn a_restart_costs_two_seconds_at_most() {
    for (every, costs) in [(10_000, 0), (100, 2_000)] {
        let (mut life, mut sensor, mut now) = (Life::new(), node(SENSOR, 7), at(100));
        for _ in 0..50 {
            now = later(now, every);
            let (_, ping) = ask(&mut sensor, now, Encoding::Json);
            life.take(now, &ping).unwrap();
            while life.hub.wants().store {
                life.commit(now);
            }
        }
        assert_eq!(life.heard().len(), 50);
        now = later(now, 1);
        life.start(now);
        let refused = (1..50)
            .take_while(|tenth| {
                let (_, ping) = ask(&mut sensor, later(now, tenth * 100), Encoding::Json);
                life.take(later(now, tenth * 100), &ping) == Err(Reject::Stale)
            })
            .count();
        assert!(refused * 100 <= costs, "{refused} tenths of a second");
    }
}

#[test]
fn steady_traffic_waits_for_nothing_and_is_written_once_a_second() {
    let (mut life, mut sensor, mut now) = (Life::new(), node(SENSOR, 7), at(100));
    let (mut writes, mut held) = (0, 0);
    for round in 0..1000 {
        now = later(now, 20);
        let (id, ping) = ask(&mut sensor, now, Encoding::Json);
        sensor.forget(id);
        life.take(now, &ping).unwrap();
        held += if round < 20 { 0 } else { life.hub.stats().held };
        life.begin();
        // The medium takes its time.
        if !life.under_way.is_empty() && now.mono.as_nanos() % 100_000_000 == 0 {
            writes += 1;
            life.end(now, Ok(()));
        }
        drain(&mut life.hub, now);
        life.heard();
    }
    assert!(writes <= 22, "{writes} writes in 20 seconds");
    assert_eq!(held, 0, "what is written is ahead");
    assert!(!life.hub.wants().store, "silence is not written");
}

#[test]
fn what_is_held_is_bounded_and_is_answered_once_it_may_be() {
    let (mut life, mut sensor) = (Life::new(), node(SENSOR, 7));
    let mut taken = 0_usize;
    for _ in 0..300 {
        let (id, ping) = ask(&mut sensor, at(100), Encoding::Json);
        sensor.forget(id);
        match life.take(at(100), &ping) {
            Ok(()) => taken += 1,
            Err(why) => assert_eq!(why, Reject::Busy),
        }
        // Twice: the copy is found out when its turn comes.
        let _ = life.take(at(100), &ping);
    }
    assert!(taken > 100 && drain(&mut life.hub, at(100)).is_empty() && life.heard().is_empty());
    let stats = life.hub.stats();
    assert_eq!(stats.received, stats.held + stats.rejected.total());
    while life.hub.wants().store {
        life.commit(at(100));
    }
    let stats = life.hub.stats();
    assert_eq!((stats.held, stats.accepted, stats.received), (0, taken as u64, taken as u64 + stats.rejected.total()));
    assert_eq!((life.heard().len(), stats.rejected.get(Reject::Replay) > 0), (taken, true));
}

#[test]
fn a_full_disk_stops_no_traffic() {
    let (mut life, mut sensor) = (Life::new(), node(SENSOR, 7));
    for second in 100..150 {
        let (_, ping) = ask(&mut sensor, at(second), Encoding::Json);
        life.take(at(second), &ping).unwrap();
        life.begin();
        life.end(at(second), Err(StoreError::Full));
        assert_eq!(life.heard().len(), 1, "{second}");
        assert!(!life.hub.wants().store, "it is not tried without end");
    }
    // There is room again, which is found out with the next that comes.
    let (_, ping) = ask(&mut sensor, at(170), Encoding::Json);
    life.take(at(170), &ping).unwrap();
    assert!(life.heard().is_empty());
    life.commit(at(170));
    assert_eq!((life.heard().len(), life.kept.len()), (1, 1));
}

#[test]
fn who_asks_for_it_gets_what_is_older() {
    let (mut life, mut sensor) = (Life::new(), node(SENSOR, 7));
    let (_, first) = ask(&mut sensor, at(100), Encoding::Json);
    life.take(at(100), &first).unwrap();
    life.commit(at(100));
    let (_, late) = ask(&mut sensor, at(95), Encoding::Json);
    for (older, taken) in [(0, Err(Reject::Stale)), (10, Ok(()))] {
        life.hub = life.hub(|config| {
            config.accept_older = Duration::from_secs(older);
            config.not_before = Some(at(101).wall.saturating_sub(config.accept_older));
        });
        assert_eq!(life.take(at(101), &late), taken);
        // Its price.
        assert_eq!(life.take(at(101), &first), taken);
    }
}

#[test]
fn what_is_decided_stays_decided_and_is_taken_back_where_it_cannot_be_kept() {
    let mut life = Life::new();
    assert_eq!(life.hub.decide_trust(SENSOR, 0.2), Ok((0.2, Keeping::Until(StoreSeq(1)))));
    life.commit(at(0));
    life.hub.decide_trust("jis:b", 0.8).unwrap();
    life.hub.decide_trust("jis:b", 0.7).unwrap();
    let vouch = Vouch {
        id: "v\n1",
        voucher_did: "jis:b",
        voucher_trust: 0.8,
        factor: 0.5,
        vouched: &["jis:c", "jis:d"],
        expires: Expiry::After(at(1000).wall),
    };
    life.hub.vouch(&vouch, at(0).wall).unwrap();
    life.commit(at(0));
    // A full disk: all is as it was, whatever was decided on the way.
    life.hub.decide_trust("jis:b", 0.6).unwrap();
    life.begin();
    life.hub.decide_trust("jis:b", 0.5).unwrap();
    life.hub.withdraw_trust(SENSOR).unwrap().unwrap();
    life.hub.vouch(&Vouch { vouched: &["jis:e"], ..vouch }, at(0).wall).unwrap();
    assert_eq!(life.hub.trusted("jis:e").or(Some(life.hub.standing("jis:e", at(0).wall).trust)), Some(0.4));
    life.end(at(0), Err(StoreError::Full));
    assert_eq!(life.hub.trusted("jis:b"), Some(0.5), "what was decided since stands");
    life.begin();
    life.end(at(0), Err(StoreError::Full));
    let as_kept = |hub: &Node| {
        let trust = |did| hub.standing(did, at(0).wall).trust;
        assert_eq!([SENSOR, "jis:b", "jis:c", "jis:d", "jis:e"].map(trust), [0.2, 0.7, 0.4, 0.4, 0.0]);
        assert_eq!((hub.decided_trust(SENSOR), hub.decided_trust("jis:c")), (Some(0.2), None));
        assert!(hub.standing("jis:c", at(1001).wall).trust.abs() < 1e-9);
    };
    as_kept(&life.hub);
    life.start(at(0));
    as_kept(&life.hub);
    assert!(life.hub.revoke_vouch("v\n1"));
    life.hub.withdraw_trust(SENSOR).unwrap().unwrap();
    life.commit(at(0));
    life.start(at(0));
    assert_eq!((life.hub.decided_trust(SENSOR), life.hub.standing("jis:c", at(0).wall).trust), (None, 0.0));
}

#[test]
fn records_that_are_damaged_are_not_guessed_at() {
    let mut life = Life::new();
    life.hub.decide_trust("jis:t", 0.2).unwrap();
    let vouch = Vouch {
        id: "v",
        voucher_did: "jis:b",
        voucher_trust: 0.8,
        factor: 0.5,
        vouched: &["jis:c"],
        expires: Expiry::Never,
    };
    life.hub.vouch(&vouch, at(0).wall).unwrap();
    life.hub.rooms.storing.note_stamp("jis:a", key(1), Stamp::from_micros(5));
    life.hub.rooms.storing.note_own_stamp(Stamp::from_micros(5));
    let (_, ping) = ask(&mut node(SENSOR, 7), at(5), Encoding::Json);
    life.take(at(5), &ping).unwrap();
    life.commit(at(5));
    assert_eq!(life.kept.len(), 5);
    for (key, value) in &life.kept {
        for damaged in [&value[..0], b"x", b" 1", b"-1\n", &[0xff]] {
            assert!(node(HUB, 1).restore(key, damaged).is_err(), "{key:?} {damaged:?}");
        }
    }
    assert!(life.hub.restore(b"hx", b"1").is_err());
    assert_eq!(node(HUB, 1).restore(b"zzz", b"1"), Ok(false));
}

fn key(n: u8) -> PublicKey {
    SecretKey::from_seed(&[n; 32]).public()
}

/// What sessions of the next life know.
fn sessions(life: &Life, start: Now) -> Sessions {
    let mut sessions =
        Sessions::new(Config::new(Did::new(HUB).unwrap(), SecretKey::from_seed(&[1; 32])), &Seed::from_u64(1)).unwrap();
    life.hub.rooms.storing.tell_sessions(&mut sessions, start.wall);
    sessions
}

/// A first message of an earlier life is refused by the sessions of the next one, also where the clock stepped back.
#[test]
fn handshake_stamps_survive() {
    let mut life = Life::new();
    let mut peer =
        Sessions::new(Config::new(Did::new(SENSOR).unwrap(), SecretKey::from_seed(&[2; 32])), &Seed::from_u64(2))
            .unwrap();
    let to = crate::session::Peer::pinned(HUB, key(1));
    peer.connect(at(500), &to, from(9), b"early").unwrap();
    let mut first = vec![0; MAX_DATAGRAM_V6];
    let len = peer.poll_transmit(at(500), &mut first).unwrap().len;
    let hears = |sessions: &mut Sessions, now| sessions.handle(now, from(9), &mut first[..len].to_vec(), &mut |_| true);

    let mut hub = sessions(&life, at(0));
    assert!(hears(&mut hub, at(500)).is_ok());
    let mut noted = None;
    while let Some(event) = hub.poll_event() {
        if let crate::session::News::Stamp(stamp) = event.news {
            noted = Some((event.did.to_string(), event.key.unwrap(), stamp));
        }
    }
    let (did, peer_key, stamp) = noted.unwrap();
    let storing = &mut life.hub.rooms.storing;
    storing.note_stamp(&did, peer_key, stamp);
    storing.note_own_stamp(Stamp::from_micros(77));
    assert!(!storing.is_stamp_kept(Instant::ZERO, &did, &peer_key, stamp));
    life.commit(at(500));
    assert!(life.hub.rooms.storing.is_stamp_kept(Instant::ZERO, &did, &peer_key, stamp));
    life.start(at(0));
    let mut again = sessions(&life, at(0));
    assert!(hears(&mut again, at(0)).is_err());
    assert!(again.own_stamp() > Stamp::from_micros(77));
    // One that could not be stored is refused after the time of the start, and traffic goes on.
    life.kept.clear();
    life.start(at(600));
    assert!(hears(&mut sessions(&life, at(600)), at(600)).is_err());
    assert!(hears(&mut sessions(&life, at(400)), at(400)).is_ok());
}

#[test]
fn stamps_that_cannot_be_written_are_tried_again_and_what_is_forgotten_is_refused() {
    let mut storing = crate::node::storing::stamps::Stamps::new(8, Seed::from_u64(1).fork("stamps").sip_key());
    for round in 1..50_u64 {
        storing.note("jis:a", key(u8::try_from(round % 20).unwrap()), Stamp::from_micros(round * 10));
        let mut given = Vec::new();
        while let Some((what, ..)) = storing.give() {
            given.push(what);
        }
        let kept = round % 3 != 0;
        given.into_iter().for_each(|what| storing.end(what, kept));
    }
    storing.resume();
    let mut records = BTreeMap::new();
    while let Some((what, key, value)) = storing.give() {
        records.insert(key, value);
        storing.end(what, true);
    }
    for round in 40..50_u64 {
        assert!(storing.is_kept("jis:a", &key(u8::try_from(round % 20).unwrap()), Stamp::from_micros(round * 10)));
    }
    assert!(!storing.is_kept("jis:a", &key(9), Stamp::from_micros(1000)));
    assert!(!storing.wants());
}

/// A sensor that signs with this key.
fn signer(n: u8) -> Node {
    let mut config = NodeConfig::new(Did::new(SENSOR).unwrap());
    config.identity = Some(SecretKey::from_seed(&[n; 32]).into());
    Node::new(config, &Seed::from_u64(n.into())).unwrap()
}

fn first_use_hub(durable: bool, first_uses: u32) -> Node {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    (config.durable, config.caps.first_uses) = (durable, first_uses);
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.trust_first_use("jis:home:*").unwrap();
    hub.set_trust(SENSOR, 0.9).unwrap();
    hub
}

fn hear(hub: &mut Node, sensor: &mut Node, now: Now) -> Result<(), Reject> {
    let (_, ping) = ask(sensor, now, Encoding::Json);
    hub.handle_datagram(now, from(9), &mut ping.clone())
}

#[test]
fn the_first_key_is_pinned_where_the_operator_says_so_and_no_other_after_it() {
    let mut hub = first_use_hub(false, 60);
    assert_eq!(hear(&mut hub, &mut signer(2), at(100)), Ok(()));
    let heard = told(&mut hub);
    assert_eq!(heard[0], "pinned jis:home:sensor");
    assert!(heard.iter().any(|line| line == "ping jis:home:sensor accept GROEN"), "{heard:?}");
    assert_eq!(hub.pins().get(SENSOR).unwrap().origin, crate::pins::Origin::FirstUse);
    assert_eq!(hear(&mut hub, &mut signer(3), at(100)), Err(Reject::Unpinned));
    // A pin of the operator is as it was, and a revoked key is none.
    for setup in [
        |hub: &mut Node| _ = hub.pin(at(0), SENSOR, key(4), crate::pins::Origin::Operator).unwrap(),
        |hub: &mut Node| {
            hub.pin(at(0), "jis:other", key(2), crate::pins::Origin::Operator).unwrap();
            let secret = SecretKey::from_seed(&[2; 32]);
            hub.retire(&crate::identity::Statement::revocation(&secret, 1).unwrap()).unwrap();
        },
    ] {
        let mut hub = first_use_hub(false, 60);
        setup(&mut hub);
        assert!(matches!(hear(&mut hub, &mut signer(2), at(100)), Err(Reject::Unpinned | Reject::Revoked)));
    }
    // Who is ROOD leaves nothing, another name is none of the operator's, and a stranger fills no table.
    let mut hub = first_use_hub(false, 60);
    hub.remove_trust(SENSOR);
    assert_eq!(hear(&mut hub, &mut signer(2), at(100)), Err(Reject::Rood));
    let mut full = first_use_hub(false, 0);
    assert_eq!(hear(&mut full, &mut signer(2), at(100)), Ok(()));
    assert_eq!(told(&mut full)[0], "ping jis:home:sensor pending GEEL");
    assert!(hub.pins().is_empty() && full.pins().is_empty());
}

#[test]
fn a_first_key_is_kept_before_anything_is_said_to_it() {
    for result in [Ok(()), Err(StoreError::Full)] {
        let mut life = Life::new();
        life.hub = first_use_hub(true, 60);
        let mut sensor = signer(2);
        assert_eq!(hear(&mut life.hub, &mut sensor, at(100)), Ok(()));
        assert_eq!(hear(&mut life.hub, &mut sensor, at(100)), Ok(()));
        assert_eq!(told(&mut life.hub), ["pinned jis:home:sensor"]);
        assert!(drain(&mut life.hub, at(100)).is_empty());
        while life.hub.wants().store {
            life.begin();
            life.end(at(100), result);
        }
        let heard = told(&mut life.hub);
        let pings = heard.iter().filter(|line| line.starts_with("ping")).count();
        // Where it could not be kept it is a key like any other that nobody has pinned.
        let zone = if result.is_ok() { "GROEN" } else { "GEEL" };
        assert!(pings == 2 && heard.iter().any(|line| line.ends_with(zone)), "{heard:?}");
        assert_eq!(life.hub.pins().len(), usize::from(result.is_ok()));
    }
}

#[test]
fn the_first_answer_is_pinned_too() {
    let answers = |key| {
        let mut config = NodeConfig::new(Did::new(HUB).unwrap());
        config.identity = Some(SecretKey::from_seed(&[key; 32]).into());
        let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
        hub.allow_legacy("*").unwrap();
        hub.set_trust(SENSOR, 0.9).unwrap();
        hub
    };
    let mut life = Life::new();
    let mut config = NodeConfig::new(Did::new(SENSOR).unwrap());
    config.durable = true;
    life.hub = Node::new(config, &Seed::from_u64(5)).unwrap();
    life.hub.trust_first_use("*").unwrap();
    for (key, taken) in [(1, Ok(())), (3, Err(Reject::Unpinned)), (1, Ok(()))] {
        let (_, ping) = ask(&mut life.hub, at(100), Encoding::Json);
        let mut hub = answers(key);
        hub.handle_datagram(at(100), from(9), &mut ping.clone()).unwrap();
        let mut answer = drain(&mut hub, at(100)).remove(0).1;
        assert_eq!(life.hub.handle_datagram(at(100), Path::to(addr(7150)), &mut answer), taken);
        assert!(!told(&mut life.hub).iter().any(|line| line.starts_with("response")) || life.hub.pins().len() == 1);
        life.commit(at(100));
        let _ = told(&mut life.hub);
    }
    assert_eq!(life.hub.pins().get(HUB).unwrap().key, key(1));
}
