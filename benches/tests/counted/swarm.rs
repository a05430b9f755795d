//! The command `swarm` as scripts see it.

use std::process::{Command, Output};

use serde_json::Value;

fn swarm(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_swarm")).args(line.split_whitespace()).output().unwrap()
}

fn summary(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn the_summary_counts_what_ran() {
    let output = swarm("--scenario random --nodes 8 --seeds 3..6 --virtual 5 --jobs 2 --json");
    assert_eq!(output.status.code(), Some(0));
    let summary = summary(&output);
    let keys: Vec<&str> = summary.as_object().unwrap().keys().map(String::as_str).collect();
    let promised = [
        "bytes_per_node",
        "deliveries",
        "event",
        "events",
        "nodes",
        "scenario",
        "seeds",
        "violations",
        "virtual_s",
        "wall_s",
    ];
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(sorted, promised);
    assert_eq!((&summary["event"], &summary["scenario"]), (&"summary".into(), &"random".into()));
    assert_eq!((&summary["nodes"], &summary["seeds"], &summary["violations"]), (&8.into(), &3.into(), &0.into()));
    assert_eq!(summary["virtual_s"], 15.0);
    assert!(summary["deliveries"].as_u64().unwrap() > 100);
}

#[test]
fn a_violation_is_exit_1_and_says_how_to_see_it_again() {
    let line = "--scenario random --nodes 12 --seeds 0..3 --virtual 60 --fault no-replay-check --json";
    let output = swarm(line);
    assert_eq!(output.status.code(), Some(1));
    assert!(summary(&output)["violations"].as_u64().unwrap() > 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&first["event"], &first["invariant"]), (&"violation".into(), &"no-replay".into()));
    let (_, again) = first["replay"].as_str().unwrap().split_once(" -- ").unwrap();
    let output = swarm(&format!("{again} --json"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().next().unwrap(), first.to_string());
}

/// Pairs at brokers that lie, hang and die: everything holds, and without each of its protections something does not.
#[test]
fn signalling_holds_and_every_protection_of_it_is_missed() {
    let line = "--scenario signal --nodes 4 --seeds 0..12 --virtual 120 --jobs 2 --json";
    let output = swarm(line);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(summary(&output)["deliveries"].as_u64().unwrap() > 500);
    for (fault, invariants) in [
        ("no-dedupe", &["exactly-once"][..]),
        ("ack-early", &["exactly-once"]),
        ("no-resubscribe", &["heals"]),
        ("no-pong-check", &["joined"]),
        ("accept-downgrade", &["sender"]),
    ] {
        let output = swarm(&format!("{line} --fault {fault}"));
        assert_eq!(output.status.code(), Some(1), "{fault} is not missed");
        let text = String::from_utf8(output.stdout).unwrap();
        let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found = |name: &&str| found.iter().any(|found| found["invariant"] == **name);
        assert!(invariants.iter().all(found), "{fault}: {text}");
    }
}

/// Nodes with keys among those who would like to speak in their names: everything holds, and without each of their protections something does not.
#[test]
fn keys_hold_among_adversaries_and_every_protection_of_them_is_missed() {
    let line = "--scenario adversary --nodes 6 --seeds 0..40 --jobs 2 --json";
    let output = swarm(line);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    for (fault, invariant) in [
        ("no-signature-check", "no-forgery"),
        ("no-cookie", "load"),
        ("no-session-replay", "no-replay"),
        ("accept-downgrade", "downgrade"),
        ("forget-floor", "no-replay"),
    ] {
        let output = swarm(&format!("{line} --fault {fault}"));
        assert_eq!(output.status.code(), Some(1), "{fault} is not missed");
        let text = String::from_utf8(output.stdout).unwrap();
        let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(found.iter().any(|found| found["invariant"] == invariant), "{fault}: {text}");
    }
}

#[test]
fn the_last_seed_of_all_ends_every_thread() {
    let output = swarm(
        "--scenario random --nodes 4 --seeds 18446744073709551610..18446744073709551615 --virtual 1 --jobs 9 --json",
    );
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(summary(&output)["seeds"], 5);
}

#[cfg(target_os = "linux")]
#[test]
fn a_recording_that_is_not_complete_is_exit_1() {
    let folder = std::env::temp_dir().join(format!("swarm-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["full.pcapng", "full.jsonl", "nowhere/x.jsonl"] {
        let file = folder.join(name);
        let _ = std::os::unix::fs::symlink("/dev/full", &file);
        // Little enough to stay in the buffer until the end.
        let line = format!("--scenario random --nodes 1 --seeds 0..1 --virtual 0.001 --record {}", file.display());
        let output = swarm(&line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len(), said.lines().count()), (Some(1), 0, 1), "{said}");
        assert!(said.starts_with(&format!("swarm: cannot write {}: ", file.display())), "{said}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_cannot_be_is_exit_2_and_one_sentence() {
    for line in [
        "--scenario random --nodes 0 --seeds 0..1",
        "--scenario moon --nodes 5 --seeds 0..1",
        "--scenario random --nodes 5 --seeds 9..2",
        "--scenario random --nodes 5",
    ] {
        let output = swarm(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty() && text.lines().count() == 1 && text.starts_with("swarm: "), "{text}");
    }
}

#[test]
fn a_mesh_tells_how_much_came_through_and_how_far_it_went() {
    let output = swarm("--scenario relay --nodes 8 --seeds 0..2 --virtual 20 --json");
    assert_eq!(output.status.code(), Some(0));
    let summary = summary(&output);
    let count = |key: &str| summary[key].as_u64().unwrap();
    assert!(0 < count("answered") && count("answered") <= count("delivered") && count("delivered") <= count("asked"));
    assert!(summary["hop_stretch"].as_f64().unwrap() >= 1.0);
    let output = swarm("--scenario relay --nodes 8 --seeds 0..1 --virtual 20 --fault no-split-horizon");
    assert_eq!(output.status.code(), Some(1));
}
