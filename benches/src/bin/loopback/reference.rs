//! Two nodes of the reference against each other, measured by the interop tests' own script.

use std::path::PathBuf;
use std::process::Command;

use sluis_benches::samples::READING;

use crate::args::EncodingName;

/// The reference pair, with its Python.
pub(crate) struct Pair {
    python: PathBuf,
    script: PathBuf,
}

impl Pair {
    /// Make the environment, or find it made.
    pub(crate) fn prepare() -> Result<Self, String> {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let scripts = root.join("cli/tests/interop/python");
        let made = Command::new("python3").arg(scripts.join("venv.py")).arg(root.join("target/interop-venv")).output();
        let made = made.map_err(|e| format!("--reference needs python3: {e}"))?;
        if !made.status.success() {
            return Err(format!("no reference: {}", String::from_utf8_lossy(&made.stderr).trim()));
        }
        let python = String::from_utf8_lossy(&made.stdout).trim().into();
        Ok(Self { python, script: scripts.join("reference_pair.py") })
    }

    /// Round trips a second with 64 in flight; `None` in an encoding that it does not have.
    pub(crate) fn measure(&self, encoding: EncodingName, cores: (usize, usize)) -> Result<Option<f64>, String> {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).args(["--runs", "1", "--count", "10000", "--in-flight", "64", "--payload", READING]);
        command.arg("--cores").arg(format!("{},{}", cores.0, cores.1));
        match encoding {
            EncodingName::Json => {}
            EncodingName::Msgpack => drop(command.arg("--msgpack")),
            EncodingName::Postcard => return Ok(None),
        }
        let done = command.output().map_err(|e| format!("the reference cannot be started: {e}"))?;
        let said: Option<serde_json::Value> = serde_json::from_slice(&done.stdout).ok();
        let per_second = said.and_then(|said| said["per_second"].as_f64());
        let why = || format!("the reference gave up: {}", String::from_utf8_lossy(&done.stderr).trim());
        per_second.map(Some).ok_or_else(why)
    }
}
