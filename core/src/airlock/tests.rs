//! Gate, lists and tables against simple models.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::framing::{PingType, Zone};
use crate::time::{Duration, Instant};

fn word() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[ab*:]{0,12}", 4 => "\\*?[ab:]{1,10}\\*?", 1 => "[abé]{250,270}", 1 => Just("*".to_string())]
}

fn zone() -> impl Strategy<Value = Zone> {
    prop::sample::select(Zone::ALL)
}

/// Mostly patterns that a rule may have.
fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![9 => "\\*?[ab:]{0,6}\\*?", 1 => word()]
}

fn rule() -> impl Strategy<Value = Rule<String>> {
    let pod = prop_oneof![Just(Pod::None), "[ab]?".prop_map(Pod::Is)];
    let conditions = (
        prop::option::of(pattern()),
        prop::option::of(pattern()),
        prop::option::weighted(0.2, pod),
        prop::option::weighted(0.2, prop::sample::select(PingType::ALL)),
        prop::option::weighted(0.2, -0.5..1.5f64),
    );
    (0..30u8, conditions, zone(), -2..3i64).prop_map(
        |(n, (source_did, intent, pod_id, ping_type, min_trust), zone, priority)| {
            let new = Rule::new(format!("{n}"), format!("rule {n}"), zone);
            let rule = Rule { source_did, intent, pod_id, ping_type, min_trust, priority, ..new };
            Rule { any: !rule.has_conditions(), ..rule }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What the pattern means, spelled out.
    #[test]
    fn globs_mean_what_they_say(pattern in word(), value in word()) {
        let inner = || &pattern[1..pattern.len() - 1];
        let expected = match (pattern.starts_with('*'), pattern.ends_with('*')) {
            _ if pattern == "*" => true,
            (true, true) if pattern.len() > 2 => value.contains(inner()),
            (_, true) => value.starts_with(&pattern[..pattern.len() - 1]),
            (true, false) => value.ends_with(&pattern[1..]),
            (false, false) => value == pattern,
        };
        prop_assert_eq!(glob::matches(&pattern, &value), expected);
    }

    /// The slice without a heap judges like a list that is sorted and searched in the plainest way.
    #[test]
    fn a_slice_judges_by_the_first_of_the_highest(
        rules in prop::collection::vec(rule(), 0..20),
        (source_did, intent, trust) in (word(), word(), -0.5..1.5f64),
    ) {
        let subject = Subject { source_did: &source_did, intent: &intent, pod_id: None, ping_type: PingType::Intent };
        let config = GateConfig::default();
        let mut sorted = rules.clone();
        sorted.sort_by_key(|rule| core::cmp::Reverse(rule.priority));
        let expected = sorted.iter().find(|rule| rule.matches(&subject, trust));
        let verdict = gate::judge(&config, &rules, &subject, trust);
        prop_assert_eq!(verdict.rule, expected.map(|rule| &*rule.name));
        prop_assert_eq!(verdict.zone, expected.map_or(config.zone(trust), |rule| rule.zone));
    }
}

#[test]
fn an_unsigned_sender_gets_at_most_geel() {
    let config = GateConfig::default();
    assert_eq!(unsigned_cap(Zone::Groen, 0.9, &config), (Zone::Geel, 0.5));
    assert_eq!(unsigned_cap(Zone::Geel, 0.4, &config), (Zone::Geel, 0.4));
    assert_eq!(unsigned_cap(Zone::Rood, 0.9, &config), (Zone::Rood, 0.5));
    assert_eq!(unsigned_cap(Zone::Groen, f64::NAN, &config), (Zone::Geel, 0.0));
    let config = GateConfig { groen: 0.9, rood: 0.2, ..config };
    assert_eq!(unsigned_cap(Zone::Groen, 1.0, &config), (Zone::Geel, 0.55));
}

#[test]
fn trust_that_is_no_number_opens_nothing() {
    let config = GateConfig { groen: 0.0, rood: 0.0, ..GateConfig::default() };
    let subject = Subject { source_did: "a", intent: "b", pod_id: None, ping_type: PingType::Intent };
    let rules = [Rule { min_trust: Some(0.1), ..Rule::new("id", "trusted", Zone::Groen) }];
    assert_eq!(gate::judge(&config, &rules, &subject, f64::NAN).rule, None);
    assert_eq!(GateConfig::default().zone(f64::NAN), Zone::Rood);
}

#[test]
fn a_rule_that_would_not_do_what_it_says_is_refused() {
    let rule = |source: Option<&'static str>, intent: Option<&'static str>| Rule {
        source_did: source,
        intent,
        ..Rule::new("r", "r", Zone::Rood)
    };
    for star in ["jis:*:door", "a*b", "**", "*a*b", "a**", "**a", "*a*b*"] {
        assert_eq!(rule(Some(star), None).check(), Err(RuleError::Star { field: "source_did" }), "{star}");
        assert_eq!(rule(None, Some(star)).check(), Err(RuleError::Star { field: "intent" }), "{star}");
        assert!(glob::check(star).is_err());
    }
    for fine in ["*", "a*", "*a", "*a*", "a"] {
        assert_eq!(rule(Some(fine), None).check(), Ok(()), "{fine}");
    }
    // A ping may have an empty intent, and no empty sender.
    assert_eq!(rule(None, Some("")).check(), Ok(()));
    assert_eq!(rule(Some(""), None).check(), Err(RuleError::Nobody));
    let mut legacy = LegacyList::default();
    assert_eq!(legacy.allow(""), Err(LegacyError::Empty));
    assert_eq!((legacy.patterns.len(), legacy.allows("")), (0, false));
    // A pod is no pattern, and who writes a star there means one.
    for star in ["guest-*", "*", "a*b"] {
        let pod = Rule { pod_id: Some(Pod::Is(star)), ..rule(None, None) };
        assert_eq!(pod.check(), Err(RuleError::PodStar), "{star}");
    }
    for unseen in ["jis:a\u{1}", "jis:\u{85}a", "\u{1}*", "jis:a ", " jis:a", " ", "\t", "*\u{a0}", "jis:a\n"] {
        let pod = Rule { pod_id: Some(Pod::Is(unseen)), ..rule(None, None) };
        for (rule, field) in
            [(rule(Some(unseen), None), "source_did"), (rule(None, Some(unseen)), "intent"), (pod, "pod_id")]
        {
            assert_eq!(rule.check(), Err(RuleError::Unseen { field }), "{unseen:?}");
        }
    }
    assert_eq!(rule(Some("jis:a b"), Some("*a b*")).check(), Ok(()));
    for trust in [1.5, 1.0 + f64::EPSILON, -0.1, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        let trusted = Rule { min_trust: Some(trust), ..rule(None, None) };
        assert_eq!(trusted.check(), Err(RuleError::MinTrust), "{trust}");
    }
    for trust in [0.0, -0.0, 1.0] {
        assert_eq!(Rule { min_trust: Some(trust), ..rule(None, None) }.check(), Ok(()), "{trust}");
    }
    assert_eq!(rule(None, None).check(), Err(RuleError::NoCondition));
    assert_eq!(Rule { any: true, ..rule(None, None) }.check(), Ok(()));
    assert_eq!(Rule { any: true, ..rule(Some("a"), None) }.check(), Err(RuleError::AnyAndMore));
}

/// A rule that turns an intent away is evaded by writing it otherwise, unless something catches what no rule matches.
#[test]
fn what_no_rule_matches_is_caught() {
    let rules = [Rule { intent: Some("door.*"), ..Rule::new("no doors", "no doors", Zone::Rood) }];
    let zone = |otherwise, intent, trust| {
        let config = GateConfig { otherwise, ..GateConfig::default() };
        let subject = Subject { source_did: "jis:a", intent, pod_id: None, ping_type: PingType::Intent };
        gate::judge(&config, &rules, &subject, trust).zone
    };
    for intent in ["Door.open", " door.open", "door\u{200b}.open", "d\u{43e}or.open"] {
        assert_eq!(zone(None, intent, 0.9), Zone::Groen, "{intent}");
        assert_eq!(zone(Some(Zone::Geel), intent, 0.9), Zone::Geel, "{intent}");
        assert_eq!(zone(Some(Zone::Rood), intent, 0.9), Zone::Rood, "{intent}");
        // It opens nothing that trust would not.
        assert_eq!(zone(Some(Zone::Groen), intent, 0.1), Zone::Rood);
        assert_eq!(zone(Some(Zone::Geel), intent, 0.1), Zone::Rood);
    }
    assert_eq!(zone(Some(Zone::Geel), "door.open", 0.9), Zone::Rood, "a rule that matches decides");
    assert!(rules[0].is_evadable());
    assert!(!Rule { source_did: Some("jis:x"), ..Rule::new("r", "r", Zone::Rood) }.is_evadable());
    assert!(!Rule { intent: Some("x"), ..Rule::new("r", "r", Zone::Geel) }.is_evadable());
}

proptest! {
    /// A waiting room beside a plain list.
    #[test]
    fn a_waiting_room_is_a_list_with_ids(ops in prop::collection::vec((0..6u8, any::<u16>(), 0..200u64), 0..300)) {
        let config =
            WaitingConfig { capacity: 8, reserved: 3, reserved_for_proven: 1, lifetime: Duration::from_nanos(500) };
        let mut room: FixedWaitingRoom<u16, 8> = FixedWaitingRoom::new(config);
        let mut model: Vec<(WaitingId, u64, Claim, u16)> = Vec::new();
        let mut gone: Vec<WaitingId> = Vec::new();
        let mut now = 0;
        for (op, value, by) in ops {
            let at = usize::from(value) % model.len().max(1);
            let rank = [Rank::Stranger, Rank::Trusted, Rank::Proven][usize::from(value % 3)];
            let claim = Claim { rank, held: u32::from(value / 3 % 100) };
            match op {
                0 | 1 => match room.insert(Instant::from_nanos(now), claim, value) {
                    Ok(id) => model.push((id, now + 500, claim, value)),
                    Err(Full(back)) => {
                        let most = [5, 7, 8][rank as usize];
                        prop_assert_eq!((back, model.len() >= most), (value, true));
                    }
                },
                2 if !model.is_empty() => {
                    let (id, .., value) = model.remove(at);
                    prop_assert_eq!(room.remove(id), Some(value));
                    gone.push(id);
                }
                3 => {
                    // Of the weakest the first: of the lowest rank, and there of those that hold most, to a factor of two.
                    let class = |claim: Claim| claim.held.checked_ilog2().map_or(0, |log| (log + 1).min(7));
                    let weaker = |other: Claim| {
                        other.rank < rank || other.rank == rank && class(other) > class(claim)
                    };
                    let weakness = |other: Claim| (other.rank, u32::MAX - class(other));
                    let least = model.iter().filter(|(.., c, _)| weaker(*c)).map(|(.., c, _)| weakness(*c)).min();
                    let place = model.iter().position(|(.., c, _)| Some(weakness(*c)) == least && weaker(*c));
                    let found = room.weakest(claim);
                    prop_assert_eq!(found, place.map(|at| model[at].0));
                    if let (Some(old), Some(at)) = (found, place) {
                        let (_, _, was, old_value) = model.remove(at);
                        let (id, back) = room.replace(Instant::from_nanos(now), old, claim, value).unwrap();
                        prop_assert_eq!(back, old_value);
                        model.push((id, now + 500, Claim { rank: was.rank.max(rank), ..claim }, value));
                        gone.push(old);
                    }
                }
                _ => {
                    now += by;
                    let due = model.first().is_some_and(|(_, until, ..)| *until <= now);
                    let expected = due.then(|| model.remove(0));
                    let expired = room.expire_one(Instant::from_nanos(now));
                    prop_assert_eq!(expired, expected.map(|(id, .., value)| (id, value)));
                    gone.extend(expected.map(|(id, ..)| id));
                }
            }
            prop_assert_eq!(room.next_expiry(), model.first().map(|(_, until, ..)| Instant::from_nanos(*until)));
            prop_assert!(room.iter().map(|(id, value)| (id, *value)).eq(model.iter().map(|(id, .., v)| (*id, *v))));
            prop_assert_eq!((room.len(), room.is_full()), (model.len(), model.len() == 8));
            for (id, .., value) in &model {
                prop_assert_eq!(room.get(*id), Some(value));
            }
            for id in &gone {
                prop_assert_eq!(room.get(*id), None);
                prop_assert_eq!(room.remove(*id), None);
            }
        }
    }
}

#[cfg(feature = "alloc")]
mod heap {
    use super::*;
    use crate::did::DidError;
    use crate::seed::{Seed, SipKey};
    use crate::table::counted::Counted;

    fn key() -> SipKey {
        Seed::from_u64(5).fork("test").sip_key()
    }

    /// Whatever is done to a waiting room, and to the open pings that are kept in one, looks at the same few rows however many wait.
    #[test]
    fn no_step_of_a_waiting_room_depends_on_how_many_wait() {
        let most = |waiting: u32| {
            let config =
                WaitingConfig { capacity: 4096, reserved: 0, reserved_for_proven: 0, ..WaitingConfig::default() };
            let mut room: WaitingTable<u32, Counted> = WaitingTable::new(config);
            let claim = |held| Claim { rank: Rank::Trusted, held };
            let ids: Vec<_> = (0..waiting).map(|n| room.insert(Instant::ZERO, claim(n % 100), n).unwrap()).collect();
            // From the middle, the front, the back, and anywhere else.
            let places = [waiting / 2, 0, waiting - 1, waiting / 3, waiting / 5 * 4, 1].map(|at| ids[at as usize]);
            let mut steps = |run: &mut dyn FnMut(&mut WaitingTable<u32, Counted>)| {
                let before = room.entries_mut().steps();
                run(&mut room);
                room.entries_mut().steps() - before
            };
            let removals = places.map(|id| steps(&mut |room| assert!(room.remove(id).is_some())));
            let replaced = steps(&mut |room| {
                let old = room.weakest(claim(0)).unwrap();
                room.replace(Instant::ZERO, old, claim(0), 7).unwrap();
            });
            let expired = steps(&mut |room| assert!(room.expire_one(Instant::from_nanos(u64::MAX)).is_some()));
            removals.into_iter().chain([replaced, expired]).max().unwrap()
        };
        let (few, many) = (most(16), most(4096));
        assert!(many <= few && few <= 40, "{few} {many}");
    }

    #[derive(Clone, Debug)]
    enum GateOp {
        Add(Rule<String>),
        Remove(u8),
        Judge(String, String, Option<String>, PingType, f64),
    }

    fn gate_ops() -> impl Strategy<Value = Vec<GateOp>> {
        let judge = (word(), word(), prop::option::of("[ab]?"), prop::sample::select(PingType::ALL), -0.5..1.5f64);
        prop::collection::vec(
            prop_oneof![
                3 => rule().prop_map(GateOp::Add),
                1 => (0..30u8).prop_map(GateOp::Remove),
                4 => judge.prop_map(|(s, i, p, k, t)| GateOp::Judge(s, i, p, k, t)),
            ],
            0..80,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Guards and sorting change nothing: the gate judges like a slice of the rules in the order they were added.
        #[test]
        fn a_gate_judges_like_a_slice(ops in gate_ops()) {
            let mut gate = Gate::new(GateConfig { max_rules: 20, ..GateConfig::default() }).unwrap();
            let mut model: Vec<Rule<String>> = Vec::new();
            for op in ops {
                match op {
                    GateOp::Add(rule) => {
                        let known = model.iter().position(|r| r.id == rule.id);
                        let added = gate.add_rule(&rule);
                        if rule.source_did.as_ref().is_some_and(|t| t.len() > gate::MAX_RULE_TEXT)
                            || rule.intent.as_ref().is_some_and(|t| t.len() > gate::MAX_RULE_TEXT)
                        {
                            let too_long = matches!(added, Err(RuleError::TooLong { .. }));
                            prop_assert!(too_long);
                        } else if let Err(why) = rule.check() {
                            prop_assert_eq!(added, Err(why));
                        } else if known.is_none() && model.len() == 20 {
                            prop_assert_eq!(added, Err(RuleError::TooMany(20)));
                        } else {
                            prop_assert_eq!(added, Ok(()));
                            known.map(|at| model.remove(at));
                            model.push(rule);
                        }
                    }
                    GateOp::Remove(n) => {
                        let at = model.iter().position(|r| r.id == n.to_string());
                        prop_assert_eq!(gate.remove_rule(&n.to_string()), at.is_some());
                        at.map(|at| model.remove(at));
                    }
                    GateOp::Judge(source_did, intent, pod, ping_type, trust) => {
                        let (source_did, intent, pod_id) = (&*source_did, &*intent, pod.as_deref());
                        let subject = Subject { source_did, intent, pod_id, ping_type };
                        prop_assert_eq!(gate.judge(&subject, trust), gate::judge(gate.config(), &model, &subject, trust));
                    }
                }
                prop_assert!(gate.rules().is_sorted_by(|a, b| a.priority >= b.priority));
                prop_assert_eq!(gate.rules().len(), model.len());
            }
        }
    }

    #[test]
    fn rules_have_a_byte_cap_and_a_failed_add_changes_nothing() {
        let config = GateConfig { max_rule_bytes: 100, ..GateConfig::default() };
        let mut gate = Gate::new(config).unwrap();
        let rule =
            |id, len| Rule { intent: Some("x".repeat(len)), ..Rule::new(String::from(id), String::new(), Zone::Geel) };
        gate.add_rule(&rule("a", 50)).unwrap();
        assert_eq!(gate.add_rule(&rule("b", 60)), Err(RuleError::TooLarge(100)));
        assert_eq!(gate.add_rule(&rule("a", 100)), Err(RuleError::TooLarge(100)));
        assert_eq!(gate.rules().len(), 1);
        gate.add_rule(&rule("a", 99)).unwrap();
        assert!(gate.remove_rule("a") && !gate.remove_rule("a"));
        gate.add_rule(&rule("b", 99)).unwrap();
        let nan = Rule { min_trust: Some(f64::NAN), ..Rule::new("n", "n", Zone::Groen) };
        assert_eq!(gate.add_rule(&nan), Err(RuleError::MinTrust));
    }

    #[test]
    fn thresholds_are_checked() {
        let with = |groen, rood| Gate::new(GateConfig { groen, rood, ..GateConfig::default() }).err();
        assert_eq!(with(0.5, 0.5), None);
        assert_eq!(with(0.2, 0.8), Some(GateError::Inverted));
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(with(bad, 0.3), Some(GateError::NotFinite));
            assert_eq!(with(0.7, bad), Some(GateError::NotFinite));
        }
    }

    #[test]
    fn legacy_senders_are_the_listed_ones() {
        let mut list = LegacyList::new(2);
        assert!(!list.allows("jis:old:1"));
        list.allow("jis:old:*").unwrap();
        list.allow("jis:old:*").unwrap();
        assert!(list.allows("jis:old:1") && !list.allows("jis:new:1"));
        list.allow("*").unwrap();
        assert!(list.allows("jis:new:1"));
        assert_eq!(list.allow("x"), Err(LegacyError::TooMany(2)));
        assert_eq!(list.allow(&"x".repeat(300)), Err(LegacyError::TooLong(300)));
        for unseen in ["jis:a\u{1}*", "jis:a ", " *"] {
            assert_eq!(list.allow(unseen), Err(LegacyError::Unseen(glob::Unseen)), "{unseen:?}");
        }
        assert!(list.disallow("*") && !list.disallow("*"));
        assert!(list.allows("jis:old:1") && !list.allows("jis:new:1"));
    }

    #[test]
    fn trust_is_held_within_bounds() {
        let mut table = TrustTable::new(TrustConfig { max_entries: 3, ..TrustConfig::default() }, key());
        for (given, stored) in [(0.5, 0.5), (1.5, 1.0), (-0.1, 0.0), (f64::INFINITY, 1.0), (f64::NEG_INFINITY, 0.0)] {
            assert_eq!(table.set("a", given), Ok(stored));
            assert_eq!(table.get("a"), Some(stored));
        }
        assert_eq!(table.set("a", -0.0).map(f64::to_bits), Ok(0));
        assert_eq!(table.set("a", f64::NAN), Err(TrustError::NotANumber));
        assert_eq!(table.set("", 0.5), Err(TrustError::Did(DidError::Empty)));
        table.set("b", 0.2).unwrap();
        table.set("c", 0.2).unwrap();
        assert_eq!(table.set("d", 0.2), Err(TrustError::TooMany(3)));
        assert_eq!(table.set("a", 0.9), Ok(0.9));
        assert!(table.remove("b") && !table.remove("b"));
        table.set("d", 0.2).unwrap();
        assert_eq!((table.get("a"), table.get("c"), table.len()), (Some(0.9), Some(0.2), 3));
        assert_eq!((table.get("b"), table.get("d")), (None, Some(0.2)));
    }

    #[test]
    fn the_trust_table_never_passes_its_byte_cap() {
        let cap = 100_000;
        let mut table = TrustTable::new(TrustConfig { max_bytes: cap, ..TrustConfig::default() }, key());
        assert_eq!(table.heap_bytes(), 0);
        let mut n = 0;
        while table.set(&format!("jis:home:sensor:{n:06}"), 0.5).is_ok() {
            n += 1;
            assert!(table.heap_bytes() <= cap);
        }
        // As long as the others: a shorter one may still fit.
        assert_eq!(table.set("jis:home:sensor:nomore", 0.5), Err(TrustError::TooLarge(cap)));
        assert!(n > 1000 && table.heap_bytes() > cap - 10_000, "{n} {}", table.heap_bytes());
        assert!((0..n).all(|n| table.get(&format!("jis:home:sensor:{n:06}")) == Some(0.5)));
    }
}

#[cfg(feature = "serde")]
#[test]
fn rules_are_read_from_a_configuration() {
    let text =
        r#"{"id":"r1","name":"night","intent":"door.*","pod_id":{"is":"cellar"},"ping_type":"intent","zone":"GEEL"}"#;
    let rule: Rule<String> = serde_json::from_str(text).unwrap();
    let expected = Rule {
        intent: Some("door.*"),
        pod_id: Some(Pod::Is("cellar")),
        ping_type: Some(PingType::Intent),
        ..Rule::new("r1", "night", Zone::Geel)
    };
    assert_eq!(rule.as_view(), expected);
    let none: Rule<String> = serde_json::from_str(r#"{"id":"r","name":"n","pod_id":"none","zone":"ROOD"}"#).unwrap();
    assert_eq!(none.pod_id, Some(Pod::None));
    let misspelt = r#"{"id":"r","name":"n","intents":"door.*","zone":"ROOD"}"#;
    assert!(serde_json::from_str::<Rule<String>>(misspelt).is_err());
    let config: GateConfig = serde_json::from_str(r#"{"groen":0.8}"#).unwrap();
    assert_eq!(config, GateConfig { groen: 0.8, ..GateConfig::default() });
}
