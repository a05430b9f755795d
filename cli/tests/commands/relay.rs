//! Relays on loopback: a ping goes over three of them and its answer back, and who changed it is named.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluis_core::Wall;
use sluis_core::framing::{Frame, Message, Packet, Text};
use sluis_core::identity::SecretKey;
use sluis_core::relay::trace::{Deed, Trace, append, budget, ping_digest};

use crate::common::events::Speaker;
use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::common::process::Process;
use crate::on_both;
use crate::sluis::{HUB, Listen, SENSOR, command};

on_both! {
    a_ping_over_three_relays_is_answered_and_its_way_is_shown
    a_relay_that_changes_packets_is_named
    a_session_goes_over_relays
    a_hub_is_reached_over_a_relay_that_is_told_nothing_of_it
    a_relay_without_a_key_passes_on_legacy_packets_only_and_says_so
}

const RELAYS: [&str; 3] = ["east", "mid", "west"];

/// Keys of the hub, the sensor and three relays.
pub(crate) fn keys(name: &str, runtime: &str) -> Folder {
    let folder = Folder::new(&format!("relay-{name}-{runtime}"));
    for key in ["hub", "sensor", "east", "mid", "west"] {
        folder.prints(&["key", "new", &format!("{key}.key")]);
        folder.write(&format!("{key}.pub"), folder.prints(&["key", "export", &format!("{key}.key")]));
    }
    folder
}

pub(crate) fn path(folder: &Folder, name: &str) -> String {
    folder.0.join(name).to_str().expect("UTF-8").to_owned()
}

pub(crate) fn did(relay: &str) -> String {
    format!("jis:mesh:{relay}")
}

fn start_relay(runtime: &str, folder: &Folder, name: &str, peer: (&str, &str)) -> Listen {
    let (key, peer, name) = (path(folder, &format!("{name}.key")), format!("{}={}", peer.0, peer.1), did(name));
    let args = ["relay", "--json", "--runtime", runtime, "--did", &name, "--bind", "127.0.0.1:0"];
    let more = ["--key", &key, "--peer", &peer, "--allow", "jis:test:*"];
    let process = Process::spawn("sluis relay", &mut command(&[&args[..], &more].concat()));
    let mut relay = Listen { process, addr: String::new(), since: String::new() };
    let listening = relay.expect("listening");
    assert_eq!((listening.str("did"), listening.str("relays")), (&*name, "all"));
    relay.addr = listening.str("addr").to_owned();
    relay
}

fn start_hub(runtime: &str, folder: &Folder, more: &[&str]) -> Listen {
    let key = path(folder, "hub.key");
    let pins = RELAYS.map(|relay| format!("{}={}", did(relay), path(folder, &format!("{relay}.pub"))));
    let pins = pins.iter().flat_map(|pin| ["--pin", pin]);
    let usual = ["--bind", "127.0.0.1:0", "--trust", "jis:test:sensor=0.9", "--key", &key];
    Listen::bare(runtime, &usual.into_iter().chain(pins).chain(more.iter().copied()).collect::<Vec<_>>())
}

/// `sluis trace` to the hub over the relay at this address; how it ends, and what it says.
pub(crate) fn trace(runtime: &str, folder: &Folder, first: &str, more: &[&str]) -> (i32, Vec<Json>) {
    let (via, key) = (format!("{}@{first}", did("east")), path(folder, "sensor.key"));
    let mut pins: Vec<String> =
        RELAYS.iter().map(|relay| format!("{}={}", did(relay), path(folder, &format!("{relay}.pub")))).collect();
    pins.push(format!("{HUB}={}", path(folder, "hub.pub")));
    let pins = pins.iter().flat_map(|pin| ["--pin", pin]);
    let usual = ["trace", HUB, "--json", "--runtime", runtime, "--did", SENSOR, "--key", &key, "--via", &via];
    let args: Vec<&str> = usual.into_iter().chain(pins).chain(more.iter().copied()).collect();
    let (code, lines) = Process::spawn("sluis trace", &mut command(&args)).finish();
    (code, lines.iter().map(|line| Json::parse(line)).collect())
}

pub(crate) fn of<'a>(events: &'a [Json], name: &str) -> Vec<&'a Json> {
    events.iter().filter(|event| event.str("event") == name).collect()
}

fn a_ping_over_three_relays_is_answered_and_its_way_is_shown(runtime: &str) {
    let folder = keys("line", runtime);
    let sensor = format!("{SENSOR}={}", path(&folder, "sensor.pub"));
    let hub = start_hub(runtime, &folder, &["--pin", &sensor]);
    let west = start_relay(runtime, &folder, "west", (HUB, &hub.addr));
    let mid = start_relay(runtime, &folder, "mid", (&did("west"), &west.addr));
    let east = start_relay(runtime, &folder, "east", (&did("mid"), &mid.addr));

    let (via, key) = (format!("{}@{}", did("east"), east.addr), path(&folder, "sensor.key"));
    let args = ["ping", HUB, "--intent", "test.it", "--json", "--runtime", runtime, "--did", SENSOR];
    let mut ping = Process::spawn("sluis ping", &mut command(&[&args[..], &["--key", &key, "--via", &via]].concat()));
    let (code, lines) = ping.finish();
    let events: Vec<Json> = lines.iter().map(|line| Speaker::Ping.read(line)).collect();
    assert_eq!(code, 0, "{events:?}");
    assert_eq!(of(&events, "response")[0].str("decision"), "accept");
    let way = of(&events, "path")[0];
    assert_eq!((way.str("via"), way.count("hops")), ("relayed", 3));
    // The hub knows the way there, and that nobody changed anything.
    assert_eq!(hub.next_of("path").count("hops"), 3);

    let (code, events) = trace(runtime, &folder, &east.addr, &["--count", "3", "--interval", "50ms"]);
    assert_eq!(code, 0, "{events:?}");
    let hops = of(&events, "hop");
    let names = [did("east"), did("mid"), did("west"), HUB.to_owned()];
    assert_eq!(hops.len(), names.len(), "{events:?}");
    for (hop, name) in hops.iter().zip(&names) {
        // A record that found no room in the datagram takes its name along.
        let folded = hop.get("did") == &Json::Null && hop.str("verdict") == "folded";
        assert!(folded || hop.str("did") == name, "{events:?}");
    }
    assert!(hops.iter().all(|hop| matches!(hop.str("verdict"), "ok" | "folded")), "{events:?}");
    assert_eq!(hops.last().expect("the hub").count("n"), 4);
    assert!(of(&events, "tampered").is_empty() && of(&events, "path").len() == 3);
    assert_eq!(of(&events, "summary")[0].count("received"), 3);
    let graph = shows(runtime, &folder, &east.addr, "--dot");
    assert!(graph.starts_with("digraph path {") && graph.trim_end().ends_with('}'), "{graph}");
    for edge in [format!("\"{SENSOR}\" -> \"{}\" [label=", did("east")), format!(" -> \"{HUB}\" [label=")] {
        assert!(graph.contains(&edge), "{graph}");
    }
    // What found no room in the datagram is not unsigned.
    assert!(graph.matches(" -> ").count() == 4 && !graph.contains("unsigned"), "{graph}");
    let report = shows(runtime, &folder, &east.addr, "--report");
    let lines: Vec<&str> = report.lines().collect();
    let [title, rows @ .., summary] = &lines[..] else { panic!("{report}") };
    assert!(title.contains("hop") && rows.len() == 4 && rows[3].contains(HUB) && rows[3].contains("GROEN"), "{report}");
    assert_eq!(*summary, "2 sent, 2 answered, 0 found changed", "{report}");
    // Two hops fewer than it takes.
    let (code, _) = trace(runtime, &folder, &east.addr, &["--count", "1", "--max-hops", "2", "--timeout", "1"]);
    assert_eq!(code, 1);
    let last = west.addr.clone();
    for relay in [east, mid, west] {
        let is_west = relay.addr == last;
        let (_, summary) = relay.quit();
        let forwarded = summary.get("forwarded");
        let count = if is_west { 8 } else { 9 };
        assert_eq!((forwarded.count("count"), forwarded.count("answered")), (count, 8), "{summary:?}");
        let dropped = forwarded.get("dropped");
        assert_eq!(dropped.find("hop_limit").is_some(), is_west, "{summary:?}");
    }
    hub.quit();
}

/// What `sluis trace` shows to people, of two pings to the hub.
fn shows(runtime: &str, folder: &Folder, first: &str, how: &str) -> String {
    let (via, key) = (format!("{}@{first}", did("east")), path(folder, "sensor.key"));
    let hub = format!("{HUB}={}", path(folder, "hub.pub"));
    let args = ["--color", "never", "trace", HUB, "--runtime", runtime, "--did", SENSOR, "--key", &key, "--via", &via];
    let more = ["--pin", &hub, "--count", "2", "--interval", "50ms", how];
    let out = command(&[&args[..], &more].concat()).output().expect("sluis runs");
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// Nothing but what comes through a session is listened to, and the session goes over three relays.
fn a_session_goes_over_relays(runtime: &str) {
    let folder = keys("session", runtime);
    let sensor = format!("{SENSOR}={}", path(&folder, "sensor.pub"));
    let hub = start_hub(runtime, &folder, &["--pin", &sensor, "--require", "session"]);
    let west = start_relay(runtime, &folder, "west", (HUB, &hub.addr));
    let mid = start_relay(runtime, &folder, "mid", (&did("west"), &west.addr));
    let east = start_relay(runtime, &folder, "east", (&did("mid"), &mid.addr));
    let (via, key) = (format!("{}@{}", did("east"), east.addr), path(&folder, "sensor.key"));
    let pin = path(&folder, "hub.pub");
    let args = ["ping", HUB, "--intent", "test.it", "--json", "--runtime", runtime, "--did", SENSOR, "--key", &key];
    let more = ["--via", &via, "--pin", &pin, "--session", "require", "--count", "40", "--interval", "100ms"];
    let (code, lines) = Process::spawn("sluis ping", &mut command(&[&args[..], &more].concat())).finish();
    let events: Vec<Json> = lines.iter().map(|line| Speaker::Ping.read(line)).collect();
    assert_eq!(code, 0, "{events:?}");
    let responses = of(&events, "response");
    assert!(responses.len() == 40 && responses.iter().all(|answer| answer.str("auth") == "session"), "{events:?}");
    // The first answer may be overtaken by the direct path that is found meanwhile; its ping went over the relays.
    let first = responses[0].str("from");
    assert!(first == east.addr || first == hub.addr, "{events:?}");
    // The hub says where it is, and the session goes on without the relays.
    let ways: Vec<_> = of(&events, "path").iter().map(|path| path.str("via").to_owned()).collect();
    assert_eq!(ways, ["relayed", "direct"], "{events:?}");
    assert_eq!(responses[39].str("from"), hub.addr);
    assert_eq!(hub.next_of("ping").str("auth"), "session");
    for relay in [east, mid, west] {
        let (_, summary) = relay.quit();
        let forwarded = summary.get("forwarded");
        assert_eq!((forwarded.count("count"), forwarded.count("answered")), (1, 1), "{summary:?}");
    }
    hub.quit();
}

/// The hub asks the relay to be passed on to, wherever it is: the relay knows nothing but its key.
fn a_hub_is_reached_over_a_relay_that_is_told_nothing_of_it(runtime: &str) {
    let folder = keys("reserved", runtime);
    let (key, hub_key) = (path(&folder, "east.key"), format!("{HUB}={}", path(&folder, "hub.pub")));
    let trust = format!("{HUB}=0.9");
    let args = ["relay", "--json", "--runtime", runtime, "--did", &did("east"), "--bind", "127.0.0.1:0"];
    let more = ["--key", &key, "--allow", "jis:test:*", "--pin", &hub_key, "--trust", &trust];
    let process = Process::spawn("sluis relay", &mut command(&[&args[..], &more].concat()));
    let mut east = Listen { process, addr: String::new(), since: String::new() };
    east.addr = east.expect("listening").str("addr").to_owned();
    let (sensor, via) = (format!("{SENSOR}={}", path(&folder, "sensor.pub")), format!("{}@{}", did("east"), east.addr));
    for _ in 0..2 {
        // At another port each time.
        let hub = start_hub(runtime, &folder, &["--pin", &sensor, "--via", &via]);
        assert_eq!(hub.next_of("reservation").count("lasts_s"), 3600);
        let (key, pin) = (path(&folder, "sensor.key"), path(&folder, "hub.pub"));
        let args = ["ping", HUB, "--intent", "test.it", "--json", "--runtime", runtime, "--did", SENSOR, "--key", &key];
        let more = ["--via", &via, "--pin", &pin, "--session", "require"];
        let (code, lines) = Process::spawn("sluis ping", &mut command(&[&args[..], &more].concat())).finish();
        assert_eq!(code, 0, "{lines:?}");
        hub.quit();
    }
    east.quit();
    let said = folder.fails(2, &["listen", "--did", HUB, "--bind", "127.0.0.1:0", "--key", "hub.key", "--via", &via]);
    assert!(said.contains("add --pin"), "{said}");
}

/// A relay in the place of another: it changes the purpose of pings and says so in its record, since whoever signs has to.
pub(crate) struct Tamperer {
    pub(crate) addr: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tamperer {
    pub(crate) fn start(name: String, key: SecretKey, bind: &str, next: SocketAddr) -> Self {
        let socket = UdpSocket::bind(bind).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let (addr, ended) = (socket.local_addr().expect("an address"), Arc::new(AtomicBool::new(false)));
        let end = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let (mut buffer, mut before) = (vec![0; 65_536], None);
            while !end.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                let bytes = &buffer[..len];
                match Frame::decode(bytes) {
                    Ok(Frame { message: Message::Packet(packet), encoding }) => {
                        before = Some(from);
                        let after = Packet {
                            purpose: Text::new("something else"),
                            hop_count: packet.hop_count + 1,
                            proof: None,
                            ..packet
                        };
                        let mut out = vec![0; 65_536];
                        let len = after.encode(encoding, &mut out).expect("it fits");
                        out.truncate(len);
                        out.extend(record(&name, &key, (&packet, &after), bytes, len));
                        socket.send_to(&out, next).expect("loopback takes it");
                    }
                    _ => _ = before.map(|before| socket.send_to(bytes, before)),
                }
            }
        });
        Self { addr, ended, thread: Some(thread) }
    }
}

impl Drop for Tamperer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn record(
    name: &str,
    key: &SecretKey,
    (before, after): (&Packet<'_>, &Packet<'_>),
    bytes: &[u8],
    len: usize,
) -> Vec<u8> {
    let mut scratch = vec![0; 65_536];
    let [received, passed] = [before, after].map(|packet| ping_digest(packet, &mut scratch).expect("JSON"));
    let deed = Deed::Passed { received: &received, passed: &passed, hop_count: Some(before.hop_count), from: None };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let wall = Wall::from_micros(i64::try_from(since.as_micros()).expect("before 292277"));
    let mut records = vec![0; 2048];
    let (_, trace) = Trace::split(bytes);
    let trace = trace.expect("a trace is asked for");
    let len = append(Some(trace), (name, wall), &deed, key, budget(len), &mut records).expect("room").len;
    records.truncate(len);
    records
}

fn a_relay_that_changes_packets_is_named(runtime: &str) {
    let folder = keys("tamper", runtime);
    // A key of its own, which the others know.
    let secret = SecretKey::from_seed(&[7; 32]);
    folder.write("mid.pub", format!("{}\n", secret.public()));
    let hub = start_hub(runtime, &folder, &["--allow-legacy"]);
    let west = start_relay(runtime, &folder, "west", (HUB, &hub.addr));
    let mid = Tamperer::start(did("mid"), secret, "127.0.0.1:0", west.addr.parse().expect("an address"));
    let east = start_relay(runtime, &folder, "east", (&did("mid"), &mid.addr.to_string()));

    let (code, events) = trace(runtime, &folder, &east.addr, &["--count", "1", "--timeout", "2"]);
    assert_eq!(code, 1, "{events:?}");
    let tampered = of(&events, "tampered");
    assert!(!tampered.is_empty(), "{events:?}");
    assert!(tampered.iter().all(|found| found.str("relay") == did("mid")), "{events:?}");
    // The answer was to another question, and does not count.
    assert_eq!(of(&events, "summary")[0].count("received"), 0);
    let told = hub.next_of("tampered");
    assert_eq!((told.str("relay"), told.str("field")), (did("mid").as_str(), "content"));
    east.quit();
    west.quit();
    hub.quit();
}

/// Of who never answers there is a row all the same.
#[test]
fn who_answers_nothing_is_silent() {
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let addr = nobody.local_addr().expect("an address").to_string();
    let args =
        ["trace", HUB, &addr, "--json", "--did", SENSOR, "--count", "2", "--interval", "50ms", "--timeout", "0.3"];
    let (code, lines) = Process::spawn("sluis trace", &mut command(&args)).finish();
    let events: Vec<Json> = lines.iter().map(|line| Json::parse(line)).collect();
    let hops = of(&events, "hop");
    assert_eq!((code, of(&events, "timeout").len(), hops.len()), (1, 2, 1), "{events:?}");
    assert_eq!(
        (hops[0].str("did"), hops[0].str("verdict"), hops[0].number("loss")),
        (HUB, "silent", 1.0),
        "{events:?}"
    );
    assert!([hops[0].get("n"), hops[0].get("addr"), hops[0].get("rtt_ms")].iter().all(|it| **it == Json::Null));
    assert_eq!(of(&events, "summary")[0].count("received"), 0);
}

fn a_relay_without_a_key_passes_on_legacy_packets_only_and_says_so(runtime: &str) {
    let folder = keys("keyless", runtime);
    let hub = start_hub(runtime, &folder, &["--allow-legacy"]);
    let (peer, name) = (format!("{HUB}={}", hub.addr), did("east"));
    let args = ["relay", "--json", "--runtime", runtime, "--did", &name, "--bind", "127.0.0.1:0"];
    let more = ["--peer", &peer, "--allow", "jis:test:*"];
    let process = Process::spawn("sluis relay", &mut command(&[&args[..], &more].concat()));
    let relay = Listen { process, addr: String::new(), since: String::new() };
    let listening = relay.expect("listening");
    assert_eq!(listening.str("relays"), "legacy");
    relay.process.wait_for_stderr("this relay has no key");

    let (via, key) = (format!("{name}@{}", listening.str("addr")), path(&folder, "sensor.key"));
    let usual = ["ping", HUB, "--intent", "test.it", "--json", "--runtime", runtime, "--did", SENSOR, "--via", &via];
    let ping = |more: &[&str]| Process::spawn("sluis ping", &mut command(&[&usual[..], more].concat())).finish().0;
    assert_eq!(ping(&[]), 0);
    assert_eq!(ping(&["--key", &key, "--timeout", "1"]), 1, "a signed ping goes nowhere");
    let rejected = relay.next_of("rejected");
    assert_eq!((rejected.str("reason"), rejected.count("count")), ("keyless", 1));
    let (_, summary) = relay.quit();
    let forwarded = summary.get("forwarded");
    assert_eq!((forwarded.count("count"), forwarded.count("answered")), (1, 1), "{summary:?}");
    assert_eq!(forwarded.get("dropped").count("keyless"), 1, "{summary:?}");
    hub.quit();
}
