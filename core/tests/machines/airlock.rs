//! The airlock against the fixture tables: glob, timestamps, gate, replay window, vouches.
#![allow(clippy::disallowed_methods, reason = "tests read their fixtures from files")]

use crate::common::{Deviations, Json, Row, rows};
use sluis_core::airlock::{
    Expiry, GateConfig, Pod, ReplayConfig, ReplayWindow, Rule, Subject, Vouch, VouchConfig, VouchRegistry, gate, glob,
};
use sluis_core::framing::{Decision, Encoding, Packet, PingType, Text, Zone};
use sluis_core::node::{Event, Node, NodeConfig};
use sluis_core::time::iso;
use sluis_core::{Datagrams, Did, Duration, Instant, Machine, Now, Reject, Seed, SipKey, Wall};

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
            other => panic!("{other}: such rows are left to the configuration"),
        }
    }
    Ok(rule)
}

/// Whether a rule of ours can have the conditions of this row. What comes of others is asked of the configuration, by the tests of the
/// command line.
fn is_expressible(row: &Row) -> bool {
    const CONDITIONS: [&str; 5] = ["source_did", "intent", "pod_id", "ping_type", "min_trust"];
    let rules = row.get("rules").and_then(Json::array).unwrap();
    let mut conditions = rules.iter().flat_map(|rule| rule.get("pattern").and_then(Json::object).unwrap());
    conditions.all(|(name, _)| CONDITIONS.contains(&name.as_str()))
}

/// What ours makes of a row: a node that stands where the reference's gate stands, with one person to ask.
fn judged(row: &Row) -> Result<Judged, String> {
    let number = |key: &str| row.get(key).and_then(Json::f64).unwrap();
    let gate = GateConfig { groen: number("groen"), rood: number("rood"), ..GateConfig::default() };
    let mut config = NodeConfig::new(Did::new("jis:home:hub").unwrap());
    config.gate = gate;
    let mut node = Node::new(config, &Seed::from_u64(1)).map_err(|_| "error")?;
    node.allow_legacy("*").unwrap();
    let mut rules = Vec::new();
    for json in row.get("rules").and_then(Json::array).unwrap() {
        let rule = rule(json).map_err(|_| "error")?;
        node.add_rule(&rule).map_err(|_| "error")?;
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
    // The table has one row without a sender, which no packet gets past the codec.
    let did = if subject.source_did.is_empty() { "jis:any" } else { subject.source_did };
    let trust = node.set_trust(did, number("trust")).map_err(|_| "error")?;
    let verdict = node.gate().judge(&subject, trust);
    assert_eq!(verdict, gate::judge(&gate, &rules, &subject, trust), "{}", row.id());
    let order: Vec<_> = node.gate().rules().iter().map(|r| r.name.as_str()).collect();
    let order = if row.get("order").is_some() { order.join(",") } else { String::new() };
    let gate = format!("{} {} {order}", verdict.zone, verdict.rule.unwrap_or("-")).trim_end().to_owned();
    let (decision, pending, asked) = taken(&mut node, &Subject { source_did: did, ..subject });
    Ok(Judged { gate, decision, pending, asked })
}

/// What comes of a packet: how it is judged, why it waits, and how often a person is asked.
#[derive(Debug, PartialEq)]
struct Judged {
    /// Zone, rule, and the order of the rules where the table has it.
    gate: String,
    decision: String,
    /// For each ping that waits, why: in the reference's words, from what our event says.
    pending: Vec<String>,
    asked: i64,
}

/// Hand a packet to the node: the decision, what waits afterwards, and how many decisions the application is asked for.
fn taken(node: &mut Node, subject: &Subject<'_>) -> (String, Vec<String>, i64) {
    let packet = Packet {
        packet_id: Text::new("ping_1"),
        source_did: Text::new(subject.source_did),
        target_did: Text::new("jis:home:hub"),
        ping_type: subject.ping_type,
        intent: Text::new(subject.intent),
        purpose: Text::new("a purpose that is long enough for two answers to this address, as any real packet is"),
        pod_id: subject.pod_id.map(Text::new),
        nonce: Text::new("n"),
        timestamp: Text::new("1970-01-01T00:00:00+00:00"),
        ..Packet::default()
    };
    let mut frame = [0; 4096];
    let len = packet.encode(Encoding::Json, &mut frame).unwrap();
    let now = Now::new(Instant::ZERO, Wall::from_micros(0));
    let from = std::net::SocketAddr::from(([192, 0, 2, 1], 7150));
    let decision = match node.handle_datagram(now, from.into(), &mut frame[..len]) {
        Ok(()) => None,
        // A heartbeat has nothing to wait for.
        Err(Reject::Rood | Reject::HeartbeatNotAccepted) => Some(Decision::Reject),
        Err(other) => panic!("{other}"),
    };
    let (mut said, mut asked, mut reasons) = (decision, 0, Vec::new());
    while let Some(event) = node.poll_event() {
        if let Event::Ping(ping) = event {
            said = Some(ping.decision);
            asked += i64::from(ping.wait.is_some());
            let rule = ping.rule.map_or(String::new(), |rule| format!(" (rule: {rule})"));
            reasons.push(format!("Trust {:.2} in {} zone{rule}", ping.trust, ping.zone));
        }
    }
    let heartbeat = subject.ping_type == PingType::Heartbeat;
    let said = said.or(heartbeat.then_some(Decision::Accept)).expect("a decision");
    reasons.truncate(node.waiting().count());
    (said.to_string(), reasons, asked)
}

#[test]
fn gates() {
    let mut deviations = Deviations::of("airlock.jsonl");
    let rows = rows("airlock.jsonl");
    assert_eq!(rows.len(), 89);
    let (mut waited, mut left) = (0, Vec::new());
    for row in rows {
        if !is_expressible(&row) {
            left.push(row.id().to_owned());
            continue;
        }
        let ours = judged(&row);
        let gate = ours.as_ref().map_or_else(Clone::clone, |ours| ours.gate.clone());
        if row.get("error").is_some() {
            deviations.check(row.id(), "error", &gate);
            continue;
        }
        let order = row.get("order").and_then(Json::array).unwrap_or_default();
        let order: Vec<_> = order.iter().filter_map(Json::str).collect();
        let rule = row.opt_str("applied_rule").unwrap_or("-");
        let reference = format!("{} {rule} {}", row.str("zone"), order.join(",")).trim_end().to_owned();
        deviations.check(row.id(), &reference, &gate);
        let Ok(ours) = ours else { continue };
        if ours.gate != reference {
            continue;
        }
        // Its decision, who waits and why, and how often its callback for a person was called.
        let pending = row.get("pending").and_then(Json::array).unwrap().len();
        let because = row.opt_str("pending_reason");
        let asked = row.get("hitl_calls").and_then(Json::int).unwrap();
        let heartbeat = row.get("packet").and_then(|p| p.get("ping_type")).and_then(Json::str) == Some("heartbeat");
        assert_eq!(because.is_some(), pending > 0, "{}", row.id());
        if heartbeat && row.str("zone") == "GEEL" {
            // Ours does not keep heartbeats waiting, see `Reject::HeartbeatNotAccepted`.
            assert_eq!((ours.decision.as_str(), ours.pending.len(), ours.asked), ("reject", 0, 0), "{}", row.id());
            continue;
        }
        let decided = (ours.decision.as_str(), ours.pending.len(), ours.asked);
        assert_eq!(decided, (row.str("decision"), pending, asked), "{}", row.id());
        assert_eq!(ours.pending.first().map(String::as_str), because, "{}", row.id());
        waited += pending;
    }
    assert!(waited > 0, "some wait");
    assert_eq!(left, ["pattern_unknown_key_ignored"]);
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
