//! What the next checkpoint covers, and what it must not.

use sluis_core::framing::Text;

use crate::common::folder::Folder;
use crate::logs::{ADD, head, signed, with};

/// The names in a folder, with what is in each.
fn everything(folder: &Folder) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = std::fs::read_dir(&folder.0).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut all: Vec<_> =
        entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).expect("a file"))).collect();
    all.sort();
    all
}

/// Every command that would renew the checkpoint.
const RENEWING: [&[&str]; 5] = [
    ADD,
    &["chain", "run", "c.jsonl", "--step", "s"],
    &["chain", "plan", "c.jsonl", "--step", "s"],
    &["chain", "close", "c.jsonl"],
    &["listen", "--did", "jis:hub", "--bind", "127.0.0.1:0", "--duration", "0.1", "--quiet", "--record", "c.jsonl"],
];

/// Each of them is refused, changes nothing and says this.
fn refused_by_all(folder: &Folder, why: &str) {
    let before = everything(folder);
    for command in RENEWING {
        let key = if command[0] == "listen" { "--record-key" } else { "--key" };
        let tail: &[&str] = if command[1] == "run" { &["--", "touch", "ran"] } else { &[] };
        let said = folder.fails(1, &[command, &[key, "hub.key"], tail].concat());
        assert!(said.contains(why) && said.contains("--new-checkpoint"), "{command:?}: {said}");
        assert!(everything(folder) == before, "{command:?}");
    }
}

/// A checkpoint that was removed with the tail of the log is not replaced by one over what is left.
#[test]
fn no_checkpoint_is_signed_where_the_last_one_is_missing() {
    let folder = signed("logs-cut");
    for _ in 0..3 {
        folder.prints(&with(ADD, &["--key", "hub.key"]));
    }
    let (whole, checkpoint) = (folder.text("c.jsonl"), folder.text("c.jsonl.checkpoint"));
    let tree = std::fs::read(folder.0.join("c.jsonl.tree")).expect("a tree");
    std::fs::remove_file(folder.0.join("c.jsonl.checkpoint")).expect("removed");
    for lines in 1..=4 {
        folder.write("c.jsonl", whole.split_inclusive('\n').take(lines).collect::<String>());
        std::fs::write(folder.0.join("c.jsonl.tree"), &tree[..32 * lines]).expect("written");
        refused_by_all(&folder, "c.jsonl.checkpoint is missing");
        std::fs::remove_file(folder.0.join("c.jsonl.tree")).expect("removed");
        refused_by_all(&folder, "c.jsonl.checkpoint is missing");
    }
    // Nor where somebody else signed one over nothing.
    folder.prints(&["chain", "new", "e.jsonl", "--name", "mission-7", "--key", "eve.key"]);
    let eve = sluis_core::identity::SecretKey::from_pem(&folder.text("eve.key")).expect("a key");
    let root = sluis_chain::log::merkle::Frontier::new().root();
    let mut note = Vec::new();
    let over_nothing = sluis_chain::log::note::Checkpoint::new("mission-7", 0, root).expect("a name");
    over_nothing.sign(&eve, &mut note).expect("signed");
    folder.write("c.jsonl.checkpoint", note);
    let said = folder.fails(1, &with(ADD, &["--key", "hub.key"]));
    assert!(said.contains("not signed by the key that the first token names"), "{said}");
    // Brought back, or begun anew.
    folder.write("c.jsonl.checkpoint", checkpoint);
    folder.prints(&with(ADD, &["--key", "hub.key"]));
    std::fs::remove_file(folder.0.join("c.jsonl.checkpoint")).expect("removed");
    folder.prints(&with(ADD, &["--key", "hub.key", "--new-checkpoint"]));
    folder.prints(&["chain", "verify", "c.jsonl", "--key", "hub.key"]);
}

/// Killed at any time, a log that begins can be gone on with: its first checkpoint is there before its first line.
#[test]
fn a_log_whose_first_write_was_cut_short_goes_on() {
    let folder = signed("logs-birth");
    folder.prints(&["chain", "new", "b.jsonl", "--name", "b", "--key", "hub.key"]);
    let first = folder.text("b.jsonl");
    let hub = sluis_core::identity::SecretKey::from_pem(&folder.text("hub.key")).expect("a key");
    let root = sluis_chain::log::merkle::Frontier::new().root();
    let mut note = Vec::new();
    let over_nothing = sluis_chain::log::note::Checkpoint::new("b", 0, root).expect("a name");
    over_nothing.sign(&hub, &mut note).expect("signed");
    // The line is there, a part of it, nothing of it, and not even the checkpoint.
    for (line, noted) in [(first.as_str(), true), (&first[..9], true), ("", true), ("", false)] {
        folder.write("b.jsonl", line);
        folder.write("b.jsonl.tree", "");
        let _ = std::fs::remove_file(folder.0.join("b.jsonl.checkpoint"));
        if noted {
            folder.write("b.jsonl.checkpoint", &note);
        }
        folder.ends(0, &["chain", "add", "b.jsonl", "--action", "a", "--key", "hub.key"]);
        let lines = if line == first { 2 } else { 1 };
        assert_eq!(head(&folder, "b.jsonl"), ("b".to_owned(), lines));
        let whole = folder.text("b.jsonl");
        assert!(whole.lines().next().is_some_and(|line| line.contains("\"log:b+")), "{whole}");
        folder.prints(&["chain", "verify", "b.jsonl", "--key", "hub.key"]);
    }
}

/// What somebody else put behind the checkpoint of a signed log is not covered by the next one.
#[test]
fn no_checkpoint_covers_what_the_key_of_the_log_did_not_sign() {
    let folder = signed("logs-behind");
    let before = (folder.text("c.jsonl"), folder.text("c.jsonl.checkpoint"));
    for flags in [&[][..], &["--key", "eve.key"]] {
        folder.write("c.jsonl", &before.0);
        std::fs::remove_file(folder.0.join("c.jsonl.tree")).expect("removed");
        folder.ends(0, &with(ADD, flags));
        refused_by_all(&folder, "line 2 of c.jsonl is behind its checkpoint");
    }
    // A seal that is not over this content does not do.
    folder.write("c.jsonl", &before.0);
    std::fs::remove_file(folder.0.join("c.jsonl.tree")).expect("removed");
    folder.prints(&with(ADD, &["--key", "hub.key"]));
    let text = folder.text("c.jsonl");
    let line = text.lines().last().expect("a line").replacen("\"a\"", "\"b\"", 1);
    let token = sluis_chain::token::Token::parse(&line).expect("a token");
    let (hash, seal) = (token.content_hash(None).expect("a hash").to_string(), token.signature);
    let mut forged = before.0.clone().into_bytes();
    token.with(Text::new(&hash), seal).write_json(&mut forged).expect("there is room");
    forged.push(b'\n');
    folder.write("c.jsonl", forged);
    folder.write("c.jsonl.checkpoint", &before.1);
    std::fs::remove_file(folder.0.join("c.jsonl.tree")).expect("removed");
    refused_by_all(&folder, "line 2 of c.jsonl is behind its checkpoint");
}

/// A log that was moved away is not begun anew beside what it left, nor is anything else.
#[test]
fn a_log_that_is_gone_leaves_nothing_new() {
    for checkpoint in [true, false] {
        let folder = signed("logs-gone");
        std::fs::remove_file(folder.0.join("c.jsonl")).expect("removed");
        if !checkpoint {
            std::fs::remove_file(folder.0.join("c.jsonl.checkpoint")).expect("removed");
        }
        let before = everything(&folder);
        for flags in [&[][..], &["--key", "hub.key"]] {
            folder.fails(1, &with(ADD, flags));
            folder.fails(1, &[&["chain", "run", "c.jsonl", "--step", "s"], flags, &["--", "touch", "ran"]].concat());
            assert!(everything(&folder) == before, "{checkpoint}");
        }
    }
}
