//! The steps of workloads, checked on the way.

use std::cell::Cell;
use std::rc::Rc;

use sluis_core::Seed;
use sluis_core::chain::token::Token;
use sluis_core::chain::verify::{Checker, Finding, Kind, Place, Problem};
use sluis_core::chain::workload::check::{Fact, StepChecker, StepNote};

/// How many steps may be missing for one gap that was named already.
const GAP: u32 = 64;

/// How many tokens in the file are not what was written there, or are gone: steps that lack because of that are not reported
/// a second time.
#[derive(Clone, Debug, Default)]
pub(super) struct Excuses(Rc<Cell<u32>>);

impl Excuses {
    /// Something was found.
    pub(super) fn hear(&self, finding: &Finding) {
        let more = match finding.kind {
            Kind::BrokenLine | Kind::LineTooLong | Kind::Inserted => 1,
            Kind::Link | Kind::Dropped | Kind::Swapped | Kind::Root | Kind::Truncated => GAP,
            _ => 0,
        };
        self.0.set(self.0.get().saturating_add(more));
    }
}

/// Follows the workloads of a file.
#[derive(Debug)]
pub(super) struct Steps {
    checker: StepChecker,
    excuses: Excuses,
}

impl Steps {
    pub(super) fn new(seed: &Seed, excuses: Excuses) -> Self {
        Self { checker: StepChecker::new(seed), excuses }
    }
}

impl Checker for Steps {
    type Note = StepNote;

    fn look(token: &Token<'_>, sound: bool) -> Option<StepNote> {
        StepNote::of(token, sound)
    }

    fn fold(&mut self, at: Place, note: StepNote) -> Option<Problem> {
        for _ in 0..self.excuses.0.take() {
            let _ = self.checker.fold(&StepNote::unreadable(), false);
        }
        let finding = self.checker.fold(&note, !at.reported)?;
        let text = |fact: Fact| Some(fact.to_string()).filter(|text| !text.is_empty());
        Some(Problem {
            kind: Kind::Other(finding.kind.as_str()),
            expected: text(finding.expected),
            actual: text(finding.actual),
        })
    }

    /// A workload that goes on has no last token yet, and that is fine.
    fn finish(&mut self, _: &mut dyn FnMut(Finding)) {}
}
