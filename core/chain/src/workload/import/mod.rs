//! Dictionaries of the reference (`Workload.to_dict()` and its audit trail), and what can be verified about them.
//!
//! The reference keeps no hash over a step. But it says most things twice: in the step, in its provenance, in the step after it, and in
//! the audit trail, whose ids are hashes over time and place. [`verify`] holds all of that together. It cannot see what is said only
//! once: a step's metadata, and whoever changes every copy.

mod dictionary;
mod trail;

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use sluis_core::data::{Text, Value, ValueToken};

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImportFault {
    /// A member is missing or mistyped.
    Malformed,
    /// Steps are not numbered from 1 without gaps.
    Order,
    /// Two steps have one name, or one id.
    DuplicateStep,
    /// A step found its input to be another.
    Compromised,
    /// The link to the step before is missing, or is not that step's output.
    Link,
    /// What a step says does not agree with its own provenance.
    Provenance,
    /// Times and duration do not agree.
    Times,
    /// A status contradicts what else is said.
    Status,
    /// Counts do not agree with the steps.
    Counts,
    /// The audit trail does not agree with the workload, or with itself.
    Trail,
}

impl ImportFault {
    /// The word for it in findings.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_step",
            Self::Order => "step_order",
            Self::DuplicateStep => "duplicate_step",
            Self::Compromised => "compromised",
            Self::Link => "step_link",
            Self::Provenance => "provenance",
            Self::Times => "times",
            Self::Status => "status",
            Self::Counts => "step_count",
            Self::Trail => "audit_trail",
        }
    }
}

/// Something that is wrong with a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFinding {
    /// The step, from 1 as it stands; `None` for the workload.
    pub step: Option<u32>,
    /// What kind of thing.
    pub kind: ImportFault,
    /// Which member.
    pub member: &'static str,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub actual: String,
}

impl fmt::Display for ImportFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "step {step}: ")?,
            None => f.write_str("workload: ")?,
        }
        let (expected, actual) = (self.expected.escape_debug(), self.actual.escape_debug());
        write!(f, "{}: {}: expected {expected}, found {actual}", self.kind.as_str(), self.member)
    }
}

/// What a dictionary is about, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Id of the workload.
    pub workload_id: String,
    /// Its name.
    pub name: String,
    /// How many steps it has.
    pub steps: u32,
    /// How many of its steps did not take the output of the step before as their input. (The reference never asks for that.)
    pub untied: u32,
    /// What is wrong.
    pub findings: Vec<ImportFinding>,
}

impl Imported {
    fn find(&mut self, step: Option<u32>, kind: ImportFault, member: &'static str, expected: String, actual: String) {
        // A stranger's dictionary may be all wrong: a page of it is enough.
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(ImportFinding { step, kind, member, expected, actual });
        }
    }

    /// Two texts must agree.
    fn same(
        &mut self,
        step: Option<u32>,
        kind: ImportFault,
        member: &'static str,
        expected: Text<'_>,
        actual: Option<Text<'_>>,
    ) {
        if actual != Some(expected) {
            self.find(step, kind, member, shown(expected), actual.map(shown).unwrap_or_default());
        }
    }
}

/// Most findings that are told.
pub const MAX_FINDINGS: usize = 1000;

/// Verify what can be verified about a dictionary, alone or together with the audit trail of its engine (an array; entries of other
/// workloads are passed over).
///
/// A dictionary that is none gives a finding of [`ImportFault::Malformed`].
#[must_use]
pub fn verify(workload: Value<'_>, trail: Option<Value<'_>>) -> Imported {
    let mut imported = Imported::default();
    let Some(dictionary) = dictionary::Dictionary::read(workload, &mut imported) else { return imported };
    dictionary.check(&mut imported);
    if let Some(trail) = trail {
        trail::check(&dictionary, trail, &mut imported);
    }
    imported
}

fn shown(text: Text<'_>) -> String {
    text.chars().take(256).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// A member that is a text.
fn text<'a>(object: Value<'a>, key: &str) -> Option<Text<'a>> {
    object.get(key)?.as_text()
}

/// How many members an object has.
fn members(object: Value<'_>) -> usize {
    let (mut depth, mut count) = (0_usize, 0);
    for token in object.tokens() {
        match token {
            ValueToken::ObjectStart | ValueToken::ArrayStart => depth += 1,
            ValueToken::ObjectEnd | ValueToken::ArrayEnd => depth = depth.saturating_sub(1),
            ValueToken::Key(_) if depth == 1 => count += 1,
            _ => {}
        }
    }
    count
}

/// A number, for people.
fn number(n: usize) -> String {
    n.to_string()
}

/// A name, with what it is about.
fn quoted(what: &str, name: Text<'_>) -> String {
    format!("{what} '{}'", shown(name))
}
