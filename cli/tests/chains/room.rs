//! What is said, and what is done before, where there is no room or right to write.

use std::process::Stdio;

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::logs::{ADD, head, signed, with};

/// Somebody who may write files, and make none in this folder. Root may do everything, so that it is somebody else then.
#[cfg(unix)]
fn in_closed_folder(folder: &Folder, args: &[&str]) -> std::process::Output {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    let nobody = (std::fs::metadata(&folder.0).expect("it is there").uid() == 0).then_some(65_534);
    let entries = std::fs::read_dir(&folder.0).expect("it can be listed");
    for entry in entries {
        std::os::unix::fs::chown(entry.expect("an entry").path(), nobody, None).expect("it is ours");
    }
    folder.set_mode(".", 0o555);
    let mut command = folder.command(args);
    let out = nobody.into_iter().fold(&mut command, |command, nobody| command.uid(nobody)).output();
    folder.set_mode(".", 0o755);
    out.expect("sluis runs")
}

#[cfg(unix)]
#[test]
fn a_line_that_is_there_is_acknowledged_whatever_becomes_of_the_checkpoint() {
    let folder = signed("logs-acknowledged");
    let out = in_closed_folder(&folder, &with(ADD, &["--key", "hub.key", "--json"]));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "a retry would write it twice: {said}");
    assert!(said.starts_with("sluis chain add: written as line 2 of c.jsonl, checkpoint not renewed ("), "{said}");
    let added = Json::parse(&String::from_utf8_lossy(&out.stdout));
    assert_eq!((added.count("line"), added.str("checkpoint")), (2, "not renewed"));
    assert!(added.str("behind").contains("the next write renews it"), "{added:?}");
    assert_eq!((folder.text("c.jsonl").lines().count(), head(&folder, "c.jsonl").1), (2, 1));
    // A command is not even run there, and `listen` fails although all is recorded.
    let run = ["chain", "run", "c.jsonl", "--step", "a", "--key", "hub.key", "--", "touch", "/dev/stdout"];
    let out = in_closed_folder(&folder, &run);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("no checkpoint can be written beside c.jsonl"), "{said}");
    assert_eq!(folder.text("c.jsonl").lines().count(), 2);
    let out = in_closed_folder(&folder, &["chain", "run", "new.jsonl", "--step", "a", "--", "true"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("cannot write to new.jsonl"), "{out:?}");
    // The next write renews it.
    folder.prints(&with(ADD, &["--key", "hub.key"]));
    assert_eq!(head(&folder, "c.jsonl").1, 3);
    folder.prints(&["chain", "verify", "c.jsonl", "--key", "hub.key"]);
}

/// With ever more files that it may have open, what a command says is true: either nothing is written and it fails, or the line is
/// there, it ends well, and says whether a new checkpoint covers it.
#[cfg(target_os = "linux")]
#[test]
fn what_is_said_of_a_line_is_so_whatever_fails() {
    let folder = signed("logs-limits");
    let (mut failed, mut lines) = (0, 1);
    for limit in 3..24 {
        let args = with(ADD, &["--key", "hub.key", "--json"]);
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        let out = std::process::Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_sluis")])
            .args(&args)
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .output()
            .expect("sh runs");
        let there = folder.text("c.jsonl").lines().count() as u64;
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        if out.status.success() {
            assert_eq!(there, lines + 1, "{limit}: {said}");
            let added = Json::parse(&String::from_utf8_lossy(&out.stdout));
            assert_eq!(added.count("line"), there);
            let renewed = added.str("checkpoint") == "renewed";
            assert_eq!(head(&folder, "c.jsonl").1 == there, renewed, "{limit}: {added:?}");
            assert_eq!(said.contains(&format!("written as line {there} of c.jsonl")), !renewed, "{limit}: {said}");
        } else {
            assert_eq!(there, lines, "{limit}: a line that nobody was told of: {said}");
            failed += 1;
        }
        lines = there;
    }
    assert!(failed > 0 && lines > 1, "both happen");
    folder.prints(&["chain", "verify", "c.jsonl", "--key", "hub.key"]);
}

/// The same, where no file may become longer than so many bytes, as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_line_that_nobody_was_told_of() {
    let folder = signed("logs-full");
    for blocks in 0..6 {
        let before = folder.text("c.jsonl");
        let script = format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$0\" \"$@\"");
        let out = std::process::Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_sluis")])
            .args(with(ADD, &["--key", "hub.key"]))
            .current_dir(&folder.0)
            .output()
            .expect("sh runs");
        let after = folder.text("c.jsonl");
        assert_eq!(out.status.success(), after != before, "{blocks}: {out:?}");
        assert!(after.starts_with(&before) && after.ends_with('\n'));
    }
    folder.prints(&with(ADD, &["--key", "hub.key"]));
    folder.prints(&["chain", "verify", "c.jsonl", "--key", "hub.key"]);
}

#[test]
fn nothing_is_run_that_could_not_be_recorded() {
    let folder = Folder::new("logs-before");
    let run = |log: &'static str| ["chain", "run", log, "--step", "one", "--", "touch", "ran"];
    let said = folder.fails(1, &run("none/c.jsonl"));
    assert!(said.contains("cannot use the folder none"), "{said}");
    std::fs::create_dir(folder.0.join("sub")).expect("a folder");
    folder.fails(1, &run("sub"));
    folder.write("broken.jsonl", "garbage\n");
    let said = folder.fails(1, &run("broken.jsonl"));
    assert!(said.contains("line 1 of broken.jsonl is broken"), "{said}");
    folder.fails(1, &["chain", "run", "c.jsonl", "--step", "one", "--key", "none.key", "--", "touch", "ran"]);
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"log-\xff.jsonl");
        let mut command = folder.command(&["chain", "run"]);
        let out = command.arg(name).args(["--step", "one", "--", "touch", "ran"]).output().expect("sluis runs");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(1) && said.contains("a file name that is text"), "{said}");
    }
    assert!(!folder.exists("ran"));
    // And where the log goes away while the command runs, that is said, and it is not begun anew.
    let out = folder.sluis(&["chain", "run", "c.jsonl", "--step", "one", "--", "rm", "c.jsonl"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("step `one` is not recorded: c.jsonl is gone"), "{said}");
    assert!(!folder.exists("c.jsonl"));
}

#[test]
fn what_is_refused_leaves_no_file() {
    let folder = Folder::new("logs-refused");
    folder.write("secret", "x");
    let long = "x".repeat(70_000);
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    for args in [
        &["chain", "add", "c.jsonl", "--action", "a", "--erin", &deep][..],
        &["chain", "add", "c.jsonl", "--action", "a", "--erachter", &long],
        &["chain", "new", "c.jsonl", "--name", "a\nb"],
        &["chain", "add", "c.jsonl", "--action", "a", "--key", "nowhere.key"],
        &["chain", "add", "c.jsonl", "--action", "step_added"],
    ] {
        let out = folder.sluis(args);
        let left = std::fs::read_dir(&folder.0).expect("a folder").count();
        assert_eq!(left == 1, out.status.code() != Some(0), "{:?}: {out:?}", &args[..5]);
        for name in ["c.jsonl", "c.jsonl.tree"] {
            let _ = std::fs::remove_file(folder.0.join(name));
        }
    }
}

/// Whatever room there is: a command that was run is recorded.
#[cfg(target_os = "linux")]
#[test]
fn a_step_is_not_run_where_there_is_no_room_to_record_it() {
    for key in [&[][..], &["--key", "hub.key"]] {
        let folder = Folder::new("logs-room");
        folder.prints(&["key", "new", "hub.key"]);
        let mut ran = 0;
        for blocks in [0, 1, 2, 3, 4, 6, 8, 16, 32, 64, 128, 256] {
            let (log, step) = (format!("c{blocks}.jsonl"), format!("ran-{blocks}"));
            folder.prints(&[&["chain", "add", &log, "--action", "a"], key].concat());
            let script = format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$0\" \"$@\"");
            let out = std::process::Command::new("sh")
                .args(["-c", &script, env!("CARGO_BIN_EXE_sluis"), "chain", "run", &log, "--step", &step])
                .args(key)
                .args(["--", "touch", &step])
                .current_dir(&folder.0)
                .output()
                .expect("sh runs");
            let recorded = folder.text(&log).contains("step_completed");
            assert_eq!((folder.exists(&step), out.status.success()), (recorded, recorded), "{blocks}: {out:?}");
            assert!(recorded || out.status.code() == Some(1), "{out:?}");
            ran += i32::from(recorded);
        }
        assert!((1..12).contains(&ran), "both happen: {ran}");
    }
}

/// Sidecars that may not be written to are read, and what could not be renewed is said.
#[cfg(unix)]
#[test]
fn sidecars_that_may_only_be_read_are_read() {
    use std::os::unix::process::CommandExt as _;
    let folder = signed("logs-read-only");
    let modes = [("", 0o666), (".tree", 0o444), (".checkpoint", 0o444)];
    for (end, mode) in modes {
        folder.set_mode(&format!("c.jsonl{end}"), mode);
    }
    let mut command = folder.command(ADD);
    if rustix::process::geteuid().is_root() {
        // Nothing is read-only to root.
        folder.set_mode(".", 0o777);
        command.uid(65_534);
    }
    let out = command.output().expect("sluis runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.success() && said.contains("written as line 2 of c.jsonl, not covered by the checkpoint"),
        "{said}"
    );
    folder.prints(&["chain", "verify", "c.jsonl"]);
}

/// How much a line of a log may hold is said before the command is run, and what to do instead.
#[test]
fn a_step_with_more_outputs_than_a_line_holds_is_not_run() {
    let folder = Folder::new("room-outputs");
    let outputs: Vec<String> = (0..8000).map(|n| format!("out/part-{n:0100}.bin")).collect();
    for key in [&[][..], &["--key", "hub.key"]] {
        if !key.is_empty() {
            folder.prints(&["key", "new", "hub.key"]);
        }
        let mut args = vec!["chain", "run", "c.jsonl", "--step", "one"];
        args.extend(outputs.iter().flat_map(|output| ["--output", output]));
        args.extend(key);
        args.extend(["--", "touch", "ran"]);
        let said = folder.fails(1, &args);
        for word in ["(8000 files)", "longer than 1048575 bytes", "the command was not run", "declare an archive"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!folder.exists("ran") && !folder.exists("c.jsonl"));
    }
}

/// Run `script` in a mount namespace of its own, as somebody who may mount there; `None` where the kernel refuses that. Only a kernel
/// that does may leave out a test in CI.
#[cfg(target_os = "linux")]
fn in_mount_namespace(folder: &Folder, script: &str, key: &[&str]) -> Option<String> {
    let mut refused = Vec::new();
    for flags in ["-Urm", "-m"] {
        let out = std::process::Command::new("unshare")
            .args([flags, "sh", "-c", script, env!("CARGO_BIN_EXE_sluis")])
            .args(key)
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .output();
        match out {
            Ok(out) if out.status.success() => return Some(String::from_utf8(out.stdout).expect("UTF-8")),
            Ok(out) if out.status.code() != Some(77) && !out.stdout.is_empty() => panic!("{out:?}"),
            Ok(out) => refused.push(String::from_utf8_lossy(&out.stderr).trim().to_owned()),
            Err(why) => refused.push(format!("unshare: {why}")),
        }
    }
    let by_kernel = ["not permitted", "ermission denied", "No space left", "Invalid argument", "not implemented"];
    let by_kernel = refused.iter().all(|why| by_kernel.iter().any(|words| why.contains(words)));
    assert!(by_kernel || std::env::var_os("CI").is_none(), "a full file system cannot be made here: {refused:?}");
    // Not by a macro, whose words are swallowed where a test passes.
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("\nNOT TESTED: no file system can be mounted here, so none is full: {refused:?}\n\n").as_bytes(),
    );
    None
}

/// The same on a file system that is full: with ever more room on it, a command that was run is recorded, and a line that is there was
/// told of.
#[cfg(target_os = "linux")]
#[test]
fn on_a_full_file_system_nothing_is_run_that_is_not_recorded() {
    // For each room: its KiB, whether the line of `add` is there and the exit code, whether the step ran, whether it is recorded, and
    // the exit code.
    const SCRIPT: &str = r#"
        mkdir -p full && mount -t tmpfs -o size=512k none full || exit 77
        cd full
        for room in 0 4 8 12 16 20 24 28 32 40 48 64 96 128; do
            rm -f *
            cp ../*.key . 2>/dev/null
            "$0" chain new c.jsonl --name c "$@" >/dev/null || exit 1
            head -c 1M /dev/zero > filler 2>/dev/null
            size=$(stat -c %s filler)
            truncate -s $((size - room * 1024)) filler
            "$0" chain add c.jsonl --action added "$@" >/dev/null 2>&1
            code=$?
            echo "add $room $(grep -c '"added"' c.jsonl) $code"
            "$0" chain run c.jsonl --step one "$@" -- touch ran >/dev/null 2>&1
            code=$?
            if [ -e ran ]; then ran=1; else ran=0; fi
            echo "run $room $ran $(grep -c step_completed c.jsonl) $code"
            rm filler
            "$0" chain verify c.jsonl --allow-unsigned >/dev/null || exit 1
            "$0" chain add c.jsonl --action after "$@" >/dev/null || exit 1
        done
    "#;
    for key in [&[][..], &["--key", "hub.key"]] {
        let folder = Folder::new("room-full");
        folder.prints(&["key", "new", "hub.key"]);
        let Some(said) = in_mount_namespace(&folder, SCRIPT, key) else { return };
        let (mut ran, mut refused) = (0, 0);
        for line in said.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let numbers: Vec<u32> = fields[2..].iter().map(|field| field.parse().expect("a number")).collect();
            match (fields[0], &*numbers) {
                ("add", [there, code]) => assert_eq!(*there == 1, *code == 0, "{said}"),
                ("run", [1, 1, 0]) => ran += 1,
                ("run", [0, 0, 1]) => refused += 1,
                _ => panic!("{line} in {said}"),
            }
        }
        assert!(ran > 0 && refused > 0, "both happen: {said}");
    }
}
