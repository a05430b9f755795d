//! What comes from outside while a command runs: signals, and lines on standard input.

mod lines;
mod order;

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

pub(crate) use order::Order;

use crate::output::tell;
use crate::signals::{self, Asked};

/// Lines that wait to be looked at; reading goes on when there is room.
const MAX_LINES: usize = 64;
/// Exit code after a second signal, as a shell reports SIGINT.
const INTERRUPTED: i32 = 130;
/// A signal ends the command within a second, whatever keeps it: a reader that does not read, a disk that does not write.
const LONGEST_END: Duration = Duration::from_millis(900);

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

    /// A signal came.
    fn hear(&self, asked: Asked) {
        match asked {
            Asked::Stop if self.stop.swap(true, Ordering::SeqCst) => process::exit(INTERRUPTED),
            Asked::Stop => {
                // Whatever still keeps it after a while is given up; the code says that not all was done. Where the system has no
                // thread to give, a second signal does that.
                let _ = thread::Builder::new().name("end".to_owned()).spawn(|| {
                    thread::sleep(LONGEST_END);
                    process::exit(1);
                });
            }
            Asked::Reload => {}
        }
        self.ring();
    }
}

impl Inbox {
    /// Heed signals from now on, see [`signals`]. Once in a process, and before it starts threads.
    pub(crate) fn with_signals() -> Self {
        signals::stay_in_the_background();
        let bell = Arc::new(Bell::default());
        let heard = Arc::clone(&bell);
        if let Err(why) = signals::catch(false, move |asked| heard.hear(asked)) {
            tell(&format!("sluis: signals cannot be caught ({why}), they end it without a summary"));
        }
        Self { bell, lines: None, registered: None }
    }

    /// Read standard input, too. Its end is no event.
    pub(crate) fn with_lines(mut self) -> Self {
        let (send, lines) = sync_channel(MAX_LINES);
        let bell = Arc::clone(&self.bell);
        let take = move |line| {
            let taken = send.send(line).is_ok();
            bell.ring();
            taken
        };
        let reader = thread::Builder::new().name("stdin".to_owned()).spawn(move || lines::read(take));
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
