//! Encrypted sessions from outside: in which suite they are, how they end, and what of them outlives a process.

use std::fs;

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::on_both;
use crate::sluis::{HUB, Listen, Ping, SENSOR};

on_both! {
    a_copied_state_directory_is_said_by_the_hub
    both_ends_say_which_suite_is_spoken
    who_spoke_sessions_once_is_sent_nothing_without_one
    a_recording_with_state_replays_in_every_life
}

/// A folder with the keys of a hub and a sensor, and the state of the sensor.
fn keys(name: &str, runtime: &str) -> Folder {
    let folder = Folder::new(&format!("sessions-{name}-{runtime}"));
    for key in ["hub", "sensor"] {
        folder.prints(&["key", "new", &format!("{key}.key")]);
        folder.write(&format!("{key}.pub"), folder.prints(&["key", "export", &format!("{key}.key")]));
    }
    folder.prints(&["pin", "add", HUB, "hub.pub", "--state", "sensor-state"]);
    folder
}

fn path(folder: &Folder, name: &str) -> String {
    folder.0.join(name).to_str().expect("UTF-8").to_owned()
}

fn hub(runtime: &str, folder: &Folder, more: &[&str]) -> Listen {
    let (key, pin) = (path(folder, "hub.key"), format!("{SENSOR}={}", path(folder, "sensor.pub")));
    let usual = ["--bind", "127.0.0.1:0", "--trust", "jis:test:sensor=0.9", "--key", &key, "--pin", &pin];
    Listen::bare(runtime, &[&usual[..], more].concat())
}

/// Ping once from the state in this directory.
fn ping(runtime: &str, folder: &Folder, hub: &Listen, state: &str, more: &[&str]) -> (i32, Vec<Json>) {
    let (key, state) = (path(folder, "sensor.key"), path(folder, state));
    let usual = ["--key", &key, "--state", &state];
    let (code, events, _) = Ping::start(runtime, SENSOR, &hub.addr, &[&usual[..], more].concat()).finish();
    (code, events)
}

fn sessions(events: &[Json]) -> Vec<(&str, u64, &Json)> {
    let sessions = events.iter().filter(|event| event.str("event") == "session");
    sessions.map(|event| (event.str("state"), event.count("suite"), event.get("reason"))).collect()
}

fn copy(folder: &Folder, from: &str, to: &str) {
    fs::create_dir(folder.0.join(to)).expect("a folder");
    for file in fs::read_dir(folder.0.join(from)).expect("a folder") {
        let file = file.expect("a file");
        fs::copy(file.path(), folder.0.join(to).join(file.file_name())).expect("a copy");
    }
    #[cfg(unix)]
    folder.set_mode(to, 0o700);
}

fn a_copied_state_directory_is_said_by_the_hub(runtime: &str) {
    let folder = keys("copied", runtime);
    let hub = hub(runtime, &folder, &[]);
    let ask = |state: &str| ping(runtime, &folder, &hub, state, &["-t", "5"]);
    assert_eq!(ask("sensor-state").0, 0);
    copy(&folder, "sensor-state", "copy");
    let (code, events) = ask("sensor-state");
    assert_eq!((code, sessions(&events)), (0, vec![("up", 2, &Json::Null)]));
    // The end of a ping is the end of its session, at the other end as well.
    for _ in 0..2 {
        assert_eq!(hub.next_of("session").str("state"), "up");
        let down = hub.next_of("session");
        assert_eq!((down.str("state"), down.str("reason")), ("down", "closed"));
    }
    let (code, events) = ask("copy");
    let cloned = Json::Text("cloned".to_owned());
    assert_eq!((code, sessions(&events).last()), (1, Some(&("down", 2, &cloned))), "{events:?}");
    let clone = hub.next_of("session");
    assert_eq!((clone.str("state"), clone.str("did"), clone.count("suite")), ("clone", SENSOR, 2));
    assert!(clone.str("elsewhere").starts_with("127.0.0.1:"));
    assert_eq!(hub.next_of("session").str("reason"), "clone");
    assert_eq!(hub.next_of("rejected").str("reason"), "clone");
    // The owner starts the node again, and is in.
    assert_eq!(ask("sensor-state").0, 0);
    hub.quit();
}

fn both_ends_say_which_suite_is_spoken(runtime: &str) {
    let folder = keys("suite", runtime);
    for (at_hub, at_sensor, suite, patience) in
        [("any", "any", 2, "5"), ("2", "any", 2, "5"), ("any", "1", 1, "5"), ("1", "any", 1, "9"), ("2", "1", 0, "1")]
    {
        let hub = hub(runtime, &folder, &["--suite", at_hub]);
        let more = ["--suite", at_sensor, "--session", "require", "-t", patience];
        let (code, events) = ping(runtime, &folder, &hub, "sensor-state", &more);
        if suite == 0 {
            assert_eq!((code, events[0].str("event")), (1, "timeout"));
            continue;
        }
        assert_eq!((code, sessions(&events)), (0, vec![("up", suite, &Json::Null)]), "{at_hub} {at_sensor}");
        assert_eq!(hub.next_of("session").count("suite"), suite);
        hub.quit();
    }
    let why = folder.fails(2, &["ping", HUB, "127.0.0.1:9", "--intent", "x", "--suite", "2"]);
    assert!(why.contains("--key"), "{why}");
}

fn who_spoke_sessions_once_is_sent_nothing_without_one(runtime: &str) {
    let folder = keys("spoke", runtime);
    copy(&folder, "sensor-state", "never");
    let first = hub(runtime, &folder, &[]);
    assert_eq!(ping(runtime, &folder, &first, "sensor-state", &["-t", "5"]).0, 0);
    first.quit();
    // Somebody else under that name, who speaks no sessions: he is heard of only by who knows no better.
    let plain = Listen::start(runtime, &[]);
    for state in ["sensor-state", "never"] {
        assert_eq!(ping(runtime, &folder, &plain, state, &["-t", "3"]).0, 1, "its answers prove nothing");
    }
    assert_eq!(plain.next_of("ping").str("auth"), "signed");
    assert_eq!(plain.quit().1.count("accepted"), 1);
}

fn a_recording_with_state_replays_in_every_life(runtime: &str) {
    let folder = keys("recorded", runtime);
    for file in ["first.jsonl", "second.jsonl"] {
        let (state, capture) = (path(&folder, "hub-state"), path(&folder, file));
        let mut hub = Listen::start(runtime, &["--state", &state, "--capture", &capture]);
        hub.process.say(&format!("trust {SENSOR}=0.8"));
        hub.next_of("kept");
        assert_eq!(Ping::start(runtime, SENSOR, &hub.addr, &["-t", "5"]).finish().0, 0);
        hub.quit();
        assert_eq!(folder.json(&["replay", file]).get("same"), &Json::Bool(true), "{file}");
    }
    // What was kept of the first is in the second.
    assert!(
        folder.text("second.jsonl").contains("\"in\":\"restore\"") && !folder.text("first.jsonl").contains("restore\"")
    );
}
