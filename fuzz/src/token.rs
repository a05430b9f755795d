//! Any bytes as the line of a token.

use sluis_chain::store::{Store, StoreLimits};
use sluis_chain::token::{Fault, Hash32, Token};
use sluis_core::Seed;
use sluis_core::framing::{Text, Value};
use sluis_core::identity::MacKey;

/// Read a line as a token; hash it quickly and slowly, write it, read it again, keep it.
pub fn token(data: &[u8]) {
    let Ok(token) = Token::parse_bytes(data) else { return };
    let key = MacKey::new(b"key");
    let (plain, mac) = (hash(&token, None), hash(&token, Some(&key)));
    let mut input = Vec::new();
    token.hash_input(&mut input).expect("JSON has a form for JSON");
    assert!(input.is_ascii());
    assert_eq!((plain, mac), (Hash32::of(&input), Hash32(key.tag(&input))));

    // The same members in a form in which nothing is known of them.
    let compact = [token.erin, token.eraan, token.eromheen].map(|value| value.to_json_string().expect("as above"));
    let [erin, eraan, eromheen] = compact.each_ref().map(|text| Value::from_json(text).expect("as above"));
    let slow = Token { erin, eraan, eromheen, ..token };
    assert_eq!((hash(&slow, None), hash(&slow, Some(&key))), (plain, mac));
    assert_eq!(slow, token);
    assert_eq!(line(&slow), line(&token));

    // What is written is read as it was, and is true for its own key only.
    let said = plain.to_string();
    let written = line(&token.with(Text::new(&said), token.signature));
    let read = Token::parse_bytes(&written).expect("what is written can be read");
    assert_eq!(line(&read), written);
    let expected = token.check_finite();
    assert_eq!(read.verify(None), expected);
    assert_eq!(token.json_len().ok(), Some(line(&token).len()));
    if expected.is_ok() {
        assert!(mac != plain && read.verify(Some(&key)) == Err(Fault::ContentHash { actual: None }));
    }
    // A link changes the hash, and is found.
    let linked = Token { link: Some(plain), ..read };
    assert_ne!(hash(&linked, None), plain);
    assert_eq!(Token::parse_bytes(&line(&linked)).expect("as above").prev(), Some(plain));

    let mut store = Store::new(StoreLimits::default(), &Seed::from_u64(1));
    store.add(&read).expect("room");
    assert_eq!(store.get(read.token_id).map(|kept| line(&kept)).as_ref(), Some(&written));
    assert_eq!(store.find(&Default::default()).len(), 1);
    let _ = store.verify(read.token_id, None);
}

fn hash(token: &Token<'_>, key: Option<&MacKey>) -> Hash32 {
    token.content_hash(key).expect("JSON has a form for JSON")
}

fn line(token: &Token<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    token.write_json(&mut out).expect("JSON has a form for JSON");
    out
}
