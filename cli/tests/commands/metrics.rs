//! `--metrics`: what a monitoring system sees of a node, and who cannot keep it from that.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::common::events::Speaker;
use crate::common::folder::Folder;
use crate::common::process::Process;
use crate::on_both;
use crate::sluis::{HUB, Listen, Ping, SENSOR, command};

on_both! {
    sessions_and_their_handshakes_are_counted
    counters_move_with_the_pings
    a_relay_shows_what_it_passes_on_and_whose_quota_is_used_up
    nobody_keeps_a_scraper_out
}

/// A node that serves its metrics, and where.
fn start(command_name: &str, runtime: &str, args: &[&str]) -> (Listen, String) {
    let usual = [command_name, "--json", "--runtime", runtime, "--bind", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
    let process = Process::spawn("sluis", &mut command(&[&usual, args].concat()));
    let listening = Speaker::Listen.read(&process.line());
    assert_eq!(listening.str("event"), "listening");
    let metrics = listening.str("metrics").to_owned();
    (Listen { process, addr: listening.str("addr").to_owned(), since: String::new() }, metrics)
}

const HUB_ARGS: &[&str] = &["--did", HUB, "--trust", "jis:test:sensor=0.9", "--allow-legacy"];

/// An answer: status, header, body.
struct Answer(u16, String, String);

impl Answer {
    fn read(mut from: TcpStream) -> Self {
        from.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let mut all = String::new();
        from.read_to_string(&mut all).expect("an answer to its end");
        let (head, body) = all.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {all:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Self(status.unwrap_or_else(|| panic!("no status: {head}")), head.to_lowercase(), body.to_owned())
    }

    fn to(addr: &str, request: &str) -> Self {
        let mut stream = TcpStream::connect(addr).expect("somebody listens");
        stream.write_all(request.as_bytes()).expect("it is taken");
        Self::read(stream)
    }

    fn get(addr: &str, path: &str) -> Self {
        Self::to(addr, &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n"))
    }
}

/// Every sample, as one that reads OpenMetrics strictly: each belongs to a family that was described before, and none stands twice.
fn scrape(addr: &str) -> BTreeMap<String, f64> {
    let Answer(status, head, body) = Answer::get(addr, "/metrics");
    assert_eq!(status, 200, "{body}");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    let body = body.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("cut off: {body}"));
    let (mut samples, mut families, mut family) = (BTreeMap::new(), Vec::new(), String::new());
    for line in body.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            let mut words = about.split(' ');
            let (kind, name) = (words.next().expect("a kind"), words.next().expect("a name"));
            if kind == "HELP" {
                assert!(!families.iter().any(|known| known == name), "{name} stands twice");
                families.push(name.to_owned());
                name.clone_into(&mut family);
            }
            assert_eq!(name, family, "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample");
        assert!(name.starts_with(&family) && name.starts_with("sluis_"), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
    }
    samples
}

#[track_caller]
fn value(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    *samples.get(name).unwrap_or_else(|| panic!("no {name} in {samples:#?}"))
}

fn counters_move_with_the_pings(runtime: &str) {
    let folder = Folder::new(&format!("metrics-{runtime}"));
    let state = folder.0.join("state");
    let (hub, metrics) = start("listen", runtime, &[HUB_ARGS, &["--state", state.to_str().expect("UTF-8")]].concat());
    assert_eq!(Answer::get(&metrics, "/healthz").0, 200);
    let before = scrape(&metrics);
    let accepted = "sluis_datagrams_total{outcome=\"accepted\"}";
    let rood = "sluis_rejected_datagrams_total{reason=\"rood\"}";
    assert_eq!((value(&before, accepted), value(&before, rood)), (0.0, 0.0));

    let (code, ..) = Ping::start(runtime, SENSOR, &hub.addr, &["--count", "3", "--interval", "0"]).finish();
    assert_eq!(code, 0);
    let (code, ..) = Ping::start(runtime, "jis:test:stranger", &hub.addr, &["--timeout", "500ms"]).finish();
    assert_eq!(code, 1);

    let after = scrape(&metrics);
    assert_eq!((value(&after, accepted), value(&after, rood)), (3.0, 1.0));
    assert_eq!(value(&after, "sluis_received_datagrams_total"), 4.0);
    assert_eq!(value(&after, "sluis_table_entries{table=\"peers\"}"), 1.0);
    let proven = value(&after, "sluis_peers{address=\"proven\"}") + value(&after, "sluis_peers{address=\"unproven\"}");
    assert_eq!(proven, 1.0);
    let by_path = |path: &str| value(&after, &format!("sluis_peers_by_path{{path=\"{path}\"}}"));
    assert_eq!((by_path("direct"), by_path("relayed")), (1.0, 0.0));
    assert!(value(&after, "sluis_store_commit_seconds_count") >= 1.0);
    assert_eq!(value(&after, "sluis_store_commit_failures_total"), 0.0);
    assert_eq!(value(&after, "sluis_lost_output_lines_total"), 0.0);
    for (name, entries) in after.iter().filter(|(name, _)| name.starts_with("sluis_table_entries")) {
        assert!(*entries <= value(&after, &name.replace("entries", "capacity")), "{name}");
    }
    hub.quit();
}

fn a_relay_shows_what_it_passes_on_and_whose_quota_is_used_up(runtime: &str) {
    let hub = Listen::start(runtime, &[]);
    let (did, peer) = ("jis:mesh:east", format!("{HUB}={}", hub.addr));
    let (relay, metrics) = start(
        "relay",
        runtime,
        &["--did", did, "--allow-legacy", "--allow", "jis:test:*", "--peer", &peer, "--rate", "1/1"],
    );
    let via = format!("{did}@{}", relay.addr);
    let args = ["ping", HUB, "--via", &via, "--runtime", runtime, "--did", SENSOR, "--intent", "test.it", "--quiet"];
    let flood = ["--count", "5", "--interval", "0", "--in-flight", "5", "--timeout", "1"];
    let (code, _) = Process::spawn("sluis ping", &mut command(&[&args[..], &flood].concat())).finish();
    assert_eq!(code, 1, "most of them are beyond the quota");
    let samples = scrape(&metrics);
    let passed = value(&samples, "sluis_relayed_total{kind=\"ping\"}");
    assert!(passed >= 1.0 && value(&samples, "sluis_relayed_total{kind=\"answer\"}") == passed, "{samples:#?}");
    let beyond = value(&samples, "sluis_relay_quota_hits_total{quota=\"source\"}");
    assert_eq!(value(&samples, "sluis_relay_dropped_total{reason=\"source_quota\"}"), beyond);
    assert_eq!(passed + beyond, 5.0);
    assert!(value(&samples, "sluis_table_entries{table=\"relay_seen\"}") >= 1.0);
    relay.quit();
    hub.quit();
}

fn sessions_and_their_handshakes_are_counted(runtime: &str) {
    let folder = Folder::new(&format!("metrics-sessions-{runtime}"));
    for key in ["hub", "sensor"] {
        folder.prints(&["key", "new", &format!("{key}.key")]);
        folder.write(&format!("{key}.pub"), folder.prints(&["key", "export", &format!("{key}.key")]));
    }
    let path = |name: &str| folder.0.join(name).to_str().expect("UTF-8").to_owned();
    let (key, pin) = (path("hub.key"), format!("{SENSOR}={}", path("sensor.pub")));
    let (hub, metrics) = start("relay", runtime, &[HUB_ARGS, &["--key", &key, "--pin", &pin]].concat());
    // A family for each thing that an operator is told of.
    let before = scrape(&metrics);
    for family in [
        "sluis_datagrams_total{",
        "sluis_table_entries{table=\"transmits\"",
        "sluis_table_entries{table=\"events\"",
        "sluis_table_capacity{table=\"events\"",
        "sluis_table_capacity{table=\"relay_unproven\"",
        "sluis_peers_by_path{",
        "sluis_table_entries{table=\"sessions\"",
        "sluis_handshakes_total{",
        "sluis_relay_quota_hits_total{",
        "sluis_store_commit_seconds_bucket",
        "sluis_lost_output_lines_total",
    ] {
        assert!(before.keys().any(|name| name.starts_with(family)), "no {family} in {before:#?}");
    }
    let (key, pin) = (path("sensor.key"), path("hub.pub"));
    let args = ["--key", &key, "--pin", &pin, "--session", "require", "--count", "2", "--interval", "0"];
    let (code, ..) = Ping::start(runtime, SENSOR, &hub.addr, &args).finish();
    assert_eq!(code, 0);
    let after = scrape(&metrics);
    assert_eq!(value(&after, "sluis_handshakes_total{role=\"responder\"}"), 1.0);
    assert_eq!(value(&after, "sluis_handshakes_total{role=\"initiator\"}"), 0.0);
    let ended = after.iter().filter(|(name, _)| name.starts_with("sluis_session_changes_total{state=\"down\""));
    let ended = ended.map(|(_, n)| n).sum::<f64>();
    assert_eq!(value(&after, "sluis_table_entries{table=\"sessions\"}") + ended, 1.0, "{after:#?}");
    hub.quit();
}

fn nobody_keeps_a_scraper_out(runtime: &str) {
    let (hub, metrics) = start("listen", runtime, HUB_ARGS);
    let connect = || TcpStream::connect(&metrics).expect("somebody listens");
    let with = |bytes: &[u8]| {
        let mut stream = connect();
        stream.write_all(bytes).expect("it is taken");
        stream
    };
    // Who says nothing, who stops half way, and who asks and never reads: none of them hangs up.
    let silent: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    let halves: Vec<TcpStream> = (0..40).map(|_| with(b"GET /metrics HTTP/1.1\r\nHo")).collect();
    let deaf: Vec<TcpStream> = (0..40).map(|_| with(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    let garbage = with(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 nonsense\r\n\r\n");
    assert_eq!(Answer::read(garbage).0, 400);
    let mut long = b"GET /metrics HTTP/1.1\r\nA: ".to_vec();
    long.resize(64 * 1024, b'a');
    let mut endless = connect();
    // It may hang up while it is told all that.
    let _ = endless.write_all(&long);
    let _ = endless.read(&mut [0; 64]);
    assert_eq!(Answer::get(&metrics, "/healthz").0, 200);
    scrape(&metrics);

    let (code, ..) = Ping::start(runtime, SENSOR, &hub.addr, &["--count", "2", "--interval", "0"]).finish();
    assert_eq!(code, 0);
    assert_eq!(value(&scrape(&metrics), "sluis_datagrams_total{outcome=\"accepted\"}"), 2.0);

    assert_eq!(Answer::get(&metrics, "/secrets").0, 404);
    let Answer(status, head, _) =
        Answer::to(&metrics, "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert!(status == 405 && head.contains("allow: get, head"), "{head}");
    let Answer(status, head, body) = Answer::to(&metrics, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(status == 200 && head.contains("content-length: ") && body.is_empty(), "{head}");
    drop((silent, halves, deaf));
    hub.quit();
}

#[test]
fn a_port_that_is_taken_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address").to_string();
    let folder = Folder::new("metrics-taken");
    let said =
        folder.fails(1, &["listen", "--did", HUB, "--bind", "127.0.0.1:0", "--metrics", &addr, "--state", "state"]);
    assert!(said.contains(&format!("--metrics: cannot listen on {addr}")) && said.contains("choose another"), "{said}");
    assert!(!folder.exists("state"), "a node that never listened leaves nothing");
    assert!(
        folder.fails(2, &["listen", "--did", HUB, "--metrics", "9150"]).contains("--metrics `9150`: write HOST:PORT")
    );
}

/// A node that stands still says nothing, and is itself again afterwards.
#[cfg(unix)]
#[test]
fn a_node_that_stands_still_is_not_healthy() {
    let (hub, metrics) = start("listen", "tokio", HUB_ARGS);
    hub.process.signal("STOP");
    let mut stream = TcpStream::connect(&metrics).expect("the system answers");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("the system takes it");
    stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    assert!(stream.read(&mut [0; 1]).is_err(), "nobody is there to answer");
    hub.process.signal("CONT");
    assert_eq!(Answer::read(stream).0, 200);
    hub.quit();
}
