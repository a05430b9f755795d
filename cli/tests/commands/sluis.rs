//! The binary under test.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluis_core::Wall;
use sluis_core::framing::{Encoding, Packet, PingType, Priority, RoutingMode, Text, Value};
use sluis_core::time::iso;

use crate::common::events::Speaker;
use crate::common::json::Json;
use crate::common::process::Process;

/// The name of `sluis listen` in these tests.
pub(crate) const HUB: &str = "jis:test:hub";
/// Trusted by it.
pub(crate) const SENSOR: &str = "jis:test:sensor";
/// Half trusted by it.
pub(crate) const DOOR: &str = "jis:test:door";

/// `sluis` with these arguments.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluis"));
    command.args(args).env_remove("NO_COLOR");
    command
}

/// A running `sluis listen --json`, whose every line is checked.
pub(crate) struct Listen {
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) addr: String,
    /// The time that its first line bears.
    pub(crate) since: String,
}

impl Listen {
    /// A hub on loopback that trusts the sensor, and the door half.
    pub(crate) fn start(runtime: &str, args: &[&str]) -> Self {
        let usual = ["--bind", "127.0.0.1:0", "--trust", "jis:test:sensor=0.9", "--trust", "jis:test:door=0.5"];
        Self::bare(runtime, &[&usual[..], &["--allow-legacy"], args].concat())
    }

    pub(crate) fn bare(runtime: &str, args: &[&str]) -> Self {
        let args = [&["listen", "--json", "--runtime", runtime, "--did", HUB], args].concat();
        let mut listen = Self {
            process: Process::spawn("sluis listen", &mut command(&args)),
            addr: String::new(),
            since: String::new(),
        };
        let listening = listen.next();
        assert_eq!((listening.str("event"), listening.str("did")), ("listening", HUB));
        listen.addr = listening.str("addr").to_owned();
        listen.since = listening.str("t").to_owned();
        listen
    }

    /// The next event.
    pub(crate) fn next(&self) -> Json {
        Speaker::Listen.read(&self.process.line())
    }

    /// The next event, which must have this name.
    #[track_caller]
    pub(crate) fn expect(&self, name: &str) -> Json {
        let event = self.next();
        if event.str("event") != name {
            self.process.fail(&format!("was expected to say {name:?}"));
        }
        event
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr.parse().expect("an address")
    }

    /// It ends: the other events, the summary (which comes last), and exit code 0.
    pub(crate) fn finish(mut self) -> (Vec<Json>, Json) {
        let (code, lines) = self.process.finish();
        let mut events: Vec<Json> = lines.iter().map(|line| Speaker::Listen.read(line)).collect();
        match events.pop() {
            Some(summary) if summary.str("event") == "summary" && code == 0 => (events, summary),
            _ => self.process.fail(&format!("ended with {code} instead of a summary and 0")),
        }
    }

    /// `quit` it.
    pub(crate) fn quit(mut self) -> (Vec<Json>, Json) {
        self.process.say("quit");
        self.finish()
    }
}

/// A running `sluis ping --json`, whose every line is checked.
pub(crate) struct Ping(pub(crate) Process);

impl Ping {
    pub(crate) fn start(runtime: &str, did: &str, addr: &str, args: &[&str]) -> Self {
        let usual = ["ping", HUB, addr, "--json", "--runtime", runtime, "--did", did];
        let intent = if args.contains(&"--intent") { &[][..] } else { &["--intent", "test.it"] };
        Self(Process::spawn("sluis ping", &mut command(&[&usual, intent, args].concat())))
    }

    /// The next event, which must have this name.
    #[track_caller]
    pub(crate) fn expect(&self, name: &str) -> Json {
        let event = Speaker::Ping.read(&self.0.line());
        if event.str("event") != name {
            self.0.fail(&format!("was expected to say {name:?}"));
        }
        event
    }

    /// It ends: the exit code, the other events, and the summary, which comes last.
    pub(crate) fn finish(mut self) -> (i32, Vec<Json>, Json) {
        let (code, lines) = self.0.finish();
        let mut events: Vec<Json> = lines.iter().map(|line| Speaker::Ping.read(line)).collect();
        match events.pop() {
            Some(summary) if summary.str("event") == "summary" => (code, events, summary),
            _ => self.0.fail(&format!("ended with {code} and no summary")),
        }
    }
}

/// These counts of an event.
#[track_caller]
pub(crate) fn assert_counts(event: &Json, counts: &[(&str, u64)]) {
    for (key, n) in counts {
        assert_eq!(event.count(key), *n, "`{key}` of {event:?}");
    }
}

/// What was turned away, by reason.
#[track_caller]
pub(crate) fn assert_rejected(summary: &Json, reasons: &[(&str, i64)]) {
    let expected = reasons.iter().map(|(why, n)| ((*why).to_owned(), Json::int(*n))).collect();
    assert_eq!(summary.get("rejected"), &Json::Object(expected), "{summary:?}");
}

/// A sender that says what it likes.
pub(crate) struct Raw {
    pub(crate) socket: UdpSocket,
    to: SocketAddr,
}

impl Raw {
    pub(crate) fn new(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        Self { socket, to }
    }

    /// Where it sends to.
    pub(crate) const fn to(&self) -> SocketAddr {
        self.to
    }

    pub(crate) fn send(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.to).expect("loopback takes it");
    }

    /// Send it, and wait for an answer; its size.
    pub(crate) fn ask(&self, datagram: &[u8]) -> std::io::Result<usize> {
        self.send(datagram);
        let mut answer = [0; 65_536];
        loop {
            match self.socket.recv(&mut answer) {
                // A signal, or a debugger, came in between.
                Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
                answered => return answered,
            }
        }
    }

    /// A ping frame as any sender might write it.
    pub(crate) fn frame(source: &str, packet_id: &str, intent: &str, nonce: &str) -> Vec<u8> {
        Self::frame_with(source, packet_id, intent, nonce, Value::EMPTY_OBJECT)
    }

    /// The same with a payload.
    pub(crate) fn frame_with(source: &str, packet_id: &str, intent: &str, nonce: &str, payload: Value<'_>) -> Vec<u8> {
        Self::frame_at(Duration::ZERO, source, packet_id, intent, nonce, payload)
    }

    /// The same by a clock that is ahead.
    pub(crate) fn frame_at(
        ahead: Duration,
        source: &str,
        packet_id: &str,
        intent: &str,
        nonce: &str,
        payload: Value<'_>,
    ) -> Vec<u8> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + ahead;
        let wall = Wall::from_micros(i64::try_from(since.as_micros()).expect("before 292277"));
        let mut stamp = [0; 32];
        let packet = Packet {
            packet_id: Text::new(packet_id),
            source_did: Text::new(source),
            target_did: Text::new(HUB),
            ping_type: PingType::Intent,
            priority: Priority::Normal,
            routing_mode: RoutingMode::Direct,
            intent: Text::new(intent),
            purpose: Text::EMPTY,
            payload,
            pod_id: None,
            station_id: None,
            hop_count: 0,
            max_hops: 5,
            nonce: Text::new(nonce),
            timestamp: Text::new(iso::format(wall, &mut stamp)),
            tibet_token_id: None,
            vouched_by: None,
            vouch_signature: None,
            signature: Text::EMPTY,
            proof: None,
        };
        let mut out = vec![0; 65_536];
        let len = packet.encode(Encoding::Json, &mut out).expect("it fits");
        out.truncate(len);
        out
    }
}
