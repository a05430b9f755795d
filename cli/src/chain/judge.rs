//! By what a file is judged: keys, a checkpoint, the leaf hashes beside it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sluis_chain::log::merkle::{Frontier, NodeHash};
use sluis_chain::log::note::{Checkpoint, Note, last_note};
use sluis_chain::token::{Authority, Token, Verdict};
use sluis_chain::verify::{Against, Tree};
use sluis_core::framing::hex;
use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{MacKey, PublicKey, Verifier};
use sluis_spiffe::{SpiffeAuthority, TrustBundles};

use super::args::Judge;
use super::read;
use crate::fail::Fail;
use crate::files;
use crate::key;

/// The largest checkpoint that is read.
pub(super) const MAX_NOTE: usize = 1 << 20;
/// Signers that are remembered, so that a file full of keys takes no more than this.
const MAX_SIGNERS: usize = 1024;

/// The keys of a command, read.
pub(super) struct Keys {
    pub(super) mac: Option<MacKey>,
    pub(super) known: Vec<PublicKey>,
    /// Judges SPIFFE identities.
    pub(super) spiffe: Option<Arc<SpiffeAuthority>>,
}

impl Keys {
    pub(super) fn read(judge: &Judge) -> Result<Self, Fail> {
        let mac = judge.hmac_key.as_deref().map(key::file::mac).transpose()?;
        let known = judge.key.iter().map(|word| key::file::public(word)).collect::<Result<_, _>>()?;
        let mut bundles = TrustBundles::new();
        for bundle in &judge.trust_bundle {
            bundles.add_argument(bundle).map_err(|why| Fail::runtime(format!("--trust-bundle: {why}")))?;
        }
        let spiffe = (!bundles.is_empty()).then(|| Arc::new(SpiffeAuthority::new(bundles)));
        Ok(Self { mac, known, spiffe })
    }
}

/// A checkpoint, and whether a known key signed it.
pub(super) struct Held {
    pub(super) origin: String,
    pub(super) size: u64,
    pub(super) root: NodeHash,
    pub(super) signed: bool,
}

impl Held {
    fn of(checkpoint: &Checkpoint<'_>, signed: bool) -> Self {
        Self { origin: checkpoint.origin.to_owned(), size: checkpoint.size, root: checkpoint.root, signed }
    }

    pub(super) fn against<'t>(&self) -> Against<'t> {
        Against::checkpoint(&Checkpoint { origin: &self.origin, size: self.size, root: self.root, extensions: "" })
    }
}

/// The checkpoint of a file: the one that is named, or the one beside it. The error within says what is wrong with it.
pub(super) fn checkpoint(
    file: &Path,
    named: Option<&Path>,
    known: &[PublicKey],
) -> Result<Option<Result<Held, String>>, Fail> {
    let path = named.map_or_else(|| files::beside(file, ".checkpoint"), Path::to_owned);
    let bytes = match files::read(&path, MAX_NOTE) {
        Err(why) if why.kind() == io::ErrorKind::NotFound && named.is_none() => return Ok(None),
        read => read.map_err(|why| read::cannot(&path, &why))?,
    };
    Ok(Some(open(&bytes, known)))
}

/// Read a checkpoint. With keys, one of them must have signed it.
pub(super) fn open(note: &[u8], known: &[PublicKey]) -> Result<Held, String> {
    let note = last_note(note);
    let parsed = Note::parse(note).map_err(|why| why.to_string())?;
    let checkpoint = Checkpoint::parse(parsed.text()).map_err(|why| why.to_string())?;
    if known.is_empty() {
        return Ok(Held::of(&checkpoint, false));
    }
    let keys: Vec<NoteKey<'_>> = known.iter().filter_map(|key| NoteKey::new(checkpoint.origin, *key).ok()).collect();
    let checkpoint = Checkpoint::open(note, checkpoint.origin, &keys).map_err(|why| why.to_string())?;
    Ok(Held::of(&checkpoint, true))
}

/// A `FILE.tree`, read block by block.
pub(super) struct TreeFile {
    file: fs::File,
    size: u64,
    /// The number of the block that is held.
    block: u64,
    held: Vec<u8>,
}

/// Leaf hashes in a block.
const BLOCK: u64 = 2048;

impl TreeFile {
    /// The leaf hashes beside a file, where there are any.
    pub(super) fn beside(file: &Path) -> Option<Self> {
        let file = files::open(&files::beside(file, ".tree")).ok()?;
        let size = file.metadata().ok()?.len() / 32;
        Some(Self { file, size, block: u64::MAX, held: Vec::new() })
    }

    /// What the leaf hashes say of the file: how many lines it has, and their root. Only if a checkpoint is of a tree that
    /// these have grown from; nobody signed the rest, but whoever cut off or changed lines may not have thought of it.
    pub(super) fn grown(&mut self, from: Option<&Held>) -> Option<Held> {
        let mut tree = Frontier::new();
        let mut fits = from.is_none_or(|held| held.size == 0);
        for leaf in (0..self.size).map_while(|index| self.leaf(index)) {
            // A hole that a power cut left reads as zeros.
            if leaf == [0; 32] {
                break;
            }
            tree.push(leaf);
            fits |= from.is_some_and(|held| held.size == tree.size() && held.root == tree.root());
        }
        let held = Held { origin: String::new(), size: tree.size(), root: tree.root(), signed: false };
        fits.then_some(held).filter(|held| held.size > 0)
    }

    fn load(&mut self, block: u64) -> io::Result<()> {
        let count = BLOCK.min(self.size.saturating_sub(block * BLOCK));
        self.held.resize(usize::try_from(count * 32).unwrap_or(0), 0);
        self.block = u64::MAX;
        io::Seek::seek(&mut self.file, io::SeekFrom::Start(block * BLOCK * 32))?;
        io::Read::read_exact(&mut self.file, &mut self.held)?;
        self.block = block;
        Ok(())
    }
}

impl Tree for TreeFile {
    fn leaf(&mut self, index: u64) -> Option<NodeHash> {
        if index >= self.size {
            return None;
        }
        if self.block != index / BLOCK {
            self.load(index / BLOCK).ok()?;
        }
        self.held.as_chunks::<32>().0.get(usize::try_from(index % BLOCK).ok()?).copied()
    }
}

/// Whoever signed something.
pub(super) enum Signed {
    /// With this key.
    Key(PublicKey),
    /// As this SPIFFE workload, which a trust bundle vouches for.
    Spiffe(String),
}

/// An Ed25519 key that signed.
struct Signer {
    /// None for what is no key.
    verifier: Option<Verifier>,
    /// How many signatures held.
    good: AtomicU64,
}

/// Judges seals: Ed25519 by the known keys, or, where none are known, by the key that each names; SPIFFE identities by
/// trust bundles. Takes down who signed.
#[derive(Clone)]
pub(super) struct Seen {
    known: Arc<[PublicKey]>,
    spiffe: Option<Arc<SpiffeAuthority>>,
    keys: Arc<RwLock<BTreeMap<[u8; 32], Arc<Signer>>>>,
    ids: Arc<RwLock<BTreeMap<String, u64>>>,
}

impl Seen {
    pub(super) fn new(keys: &Keys) -> Self {
        let known = keys.known.as_slice().into();
        Self { known, spiffe: keys.spiffe.clone(), keys: Arc::default(), ids: Arc::default() }
    }

    /// Who signed, how many tokens, and whether one was told to trust them.
    pub(super) fn signers(&self) -> Vec<(Signed, u64, bool)> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let held = keys.values().filter_map(|signer| {
            let key = signer.verifier.as_ref()?.key();
            Some((Signed::Key(key), signer.good.load(Ordering::Relaxed), self.known.contains(&key)))
        });
        let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
        let ids = ids.iter().map(|(id, tokens)| (Signed::Spiffe(id.clone()), *tokens, true));
        held.chain(ids).filter(|(_, tokens, _)| *tokens > 0).collect()
    }

    /// Whoever has this key. Decoding it is a tenth of the work of a verification, so that is done once.
    fn signer(&self, key: [u8; 32]) -> Arc<Signer> {
        if let Some(signer) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(signer);
        }
        let signer = Arc::new(Signer { verifier: Verifier::new(key).ok(), good: AtomicU64::new(0) });
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() < MAX_SIGNERS { Arc::clone(keys.entry(key).or_insert(signer)) } else { signer }
    }

    fn ed25519(&self, seal: &str, text: &[u8]) -> Verdict {
        let (mut key, mut signature) = ([0; 32], [0; 64]);
        let parts = seal.split_once(':').and_then(|(key_text, signature_text)| {
            hex::parse(key_text.as_bytes(), &mut key)?;
            hex::parse(signature_text.as_bytes(), &mut signature)
        });
        if parts.is_none() {
            return Verdict::Bad;
        }
        if !self.known.is_empty() && !self.known.iter().any(|known| *known.as_bytes() == key) {
            return Verdict::Unknown;
        }
        let signer = self.signer(key);
        match &signer.verifier {
            Some(verifier) if verifier.verify(text, &signature).is_ok() => {
                signer.good.fetch_add(1, Ordering::Relaxed);
                Verdict::Good
            }
            _ => Verdict::Bad,
        }
    }

    fn spiffe(&self, token: &Token<'_>, text: &[u8]) -> Verdict {
        let Some(authority) = &self.spiffe else { return Verdict::OtherKind };
        match authority.judge(token, text) {
            Err(fault) => fault.verdict(),
            Ok(id) => {
                let mut ids = self.ids.write().unwrap_or_else(PoisonError::into_inner);
                if ids.len() < MAX_SIGNERS {
                    *ids.entry(id.to_string()).or_default() += 1;
                }
                Verdict::Good
            }
        }
    }
}

impl Authority for Seen {
    fn check(&self, token: &Token<'_>, signed_text: &[u8]) -> Verdict {
        match token.signature.as_str() {
            Some("") => Verdict::Unsigned,
            Some(seal) if seal.starts_with(sluis_spiffe::PREFIX) => self.spiffe(token, signed_text),
            Some(seal) => {
                seal.strip_prefix("ed25519:").map_or(Verdict::OtherKind, |seal| self.ed25519(seal, signed_text))
            }
            None => Verdict::OtherKind,
        }
    }
}
