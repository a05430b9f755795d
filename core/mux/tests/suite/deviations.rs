//! Where we differ from the reference on purpose: exactly the places that `tests/deviations.toml` lists.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::common::{Difference, path};

/// Fail unless these are all the differences that are listed for a table, and nothing but them.
pub(crate) fn check(file: &str, found: Vec<Difference>) {
    let found: BTreeSet<Difference> = found.into_iter().map(|d| Difference { ours: shape(&d.ours), ..d }).collect();
    if let Some(out) = std::env::var_os("SLUIS_WRITE_DIFFERENCES") {
        let lines: Vec<String> =
            found.iter().map(|d| format!("{}\t{}\t{}\t{}\n", d.file, d.row, d.at, d.ours)).collect();
        std::fs::write(PathBuf::from(out).join(file), lines.concat()).unwrap();
    }
    let listed = listed(file);
    let new: Vec<&Difference> = found.difference(&listed).collect();
    let gone: Vec<&Difference> = listed.difference(&found).collect();
    assert!(new.is_empty(), "differs from the reference without being listed: {new:#?}");
    assert!(gone.is_empty(), "listed, but does not differ (like this): {gone:#?}");
}

fn listed(file: &str) -> BTreeSet<Difference> {
    let text = std::fs::read_to_string(path("deviations.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let mut all = BTreeSet::new();
    for entry in table["deviation"].as_array().unwrap() {
        let entry: Value = serde_json::to_value(entry).unwrap();
        let text = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("{key} of {entry}")).to_owned();
        assert!(text("reason").len() > 10, "a deviation without a reason: {entry}");
        if text("file") == file {
            for row in entry["rows"].as_array().unwrap() {
                let row = row.as_str().unwrap().to_owned();
                let new = all.insert(Difference { file: file.into(), row, at: text("at"), ours: text("ours") });
                assert!(new, "listed twice: {entry}");
            }
        }
    }
    all
}

/// A text with a word for what is another one each time: ids, tags, times.
fn shape(text: &str) -> String {
    let mut out = String::new();
    for (n, piece) in text.split('"').enumerate() {
        if n > 0 {
            out.push('"');
        }
        let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        let time = piece.len() >= 25 && piece.ends_with("+00:00") && piece.as_bytes()[10] == b'T';
        let words: Vec<&str> = piece.split(' ').map(|word| if is_id(word) { "ID" } else { word }).collect();
        match piece.len() {
            32 | 64 if hex(piece) => out.push_str("HEX"),
            _ if time => out.push_str("TIME"),
            _ => out.push_str(&words.join(" ")),
        }
    }
    out
}

fn is_id(word: &str) -> bool {
    word.len() == 19 && word.starts_with("ch-") && word != "ch-0000000000000000"
}
