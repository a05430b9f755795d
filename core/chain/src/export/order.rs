//! The tokens of one workload, taken in order.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::error::StatementError;
use crate::log::is_blank;
use crate::token::{Hash32, Token};
use crate::workload::{After, Closed, Created, Entry, Malformed, Step, WorkloadId};
use sluis_core::identity::MacKey;

/// A token of the workload: its line, its hash, and what it says.
pub(super) struct Row<'l, E> {
    pub(super) line: &'l str,
    pub(super) hash: Hash32,
    pub(super) entry: E,
}

/// A workload as its lines tell it.
pub(super) struct Ordered<'l> {
    pub(super) created: Row<'l, Created<'l>>,
    pub(super) steps: Vec<Row<'l, Step<'l>>>,
    pub(super) closed: Option<Row<'l, Closed<'l>>>,
}

impl<'l> Ordered<'l> {
    /// Take the tokens of a workload from among others. Each must have the hash of its members, and follow the one
    /// before.
    pub(super) fn read(
        lines: impl IntoIterator<Item = &'l str>,
        wanted: Option<WorkloadId>,
        key: Option<&MacKey>,
    ) -> Result<Self, StatementError> {
        let mut found: Option<Taking<'l>> = None;
        for (line, text) in (1..).zip(lines) {
            if is_blank(text.as_bytes()) {
                continue;
            }
            let token = Token::parse(text).map_err(|error| StatementError::Token { line, error })?;
            let Some(entry) = Entry::read(&token) else { continue };
            let entry = entry.map_err(|Malformed(member)| StatementError::Malformed { line, member })?;
            let id = entry.workload_id();
            match &found {
                _ if wanted.is_some_and(|wanted| wanted != id) => continue,
                Some(taking) if taking.id != id => return Err(StatementError::Several),
                _ => {}
            }
            token.verify(key).map_err(|_| StatementError::ContentHash { line })?;
            let hash = token.said_hash().ok_or(StatementError::ContentHash { line })?;
            let out_of_order = StatementError::OutOfOrder { line };
            match (&mut found, entry) {
                (None, Entry::Created(entry)) => found = Some(Taking::begin(Row { line: text, hash, entry })),
                (Some(taking), Entry::Step(entry)) => {
                    taking.step(Row { line: text, hash, entry }).ok_or(out_of_order)?;
                }
                (Some(taking), Entry::Closed(entry)) => {
                    taking.close(Row { line: text, hash, entry }).ok_or(out_of_order)?;
                }
                _ => return Err(out_of_order),
            }
        }
        found.map(|taking| taking.ordered).ok_or(StatementError::NoWorkload)
    }

    /// The lines, the first token's first.
    pub(super) fn lines(&self) -> impl Iterator<Item = &'l str> {
        let steps = self.steps.iter().map(|row| row.line);
        core::iter::once(self.created.line).chain(steps).chain(self.closed.iter().map(|row| row.line))
    }
}

struct Taking<'l> {
    ordered: Ordered<'l>,
    id: WorkloadId,
    /// What the next token follows.
    head: After,
    names: BTreeSet<String>,
}

impl<'l> Taking<'l> {
    fn begin(created: Row<'l, Created<'l>>) -> Self {
        let head = After { step: None, token: created.hash, output: None };
        let id = created.entry.workload_id;
        let ordered = Ordered { created, steps: Vec::new(), closed: None };
        Self { ordered, id, head, names: BTreeSet::new() }
    }

    fn step(&mut self, row: Row<'l, Step<'l>>) -> Option<()> {
        let step = &row.entry;
        let next = self.ordered.steps.len().checked_add(1)?;
        let fits = self.ordered.closed.is_none() && step.sequence as usize == next && step.after == self.head;
        if !fits || !self.names.insert(step.name.to_cow().into_owned()) {
            return None;
        }
        self.head = After { step: Some(step.step_id), token: row.hash, output: step.output.or(self.head.output) };
        self.ordered.steps.push(row);
        Some(())
    }

    fn close(&mut self, row: Row<'l, Closed<'l>>) -> Option<()> {
        // The last token names no output: there is nothing after it that would take it in.
        let After { step, token, .. } = self.head;
        let fits = self.ordered.closed.is_none() && row.entry.after.step == step && row.entry.after.token == token;
        fits.then(|| self.ordered.closed = Some(row))
    }
}
