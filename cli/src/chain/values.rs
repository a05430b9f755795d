//! The values of its flags: how each is written, and what is said when it is not.

use sluis_chain::token::{HEADER_PREFIX, PREV_PREFIX, State};
use sluis_chain::workload::MAX_NAME;
use sluis_core::Wall;
use sluis_core::time::iso;

use crate::values::{self, JsonText};

/// The start of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Since {
    /// This moment.
    At(Wall),
    /// So long ago.
    Ago(std::time::Duration),
}

/// The longest text of a flag.
const MAX_TEXT: usize = 1024;

/// A text that is not empty.
pub(super) fn text(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("it must not be empty".to_owned()),
        1..=MAX_TEXT => Ok(text.to_owned()),
        n => Err(format!("it has {n} bytes, at most {MAX_TEXT} are taken; shorten it")),
    }
}

/// A name: not empty, and as short as the tokens of workloads have it.
pub(super) fn name(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("it must not be empty".to_owned()),
        1..=MAX_NAME => Ok(text.to_owned()),
        n => Err(format!("it has {n} bytes, at most {MAX_NAME} are taken; shorten it")),
    }
}

/// Who did something: a DID as a rule, or a SPIFFE ID.
pub(super) fn actor(text: &str) -> Result<String, String> {
    if text.starts_with("spiffe://") {
        return name(text);
    }
    values::did(text).map(|did| did.as_str().to_owned())
}

/// An actor and the key that signs for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActorKey {
    pub(crate) did: String,
    /// As it was written: a key, or a file with one.
    pub(crate) key: String,
}

/// `DID=KEY`.
pub(super) fn actor_key(text: &str) -> Result<ActorKey, String> {
    // A key may end with `=`, and hold some; a DID that does cannot be written here.
    let (did, key) = text.split_once('=').ok_or("write it like jis:home:hub=hub.pub")?;
    if did.starts_with("spiffe://") {
        return Err("a SPIFFE identity is proven by its certificate: name its bundle with --trust-bundle".to_owned());
    }
    let did = values::did(did)?.as_str().to_owned();
    if key.is_empty() {
        return Err(format!("write the key of {did} behind the `=`"));
    }
    Ok(ActorKey { did, key: key.to_owned() })
}

/// A reference of ERAAN.
pub(super) fn reference(text: &str) -> Result<String, String> {
    if text.starts_with(PREV_PREFIX) {
        return Err(format!(
            "a text that begins with {PREV_PREFIX} is a link between lines, which the log itself writes"
        ));
    }
    if text.starts_with(HEADER_PREFIX) {
        return Err(format!(
            "a text that begins with {HEADER_PREFIX} is the header of a log, which the log itself writes"
        ));
    }
    self::text(text)
}

/// A JSON object.
pub(super) fn object(text: &str) -> Result<JsonText, String> {
    let json = values::exact_json(text)?;
    if json.as_value().is_object() { Ok(json) } else { Err(r#"write a JSON object, like {"node":"hub-1"}"#.to_owned()) }
}

/// A state.
pub(super) fn state(word: &str) -> Result<State, String> {
    State::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
        format!("write one of {}", words.join(", "))
    })
}

/// A moment, or seconds ago.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Some((at, _)) = iso::parse_zoned(text) {
        return Ok(Since::At(at));
    }
    values::time(text)
        .map(Since::Ago)
        .map_err(|_| "write a time like 2026-01-15T12:00:00+00:00, or how many seconds ago, like 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_or_seconds_ago() {
        assert!(matches!(since("2026-01-15T12:00:00+00:00"), Ok(Since::At(_))));
        assert!(matches!(since("2026-01-15T12:00:00Z"), Ok(Since::At(_))));
        assert_eq!(since("60"), Ok(Since::Ago(std::time::Duration::from_secs(60))));
        assert!(since("yesterday").is_err() && since("-5").is_err());
    }

    #[test]
    fn actors_have_keys() {
        let made = |did: &str, key: &str| Ok(ActorKey { did: did.to_owned(), key: key.to_owned() });
        assert_eq!(actor_key("jis:a=k+1+x="), made("jis:a", "k+1+x="));
        for bad in ["jis:a", "=k", "jis:a=", "spiffe://x/y=k", "broadcast=k"] {
            assert!(actor_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_are_the_logs() {
        assert!(reference(&format!("prev:sha256:{}", "0".repeat(64))).is_err());
        assert!(reference("log:mine").is_err());
        assert!(reference("tibet_1").is_ok() && reference("").is_err());
        for odd in ["NaN", "1e400", "[1, {\"a\": -Infinity}]"] {
            assert!(object(&format!("{{\"a\": {odd}}}")).is_err(), "{odd}");
        }
        assert!(object("[]").is_err() && object("{}").is_ok());
        assert!(actor("spiffe://a/b").is_ok() && actor("jis:a").is_ok() && actor("broadcast").is_err());
    }
}
