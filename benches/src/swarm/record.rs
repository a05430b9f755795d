//! A run in a file: every datagram for Wireshark, or every input and output as JSON.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use sluis_core::Wall;
use sluis_core::record::pcapng;
use sluis_core::sim::Witness;

/// The file of a recording, shared with the [`Witness`] that writes it.
#[derive(Clone, Debug)]
pub struct Recording(Rc<RefCell<Sheet>>);

#[derive(Debug)]
struct Sheet {
    file: BufWriter<File>,
    /// Half a recording is worth something only to who knows that it is half.
    failed: Option<io::Error>,
}

impl Recording {
    fn write(&self, bytes: &[u8]) {
        let mut sheet = self.0.borrow_mut();
        if sheet.failed.is_none() {
            sheet.failed = sheet.file.write_all(bytes).err();
        }
    }

    /// Write out the rest.
    ///
    /// # Errors
    /// It is not complete, and why.
    pub fn finish(&self) -> io::Result<()> {
        let mut sheet = self.0.borrow_mut();
        match sheet.failed.take() {
            Some(error) => Err(error),
            None => sheet.file.flush(),
        }
    }
}

/// A witness that writes to this file: datagrams if its name ends in `.pcapng`, otherwise lines of JSON, which
/// [`replay_labelled`](sluis_core::record::replay_labelled) reads. The recording is to be finished after the world's end.
///
/// # Errors
/// The file cannot be made.
pub fn to(path: &Path) -> io::Result<(Box<dyn Witness>, Recording)> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // Seeds are in it, even if only simulated ones.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = BufWriter::new(options.open(path)?);
    let recording = Recording(Rc::new(RefCell::new(Sheet { file, failed: None })));
    if path.extension().is_some_and(|e| e == "pcapng") {
        let mut block = Vec::new();
        pcapng::begin(&mut block);
        recording.write(&block);
        Ok((Box::new(Capture { recording: recording.clone(), block }), recording))
    } else {
        Ok((Box::new(Lines { recording: recording.clone() }), recording))
    }
}

struct Capture {
    recording: Recording,
    block: Vec<u8>,
}

impl Witness for Capture {
    fn sent(&mut self, at: Wall, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let nanos = u64::try_from(at.as_micros()).unwrap_or(0).saturating_mul(1000);
        self.block.clear();
        pcapng::datagram(&mut self.block, nanos, from, to, bytes);
        self.recording.write(&self.block);
    }
}

struct Lines {
    recording: Recording,
}

impl Witness for Lines {
    fn lines(&mut self, lines: &str) {
        self.recording.write(lines.as_bytes());
    }
}
