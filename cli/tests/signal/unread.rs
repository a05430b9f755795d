//! Output that is not read, whose reader has left, and a state that has no room.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cast::{Broker, Keys, event, json, named};
use crate::common::process::Process;

/// A signal ends everything within a second; the rest is what a busy machine may take to notice.
const AT_ONCE: Duration = Duration::from_millis(1800);

/// A listener whose output is read when the test likes.
struct Unread {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Unread {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("sluis runs");
        let stdout = BufReader::with_capacity(512, child.stdout.take().expect("piped"));
        let mut this = Self { child, stdout };
        while this.next()["event"] != "ready" {}
        this
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        json(&line)
    }

    /// Its exit code, and how long it takes to end after a signal.
    fn end(&mut self, signal: &str) -> (Option<i32>, Duration) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{signal} did not work");
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return (status.code(), start.elapsed());
            }
            assert!(start.elapsed() < Duration::from_secs(30), "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What nobody can have read is not acknowledged, the listener lives on meanwhile, and nothing is lost once somebody reads.
#[test]
fn what_is_not_read_is_not_acknowledged() {
    const COUNT: usize = 200;
    let broker = [Broker::start(&[])];
    let brokers = [broker[0].url.clone()];
    let keys = Keys::new("unread", "tokio", &["alice.key", "bob.key", "carol.key"]);
    let bob = keys.public("bob.key");
    let all = keys.args(&["listen"], "bob.key", &brokers);
    let mut listener = Unread::start(&mut keys.folder.command(&all));
    // Each line is six thousand bytes long; a pipe takes 64 KiB.
    let count = COUNT.to_string();
    let text = ["send", &bob, "--text", "{i} ", "--size", "2000", "--count", &count, "--in-flight", "200"];
    let all = [&keys.args(&text, "alice.key", &brokers)[..], &["--timeout", "300"]].concat();
    let mut sender = Process::spawn("send", &mut keys.folder.command(&all));
    for _ in 0..4 {
        assert_eq!(event(&sender, "sent")["acked"], true);
    }
    // It answers others, who ask whether it is there, though its reader stands still.
    let probe = keys.args(&["probe", &bob, "--timeout", "60"], "carol.key", &brokers);
    assert_eq!(json(keys.folder.ends(0, &probe).lines().last().expect("an answer"))["kind"], "sluis");
    std::thread::sleep(Duration::from_secs(1));
    let mut told: Vec<String> = Vec::new();
    while told.len() < COUNT {
        let event = listener.next();
        if event["event"] == "message" {
            told.push(event["text"].as_str().expect("text").split(' ').next().expect("a number").to_owned());
        }
    }
    assert!(told.iter().enumerate().all(|(n, text)| n.to_string() == *text), "{told:?}");
    let (code, said) = sender.finish();
    let said: Vec<Value> = said.iter().map(|line| json(line)).collect();
    assert_eq!((code, &named(&said, "summary")[0]["acked"]), (0, &COUNT.into()));
    // Most of them could not be acknowledged before they were read.
    let waited = named(&said, "sent").iter().filter(|sent| sent["ms"].as_f64() > Some(1000.0)).count();
    assert!(waited > COUNT / 2, "{waited}");
    assert_eq!(listener.end("TERM").0, Some(0));
}

#[test]
fn a_signal_ends_a_listener_that_is_not_read_within_a_second() {
    for quiet in [false, true] {
        let broker = [Broker::start(&[])];
        let brokers = [broker[0].url.clone()];
        let keys = Keys::new(&format!("stalled-{quiet}"), "smol", &["alice.key", "bob.key"]);
        let bob = keys.public("bob.key");
        let mut listener = Unread::start(&mut keys.folder.command(&keys.args(&["listen"], "bob.key", &brokers)));
        if quiet {
            // What was read is no reason to wait.
            keys.send(0, &bob, &brokers, &["--text", "x", "--timeout", "60"]);
        } else {
            let text = ["--text", "x", "--size", "2000", "--count", "40", "--in-flight", "40", "--timeout", "5"];
            let said = keys.send(1, &bob, &brokers, &text);
            let acked = named(&said, "summary")[0]["acked"].as_u64().expect("a number");
            assert!((1..40).contains(&acked), "{acked}");
        }
        let (code, took) = listener.end("TERM");
        // What could not be said is not as it should be.
        assert_eq!(code, Some(i32::from(!quiet)), "{took:?}");
        assert!(took < AT_ONCE, "{took:?}");
    }
}

#[test]
fn a_reader_that_leaves_ends_it_with_1_and_gets_no_acknowledgement() {
    let broker = [Broker::start(&[])];
    let brokers = [broker[0].url.clone()];
    let keys = Keys::new("left", "tokio", &["alice.key", "bob.key"]);
    let bob = keys.public("bob.key");
    let mut command = keys.folder.command(&keys.args(&["listen"], "bob.key", &brokers));
    let mut listener = Unread::start(&mut command);
    let stdout = std::mem::replace(&mut listener.stdout, BufReader::new(spare()));
    drop(stdout);
    // Another test that starts a child just now may hold our end of the pipe for a moment: then this one is taken.
    let started = Instant::now();
    let code = loop {
        let said = keys.args(&["send", &bob, "--text", "x", "--timeout", "2"], "alice.key", &brokers);
        keys.folder.sluis(&said);
        if let Some(status) = listener.child.try_wait().expect("it is ours") {
            break status.code();
        }
        assert!(started.elapsed() < Duration::from_secs(60), "it does not notice");
    };
    assert_eq!(code, Some(1));
}

/// While the disk is full nothing new is handed over or acknowledged, and that is said once when it begins and once when it is over, however often it
/// is tried; then what was sent arrives.
#[test]
fn a_full_disk_is_said_once() {
    let broker = [Broker::start(&[])];
    let brokers = [broker[0].url.clone()];
    let keys = Keys::new("full", "tokio", &["alice.key", "bob.key"]);
    let bob = keys.public("bob.key");
    let mount = ["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
    let may = Command::new("unshare").args(mount).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: nothing can be mounted here, so the full disk was not tried");
        return;
    }
    std::fs::create_dir(keys.folder.0.join("disk")).expect("a folder");
    // The listener, and beside it what fills its disk when told to, and empties it.
    let script = "mount -t tmpfs -o size=8m,mode=700 tmpfs disk && { \"$0\" \"$@\" <&3 & } 3<&0; \
                  while [ ! -e full ]; do sleep 0.05; done; cat /dev/zero > disk/fill 2>/dev/null; touch filled; \
                  while [ ! -e empty ]; do sleep 0.05; done; rm disk/fill; wait";
    let mut command = Command::new("unshare");
    command.args(["-Urm", "sh", "-c", script, env!("CARGO_BIN_EXE_sluis")]).current_dir(&keys.folder.0);
    command.args(keys.args(&["listen", "--state", "disk/state", "--duration", "300"], "bob.key", &brokers));
    let listener = Process::spawn("sluis signal listen", &mut command);
    event(&listener, "ready");
    keys.send(0, &bob, &brokers, &["--text", "before", "--timeout", "60"]);
    keys.folder.write("full", "");
    while !keys.folder.exists("filled") {
        std::thread::sleep(Duration::from_millis(20));
    }
    // What has room in the file finds it still; each sender adds a record of its own.
    let (no_room, again) = ("nothing is kept until there is room", "what is to be kept is kept again.");
    let mut tries = 0;
    while !listener.stderr().contains(no_room) {
        tries += 1;
        assert!(tries < 200, "it finds room on a full disk");
        let said =
            keys.args(&["send", &bob, "--text", "x", "--count", "50", "--in-flight", "50"], "alice.key", &brokers);
        keys.folder.sluis(&said);
    }
    let timeout = ["send", &bob, "--text", "held back", "--timeout", "120"];
    let mut sender = Process::spawn("send", &mut keys.folder.command(&keys.args(&timeout, "alice.key", &brokers)));
    std::thread::sleep(Duration::from_secs(5));
    let said = listener.stderr();
    assert_eq!((said.matches(no_room).count(), said.matches(again).count()), (1, 0), "{said}");
    keys.folder.write("empty", "");
    while event(&listener, "message")["text"] != "held back" {}
    assert_eq!(sender.finish().0, 0);
    let said = listener.stderr();
    assert_eq!((said.matches(no_room).count(), said.matches(again).count()), (1, 1), "{said}");
}

/// The output of something that has ended.
fn spare() -> ChildStdout {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().expect("true");
    let stdout = child.stdout.take().expect("piped");
    let _ = child.wait();
    stdout
}
