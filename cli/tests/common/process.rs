//! A child process that is talked to by lines and never outlives its test.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long a line may take before the test fails: far above any real wait, so a slow machine is no finding.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of a transcript a failure shows.
const SHOWN: usize = 40;

/// A running child; killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Everything said in either direction, for the failure message.
    transcript: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Start it with all three standard streams held here.
    pub(crate) fn spawn(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {name} ({command:?}): {e}"));
        let transcript = Arc::new(Mutex::new(vec![format!("$ {command:?}")]));
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (send, lines) = channel();
        read_lines(stdout, "out", Arc::clone(&transcript), move |line| drop(send.send(line)));
        read_lines(stderr, "err", Arc::clone(&transcript), drop);
        Self { name: name.to_owned(), stdin: child.stdin.take(), child, lines, transcript }
    }

    /// The next line of its standard output, or none when it has closed it.
    pub(crate) fn try_line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => self.fail(&format!("said nothing for {PATIENCE:?}")),
        }
    }

    /// The next line of its standard output.
    pub(crate) fn line(&self) -> String {
        self.try_line().unwrap_or_else(|| self.fail("ended its output while a line was expected"))
    }

    /// Write one line to its standard input.
    pub(crate) fn say(&mut self, line: &str) {
        note(&self.transcript, "in", line);
        let stdin = self.stdin.as_mut().expect("standard input was closed by the test");
        if let Err(e) = stdin.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdin.flush()) {
            self.fail(&format!("does not listen: {e}"));
        }
    }

    /// End its standard input.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Send it a signal by name, like `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name} did not work");
    }

    /// Read what it still says until it ends, and its exit code (-1: a signal).
    pub(crate) fn finish(&mut self) -> (i32, Vec<String>) {
        let rest: Vec<String> = std::iter::from_fn(|| self.try_line()).collect();
        let status = self.child.wait().expect("a child can be waited for");
        (status.code().unwrap_or(-1), rest)
    }

    /// Everything it wrote to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        let transcript = self.transcript.lock().expect("no reader panics");
        transcript.iter().filter_map(|line| line.strip_prefix("err: ")).fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{line}");
            all
        })
    }

    /// Wait until this stands somewhere on standard error.
    pub(crate) fn wait_for_stderr(&self, what: &str) {
        let start = std::time::Instant::now();
        while !self.stderr().contains(what) {
            if start.elapsed() > PATIENCE {
                self.fail(&format!("does not say {what:?}"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fail the test with what was said.
    pub(crate) fn fail(&self, what: &str) -> ! {
        let transcript = self.transcript.lock().expect("no reader panics");
        let hidden = transcript.len().saturating_sub(SHOWN);
        let shown: Vec<String> = transcript[hidden..].iter().map(|line| line.chars().take(600).collect()).collect();
        panic!("{} {what}\n({hidden} earlier lines)\n{}", self.name, shown.join("\n"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines<R: Read + Send + 'static>(
    stream: R,
    name: &'static str,
    transcript: Arc<Mutex<Vec<String>>>,
    mut take: impl FnMut(String) + Send + 'static,
) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            note(&transcript, name, &line);
            take(line);
        }
    });
}

fn note(transcript: &Mutex<Vec<String>>, stream: &str, line: &str) {
    if let Ok(mut transcript) = transcript.lock() {
        transcript.push(format!("{stream}: {line}"));
    }
}
