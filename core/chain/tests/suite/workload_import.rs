//! Dictionaries that `tibet-workload` 0.1.0 wrote (`fixtures/workload_import.jsonl`: one row for each way of tampering in
//! `workload_tamper.jsonl`, done to a workload of its engine, and some shapes that nobody tampered with), with their audit trails.

use sluis_chain::workload::import::{MAX_FINDINGS, verify};
use sluis_core::data::Value;

/// Rows that say nothing twice: what is changed there cannot be seen.
const UNSEEN: [&str; 2] = ["metadata", "input_unrelated_to_previous_output"];

fn lines() -> Vec<String> {
    #[allow(clippy::disallowed_methods, reason = "tests read their fixtures from files")]
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/workload_import.jsonl"));
    text.unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn what_the_reference_wrote_is_found_clean_and_what_was_changed_is_found() {
    let lines = lines();
    assert_eq!(lines.len(), 34);
    for line in &lines {
        let row = Value::from_json(line).unwrap();
        let id = row.get("id").unwrap().as_text().unwrap();
        let id = id.as_str().unwrap();
        let imported = verify(row.get("dict").unwrap(), row.get("trail"));
        let found: Vec<String> = imported.findings.iter().map(ToString::to_string).collect();
        let clean = UNSEEN.contains(&id) || id == "none" || id.starts_with("shape_") && id != "shape_compromised";
        assert_eq!(found.is_empty(), clean, "{id}: {found:#?}");
        assert_eq!(imported.untied > 0, untied(id), "{id}: {}", imported.untied);
        if id == "shape_compromised" {
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].contains("compromised") && found[0].contains("24f572600e150d3230138385aa0006ca"),
                "{found:?}"
            );
        }
    }
}

fn untied(id: &str) -> bool {
    // Those in which an input or output hash is another now, or which never were tied.
    matches!(
        id,
        "input_unrelated_to_previous_output"
            | "first_output_hash"
            | "middle_output_hash"
            | "output_and_link"
            | "link_removed"
            | "link_value_removed"
            | "input_hash"
            | "step_replaced"
            | "shape_started_early"
    )
}

/// Without the audit trail less is said twice.
#[test]
fn without_the_trail() {
    let needs_trail =
        ["last_removed", "owner", "tokens_erased", "token_parent_edited", "all_removed", "middle_output_hash"];
    for line in &lines() {
        let row = Value::from_json(line).unwrap();
        let id = row.get("id").unwrap().as_text().unwrap();
        let id = id.as_str().unwrap();
        let found = verify(row.get("dict").unwrap(), None).findings;
        if needs_trail[..4].contains(&id) {
            assert!(found.is_empty(), "{id}: {found:?}");
        }
        if ["first_output_hash", "link_wrong", "input_hash", "node", "times", "sequence", "first_removed"].contains(&id)
        {
            assert!(!found.is_empty(), "{id}");
        }
    }
}

#[test]
fn strangers_dictionaries_are_findings_and_not_panics() {
    for text in
        ["null", "{}", "[]", "7", r#"{"workload_id": "x", "name": "", "owner": "", "status": "created", "steps": [1]}"#]
    {
        let imported = verify(Value::from_json(text).unwrap(), Some(Value::from_json("[{}, 3]").unwrap()));
        assert_eq!(imported.findings.len(), 1, "{text}: {:?}", imported.findings);
    }
    let step = r#"{"step_id": "s", "name": "n", "sequence": 5, "status": "pending", "executor": "", "node": "", "input_hash": "",
        "output_hash": "", "started_at": "", "completed_at": "", "duration_ms": 0.0, "error": ""}"#;
    let many = vec![step; 3000].join(",");
    let many = format!(r#"{{"workload_id": "x", "name": "", "owner": "", "status": "created", "steps": [{many}]}}"#);
    assert_eq!(verify(Value::from_json(&many).unwrap(), None).findings.len(), MAX_FINDINGS);
    // Every cut of a real line.
    let line = &lines()[0];
    for at in (0..line.len()).step_by(97) {
        if let Ok(value) = Value::from_json(&line[..at]) {
            let _ = verify(value, Some(value));
        }
    }
}
