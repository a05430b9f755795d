//! Who takes part: brokers, and peers of ours.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::folder::Folder;
use crate::common::process::Process;

/// The test identities of the reference's fixtures.
pub(crate) const ALICE: (&str, &str) = (
    "023ec81016ef3b169fc1037aae19807b86673cf83aff3523da4ce74e1939f379c5",
    "4fd866dc3986210bbd2077fdfd71b5b0309fd7270e909ccb73e41fb32f10124e",
);

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("not JSON ({why}): {text}"))
}

/// The next event of this name; others are passed over.
#[track_caller]
pub(crate) fn event(process: &Process, name: &str) -> Value {
    loop {
        let event = json(&process.line());
        if event["event"] == name {
            return event;
        }
    }
}

/// A folder with keys.
pub(crate) struct Keys {
    pub(crate) folder: Folder,
    runtime: &'static str,
}

impl Keys {
    pub(crate) fn new(name: &str, runtime: &'static str, keys: &[&str]) -> Self {
        let folder = Folder::new(&format!("signal-{name}-{runtime}"));
        for key in keys {
            folder.prints(&["key", "new", key, "--kind", "secp256k1"]);
        }
        Self { folder, runtime }
    }

    /// The public key in a file.
    pub(crate) fn public(&self, key: &str) -> String {
        self.folder.prints(&["signal", "id", key]).trim().to_owned()
    }

    /// A command of `sluis signal` under a key.
    pub(crate) fn args<'a>(&self, command: &[&'a str], key: &'a str, brokers: &'a [String]) -> Vec<&'a str> {
        let mut all = vec!["signal"];
        all.extend(command);
        all.extend(["--runtime", self.runtime, "--json", "--key", key]);
        all.extend(brokers.iter().flat_map(|broker| ["--broker", broker.as_str()]));
        all
    }

    /// A listener that is there.
    pub(crate) fn listen(&self, key: &str, brokers: &[String], args: &[&str]) -> Process {
        let all = self.args(&[&["listen"], args].concat(), key, brokers);
        let process = Process::spawn("sluis signal listen", &mut self.folder.command(&all));
        assert_eq!(event(&process, "ready")["joined"], brokers.len());
        process
    }

    /// What a sender says until it ends, its summary last.
    #[track_caller]
    pub(crate) fn send(&self, code: i32, to: &str, brokers: &[String], args: &[&str]) -> Vec<Value> {
        let all = self.args(&[&["send", to], args].concat(), "alice.key", brokers);
        self.folder.ends(code, &all).lines().map(json).collect()
    }
}

/// Of all that was said, what has this name.
pub(crate) fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

/// `sluis signal broker` on a port of its own.
pub(crate) struct Broker {
    _process: Process,
    pub(crate) url: String,
}

impl Broker {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::run("127.0.0.1:0", args)
    }

    /// At an address of its own.
    pub(crate) fn at(bind: &str) -> Self {
        Self::run(bind, &[])
    }

    fn run(bind: &str, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluis"));
        command.args(["signal", "broker", "--json", "--bind", bind]).args(args);
        let process = Process::spawn("sluis signal broker", &mut command);
        let url = event(&process, "listening")["url"].as_str().expect("a URL").to_owned();
        Self { _process: process, url }
    }
}

/// mosquitto, or loud words that nothing was tried; in CI its absence is a failure.
pub(crate) fn mosquitto() -> Option<PathBuf> {
    let found = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"].map(PathBuf::from);
    let found = found.into_iter().find(|path| path.exists());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "CI has no mosquitto: install it");
    if found.is_none() {
        eprintln!("NO MOSQUITTO HERE: that the reference is spoken to over a real broker was NOT tried");
    }
    found
}

/// Several mosquitto at one port, each on an address of its own: the reference keeps one broker for a host.
pub(crate) struct Mosquittos {
    folder: Folder,
    program: PathBuf,
    pub(crate) port: u16,
    hosts: Vec<String>,
    running: Vec<Option<Process>>,
}

impl Mosquittos {
    pub(crate) fn start(name: &str, program: PathBuf, hosts: &[&str]) -> Self {
        let folder = Folder::new(name);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut this = Self { folder, program, port, running: hosts.iter().map(|_| None).collect(), hosts };
        (0..this.hosts.len()).for_each(|at| this.revive(at));
        this
    }

    pub(crate) fn kill(&mut self, at: usize) {
        self.running[at] = None;
    }

    pub(crate) fn revive(&mut self, at: usize) {
        let (host, name) = (&self.hosts[at], format!("{at}.conf"));
        self.folder.write(
            &name,
            format!("listener {} {host}\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n", self.port),
        );
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.folder.0.join(&name));
        self.running[at] = Some(Process::spawn("mosquitto", &mut command));
        let began = Instant::now();
        while TcpStream::connect((host.as_str(), self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "mosquitto does not listen at {host}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        let host = |host: &String| if host.contains(':') { format!("[{host}]") } else { host.clone() };
        self.hosts.iter().map(|name| format!("mqtt://{}:{}", host(name), self.port)).collect()
    }
}
