//! postcard frames against the `postcard` crate: mirrors of the two packets with serde's derive are the oracle.

use proptest::option;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use sluis_core::data::{EncodeError, Number, ParseError, Text, Unrepresentable, Value};
use sluis_core::framing::{
    Decision, DecodeError, Encoding, Frame, Message, Packet, PingType, Priority, Response, RoutingMode,
};
use sluis_core::limits::{HEADER_LEN, MAX_FRAME};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum PingTypeMirror {
    Discover,
    Intent,
    Heartbeat,
    Relay,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum PriorityMirror {
    Lazy,
    Normal,
    Urgent,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum RoutingModeMirror {
    Direct,
    Mesh,
    Broadcast,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum DecisionMirror {
    Accept,
    Pending,
    Reject,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum NumberMirror {
    Int(i64),
    Uint(u64),
    Big(String),
    Float(f64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PacketMirror {
    packet_id: String,
    source_did: String,
    target_did: String,
    ping_type: PingTypeMirror,
    priority: PriorityMirror,
    routing_mode: RoutingModeMirror,
    intent: String,
    purpose: String,
    payload: String,
    pod_id: Option<String>,
    station_id: Option<String>,
    hop_count: i64,
    max_hops: i64,
    nonce: String,
    timestamp: String,
    tibet_token_id: Option<String>,
    vouched_by: Option<String>,
    vouch_signature: Option<String>,
    signature: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ResponseMirror {
    response_id: String,
    in_response_to: String,
    responder_did: String,
    decision: DecisionMirror,
    payload: String,
    capabilities: String,
    trust_score: NumberMirror,
    fira_breakdown: String,
    tibet_token_id: Option<String>,
    timestamp: String,
    rtt_ms: Option<NumberMirror>,
    airlock_zone: String,
    applied_rule: Option<String>,
}

impl NumberMirror {
    fn number(&self) -> Number<'_> {
        match self {
            Self::Int(n) => Number::Int(*n),
            Self::Uint(n) => Number::from(*n),
            Self::Big(digits) => Value::from_json(digits).unwrap().as_number().unwrap(),
            Self::Float(x) => Number::Float(*x),
        }
    }
}

fn optional(text: &Option<String>) -> Option<Text<'_>> {
    text.as_deref().map(Text::new)
}

fn json(text: &str) -> Value<'_> {
    Value::from_json(text).unwrap()
}

impl PacketMirror {
    fn packet(&self) -> Packet<'_> {
        Packet {
            packet_id: Text::new(&self.packet_id),
            source_did: Text::new(&self.source_did),
            target_did: Text::new(&self.target_did),
            ping_type: PingType::ALL[self.ping_type as usize],
            priority: Priority::ALL[self.priority as usize],
            routing_mode: RoutingMode::ALL[self.routing_mode as usize],
            intent: Text::new(&self.intent),
            purpose: Text::new(&self.purpose),
            payload: json(&self.payload),
            pod_id: optional(&self.pod_id),
            station_id: optional(&self.station_id),
            hop_count: self.hop_count,
            max_hops: self.max_hops,
            nonce: Text::new(&self.nonce),
            timestamp: Text::new(&self.timestamp),
            tibet_token_id: optional(&self.tibet_token_id),
            vouched_by: optional(&self.vouched_by),
            vouch_signature: optional(&self.vouch_signature),
            signature: Text::new(&self.signature),
            proof: None,
        }
    }
}

impl ResponseMirror {
    fn response(&self) -> Response<'_> {
        Response {
            response_id: Text::new(&self.response_id),
            in_response_to: Text::new(&self.in_response_to),
            responder_did: Text::new(&self.responder_did),
            decision: Decision::ALL[self.decision as usize],
            payload: json(&self.payload),
            capabilities: json(&self.capabilities),
            trust_score: self.trust_score.number(),
            fira_breakdown: json(&self.fira_breakdown),
            tibet_token_id: optional(&self.tibet_token_id),
            timestamp: Text::new(&self.timestamp),
            rtt_ms: self.rtt_ms.as_ref().map(NumberMirror::number),
            airlock_zone: Text::new(&self.airlock_zone),
            applied_rule: optional(&self.applied_rule),
            proof: None,
        }
    }
}

fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![b'T', b'P', 1, flags];
    frame.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn encode(message: &Message<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![0; MAX_FRAME];
    let len = message.encode(Encoding::Postcard, &mut out)?;
    out.truncate(len);
    Ok(out)
}

/// What the crate writes.
fn theirs(mirror: &impl Serialize) -> Vec<u8> {
    let mut out = vec![0; 1 << 20];
    postcard::to_slice(mirror, &mut out).unwrap().to_vec()
}

fn text() -> BoxedStrategy<String> {
    let lengths = prop_oneof![Just(126_usize), Just(127), Just(128), Just(129), Just(300), Just(16_383), Just(16_384)];
    prop_oneof![
        6 => "[ -~]{0,40}",
        3 => "\\PC{0,20}",
        1 => any::<String>(),
        1 => (lengths, prop_oneof![Just("x"), Just("é"), Just("🚀")]).prop_map(|(n, s)| s.repeat(n / s.len())),
    ]
    .boxed()
}

fn wire_json() -> BoxedStrategy<String> {
    prop_oneof![
        Just("{}".to_owned()),
        Just(r#"{"celsius":21.5,"ok":true}"#.to_owned()),
        Just(r#"{"a":[1,-2,18446744073709551616,1e-07,NaN,null],"\ud800":"\u00e9"}"#.to_owned()),
        Just("null".to_owned()),
        (0_usize..20_000).prop_map(|n| format!("[\"{}\"]", "z".repeat(n))),
    ]
    .boxed()
}

fn object() -> BoxedStrategy<String> {
    prop_oneof![Just("{}"), Just(r#"{"base":0.3,"vouch":0.25}"#)].prop_map(str::to_owned).boxed()
}

fn array() -> BoxedStrategy<String> {
    prop_oneof![Just("[]"), Just(r#"["temperature","\u6e29\u5ea6"]"#)].prop_map(str::to_owned).boxed()
}

fn number() -> BoxedStrategy<NumberMirror> {
    prop_oneof![
        any::<i64>().prop_map(NumberMirror::Int),
        (1 << 63..=u64::MAX).prop_map(NumberMirror::Uint),
        any::<f64>().prop_map(NumberMirror::Float),
        "-?[1-9][0-9]{20,60}".prop_map(NumberMirror::Big),
    ]
    .boxed()
}

fn small() -> BoxedStrategy<Option<String>> {
    option::of(text()).boxed()
}

prop_compose! {
    fn packet_mirror()(
        ids in (text(), text(), text()),
        kinds in (0_usize..4, 0_usize..3, 0_usize..3),
        (intent, purpose, payload) in (text(), text(), wire_json()),
        (pod_id, station_id) in (small(), small()),
        (hop_count, max_hops) in (any::<i64>(), prop_oneof![Just(5), any::<i64>()]),
        (nonce, timestamp) in (text(), text()),
        (tibet_token_id, vouched_by, vouch_signature) in (small(), small(), small()),
        signature in text(),
    ) -> PacketMirror {
        use {PingTypeMirror as T, PriorityMirror as P, RoutingModeMirror as R};
        PacketMirror {
            packet_id: ids.0,
            source_did: ids.1,
            target_did: ids.2,
            ping_type: [T::Discover, T::Intent, T::Heartbeat, T::Relay][kinds.0],
            priority: [P::Lazy, P::Normal, P::Urgent][kinds.1],
            routing_mode: [R::Direct, R::Mesh, R::Broadcast][kinds.2],
            intent,
            purpose,
            payload,
            pod_id,
            station_id,
            hop_count,
            max_hops,
            nonce,
            timestamp,
            tibet_token_id,
            vouched_by,
            vouch_signature,
            signature,
        }
    }
}

prop_compose! {
    fn response_mirror()(
        ids in (text(), text(), text()),
        decision in 0_usize..3,
        (payload, capabilities, fira_breakdown) in (wire_json(), array(), object()),
        (trust_score, rtt_ms) in (number(), option::of(number())),
        (tibet_token_id, timestamp) in (small(), text()),
        (airlock_zone, applied_rule) in (text(), small()),
    ) -> ResponseMirror {
        use DecisionMirror as D;
        ResponseMirror {
            response_id: ids.0,
            in_response_to: ids.1,
            responder_did: ids.2,
            decision: [D::Accept, D::Pending, D::Reject][decision],
            payload,
            capabilities,
            trust_score,
            fira_breakdown,
            tibet_token_id,
            timestamp,
            rtt_ms,
            airlock_zone,
            applied_rule,
        }
    }
}

/// Our bytes are the crate's, and each reads the other's.
fn agrees<M: Serialize + for<'de> Deserialize<'de>>(flags: u8, mirror: &M, message: Message<'_>) {
    let bytes = theirs(mirror);
    let ours = encode(&message);
    if bytes.len() > MAX_FRAME - HEADER_LEN {
        assert_eq!(ours, Err(EncodeError::TooLarge { len: bytes.len() }));
        return;
    }
    let ours = ours.unwrap();
    assert_eq!(ours, frame(flags, &bytes));
    assert_eq!(Frame::decode(&ours), Ok(Frame { encoding: Encoding::Postcard, message }));
    let (back, rest) = postcard::take_from_bytes::<M>(&ours[HEADER_LEN..]).unwrap();
    assert!(rest.is_empty());
    assert_eq!(theirs(&back), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn packets_are_the_crates_bytes(mirror in packet_mirror()) {
        agrees(4, &mirror, Message::Packet(mirror.packet()));
    }

    #[test]
    fn responses_are_the_crates_bytes(mirror in response_mirror()) {
        agrees(5, &mirror, Message::Response(mirror.response()));
    }

    /// A member behind all that the crate's struct has: an option that holds something, or no byte.
    #[test]
    fn a_proof_comes_behind_all_else(mirrors in (packet_mirror(), response_mirror()), proof in small()) {
        let behind = proof.as_ref().map_or(Vec::new(), |_| theirs(&proof));
        let packet = Packet { proof: optional(&proof), ..mirrors.0.packet() };
        let response = Response { proof: optional(&proof), ..mirrors.1.response() };
        let both = [
            (4, theirs(&mirrors.0), Message::Packet(packet)),
            (5, theirs(&mirrors.1), Message::Response(response)),
        ];
        for (flags, bytes, message) in both {
            let whole = [&bytes[..], &behind].concat();
            prop_assume!(whole.len() <= MAX_FRAME - HEADER_LEN);
            let ours = encode(&message).unwrap();
            prop_assert_eq!(&ours, &frame(flags, &whole));
            prop_assert_eq!(Frame::decode(&ours), Ok(Frame { encoding: Encoding::Postcard, message }));
            prop_assert!(Frame::decode(&frame(flags, &[&bytes[..], &[0]].concat())).is_err());
        }
    }

    #[test]
    fn a_packet_cut_short_or_too_long_is_none(mirror in packet_mirror(), at: prop::sample::Index, more: u8) {
        let mut bytes = theirs(&mirror);
        let cut = at.index(bytes.len());
        prop_assert!(Frame::decode(&frame(4, &bytes[..cut])).is_err());
        bytes.push(more);
        prop_assert!(Frame::decode(&frame(4, &bytes)).is_err());
    }

    /// Spoilt bytes are a packet for us exactly where they are one for the crate, with JSON inside.
    #[test]
    fn spoilt_packets_are_taken_as_the_crate_takes_them(
        mirror in packet_mirror(),
        spots in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = theirs(&PacketMirror { payload: r#"{"x":[1,2.5,"\u00e9"]}"#.into(), ..mirror });
        for (at, byte) in spots {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let theirs = postcard::take_from_bytes::<PacketMirror>(&bytes).ok().filter(|(_, rest)| rest.is_empty());
        let theirs = theirs.map(|(mirror, _)| mirror).filter(|mirror| Value::from_json(&mirror.payload).is_ok());
        prop_assume!(bytes.len() <= MAX_FRAME - HEADER_LEN);
        let frame = frame(4, &bytes);
        let ours = Frame::decode(&frame).ok().map(|frame| frame.message);
        prop_assert_eq!(ours, theirs.as_ref().map(|mirror| Message::Packet(mirror.packet())));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for flags in [4, 5] {
            if let Ok(decoded) = Frame::decode(&frame(flags, &bytes)) {
                let again = encode(&decoded.message).unwrap();
                prop_assert_eq!(Frame::decode(&again), Ok(decoded));
            }
        }
    }
}

fn sample() -> PacketMirror {
    PacketMirror {
        packet_id: "ping_1".into(),
        source_did: "jis:a".into(),
        target_did: "jis:b".into(),
        ping_type: PingTypeMirror::Intent,
        priority: PriorityMirror::Urgent,
        routing_mode: RoutingModeMirror::Mesh,
        intent: "i".into(),
        purpose: "p".into(),
        payload: "{}".into(),
        pod_id: None,
        station_id: Some("s".into()),
        hop_count: -1,
        max_hops: 5,
        nonce: "n".into(),
        timestamp: "t".into(),
        tibet_token_id: None,
        vouched_by: None,
        vouch_signature: None,
        signature: String::new(),
    }
}

#[test]
fn the_layout_is_as_documented() {
    let expected =
        b"\x06ping_1\x05jis:a\x05jis:b\x01\x02\x01\x01i\x01p\x02{}\x00\x01\x01s\x01\x0a\x01n\x01t\x00\x00\x00\x00";
    assert_eq!(encode(&Message::Packet(sample().packet())).unwrap(), frame(4, expected));
}

#[test]
fn payloads_are_written_in_wire_form() {
    let mirror = sample();
    let untidy = "{ \"b\" : 1.50, \"a\":\t\"\\u00E9\u{20ac}\\/\", \"b\": 1E2 }";
    let packet = Packet { payload: json(untidy), ..mirror.packet() };
    let tidy = PacketMirror { payload: r#"{"b":100.0,"a":"\u00e9\u20ac/"}"#.into(), ..sample() };
    assert_eq!(encode(&Message::Packet(packet)).unwrap(), frame(4, &theirs(&tidy)));
}

#[test]
fn varints_may_be_longer_than_they_must_be() {
    let bytes = b"\x86\x80\x00ping_1\x05jis:a\x05jis:b\x81\x80\x80\x80\x00\x02\x01\x01i\x01p\x02{}\x00\x01\x01s\x01\x8a\x80\x80\x80\x80\x80\x80\x80\x80\x00\x01n\x01t\x00\x00\x00\x00";
    let mirror = sample();
    assert_eq!(Frame::decode(&frame(4, bytes)).unwrap().message, Message::Packet(mirror.packet()));
    assert_eq!(postcard::from_bytes::<PacketMirror>(bytes).unwrap(), mirror);
}

#[test]
fn what_it_cannot_hold_is_named() {
    let mirror = sample();
    let surrogate = json(r#""\ud800""#).as_text().unwrap();
    let packet = Packet { purpose: surrogate, ..mirror.packet() };
    let refused = Err(EncodeError::Unrepresentable(Unrepresentable::LoneSurrogate));
    assert_eq!(encode(&Message::Packet(packet)), refused);
    // Inside of the JSON text it has a form.
    let packet = Packet { payload: json(r#"["\ud800"]"#), ..mirror.packet() };
    assert!(encode(&Message::Packet(packet)).is_ok());
    let bytes = Value::from_msgpack(b"\x91\xc4\x01\xff").unwrap();
    let packet = Packet { payload: bytes, ..mirror.packet() };
    assert_eq!(encode(&Message::Packet(packet)), Err(EncodeError::Unrepresentable(Unrepresentable::Bytes)));
}

#[test]
fn what_is_wrong_with_it_is_named() {
    let with = |payload: &str| frame(4, &theirs(&PacketMirror { payload: payload.into(), ..sample() }));
    assert_eq!(Frame::decode(&with("{} {}")), Err(ParseError::BadJson.into()));
    assert_eq!(Frame::decode(&with("")), Err(ParseError::BadJson.into()));
    assert_eq!(Frame::decode(&with(&"[".repeat(2000))), Err(ParseError::TooDeep.into()));
    assert_eq!(Frame::decode(&frame(4, b"\x02\xff\xff")), Err(ParseError::BadUtf8.into()));
    assert_eq!(Frame::decode(&frame(4, b"\x7fabc")), Err(DecodeError::BadPostcard));
    assert_eq!(Frame::decode(&frame(4, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), Err(DecodeError::BadPostcard));
    assert_eq!(Frame::decode(&frame(4, b"\x00\x00\x00\x04")), Err(DecodeError::BadPostcard));
}
