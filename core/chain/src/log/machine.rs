//! The machine that makes entries.

use super::header::Continues;
use super::is_blank;
use super::merkle::{Frontier, LEAF, NodeHash, leaf_hash};
use super::note::{Checkpoint, NoteSignError};
use super::slice_writer::{SliceWriter, sha256_and_begin};
use crate::token::{Field, Hash32, Protection, Seal, SealError, Token, TokenId, TokenIds, signed_text, write_seal};
use sluis_core::data::{EncodeError, Full, Sink, Text};
use sluis_core::identity::{MacKey, Signer};
use sluis_core::time::iso;
use sluis_core::{Now, Seed};

/// Longest entry that a log takes, in bytes without its line feed.
pub const MAX_ENTRY: usize = 1 << 20;

/// Bytes of content that are hashed at once.
const SCRATCH: usize = 1024;

/// An entry was not made. The log is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The buffer is full, or a member has no JSON form.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The entry would be longer than [`MAX_ENTRY`].
    #[error("the entry is longer than {MAX_ENTRY} bytes")]
    TooLong,
    /// A member holds NaN or an infinity, which are no JSON: other readers could not check it.
    #[error("{0} holds a number that is not finite")]
    NonFinite(Field),
    /// A member holds a key twice or a number that no float holds to its last digit; something else would be written (see
    /// [`Value::is_exact`](sluis_core::data::Value::is_exact)).
    #[error(
        "{0} holds a key twice or a number that no float holds to its last digit; it would be written as something else"
    )]
    Inexact(Field),
    /// `eraan` is no array, or `eromheen` no object.
    #[error("{0} has the wrong type")]
    Mistyped(Field),
    /// The last reference of `eraan` looks like a link or a header of the log.
    #[error("the last reference in eraan is a link to an entry or the header of a log, which only the log writes")]
    Reserved,
    /// A [header](super::LogHeader) in another entry than the first of its file.
    #[error("only the first entry of a file has the header of a log")]
    NotFirst,
    /// It could not be signed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A line that is to be taken as it is holds a line feed, ends with a carriage return, or is [blank](super::is_blank).
    #[error("this is not one line")]
    NotALine,
}

/// An entry that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// How many bytes were written, the line feed included.
    pub len: usize,
    /// Its place in the log, from 0.
    pub index: u64,
    /// Its hash in the tree: 32 bytes more for the `FILE.tree`.
    pub leaf: NodeHash,
    /// The id that it was given; `None` if the draft had one.
    pub token_id: Option<TokenId>,
    /// The hash of its content; `None` of a line that was taken as it is.
    pub content_hash: Option<Hash32>,
}

/// Where a log is, to go back to when what was made could not be stored.
#[derive(Clone, Debug)]
pub struct Mark {
    tree: Frontier,
    last: Option<NodeHash>,
    before: Option<Continues>,
}

impl Mark {
    /// The tree over the entries there were.
    #[must_use]
    pub const fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// The leaf hash of the last of them.
    #[must_use]
    pub const fn last(&self) -> Option<NodeHash> {
        self.last
    }
}

/// Makes the entries of one log: fills in id, time, link, hash and seal, writes the line, and grows the tree.
///
/// It does no I/O and holds 3 KiB, whatever the length of the log. Appending allocates nothing.
///
/// ```
/// use sluis_chain::log::{Log, Protection};
/// use sluis_chain::token::Token;
/// use sluis_core::data::Text;
/// use sluis_core::{Instant, Now, Seed, Wall};
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
/// let mut log = Log::new(&Seed::from_u64(1)); // in production: a seed of the system's
/// let draft = Token { action: Text::new("door_opened"), actor: Text::new("jis:home:hub"), ..Token::default() };
/// let mut line = [0; 1024];
/// let first = log.append(now, &draft, Protection::default(), &mut line)?;
/// let second = log.append(now, &draft, Protection::default(), &mut line)?;
///
/// let token = Token::parse_bytes(&line[..second.len])?;
/// assert_eq!(token.verify(None), Ok(()));
/// assert_eq!(token.prev().map(|link| link.0), Some(first.leaf));
/// assert_eq!(log.size(), 2);
/// # Ok(())
/// # }
/// ```
pub struct Log {
    ids: TokenIds,
    tree: Frontier,
    last: Option<NodeHash>,
    /// The segment before this one, where all of it was seen.
    before: Option<Continues>,
    /// Where short content is put together.
    scratch: [u8; SCRATCH],
}

impl core::fmt::Debug for Log {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Log").field("tree", &self.tree).finish_non_exhaustive()
    }
}

impl Log {
    /// A log without entries, which follows nothing.
    #[must_use]
    pub fn new(seed: &Seed) -> Self {
        Self::resume(seed, Frontier::new(), None)
    }

    /// Go on where a log was left: its tree, and the leaf hash of its last line. Of a new segment of a rotated log the tree
    /// is empty, and `last` is of the segment before. A seed must not be used again.
    #[must_use]
    pub fn resume(seed: &Seed, tree: Frontier, last: Option<NodeHash>) -> Self {
        Self { ids: TokenIds::new(seed), tree, last, before: None, scratch: [0; SCRATCH] }
    }

    /// Go on after these leaf hashes: those of the lines of a file, or what its `FILE.tree` holds.
    #[must_use]
    pub fn from_leaves(seed: &Seed, leaves: impl IntoIterator<Item = NodeHash>) -> Self {
        let (mut tree, mut last) = (Frontier::new(), None);
        for leaf in leaves {
            tree.push(leaf);
            last = Some(leaf);
        }
        Self::resume(seed, tree, last)
    }

    /// Make an entry and write its line, with a line feed, to the front of `out`.
    ///
    /// Of the draft, `token_id` and `timestamp` are filled in where they are empty; `content_hash`, `link` and, where there
    /// is a seal, `signature` are ours. Its `header` is for the first entry of a file.
    ///
    /// # Errors
    /// [`AppendError`]. What is in `out` then is no entry.
    pub fn append(
        &mut self,
        now: Now,
        draft: &Token<'_>,
        protection: Protection<'_>,
        out: &mut [u8],
    ) -> Result<Appended, AppendError> {
        check(draft)?;
        if draft.header.is_some() && self.size() > 0 {
            return Err(AppendError::NotFirst);
        }
        // Before the token, which borrows them: it is copied once.
        let (mut stamp, token_id) = ([0; iso::FORMAT_LEN], draft.token_id.is_empty().then(|| self.ids.next(now.wall)));
        let stamp = if draft.timestamp.is_empty() { iso::format(now.wall, &mut stamp) } else { "" };
        let mut token = *draft;
        if !stamp.is_empty() {
            token.timestamp = Text::from_wire(stamp);
        }
        if let Some(id) = &token_id {
            token.token_id = id.as_text();
        }
        token.link = self.last.map(Hash32);
        let (len, hash, leaf) = self.write(&token, protection, out)?;
        let end = out.get_mut(len).ok_or(EncodeError::from(Full))?;
        *end = b'\n';
        let (index, leaf) = self.push(len, leaf)?;
        Ok(Appended { len: len + 1, index, leaf, token_id, content_hash: Some(hash) })
    }

    /// Take a line as it is: a token that was sealed elsewhere, whose bytes must stay. It comes without a line feed, which
    /// the caller writes behind it. It has no link to the entry before it; the entry after it has one to it.
    ///
    /// # Errors
    /// [`AppendError::NotALine`], [`AppendError::TooLong`], [`AppendError::NotFirst`].
    pub fn adopt(&mut self, line: &[u8]) -> Result<Appended, AppendError> {
        if line.contains(&b'\n') || line.ends_with(b"\r") || is_blank(line) {
            return Err(AppendError::NotALine);
        }
        if self.size() > 0 && Token::parse_bytes(line).is_ok_and(|token| token.log_header().is_some()) {
            return Err(AppendError::NotFirst);
        }
        let (index, leaf) = self.push(line.len(), leaf_hash(line))?;
        Ok(Appended { len: line.len() + 1, index, leaf, token_id: None, content_hash: None })
    }

    /// Write the line, hashed and sealed; how long it is, its content hash and its leaf hash.
    fn write(
        &mut self,
        token: &Token<'_>,
        protection: Protection<'_>,
        out: &mut [u8],
    ) -> Result<(usize, Hash32, NodeHash), AppendError> {
        let mut line = SliceWriter::new(out);
        token.write_members(&mut line)?;
        // What is hashed is in order, the line is not: two texts, whose hashes are made together as far as they can be.
        let (hash, leaf) = match self.content(token, protection.mac) {
            Some(content) => {
                let (hash, leaf) = sha256_and_begin(content, LEAF, line.written());
                (Hash32(hash), Some(leaf))
            }
            None => (token.content_hash(protection.mac)?, None),
        };
        let digits = hash.to_hex();
        let signature = if protection.seal.is_some() { Text::EMPTY } else { token.signature };
        write_seal(Text::from_wire(ascii(&digits)), signature, &mut line)?;
        let mut len = line.len();
        if let Some(seal) = protection.seal {
            len += put_seal(seal, &hash, out, len)?;
        }
        let line = out.get(..len).unwrap_or_default();
        Ok((len, hash, leaf.map_or_else(|| leaf_hash(line), |leaf| leaf.finish(line))))
    }

    /// What the content hash covers, where it is short and hashed without a key.
    fn content(&mut self, token: &Token<'_>, mac: Option<&MacKey>) -> Option<&[u8]> {
        if mac.is_some() {
            return None;
        }
        let mut text = SliceWriter::new(&mut self.scratch);
        token.hash_input(&mut text).ok()?;
        let len = text.len();
        self.scratch.get(..len)
    }

    fn push(&mut self, len: usize, leaf: NodeHash) -> Result<(u64, NodeHash), AppendError> {
        if len > MAX_ENTRY {
            return Err(AppendError::TooLong);
        }
        let index = self.tree.size();
        self.tree.push(leaf);
        self.last = Some(leaf);
        Ok((index, leaf))
    }

    /// How many entries there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The tree over them.
    #[must_use]
    pub const fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// The leaf hash of the last entry, to which the next will link.
    #[must_use]
    pub const fn last(&self) -> Option<NodeHash> {
        self.last
    }

    /// Say, signed, how long the log is and what its root is.
    ///
    /// # Errors
    /// The origin is no name, the signer fails, or the sink is full.
    pub fn checkpoint<S: Signer + ?Sized>(
        &self,
        origin: &str,
        signer: &S,
        sink: &mut impl Sink,
    ) -> Result<(), NoteSignError> {
        Checkpoint::new(origin, self.size(), self.tree.root())?.sign(signer, sink)
    }

    /// Begin a new segment of a rotated log: the tree is empty, and the next entry links to the last one of the segment before.
    pub fn turn(&mut self) {
        let (size, root) = (self.tree.size(), self.tree.root());
        self.before = (size > 0).then_some(Continues { size, root });
        self.tree = Frontier::new();
    }

    /// The segment before this one, for the [header](super::LogHeader) of the first entry of this one. Right only if every entry
    /// of that segment was pushed before the [`turn`](Self::turn).
    #[must_use]
    pub const fn continues(&self) -> Option<Continues> {
        self.before
    }

    /// Remember where the log is.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { tree: self.tree.clone(), last: self.last, before: self.before }
    }

    /// Go back: entries since then do not count. Their ids are not given again.
    pub fn rewind(&mut self, mark: &Mark) {
        self.tree.clone_from(&mark.tree);
        self.last = mark.last;
        self.before = mark.before;
    }
}

/// Seal a line of `len` bytes; by how many it grew.
fn put_seal(seal: &dyn Seal, hash: &Hash32, out: &mut [u8], len: usize) -> Result<usize, AppendError> {
    // The seal goes between the last two quotes of a line without one.
    const END: &[u8; 2] = b"\"}";
    let room = out.get_mut(len - END.len()..).unwrap_or_default();
    let sealed = seal.seal(&signed_text(hash), room)?;
    if Token::seal_text(room.get(..sealed).unwrap_or_default()).is_none() {
        return Err(AppendError::Seal(SealError::NotValid));
    }
    let end = room.get_mut(sealed..sealed + END.len()).ok_or(EncodeError::from(Full))?;
    end.copy_from_slice(END);
    Ok(sealed)
}

/// What a log must not write, because its own verifier would find fault with it.
fn check(draft: &Token<'_>) -> Result<(), AppendError> {
    if !draft.eraan.is_array() {
        return Err(AppendError::Mistyped(Field::Eraan));
    }
    if !draft.eromheen.is_object() {
        return Err(AppendError::Mistyped(Field::Eromheen));
    }
    if draft.prev().is_some() || draft.log_header().is_some() {
        return Err(AppendError::Reserved);
    }
    for (field, value) in [(Field::Erin, draft.erin), (Field::Eraan, draft.eraan), (Field::Eromheen, draft.eromheen)] {
        if !value.is_finite() {
            return Err(AppendError::NonFinite(field));
        }
        if !value.is_exact() {
            return Err(AppendError::Inexact(field));
        }
    }
    Ok(())
}

fn ascii(digits: &[u8; 64]) -> &str {
    core::str::from_utf8(digits).unwrap_or_default()
}
