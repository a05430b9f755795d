//! A run in a file: every datagram for Wireshark, or every input and output as JSON.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;

use sluis_core::Wall;
use sluis_core::record::pcapng;
use sluis_core::sim::Witness;

/// A witness that writes to this file: datagrams if its name ends in `.pcapng`, otherwise lines of JSON, which
/// [`replay_labelled`](sluis_core::record::replay_labelled) reads.
///
/// # Errors
/// The file cannot be written.
pub fn to(path: &Path) -> io::Result<Box<dyn Witness>> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // Seeds are in it, even if only simulated ones.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = BufWriter::new(options.open(path)?);
    if path.extension().is_some_and(|e| e == "pcapng") {
        let mut block = Vec::new();
        pcapng::begin(&mut block);
        file.write_all(&block)?;
        Ok(Box::new(Capture { file, block }))
    } else {
        Ok(Box::new(Lines { file }))
    }
}

struct Capture {
    file: BufWriter<File>,
    block: Vec<u8>,
}

impl Witness for Capture {
    fn sent(&mut self, at: Wall, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let nanos = u64::try_from(at.as_micros()).unwrap_or(0).saturating_mul(1000);
        self.block.clear();
        pcapng::datagram(&mut self.block, nanos, from, to, bytes);
        if let Err(error) = self.file.write_all(&self.block) {
            failed(&error);
        }
    }
}

struct Lines {
    file: BufWriter<File>,
}

impl Witness for Lines {
    fn lines(&mut self, lines: &str) {
        if let Err(error) = self.file.write_all(lines.as_bytes()) {
            failed(&error);
        }
    }
}

/// Half a recording is worth nothing.
fn failed(error: &io::Error) -> ! {
    let _ = writeln!(io::stderr(), "swarm: cannot go on recording: {error}");
    std::process::exit(1)
}
