//! Is the key there? A challenge, and a signature over it.

use crate::airlock::{Claim, Rank, WaitingConfig, WaitingRoom};
use crate::data::cursor::put_text;
use crate::data::{Sink as _, SliceSink};
use crate::did::{Did, DidError};
use crate::identity::{PublicKey, SignError, Signature, Signer};
use crate::limits::MAX_DID;
use crate::path::Path;
use crate::seed::Rng;
use crate::table::SlotId;
use crate::time::{Duration, Instant};

/// What every answer begins with before it is signed.
const MAGIC: &[u8; 8] = b"sluis-c1";
/// The longest text that is signed.
const MAX_SIGNED: usize = 8 + 32 + 2 * (2 + MAX_DID);

/// A challenge: 32 bytes that nobody can guess.
pub type Nonce = [u8; 32];

/// Sign a challenge: that this key is here, under this name, and was asked by `asker`. So an answer is worth nothing to anybody else, and who
/// passes a challenge on to another device gets an answer that names it.
///
/// # Errors
/// The signer does not sign.
pub fn answer(signer: &dyn Signer, asker: &str, did: &str, nonce: &Nonce) -> Result<Signature, SignError> {
    with_text(asker, did, nonce, |text| signer.sign(text)).unwrap_or(Err(SignError::Refused))
}

fn with_text<R>(asker: &str, did: &str, nonce: &Nonce, then: impl FnOnce(&[u8]) -> R) -> Option<R> {
    let mut buf = [0; MAX_SIGNED];
    let mut sink = SliceSink::new(&mut buf);
    let written = sink.put(MAGIC).and_then(|()| sink.put(nonce));
    // Full only when a name is longer than a DID may be.
    written.and_then(|()| put_text(&mut sink, asker)).and_then(|()| put_text(&mut sink, did)).ok()?;
    Some(then(sink.written()))
}

/// A challenge cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// As many are open as may be.
    #[error("too many verifications are under way")]
    Busy,
    /// The name cannot be one.
    #[error(transparent)]
    Did(#[from] DidError),
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No such challenge is open: never made, over, or answered.
    #[error("no such challenge is open")]
    Unknown,
    /// The signature does not hold. The challenge stays open: somebody who guesses ends nobody's verification.
    #[error("the signature does not hold")]
    Signature,
}

/// A device that has proven itself: its key was at this path when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whose key.
    pub did: Did,
    /// The key.
    pub key: PublicKey,
    /// Where the challenge went: who answered has received it there.
    pub path: Path,
    /// How long the answer took.
    pub took: Duration,
}

struct Open {
    did: Did,
    key: PublicKey,
    path: Path,
    nonce: Nonce,
    asked: Instant,
    failed: bool,
}

/// Challenges of ours that wait for their answer, each for the same time.
pub struct Challenges {
    me: Did,
    rng: Rng,
    open: WaitingRoom<Open>,
    timeout: Duration,
}

impl Challenges {
    /// None open. `capacity` is how many may be at once, `timeout` how long each is.
    #[must_use]
    pub fn new(me: Did, rng: Rng, capacity: usize, timeout: Duration) -> Self {
        let config = WaitingConfig { capacity, reserved: 0, reserved_for_proven: 0, lifetime: timeout };
        Self { me, rng, open: WaitingRoom::new(config), timeout }
    }

    /// Ask whether `key` is at `path` under this name: the challenge to be sent there.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn ask(&mut self, now: Instant, did: &str, key: PublicKey, path: Path) -> Result<Nonce, AskError> {
        let open = Open { did: Did::new(did)?, key, path, nonce: [0; 32], asked: now, failed: false };
        let claim = Claim { rank: Rank::Proven, held: 0 };
        let id = self.open.insert(now, claim, open).map_err(|_| AskError::Busy)?;
        let mut nonce = [0; 32];
        self.rng.fill(&mut nonce);
        // Which place it has; the other 24 bytes are random.
        if let Some(place) = nonce.first_chunk_mut() {
            *place = id.to_bits().to_be_bytes();
        }
        if let Some(open) = self.open.get_mut(id) {
            open.nonce = nonce;
        }
        Ok(nonce)
    }

    /// Take in an answer, from whatever address.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn handle_answer(
        &mut self,
        now: Instant,
        nonce: &Nonce,
        signature: &Signature,
    ) -> Result<Verified, AnswerError> {
        let id = place(nonce);
        let timeout = self.timeout;
        let open = self.open.get_mut(id).filter(|open| open.nonce == *nonce && now < open.asked + timeout);
        let open = open.ok_or(AnswerError::Unknown)?;
        let held =
            with_text(self.me.as_str(), open.did.as_str(), nonce, |text| open.key.verify(text, signature).is_ok());
        if held != Some(true) {
            open.failed = true;
            return Err(AnswerError::Signature);
        }
        let Open { did, key, path, asked, .. } = self.open.remove(id).ok_or(AnswerError::Unknown)?;
        Ok(Verified { did, key, path, took: now.saturating_since(asked) })
    }

    /// Take out a challenge whose time is up: whose, and whether a wrong answer to it came.
    pub fn expire_one(&mut self, now: Instant) -> Option<(Did, bool)> {
        self.open.expire_one(now).map(|(_, open)| (open.did, open.failed))
    }

    /// When the next one is over.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.open.next_expiry()
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// None is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

fn place(nonce: &Nonce) -> SlotId {
    SlotId::from_bits(u64::from_be_bytes(nonce.first_chunk().copied().unwrap_or_default()))
}
