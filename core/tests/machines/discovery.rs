//! `beacon.jsonl` and `discovery.jsonl`: what comes of a beacon.

use std::net::SocketAddr;

use sluis_core::data::Value;
use sluis_core::discovery::{AutoVouch, Beacon, DiscoveryConfig, Neighbourhood, RuleDraft, Verdict};
use sluis_core::framing::PingType;
use sluis_core::time::iso;
use sluis_core::{Did, Duration, Instant, Path, Seed, Wall};

use crate::common::{Deviations, Json, rows};

/// Load the rules of a row. A rule of the reference without conditions lets everybody in; here it has to say so, and where `say_so` is set, it does.
fn load(rules: &[Json], say_so: bool) -> Result<AutoVouch, String> {
    const KNOWN: [&str; 5] = ["name", "device_type", "required_capabilities", "source_pattern", "pod_id"];
    let mut loaded = AutoVouch::new();
    for rule in rules {
        let members = rule.object().unwrap();
        // What reads rules from a file knows these members, and each with its type.
        if let Some((key, _)) = members.iter().find(|(key, _)| !KNOWN.contains(&key.as_str())) {
            return Err(format!("unknown member {key}"));
        }
        let text = |key: &str| rule.get(key).map(|value| value.str().ok_or(format!("mistyped {key}"))).transpose();
        let required = match rule.get("required_capabilities") {
            None => Vec::new(),
            Some(list) => list.array().ok_or("mistyped required_capabilities")?.iter().filter_map(Json::str).collect(),
        };
        let (device_type, source_pattern) = (text("device_type")?, text("source_pattern")?);
        let draft = RuleDraft {
            name: text("name")?.unwrap_or("unnamed"),
            device_type,
            required_capabilities: &required,
            source_pattern,
            any: say_so && device_type.is_none() && required.is_empty() && source_pattern.is_none(),
            pod: text("pod_id")?,
        };
        loaded.add(&draft).map_err(|_| "refused when it is loaded".to_owned())?;
    }
    Ok(loaded)
}

/// A verdict in the reference's words.
fn shown(verdict: Verdict<'_>) -> String {
    match verdict {
        Verdict::TooOld => "rejected".to_owned(),
        Verdict::Future => "rejected: of the future".to_owned(),
        Verdict::BadName => "rejected: no name".to_owned(),
        Verdict::AutoVouched { rule, pod } => format!("auto_vouched {rule} {}", pod.unwrap_or("-")),
        Verdict::Ask => "hitl_pending".to_owned(),
        other => format!("{other:?}"),
    }
}

fn reference(response: &Json) -> String {
    let text = |key: &str| response.get(key).and_then(Json::str);
    let decision = text("decision").unwrap();
    match text("message").unwrap().strip_prefix("Auto-vouched via rule: ") {
        Some(rule) => format!("{decision} {rule} {}", text("assigned_pod").unwrap_or("-")),
        None => decision.to_owned(),
    }
}

#[test]
fn beacons() {
    // The rows that are about such a rule; in others it is in the way of what they are about.
    const ABOUT_ANY: [&str; 2] = ["rule_without_conditions_matches_all", "rule_empty_dict"];
    let mut deviations = Deviations::of("beacon.jsonl");
    let rows = rows("beacon.jsonl");
    assert_eq!(rows.len(), 62);
    for row in rows {
        let beacon = row.get("beacon").unwrap();
        let text = |key: &str| beacon.get(key).and_then(Json::str).unwrap();
        let payload = beacon.tagged().json().unwrap();
        let read = Beacon::read(Value::from_json(&payload).unwrap()).unwrap();
        #[allow(clippy::cast_possible_truncation, reason = "microseconds of a fixture")]
        let now = Wall::from_micros((row.get("now").and_then(Json::f64).unwrap() * 1e6).round() as i64);
        let ours = load(row.get("rules").and_then(Json::array).unwrap(), !ABOUT_ANY.contains(&row.id())).map(|rules| {
            // As a node whose operator takes senders without a key: the reference knows no other.
            shown(rules.judge(now, text("source_did"), iso::parse(text("timestamp")), &read, true))
        });
        let reference = row.get("response").map_or("refused when it is loaded".to_owned(), reference);
        deviations.check(row.id(), &reference, &ours.unwrap_or_else(|why| why));
    }
    deviations.finish();
}

#[test]
fn heard_on_the_group() {
    let mut deviations = Deviations::of("discovery.jsonl");
    let rows = rows("discovery.jsonl");
    assert_eq!(rows.len(), 10);
    for row in rows {
        let packet = row.get("packet").unwrap();
        let text = |key: &str| packet.get(key).and_then(Json::str).unwrap();
        let rules = load(row.get("rules").and_then(Json::array).unwrap(), true).unwrap();
        let addr = row.get("addr").and_then(Json::array).unwrap();
        let addr: SocketAddr = format!("{}:{}", addr[0].str().unwrap(), addr[1].int().unwrap()).parse().unwrap();
        let me = Did::new(row.str("device_did")).unwrap();
        let mut hood =
            Neighbourhood::new(Instant::ZERO, me, DiscoveryConfig::default(), Seed::from_u64(1).fork("test"));
        let now = iso::parse("2025-01-15T12:00:00+00:00").unwrap();
        let payload = packet.get("payload").unwrap().tagged().json().unwrap();
        let is_beacon = PingType::from_wire(text("ping_type")) == Some(PingType::Discover);
        let ours = match Beacon::read(Value::from_json(&payload).unwrap()) {
            _ if !is_beacon => "no beacon".to_owned(),
            Err(_) => "error".to_owned(),
            Ok(beacon) => {
                let stamp = iso::parse(text("timestamp"));
                let verdict = rules.judge(now, text("source_did"), stamp, &beacon, true);
                // What is out of its time is not heard at all.
                let fresh = !matches!(verdict, Verdict::TooOld | Verdict::Future);
                let heard = fresh
                    .then(|| hood.hear(Instant::ZERO, (Path::to(addr), 400), text("source_did"), (None, now), &beacon));
                match heard {
                    None => shown(verdict),
                    Some(Err(_)) => "ignored".to_owned(),
                    Some(Ok(_)) => format!("{} from {}", shown(verdict), hood.get(text("source_did")).unwrap().addr),
                }
            }
        };
        let later = hood.next_timeout().max(Instant::from_nanos(2_000_000_000));
        let answers = usize::from(hood.poll_answer(later).is_some());
        let callbacks = row.get("callbacks").and_then(Json::array).unwrap_or_default();
        let reference = match (row.get("error"), callbacks.first()) {
            (Some(_), _) => "error".to_owned(),
            (None, None) => "ignored".to_owned(),
            (None, Some(callback)) => format!("{} from {addr}", reference(callback)),
        };
        let sent = row.int("datagrams_sent");
        deviations.check(row.id(), &format!("{reference}, answers: {sent}"), &format!("{ours}, answers: {answers}"));
    }
    deviations.finish();
}

/// Two hundred devices that come up in one moment: within two intervals each knows all others, and hardly one hears more than five answers in a second.
#[test]
fn a_crowd_that_calls_at_once_gets_few_answers() {
    const CROWD: usize = 200;
    let did = |n: usize| format!("jis:{n:03}");
    let addr = |n: usize| SocketAddr::from(([192, 0, 2, u8::try_from(n).unwrap()], 7150));
    let mut hoods: Vec<_> = (0..CROWD)
        .map(|n| {
            let rng = Seed::from_u64(n as u64).fork("discovery");
            let config = DiscoveryConfig { interval: Duration::from_secs(10), ..DiscoveryConfig::default() };
            Neighbourhood::new(Instant::ZERO, Did::new(&did(n)).unwrap(), config, rng)
        })
        .collect();
    let call = Beacon::read(Value::EMPTY_OBJECT).unwrap();
    let answer = Value::from_json(r#"{"beacon":"answer"}"#).unwrap();
    let answer = Beacon::read(answer).unwrap();
    let (mut most, mut heard) = (0_usize, vec![vec![0_usize; 21]; CROWD]);
    for tick in 0..200_u64 {
        let now = Instant::from_nanos(tick * 100_000_000);
        for n in 0..CROWD {
            if hoods[n].poll_call(now) {
                let from = Path::to(addr(n));
                for (m, hood) in hoods.iter_mut().enumerate().filter(|(m, _)| *m != n) {
                    let _ = hood
                        .hear(now, (from, 400), &did(n), (None, Wall::MIN), &call)
                        .unwrap_or_else(|why| panic!("{m}: {why}"));
                }
            }
            while let Some(to) = hoods[n].poll_answer(now).map(|answer| answer.path.remote) {
                let m = (0..CROWD).find(|m| addr(*m) == to).unwrap();
                let _ = hoods[m].hear(now, (Path::to(addr(n)), 400), &did(n), (None, Wall::MIN), &answer).unwrap();
                let second = &mut heard[m][usize::try_from(tick / 10).unwrap()];
                *second += 1;
                most = most.max(*second);
            }
        }
    }
    assert!(hoods.iter().all(|hood| hood.len() == CROWD - 1));
    let all: usize = heard.iter().flatten().sum();
    assert!(all > CROWD, "somebody answers: {all}");
    // Three for each call on average, so that a second with some more is rare, and with many more does not happen.
    let above = heard.iter().flatten().filter(|heard| **heard > 5).count();
    assert!(most <= 12 && above * 20 <= CROWD * 21, "{most} at most, {above} seconds with more than five");
}
