//! What a new user trips over: segments, neighbours, pipes, long names, keys that nobody named.

use crate::common::folder::Folder;
use crate::common::json::Json;

#[test]
fn segments_of_one_journal_are_one_history() {
    let folder = Folder::new("verify-segments");
    let args = ["chain", "run", "c.jsonl", "--step"];
    for step in ["one", "two", "three"] {
        folder.ends(0, &[&args[..], &[step, "--", "true"]].concat());
    }
    folder.prints(&["chain", "close", "c.jsonl"]);
    let whole = folder.text("c.jsonl");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let parts = [("s.1.jsonl", &lines[..2]), ("s.2.jsonl", &lines[2..4]), ("s.jsonl", &lines[4..])];
    for (name, lines) in parts {
        folder.write(name, lines.concat());
    }
    let all = ["chain", "verify", "s.1.jsonl", "s.2.jsonl", "s.jsonl"];
    folder.prints(&all);
    for (name, _) in parts {
        folder.prints(&["chain", "verify", name]);
    }
    // One that is kept elsewhere is known by what it holds; one that is missing, only who says so may do without.
    std::fs::rename(folder.0.join("s.1.jsonl"), folder.0.join("old.jsonl")).expect("renamed");
    folder.prints(&["chain", "verify", "s.2.jsonl", "old.jsonl"]);
    let kinds = |code, args: &[&str]| {
        let found = folder.events(code, &[&["chain", "verify"], args].concat());
        found.iter().filter_map(|found| found.find("kind").map(|_| found.str("kind").to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(kinds(1, &["s.2.jsonl"]), ["dropped"]);
    let said = folder.prints(&["chain", "verify", "s.2.jsonl", "--partial"]);
    assert!(said.contains("not checked: segments before the first that is there are missing"), "{said}");
    folder.prints(&["chain", "verify", "s.jsonl", "--partial"]);
    // A link to another segment is wrong, whoever stands in its place.
    for other in ["", lines[3], &lines[2..3].concat(), &lines[3].replace("completed", "failed"), "\n", "{}\n"] {
        folder.write("s.2.jsonl", other);
        let ok = other == lines[3];
        assert_eq!(kinds(i32::from(!ok), &["s.jsonl"]), if ok { vec![] } else { vec!["dropped"] }, "{other}");
    }
}

#[test]
fn files_that_are_named_like_segments_need_not_be_some() {
    let folder = Folder::new("verify-neighbours");
    let token = |id: u32| format!("{{\"token_id\": \"t{id}\"}}\n");
    folder.write("a.1.jsonl", token(1));
    folder.write("a.jsonl", token(2));
    for file in ["a.jsonl", "a.1.jsonl"] {
        let found = folder.events(1, &["chain", "verify", file]);
        assert!(
            found.iter().all(|found| found.find("kind").is_none_or(|kind| kind != &Json::text("link"))),
            "{found:?}"
        );
    }
}

#[test]
fn a_pipe_is_read_once() {
    let folder = Folder::new("verify-pipe");
    folder.prints(&["chain", "new", "c.jsonl"]);
    let made = std::process::Command::new("mkfifo").arg(folder.0.join("pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    let (path, bytes) = (folder.0.join("pipe"), folder.text("c.jsonl"));
    let writer = std::thread::spawn(move || std::fs::write(path, bytes));
    let said = folder.prints(&["chain", "verify", "pipe"]);
    assert!(said.starts_with("pipe: 1 token, nothing found"), "{said}");
    writer.join().expect("no panic").expect("all of it was read");
    let said = folder.fails(1, &["chain", "show", "pipe"]);
    assert!(said.contains("pipe is a pipe or a device"), "{said}");
}

#[test]
fn names_do_not_run_into_times() {
    let folder = Folder::new("show-long");
    let actor = format!("jis:{}", "long".repeat(20));
    folder.prints(&["chain", "add", "c.jsonl", "--action", &"act".repeat(20), "--actor", &actor]);
    let said = folder.prints(&["chain", "show", "c.jsonl"]);
    let row = said.lines().nth(1).expect("a row");
    let action = format!(" {}…  ", "act".repeat(11));
    assert!(row.contains("jis:longlonglonglonglon…  20") && row.contains(&action), "{row}");
    assert!(said.contains("\n1 token, nothing found\n"), "{said}");
}

#[test]
fn a_shared_key_that_nobody_named_is_guessed_at() {
    let folder = Folder::new("verify-mac");
    folder.write("shared.key", "secret\n");
    folder.set_mode("shared.key", 0o600);
    folder.prints(&["chain", "new", "c.jsonl", "--hmac-key", "shared.key"]);
    folder.prints(&["chain", "add", "c.jsonl", "--action", "a", "--hmac-key", "shared.key"]);
    let said = folder.ends(1, &["chain", "verify", "c.jsonl"]);
    assert!(said.contains("no hash holds") && said.contains("--hmac-key"), "{said}");
    let said = folder.prints(&["chain", "verify", "c.jsonl", "--hmac-key", "shared.key"]);
    assert!(!said.contains("no hash holds"), "{said}");
}

#[test]
fn an_attestation_of_a_compromised_workload_says_so() {
    let folder = Folder::new("verify-attested");
    folder.prints(&["key", "new", "hub.key"]);
    folder.write("in.txt", "a");
    let step = ["chain", "run", "c.jsonl", "--step", "one", "--input", "in.txt", "--", "sh", "-c"];
    folder.ends(0, &[&step[..], &["true"]].concat());
    let export = ["chain", "export", "c.jsonl", "--key", "hub.key"];
    folder.write("good.json", folder.prints(&export));
    let said = folder.prints(&["chain", "verify", "good.json", "--key", "hub.key"]);
    assert!(said.contains("an attestation that a known key signed") && !said.contains("checkpoint"), "{said}");
    folder.ends(1, &[&step[..4], &["two"], &step[5..], &["echo b >> in.txt"]].concat());
    folder.write("bad.json", folder.prints(&export));
    let found = folder.events(1, &["chain", "verify", "bad.json", "--key", "hub.key"]);
    assert_eq!((found.len(), found[0].str("kind"), found[0].count("line")), (2, "compromised", 3));
}
