//! What follows from a token, and from that.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Entry, Store, raw};
use crate::token::Token;
use sluis_core::data::Text;

/// A token in a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Branch<'s> {
    /// Steps from the root.
    pub depth: usize,
    /// Its id.
    pub token_id: Text<'s>,
    /// What there is.
    pub found: Found<'s>,
}

/// What there is at a place of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all that is found are tokens")]
pub enum Found<'s> {
    /// The token; its children come next, one step deeper.
    Token(Token<'s>),
    /// There is no token with this id.
    Missing,
    /// It is deeper, or one more, than was asked for.
    Truncated,
    /// It is one of its own ancestors. Ours only: the reference goes round until it is deep enough.
    Cycle,
}

impl Store {
    /// Steps from the root that a tree goes unless told otherwise.
    pub const DEPTH: usize = 10;

    /// A token and what follows from it, each before its children: at most `max_depth` steps deep, and at most `max_tokens`
    /// tokens. Where there is more, the place where it begins is [`Found::Truncated`].
    #[must_use]
    pub fn tree<'s>(&'s self, root_id: Text<'s>, max_depth: usize, max_tokens: usize) -> Vec<Branch<'s>> {
        let mut tree = Vec::new();
        let Some(root) = self.slot(&raw(root_id)) else {
            return alloc::vec![Branch { depth: 0, token_id: root_id, found: Found::Missing }];
        };
        // The slots from the root to where we are, each with its children yet to be visited.
        let mut path: Vec<(u32, Box<dyn Iterator<Item = &'s Entry> + 's>)> = Vec::new();
        let mut here = Some(root);
        let mut tokens = 0;
        loop {
            if let Some(slot) = here.take()
                && let Some(entry) = self.slab.at(slot)
            {
                let (depth, token) = (path.len(), entry.token());
                let found = if path.iter().any(|(above, _)| *above == slot) {
                    Found::Cycle
                } else if depth > max_depth || tokens == max_tokens {
                    Found::Truncated
                } else {
                    tokens += 1;
                    Found::Token(token)
                };
                tree.push(Branch { depth, token_id: token.token_id, found });
                match found {
                    Found::Token(_) => {
                        path.push((slot, Box::new(self.child_entries(entry.text(entry.id)))));
                    }
                    Found::Truncated if tokens == max_tokens => return tree,
                    _ => {}
                }
            }
            let Some((_, children)) = path.last_mut() else { return tree };
            match children.next() {
                // As in the reference, a child is the last token with its id.
                Some(child) => here = self.slot(child.text(child.id)),
                None => drop(path.pop()),
            }
        }
    }
}
