//! The control socket: what standard input takes, from whoever may open a file.
//!
//! A connection sends commands, one a line, and reads what came of each: lines that begin with `>` are output, those with `!` are
//! words for people, and the last is `.` when it was done or `?` when it was not. A command that begins with `json ` is answered with
//! JSON objects.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::capture::cannot_make;
use crate::fail::Fail;
use crate::output::Style;

/// Bytes of a command.
const MAX_LINE: u64 = 4096;
/// Connections at once; whoever comes then is hung up on.
const MAX_CONNECTIONS: usize = 16;
/// How long a connection may say nothing, or not read.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the node may take to answer; it does so at once unless it is ending.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a node that ends waits for answers on their way, such as that to `quit`.
const LAST_ANSWER: Duration = Duration::from_millis(100);

/// What came of a command.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Lines of output.
    pub(crate) lines: Vec<u8>,
    /// A sentence for people.
    pub(crate) words: Option<String>,
    pub(crate) failed: bool,
}

/// A command, and whom to tell what came of it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) style: Style,
    pub(crate) answer: Sender<Answer>,
}

/// A socket that is open; its file is gone with it.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    /// The socket that was made: others may have put something else in its place.
    made: Option<(u64, u64)>,
    listener: UnixListener,
    /// Commands whose answer is not written yet.
    unanswered: Arc<AtomicUsize>,
}

impl Control {
    /// Make the socket, for its owner alone. One that nobody answers at any more is replaced.
    pub(crate) fn open(path: &Path) -> Result<Self, Fail> {
        let name = path.display();
        match fs::symlink_metadata(path) {
            Ok(about) if !about.file_type().is_socket() => {
                return Err(Fail::usage(format!("--control: {name} is there already and is no socket, name another")));
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(Fail::runtime(format!("--control: a node answers at {name} already, name another")));
            }
            _ => {}
        }
        // Made beside it and put in its place once nobody else may open it.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let made = UnixListener::bind(&beside).and_then(|listener| {
            fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
            fs::rename(&beside, path)?;
            Ok(listener)
        });
        match made {
            Ok(listener) => {
                Ok(Self { path: path.to_owned(), made: identity(path), listener, unanswered: Arc::default() })
            }
            Err(why) => {
                let _ = fs::remove_file(&beside);
                if why.kind() == io::ErrorKind::InvalidInput {
                    return Err(Fail::usage(format!(
                        "--control: {name} is too long for a socket, name a shorter path"
                    )));
                }
                Err(cannot_make("make the socket", path, &why))
            }
        }
    }

    /// Hand on what is asked, from threads of its own; `ask` is false once nobody takes it.
    pub(super) fn serve(&self, ask: impl Fn(Asked) -> bool + Clone + Send + 'static) -> io::Result<()> {
        let listener = self.listener.try_clone()?;
        let (open, unanswered) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&self.unanswered));
        let accept = move || {
            for connection in listener.incoming() {
                let Ok(connection) = connection else {
                    // Out of descriptors, say: they come back.
                    thread::sleep(Duration::from_millis(50));
                    continue;
                };
                if open.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
                    open.fetch_sub(1, Ordering::SeqCst);
                    continue;
                }
                let (ask, open, unanswered) = (ask.clone(), Arc::clone(&open), Arc::clone(&unanswered));
                let talk = {
                    let open = Arc::clone(&open);
                    move || {
                        // Whoever hangs up hears nothing.
                        let _ = converse(&connection, ask, &unanswered);
                        open.fetch_sub(1, Ordering::SeqCst);
                    }
                };
                if thread::Builder::new().name("control".to_owned()).spawn(talk).is_err() {
                    open.fetch_sub(1, Ordering::SeqCst);
                }
            }
        };
        thread::Builder::new().name("control".to_owned()).spawn(accept).map(drop)
    }
}

/// Which file a name stands for: device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|stat| (stat.dev(), stat.ino()))
}

impl Drop for Control {
    fn drop(&mut self) {
        // Who made another one in its place keeps it.
        if self.made.is_some() && identity(&self.path) == self.made {
            let _ = fs::remove_file(&self.path);
        }
        let start = Instant::now();
        while self.unanswered.load(Ordering::SeqCst) > 0 && start.elapsed() < LAST_ANSWER {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn converse(connection: &UnixStream, ask: impl Fn(Asked) -> bool, unanswered: &AtomicUsize) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(connection);
    loop {
        let mut line = Vec::new();
        if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let long = !line.ends_with(b"\n") && line.len() as u64 >= MAX_LINE;
        let line = String::from_utf8_lossy(&line);
        let (style, line) = match line.strip_prefix("json ") {
            Some(line) => (Style::Json, line),
            None => (Style::Text, &*line),
        };
        let (answer, answered) = channel();
        let asked = Asked { line: line.to_owned(), style, answer };
        unanswered.fetch_add(1, Ordering::SeqCst);
        let came = if long || !ask(asked) { None } else { answered.recv_timeout(ANSWER).ok() };
        let came = came.unwrap_or_else(|| Answer {
            words: Some("the node does not take this, it is ending or the command is too long".to_owned()),
            failed: true,
            ..Answer::default()
        });
        let written = write(connection, &came);
        unanswered.fetch_sub(1, Ordering::SeqCst);
        written?;
        if long {
            return Ok(());
        }
    }
}

fn write(mut connection: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut out = Vec::new();
    for line in answer.lines.split_inclusive(|byte| *byte == b'\n') {
        out.push(b'>');
        out.extend_from_slice(line);
    }
    if let Some(words) = &answer.words {
        out.push(b'!');
        out.extend(words.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
        out.push(b'\n');
    }
    out.extend_from_slice(if answer.failed { b"?\n" } else { b".\n" });
    connection.write_all(&out)
}
