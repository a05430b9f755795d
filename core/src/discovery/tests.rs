//! Beacons and rules as they are read, and neighbours against a model.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::data::Value;
use crate::identity::{PublicKey, SecretKey};
use crate::{Did, Duration, Instant, Now, Path, Rng, Seed, Wall};

pub(super) const NOW: u64 = 1_764_400_000;

pub(super) fn rng() -> Rng {
    Seed::from_u64(3).fork("discovery")
}

pub(super) fn public(n: u8) -> PublicKey {
    SecretKey::from_seed(&[n; 32]).public()
}

pub(super) fn at(seconds: u64) -> Now {
    Now::new(Instant::ZERO + Duration::from_secs(seconds), Wall::from_secs(NOW + seconds))
}

fn json(call: &Call<'_>) -> String {
    let mut out = Vec::new();
    call.write_json(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

proptest! {
    #[test]
    fn what_we_call_is_what_is_read(domain in ".{0,8}", device in "[a-z]{1,8}", capability in ".{1,8}", port in any::<u16>(), wants in any::<bool>()) {
        let (capabilities, wanted) = ([capability.as_str()], ["jis:\u{e9}"]);
        let wants = if wants { &wanted[..] } else { &[] };
        let call = Call { kind: Kind::Answer, domain: &domain, device_type: &device, key: Some(public(1)), port, waited_ms: Some(7), capabilities: &capabilities, wants };
        let text = json(&call);
        let read = Beacon::read(Value::from_json(&text).unwrap()).unwrap();
        prop_assert!(read.domain == *domain && read.device_type == *device && read.kind == Kind::Answer);
        prop_assert_eq!((read.key_hash, read.port), (Some(key_hash(&public(1))), (port != 0).then_some(port)));
        prop_assert!(read.capabilities().eq(capabilities.iter().map(|text| crate::data::Text::new(text))));
        prop_assert_eq!((read.wants().count(), read.waited_ms), (wants.len(), Some(7)));
    }
}

#[test]
fn a_beacon_is_read_strictly() {
    for good in ["{}", r#"{"capabilities":null}"#, r#"{"other":[1,{}]}"#, r#"{"port":1,"public_key_hash":""}"#] {
        let beacon = Beacon::read(Value::from_json(good).unwrap()).unwrap();
        assert!(beacon.device_type == "generic" && beacon.kind == Kind::Call, "{good}");
    }
    let many = format!(r#"{{"wants":[{}"a"]}}"#, "\"a\",".repeat(32));
    let long = format!(r#"{{"domain":"{}"}}"#, "a".repeat(257));
    for bad in [
        "[]",
        "null",
        "1",
        r#"{"capabilities":"ab"}"#,
        r#"{"capabilities":[1]}"#,
        r#"{"capabilities":[["a"]]}"#,
        r#"{"capabilities":{}}"#,
    ]
    .into_iter()
    .chain([
        r#"{"device_type":1}"#,
        r#"{"port":0}"#,
        r#"{"port":65536}"#,
        r#"{"port":"1"}"#,
        r#"{"port":1.0}"#,
        r#"{"beacon":"x"}"#,
    ])
    .chain([r#"{"public_key_hash":"AB"}"#, &many, &long])
    {
        assert!(Beacon::read(Value::from_json(bad).unwrap()).is_err(), "{bad}");
    }
}

#[test]
fn rules_are_checked_when_they_are_loaded() {
    let mut rules = AutoVouch::new();
    let rule = RuleDraft { name: "sensors", device_type: Some("sensor"), ..RuleDraft::default() };
    assert_eq!(rules.add(&RuleDraft { device_type: None, ..rule }), Err(AutoVouchError::NoCondition));
    assert_eq!(rules.add(&RuleDraft { any: true, ..rule }), Err(AutoVouchError::AnyAndCondition));
    assert!(matches!(rules.add(&RuleDraft { source_pattern: Some("("), ..rule }), Err(AutoVouchError::Pattern(_))));
    assert!(matches!(rules.add(&RuleDraft { name: "", ..rule }), Err(AutoVouchError::Text(_))));
    assert!(matches!(rules.add(&RuleDraft { required_capabilities: &[" a"], ..rule }), Err(AutoVouchError::Text(_))));
    assert!(rules.is_empty());
    (0..64).for_each(|_| rules.add(&rule).unwrap());
    assert_eq!(rules.add(&rule), Err(AutoVouchError::TooMany));
    let beacon = Beacon::read(Value::from_json(r#"{"device_type":"sensor"}"#).unwrap()).unwrap();
    let judge = |proven| rules.judge(at(0).wall, "jis:a", Some(at(0).wall), &beacon, proven);
    assert_eq!((judge(false), judge(true)), (Verdict::Unproven, Verdict::AutoVouched { rule: "sensors", pod: None }));
}

struct Lan {
    hood: Neighbourhood,
    /// Each beacon is written later than the one before.
    heard: i64,
}

impl Lan {
    fn new(config: DiscoveryConfig) -> Self {
        Self { hood: Neighbourhood::new(Instant::ZERO, Did::new("jis:me").unwrap(), config, rng()), heard: 0 }
    }

    fn hear(
        &mut self,
        now: u64,
        did: &str,
        from: &str,
        key: Option<u8>,
        payload: &str,
    ) -> Result<Heard, DiscoveryReject> {
        let beacon = Beacon::read(Value::from_json(payload).unwrap()).unwrap();
        self.heard += 1;
        let stamp = Wall::from_micros(self.heard);
        self.hood.hear(at(now).mono, (Path::to(from.parse().unwrap()), 100), did, (key.map(public), stamp), &beacon)
    }
}

#[test]
fn a_call_is_answered_where_the_caller_listens_and_with_no_more_than_three_times_its_bytes() {
    let mut lan = Lan::new(DiscoveryConfig { domain: "d".into(), ..DiscoveryConfig::default() });
    assert_eq!(lan.hear(0, "jis:me", "192.0.2.1:9", None, r#"{"domain":"d"}"#), Err(DiscoveryReject::Own));
    assert_eq!(lan.hear(0, "jis:a", "192.0.2.1:9", None, "{}"), Err(DiscoveryReject::OtherDomain));
    assert_eq!(lan.hear(0, "jis:a", "192.0.2.1:0", None, r#"{"domain":"d"}"#), Err(DiscoveryReject::Port));
    let call = r#"{"domain":"d","port":7150,"wants":["jis:me"]}"#;
    assert_eq!(lan.hear(0, "jis:a", "192.0.2.1:40000", None, call), Ok(Heard::Found));
    assert_eq!(lan.hear(0, "jis:a", "192.0.2.1:40000", None, call), Ok(Heard::Known), "one answer is owed, not two");
    let half = Instant::ZERO + Duration::from_millis(500);
    let answer = lan.hood.poll_answer(half).unwrap();
    assert_eq!((answer.did, answer.path.remote, answer.budget), ("jis:a", "192.0.2.1:7150".parse().unwrap(), 300));
    assert_eq!(lan.hood.poll_answer(half), None);
    assert_eq!(
        lan.hear(1, "jis:a", "192.0.2.1:40000", None, r#"{"domain":"d","beacon":"answer","port":7150}"#),
        Ok(Heard::Known)
    );
    assert_eq!(lan.hood.poll_answer(at(9).mono), None, "an answer draws none");
}

/// Of a thousand that hear a call, some answer: about as many as it is to have.
#[test]
fn not_all_answer_at_once() {
    let mut lan = Lan::new(DiscoveryConfig { max_per_address: 1000, ..DiscoveryConfig::default() });
    for n in 0..1000 {
        lan.hear(0, &format!("jis:{n}"), "192.0.2.1:7150", None, r#"{"beacon":"answer"}"#).unwrap();
    }
    for n in 0..1000 {
        lan.hear(0, &format!("jis:{n}"), "192.0.2.1:7150", None, "{}").unwrap();
    }
    let mut answers = 0;
    while lan.hood.poll_answer(at(2).mono).is_some() {
        answers += 1;
    }
    assert!((1..=12).contains(&answers), "{answers} of 1000, where 3 are meant");
}

#[test]
fn a_flood_of_names_pushes_out_only_its_own() {
    let config =
        DiscoveryConfig { max_neighbours: 40, max_per_address: 4, max_answers: 8, ..DiscoveryConfig::default() };
    let mut lan = Lan::new(config);
    lan.hear(0, "jis:proven", "192.0.2.1:7150", Some(1), "{}").unwrap();
    lan.hear(0, "jis:plain", "192.0.2.2:7150", None, "{}").unwrap();
    for n in 0..10_000 {
        lan.hear(1, &format!("jis:{n}"), "192.0.2.9:7150", None, r#"{"wants":["jis:me"]}"#).unwrap();
    }
    assert_eq!(lan.hood.len(), 6);
    assert!(
        lan.hood.get("jis:proven").is_some()
            && lan.hood.get("jis:plain").is_some()
            && lan.hood.get("jis:9999").is_some()
    );
    // From many addresses: who has proven nothing makes way for others, who has stays.
    for n in 0..1000_u32 {
        let from = format!("198.51.{}.{}:7150", n / 250, n % 250);
        lan.hear(2, &format!("jis:{n}"), &from, None, "{}").unwrap();
    }
    assert_eq!(lan.hood.len(), 40);
    assert!(lan.hood.get("jis:proven").is_some() && lan.hood.get("jis:plain").is_none());
    let mut owed = 0;
    while lan.hood.poll_answer(at(9).mono).is_some() {
        owed += 1;
    }
    assert!(owed <= 8, "{owed}");
}

#[test]
fn what_was_proven_is_not_moved_nor_sent_away_by_who_proves_nothing() {
    let mut lan = Lan::new(DiscoveryConfig::default());
    let bye = r#"{"beacon":"goodbye"}"#;
    lan.hear(0, "jis:a", "192.0.2.1:7150", Some(1), "{}").unwrap();
    for key in [None, Some(2)] {
        assert_eq!(lan.hear(1, "jis:a", "192.0.2.9:7150", key, "{}"), Err(DiscoveryReject::Taken));
        assert_eq!(lan.hear(1, "jis:a", "192.0.2.9:7150", key, bye), Err(DiscoveryReject::Taken));
    }
    let moved = lan.hear(1, "jis:a", "192.0.2.2:7150", Some(1), "{}");
    assert_eq!(moved, Ok(Heard::Moved { from: "192.0.2.1:7150".parse().unwrap() }));
    assert_eq!(lan.hear(2, "jis:a", "192.0.2.2:7150", Some(1), bye), Ok(Heard::Gone));
    assert_eq!(lan.hear(2, "jis:a", "192.0.2.2:7150", Some(1), bye), Ok(Heard::Nobody));
    // Who has proven nothing may be sent away from his address only.
    lan.hear(3, "jis:b", "192.0.2.3:7150", None, "{}").unwrap();
    assert_eq!(lan.hear(3, "jis:b", "192.0.2.9:7150", None, bye), Err(DiscoveryReject::Taken));
    assert_eq!(lan.hear(3, "jis:b", "192.0.2.3:7150", None, bye), Ok(Heard::Gone));
    assert!(lan.hood.is_empty());
}

#[test]
fn we_call_and_neighbours_are_gone_in_time() {
    let mut lan = Lan::new(DiscoveryConfig::default());
    assert!(lan.hood.poll_call(Instant::ZERO) && !lan.hood.poll_call(Instant::ZERO));
    let next = lan.hood.next_timeout();
    assert!(next >= at(60).mono && next < at(68).mono && lan.hood.poll_call(next));
    lan.hear(70, "jis:a", "192.0.2.1:7150", None, r#"{"beacon":"answer"}"#).unwrap();
    lan.hear(80, "jis:b", "192.0.2.2:7150", Some(1), r#"{"beacon":"answer"}"#).unwrap();
    lan.hear(90, "jis:a", "192.0.2.1:7150", None, r#"{"beacon":"answer"}"#).unwrap();
    assert_eq!(lan.hood.poll_gone(at(259).mono), None);
    assert_eq!(lan.hood.poll_gone(at(269).mono).map(|(did, _)| did.to_string()).as_deref(), Some("jis:b"));
    assert_eq!(lan.hood.poll_gone(at(269).mono), None);
    assert_eq!(lan.hood.poll_gone(at(270).mono).map(|(did, _)| did.to_string()).as_deref(), Some("jis:a"));
}

#[derive(Clone, Debug)]
enum Op {
    Hear { did: u8, ip: u8, key: bool, kind: u8 },
    Poll(u64),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is heard: the tables hold their caps, answers go only to who called, each once, and nobody proven is lost but by his own word or by silence.
    #[test]
    fn neighbours_keep_their_promises(ops in prop::collection::vec(prop_oneof![
        6 => (0..12_u8, 0..4_u8, any::<bool>(), 0..3_u8).prop_map(|(did, ip, key, kind)| Op::Hear { did, ip, key, kind }),
        2 => (0..90_u64).prop_map(Op::Poll),
    ], 0..80)) {
        let config = DiscoveryConfig { max_neighbours: 6, max_per_address: 2, max_answers: 3, answers: 100, ..DiscoveryConfig::default() };
        let (mut lan, mut now) = (Lan::new(config), 0);
        let (mut proven, mut called) = (BTreeMap::<u8, u64>::new(), BTreeMap::<String, u32>::new());
        for op in ops {
            match op {
                Op::Hear { did, ip, key, kind } => {
                    let payload = [r#"{"beacon":"call"}"#, r#"{"beacon":"answer"}"#, r#"{"beacon":"goodbye"}"#][usize::from(kind)];
                    let name = format!("jis:{did}");
                    let heard = lan.hear(now, &name, &format!("192.0.2.{ip}:7150"), key.then_some(1), payload);
                    match heard {
                        Ok(Heard::Gone | Heard::Nobody) => { proven.remove(&did); }
                        Ok(_) => {
                            if key { proven.insert(did, now); }
                            if kind == 0 { *called.entry(name).or_default() += 1; }
                        }
                        Err(DiscoveryReject::Taken) => prop_assert!(!key),
                        Err(why) => prop_assert_eq!(why, DiscoveryReject::Full),
                    }
                }
                Op::Poll(seconds) => {
                    now += seconds;
                    while let Some((did, _)) = lan.hood.poll_gone(at(now).mono) {
                        let did: u8 = did.trim_start_matches("jis:").parse().unwrap();
                        if let Some(heard) = proven.remove(&did) { prop_assert!(heard + 180 <= now); }
                    }
                    while let Some(answer) = lan.hood.poll_answer(at(now).mono) {
                        let owed = called.get_mut(answer.did);
                        prop_assert_eq!(answer.budget, 300);
                        let owed = owed.filter(|owed| **owed > 0);
                        prop_assert!(owed.is_some());
                        owed.into_iter().for_each(|owed| *owed -= 1);
                    }
                    prop_assert!(lan.hood.next_timeout() > at(now).mono || lan.hood.poll_call(at(now).mono));
                }
            }
            prop_assert!(lan.hood.len() <= 6);
            for did in proven.keys() {
                let name = format!("jis:{did}");
                prop_assert_eq!(lan.hood.get(&name).and_then(|found| found.key), Some(public(1)));
            }
        }
    }
}

#[test]
fn a_copy_of_an_earlier_call_moves_nobody() {
    let mut lan = Lan::new(DiscoveryConfig::default());
    let beacon = Beacon::read(Value::from_json(r#"{"wants":["jis:me"]}"#).unwrap()).unwrap();
    let mut hear = |stamp, from: &str| {
        let (path, stamp) = (Path::to(from.parse().unwrap()), Wall::from_micros(stamp));
        lan.hood.hear(at(1).mono, (path, 100), "jis:a", (Some(public(1)), stamp), &beacon)
    };
    assert_eq!(hear(10, "192.0.2.1:7150"), Ok(Heard::Found));
    assert_eq!(hear(20, "192.0.2.2:7150"), Ok(Heard::Moved { from: "192.0.2.1:7150".parse().unwrap() }));
    assert_eq!(hear(10, "192.0.2.9:7150"), Err(DiscoveryReject::Replay));
    // On a second network at the same moment, or a copy: which of them is not told, so nothing changes.
    assert_eq!(hear(20, "192.0.2.9:7150"), Ok(Heard::Known));
    assert_eq!(lan.hood.get("jis:a").unwrap().addr, "192.0.2.2:7150".parse().unwrap());
    while let Some(answer) = lan.hood.poll_answer(at(9).mono) {
        assert_ne!(answer.path.remote, "192.0.2.9:7150".parse().unwrap());
    }
}

#[test]
fn who_only_asks_is_answered_and_is_no_neighbour() {
    let mut lan = Lan::new(DiscoveryConfig::default());
    let query = r#"{"beacon":"query"}"#;
    assert_eq!(lan.hear(0, "jis:asks", "192.0.2.1:7150", None, query), Ok(Heard::Asked));
    assert_eq!((lan.hood.get("jis:asks"), lan.hood.iter().count()), (None, 0));
    let answer = lan.hood.poll_answer(at(2).mono).unwrap();
    assert_eq!((answer.did, answer.waited), ("jis:asks", Duration::from_secs(2)));
    assert_eq!(lan.hear(3, "jis:asks", "192.0.2.1:7150", None, r#"{"beacon":"goodbye"}"#), Ok(Heard::Nobody));
    // Who comes to stay after all is found then, and stays found when it asks.
    assert_eq!(lan.hear(4, "jis:asks", "192.0.2.1:7150", None, query), Ok(Heard::Asked));
    assert_eq!(lan.hear(5, "jis:asks", "192.0.2.1:7150", None, "{}"), Ok(Heard::Found));
    assert_eq!(lan.hear(6, "jis:asks", "192.0.2.1:7150", None, query), Ok(Heard::Known));
    assert!(lan.hood.note("jis:asks", 7) && !lan.hood.note("jis:other", 7));
    assert_eq!(lan.hood.get("jis:asks").unwrap().note, 7);
}

#[test]
fn a_query_gets_more_answers_than_a_call_and_over_a_longer_time() {
    let mut lan = Lan::new(DiscoveryConfig { max_per_address: 1000, ..DiscoveryConfig::default() });
    for n in 0..500 {
        lan.hear(0, &format!("jis:{n}"), "192.0.2.1:7150", None, r#"{"beacon":"answer"}"#).unwrap();
    }
    for n in 0..500 {
        lan.hear(0, &format!("jis:{n}"), "192.0.2.1:7150", None, r#"{"beacon":"query"}"#).unwrap();
    }
    let (mut early, mut late) = (0, 0);
    while lan.hood.poll_answer(at(1).mono).is_some() {
        early += 1;
    }
    while lan.hood.poll_answer(at(2).mono).is_some() {
        late += 1;
    }
    assert!(
        early >= 1 && late >= 1 && (4..=25).contains(&(early + late)),
        "{early} and {late} of 500, where 10 are meant"
    );
}
