//! What rooms beside this one check about tokens of their own kind.

use alloc::string::String;

use super::finding::{Finding, Kind};
use crate::token::Token;

/// Checks more than the verifier itself does: that the steps of a workload follow one another, say.
///
/// A verifier calls [`look`](Self::look) for every token, on several threads and in any order, and then, in the order of the
/// file, [`fold`](Self::fold) with what it took down. At the end it calls [`finish`](Self::finish). What `fold` finds about a
/// line of which it turns out that its bytes are not those that were logged is dropped: it follows from that.
pub trait Checker {
    /// What is taken down of a token.
    type Note: Send;

    /// Look at a token. `sound` says whether its hash and its signature are right: of one that is not, nothing in it can be
    /// believed, but that there is a token in this place. `None` if it is no business of this checker.
    fn look(token: &Token<'_>, sound: bool) -> Option<Self::Note>;

    /// A line that is no token stands here, in the order of the file: it may have been any, or as many of them as `tokens`
    /// says, where line feeds between them are gone.
    fn unread(&mut self, _tokens: u32) {}

    /// Take in what was taken down of a line, in the order of the file; what is wrong with it.
    fn fold(&mut self, at: Place, note: Self::Note) -> Option<Problem>;

    /// The file has ended: whatever can be said only now. A finding about a line that was already reported must not be
    /// made; `fold` was told which these are.
    fn finish(&mut self, found: &mut dyn FnMut(Finding));
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the line, from 1.
    pub line: u64,
    /// Number of the entry, from 0: lines that are not blank.
    pub entry: u64,
    /// The bytes of this line were found not to be those that were logged, or not to belong here.
    pub reported: bool,
    /// In how many places before this line others were found to be gone, put in, changed or exchanged: what comes first after such a
    /// place need not follow what stands before it.
    pub gaps: u64,
    /// How many tokens are known to be gone there. Where it is not known how many, one.
    pub lost: u64,
}

/// What a checker found about the token in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong. One whose word begins with `duplicate_` is that an earlier token says the same: it is dropped where that one is a
    /// copy of this line, which stands elsewhere and was found.
    pub kind: Kind,
    /// What should be there.
    pub expected: Option<String>,
    /// What is there.
    pub actual: Option<String>,
    /// It is about how the token follows others: it is dropped when these are found to be gone or changed.
    pub order: bool,
}

/// Checks nothing.
impl Checker for () {
    type Note = core::convert::Infallible;

    fn look(_: &Token<'_>, _: bool) -> Option<Self::Note> {
        None
    }

    fn fold(&mut self, _: Place, note: Self::Note) -> Option<Problem> {
        match note {}
    }

    fn finish(&mut self, _: &mut dyn FnMut(Finding)) {}
}
