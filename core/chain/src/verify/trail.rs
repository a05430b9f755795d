//! The last lines, so that they can still be named.

use alloc::string::String;
use alloc::vec::Vec;

use super::finding::cut;
use super::links::RECENT;
use crate::token::Token;

/// Lines whose ids are kept when their bytes are gone.
const NAMED: usize = 4;

/// A line that was passed.
#[derive(Clone, Copy)]
pub(super) struct Passed {
    pub(super) line: u64,
    /// Where its id is among all ids.
    pub(super) ids: Option<u32>,
    /// Something was found about it.
    pub(super) reported: bool,
    /// Where it stands in its chunk.
    pub(super) at: u32,
    pub(super) len: u32,
}

/// The last lines of what was passed.
pub(super) struct Trail {
    lines: Vec<Passed>,
    /// How many of all belong to chunks before this one.
    before: u64,
    passed: u64,
    /// The ids of the last lines before this chunk, the last one last.
    names: Vec<Option<String>>,
}

impl Trail {
    pub(super) const fn new() -> Self {
        Self { lines: Vec::new(), before: 0, passed: 0, names: Vec::new() }
    }

    fn slot(&self, back: u64) -> Option<usize> {
        let index = self.passed.checked_sub(back).filter(|_| (1..=RECENT as u64).contains(&back))?;
        usize::try_from(index % RECENT as u64).ok()
    }

    /// The line so many places back; 1 is the last that was [`push`](Self::push)ed.
    pub(super) fn back(&self, back: u64) -> Option<Passed> {
        self.lines.get(self.slot(back)?).copied()
    }

    pub(super) fn push(&mut self, passed: Passed) {
        let at = usize::try_from(self.passed % RECENT as u64).unwrap_or(0);
        match self.lines.get_mut(at) {
            Some(slot) => *slot = passed,
            None => self.lines.push(passed),
        }
        self.passed += 1;
    }

    /// Whether something was said about this line after it had been passed.
    pub(super) fn is_reported(&self, line: u64) -> bool {
        self.lines.iter().any(|passed| passed.line == line && passed.reported)
    }

    /// Something is said about this line now; where its id is, if that was known.
    pub(super) fn report(&mut self, line: u64) -> Option<u32> {
        let passed = self.lines.iter_mut().find(|passed| passed.line == line)?;
        passed.reported = true;
        passed.ids.take()
    }

    /// The id in the line so many places back.
    pub(super) fn name(&self, back: u64, chunk: &[u8]) -> Option<String> {
        let passed = self.back(back)?;
        let in_chunk = self.passed - self.before;
        if back <= in_chunk {
            let at = passed.at as usize;
            return name(chunk.get(at..at + passed.len as usize)?);
        }
        let from_end = usize::try_from(back - in_chunk).ok()?;
        self.names.get(self.names.len().checked_sub(from_end)?).cloned().flatten()
    }

    /// The bytes of this chunk will be gone.
    pub(super) fn end_of_chunk(&mut self, chunk: &[u8]) {
        let fresh = (self.passed - self.before).min(NAMED as u64);
        let mut names: Vec<_> = (1..=fresh).rev().map(|back| self.name(back, chunk)).collect();
        self.names.append(&mut names);
        let surplus = self.names.len().saturating_sub(NAMED);
        self.names.drain(..surplus);
        self.before = self.passed;
    }
}

/// The id of the token in a line, cut where it is too long.
pub(super) fn name(line: &[u8]) -> Option<String> {
    Token::parse_bytes(line).ok().map(|token| cut(token.token_id))
}
