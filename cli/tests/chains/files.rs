//! The files of a step: which they are, however they are called, and what becomes of them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Output;

use crate::common::folder::Folder;
use crate::common::json::Json;

/// The `erin` of the last token of a file.
fn last(folder: &Folder, name: &str) -> Json {
    let text = folder.text(name);
    Json::parse(text.lines().last().expect("a line")).get("erin").clone()
}

/// `sluis chain run c.jsonl --step NAME … -- sh -c SCRIPT`
fn run<'a>(step: &'a str, flags: &[&'a str], script: &'a str) -> Vec<&'a str> {
    [&["chain", "run", "c.jsonl", "--step", step], flags, &["--", "sh", "-c", script]].concat()
}

/// A command whose arguments need not be text.
fn raw(folder: &Folder, args: &[&[u8]]) -> Output {
    let mut command = folder.command(&[]);
    command.args(args.iter().map(|arg| OsStr::from_bytes(arg))).output().expect("sluis runs")
}

/// The names of an object's members.
fn members(json: &Json) -> Vec<&str> {
    let Json::Object(members) = json else { panic!("{json:?} is no object") };
    members.iter().map(|(name, _)| &**name).collect()
}

fn mkfifo(folder: &Folder, name: &str) {
    let made = std::process::Command::new("mkfifo").arg(folder.0.join(name)).status().expect("mkfifo runs");
    assert!(made.success());
}

#[test]
fn nothing_that_is_declared_is_nothing_that_goes_in() {
    let folder = Folder::new("files-none");
    folder.ends(0, &run("build", &["--output", "app.bin"], "echo good > app.bin"));
    folder.write("app.bin", "EVIL\n");
    folder.ends(0, &run("package", &["--output", "pkg"], "cp app.bin pkg"));
    let erin = last(&folder, "c.jsonl");
    assert_eq!((erin.str("input_sha256"), erin.get("independent")), ("", &Json::Bool(true)));
    assert_eq!(erin.get("metadata").get("inputs"), &Json::parse("{}"));
    // What the step before the last one left is still known.
    let said = folder.fails(1, &run("sign", &["--input", "app.bin"], "touch ran"));
    assert!(said.contains("step `build` put out") && !folder.exists("ran"), "{said}");
    folder.prints(&["chain", "verify", "c.jsonl"]);
}

#[test]
fn some_of_the_files_are_recorded_as_just_those() {
    let folder = Folder::new("files-some");
    folder.write("c", "c");
    for (step, inputs, tied) in [
        ("subset", &["--input", "a"][..], false),
        ("superset", &["--input", "a", "--input", "b", "--input", "c"], false),
        ("all", &["--input", "b", "--input", "./a"], true),
        ("twice", &["--input", "a", "--input", "./a", "--input", "b"], true),
    ] {
        let make = format!("make {step}");
        folder.ends(0, &run(&make, &["--output", "a", "--output", "b"], "echo a > a; echo b > b"));
        let put_out = last(&folder, "c.jsonl");
        folder.ends(0, &run(step, inputs, "true"));
        let erin = last(&folder, "c.jsonl");
        assert_eq!(erin.find("independent").is_none(), tied, "{step}");
        assert_eq!(erin.str("input_sha256") == put_out.str("output_sha256"), tied, "{step}");
    }
    folder.prints(&["chain", "verify", "c.jsonl"]);
}

#[test]
fn a_file_is_the_same_by_any_name() {
    let folder = Folder::new("files-same");
    for sub in ["sub", "other"] {
        std::fs::create_dir(folder.0.join(sub)).expect("a folder");
    }
    folder.ends(0, &run("make", &["--output", "sub/../a.txt"], "echo a > a.txt"));
    assert_eq!(members(last(&folder, "c.jsonl").get("metadata").get("outputs")), ["a.txt"]);
    folder.write("a.txt", "tampered\n");
    let absolute = folder.0.join("a.txt").display().to_string();
    std::os::unix::fs::symlink("a.txt", folder.0.join("link")).expect("a link");
    std::os::unix::fs::symlink("..", folder.0.join("sub/up")).expect("a link");
    std::fs::hard_link(folder.0.join("a.txt"), folder.0.join("hard")).expect("a link");
    for spelled in [&*absolute, "sub/../a.txt", "./sub//../a.txt", "link", "sub/up/a.txt", "hard"] {
        let said = folder.fails(1, &run("use", &["--input", spelled], "touch ran"));
        assert!(said.contains("is not as the step before left it"), "{spelled}: {said}");
    }
    // From another folder, too, and through a link to the log.
    std::os::unix::fs::symlink("../c.jsonl", folder.0.join("other/log.jsonl")).expect("a link");
    for log in ["../c.jsonl", "log.jsonl"] {
        let mut command = folder.command(&["chain", "run", log, "--step", "use", "--input", "../a.txt", "--", "true"]);
        let out = command.current_dir(folder.0.join("other")).output().expect("sluis runs");
        assert!(String::from_utf8_lossy(&out.stderr).contains("a.txt is not as the step before left it"), "{out:?}");
    }
    assert!(!folder.exists("ran"));
}

#[test]
fn names_that_are_no_text_are_told_apart() {
    let folder = Folder::new("files-raw");
    let (a, b): (&[u8], &[u8]) = (b"part-\xff", b"part-\xfe");
    let head: &[&[u8]] = &[b"chain", b"run", b"c.jsonl", b"--step", b"build"];
    let script: &[&[u8]] = &[b"--", b"sh", b"-c", br#"printf A > "$1"; printf B > "$2""#, b"x", a, b];
    let out = raw(&folder, &[head, &[b"--output", a, b"--output", b], script].concat());
    assert!(out.status.success(), "{out:?}");
    let outputs = last(&folder, "c.jsonl").get("metadata").get("outputs").clone();
    assert_eq!(members(&outputs), [r"part-\xfe", r"part-\xff"]);
    std::fs::write(folder.0.join(OsStr::from_bytes(a)), "CHANGED").expect("written");
    let using: &[&[u8]] = &[b"chain", b"run", b"c.jsonl", b"--step", b"use"];
    let out = raw(&folder, &[using, &[b"--input", a, b"--input", b, b"--", b"true"]].concat());
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    let changed: &[&[u8]] =
        &[b"--independent", b"--input", a, b"--", b"sh", b"-c", br#"printf hacked > "$1""#, b"x", a];
    let out = raw(&folder, &[using, changed].concat());
    assert_eq!((out.status.code(), last(&folder, "c.jsonl").str("status")), (Some(1), "compromised"), "{out:?}");
    folder.events(1, &["chain", "verify", "c.jsonl"]);
}

#[test]
fn an_input_that_was_exchanged_on_the_way_is_found() {
    let folder = Folder::new("files-exchanged");
    for (step, script, status) in [
        ("swapped back", "mv in.txt aside; echo evil > in.txt; cat in.txt; rm in.txt; mv aside in.txt", "failed"),
        ("touched", "touch in.txt", "failed"),
        ("the same bytes", "cat in.txt > x; sleep 0.05; cat x > in.txt", "failed"),
        ("gone", "rm in.txt", "compromised"),
        ("another", "echo evil > new; mv new in.txt", "compromised"),
        ("a link", "cp in.txt y; rm in.txt; ln -s y in.txt", "compromised"),
        ("a pipe", "rm in.txt; mkfifo in.txt", "compromised"),
        ("read", "cat in.txt", "completed"),
    ] {
        let _ = std::fs::remove_file(folder.0.join("in.txt"));
        folder.write("in.txt", "good\n");
        // A time stamp of another moment than that of the command.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let code = i32::from(status != "completed");
        let said = folder.sluis(&run(step, &["--independent", "--input", "in.txt"], script));
        assert_eq!(said.status.code(), Some(code), "{step}: {said:?}");
        let erin = last(&folder, "c.jsonl");
        assert_eq!((erin.str("step"), erin.str("status")), (step, status), "{erin:?}");
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.contains("in.txt "), status != "completed", "the file is named: {said}");
        assert_eq!(said.contains("run it again under another name"), status != "completed", "{said}");
    }
    let found = folder.events(1, &["chain", "verify", "c.jsonl"]);
    assert!(found.iter().filter_map(|found| found.find("kind")).all(|kind| kind == &Json::text("compromised")));
}

/// `in.txt` is reached as `li` (a link), `way/in.txt` (a folder) and `up/in.txt` (a link to a folder).
fn lay_out(folder: &Folder) {
    let _ = std::fs::remove_dir_all(folder.0.join("way"));
    for name in ["li", "up", "in.txt", "other", "evil"] {
        let _ = std::fs::remove_dir_all(folder.0.join(name));
        let _ = std::fs::remove_file(folder.0.join(name));
    }
    for sub in ["way", "evil"] {
        std::fs::create_dir(folder.0.join(sub)).expect("a folder");
    }
    folder.write("way/in.txt", "good\n");
    folder.write("evil/in.txt", "evil\n");
    folder.write("other", "good\n");
    std::os::unix::fs::symlink("way/in.txt", folder.0.join("li")).expect("a link");
    std::os::unix::fs::symlink("way", folder.0.join("up")).expect("a link");
    // A time stamp of another moment than that of the command.
    std::thread::sleep(std::time::Duration::from_millis(20));
}

#[test]
fn a_path_that_leads_elsewhere_is_another_file() {
    let folder = Folder::new("files-ways");
    for (step, input, script, status) in [
        ("link", "li", "ln -sfn evil/in.txt li", "compromised"),
        ("same bytes", "li", "ln -sfn other li", "failed"),
        ("there and back", "li", "ln -sfn evil/in.txt li; cat li; ln -sfn way/in.txt li", "failed"),
        ("gone", "li", "rm li", "compromised"),
        ("link above", "up/in.txt", "ln -sfn evil up", "compromised"),
        ("folder", "way/in.txt", "mv way aside; mv evil way; cat way/in.txt; mv way evil; mv aside way", "failed"),
        ("folder behind a link", "li", "mv way aside; mv evil way; cat li; mv way evil; mv aside way", "failed"),
        ("folder exchanged", "way/in.txt", "mv way aside; mv evil way; mv aside evil", "compromised"),
        ("failing, too", "li", "ln -sfn evil/in.txt li; exit 3", "compromised"),
        ("honest", "li", "cat li; touch way/new; mkdir sub; ln -s x y; chmod 700 sub", "completed"),
        ("by two ways", "up/in.txt", "ln -sfn evil/in.txt li", "compromised"),
    ] {
        lay_out(&folder);
        let flags: &[&str] =
            if step == "by two ways" { &["--input", "li", "--input", input] } else { &["--input", input] };
        let said = folder.sluis(&run(step, &[&["--independent"], flags].concat(), script));
        let code = if step.starts_with("failing") { 3 } else { i32::from(status != "completed") };
        assert_eq!(said.status.code(), Some(code), "{step}: {said:?}");
        let erin = last(&folder, "c.jsonl");
        assert_eq!((erin.str("step"), erin.str("status")), (step, status), "{said:?}");
        assert_eq!(members(erin.get("metadata").get("inputs")), ["way/in.txt"]);
    }
}

#[test]
fn a_link_that_leads_elsewhere_between_start_and_complete_is_found() {
    let folder = Folder::new("files-between");
    let step = |command: &'static str, name: &'static str, flags: &[&'static str]| {
        [&["chain", command, "c.jsonl", "--step", name], flags].concat()
    };
    let elsewhere = |target: &str| {
        std::fs::remove_file(folder.0.join("li")).expect("removed");
        std::os::unix::fs::symlink(target, folder.0.join("li")).expect("a link");
    };
    for (name, flags, target, status) in [
        ("link", &[][..], "evil/in.txt", "compromised"),
        ("same", &[], "other", "completed"),
        ("failed", &["--error", "no luck"], "evil/in.txt", "compromised"),
        ("only failed", &["--error", "no luck"], "way/in.txt", "failed"),
    ] {
        lay_out(&folder);
        folder.prints(&step("plan", name, &["--independent"]));
        folder.prints(&step("start", name, &["--input", "li"]));
        elsewhere(target);
        let said = folder.events(i32::from(status == "compromised"), &step("complete", name, flags));
        let erin = last(&folder, "c.jsonl");
        assert_eq!((erin.str("status"), said[0].str("status")), (status, status), "{said:?}");
        let changed = status == "compromised" && said[0].str("error").contains("li changed");
        assert_eq!(changed, status == "compromised", "{said:?}");
        assert_eq!(!flags.is_empty(), erin.find("error") == Some(&Json::text("no luck")), "{erin:?}");
    }
    // Data that is named again is compared whether the step failed or not.
    folder.prints(&step("plan", "data", &["--independent"]));
    folder.prints(&step("start", "data", &["--data", "1"]));
    folder.ends(1, &step("complete", "data", &["--error", "no luck", "--input-data", "2"]));
    assert_eq!(last(&folder, "c.jsonl").str("status"), "compromised");
    let found = folder.events(1, &["chain", "verify", "c.jsonl"]);
    assert!(found.iter().filter_map(|found| found.find("kind")).all(|kind| kind == &Json::text("compromised")));
}

#[test]
fn names_that_grow_on_the_way_do_not_lose_the_step() {
    let folder = Folder::new("files-grow");
    let names: Vec<String> = (0..1200).map(|n| format!("o{n}")).collect();
    let deep = vec!["d".repeat(250); 4].join("/");
    let script = format!("mkdir -p {deep}; seq -f '{deep}/o%g' 0 1199 | xargs touch; ln -s {deep}/o* .");
    let mut args: Vec<&str> = vec!["chain", "run", "c.jsonl", "--step", "one"];
    names.iter().for_each(|name| args.extend(["--output", name]));
    args.extend(["--", "sh", "-c", &script]);
    let out = folder.sluis(&args);
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
    let erin = last(&folder, "c.jsonl");
    assert_eq!(erin.str("status"), "failed");
    assert!(erin.str("error").contains("too long to be recorded"), "{}", erin.str("error"));
    folder.prints(&["chain", "verify", "c.jsonl"]);
}

#[test]
fn only_files_are_files() {
    let folder = Folder::new("files-none-regular");
    mkfifo(&folder, "pipe");
    std::fs::create_dir(folder.0.join("sub")).expect("a folder");
    for what in ["pipe", "sub", "/dev/zero", "/dev/null"] {
        for flag in ["--input", "--output"] {
            let said = folder.fails(1, &run("one", &[flag, what], "touch ran"));
            assert!(said.contains("it is no regular file") || said.contains("it is a folder"), "{what}: {said}");
        }
    }
    assert!(!folder.exists("ran") && !folder.exists("c.jsonl"), "nothing was begun");
    // The log and what stands beside it change with the step.
    for what in ["c.jsonl", "./c.jsonl.tree", "sub/../c.jsonl.checkpoint"] {
        let said = folder.fails(2, &run("one", &["--output", what], "touch ran"));
        assert!(said.contains("belongs to the log itself"), "{said}");
    }
    // By whatever name, and before they are there.
    std::os::unix::fs::symlink("c.jsonl.checkpoint", folder.0.join("later")).expect("a link");
    folder.prints(&["chain", "new", "c.jsonl"]);
    std::fs::hard_link(folder.0.join("c.jsonl.tree"), folder.0.join("hard")).expect("a link");
    for (flag, what) in [("--output", "later"), ("--output", "hard"), ("--input", "hard")] {
        let said = folder.fails(2, &run("one", &[flag, what], "touch ran"));
        assert!(said.contains("belongs to the log itself") && !folder.exists("ran"), "{said}");
    }
    // What the command makes is no file either, and nobody waits for it.
    folder.ends(1, &run("two", &["--output", "late"], "mkfifo late"));
    let erin = last(&folder, "c.jsonl");
    assert!(erin.str("error").starts_with("cannot read the output late"), "{erin:?}");
}

#[test]
fn many_files_are_one_step_or_none() {
    let folder = Folder::new("files-many");
    let names: Vec<String> = (0..20_000).map(|n| format!("out/{n:05}.object")).collect();
    let args = |step: &str, count: usize| {
        let mut args: Vec<String> = ["chain", "run", "c.jsonl", "--step", step].map(str::to_owned).into();
        args.extend(names.iter().take(count).flat_map(|name| ["--output".to_owned(), name.clone()]));
        let script = format!("mkdir out; cd out; seq -f '%05g.object' 0 {} | xargs touch; touch ../ran", count - 1);
        args.extend(["--".to_owned(), "sh".to_owned(), "-c".to_owned(), script]);
        args
    };
    let many = args("one", 20_000);
    let said = folder.fails(1, &many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(said.contains("the command was not run") && !folder.exists("ran"), "{said}");
    let some = args("one", 5_000);
    folder.ends(0, &some.iter().map(String::as_str).collect::<Vec<_>>());
    let erin = last(&folder, "c.jsonl");
    assert_eq!(members(erin.get("metadata").get("outputs")).len(), 5_000);
    folder.prints(&["chain", "verify", "c.jsonl"]);
}

#[test]
fn a_log_behind_a_link_has_one_set_of_sidecars() {
    let folder = Folder::new("files-link");
    folder.prints(&["key", "new", "hub.key"]);
    std::fs::create_dir(folder.0.join("logs")).expect("a folder");
    folder.prints(&["chain", "new", "logs/c.jsonl", "--name", "mission", "--owner", "jis:a", "--key", "hub.key"]);
    std::os::unix::fs::symlink("logs/c.jsonl", folder.0.join("link.jsonl")).expect("a link");
    folder.prints(&["chain", "add", "link.jsonl", "--action", "a", "--key", "hub.key"]);
    assert!(!folder.exists("link.jsonl.tree") && !folder.exists("link.jsonl.checkpoint"));
    assert!(folder.text("logs/c.jsonl.checkpoint").starts_with("mission\n2\n"));
    let said = folder.prints(&["chain", "verify", "link.jsonl", "--key", "hub.key"]);
    assert!(said.contains("mission"), "{said}");
    // What is cut off is missed through the link, too.
    let first = folder.text("logs/c.jsonl").lines().next().expect("a line").to_owned() + "\n";
    folder.write("logs/c.jsonl", first);
    folder.ends(1, &["chain", "verify", "link.jsonl", "--key", "hub.key"]);
    std::fs::remove_file(folder.0.join("logs/c.jsonl")).expect("removed");
    let said = folder.fails(1, &["chain", "add", "link.jsonl", "--action", "a"]);
    assert!(said.contains("following the link") && !folder.exists("logs/c.jsonl"), "{said}");
}

#[test]
fn sidecars_that_are_no_files_are_refused_and_never_waited_for() {
    let folder = Folder::new("files-sidecars");
    folder.prints(&["chain", "new", "c.jsonl", "--owner", "jis:a"]);
    let tree = folder.0.join("c.jsonl.tree");
    for sidecar in ["c.jsonl.checkpoint", "c.jsonl.tree", "c.jsonl.torn"] {
        for what in ["pipe", "/dev/zero", "sub"] {
            let kept = std::fs::read(&tree).expect("a tree");
            let path = folder.0.join(sidecar);
            let _ = std::fs::remove_file(&path);
            match what {
                "pipe" => mkfifo(&folder, sidecar),
                "sub" => std::fs::create_dir(&path).expect("a folder"),
                device => std::os::unix::fs::symlink(device, &path).expect("a link"),
            }
            let _ = folder.sluis(&["chain", "verify", "c.jsonl"]);
            if sidecar != "c.jsonl.torn" {
                let said = folder.fails(1, &["chain", "add", "c.jsonl", "--action", "a"]);
                assert!(said.contains("no regular file") || said.contains("directory"), "{sidecar} {what}: {said}");
            }
            assert_eq!(folder.text("c.jsonl").lines().count(), 1, "{sidecar} {what}");
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_dir(&path);
            std::fs::write(&tree, kept).expect("written");
        }
    }
    mkfifo(&folder, "log.jsonl");
    for args in [&["chain", "add", "log.jsonl", "--action", "a"][..], &["chain", "close", "log.jsonl"]] {
        let said = folder.fails(1, args);
        assert!(said.contains("no regular file"), "{said}");
    }
    assert!(Path::new(&tree).exists());
}

/// What is read is a file: pipes that nobody writes to are not waited for, and devices not read without end.
#[test]
fn what_is_named_to_be_read_is_a_file_and_is_not_waited_for() {
    let folder = Folder::new("files-read");
    folder.prints(&["key", "new", "hub.key"]);
    folder.prints(&["chain", "new", "c.jsonl", "--owner", "jis:a", "--key", "hub.key"]);
    mkfifo(&folder, "pipe");
    for what in ["pipe", "/dev/zero", "/dev/tty"] {
        for args in [
            &["chain", "verify", what][..],
            &["chain", "show", what],
            &["chain", "find", what],
            &["chain", "prove", what, "1", "--checkpoint", "c.jsonl.checkpoint"],
            &["chain", "prove", "c.jsonl", "1", "--key", what],
            &["chain", "prove", "c.jsonl", "1", "--checkpoint", what],
            &["chain", "export", what, "--key", "hub.key"],
            &["chain", "export", "c.jsonl", "--key", what],
            &["chain", "verify", "c.jsonl", "--key", what],
            &["chain", "verify", "c.jsonl", "--actor", &format!("jis:a={what}")],
            &["chain", "verify", "c.jsonl", "--hmac-key", what],
            &["chain", "verify", "c.jsonl", "--trust-bundle", what],
            &["chain", "verify", "c.jsonl", "--trust-bundle", &format!("example.org={what}")],
            &["chain", "verify", "c.jsonl", "--checkpoint", what],
            &["chain", "add", "c.jsonl", "--action", "a", "--key", what],
            &["chain", "add", "c.jsonl", "--action", "a", "--hmac-key", what],
            &["key", "show", what],
            &["key", "export", what],
            &["key", "new", "s.key", "--kind", "secp256k1", "--import", what],
            &["replay", what],
            &["signal", "rank", "02", "--pool", what],
        ] {
            let out = folder.sluis(args);
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(matches!(out.status.code(), Some(1 | 2)), "{args:?}: {said}");
            assert!(said.lines().count() == 1 && said.len() < 300, "{args:?}: {said}");
            assert!(args[0] == "signal" || said.contains("it is no regular file"), "{args:?}: {said}");
        }
    }
    // Another file that is read with it, too.
    folder.ends(1, &["chain", "verify", "c.jsonl", "pipe"]);
    folder.prints(&["chain", "verify", "c.jsonl"]);
}
