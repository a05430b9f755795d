//! The two packets of the TP wire protocol, borrowed from the bytes they were decoded from.
//!
//! Field names, order and defaults are those of `tibet_ping.proto` 0.2.1 to 0.3.5.

use super::{Decision, Encoding, PingType, Priority, RoutingMode, Zone};
use crate::data::{Number, Text, Value};

/// A ping: who asks whom for what, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packet<'a> {
    /// Names this packet; a response repeats it. `ping_` and 16 hex digits when ours.
    pub packet_id: Text<'a>,
    /// The sender's DID.
    pub source_did: Text<'a>,
    /// The receiver's DID, or [`BROADCAST`](crate::limits::BROADCAST).
    pub target_did: Text<'a>,
    /// What the ping is for.
    pub ping_type: PingType,
    /// How urgent it is.
    pub priority: Priority,
    /// How it travels.
    pub routing_mode: RoutingMode,
    /// What is wanted, like `temperature.read`.
    pub intent: Text<'a>,
    /// Why, for people.
    pub purpose: Text<'a>,
    /// Application data: an object by convention, any value in practice. Missing: `{}`.
    pub payload: Value<'a>,
    /// The pod of the sender.
    pub pod_id: Option<Text<'a>>,
    /// The station of the sender.
    pub station_id: Option<Text<'a>>,
    /// Hops travelled so far. Missing: 0.
    pub hop_count: i64,
    /// Hops allowed. Missing: 5.
    pub max_hops: i64,
    /// Random text against replays; 32 hex digits when ours. Missing: empty.
    pub nonce: Text<'a>,
    /// ISO 8601 time of sending. Missing: empty.
    pub timestamp: Text<'a>,
    /// The provenance token of this packet.
    pub tibet_token_id: Option<Text<'a>>,
    /// DID of a voucher. Has no effect in the reference.
    pub vouched_by: Option<Text<'a>>,
    /// Signature of the voucher. Has no effect in the reference.
    pub vouch_signature: Option<Text<'a>>,
    /// Lower-case hex Ed25519 signature; empty when unsigned. Missing: empty.
    pub signature: Text<'a>,
}

/// Empty texts, `{}`, and the values that the reference gives to what is not said.
impl Default for Packet<'_> {
    fn default() -> Self {
        Self {
            packet_id: Text::EMPTY,
            source_did: Text::EMPTY,
            target_did: Text::EMPTY,
            ping_type: PingType::Intent,
            priority: Priority::Normal,
            routing_mode: RoutingMode::Direct,
            intent: Text::EMPTY,
            purpose: Text::EMPTY,
            payload: Value::EMPTY_OBJECT,
            pod_id: None,
            station_id: None,
            hop_count: 0,
            max_hops: 5,
            nonce: Text::EMPTY,
            timestamp: Text::EMPTY,
            tibet_token_id: None,
            vouched_by: None,
            vouch_signature: None,
            signature: Text::EMPTY,
        }
    }
}

/// The answer to a ping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response<'a> {
    /// Names this response. `resp_` and 16 hex digits when ours.
    pub response_id: Text<'a>,
    /// The `packet_id` of the ping.
    pub in_response_to: Text<'a>,
    /// Who answers.
    pub responder_did: Text<'a>,
    /// What was decided.
    pub decision: Decision,
    /// Application data. Missing: `{}`.
    pub payload: Value<'a>,
    /// What the responder can do: an array of texts by convention. Missing: `[]`.
    pub capabilities: Value<'a>,
    /// How far the responder trusts the sender. Missing: 0.0.
    pub trust_score: Number<'a>,
    /// Where that trust comes from: an object by convention. Missing: `{}`.
    pub fira_breakdown: Value<'a>,
    /// The responder's provenance token.
    pub tibet_token_id: Option<Text<'a>>,
    /// ISO 8601 time of answering. Missing: empty.
    pub timestamp: Text<'a>,
    /// The responder's own handling time in milliseconds.
    pub rtt_ms: Option<Number<'a>>,
    /// The zone as text: [`Zone::from_wire`](super::Zone::from_wire) knows the usual three. Missing: `ROOD`.
    pub airlock_zone: Text<'a>,
    /// Name of the rule that decided.
    pub applied_rule: Option<Text<'a>>,
}

/// A refusal with empty texts, and the values that the reference gives to what is not said.
impl Default for Response<'_> {
    fn default() -> Self {
        Self {
            response_id: Text::EMPTY,
            in_response_to: Text::EMPTY,
            responder_did: Text::EMPTY,
            decision: Decision::Reject,
            payload: Value::EMPTY_OBJECT,
            capabilities: Value::EMPTY_ARRAY,
            trust_score: Number::Float(0.0),
            fira_breakdown: Value::EMPTY_OBJECT,
            tibet_token_id: None,
            timestamp: Text::EMPTY,
            rtt_ms: None,
            airlock_zone: Text::new(Zone::Rood.as_str()),
            applied_rule: None,
        }
    }
}

/// What a TP frame holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    /// A ping.
    Packet(Packet<'a>),
    /// An answer.
    Response(Response<'a>),
}

/// A decoded TP frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame<'a> {
    /// How it was written, and how an answer to it must be written.
    pub encoding: Encoding,
    /// What it holds.
    pub message: Message<'a>,
}
