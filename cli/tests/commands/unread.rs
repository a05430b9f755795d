//! Output that nobody reads, that has no room, or whose reader has left: the node goes on, and it ends when it is told to.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sluis_core::framing::Value;

use crate::common::json::Json;
use crate::on_both;
use crate::sluis::{HUB, Raw, SENSOR, command};

on_both! {
    an_unread_hub_answers_on_and_counts_what_is_lost
    a_signal_ends_an_unread_hub_within_a_second
    quit_ends_an_unread_hub
    a_hub_that_is_read_late_loses_nothing
    a_reader_that_leaves_ends_it_with_1
    a_full_disk_behind_the_output_does_not_end_it
    the_summary_comes_after_everything_was_lost
    an_unread_ping_waits_for_its_reader
}

/// A signal ends everything within a second; the rest is what a busy machine may take to start and to notice.
const AT_ONCE: Duration = Duration::from_millis(1800);

/// A hub whose output the test reads when it likes.
struct Hub {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    raw: Raw,
    /// Pings so far.
    asked: usize,
}

impl Hub {
    fn start(runtime: &str, args: &[&str]) -> Self {
        let usual =
            ["listen", "--did", HUB, "--bind", "127.0.0.1:0", "--allow-legacy", "--trust", "jis:test:sensor=0.9"];
        let mut command = command(&[&usual[..], &["--json", "--runtime", runtime], args].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("sluis runs");
        let stdin = child.stdin.take().expect("piped");
        let mut stdout = BufReader::with_capacity(512, child.stdout.take().expect("piped"));
        let mut first = String::new();
        stdout.read_line(&mut first).expect("it listens");
        let raw = Raw::new(Json::parse(&first).str("addr").parse().expect("an address"));
        Self { child, stdin, stdout, raw, asked: 0 }
    }

    /// So many pings with so many bytes of payload; each is answered.
    fn ask(&mut self, count: usize, bytes: usize) {
        let text = format!("\"{}\"", "x".repeat(bytes));
        let payload = Value::from_json(&text).expect("JSON");
        for _ in 0..count {
            self.asked += 1;
            let id = format!("p{}", self.asked);
            let answered = self.raw.ask(&Raw::frame_with(SENSOR, &id, "a", &id, payload));
            assert!(answered.is_ok(), "ping {} was not answered: {answered:?}", self.asked);
        }
    }

    /// Much more than waits for a reader, in the pipe and in the queue.
    fn overflow(&mut self) {
        self.ask(200, 60_000);
    }

    /// Words on standard error, more than waits for a reader there.
    fn complain(&mut self) {
        for _ in 0..4000 {
            self.stdin.write_all(b"approve nothing that waits for anybody\n").expect("it reads");
        }
    }

    /// Everything that is still printed, as events; then the exit code, and what is said.
    fn read(&mut self) -> (Vec<Json>, i32, String) {
        let mut stderr = self.child.stderr.take().expect("piped");
        let said = thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).map(|_| said)
        });
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).expect("UTF-8");
        let code = self.child.wait().expect("it ends").code().unwrap_or(-1);
        let said = said.join().expect("no panic").expect("UTF-8");
        (text.lines().map(Json::parse).collect(), code, said)
    }

    /// Its exit code, and how long it took to end.
    fn wait(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return (status.code(), start.elapsed());
            }
            assert!(start.elapsed() < Duration::from_secs(30), "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name} did not work");
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lost(events: &[Json]) -> u64 {
    events.iter().filter(|event| event.str("event") == "lost_output").map(|event| event.count("count")).sum()
}

fn an_unread_hub_answers_on_and_counts_what_is_lost(runtime: &str) {
    let mut hub = Hub::start(runtime, &[]);
    hub.overflow();
    hub.complain();
    hub.overflow();
    let asked = hub.asked as u64;
    // Somebody reads again: what comes from now on is told, and how much is missing before it.
    let mut line = String::new();
    let mut early = Vec::new();
    for _ in 0..100 {
        line.clear();
        hub.stdout.read_line(&mut line).expect("a line");
        early.push(Json::parse(&line));
    }
    let late = thread::spawn(move || {
        hub.stdin.write_all(b"quit\n").expect("it reads");
        hub.read()
    });
    let (rest, code, said) = late.join().expect("it ends");
    let events = [early, rest].concat();
    let pings = events.iter().filter(|event| event.str("event") == "ping").count() as u64;
    let (lost, summary) = (lost(&events), events.last().expect("a summary"));
    assert!(lost > 100 && pings > 100, "{pings} told, {lost} lost");
    assert_eq!((pings + lost, summary.str("event")), (asked, "summary"));
    assert_eq!((summary.count("accepted"), summary.count("lost_output"), code), (asked, lost, 0));
    assert!(said.contains("lines are missing here"), "standard error was unread, too");
}

fn a_signal_ends_an_unread_hub_within_a_second(runtime: &str) {
    for (signal, out, err) in [("TERM", true, false), ("INT", false, true), ("HUP", true, true), ("TERM", false, false)]
    {
        let mut hub = Hub::start(runtime, &["-vv"]);
        if out {
            hub.overflow();
        }
        if err {
            hub.complain();
        }
        hub.ask(1, 10);
        hub.signal(signal);
        let (code, took) = hub.wait();
        assert!(took < AT_ONCE, "{signal} {out} {err}: {took:?}");
        // What could not be said is not as it should be.
        assert_eq!(code, Some(i32::from(out)), "{signal} {out} {err}");
    }
}

fn quit_ends_an_unread_hub(runtime: &str) {
    let mut hub = Hub::start(runtime, &[]);
    hub.overflow();
    hub.complain();
    hub.stdin.write_all(b"quit\n").expect("it reads");
    let (code, took) = hub.wait();
    assert!(code == Some(1) && took < Duration::from_secs(5), "{code:?} {took:?}");
}

fn a_hub_that_is_read_late_loses_nothing(runtime: &str) {
    let mut hub = Hub::start(runtime, &["--count", "100"]);
    hub.ask(100, 10_000);
    // It has ended by itself, and waits for its reader, however long that takes.
    thread::sleep(Duration::from_millis(1500));
    let (events, code, _) = hub.read();
    assert_eq!((events.len(), code), (101, 0));
    assert_eq!(events[100].count("lost_output"), 0);
}

fn a_reader_that_leaves_ends_it_with_1(runtime: &str) {
    let mut hub = Hub::start(runtime, &[]);
    let stdout = std::mem::replace(&mut hub.stdout, BufReader::new(spare()));
    drop(stdout);
    let started = Instant::now();
    // It notices when it writes. Another test that starts a child just now may hold our end of the pipe for a moment, so
    // give it something to write until it has ended.
    while hub.child.try_wait().expect("it is ours").is_none() {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not notice");
        let _ = hub.stdin.write_all(b"stats\n");
        thread::yield_now();
    }
    let (_, code, said) = hub.read();
    assert_eq!(code, 1);
    assert_eq!(said, "sluis listen: the reader of standard output has left, nobody would see what happens.\n");
}

/// An output that has ended.
fn spare() -> ChildStdout {
    let mut child = std::process::Command::new("true").stdout(Stdio::piped()).spawn().expect("true runs");
    let stdout = child.stdout.take().expect("piped");
    child.wait().expect("it ends");
    stdout
}

fn a_full_disk_behind_the_output_does_not_end_it(runtime: &str) {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let probe =
        std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address").to_string();
    let args = ["listen", "--did", HUB, "--bind", &probe, "--allow-legacy", "--trust", "jis:test:sensor=0.9"];
    let mut command = command(&[&args[..], &["--json", "--runtime", runtime]].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped()).spawn().expect("sluis runs");
    let mut said = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let first = said.next().expect("it says so");
    assert!(first.starts_with("sluis listen: cannot write to standard output (No space left"), "{first}");
    let raw = Raw::new(probe.parse().expect("an address"));
    for id in ["p1", "p2"] {
        raw.ask(&Raw::frame(SENSOR, id, "a", id)).expect("an answer");
    }
    child.stdin.take().expect("piped").write_all(b"quit\n").expect("it reads");
    let said: Vec<String> = said.collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert!(matches!(&*said, [last] if last.contains("cannot write to standard output")), "{said:?}");
}

fn the_summary_comes_after_everything_was_lost(runtime: &str) {
    let mut hub = Hub::start(runtime, &[]);
    hub.overflow();
    hub.stdin.write_all(b"quit\n").expect("it reads");
    let mut text = String::new();
    hub.stdout.read_to_string(&mut text).expect("UTF-8");
    let last = Json::parse(text.lines().last().expect("a line"));
    assert_eq!((last.str("event"), last.count("accepted")), ("summary", 200));
    assert_eq!(hub.child.wait().expect("it ends").code(), Some(0));
}

fn an_unread_ping_waits_for_its_reader(runtime: &str) {
    const COUNT: usize = 40_000;
    let hub = crate::sluis::Listen::start(runtime, &[]);
    let count = COUNT.to_string();
    let args = ["ping", HUB, &hub.addr, "--did", SENSOR, "--intent", "a", "--interval", "0", "--in-flight", "64"];
    let mut command = command(&[&args[..], &["--json", "--count", &count, "--runtime", runtime]].concat());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("sluis runs");
    thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().expect("it is ours").is_none(), "it waits for its reader");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let events: Vec<Json> = out.lines().map(|line| Json::parse(&line.expect("UTF-8"))).collect();
    let summary = events.last().expect("a summary");
    assert_eq!((summary.count("accept"), summary.count("lost_output")), (COUNT as u64, 0));
    assert_eq!((events.len(), child.wait().expect("it ends").code()), (COUNT + 1, Some(0)));
}
