//! Statements.

use proptest::prelude::*;
use sluis_chain::export::{PREDICATE_TYPE, STATEMENT_TYPE, Statement, StatementError};

use super::*;

proptest! {
    #[test]
    fn pipelines_of_any_shape_make_statements(names in prop::collection::btree_set("\\PC{1,12}", 0..6), seed: u64, closed: bool) {
        let mut run = Run::new(seed, Protection::default());
        for (n, name) in names.iter().enumerate() {
            let output = format!("{{\"n\": {n}, \"name\": {:?}}}", n % 2);
            run.step(name, if n % 3 == 2 { Data::None } else { json(&output) }, None);
        }
        let lines = if closed { run.close() } else { run.lines.clone() };
        let statement = state(&lines).expect("a statement");
        prop_assert_eq!(statement.lines(), &lines[..]);
        let read = Statement::read(statement.as_json().as_bytes(), None);
        prop_assert_eq!(read.as_ref(), Ok(&statement));
        let outputs = (0..names.len()).filter(|n| n % 3 != 2).count();
        prop_assert_eq!(statement.subjects().len(), outputs.max(1));
        // Any one line left out, any two swapped: no statement, or an honest one about fewer steps.
        for gone in 0..lines.len() {
            let mut fewer = lines.clone();
            fewer.remove(gone);
            prop_assert_eq!(state(&fewer).is_ok(), gone + 1 == lines.len() && gone > 0);
        }
        for n in 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(n - 1, n);
            prop_assert!(state(&swapped).is_err());
        }
    }
}

#[test]
fn the_statement_is_what_in_toto_reads() {
    let lines = survey();
    let statement = state(&lines).expect("a statement");
    let value: serde_json::Value = serde_json::from_str(statement.as_json()).expect("JSON");
    assert_eq!(value["_type"], STATEMENT_TYPE);
    assert_eq!(value["predicateType"], PREDICATE_TYPE);
    let hash = |text: &str| {
        let hash = sluis_chain::workload::hash_value(Value::from_json(text).expect("JSON")).expect("a hash").to_hex();
        String::from_utf8(hash.to_vec()).expect("digits")
    };
    let (route, photos) = (hash(r#"{"route": [1, 2]}"#), hash(r#"{"photos": 12}"#));
    let subject = serde_json::json!([
        {"name": "fly", "digest": {"sha256": photos}},
        {"name": "plan", "digest": {"sha256": route}},
    ]);
    assert_eq!(value["subject"], subject);
    let predicate = &value["predicate"];
    assert_eq!(predicate["workload"]["id"], statement.workload().as_str());
    assert_eq!(predicate["workload"]["status"], "completed");
    assert_eq!(predicate["workload"]["coordinator"], "jis:dispatch");
    assert_eq!(predicate["workload"]["closedAt"], "2025-01-15T12:00:05+00:00");
    assert_eq!(predicate["steps"][1]["executor"], "jis:drone");
    assert_eq!(predicate["steps"][1]["inputSha256"], predicate["steps"][0]["outputSha256"]);
    assert_eq!(predicate["tokenHash"], "sha256");
    assert_eq!(predicate["tokens"], serde_json::json!(lines));
}

#[test]
fn declared_files_are_subjects_where_the_output_hash_covers_them() {
    let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
    let first = format!(r#"{{"map.png": "{a}", "route.json": "{b}"}}"#);
    let second = format!(r#"{{"route.json": "{c}"}}"#);
    let names = |lines: &[String]| -> Vec<(String, Hash32)> {
        state(lines).expect("a statement").subjects().iter().map(|s| (s.name.clone(), s.sha256)).collect()
    };
    let mut run = Run::new(1, Protection::default());
    run.step("plan", json(&first), Some(&first)).step("mend", json(&second), Some(&second));
    let hash = |digit: u8| Hash32([digit; 32]);
    assert_eq!(names(&run.close()), [("map.png".to_owned(), hash(0xaa)), ("route.json".to_owned(), hash(0xcc))]);

    for wrong in [second.as_str(), r#"{"x": 1}"#, r#"{"x": "00"}"#, "[]", "{}"] {
        let mut run = Run::new(1, Protection::default());
        run.step("plan", json(&first), Some(wrong));
        let found = names(&run.close());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "plan", "{wrong}");
    }
    // Covered, but no digests.
    let odd = r#"{"x": {"y": "z"}}"#;
    let mut run = Run::new(1, Protection::default());
    run.step("plan", json(odd), Some(odd));
    assert_eq!(names(&run.close())[0].0, "plan");
}

#[test]
fn a_workload_without_output_is_its_own_subject() {
    use sha2::Digest as _;
    let mut run = Run::new(1, Protection::default());
    let expect = |lines: &[String], kind: &str| {
        let statement = state(lines).expect("a statement");
        let [subject] = statement.subjects() else { panic!("one subject") };
        let last = lines.last().expect("lines");
        assert!(subject.name.starts_with(kind) && last.contains(&format!("\"token_id\": \"{}\"", subject.name)));
        assert_eq!(subject.sha256.0[..], sha2::Sha256::digest(last.as_bytes())[..]);
        let status = if kind == "closed_" { "\"status\":\"completed\"" } else { "\"status\":\"open\"" };
        assert!(statement.as_json().contains(status));
    };
    expect(&run.lines, "workload_");
    run.step("look", Data::None, None);
    expect(&run.lines, "step_");
    expect(&run.close(), "closed_");
}

#[test]
fn one_workload_is_taken_from_among_others() {
    let mut other = Run::new(2, Protection::default());
    other.step("saw", json("1"), None);
    let (ours, others) = (survey(), other.close());
    let mixed: Vec<String> = ours
        .iter()
        .zip(&others)
        .flat_map(|(a, b)| [a.clone(), String::new(), b.clone()])
        .chain(ours.last().cloned())
        .collect();
    assert_eq!(state(&mixed), Err(StatementError::Several));
    let wanted = state(&ours).expect("a statement");
    let found = Statement::of(mixed.iter().map(String::as_str), Some(wanted.workload()), None).expect("found");
    assert_eq!(found, wanted);
    let missing = Statement::of(others.iter().map(String::as_str), Some(wanted.workload()), None);
    assert_eq!(missing, Err(StatementError::NoWorkload));
    assert_eq!(state(&[]), Err(StatementError::NoWorkload));
    assert!(matches!(state(&["no token".to_owned()]), Err(StatementError::Token { line: 1, .. })));
}

#[test]
fn changed_lines_make_no_statement() {
    let lines = survey();
    for n in 0..lines.len() {
        let mut changed = lines.clone();
        changed[n] = changed[n].replacen("\"node\": \"n1\"", "\"node\": \"n2\"", 1);
        assert_ne!(changed, lines);
        assert_eq!(state(&changed), Err(StatementError::ContentHash { line: n + 1 }));
    }
    let mut twice = lines.clone();
    twice.insert(2, lines[1].clone());
    assert_eq!(state(&twice), Err(StatementError::OutOfOrder { line: 3 }));
    let mut after = lines.clone();
    after.push(lines[2].clone());
    assert_eq!(state(&after), Err(StatementError::OutOfOrder { line: 5 }));
}

#[test]
fn a_statement_says_only_what_its_tokens_say() {
    let statement = state(&survey()).expect("a statement");
    let text = statement.as_json();
    assert_eq!(Statement::read(text.as_bytes(), None).as_ref(), Ok(&statement));
    for (from, to) in [
        ("\"name\":\"fly\"", "\"name\":\"fry\""),
        ("\"status\":\"completed\"", "\"status\":\"failed\""),
        ("\"sha256\":\"", "\"sha256\":\"0"),
        ("jis:drone", "jis:drome"),
        ("\"subject\":[", "\"subject\":[{\"name\":\"x\"},"),
        ("{\"_type\"", "{ \"_type\""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        assert!(matches!(Statement::read(changed.as_bytes(), None), Err(StatementError::Differs)), "{from}");
    }
    for foreign in [
        "",
        "{}",
        "[]",
        &text.replace(PREDICATE_TYPE, "https://slsa.dev/provenance/v1"),
        &text.replace(STATEMENT_TYPE, "x"),
    ] {
        assert_eq!(Statement::read(foreign.as_bytes(), None), Err(StatementError::NotOurs), "{foreign}");
    }
    assert_eq!(Statement::read(b"\xff", None), Err(StatementError::NotOurs));
}

#[test]
fn chains_under_a_shared_key_need_it() {
    let mac = MacKey::new(b"shared");
    let mut run = Run::new(1, Protection { mac: Some(&mac), ..Protection::default() });
    run.step("plan", json("[1]"), None);
    let lines = run.close();
    assert_eq!(state(&lines), Err(StatementError::ContentHash { line: 1 }));
    let statement = Statement::of(lines.iter().map(String::as_str), None, Some(&mac)).expect("a statement");
    assert!(statement.as_json().contains("\"tokenHash\":\"hmac-sha256\""));
    assert_eq!(Statement::read(statement.as_json().as_bytes(), Some(&mac)).as_ref(), Ok(&statement));
    assert!(Statement::read(statement.as_json().as_bytes(), None).is_err());
}

#[test]
fn sealed_lines_go_in_as_they_are() {
    let signer = key(7);
    let mut run = Run::new(1, Protection { seal: Some(&signer), ..Protection::default() });
    run.step("plan", json("[1]"), None);
    let lines = run.close();
    assert!(lines.iter().all(|line| line.contains("\"signature\": \"ed25519:")));
    assert_eq!(state(&lines).expect("a statement").lines(), &lines[..]);
}
