//! Following tokens along their parents.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::iter;

use super::{Entry, NONE, Store, raw};
use crate::token::{Fault, Token};
use sluis_core::data::Text;
use sluis_core::identity::MacKey;

/// What is wrong with a chain. Of several faults it is the one nearest to the token that was asked about.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ChainFault<'s> {
    /// There is no token with the id that was asked about. Ours only: to the reference an empty chain is a good one.
    #[error("no such token")]
    UnknownToken,
    /// A token is not what it says.
    #[error("token {token_id}: {fault}")]
    Token {
        /// Which.
        token_id: Text<'s>,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A token names a parent that is not here. Ours only: the reference ends the chain there.
    #[error("token {token_id} has a parent that is missing: {parent_id}")]
    MissingParent {
        /// Which token.
        token_id: Text<'s>,
        /// The parent that it names.
        parent_id: Text<'s>,
    },
    /// A token is its own ancestor. Ours only: the reference ends the chain there.
    #[error("token {token_id} has a parent that follows from it: {parent_id}")]
    Cycle {
        /// The token whose parent was met before.
        token_id: Text<'s>,
        /// That parent.
        parent_id: Text<'s>,
    },
}

/// A chain at a glance.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary<'s> {
    /// How many tokens were followed.
    pub length: usize,
    /// What [`Store::verify`] says about the whole chain, not only about what was followed.
    pub fault: Option<ChainFault<'s>>,
    /// Who did something, each once, in the order of their first appearance from the newest token on.
    pub actors: Vec<Text<'s>>,
    /// What was done, the newest first.
    pub actions: Vec<Text<'s>>,
    /// The timestamp of the oldest token.
    pub start: Option<Text<'s>>,
    /// The timestamp of the newest token.
    pub end: Option<Text<'s>>,
    /// The oldest token.
    pub root_id: Option<Text<'s>>,
}

/// Where the next step along the parents leads.
enum Step {
    /// There is none.
    Root,
    To(u32),
    Missing,
}

impl Store {
    /// Tokens that a trace follows unless told otherwise.
    pub const TRACE: usize = 100;

    fn parent(&self, entry: &Entry) -> Step {
        // An empty parent is none, as in the reference.
        match entry.parent.map(|parent| entry.text(parent)).filter(|parent| !parent.is_empty()) {
            None => Step::Root,
            Some(parent) => self.slot(parent).map_or(Step::Missing, Step::To),
        }
    }

    /// The slots from a token to its root, none of them twice.
    fn ancestry<'s>(&'s self, token_id: Text<'_>) -> impl Iterator<Item = u32> + use<'s> {
        let mut next = self.slot(&raw(token_id));
        let mut seen = BTreeSet::new();
        iter::from_fn(move || {
            let slot = next.take().filter(|slot| seen.insert(*slot))?;
            if let Step::To(parent) = self.parent(self.slab.at(slot)?) {
                next = Some(parent);
            }
            Some(slot)
        })
    }

    /// A token and its ancestors, itself first, at most `max` of them. It ends before a token that was met already.
    pub fn trace<'s>(&'s self, token_id: Text<'_>, max: usize) -> impl Iterator<Item = Token<'s>> + use<'s> {
        self.ancestry(token_id).take(max).filter_map(|slot| self.at(slot))
    }

    /// Verify a token and all its ancestors, however many there are; how many they are.
    ///
    /// # Errors
    /// The first fault, from the token on.
    pub fn verify<'s>(&'s self, token_id: Text<'_>, key: Option<&MacKey>) -> Result<usize, ChainFault<'s>> {
        let mut seen = BTreeSet::new();
        let mut slot = self.slot(&raw(token_id)).ok_or(ChainFault::UnknownToken)?;
        loop {
            seen.insert(slot);
            let entry = self.slab.at(slot).ok_or(ChainFault::UnknownToken)?;
            let token = entry.token();
            let (token_id, parent_id) = (token.token_id, token.parent_id.unwrap_or_default());
            token.verify(key).map_err(|fault| ChainFault::Token { token_id, fault })?;
            match self.parent(entry) {
                Step::Root => return Ok(seen.len()),
                Step::Missing => return Err(ChainFault::MissingParent { token_id, parent_id }),
                Step::To(parent) if seen.contains(&parent) => return Err(ChainFault::Cycle { token_id, parent_id }),
                Step::To(parent) => slot = parent,
            }
        }
    }

    /// A chain at a glance: at most `max` tokens are looked at, but all are verified.
    #[must_use]
    pub fn summary<'s>(&'s self, token_id: Text<'_>, key: Option<&MacKey>, max: usize) -> Summary<'s> {
        let chain: Vec<Token<'_>> = self.trace(token_id, max).collect();
        let mut actors: Vec<Text<'_>> = Vec::new();
        let mut known = BTreeSet::new();
        actors.extend(chain.iter().map(|token| token.actor).filter(|actor| known.insert(*actor)));
        Summary {
            length: chain.len(),
            fault: self.verify(token_id, key).err(),
            actors,
            actions: chain.iter().map(|token| token.action).collect(),
            start: chain.last().map(|token| token.timestamp),
            end: chain.first().map(|token| token.timestamp),
            root_id: chain.last().map(|token| token.token_id),
        }
    }

    /// The oldest token that `max` steps lead to.
    #[must_use]
    pub fn root<'s>(&'s self, token_id: Text<'_>, max: usize) -> Option<Token<'s>> {
        self.trace(token_id, max).last()
    }

    /// The tokens that name this one as their parent, whether it is here or not, the oldest first.
    pub fn children<'s>(&'s self, token_id: Text<'_>) -> impl Iterator<Item = Token<'s>> + use<'s> {
        self.child_entries(&raw(token_id)).map(Entry::token)
    }

    pub(super) fn child_entries<'s>(&'s self, id: &str) -> impl Iterator<Item = &'s Entry> + use<'s> {
        let is = |entry: &Entry| entry.parent.is_some_and(|parent| entry.text(parent) == id);
        let mut next = self.parents.find(&self.slab, self.key.hash(id.as_bytes()), is).unwrap_or(NONE);
        iter::from_fn(move || {
            let entry = self.slab.at(next)?;
            next = entry.sibling;
            Some(entry)
        })
    }
}
