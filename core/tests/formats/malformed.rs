//! `malformed.jsonl`: we accept and reject what the reference does, for the same reason.

use crate::common::{Deviations, Row, rows};
use sluis_core::data::ParseError;
use sluis_core::framing::{DecodeError, Frame, Message};
use sluis_core::limits::MAX_FRAME;

const fn category(error: DecodeError) -> &'static str {
    match error {
        DecodeError::TruncatedHeader => "truncated_header",
        DecodeError::BadMagic => "bad_magic",
        DecodeError::BadVersion => "bad_version",
        DecodeError::TruncatedPayload => "truncated_payload",
        DecodeError::Value(why) => match why {
            ParseError::BadUtf8 => "bad_utf8",
            ParseError::BadJson => "bad_json",
            ParseError::IntTooLong => "int_too_many_digits",
            ParseError::TooDeep => "too_deep",
            ParseError::MsgpackTruncated => "msgpack_truncated",
            ParseError::MsgpackTrailing => "msgpack_trailing",
            ParseError::MsgpackFormat => "msgpack_format",
            ParseError::MsgpackMapKey => "msgpack_map_key",
            ParseError::MsgpackExt => "value_error",
            _ => panic!("a reason without a name here"),
        },
        DecodeError::WrongContainer => "wrong_container_type",
        DecodeError::MissingField => "missing_field",
        DecodeError::BadEnum => "bad_enum",
        // The reference has none of these: its rows say "accept".
        DecodeError::BadFlags => "bad_flags",
        DecodeError::TooLarge => "too_large",
        DecodeError::Mistyped => "mistyped",
        DecodeError::BadPostcard => "bad_postcard",
        _ => panic!("a reason without a name here"),
    }
}

fn check(row: &Row, deviations: &mut Deviations) {
    let frame = row.frame();
    let reference = row.opt_str("error").unwrap_or("accept");
    let decoded = Frame::decode(&frame);
    deviations.check(row.id(), reference, decoded.map_or_else(category, |_| "accept"));
    let Ok(Frame { encoding, message }) = decoded else { return };

    if let Some(fields) = row.get("fields") {
        assert_eq!(crate::packets::message(row.str("kind"), fields), Some(message), "{}", row.id());
    }
    // Whatever was accepted can be passed on, and is the same at the far end.
    let mut out = vec![0; MAX_FRAME];
    let len = message.encode(encoding, &mut out).unwrap_or_else(|e| panic!("{}: {e}", row.id()));
    assert_eq!(Frame::decode(&out[..len]), Ok(Frame { encoding, message }), "{}", row.id());
    assert_eq!(matches!(message, Message::Response(_)), row.str("kind") == "response");
}

#[test]
fn malformed_frames_are_rejected_as_the_reference_does() {
    let mut deviations = Deviations::of("malformed.jsonl");
    for row in rows("malformed.jsonl") {
        check(&row, &mut deviations);
    }
    deviations.finish();
}
