//! Finding tokens by what they say.

use alloc::vec::Vec;
use core::iter;

use super::{Entry, NONE, Store, raw};
use crate::token::Token;
use sluis_core::data::Text;

/// What to look for. An empty text asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'q> {
    /// Exactly this action.
    pub action: Text<'q>,
    /// Exactly this actor.
    pub actor: Text<'q>,
    /// A timestamp that is not less, as text: `2025-01-15` is the beginning of that day for stamps that begin likewise.
    pub since: Text<'q>,
    /// At most so many, the newest; 0: all. As the reference, 100 unless told.
    pub limit: usize,
}

impl Default for Query<'_> {
    fn default() -> Self {
        Self { action: Text::EMPTY, actor: Text::EMPTY, since: Text::EMPTY, limit: 100 }
    }
}

impl Store {
    /// The tokens that a query asks for, the oldest first.
    ///
    /// With an action or an actor only the tokens of that are looked at, from the newest on, until there are enough.
    #[must_use]
    pub fn find<'s>(&'s self, query: &Query<'_>) -> Vec<Token<'s>> {
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        let (action, actor) = (raw(query.action), raw(query.actor));
        let hash = |text: &str| self.key.hash(text.as_bytes());
        let wanted = |entry: &&Entry| {
            (action.is_empty() || entry.text(entry.action) == action)
                && (actor.is_empty() || entry.text(entry.actor) == actor)
        };
        let recent = |token: &Token<'_>| query.since.is_empty() || token.timestamp >= query.since;
        let mut found: Vec<_> = if !action.is_empty() {
            let is = |entry: &Entry| entry.text(entry.action) == action;
            let last = self.actions.find(&self.slab, hash(&action), is);
            self.back(last, |e| e.same_action).filter(wanted).map(Entry::token).filter(recent).take(limit).collect()
        } else if !actor.is_empty() {
            let is = |entry: &Entry| entry.text(entry.actor) == actor;
            let last = self.actors.find(&self.slab, hash(&actor), is);
            self.back(last, |e| e.same_actor).map(Entry::token).filter(recent).take(limit).collect()
        } else {
            self.entries().rev().map(Entry::token).filter(recent).take(limit).collect()
        };
        found.reverse();
        found
    }

    /// From an entry back along one of its links.
    fn back(&self, from: Option<u32>, before: impl Fn(&Entry) -> u32) -> impl Iterator<Item = &Entry> {
        let mut next = from.unwrap_or(NONE);
        iter::from_fn(move || {
            let entry = self.slab.at(next)?;
            next = before(entry);
            Some(entry)
        })
    }
}
