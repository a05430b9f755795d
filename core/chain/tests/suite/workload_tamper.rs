//! Every way of tampering that `tibet-workload` was tried with, against chains of ours: by somebody who only edits, by
//! somebody who mends the hash of what he edited, and by somebody who mends all hashes and links but has no key.

use crate::common::{Deviations, rows};
use sluis_chain::token::{Authority, Hash32, KnownKeys, Token};
use sluis_chain::workload::check::StepVerifier;
use sluis_chain::workload::{Data, Engine, EngineConfig, MAX_LINE, NewStep, NewWorkload, Protection, hash_value};
use sluis_core::data::Value;
use sluis_core::identity::{MacKey, SecretKey};
use sluis_core::{Instant, Now, Seed, Wall};

/// The row in which no token is left: only who knows that there were some finds that (a head, a checkpoint, or `chain verify`, which takes
/// no tokens for a failure).
const ERASED: &str = "tokens_erased";

fn at(ms: u64) -> Now {
    let wall = Wall::from_micros(1_736_942_400_000_000).saturating_add(core::time::Duration::from_millis(ms));
    Now::new(Instant::from_nanos(ms * 1_000_000), wall)
}

fn value(text: &'static str) -> Data<'static> {
    Data::Value(Value::from_json(text).unwrap())
}

/// A workload of three steps that ran well, each on the output of the one before; and its tokens.
fn chain(protection: &Protection<'_>) -> Vec<String> {
    let config = EngineConfig { actor: "jis:coordinator", node: "node-1", ..EngineConfig::default() };
    let mut engine = Engine::new(&config, &Seed::from_u64(5));
    let id = engine.create(at(0), &NewWorkload { name: "pipe", owner: "jis:owner", ..NewWorkload::default() }).unwrap();
    for name in ["a", "b", "c"] {
        let step = NewStep { name, executor: Some("jis:worker"), ..NewStep::default() };
        engine.add_step(at(1), id, &step).unwrap();
    }
    let data = [r#"{"d": 0}"#, r#"{"d": 1}"#, r#"{"d": 2}"#, r#"{"d": 3}"#];
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        let ms = 10 * n as u64;
        engine.start_step(at(ms + 2), id, name, value(data[n]), None).unwrap();
        engine.complete_step(at(ms + 4), id, name, value(data[n + 1]), None).unwrap();
    }
    engine.close(at(100), id).unwrap();
    let mut lines = Vec::new();
    let mut out = vec![0; MAX_LINE];
    while let Some(written) = engine.poll_token(protection, &mut out) {
        lines.push(String::from_utf8(out[..written.unwrap().len].to_vec()).unwrap());
    }
    assert_eq!(lines.len(), 5);
    lines
}

/// The text between two others.
fn between<'l>(line: &'l str, before: &str, after: &str) -> &'l str {
    let start = line.find(before).unwrap_or_else(|| panic!("no {before} in {line}")) + before.len();
    let len = line[start..].find(after).unwrap_or_else(|| panic!("no {after} in {line}"));
    &line[start..start + len]
}

fn swap(line: &mut String, old: &str, new: &str) {
    assert!(line.contains(old), "no {old} in {line}");
    *line = line.replace(old, new);
}

/// Replace what stands between two texts.
fn set(line: &mut String, before: &str, after: &str, new: &str) {
    let old = format!("{before}{}{after}", between(line, before, after));
    *line = line.replacen(&old, &format!("{before}{new}{after}"), 1);
}

const OTHER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Another output of a step, in both lengths.
fn output(line: &mut String, hash: &str) {
    set(line, "\"output_hash\": \"", "\"", &hash[..hash.len() / 2]);
    set(line, "\"output_sha256\": \"", "\"", hash);
}

fn input(line: &mut String, hash: &str) {
    set(line, "\"input_hash\": \"", "\"", &hash[..hash.len() / 2]);
    set(line, "\"input_sha256\": \"", "\"", hash);
}

/// The lines: created, a, b, c, closed.
#[allow(clippy::too_many_lines, reason = "one arm a row of the table")]
fn tamper(id: &str, lines: &mut Vec<String>) {
    let status = |line: &mut String, status: &str| {
        set(line, "\"status\": \"", "\"", status);
        set(line, "\"action\": \"step_", "\"", status);
    };
    match id {
        "none" => {}
        "first_output_hash" => output(&mut lines[1], OTHER),
        "middle_output_hash" => output(&mut lines[2], OTHER),
        "output_and_link" => {
            output(&mut lines[1], OTHER);
            set(&mut lines[2], "output:sha256:", "\"", OTHER);
        }
        "link_removed" => {
            output(&mut lines[1], OTHER);
            set(&mut lines[2], "\"eraan\": [", "]", "");
        }
        "link_value_removed" => {
            output(&mut lines[1], OTHER);
            set(&mut lines[2], "output:sha256:", "\"", "");
        }
        "link_wrong" => set(&mut lines[2], "output:sha256:", "\"", OTHER),
        "input_hash" => input(&mut lines[2], OTHER),
        "node" => set(&mut lines[2], "\"node\": \"", "\"", "elsewhere"),
        "erin" => set(&mut lines[2], "\"erin\": {", "}", "\"step\": \"b\""),
        "eromheen" => set(&mut lines[2], "\"eromheen\": {", "}", "\"node\": \"node-1\""),
        "erachter" => set(&mut lines[2], "\"erachter\": \"", "\"", "for fun"),
        "times" => {
            set(&mut lines[2], "\"timestamp\": \"", "\"", "2025-01-15T13:00:00+00:00");
            set(&mut lines[2], "\"started_at\": \"", "\"", "2025-01-15T12:59:00+00:00");
        }
        "metadata" => swap(&mut lines[2], "\"output_hash\"", "\"metadata\": {\"x\": 1}, \"output_hash\""),
        "sequence" => {
            set(&mut lines[1], "\"sequence\": ", ",", "2");
            set(&mut lines[2], "\"sequence\": ", ",", "1");
        }
        "first_removed" => drop(lines.remove(1)),
        "last_removed" => drop(lines.remove(3)),
        "all_removed" => drop(lines.drain(1..4)),
        "middle_marked_skipped" => status(&mut lines[2], "skipped"),
        "last_marked_pending" => status(&mut lines[3], "pending"),
        "first_marked_compromised" => status(&mut lines[1], "compromised"),
        "workload_status" => {
            set(&mut lines[4], "\"status\": \"", "\"", "failed");
            set(&mut lines[4], "\"action\": \"workload_", "\"", "failed");
        }
        "owner" => set(&mut lines[0], "\"owner\": \"", "\"", "jis:thief"),
        "tokens_erased" => lines.clear(),
        "token_parent_edited" => {
            let step = between(&lines[3], "\"parent_id\": \"", "\"").to_owned();
            set(&mut lines[2], "\"parent_id\": \"", "\"", &step);
        }
        // Nobody edits anything: b really ran on other data, and all who sign are who they say. Done by `other_data`.
        "input_unrelated_to_previous_output" => input(&mut lines[2], OTHER),
        "output_hash_cleared" => output(&mut lines[1], ""),
        "step_replaced" => {
            set(&mut lines[2], "\"actor\": \"", "\"", "jis:thief");
            input(&mut lines[2], OTHER);
            output(&mut lines[2], OTHER);
            set(&mut lines[3], "output:sha256:", "\"", OTHER);
        }
        other => panic!("a row without a way to do it: {other}"),
    }
}

fn hash_of(line: &str) -> Hash32 {
    Token::parse(line).unwrap().content_hash(None).unwrap()
}

/// Mend the hash of every line that was edited.
fn rehash(lines: &mut [String]) {
    for line in lines {
        let hash = hash_of(line).to_string();
        set(line, "\"content_hash\": \"", "\"", &hash);
    }
}

/// Mend all hashes, and all links to them.
fn relink(lines: &mut [String]) {
    let mut before: Option<(String, String)> = None;
    let ids: Vec<_> = lines.iter().map(|line| between(line, "\"token_id\": \"", "\"").to_owned()).collect();
    for line in lines {
        if let Some((id, hash)) = &before {
            if line.contains("\"token:") {
                set(line, "\"token:", "\"", hash);
            } else {
                set(line, "\"eraan\": [", "]", &format!("\"token:{hash}\""));
            }
            if !ids.iter().any(|id| id == between(line, "\"parent_id\": \"", "\"")) {
                set(line, "\"parent_id\": \"", "\"", id);
            }
        }
        let hash = hash_of(line).to_string();
        set(line, "\"content_hash\": \"", "\"", &hash);
        before = Some((between(line, "\"token_id\": \"", "\"").to_owned(), hash));
    }
}

/// What a verifier finds, as `line kind`.
fn findings(lines: &[String], mac: Option<&MacKey>, authority: Option<&dyn Authority>) -> Vec<String> {
    let mut verifier = StepVerifier::new(mac, authority, &Seed::from_u64(9));
    let mut found: Vec<String> = lines
        .iter()
        .filter_map(|line| verifier.line(line.as_bytes()).map(|f| format!("{} {}", f.line, f.fault.kind())))
        .collect();
    found.extend(verifier.unfinished().map(|(_, steps)| format!("unfinished after {steps}")));
    // Of what is not there nothing can be found; the verifier says that it has seen nothing.
    assert_eq!(verifier.head().is_none(), lines.is_empty());
    found
}

/// What the one who only edits is found by. (`unsigned`: that is all that is needed.)
fn expected(id: &str) -> &'static [&'static str] {
    match id {
        // As in the reference: whoever erases all tokens leaves nothing to find something in.
        "none" | "tokens_erased" => &[],
        "first_output_hash" | "first_marked_compromised" | "output_hash_cleared" => &["2 content_hash"],
        "middle_output_hash"
        | "link_wrong"
        | "input_hash"
        | "node"
        | "erin"
        | "eromheen"
        | "erachter"
        | "times"
        | "metadata"
        | "middle_marked_skipped"
        | "token_parent_edited"
        | "input_unrelated_to_previous_output" => &["3 content_hash"],
        "output_and_link" | "link_removed" | "link_value_removed" | "sequence" => &["2 content_hash", "3 content_hash"],
        "step_replaced" => &["3 content_hash", "4 content_hash"],
        "first_removed" => &["2 step_order"],
        "last_removed" | "all_removed" => {
            if id == "last_removed" {
                &["4 truncated"]
            } else {
                &["2 truncated"]
            }
        }
        "last_marked_pending" => &["4 content_hash"],
        "workload_status" => &["5 content_hash"],
        "owner" => &["1 content_hash"],
        other => panic!("{other}"),
    }
}

#[test]
fn every_row_is_found_when_somebody_edits() {
    let mut deviations = Deviations::of("workload_tamper.jsonl");
    let clean = chain(&Protection::default());
    let table = rows("workload_tamper.jsonl");
    assert_eq!(table.len(), 28);
    for row in &table {
        let mut lines = clean.clone();
        tamper(row.id(), &mut lines);
        let found = findings(&lines, None, None);
        assert_eq!(found, expected(row.id()), "{}", row.id());
        let word = |found| if found { "found" } else { "nothing" };
        deviations.check(row.id(), word(row.bool("detected")), word(!found.is_empty()));
    }
    deviations.finish();
}

#[test]
fn every_row_is_found_when_somebody_mends_the_hash() {
    let clean = chain(&Protection::default());
    for row in rows("workload_tamper.jsonl").iter().filter(|row| row.id() != "none" && row.id() != ERASED) {
        let mut lines = clean.clone();
        tamper(row.id(), &mut lines);
        rehash(&mut lines);
        let found = findings(&lines, None, None);
        assert!(!found.is_empty(), "{}", row.id());
        assert!(found.len() <= 2, "{}: {found:?}", row.id());
    }
}

#[test]
fn every_row_is_found_when_somebody_mends_everything_but_the_signatures() {
    let (coordinator, known) = (SecretKey::from_seed(&[7; 32]), SecretKey::from_seed(&[7; 32]).public());
    let protection = Protection { seal: Some(&coordinator), ..Protection::default() };
    let clean = chain(&protection);
    let mut keys = [known.verifier().unwrap()];
    let keys = KnownKeys::new(&mut keys);
    for row in &rows("workload_tamper.jsonl") {
        let mut lines = clean.clone();
        tamper(row.id(), &mut lines);
        relink(&mut lines);
        let found = findings(&lines, None, Some(&keys));
        assert_eq!(found.is_empty(), row.id() == "none" || row.id() == ERASED, "{}: {found:?}", row.id());
        let head = lines.last().map(|line| hash_of(line));
        let same = head == clean.last().map(|line| hash_of(line));
        assert_eq!(same, row.id() == "none", "{}: whoever kept the head finds it without any key", row.id());
    }
}

#[test]
fn every_row_is_found_under_a_shared_key() {
    let key = MacKey::new(b"shared");
    let clean = chain(&Protection { mac: Some(&key), ..Protection::default() });
    for row in &rows("workload_tamper.jsonl") {
        let mut lines = clean.clone();
        tamper(row.id(), &mut lines);
        if row.id() != "none" {
            // He does not have the key: the hashes he makes are plain ones.
            relink(&mut lines);
        }
        let found = findings(&lines, Some(&key), None);
        assert_eq!(found.is_empty(), row.id() == "none" || row.id() == ERASED, "{}: {found:?}", row.id());
    }
}

/// The row that no hash and no signature finds: everybody signs what they did, and b ran on other data than a gave.
#[test]
fn other_data_than_the_step_before_gave_is_found_though_all_sign() {
    use sluis_chain::workload::Entry;
    let key = SecretKey::from_seed(&[7; 32]);
    let protection = Protection { seal: Some(&key), ..Protection::default() };
    let mut lines = chain(&protection);
    let mut keys = [key.public().verifier().unwrap()];
    let keys = KnownKeys::new(&mut keys);
    let mut previous = None;
    for line in &mut lines {
        let before = line.clone();
        let mut out = vec![0; MAX_LINE];
        let token = Token::parse(&before).unwrap();
        let written = match Entry::read(&token).unwrap().unwrap() {
            Entry::Created(created) => created.write(&protection, &mut out),
            Entry::Step(mut step) => {
                step.after.token = previous.unwrap();
                if step.sequence == 2 {
                    step.input = Some(hash_value(Value::from_json("\"other\"").unwrap()).unwrap());
                }
                step.write(&protection, &mut out)
            }
            Entry::Closed(mut closed) => {
                closed.after.token = previous.unwrap();
                closed.write(&protection, &mut out)
            }
        }
        .unwrap();
        previous = Some(written.content_hash);
        *line = String::from_utf8(out[..written.len].to_vec()).unwrap();
    }
    assert_eq!(findings(&lines, None, Some(&keys)), ["3 input_mismatch"]);
}

#[test]
fn lines_that_change_places_or_come_twice() {
    let clean = chain(&Protection::default());
    let mut swapped = clean.clone();
    swapped.swap(2, 3);
    assert_eq!(findings(&swapped, None, None), ["3 step_order"], "a swap is one finding");
    let mut twice = clean.clone();
    twice.insert(3, clean[2].clone());
    assert_eq!(findings(&twice, None, None), ["4 step_order"]);
    let mut after = clean.clone();
    after.push(clean[3].clone());
    assert_eq!(findings(&after, None, None), ["6 after_close"]);
    let mut again = clean.clone();
    again.push(clean[0].clone());
    assert_eq!(findings(&again, None, None), ["6 duplicate_workload"]);
    let mut broken = clean.clone();
    broken[2].truncate(100);
    assert_eq!(findings(&broken, None, None), ["3 broken_line"], "what follows from it is not reported");
    assert_eq!(findings(&clean[1..], None, None), ["1 missing_workload"]);
    assert_eq!(findings(&clean[..4], None, None), ["unfinished after 3"]);
    assert_eq!(findings(&clean, None, None), [""; 0]);
}

/// Whatever single byte of a token changes, it is found, and once.
#[test]
fn any_edit_of_one_token_is_one_finding() {
    let clean = chain(&Protection::default());
    for n in 0..clean.len() {
        for at in (0..clean[n].len()).step_by(7) {
            let mut lines = clean.clone();
            let mut bytes = lines[n].clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            lines[n] = String::from_utf8(bytes).unwrap();
            if lines[n] == clean[n] {
                continue;
            }
            let found = findings(&lines, None, None);
            // An unsigned token's `signature` is free text, and covered by nothing but the log.
            let free = at > clean[n].len() - 3;
            assert!(found.len() == 1 || free, "line {} byte {at}: {found:?}\n{}", n + 1, lines[n]);
        }
    }
}
