//! Any bytes through each decoder.

use sluis_core::data::{EncodeError, Text, Value, ValueToken};
use sluis_core::framing::{DecodeError, Encoding, Frame, Header, Message, Packet};
use sluis_core::limits::{HEADER_LEN, MAX_FRAME, MAX_PAYLOAD};

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::Msgpack, Encoding::Postcard];

/// Decode a datagram, and where there is a frame in it, take it through every encoding and back.
///
/// Bytes that do not start with the magic are a flag byte and a payload: the header is put before them.
pub fn frame(data: &[u8]) {
    if data.starts_with(b"TP") {
        return datagram(data);
    }
    let Some((flags, payload)) = data.split_first() else { return };
    let mut framed = b"TP\x01".to_vec();
    framed.push(flags % 6);
    framed.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(payload);
    datagram(&framed);
}

fn datagram(bytes: &[u8]) {
    let frame = match Frame::decode(bytes) {
        Ok(frame) => frame,
        Err(error) => {
            let _ = sluis_core::Reject::from(error);
            if let Err(header) = Header::parse(bytes) {
                assert_eq!(error, header);
            }
            return;
        }
    };
    // What follows the declared length does not count, and one byte less is no frame.
    let len = HEADER_LEN + Header::parse(bytes).expect("the frame was decoded").len as usize;
    assert!((HEADER_LEN..=MAX_FRAME).contains(&len));
    assert_eq!(Frame::decode(&bytes[..len]), Ok(frame));
    assert_eq!(
        Frame::decode(&bytes[..len - 1]),
        Err(if len > HEADER_LEN { DecodeError::TruncatedPayload } else { DecodeError::TruncatedHeader })
    );
    survives(&frame);
    look_at(&frame.message);
}

/// Written in its own encoding it is the same message and the same bytes ever after; so in every other encoding that has a
/// form for it, and back.
fn survives(frame: &Frame<'_>) {
    let own = match encode(&frame.message, frame.encoding) {
        Ok(own) => own,
        // A text that was written shorter than the reference writes it.
        Err(EncodeError::TooLarge { len }) => {
            assert!(len > MAX_PAYLOAD);
            return;
        }
        Err(error) => panic!("decoded from {:?}, but: {error}", frame.encoding),
    };
    let again = Frame::decode(&own).expect("what was encoded can be decoded");
    assert_eq!(again, *frame);
    assert_eq!(encode(&again.message, frame.encoding).as_ref(), Ok(&own));
    for other in ENCODINGS.into_iter().filter(|other| *other != frame.encoding) {
        let there = match encode(&frame.message, other) {
            Ok(there) => there,
            Err(EncodeError::TooLarge { .. } | EncodeError::TooDeep | EncodeError::Unrepresentable(_)) => continue,
            Err(error) => panic!("{other:?}: {error}"),
        };
        // The same bytes, whichever form it was read from.
        assert_eq!(encode(&again.message, other).as_ref(), Ok(&there));
        let decoded = Frame::decode(&there).expect("what was encoded can be decoded");
        assert_eq!(decoded.encoding, other);
        assert_eq!(decoded.message, frame.message);
        assert_eq!(encode(&decoded.message, other).as_ref(), Ok(&there));
        match encode(&decoded.message, frame.encoding) {
            // JSON has one form for what is not a number, binary floats have many.
            Ok(back) if back != own => assert!(has_nan(&frame.message), "{other:?} and back: {back:?}, not {own:?}"),
            Ok(_) => {}
            Err(error) => panic!("{other:?} and back: {error}"),
        }
    }
}

fn has_nan(message: &Message<'_>) -> bool {
    let nan =
        |value: Value<'_>| value.tokens().any(|token| matches!(token, ValueToken::Number(n) if n.to_f64().is_nan()));
    match message {
        Message::Packet(packet) => nan(packet.payload),
        Message::Response(response) => {
            [response.payload, response.capabilities, response.fira_breakdown].into_iter().any(nan)
                || response.trust_score.to_f64().is_nan()
                || response.rtt_ms.is_some_and(|rtt| rtt.to_f64().is_nan())
        }
    }
}

/// Encode, and see that counting agrees and that nothing is written behind the end.
fn encode(message: &Message<'_>, encoding: Encoding) -> Result<Vec<u8>, EncodeError> {
    let counted = match message {
        Message::Packet(packet) => packet.encoded_len(encoding),
        Message::Response(response) => response.encoded_len(encoding),
    };
    let mut out = vec![0xaa; counted.unwrap_or(MAX_FRAME) + 3];
    let written = message.encode(encoding, &mut out);
    assert_eq!(written, counted);
    let len = written?;
    assert_eq!(out.split_off(len), [0xaa; 3]);
    let mut short = vec![0; len - 1];
    assert_eq!(message.encode(encoding, &mut short), Err(EncodeError::BufferFull));
    Ok(out)
}

/// Read everything there is.
fn look_at(message: &Message<'_>) {
    let _ = format!("{message:?}");
    match message {
        Message::Packet(packet) => {
            for text in [packet.packet_id, packet.source_did, packet.target_did, packet.intent, packet.purpose] {
                look_at_text(text);
            }
            for text in [packet.nonce, packet.timestamp, packet.signature] {
                look_at_text(text);
            }
            look_at_value(packet.payload);
            signed(packet);
        }
        Message::Response(response) => {
            for text in [response.response_id, response.in_response_to, response.responder_did, response.timestamp] {
                look_at_text(text);
            }
            for value in [response.payload, response.capabilities, response.fira_breakdown] {
                look_at_value(value);
            }
            let _ = (response.trust_score.to_f64(), response.rtt_ms.map(|rtt| rtt.to_f64()));
        }
    }
}

fn look_at_text(text: Text<'_>) {
    let len = text.len();
    assert_eq!(text.is_empty(), len == 0);
    let same = text;
    assert_eq!(text, same);
    let mut scratch = vec![0; len];
    match text.resolve(&mut scratch) {
        Ok(plain) => {
            assert_eq!(plain.len(), len);
            assert_eq!(text, *plain);
            assert_eq!(text.to_cow(), plain);
            assert!(text.chars().eq(plain.chars().map(Ok)));
        }
        // A replacement character takes as much as a lone surrogate counts.
        Err(_) => assert!(text.chars().any(|c| c.is_err()) && text.to_cow().len() == len),
    }
}

/// The tokens of a value are well nested.
pub(crate) fn look_at_value(value: Value<'_>) {
    let mut open = Vec::new();
    let mut keyed = false;
    for token in value.tokens() {
        let key = matches!(token, ValueToken::Key(_) | ValueToken::KeyBytes(_));
        let end = matches!(token, ValueToken::ObjectEnd);
        assert_eq!(key || end, open.last() == Some(&true) && !keyed, "{token:?}");
        keyed = key;
        match token {
            ValueToken::ObjectStart => open.push(true),
            ValueToken::ArrayStart => open.push(false),
            ValueToken::ObjectEnd => assert_eq!(open.pop(), Some(true)),
            ValueToken::ArrayEnd => assert_eq!(open.pop(), Some(false)),
            ValueToken::Str(text) => look_at_text(text),
            ValueToken::Key(text) => {
                look_at_text(text);
                if let (1, Some(plain)) = (open.len(), text.as_str()) {
                    assert!(value.get(plain).is_some());
                }
            }
            ValueToken::Number(number) => {
                let _ = number.to_f64();
            }
            ValueToken::Null
            | ValueToken::Bool(_)
            | ValueToken::Bytes(_)
            | ValueToken::Ext(..)
            | ValueToken::KeyBytes(_) => {}
        }
    }
    assert!(open.is_empty());
}

/// What is signed is the canonical text of eight members: an object that is read back whole, with the same canonical text.
fn signed(packet: &Packet<'_>) {
    let mut text = Vec::new();
    if packet.signature_payload(&mut text).is_err() {
        return;
    }
    let text = String::from_utf8(text).expect("ASCII");
    // One container deeper than the payload.
    let Ok(value) = Value::from_json(&text) else { return };
    assert!(value.is_object());
    assert_eq!(crate::value::canonical(value), text);
    let payload = value.get("payload").expect("it is signed");
    assert_eq!(crate::value::canonical(payload), crate::value::canonical(packet.payload));
}
