//! The unit and the container file start what there is: their command lines are run, with other folders.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::events::Speaker;
use crate::common::folder::Folder;
use crate::common::process::Process;

const UNIT: &str = include_str!("../../../packaging/sluis.service");
const CONTAINER: &str = include_str!("../../../packaging/Containerfile");

/// What an installation begins with.
fn installed(name: &str) -> Folder {
    let folder = Folder::new(name);
    let settings = folder.prints(&["config", "template"]).replace("0.0.0.0:7150", "127.0.0.1:0");
    folder.write("listen.toml", settings);
    folder.prints(&["key", "new", "node.key"]);
    folder
}

/// A word of a command line, with the folders of the test.
fn here(folder: &Folder, word: &str) -> String {
    let there = folder.0.to_str().expect("UTF-8");
    let binary = env!("CARGO_BIN_EXE_sluis");
    [
        ("/usr/bin/sluis", binary),
        ("/etc/sluis", there),
        ("${STATE_DIRECTORY}", there),
        ("${RUNTIME_DIRECTORY}", there),
        ("/state", there),
    ]
    .iter()
    .fold(word.to_owned(), |word, (from, to)| {
        word.strip_prefix(from).map_or(word.clone(), |rest| format!("{to}{rest}"))
    })
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// The value of a line of the unit.
fn of_unit(key: &str) -> Vec<&'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_unit_starts_a_node_that_says_when_it_is_ready() {
    assert_eq!((of_unit("Type"), of_unit("Environment")), (vec!["notify"], vec!["SLUIS_FLAGS="]));
    let folder = installed("unit");
    let starts = of_unit("ExecStart");
    let [start] = starts.as_slice() else { panic!("one command: {starts:?}") };
    // What `systemctl edit` may add.
    let flags = ["--metrics", "127.0.0.1:0", "--log", "events.jsonl"];
    let words: Vec<String> = start
        .split(' ')
        .flat_map(
            |word| if word == "$SLUIS_FLAGS" { flags.map(str::to_owned).to_vec() } else { vec![here(&folder, word)] },
        )
        .collect();
    let place = folder.0.join("notify");
    let manager = UnixDatagram::bind(&place).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let heard = || {
        let mut buf = [0; 64];
        let len = manager.recv(&mut buf).expect("it says something");
        String::from_utf8_lossy(&buf[..len]).into_owned()
    };
    let seconds: u64 = of_unit("WatchdogSec")[0].parse().expect("seconds");
    let mut command = command(&words);
    command.current_dir(&folder.0).env("NOTIFY_SOCKET", &place).env("WATCHDOG_USEC", (seconds * 1_000_000).to_string());
    let mut node = Process::spawn("the unit", command.env_remove("WATCHDOG_PID"));
    assert_eq!((heard().as_str(), heard().as_str()), ("READY=1", "WATCHDOG=1"));
    // With --quiet it is told in the log alone.
    let start = Instant::now();
    let listening = loop {
        let log = fs::read_to_string(folder.0.join("events.jsonl")).unwrap_or_default();
        match log.split_once('\n') {
            Some((first, _)) => break Speaker::Listen.read(first),
            None if start.elapsed() > Duration::from_secs(60) => node.fail("wrote no log"),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(listening.str("metrics").starts_with("127.0.0.1:"), "{listening:?}");
    folder.prints(&["ctl", "control", "list"]);
    node.signal("TERM");
    while heard() != "STOPPING=1" {}
    let (code, lines) = node.finish();
    assert!(code == 0 && lines.len() == 1 && node.stderr().is_empty(), "{lines:?} {}", node.stderr());
    assert!(folder.exists("node/state.redb") && !folder.exists("control"));
}

/// The words of an instruction in the form of a list.
fn of_container(instruction: &str) -> Vec<String> {
    let line = CONTAINER.lines().find(|line| line.starts_with(instruction)).expect("an instruction");
    let (_, list) = line.split_once('[').expect("a list");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_container_starts_a_node_that_is_healthy() {
    let folder = installed("container");
    let words = |words: Vec<String>| words.iter().map(|word| here(&folder, word)).collect::<Vec<String>>();
    let start = words([of_container("ENTRYPOINT"), of_container("CMD")].concat());
    let health = words(of_container("HEALTHCHECK"));
    let healthy = || command(&health).output().expect("it runs").status.success();
    assert!(!healthy());
    let mut node = Process::spawn("the container", &mut command(&start));
    assert_eq!(Speaker::Listen.read(&node.line()).str("event"), "listening");
    assert!(healthy());
    node.signal("TERM");
    let (code, _) = node.finish();
    assert!(code == 0 && !healthy() && node.stderr().is_empty(), "{}", node.stderr());
}
