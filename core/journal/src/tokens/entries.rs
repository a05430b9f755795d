//! The chain of a token journal.

use std::fmt;
use std::sync::Arc;

use sluis_chain::log::merkle::{Frontier, leaf_hash};
use sluis_chain::log::note::{Checkpoint, last_note};
use sluis_chain::log::{self, Appended, Log, LogHeader, Mark, Protection};
use sluis_chain::token::{KnownKeys, Token, Verdict};
use sluis_core::data::Text;
use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{MacKey, PublicKey, Verifier};
use sluis_core::{Now, Seed};

use super::setup::Rest;
use crate::chain::{Chain, Leaf};
use crate::entry::{EntryFault, joins, links, read};

/// The chain of a token journal: the log's machine. Lines that are read must be tokens, and where they link to a line, that must be
/// the one before; those that no checkpoint covers must be what their content hash says. Whether those are right that a checkpoint covers, and
/// whether signatures are, is for `verify` to find out.
pub struct Entries {
    pub(super) log: Log,
    /// Of the first token of the file, or of the segment before it: which log it is.
    pub(super) header: Option<Header>,
    /// The checkpoint that was found beside it.
    pub(super) note: Vec<u8>,
    /// Sees every token of the file while it is opened.
    pub(super) reading: Option<Reading>,
    /// Under which content hashes are HMACs.
    mac: Option<MacKey>,
    /// Every token that names no parent follows from the one before it.
    pub(super) chained: bool,
    /// The id of the last token, where that is needed.
    last_id: Option<Arc<str>>,
    /// Who is to sign the next checkpoint, and over what.
    covering: Option<Verifier>,
}

pub(super) type Reading = Box<dyn FnMut(&Token<'_>) + Send>;

/// A [`LogHeader`] that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) origin: Arc<str>,
    pub(super) key: Option<PublicKey>,
}

impl Header {
    pub(super) fn of(token: &Token<'_>) -> Option<Self> {
        let text = token.log_header()?.to_cow();
        LogHeader::parse(&text).map(|header| Self { origin: header.origin.into(), key: header.key })
    }
}

impl Entries {
    pub(super) fn new(seed: &Seed, rest: &mut Rest, reading: Option<Reading>) -> Self {
        let (mac, chained, covering) = (rest.keys.mac.clone(), rest.chained, rest.covering.take());
        Self { log: Log::new(seed), header: None, note: Vec::new(), reading, mac, chained, last_id: None, covering }
    }

    /// Who is to sign the next checkpoint of a log with this header, if it is the key that this names.
    fn covering(&self, header: Option<&Header>) -> Option<&Verifier> {
        self.covering.as_ref().filter(|covering| header.and_then(|header| header.key) == Some(covering.key()))
    }

    /// Whether a checkpoint is signed by the key that the first token names, if that names one.
    fn signed(&self, checkpoint: &[u8]) -> Result<(), EntryFault> {
        let Some(Header { origin, key: Some(key) }) = &self.header else { return Ok(()) };
        let key = NoteKey::new(origin, *key).map_err(|_| EntryFault::Origin)?;
        Checkpoint::open(last_note(checkpoint), origin, &[key]).map(drop).map_err(|_| EntryFault::Unsigned)
    }

    /// Add a token. Its parent, where it names none and tokens are chained, is the one before it.
    pub(super) fn append(
        &mut self,
        now: Now,
        draft: &Token<'_>,
        protection: Protection<'_>,
        out: &mut [u8],
    ) -> Result<Appended, log::AppendError> {
        let parent = if self.chained && draft.parent_id.is_none() { self.last_id.clone() } else { None };
        let parent_id = draft.parent_id.or(parent.as_deref().map(Text::new));
        let entry = self.log.append(now, &Token { parent_id, ..*draft }, protection, out)?;
        if self.chained {
            let id = entry.token_id.as_ref().map_or(draft.token_id, |id| id.as_text());
            self.last_id = Some((*id.to_cow()).into());
        }
        Ok(entry)
    }
}

/// Where a token journal stands.
#[derive(Clone, Debug)]
pub struct EntriesMark {
    pub(super) log: Mark,
    last_id: Option<Arc<str>>,
}

impl EntriesMark {
    /// The tree over the tokens of the segment.
    #[must_use]
    pub const fn tree(&self) -> &Frontier {
        self.log.tree()
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("log", &self.log).field("header", &self.header).finish_non_exhaustive()
    }
}

impl Chain for Entries {
    type Fault = EntryFault;
    type Mark = EntriesMark;
    const TREE: bool = true;

    fn check(&self, line: &[u8]) -> Result<(), EntryFault> {
        joins(line, self.log.size() == 0, self.log.last())
    }

    fn intact(&self, line: &[u8]) -> Result<(), EntryFault> {
        let token = Token::parse_bytes(line)?;
        token.verify(self.mac.as_ref()).map_err(EntryFault::Content)?;
        let own = if self.log.size() == 0 { Header::of(&token) } else { None };
        match self.covering(own.as_ref().or(self.header.as_ref())) {
            Some(key) if token.check_seal(&KnownKeys::new(&mut [key.clone()])) != Verdict::Good => {
                Err(EntryFault::Unsealed)
            }
            _ => Ok(()),
        }
    }

    /// Nothing can be cut off the end of an object so that it is still one.
    fn is_whole(line: &[u8]) -> bool {
        Token::parse_bytes(line).is_ok()
    }

    fn leaf(line: &[u8]) -> Option<Leaf> {
        Some(leaf_hash(line))
    }

    fn push(&mut self, line: &[u8]) -> Option<Leaf> {
        let first = self.log.size() == 0;
        let leaf = self.log.adopt(line).ok().map(|entry| entry.leaf);
        if first || self.chained || self.reading.is_some() {
            let token = Token::parse_bytes(line).ok();
            if first && let Some(header) = token.as_ref().and_then(Header::of) {
                self.header = Some(header);
            }
            if let Some(token) = token.as_ref().filter(|_| self.chained) {
                self.last_id = Some((*token.token_id.to_cow()).into());
            }
            if let (Some(token), Some(reading)) = (&token, &mut self.reading) {
                reading(token);
            }
        }
        leaf
    }

    fn follow(&mut self, line: &[u8]) {
        let reading = self.reading.take();
        self.push(line);
        self.reading = reading;
    }

    fn turn(&mut self) {
        self.log.turn();
        self.note.clear();
    }

    fn continues(first: &[u8]) -> bool {
        links(first)
    }

    fn mark(&self) -> EntriesMark {
        EntriesMark { log: self.log.mark(), last_id: self.last_id.clone() }
    }

    fn rewind(&mut self, mark: &EntriesMark) {
        self.log.rewind(&mark.log);
        self.last_id.clone_from(&mark.last_id);
    }

    fn covered(checkpoint: &[u8]) -> Result<u64, EntryFault> {
        read(checkpoint).map(|head| head.size)
    }

    fn agrees(&mut self, checkpoint: &[u8]) -> Result<(), EntryFault> {
        let head = read(checkpoint)?;
        if head.root != self.log.tree().root() {
            return Err(EntryFault::Root);
        }
        if self.header.as_ref().is_some_and(|header| *header.origin != *head.origin) {
            return Err(EntryFault::Origin);
        }
        self.signed(checkpoint)?;
        self.note = last_note(checkpoint).to_vec();
        Ok(())
    }

    /// One over no tokens was looked at before the first token said who signs.
    fn admits(&self, checkpoint: Option<&[u8]>) -> Result<(), EntryFault> {
        match checkpoint {
            None if self.covering(self.header.as_ref()).is_some() && self.log.size() > 0 => {
                Err(EntryFault::CheckpointMissing)
            }
            None => Ok(()),
            Some(checkpoint) if self.log.size() > 0 => self.signed(checkpoint),
            Some(_) => Ok(()),
        }
    }
}
