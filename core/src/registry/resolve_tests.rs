//! Look-ups against a plain model, and what answers may and may not do.

use std::collections::BTreeMap;
use std::string::ToString as _;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::identity::SecretKey;
use crate::pins::{Origin, PinConfig, Pins};
use crate::{Duration, Instant, Now, Seed, Wall};

const NOW: u64 = 1_764_400_000;
const NAMES: [&str; 3] = ["jis:a", "jis:b", "jis:c"];

fn at(seconds: u64) -> Now {
    Now::new(Instant::ZERO + Duration::from_secs(seconds), Wall::from_secs(NOW + seconds))
}

fn signed(did: &str, seq: u64, expires: u64, key: u8) -> Vec<u8> {
    let endpoints = [Address::Host { name: "h", port: u16::try_from(seq + 1).unwrap() }];
    let draft = Draft { did, seq, issued: NOW, expires: NOW + expires, endpoints: &endpoints, ..Draft::default() };
    draft.sign(&SecretKey::from_seed(&[key; 32]), &mut [0; Record::MAX_LEN]).unwrap().as_bytes().to_vec()
}

struct World {
    resolver: Resolver,
    registry: Registry,
    pins: Pins,
}

impl World {
    fn new(config: ResolveConfig) -> Self {
        let mut rng = Seed::from_u64(7).fork("resolve");
        let registry = Registry::new(RegistryConfig::default(), rng.sip_key());
        let pins = Pins::new(PinConfig::default(), rng.sip_key());
        Self { resolver: Resolver::new(config, &mut rng), registry, pins }
    }

    fn hear(&mut self, now: u64, bytes: &[u8]) -> Result<News, AnswerReject> {
        self.resolver.handle_record(at(now), bytes, &mut self.registry, &self.pins).map(|done| done.news)
    }

    fn known(&self, now: u64, did: &str) -> Option<(Source, u64)> {
        let known = self.resolver.known(at(now).wall, did, &self.registry, |_| None)?;
        Some((known.source, known.record.map_or(0, |(seq, _)| seq)))
    }

    /// What ended, and where from it is known.
    fn ended(&mut self, now: u64) -> Vec<(std::string::String, Option<Source>)> {
        let mut all = Vec::new();
        while let Some(ended) = self.resolver.poll_ended() {
            let found = self.resolver.outcome(at(now).wall, &ended, &self.registry).map(|found| found.source);
            all.push((ended.did.to_string(), found));
        }
        all
    }
}

#[derive(Clone, Debug)]
enum Op {
    Ask(usize),
    Hear { name: usize, seq: u64, expires: u64, key: u8 },
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let name = 0..NAMES.len();
    prop_oneof![
        2 => name.clone().prop_map(Op::Ask),
        4 => (name, 0..5_u64, 1..40_u64, 1..3_u8).prop_map(|(name, seq, expires, key)| Op::Hear { name, seq, expires, key }),
        2 => (0..6_u64).prop_map(Op::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever answers come in whatever order: what is known is the newest that the right key has signed, every query ends once and in time, and no
    /// more questions are sent than may be.
    #[test]
    fn a_stale_record_never_wins_and_every_query_ends(ops in prop::collection::vec(op(), 0..60)) {
        let config = ResolveConfig { max_queries: 2, ttl: Duration::from_secs(10), ..ResolveConfig::default() };
        let (mut world, mut now) = (World::new(config), 0);
        // Name to key and number; name to when it was asked for and how often a question was sent.
        let (mut known, mut asked) = (BTreeMap::<usize, (u8, u64)>::new(), BTreeMap::<usize, (u64, u32)>::new());
        for op in ops {
            match op {
                Op::Ask(name) => match world.resolver.ask(at(now).mono, NAMES[name]) {
                    Ok(_) => { asked.entry(name).or_insert((now, 0)); }
                    Err(why) => {
                        prop_assert_eq!(why, ResolveError::Busy);
                        prop_assert!(asked.len() == 2 && !asked.contains_key(&name));
                    }
                },
                Op::Hear { name, seq, expires, key } => {
                    let bytes = signed(NAMES[name], seq, expires, key);
                    let wanted = asked.contains_key(&name) || known.contains_key(&name);
                    let right = known.get(&name).is_none_or(|(bound, newest)| *bound == key && seq >= *newest);
                    let same = known.get(&name) == Some(&(key, seq));
                    match world.hear(now, &bytes) {
                        Ok(_) => {
                            prop_assert!(wanted && right && expires > now);
                            known.insert(name, (key, seq));
                            asked.remove(&name);
                            let ended = world.ended(now);
                            prop_assert!(ended.iter().all(|(did, found)| did == NAMES[name] && *found == Some(Source::Network)));
                        }
                        Err(AnswerReject::Unasked) => prop_assert!(!wanted),
                        Err(AnswerReject::Register(RegisterError::Conflict)) => prop_assert!(same),
                        Err(_) => prop_assert!(!right || expires <= now),
                    }
                }
                Op::Wait(seconds) => now += seconds,
            }
            while let Some(question) = world.resolver.poll_question(at(now).mono) {
                let name = NAMES.iter().position(|did| *did == question.did).unwrap();
                let asked = asked.get_mut(&name).unwrap();
                asked.1 += 1;
                prop_assert!(asked.1 <= 3);
            }
            world.resolver.handle_timeout(at(now).mono);
            let over: Vec<_> = asked.iter().filter(|(_, (began, _))| began + 5 <= now).map(|(name, _)| *name).collect();
            for name in &over { asked.remove(name); }
            let mut ended = world.ended(now);
            ended.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            let names: Vec<_> = ended.iter().map(|(did, _)| did.as_str()).collect();
            let expected: Vec<_> = over.iter().map(|name| NAMES[*name]).collect();
            prop_assert_eq!(names, expected);
            for (did, found) in &ended {
                let name = NAMES.iter().position(|name| name == did).unwrap();
                // It may still be fresh: then it was asked for all the same.
                prop_assert_eq!(found.is_some(), known.contains_key(&name));
            }
            prop_assert_eq!(world.resolver.next_timeout().is_some(), !asked.is_empty());
            prop_assert!(world.resolver.next_timeout().is_none_or(|next| next > at(now).mono));
            for (n, name) in NAMES.iter().enumerate() {
                let held = world.registry.get(name).map(|device| (device.key(), device.seq()));
                prop_assert_eq!(held, known.get(&n).map(|(key, seq)| (SecretKey::from_seed(&[*key; 32]).public(), *seq)));
            }
        }
    }
}

#[test]
fn known_asked_for_and_last_known() {
    let mut world = World::new(ResolveConfig::default());
    assert_eq!(world.known(0, "jis:a"), None);
    let query = world.resolver.ask(at(0).mono, "jis:a").unwrap();
    assert_eq!(world.resolver.ask(at(0).mono, "jis:a"), Ok(query), "one query for all who ask");
    assert_eq!(world.resolver.poll_question(at(0).mono).map(|q| q.did.to_string()).as_deref(), Some("jis:a"));
    assert!(world.resolver.poll_question(at(1).mono).is_none());
    assert_eq!(
        world.hear(1, &signed("jis:b", 1, 3600, 2)),
        Err(AnswerReject::Unasked),
        "nobody fills the registry unasked"
    );
    assert_eq!(world.hear(1, &signed("jis:a", 2, 3600, 1)), Ok(News::New));
    assert_eq!(world.ended(1), [("jis:a".to_string(), Some(Source::Network))]);
    assert_eq!(world.known(300, "jis:a"), Some((Source::Cache, 2)));
    // Old by our time to live: it is asked for, and known all the same if nobody answers.
    assert_eq!(world.known(301, "jis:a"), None);
    world.resolver.ask(at(301).mono, "jis:a").unwrap();
    assert_eq!(world.hear(302, &signed("jis:a", 1, 3600, 1)), Err(AnswerReject::Register(RegisterError::Stale)));
    assert_eq!(world.hear(302, &signed("jis:a", 9, 3600, 2)), Err(AnswerReject::Register(RegisterError::OtherKey)));
    assert_eq!(world.hear(302, &signed("jis:a", 9, 302, 1)), Err(AnswerReject::Register(RegisterError::Expired)));
    world.resolver.handle_timeout(at(306).mono);
    assert_eq!(world.ended(306), [("jis:a".to_string(), Some(Source::LastKnown))]);
    // The one who was asked answers late: it is news of a name that is known.
    assert_eq!(world.hear(400, &signed("jis:a", 3, 3600, 1)), Ok(News::Newer { moved: true }));
    assert_eq!(world.known(400, "jis:a"), Some((Source::Cache, 3)));
}

#[test]
fn the_operator_goes_first_and_pins_hold_for_answers() {
    let mut world = World::new(ResolveConfig { max_local: 1, ..ResolveConfig::default() });
    let key = SecretKey::from_seed(&[1; 32]).public();
    let _ = world.pins.pin("jis:a", key, Origin::Operator, NOW).unwrap();
    world.resolver.ask(at(0).mono, "jis:a").unwrap();
    assert_eq!(world.hear(0, &signed("jis:a", 9, 3600, 2)), Err(AnswerReject::Register(RegisterError::OtherKey)));
    assert_eq!(world.hear(0, &signed("jis:a", 1, 3600, 1)), Ok(News::New));
    world.resolver.set_local("jis:a", Address::parse("192.0.2.9:1").unwrap()).unwrap();
    assert_eq!(world.known(0, "jis:a"), Some((Source::Local, 0)));
    let more = world.resolver.set_local("jis:b", Address::parse("192.0.2.9:1").unwrap());
    assert_eq!(more, Err(ResolveError::TooMany(1)));
    assert!(world.resolver.remove_local("jis:a") && !world.resolver.remove_local("jis:a"));
    assert_eq!(world.known(0, "jis:a"), Some((Source::Cache, 1)));
    let peer = world.resolver.known(at(0).wall, "jis:b", &world.registry, |_| "192.0.2.1:1".parse().ok()).unwrap();
    assert_eq!((peer.source, peer.record), (Source::Peer, None));
}
