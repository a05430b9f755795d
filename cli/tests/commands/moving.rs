//! Two networks in network namespaces of their own: a hub on both, and a device that moves from one to the other.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::common::json::Json;
use crate::common::process::Process;

/// Set in the namespace, in which the test runs itself again.
const INSIDE: &str = "SLUIS_TEST_NETWORKS";

/// Run a command of the system's that has to work.
#[track_caller]
fn run(command: &str) {
    let out = Command::new("sh").args(["-c", command]).output().expect("sh runs");
    assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
}

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
    if std::env::var(INSIDE).is_ok() {
        return inside();
    }
    let unshare = |then: &str| {
        let exe = std::env::current_exe().expect("this test");
        let mut command = Command::new("unshare");
        command.args(["-r", "-n", "sh", "-c", then]).arg(exe).env(INSIDE, "1");
        command.output()
    };
    let possible = "ip link set lo up && ip link add a0 type veth peer name b0 && command -v nsenter";
    let refused = match unshare(possible) {
        Ok(out) if out.status.success() => None,
        Ok(out) => Some(String::from_utf8_lossy(&out.stderr).into_owned()),
        Err(why) => Some(why.to_string()),
    };
    if let Some(why) = refused {
        let message =
            format!("\n### NOT TESTED: this system gives no network namespace with two interfaces: {}\n", why.trim());
        assert!(std::env::var_os("CI").is_none(), "{message}");
        // Not `eprintln!`: the test harness would keep that to itself.
        let _ = std::io::stderr().write_all(message.as_bytes());
        return;
    }
    let test = "exec \"$0\" --exact moving::a_device_that_moves_between_networks_is_followed --nocapture";
    let out = unshare(test).expect("it worked before");
    let [said, cried] = [&out.stdout, &out.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(out.status.success() && said.contains("1 passed"), "{said}\n{cried}");
}

/// A network namespace for the device, which ends with its process.
struct Namespace(std::process::Child);

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn inside() {
    let holder =
        Command::new("unshare").args(["-n", "sh", "-c", "echo; exec sleep 300"]).stdout(Stdio::piped()).spawn();
    let mut namespace = Namespace(holder.expect("unshare runs"));
    // It is in its namespace once it has written a line.
    let mut ready = [0];
    std::io::Read::read_exact(namespace.0.stdout.as_mut().expect("piped"), &mut ready).expect("a line");
    let (pid, sluis) = (namespace.0.id(), env!("CARGO_BIN_EXE_sluis"));
    let there = |command: &str| run(&format!("nsenter -t {pid} -n {command}"));
    run("ip link set lo up");
    there("ip link set lo up");
    for n in 0..2 {
        run(&format!("ip link add a{n} type veth peer name b{n} && ip link set b{n} netns {pid}"));
        run(&format!("ip addr add 10.77.{n}.1/24 dev a{n} && ip link set a{n} up"));
    }
    let attach = |n: u8| there(&format!("sh -c 'ip addr add 10.77.{n}.2/24 dev b{n} && ip link set b{n} up'"));
    attach(0);
    let listen = ["listen", "--json", "--bind", "0.0.0.0:7150", "--discover", "--discover-interval", "1"];
    let hub = Process::spawn("hub", Command::new(sluis).args(listen).args(["--did", "jis:hub"]));
    event(&hub, "listening");
    let in_there = ["-t", &pid.to_string(), "-n", sluis];
    let mut device =
        Process::spawn("device", Command::new("nsenter").args(in_there).args(listen).args(["--did", "jis:device"]));
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
