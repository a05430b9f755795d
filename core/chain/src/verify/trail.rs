//! The last lines, and what was found about them: so that they can still be named, and that what turns out to be the cause
//! takes the place of what follows from it.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::finding::{Finding, Weight, cut};
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
    /// The most that was found about it.
    pub(super) weight: Weight,
    /// Where it stands in its chunk.
    pub(super) at: u32,
    pub(super) len: u32,
}

impl Passed {
    /// Its bytes were found not to be those that were logged, or not to belong there.
    pub(super) fn is_false(&self) -> bool {
        self.weight == Weight::Bytes
    }
}

/// A finding that may still give way to another.
struct Pending {
    finding: Finding,
    /// It is about how the line follows others.
    order: bool,
}

/// The last lines of what was passed.
pub(super) struct Trail {
    lines: Vec<Passed>,
    /// How many of all belong to chunks before this one.
    before: u64,
    passed: u64,
    /// The ids of the last lines before this chunk, the last one last.
    names: Vec<Option<String>>,
    /// What was found about these lines, in their order.
    pending: VecDeque<Pending>,
}

impl Trail {
    pub(super) const fn new() -> Self {
        Self { lines: Vec::new(), before: 0, passed: 0, names: Vec::new(), pending: VecDeque::new() }
    }

    fn slot(&self, back: u64) -> Option<usize> {
        let index = self.passed.checked_sub(back).filter(|_| (1..=RECENT as u64).contains(&back))?;
        usize::try_from(index % RECENT as u64).ok()
    }

    /// The line so many places back; 1 is the last that was [`push`](Self::push)ed.
    pub(super) fn back(&self, back: u64) -> Option<Passed> {
        self.lines.get(self.slot(back)?).copied()
    }

    /// One more line was passed. What was found about the one that is thereby forgotten is said.
    pub(super) fn push(&mut self, passed: Passed, say: impl FnMut(Finding)) {
        let at = usize::try_from(self.passed % RECENT as u64).unwrap_or(0);
        match self.lines.get_mut(at) {
            Some(slot) => {
                let old = core::mem::replace(slot, passed);
                if self.pending.front().is_some_and(|pending| pending.finding.line <= old.line) {
                    self.say_until(old.line, say);
                }
            }
            None => self.lines.push(passed),
        }
        self.passed += 1;
    }

    /// Say what was found about all lines up to this one.
    pub(super) fn say_until(&mut self, line: u64, mut say: impl FnMut(Finding)) {
        while self.pending.front().is_some_and(|pending| pending.finding.line <= line) {
            self.pending.pop_front().into_iter().for_each(|pending| say(pending.finding));
        }
    }

    /// Something was found about one of these lines, or the one in hand. It gives way to what was found about the bytes of that line
    /// or who signed it, and what is only about what the line says gives way to it. Lines that are missing are another matter.
    pub(super) fn put(&mut self, finding: Finding, order: bool) {
        let (line, kind) = (finding.line, finding.kind);
        let about = |pending: &Pending| {
            let other = &pending.finding;
            other.line == line && other.kind.is_of_others() == kind.is_of_others()
        };
        let covered = |pending: &Pending| pending.finding.kind.weight() > Weight::Claim || pending.finding.kind == kind;
        if self.pending.iter().any(|pending| about(pending) && covered(pending)) {
            return;
        }
        if kind.weight() > Weight::Claim {
            self.pending.retain(|pending| !about(pending));
        }
        let at = self.pending.partition_point(|pending| pending.finding.line <= line);
        self.pending.insert(at, Pending { finding, order });
    }

    /// Lines before this one, or this one itself, are gone, put in, changed or exchanged: that it and those after it do not follow
    /// what stands before them follows from that.
    pub(super) fn forget_order(&mut self, line: u64) {
        self.pending.retain(|pending| !(pending.order && pending.finding.line >= line));
    }

    /// Whether it was said of this line that others before it are gone.
    pub(super) fn is_dropped(&self, line: u64) -> bool {
        self.pending.iter().any(|pending| pending.finding.line == line && pending.finding.kind.is_of_others())
    }

    /// That was not so.
    pub(super) fn not_dropped(&mut self, line: u64) {
        self.pending.retain(|pending| pending.finding.line != line || !pending.finding.kind.is_of_others());
    }

    /// The bytes of this line are found to be false, now that it was passed; where its id is, if that was known.
    pub(super) fn accuse(&mut self, line: u64) -> Option<u32> {
        let passed = self.lines.iter_mut().find(|passed| passed.line == line)?;
        passed.weight = Weight::Bytes;
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

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::super::finding::Kind;
    use super::*;

    fn put(trail: &mut Trail, line: u64, kind: Kind, order: bool) {
        trail.put(Finding { line, token_id: None, kind, expected: None, actual: None }, order);
    }

    fn said(trail: &mut Trail) -> Vec<(u64, Kind)> {
        let mut said = Vec::new();
        trail.say_until(u64::MAX, |finding| said.push((finding.line, finding.kind)));
        said
    }

    #[test]
    fn causes_take_the_place_of_what_follows() {
        const STEP: Kind = Kind::Other("step_order");
        let trail = &mut Trail::new();
        // What a token says gives way to what its bytes are, whichever comes first, and to nothing else.
        for (first, second, left) in [
            (STEP, Kind::Root, &[Kind::Root][..]),
            (Kind::Root, STEP, &[Kind::Root]),
            (Kind::Unsigned, Kind::Root, &[Kind::Unsigned]),
            (STEP, Kind::FutureTimestamp, &[STEP, Kind::FutureTimestamp]),
            (STEP, STEP, &[STEP]),
            (Kind::Dropped, Kind::Root, &[Kind::Dropped, Kind::Root]),
            (Kind::Root, Kind::Dropped, &[Kind::Root, Kind::Dropped]),
            (Kind::Dropped, STEP, &[Kind::Dropped, STEP]),
        ] {
            put(trail, 3, first, false);
            put(trail, 3, second, false);
            assert_eq!(said(trail).iter().map(|(_, kind)| *kind).collect::<Vec<_>>(), left);
        }
        // What is about the order of lines gives way to what happened to lines before them.
        for (line, kind, order) in
            [(5, STEP, true), (2, STEP, true), (4, STEP, false), (3, Kind::DuplicateId, false), (6, STEP, true)]
        {
            put(trail, line, kind, order);
        }
        trail.forget_order(3);
        assert_eq!(said(trail), [(2, STEP), (3, Kind::DuplicateId), (4, STEP)]);
    }
}
