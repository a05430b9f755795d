//! Keys of a terminal, one by one: what a view that is shown live is ended with.
//!
//! As long as they are read, the terminal hands each key on at once and shows none. It is as it was before on every way out: at the end of the command, where a signal gives it up, behind a
//! signal that ends it at once, and as long as it is stopped. Ctrl-C stays a signal.

use std::io::{self, Read as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGQUIT, SIGTSTP};
use signal_hook::low_level::emulate_default_handler;

use super::lines;
use crate::signals;

/// How the terminal is to be left.
static TERMINAL: Mutex<State> = Mutex::new(State::Untouched);

enum State {
    /// Nobody reads keys.
    Untouched,
    /// Keys are read; it was like this before.
    Keys(Termios),
    /// Keys will be read once the command is in front again.
    Stopped,
}

fn state() -> MutexGuard<'static, State> {
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal as it was, when this is dropped.
#[derive(Debug)]
pub(super) struct Keys(());

impl Keys {
    /// Have each key handed to `press` by a thread, until it says that it wants no more. None where standard input is no terminal of ours: nothing has changed then.
    ///
    /// # Errors
    /// The system has no handler or no thread to give.
    pub(super) fn read(press: impl FnMut(u8) -> bool + Send + 'static) -> io::Result<Option<Self>> {
        if !enter(&mut state()) {
            return Ok(None);
        }
        let keys = Self(());
        let looked_after = [SIGCONT, SIGQUIT, SIGTSTP].into_iter().filter(|signal| !signals::is_ignored(*signal));
        let mut stops = signal_hook::iterator::Signals::new(looked_after)?;
        thread::Builder::new().name("stops".to_owned()).spawn(move || stops.forever().for_each(stop_or_go_on))?;
        thread::Builder::new().name("keys".to_owned()).spawn(move || hand_on(press))?;
        Ok(Some(keys))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// Leave the terminal as it was, if it is not: before the process ends in whatever way.
pub(super) fn restore() {
    leave(&mut state(), State::Untouched);
}

fn leave(state: &mut State, next: State) {
    if let State::Keys(before) = state {
        // A terminal that is gone is nobody's to leave in order.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
    }
    *state = next;
}

/// Take the terminal, if it is ours.
fn enter(state: &mut State) -> bool {
    if tcgetpgrp(io::stdin()).ok() != Some(rustix::process::getpgrp()) {
        return false;
    }
    let Ok(before) = tcgetattr(io::stdin()) else { return false };
    let mut keys = before.clone();
    keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    (keys.special_codes[SpecialCodeIndex::VMIN], keys.special_codes[SpecialCodeIndex::VTIME]) = (1, 0);
    let taken = tcsetattr(io::stdin(), OptionalActions::Now, &keys).is_ok();
    if taken {
        *state = State::Keys(before);
    }
    taken
}

/// The command is about to stop or to end at once, or goes on.
fn stop_or_go_on(signal: i32) {
    let mut state = state();
    if signal == SIGCONT {
        if matches!(*state, State::Stopped) {
            enter(&mut state);
        }
        return;
    }
    if matches!(*state, State::Keys(_)) {
        leave(&mut state, State::Stopped);
    }
    drop(state);
    let _ = emulate_default_handler(signal);
}

fn hand_on(mut press: impl FnMut(u8) -> bool) {
    let mut stdin = io::stdin().lock();
    let mut keys = [0; 64];
    loop {
        let pressed = match stdin.read(&mut keys) {
            Ok(0) => return,
            Ok(n) => keys.get(..n).unwrap_or_default(),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) if lines::wait_for_the_foreground() => continue,
            Err(_) => return,
        };
        if !pressed.iter().all(|key| press(*key)) {
            return;
        }
    }
}
