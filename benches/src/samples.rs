//! What everything is measured with: a typical ping of 509 bytes of JSON, and its answer.

use sluis_core::framing::{Decision, Encoding, Number, Packet, PingType, Priority, Response, RoutingMode, Text, Value};
use sluis_core::limits::MAX_FRAME;

/// The hub's name.
pub const HUB: &str = "jis:home:hub";
/// The sensor's name.
pub const SENSOR: &str = "jis:home:sensor";
/// What is asked for.
pub const INTENT: &str = "temperature.report";
/// Why.
pub const PURPOSE: &str = "Periodic reading";
/// What is said.
pub const READING: &str = r#"{"value":21.5,"unit":"C","rh":48.2,"battery":87,"ok":true}"#;

/// Every encoding, with its name.
pub const ENCODINGS: [(Encoding, &str); 3] =
    [(Encoding::Json, "json"), (Encoding::Msgpack, "msgpack"), (Encoding::Postcard, "postcard")];

/// The reading as a value.
///
/// # Panics
/// Never: it is JSON.
#[must_use]
pub fn reading() -> Value<'static> {
    Value::from_json(READING).expect("the sample payload is JSON")
}

/// A typical ping.
#[must_use]
pub fn ping() -> Packet<'static> {
    Packet {
        packet_id: Text::new("ping_0123456789abcdef"),
        source_did: Text::new(SENSOR),
        target_did: Text::new(HUB),
        ping_type: PingType::Intent,
        priority: Priority::Normal,
        routing_mode: RoutingMode::Direct,
        intent: Text::new(INTENT),
        purpose: Text::new(PURPOSE),
        payload: reading(),
        pod_id: None,
        station_id: None,
        hop_count: 0,
        max_hops: 5,
        nonce: Text::new("00112233445566778899aabbccddeeff"),
        timestamp: Text::new("2025-01-15T12:00:00.123456+00:00"),
        tibet_token_id: None,
        vouched_by: None,
        vouch_signature: None,
        signature: Text::EMPTY,
        proof: None,
    }
}

/// Its answer.
///
/// # Panics
/// Never: what it holds is JSON.
#[must_use]
pub fn response() -> Response<'static> {
    Response {
        response_id: Text::new("resp_0123456789abcdef"),
        in_response_to: Text::new("ping_0123456789abcdef"),
        responder_did: Text::new(HUB),
        decision: Decision::Accept,
        payload: reading(),
        capabilities: Value::EMPTY_ARRAY,
        trust_score: Number::Float(0.9),
        fira_breakdown: Value::from_json(r#"{"score":0.9,"source":"known"}"#).expect("the sample breakdown is JSON"),
        tibet_token_id: None,
        timestamp: Text::new("2025-01-15T12:00:00.123999+00:00"),
        rtt_ms: None,
        airlock_zone: Text::new("GROEN"),
        applied_rule: None,
        proof: None,
    }
}

/// The typical ping as a frame.
///
/// # Panics
/// Never: every encoding can express it.
#[must_use]
pub fn ping_frame(encoding: Encoding) -> Vec<u8> {
    frame(|out| ping().encode(encoding, out).expect("the sample ping can be written"))
}

/// Its answer as a frame.
///
/// # Panics
/// Never: every encoding can express it.
#[must_use]
pub fn response_frame(encoding: Encoding) -> Vec<u8> {
    frame(|out| response().encode(encoding, out).expect("the sample response can be written"))
}

fn frame(write: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut out = vec![0; MAX_FRAME];
    let len = write(&mut out);
    out.truncate(len);
    out
}

#[cfg(test)]
mod tests {
    use super::{ping_frame, response_frame};
    use crate::floors::{
        JsonPing, JsonResponse, MsgpackPing, MsgpackResponse, PostcardPing, PostcardResponse, from_json, from_msgpack,
        from_postcard, to_json, to_msgpack, to_postcard,
    };
    use sluis_core::framing::Encoding;

    #[test]
    fn the_json_ping_has_the_size_that_the_figures_are_quoted_for() {
        assert_eq!(ping_frame(Encoding::Json).len(), 8 + 509);
    }

    /// A comparison says something only if both sides do the same work.
    #[test]
    fn floors_read_and_write_the_same_bytes() {
        let mut out = Vec::new();
        let (ping, response) = (ping_frame(Encoding::Json), response_frame(Encoding::Json));
        to_json(&from_json::<JsonPing<'_>>(&ping), &mut out);
        assert_eq!(out, ping[8..]);
        to_json(&from_json::<JsonResponse<'_>>(&response), &mut out);
        assert_eq!(out, response[8..]);

        let (ping, response) = (ping_frame(Encoding::Msgpack), response_frame(Encoding::Msgpack));
        to_msgpack(&from_msgpack::<MsgpackPing<'_>>(&ping), &mut out);
        assert_eq!(out, ping[8..]);
        to_msgpack(&from_msgpack::<MsgpackResponse<'_>>(&response), &mut out);
        assert_eq!(out, response[8..]);

        let (ping, response) = (ping_frame(Encoding::Postcard), response_frame(Encoding::Postcard));
        let mut out = [0; 2048];
        let len = to_postcard(&from_postcard::<PostcardPing<'_>>(&ping), &mut out);
        assert_eq!(out[..len], ping[8..]);
        let len = to_postcard(&from_postcard::<PostcardResponse<'_>>(&response), &mut out);
        assert_eq!(out[..len], response[8..]);
    }
}
