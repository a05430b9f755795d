//! `verify`, `find`, `show`, `export` and `demo`.

use std::collections::BTreeSet;

use crate::common::folder::Folder;
use crate::common::json::Json;

/// A chain of a workload with three steps and two other tokens, signed with `hub.key` if `signed`.
fn chain(name: &str, signed: bool) -> Folder {
    let folder = Folder::new(name);
    folder.prints(&["key", "new", "hub.key"]);
    let export = folder.prints(&["key", "export", "hub.key", "--format", "hex"]);
    folder.write("hub.pub", export);
    let key: &[&str] = if signed { &["--key", "hub.key"] } else { &[] };
    let new = ["chain", "new", "c.jsonl", "--name", "mission-7", "--owner", "jis:dispatch"];
    folder.prints(&[&new[..], key].concat());
    for (step, script) in [("one", "echo 1 > a"), ("two", "echo 2 > a"), ("three", "echo 3 > a")] {
        let start = ["chain", "run", "c.jsonl", "--step", step, "--output", "a"];
        folder.ends(0, &[&start[..], key, &["--", "sh", "-c", script]].concat());
    }
    for action in ["approved", "archived"] {
        folder.prints(&[&["chain", "add", "c.jsonl", "--action", action, "--actor", "jis:alice"], key].concat());
    }
    folder
}

/// The findings and the summary of `verify --json`.
#[track_caller]
fn verify(folder: &Folder, code: i32, flags: &[&str]) -> (Vec<Json>, Json) {
    let mut events = folder.events(code, &[&["chain", "verify", "c.jsonl"], flags].concat());
    let summary = events.pop().expect("a summary");
    assert_eq!(summary.str("event"), "summary");
    assert_eq!(summary.count("findings"), events.len() as u64, "{events:?}");
    assert_eq!(summary.get("ok"), &Json::Bool(code == 0));
    for finding in &events {
        let keys: BTreeSet<&str> = ["event", "line", "token_id", "kind", "expected", "actual", "t"].into();
        let Json::Object(members) = finding else { panic!("{finding:?}") };
        assert_eq!(members.iter().map(|(key, _)| key.as_str()).collect::<BTreeSet<_>>(), keys);
        assert_eq!(finding.str("event"), "finding");
    }
    (events, summary)
}

fn lines(folder: &Folder) -> Vec<String> {
    folder.text("c.jsonl").lines().map(ToOwned::to_owned).collect()
}

fn put(folder: &Folder, lines: &[String]) {
    folder.write("c.jsonl", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn what_nobody_touched_is_good() {
    let folder = chain("verify-good", true);
    let (_, summary) = verify(&folder, 0, &[]);
    assert_eq!((summary.count("lines"), summary.count("tokens"), summary.count("size")), (6, 6, 6));
    let checkpoint = summary.get("checkpoint");
    assert_eq!((checkpoint.count("size"), checkpoint.str("origin")), (6, "mission-7"));
    assert_eq!(checkpoint.get("signed"), &Json::Bool(false), "no key was named");
    assert_eq!(checkpoint.str("root"), summary.str("root"));
    // Who signed is not known to be whom the tokens name, until somebody says so.
    let (findings, _) = verify(&folder, 1, &["--key", "hub.pub", "--signed"]);
    assert_eq!(findings.iter().map(|finding| finding.str("kind")).collect::<Vec<_>>(), ["unproven_actor"; 2]);
    let bound = ["--signed", "--actor", "jis:dispatch=hub.pub", "--actor", "jis:alice=hub.pub", "--key", "hub.pub"];
    let (_, summary) = verify(&folder, 0, &bound);
    assert_eq!((summary.get("unproven"), summary.get("not_checked")), (&Json::List(vec![]), &Json::List(vec![])));
    assert_eq!(summary.get("checkpoint").get("signed"), &Json::Bool(true));
    let Json::List(signers) = summary.get("signers") else { panic!("{summary:?}") };
    assert_eq!((signers.len(), signers[0].count("tokens")), (1, 6));
    assert_eq!((signers[0].str("public"), signers[0].get("known")), (folder.text("hub.pub").trim(), &Json::Bool(true)));
    // The same with the key itself on the command line, and for people.
    verify(&folder, 0, &["--key", folder.text("hub.pub").trim()]);
    let said = folder.prints(&["chain", "verify", "c.jsonl", "--key", "hub.pub"]);
    assert!(said.starts_with("c.jsonl: 6 tokens, nothing found; "), "{said}");
}

#[test]
fn every_edit_of_one_token_is_exactly_one_finding() {
    for signed in [false, true] {
        let folder = chain(&format!("verify-edit-{signed}"), signed);
        let good = lines(&folder);
        for at in 0..good.len() {
            let token = Json::parse(&good[at]);
            for (member, was, is) in [
                ("action", token.str("action").to_owned(), "other".to_owned()),
                ("actor", "\"actor\": \"jis:".to_owned(), "\"actor\": \"jit:".to_owned()),
                ("timestamp", "\"timestamp\": \"20".to_owned(), "\"timestamp\": \"19".to_owned()),
                ("token_id", token.str("token_id").to_owned(), "elsewhere".to_owned()),
                ("content_hash", token.str("content_hash")[..8].to_owned(), "00000000".to_owned()),
                ("state", "\"created\"".to_owned(), "\"resolved\"".to_owned()),
                ("a bracket", "}".to_owned(), String::new()),
            ] {
                let mut bad = good.clone();
                let start = bad[at].rfind(&was).expect("it is there");
                let start = if member == "content_hash" {
                    bad[at].find("\"content_hash\"").expect("there") + 17
                } else {
                    start
                };
                bad[at].replace_range(start..start + was.len(), &is);
                put(&folder, &bad);
                let (findings, _) = verify(&folder, 1, &[]);
                assert_eq!(findings.len(), 1, "{member} of line {}: {findings:?}", at + 1);
                assert_eq!(findings[0].count("line"), at as u64 + 1, "{member}: {findings:?}");
            }
        }
        put(&folder, &good);
        verify(&folder, 0, &[]);
    }
}

#[test]
fn lines_cannot_be_moved_removed_or_brought_in() {
    for signed in [false, true] {
        let folder = chain(&format!("verify-move-{signed}"), signed);
        let good = lines(&folder);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad.remove(at);
            put(&folder, &bad);
            let (findings, _) = verify(&folder, 1, &[]);
            assert_eq!(findings.len(), 1, "line {} is gone: {findings:?}", at + 1);
            if at > 0 {
                let mut bad = good.clone();
                bad.swap(at - 1, at);
                put(&folder, &bad);
                let (findings, _) = verify(&folder, 1, &[]);
                assert!(!findings.is_empty(), "lines {at} and {} changed places", at + 1);
            }
            let mut bad = good.clone();
            bad.truncate(at);
            put(&folder, &bad);
            let (findings, _) = verify(&folder, 1, &[]);
            assert_eq!((findings.len(), findings[0].str("kind")), (1, "truncated"), "{findings:?}");
        }
    }
}

#[test]
fn keys_and_checkpoints_that_do_not_fit_are_findings() {
    let folder = chain("verify-keys", true);
    folder.prints(&["key", "new", "other.key"]);
    let (findings, _) = verify(&folder, 1, &["--key", "other.key"]);
    let kinds: BTreeSet<&str> = findings.iter().map(|finding| finding.str("kind")).collect();
    assert_eq!(kinds, BTreeSet::from(["checkpoint", "unknown_key"]));
    // Unsigned, where everything must be signed.
    folder.ends(0, &["chain", "add", "c.jsonl", "--action", "unsigned"]);
    verify(&folder, 0, &["--key", "hub.pub", "--allow-unsigned"]);
    let (findings, _) = verify(&folder, 1, &["--key", "hub.pub"]);
    assert_eq!((findings.len(), findings[0].str("kind"), findings[0].count("line")), (1, "unsigned", 7));
    // A checkpoint kept elsewhere.
    folder.write("kept", folder.text("c.jsonl.checkpoint"));
    let kept = ["--key", "hub.pub", "--allow-unsigned", "--checkpoint", "kept"];
    verify(&folder, 0, &kept);
    folder.write("kept", folder.text("c.jsonl.checkpoint").replacen("\n6\n", "\n5\n", 1));
    let (findings, _) = verify(&folder, 1, &kept);
    assert_eq!((findings.len(), findings[0].str("kind"), findings[0].count("line")), (1, "checkpoint", 0));
    let said = folder.fails(1, &["chain", "verify", "c.jsonl", "--checkpoint", "nowhere"]);
    assert!(said.contains("cannot read nowhere"), "{said}");
    let said = folder.fails(2, &["chain", "verify", "c.jsonl", "c.jsonl", "--checkpoint", "kept"]);
    assert!(said.contains("one by one"), "{said}");
    let said = folder.fails(2, &["chain", "verify", "c.jsonl", "--key", "nobody"]);
    assert!(said.contains("`nobody` is no file and no public key"), "{said}");
    let said = folder.fails(1, &["chain", "verify", "nowhere.jsonl"]);
    assert!(said.contains("cannot read nowhere.jsonl"), "{said}");
}

#[test]
fn shared_keys_and_broken_lines() {
    let folder = Folder::new("verify-mac");
    folder.write("shared.key", "a shared secret\n");
    folder.set_mode("shared.key", 0o600);
    for action in ["a", "b", "c"] {
        folder.prints(&["chain", "add", "c.jsonl", "--action", action, "--hmac-key", "shared.key"]);
    }
    verify(&folder, 0, &["--hmac-key", "shared.key"]);
    assert_eq!(verify(&folder, 1, &[]).0.len(), 3);
    // One line feed at the end is none of the key, two are one too many.
    folder.write("shared.key", "a shared secret");
    verify(&folder, 0, &["--hmac-key", "shared.key"]);
    folder.write("shared.key", "a shared secret\n\n");
    assert_eq!(verify(&folder, 1, &["--hmac-key", "shared.key"]).0.len(), 3);
    folder.write("shared.key", "a shared secret");

    let mut all = lines(&folder);
    all.insert(1, "{broken".to_owned());
    all.insert(3, "\u{feff}".to_owned());
    put(&folder, &all);
    let (findings, summary) = verify(&folder, 1, &["--hmac-key", "shared.key"]);
    assert_eq!(findings.iter().map(|finding| finding.count("line")).collect::<Vec<_>>(), [2, 4]);
    assert_eq!((findings[0].str("kind"), summary.count("tokens"), summary.count("lines")), ("broken_line", 3, 5));

    // What would make a forgery true is not told to whoever reads the report.
    for forged in [all[2].replace("\"action\": \"", "\"action\": \"un"), without_hash(&all[2])] {
        put(&folder, &[all[0].clone(), forged.clone()]);
        let (findings, _) = verify(&folder, 1, &["--hmac-key", "shared.key"]);
        // That a line is wrong does not hide that another one is gone.
        let kinds: Vec<&str> = findings.iter().map(|finding| finding.str("kind")).collect();
        assert!(kinds.len() == 2 && kinds[1] == "truncated", "{findings:?}");
        let said = format!("{:?}", findings[0]);
        let hash = forged.split("\"content_hash\": \"").nth(1).and_then(|rest| rest.get(..64)).unwrap_or_default();
        let told = said.replace(if hash.contains('"') { "-" } else { hash }, "");
        assert!(!told.split(|c: char| !c.is_ascii_hexdigit()).any(|word| word.len() == 64), "{said}");
        assert!(said.contains("under this key"), "{said}");
    }
}

/// The line with an empty content hash.
fn without_hash(line: &str) -> String {
    let at = line.find("\"content_hash\": \"").expect("a token") + "\"content_hash\": \"".len();
    format!("{}{}", &line[..at], &line[at + 64..])
}

#[test]
fn find_gives_the_last_that_match() {
    let folder = chain("find", false);
    let find = |flags: &[&str]| {
        let mut events = folder.events(0, &[&["chain", "find", "c.jsonl"], flags].concat());
        let summary = events.pop().expect("a summary");
        assert_eq!(summary.count("shown"), events.len() as u64);
        (events.iter().map(|event| event.count("line")).collect::<Vec<_>>(), summary.count("found"))
    };
    assert_eq!(find(&[]), (vec![1, 2, 3, 4, 5, 6], 6));
    assert_eq!(find(&["--limit", "2"]), (vec![5, 6], 6));
    assert_eq!(find(&["--action", "step_completed", "--limit", "1"]), (vec![4], 3));
    assert_eq!(find(&["--actor", "jis:alice"]), (vec![5, 6], 2));
    assert_eq!(find(&["--since", "3600"]), (vec![1, 2, 3, 4, 5, 6], 6));
    assert_eq!(find(&["--since", "2999-01-01T00:00:00+00:00"]), (vec![], 0));
    assert_eq!(find(&["--action", "approve"]), (vec![], 0), "words are whole");
    let token = &folder.events(0, &["chain", "find", "c.jsonl", "--action", "approved"])[0];
    assert_eq!(token.get("token"), &Json::parse(&lines(&folder)[4]));
}

#[test]
fn show_marks_what_is_broken() {
    let folder = chain("show", true);
    let drawn = folder.prints(&["chain", "show", "c.jsonl"]);
    assert!(
        drawn.starts_with("c.jsonl, log mission-7\n") && drawn.contains("\n6 tokens, nothing found\nnot checked: "),
        "{drawn}"
    );
    assert_eq!((drawn.matches('●').count(), drawn.matches('│').count(), drawn.contains('\u{1b}')), (6, 5, false));
    let mut command = folder.command(&["chain", "show", "c.jsonl", "--color", "always"]);
    let coloured = command.env("NO_COLOR", "1").output().expect("sluis runs").stdout;
    assert!(coloured.contains(&0x1b), "who insists gets colours");
    let narrow =
        folder.command(&["chain", "show", "c.jsonl"]).env("COLUMNS", "40").output().expect("sluis runs").stdout;
    let narrow = String::from_utf8(narrow).expect("UTF-8");
    assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");

    let mut bad = lines(&folder);
    bad[2] = bad[2].replace("jis:dispatch\", \"erin", "jis:\u{202e}mallory\", \"erin");
    put(&folder, &bad);
    let drawn = folder.ends(1, &["chain", "show", "c.jsonl"]);
    assert!(drawn.contains("\n ✗     3  ") && drawn.contains("╰─▶ line 3, token step_"), "{drawn}");
    assert_eq!((drawn.matches('✗').count(), drawn.matches('╳').count()), (1, 1), "{drawn}");
    assert!(!drawn.contains('\u{202e}'), "{drawn}");
    // Few are drawn, but always those with a finding.
    let events = folder.events(1, &["chain", "show", "c.jsonl", "--limit", "1"]);
    let shown: Vec<u64> = events.iter().filter_map(|e| e.find("line").map(|_| e.count("line"))).collect();
    assert_eq!(shown, [3, 6]);
    assert_eq!((events[0].get("finding").str("kind"), events[1].get("finding")), ("content_hash", &Json::Null));
}

#[test]
fn attestations_are_signed_envelopes() {
    let folder = chain("export", true);
    let envelope = Json::parse(&folder.prints(&["chain", "export", "c.jsonl", "--key", "hub.key"]));
    assert_eq!(envelope.str("payloadType"), "application/vnd.in-toto+json");
    let Json::List(signatures) = envelope.get("signatures") else { panic!("{envelope:?}") };
    assert_eq!(signatures.len(), 1);
    let said = folder.fails(1, &["chain", "export", "c.jsonl", "--key", "hub.key", "--workload", "0000000000000000"]);
    assert!(said.contains("has no workload 0000000000000000"), "{said}");
    let said = folder.fails(2, &["chain", "export", "c.jsonl", "--key", "hub.key", "--workload", "x"]);
    assert!(said.contains("16 hex digits"), "{said}");
    put(&folder, &lines(&folder).iter().map(|line| line.replace("mission-7", "mission-8")).collect::<Vec<_>>());
    let said = folder.fails(1, &["chain", "export", "c.jsonl", "--key", "hub.key"]);
    assert!(said.contains("is not attested") && said.contains("sluis chain verify c.jsonl"), "{said}");
}

#[test]
fn the_stories_are_true() {
    let folder = Folder::new("demo");
    for flags in [&[][..], &["--scenario", "drone"], &["--scenario", "ai"], &["--scenario", "spiffe"]] {
        let told = folder.prints(&[&["chain", "demo"], flags].concat());
        assert!(told.ends_with(" steps went as told.\n"), "{told}");
        let events = folder.events(0, &[&["chain", "demo"], flags].concat());
        let steps = events.iter().filter(|event| event.str("event") == "step").count() as u64;
        let summary = events.last().expect("a summary");
        assert_eq!((summary.str("event"), summary.get("ok")), ("summary", &Json::Bool(true)));
        assert_eq!(steps, 2 * summary.count("steps"));
        assert!(events.iter().any(|event| event.str("event") == "finding"), "something is found");
    }
}

#[test]
fn one_token_is_proven_without_the_chain() {
    let folder = chain("prove", true);
    let id = Json::parse(&lines(&folder)[3]).str("token_id").to_owned();
    for (name, token) in [("4", "4"), (id.as_str(), id.as_str())] {
        let bundle = folder.prints(&["chain", "prove", "c.jsonl", token]);
        folder.write("proof.json", &bundle);
        let alone = Folder::new("prove-alone");
        alone.write("proof.json", &bundle);
        alone.write("hub.pub", folder.text("hub.pub"));
        let events = alone.events(0, &["chain", "verify", "proof.json", "--key", "hub.pub"]);
        let summary = &events[0];
        assert_eq!((events.len(), summary.count("tokens"), summary.get("ok")), (1, 1, &Json::Bool(true)), "{name}");
        assert_eq!(summary.get("checkpoint").get("signed"), &Json::Bool(true));
        alone.prints(&["chain", "verify", "proof.json"]);
        // Any edit is a finding.
        let other = folder.json(&["key", "new", "other.key", "--force"]);
        for (was, is, kind) in [
            ("step_completed", "step_failed", "root"),
            ("\"index\": 3", "\"index\": 2", "root"),
            ("\"size\": 6", "\"size\": 7", "root"),
            ("mission-7\\n6\\n", "mission-7\\n7\\n", "checkpoint"),
            ("\"entry\"", "\"entri\"", "broken_line"),
        ] {
            assert!(bundle.contains(was), "{was}: {bundle}");
            alone.write("bad.json", bundle.replacen(was, is, 1));
            let events = alone.events(1, &["chain", "verify", "bad.json", "--key", "hub.pub"]);
            assert_eq!((events.len(), events[0].str("kind")), (2, kind), "{was}");
        }
        let events = alone.events(1, &["chain", "verify", "proof.json", "--key", other.str("public")]);
        assert_eq!(events[0].str("kind"), "checkpoint");
    }
    let said = folder.fails(1, &["chain", "prove", "c.jsonl", "7"]);
    assert!(said.contains("no token `7`"), "{said}");
    folder.ends(0, &["chain", "add", "c.jsonl", "--action", "later"]);
    let said = folder.fails(1, &["chain", "prove", "c.jsonl", "7"]);
    assert!(said.contains("covers 6 lines (blank ones aside) and not line 7"), "{said}");
    std::fs::remove_file(folder.0.join("c.jsonl.checkpoint")).expect("it was there");
    let said = folder.fails(1, &["chain", "prove", "c.jsonl", "1"]);
    assert!(said.contains("there is no c.jsonl.checkpoint"), "{said}");
}

#[test]
fn attestations_are_verified_by_whoever_knows_the_key() {
    let folder = chain("attest", true);
    folder.prints(&["key", "new", "ci.key"]);
    let ci = folder.prints(&["key", "export", "ci.key", "--format", "note"]);
    let export = ["chain", "export", "c.jsonl", "--key", "ci.key"];
    let said = folder.fails(1, &export);
    assert!(said.contains("c.jsonl is not attested: "), "{said}");
    let envelope = folder.prints(&[&export[..], &["--signer", "hub.pub"]].concat());
    folder.write("a.json", &envelope);
    let summary = &folder.events(0, &["chain", "verify", "a.json", "--key", ci.trim(), "--key", "hub.pub"])[0];
    assert_eq!((summary.count("tokens"), summary.get("ok")), (4, &Json::Bool(true)), "the steps, and what began them");
    // The key of whoever attests says nothing of who signed the tokens.
    for flags in [&[][..], &["--allow-unsigned"]] {
        let events = folder.events(1, &[&["chain", "verify", "a.json", "--key", ci.trim()], flags].concat());
        assert_eq!((events.len(), events[0].str("kind"), events[0].count("line")), (2, "unknown_key", 1));
    }
    let events = folder.events(1, &["chain", "verify", "a.json", "--key", "hub.pub"]);
    assert_eq!(events[0].str("kind"), "bad_signature");
    let said = folder.fails(2, &["chain", "verify", "a.json"]);
    assert!(said.contains("name the key with --key"), "{said}");
}

#[test]
fn a_line_that_is_being_written_is_no_finding() {
    let folder = chain("verify-live", false);
    let whole = folder.text("c.jsonl");
    let torn = format!("{whole}{{\"token_id\": \"half");
    folder.write("c.jsonl", &torn);
    let (findings, _) = verify(&folder, 1, &[]);
    assert_eq!((findings.len(), findings[0].str("kind")), (1, "broken_line"));
    let writer = std::fs::File::open(folder.0.join("c.jsonl")).expect("it is there");
    writer.lock().expect("nobody else writes");
    let (_, summary) = verify(&folder, 0, &[]);
    assert_eq!(summary.count("lines"), 6);
    writer.unlock().expect("it was locked");
    // What a crash has torn is cut off by the next who writes, and kept beside.
    let out = folder.sluis(&["chain", "add", "c.jsonl", "--action", "next"]);
    assert!(out.status.success() && String::from_utf8_lossy(&out.stderr).contains("was torn"), "{out:?}");
    assert!(folder.exists("c.jsonl.torn"));
    verify(&folder, 0, &[]);
}

/// Nothing is signed that does not verify: `export` looks at hashes, links, seals and the checkpoint first.
#[test]
fn what_verify_rejects_is_not_attested() {
    let folder = chain("export-forged", true);
    let export = ["chain", "export", "c.jsonl", "--key", "hub.key"];
    folder.prints(&export);
    let good = lines(&folder);
    // Rewritten by somebody without the key: the last line, so that no link tells.
    let forge = |line: &str| {
        let line = line.replacen("\"archived\"", "\"approved\"", 1);
        let mut token = sluis_chain::token::Token::parse(&line).expect("a token");
        token.signature = sluis_core::framing::Text::EMPTY;
        let hash = token.content_hash(None).expect("a hash").to_string();
        token.content_hash = sluis_core::framing::Text::new(&hash);
        let mut out = Vec::new();
        token.write_json(&mut out).expect("room");
        String::from_utf8(out).expect("UTF-8")
    };
    let mut forged = good.clone();
    let last = forged.pop().expect("a line");
    forged.push(forge(&last));
    put(&folder, &forged);
    let said = folder.fails(1, &export);
    assert!(said.contains("c.jsonl is not attested: ") && said.contains("see `sluis chain verify c.jsonl`"), "{said}");
    // Cut off, moved, and with the checkpoint gone that the log says it has.
    put(&folder, &good[..good.len() - 1]);
    folder.fails(1, &export);
    put(&folder, &good);
    folder.prints(&export);
    std::fs::remove_file(folder.0.join("c.jsonl.checkpoint")).expect("removed");
    folder.fails(1, &export);
}

/// An envelope may be longer than a bundle, and its key ids are hints that need not be there.
#[test]
fn large_envelopes_and_those_without_key_ids_are_read() {
    let folder = chain("export-large", true);
    let json = folder.prints(&["chain", "export", "c.jsonl", "--key", "hub.key"]);
    let at = json.find("\"keyid\":\"").expect("a key id") + 8;
    let end = at + 1 + json[at + 1..].find('"').expect("its end") + 1;
    let without = format!("{}null{}", &json[..at], &json[end..]);
    folder.write("null.json", &without);
    let padded = format!("{},\"padding\":\"{}\"}}", without.trim_end().trim_end_matches('}'), "x".repeat(17 << 20));
    folder.write("large.json", padded);
    for name in ["null.json", "large.json"] {
        folder.prints(&["chain", "verify", name, "--key", "hub.pub"]);
        folder.prints(&["chain", "verify", name, "--key", "hub.pub", "--signed", "--actor", "jis:dispatch=hub.pub"]);
    }
}

/// `export` attests nothing that `verify` with the same key rejects, and an envelope is judged by whom its tokens are signed, too.
#[test]
fn tokens_of_others_are_not_attested_unless_they_are_named() {
    let folder = Folder::new("export-others");
    for key in ["me", "mallory"] {
        folder.prints(&["key", "new", &format!("{key}.key")]);
        folder.write(&format!("{key}.pub"), folder.prints(&["key", "export", &format!("{key}.key")]));
    }
    for (log, key) in [("m.jsonl", &["--key", "mallory.key"][..]), ("u.jsonl", &[])] {
        folder.prints(&[&["chain", "new", log, "--name", "m", "--owner", "jis:o"], key].concat());
        folder.ends(0, &[&["chain", "run", log, "--step", "b"], key, &["--", "true"]].concat());
    }
    let said = folder.fails(1, &["chain", "export", "m.jsonl", "--key", "me.key"]);
    assert!(said.contains("is not attested"), "{said}");
    folder.fails(1, &["chain", "export", "m.jsonl", "--key", "me.key", "--allow-unsigned"]);
    let said = folder.fails(1, &["chain", "export", "u.jsonl", "--key", "me.key"]);
    assert!(said.contains("unsigned") && said.contains("--allow-unsigned"), "{said}");
    folder.fails(1, &["chain", "export", "u.jsonl", "--key", "me.key", "--signer", "mallory.pub"]);
    let attested = [("m.jsonl", &["--signer", "mallory.pub"][..], &["--key", "mallory.pub"][..], "unknown_key")];
    let unsigned = [("u.jsonl", &["--allow-unsigned"][..], &["--allow-unsigned"][..], "unsigned")];
    for (log, told, asked, kind) in attested.into_iter().chain(unsigned) {
        folder.write("e.json", folder.prints(&[&["chain", "export", log, "--key", "me.key"], told].concat()));
        let verify = ["chain", "verify", "e.json", "--key", "me.pub"];
        folder.ends(0, &[&verify[..], asked].concat());
        let events = folder.events(1, &verify);
        assert_eq!((events.len(), events[0].str("kind"), events[0].count("line")), (2, kind, 1), "{log}");
    }
}
