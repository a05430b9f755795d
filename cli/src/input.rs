//! What comes from outside while a command runs: signals, and lines on standard input.

use std::io::{self, BufRead as _, Read as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::thread;

use sluis_core::framing::Value;

/// Bytes of a line that are read; a longer one is cut and understood as no command.
const MAX_LINE: u64 = 4096;
/// Lines that wait to be looked at; reading goes on when there is room.
const MAX_LINES: usize = 64;
/// Exit code after a second signal, as a shell reports SIGINT.
const INTERRUPTED: i32 = 130;

/// Signals and lines, for one app that is woken when there is something.
#[derive(Debug)]
pub(crate) struct Inbox {
    bell: Arc<Bell>,
    lines: Option<Receiver<String>>,
    /// What the bell wakes now.
    registered: Option<Waker>,
}

#[derive(Debug, Default)]
struct Bell {
    stop: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    fn ring(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Inbox {
    /// Catch SIGINT and SIGTERM from now on. Once in a process.
    pub(crate) fn with_signals() -> Self {
        let bell = Arc::new(Bell::default());
        let heard = Arc::clone(&bell);
        let caught = ctrlc::set_handler(move || {
            if heard.stop.swap(true, Ordering::SeqCst) {
                // Asked twice: what still keeps the command, a reader that does not read, say, is given up.
                std::process::exit(INTERRUPTED);
            }
            heard.ring();
        });
        if let Err(why) = caught {
            crate::output::tell(&format!("sluis: signals cannot be caught ({why}), they end it without a summary"));
        }
        Self { bell, lines: None, registered: None }
    }

    /// Read standard input, too. Its end is no event.
    pub(crate) fn with_lines(mut self) -> Self {
        let (send, lines) = sync_channel(MAX_LINES);
        let bell = Arc::clone(&self.bell);
        let reader = thread::Builder::new().name("stdin".to_owned()).spawn(move || read_lines(&send, &bell));
        // Without a thread there are no commands, and everything else works.
        self.lines = reader.is_ok().then_some(lines);
        self
    }

    /// See to it that whatever comes from now on wakes this task.
    pub(crate) fn register(&mut self, cx: &Context<'_>) {
        if self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        self.registered = Some(cx.waker().clone());
        *self.bell.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
    }

    /// A signal asked to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.bell.stop.load(Ordering::SeqCst)
    }

    /// The next line of standard input.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        match self.lines.as_ref()?.try_recv() {
            Ok(line) => Some(line),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.lines = None;
                None
            }
        }
    }
}

fn read_lines(send: &SyncSender<String>, bell: &Bell) {
    let mut stdin = io::stdin().lock();
    loop {
        wait_for_the_foreground();
        let mut line = Vec::new();
        match (&mut stdin).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => return,
            // A longer line is no command, and its rest is none either.
            Ok(_) if !line.ends_with(b"\n") && line.len() as u64 >= MAX_LINE => drop(stdin.skip_until(b'\n')),
            Ok(_) => {}
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        if send.send(line).is_err() {
            return;
        }
        bell.ring();
    }
}

/// A job in the background that reads the terminal is stopped as a whole. So wait until the terminal is ours.
fn wait_for_the_foreground() {
    #[cfg(unix)]
    while let Ok(front) = rustix::termios::tcgetpgrp(io::stdin()) {
        if front == rustix::process::getpgrp() {
            break;
        }
        thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// What a line on standard input asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Order {
    /// Decide about the waiting ping of this number or packet id, from this sender if there are several.
    Decide {
        approve: bool,
        packet_id: String,
        sender: Option<String>,
    },
    Trust(crate::values::Trust),
    Stats,
    Quit,
}

impl Order {
    /// Understand a line; none if it is empty.
    ///
    /// # Errors
    /// A sentence that names the mend.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, String> {
        let line = line.trim();
        let (verb, rest) = split(line);
        Ok(Some(match (verb, rest) {
            ("", _) => return Ok(None),
            ("approve" | "reject", "") => return Err(format!("write {verb} NUMBER")),
            ("approve" | "reject", rest) => {
                let (packet_id, sender) = packet_id(rest)?;
                let sender = (!sender.is_empty()).then(|| sender.to_owned());
                Self::Decide { approve: verb == "approve", packet_id, sender }
            }
            ("trust", "") => return Err("write trust DID=SCORE, like trust jis:home:sensor=0.9".to_owned()),
            ("trust", text) => Self::Trust(crate::values::trust(text).map_err(|why| format!("trust `{text}`: {why}"))?),
            ("stats", "") => Self::Stats,
            ("quit", "") => Self::Quit,
            ("stats" | "quit", _) => return Err(format!("{verb} takes nothing behind it, write just {verb}")),
            _ => {
                return Err(format!(
                    "`{verb}` is no command here, write approve NUMBER, reject NUMBER, trust DID=SCORE, stats or quit"
                ));
            }
        }))
    }
}

/// The first word, and what is behind it.
fn split(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

/// A packet id, and what is behind it. One that holds white space or control characters is written as a JSON text.
fn packet_id(text: &str) -> Result<(String, &str), String> {
    let Some(inside) = text.strip_prefix('"') else {
        let (word, rest) = split(text);
        return Ok((word.to_owned(), rest));
    };
    let mut escaped = false;
    let end = inside.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let unreadable = || format!("`{text}` is no JSON text, write the packet id as it was printed");
    let (quoted, rest) = text.split_at(end.ok_or_else(unreadable)? + 2);
    let value = Value::from_json(quoted).map_err(|_| unreadable())?;
    let id = value.as_text().ok_or_else(unreadable)?;
    Ok((id.to_cow().into_owned(), rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Trust;

    #[test]
    fn orders_are_words() {
        let decide = |approve, packet_id: &str, sender: Option<&str>| {
            Ok(Some(Order::Decide { approve, packet_id: packet_id.into(), sender: sender.map(Into::into) }))
        };
        assert_eq!(Order::parse(" approve  ping_1\r\n"), decide(true, "ping_1", None));
        assert_eq!(Order::parse("reject ping_1 jis:a"), decide(false, "ping_1", Some("jis:a")));
        assert_eq!(
            Order::parse("trust jis:a b=0.5"),
            Ok(Some(Order::Trust(Trust { did: "jis:a b".into(), score: 0.5 })))
        );
        assert_eq!(Order::parse("stats"), Ok(Some(Order::Stats)));
        assert_eq!(Order::parse("quit\n"), Ok(Some(Order::Quit)));
        assert_eq!(Order::parse(" \n"), Ok(None));
        assert_eq!(Order::parse(r#"approve "a \u001b\"b" jis:x y"#), decide(true, "a \u{1b}\"b", Some("jis:x y")));
        for bad in [
            "approve",
            "reject",
            r#"reject "a"#,
            r#"reject "\x""#,
            "trust",
            "trust a",
            "trust a=2",
            "stats 1",
            "quit now",
            "help",
        ] {
            assert!(Order::parse(bad).is_err(), "{bad}");
        }
    }
}
