//! What a new user trips over: segments, neighbours, pipes, long names, keys that nobody named.

use sluis_chain::token::Token;
use sluis_core::framing::Text;
use sluis_core::identity::SecretKey;
use sluis_core::{Instant, Now, Seed, Wall};
use sluis_journal::{Options, TokenJournal, TokenSetup};

use crate::common::folder::Folder;
use crate::common::json::Json;

/// The kinds that `verify` finds, in their order.
#[track_caller]
fn kinds(folder: &Folder, code: i32, args: &[&str]) -> Vec<String> {
    let found = folder.events(code, &[&["chain", "verify"], args].concat());
    found.iter().filter_map(|found| found.find("kind").map(|_| found.str("kind").to_owned())).collect()
}

#[test]
fn parts_of_one_log_are_one_history() {
    let folder = Folder::new("verify-parts");
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
    // One that is kept elsewhere is known by what it holds. Where it is missing, nothing says that this one is a segment and not a
    // log whose head was cut off.
    std::fs::rename(folder.0.join("s.1.jsonl"), folder.0.join("old.jsonl")).expect("renamed");
    folder.prints(&["chain", "verify", "s.2.jsonl", "old.jsonl"]);
    assert_eq!(kinds(&folder, 1, &["s.2.jsonl"]), ["dropped"]);
    assert_eq!(kinds(&folder, 1, &["s.2.jsonl", "--partial"]), ["dropped"]);
    // A link to another segment is wrong, whoever stands in its place; and the one before that is missing.
    for other in ["", lines[3], &lines[2..3].concat(), &lines[3].replace("completed", "failed"), "\n", "{}\n"] {
        folder.write("s.2.jsonl", other);
        let kind = if other == lines[3] { "segment" } else { "dropped" };
        assert_eq!(kinds(&folder, 1, &["s.jsonl"]), [kind], "{other}");
    }
}

#[test]
fn segments_are_known_by_the_first_lines_of_those_behind_them() {
    let folder = Folder::new("verify-segments");
    folder.prints(&["key", "new", "hub.key"]);
    folder.write("hub.pub", folder.prints(&["key", "export", "hub.key"]));
    let key = || SecretKey::from_pem(&folder.text("hub.key")).expect("a key");
    let mut options = Options::default();
    options.rotate_entries = Some(3);
    let setup = TokenSetup::default().options(options).seal(key()).checkpoints("example.com/relay", key());
    let journal = TokenJournal::open(folder.0.join("s.jsonl"), &Seed::from_u64(7), setup).expect("a journal").0;
    let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
    for action in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let draft = Token { action: Text::new(action), actor: Text::new("jis:hub"), ..Token::default() };
        journal.append_blocking(now, &draft).expect("appended");
    }
    journal.checkpoint_blocking().expect("signed");
    drop(journal);
    let names = ["s.1.jsonl", "s.2.jsonl", "s.jsonl"];
    let asked = ["--signed", "--actor", "jis:hub=hub.pub", "--key", "hub.pub"];
    folder.prints(&[&["chain", "verify"][..], &names, &asked].concat());
    let good: Vec<String> = names.iter().map(|name| folder.text(name)).collect();
    // A segment before it that is not what the first line says: emptied, cut at its head, another in its place.
    let head_cut = good[1].split_inclusive('\n').skip(1).collect::<String>();
    for (other, kind) in [("", "dropped"), (head_cut.as_str(), "segment"), (&good[0], "dropped"), ("\n", "dropped")] {
        folder.write("s.2.jsonl", other);
        for flags in [&[][..], &asked] {
            assert_eq!(kinds(&folder, 1, &[&["s.jsonl"], flags].concat()), [kind], "{other}");
        }
        folder.write("s.2.jsonl", &good[1]);
    }
    // One that is missing, only who says so may do without; and of one before that it is said.
    let events = folder.events(0, &[&["chain", "verify", "s.jsonl"], &asked[..]].concat());
    assert_eq!(events[0].get("not_checked"), &Json::List(vec![]));
    std::fs::remove_file(folder.0.join("s.1.jsonl")).expect("it was there");
    assert_eq!(kinds(&folder, 1, &[&["s.jsonl"], &asked[..]].concat()), ["segment"]);
    let events = folder.events(0, &[&["chain", "verify", "s.jsonl", "--partial"], &asked[..]].concat());
    assert_eq!(events[0].get("not_checked"), &Json::List(vec![Json::text("segments")]));
    assert_eq!(kinds(&folder, 1, &["s.2.jsonl"]), ["dropped"]);
    let said = folder.prints(&["chain", "verify", "s.2.jsonl", "--partial"]);
    assert!(said.contains("not checked: segments before the first that is there are missing"), "{said}");
    // Of what is left, nothing may be cut off.
    let rest = |text: &str| text.split_inclusive('\n').skip(1).collect::<String>();
    for (at, name) in [(1, "s.2.jsonl"), (2, "s.jsonl")] {
        folder.write(name, rest(&good[at]));
        for sidecar in [".tree", ".checkpoint"] {
            std::fs::remove_file(folder.0.join(format!("{name}{sidecar}"))).expect("it was there");
        }
        assert_eq!(kinds(&folder, 1, &[&[name, "--partial"], &asked[..]].concat()), ["dropped"]);
    }
}

/// Two files may end in the same line: which of them is the segment is said by the next, or else it is not known.
#[test]
fn of_two_files_that_end_alike_one_is_the_segment() {
    let folder = Folder::new("verify-alike");
    let mut options = Options::default();
    options.rotate_entries = Some(3);
    let setup = TokenSetup::default().options(options);
    let journal = TokenJournal::open(folder.0.join("s.jsonl"), &Seed::from_u64(7), setup).expect("a journal").0;
    let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
    for action in ["a", "b", "c", "d", "e"] {
        let draft = Token { action: Text::new(action), actor: Text::new("jis:hub"), ..Token::default() };
        journal.append_blocking(now, &draft).expect("appended");
    }
    drop(journal);
    let whole = folder.text("s.1.jsonl");
    let last = whole.split_inclusive('\n').next_back().expect("a line").to_owned();
    folder.prints(&["chain", "verify", "s.jsonl"]);
    // Before and behind the true one in the order of names: a tail of it, and the whole again.
    std::fs::rename(folder.0.join("s.1.jsonl"), folder.0.join("s.3.jsonl")).expect("renamed");
    for (name, other) in [("s.1.jsonl", &last), ("s.5.jsonl", &last), ("s.1.jsonl", &whole), ("s.5.jsonl", &whole)] {
        folder.write(name, other);
        folder.prints(&["chain", "verify", "s.jsonl"]);
        std::fs::remove_file(folder.0.join(name)).expect("removed");
    }
    // Where the next does not say how long it is, nobody knows which it is.
    folder.prints(&["chain", "new", "c.jsonl"]);
    for action in ["a", "b", "c"] {
        folder.prints(&["chain", "add", "c.jsonl", "--action", action]);
    }
    let text = folder.text("c.jsonl");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    folder.write("p.jsonl", lines[3]);
    for (name, part) in [("p.1.jsonl", &lines[..3]), ("p.2.jsonl", &lines[2..3]), ("p.3.jsonl", &lines[..3])] {
        folder.write(name, part.concat());
    }
    assert_eq!(kinds(&folder, 1, &["p.jsonl"]), ["segment"]);
    assert_eq!(kinds(&folder, 1, &["p.jsonl", "--partial"]), ["segment"]);
    // Two that have the same lines are no question.
    std::fs::remove_file(folder.0.join("p.2.jsonl")).expect("removed");
    folder.prints(&["chain", "verify", "p.jsonl"]);
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
fn standard_input_is_read_where_it_is_asked_for() {
    let folder = Folder::new("verify-pipe");
    folder.prints(&["key", "new", "hub.key"]);
    folder.prints(&["chain", "new", "c.jsonl"]);
    folder.prints(&["chain", "add", "c.jsonl", "--action", "a", "--key", "hub.key"]);
    let verify = |stdin: std::process::Stdio, flags: &[&str]| {
        let out =
            folder.command(&[&["chain", "verify", "-"], flags].concat()).stdin(stdin).output().expect("sluis runs");
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let file = || std::fs::File::open(folder.0.join("c.jsonl")).expect("a file").into();
    let pipe = |text: String| {
        use std::io::Write as _;
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        std::thread::spawn(move || writer.write_all(text.as_bytes()));
        reader.into()
    };
    // What stands beside a file counts, and of a pipe nothing is known.
    let (code, said) = verify(file(), &[]);
    assert!(
        code == Some(0) && said.starts_with("-: 2 tokens, nothing found") && said.contains("checkpoint of c"),
        "{said}"
    );
    let (code, said) = verify(pipe(folder.text("c.jsonl")), &[]);
    assert!(code == Some(0) && said.contains("no checkpoint: a cut tail would not be seen"), "{said}");
    let (code, said) =
        verify(pipe(folder.text("c.jsonl").replacen("\"a\"", "\"b\"", 1)), &["--checkpoint", "c.jsonl.checkpoint"]);
    assert!(code == Some(1) && said.contains("-: line 2"), "{said}");
    // Nothing else is waited for.
    let made = std::process::Command::new("mkfifo").arg(folder.0.join("pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    for command in ["verify", "show"] {
        let said = folder.fails(1, &["chain", command, "pipe"]);
        assert!(said.contains("it is no regular file"), "{said}");
    }
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
    let export = ["chain", "export", "c.jsonl", "--key", "hub.key", "--allow-unsigned"];
    let verify = |name| ["chain", "verify", name, "--key", "hub.key", "--allow-unsigned"];
    folder.write("good.json", folder.prints(&export));
    let said = folder.prints(&verify("good.json"));
    assert!(said.contains("an attestation that a known key signed") && !said.contains("checkpoint"), "{said}");
    folder.ends(1, &[&step[..4], &["two"], &step[5..], &["echo b >> in.txt"]].concat());
    folder.write("bad.json", folder.prints(&export));
    let found = folder.events(1, &verify("bad.json"));
    assert_eq!((found.len(), found[0].str("kind"), found[0].count("line")), (2, "compromised", 3));
}
