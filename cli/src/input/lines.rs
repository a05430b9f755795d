//! Lines of standard input, read by a thread of its own.

use std::io::{self, BufRead as _, Read as _};
#[cfg(unix)]
use std::thread;
#[cfg(unix)]
use std::time::Duration;

/// Bytes of a line that are read; a longer one is cut and understood as no command.
const MAX_LINE: u64 = 4096;
/// How often it is looked whether a terminal is ours again.
#[cfg(unix)]
const LOOK: Duration = Duration::from_millis(200);

/// Read lines until there are no more, or nobody takes them.
pub(super) fn read(take: impl Fn(String) -> bool) {
    let mut stdin = io::stdin().lock();
    loop {
        let mut line = Vec::new();
        match (&mut stdin).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => return,
            // A longer line is no command, and its rest is none either.
            Ok(_) if !line.ends_with(b"\n") && line.len() as u64 >= MAX_LINE => drop(stdin.skip_until(b'\n')),
            Ok(_) => {}
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            // What a job in the background is told that reads the terminal.
            Err(_) if wait_for_the_foreground() => continue,
            Err(_) => return,
        }
        if !take(String::from_utf8_lossy(&line).into_owned()) {
            return;
        }
    }
}

/// Wait until the terminal is ours to read again; at once `false` if it was, or if there is none any more.
#[cfg(unix)]
pub(super) fn wait_for_the_foreground() -> bool {
    let ours = || rustix::termios::tcgetpgrp(io::stdin()).map(|front| front == rustix::process::getpgrp());
    if ours() != Ok(false) {
        return false;
    }
    while ours() == Ok(false) {
        thread::sleep(LOOK);
    }
    true
}

#[cfg(not(unix))]
const fn wait_for_the_foreground() -> bool {
    false
}
