//! A chain of steps that stands alone: hashes, seals and steps in one pass.

use core::fmt;

use super::{StepChecker, StepFinding, StepNote};
use crate::token::{Authority, Fault, Hash32, Token, TokenError, Verdict};
use crate::workload::WorkloadId;
use sluis_core::Seed;
use sluis_core::identity::MacKey;

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LineFault {
    /// It is no token.
    NotAToken(TokenError),
    /// Its content is not what was hashed.
    Token(Fault),
    /// Its seal does not hold.
    Seal(Verdict),
    /// It is not the step that should stand there.
    Step(StepFinding),
}

impl LineFault {
    /// The word for it in findings.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotAToken(_) | Self::Token(Fault::Inexact(_)) => "broken_line",
            Self::Token(Fault::MissingHash) => "missing_hash",
            Self::Token(Fault::NonFinite(_)) => "non_finite",
            Self::Token(_) => "content_hash",
            Self::Seal(Verdict::Unsigned) => "unsigned",
            Self::Seal(Verdict::Bad) => "bad_signature",
            Self::Seal(_) => "unknown_key",
            Self::Step(finding) => finding.kind.as_str(),
        }
    }
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAToken(error) => error.fmt(f),
            Self::Token(fault) => fault.fmt(f),
            Self::Seal(Verdict::Unsigned) => f.write_str("it is not signed"),
            Self::Seal(Verdict::Bad) => f.write_str("the signature does not hold"),
            Self::Seal(_) => f.write_str("the key that signed it is not known"),
            Self::Step(finding) => finding.fmt(f),
        }
    }
}

/// What is wrong with which line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineFinding<'a> {
    /// The line, from 1.
    pub line: u64,
    /// The token in it, where it is one.
    pub token: Option<Token<'a>>,
    /// What is wrong with it.
    pub fault: LineFault,
}

/// Verifies a chain of steps, line by line.
pub struct StepVerifier<'k> {
    mac: Option<&'k MacKey>,
    authority: Option<&'k dyn Authority>,
    checker: StepChecker,
    line: u64,
    head: Option<Hash32>,
}

impl<'k> StepVerifier<'k> {
    /// With an authority, every token must be sealed by somebody whom it knows. Without, seals are not looked at, and whoever can write
    /// the file can rewrite all of it: then only a [`head`](Self::head) kept elsewhere, or a log's checkpoint, finds that.
    #[must_use]
    pub fn new(mac: Option<&'k MacKey>, authority: Option<&'k dyn Authority>, seed: &Seed) -> Self {
        Self { mac, authority, checker: StepChecker::new(seed), line: 0, head: None }
    }

    /// Look at the next line, without its line feed.
    pub fn line<'a>(&mut self, line: &'a [u8]) -> Option<LineFinding<'a>> {
        self.line = self.line.saturating_add(1);
        let finding = |token, fault| Some(LineFinding { line: self.line, token, fault });
        let token = match Token::parse_bytes(line) {
            Ok(token) => token,
            Err(error) => {
                self.checker.judge(&StepNote::unreadable(), false);
                return finding(None, LineFault::NotAToken(error));
            }
        };
        self.head = token.said_hash();
        let fault =
            token.verify(self.mac).err().map(LineFault::Token).or_else(|| match token.check_seal(&self.authority?) {
                Verdict::Good => None,
                verdict => Some(LineFault::Seal(verdict)),
            });
        let step = self.checker.token(&token, fault.is_none()).map(LineFault::Step);
        finding(Some(token), fault.or(step)?)
    }

    /// The content hash of the last line: whoever keeps it elsewhere finds any change of the chain.
    #[must_use]
    pub const fn head(&self) -> Option<Hash32> {
        self.head
    }

    /// Workloads that have no last token, as [`StepChecker::open_workloads`]: [`StepFault::Unfinished`](super::StepFault::Unfinished) where they should be done.
    pub fn unfinished(&self) -> impl Iterator<Item = (WorkloadId, u32)> {
        self.checker.open_workloads()
    }
}

impl fmt::Debug for StepVerifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepVerifier").field("line", &self.line).finish_non_exhaustive()
    }
}
