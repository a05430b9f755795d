//! `filestore.jsonl`: files as the reference's `FileStore` loads and verifies them, through the verifier.

use crate::common::{Deviations, Json, Row, fixture_bytes, rows, unhex};
use sluis_chain::verify::{Finding, Kind, Settings, Verifier};
use sluis_core::Seed;

fn verify(file: &[u8]) -> (Vec<Finding>, u64) {
    let mut found = Vec::new();
    let mut verifier = Verifier::new(Settings::default(), None, &Seed::from_u64(1));
    verifier.push(file, &mut |finding| found.push(finding));
    let (summary, ()) = verifier.finish(&mut |finding| found.push(finding));
    (found, summary.tokens)
}

fn content(row: &Row) -> Vec<u8> {
    if let Some(file) = row.opt_str("file") {
        return fixture_bytes(file);
    }
    let content = row.get("content").unwrap();
    match content.get("$bytes").and_then(Json::str) {
        Some(hex) => unhex(hex),
        None => row.str("content").as_bytes().to_vec(),
    }
}

/// `error` where the file does not load, else the ids of the tokens that are corrupt.
fn reference(row: &Row) -> String {
    let Some(verified) = row.get("verify_file") else { return "error".into() };
    let ids = verified.get("corrupted_ids").and_then(Json::array).unwrap();
    format!("corrupt {:?}", ids.iter().map(|id| id.str().unwrap()).collect::<Vec<_>>())
}

fn ours(found: &[Finding]) -> String {
    if found.iter().any(|finding| finding.kind == Kind::BrokenLine) {
        return "error".into();
    }
    let hashes = found.iter().all(|finding| finding.kind == Kind::ContentHash);
    let ids: Vec<_> = found.iter().map(|finding| finding.token_id.as_deref().unwrap_or_default()).collect();
    if hashes { format!("corrupt {ids:?}") } else { format!("{} {ids:?}", found[0].kind) }
}

#[test]
fn files_of_the_reference() {
    let mut deviations = Deviations::of("filestore.jsonl");
    for row in rows("filestore.jsonl") {
        let (found, tokens) = verify(&content(&row));
        deviations.check(row.id(), &reference(&row), &ours(&found));
        assert!(found.len() <= 1, "{}: {found:?}", row.id());
        if let Some(count) = row.get("count").and_then(Json::int) {
            assert_eq!(tokens, u64::try_from(count).unwrap(), "{}", row.id());
        }
        if let Some(after) = row.opt_str("after_add") {
            assert_eq!(ours(&verify(after.as_bytes()).0), "error", "{}", row.id());
        }
    }
    deviations.finish();
}

#[test]
fn verification_goes_on_behind_a_broken_line() {
    let sample = String::from_utf8(fixture_bytes("filestore_sample.jsonl")).unwrap();
    let broken = sample.replacen("{\"token_id\": \"f2\"", "{\"token_id\": f2", 1);
    let (found, tokens) = verify(broken.as_bytes());
    let seen: Vec<_> = found.iter().map(|finding| (finding.line, finding.kind)).collect();
    // Its child's parent is missing because of it: that is not said again.
    assert_eq!((seen, tokens), (vec![(2, Kind::BrokenLine)], 2));
}
