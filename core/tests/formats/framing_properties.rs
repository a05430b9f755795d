//! What holds for any value and any packet.

#[path = "../common/model.rs"]
mod model;

use model::{Model, Units, Whim, code_points, key, model, units, wide};
use proptest::prelude::*;
use sluis_core::data::canonical::{self, Separators};
use sluis_core::data::{Number, Style, Text, TextError, Value, ValueBuf, ValueToken};
use sluis_core::framing::{Decision, Encoding, Frame, Message, Packet, PingType, Priority, Response, RoutingMode};
use sluis_core::limits::MAX_FRAME;

fn canonical_text(value: Value<'_>, separators: Separators) -> String {
    let mut out = Vec::new();
    canonical::write(&mut out, value, separators).unwrap();
    String::from_utf8(out).unwrap()
}

fn written(value: Value<'_>, style: Style) -> String {
    let mut out = Vec::new();
    value.write_json(&mut out, style).unwrap();
    String::from_utf8(out).unwrap()
}

/// Everything that can be said about one value, read from a careless and from the reference's own text.
fn check_value(model: &Model, whim: u64) {
    let careless = model.sloppy(&mut Whim(whim));
    let wire = model.python(",", ":", false);
    let read = Value::from_json(&careless).unwrap_or_else(|e| panic!("{careless}: {e}"));
    let own = Value::from_json(&wire).unwrap_or_else(|e| panic!("{wire}: {e}"));
    for value in [read, own] {
        assert_eq!(written(value, Style::WIRE), wire);
        assert_eq!(value.to_json_string().unwrap(), wire);
        assert_eq!(written(value, Style::SPACED), model.python(", ", ": ", false));
        assert_eq!(canonical_text(value, Separators::Compact), model.python(",", ":", true));
        assert_eq!(canonical_text(value, Separators::Spaced), model.python(", ", ": ", true));
        assert_eq!(ValueBuf::new(value).unwrap().as_value(), value);
    }
    assert_eq!(read, own);
    assert_eq!(own, read);
    if let Model::Object(members) = model {
        assert!(read.is_object());
        for (key, value) in Model::dict(members) {
            if let Ok(key) = String::from_utf16(key) {
                let found = read.get(&key).unwrap_or_else(|| panic!("{key:?} in {careless}"));
                assert_eq!(found.to_json_string().unwrap(), value.python(",", ":", false));
            }
        }
        assert_eq!(read.get("no such key"), None);
    }
}

/// Token by token, the tree again; duplicates kept.
fn rebuild(value: Value<'_>) -> Model {
    fn units(text: Text<'_>) -> Units {
        let mut out = Vec::new();
        for c in text.chars() {
            match c {
                Ok(c) => out.extend_from_slice(c.encode_utf16(&mut [0; 2])),
                Err(lone) => out.push(lone),
            }
        }
        out
    }
    let mut open: Vec<(Option<Units>, Model)> = vec![(None, Model::Array(Vec::new()))];
    for token in value.tokens() {
        let done = match token {
            ValueToken::Null => Model::Null,
            ValueToken::Bool(b) => Model::Bool(b),
            ValueToken::Number(Number::Float(x)) => Model::Float(x),
            ValueToken::Number(n) => Model::Int(n.to_string()),
            ValueToken::Str(text) => Model::Str(units(text)),
            ValueToken::Key(text) => {
                open.last_mut().unwrap().0 = Some(units(text));
                continue;
            }
            ValueToken::ArrayStart => {
                open.push((None, Model::Array(Vec::new())));
                continue;
            }
            ValueToken::ObjectStart => {
                open.push((None, Model::Object(Vec::new())));
                continue;
            }
            ValueToken::ArrayEnd | ValueToken::ObjectEnd => open.pop().unwrap().1,
            _ => panic!("no {token:?} in JSON"),
        };
        let parent = open.last_mut().unwrap();
        match &mut parent.1 {
            Model::Array(items) => items.push(done),
            Model::Object(members) => members.push((parent.0.take().unwrap(), done)),
            _ => unreachable!("only containers are open"),
        }
    }
    let Some((None, Model::Array(mut all))) = open.pop() else { panic!("unbalanced") };
    assert!(open.is_empty() && all.len() == 1);
    all.pop().unwrap()
}

/// Texts of a packet, held for as long as it borrows them.
#[derive(Clone, Debug)]
struct Parts {
    texts: Vec<String>,
    lone: String,
    present: [bool; 6],
    free: [String; 3],
    words: (usize, usize, usize, usize),
    hops: (i64, i64),
    numbers: (f64, Option<i64>),
}

fn parts() -> impl Strategy<Value = Parts> {
    let text = prop_oneof![2 => "[ -~]{0,40}", 1 => any::<String>(), 1 => "[a-z:.]{1,20}"];
    let free = (model(), any::<u64>()).prop_map(|(model, whim)| model.sloppy(&mut Whim(whim)));
    let array = (proptest::collection::vec(model(), 0..4), any::<u64>())
        .prop_map(|(items, whim)| Model::Array(items).sloppy(&mut Whim(whim)));
    let object = (proptest::collection::vec((key(), model()), 0..4), any::<u64>())
        .prop_map(|(members, whim)| Model::Object(members).sloppy(&mut Whim(whim)));
    let lone = (units(20), any::<u64>()).prop_map(|(units, whim)| Model::Str(units).sloppy(&mut Whim(whim)));
    (
        proptest::collection::vec(text, 12),
        lone,
        any::<[bool; 6]>(),
        (free, array, object),
        (0..4_usize, 0..3_usize, 0..3_usize, 0..3_usize),
        any::<(i64, i64)>(),
        (model::float(), any::<Option<i64>>()),
    )
        .prop_map(|(texts, lone, present, (free, array, object), words, hops, numbers)| Parts {
            texts,
            lone,
            present,
            free: [free, array, object],
            words,
            hops,
            numbers,
        })
}

impl Parts {
    fn text(&self, n: usize) -> Text<'_> {
        Text::new(&self.texts[n])
    }

    fn optional(&self, n: usize, text: usize) -> Option<Text<'_>> {
        self.present[n].then(|| self.text(text))
    }

    fn packet(&self) -> Packet<'_> {
        Packet {
            packet_id: self.text(0),
            source_did: self.text(1),
            target_did: self.text(2),
            ping_type: PingType::ALL[self.words.0],
            priority: Priority::ALL[self.words.1],
            routing_mode: RoutingMode::ALL[self.words.2],
            intent: self.text(3),
            purpose: Value::from_json(&self.lone).unwrap().as_text().unwrap(),
            payload: Value::from_json(&self.free[0]).unwrap(),
            pod_id: self.optional(0, 4),
            station_id: self.optional(1, 5),
            hop_count: self.hops.0,
            max_hops: self.hops.1,
            nonce: self.text(6),
            timestamp: self.text(7),
            tibet_token_id: self.optional(2, 8),
            vouched_by: self.optional(3, 9),
            vouch_signature: self.optional(4, 10),
            signature: self.text(11),
            proof: self.optional(5, 10),
        }
    }

    fn response(&self) -> Response<'_> {
        Response {
            response_id: self.text(0),
            in_response_to: self.text(1),
            responder_did: self.text(2),
            decision: Decision::ALL[self.words.3],
            payload: Value::from_json(&self.free[0]).unwrap(),
            capabilities: Value::from_json(&self.free[1]).unwrap(),
            trust_score: Number::Float(self.numbers.0),
            fira_breakdown: Value::from_json(&self.free[2]).unwrap(),
            tibet_token_id: self.optional(0, 3),
            timestamp: self.text(4),
            rtt_ms: self.numbers.1.map(Number::Int),
            airlock_zone: Value::from_json(&self.lone).unwrap().as_text().unwrap(),
            applied_rule: self.optional(1, 5),
            proof: self.optional(5, 10),
        }
    }
}

/// Decoding what was encoded gives it back, and encoding it again gives the same bytes.
fn check_message(message: &Message<'_>) {
    let mut frame = vec![0; MAX_FRAME];
    let len = message.encode(Encoding::Json, &mut frame).unwrap();
    let frame = &frame[..len];
    let decoded = Frame::decode(frame).unwrap();
    assert_eq!(decoded, Frame { encoding: Encoding::Json, message: *message });
    let mut again = vec![0; MAX_FRAME];
    let len = decoded.message.encode(Encoding::Json, &mut again).unwrap();
    assert_eq!(&again[..len], frame);
    assert!(frame[8..].iter().all(|b| matches!(b, b' '..=b'~')), "what we write is printable ASCII");

    // The members in another order, with white space: the long way round gives the same.
    let text = std::str::from_utf8(&frame[8..]).unwrap();
    let Model::Object(mut members) = rebuild(Value::from_json(text).unwrap()) else { panic!("an object") };
    members.reverse();
    let again = Model::Object(members).sloppy(&mut Whim(len as u64));
    let mut other = frame[..4].to_vec();
    other.extend(u32::try_from(again.len()).unwrap().to_be_bytes());
    other.extend(again.as_bytes());
    if again.len() <= MAX_FRAME - 8 {
        assert_eq!(Frame::decode(&other), Ok(decoded), "{again}");
    }
}

/// Pieces from which nearly JSON is made.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"b\":",
        "\\",
        "\\u00e9",
        "\\ud83d",
        "\\n",
        "\\x",
        "u",
        "0",
        "1",
        "-",
        "12",
        ".",
        ".5",
        "e",
        "E+",
        "e-2",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "\u{b}",
        "\u{0}",
        "\u{7f}",
        "é",
        "\u{feff}",
        "{}",
        "[]",
        "{\"k\":1}",
        "[1]",
        "/",
        "'",
        "01",
    ]);
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// No regression files: a failing case belongs into a test of its own.
fn config(share: u32) -> ProptestConfig {
    ProptestConfig {
        cases: ProptestConfig::default().cases / share,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn any_value_is_written_as_python_writes_it(model in model(), whim in any::<u64>()) {
        check_value(&model, whim);
    }

    #[test]
    fn tokens_tell_the_whole_value(model in model()) {
        let text = model.python(",", ":", false);
        let rebuilt = rebuild(Value::from_json(&text).unwrap());
        prop_assert_eq!(rebuilt.python(",", ":", false), text);
    }

    #[test]
    fn any_packet_and_response_survives(parts in parts()) {
        check_message(&Message::Packet(parts.packet()));
        check_message(&Message::Response(parts.response()));
    }

    #[test]
    fn signature_payload_is_the_canonical_object(parts in parts()) {
        let packet = parts.packet();
        let mut frame = vec![0; MAX_FRAME];
        let len = packet.encode(Encoding::Json, &mut frame).unwrap();
        let text = std::str::from_utf8(&frame[8..len]).unwrap();
        let Model::Object(members) = rebuild(Value::from_json(text).unwrap()) else { panic!("an object") };
        let signed = ["packet_id", "source_did", "target_did", "ping_type", "intent", "nonce", "timestamp", "payload"];
        let signed = members.into_iter().filter(|(key, _)| signed.contains(&String::from_utf16(key).unwrap().as_str()));
        let expected = Model::Object(signed.collect()).python(",", ":", true);
        let mut payload = Vec::new();
        packet.signature_payload(&mut payload).unwrap();
        prop_assert_eq!(String::from_utf8(payload).unwrap(), expected);
    }

    #[test]
    fn accepts_what_rfc_8259_allows(text in soup()) {
        // Nothing here says NaN or Infinity, which only Python knows, or has 4,300 digits.
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        prop_assert_eq!(Value::from_json(&text).is_ok(), theirs);
    }

    #[test]
    fn random_bytes_never_panic(
        flags in 0..6_u8,
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut frame = vec![b'T', b'P', 1, flags, 0, 0, 0, u8::try_from(bytes.len()).unwrap()];
        frame.extend(&bytes);
        let _ = Frame::decode(&frame);
        let _ = Frame::decode(&bytes);
    }

    #[test]
    fn damaged_frames_never_panic_and_what_decodes_survives(
        parts in parts(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut frame = vec![0; MAX_FRAME];
        let len = parts.packet().encode(Encoding::Json, &mut frame).unwrap();
        frame.truncate(len);
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if let Ok(Frame { message, encoding: Encoding::Json }) = Frame::decode(&frame) {
            check_message(&message);
        }
        let _ = Frame::decode(&frame[..cut.index(frame.len())]);
    }

    #[test]
    fn texts_are_equal_by_content_and_sorted_by_code_point(a in units(8), b in units(8), whim in any::<u64>()) {
        let mut whim = Whim(whim);
        let (mut one, mut two, mut other) = (String::new(), String::new(), String::new());
        model::sloppy_string(&a, &mut whim, &mut one);
        model::sloppy_string(&a, &mut whim, &mut two);
        model::sloppy_string(&b, &mut whim, &mut other);
        let text = |json| Value::from_json(json).unwrap().as_text().unwrap();
        let (one, two, other) = (text(&one), text(&two), text(&other));
        prop_assert_eq!(one, two);
        prop_assert_eq!(one.cmp(&two), std::cmp::Ordering::Equal);
        prop_assert_eq!(one.cmp(&other), code_points(&a).cmp(&code_points(&b)));
        prop_assert_eq!(one == other, a == b);
        let mut scratch = [0; 64];
        match String::from_utf16(&a) {
            Ok(plain) => {
                prop_assert_eq!(one.len(), plain.len());
                prop_assert_eq!(one.resolve(&mut scratch), Ok(plain.as_str()));
                prop_assert_eq!(one, plain.as_str());
                prop_assert_eq!(one.to_cow(), plain.as_str());
                prop_assert_eq!(one.to_string(), plain.as_str());
                if one.as_str().is_none() {
                    prop_assert_eq!(one.resolve(&mut scratch[..plain.len() - 1]), Err(TextError::TooLong));
                }
            }
            Err(_) => {
                prop_assert_eq!(one.resolve(&mut scratch), Err(TextError::LoneSurrogate));
                prop_assert_eq!(one.to_cow(), String::from_utf16_lossy(&a));
            }
        }
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn wide_objects_go_to_the_heap(model in wide(), whim in any::<u64>()) {
        check_value(&model, whim);
    }
}
