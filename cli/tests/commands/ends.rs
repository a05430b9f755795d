//! How the commands end.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::folder::Folder;
use crate::common::process::Process;
use crate::on_both;
use crate::sluis::{HUB, Listen, Ping, SENSOR, assert_counts, command};

on_both! {
    signals_end_with_the_summary
    a_duration_ends_it
    the_end_of_input_does_not_end_it
    a_port_in_use_is_named
    quiet_prints_the_summary_only
    nobody_at_the_other_end
    a_hint_is_no_answer
    what_cannot_leave_is_said_at_once
    a_service_manager_is_told
}

/// Without leave to broadcast the system refuses at once: that is said with its reason, and counts as not sent.
fn what_cannot_leave_is_said_at_once(runtime: &str) {
    let start = Instant::now();
    let (code, events, summary) = Ping::start(runtime, SENSOR, "255.255.255.255:7150", &["--timeout", "50"]).finish();
    assert!(start.elapsed() < Duration::from_secs(40) && code == 1, "{code}");
    assert_eq!((events.len(), events[0].str("event"), events[0].count("seq")), (1, "unsent", 1));
    assert_eq!(events[0].str("reason"), "sending there is not permitted");
    assert_counts(&summary, &[("sent", 0), ("received", 0), ("lost", 0)]);
}

/// What systemd wants to hear of a unit with `Type=notify` and `WatchdogSec=`.
fn a_service_manager_is_told(runtime: &str) {
    let folder = Folder::new(&format!("notify-{runtime}"));
    let place = folder.0.join("socket");
    let manager = UnixDatagram::bind(&place).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let heard = || {
        let mut buf = [0; 64];
        let len = manager.recv(&mut buf).expect("it says something");
        String::from_utf8_lossy(&buf[..len]).into_owned()
    };
    let mut command = command(&["listen", "--json", "--runtime", runtime, "--did", HUB, "--bind", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &place).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    let mut listen = Process::spawn("sluis listen", &mut command);
    assert_eq!(heard(), "READY=1");
    for _ in 0..3 {
        assert_eq!(heard(), "WATCHDOG=1");
    }
    listen.signal("TERM");
    while heard() != "STOPPING=1" {}
    assert_eq!(listen.finish().0, 0);
}

fn signals_end_with_the_summary(runtime: &str) {
    for signal in ["INT", "TERM"] {
        let listen = Listen::start(runtime, &[]);
        let done = ["--count", "1"];
        assert_eq!(Ping::start(runtime, SENSOR, &listen.addr, &done).finish().0, 0);
        listen.expect("ping");
        let ping = Ping::start(runtime, SENSOR, &listen.addr, &["--count", "100", "--interval", "60"]);
        ping.expect("response");
        ping.0.signal(signal);
        let (code, events, summary) = ping.finish();
        assert!(code == 1 && events.is_empty(), "not every ping was sent: {code} {events:?}");
        assert_counts(&summary, &[("sent", 1), ("received", 1), ("lost", 0), ("accept", 1)]);
        listen.expect("ping");
        listen.process.signal(signal);
        let (events, summary) = listen.finish();
        assert!(events.is_empty());
        assert_counts(&summary, &[("received", 2), ("accepted", 2)]);
    }
}

fn a_duration_ends_it(runtime: &str) {
    let start = Instant::now();
    let listen = Listen::start(runtime, &["--duration", "0.5"]);
    assert!(!listen.since.starts_with("1970"), "the first line bears the time, too: {}", listen.since);
    let (events, summary) = listen.finish();
    assert!(start.elapsed() >= Duration::from_millis(500) && events.is_empty());
    assert!(summary.number("elapsed_s") >= 0.5, "{summary:?}");
    assert_counts(&summary, &[("received", 0), ("accepted", 0), ("pending", 0)]);
}

fn the_end_of_input_does_not_end_it(runtime: &str) {
    let mut listen = Listen::start(runtime, &["--count", "2"]);
    listen.process.close_stdin();
    for _ in 0..2 {
        assert_eq!(Ping::start(runtime, SENSOR, &listen.addr, &["--count", "1"]).finish().0, 0);
    }
    let (_, summary) = listen.finish();
    assert_counts(&summary, &[("accepted", 2)]);
}

fn a_port_in_use_is_named(runtime: &str) {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let addr = taken.local_addr().expect("an address").to_string();
    let (_, port) = addr.rsplit_once(':').expect("a port");
    let listen = ["listen", "--did", HUB, "--bind", &addr, "--runtime", runtime, "--json"];
    let ping = ["ping", HUB, "127.0.0.1:9", "--intent", "x", "--bind", &addr, "--runtime", runtime, "--json"];
    for args in [&listen[..], &ping] {
        let out = command(args).stdin(Stdio::null()).output().expect("sluis runs");
        let said = String::from_utf8(out.stderr).expect("UTF-8");
        assert_eq!((out.status.code(), out.stdout.len(), said.lines().count()), (Some(1), 0, 1), "{said}");
        assert!(said.contains(&format!("port {port} is in use")) && said.contains("choose another port"), "{said}");
    }
}

fn quiet_prints_the_summary_only(runtime: &str) {
    // Where it listens is not said, so the port is chosen beforehand.
    let probe = UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address").to_string();
    let args =
        ["listen", "--did", HUB, "--bind", &probe, "--trust", "jis:test:sensor=0.9", "--allow-legacy", "--quiet"];
    let rest = ["--json", "--count", "3", "--runtime", runtime, "-v"];
    let mut listen = Process::spawn("sluis listen", &mut command(&[&args[..], &rest].concat()));
    // With -v standard error says when it listens.
    let start = Instant::now();
    while !listen.stderr().contains(&probe) {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    let args = ["--count", "3", "--interval", "0", "--quiet"];
    let (code, events, summary) = Ping::start(runtime, SENSOR, &probe, &args).finish();
    assert!(code == 0 && events.is_empty(), "{events:?}");
    assert_counts(&summary, &[("received", 3)]);
    let (code, lines) = listen.finish();
    assert_eq!((code, lines.len()), (0, 1), "{lines:?}");
    assert!(
        lines[0].starts_with(r#"{"event":"summary","received":3,"accepted":3,"pending":0,"rejected":{},"#),
        "{lines:?}"
    );
}

fn nobody_at_the_other_end(runtime: &str) {
    let free = UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address").to_string();
    if cfg!(target_os = "linux") {
        let one = Ping::start(runtime, SENSOR, &free, &["--timeout", "60"]);
        one.expect("hint");
        one.0.signal("TERM");
        one.finish();
    }
    let args = ["--count", "2", "--interval", "0.05", "--timeout", "0.5"];
    let (code, events, summary) = Ping::start(runtime, SENSOR, &free, &args).finish();
    assert_eq!(code, 1);
    let (hints, others): (Vec<_>, Vec<_>) = events.iter().partition(|event| event.str("event") == "hint");
    assert!(others.iter().all(|event| event.str("event") == "timeout") && others.len() == 2, "{events:?}");
    assert_counts(&summary, &[("sent", 2), ("lost", 2)]);
    if cfg!(target_os = "linux") {
        let [hint] = hints[..] else { panic!("one hint: {events:?}") };
        assert_eq!((hint.str("reason"), hint.str("addr")), ("port_unreachable", &*free));
    }
}

/// What ICMP says ends nothing and loses nothing: who listens there a moment later hears the next ping.
fn a_hint_is_no_answer(runtime: &str) {
    if !cfg!(target_os = "linux") {
        return eprintln!("ONLY LINUX TELLS OF PORTS THAT NOBODY LISTENS ON: not tried here");
    }
    let free = UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address");
    let args = ["--count", "0", "--in-flight", "1000", "--interval", "0.05", "--timeout", "60"];
    let ping = Ping::start(runtime, SENSOR, &free.to_string(), &args);
    ping.expect("hint");
    let hub = UdpSocket::bind(free).expect("the port is free");
    hub.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    let (len, _) = hub.recv_from(&mut [0; 2000]).expect("a ping");
    assert!(len > 100, "{len}");
    ping.0.signal("TERM");
    let (code, events, _) = ping.finish();
    assert!(code == 1 && events.is_empty(), "{code} {events:?}");
}
