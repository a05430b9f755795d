//! Steps that are planned, started and completed one command at a time.

use sluis_chain::token::Token;

use crate::common::folder::Folder;
use crate::common::json::Json;

const NEW: &[&str] = &["chain", "new", "c.jsonl", "--name", "mission-7", "--owner", "jis:dispatch"];

/// `sluis chain COMMAND c.jsonl --step NAME …`
fn step<'a>(command: &'a str, name: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    [&["chain", command, "c.jsonl", "--step", name], flags].concat()
}

fn last(folder: &Folder) -> Json {
    Json::parse(folder.text("c.jsonl").lines().last().expect("a line"))
}

#[test]
fn a_mission_is_planned_and_flown() {
    let folder = Folder::new("steps-mission");
    folder.prints(NEW);
    for name in ["receive", "relay", "deliver"] {
        let intent = format!("to {name}");
        folder.prints(&step("plan", name, &["--executor", "jis:drone:7", "--intent", &intent]));
    }
    let planned = last(&folder);
    assert_eq!((planned.str("action"), planned.get("erin").count("sequence")), ("step_added", 3));
    // In their turn, each once, and with what the one before put out.
    let said = folder.fails(1, &step("start", "relay", &["--data", "{}"]));
    assert!(said.contains("step `relay` comes after `receive`"), "{said}");
    let said = folder.fails(1, &step("complete", "receive", &["--data", "{}"]));
    assert!(said.contains("the step was not started"), "{said}");
    let said = folder.fails(1, &step("plan", "relay", &[]));
    assert!(said.contains("has this name already"), "{said}");
    folder.prints(&step("start", "receive", &["--data", r#"{"order":"PKG-42"}"#]));
    let said = folder.fails(1, &step("start", "receive", &[]));
    assert!(said.contains("was started already") && said.contains("chain complete"), "{said}");
    folder.prints(&step(
        "complete",
        "receive",
        &["--data", r#"{"accepted":true}"#, "--input-data", r#"{"order": "PKG-42"}"#],
    ));
    let received = last(&folder);
    assert_eq!((received.str("action"), received.str("actor")), ("step_completed", "jis:drone:7"));
    assert_eq!((received.str("erachter"), received.str("parent_id").starts_with("workload_")), ("to receive", true));
    for other in [&["--data", r#"{"accepted":false}"#][..], &[]] {
        let said = folder.fails(1, &step("start", "relay", other));
        assert!(said.contains("planned to take in what the step before put out"), "{said}");
    }
    folder.prints(&step("start", "relay", &["--data", r#"{"accepted": true}"#, "--actor", "jis:relay:3"]));
    // Data that changed on the way compromises the step, and that is final.
    let changed = step("complete", "relay", &["--data", "1", "--input-data", r#"{"accepted":false}"#]);
    let step_event = &folder.events(1, &changed)[0];
    assert_eq!((step_event.str("status"), last(&folder).str("actor")), ("compromised", "jis:relay:3"));
    let said = folder.fails(1, &step("complete", "relay", &["--data", "1"]));
    assert!(said.contains("the step is compromised, and that is final"), "{said}");
    let said = folder.fails(1, &["chain", "close", "c.jsonl"]);
    assert!(said.contains("step `deliver` was planned and has not ended") && said.contains("--skip"), "{said}");
    folder.prints(&step("complete", "deliver", &["--skip"]));
    folder.prints(&["chain", "close", "c.jsonl"]);
    assert_eq!(last(&folder).str("action"), "workload_compromised");
    let found = folder.events(1, &["chain", "verify", "c.jsonl"]);
    let kinds: Vec<&Json> = found.iter().filter_map(|found| found.find("kind")).collect();
    assert_eq!(kinds, [&Json::text("compromised")]);
}

#[test]
fn commands_and_planned_steps_take_turns() {
    let folder = Folder::new("steps-turns");
    folder.prints(&step("plan", "make", &[]));
    folder.prints(&step("plan", "use", &[]));
    let run =
        |name, flags: &[&'static str], script| [&step("run", name, flags)[..], &["--", "sh", "-c", script]].concat();
    let said = folder.fails(1, &run("other", &[], "touch ran"));
    assert!(said.contains("step `make` was planned before it"), "{said}");
    let said = folder.fails(1, &run("use", &[], "touch ran"));
    assert!(said.contains("step `use` comes after `make`"), "{said}");
    folder.ends(0, &run("make", &["--output", "a", "--output", "b"], "echo a > a; echo b > b"));
    // It was planned to take in what `make` put out, and nothing else.
    for inputs in [&["--input", "a"][..], &[]] {
        let said = folder.fails(1, &run("use", inputs, "touch ran"));
        assert!(said.contains("planned to take in what the step before put out"), "{said}");
    }
    assert!(!folder.exists("ran"));
    folder.prints(&step("start", "use", &["--input", "a", "--input", "b"]));
    let said = folder.fails(1, &run("use", &["--input", "a", "--input", "b"], "touch ran"));
    assert!(said.contains("was started already"), "{said}");
    // A file that changes between the two commands is found.
    folder.write("b", "changed");
    let event = &folder.events(1, &step("complete", "use", &["--output", "a"]))[0];
    assert!(event.str("error").starts_with("b changed since it was started"), "{event:?}");
    let erin = last(&folder).get("erin").clone();
    assert_eq!((erin.str("status"), erin.get("metadata").get("outputs")), ("compromised", &Json::parse("{}")));
    folder.ends(0, &run("last", &[], "true"));
    folder.prints(&step("plan", "failing", &["--independent"]));
    folder.prints(&step("start", "failing", &[]));
    folder.ends(0, &step("complete", "failing", &["--error", "no landing place"]));
    assert_eq!(last(&folder).get("erin").str("error"), "no landing place");
    let found = folder.events(1, &["chain", "verify", "c.jsonl"]);
    assert_eq!(found.len(), 2, "the compromised one, and the summary: {found:?}");
}

#[test]
fn how_long_a_step_took_is_told_across_commands() {
    let folder = Folder::new("steps-duration");
    folder.prints(&step("plan", "wait", &[]));
    folder.prints(&step("start", "wait", &[]));
    std::thread::sleep(std::time::Duration::from_millis(60));
    folder.prints(&step("complete", "wait", &[]));
    let took = last(&folder).get("eromheen").number("duration_ms");
    assert!((60.0..60_000.0).contains(&took), "{took}");
}

#[test]
fn no_step_is_put_behind_steps_that_do_not_follow_each_other() {
    let folder = Folder::new("steps-broken");
    for name in ["one", "two"] {
        folder.ends(0, &[&step("run", name, &[])[..], &["--", "true"]].concat());
    }
    // The last line is another first step: linked to the line before it, of the content that it says, and no step that could come next.
    let text = folder.text("c.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[2].replacen("\"sequence\": 2", "\"sequence\": 3", 1);
    let token = Token::parse(&last).expect("a token");
    let (said, actual) = (token.said_hash().expect("a hash"), token.content_hash(None).expect("a hash"));
    let last = last.replacen(&said.to_string(), &actual.to_string(), 1);
    folder.write("c.jsonl", format!("{}\n{}\n{last}\n", lines[0], lines[1]));
    std::fs::remove_file(folder.0.join("c.jsonl.tree")).expect("removed");
    for args in [
        [&step("run", "three", &[])[..], &["--", "touch", "ran"]].concat(),
        step("plan", "three", &[]),
        vec!["chain", "close", "c.jsonl"],
    ] {
        let said = folder.fails(1, &args);
        assert!(said.contains("line 3 of c.jsonl is no next step of its workload"), "{said}");
    }
    assert!(!folder.exists("ran"));
}

#[test]
fn a_failed_step_says_how_to_go_on() {
    let folder = Folder::new("steps-failed");
    let out = folder.sluis(&[&step("run", "make", &[])[..], &["--", "false"]].concat());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("step make failed") && said.contains("(exit code 1)"), "{said}");
    assert!(said.contains("that is final: run it again under another name") && said.contains("chain close"), "{said}");
    let said = folder.fails(1, &[&step("run", "make", &[])[..], &["--", "true"]].concat());
    assert!(said.contains("name this one otherwise"), "{said}");
}

#[test]
fn eighty_columns_name_the_step_and_its_exit_code() {
    let folder = Folder::new("steps-columns");
    folder.ends(7, &[&step("run", "compile", &[])[..], &["--", "sh", "-c", "exit 7"]].concat());
    folder.ends(0, &[&step("run", "everything there is to be compiled", &[])[..], &["--", "true"]].concat());
    folder.prints(&step("plan", "deploy", &["--executor", "spiffe://example.org/with/a/long/name"]));
    let out = folder.command(&["chain", "show", "c.jsonl"]).env("COLUMNS", "80").output().expect("sluis runs");
    let said = String::from_utf8(out.stdout).expect("UTF-8");
    for row in said.lines() {
        assert!(row.chars().count() <= 80, "{row}");
    }
    for part in ["  compile: failed, exit 7 ", "…: completed, exit 0 ", "  deploy: planned "] {
        assert!(said.contains(part), "{part:?}: {said}");
    }
    let shown = folder.events(0, &["chain", "show", "c.jsonl"]);
    assert_eq!((shown[1].str("step"), shown[1].get("exit_code")), ("compile", &Json::int(7)));
    assert_eq!((shown[0].get("step"), shown[0].get("exit_code")), (&Json::Null, &Json::Null));
}

#[test]
fn files_and_data_go_together() {
    let folder = Folder::new("steps-mixed");
    folder.write("a", "a");
    for (name, started, completed) in [
        ("file to data", ["--input", "a"], ["--data", "5"]),
        ("data to file", ["--data", "5"], ["--output", "a"]),
        ("file to file", ["--input", "a"], ["--output", "a"]),
        ("data to data", ["--data", "5"], ["--data", "[]"]),
    ] {
        folder.prints(&step("plan", name, &["--independent"]));
        folder.prints(&step("start", name, &started));
        folder.prints(&step("complete", name, &completed));
    }
    folder.prints(&["chain", "verify", "c.jsonl"]);
}
