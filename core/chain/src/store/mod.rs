//! Tokens in memory: found by id, action, actor and time, and followed along their parents.
//!
//! What this room promises:
//!
//! - [`Store`] keeps tokens as their lines, starts empty and never passes its [`StoreLimits`]. Adding one does work in
//!   proportion to the token, whatever is there already; ids, actions, actors and children are indexed, and the indexes are
//!   keyed, so nobody can choose ids that collide.
//! - A chain is what parents make of tokens: [`trace`](Store::trace), [`verify`](Store::verify), [`summary`](Store::summary),
//!   [`root`](Store::root), [`children`](Store::children), [`tree`](Store::tree). What the reference lets pass is named here: a
//!   token that is not there, a parent that is missing, a cycle, and whatever lies beyond a hundred tokens.
//! - [`Provider`] makes tokens in a row, each with the one before as its parent. Time and randomness come in.
//!
//! Like the reference, a store keeps tokens that have the same id, and finds the last of them.

mod chains;
mod find;
mod provider;
#[cfg(test)]
mod tests;
mod tree;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

pub use chains::{ChainFault, Summary};
pub use find::Query;
pub use provider::{Provider, ProviderError};
pub use tree::{Branch, Found};

use super::log::is_blank;
use super::token::{State, Token, TokenError};
use sluis_core::data::{EncodeError, Text, Value, put_inside};
use sluis_core::table::{Chain, Chained, Heap, Index, Slab};
use sluis_core::{Seed, SipKey};

/// The slot that is none.
const NONE: u32 = u32::MAX;

/// How much a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Most tokens; 1,000,000. Each takes some 130 bytes beside its line.
    pub tokens: usize,
    /// Most bytes of all lines together; 1 GiB.
    pub bytes: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { tokens: 1_000_000, bytes: 1 << 30 }
    }
}

/// A token was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There are as many tokens as there may be.
    #[error("the store is full: it holds as many tokens as it may")]
    TooManyTokens,
    /// There are as many bytes as there may be.
    #[error("the store is full: it holds as many bytes as it may")]
    TooManyBytes,
    /// The token has no line.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The line is no token: `eraan` is no array, say.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Part of a line.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

/// A stored token. Texts are kept as they stand in its line: for the same text that is always the same.
#[derive(Debug)]
struct Entry {
    line: Box<str>,
    id: Span,
    action: Span,
    actor: Span,
    /// No span at all, which is not the same as an empty text.
    parent: Option<Span>,
    by_id: Chain,
    by_action: Chain,
    by_actor: Chain,
    by_parent: Chain,
    /// The token of the same action before this one.
    same_action: u32,
    /// The token of the same actor before this one.
    same_actor: u32,
    /// The next child of the same parent.
    sibling: u32,
    /// Of a first child: the last one.
    youngest: u32,
}

impl Entry {
    fn text(&self, span: Span) -> &str {
        self.line.get(span.start as usize..).and_then(|rest| rest.get(..span.len as usize)).unwrap_or_default()
    }

    fn token(&self) -> Token<'_> {
        // Only lines that are tokens are stored.
        Token::parse(&self.line).unwrap_or_default()
    }
}

macro_rules! chained {
    ($($kind:ident $field:ident),+) => {
        $(
            /// Name of an index.
            #[derive(Debug)]
            struct $kind;

            impl Chained<$kind> for Entry {
                fn chain(&self) -> &Chain {
                    &self.$field
                }
                fn chain_mut(&mut self) -> &mut Chain {
                    &mut self.$field
                }
            }
        )+
    };
}

chained!(ById by_id, ByAction by_action, ByActor by_actor, ByParent by_parent);

/// Tokens in memory, in the order in which they were added.
#[derive(Debug)]
pub struct Store {
    limits: StoreLimits,
    key: SipKey,
    slab: Slab<Entry, Heap>,
    /// The last token of every id.
    ids: Index<ById, Heap>,
    /// The last token of every action, and of every actor.
    actions: Index<ByAction, Heap>,
    actors: Index<ByActor, Heap>,
    /// The first child of every parent, whether that is here or not.
    parents: Index<ByParent, Heap>,
    bytes: usize,
}

/// A text as it stands in a line.
fn raw(text: Text<'_>) -> Cow<'_, str> {
    if let Some(wire) = text.as_wire() {
        return Cow::Borrowed(wire);
    }
    let mut out = Vec::new();
    // A vector is never full, and what is written is ASCII.
    let _ = put_inside(text, &mut out);
    Cow::Owned(String::from_utf8(out).unwrap_or_default())
}

impl Store {
    /// Empty. The seed keys the indexes.
    #[must_use]
    pub fn new(limits: StoreLimits, seed: &Seed) -> Self {
        let slots = limits.tokens.min(NONE as usize);
        Self {
            limits,
            key: seed.fork("token.store").sip_key(),
            slab: Slab::new(slots),
            ids: Index::new(),
            actions: Index::new(),
            actors: Index::new(),
            parents: Index::new(),
            bytes: 0,
        }
    }

    /// How many tokens there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Forget all of them.
    pub(crate) fn clear(&mut self) {
        self.slab = Slab::new(self.slab.capacity());
        (self.ids, self.actions) = (Index::new(), Index::new());
        (self.actors, self.parents) = (Index::new(), Index::new());
        self.bytes = 0;
    }

    /// Add a token, true or not.
    ///
    /// # Errors
    /// [`StoreError`]; the store is as it was.
    pub fn add(&mut self, token: &Token<'_>) -> Result<(), StoreError> {
        self.insert(token).map(drop)
    }

    fn insert(&mut self, token: &Token<'_>) -> Result<u32, StoreError> {
        if self.slab.is_full() {
            return Err(StoreError::TooManyTokens);
        }
        let room = self.limits.bytes.saturating_sub(self.bytes);
        if token.json_len()? > room {
            return Err(StoreError::TooManyBytes);
        }
        let mut line = Vec::with_capacity(token.json_len()?);
        token.write_json(&mut line)?;
        let line = String::from_utf8(line).unwrap_or_default().into_boxed_str();
        let entry = entry(line)?;
        let len = entry.line.len();
        let slot = self.slab.insert(entry).map_err(|_| StoreError::TooManyTokens)?.slot();
        self.bytes += len;
        self.index(slot);
        Ok(slot)
    }

    /// Put a new token into the indexes.
    fn index(&mut self, slot: u32) {
        let Some(entry) = self.slab.at(slot) else { return };
        let hash = |span| self.key.hash(entry.text(span).as_bytes());
        let (id, action, actor) = (hash(entry.id), hash(entry.action), hash(entry.actor));
        let parent = entry.parent.map(hash);
        let find_id = |other: &Entry| other.text(other.id) == entry.text(entry.id);
        let find_action = |other: &Entry| other.text(other.action) == entry.text(entry.action);
        let find_actor = |other: &Entry| other.text(other.actor) == entry.text(entry.actor);
        let find_parent = |other: &Entry| other.parent.map(|p| other.text(p)) == entry.parent.map(|p| entry.text(p));
        let same_id = self.ids.find(&self.slab, id, find_id);
        let same_action = self.actions.find(&self.slab, action, find_action);
        let same_actor = self.actors.find(&self.slab, actor, find_actor);
        let oldest = parent.and_then(|hash| self.parents.find(&self.slab, hash, find_parent));
        if let Some(before) = same_id {
            self.ids.remove(&mut self.slab, before);
        }
        if let Some(before) = same_action {
            self.actions.remove(&mut self.slab, before);
        }
        if let Some(before) = same_actor {
            self.actors.remove(&mut self.slab, before);
        }
        self.ids.insert(&mut self.slab, slot, id);
        self.actions.insert(&mut self.slab, slot, action);
        self.actors.insert(&mut self.slab, slot, actor);
        if let Some(entry) = self.slab.at_mut(slot) {
            entry.same_action = same_action.unwrap_or(NONE);
            entry.same_actor = same_actor.unwrap_or(NONE);
        }
        match (parent, oldest) {
            (Some(hash), None) => self.parents.insert(&mut self.slab, slot, hash),
            (Some(_), Some(oldest)) => self.join(oldest, slot),
            (None, _) => {}
        }
    }

    /// Add a child behind the others.
    fn join(&mut self, oldest: u32, slot: u32) {
        let Some(first) = self.slab.at_mut(oldest) else { return };
        let before = core::mem::replace(&mut first.youngest, slot);
        let before = if before == NONE { oldest } else { before };
        if let Some(before) = self.slab.at_mut(before) {
            before.sibling = slot;
        }
    }

    /// Add a line: a token as it was read.
    ///
    /// # Errors
    /// [`StoreError`]; the store is as it was.
    pub(crate) fn add_line(&mut self, line: &[u8]) -> Result<(), StoreError> {
        self.add(&Token::parse_bytes(line)?)
    }

    /// Add the tokens of a file, one a line; lines of white space are passed over. What is no token, or does not fit, is handed
    /// to `bad` with the number of its line (from 1), and the next line is read.
    pub fn add_lines(&mut self, file: &[u8], mut bad: impl FnMut(usize, StoreError)) {
        for (n, line) in file.split(|b| *b == b'\n').enumerate() {
            if !is_blank(line)
                && let Err(why) = self.add_line(line)
            {
                bad(n + 1, why);
            }
        }
    }

    /// The last token with this id.
    #[must_use]
    pub fn get<'s>(&'s self, token_id: Text<'_>) -> Option<Token<'s>> {
        self.at(self.slot(&raw(token_id))?)
    }

    fn slot(&self, id: &str) -> Option<u32> {
        self.ids.find(&self.slab, self.key.hash(id.as_bytes()), |entry| entry.text(entry.id) == id)
    }

    fn at(&self, slot: u32) -> Option<Token<'_>> {
        self.slab.at(slot).map(Entry::token)
    }

    /// All tokens, the oldest first.
    pub fn tokens(&self) -> impl DoubleEndedIterator<Item = Token<'_>> {
        self.entries().map(Entry::token)
    }

    /// The lines of all tokens, the oldest first.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.entries().map(|entry| &*entry.line)
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        // Nothing is ever taken out, so the slots are in order and all of them are full.
        (0..self.slab.slots()).filter_map(|slot| self.slab.at(slot))
    }

    /// The state of a token by now: that of the last change of state that names it, or its own.
    #[must_use]
    pub fn state(&self, token_id: Text<'_>) -> Option<State> {
        let own = self.get(token_id)?.state;
        let changed = self.children(token_id).filter(|child| child.action == "state_change").filter_map(|child| {
            let word = child.erin.get("new_state").and_then(Value::as_text)?;
            State::from_word(word.as_str()?)
        });
        Some(changed.last().unwrap_or(own))
    }
}

/// A line that is a token, and where its texts are.
fn entry(line: Box<str>) -> Result<Entry, TokenError> {
    let token = Token::parse(&line)?;
    let span = |text: Text<'_>| {
        // Every text was borrowed from the line, which was written here and so holds it as it is written.
        let text = text.as_wire().unwrap_or_default();
        let start = (text.as_ptr() as usize).wrapping_sub(line.as_ptr() as usize);
        // No line is longer than 4 GiB.
        Span { start: u32::try_from(start).unwrap_or(0), len: u32::try_from(text.len()).unwrap_or(0) }
    };
    let (id, action, actor) = (span(token.token_id), span(token.action), span(token.actor));
    let parent = token.parent_id.map(span);
    let chain = Chain::default();
    Ok(Entry {
        id,
        action,
        actor,
        parent,
        by_id: chain,
        by_action: chain,
        by_actor: chain,
        by_parent: chain,
        same_action: NONE,
        same_actor: NONE,
        sibling: NONE,
        youngest: NONE,
        line,
    })
}
