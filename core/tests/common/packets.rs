//! Packets built from the decoded members that the tables hold.
#![allow(dead_code, unreachable_pub, reason = "every suite uses its own part of this")]

use sluis_core::framing::{Decision, Message, Number, Packet, PingType, Priority, Response, RoutingMode, Text, Value};

use crate::common::{Json, Row};

/// A value for the rest of the test run.
pub fn value(json: &Json) -> Option<Value<'static>> {
    let tagged = json.tagged();
    if let Some(text) = tagged.json() {
        let text: &'static str = text.leak();
        return Some(Value::from_json(text).unwrap_or_else(|e| panic!("{text}: {e}")));
    }
    let mut bytes = Vec::new();
    tagged.msgpack(&mut bytes)?;
    Value::from_msgpack(bytes.leak()).ok()
}

/// A text: plain where a Rust string can hold it.
fn text(json: &Json) -> Option<Text<'static>> {
    match json {
        Json::Str(plain) => Some(Text::new(plain.clone().leak())),
        _ => value(json)?.as_text(),
    }
}

fn optional(json: &Json) -> Option<Option<Text<'static>>> {
    if json.is_null() { Some(None) } else { text(json).map(Some) }
}

fn number(json: &Json) -> Option<Number<'static>> {
    value(json)?.as_number()
}

/// The packet or response with these members; `None` where one of them has a type that ours has no room for.
pub fn message(kind: &str, fields: &Json) -> Option<Message<'static>> {
    let get = |key: &str| fields.get(key).unwrap_or_else(|| panic!("no member {key}"));
    let packet = || {
        Some(Packet {
            packet_id: text(get("packet_id"))?,
            source_did: text(get("source_did"))?,
            target_did: text(get("target_did"))?,
            ping_type: PingType::from_wire(get("ping_type").str()?)?,
            priority: Priority::from_wire(get("priority").int()?)?,
            routing_mode: RoutingMode::from_wire(get("routing_mode").str()?)?,
            intent: text(get("intent"))?,
            purpose: text(get("purpose"))?,
            payload: value(get("payload"))?,
            pod_id: optional(get("pod_id"))?,
            station_id: optional(get("station_id"))?,
            hop_count: get("hop_count").int()?,
            max_hops: get("max_hops").int()?,
            nonce: text(get("nonce"))?,
            timestamp: text(get("timestamp"))?,
            tibet_token_id: optional(get("tibet_token_id"))?,
            vouched_by: optional(get("vouched_by"))?,
            vouch_signature: optional(get("vouch_signature"))?,
            signature: text(get("signature"))?,
            proof: None,
        })
    };
    let response = || {
        Some(Response {
            response_id: text(get("response_id"))?,
            in_response_to: text(get("in_response_to"))?,
            responder_did: text(get("responder_did"))?,
            decision: Decision::from_wire(get("decision").str()?)?,
            payload: value(get("payload"))?,
            capabilities: value(get("capabilities"))?,
            trust_score: number(get("trust_score"))?,
            fira_breakdown: value(get("fira_breakdown"))?,
            tibet_token_id: optional(get("tibet_token_id"))?,
            timestamp: text(get("timestamp"))?,
            rtt_ms: if get("rtt_ms").is_null() { None } else { Some(number(get("rtt_ms"))?) },
            airlock_zone: text(get("airlock_zone"))?,
            applied_rule: optional(get("applied_rule"))?,
            proof: None,
        })
    };
    match kind {
        "packet" => packet().map(Message::Packet),
        "response" => response().map(Message::Response),
        _ => panic!("unknown kind {kind}"),
    }
}

/// The message that a row describes, where it describes one.
pub fn of_row(row: &Row) -> Option<Message<'static>> {
    let fields = row.get("fields").filter(|fields| !fields.is_null())?;
    message(row.str("kind"), fields)
}
