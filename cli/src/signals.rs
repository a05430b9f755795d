//! Signals as Unix has them.
//!
//! What whoever started us ignores stays ignored: `nohup` for SIGHUP, a script that starts a job in the background for SIGINT.
//! The terminal does not stop a command that goes on in the background for reading or writing there.

use std::io;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), expect(dead_code, reason = "no signal is caught there"))]
pub(crate) enum Asked {
    /// SIGINT, SIGTERM, or SIGHUP where nothing else is meant by it.
    Stop,
    /// SIGHUP, where there is something to read again.
    Reload,
}

/// Hand on what signals ask for, from a thread of its own, from now on. SIGHUP means [`Asked::Reload`] if `reloads`.
///
/// # Errors
/// The system has no handler or no thread to give.
#[cfg(unix)]
pub(crate) fn catch(reloads: bool, mut hear: impl FnMut(Asked) + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let ignored = ignored();
    let heeded = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_among(ignored, *signal));
    let mut signals = signal_hook::iterator::Signals::new(heeded)?;
    let listen = move || {
        for signal in signals.forever() {
            hear(if signal == SIGHUP && reloads { Asked::Reload } else { Asked::Stop });
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map(drop)
}

/// Nothing is caught elsewhere: whatever ends the command there ends it at once.
#[cfg(not(unix))]
pub(crate) fn catch(_: bool, _: impl FnMut(Asked) + Send + 'static) -> io::Result<()> {
    Ok(())
}

/// From now on, this thread and those that it starts read and write the terminal from the background without being stopped: a
/// read fails with `EIO` there, a write is done.
pub(crate) fn stay_in_the_background() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let mut terminal = SigSet::empty();
        terminal.add(Signal::SIGTTIN);
        terminal.add(Signal::SIGTTOU);
        // What cannot fail with valid signals; if it did, the command would be stopped as any other is.
        let _ = terminal.thread_block();
    }
}

/// Whether whoever started us ignores a signal.
#[cfg(unix)]
pub(crate) fn is_ignored(signal: i32) -> bool {
    is_among(ignored(), signal)
}

/// The signals that were ignored when the command began, as a mask whose lowest bit is signal 1.
///
/// Linux tells in `/proc`. Where there is none, nothing is known to be ignored: asking the kernel otherwise takes unsafe code.
#[cfg(unix)]
fn ignored() -> u64 {
    std::fs::read_to_string("/proc/self/status").map_or(0, |status| mask_of(&status))
}

#[cfg(unix)]
fn mask_of(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(unix)]
fn is_among(mask: u64, signal: i32) -> bool {
    let bit = signal.checked_sub(1).and_then(|bit| u32::try_from(bit).ok());
    bit.and_then(|bit| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let mask = mask_of("Name:\tsluis\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\nSigCgt:\t0\n");
        assert_eq!([1, 2, 3, 13, 15].map(|signal| is_among(mask, signal)), [true, true, false, true, false]);
        assert_eq!((mask_of(""), mask_of("SigIgn:\tx")), (0, 0));
        assert!(!is_among(u64::MAX, 0) && !is_among(u64::MAX, 65));
    }
}
