//! The command of a step: run to its end, with the signals that reach this process.

use std::ffi::OsString;
use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use sluis_core::Now;
use sluis_tokio::SystemClock;

use crate::output::Style;

/// Exit codes of a command that did not run, as shells and `env` have them.
const NOT_FOUND: i32 = 127;
const NOT_RUN: i32 = 126;

/// How the command ended.
pub(super) struct Ended {
    pub(super) started: Now,
    pub(super) ended: Now,
    /// As a shell says it.
    pub(super) code: i32,
    /// Why it did not go well; empty when it did.
    pub(super) error: String,
}

impl Ended {
    pub(super) fn took(&self) -> Duration {
        self.ended.mono.saturating_since(self.started.mono)
    }
}

/// Run the command of a step to its end.
pub(super) fn run(clock: &SystemClock, style: Style, step: &str, words: &[OsString]) -> Ended {
    let started = clock.now();
    let outcome = spawn(style, step, words);
    let ended = clock.now();
    let (code, error) = match outcome {
        Ok(status) => match (status.code(), signal(status)) {
            (Some(0), _) => (0, String::new()),
            (Some(code), _) => (code, format!("exit code {code}")),
            (None, signal) => (128 + signal, format!("ended by signal {signal}")),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => (NOT_FOUND, "the command was not found".to_owned()),
        Err(why) => (NOT_RUN, format!("the command could not be run ({why})")),
    };
    Ended { started, ended, code, error }
}

fn spawn(style: Style, step: &str, words: &[OsString]) -> io::Result<ExitStatus> {
    let Some((program, rest)) = words.split_first() else {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    };
    let mut command = Command::new(program);
    command.args(rest);
    if style == Style::Json {
        command.stdout(Stdio::from(io::stderr()));
    }
    forward::wait(step, &mut command)
}

fn signal(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    #[cfg(not(unix))]
    return i32::from(status.success());
}

/// Signals: while the command runs, each is passed on as it is; once it has ended, each has its usual effect.
#[cfg(unix)]
mod forward {
    use std::io;
    use std::process::{Command, ExitStatus};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    use signal_hook::iterator::SignalsInfo;
    use signal_hook::iterator::exfiltrator::WithOrigin;
    use signal_hook::low_level::siginfo::{Cause, Origin};

    use crate::output::{settle, tell};
    use crate::signals;

    /// How far the command is.
    enum Phase {
        /// It is about to start; what came in the meantime is for it.
        Starting(Vec<Signal>),
        Running(Pid),
        Ended,
    }

    type Shared = Arc<Mutex<Phase>>;

    /// Start the command and wait for its end.
    pub(super) fn wait(step: &str, command: &mut Command) -> io::Result<ExitStatus> {
        let phase = Shared::new(Mutex::new(Phase::Starting(Vec::new())));
        listen(step.to_owned(), Arc::clone(&phase))?;
        let spawned = command.spawn().inspect_err(|_| *lock(&phase) = Phase::Ended);
        let mut child = spawned?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            if let Phase::Starting(early) = std::mem::replace(&mut *lock(&phase), Phase::Running(pid)) {
                for signal in early {
                    let _ = kill_process(pid, signal);
                }
            }
            // It keeps its number until it is waited for below, and by then nothing is sent to that any more.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
        }
        *lock(&phase) = Phase::Ended;
        child.wait()
    }

    fn lock(phase: &Mutex<Phase>) -> MutexGuard<'_, Phase> {
        phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listen for signals, on a thread of its own, for as long as the process lives. Those that whoever started us ignores stay
    /// ignored, here and in the command.
    fn listen(step: String, phase: Shared) -> io::Result<()> {
        let heeded = [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(|signal| !signals::is_ignored(*signal));
        let mut signals = SignalsInfo::<WithOrigin>::new(heeded)?;
        let forever = move || {
            for origin in signals.forever() {
                heed(&step, &phase, &origin);
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(forever).map(drop)
    }

    fn heed(step: &str, phase: &Mutex<Phase>, origin: &Origin) {
        let Some(signal) = Signal::from_named_raw(origin.signal) else { return };
        let mut phase = lock(phase);
        match &mut *phase {
            Phase::Starting(early) => early.push(signal),
            Phase::Running(pid) if !is_the_commands_too(origin) => {
                // It may have ended in this moment.
                let _ = kill_process(*pid, signal);
            }
            Phase::Running(_) => {}
            Phase::Ended => {
                tell(&format!("sluis chain run: ended by a signal, step {step} is not recorded."));
                settle();
                // Only a signal that does nothing by default comes back from this.
                let _ = signal_hook::low_level::emulate_default_handler(origin.signal);
            }
        }
    }

    /// Whether the command got the signal by itself: what is typed at a terminal goes to all that runs in its foreground.
    fn is_the_commands_too(origin: &Origin) -> bool {
        matches!(origin.signal, SIGINT | SIGQUIT) && from_terminal(origin.cause)
    }

    #[cfg(not(any(target_os = "macos", target_os = "ios")))]
    fn from_terminal(cause: Cause) -> bool {
        cause == Cause::Kernel
    }

    /// The system does not tell who sends a signal: what comes while we are in the foreground is taken for typed.
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    fn from_terminal(_: Cause) -> bool {
        let terminal = std::fs::File::open("/dev/tty");
        let front = terminal.ok().and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok());
        front == Some(rustix::process::getpgrp())
    }
}

#[cfg(not(unix))]
mod forward {
    use std::io;
    use std::process::{Command, ExitStatus};

    /// Start the command and wait for its end. What the console sends reaches both.
    pub(super) fn wait(_: &str, command: &mut Command) -> io::Result<ExitStatus> {
        command.status()
    }
}
