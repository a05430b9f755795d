//! `sluis listen --record`: what is recorded and what is not, and what happens when it cannot be.

use std::process::Command;

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::common::process::Process;

/// A hub that records, and where it listens.
fn listen(command: &mut Command, runtime: &str, flags: &[&str]) -> (Process, String) {
    let hub = ["--json", "--runtime", runtime, "--did", "jis:hub", "--bind", "127.0.0.1:0", "--allow-legacy"];
    let trust = ["--trust", "jis:good=0.9", "--trust", "jis:new=0.5", "--record", "log.jsonl"];
    let process = Process::spawn("sluis listen", command.args(hub).args(trust).args(flags));
    let listening = Json::parse(&process.line());
    let addr = listening.str("addr").to_owned();
    (process, addr)
}

/// So many pings; the exit code.
fn ping(folder: &Folder, did: &str, addr: &str, count: u32, flags: &[&str]) -> Option<i32> {
    let count = count.to_string();
    let args = ["ping", "jis:hub", addr, "--did", did, "--intent", "door.open", "--count", &count, "--interval", "0"];
    folder.sluis(&[&args, flags].concat()).status.code()
}

/// The next event of this name.
fn expect(process: &Process, name: &str) -> Json {
    loop {
        let event = Json::parse(&process.line());
        if event.str("event") == name {
            return event;
        }
    }
}

/// End it; what its summary says of recording.
fn quit(mut process: Process) -> (u64, u64) {
    process.say("quit");
    let summary = expect(&process, "summary");
    assert_eq!(process.finish(), (0, Vec::new()));
    let record = summary.get("record");
    (record.count("recorded"), record.count("lost"))
}

fn tokens(folder: &Folder) -> Vec<Json> {
    folder.text("log.jsonl").lines().map(Json::parse).collect()
}

fn actions(tokens: &[Json]) -> Vec<&str> {
    tokens.iter().map(|token| token.str("action")).collect()
}

fn records_what_passes(runtime: &str) {
    let folder = Folder::new(&format!("record-{runtime}"));
    folder.prints(&["key", "new", "hub.key"]);
    folder.write("mac.key", "secret");
    folder.set_mode("mac.key", 0o600);
    let keys = ["--record-key", "hub.key", "--record-hmac-key", "mac.key"];
    let (mut hub, addr) = listen(&mut folder.command(&["listen"]), runtime, &keys);
    let payload = ["--payload", r#"{"door":"north","a":[1.50,null]}"#, "--purpose", "Gr\u{fc}\u{df}e"];
    assert_eq!(ping(&folder, "jis:good", &addr, 1, &payload), Some(0));
    assert_eq!(ping(&folder, "jis:new", &addr, 1, &["--no-wait"]), Some(0));
    // Strangers are turned away: they leave a counter and nothing else.
    assert_eq!(ping(&folder, "jis:rood", &addr, 3, &["--timeout", "0.3"]), Some(1));
    expect(&hub, "ping");
    let waiting = expect(&hub, "ping");
    hub.say(&format!("approve {}", waiting.str("packet_id")));
    expect(&hub, "decided");
    hub.say("trust jis:new=0.9");
    assert_eq!(quit(hub), (6, 0));

    let made = tokens(&folder);
    let wanted = ["discovery", "ping.intent", "ping.intent", "decision", "discovery", "trust_change"];
    assert_eq!(actions(&made), wanted);
    assert!(!folder.text("log.jsonl").contains("jis:rood"));
    let first = &made[1];
    assert_eq!((first.str("actor"), first.str("erachter")), ("jis:good", "Gr\u{fc}\u{df}e"));
    assert_eq!(first.get("erin").get("payload"), &Json::parse(r#"{"door":"north","a":[1.5,null]}"#));
    assert_eq!((first.get("eromheen").str("zone"), first.get("eromheen").str("decision")), ("GROEN", "accept"));
    assert_eq!(made[2].get("eromheen").str("decision"), "pending");
    assert_eq!((made[3].str("actor"), made[3].get("erin").str("decision")), ("jis:hub", "accept"));
    assert_eq!(made[5].str("erachter"), "Trust change for jis:new: 0.50 -> 0.90 (zone: GEEL -> GROEN)");
    // Each follows from the one before, and goes on after a restart.
    let (hub, addr) = listen(&mut folder.command(&["listen"]), runtime, &keys);
    assert_eq!(ping(&folder, "jis:good", &addr, 20, &["--in-flight", "8"]), Some(0));
    assert_eq!(quit(hub), (21, 0));
    let made = tokens(&folder);
    assert_eq!(made.len(), 27);
    for two in made.windows(2) {
        assert_eq!(two[1].str("parent_id"), two[0].str("token_id"));
    }
    assert!(folder.exists("log.jsonl.checkpoint"));
    let verify = ["chain", "verify", "log.jsonl", "--hmac-key", "mac.key"];
    let events = folder.events(0, &verify);
    assert!(events.iter().all(|event| event.str("event") != "finding"), "{events:?}");
    folder.write("log.jsonl", folder.text("log.jsonl").replacen("north", "south", 1));
    let found = folder.events(1, &verify);
    assert_eq!(found.iter().filter(|event| event.str("event") == "finding").count(), 1, "{found:?}");
}

#[test]
fn records_what_passes_tokio() {
    records_what_passes("tokio");
}

#[test]
fn records_what_passes_smol() {
    records_what_passes("smol");
}

/// A file that cannot grow: every ping is answered, one sentence says what is wrong, and every token that was counted as
/// recorded is there.
#[test]
fn a_disk_that_takes_no_more_is_said_once() {
    let folder = Folder::new("record-full");
    let mut limited = Command::new("bash");
    let script = r#"trap "" XFSZ; ulimit -f 8; exec "$0" listen "$@""#;
    limited.args(["-c", script, env!("CARGO_BIN_EXE_sluis")]).current_dir(&folder.0);
    let (mut hub, addr) = listen(&mut limited, "tokio", &[]);
    assert_eq!(ping(&folder, "jis:good", &addr, 50, &[]), Some(0));
    hub.say("quit");
    let summary = expect(&hub, "summary");
    let (recorded, lost) = (summary.get("record").count("recorded"), summary.get("record").count("lost"));
    assert_eq!((hub.finish().0, summary.count("accepted"), recorded + lost), (1, 50, 51), "what was lost is a failure");
    assert!(recorded > 0 && lost > 0, "{summary:?}");
    let said = hub.stderr();
    assert_eq!(said.matches("not recorded").count(), 1, "{said}");
    // Lines that were written and not acknowledged may be there; those that were acknowledged must be.
    assert!(tokens(&folder).len() as u64 >= recorded);
    folder.events(0, &["chain", "verify", "log.jsonl"]);
}

#[test]
fn what_is_wrong_with_the_file_is_one_sentence() {
    let folder = Folder::new("record-wrong");
    let (hub, addr) = listen(&mut folder.command(&["listen"]), "tokio", &[]);
    assert_eq!(ping(&folder, "jis:good", &addr, 1, &[]), Some(0));
    assert_eq!(quit(hub), (2, 0));
    let text = folder.text("log.jsonl");
    folder.write("log.jsonl", text.replacen("token_id", "token\u{7f}id", 1));
    let again = ["listen", "--duration", "5", "--did", "jis:hub", "--bind", "127.0.0.1:0", "--record", "log.jsonl"];
    let said = folder.fails(1, &again);
    assert!(said.contains("log.jsonl") && said.contains("line 1"), "{said}");
    let said = folder.fails(1, &[&again[..8], &["nowhere/log.jsonl"]].concat());
    assert!(said.contains("nowhere/log.jsonl"), "{said}");
    assert_eq!(folder.sluis(&[&again[..7], &["--record-key", "x"]].concat()).status.code(), Some(2));
}

/// Once a file that could not grow may grow again, the next token says how many events are not in it, and `verify` repeats it.
#[cfg(target_os = "linux")]
#[test]
fn after_losses_the_next_token_says_how_many() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let folder = Folder::new("record-gap");
    folder.prints(&["key", "new", "hub.key"]);
    let mut limited = Command::new("bash");
    let script = r#"trap "" XFSZ; ulimit -S -f 8; exec "$0" listen "$@""#;
    limited.args(["-c", script, env!("CARGO_BIN_EXE_sluis")]).current_dir(&folder.0);
    let (mut hub, addr) = listen(&mut limited, "tokio", &["--record-key", "hub.key"]);
    assert_eq!(ping(&folder, "jis:good", &addr, 50, &[]), Some(0));
    // 55 pings, and that their sender was seen.
    let mut events = 56;
    // The disk is slower than the pings: lift the limit when it has made itself felt.
    while !hub.stderr().contains("not recorded") {
        assert_eq!(ping(&folder, "jis:good", &addr, 1, &[]), Some(0));
        events += 1;
    }
    let pid = Pid::from_raw(i32::try_from(hub.id()).expect("a process id"));
    prlimit(pid, Resource::Fsize, Rlimit { current: None, maximum: None }).expect("the limit can be lifted");
    // What was still under way when it was lifted is lost, too.
    while !folder.text("log.jsonl").contains("\"events_lost\"") {
        assert_eq!(ping(&folder, "jis:good", &addr, 1, &[]), Some(0));
        events += 1;
    }
    assert_eq!(ping(&folder, "jis:good", &addr, 5, &[]), Some(0));
    hub.say("quit");
    let summary = expect(&hub, "summary");
    let (recorded, lost) = (summary.get("record").count("recorded"), summary.get("record").count("lost"));
    // What is lost makes the exit code 1.
    assert_eq!((hub.finish().0, recorded + lost), (1, events));
    assert!(lost > 0, "{summary:?}");
    let made = tokens(&folder);
    let gaps: Vec<&Json> = made.iter().filter(|token| token.str("action") == "events_lost").collect();
    assert_eq!(gaps.iter().map(|gap| gap.get("erin").count("count")).sum::<u64>(), lost);
    assert_eq!(made.len() as u64, recorded + gaps.len() as u64);
    assert_eq!(actions(&made)[made.len() - 5..], ["ping.intent"; 5], "what came when there was room again");
    let verified = folder.events(0, &["chain", "verify", "log.jsonl"]);
    let verified = verified.last().expect("a summary");
    assert_eq!((verified.count("lost_events"), verified.get("ok")), (lost, &Json::Bool(true)));
    let said = folder.ends(0, &["chain", "verify", "log.jsonl"]);
    let events = if lost == 1 { "event is" } else { "events are" };
    assert!(said.contains(&format!("{lost} {events} not recorded in it")), "{said}");
}

/// A purpose that fills a datagram and that JSON blows up is recorded as well: its beginning, its length and its hash.
#[test]
fn a_long_purpose_is_recorded_by_its_hash() {
    let folder = Folder::new("record-long");
    let (hub, addr) = listen(&mut folder.command(&["listen"]), "smol", &[]);
    let purpose = "\u{e9}".repeat(22_000);
    assert_eq!(ping(&folder, "jis:good", &addr, 1, &["--encoding", "msgpack", "--purpose", &purpose]), Some(0));
    assert_eq!(quit(hub), (2, 0));
    let made = tokens(&folder);
    assert_eq!(made[1].str("erachter"), "\u{e9}".repeat(512));
    let known = made[1].get("eromheen").get("shortened").get("erin.purpose");
    // printf 'é%.0s' {1..22000} | sha256sum
    let sha256 = "25cd0cefe7696139e579cf68978042cf0f83b6952df62d3b8133b8125c0397fd";
    assert_eq!((known.count("bytes"), known.str("sha256")), (44_000, sha256));
    folder.events(0, &["chain", "verify", "log.jsonl"]);
}
