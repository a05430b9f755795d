//! What a verifier is told.

use alloc::boxed::Box;

use crate::log::merkle::NodeHash;
use crate::token::{Authority, Token, Verdict};
use sluis_core::identity::{MacKey, Verifier as Key};
use sluis_core::time::Wall;

/// Longest line that is read unless told otherwise, in bytes without its line feed: 16 MiB.
pub const MAX_LINE: usize = 16 << 20;

/// How signatures are judged.
#[derive(Default)]
pub enum Seals<'k> {
    /// Not at all.
    #[default]
    Ignore,
    /// A signature that names its own key must hold under that key, whoever has it. (Such as an Ed25519 seal of ours.)
    Consistent,
    /// By an authority. `required`: a token without a signature is a finding too.
    Known {
        /// Knows who may sign.
        authority: Box<dyn Authority + Send + Sync + 'k>,
        /// Everybody must.
        required: bool,
    },
}

/// What is known of what was before the first line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The file is the beginning of its log: a link in its first line means that entries before it are gone.
    #[default]
    Fresh,
    /// The file continues another, whose last entry has this leaf hash.
    After(NodeHash),
    /// Not known: the first link is taken as it is.
    Unknown,
}

/// What to check and with what. The default needs nothing but the file.
pub struct Settings<'k> {
    /// The key of content hashes; without one they are plain SHA-256.
    pub mac: Option<MacKey>,
    /// Signatures.
    pub seals: Seals<'k>,
    /// The time now, for timestamps in the future; without it there are none.
    pub now: Option<Wall>,
    /// Where the file begins.
    pub start: Start,
    /// Compute the root of the entries' tree, for the [`Summary`](super::Summary). With a checkpoint it is computed anyway.
    pub tree: bool,
    /// Longest line in bytes, without its line feed. At most 1 GiB counts.
    pub max_line: usize,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self { mac: None, seals: Seals::Ignore, now: None, start: Start::Fresh, tree: false, max_line: MAX_LINE }
    }
}

impl core::fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Settings")
            .field("mac", &self.mac.is_some())
            .field("now", &self.now)
            .field("start", &self.start)
            .field("tree", &self.tree)
            .field("max_line", &self.max_line)
            .finish_non_exhaustive()
    }
}

/// An authority that knows nobody, and only sees whether an Ed25519 seal holds under the key that it names.
pub(super) struct OwnKey;

impl Authority for OwnKey {
    fn check(&self, token: &Token<'_>, signed_text: &[u8]) -> Verdict {
        let Some(seal) = token.signature.as_str().and_then(|seal| seal.strip_prefix("ed25519:")) else {
            return if token.signature.is_empty() { Verdict::Unsigned } else { Verdict::OtherKind };
        };
        let (mut key, mut signature) = ([0; 32], [0; 64]);
        let holds = seal.split_once(':').is_some_and(|(key_text, signature_text)| {
            sluis_core::data::hex::parse(key_text.as_bytes(), &mut key).is_some()
                && sluis_core::data::hex::parse(signature_text.as_bytes(), &mut signature).is_some()
                && Key::new(key).is_ok_and(|key| key.verify(signed_text, &signature).is_ok())
        });
        if holds { Verdict::Good } else { Verdict::Bad }
    }
}
