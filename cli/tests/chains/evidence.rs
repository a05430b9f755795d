//! No evidence is no success: stripped signatures, stripped sidecars, files that only look like segments, signers that are not
//! the actors.

use std::fs;

use sluis_chain::token::Token;
use sluis_core::framing::Text;
use sluis_core::identity::SecretKey;
use sluis_core::{Now, Seed};
use sluis_journal::{Options, TokenJournal, TokenSetup};

use crate::common::folder::Folder;
use crate::common::json::Json;

/// A signed log of five lines, and the keys of two.
fn log(name: &str) -> Folder {
    let folder = Folder::new(name);
    for key in ["hub", "mallory"] {
        folder.prints(&["key", "new", &format!("{key}.key")]);
        folder.write(&format!("{key}.pub"), folder.prints(&["key", "export", &format!("{key}.key")]));
    }
    folder.prints(&["chain", "new", "relay.jsonl", "--owner", "jis:hub", "--key", "hub.key"]);
    for step in ["one", "two"] {
        folder.ends(0, &["chain", "run", "relay.jsonl", "--step", step, "--key", "hub.key", "--", "true"]);
    }
    for action in ["opened", "closed"] {
        folder.prints(&["chain", "add", "relay.jsonl", "--action", action, "--key", "hub.key"]);
    }
    folder
}

/// The kinds that are found, in their order.
#[track_caller]
fn kinds(folder: &Folder, code: i32, flags: &[&str]) -> Vec<String> {
    let events = folder.events(code, &[&["chain", "verify", "relay.jsonl"], flags].concat());
    events.iter().filter_map(|event| event.find("kind").map(|_| event.str("kind").to_owned())).collect()
}

fn not_checked(folder: &Folder, flags: &[&str]) -> Vec<String> {
    let events = folder.events(0, &[&["chain", "verify", "relay.jsonl"], flags].concat());
    let Json::List(words) = events.last().expect("a summary").get("not_checked") else { panic!("{events:?}") };
    words.iter().map(|word| if let Json::Text(word) = word { word.clone() } else { panic!("{word:?}") }).collect()
}

fn lines(folder: &Folder) -> Vec<String> {
    folder.text("relay.jsonl").lines().map(ToOwned::to_owned).collect()
}

fn put(folder: &Folder, lines: &[String]) {
    folder.write("relay.jsonl", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
}

/// The line without its signature.
fn stripped(line: &str) -> String {
    let at = line.rfind("\"signature\": \"").expect("a token");
    format!("{}\"signature\": \"\"}}", &line[..at])
}

fn remove(folder: &Folder, names: &[&str]) {
    for name in names {
        fs::remove_file(folder.0.join(name)).expect("it was there");
    }
}

const ASKED: [&[&str]; 3] =
    [&["--key", "hub.pub"], &["--actor", "jis:hub=hub.pub"], &["--signed", "--actor", "jis:hub=hub.pub"]];

#[test]
fn every_token_is_signed_once_somebody_is_named() {
    let folder = log("evidence-stripped");
    for asked in ASKED {
        assert_eq!(kinds(&folder, 0, asked), [""; 0]);
    }
    let good = lines(&folder);
    // One, and all of them; with the sidecars, and without.
    for sidecars in [true, false] {
        if !sidecars {
            remove(&folder, &["relay.jsonl.tree", "relay.jsonl.checkpoint"]);
        }
        for asked in ASKED {
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] = stripped(&bad[at]);
                put(&folder, &bad);
                let found = kinds(&folder, 1, asked);
                assert!(found.contains(&"unsigned".to_owned()), "line {}: {found:?}", at + 1);
            }
            put(&folder, &good.iter().map(|line| stripped(line)).collect::<Vec<_>>());
            assert_eq!(kinds(&folder, 1, asked).iter().filter(|kind| *kind == "unsigned").count(), good.len());
            for empty in ["", "\n \n", "\u{a0}\n"] {
                folder.write("relay.jsonl", empty);
                assert_eq!(kinds(&folder, 1, asked), [if sidecars { "truncated" } else { "empty" }], "{empty:?}");
            }
            kinds(&folder, 1, &[]);
        }
        put(&folder, &good);
    }
}

#[test]
fn sidecars_that_are_gone_are_missed() {
    let folder = log("evidence-sidecars");
    let (good, checkpoint) = (lines(&folder), folder.text("relay.jsonl.checkpoint"));
    remove(&folder, &["relay.jsonl.tree", "relay.jsonl.checkpoint"]);
    for asked in [&[][..], ASKED[0], ASKED[1], ASKED[2], &["--allow-unsigned"]] {
        assert_eq!(kinds(&folder, 1, asked), ["checkpoint"]);
    }
    // Nor does another's do, nor one under another name.
    folder.prints(&["chain", "new", "other.jsonl", "--name", "relay", "--key", "mallory.key"]);
    folder.write("relay.jsonl.checkpoint", folder.text("other.jsonl.checkpoint"));
    assert_eq!(kinds(&folder, 1, &[]), ["checkpoint"]);
    folder.write("relay.jsonl.checkpoint", checkpoint.replacen("relay", "rely", 1));
    assert_eq!(kinds(&folder, 1, &[]), ["checkpoint"]);
    folder.write("relay.jsonl.checkpoint", &checkpoint);
    assert_eq!(kinds(&folder, 0, &[]), [""; 0]);
    // A log that never had any says so, and nothing is missed.
    folder.prints(&["chain", "add", "plain.jsonl", "--action", "a"]);
    let first = Json::parse(folder.text("plain.jsonl").trim_end());
    assert_eq!(first.get("eraan"), &Json::List(vec![Json::text("log:plain")]));
    folder.prints(&["chain", "verify", "plain.jsonl"]);
    // A token that is put before the first is one before the beginning of the log.
    let forged = folder.text("plain.jsonl").trim_end().to_owned();
    for forged in [forged.clone(), forged.replace("log:plain", "lag")] {
        let mut bad = good.clone();
        bad.insert(0, forged);
        put(&folder, &bad);
        assert!(!kinds(&folder, 1, &[]).is_empty());
    }
}

#[test]
fn names_make_no_segments() {
    let folder = log("evidence-names");
    let good = lines(&folder);
    let backup = folder.text("relay.jsonl");
    let mut forged = good.clone();
    let last = forged.len() - 1;
    forged[last] = good[1].replace("one", "own");
    let neighbours: [(&str, &str); 6] = [
        ("relay.9.jsonl", ""),
        ("relay.1.jsonl", ""),
        ("relay.1.jsonl", &backup),
        ("relay.20261128.jsonl", &backup),
        ("relay.1.jsonl", "no token\n"),
        ("relay.18446744073709551615.jsonl", &backup),
    ];
    for (name, content) in neighbours {
        folder.write(name, content);
        put(&folder, &good);
        for flags in [&[][..], &["--partial"], &["--key", "hub.pub"]] {
            assert_eq!(kinds(&folder, 0, flags), [""; 0], "{name}");
        }
        for (bad, what) in [
            (forged.clone(), "the last line is forged"),
            (good[1..].to_vec(), "the head is cut"),
            (good[..4].to_vec(), "the tail is cut"),
            (vec![forged[last].clone(); 5], "all lines are replaced"),
            (good.iter().cloned().chain([forged[last].clone()]).collect(), "a line is added"),
        ] {
            put(&folder, &bad);
            for flags in [&[][..], &["--partial"], &["--key", "hub.pub"]] {
                assert!(!kinds(&folder, 1, flags).is_empty(), "{name}: {what}");
            }
        }
        remove(&folder, &[name]);
    }
}

#[test]
fn a_head_that_is_moved_away_is_no_segment() {
    let folder = log("evidence-moved");
    let good = lines(&folder);
    remove(&folder, &["relay.jsonl.tree", "relay.jsonl.checkpoint"]);
    let whole = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let heads: [(&[&str], usize); 5] = [
        (&[&good[0]], 1),
        (&[&good[0], &good[1]], 2),
        // Its first line is not that of the log.
        (&["no token", &good[0]], 1),
        (&["{\"token_id\": \"t\"}", &good[1]], 2),
        (&["no token", &good[1]], 2),
    ];
    for (head, from) in heads {
        folder.write("relay.1.jsonl", whole(head));
        for to in from + 1..=good.len() {
            put(&folder, &good[from..to]);
            for flags in [&[][..], &["--partial"], ASKED[0], ASKED[2]] {
                assert_eq!(kinds(&folder, 1, flags), ["segment"], "{from}..{to} {head:?}");
            }
        }
    }
    // Nor are several.
    for (name, at) in [("relay.1.jsonl", 0), ("relay.2.jsonl", 1)] {
        folder.write(name, whole(&[&good[at]]));
    }
    put(&folder, &good[2..4]);
    for flags in [&[][..], &["--partial"], ASKED[2]] {
        let found = kinds(&folder, 1, flags);
        assert!(!found.is_empty() && found.iter().all(|kind| kind == "segment"), "{found:?}");
    }
}

#[test]
fn the_oldest_segment_is_missed() {
    for checkpoints in [false, true] {
        let folder = Folder::new(&format!("evidence-oldest-{checkpoints}"));
        let mut options = Options::default();
        options.rotate_entries = Some(2);
        let key = || SecretKey::from_seed(&[7; 32]);
        let mut setup = TokenSetup::default().options(options);
        if checkpoints {
            setup = setup.checkpoints("relay", key());
        }
        let journal = TokenJournal::open(folder.0.join("relay.jsonl"), &Seed::from_u64(1), setup).expect("it opens").0;
        for action in ["a", "b", "c", "d", "e", "f", "g"] {
            let draft = Token { action: Text::new(action), ..Token::default() };
            journal.append_blocking(Now::default(), &draft).expect("appended");
        }
        if checkpoints {
            journal.checkpoint_blocking().expect("signed");
        }
        drop(journal);
        assert_eq!(kinds(&folder, 0, &[]), [""; 0]);
        let oldest = folder.text("relay.1.jsonl");
        let second = oldest.split_inclusive('\n').nth(1).expect("two lines");
        // Emptied, without its end, without its head, and gone.
        for (left, partial) in [("", 0), ("\n", 0), (oldest.strip_suffix(second).expect("its end"), 0), (second, 1)] {
            folder.write("relay.1.jsonl", left);
            assert_eq!(kinds(&folder, 1, &[]), ["segment"], "{left:?}");
            assert_eq!(kinds(&folder, partial, &["--partial"]).len(), usize::from(partial != 0), "{left:?}");
        }
        remove(&folder, &["relay.1.jsonl"]);
        for flags in [&[][..], &["relay.2.jsonl", "relay.3.jsonl"]] {
            assert!(kinds(&folder, 1, flags).contains(&"segment".to_owned()));
        }
        assert_eq!(kinds(&folder, 0, &["--partial"]), [""; 0]);
        // Nor may the one in the middle be missing, whatever stands before it.
        folder.write("relay.1.jsonl", &oldest);
        remove(&folder, &["relay.2.jsonl"]);
        assert_eq!(kinds(&folder, 1, &[]), ["segment"]);
        assert_eq!(kinds(&folder, 0, &["--partial"]), [""; 0]);
    }
}

#[test]
fn what_was_not_checked_is_said() {
    let folder = log("evidence-unchecked");
    assert_eq!(not_checked(&folder, &[]), ["checkpoint_key", "signers", "actors"]);
    assert_eq!(not_checked(&folder, &["--key", "hub.pub"]), ["actors"]);
    assert_eq!(not_checked(&folder, &["--key", "hub.pub", "--actor", "jis:hub=hub.pub"]), [""; 0]);
    let events = folder.events(0, &["chain", "verify", "relay.jsonl", "--key", "hub.pub"]);
    let Json::List(unproven) = events[0].get("unproven") else { panic!("{events:?}") };
    assert_eq!((unproven.len(), unproven[0].str("actor"), unproven[0].count("tokens")), (1, "jis:hub", 5));
    folder.ends(0, &["chain", "add", "relay.jsonl", "--action", "later"]);
    let asked = ["--key", "hub.pub", "--actor", "jis:hub=hub.pub", "--allow-unsigned"];
    assert_eq!(not_checked(&folder, &asked), ["after_checkpoint", "unsigned"]);
    let said = folder.prints(&[&["chain", "verify", "relay.jsonl"], &asked[..]].concat());
    assert!(said.contains("as the checkpoint of relay with 5 lines, signed by a known key"), "{said}");
    assert!(said.contains("not checked: the checkpoint does not cover the last 1 line\n"), "{said}");
    assert!(said.contains("not checked: who wrote 1 token, which is not signed\n"), "{said}");
    // A checkpoint from which the lines differ is not what they are as.
    let mut bad = lines(&folder);
    bad[1] = bad[1].replace("one", "own");
    put(&folder, &bad);
    let said = folder.ends(1, &["chain", "verify", "relay.jsonl"]);
    assert!(said.contains("held against the checkpoint of relay") && !said.contains(" as the checkpoint"), "{said}");
    folder.prints(&["chain", "add", "plain.jsonl", "--action", "a"]);
    folder.prints(&["chain", "add", "plain.jsonl", "--action", "b"]);
    let said = folder.prints(&["chain", "verify", "plain.jsonl"]);
    assert!(said.contains("not checked: no checkpoint: a cut tail would not be seen\n"), "{said}");
}

#[test]
fn nobody_signs_for_another() {
    let folder = log("evidence-actors");
    let checkpoint = folder.text("relay.jsonl.checkpoint");
    folder.ends(0, &["chain", "add", "relay.jsonl", "--action", "taken", "--key", "mallory.key"]);
    let both = ["--key", "hub.pub", "--key", "mallory.pub"];
    // Known, but not whom it says.
    let bound = [&both[..], &["--actor", "jis:hub=hub.pub"]].concat();
    let found = kinds(&folder, 1, &bound);
    assert!(found.contains(&"actor".to_owned()), "{found:?}");
    let found = kinds(&folder, 1, &["--key", "hub.pub"]);
    assert!(found.contains(&"unknown_key".to_owned()), "{found:?}");
    // Two keys of one actor.
    let two = ["--actor", "jis:hub=hub.pub", "--actor", "jis:hub=mallory.pub"];
    folder.write("kept", &checkpoint);
    assert_eq!(kinds(&folder, 0, &[&two[..], &["--checkpoint", "kept"]].concat()), [""; 0]);
    let said = folder.fails(2, &["chain", "verify", "relay.jsonl", "--actor", "spiffe://example.org/ci=hub.pub"]);
    assert!(said.contains("--trust-bundle"), "{said}");
    let said = folder.fails(2, &["chain", "verify", "relay.jsonl", "--actor", "jis:hub"]);
    assert!(said.contains("jis:home:hub=hub.pub"), "{said}");
    folder.fails(2, &["chain", "verify", "relay.jsonl", "--signed", "--allow-unsigned"]);
}

#[test]
fn a_signature_of_another_kind_is_none() {
    let folder = Folder::new("evidence-kinds");
    folder.prints(&["key", "new", "hub.key"]);
    folder.write("hub.pub", folder.prints(&["key", "export", "hub.key"]));
    folder.prints(&["chain", "add", "relay.jsonl", "--action", "a", "--actor", "jis:hub"]);
    folder.prints(&["chain", "add", "relay.jsonl", "--action", "b", "--actor", "jis:hub"]);
    let good = folder.text("relay.jsonl");
    remove(&folder, &["relay.jsonl.tree"]);
    for seal in
        ["x509:garbage", "x509:", "x509:AAAA:AAAA", "ed25519:00", "rsa:00", "signed, honestly", "\\u0065d25519:"]
    {
        let (front, back) = good.rsplit_once("\"signature\": \"\"").expect("a token");
        folder.write("relay.jsonl", format!("{front}\"signature\": \"{seal}\"{back}"));
        for asked in [&["--key", "hub.pub"][..], &["--key", "hub.pub", "--allow-unsigned"], &["--signed"]] {
            assert!(!kinds(&folder, 1, asked).is_empty(), "{seal} {asked:?}");
        }
        // Free text is the reference's; what has the form of ours must hold in any case.
        let ours = seal.starts_with("x509:") || seal.starts_with("ed25519:");
        assert_eq!(kinds(&folder, i32::from(ours), &[]).len(), usize::from(ours), "{seal}");
    }
}

#[test]
fn no_file_stands_in_for_itself() {
    let folder = Folder::new("evidence-alias");
    folder.ends(0, &["chain", "run", "relay.jsonl", "--step", "one", "--", "true"]);
    // The step before what begins its workload, in a file that nothing links.
    let unlinked = |line: &str| {
        let at = line.find("\"eraan\": [").expect("a token");
        let end = at + line[at..].find(']').expect("an array");
        let mut references: Vec<&str> = line[at + "\"eraan\": [".len()..end].split(", ").collect();
        references.retain(|reference| !reference.starts_with("\"prev:") && !reference.starts_with("\"log:"));
        let line = format!("{}\"eraan\": [{}{}", &line[..at], references.join(", "), &line[end..]);
        let token = Token::parse(&line).expect("a token");
        let hash = token.content_hash(None).expect("a hash").to_string();
        let mut out = Vec::new();
        token.with(Text::new(&hash), Text::EMPTY).write_json(&mut out).expect("there is room");
        String::from_utf8(out).expect("UTF-8")
    };
    let mut bad: Vec<String> = lines(&folder).iter().map(|line| unlinked(line)).collect();
    bad.reverse();
    put(&folder, &bad);
    remove(&folder, &["relay.jsonl.tree"]);
    std::os::unix::fs::symlink("relay.jsonl", folder.0.join("alias.jsonl")).expect("a link can be made");
    for alias in ["relay.jsonl", "./relay.jsonl", "alias.jsonl"] {
        let events = folder.events(1, &["chain", "verify", "relay.jsonl", alias]);
        assert!(events.iter().any(|event| event.find("kind").is_some()), "{alias}: {events:?}");
    }
}

#[test]
fn what_looks_blank_is_no_line_for_anybody() {
    let folder = log("evidence-blank");
    let good = lines(&folder);
    for blank in ["", " \t", "\u{a0}", "\u{1c}", "\u{3000}"] {
        let mut padded = good.clone();
        padded.insert(2, blank.to_owned());
        put(&folder, &padded);
        assert_eq!(kinds(&folder, 0, ASKED[2]), [""; 0], "{blank:?}");
        // The token in the fourth line, which is the third entry.
        folder.write("proof.json", folder.prints(&["chain", "prove", "relay.jsonl", "4"]));
        let events = folder.events(0, &["chain", "verify", "proof.json", "--key", "hub.pub"]);
        assert_eq!(events[0].count("tokens"), 1, "{blank:?}");
    }
    folder.prints(&["chain", "add", "relay.jsonl", "--action", "later", "--key", "hub.key"]);
    assert_eq!(kinds(&folder, 0, ASKED[2]), [""; 0]);
}

#[test]
fn show_marks_every_broken_token() {
    let folder = log("evidence-many");
    let mut all: Vec<String> = (0..10_050).map(|number| format!("broken {number}")).collect();
    all.extend(lines(&folder));
    put(&folder, &all);
    remove(&folder, &["relay.jsonl.tree", "relay.jsonl.checkpoint"]);
    let events = folder.events(1, &["chain", "show", "relay.jsonl", "--limit", "3"]);
    let tokens = events.iter().filter(|event| event.str("event") == "token");
    let marked = tokens.filter(|event| event.get("finding") != &Json::Null).count();
    assert_eq!(marked, 10_050);
    let drawn = folder.ends(1, &["chain", "show", "relay.jsonl", "--limit", "3"]);
    assert_eq!(drawn.matches('✗').count(), 10_050);
    assert_eq!(drawn.matches("see `sluis chain verify`").count(), 50);
}

/// A bundle whose checkpoint anybody signed proves that the token is its writer's, and nothing about the log.
#[test]
fn a_bundle_does_not_vouch_for_its_own_checkpoint() {
    let folder = log("evidence-bundle");
    // Somebody puts one true line into a log of his own.
    let line = lines(&folder).pop().expect("a line");
    let leaf = sluis_chain::log::merkle::leaf_hash(line.as_bytes());
    let mallory = SecretKey::from_pem(&folder.text("mallory.key")).expect("a key");
    let checkpoint = sluis_chain::log::note::Checkpoint::new("relay", 1, leaf).expect("a name");
    let mut note = Vec::new();
    checkpoint.sign(&mallory, &mut note).expect("signed");
    let note = String::from_utf8(note).expect("UTF-8");
    let key = sluis_core::identity::note::NoteKey::new("relay", mallory.public()).expect("a name");
    let bundle =
        sluis_chain::log::Bundle::new(line.as_bytes(), 0, &mut [leaf].as_slice(), &note, key).expect("a bundle");
    let mut json = Vec::new();
    bundle.write_json(&mut json).expect("room");
    folder.write("proof.json", json);
    let said = |flags: &[&str], code: i32| {
        let events = folder.events(code, &[&["chain", "verify", "proof.json"], flags].concat());
        let Json::List(words) = events.last().expect("a summary").get("not_checked") else { panic!("{events:?}") };
        format!("{words:?}")
    };
    let bound = ["--signed", "--actor", "jis:hub=hub.pub"];
    assert_eq!(said(&bound, 0), r#"["checkpoint_key"]"#);
    let text = folder.prints(&[&["chain", "verify", "proof.json"], &bound[..]].concat());
    assert!(text.contains("whether the key that the bundle itself names is to be believed"), "{text}");
    assert!(said(&[], 0).contains("checkpoint_key"));
    said(&["--key", "hub.pub"], 1);
    folder.write("proof.json", folder.prints(&["chain", "prove", "relay.jsonl", "5"]));
    assert!(!said(&["--key", "hub.pub", "--actor", "jis:hub=hub.pub"], 0).contains("checkpoint_key"));
}

/// Findings do not make unsaid what was not looked at.
#[test]
fn what_was_not_checked_is_said_beside_findings() {
    let folder = Folder::new("evidence-beside");
    folder.prints(&["chain", "new", "relay.jsonl", "--owner", "jis:hub"]);
    for action in ["opened", "closed", "locked"] {
        folder.prints(&["chain", "add", "relay.jsonl", "--action", action]);
    }
    let mut bad = lines(&folder);
    bad[1] = bad[1].replacen("opened", "forced", 1);
    put(&folder, &bad);
    let events = folder.events(1, &["chain", "verify", "relay.jsonl"]);
    let Json::List(words) = events.last().expect("a summary").get("not_checked") else { panic!("{events:?}") };
    assert!(words.contains(&Json::text("unsigned")), "{words:?}");
}
