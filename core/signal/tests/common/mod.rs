//! Reads the fixture tables: what the real packages do, one JSON object a line.
#![allow(dead_code, unreachable_pub, reason = "every suite uses its own part of this")]
#![allow(clippy::disallowed_methods, reason = "tests read their fixtures from files")]

use serde_json::Value;

/// The rows of a table. Never empty.
pub fn rows(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"));
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!rows.is_empty(), "{name} has no rows");
    rows
}

/// A member that is a text.
pub fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_else(|| panic!("no text {name} in {row}"))
}

/// A member that is bytes in hex.
pub fn bytes(row: &Value, name: &str) -> Vec<u8> {
    unhex(text(row, name))
}

/// Bytes from hex.
pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hex");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A test identity: alice, bob or carol.
pub fn key(name: &str) -> sluis_signal::key::SecretKey {
    let row = rows("keys.jsonl").into_iter().find(|row| row["name"] == name).unwrap();
    let key = sluis_signal::key::SecretKey::from_bytes(&bytes(&row, "secret_hex").try_into().unwrap()).unwrap();
    assert_eq!(key.public().to_string(), text(&row, "public_key_hex"));
    key
}
