//! `sluis discover` and `listen --discover`, on the multicast of the loopback interface.

use std::net::UdpSocket;

use crate::common::events::Speaker;
use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::common::process::Process;
use crate::on_both;

on_both! {
    nodes_find_each_other_and_tell_who_leaves
    approving_a_beacon_pins_its_key_and_its_pings_are_accepted
    a_rule_lets_a_device_in
    installations_are_kept_apart_and_addresses_are_called_without_multicast
}

const HUB: &str = "jis:home:hub";
const SENSOR: &str = "jis:home:sensor";

/// A group of this test's own.
pub(crate) fn group() -> String {
    let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    format!("224.0.71.50:{}", free.port())
}

fn start(folder: &Folder, runtime: &str, args: &[&str]) -> Process {
    let mut command = folder.command(args);
    Process::spawn("sluis", command.args(["--json", "--runtime", runtime]))
}

/// A node that listens and takes part in discovery, and where it is.
pub(crate) fn listen(folder: &Folder, runtime: &str, did: &str, more: &[&str]) -> (Process, String) {
    let base = ["listen", "--did", did, "--bind", "127.0.0.1:0", "--discover=lo", "--discover-interval", "1"];
    let process = start(folder, runtime, &[&base[..], more].concat());
    let addr = event(&process, "listening").str("addr").to_owned();
    (process, addr)
}

/// The next event of a listening node that has this name; others may come before it.
fn event(process: &Process, name: &str) -> Json {
    loop {
        let json = Speaker::Listen.read(&process.line());
        if json.str("event") == name {
            return json;
        }
    }
}

pub(crate) fn quit(mut process: Process) {
    process.say("quit");
    assert_eq!(process.finish().0, 0);
}

fn nodes_find_each_other_and_tell_who_leaves(runtime: &str) {
    let (folder, group) = (Folder::new(&format!("found-{runtime}")), group());
    folder.prints(&["key", "new", "sensor.key"]);
    let on = ["--group", &group];
    let (hub, hub_addr) = listen(&folder, runtime, HUB, &on);
    let says = ["--key", "sensor.key", "--capability", "temperature", "--device-type", "sensor"];
    let (sensor, sensor_addr) = listen(&folder, runtime, SENSOR, &[&on[..], &says].concat());
    let found = event(&hub, "found");
    assert_eq!((found.str("did"), found.str("addr"), found.str("device_type")), (SENSOR, &*sensor_addr, "sensor"));
    assert_eq!(found.get("capabilities"), &Json::parse(r#"["temperature"]"#));
    assert!(found.get("fingerprint") != &Json::Null && found.str("zone") == "ROOD");
    assert_eq!(event(&sensor, "found").str("addr"), hub_addr);
    // Who only asks finds both, and is no neighbour of theirs.
    let args = ["discover", "--iface", "lo", "--group", &group, "--bind", "127.0.0.1:0"];
    let mut asks = start(&folder, runtime, &args);
    let (code, lines) = asks.finish();
    let lines: Vec<Json> = lines.iter().map(|line| Json::parse(line)).collect();
    let mut names: Vec<&str> =
        lines.iter().filter(|json| json.str("event") == "found").map(|json| json.str("did")).collect();
    names.sort_unstable();
    assert_eq!((code, names), (0, vec![HUB, SENSOR]));
    assert_eq!(lines.last().map(|json| (json.str("event"), json.count("found"))), Some(("summary", 2)));
    quit(sensor);
    let gone = event(&hub, "gone");
    assert_eq!((gone.str("did"), gone.str("addr")), (SENSOR, &*sensor_addr));
    quit(hub);
}

fn approving_a_beacon_pins_its_key_and_its_pings_are_accepted(runtime: &str) {
    let (folder, group) = (Folder::new(&format!("approved-{runtime}")), group());
    folder.prints(&["key", "new", "sensor.key"]);
    let on = ["--group", &group];
    let (mut hub, hub_addr) = listen(&folder, runtime, HUB, &on);
    let (sensor, _) = listen(&folder, runtime, SENSOR, &[&on[..], &["--key", "sensor.key"]].concat());
    let beacon = event(&hub, "beacon");
    assert_eq!((beacon.str("did"), beacon.str("decision"), beacon.count("wait")), (SENSOR, "pending", 1));
    let ping = ["ping", HUB, &hub_addr, "--intent", "a", "--did", SENSOR, "--key", "sensor.key", "--timeout", "5"];
    hub.say("approve 1");
    let decided = event(&hub, "decided");
    assert_eq!((decided.str("source_did"), decided.str("decision")), (SENSOR, "accept"));
    folder.ends(0, &ping);
    // Without the key the name is worth nothing from now on.
    let silent = ["ping", HUB, &hub_addr, "--intent", "a", "--did", SENSOR, "--timeout", "0.5"];
    folder.ends(1, &silent);
    quit(sensor);
    quit(hub);
}

fn a_rule_lets_a_device_in(runtime: &str) {
    let (folder, group) = (Folder::new(&format!("ruled-{runtime}")), group());
    folder.prints(&["key", "new", "sensor.key"]);
    folder.write("rules.toml", "[[rules]]\nname = \"sensors\"\ndevice_type = \"sensor\"\npod_id = \"kitchen\"\n");
    let on = ["--group", &group];
    let (hub, hub_addr) = listen(&folder, runtime, HUB, &[&on[..], &["--auto-vouch", "rules.toml"]].concat());
    let says = ["--key", "sensor.key", "--device-type", "sensor"];
    let (sensor, _) = listen(&folder, runtime, SENSOR, &[&on[..], &says].concat());
    let beacon = event(&hub, "beacon");
    assert_eq!((beacon.str("did"), beacon.str("decision")), (SENSOR, "auto_vouched"));
    assert_eq!((beacon.str("rule"), beacon.str("pod"), beacon.get("wait")), ("sensors", "kitchen", &Json::Null));
    let ping = ["ping", HUB, &hub_addr, "--intent", "a", "--did", SENSOR, "--key", "sensor.key", "--timeout", "5"];
    folder.ends(0, &ping);
    quit(sensor);
    quit(hub);
}

fn installations_are_kept_apart_and_addresses_are_called_without_multicast(runtime: &str) {
    let (folder, first, second) = (Folder::new(&format!("apart-{runtime}")), group(), group());
    let (hub, hub_addr) = listen(&folder, runtime, HUB, &["--group", &first, "--domain", "green"]);
    let args = ["discover", "--iface", "lo", "--bind", "127.0.0.1:0"];
    let found = |more: &[&str]| {
        let mut asks = start(&folder, runtime, &[&args[..], more].concat());
        let (code, lines) = asks.finish();
        assert_eq!(code, 0);
        Json::parse(lines.last().expect("a summary")).count("found")
    };
    assert_eq!(found(&["--group", &first, "--domain", "red", "--duration", "1.5"]), 0);
    assert_eq!(found(&["--group", &second, "--domain", "green", "--at", &hub_addr]), 1);
    quit(hub);
}

#[test]
fn what_cannot_be_is_said_in_one_sentence() {
    let folder = Folder::new("discover-usage");
    let said = folder.fails(2, &["discover", "--iface", "nosuch0"]);
    assert!(said.starts_with("sluis discover: there is no interface nosuch0 that is up, choose one of: "), "{said}");
    let said = folder.fails(2, &["listen", "--did", HUB, "--bind", "127.0.0.1:0", "--discover=nosuch0"]);
    assert!(said.contains("there is no interface nosuch0"), "{said}");
    let said = folder.fails(2, &["discover", "--group", "192.0.2.1"]);
    assert!(said.contains("192.0.2.1 is no multicast group, choose one from"), "{said}");
    let said = folder.fails(2, &["discover", "--group", "x"]);
    assert!(said.contains("write a multicast group in numbers"), "{said}");
    let said = folder.fails(2, &["discover", "--domain", &"x".repeat(300)]);
    assert!(said.contains("domain has more than 256 bytes"), "{said}");
    folder.write("rules.toml", "\n[[rules]]\nname = \"all\"\n");
    let listen = ["listen", "--did", HUB, "--bind", "127.0.0.1:0", "--discover=lo", "--auto-vouch", "rules.toml"];
    let said = folder.fails(2, &listen);
    assert!(
        said.contains("rules.toml, line 2 (`[[rules]]`): rules: a rule without conditions lets everybody in"),
        "{said}"
    );
    assert!(folder.fails(2, &["listen", "--did", HUB, "--domain", "a"]).contains("--discover"));
}
