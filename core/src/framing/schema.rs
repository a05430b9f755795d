//! The two packets, member by member: the one table from which the structs, their defaults, all codecs and the tables of
//! `docs/wire.md` are made.
//!
//! A member is one line, `name: kind(default), "what it is";`, and has its place on the wire by its place here. `default`
//! is what a reader takes when the member is missing; `text()`, and words and levels whatever their default, must be there.
//!
//! | kind | in Rust | JSON and msgpack | postcard |
//! |---|---|---|---|
//! | `text` | [`Text`] | string | length, UTF-8 |
//! | `optional_text` | `Option<Text>` | string or null | 0, or 1 and the text |
//! | `trailing_text` | `Option<Text>` | string, or no member | 1 and the text, or nothing: only as the last member |
//! | `word` | an enum of `types.rs` | its spelling | index of the variant |
//! | `level` | [`Priority`] | its integer | index of the variant |
//! | `int` | `i64` | integer | zigzag varint |
//! | `any`, `array`, `object` | [`Value`] | the value | a text that holds its JSON |
//! | `number` | [`Number`] | number | tag and value |
//! | `optional_number` | `Option<Number>` | number or null | 0, or 1 and the number |
//!
//! Each codec has one function or macro arm a kind, named like the kind.

use super::error::DecodeError;
use super::types::{Decision, PingType, Priority, RoutingMode, Word};
use crate::data::value::Head;
use crate::data::{Number, Text, Value};

/// Hand the table to the macro `$then`.
macro_rules! packets {
    ($then:ident) => { $then! {
        /// A ping: who asks whom for what, and why.
        Packet "Ping" {
            packet_id: text(), "Names this packet; a response repeats it. At most 64 bytes; ours: `ping_` and 16 lower-case hex digits.";
            source_did: text(), "The sender's DID: 1 to 256 bytes, no control characters.";
            target_did: text(), "The receiver's DID, or `broadcast`: whoever hears it. As `source_did`.";
            ping_type: word(PingType::Intent), "What the ping is for.";
            priority: level(Priority::Normal), "How urgent it is.";
            routing_mode: word(RoutingMode::Direct), "How it travels.";
            intent: text(), "What is wanted, like `temperature.read`: at most 256 bytes.";
            purpose: text(), "Why, for people.";
            payload: any(), "Application data: an object by convention.";
            pod_id: optional_text(), "The pod of the sender.";
            station_id: optional_text(), "The station of the sender.";
            hop_count: int(0), "Hops travelled so far.";
            max_hops: int(5), "Hops allowed.";
            nonce: text(""), "Random text against replays: at most 64 bytes; ours: 32 lower-case hex digits.";
            timestamp: text(""), "Time of sending, ISO 8601; ours: `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`, without the fraction where it is zero.";
            tibet_token_id: optional_text(), "The provenance token of this packet; without effect today.";
            vouched_by: optional_text(), "DID of a voucher; without effect today.";
            vouch_signature: optional_text(), "Signature of the voucher; without effect today.";
            signature: text(""), "Lower-case hex Ed25519 over the reference's text; empty when unsigned. Nodes write it beside a proof and judge the proof.";
            proof: trailing_text(), "Ours: who signed all members but `hop_count`, and the signature.";
        }
        /// The answer to a ping.
        Response "Response" {
            response_id: text(), "Names this response; ours: `resp_` and 16 lower-case hex digits.";
            in_response_to: text(), "The `packet_id` that is answered.";
            responder_did: text(), "Who answers.";
            decision: word(Decision::Reject), "What was decided.";
            payload: any(), "Application data: an object by convention.";
            capabilities: array(), "What the responder can do: texts by convention.";
            trust_score: number(0.0), "How far the responder trusts the sender.";
            fira_breakdown: object(), "Where that trust comes from.";
            tibet_token_id: optional_text(), "The responder's provenance token.";
            timestamp: text(""), "Time of answering, as in a ping.";
            rtt_ms: optional_number(), "The responder's own handling time in milliseconds.";
            airlock_zone: text("ROOD"), "`GROEN`, `GEEL` or `ROOD`; other words are passed on.";
            applied_rule: optional_text(), "Name of the rule that decided.";
            proof: trailing_text(), "Ours: who signed all members together with the ping, and the signature.";
        }
    } };
}
pub(super) use packets;

/// The type of a member.
macro_rules! rust_type {
    (text $default:tt) => { Text<'a> };
    (optional_text ()) => { Option<Text<'a>> };
    (trailing_text ()) => { Option<Text<'a>> };
    (word ($word:ident::$default:ident)) => { $word };
    (level $default:tt) => { Priority };
    (int $default:tt) => { i64 };
    (number $default:tt) => { Number<'a> };
    (optional_number ()) => { Option<Number<'a>> };
    ($value:ident ()) => { Value<'a> };
}

/// The default of a member that has one, and what a new packet holds for one that has none.
macro_rules! default_of {
    (text ()) => {
        Text::EMPTY
    };
    (text ($text:literal)) => {
        Text::from_wire($text)
    };
    (number ($number:literal)) => {
        Number::Float($number)
    };
    (array ()) => {
        Value::EMPTY_ARRAY
    };
    (any ()) => {
        Value::EMPTY_OBJECT
    };
    (object ()) => {
        Value::EMPTY_OBJECT
    };
    ($optional:ident ()) => {
        None
    };
    ($kind:ident ($default:expr)) => {
        $default
    };
}

/// What a reader takes when a member is missing, in words.
macro_rules! if_missing {
    (text ($text:literal)) => {
        concat!("`\"", $text, "\"`")
    };
    (int ($n:literal)) => {
        concat!("`", $n, "`")
    };
    (number ($n:literal)) => {
        concat!("`", $n, "`")
    };
    (array ()) => {
        "`[]`"
    };
    (any ()) => {
        "`{}`"
    };
    (object ()) => {
        "`{}`"
    };
    (optional_text ()) => {
        "null"
    };
    (trailing_text ()) => {
        "unsigned"
    };
    (optional_number ()) => {
        "null"
    };
    ($required:ident $default:tt) => {
        "an error"
    };
}

macro_rules! structs {
    ($(
        $(#[$meta:meta])* $packet:ident $title:literal { $($name:ident: $kind:ident $default:tt, $doc:literal;)+ }
    )+) => { $(
        $(#[$meta])*
        ///
        /// Borrowed from the bytes it was decoded from. Names, order and defaults of the members are those of
        /// `tibet_ping.proto` 0.2.1 to 0.3.5.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $packet<'a> {
            $(
                #[doc = $doc]
                #[doc = concat!("\n\nIf missing: ", if_missing!($kind $default), ".")]
                pub $name: rust_type!($kind $default),
            )+
        }

        /// The defaults of the wire. Where it has none: empty texts, an intent, normal, direct, reject.
        impl Default for $packet<'_> {
            fn default() -> Self {
                Self { $($name: default_of!($kind $default),)+ }
            }
        }

        impl<'a> $packet<'a> {
            /// Names of the members in declared order.
            pub(super) const NAMES: [&'static str; [$(stringify!($name)),+].len()] = [$(stringify!($name)),+];

            /// Make it of its members, given in declared order.
            pub(super) fn from_members(
                members: [Option<Value<'a>>; $packet::<'static>::NAMES.len()],
            ) -> Result<Self, DecodeError> {
                let [$($name),+] = members;
                Ok(Self { $($name: from_member!($kind $default $name),)+ })
            }
        }
    )+ };
}

/// One member of those that were found by key.
macro_rules! from_member {
    (text () $value:ident) => { text($value)?.ok_or(DecodeError::MissingField)? };
    (text $default:tt $value:ident) => { text($value)?.unwrap_or(default_of!(text $default)) };
    (word ($word:ident::$default:ident) $value:ident) => { word($value)? };
    (level $default:tt $value:ident) => { level($value)? };
    (optional_text () $value:ident) => { text(present($value))? };
    (trailing_text () $value:ident) => { text(present($value))? };
    (optional_number () $value:ident) => { number(present($value))? };
    ($kind:ident $default:tt $value:ident) => { $kind($value)?.unwrap_or(default_of!($kind $default)) };
}

packets!(structs);

fn head(value: Option<Value<'_>>) -> Option<Head<'_>> {
    value?.head(0).map(|(head, _)| head)
}

/// `None` for null, too.
fn present(value: Option<Value<'_>>) -> Option<Value<'_>> {
    value.filter(|value| !value.is_null())
}

fn text(value: Option<Value<'_>>) -> Result<Option<Text<'_>>, DecodeError> {
    match head(value) {
        Some(Head::Str(text)) => Ok(Some(text)),
        Some(_) => Err(DecodeError::Mistyped),
        None => Ok(None),
    }
}

fn word<W: Word>(value: Option<Value<'_>>) -> Result<W, DecodeError> {
    match head(value) {
        Some(Head::Str(text)) => text.resolve(&mut [0; 16]).ok().and_then(W::from_wire).ok_or(DecodeError::BadEnum),
        Some(_) => Err(DecodeError::BadEnum),
        None => Err(DecodeError::MissingField),
    }
}

fn level(value: Option<Value<'_>>) -> Result<Priority, DecodeError> {
    match head(value) {
        Some(Head::Number(Number::Int(n))) => Priority::from_wire(n).ok_or(DecodeError::BadEnum),
        Some(_) => Err(DecodeError::BadEnum),
        None => Err(DecodeError::MissingField),
    }
}

fn int(value: Option<Value<'_>>) -> Result<Option<i64>, DecodeError> {
    match number(value)? {
        Some(Number::Int(n)) => Ok(Some(n)),
        Some(_) => Err(DecodeError::Mistyped),
        None => Ok(None),
    }
}

fn number(value: Option<Value<'_>>) -> Result<Option<Number<'_>>, DecodeError> {
    match head(value) {
        Some(Head::Number(number)) => Ok(Some(number)),
        Some(_) => Err(DecodeError::Mistyped),
        None => Ok(None),
    }
}

/// Anything will do.
fn any(value: Option<Value<'_>>) -> Result<Option<Value<'_>>, DecodeError> {
    Ok(value)
}

fn array(value: Option<Value<'_>>) -> Result<Option<Value<'_>>, DecodeError> {
    if value.is_none_or(Value::is_array) { Ok(value) } else { Err(DecodeError::Mistyped) }
}

fn object(value: Option<Value<'_>>) -> Result<Option<Value<'_>>, DecodeError> {
    if value.is_none_or(Value::is_object) { Ok(value) } else { Err(DecodeError::Mistyped) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::String};

    /// The column "type".
    macro_rules! type_in_words {
        (word ($word:ident::$default:ident)) => {
            words($word::ALL)
        };
        (level $default:tt) => {
            "1 lazy, 2 normal, 3 urgent".into()
        };
        (int $default:tt) => {
            "integer".into()
        };
        (any $default:tt) => {
            "any value".into()
        };
        (optional_text ()) => {
            "text or null".into()
        };
        (trailing_text ()) => {
            "text, or no such member".into()
        };
        (optional_number ()) => {
            "number or null".into()
        };
        ($kind:ident $default:tt) => {
            String::from(stringify!($kind))
        };
    }

    fn words<W: Word + core::fmt::Display>(all: &[W]) -> String {
        all.iter().map(|word| format!("`{word}`")).collect::<std::vec::Vec<_>>().join(", ")
    }

    macro_rules! tables {
        ($(
            $(#[$meta:meta])* $packet:ident $title:literal { $($name:ident: $kind:ident $default:tt, $doc:literal;)+ }
        )+) => { [$({
            let mut table = String::from(concat!("### ", $title, "\n\n| member | type | if missing | |\n|---|---|---|---|\n"));
            $(
                let row: String = type_in_words!($kind $default);
                table += &format!("| `{}` | {row} | {} | {} |\n", stringify!($name), if_missing!($kind $default), $doc);
            )+
            table
        }),+] };
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the document is a file")]
    fn the_wire_document_has_every_member() {
        let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire.md")).unwrap();
        for table in packets!(tables) {
            assert!(document.contains(&table), "docs/wire.md does not show\n{table}");
        }
    }
}
