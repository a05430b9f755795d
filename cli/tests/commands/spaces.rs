//! Network namespaces of a test's own, with pairs of interfaces between them: real networks that nobody else is on.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

/// Set in the outer namespace, in which the test runs itself again.
const INSIDE: &str = "SLUIS_TEST_NETWORKS";

/// Run this in a network namespace of its own, of which others can be made. Where the kernel refuses that, this is said aloud, and in CI a failure. `test` is the name of the test that calls.
pub(crate) fn in_networks(test: &str, inside: impl FnOnce()) {
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
    let out = unshare(&format!("exec \"$0\" --exact {test} --nocapture")).expect("it worked before");
    let [said, cried] = [&out.stdout, &out.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(out.status.success() && said.contains("1 passed"), "{said}\n{cried}");
}

/// Run a command of the system's that has to work.
#[track_caller]
pub(crate) fn run(command: &str) {
    let out = Command::new("sh").args(["-c", command]).output().expect("sh runs");
    assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A network namespace, which ends with its process.
pub(crate) struct Namespace(Child);

impl Namespace {
    /// One in which there is nothing but loopback.
    pub(crate) fn new() -> Self {
        let holder =
            Command::new("unshare").args(["-n", "sh", "-c", "echo; exec sleep 300"]).stdout(Stdio::piped()).spawn();
        let mut namespace = Self(holder.expect("unshare runs"));
        // It is in its namespace once it has written a line.
        let mut ready = [0];
        std::io::Read::read_exact(namespace.0.stdout.as_mut().expect("piped"), &mut ready).expect("a line");
        namespace.there("ip link set lo up");
        namespace
    }

    /// The process that holds it.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Run a command in it that has to work.
    #[track_caller]
    pub(crate) fn there(&self, command: &str) {
        run(&format!("nsenter -t {} -n {command}", self.id()));
    }

    /// `sluis` in it.
    pub(crate) fn sluis(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.id().to_string(), "-n", env!("CARGO_BIN_EXE_sluis")]).env_remove("NO_COLOR");
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The network 10.78.`n`.0/24, on which these two are alone, at .1 and .2; `None` is the outer namespace.
pub(crate) fn tie(n: u8, ends: [Option<&Namespace>; 2]) {
    run(&format!("ip link add x{n} type veth peer name y{n}"));
    for ((end, device), host) in ends.into_iter().zip(['x', 'y']).zip(1..) {
        let up = format!("sh -c 'ip addr add 10.78.{n}.{host}/24 dev {device}{n} && ip link set {device}{n} up'");
        match end {
            Some(namespace) => {
                run(&format!("ip link set {device}{n} netns {}", namespace.id()));
                namespace.there(&up);
            }
            None => run(&up),
        }
    }
}
