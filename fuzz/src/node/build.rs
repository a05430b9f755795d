//! Datagrams to be received.

use sluis_core::framing::{
    Decision, Encoding, Message, Number, Packet, PingType, Priority, Response, RoutingMode, Text, Value,
};
use sluis_core::limits::MAX_FRAME;
use sluis_core::time::iso;
use sluis_core::{Duration, Wall};

use super::ops::{self, Answered, OWN, Sent};

/// A datagram for this ping.
pub(super) fn ping(sent: &Sent, now: Wall) -> Vec<u8> {
    let seconds = Duration::from_secs(sent.stamp.unsigned_abs().into());
    let stamp = if sent.stamp < 0 { now.saturating_sub(seconds) } else { now.saturating_add(seconds) };
    let mut stamp_text = [0; 32];
    let (id, nonce, source) = (format!("ping_{}", sent.id % 16), format!("{:032x}", sent.nonce), ops::did(sent.sender));
    let target = match sent.target % 8 {
        0 => "broadcast".to_owned(),
        1 => "jis:other".to_owned(),
        _ => OWN.to_owned(),
    };
    let (intent, payload) = (ops::intent(sent.intent), ops::payload(sent.payload));
    let packet = Packet {
        packet_id: Text::new(&id),
        source_did: Text::new(&source),
        target_did: Text::new(&target),
        ping_type: PingType::ALL[usize::from(sent.kind) % PingType::ALL.len()],
        priority: Priority::Normal,
        routing_mode: RoutingMode::Direct,
        intent: Text::new(&intent),
        purpose: Text::new("fuzz"),
        payload: value(&payload),
        pod_id: (sent.form & 8 != 0).then(|| Text::new("kitchen")),
        station_id: None,
        hop_count: 0,
        max_hops: 5,
        nonce: Text::new(&nonce),
        timestamp: Text::new(iso::format(stamp, &mut stamp_text)),
        tibet_token_id: None,
        vouched_by: None,
        vouch_signature: None,
        signature: Text::EMPTY,
        proof: None,
    };
    let mut out = encode(&Message::Packet(packet), ops::encoding(sent.form));
    out.resize(out.len() + usize::from(sent.tail / 4), b'x');
    damage(&mut out, sent.damage);
    out
}

/// A datagram that answers the ping with this id, which `whom` was asked.
pub(super) fn response(answer: &Answered, packet_id: &str, whom: &str, now: Wall) -> Vec<u8> {
    let mut stamp_text = [0; 32];
    let payload = ops::payload(answer.payload);
    let who = answer.who.map_or_else(|| whom.to_owned(), ops::did);
    let response = Response {
        response_id: Text::new("resp_0123456789abcdef"),
        in_response_to: Text::new(packet_id),
        responder_did: Text::new(&who),
        decision: Decision::ALL[usize::from(answer.decision) % Decision::ALL.len()],
        payload: value(&payload),
        capabilities: Value::EMPTY_ARRAY,
        trust_score: Number::Float(0.5),
        fira_breakdown: Value::EMPTY_OBJECT,
        tibet_token_id: None,
        timestamp: Text::new(iso::format(now, &mut stamp_text)),
        rtt_ms: None,
        airlock_zone: Text::new("GROEN"),
        applied_rule: None,
        proof: None,
    };
    let mut out = encode(&Message::Response(response), ops::encoding(answer.form));
    damage(&mut out, answer.damage);
    out
}

pub(super) fn value(text: &str) -> Value<'_> {
    Value::from_json(text).expect("a payload of ours")
}

/// Change one byte.
pub(super) fn damage(bytes: &mut [u8], damage: Option<(u16, u8)>) {
    if let Some((at, with)) = damage
        && !bytes.is_empty()
    {
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= with;
    }
}

/// In this encoding, or where it has no form for the message, in JSON and with an empty payload.
fn encode(message: &Message<'_>, encoding: Encoding) -> Vec<u8> {
    let mut out = vec![0; MAX_FRAME];
    let empty = match *message {
        Message::Packet(packet) => Message::Packet(Packet { payload: Value::EMPTY_OBJECT, ..packet }),
        Message::Response(response) => Message::Response(Response { payload: Value::EMPTY_OBJECT, ..response }),
    };
    let len = message.encode(encoding, &mut out).or_else(|_| empty.encode(Encoding::Json, &mut out));
    out.truncate(len.expect("JSON has a form for it"));
    out
}
