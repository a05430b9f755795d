//! The verifier of files asks this room about steps.

use alloc::string::{String, ToString as _};

use super::{Fact, StepChecker, StepFault, StepFinding, StepNote};
use crate::token::Token;
use crate::verify::{Checker, Finding, Kind, Place, Problem};

impl StepFault {
    /// Whether it follows where lines are gone, put in, changed or exchanged: then that is the finding, and not this.
    const fn is_of_order(self) -> bool {
        !matches!(self, Self::Malformed | Self::DuplicateStep | Self::InputMismatch | Self::Compromised)
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Truncated => Kind::Truncated,
            other => Kind::Other(other.as_str()),
        }
    }
}

fn text(fact: Fact) -> Option<String> {
    match fact {
        Fact::None => None,
        fact => Some(fact.to_string()),
    }
}

impl From<StepFinding> for Problem {
    fn from(finding: StepFinding) -> Self {
        let (kind, order) = (finding.kind.kind(), finding.kind.is_of_order());
        Self { kind, expected: text(finding.expected), actual: text(finding.actual), order }
    }
}

impl Checker for StepChecker {
    type Note = StepNote;

    fn look(token: &Token<'_>, sound: bool) -> Option<StepNote> {
        StepNote::of(token, sound)
    }

    fn unread(&mut self, tokens: u32) {
        self.excused = self.excused.saturating_add(tokens);
    }

    fn fold(&mut self, at: Place, note: StepNote) -> Option<Problem> {
        (self.line, self.gaps, self.lost) = (at.line, at.gaps, at.lost);
        self.judge(&note, !at.reported).map(Problem::from)
    }

    fn finish(&mut self, found: &mut dyn FnMut(Finding)) {
        if !self.must_end {
            return;
        }
        for (id, line, steps) in self.left() {
            found(Finding {
                line,
                token_id: Some(alloc::format!("workload_{id}")),
                kind: StepFault::Unfinished.kind(),
                expected: Some(String::from("a last token")),
                actual: Some(alloc::format!("{steps} steps")),
            });
        }
    }
}
