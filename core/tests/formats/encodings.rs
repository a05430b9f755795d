//! One packet in three encodings: what one can say the others say too, and passing on from any to any loses nothing.

use std::collections::BTreeMap;

use crate::common::rows;
use proptest::option;
use proptest::prelude::*;
use sluis_core::data::{EncodeError, Number, Text, Unrepresentable, Value};
use sluis_core::framing::{Decision, Encoding, Frame, Message, Packet, PingType, Priority, Response, RoutingMode};
use sluis_core::limits::MAX_FRAME;

const ALL: [Encoding; 3] = [Encoding::Json, Encoding::Msgpack, Encoding::Postcard];

fn encode(message: &Message<'_>, encoding: Encoding) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![0; MAX_FRAME];
    let len = message.encode(encoding, &mut out)?;
    out.truncate(len);
    Ok(out)
}

/// Through every encoding that can hold it and from there into every encoding: always the same packet and the same bytes
/// as straight away.
fn passes_on(message: Message<'_>) -> BTreeMap<Encoding, Result<Vec<u8>, EncodeError>> {
    let straight: BTreeMap<_, _> = ALL.map(|to| (to, encode(&message, to))).into_iter().collect();
    for via in ALL {
        let Ok(frame) = &straight[&via] else { continue };
        let decoded = Frame::decode(frame).unwrap_or_else(|e| panic!("{via:?}: {e}: {message:?}"));
        assert_eq!(decoded, Frame { encoding: via, message });
        for to in ALL {
            assert_eq!(encode(&decoded.message, to), straight[&to], "{via:?} to {to:?}: {message:?}");
        }
    }
    straight
}

#[test]
fn the_reference_writes_the_twins_of_its_frames() {
    let frames: BTreeMap<String, Vec<u8>> =
        rows("frames.jsonl").iter().map(|row| (row.id().to_owned(), row.frame())).collect();
    let (mut twins, mut single) = (0, 0);
    for (id, frame) in &frames {
        let Ok(Frame { message, encoding }) = Frame::decode(frame) else {
            assert!(id.starts_with("p_hop_count_is_float"), "{id}");
            continue;
        };
        let all = passes_on(message);
        assert_eq!(all[&encoding].as_ref(), Ok(frame), "{id}");
        let (name, _) = id.rsplit_once('.').unwrap();
        for (to, suffix) in [(Encoding::Json, "json"), (Encoding::Msgpack, "msgpack")] {
            // The two frames at the limit are filled up to it, each in its own way.
            match frames.get(&format!("{name}.{suffix}")).filter(|_| name != "p_limit_65536") {
                Some(twin) => {
                    twins += 1;
                    assert_eq!(all[&to].as_ref(), Ok(twin), "{id}");
                }
                None if name == "p_limit_65536" => {}
                None => {
                    single += 1;
                    assert!(matches!(all[&to], Err(EncodeError::Unrepresentable(_))), "{id}: {:?}", all[&to]);
                }
            }
        }
    }
    assert!(twins > 200 && single > 0, "{twins} {single}");
}

/// Any value that JSON can say.
#[derive(Clone, Debug)]
enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Big(String),
    Float(f64),
    Str(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// JSON, not as the reference lays it out.
    fn json(&self) -> String {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        match self {
            Self::Null => "null".into(),
            Self::Bool(b) => b.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Uint(n) => n.to_string(),
            Self::Big(digits) => digits.clone(),
            Self::Float(x) if x.is_nan() => "NaN".into(),
            Self::Float(x) if x.is_infinite() => if *x > 0.0 { "Infinity" } else { "-Infinity" }.into(),
            Self::Float(x) => format!("{x:e}"),
            Self::Str(text) => quoted(text),
            Self::Array(items) => format!("[{}]", items.iter().map(Self::json).collect::<Vec<_>>().join(" ,")),
            Self::Object(members) => {
                let member = |(key, value): &(String, Self)| format!("{} : {}", quoted(key), value.json());
                format!("{{{}\n}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
        }
    }

    /// Whether it holds an integer that msgpack has no form for, behind keys that come again aside.
    fn is_big(&self) -> bool {
        match self {
            Self::Big(_) => true,
            Self::Array(items) => items.iter().any(Self::is_big),
            Self::Object(members) => members
                .iter()
                .enumerate()
                .any(|(at, (key, value))| value.is_big() && members[at + 1..].iter().all(|(later, _)| later != key)),
            _ => false,
        }
    }
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![4 => "[ -~]{0,20}", 2 => any::<String>(), 1 => "\\PC{30,80}", 1 => "[a-z\"\\\\\u{0}-\u{1f}é🚀]{0,8}"]
        .boxed()
}

fn tree() -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(Tree::Int),
        (-200_i64..300).prop_map(Tree::Int),
        (1 << 63..=u64::MAX).prop_map(Tree::Uint),
        any::<f64>().prop_map(Tree::Float),
        (-1e6..1e6).prop_map(Tree::Float),
        Just(Tree::Float(f64::NAN)),
        text().prop_map(Tree::Str),
    ];
    let leaf = prop_oneof![30 => leaf, 1 => "-?[1-9][0-9]{20,40}".prop_map(Tree::Big)];
    let key = prop_oneof![3 => "[a-e]", 1 => text()];
    leaf.prop_recursive(5, 80, 20, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(Tree::Array),
            proptest::collection::vec((key.clone(), inner), 0..20).prop_map(Tree::Object),
        ]
    })
    .boxed()
}

fn packet<'a>(texts: &'a [String], some: &'a Option<String>, hops: (i64, i64), payload: Value<'a>) -> Packet<'a> {
    let text = |at: usize| Text::new(&texts[at % texts.len()]);
    let optional = some.as_deref().map(Text::new);
    Packet {
        packet_id: text(0),
        source_did: text(1),
        target_did: text(2),
        ping_type: PingType::ALL[texts[0].len() % 4],
        priority: Priority::ALL[texts[1].len() % 3],
        routing_mode: RoutingMode::ALL[texts[2].len() % 3],
        intent: text(3),
        purpose: text(4),
        payload,
        pod_id: optional,
        station_id: None,
        hop_count: hops.0,
        max_hops: hops.1,
        nonce: text(5),
        timestamp: text(0),
        tibet_token_id: optional,
        vouched_by: None,
        vouch_signature: optional,
        signature: text(3),
        proof: optional,
    }
}

/// The outcome that each encoding must have.
fn expect(all: &BTreeMap<Encoding, Result<Vec<u8>, EncodeError>>, big: bool) {
    assert!(all[&Encoding::Json].is_ok() && all[&Encoding::Postcard].is_ok());
    match &all[&Encoding::Msgpack] {
        Ok(_) => assert!(!big),
        Err(error) => assert_eq!((*error, big), (EncodeError::Unrepresentable(Unrepresentable::BigInteger), true)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn packets_pass_on(
        texts in proptest::collection::vec(text(), 6),
        some in option::of(text()),
        hops: (i64, i64),
        payload in tree(),
    ) {
        let json = payload.json();
        let message = Message::Packet(packet(&texts, &some, hops, Value::from_json(&json).unwrap()));
        expect(&passes_on(message), payload.is_big());
    }

    #[test]
    fn responses_pass_on(
        texts in proptest::collection::vec(text(), 6),
        some in option::of(text()),
        numbers in (tree_number(), option::of(tree_number())),
        decision in 0_usize..3,
        payload in tree(),
        capabilities in proptest::collection::vec(tree(), 0..4).prop_map(Tree::Array),
        fira in proptest::collection::vec((text(), tree_number()), 0..4).prop_map(Tree::Object),
    ) {
        let json = [&payload, &capabilities, &fira].map(Tree::json);
        let value = |at: usize| Value::from_json(&json[at]).unwrap();
        let digits = (numbers.0.json(), numbers.1.as_ref().map(Tree::json));
        let number = |digits| Value::from_json(digits).unwrap().as_number().unwrap();
        let message = Message::Response(Response {
            response_id: Text::new(&texts[0]),
            in_response_to: Text::new(&texts[1]),
            responder_did: Text::new(&texts[2]),
            decision: Decision::ALL[decision],
            payload: value(0),
            capabilities: value(1),
            trust_score: number(&digits.0),
            fira_breakdown: value(2),
            tibet_token_id: some.as_deref().map(Text::new),
            timestamp: Text::new(&texts[3]),
            rtt_ms: digits.1.as_deref().map(number),
            airlock_zone: Text::new(&texts[4]),
            applied_rule: some.as_deref().map(Text::new),
            proof: some.as_deref().map(Text::new),
        });
        let numbers = [Some(&numbers.0), numbers.1.as_ref()];
        let big = [&payload, &capabilities, &fira].into_iter().chain(numbers.into_iter().flatten()).any(Tree::is_big);
        expect(&passes_on(message), big);
    }
}

fn tree_number() -> BoxedStrategy<Tree> {
    prop_oneof![
        any::<i64>().prop_map(Tree::Int),
        (0.0..1.0).prop_map(Tree::Float),
        any::<f64>().prop_map(Tree::Float),
        (1 << 63..=u64::MAX).prop_map(Tree::Uint),
        "[1-9][0-9]{20,30}".prop_map(Tree::Big),
    ]
    .boxed()
}

#[test]
fn lone_surrogates_stay_in_json() {
    let texts: Vec<String> = vec!["t".into(); 6];
    let plain = packet(&texts, &None, (0, 5), Value::EMPTY_OBJECT);
    let surrogate = Value::from_json(r#""a\udc00""#).unwrap();
    let refused = EncodeError::Unrepresentable(Unrepresentable::LoneSurrogate);

    let all = passes_on(Message::Packet(Packet { purpose: surrogate.as_text().unwrap(), ..plain }));
    assert!(all[&Encoding::Json].is_ok());
    assert_eq!(all[&Encoding::Msgpack], Err(refused));
    assert_eq!(all[&Encoding::Postcard], Err(refused));

    let all = passes_on(Message::Packet(Packet { payload: surrogate, ..plain }));
    assert_eq!(all[&Encoding::Msgpack], Err(refused));
    assert!(all[&Encoding::Postcard].is_ok());
}

#[test]
fn bytes_and_extensions_stay_in_msgpack() {
    let texts: Vec<String> = vec!["t".into(); 6];
    let plain = packet(&texts, &None, (0, 5), Value::EMPTY_OBJECT);
    for (bytes, what) in [
        (&b"\xc4\x02\x00\xff"[..], Unrepresentable::Bytes),
        (b"\x81\xa1b\x91\xc4\x00", Unrepresentable::Bytes),
        (b"\x81\xc4\x01k\x01", Unrepresentable::Bytes),
        (b"\xd4\x05\x00", Unrepresentable::Extension),
        (b"\x91\xd6\xff\x00\x00\x00\x01", Unrepresentable::Extension),
    ] {
        let all = passes_on(Message::Packet(Packet { payload: Value::from_msgpack(bytes).unwrap(), ..plain }));
        assert!(all[&Encoding::Msgpack].is_ok());
        for other in [Encoding::Json, Encoding::Postcard] {
            assert_eq!(all[&other], Err(EncodeError::Unrepresentable(what)));
        }
    }
}

#[test]
fn numbers_keep_their_kind() {
    let texts: Vec<String> = vec!["t".into(); 6];
    for number in [
        Number::Int(1),
        Number::Float(1.0),
        Number::Float(-0.0),
        Number::Float(f64::INFINITY),
        Number::Float(f64::NAN),
        Number::Uint(u64::MAX),
        Number::Int(i64::MIN),
    ] {
        let message = Message::Response(Response {
            response_id: Text::new(&texts[0]),
            in_response_to: Text::EMPTY,
            responder_did: Text::EMPTY,
            decision: Decision::Pending,
            payload: Value::EMPTY_OBJECT,
            capabilities: Value::EMPTY_ARRAY,
            trust_score: number,
            fira_breakdown: Value::EMPTY_OBJECT,
            tibet_token_id: None,
            timestamp: Text::EMPTY,
            rtt_ms: Some(number),
            airlock_zone: Text::new("GEEL"),
            applied_rule: None,
            proof: None,
        });
        assert!(passes_on(message).values().all(Result::is_ok));
    }
}
