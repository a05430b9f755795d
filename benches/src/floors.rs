//! The same packets as serde structs: what an implementer without our codecs would write, and what ours are measured
//! against.
//!
//! They borrow all they can. JSON leaves free-form members as [`RawValue`] and postcard as text, both as our codecs do;
//! rmp-serde has no raw values, so there they are structs of exactly what the samples hold, which is less work than
//! taking whatever comes. None of them checks enumerations, limits or hops; ours do.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sluis_core::framing::{Decision, PingType, Priority, RoutingMode};

/// A ping. `K`, `Q` and `M` stand for kind, priority and routing mode, `P` for the payload.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Ping<'a, K, Q, M, P> {
    packet_id: &'a str,
    source_did: &'a str,
    target_did: &'a str,
    ping_type: K,
    priority: Q,
    routing_mode: M,
    intent: &'a str,
    purpose: &'a str,
    payload: P,
    pod_id: Option<&'a str>,
    station_id: Option<&'a str>,
    hop_count: i64,
    max_hops: i64,
    nonce: &'a str,
    timestamp: &'a str,
    tibet_token_id: Option<&'a str>,
    vouched_by: Option<&'a str>,
    vouch_signature: Option<&'a str>,
    signature: &'a str,
}

/// A response. `D` stands for the decision, `N` for numbers, `P`, `C` and `F` for payload, capabilities and breakdown.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Response<'a, D, N, P, C, F> {
    response_id: &'a str,
    in_response_to: &'a str,
    responder_did: &'a str,
    decision: D,
    payload: P,
    capabilities: C,
    trust_score: N,
    fira_breakdown: F,
    tibet_token_id: Option<&'a str>,
    timestamp: &'a str,
    rtt_ms: Option<N>,
    airlock_zone: &'a str,
    applied_rule: Option<&'a str>,
}

/// The payload of [`samples`](crate::samples), typed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading<'a> {
    value: f64,
    unit: &'a str,
    rh: f64,
    battery: u8,
    ok: bool,
}

/// Where trust comes from, typed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Breakdown<'a> {
    score: f64,
    source: &'a str,
}

/// A number as our postcard form has it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum PackedNumber<'a> {
    /// Fits.
    Int(i64),
    /// Fits without a sign.
    Uint(u64),
    /// Its digits.
    Big(&'a str),
    /// Not an integer.
    Float(f64),
}

/// A ping as serde_json sees it.
pub type JsonPing<'a> = Ping<'a, &'a str, u8, &'a str, &'a RawValue>;
/// A response as serde_json sees it.
pub type JsonResponse<'a> = Response<'a, &'a str, f64, &'a RawValue, &'a RawValue, &'a RawValue>;
/// A ping as rmp-serde sees it.
pub type MsgpackPing<'a> = Ping<'a, &'a str, u8, &'a str, Reading<'a>>;
/// A response as rmp-serde sees it.
pub type MsgpackResponse<'a> = Response<'a, &'a str, f64, Reading<'a>, [u8; 0], Breakdown<'a>>;
/// A ping as postcard sees it.
pub type PostcardPing<'a> = Ping<'a, PingType, Priority, RoutingMode, &'a str>;
/// A response as postcard sees it.
pub type PostcardResponse<'a> = Response<'a, Decision, PackedNumber<'a>, &'a str, &'a str, &'a str>;

/// A floor failed on what ours wrote: a bug in this crate.
fn must<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|e| panic!("a floor does not understand the sample: {e:?}"))
}

/// Decode what is behind the header of a frame.
#[must_use]
pub fn from_json<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> T {
    must(serde_json::from_slice(&frame[8..]))
}

/// Encode into a buffer that is used again.
pub fn to_json<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    out.clear();
    must(serde_json::to_writer(out, value));
}

/// Decode what is behind the header of a frame.
#[must_use]
pub fn from_msgpack<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> T {
    must(rmp_serde::from_slice(&frame[8..]))
}

/// Encode into a buffer that is used again, structs as maps as on the wire.
pub fn to_msgpack<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    out.clear();
    must(value.serialize(&mut rmp_serde::Serializer::new(out).with_struct_map()));
}

/// Decode what is behind the header of a frame.
#[must_use]
pub fn from_postcard<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> T {
    must(postcard::from_bytes(&frame[8..]))
}

/// Encode into a buffer that is used again; how many bytes.
pub fn to_postcard<T: Serialize>(value: &T, out: &mut [u8]) -> usize {
    must(postcard::to_slice(value, out)).len()
}
