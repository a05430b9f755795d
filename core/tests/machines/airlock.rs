//! The airlock against the fixture tables: glob, timestamps, gate, replay window, vouches.
#![allow(clippy::disallowed_methods, reason = "tests read their fixtures from files")]

use crate::common::{Deviations, Json, Row, rows};
use sluis_core::airlock::{
    Expiry, Gate, GateConfig, Pod, ReplayConfig, ReplayWindow, Rule, Subject, TrustConfig, TrustTable, Vouch,
    VouchConfig, VouchRegistry, gate, glob,
};
use sluis_core::framing::{PingType, Zone};
use sluis_core::time::iso;
use sluis_core::{Duration, Instant, Now, Seed, SipKey, Wall};

fn key() -> SipKey {
    Seed::from_u64(1).fork("test").sip_key()
}

/// Wall time from the reference's seconds.
#[allow(clippy::cast_possible_truncation)]
fn wall(seconds: &Json) -> Wall {
    Wall::from_micros((seconds.f64().unwrap() * 1e6).round() as i64)
}

#[test]
fn globs() {
    let rows = rows("glob.jsonl");
    assert_eq!(rows.len(), 453);
    for row in rows {
        let (pattern, value) = (row.str("pattern"), row.str("value"));
        assert_eq!(glob::matches(pattern, value), row.bool("match"), "{pattern:?} {value:?}");
    }
}

#[test]
fn timestamps() {
    let rows = rows("timestamps.jsonl");
    assert_eq!(rows.len(), 79);
    for row in rows {
        let text = row.str("timestamp");
        let expected = row.bool("parse").then(|| row.int("epoch_us"));
        assert_eq!(iso::parse(text).map(Wall::as_micros), expected, "{text:?}");
    }
}

/// Texts that were generated from a grammar of near misses and given to CPython 3.11.7.
#[test]
fn timestamps_near_misses() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/python_timestamps.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut read = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (hex, micros) = line.split_once(' ').unwrap();
        let text = String::from_utf8(crate::common::unhex(hex)).unwrap();
        let expected = micros.parse::<i64>().ok();
        assert_eq!(iso::parse(&text).map(Wall::as_micros), expected, "{text:?}");
        read += usize::from(expected.is_some());
    }
    assert!(read > 1000, "{read}");
}

/// A rule of the reference, whose conditions are a free-form object, as one of ours.
fn rule(json: &Json) -> Result<Rule<String>, String> {
    let text = |key: &str| json.get(key).and_then(Json::str).unwrap().to_owned();
    let zone = Zone::from_wire(&text("zone")).unwrap();
    let mut rule = Rule::new(text("rule_id"), text("name"), zone);
    rule.priority = json.get("priority").and_then(Json::int).unwrap();
    for (key, value) in json.get("pattern").and_then(Json::object).unwrap() {
        let owned = value.str().map(str::to_owned);
        match key.as_str() {
            "source_did" => rule.source_did = owned,
            "intent" => rule.intent = owned,
            "pod_id" => rule.pod_id = Some(owned.map_or(Pod::None, Pod::Is)),
            "ping_type" => rule.ping_type = Some(PingType::from_wire(&owned.unwrap()).ok_or("ping_type")?),
            "min_trust" => {
                let number = value.f64().or_else(|| value.str()?.trim().parse().ok());
                rule.min_trust = Some(number.ok_or("min_trust")?);
            }
            other => return Err(format!("unknown condition {other}")),
        }
    }
    Ok(rule)
}

/// What our gate makes of a row, in words.
fn judged(row: &Row) -> Result<String, String> {
    let number = |key: &str| row.get(key).and_then(Json::f64).unwrap();
    let config = GateConfig { groen: number("groen"), rood: number("rood"), ..GateConfig::default() };
    let mut ours = Gate::new(config).map_err(|_| "error")?;
    let mut rules = Vec::new();
    for json in row.get("rules").and_then(Json::array).unwrap() {
        let rule = rule(json).map_err(|_| "error")?;
        ours.add_rule(&rule).map_err(|_| "error")?;
        rules.push(rule);
    }
    let packet = row.get("packet").unwrap();
    let text = |key: &str| packet.get(key).and_then(Json::str);
    let subject = Subject {
        source_did: text("source_did").unwrap(),
        intent: text("intent").unwrap(),
        pod_id: text("pod_id"),
        ping_type: PingType::from_wire(text("ping_type").unwrap()).unwrap(),
    };
    let mut table = TrustTable::new(TrustConfig::default(), key());
    let trust = table.set("jis:any", number("trust")).map_err(|_| "error")?;
    let verdict = ours.judge(&subject, trust);
    assert_eq!(verdict, gate::judge(&config, &rules, &subject, trust), "{}", row.id());
    let order: Vec<_> = ours.rules().iter().map(|r| r.name.as_str()).collect();
    let order = if row.get("order").is_some() { order.join(",") } else { String::new() };
    Ok(format!("{} {} {order}", verdict.zone, verdict.rule.unwrap_or("-")).trim_end().to_owned())
}

#[test]
fn gates() {
    let mut deviations = Deviations::of("airlock.jsonl");
    let rows = rows("airlock.jsonl");
    assert_eq!(rows.len(), 89);
    for row in rows {
        let reference = if row.get("error").is_some() {
            "error".to_owned()
        } else {
            let order = row.get("order").and_then(Json::array).unwrap_or_default();
            let order: Vec<_> = order.iter().filter_map(Json::str).collect();
            let rule = row.opt_str("applied_rule").unwrap_or("-");
            format!("{} {rule} {}", row.str("zone"), order.join(",")).trim_end().to_owned()
        };
        deviations.check(row.id(), &reference, &judged(&row).unwrap_or_else(|e| e));
    }
    deviations.finish();
}

/// Seconds of the reference, whole or not.
fn seconds(row: &Row, key: &str) -> Duration {
    Duration::from_secs_f64(row.get(key).and_then(Json::f64).unwrap())
}

#[test]
fn replays() {
    let mut deviations = Deviations::of("replay.jsonl");
    let rows = rows("replay.jsonl");
    assert_eq!(rows.len(), 35);
    for row in rows {
        let config =
            ReplayConfig { window: seconds(&row, "window"), skew: seconds(&row, "skew"), ..ReplayConfig::default() };
        let mut window = ReplayWindow::new(config, key());
        let (mut reference, mut ours) = (Vec::new(), Vec::new());
        for step in row.get("steps").and_then(Json::array).unwrap() {
            let tracked = step.get("tracked").and_then(Json::int).unwrap();
            let verdict = match step.get("replay").and_then(Json::bool) {
                Some(true) => "refused",
                Some(false) => "taken",
                None => "error",
            };
            reference.push(format!("{verdict} {tracked}"));
            let text = |key: &str| step.get(key).and_then(Json::str);
            let now = Now::new(Instant::ZERO, wall(step.get("now").unwrap()));
            let verdict = match (text("nonce"), text("timestamp")) {
                (Some(nonce), Some(stamp)) => match iso::parse(stamp) {
                    None => "refused",
                    Some(stamp) => match window.check(now, "jis:home:sensor", nonce, stamp) {
                        Err(_) => "refused",
                        Ok(admission) => {
                            window.admit(admission);
                            "taken"
                        }
                    },
                },
                // The codec does not let it come this far.
                _ => "error",
            };
            ours.push(format!("{verdict} {}", window.len()));
        }
        deviations.check(row.id(), &reference.join(", "), &ours.join(", "));
    }
    deviations.finish();
}

/// One op of `vouch.jsonl` on our registry: its outcome and that of the reference, in words.
fn vouch_op(registry: &mut VouchRegistry, op: &Json, refused: &mut bool) -> (String, String) {
    let now = wall(op.get("now").unwrap());
    let text = |key: &str| op.get(key).and_then(Json::str).unwrap();
    let shown = |trust: Option<f64>| trust.map_or("none".into(), |t| format!("{t:?}"));
    let (mut reference, mut ours) = match text("op") {
        "add" => {
            let vouch = op.get("vouch").unwrap();
            let text = |key: &str| vouch.get(key).and_then(Json::str);
            let number = |key: &str| vouch.get(key).and_then(Json::f64).unwrap();
            let vouched: Vec<_> = vouch.get("vouched_dids").and_then(Json::array).unwrap().to_vec();
            let vouched: Vec<_> = vouched.iter().filter_map(Json::str).collect();
            let expires = Expiry::from_text(text("expires_at"));
            let vouch = Vouch {
                id: text("vouch_id").unwrap(),
                voucher_did: text("voucher_did").unwrap(),
                voucher_trust: number("voucher_trust"),
                factor: number("vouch_factor"),
                vouched: &vouched,
                expires,
            };
            let expired = op.get("expired").and_then(Json::bool).unwrap();
            let reference = format!("add {}: expired {expired}", vouch.id);
            match registry.add(&vouch, now) {
                Ok(_) => (reference, format!("add {}: expired {}", vouch.id, expires.is_over(now))),
                Err(_) => {
                    *refused = true;
                    (reference, format!("add {}: refused", vouch.id))
                }
            }
        }
        "trust" => {
            let did = text("did");
            let ids: Vec<_> = op.get("active_vouches").and_then(Json::array).unwrap().to_vec();
            let ids: Vec<_> = ids.iter().filter_map(Json::str).collect();
            let our_ids: Vec<_> = registry.active_for(did, now).map(|(id, _)| id).collect();
            let found = registry.trust_for(did, now);
            assert!(found.is_none_or(|(_, count)| count as usize == our_ids.len()));
            let result = op.get("result").and_then(Json::f64);
            (
                format!("trust {did}: {} by {}", shown(result), ids.join("+")),
                format!("trust {did}: {} by {}", shown(found.map(|(trust, _)| trust)), our_ids.join("+")),
            )
        }
        "revoke" => {
            let id = text("vouch_id");
            let result = op.get("result").and_then(Json::bool).unwrap();
            (format!("revoke {id}: {result}"), format!("revoke {id}: {}", registry.revoke(id)))
        }
        other => panic!("{other}"),
    };
    if !*refused {
        let stats = op.get("stats").unwrap();
        let count = |key: &str| stats.get(key).and_then(Json::int).unwrap();
        let (total, active, devices) = (count("total_vouches"), count("active_vouches"), count("vouched_devices"));
        reference += &format!(" ({total} {active} {devices})");
        let stats = registry.stats(now);
        ours += &format!(" ({} {} {})", stats.total, stats.active, stats.devices);
    }
    (reference, ours)
}

#[test]
fn vouches() {
    let mut deviations = Deviations::of("vouch.jsonl");
    let rows = rows("vouch.jsonl");
    assert!(!rows.is_empty());
    for row in rows {
        let mut registry = VouchRegistry::new(VouchConfig::default(), key());
        let mut refused = false;
        let ops = row.get("ops").and_then(Json::array).unwrap();
        // Only the ops that differ are named; counts are left out once we refused what the reference took.
        let (mut reference, mut ours) = (Vec::new(), Vec::new());
        for op in ops {
            let (theirs, own) = vouch_op(&mut registry, op, &mut refused);
            if theirs != own {
                reference.push(theirs);
                ours.push(own);
            }
        }
        deviations.check(row.id(), &reference.join("; "), &ours.join("; "));
    }
    deviations.finish();
}
