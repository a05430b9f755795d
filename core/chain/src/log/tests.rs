//! Entries and bundles.

use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::merkle::{Frontier, NodeHash, leaf_hash};
use super::note::NoteError;
use super::*;
use crate::token::{Field, Hash32, KnownKeys, Seal, SealError, Token, Verdict};
use sluis_core::data::{Text, Value};
use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{MacKey, SecretKey, SignError, Signature, Signer, Verifier};
use sluis_core::{Instant, Now, Seed, Wall};

fn now() -> Now {
    Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000))
}

fn draft() -> Token<'static> {
    Token { action: Text::new("a"), actor: Text::new("jis:x"), ..Token::default() }
}

fn append(log: &mut Log, draft: &Token<'_>, protection: Protection<'_>) -> Result<(String, NodeHash), AppendError> {
    let mut out = [0; 4096];
    let made = log.append(now(), draft, protection, &mut out)?;
    assert_eq!(out[made.len - 1], b'\n');
    let line = String::from_utf8(out[..made.len - 1].to_vec()).unwrap();
    assert_eq!(made.leaf, leaf_hash(line.as_bytes()));
    assert_eq!(made.index + 1, log.size());
    Ok((line, made.leaf))
}

#[test]
fn an_entry_is_a_token_of_the_reference() {
    let mut log = Log::new(&Seed::from_u64(1));
    let (first, leaf) = append(&mut log, &draft(), Protection::default()).unwrap();
    let token = Token::parse(&first).unwrap();
    assert_eq!(token.timestamp, "2025-01-15T12:00:00+00:00");
    assert!(token.token_id.as_str().unwrap().starts_with("tibet_20250115120000000000_"));
    assert_eq!((token.prev(), token.verify(None)), (None, Ok(())));
    let keys: Vec<_> = first.match_indices("\": ").map(|(at, _)| first[..at].rsplit('"').next().unwrap()).collect();
    assert_eq!(keys, Field::ALL.iter().map(|field| field.as_str()).collect::<Vec<_>>());

    let named = Token {
        token_id: Text::new("mine"),
        timestamp: Text::new("then"),
        signature: Text::new("free text"),
        eraan: Value::from_json(r#"["x"]"#).unwrap(),
        ..draft()
    };
    let (second, _) = append(&mut log, &named, Protection::default()).unwrap();
    let token = Token::parse(&second).unwrap();
    assert_eq!((token.token_id, token.timestamp, token.signature), ("mine".into(), "then".into(), "free text".into()));
    assert_eq!(token.prev(), Some(Hash32(leaf)));
    assert!(second.contains(r#""eraan": ["x", "prev:sha256:"#));
    assert_eq!(log.tree(), &Frontier::from_leaves([leaf, leaf_hash(second.as_bytes())]));
}

#[test]
fn an_entry_is_protected_as_asked() {
    let (mac, signer) = (MacKey::new(b"k"), SecretKey::generate(&mut Seed::from_u64(2).fork("key")));
    let mut log = Log::new(&Seed::from_u64(1));
    let (line, _) = append(&mut log, &draft(), Protection { mac: Some(&mac), seal: Some(&signer) }).unwrap();
    let token = Token::parse(&line).unwrap();
    assert_eq!(token.verify(Some(&mac)), Ok(()));
    assert!(token.verify(None).is_err());
    let mut keys = [Verifier::new(signer.public().to_bytes()).unwrap()];
    assert_eq!(token.check_seal(&KnownKeys::new(&mut keys)), Verdict::Good);
}

#[test]
fn only_the_first_entry_has_a_header() {
    let headed = Token { header: Some(Text::new("log:example.com/log")), ..draft() };
    let (mut log, none) = (Log::new(&Seed::from_u64(1)), Protection::default());
    let (first, leaf) = append(&mut log, &headed, none).unwrap();
    let token = Token::parse(&first).unwrap();
    assert_eq!((token.log_header(), token.verify(None)), (headed.header, Ok(())));
    assert_eq!(append(&mut log, &headed, none), Err(AppendError::NotFirst));
    assert_eq!(log.adopt(first.as_bytes()), Err(AppendError::NotFirst));
    assert_eq!((log.size(), log.last(), log.continues()), (1, Some(leaf), None));
    // That of the next segment stands before its link, and tells how long this one is.
    log.turn();
    assert_eq!(log.continues(), Some(Continues { size: 1, root: Frontier::from_leaves([leaf]).root() }));
    let mark = log.mark();
    let (second, _) = append(&mut log, &headed, none).unwrap();
    let token = Token::parse(&second).unwrap();
    assert_eq!((token.log_header(), token.prev()), (headed.header, Some(Hash32(leaf))));
    log.turn();
    log.rewind(&mark);
    assert_eq!((log.size(), log.continues().map(|before| before.size)), (0, Some(1)));
}

#[test]
fn blank_lines_are_no_entries_and_adopted_ones_end_where_they_end() {
    for blank in ["", " \t", "\u{a0}", "\u{1c}\u{1f}", "\u{3000}\r"] {
        assert!(is_blank(blank.as_bytes()), "{blank:?}");
        assert_eq!(Log::new(&Seed::from_u64(1)).adopt(blank.as_bytes()), Err(AppendError::NotALine), "{blank:?}");
    }
    for line in ["{}", "\u{200b}", "\0", " x"] {
        assert!(!is_blank(line.as_bytes()), "{line:?}");
    }
    assert!(!is_blank(b"\xa0"), "half a character is none");
    // A reader that takes CR LF for one line end would hash another entry.
    assert_eq!(Log::new(&Seed::from_u64(1)).adopt(b"{}\r"), Err(AppendError::NotALine));
}

/// A signer out of order.
struct Broken;

impl Signer for Broken {
    fn public(&self) -> sluis_core::identity::PublicKey {
        SecretKey::from_seed(&[1; 32]).public()
    }
    fn sign(&self, _: &[u8]) -> Result<Signature, SignError> {
        Err(SignError::Unavailable)
    }
}

/// A seal that would break out of its member.
struct Quotes;

impl Seal for Quotes {
    fn seal(&self, _: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        out[..2].copy_from_slice(b"\"}");
        Ok(2)
    }
}

#[test]
fn what_cannot_be_an_entry_changes_nothing() {
    let mut log = Log::new(&Seed::from_u64(1));
    append(&mut log, &draft(), Protection::default()).unwrap();
    let before = (log.tree().clone(), log.last());
    let value = |json| Value::from_json(json).unwrap();
    let link = std::format!(r#"["prev:sha256:{}"]"#, Hash32([7; 32]));
    for (draft, error) in [
        (Token { eraan: value("{}"), ..draft() }, AppendError::Mistyped(Field::Eraan)),
        (Token { eromheen: value("[]"), ..draft() }, AppendError::Mistyped(Field::Eromheen)),
        (Token { erin: value("NaN"), ..draft() }, AppendError::NonFinite(Field::Erin)),
        (Token { eromheen: value(r#"{"x": [1e999]}"#), ..draft() }, AppendError::NonFinite(Field::Eromheen)),
        (Token { erin: value(r#"{"a": 1, "a": 2}"#), ..draft() }, AppendError::Inexact(Field::Erin)),
        (Token { eromheen: value(r#"{"x": [1e-400]}"#), ..draft() }, AppendError::Inexact(Field::Eromheen)),
        (Token { eraan: value(&link), ..draft() }, AppendError::Reserved),
    ] {
        assert_eq!(append(&mut log, &draft, Protection::default()), Err(error));
    }
    let broken = Protection { mac: None, seal: Some(&Broken) };
    assert_eq!(append(&mut log, &draft(), broken), Err(AppendError::Seal(SealError::Sign(SignError::Unavailable))));
    let quotes = Protection { mac: None, seal: Some(&Quotes) };
    assert!(matches!(append(&mut log, &draft(), quotes), Err(AppendError::Seal(_))));
    // A buffer of any length that is too short.
    let whole = append(&mut Log::from_leaves(&Seed::from_u64(1), log.last()), &draft(), Protection::default()).unwrap();
    for len in 0..=whole.0.len() {
        assert!(log.append(now(), &draft(), Protection::default(), &mut std::vec![0; len]).is_err(), "{len}");
    }
    for (line, error) in [(&b"a\nb"[..], AppendError::NotALine), (b" \t", AppendError::NotALine)] {
        assert_eq!(log.adopt(line), Err(error));
    }
    let long = "x".repeat(MAX_ENTRY);
    let draft = Token { erachter: Text::new(&long), ..draft() };
    let mut room = std::vec![0; 2 * MAX_ENTRY];
    assert_eq!(log.append(now(), &draft, Protection::default(), &mut room), Err(AppendError::TooLong));
    assert_eq!((log.tree(), log.last()), (&before.0, before.1));
}

#[test]
fn a_log_goes_on_where_it_was_and_back() {
    let mut log = Log::new(&Seed::from_u64(1));
    let leaves: Vec<_> = (0..7).map(|_| append(&mut log, &draft(), Protection::default()).unwrap().1).collect();
    let mark = log.mark();
    let other = Log::from_leaves(&Seed::from_u64(3), leaves);
    assert_eq!((other.tree(), other.last()), (log.tree(), log.last()));
    append(&mut log, &draft(), Protection::default()).unwrap();
    log.adopt(b"as it is").unwrap();
    assert_eq!((log.size(), log.last()), (9, Some(leaf_hash(b"as it is"))));
    log.rewind(&mark);
    assert_eq!((other.tree(), other.last()), (log.tree(), log.last()));
}

/// A log of so many entries, signed for, with everything to prove them.
fn proven(entries: usize) -> (Vec<String>, Vec<NodeHash>, String, SecretKey) {
    let signer = SecretKey::generate(&mut Seed::from_u64(2).fork("key"));
    let mut log = Log::new(&Seed::from_u64(1));
    let (lines, leaves) = (0..entries).map(|_| append(&mut log, &draft(), Protection::default()).unwrap()).unzip();
    let mut note = Vec::new();
    log.checkpoint("example.com/log", &signer, &mut note).unwrap();
    (lines, leaves, String::from_utf8(note).unwrap(), signer)
}

fn json(bundle: &Bundle) -> String {
    let mut out = Vec::new();
    bundle.write_json(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_bundle_proves_its_entry_and_nothing_else() {
    let (lines, mut leaves, note, signer) = proven(11);
    let key = NoteKey::new("example.com/log", signer.public()).unwrap();
    let other = NoteKey::new("example.com/log", SecretKey::from_seed(&[3; 32]).public()).unwrap();
    for (index, line) in lines.iter().enumerate() {
        let bundle = Bundle::new(line.as_bytes(), index as u64, &mut leaves, &note, key).unwrap();
        let bundle = Bundle::parse(&json(&bundle)).unwrap();
        assert_eq!(bundle.key(), Ok(key));
        let token = bundle.verify("example.com/log", &[key]).unwrap();
        assert_eq!(Some(token), Token::parse(line).ok());
        assert!(matches!(bundle.verify("example.com/other", &[key]), Err(BundleError::Checkpoint(_))));
        let unknown = BundleError::Checkpoint(note::CheckpointError::Note(NoteError::UnknownKey));
        assert_eq!(bundle.verify("example.com/log", &[other]), Err(unknown));
        for wrong in [
            Bundle { entry: line.replace("jis:x", "jis:y"), ..bundle.clone() },
            Bundle { index: (index as u64 + 1) % 11, ..bundle.clone() },
            Bundle { size: 12, ..bundle.clone() },
            Bundle { checkpoint: note.replace("\n11\n", "\n12\n"), ..bundle.clone() },
        ] {
            assert!(wrong.verify("example.com/log", &[key]).is_err());
        }
    }
    // Nothing is made that would not verify.
    assert!(matches!(Bundle::new(b"x", 0, &mut leaves, &note, key), Err(MakeBundleError::Proof(_))));
    assert!(matches!(Bundle::new(b"x", 11, &mut leaves, &note, key), Err(MakeBundleError::Prove(_))));
    assert!(matches!(Bundle::new(b"x", 0, &mut leaves, "x", key), Err(MakeBundleError::Checkpoint(_))));
}

#[test]
fn what_is_no_bundle_is_refused() {
    let (lines, mut leaves, note, signer) = proven(3);
    let key = NoteKey::new("example.com/log", signer.public()).unwrap();
    let good = json(&Bundle::new(lines[1].as_bytes(), 1, &mut leaves, &note, key).unwrap());
    assert!(good.starts_with(r#"{"type": "sluis.bundle/v1", "entry": "{\"token_id\": "#), "{good}");
    for key in ["type", "entry", "index", "size", "proof", "checkpoint", "key"] {
        let without = good.replacen(&std::format!("\"{key}\":"), "\"x\":", 1);
        assert_eq!(Bundle::parse(&without), Err(BundleError::Member(key)));
    }
    for (from, to, member) in [
        ("\"index\": 1", "\"index\": -1", "index"),
        ("\"index\": 1", "\"index\": 1.0", "index"),
        ("\"size\": 3", "\"size\": \"3\"", "size"),
        ("\"proof\": [\"", "\"proof\": [\"0", "proof"),
        ("\"proof\": [\"", "\"proof\": [1, \"", "proof"),
        ("\"entry\": \"", "\"entry\": \"\\ud800", "entry"),
        ("bundle/v1", "bundle/v2", "type"),
    ] {
        assert_eq!(Bundle::parse(&good.replacen(from, to, 1)), Err(BundleError::Member(member)), "{to}");
    }
    let many = std::format!("\"proof\": [{}\"", std::format!("\"{}\", ", "0".repeat(64)).repeat(66));
    assert_eq!(Bundle::parse(&good.replacen("\"proof\": [\"", &many, 1)), Err(BundleError::Member("proof")));
    assert!(matches!(Bundle::parse("x"), Err(BundleError::Json(_))));
    assert_eq!(Bundle::parse("[]"), Err(BundleError::Member("type")));
    assert_eq!(BundleError::Member("size").to_string(), "the bundle has no size of the right form");
}

proptest! {
    #[test]
    fn any_changed_byte_of_a_bundle_is_noticed(at in any::<prop::sample::Index>(), bit in 0..7_u32) {
        let (lines, mut leaves, note, signer) = proven(5);
        let key = NoteKey::new("example.com/log", signer.public()).unwrap();
        let good = Bundle::new(lines[3].as_bytes(), 3, &mut leaves, &note, key).unwrap();
        let mut bytes = json(&good).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        if let Ok(bundle) = Bundle::parse(&text) && bundle.verify("example.com/log", &[key]).is_ok() {
            // Only what is said of the key is not proven.
            prop_assert_eq!(Bundle { key: good.key.clone(), ..bundle }, good);
        }
    }
}
