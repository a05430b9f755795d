//! Names, patterns, rules and times.

use arbitrary::{Arbitrary, Unstructured};
use sluis_core::airlock::{Gate, GateConfig, LegacyList, Pod, Rule, Subject, gate, glob};
use sluis_core::data::hex;
use sluis_core::framing::{PingType, Zone};
use sluis_core::time::iso;
use sluis_core::{Did, check_did};

/// What this target reads.
#[derive(Debug, Arbitrary)]
struct Input<'a> {
    timestamp: &'a str,
    pattern: &'a str,
    value: &'a str,
    source: &'a str,
    intent: &'a str,
    pod: Option<&'a str>,
    kind: u8,
    trust: f64,
    thresholds: (f64, f64),
    rules: Vec<Wish<'a>>,
}

/// A rule to be.
#[derive(Debug, Arbitrary)]
struct Wish<'a> {
    id: u8,
    remove: bool,
    source: Option<&'a str>,
    intent: Option<&'a str>,
    /// Make the patterns out of what is to be matched, so that they do.
    cut: Option<(u8, u8, u8)>,
    pod: Option<Option<&'a str>>,
    kind: Option<u8>,
    least: Option<f64>,
    zone: u8,
    priority: i8,
}

/// Timestamps, patterns and the gate, each against a plainer way to the same answer.
pub fn texts(data: &[u8]) {
    time(data);
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    time(input.timestamp.as_bytes());
    globs(input.pattern, input.value);
    globs(input.pattern, input.pattern);
    names(input.value);
    rules(&input);
}

/// A time that can be read is written in the one form that the reference writes, and that is read as the same time.
fn time(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let Some(wall) = iso::parse(text) else { return };
    let mut out = [0; 32];
    let written = iso::format(wall, &mut out).to_owned();
    let local = written.strip_suffix("+00:00").expect("UTC");
    assert!(local.len() == 19 || local.len() == 26, "{written}");
    // Times beyond the years 1 to 9999 have no such form; the nearest that has one is written.
    const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
    if !YEARS.contains(&wall.as_micros()) {
        return;
    }
    assert_eq!(iso::parse(&written), Some(wall), "{text} {written}");
    assert_eq!(iso::parse(&written.replace("+00:00", "Z")), Some(wall));
    assert_eq!(iso::parse(local), Some(wall), "no zone is UTC");
}

/// `_glob_match` of the reference's airlock, said anew.
fn plain_glob(pattern: &str, value: &str) -> bool {
    let (first, last) = (pattern.starts_with('*'), pattern.ends_with('*'));
    if pattern == "*" {
        true
    } else if first && last && pattern.chars().count() > 2 {
        value.contains(&pattern[1..pattern.len() - 1])
    } else if last {
        value.starts_with(&pattern[..pattern.len() - 1])
    } else if first {
        value.ends_with(&pattern[1..])
    } else {
        value == pattern
    }
}

fn globs(pattern: &str, value: &str) {
    assert_eq!(glob::matches(pattern, value), plain_glob(pattern, value), "{pattern:?} {value:?}");
    let mut legacy = LegacyList::default();
    if legacy.allow(pattern).is_ok() {
        assert_eq!(legacy.allows(value), plain_glob(pattern, value), "{pattern:?} {value:?}");
        assert!(legacy.disallow(pattern) && !legacy.allows(value));
    }
}

fn names(text: &str) {
    assert_eq!(Did::new(text).is_ok(), check_did(text).is_ok());
    if let Some(n) = hex::parse_u64(text.as_bytes()) {
        assert_eq!(hex::u64_digits(n), text.to_ascii_lowercase().as_bytes());
    }
}

fn zone(n: u8) -> Zone {
    Zone::ALL[usize::from(n) % Zone::ALL.len()]
}

fn kind(n: u8) -> PingType {
    PingType::ALL[usize::from(n) % PingType::ALL.len()]
}

/// A piece of the text, with stars where the bits say.
fn piece(text: &str, (start, len, stars): (u8, u8, u8)) -> String {
    let taken: String = text.chars().skip(usize::from(start % 64)).take(usize::from(len)).collect();
    let star = |bit: u8| if stars & bit == 0 { "" } else { "*" };
    format!("{}{taken}{}", star(1), star(2))
}

/// The gate with its guards agrees with asking every rule in turn.
fn rules(input: &Input<'_>) {
    let (groen, rood) = input.thresholds;
    let otherwise = (groen.to_bits() & 1 == 1).then_some(Zone::Geel);
    let config = GateConfig { groen, rood, otherwise, max_rules: 8, max_rule_bytes: 4096 };
    let Ok(mut gate) = Gate::new(config) else {
        assert!(!groen.is_finite() || !rood.is_finite() || rood > groen);
        return;
    };
    let subject =
        Subject { source_did: input.source, intent: input.intent, pod_id: input.pod, ping_type: kind(input.kind) };
    for wish in &input.rules {
        let id = format!("rule {}", wish.id % 12);
        if wish.remove {
            let known = gate.rules().iter().any(|rule| rule.id == id);
            assert_eq!(gate.remove_rule(&id), known);
            continue;
        }
        let pattern = |given: Option<&str>, of: &str| match wish.cut {
            Some(cut) => Some(piece(of, cut)),
            None => given.map(str::to_owned),
        };
        let mut rule = Rule::new(id.clone(), format!("{id} of {}", wish.priority), zone(wish.zone));
        rule.source_did = pattern(wish.source, input.source);
        rule.intent = pattern(wish.intent, input.intent);
        rule.pod_id = wish.pod.map(|pod| pod.map_or(Pod::None, |pod| Pod::Is(pod.to_owned())));
        rule.ping_type = wish.kind.map(kind);
        rule.min_trust = wish.least;
        rule.priority = wish.priority.into();
        rule.any = !rule.has_conditions();
        let before = gate.rules().len();
        let _ = gate.add_rule(&rule);
        assert!(gate.rules().len() >= before && gate.rules().len() <= 8);
    }
    assert!(gate.rules().is_sorted_by(|a, b| a.priority >= b.priority));
    for trust in [input.trust, groen, rood, 0.0, 1.0, f64::NAN] {
        let verdict = gate.judge(&subject, trust);
        assert_eq!(verdict, gate::judge(&config, gate.rules(), &subject, trust));
        let (capped, lent) = gate::unsigned_cap(verdict.zone, trust, &config);
        assert!(capped != Zone::Groen && (lent <= config.middle() || lent.is_nan()), "{capped} {lent}");
    }
}
