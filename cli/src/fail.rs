//! How a command fails: one sentence on standard error, and the exit code that goes with it.

use std::fmt::{self, Display};
use std::io;
use std::process::ExitCode;

use crate::output::tell;

/// Why a command could not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Fail {
    code: u8,
    why: String,
}

impl Fail {
    /// The command line or the configuration is wrong: exit code 2.
    pub(crate) fn usage(why: impl Display) -> Self {
        Self { code: 2, why: why.to_string() }
    }

    /// It could not be done: exit code 1.
    pub(crate) fn runtime(why: impl Display) -> Self {
        Self { code: 1, why: why.to_string() }
    }

    /// Standard output could not be written: exit code 1.
    pub(crate) fn output(why: &io::Error) -> Self {
        Self::runtime(match why.kind() {
            io::ErrorKind::BrokenPipe => {
                "the reader of standard output has left, nobody would see what happens".to_owned()
            }
            io::ErrorKind::TimedOut => "standard output is not read, the last lines are lost".to_owned(),
            _ => format!("cannot write to standard output ({why})"),
        })
    }

    /// The same, although something is done for good: whoever does it again does it twice.
    pub(crate) fn although(self, done: Option<&str>) -> Self {
        match done {
            Some(done) => Self { why: format!("{done}, but {}", self.why), ..self },
            None => self,
        }
    }

    /// The same, as something that is wrong with the command line or what it names.
    pub(crate) fn into_usage(self) -> Self {
        Self { code: 2, ..self }
    }

    /// The same, said of what was named there.
    pub(crate) fn of(self, what: &str) -> Self {
        Self { why: format!("{what}: {}", self.why), ..self }
    }

    /// What clap refused: what is wrong with a file that was named is no mistake of the command line.
    pub(crate) fn refused(error: &clap::Error, sentence: String) -> Self {
        let fail = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Self>());
        Self { code: fail.map_or(2, |fail| fail.code), why: sentence }
    }

    /// Say it.
    pub(crate) fn report(&self, command: Option<&str>) -> ExitCode {
        let end = if self.why.ends_with('.') { "" } else { "." };
        match command {
            Some(command) => tell(&format!("sluis {command}: {}{end}", self.why)),
            None => tell(&format!("sluis: {}{end}", self.why)),
        }
        ExitCode::from(self.code)
    }
}

impl std::error::Error for Fail {}

/// The sentence alone.
impl Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
