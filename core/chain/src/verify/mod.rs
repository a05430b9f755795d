//! Verification of files of tokens: ours and the reference's alike.
//!
//! What this room promises:
//!
//! - [`Verifier`] takes the bytes of a file in pieces of any size and says what is wrong with it, line by line. It does no
//!   I/O, and never stops at what it finds.
//! - **Every check is made, whatever others find.** Findings are merged afterwards, and only where the same bytes are the cause: a
//!   line whose bytes are not those that were logged has one [`Finding`], and what follows from it (a link to it, a parent
//!   that it was, a step that no longer follows) is not said again. Of one line there is at most one finding about its own bytes or who
//!   signed it; and beside it at most one about lines that are not there (`dropped` before it, `truncated` behind the last), for that is
//!   another cause. A link to elsewhere does not stand beside `dropped`: it follows. A copy of a line that stands elsewhere is
//!   the finding, and not the line in its place. Without leaf hashes, where fewer entries are there than under the
//!   checkpoint, those that are gone in one place and those at the end cannot be told apart: both are said.
//! - **Against a checkpoint** ([`Against`]) every edit, drop, swap, insertion and truncation is found, and with the log's leaf
//!   hashes (`FILE.tree`) the first wrong entry is named even if whoever changed it made all later lines anew.
//! - Some 22 to 26 bytes of memory for each token, 8 more for each that stands before its parent, and 64 KiB or a line. Some 7 more for
//!   each step, where steps are checked: less than 32 in all for a million of them.
//! - [`Parallel`] (with `std`) does the same on the caller's threads, with the same findings in the same order.
//! - Rooms with tokens of their own kind add what they know with a [`Checker`].
//!
//! # What is checked
//!
//! | of each line | [`Kind`] |
//! |---|---|
//! | it is not too long, UTF-8, JSON, the members of a token | `line_too_long`, `broken_line` |
//! | no object in it has a key twice, and it holds no number that no float holds to its last digit | `broken_line` |
//! | its content hash is there, and is that of its members | `missing_hash`, `non_finite`, `content_hash` |
//! | its timestamp is one, and not in the future | `bad_timestamp`, `future_timestamp` |
//! | its signature holds, where [`Settings::seals`] asks for it | `bad_signature`, `unknown_key`, `unsigned`, `actor` |
//! | it is the first, if it begins the log ([`LogHeader`](crate::log::LogHeader)) | `inserted` |
//! | its line ends where the entry does (a carriage return may stand there where it was logged) | `line_end` |
//! | it links to the line before, once any line of the file has a link | `link`, `inserted`, `dropped`, `swapped` |
//! | it is the entry that the checkpoint covers | `root`, `inserted`, `dropped`, `swapped`, `truncated` |
//! | its id is its own; its parent is there (anywhere in the file), and not, over whatever steps, itself | `duplicate_id`, `missing_parent`, `parent_cycle` |
//!
//! Blank lines are passed over, as the reference does. A last line without a line feed is fine if it is whole.
//!
//! Where a link does not fit and there is no checkpoint, it is the entry *before* that is named: it is not the one after
//! which the next was written, because it was changed, or because others after it are gone. An entry without a link is
//! let through among linked ones if it has a seal of ours: such a one was made elsewhere and adopted. The entry with the header of
//! the log is the first.

mod chunk;
mod chunked;
mod cover;
mod deferred;
mod finding;
mod hook;
mod ids;
mod line;
mod links;
mod mend;
#[cfg(feature = "std")]
mod parallel;
mod settings;
mod split;
mod stream;
#[cfg(test)]
mod tests;
mod trail;
mod verifier;

pub use chunk::Checked;
pub use cover::{Against, Tree};
pub use finding::{Finding, Kind, MAX_TEXT};
pub use hook::{Checker, Place, Problem};
#[cfg(feature = "std")]
pub use parallel::Parallel;
pub use settings::{MAX_LINE, Seals, Settings, Start};
pub use stream::Verifier;
pub use verifier::Summary;
