//! Discovery with reference nodes on loopback multicast: theirs hear ours, and ours hear theirs.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

use crate::Setup;
use crate::common::json::Json;
use crate::common::process::Process;
use crate::peers::{Peer, script};

const HUB: &str = "jis:sluis:hub";
const SENSOR: &str = "jis:ref:sensor";
const GROUP: &str = "224.0.71.50";

mod each {
    macro_rules! on_both_runtimes {
        ($($case:ident)*) => { $(
            #[test]
            fn $case() {
                if let Some(python) = crate::peers::python() {
                    for runtime in ["tokio", "smol"] {
                        super::$case(python, crate::Setup { runtime, encoding: "json" });
                    }
                }
            }
        )* };
    }
    on_both_runtimes! {
        a_reference_node_hears_our_call_and_from_where_we_listen
        a_call_of_a_reference_node_is_heard_and_its_sender_waits_where_it_may
    }
}

/// A port for a group of this test's own.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

fn reference(python: &Path, port: u16) -> Peer {
    Peer::named(python, "ref_discovery.py", &["--did", SENSOR, "--group", GROUP, "--port", &port.to_string()])
}

fn hub(setup: Setup, port: u16, more: &[&str]) -> (Process, String) {
    let group = format!("{GROUP}:{port}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluis"));
    command.args([
        "listen",
        "--json",
        "--runtime",
        setup.runtime,
        "--did",
        HUB,
        "--bind",
        "127.0.0.1:0",
        "--discover=lo",
    ]);
    let process = Process::spawn("sluis listen", command.args(["--group", &group]).args(more));
    let addr = event(&process, "listening").str("addr").to_owned();
    (process, addr)
}

/// The next event of this name; counts of rejects may come before it.
fn event(process: &Process, name: &str) -> Json {
    loop {
        let json = Json::parse(&process.line());
        if json.str("event") == name {
            return json;
        }
    }
}

fn a_reference_node_hears_our_call_and_from_where_we_listen(python: &Path, setup: Setup) {
    assert!(script("ref_discovery.py").exists());
    let port = free_port();
    let sensor = reference(python, port);
    let (mut hub, addr) = hub(setup, port, &["--capability", "temperature"]);
    let heard = sensor.expect("discovered");
    assert_eq!((heard.str("did"), heard.str("decision")), (HUB, "hitl_pending"));
    // The port is the one that we listen at, and no other.
    assert_eq!(heard.str("addr"), addr);
    hub.say("quit");
    // The package takes a goodbye for a beacon, too.
    assert_eq!(sensor.expect("discovered").str("did"), HUB);
    assert_eq!(hub.finish().0, 0);
    sensor.quit();
}

fn a_call_of_a_reference_node_is_heard_and_its_sender_waits_where_it_may(python: &Path, setup: Setup) {
    let port = free_port();
    let mut sensor = reference(python, port);
    let (mut hub, _) = hub(setup, port, &["--allow-legacy=jis:ref:*"]);
    sensor.expect("discovered");
    sensor.tell("call", r#""capabilities":["temperature"]"#);
    sensor.expect("called");
    let found = event(&hub, "found");
    assert_eq!((found.str("did"), found.get("fingerprint")), (SENSOR, &Json::Null));
    let beacon = event(&hub, "beacon");
    assert_eq!((beacon.str("did"), beacon.str("decision"), beacon.count("wait")), (SENSOR, "pending", 1));
    hub.say("approve 1");
    assert_eq!(event(&hub, "decided").str("source_did"), SENSOR);
    hub.say("quit");
    assert_eq!(hub.finish().0, 0);
    sensor.expect("discovered");
    sensor.quit();
}
