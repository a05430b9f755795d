//! Journals of tokens in real files.

mod damage;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};

use sluis_chain::log::merkle::{Frontier, leaf_hash};
use sluis_chain::log::note::Checkpoint;
use sluis_chain::token::{KnownKeys, Token, Verdict};
use sluis_core::framing::Text;
use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{SecretKey, Verifier};
use sluis_core::{Instant, Now, Seed, Wall};
use sluis_journal::{OpenError, Options, Recovered, TokenJournal, TokenSetup};

pub(super) const ORIGIN: &str = "example.com/door";

/// A folder that goes away with the test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tokens-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("door.jsonl")
    }

    pub(super) fn sidecar(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

pub(super) fn now() -> Now {
    Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000))
}

pub(super) fn try_open(path: &Path, seed: u64, rotate: Option<u64>) -> Result<(TokenJournal, Recovered), OpenError> {
    let mut options = Options::default();
    options.rotate_entries = rotate;
    let setup = TokenSetup::default().options(options).seal(key()).checkpoints(ORIGIN, key());
    TokenJournal::open(path, &Seed::from_u64(seed), setup)
}

pub(super) fn open(path: &Path, seed: u64, rotate: Option<u64>) -> (TokenJournal, Recovered) {
    try_open(path, seed, rotate).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn draft(action: &str) -> Token<'_> {
    Token { action: Text::new(action), actor: Text::new("jis:home:door"), ..Token::default() }
}

pub(super) fn append(journal: &TokenJournal, count: u64) {
    for n in 0..count {
        journal.append_blocking(now(), &draft(&format!("opened-{n}"))).unwrap();
    }
}

/// Every line is a token of ours, linked and sealed; the tree and the last leaf.
pub(super) fn verified(path: &Path, mut last: Option<[u8; 32]>) -> (Frontier, Option<[u8; 32]>) {
    let mut tree = Frontier::new();
    let mut keys = [Verifier::new(*key().public().as_bytes()).unwrap()];
    let keys = KnownKeys::new(&mut keys);
    for line in fs::read_to_string(path).unwrap().lines() {
        let token = Token::parse(line).unwrap();
        assert_eq!(token.verify(None), Ok(()));
        assert_eq!(token.prev().map(|link| link.0), last);
        assert_eq!(token.check_seal(&keys), Verdict::Good, "{line}");
        last = Some(leaf_hash(line.as_bytes()));
        tree.push(leaf_hash(line.as_bytes()));
    }
    (tree, last)
}

pub(super) fn checkpoint_of(path: &Path) -> (u64, [u8; 32]) {
    let note = fs::read(path).unwrap();
    let keys = [NoteKey::new(ORIGIN, key().public()).unwrap()];
    let head = Checkpoint::open(&note, ORIGIN, &keys).unwrap();
    (head.size, head.root)
}

/// A line of a token with other content and the hash that this has.
pub(super) fn rehashed(line: &str, from: &str, to: &str) -> String {
    let line = line.replacen(from, to, 1);
    let token = Token::parse(&line).unwrap();
    let (said, actual) = (token.said_hash().unwrap(), token.content_hash(None).unwrap());
    line.replacen(&said.to_string(), &actual.to_string(), 1)
}
