//! Doing to a node what was done to it.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::read::{BadRecord, Object};
use super::settings;
use crate::airlock::{Expiry, Pod, Rule, Vouch};
use crate::framing::{PingType, Priority, RoutingMode, Zone};
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::line::Version;
use crate::node::{Node, OpenId, Ping, Reply, RequestId, WaitId};
use crate::time::Wall;
use crate::{Datagrams, Machine, Unsent};

/// Do to the node what was done to it. What comes of it the node writes down itself.
pub(super) fn feed(node: &mut Node, input: &str, line: Object<'_>, version: Version) -> Result<(), BadRecord> {
    match input {
        "datagram" => {
            let _ = node.handle_datagram(line.at()?, line.path()?, &mut line.hex("hex")?);
        }
        "timeout" => node.handle_timeout(line.at()?),
        "unsent" => {
            let why =
                Unsent::from_code(line.u64("why")?).ok_or(BadRecord("has a reason that this program does not know"))?;
            node.handle_unsent(line.at()?, line.path()?, &line.hex("hex")?, why);
        }
        "poll_reply" => {
            node.poll_reply();
        }
        "poll_notice" => {
            node.poll_notice();
        }
        "poll_transmit" => {
            let room = if line.has("room") { line.number("room")? } else { MAX_DATAGRAM_V6 };
            node.poll_transmit(line.at()?, &mut vec![0; room.min(MAX_DATAGRAM_V6)]);
        }
        "ping" => ping(node, line)?,
        "address" => node.note_address(line.parsed("addr")?),
        "forget" => {
            node.forget(RequestId::from_bits(line.u64("request")?));
        }
        "respond" => {
            let _ = node.respond(line.at()?, id(line, OpenId::read)?, line.value("payload")?.as_value());
        }
        "approve" => {
            let _ = node.approve(line.at()?, id(line, WaitId::read)?);
        }
        "reject" => {
            let _ = node.reject(line.at()?, id(line, WaitId::read)?);
        }
        _ => setting(node, input, line, version)?,
    }
    Ok(())
}

/// What operators do.
fn setting(node: &mut Node, input: &str, line: Object<'_>, version: Version) -> Result<(), BadRecord> {
    match input {
        "set_trust" => {
            let _ = node.set_trust(&line.text("did")?, line.parsed("trust")?);
        }
        "remove_trust" => {
            node.remove_trust(&line.text("did")?);
        }
        "allow_legacy" => {
            let _ = node.allow_legacy(&line.text("pattern")?);
        }
        "disallow_legacy" => {
            node.disallow_legacy(&line.text("pattern")?);
        }
        "add_rule" => {
            let _ = node.add_rule(&rule(line, version)?);
        }
        "remove_rule" => {
            node.remove_rule(&line.text("id")?);
        }
        "vouch" => vouch(node, line)?,
        "revoke_vouch" => {
            node.revoke_vouch(&line.text("id")?);
        }
        "set_reply" => {
            let reply = if line.has("payload") { Reply::Now(line.value("payload")?) } else { Reply::Later };
            let _ = node.set_reply(&line.text("pattern")?, reply);
        }
        "set_heartbeat" => {
            let _ = node.set_heartbeat(line.value("payload")?.as_value(), line.maybe("pod_id")?.as_deref());
        }
        "remove_reply" => {
            node.remove_reply(&line.text("pattern")?);
        }
        _ => return Err(BadRecord("has an input that this program does not know")),
    }
    Ok(())
}

fn id<I>(line: Object<'_>, read: impl Fn(&str) -> Option<I>) -> Result<I, BadRecord> {
    read(&line.text("id")?).ok_or(BadRecord("has no id of a ping"))
}

fn word<T>(line: Object<'_>, key: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, BadRecord> {
    read(&line.text(key)?).ok_or(BadRecord("has a word that this program does not know"))
}

fn ping(node: &mut Node, line: Object<'_>) -> Result<(), BadRecord> {
    let (target, intent, purpose) = (line.text("target")?, line.text("intent")?, line.text("purpose")?);
    let (pod, station, payload) = (line.maybe("pod_id")?, line.maybe("station_id")?, line.value("payload")?);
    let priority = Priority::from_wire(line.i64("priority")?).ok_or(BadRecord("has an unknown priority"))?;
    let mut ping = Ping::new(&target, line.path()?, &intent);
    ping.purpose = &purpose;
    ping.payload = payload.as_value();
    ping.ping_type = word(line, "ping_type", PingType::from_wire)?;
    ping.priority = priority;
    ping.routing_mode = word(line, "routing_mode", RoutingMode::from_wire)?;
    (ping.pod_id, ping.station_id) = (pod.as_deref(), station.as_deref());
    ping.encoding = settings::encoding(&line.text("encoding")?)?;
    ping.timeout = line.span("timeout")?;
    let _ = node.ping(line.at()?, &ping);
    Ok(())
}

fn rule(line: Object<'_>, version: Version) -> Result<Rule<String>, BadRecord> {
    let mut rule = Rule::new(line.text("id")?, line.text("name")?, word(line, "zone", Zone::from_wire)?);
    (rule.source_did, rule.intent) = (line.maybe("source_did")?, line.maybe("intent")?);
    rule.pod_id = match line.maybe("pod_id")? {
        Some(id) => Some(Pod::Is(id)),
        None => line.has("no_pod").then_some(Pod::None),
    };
    rule.ping_type = line.has("ping_type").then(|| word(line, "ping_type", PingType::from_wire)).transpose()?;
    (rule.min_trust, rule.priority) = (line.parsed_maybe("min_trust")?, line.i64("priority")?);
    // A rule without conditions did not have to say so in the first version.
    rule.any = line.has("any") || version == Version::One && !rule.has_conditions();
    Ok(rule)
}

fn vouch(node: &mut Node, line: Object<'_>) -> Result<(), BadRecord> {
    let (id, voucher, vouched) = (line.text("id")?, line.text("voucher_did")?, line.texts("vouched")?);
    let vouched: Vec<&str> = vouched.iter().map(String::as_str).collect();
    let expires = match line.maybe("expires")?.as_deref() {
        Some("never") => Expiry::Never,
        Some(_) => Expiry::Unreadable,
        None => Expiry::After(Wall::from_micros(line.i64("after")?)),
    };
    let (voucher_trust, factor) = (line.parsed("voucher_trust")?, line.parsed("factor")?);
    let vouch = Vouch { id: &id, voucher_did: &voucher, voucher_trust, factor, vouched: &vouched, expires };
    let _ = node.vouch(&vouch, Wall::from_micros(line.i64("wall")?));
    Ok(())
}
