//! Reading the tables, and comparing what the reference answered with what we do.

use std::path::PathBuf;

use serde_json::Value;
use sluis_core::{Instant, Now, Wall};

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// The rows of a table. Never empty.
pub(crate) fn rows(file: &str) -> Vec<Value> {
    let path = path("fixtures").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!rows.is_empty(), "{file} has no rows");
    rows
}

/// The time of a test, in milliseconds from its start.
pub(crate) fn at(millis: u64) -> Now {
    let start = 1_700_000_000_000_000_i64;
    Now::new(Instant::from_nanos(millis * 1_000_000), Wall::from_micros(start + i64::try_from(millis).unwrap() * 1000))
}

pub(crate) fn str<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("no text {key} in {row}"))
}

/// One place where we differ from a row of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    pub(crate) file: String,
    pub(crate) row: String,
    pub(crate) at: String,
    pub(crate) ours: String,
}

/// What differs between two JSON values, by pointer. Ours may have members more, behind all of the reference's. `ignore` are
/// pointers with `*` for every element.
pub(crate) fn compare(reference: &Value, ours: &Value, ignore: &[String]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(reference, ours, String::new(), ignore, &mut found);
    found
}

fn walk(reference: &Value, ours: &Value, at: String, ignore: &[String], found: &mut Vec<(String, String)>) {
    if ignore.iter().any(|pattern| matches(pattern, &at)) {
        // It has a value of its own each time, but of the same kind.
        assert_eq!(std::mem::discriminant(reference), std::mem::discriminant(ours), "{at}");
        return;
    }
    match (reference, ours) {
        (Value::Object(reference), Value::Object(ours)) => {
            let keys: Vec<&String> = ours.keys().take(reference.len()).collect();
            if keys != reference.keys().collect::<Vec<_>>() {
                found.push((format!("{at}/*keys"), format!("{keys:?}")));
                return;
            }
            for (key, value) in reference {
                walk(value, &ours[key], format!("{at}/{key}"), ignore, found);
            }
        }
        (Value::Array(reference), Value::Array(ours)) if reference.len() == ours.len() => {
            for (n, (reference, ours)) in reference.iter().zip(ours).enumerate() {
                walk(reference, ours, format!("{at}/{n}"), ignore, found);
            }
        }
        _ if reference == ours => {}
        _ => found.push((at, ours.to_string())),
    }
}

fn matches(pattern: &str, at: &str) -> bool {
    let (pattern, at): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), at.split('/').collect());
    pattern.len() == at.len() && pattern.iter().zip(&at).all(|(p, a)| *p == "*" || p == a)
}

/// The pointers that a row calls volatile.
pub(crate) fn volatile(row: &Value) -> Vec<String> {
    let list = row["volatile"].as_array().cloned().unwrap_or_default();
    list.iter().map(|pointer| pointer.as_str().unwrap().to_owned()).collect()
}
