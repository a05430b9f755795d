//! Datagrams of quinn between two processes, which are programs of their own: see `benches/quinn`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ends::Process;

/// The program of both ends.
pub(crate) struct Quic {
    program: PathBuf,
}

impl Quic {
    /// Build it, or find it built.
    pub(crate) fn prepare() -> Result<Self, String> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let folder = root.join("target/quinn");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
            .arg(root.join("benches/quinn/Cargo.toml"));
        let built = cargo.arg("--target-dir").arg(&folder).status().map_err(|e| format!("--quic needs cargo: {e}"))?;
        if !built.success() {
            return Err("benches/quinn does not build; what cargo says stands above".to_owned());
        }
        Ok(Self { program: folder.join("release/quinn-ends") })
    }

    /// Round trips a second of requests and responses of these lengths.
    pub(crate) fn measure(
        &self,
        (request, response): (usize, usize),
        cores: (usize, usize),
        count: u64,
        in_flight: u64,
    ) -> Result<f64, String> {
        let end = |core: usize, len: usize| {
            let mut command = Command::new(&self.program);
            command.args([core.to_string(), len.to_string()]);
            command
        };
        let mut hub = Process::start(&mut end(cores.0, response))?;
        let said = hub.line()?;
        let [Some(addr), Some(certificate)] = ["addr", "certificate"].map(|name| said[name].as_str()) else {
            return Err("a hub of quinn without an address".to_owned());
        };
        let mut sensor = end(cores.1, request);
        sensor.args([addr, certificate, &count.to_string(), &in_flight.to_string()]);
        let said = Process::start(&mut sensor)?.line()?;
        said["per_second"].as_f64().ok_or_else(|| "a sensor of quinn without a result".to_owned())
    }
}
