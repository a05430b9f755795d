//! What comes from outside while a command runs: signals, lines on standard input, and commands through a control socket.

mod command;
#[cfg(unix)]
mod control;
#[cfg(unix)]
mod keys;
mod lines;

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

pub(crate) use command::{COMMANDS, HubCommand};
#[cfg(unix)]
pub(crate) use control::{Answer, Asked, Control};

use crate::output::tell;
use crate::signals;

/// Commands that wait to be looked at; reading goes on when there is room.
const MAX_WAITING: usize = 64;
/// Exit code after a second signal, as a shell reports SIGINT.
const INTERRUPTED: i32 = 130;
/// A signal ends the command within a second, whatever keeps it: a reader that does not read, a disk that does not write.
const LONGEST_END: Duration = Duration::from_millis(900);

/// What was heard.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A line of standard input.
    Line(String),
    /// Standard input has ended.
    InputEnded,
    /// A command that came through the control socket.
    #[cfg(unix)]
    Control(Asked),
}

/// Signals and commands, for one app that is woken when there is something.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Gives the terminal back with the inbox.
    #[cfg(unix)]
    keys: Option<keys::Keys>,
    bell: Arc<Bell>,
    send: SyncSender<Heard>,
    heard: Receiver<Heard>,
    /// What the bell wakes now.
    registered: Option<Waker>,
    /// Closed with the inbox.
    #[cfg(unix)]
    control: Option<Control>,
}

#[derive(Debug, Default)]
struct Bell {
    stop: AtomicBool,
    reload: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    fn ring(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A signal came.
    fn hear(&self, asked: signals::Asked) {
        match asked {
            signals::Asked::Stop if self.stop.swap(true, Ordering::SeqCst) => end_at_once(INTERRUPTED),
            signals::Asked::Stop => {
                // Whatever still keeps it after a while is given up; the code says that not all was done. Where the system has no
                // thread to give, a second signal does that.
                let _ = thread::Builder::new().name("end".to_owned()).spawn(|| {
                    thread::sleep(LONGEST_END);
                    end_at_once(1);
                });
            }
            signals::Asked::Reload => self.reload.store(true, Ordering::SeqCst),
        }
        self.ring();
    }
}

/// End without waiting for anything; a terminal is left as it was.
fn end_at_once(code: i32) -> ! {
    #[cfg(unix)]
    keys::restore();
    process::exit(code)
}

impl Inbox {
    /// Heed signals from now on, see [`signals`]; SIGHUP asks to [reload](Self::is_to_reload) if `reloads`. Once in a process, and
    /// before it starts threads.
    pub(crate) fn with_signals(reloads: bool) -> Self {
        signals::stay_in_the_background();
        let bell = Arc::new(Bell::default());
        let rung = Arc::clone(&bell);
        if let Err(why) = signals::catch(reloads, move |asked| rung.hear(asked)) {
            tell(&format!("sluis: signals cannot be caught ({why}), they end it without a summary"));
        }
        let (send, heard) = sync_channel(MAX_WAITING);
        Self {
            #[cfg(unix)]
            keys: None,
            bell,
            send,
            heard,
            registered: None,
            #[cfg(unix)]
            control: None,
        }
    }

    /// Read standard input, too.
    pub(crate) fn with_lines(self) -> Self {
        let (send, bell) = (self.send.clone(), Arc::clone(&self.bell));
        let hand_on = move |heard| {
            let taken = send.send(heard).is_ok();
            bell.ring();
            taken
        };
        let read = move || {
            lines::read(|line| hand_on(Heard::Line(line)));
            hand_on(Heard::InputEnded);
        };
        // Without a thread there are no commands, and everything else works.
        if let Err(why) = thread::Builder::new().name("stdin".to_owned()).spawn(read) {
            tell(&format!("sluis: standard input is not read ({why})"));
        }
        self
    }

    /// End at the key `q`, too, as at a signal, where standard input is a terminal.
    #[cfg(unix)]
    pub(crate) fn with_keys(mut self) -> Self {
        let bell = Arc::clone(&self.bell);
        let press = move |key: u8| {
            let ends = key.eq_ignore_ascii_case(&b'q');
            if ends && !bell.stop.load(Ordering::SeqCst) {
                bell.hear(signals::Asked::Stop);
            }
            !ends
        };
        self.keys = keys::Keys::read(press).unwrap_or_else(|why| {
            tell(&format!("sluis: the keyboard is not read ({why}), Ctrl-C ends it"));
            None
        });
        self
    }

    /// Only Ctrl-C ends it elsewhere.
    #[cfg(not(unix))]
    pub(crate) const fn with_keys(self) -> Self {
        self
    }

    /// Whether [keys](Self::with_keys) are read.
    pub(crate) const fn has_keys(&self) -> bool {
        #[cfg(unix)]
        return self.keys.is_some();
        #[cfg(not(unix))]
        return false;
    }

    /// Take commands through a socket, too.
    #[cfg(unix)]
    pub(crate) fn with_control(mut self, control: Option<Control>) -> Self {
        if let Some(control) = &control {
            let (send, bell) = (self.send.clone(), Arc::clone(&self.bell));
            let ask = move |asked| {
                let taken = send.send(Heard::Control(asked)).is_ok();
                bell.ring();
                taken
            };
            if let Err(why) = control.serve(ask) {
                tell(&format!("sluis: the control socket is not served ({why})"));
            }
        }
        self.control = control;
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

    /// A signal asked to read the configuration again, since the last time.
    pub(crate) fn is_to_reload(&self) -> bool {
        self.bell.reload.swap(false, Ordering::SeqCst)
    }

    /// What was heard next.
    pub(crate) fn next(&mut self) -> Option<Heard> {
        self.heard.try_recv().ok()
    }
}
