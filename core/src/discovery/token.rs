//! Join tokens: a device is let in because it knows a secret, which it never sends.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::data::cursor::Cursor;
use crate::did::check_did;
use crate::identity::{Mac, MacKey, PublicKey};
use crate::seed::Rng;
use crate::time::{Duration, Instant, Now, Wall};

const PREFIX: u8 = b'j';
const FORM: u8 = 1;
/// What the text of a token begins with.
const TEXT: &str = "sluis-join-";
/// How long a challenge is good for at least, and twice that at most.
const BUCKET: Duration = Duration::from_secs(30);
/// How many devices one token lets in at most.
pub const MAX_USES: u32 = 1000;

/// Names a token: 8 random bytes that are no secret.
pub type TokenId = [u8; 8];

/// A token, as the operator hands it to a device. Its secret is wiped when dropped and never printed but by [`to_text`](Self::to_text).
#[derive(Clone)]
pub struct JoinToken {
    id: TokenId,
    secret: Zeroizing<[u8; 32]>,
}

/// A text is no join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: it is written sluis-join- and 54 letters, digits, hyphens and underscores")]
pub struct BadToken;

impl JoinToken {
    /// Read what [`to_text`](Self::to_text) wrote.
    ///
    /// # Errors
    /// [`BadToken`].
    pub fn parse(text: &str) -> Result<Self, BadToken> {
        let base64 = text.strip_prefix(TEXT).ok_or(BadToken)?;
        let mut bytes = Zeroizing::new([0; 40]);
        let read = Base64UrlUnpadded::decode(base64, bytes.as_mut_slice()).map_err(|_| BadToken)?;
        let mut from = Cursor::new(read);
        match (from.array(), from.array(), from.rest()) {
            (Some(id), Some(secret), []) => Ok(Self { id, secret: Zeroizing::new(secret) }),
            _ => Err(BadToken),
        }
    }

    /// Its text, one word. Whoever has it may join.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 40]);
        let (id, secret) = bytes.split_at_mut(8);
        id.copy_from_slice(&self.id);
        secret.copy_from_slice(self.secret.as_slice());
        let mut buf = Zeroizing::new([0; 54]);
        let base64 = Base64UrlUnpadded::encode(bytes.as_slice(), buf.as_mut_slice()).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(TEXT.len() + 54));
        text.push_str(TEXT);
        text.push_str(base64);
        text
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// What shows the hub that we know the secret: to be sent with the same `Join`.
    #[must_use]
    pub fn prove(&self, join: &Join<'_>, challenge: &[u8; 32]) -> [u8; 32] {
        prove(&MacKey::new(self.secret.as_slice()), join, challenge)
    }

    /// Whether the hub knows the secret, too: then `hub` and `key` are the name and the key of who made it, and may be pinned.
    #[must_use]
    pub fn is_hub(&self, join: &Join<'_>, challenge: &[u8; 32], hub: &str, key: &PublicKey, answer: &[u8; 32]) -> bool {
        answer_of(&MacKey::new(self.secret.as_slice()), join, challenge, hub, key).ct_eq(answer).into()
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(<redacted>)")
    }
}

/// Who wants to join, by which token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join<'a> {
    /// The token.
    pub token: TokenId,
    /// The device's name.
    pub did: &'a str,
    /// The device's key, which signed the ping that this came in.
    pub key: PublicKey,
    /// 16 random bytes of the device, the same in both of its messages.
    pub nonce: [u8; 16],
}

impl Join<'_> {
    fn write(&self, mac: &mut Mac) {
        mac.update(&self.token);
        mac.update(self.key.as_bytes());
        mac.update(&self.nonce);
        put_text(mac, self.did);
    }
}

/// Its length in front keeps it apart from what follows.
fn put_text(mac: &mut Mac, text: &str) {
    mac.update(&(text.len() as u64).to_be_bytes());
    mac.update(text.as_bytes());
}

fn prove(secret: &MacKey, join: &Join<'_>, challenge: &[u8; 32]) -> [u8; 32] {
    let mut mac = secret.begin();
    mac.update(b"sluis join device 1\n");
    mac.update(challenge);
    join.write(&mut mac);
    mac.finish()
}

fn answer_of(secret: &MacKey, join: &Join<'_>, challenge: &[u8; 32], hub: &str, key: &PublicKey) -> [u8; 32] {
    let mut mac = secret.begin();
    mac.update(b"sluis join hub 1\n");
    mac.update(challenge);
    join.write(&mut mac);
    mac.update(key.as_bytes());
    put_text(&mut mac, hub);
    mac.finish()
}

/// A change of [`JoinTokens`].
pub type TokenChange = crate::change::Change<TokenUndo>;

/// How a change is taken back.
#[derive(Clone, Debug)]
pub struct TokenUndo {
    token: TokenId,
    what: Undone,
}

#[derive(Clone, Copy, Debug)]
enum Undone {
    /// It was made.
    Made,
    /// This device joined by it.
    Joined(Device),
    /// It was revoked.
    Revoked,
}

/// The first 16 bytes of a hash of name and key.
type Device = [u8; 16];

/// Why a token is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NewTokenError {
    /// It lets nobody in, or too many.
    #[error("a token lets 1 to {MAX_USES} devices in")]
    Uses,
    /// Trust is not a number from 0 to 1.
    #[error("trust must be a number from 0 to 1")]
    Trust,
    /// There are as many as there may be.
    #[error("there are {0} tokens already, the most that are kept: revoke those that are used or over")]
    TooMany(usize),
}

/// Why somebody does not join. All but the first he is told in the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinReject {
    /// There is no such token: never made, or revoked.
    #[error("no such token")]
    Unknown,
    /// The challenge is not ours, or too old: ask for another.
    #[error("the challenge is over")]
    Challenge,
    /// The secret is not known to who sent this.
    #[error("the proof does not hold")]
    Proof,
    /// The time of the token is over.
    #[error("the token has expired")]
    Expired,
    /// As many devices as it lets in have joined.
    #[error("the token is used up")]
    UsedUp,
}

/// Somebody has joined.
#[derive(Debug)]
#[must_use = "unless the change is written, the token lets in more than it may"]
pub struct Joined {
    /// The trust that the token gives.
    pub trust: f64,
    /// It has joined before by this token, under the same name and key: it costs no use.
    pub again: bool,
    /// What shows the device that we know the secret, too. Send it once the change is kept.
    pub answer: [u8; 32],
    /// What is to be kept.
    pub change: TokenChange,
}

/// A token, without its secret.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TokenInfo {
    /// Its name.
    pub id: TokenId,
    /// How many devices it lets in.
    pub uses: u32,
    /// How many have joined.
    pub used: u32,
    /// Until when: seconds since the Unix epoch.
    pub expires: u64,
    /// The trust that it gives.
    pub trust: f64,
}

struct Entry {
    info: TokenInfo,
    secret: Zeroizing<[u8; 32]>,
    joined: Vec<Device>,
}

/// The hub's tokens. Strangers leave nothing here: a challenge is a keyed hash, and not remembered.
pub struct JoinTokens {
    max: usize,
    entries: Vec<Entry>,
    /// Revoked, and still on the medium, because that could not be written.
    unwritten: Vec<TokenId>,
    /// Of challenges, for this process.
    cookie: MacKey,
}

impl JoinTokens {
    /// None. At most so many are kept.
    #[must_use]
    pub fn new(max: usize, rng: &mut Rng) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill(key.as_mut_slice());
        Self { max, entries: Vec::new(), unwritten: Vec::new(), cookie: MacKey::new(key.as_slice()) }
    }

    /// Make a token.
    ///
    /// # Errors
    /// [`NewTokenError`].
    pub fn create(
        &mut self,
        rng: &mut Rng,
        uses: u32,
        expires: u64,
        trust: f64,
    ) -> Result<(JoinToken, TokenChange), NewTokenError> {
        if !(1..=MAX_USES).contains(&uses) {
            return Err(NewTokenError::Uses);
        }
        if !(0.0..=1.0).contains(&trust) {
            return Err(NewTokenError::Trust);
        }
        if self.entries.len() + self.unwritten.len() >= self.max {
            return Err(NewTokenError::TooMany(self.max));
        }
        let (mut id, mut secret) = (TokenId::default(), Zeroizing::new([0; 32]));
        while id == TokenId::default() || self.find(&id).is_some() {
            rng.fill(&mut id);
        }
        rng.fill(secret.as_mut_slice());
        let info = TokenInfo { id, uses, used: 0, expires, trust };
        let entry = Entry { info, secret: secret.clone(), joined: Vec::new() };
        let change =
            TokenChange::of(PREFIX, &id, Some(entry.value()), Some(TokenUndo { token: id, what: Undone::Made }));
        self.entries.push(entry);
        Ok((JoinToken { id, secret }, change))
    }

    /// A token is worth nothing from now on; `None` when there is none. One whose revocation could not be written is revoked again, to have that written.
    pub fn revoke(&mut self, id: &TokenId) -> Option<TokenChange> {
        match self.find(id) {
            Some(at) => drop(self.entries.remove(at)),
            None => {
                let at = self.unwritten.iter().position(|other| other == id)?;
                self.unwritten.remove(at);
            }
        }
        Some(TokenChange::of(PREFIX, id, None, Some(TokenUndo { token: *id, what: Undone::Revoked })))
    }

    /// Every token, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = TokenInfo> {
        self.entries.iter().map(|entry| entry.info)
    }

    /// Whether this token lets anybody in now: it was made, was not revoked, is not over, and has uses left, or has let in the device of this name and key before.
    #[must_use]
    pub fn is_live(&self, now: Wall, token: &TokenId, did: &str, key: Option<PublicKey>) -> bool {
        let Some(entry) = self.find(token).and_then(|at| self.entries.get(at)) else { return false };
        let again = || key.is_some_and(|key| entry.joined.contains(&device(did, &key)));
        Wall::from_secs(entry.info.expires) > now && (entry.info.used < entry.info.uses || again())
    }

    /// The challenge for somebody who wants to join: 32 bytes, shorter than what asked for it. Nothing is remembered, and nothing said of whether there is
    /// such a token.
    #[must_use]
    pub fn challenge(&self, now: Instant, join: &Join<'_>) -> [u8; 32] {
        self.cookie(bucket(now), join)
    }

    fn cookie(&self, bucket: u64, join: &Join<'_>) -> [u8; 32] {
        let mut mac = self.cookie.begin();
        mac.update(&bucket.to_be_bytes());
        join.write(&mut mac);
        mac.finish()
    }

    /// Let somebody in who has proven that he knows the secret. `hub` and `key` are our own.
    ///
    /// # Errors
    /// [`JoinReject`].
    pub fn redeem(
        &mut self,
        now: Now,
        join: &Join<'_>,
        challenge: &[u8; 32],
        proof: &[u8; 32],
        (hub, key): (&str, &PublicKey),
    ) -> Result<Joined, JoinReject> {
        let bucket = bucket(now.mono);
        let ours = [Some(bucket), bucket.checked_sub(1)];
        let is_ours = |bucket: &u64| bool::from(self.cookie(*bucket, join).ct_eq(challenge));
        if check_did(join.did).is_err() || !ours.into_iter().flatten().any(|bucket| is_ours(&bucket)) {
            return Err(JoinReject::Challenge);
        }
        let at = self.find(&join.token).ok_or(JoinReject::Unknown)?;
        let entry = self.entries.get_mut(at).ok_or(JoinReject::Unknown)?;
        let secret = MacKey::new(entry.secret.as_slice());
        if !bool::from(prove(&secret, join, challenge).ct_eq(proof)) {
            return Err(JoinReject::Proof);
        }
        if Wall::from_secs(entry.info.expires) <= now.wall {
            return Err(JoinReject::Expired);
        }
        let device = device(join.did, &join.key);
        let (trust, answer) = (entry.info.trust, answer_of(&secret, join, challenge, hub, key));
        if entry.joined.contains(&device) {
            return Ok(Joined { trust, again: true, answer, change: TokenChange::nothing() });
        }
        if entry.info.used >= entry.info.uses {
            return Err(JoinReject::UsedUp);
        }
        entry.joined.push(device);
        entry.info.used += 1;
        let undo = TokenUndo { token: join.token, what: Undone::Joined(device) };
        let change = TokenChange::of(PREFIX, &join.token, Some(entry.value()), Some(undo));
        Ok(Joined { trust, again: false, answer, change })
    }

    /// Take back a token or a join that could not be written; false when it is not there. What is revoked stays so.
    pub fn undo(&mut self, change: &TokenChange) -> bool {
        let Some(TokenUndo { token, what }) = change.undone_by() else { return false };
        let (device, at) = match (what, self.find(token)) {
            (Undone::Revoked, None) => {
                self.unwritten.push(*token);
                return false;
            }
            (Undone::Made, Some(at)) => {
                self.entries.remove(at);
                return true;
            }
            (Undone::Joined(device), Some(at)) => (device, at),
            _ => return false,
        };
        let Some(entry) = self.entries.get_mut(at) else { return false };
        let before = entry.joined.len();
        entry.joined.retain(|joined| joined != device);
        let taken = before != entry.joined.len();
        entry.info.used -= u32::from(taken);
        taken
    }

    /// Take in a token that was kept before; false when it is none of this room's.
    ///
    /// # Errors
    /// It is damaged, or does not fit: whoever reads a store should go no further than to say so.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<bool, RestoreTokenError> {
        let Some((&PREFIX, id)) = key.split_first() else { return Ok(false) };
        let id = id.try_into().map_err(|_| RestoreTokenError)?;
        let entry = Entry::read(id, value).ok_or(RestoreTokenError)?;
        match self.find(&id) {
            Some(at) => {
                if let Some(known) = self.entries.get_mut(at) {
                    *known = entry;
                }
            }
            None if self.entries.len() >= self.max => return Err(RestoreTokenError),
            None => self.entries.push(entry),
        }
        Ok(true)
    }

    fn find(&self, id: &TokenId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.info.id == *id)
    }
}

impl fmt::Debug for JoinTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinTokens").field("tokens", &self.entries.len()).finish_non_exhaustive()
    }
}

/// A kept token is damaged, or there is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of a join token is damaged, or there is no room for it")]
pub struct RestoreTokenError;

impl Entry {
    /// What is kept: form (1), secret (32), uses (4), expiry (8), trust (8), then 16 bytes for each device that has joined.
    fn value(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(53 + self.joined.len() * 16);
        value.push(FORM);
        value.extend_from_slice(self.secret.as_slice());
        value.extend_from_slice(&self.info.uses.to_be_bytes());
        value.extend_from_slice(&self.info.expires.to_be_bytes());
        value.extend_from_slice(&self.info.trust.to_bits().to_be_bytes());
        self.joined.iter().for_each(|device| value.extend_from_slice(device));
        value
    }

    fn read(id: TokenId, value: &[u8]) -> Option<Self> {
        let mut from = Cursor::new(value);
        if from.u8()? != FORM {
            return None;
        }
        let mut bytes: [u8; 32] = from.array()?;
        let secret = Zeroizing::new(bytes);
        bytes.zeroize();
        let uses = u32::from_be_bytes(from.array()?);
        let (expires, trust) = (from.u64()?, f64::from_bits(from.u64()?));
        let (joined, rest) = from.rest().as_chunks::<16>();
        let used = u32::try_from(joined.len()).ok()?;
        let good = rest.is_empty() && used <= uses && uses <= MAX_USES && (0.0..=1.0).contains(&trust);
        let info = TokenInfo { id, uses, used, expires, trust };
        good.then(|| Self { info, secret, joined: joined.to_vec() })
    }
}

fn bucket(now: Instant) -> u64 {
    now.saturating_since(Instant::ZERO).as_secs() / BUCKET.as_secs()
}

fn device(did: &str, key: &PublicKey) -> Device {
    use sha2::{Digest as _, Sha256};
    let hash: [u8; 32] = Sha256::new().chain_update(key.as_bytes()).chain_update(did).finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}
