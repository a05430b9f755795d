//! What makes members a packet, whatever the encoding: types, defaults, and what must be there.

use super::error::DecodeError;
use super::packet::{Packet, Response};
use super::types::{Decision, PingType, Priority, RoutingMode};
use crate::data::value::Head;
use crate::data::{Number, Text, Value};

/// The members of a ping in declared order.
pub(super) const PACKET: [&str; 19] = [
    "packet_id",
    "source_did",
    "target_did",
    "ping_type",
    "priority",
    "routing_mode",
    "intent",
    "purpose",
    "payload",
    "pod_id",
    "station_id",
    "hop_count",
    "max_hops",
    "nonce",
    "timestamp",
    "tibet_token_id",
    "vouched_by",
    "vouch_signature",
    "signature",
];

/// The members of a response in declared order.
pub(super) const RESPONSE: [&str; 13] = [
    "response_id",
    "in_response_to",
    "responder_did",
    "decision",
    "payload",
    "capabilities",
    "trust_score",
    "fira_breakdown",
    "tibet_token_id",
    "timestamp",
    "rtt_ms",
    "airlock_zone",
    "applied_rule",
];

/// Make a ping of its members, given in declared order.
pub(super) fn packet(members: [Option<Value<'_>>; PACKET.len()]) -> Result<Packet<'_>, DecodeError> {
    let mut fields = Fields(members.into_iter());
    Ok(Packet {
        packet_id: fields.text()?,
        source_did: fields.text()?,
        target_did: fields.text()?,
        ping_type: fields.word(PingType::from_wire)?,
        priority: fields.priority()?,
        routing_mode: fields.word(RoutingMode::from_wire)?,
        intent: fields.text()?,
        purpose: fields.text()?,
        payload: fields.next().unwrap_or(Value::EMPTY_OBJECT),
        pod_id: fields.optional_text()?,
        station_id: fields.optional_text()?,
        hop_count: fields.int(0)?,
        max_hops: fields.int(5)?,
        nonce: fields.text_or(Text::EMPTY)?,
        timestamp: fields.text_or(Text::EMPTY)?,
        tibet_token_id: fields.optional_text()?,
        vouched_by: fields.optional_text()?,
        vouch_signature: fields.optional_text()?,
        signature: fields.text_or(Text::EMPTY)?,
    })
}

/// Make a response of its members, given in declared order.
pub(super) fn response(members: [Option<Value<'_>>; RESPONSE.len()]) -> Result<Response<'_>, DecodeError> {
    let mut fields = Fields(members.into_iter());
    Ok(Response {
        response_id: fields.text()?,
        in_response_to: fields.text()?,
        responder_did: fields.text()?,
        decision: fields.word(Decision::from_wire)?,
        payload: fields.next().unwrap_or(Value::EMPTY_OBJECT),
        capabilities: fields.value_like(Value::EMPTY_ARRAY, Value::is_array)?,
        trust_score: fields.number()?.unwrap_or(Number::Float(0.0)),
        fira_breakdown: fields.value_like(Value::EMPTY_OBJECT, Value::is_object)?,
        tibet_token_id: fields.optional_text()?,
        timestamp: fields.text_or(Text::EMPTY)?,
        rtt_ms: fields.optional_number()?,
        airlock_zone: fields.text_or(Text::new("ROOD"))?,
        applied_rule: fields.optional_text()?,
    })
}

/// Takes one member after the other, in declared order.
struct Fields<'a, const N: usize>(core::array::IntoIter<Option<Value<'a>>, N>);

impl<'a, const N: usize> Fields<'a, N> {
    fn next(&mut self) -> Option<Value<'a>> {
        self.0.next().flatten()
    }

    fn head(&mut self) -> Option<Head<'a>> {
        self.next()?.head(0).map(|(head, _)| head)
    }

    fn text(&mut self) -> Result<Text<'a>, DecodeError> {
        match self.head() {
            Some(Head::Str(text)) => Ok(text),
            Some(_) => Err(DecodeError::Mistyped),
            None => Err(DecodeError::MissingField),
        }
    }

    fn text_or(&mut self, default: Text<'a>) -> Result<Text<'a>, DecodeError> {
        match self.head() {
            Some(Head::Str(text)) => Ok(text),
            Some(_) => Err(DecodeError::Mistyped),
            None => Ok(default),
        }
    }

    fn optional_text(&mut self) -> Result<Option<Text<'a>>, DecodeError> {
        match self.head() {
            Some(Head::Str(text)) => Ok(Some(text)),
            Some(Head::Null) | None => Ok(None),
            Some(_) => Err(DecodeError::Mistyped),
        }
    }

    /// One of a closed set of words.
    fn word<T>(&mut self, from_wire: fn(&str) -> Option<T>) -> Result<T, DecodeError> {
        match self.head() {
            Some(Head::Str(text)) => text.resolve(&mut [0; 16]).ok().and_then(from_wire).ok_or(DecodeError::BadEnum),
            Some(_) => Err(DecodeError::BadEnum),
            None => Err(DecodeError::MissingField),
        }
    }

    fn priority(&mut self) -> Result<Priority, DecodeError> {
        match self.head() {
            Some(Head::Number(Number::Int(n))) => Priority::from_wire(n).ok_or(DecodeError::BadEnum),
            Some(_) => Err(DecodeError::BadEnum),
            None => Err(DecodeError::MissingField),
        }
    }

    fn int(&mut self, default: i64) -> Result<i64, DecodeError> {
        match self.head() {
            Some(Head::Number(Number::Int(n))) => Ok(n),
            Some(_) => Err(DecodeError::Mistyped),
            None => Ok(default),
        }
    }

    fn number(&mut self) -> Result<Option<Number<'a>>, DecodeError> {
        match self.head() {
            Some(Head::Number(number)) => Ok(Some(number)),
            Some(_) => Err(DecodeError::Mistyped),
            None => Ok(None),
        }
    }

    fn optional_number(&mut self) -> Result<Option<Number<'a>>, DecodeError> {
        match self.head() {
            Some(Head::Number(number)) => Ok(Some(number)),
            Some(Head::Null) | None => Ok(None),
            Some(_) => Err(DecodeError::Mistyped),
        }
    }

    fn value_like(&mut self, default: Value<'a>, like: fn(Value<'a>) -> bool) -> Result<Value<'a>, DecodeError> {
        match self.next() {
            Some(value) if like(value) => Ok(value),
            Some(_) => Err(DecodeError::Mistyped),
            None => Ok(default),
        }
    }
}
