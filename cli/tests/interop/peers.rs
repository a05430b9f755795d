//! The real Python packages as peers, in a virtual environment under `target/`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::common::json::Json;
use crate::common::process::Process;

/// The Python that has the reference packages, made when it is not there yet.
///
/// Where it cannot be had, the tests that need it fail when `CI` or `SLUIS_REQUIRE_PEERS` is set; otherwise a loud
/// message says what was not tested, and they are left out.
pub(crate) fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let why = match PYTHON.get_or_init(make) {
        Ok(python) => return Some(python),
        Err(why) => why,
    };
    let required = ["CI", "SLUIS_REQUIRE_PEERS"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(!required, "the reference packages cannot be had, and CI or SLUIS_REQUIRE_PEERS demands them:\n{why}");
    static SHOUT: OnceLock<()> = OnceLock::new();
    SHOUT.get_or_init(|| {
        let bar = "#".repeat(100);
        let message = format!(
            "\n{bar}\n# INTEROP WAS NOT TESTED: the Python reference packages cannot be had.\n# {}\n\
             # The interop tests below say `ok` without having run. Set SLUIS_REQUIRE_PEERS=1 to make this a failure.\n{bar}\n",
            why.trim().replace('\n', "\n# ")
        );
        // Not `eprintln!`: the test harness would keep that to itself.
        let _ = std::io::stderr().write_all(message.as_bytes());
    });
    None
}

fn make() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("inside target/");
    let made = Command::new("python3")
        .arg(script("venv.py"))
        .arg(target.join("interop-venv"))
        .output()
        .map_err(|e| format!("python3 cannot be started: {e}"))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim_end()))
}

/// A script of `python/`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/python").join(name)
}

/// A reference node or sender.
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
