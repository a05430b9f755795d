//! `new`, `add` and `run`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::folder::Folder;
use crate::common::json::Json;

const NEW: &[&str] = &["chain", "new", "c.jsonl", "--name", "mission-7", "--owner", "jis:dispatch"];

/// The tokens of a file.
fn tokens(folder: &Folder, name: &str) -> Vec<Json> {
    folder.text(name).lines().map(Json::parse).collect()
}

/// `sluis chain run c.jsonl --step NAME … -- sh -c SCRIPT`
fn run<'a>(step: &'a str, flags: &[&'a str], script: &'a str) -> Vec<&'a str> {
    [&["chain", "run", "c.jsonl", "--step", step], flags, &["--", "sh", "-c", script]].concat()
}

#[test]
fn every_line_follows_the_one_before_it() {
    let folder = Folder::new("chain-add");
    let first = folder.json(NEW);
    assert_eq!((first.str("event"), first.count("line"), first.str("action")), ("added", 1, "workload_created"));
    let mut leaf = first.str("leaf").to_owned();
    for n in 2..5 {
        let erin = format!(r#"{{"n":{n},"é":[1.50,null]}}"#);
        let added = folder.json(&["chain", "add", "c.jsonl", "--action", "counted", "--eraan", "x", "--erin", &erin]);
        assert_eq!(added.count("line"), n);
        let token = tokens(&folder, "c.jsonl").pop().expect("a line");
        let link = Json::text(&format!("prev:sha256:{leaf}"));
        assert_eq!(token.get("eraan"), &Json::List(vec![Json::text("x"), link]));
        assert_eq!(token.get("erin"), &Json::parse(&format!(r#"{{"n":{n},"é":[1.5,null]}}"#)));
        assert_eq!((token.str("actor"), token.str("token_id")), ("jis:dispatch", added.str("token_id")));
        leaf = added.str("leaf").to_owned();
    }
    assert_eq!(std::fs::metadata(folder.0.join("c.jsonl.tree")).expect("a tree").len(), 4 * 32);
    assert!(!folder.exists("c.jsonl.checkpoint"), "nobody signed");
    // Beginning it again would lose what is there.
    let said = folder.fails(1, NEW);
    assert!(said.contains("c.jsonl is there already"), "{said}");
}

#[test]
fn keys_sign_lines_and_checkpoints() {
    let folder = Folder::new("chain-keys");
    let key = folder.json(&["key", "new", "hub.key"]);
    folder.prints(&[NEW, &["--key", "hub.key"]].concat());
    folder.prints(&["chain", "add", "c.jsonl", "--action", "a", "--key", "hub.key"]);
    for token in tokens(&folder, "c.jsonl") {
        assert!(token.str("signature").starts_with(&format!("ed25519:{}:", key.str("public"))), "{token:?}");
    }
    let checkpoint = folder.text("c.jsonl.checkpoint");
    assert!(checkpoint.starts_with("mission-7\n2\n") && checkpoint.contains("\n\n\u{2014} mission-7 "), "{checkpoint}");
    // Both kinds of keys are for their owners only.
    folder.write("shared.key", "secret\n");
    for (file, flag) in [("hub.key", "--key"), ("shared.key", "--hmac-key")] {
        folder.set_mode(file, 0o644);
        let said = folder.fails(1, &["chain", "add", "c.jsonl", "--action", "a", flag, file]);
        assert!(said.contains(&format!("chmod 600 {file}")), "{said}");
        folder.set_mode(file, 0o600);
        folder.ends(0, &["chain", "add", "c.jsonl", "--action", "a", flag, file]);
    }
    assert_eq!(tokens(&folder, "c.jsonl").len(), 4);
    let said = folder.fails(1, &["chain", "add", "c.jsonl", "--action", "a", "--hmac-key", "nowhere"]);
    assert!(said.contains("cannot read nowhere"), "{said}");
}

#[test]
fn a_command_is_a_step() {
    let folder = Folder::new("chain-run");
    folder.prints(NEW);
    let out = folder.sluis(&run("make", &["--output", "a.txt", "--intent", "to have it"], "echo made; echo a > a.txt"));
    assert_eq!((out.status.code(), &*out.stdout), (Some(0), &b"made\n"[..]), "{out:?}");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.starts_with("sluis: step make completed in ") && said.ends_with("; line 2 of c.jsonl\n"), "{said}");
    // With --json standard output is ours, and the command's goes to standard error.
    let args = run("use", &["--input", "a.txt", "--output", "b.txt", "--json"], "cat a.txt; cp a.txt b.txt");
    let out = folder.sluis(&args);
    assert_eq!((out.status.code(), &*out.stderr), (Some(0), &b"a\n"[..]));
    let step = Json::parse(&String::from_utf8(out.stdout).expect("UTF-8"));
    assert_eq!((step.str("event"), step.str("step"), step.str("status")), ("step", "use", "completed"));
    assert_eq!((step.count("exit_code"), step.count("line")), (0, 3));
    assert!(step.number("duration_ms") > 0.0);
    // What `sha256sum a.txt` prints.
    let hash = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7";
    assert_eq!((step.get("inputs").str("a.txt"), step.get("outputs").str("b.txt")), (hash, hash));

    let tokens = tokens(&folder, "c.jsonl");
    let [first, second] = [&tokens[1], &tokens[2]].map(|token| token.get("erin"));
    assert_eq!(first.str("output_sha256"), second.str("input_sha256"));
    assert_eq!((tokens[1].str("erachter"), tokens[2].str("erachter")), ("to have it", "Execute step 'use'"));
    assert_eq!(second.find("independent"), None);
}

#[test]
fn what_the_step_before_put_out_must_still_be_so() {
    let folder = Folder::new("chain-tied");
    folder.ends(0, &run("make", &["--output", "a.txt"], "echo a > a.txt"));
    folder.write("a.txt", "tampered\n");
    let said = folder.fails(1, &run("use", &["--input", "a.txt"], "touch ran"));
    assert!(said.contains("a.txt is not as the step before left it") && said.contains("--independent"), "{said}");
    assert!(!folder.exists("ran"), "the command was not run");
    // Nor is it run when what goes in is not there, or the step was there before.
    let said = folder.fails(1, &run("use", &["--input", "none.txt"], "touch ran"));
    assert!(said.contains("cannot read the input none.txt"), "{said}");
    let said = folder.fails(1, &run("make", &[], "touch ran"));
    assert!(said.contains("step `make` was run in this chain already"), "{said}");
    assert!(!folder.exists("ran") && tokens(&folder, "c.jsonl").len() == 2);
    folder.ends(0, &run("use", &["--input", "a.txt", "--independent"], "touch ran"));
    assert_eq!(tokens(&folder, "c.jsonl")[2].get("erin").get("independent"), &Json::Bool(true));
    // Other files than those that came out are another input.
    folder.ends(0, &run("put", &["--output", "a.txt"], "echo b > a.txt"));
    folder.write("c.txt", "c");
    folder.ends(0, &run("other", &["--input", "c.txt"], "true"));
    assert_eq!(tokens(&folder, "c.jsonl")[4].get("erin").get("independent"), &Json::Bool(true));
}

#[test]
fn it_ends_as_the_command_does() {
    let folder = Folder::new("chain-codes");
    let recorded = || tokens(&folder, "c.jsonl").pop().expect("a line");
    for (step, script, code, status, error) in [
        ("one", "exit 7", 7, "step_failed", Some("exit code 7")),
        ("two", "kill -9 $$", 137, "step_failed", Some("ended by signal 9")),
        ("three", "true", 0, "step_completed", None),
        ("four", "no-such-command", 127, "step_failed", Some("exit code 127")),
    ] {
        folder.ends(code, &run(step, &[], script));
        let token = recorded();
        assert_eq!(token.str("action"), status);
        assert_eq!(token.get("erin").find("error"), error.map(Json::text).as_ref());
        assert_eq!(token.get("erin").get("metadata").get("exit_code"), &Json::int(i64::from(code)));
    }
    folder.ends(127, &["chain", "run", "c.jsonl", "--step", "five", "--", "no-such-command"]);
    assert_eq!(recorded().get("erin").str("error"), "the command was not found");
    folder.write("script", "#!/bin/sh");
    folder.ends(126, &["chain", "run", "c.jsonl", "--step", "six", "--", "./script"]);
    // It went well and left nothing.
    folder.ends(1, &run("seven", &["--output", "none.txt"], "true"));
    assert!(recorded().get("erin").str("error").starts_with("cannot read the output none.txt"));
}

#[test]
fn an_input_that_changes_on_the_way_compromises_the_step() {
    let folder = Folder::new("chain-compromised");
    folder.ends(0, &run("make", &["--output", "a.txt"], "echo a > a.txt"));
    let step = folder.events(1, &run("use", &["--input", "a.txt"], "echo b > a.txt"));
    assert_eq!(step[0].str("status"), "compromised");
    let token = tokens(&folder, "c.jsonl").pop().expect("a line");
    assert_eq!((token.str("action"), token.str("state")), ("step_compromised", "detected"));
    let finding = token.get("erin").get("finding");
    assert_eq!(finding.str("expected"), token.get("erin").str("input_sha256"));
    assert_ne!(finding.str("expected"), finding.str("actual"));
}

#[test]
fn many_add_at_once() {
    const EACH: usize = 12;
    let folder = Folder::new("chain-many");
    let script = |who: usize| {
        let args = ["chain", "add", "c.jsonl", "--action", "counted", "--actor", "jis:a"];
        let mut all = Vec::new();
        for n in 0..EACH {
            let erin = format!(r#"{{"who":{who},"n":{n}}}"#);
            let mut command = folder.command(&[&args[..], &["--erin", &erin]].concat());
            command.stdout(Stdio::null());
            all.push(command.spawn().expect("sluis runs"));
        }
        all
    };
    let children: Vec<_> = (0..4).flat_map(script).collect();
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    let tokens = tokens(&folder, "c.jsonl");
    assert_eq!(tokens.len(), 4 * EACH);
    let mut seen: Vec<String> = tokens.iter().map(|token| format!("{:?}", token.get("erin"))).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4 * EACH, "every line is there once");
    let linked = tokens.iter().skip(1).all(|token| format!("{:?}", token.get("eraan")).contains("prev:sha256:"));
    assert!(linked);
}

#[test]
fn a_signal_for_us_is_one_for_the_command() {
    let folder = Folder::new("chain-signal");
    let mut child = folder.command(&run("sleep", &[], "echo $$ > pid; exec sleep 60")).spawn().expect("sluis runs");
    let start = Instant::now();
    while !folder.exists("pid") || folder.text("pid").is_empty() {
        assert!(start.elapsed() < Duration::from_secs(30), "it does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(100));
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
    let token = tokens(&folder, "c.jsonl").pop().expect("a line");
    assert_eq!(token.get("erin").str("error"), "ended by signal 15");
}

#[test]
fn nothing_is_added_to_what_is_broken() {
    let folder = Folder::new("chain-broken");
    folder.prints(NEW);
    folder.prints(&["chain", "add", "c.jsonl", "--action", "a"]);
    let text = folder.text("c.jsonl").replacen("mission-7", "mission-8", 1);
    folder.write("c.jsonl", &text);
    let said = folder.fails(1, &["chain", "add", "c.jsonl", "--action", "b"]);
    assert!(said.contains("c.jsonl"), "{said}");
    assert_eq!(folder.text("c.jsonl"), text);
}

#[test]
fn a_closed_workload_says_how_its_steps_ended() {
    let folder = Folder::new("chain-close");
    let said = folder.fails(1, &["chain", "close", "c.jsonl"]);
    assert!(said.contains("there is no c.jsonl") && !folder.exists("c.jsonl"), "{said}");
    folder.ends(0, &run("one", &[], "true"));
    folder.ends(3, &run("two", &[], "exit 3"));
    folder.prints(&["chain", "close", "c.jsonl", "--actor", "jis:boss"]);
    let last = tokens(&folder, "c.jsonl").pop().expect("a line");
    assert_eq!((last.str("action"), last.str("actor")), ("workload_failed", "jis:boss"));
    let erin = last.get("erin");
    assert_eq!([erin.count("step_count"), erin.count("completed_steps"), erin.count("failed_steps")], [2, 1, 1]);
    folder.prints(&["chain", "verify", "c.jsonl"]);
    let said = folder.fails(1, &["chain", "close", "c.jsonl"]);
    assert!(said.contains("is closed already"), "{said}");
    // What is run now is another workload; tokens may still be added.
    folder.ends(0, &run("one", &[], "true"));
    folder.prints(&["chain", "add", "c.jsonl", "--action", "archived"]);
    folder.prints(&["chain", "verify", "c.jsonl"]);
    // A step that is gone is missed.
    let file = folder.text("c.jsonl");
    let without: String =
        file.split_inclusive('\n').enumerate().filter(|(i, _)| *i != 2).map(|(_, line)| line).collect();
    folder.write("d.jsonl", without);
    folder.ends(1, &["chain", "verify", "d.jsonl"]);
    folder.write("none.jsonl", "");
    let said = folder.fails(1, &["chain", "close", "none.jsonl"]);
    assert!(said.contains("none.jsonl has no workload"), "{said}");
}

#[test]
fn one_file_has_one_name() {
    let folder = Folder::new("chain-names");
    folder.ends(0, &run("make", &["--output", "a.txt"], "echo a > a.txt"));
    folder.write("a.txt", "tampered\n");
    for spelled in ["./a.txt", ".//./a.txt"] {
        let said = folder.fails(1, &run("use", &["--input", spelled], "touch ran"));
        assert!(said.contains("a.txt is not as the step before left it"), "{said}");
    }
    assert!(!folder.exists("ran"));
}

#[test]
fn steps_that_begin_a_chain_at_once_do_not_lie_about_what_they_follow() {
    let folder = Folder::new("chain-at-once");
    let mut first = folder.command(&run("first", &[], "echo ready; read x"));
    let mut first =
        first.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("sluis runs");
    std::io::Read::read_exact(first.stdout.as_mut().expect("piped"), &mut [0; 6]).expect("it has begun");
    folder.ends(0, &run("second", &["--output", "a.txt"], "echo a > a.txt"));
    drop(first.stdin.take());
    assert!(!first.wait().expect("it ends").success());
    let last = tokens(&folder, "c.jsonl").pop().expect("a line");
    assert_eq!((last.str("action"), last.get("erin").str("step")), ("step_failed", "first"));
    assert_eq!(last.get("erin").str("error"), "another step was recorded while this one ran");
    folder.prints(&["chain", "verify", "c.jsonl"]);
}

#[test]
fn nothing_is_cut_off_a_file_that_others_wrote() {
    let folder = Folder::new("chain-foreign");
    folder.prints(NEW);
    folder.prints(&["chain", "add", "c.jsonl", "--action", "a"]);
    let whole = folder.text("c.jsonl");
    let lines: Vec<&str> = whole.lines().collect();
    for (text, why) in [
        (format!("{}\ngarbage\n{}\n", lines[0], lines[1]), "line 2 of d.jsonl is broken (not JSON at byte 0)"),
        (whole.trim_end().to_owned(), "has no line feed, nothing is put behind it: if it is whole, write one"),
    ] {
        for _ in 0..2 {
            folder.write("d.jsonl", &text);
            let said = folder.fails(1, &["chain", "add", "d.jsonl", "--action", "a"]);
            assert!(said.contains(why), "{said}");
            assert_eq!(folder.text("d.jsonl"), text);
            assert!(!folder.exists("d.jsonl.torn") && !folder.exists("d.jsonl.tree"));
        }
    }
    folder.write("d.jsonl", &whole);
    folder.prints(&["chain", "add", "d.jsonl", "--action", "a"]);
    folder.prints(&["chain", "verify", "d.jsonl"]);
}

/// A chain whose first lines a checkpoint covers, and the last three not, as they are when somebody adds without the key.
fn partly_covered(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.prints(&["key", "new", "hub.key"]);
    folder.prints(&[NEW, &["--key", "hub.key"]].concat());
    folder.prints(&["chain", "add", "c.jsonl", "--action", "covered", "--key", "hub.key"]);
    for action in ["ack1", "ack2", "ack3"] {
        folder.sluis(&["chain", "add", "c.jsonl", "--action", action]);
    }
    assert_eq!(folder.text("c.jsonl").lines().count(), 5);
    folder
}

/// What was acknowledged is not taken for a torn write because it was edited: nothing is moved away, nothing is signed, nothing changes.
#[test]
fn edited_lines_that_no_checkpoint_covers_are_neither_moved_away_nor_signed() {
    let folder = partly_covered("chain-uncovered");
    let whole = folder.text("c.jsonl");
    let tree = std::fs::read(folder.0.join("c.jsonl.tree")).expect("a tree");
    let checkpoint = folder.text("c.jsonl.checkpoint");
    let add: &[&str] = &["chain", "add", "c.jsonl", "--action", "next"];
    let run: &[&str] = &["chain", "run", "c.jsonl", "--step", "s", "--", "touch", "ran"];
    for (line, ack) in [(3, "ack1"), (4, "ack2"), (5, "ack3")] {
        for (from, to) in [(format!("\"{ack}\""), "\"ackX\"".to_owned()), (format!("\"{ack}\""), ack.to_owned())] {
            let edited = whole.replacen(&from, &to, 1);
            for kept in [None, Some(0), Some(2 * 32), Some(tree.len())] {
                folder.write("c.jsonl", &edited);
                let beside = folder.0.join("c.jsonl.tree");
                let _ = std::fs::remove_file(&beside);
                if let Some(kept) = kept {
                    std::fs::write(&beside, &tree[..kept]).expect("a tree");
                }
                for command in [add, run] {
                    // Told that lines of others are to be covered: but not that they were changed.
                    for flags in [&["--key", "hub.key", "--new-checkpoint"][..], &[]] {
                        let at = command.iter().position(|arg| *arg == "--").unwrap_or(command.len());
                        let said = folder.fails(1, &[&command[..at], flags, &command[at..]].concat());
                        assert!(said.contains(&format!("line {line} of c.jsonl is broken (")), "{said}");
                    }
                }
                assert_eq!(
                    (folder.text("c.jsonl"), folder.text("c.jsonl.checkpoint")),
                    (edited.clone(), checkpoint.clone())
                );
                assert_eq!(std::fs::read(&beside).ok().map(|tree| tree.len()), kept);
                assert!(!folder.exists("c.jsonl.torn") && !folder.exists("ran"));
            }
        }
    }
    // As it was, it is added to, and the checkpoint covers it.
    folder.write("c.jsonl", &whole);
    folder.prints(&[add, &["--key", "hub.key", "--new-checkpoint"]].concat());
    folder.prints(&["chain", "verify", "c.jsonl", "--key", "hub.key", "--allow-unsigned"]);
}

#[test]
fn a_line_feed_that_an_editor_took_away_is_put_back() {
    let folder = partly_covered("chain-line-feed");
    let whole = folder.text("c.jsonl");
    folder.write("c.jsonl", whole.trim_end());
    folder.prints(&["chain", "add", "c.jsonl", "--action", "next", "--key", "hub.key", "--new-checkpoint"]);
    assert!(folder.text("c.jsonl").starts_with(&whole) && !folder.exists("c.jsonl.torn"));
    assert_eq!(folder.text("c.jsonl").lines().count(), 6);
    folder.prints(&["chain", "verify", "c.jsonl"]);
}

#[test]
fn a_log_of_hmacs_is_added_to_under_its_key() {
    let folder = Folder::new("chain-hmac");
    for (file, secret) in [("a.key", "one secret of some length"), ("b.key", "another secret of some length")] {
        folder.write(file, secret);
        folder.set_mode(file, 0o600);
    }
    folder.prints(&[NEW, &["--hmac-key", "a.key"]].concat());
    folder.prints(&["chain", "add", "c.jsonl", "--action", "a", "--hmac-key", "a.key"]);
    let whole = folder.text("c.jsonl");
    for flags in [&["--hmac-key", "b.key"][..], &[]] {
        let said = folder.fails(1, &[&["chain", "add", "c.jsonl", "--action", "b"], flags].concat());
        assert!(said.contains("line 1 of c.jsonl is broken (") && said.contains("another HMAC key"), "{said}");
        assert_eq!(folder.text("c.jsonl"), whole);
    }
    folder.prints(&["chain", "add", "c.jsonl", "--action", "b", "--hmac-key", "a.key"]);
    folder.prints(&["chain", "verify", "c.jsonl", "--hmac-key", "a.key"]);
}

#[cfg(unix)]
#[test]
fn what_is_written_is_said_to_be_even_if_nothing_can_be_printed() {
    let folder = Folder::new("chain-full");
    folder.prints(NEW);
    let commands = [
        &["chain", "add", "c.jsonl", "--action", "a"][..],
        &["chain", "plan", "c.jsonl", "--step", "s"],
        &["chain", "start", "c.jsonl", "--step", "s"],
        &["chain", "complete", "c.jsonl", "--step", "s"],
        &["chain", "complete", "--json", "c.jsonl", "--step", "t"],
        &["chain", "run", "--json", "c.jsonl", "--step", "u", "--", "true"],
        &["chain", "close", "c.jsonl"],
    ];
    for args in commands {
        if args[1] == "complete" && args[2] == "--json" {
            folder.prints(&["chain", "plan", "c.jsonl", "--step", "t"]);
            folder.prints(&["chain", "start", "c.jsonl", "--step", "t"]);
        }
        let before = tokens(&folder, "c.jsonl").len();
        let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else { return };
        let out = folder.command(args).stdout(full).stderr(Stdio::piped()).output().expect("sluis runs");
        let said = String::from_utf8(out.stderr).expect("UTF-8");
        let line = before + 1;
        let start = format!(
            "sluis chain {}: written as line {line} of c.jsonl, but cannot write to standard output (No space left",
            args[1]
        );
        assert_eq!((out.status.code(), said.starts_with(&start)), (Some(1), true), "{args:?}: {said}");
        assert_eq!(tokens(&folder, "c.jsonl").len(), line, "{args:?}");
    }
    // What writes nothing says so of nothing.
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else { return };
    let out = folder.command(&["chain", "verify", "c.jsonl"]).stdout(full).output().expect("sluis runs");
    let said = String::from_utf8(out.stderr).expect("UTF-8");
    assert!(said.starts_with("sluis chain verify: cannot write to standard output ("), "{said}");
}

#[test]
fn a_tree_that_is_too_long_holds_nobody_up() {
    let folder = Folder::new("chain-long-tree");
    folder.prints(NEW);
    let tree = folder.0.join("c.jsonl.tree");
    // Where so long a file cannot be, nor can it hold anybody up.
    let file = std::fs::File::options().write(true).open(&tree).expect("a tree");
    if file.set_len(1 << 40).is_err() {
        return;
    }
    let said = folder.fails(1, &["chain", "add", "c.jsonl", "--action", "a"]);
    assert!(said.contains("remove c.jsonl.tree to go on"), "{said}");
    assert!(folder.prints(&["chain", "verify", "c.jsonl"]).contains("c.jsonl"));
    std::fs::remove_file(&tree).expect("removed");
    folder.prints(&["chain", "add", "c.jsonl", "--action", "a"]);
}
