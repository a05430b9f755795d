//! Which log it is and who signs for it: names, keys, second names, segments.

use sluis_core::framing::Text;

use crate::common::folder::Folder;
use crate::common::json::Json;

const NEW: &[&str] = &["chain", "new", "c.jsonl", "--name", "mission-7", "--owner", "jis:dispatch", "--key", "hub.key"];
pub(crate) const ADD: &[&str] = &["chain", "add", "c.jsonl", "--action", "a"];

/// A token of the reference.
const REFERENCE: &str = concat!(
    r#"{"token_id": "tibet_20250115120000000000_deadbeef", "action": "user_login", "timestamp": "2025-01-15T12:00:00", "#,
    r#""actor": "jis:humotica:my_app", "erin": "plain", "eraan": [], "eromheen": {}, "erachter": "", "parent_id": null, "#,
    r#""state": "created", "content_hash": "d49916bd0997b15baeb9668fcb407b95d61fbdb607e4c7caf4120d0f42d244c2", "signature": ""}"#,
    "\n"
);

/// A log with a key for its checkpoints, and another key.
pub(crate) fn signed(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.prints(&["key", "new", "hub.key"]);
    folder.prints(&["key", "new", "eve.key"]);
    folder.prints(NEW);
    folder
}

/// Origin and size of a checkpoint.
pub(crate) fn head(folder: &Folder, log: &str) -> (String, u64) {
    let text = folder.text(&format!("{log}.checkpoint"));
    let mut lines = text.lines();
    let origin = lines.next().expect("an origin").to_owned();
    assert!(text.contains(&format!("\u{2014} {origin} ")), "the key has the name of the log: {text}");
    (origin, lines.next().and_then(|size| size.parse().ok()).expect("a size"))
}

pub(crate) fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

#[test]
fn a_log_keeps_its_name() {
    let folder = signed("logs-name");
    let run = |step: &'static str| ["chain", "run", "c.jsonl", "--step", step, "--key", "hub.key", "--", "true"];
    folder.ends(0, &run("one"));
    folder.prints(&["chain", "close", "c.jsonl", "--key", "hub.key"]);
    // The workload that begins now is called as the file; the log is not.
    folder.ends(0, &run("two"));
    assert_eq!(head(&folder, "c.jsonl"), ("mission-7".to_owned(), 5));
    for end in ["", ".tree", ".checkpoint"] {
        let [from, to] = ["c.jsonl", "renamed.jsonl"].map(|name| folder.0.join(format!("{name}{end}")));
        std::fs::rename(from, to).expect("renamed");
    }
    folder.prints(&["chain", "add", "renamed.jsonl", "--action", "a", "--key", "hub.key"]);
    assert_eq!(head(&folder, "renamed.jsonl"), ("mission-7".to_owned(), 6));
    let listen =
        ["listen", "--did", "jis:hub", "--bind", "127.0.0.1:0", "--duration", "0.1", "--record", "renamed.jsonl"];
    folder.ends(0, &with(&listen, &["--record-key", "hub.key", "--quiet"]));
    assert_eq!(head(&folder, "renamed.jsonl").0, "mission-7");
    folder.prints(&["chain", "verify", "renamed.jsonl", "--key", "hub.key"]);
    // What `listen` begins says what it is, too.
    let listen = ["listen", "--did", "jis:hub", "--bind", "127.0.0.1:0", "--duration", "0.1", "--record", "hub.jsonl"];
    folder.ends(0, &with(&listen, &["--record-key", "hub.key", "--trust", "jis:a=0.5", "--quiet"]));
}

#[test]
fn another_key_signs_no_checkpoint_of_the_log() {
    let folder = signed("logs-key");
    let before = folder.text("c.jsonl.checkpoint");
    let out = folder.sluis(&with(ADD, &["--key", "eve.key", "--json"]));
    let added = Json::parse(&String::from_utf8(out.stdout).expect("UTF-8"));
    assert_eq!((out.status.code(), added.count("line"), added.str("checkpoint")), (Some(0), 2, "not renewed"));
    assert!(added.str("behind").contains("another key"), "{added:?}");
    let said = String::from_utf8(out.stderr).expect("UTF-8");
    assert!(said.starts_with("sluis chain add: written as line 2 of c.jsonl, checkpoint not renewed"), "{said}");
    assert_eq!(folder.text("c.jsonl.checkpoint"), before);
    // Nor where the checkpoint is gone, nor for `listen`.
    std::fs::remove_file(folder.0.join("c.jsonl.checkpoint")).expect("removed");
    folder.ends(0, &with(ADD, &["--key", "eve.key"]));
    assert!(!folder.exists("c.jsonl.checkpoint"));
    let listen = ["listen", "--did", "jis:hub", "--bind", "127.0.0.1:0", "--duration", "0.1", "--record", "c.jsonl"];
    let out = folder.sluis(&with(&listen, &["--record-key", "eve.key", "--quiet"]));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("another key"), "{said}");
    assert!(!folder.exists("c.jsonl.checkpoint"));
    let said = folder.fails(1, &with(ADD, &["--key", "hub.key"]));
    assert!(said.contains("line 2 of c.jsonl is behind its checkpoint"), "{said}");
    let added = folder.json(&with(ADD, &["--key", "hub.key", "--new-checkpoint"]));
    assert_eq!((added.str("checkpoint"), added.get("behind")), ("renewed", &Json::Null));
    assert_eq!(head(&folder, "c.jsonl"), ("mission-7".to_owned(), added.count("line")));
}

#[test]
fn a_log_that_says_nothing_has_the_key_that_it_has() {
    let folder = signed("logs-silent");
    // As the reference writes: nothing is said of the log.
    folder.write("c.jsonl", REFERENCE);
    for end in [".tree", ".checkpoint"] {
        std::fs::remove_file(folder.0.join(format!("c.jsonl{end}"))).expect("removed");
    }
    let json = |key| Json::parse(&folder.ends(0, &with(ADD, &["--key", key, "--json"])));
    assert_eq!(json("hub.key").str("checkpoint"), "renewed");
    assert_eq!(json("eve.key").str("checkpoint"), "not renewed");
    assert_eq!(json("hub.key").str("checkpoint"), "renewed");
    assert_eq!(head(&folder, "c.jsonl"), ("c".to_owned(), 4));
}

#[test]
fn a_checkpoint_of_another_log_is_not_taken_for_its_own() {
    let folder = signed("logs-other");
    folder.prints(&["chain", "new", "d.jsonl", "--name", "mission-8", "--key", "hub.key"]);
    // The same lines, and a name that is not that of the log.
    let note = folder.text("c.jsonl.checkpoint").replacen("mission-7", "mission-8", 2);
    folder.write("c.jsonl.checkpoint", note);
    let said = folder.fails(1, &with(ADD, &["--key", "hub.key"]));
    assert!(said.contains("c.jsonl.checkpoint: it is the checkpoint of another log"), "{said}");
    assert_eq!(folder.text("c.jsonl").lines().count(), 1);
}

#[test]
fn forgetting_the_key_is_said() {
    let folder = signed("logs-forgotten");
    let out = folder.sluis(&with(ADD, &["--json"]));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.contains("not covered by the checkpoint") && said.contains("--key"), "{said}");
    assert_eq!(Json::parse(&String::from_utf8_lossy(&out.stdout)).str("checkpoint"), "not renewed");
    // Signed lines in a log without checkpoints.
    folder.prints(&["chain", "new", "d.jsonl", "--owner", "jis:a"]);
    folder.prints(&["chain", "add", "d.jsonl", "--action", "a"]);
    folder.prints(&["chain", "add", "d.jsonl", "--action", "a", "--key", "eve.key"]);
    let out = folder.sluis(&["chain", "add", "d.jsonl", "--action", "a"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("not signed, as other lines of it are"), "{said}");
}

#[test]
fn actions_of_workloads_and_closed_segments_are_not_added_to() {
    let folder = Folder::new("logs-reserved");
    for action in
        ["workload_created", "step_completed", "step_failed", "step_compromised", "step_skipped", "step_added"]
            .into_iter()
            .chain(["step_started", "workload_completed", "workload_failed", "workload_compromised"])
    {
        let said = folder.fails(2, &["chain", "add", "c.jsonl", "--action", action]);
        assert!(said.contains("is what a workload writes") && !folder.exists("c.jsonl"), "{said}");
    }
    // A rotated journal, as `sluis-journal` leaves it.
    let segment = |seed: u64| {
        let mut options = sluis_journal::Options::default();
        options.rotate_entries = Some(2);
        let setup = sluis_journal::TokenSetup::default().options(options);
        let journal =
            sluis_journal::TokenJournal::open(folder.0.join("c.jsonl"), &sluis_core::Seed::from_u64(seed), setup);
        let draft = sluis_chain::token::Token { action: Text::new("a"), ..sluis_chain::token::Token::default() };
        let journal = journal.expect("it opens").0;
        for _ in 0..5 {
            journal.append_blocking(sluis_core::Now::default(), &draft).expect("appended");
        }
    };
    segment(1);
    for closed in ["c.1.jsonl", "c.2.jsonl"] {
        let before = folder.text(closed);
        let next = if closed == "c.1.jsonl" { "c.2.jsonl" } else { "c.jsonl" };
        for args in [
            &["chain", "add", closed, "--action", "a"][..],
            &["chain", "run", closed, "--step", "one", "--", "touch", "ran"],
            &["chain", "plan", closed, "--step", "one"],
        ] {
            let said = folder.fails(1, args);
            assert!(said.contains(&format!("is a closed segment of a log that goes on in {next}")), "{said}");
        }
        assert_eq!(folder.text(closed), before);
        assert!(!folder.exists("ran"));
    }
    folder.prints(&["chain", "add", "c.jsonl", "--action", "a"]);
    // Whatever the two are called.
    let rename = |from: &str, to: &str| std::fs::rename(folder.0.join(from), folder.0.join(to)).expect("renamed");
    rename("c.jsonl", "current.log");
    rename("c.1.jsonl", "old");
    for (closed, next) in [("c.2.jsonl", "current.log"), ("old", "c.2.jsonl")] {
        let said = folder.fails(1, &["chain", "add", closed, "--action", "a"]);
        assert!(said.contains(&format!("is a closed segment of a log that goes on in {next}")), "{said}");
    }
    // A name makes no segment.
    for name in ["build.20261128.jsonl", "d.1.jsonl"] {
        folder.prints(&["chain", "add", name, "--action", "a"]);
        folder.prints(&["chain", "add", name, "--action", "b"]);
    }
    folder.prints(&["chain", "add", "build.jsonl", "--action", "a"]);
    let first = Json::parse(folder.text("build.jsonl").lines().next().expect("a line"));
    assert_eq!(first.get("eraan"), &Json::List(vec![Json::text("log:build")]), "it continues nothing");
    // Nor does an empty file, or one of others, beside a log.
    folder.write("build.30000000.jsonl", "");
    folder.write("build.40000000.jsonl", "garbage");
    folder.prints(&["chain", "add", "build.jsonl", "--action", "b"]);
}

#[cfg(unix)]
#[test]
fn hard_links_stay() {
    let folder = Folder::new("logs-hard");
    folder.prints(&["chain", "add", "c.jsonl", "--action", "a"]);
    std::fs::hard_link(folder.0.join("c.jsonl"), folder.0.join("c.1.jsonl")).expect("a link");
    folder.prints(&["chain", "add", "c.jsonl", "--action", "b"]);
    assert_eq!(folder.text("c.1.jsonl").lines().count(), 2, "it is still there, and still the same file");
}

/// What `add` says is in line N is there for `verify`, whatever blank lines there are.
#[test]
fn blank_lines_are_counted_alike() {
    use std::io::Write as _;
    let folder = Folder::new("logs-blank");
    folder.prints(&["chain", "new", "c.jsonl"]);
    let mut file = std::fs::File::options().append(true).open(folder.0.join("c.jsonl")).expect("a file");
    file.write_all("\n \u{a0}\u{2003}\t\r\n\n".as_bytes()).expect("written");
    assert_eq!(folder.json(ADD).count("line"), 5);
    assert_eq!(folder.json(ADD).count("line"), 6);
    let ran = folder.events(0, &["chain", "run", "c.jsonl", "--step", "s", "--", "true"]);
    assert_eq!(ran[0].count("line"), 7);
    let text = folder.text("c.jsonl");
    assert!(text.lines().nth(4).is_some_and(|line| line.contains("\"action\": \"a\"")));
    folder.prints(&["chain", "verify", "c.jsonl"]);
    folder.write("c.jsonl", text.replacen("\"action\": \"a\"", "\"action\": \"b\"", 1));
    assert_eq!(folder.events(1, &["chain", "verify", "c.jsonl"])[0].count("line"), 5);
    // What nothing may follow is named by its line, too.
    let lines: Vec<&str> = text.lines().collect();
    let broken = lines[6].replacen("\"sequence\": 1", "\"sequence\": 2", 1);
    let token = sluis_chain::token::Token::parse(&broken).expect("a token");
    let hash = token.content_hash(None).expect("a hash").to_string();
    let mut rehashed = Vec::new();
    token.with(Text::new(&hash), Text::EMPTY).write_json(&mut rehashed).expect("there is room");
    let broken = String::from_utf8(rehashed).expect("UTF-8");
    folder.write("d.jsonl", format!("{}\n\n{}\n{}\n{broken}\n", lines[0], lines[4], lines[5]));
    let said = folder.fails(1, &["chain", "run", "d.jsonl", "--step", "t", "--", "true"]);
    assert!(said.contains("line 5 of d.jsonl is "), "{said}");
}

#[cfg(unix)]
#[test]
fn a_second_name_of_a_log_gets_no_sidecars_of_its_own() {
    let folder = signed("logs-second");
    std::fs::create_dir(folder.0.join("sub")).expect("a folder");
    for name in ["hard.jsonl", "sub/c.jsonl"] {
        std::fs::hard_link(folder.0.join("c.jsonl"), folder.0.join(name)).expect("a link");
    }
    let listen = ["listen", "--did", "jis:a", "--bind", "127.0.0.1:0", "--duration", "0.1", "--record"];
    for (name, mend) in [("hard.jsonl", "of c.jsonl, beside which"), ("sub/c.jsonl", "remove the other name")] {
        for args in [&["chain", "add", name, "--action", "a"][..], &[&listen[..], &[name]].concat()] {
            let said = folder.fails(1, args);
            assert!(said.contains("hard link") && said.contains(mend), "{said}");
        }
        assert!(!folder.exists(&format!("{name}.tree")));
    }
    folder.prints(&with(ADD, &["--key", "hub.key"]));
    folder.prints(&["chain", "verify", "c.jsonl", "--key", "hub.key"]);
    // A copy that was made of a file that is not ours may have any number of names.
    folder.write("reference.jsonl", REFERENCE);
    std::fs::hard_link(folder.0.join("reference.jsonl"), folder.0.join("copy.jsonl")).expect("a link");
    folder.prints(&["chain", "add", "copy.jsonl", "--action", "a"]);
}

#[cfg(unix)]
#[test]
fn a_sidecar_that_cannot_be_used_is_named() {
    let folder = signed("logs-named");
    std::fs::remove_file(folder.0.join("c.jsonl.tree")).expect("removed");
    std::fs::create_dir(folder.0.join("c.jsonl.tree")).expect("a folder");
    let said = folder.fails(1, ADD);
    assert!(said.contains("c.jsonl.tree"), "{said}");
}

#[cfg(unix)]
#[test]
fn no_mask_opens_files_to_others() {
    let folder = Folder::new("logs-mask");
    let script = "umask 0; s=$1; $s key new hub.key; $s chain new c.jsonl --key hub.key; $s listen --did jis:a --bind 127.0.0.1:0 \
         --duration 0.1 --record r.jsonl --capture p.jsonl --log l.jsonl; $s mux token alice --agents a.toml";
    let mut sh = std::process::Command::new("sh");
    let sh = sh.args(["-c", script, "sh", env!("CARGO_BIN_EXE_sluis")]).current_dir(&folder.0);
    assert!(sh.output().expect("sh runs").status.success());
    let mut names: Vec<String> = std::fs::read_dir(&folder.0)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    let of_all = ["c.jsonl", "c.jsonl.checkpoint", "c.jsonl.tree", "r.jsonl", "r.jsonl.tree"];
    for name in &names {
        let mode = if of_all.contains(&&**name) { 0o644 } else { 0o600 };
        assert_eq!(folder.mode(name), mode, "{name}");
    }
    assert_eq!(names.len(), 9, "{names:?}");
}
