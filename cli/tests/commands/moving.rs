//! Two networks in network namespaces of their own: a hub on both, and a device that moves from one to the other.

use std::process::Command;

use crate::common::json::Json;
use crate::common::process::Process;
use crate::spaces::{Namespace, in_networks, run};

/// The next event of this name.
fn event(process: &Process, name: &str) -> Json {
    loop {
        let json = Json::parse(&process.line());
        if json.str("event") == name {
            return json;
        }
    }
}

#[test]
fn a_device_that_moves_between_networks_is_followed() {
    in_networks("moving::a_device_that_moves_between_networks_is_followed", inside);
}

fn inside() {
    let (namespace, sluis) = (Namespace::new(), env!("CARGO_BIN_EXE_sluis"));
    let pid = namespace.id();
    let there = |command: &str| namespace.there(command);
    run("ip link set lo up");
    for n in 0..2 {
        run(&format!("ip link add a{n} type veth peer name b{n} && ip link set b{n} netns {pid}"));
        run(&format!("ip addr add 10.77.{n}.1/24 dev a{n} && ip link set a{n} up"));
    }
    let attach = |n: u8| there(&format!("sh -c 'ip addr add 10.77.{n}.2/24 dev b{n} && ip link set b{n} up'"));
    attach(0);
    let listen = ["listen", "--json", "--bind", "0.0.0.0:7150", "--discover", "--discover-interval", "1"];
    let hub = Process::spawn("hub", Command::new(sluis).args(listen).args(["--did", "jis:hub"]));
    event(&hub, "listening");
    let mut device = Process::spawn("device", namespace.sluis().args(listen).args(["--did", "jis:device"]));
    event(&device, "listening");
    let found = event(&hub, "found");
    assert_eq!((found.str("did"), found.str("addr")), ("jis:device", "10.77.0.2:7150"));
    assert_eq!(event(&device, "found").str("addr"), "10.77.0.1:7150");
    // It moves: the one interface goes, the other comes.
    there("ip link del b0");
    attach(1);
    let moved = event(&hub, "found");
    assert_eq!((moved.str("did"), moved.str("addr")), ("jis:device", "10.77.1.2:7150"));
    assert_eq!(event(&device, "found").str("addr"), "10.77.1.1:7150");
    device.say("quit");
    assert_eq!(event(&hub, "gone").str("did"), "jis:device");
    assert_eq!(device.finish().0, 0);
}
