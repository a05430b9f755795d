//! Everything that can be said of a line by itself. Runs on any thread.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use super::finding::{Kind, Weight, cut};
use super::hook::Problem;
use super::settings::{OwnKey, Seals, Settings};
use crate::log::merkle::{LEAF, NodeHash};
use crate::log::slice_writer::{SliceWriter, sha256, sha256_and_after};
use crate::token::{Authority, Fault, Hash32, Stamp, Token, TokenError, Verdict};
use sluis_core::SipKey;
use sluis_core::data::Text;
use sluis_core::time::Wall;

/// What the rest of the work needs to know of a line.
pub(super) struct Record {
    /// Where it stands in its chunk, without its line feed.
    pub(super) at: u32,
    pub(super) len: u32,
    /// Its number in its chunk, blank lines counted, from 0.
    pub(super) line: u32,
    pub(super) flags: Flags,
    /// Keyed fingerprints of its id and its parent's.
    pub(super) id: u64,
    pub(super) parent: u64,
    /// Computed only where somebody may ask for it.
    pub(super) leaf: NodeHash,
    pub(super) link: NodeHash,
    /// What is wrong with it by itself.
    pub(super) problem: Option<Box<Problem>>,
}

impl Record {
    pub(super) const EMPTY: Self =
        Self { at: 0, len: 0, line: 0, flags: Flags(0), id: 0, parent: 0, leaf: [0; 32], link: [0; 32], problem: None };
}

/// What a [`Record`] says in one bit each.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags(u16);

impl Flags {
    /// `id` is one.
    pub(super) const ID: Self = Self(1);
    /// `parent` is one.
    pub(super) const PARENT: Self = Self(2);
    /// `link` is one.
    pub(super) const LINK: Self = Self(4);
    /// There is a seal: it may have been made elsewhere, so that a link may be missing.
    pub(super) const SEALED: Self = Self(8);
    /// What is in it cannot be believed, its id least of all.
    pub(super) const FALSE: Self = Self(16);
    /// It is the last of the file, without a line feed.
    pub(super) const TORN: Self = Self(32);
    /// `leaf` is one.
    pub(super) const LEAF: Self = Self(64);
    /// It ends with a carriage return.
    pub(super) const RETURN: Self = Self(128);
    /// It begins a log, or says so.
    pub(super) const HEADER: Self = Self(256);

    pub(super) const fn has(self, bit: Self) -> bool {
        self.0 & bit.0 != 0
    }

    pub(super) const fn add(&mut self, bit: Self) {
        self.0 |= bit.0;
    }
}

/// The keyed fingerprint of a text, by its characters.
pub(super) fn fingerprint(key: &SipKey, text: Text<'_>) -> u64 {
    match text.as_str() {
        Some(text) => key.hash(text.as_bytes()),
        None => {
            let mut plain = alloc::vec::Vec::with_capacity(text.len());
            for c in text.chars() {
                match c {
                    Ok(c) => plain.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                    // No text has this byte.
                    Err(unit) => plain.extend_from_slice(&[&[0xff][..], &unit.to_be_bytes()].concat()),
                }
            }
            key.hash(&plain)
        }
    }
}

/// What is said of a line that is longer than it may be.
pub(super) fn too_long(len: u64, max_line: usize) -> Problem {
    Problem {
        kind: Kind::LineTooLong,
        expected: Some(format!("at most {max_line} bytes")),
        actual: Some(format!("{len} bytes")),
        order: false,
    }
}

fn problem(kind: Kind, expected: impl Into<Option<String>>, actual: impl Into<Option<String>>) -> Option<Box<Problem>> {
    Some(Box::new(Problem { kind, expected: expected.into(), actual: actual.into(), order: false }))
}

/// What is in hand from line to line.
pub(super) struct LineContext<'s, 'a> {
    pub(super) scratch: &'s mut Scratch,
    /// The id of the token before, with its fingerprint: in a log it is mostly the parent of the next.
    pub(super) before: Option<(&'a str, u64)>,
    /// Leaf hashes are wanted.
    pub(super) leaves: bool,
}

/// Check a line that is not blank, by itself. The leaf hash is left to the caller, unless it is wanted and comes cheap, as
/// it does of a line with a link. `look` is shown the token, and told whether its hash and its signature are right.
#[inline]
pub(super) fn check<'a>(
    settings: &Settings<'_>,
    key: &SipKey,
    context: &mut LineContext<'_, 'a>,
    line: &'a [u8],
    record: &mut Record,
    look: impl FnOnce(&Token<'_>, bool),
) {
    if line.len() > settings.max_line {
        record.flags.add(Flags::FALSE);
        record.problem = Some(Box::new(too_long(line.len() as u64, settings.max_line)));
        return;
    }
    let token = match Token::parse_bytes(line) {
        Ok(token) => token,
        Err(error) => {
            record.flags.add(Flags::FALSE);
            record.problem = broken(error);
            return;
        }
    };
    record.flags.add(Flags::ID);
    record.id = fingerprint(key, token.token_id);
    if let Some(parent) = token.parent_id {
        record.flags.add(Flags::PARENT);
        record.parent = match context.before {
            Some((id, hash)) if parent.as_str() == Some(id) => hash,
            _ => fingerprint(key, parent),
        };
    }
    context.before = token.token_id.as_str().map(|id| (id, record.id));
    let (link, header) = token.link_and_header();
    if header.is_some() {
        record.flags.add(Flags::HEADER);
    }
    if let Some(link) = link {
        record.flags.add(Flags::LINK);
        record.link = link.0;
    }
    if is_seal(token.signature) {
        record.flags.add(Flags::SEALED);
    }
    let leaf = (context.leaves || record.flags.has(Flags::LINK)).then_some(line);
    match plain_hash(settings, &token, context.scratch, leaf) {
        Some((hash, leaf)) => {
            if let Some(leaf) = leaf {
                record.leaf = leaf;
                record.flags.add(Flags::LEAF);
            }
            if token.content_hash.as_str().is_none_or(|said| said.as_bytes() != hash.to_hex()) {
                record.problem = fault(settings, &token);
            }
        }
        None => record.problem = fault(settings, &token),
    }
    if record.problem.is_some() {
        record.flags.add(Flags::FALSE);
    } else {
        record.problem = stamp(settings, &token).or_else(|| seal(&settings.seals, &token));
    }
    let sound = record.problem.as_ref().is_none_or(|problem| problem.kind.weight() < Weight::Bytes);
    look(&token, sound);
}

/// Where short content is put together to be hashed at once.
pub(super) type Scratch = [u8; 2048];

/// The quick way for what is most often so: plain SHA-256, values that are what they say, and not much of it. The leaf hash of `line` is made
/// in the same breath.
#[inline(always)]
fn plain_hash(
    settings: &Settings<'_>,
    token: &Token<'_>,
    scratch: &mut Scratch,
    line: Option<&[u8]>,
) -> Option<(Hash32, Option<NodeHash>)> {
    if settings.mac.is_some() || token.check_finite().is_err() || token.check_exact().is_err() {
        return None;
    }
    let mut text = SliceWriter::new(scratch);
    token.hash_input(&mut text).ok()?;
    let text = text.written();
    Some(match line {
        None => (Hash32(sha256(text)), None),
        Some(line) => {
            let (hash, leaf) = sha256_and_after(text, LEAF, line);
            (Hash32(hash), Some(leaf))
        }
    })
}

/// Whether a signature is of a kind that our logs write.
fn is_seal(signature: Text<'_>) -> bool {
    signature.as_str().is_some_and(|seal| seal.starts_with("ed25519:") || seal.starts_with("x509:"))
}

fn broken(error: TokenError) -> Option<Box<Problem>> {
    let expected = match error {
        TokenError::NotUtf8 { .. } => "UTF-8",
        TokenError::NotJson(_) => "one JSON object",
        TokenError::NotAnObject
        | TokenError::UnknownMember { .. }
        | TokenError::Twice(_)
        | TokenError::MissingMember(_)
        | TokenError::Mistyped(_)
        | TokenError::UnknownState => "the members of a token",
    };
    problem(Kind::BrokenLine, String::from(expected), error.to_string())
}

fn fault(settings: &Settings<'_>, token: &Token<'_>) -> Option<Box<Problem>> {
    match token.verify(settings.mac.as_ref()).err()? {
        Fault::MissingHash => {
            let hash = settings.mac.is_none().then(|| token.content_hash(None).ok()).flatten();
            problem(Kind::MissingHash, told(hash, "an HMAC"), String::new())
        }
        Fault::NonFinite(field) => problem(Kind::NonFinite, format!("finite numbers in {field}"), None),
        fault @ Fault::Inexact(_) => problem(
            Kind::BrokenLine,
            String::from("every key once and every number as it was hashed"),
            fault.to_string(),
        ),
        // What stands in the line is what should have come out; what came out is what the members are now.
        Fault::ContentHash { actual } => {
            problem(Kind::ContentHash, cut(token.content_hash), told(actual, "another HMAC"))
        }
        Fault::TooLarge => problem(Kind::BrokenLine, None, Fault::TooLarge.to_string()),
    }
}

/// A hash; in place of one that was made with a key, words, since whoever reads it could forge with it.
fn told(hash: Option<Hash32>, otherwise: &str) -> String {
    hash.map_or_else(|| format!("{otherwise} under this key"), |hash| hash.to_string())
}

fn stamp(settings: &Settings<'_>, token: &Token<'_>) -> Option<Box<Problem>> {
    // Without a clock nothing lies in the future.
    match token.stamp(settings.now.unwrap_or(Wall::from_micros(i64::MAX))) {
        Stamp::Good => None,
        Stamp::Bad => problem(Kind::BadTimestamp, String::from("an ISO 8601 timestamp"), cut(token.timestamp)),
        Stamp::Future(by) => {
            let limit = format!("at least {} s earlier", by.as_secs().saturating_add(1));
            problem(Kind::FutureTimestamp, limit, cut(token.timestamp))
        }
    }
}

fn seal(seals: &Seals<'_>, token: &Token<'_>) -> Option<Box<Problem>> {
    let (authority, required): (&dyn Authority, bool) = match seals {
        Seals::Ignore => return None,
        Seals::Consistent => (&OwnKey, false),
        Seals::Known { authority, required } => (authority.as_ref(), *required),
    };
    match token.check_seal(&authority) {
        Verdict::Good => None,
        Verdict::Bad => problem(Kind::BadSignature, String::from("a signature that holds"), cut(token.signature)),
        Verdict::Unknown => {
            let who = token.sealed_by().map_or_else(|| cut(token.signature), |key| key.to_string());
            problem(Kind::UnknownKey, String::from("a known key"), who)
        }
        Verdict::NotTheActor => {
            let who = token.sealed_by().map_or_else(|| cut(token.signature), |key| key.to_string());
            problem(Kind::Actor, format!("a signature of {}", cut(token.actor)), who)
        }
        Verdict::Unsigned if required => problem(Kind::Unsigned, String::from("a signature"), String::new()),
        Verdict::OtherKind if required => {
            problem(Kind::UnknownKey, String::from("a signature of a known kind"), cut(token.signature))
        }
        Verdict::Unsigned | Verdict::OtherKind => None,
    }
}
