//! The real Python packages as peers, in a virtual environment under `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::json::Json;
use crate::common::process::Process;
use crate::common::venv;

/// The Python that has the reference packages; see [`venv::python`].
pub(crate) fn python() -> Option<&'static Path> {
    static PYTHON: venv::Cell = venv::Cell::new();
    venv::python(&PYTHON, "interop-venv", "interop/python/requirements.txt")
}

/// A script of `python/`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/python").join(name)
}

/// A reference node or sender, or who attacks them.
pub(crate) struct Peer {
    process: Process,
    /// Where its socket is.
    pub(crate) addr: String,
}

impl Peer {
    /// `ref_node.py`: answers pings.
    pub(crate) fn node(python: &Path, args: &[&str]) -> Self {
        Self::start(python, "ref_node.py", args)
    }

    /// `ref_sender.py`: sends them.
    pub(crate) fn sender(python: &Path, args: &[&str]) -> Self {
        Self::start(python, "ref_sender.py", args)
    }

    /// `attacker.py`: between a sender and this hub.
    pub(crate) fn attacker(python: &Path, hub: &str) -> Self {
        Self::start(python, "attacker.py", &["--hub", hub])
    }

    /// Any other script that listens.
    pub(crate) fn named(python: &Path, name: &str, args: &[&str]) -> Self {
        Self::start(python, name, args)
    }

    fn start(python: &Path, name: &str, args: &[&str]) -> Self {
        let process = Process::spawn(name, Command::new(python).arg("-u").arg(script(name)).args(args));
        let mut peer = Self { process, addr: String::new() };
        peer.addr = peer.expect("listening").str("addr").to_owned();
        peer
    }

    /// Its next event, which must have this name.
    pub(crate) fn expect(&self, event: &str) -> Json {
        let line = self.process.line();
        let heard = Json::parse(&line);
        if heard.str("event") != event {
            self.process.fail(&format!("was expected to say {event:?}"));
        }
        heard
    }

    /// Its next `n` events, in order of arrival.
    pub(crate) fn take(&self, n: usize) -> Vec<Json> {
        (0..n).map(|_| Json::parse(&self.process.line())).collect()
    }

    /// Give it a command: the members of a JSON object.
    pub(crate) fn tell(&mut self, cmd: &str, members: &str) {
        let comma = if members.is_empty() { "" } else { "," };
        self.process.say(&format!("{{\"cmd\":\"{cmd}\"{comma}{members}}}"));
    }

    /// End it; the summary, which must be all that it still has to say.
    pub(crate) fn quit(mut self) -> Json {
        self.tell("quit", "");
        let summary = self.expect("summary");
        let (code, rest) = self.process.finish();
        if code != 0 || !rest.is_empty() {
            self.process.fail(&format!("ended with {code} and {} more lines", rest.len()));
        }
        summary
    }
}
