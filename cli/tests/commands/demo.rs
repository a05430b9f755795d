//! The story.

use crate::common::events::Speaker;
use crate::common::json::Json;
use crate::on_both;
use crate::sluis::{assert_counts, assert_rejected, command};

on_both! {
    the_story_goes_as_told
    people_can_read_it
}

fn the_story_goes_as_told(runtime: &str) {
    let out = command(&["demo", "--json", "--runtime", runtime]).output().expect("sluis runs");
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(0), ""));
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let events: Vec<Json> = text.lines().map(Json::parse).collect();
    let mut told = Vec::new();
    for (event, line) in events.iter().zip(text.lines()) {
        match event.str("event") {
            "step" => told.push(format!("step {} {:?}", event.count("step"), event.get("ok"))),
            name @ ("response" | "timeout") => {
                Speaker::Ping.read(line);
                let decision = event.find("decision").map_or("", |_| event.str("decision"));
                told.push(format!("{name} {} {decision}", event.count("seq")));
            }
            name => {
                Speaker::Listen.read(line);
                let more = ["decision", "reason"].iter().find_map(|key| event.find(key));
                told.push(more.map_or(name.to_owned(), |more| format!("{name} {more:?}")));
            }
        }
    }
    let expected = r#"
        listening, listening, listening, listening, listening,
        step 1 null, ping "accept", response 1 accept, step 1 true,
        step 2 null, ping "pending", response 2 pending, decided "accept", response 2 accept, step 2 true,
        step 3 null, timeout 3 , rejected "rood", step 3 true,
        step 4 null, ping "accept", response 4 accept, rejected "replay", step 4 true,
        step 5 null, session null, ping "accept", response 5 accept, step 5 true,
        step 6 null, timeout 6 , rejected "bad_signature", step 6 true,
        step 7 null, ping "accept", session null, ping "accept", response 8 accept, step 7 true,
        summary"#;
    assert_eq!(told, expected.split(',').map(|event| event.trim_start_matches(['\n', ' '])).collect::<Vec<_>>());
    let summary = events.last().expect("a summary");
    assert_counts(summary, &[("received", 9), ("accepted", 5), ("pending", 1)]);
    assert_rejected(summary, &[("bad_signature", 1), ("rood", 1), ("replay", 1)]);
    assert!(summary.number("elapsed_s") < 30.0, "{summary:?}");
}

fn people_can_read_it(runtime: &str) {
    let out = command(&["demo", "--runtime", runtime]).output().expect("sluis runs");
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    assert_eq!(out.status.code(), Some(0), "{text}");
    for part in [
        "GROEN",
        "GEEL",
        "ROOD",
        "REPLAY",
        "KEYS",
        "FORGED",
        "ROAM",
        "approve 1",
        "celsius",
        "All 7 steps went as told.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}
