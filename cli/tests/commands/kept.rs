//! `--state` and what survives: a crash, a full disk, a clock that is ahead; and keys that are pinned at first sight.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use sluis_core::framing::Value;

use crate::common::events::Speaker;
use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::common::process::Process;
use crate::on_both;
use crate::sluis::{HUB, Listen, Ping, Raw, SENSOR};

on_both! {
    a_packet_from_before_a_crash_is_refused_by_whatever_clock
    trust_that_was_set_survives_and_counts_before_flags
    the_first_key_is_pinned_at_both_ends_and_stays
}

const LATE: &str = "jis:test:late";

fn path(folder: &Folder, name: &str) -> String {
    folder.0.join(name).to_str().expect("UTF-8").to_owned()
}

fn hub(runtime: &str, folder: &Folder, more: &[&str]) -> Listen {
    let state = path(folder, "state");
    Listen::start(runtime, &[&["--state", &state], more].concat())
}

fn kill(mut listen: Listen) {
    listen.process.signal("KILL");
    listen.process.finish();
}

/// The next events in the order of their names.
fn sorted(listen: &Listen, count: usize) -> Vec<Json> {
    let mut events: Vec<Json> = (0..count).map(|_| listen.next()).collect();
    events.sort_by_key(|event| event.str("event").to_owned());
    events
}

fn a_packet_from_before_a_crash_is_refused_by_whatever_clock(runtime: &str) {
    let folder = Folder::new(&format!("kept-replay-{runtime}"));
    let mut listen = hub(runtime, &folder, &[]);
    // Stamped after what will be the time of the start: only what is kept tells that it was taken in.
    let ahead = |id, ahead| Raw::frame_at(Duration::from_millis(ahead), SENSOR, id, "x", id, Value::EMPTY_OBJECT);
    let old = ahead("old", 4000);
    Raw::new(listen.addr()).send(&old);
    assert_eq!(listen.expect("ping").str("packet_id"), "old");
    kill(listen);
    listen = hub(runtime, &folder, &[]);
    let raw = Raw::new(listen.addr());
    raw.send(&old);
    assert_eq!(listen.expect("rejected").str("reason"), "stale");
    let new = ahead("new", 4900);
    raw.send(&new);
    assert_eq!(listen.expect("ping").str("packet_id"), "new");
    kill(listen);
    // Nor does an end in peace forget what a crash does not.
    for _ in 0..2 {
        listen = hub(runtime, &folder, &[]);
        let raw = Raw::new(listen.addr());
        raw.send(&new);
        assert_eq!(listen.expect("rejected").str("reason"), "stale");
        raw.send(&old);
        assert_eq!(listen.expect("rejected").str("reason"), "stale");
        listen.quit();
    }
    // Who says that older ones are welcome gets this one, too, once.
    let listen = hub(runtime, &folder, &["--accept-older", "60"]);
    let raw = Raw::new(listen.addr());
    raw.send(&old);
    assert_eq!(listen.expect("ping").str("packet_id"), "old");
    raw.send(&old);
    assert_eq!(listen.expect("rejected").str("reason"), "replay");
    listen.quit();
}

fn trust_that_was_set_survives_and_counts_before_flags(runtime: &str) {
    let folder = Folder::new(&format!("kept-trust-{runtime}"));
    let mut first = hub(runtime, &folder, &[]);
    first.process.say(&format!("trust {LATE}=0.9"));
    let trust = first.expect("trust");
    let kept = first.expect("kept");
    assert_eq!((trust.count("change"), kept.count("change"), kept.get("ok")), (1, 1, &Json::Bool(true)));
    kill(first);
    let again = hub(runtime, &folder, &["--trust", &format!("{LATE}=0")]);
    assert_eq!(Ping::start(runtime, LATE, &again.addr, &[]).finish().0, 0);
    again.process.wait_for_stderr("is 0.9, as was decided while this node ran, and not 0");
    again.expect("ping");
    again.quit();
    // It is no pin, and in nobody's way who looks for one.
    assert!(folder.events(0, &["pin", "list", "--state", "state"]).is_empty());
}

fn the_first_key_is_pinned_at_both_ends_and_stays(runtime: &str) {
    let folder = Folder::new(&format!("kept-first-{runtime}"));
    for key in ["hub", "sensor", "thief"] {
        folder.prints(&["key", "new", &format!("{key}.key")]);
    }
    let [hub_key, sensor_key, thief_key] = ["hub.key", "sensor.key", "thief.key"].map(|name| path(&folder, name));
    let (state, pins) = (path(&folder, "state"), path(&folder, "pins"));
    let listen = |key: &str| {
        let trust = format!("{SENSOR}=0.9");
        let args = ["--bind", "127.0.0.1:0", "--trust", &trust, "--key", key, "--state", &state];
        Listen::bare(runtime, &[&args[..], &["--trust-first-use=jis:test:*"]].concat())
    };
    let ask = |listen: &Listen, key: &str| {
        let args = ["--key", key, "--state", &pins, "--trust-first-use", "-t", "3"];
        let (code, events, _) = Ping::start(runtime, SENSOR, &listen.addr, &args).finish();
        // Once both keys are pinned they talk through a session.
        let events = events.iter().map(|event| event.str("event")).filter(|event| *event != "session");
        (code, events.map(str::to_owned).collect::<BTreeSet<_>>())
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let first = listen(&hub_key);
    assert_eq!(ask(&first, &sensor_key), (0, names(&["pin", "response"])));
    let heard = sorted(&first, 3);
    assert_eq!(heard.iter().map(|event| event.str("event")).collect::<Vec<_>>(), ["kept", "pin", "ping"]);
    assert_eq!((heard[1].str("origin"), heard[2].str("zone")), ("first_use", "GROEN"));
    assert_eq!(ask(&first, &thief_key), (1, names(&["timeout"])));
    assert_eq!(first.expect("rejected").str("reason"), "unpinned");
    kill(first);
    // The pin is there, at either end.
    let again = listen(&hub_key);
    assert_eq!(ask(&again, &thief_key), (1, names(&["timeout"])));
    assert_eq!(again.expect("rejected").str("reason"), "unpinned");
    assert_eq!(ask(&again, &sensor_key), (0, names(&["response"])));
    again.next_of("ping");
    again.quit();
    let thief = listen(&thief_key);
    assert_eq!(ask(&thief, &sensor_key), (1, names(&["timeout"])), "another hub in its name");
    thief.quit();
    for dir in ["state", "pins"] {
        let pins = folder.events(0, &["pin", "list", "--state", dir]);
        assert_eq!((pins.len(), pins[0].str("origin")), (1, "first_use"), "{dir}");
    }
}

/// Killed at moments all over its life: what it said to be kept is there, and nothing that it took in is taken in again.
#[test]
fn whenever_it_is_killed_nothing_acknowledged_is_lost_and_nothing_is_taken_twice() {
    let folder = Folder::new("kept-kills");
    folder.prints(&["key", "new", "a.key"]);
    folder.write("a.pub", folder.prints(&["key", "export", "a.key"]));
    let key = path(&folder, "a.pub");
    let (mut pinned, mut taken, mut sent) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut chance = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..12 {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        let mut listen = hub(if round % 2 == 0 { "tokio" } else { "smol" }, &folder, &[]);
        let raw = Raw::new(listen.addr());
        // All that was ever sent, and more.
        sent.iter().for_each(|frame: &Vec<u8>| raw.send(frame));
        for n in 0..8_u64 {
            listen.process.say(&format!("pin jis:kept:{round}-{n} {key}"));
            let (id, ahead) = (format!("p{round}-{n}"), Duration::from_millis(n * 600));
            sent.push(Raw::frame_at(ahead, SENSOR, &id, "x", &id, Value::EMPTY_OBJECT));
            raw.send(&sent[sent.len() - 1]);
            thread::sleep(Duration::from_micros(chance % 40_000));
        }
        listen.process.signal("KILL");
        let (_, lines) = listen.process.finish();
        let mut names: Vec<(u64, String)> = Vec::new();
        // The last line may be cut.
        for event in lines.iter().filter(|line| line.ends_with('}')).map(|line| Speaker::Listen.read(line)) {
            match event.str("event") {
                "pin" => names.push((event.count("change"), event.str("source_did").to_owned())),
                "kept" => {
                    assert_eq!(event.get("ok"), &Json::Bool(true));
                    let upto = event.count("change");
                    pinned.extend(names.iter().filter(|(change, _)| *change <= upto).map(|(_, did)| did.clone()));
                }
                "ping" => {
                    let id = event.str("packet_id").to_owned();
                    assert!(taken.insert(id.clone()), "round {round}: {id} was taken in twice");
                }
                _ => {}
            }
        }
    }
    let list = folder.events(0, &["pin", "list", "--state", "state"]);
    let found: BTreeSet<String> = list.iter().map(|pin| pin.str("source_did").to_owned()).collect();
    assert!(pinned.is_subset(&found), "{:?} are lost", pinned.difference(&found));
    assert!(!pinned.is_empty() && !taken.is_empty(), "{} {}", pinned.len(), taken.len());
}

/// Where a test may mount something of its own: a disk that is full.
#[test]
fn on_a_full_disk_pins_are_refused_and_traffic_goes_on() {
    let folder = Folder::new("kept-full");
    let mount = ["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
    let may = Command::new("unshare").args(mount).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI cannot mount anything: the full disk was not tried");
        eprintln!("SKIPPED: nothing can be mounted here, so the full disk was not tried");
        return;
    }
    folder.prints(&["key", "new", "a.key"]);
    folder.write("a.pub", folder.prints(&["key", "export", "a.key"]));
    let key = path(&folder, "a.pub");
    fs::create_dir(folder.0.join("disk")).expect("a folder");
    // The listener, and beside it what fills its disk when told to.
    let script = "mount -t tmpfs -o size=8m,mode=700 tmpfs disk && { \"$0\" \"$@\" <&3 & } 3<&0; \
                  while [ ! -e full ]; do sleep 0.05; done; cat /dev/zero > disk/fill 2>/dev/null; touch filled; wait";
    let mut command = Command::new("unshare");
    command.args(["-Urm", "sh", "-c", script, env!("CARGO_BIN_EXE_sluis")]).current_dir(&folder.0);
    command.args(["listen", "--json", "--did", HUB, "--bind", "127.0.0.1:0", "--allow-legacy", "--duration", "300"]);
    command.args(["--trust", &format!("{SENSOR}=0.9"), "--state", "disk/state"]);
    let mut process = Process::spawn("sluis listen", &mut command);
    let addr = Speaker::Listen.read(&process.line()).str("addr").to_owned();
    let ping = || assert_eq!(Ping::start("tokio", SENSOR, &addr, &["-t", "20"]).finish().0, 0);
    ping();
    folder.write("full", "");
    while !folder.exists("filled") {
        thread::sleep(Duration::from_millis(20));
    }
    let mut pinned = Vec::new();
    let refused = 'refused: {
        for n in 0..500 {
            process.say(&format!("pin jis:kept:{n} {key}"));
            loop {
                let event = Speaker::Listen.read(&process.line());
                match event.str("event") {
                    "kept" if event.get("ok") == &Json::Bool(true) => break,
                    "kept" => break 'refused event,
                    "pin" => pinned.push(event.str("source_did").to_owned()),
                    _ => {}
                }
            }
        }
        panic!("500 pins found room on a full disk")
    };
    assert_eq!(refused.str("reason"), "the disk is full");
    ping();
    ping();
    // It is pinned to nobody now.
    let last = pinned.pop().expect("one was tried");
    process.say(&format!("unpin {last}"));
    process.wait_for_stderr(&format!("no key is pinned to {last}"));
    process.say("quit");
    process.finish();
}
