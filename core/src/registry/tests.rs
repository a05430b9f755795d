//! Records in their one form, the registry against a plain model, challenges, and what a device costs.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::identity::{PublicKey, SecretKey, Statement};
use crate::pins::{Origin, PinConfig, Pins};
use crate::{Did, Duration, Instant, Path, Seed, Wall};

const NOW: u64 = 1_764_400_000;
const NAMES: [&str; 3] = ["jis:a", "jis:home:sensor", "é"];

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn public(n: u8) -> PublicKey {
    secret(n).public()
}

fn rng() -> crate::Rng {
    Seed::from_u64(7).fork("registry")
}

fn registry() -> Registry {
    Registry::new(RegistryConfig::default(), rng().sip_key())
}

fn pins() -> Pins {
    Pins::new(PinConfig::default(), rng().sip_key())
}

fn draft(did: &str, seq: u64) -> Draft<'_> {
    Draft { did, seq, issued: NOW, expires: NOW + 3600, ..Draft::default() }
}

fn signed(draft: &Draft<'_>, key: u8) -> Vec<u8> {
    draft.sign(&secret(key), &mut [0; Record::MAX_LEN]).unwrap().as_bytes().to_vec()
}

fn register(registry: &mut Registry, pins: &Pins, bytes: &[u8]) -> Result<Registered, RegisterError> {
    registry.register(Wall::from_secs(NOW), &Record::read(bytes).unwrap(), Heard::Directly, pins)
}

fn full() -> Draft<'static> {
    const ENDPOINTS: [Address<'_>; 2] = [
        Address::Host { name: "hub.example", port: 7150 },
        Address::Ip(core::net::SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 7)), 7150)),
    ];
    Draft {
        behind_nat: true,
        role: Role::Hybrid,
        endpoints: &ENDPOINTS,
        capabilities: &["temperature", "humidity", "temperature"],
        pods: &["kitchen"],
        stations: &["A"],
        metadata: &[("model", "x1"), ("fw", ""), ("model", "second")],
        ..draft(NAMES[1], 9)
    }
}

#[test]
fn a_record_says_what_was_signed_in_one_form() {
    let bytes = signed(&full(), 1);
    let record = Record::read(&bytes).unwrap();
    let claims = record.claims();
    assert_eq!((claims.did, claims.key, claims.seq), (NAMES[1], public(1), 9));
    assert_eq!((claims.issued, claims.expires, claims.behind_nat, claims.role), (NOW, NOW + 3600, true, Role::Hybrid));
    assert!(claims.endpoints().eq(full().endpoints.iter().copied()));
    assert_eq!(claims.capabilities().collect::<Vec<_>>(), ["humidity", "temperature"]);
    assert_eq!(
        (claims.pods().collect::<Vec<_>>(), claims.stations().collect::<Vec<_>>()),
        (["kitchen"].into(), ["A"].into())
    );
    assert_eq!(claims.metadata().collect::<Vec<_>>(), [("fw", ""), ("model", "x1")]);
    // Through text and back, and made anew from what it says: the same bytes.
    let (mut text, mut back) = ([0; Record::MAX_TEXT], [0; Record::MAX_LEN]);
    assert_eq!(Record::from_text(record.to_text(&mut text), &mut back), Some(&*bytes));
    let (endpoints, capabilities): (Vec<_>, Vec<_>) = (claims.endpoints().collect(), claims.capabilities().collect());
    let metadata: Vec<_> = claims.metadata().collect();
    let again = Draft { endpoints: &endpoints, capabilities: &capabilities, metadata: &metadata, ..full() };
    assert_eq!(signed(&again, 1), bytes);
}

#[test]
fn what_cannot_be_said_is_refused_when_it_is_made() {
    let long = "x".repeat(65);
    let (texts, value): (Vec<String>, _) = ((0..33).map(|n| format!("c{n:02}")).collect(), "v".repeat(129));
    let many: Vec<&str> = texts.iter().map(String::as_str).collect();
    let zero = [Address::Ip("192.0.2.1:0".parse().unwrap())];
    let twice = [Address::parse("192.0.2.1:1").unwrap(); 2];
    let did = "d".repeat(257);
    for (why, bad) in [
        ("a DID that is too long", Draft { did: &did, ..full() }),
        ("no DID", Draft { did: "", ..full() }),
        ("no time", Draft { expires: NOW, ..full() }),
        ("a capability that is too long", Draft { capabilities: &[&long], ..full() }),
        ("one that is not seen", Draft { capabilities: &[" a"], ..full() }),
        ("one that is empty", Draft { capabilities: &[""], ..full() }),
        ("too many", Draft { capabilities: &many, ..full() }),
        ("port 0", Draft { endpoints: &zero, ..full() }),
        ("an endpoint twice", Draft { endpoints: &twice, ..full() }),
        ("a value that is too long", Draft { metadata: &[("a", &value)], ..full() }),
        ("a value with a control character", Draft { metadata: &[("a", "\n")], ..full() }),
    ] {
        assert!(bad.sign(&secret(1), &mut [0; Record::MAX_LEN]).is_err(), "{why}");
    }
    // As much as lists allow is more than a record may be.
    let values: Vec<_> = (0..16).map(|n| (&*many[n], &value[..128])).collect();
    let mut buf = [0; Record::MAX_LEN];
    let too_long = Draft { metadata: &values, ..full() }.sign(&secret(1), &mut buf);
    assert_eq!(too_long.unwrap_err(), MakeRecordError::Record(RecordError::TooLong));
}

#[test]
fn endpoints_have_one_spelling() {
    for good in ["192.0.2.1:7150", "[2001:db8::1]:1", "hub:7150", "a.b-c_d.example:65535", "127.0.0.1:9"] {
        assert_eq!(Address::parse(good).unwrap().to_string(), good);
    }
    for bad in [
        "",
        ":1",
        "hub",
        "hub:",
        "hub:0",
        "hub:+1",
        "hub:65536",
        "0.0.0.0:1",
        "224.0.0.1:1",
        "255.255.255.255:1",
        "[::]:1",
    ]
    .into_iter()
    .chain([
        "[::ffff:192.0.2.1]:1",
        "[ff02::1]:1",
        "1.2.3:4",
        "a b:1",
        "a..b:1",
        ".a:1",
        "é:1",
        "[fe80::1%1]:1",
        "hub:1:2",
    ]) {
        assert!(Address::parse(bad).is_err(), "{bad}");
    }
}

#[derive(Clone, Debug)]
enum Op {
    Register { name: usize, key: u8, seq: u64, undo: bool },
    Rotate(u8, u8),
    Revoke(u8),
    Forget(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let (name, key) = (0..NAMES.len(), 1..5_u8);
    prop_oneof![
        6 => (name.clone(), key.clone(), 0..6_u64, any::<bool>())
            .prop_map(|(name, key, seq, undo)| Op::Register { name, key, seq, undo }),
        1 => (key.clone(), key.clone()).prop_map(|(old, new)| Op::Rotate(old, new)),
        1 => key.prop_map(Op::Revoke),
        1 => name.prop_map(Op::Forget),
    ]
}

/// The rules, written down plainly: the key and the number of each name, whether it was revoked, and who signed.
#[derive(Clone, Default)]
struct Model {
    devices: BTreeMap<usize, (u8, u64, bool, u8)>,
    retired: Vec<u8>,
}

impl Model {
    fn register(&mut self, name: usize, key: u8, seq: u64) -> Result<News, RegisterError> {
        match self.devices.get(&name).copied() {
            _ if self.retired.contains(&key) => return Err(RegisterError::Retired),
            Some((bound, _, revoked, _)) if bound != key || revoked => return Err(RegisterError::OtherKey),
            Some((_, known, _, by)) if seq < known || seq == known && by != key => return Err(RegisterError::Stale),
            Some((_, known, _, _)) if seq == known => return Ok(News::Same),
            _ => {}
        }
        let before = self.devices.insert(name, (key, seq, false, key));
        Ok(if before.is_some() { News::Newer { moved: false } } else { News::New })
    }

    fn retire(&mut self, key: u8, new: Option<u8>) {
        self.retired.push(key);
        for device in self.devices.values_mut().filter(|device| device.0 == key) {
            match new {
                Some(new) => device.0 = new,
                None => device.2 = true,
            }
        }
    }

    fn agrees(&self, registry: &Registry) {
        for (n, name) in NAMES.iter().enumerate() {
            let found = registry.get(name).map(|device| (device.key(), device.seq(), device.is_revoked()));
            assert_eq!(
                found,
                self.devices.get(&n).map(|(key, seq, revoked, _)| (public(*key), *seq, *revoked)),
                "{name}"
            );
        }
        assert_eq!(registry.len(), self.devices.len());
        // What a device can do follows its record: the name of each is its capability here.
        for (n, name) in NAMES.iter().enumerate() {
            let current = self.devices.get(&n).is_some_and(|(_, _, revoked, _)| !revoked);
            assert_eq!(registry.find(Wall::from_secs(NOW), name).count(), usize::from(current));
            let everywhere = self.devices.values().filter(|(_, _, revoked, _)| !revoked).count();
            assert_eq!(registry.find(Wall::from_secs(NOW), "all").count(), everywhere);
        }
    }
}

#[derive(Default)]
struct Kept(BTreeMap<Vec<u8>, Vec<u8>>);

impl Kept {
    fn keep(&mut self, change: &Change) {
        match change.record() {
            Some((key, Some(value))) => drop(self.0.insert(key.to_vec(), value.to_vec())),
            Some((key, None)) => drop(self.0.remove(key)),
            None => {}
        }
    }

    fn load(&self, reversed: bool) -> Registry {
        let mut registry = registry();
        let mut kept: Vec<_> = self.0.iter().collect();
        if reversed {
            kept.reverse();
        }
        for (key, value) in kept {
            assert_eq!(registry.restore(key, value, true), Ok(true));
        }
        registry
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_registry_follows_the_rules_and_survives(ops in prop::collection::vec(op(), 0..40)) {
        let (mut registry, mut pins, mut model, mut kept) = (registry(), pins(), Model::default(), Kept::default());
        for op in ops {
            match op {
                Op::Register { name, key, seq, undo } => {
                    let capabilities = [NAMES[name], "all"];
                    let bytes = signed(&Draft { capabilities: &capabilities, ..draft(NAMES[name], seq) }, key);
                    let before = model.clone();
                    let (done, expected) = (register(&mut registry, &pins, &bytes), model.register(name, key, seq));
                    prop_assert_eq!(done.as_ref().map(|done| done.news), expected.as_ref().copied());
                    let Ok(done) = done else { continue };
                    if undo && done.news != News::Same {
                        prop_assert!(registry.undo(&done.change));
                        model = before;
                    } else {
                        kept.keep(&done.change);
                    }
                }
                Op::Rotate(old, new) if old == new || model.retired.contains(&new) || model.retired.contains(&old) => {}
                Op::Rotate(old, new) => {
                    let statement = Statement::rotation(&secret(old), &secret(new), NOW).unwrap();
                    let _ = pins.retire(&statement, false).unwrap();
                    registry.retire(&statement).unwrap().iter().for_each(|change| kept.keep(change));
                    model.retire(old, Some(new));
                }
                Op::Revoke(key) if model.retired.contains(&key) => {}
                Op::Revoke(key) => {
                    let statement = Statement::revocation(&secret(key), NOW).unwrap();
                    let _ = pins.retire(&statement, false).unwrap();
                    registry.retire(&statement).unwrap().iter().for_each(|change| kept.keep(change));
                    model.retire(key, None);
                }
                Op::Forget(name) => {
                    let done = registry.forget(NAMES[name]);
                    prop_assert_eq!(done.is_some(), model.devices.remove(&name).is_some());
                    done.iter().for_each(|change| kept.keep(change));
                }
            }
            model.agrees(&registry);
        }
        model.agrees(&kept.load(false));
        model.agrees(&kept.load(true));
    }

    #[test]
    fn a_record_that_was_changed_anywhere_is_none(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut bytes = signed(&full(), 1);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Record::read(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_a_record_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
        let _ = Record::read(&bytes);
        let good = signed(&full(), 1);
        prop_assert!(Record::read(&good[..cut.index(good.len())]).is_err());
        prop_assert_eq!(Record::read(&[&good[..], &bytes[..]].concat()).is_ok(), bytes.is_empty());
    }
}

#[test]
fn a_name_stays_its_keys() {
    let (mut registry, mut pins) = (registry(), pins());
    let first = signed(&draft("jis:a", 5), 1);
    assert_eq!(register(&mut registry, &pins, &first).unwrap().news, News::New);
    for seq in [4, 5, 6, i64::MAX.unsigned_abs()] {
        assert_eq!(
            register(&mut registry, &pins, &signed(&draft("jis:a", seq), 2)).unwrap_err(),
            RegisterError::OtherKey
        );
    }
    // Also when its record is long over.
    let late = Draft { issued: NOW + 90_000, expires: NOW + 90_100, ..draft("jis:a", 9) };
    let (theft, own) = (signed(&late, 2), signed(&late, 1));
    let later = Wall::from_secs(NOW + 90_000);
    assert!(!registry.get("jis:a").unwrap().is_current(later));
    let theft = registry.register(later, &Record::read(&theft).unwrap(), Heard::Directly, &pins);
    assert_eq!(theft.unwrap_err(), RegisterError::OtherKey);
    let own = registry.register(later, &Record::read(&own).unwrap(), Heard::Directly, &pins).unwrap();
    assert_eq!(own.news, News::Newer { moved: false });
    // The operator may say otherwise, and then the past of the old key is not the new one's.
    let _ = pins.pin("jis:a", public(2), Origin::Operator, NOW).unwrap();
    assert_eq!(register(&mut registry, &pins, &first).unwrap_err(), RegisterError::OtherKey);
    let _ = register(&mut registry, &pins, &signed(&draft("jis:a", 1), 2)).unwrap();
    assert_eq!((registry.get("jis:a").unwrap().key(), registry.get("jis:a").unwrap().seq()), (public(2), 1));
    assert_eq!(registry.of_key(&public(1)).count(), 0);
}

#[test]
fn two_records_with_one_number_are_an_anomaly_of_their_signer() {
    let (mut registry, pins) = (registry(), pins());
    let _ = register(&mut registry, &pins, &signed(&draft("jis:a", 1), 1)).unwrap();
    let other = signed(&Draft { behind_nat: true, ..draft("jis:a", 1) }, 1);
    assert_eq!(register(&mut registry, &pins, &other).unwrap_err(), RegisterError::Conflict);
    assert_eq!(registry.get("jis:a").unwrap().history().anomalies, 1);
    let other = signed(&Draft { behind_nat: true, ..draft("jis:a", 1) }, 2);
    assert_eq!(register(&mut registry, &pins, &other).unwrap_err(), RegisterError::OtherKey);
    assert_eq!(registry.get("jis:a").unwrap().history().anomalies, 1, "nobody else can do that to it");
}

#[test]
fn devices_behind_one_address_are_told_apart() {
    let (mut registry, pins) = (registry(), pins());
    let endpoints = [Address::parse("203.0.113.1:7150").unwrap()];
    for (did, key) in [("jis:a", 1), ("jis:b", 2)] {
        let bytes = signed(&Draft { endpoints: &endpoints, behind_nat: true, ..draft(did, 1) }, key);
        let _ = register(&mut registry, &pins, &bytes).unwrap();
    }
    assert_eq!(registry.get("jis:a").unwrap().endpoint(), registry.get("jis:b").unwrap().endpoint());
    assert_ne!(registry.get("jis:a").unwrap().key(), registry.get("jis:b").unwrap().key());
    let roamed = signed(&Draft { endpoints: &[Address::parse("203.0.113.2:7150").unwrap()], ..draft("jis:a", 2) }, 1);
    assert_eq!(register(&mut registry, &pins, &roamed).unwrap().news, News::Newer { moved: true });
    assert_eq!(registry.get("jis:b").unwrap().endpoint(), Some(endpoints[0]));
}

#[test]
fn records_out_of_their_time_are_refused() {
    let (mut registry, pins) = (registry(), pins());
    let day = 86_400;
    for (issued, expires, expected) in [
        (NOW - 10, NOW, Some(RegisterError::Expired)),
        (NOW + 61, NOW + 100, Some(RegisterError::Future)),
        (NOW + 60, NOW + 100, None),
        (NOW, NOW + 30 * day + 1, Some(RegisterError::TooLong)),
        (NOW, NOW + 30 * day, None),
    ] {
        let bytes = signed(&Draft { issued, expires, ..draft("jis:a", expires) }, 1);
        assert_eq!(register(&mut registry, &pins, &bytes).err(), expected, "{issued} {expires}");
    }
}

#[test]
fn caps_hold_and_only_what_is_over_makes_way() {
    let config = RegistryConfig { max_devices: 3, max_offers: 4, ..RegistryConfig::default() };
    let (mut registry, pins) = (Registry::new(config, rng().sip_key()), pins());
    let record = |did: &str, expires, key| signed(&Draft { expires, ..draft(did, 1) }, key);
    let mut at = |at: u64, bytes: &[u8], heard| {
        registry.register(Wall::from_secs(at), &Record::read(bytes).unwrap(), heard, &pins).map(|done| done.news)
    };
    assert_eq!(at(NOW, &record("jis:a", NOW + 10, 1), Heard::Directly), Ok(News::New));
    assert_eq!(at(NOW, &record("jis:b", NOW + 10, 2), Heard::PassedOn), Ok(News::New));
    assert_eq!(at(NOW, &record("jis:c", NOW + 3600, 3), Heard::PassedOn), Ok(News::New));
    let newcomer = record("jis:d", NOW + 3600, 4);
    assert_eq!(at(NOW, &newcomer, Heard::Directly), Err(RegisterError::Full));
    assert_eq!(at(NOW + 10, &newcomer, Heard::Directly), Ok(News::New), "b was heard of by others, and is over");
    assert_eq!(
        at(NOW + 10, &record("jis:e", NOW + 3600, 5), Heard::Directly),
        Err(RegisterError::Full),
        "a is bound yet"
    );
    let capabilities = ["1", "2", "3", "4", "5"];
    let many = Draft { capabilities: &capabilities, ..draft("jis:d", 2) };
    assert_eq!(at(NOW + 10, &signed(&many, 4), Heard::Directly), Err(RegisterError::Full));
    let fits = Draft { capabilities: &capabilities[..4], ..many };
    assert_eq!(at(NOW + 10, &signed(&fits, 4), Heard::Directly), Ok(News::Newer { moved: false }));
    let fits = Draft { capabilities: &capabilities[1..], seq: 3, ..many };
    assert_eq!(
        at(NOW + 10, &signed(&fits, 4), Heard::Directly),
        Ok(News::Newer { moved: false }),
        "in the place of its own"
    );
    assert_eq!(
        (registry.find(Wall::from_secs(NOW), "1").count(), registry.find(Wall::from_secs(NOW), "5").count()),
        (0, 1)
    );
}

#[test]
fn one_key_speaks_for_64_names() {
    let (mut registry, pins) = (registry(), pins());
    for n in 0..64 {
        let _ = register(&mut registry, &pins, &signed(&draft(&format!("jis:{n}"), 1), 1)).unwrap();
    }
    let more = signed(&draft("jis:64", 1), 1);
    assert_eq!(register(&mut registry, &pins, &more).unwrap_err(), RegisterError::TooManyNames);
    let rotation = Statement::rotation(&secret(1), &secret(2), NOW).unwrap();
    assert_eq!(registry.retire(&rotation).unwrap().len(), 64);
    assert_eq!((registry.of_key(&public(1)).count(), registry.of_key(&public(2)).count()), (0, 64));
}

#[test]
fn damaged_records_of_a_store_are_said_and_change_nothing() {
    let (mut whole, pins, mut kept) = (registry(), pins(), Kept::default());
    kept.keep(&register(&mut whole, &pins, &signed(&full(), 1)).unwrap().change);
    let (key, value) = kept.0.iter().next().unwrap();
    for cut in 0..value.len() {
        assert!(registry().restore(key, &value[..cut], true).is_err(), "{cut}");
        let mut bad = value.clone();
        bad[cut] ^= 1;
        // The bound key, flags, counts and times are not signed; all else is.
        let mut other = registry();
        if other.restore(key, &bad, true) == Ok(true) {
            assert!((33..66).contains(&cut) || (1..33).contains(&cut), "{cut}");
            assert_eq!(other.get(NAMES[1]).unwrap().record().unwrap().as_bytes(), &value[66..]);
        }
    }
    assert_eq!(registry().restore(b"x", value, true), Ok(false));
    assert_eq!(registry().restore(b"", b"", true), Ok(false));
    assert!(registry().restore(b"djis:other", value, true).is_err());
}

/// A device with a name, an address, three capabilities, a pod and a role: at most 512 bytes, and finding by capability looks at what it finds.
#[test]
fn a_device_costs_at_most_512_bytes() {
    let n = 8192_u32;
    let config = RegistryConfig { max_devices: 1_000_000, max_offers: 4_000_000, ..RegistryConfig::default() };
    let (mut registry, pins) = (Registry::new(config, rng().sip_key()), pins());
    let mut seed = [0; 32];
    for device in 0..n {
        seed[..4].copy_from_slice(&device.to_be_bytes());
        let endpoints = [core::net::SocketAddr::from((device.to_be_bytes().map(|b| b | 1), 7150)).into()];
        let endpoints =
            if Address::check(endpoints[0]).is_ok() { endpoints } else { [Address::parse("192.0.2.1:1").unwrap()] };
        let did = format!("jis:building-7:floor-3:sensor-{device:06}");
        let draft = Draft {
            endpoints: &endpoints,
            capabilities: &["temperature", "humidity", if device % 1024 == 0 { "siren" } else { "battery" }],
            pods: &["kitchen"],
            role: Role::Hubby,
            ..draft(&did, u64::from(device))
        };
        let mut buf = [0; Record::MAX_LEN];
        let record = draft.sign(&SecretKey::from_seed(&seed), &mut buf).unwrap();
        let _ = registry.register(Wall::from_secs(NOW), &record, Heard::Directly, &pins).unwrap();
    }
    let each = registry.heap_bytes() / n as usize;
    assert!(each <= 512, "{each} bytes a device");
    assert_eq!(registry.find(Wall::from_secs(NOW), "siren").count(), 8);
    assert!(registry.capabilities().any(|found| found == ("temperature", n as usize)));
}

#[test]
fn a_challenge_is_answered_by_the_key_for_who_asked() {
    let timeout = Duration::from_secs(10);
    let mut challenges = Challenges::new(Did::new("jis:hub").unwrap(), rng(), 2, timeout);
    let path = Path::to("192.0.2.1:7150".parse().unwrap());
    let nonce = challenges.ask(Instant::ZERO, "jis:a", public(1), path).unwrap();
    let later = Instant::ZERO + Duration::from_secs(1);
    for wrong in [
        answer(&secret(2), "jis:hub", "jis:a", &nonce).unwrap(),
        answer(&secret(1), "jis:other", "jis:a", &nonce).unwrap(),
        answer(&secret(1), "jis:hub", "jis:b", &nonce).unwrap(),
        answer(&secret(1), "jis:hub", "jis:a", &[0; 32]).unwrap(),
    ] {
        assert_eq!(challenges.handle_answer(later, &nonce, &wrong), Err(AnswerError::Signature));
    }
    let right = answer(&secret(1), "jis:hub", "jis:a", &nonce).unwrap();
    let verified = challenges.handle_answer(later, &nonce, &right).unwrap();
    assert_eq!((verified.did.as_str(), verified.key, verified.path), ("jis:a", public(1), path));
    assert_eq!(verified.took, Duration::from_secs(1));
    assert_eq!(challenges.handle_answer(later, &nonce, &right), Err(AnswerError::Unknown), "once");

    let (a, _) = (
        challenges.ask(later, "jis:a", public(1), path).unwrap(),
        challenges.ask(later, "jis:b", public(2), path).unwrap(),
    );
    assert_eq!(challenges.ask(later, "jis:c", public(3), path), Err(AskError::Busy));
    assert_eq!(
        challenges.handle_answer(later, &a, &right),
        Err(AnswerError::Signature),
        "an answer to another challenge"
    );
    let over = later + timeout;
    let late = answer(&secret(1), "jis:hub", "jis:a", &a).unwrap();
    assert_eq!(challenges.handle_answer(over, &a, &late), Err(AnswerError::Unknown));
    assert_eq!(challenges.next_timeout(), Some(over));
    let ended: Vec<_> =
        core::iter::from_fn(|| challenges.expire_one(over)).map(|(did, wrong)| (did.to_string(), wrong)).collect();
    assert_eq!(
        ended,
        [("jis:a".to_string(), true), ("jis:b".to_string(), false)],
        "whether somebody there answered wrongly"
    );
    assert!(challenges.is_empty());
}
