//! The symmetric state (Noise 5.2): the chaining key, the hash over everything so far, and the key of the moment.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::cipher::{CipherKey, TAG_LEN};
use super::{NoiseError, Pattern};
use crate::identity::MacKey;

#[derive(Clone)]
pub(super) struct Symmetric {
    chain: Zeroizing<[u8; 32]>,
    hash: [u8; 32],
    key: Option<CipherKey>,
    /// The number of the next message under `key`. A pattern has few: it never comes near its end.
    counter: u64,
}

impl Symmetric {
    /// Begin with the name of the protocol, `Noise_XX_25519_ChaChaPoly_SHA256` say, and the prologue.
    pub(super) fn new(pattern: Pattern, curve: &str, prologue: &[u8]) -> Self {
        let parts: [&[u8]; 5] = [b"Noise_", pattern.name().as_bytes(), b"_", curve.as_bytes(), b"_ChaChaPoly_SHA256"];
        let mut hash = [0; 32];
        if parts.iter().map(|part| part.len()).sum::<usize>() <= hash.len() {
            // A short name stands for itself, padded with zeros.
            hash.iter_mut().zip(parts.iter().copied().flatten()).for_each(|(to, from)| *to = *from);
        } else {
            hash = digest(&parts);
        }
        let mut state = Self { chain: Zeroizing::new(hash), hash, key: None, counter: 0 };
        state.mix_hash(prologue);
        state
    }

    pub(super) const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    pub(super) const fn has_key(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn mix_hash(&mut self, bytes: &[u8]) {
        self.hash = digest(&[&self.hash, bytes]);
    }

    pub(super) fn mix_key(&mut self, shared: &Zeroizing<[u8; 32]>) {
        let [chain, key] = hkdf(&self.chain, shared.as_slice());
        self.chain = chain;
        self.key = Some(CipherKey::new(&key));
        self.counter = 0;
    }

    /// Encrypt `bytes` into the start of `out` and say how much that took. Without a key it is a copy.
    pub(super) fn encrypt(&mut self, bytes: &[u8], out: &mut [u8]) -> Result<usize, NoiseError> {
        out.get_mut(..bytes.len()).ok_or(NoiseError::Room)?.copy_from_slice(bytes);
        self.encrypt_in_place(bytes.len(), out)
    }

    /// The same with bytes that stand at the start of `out` already.
    pub(super) fn encrypt_in_place(&mut self, text_len: usize, out: &mut [u8]) -> Result<usize, NoiseError> {
        let (text, rest) = out.split_at_mut_checked(text_len).ok_or(NoiseError::Room)?;
        let mut len = text_len;
        if let Some(key) = &self.key {
            let tag = key.seal(self.counter, &self.hash, text)?;
            rest.first_chunk_mut().map(|room| *room = tag).ok_or(NoiseError::Room)?;
            self.counter = self.counter.saturating_add(1);
            len += TAG_LEN;
        }
        self.mix_hash(out.get(..len).unwrap_or_default());
        Ok(len)
    }

    /// Decrypt all of `bytes` into the start of `out`, and say how much that is.
    pub(super) fn decrypt(&mut self, bytes: &[u8], out: &mut [u8]) -> Result<usize, NoiseError> {
        let (text, tag) = match self.key {
            Some(_) => bytes.split_last_chunk::<TAG_LEN>().ok_or(NoiseError::Unverified)?,
            None => (bytes, &[0; TAG_LEN]),
        };
        let out = out.get_mut(..text.len()).ok_or(NoiseError::Room)?;
        out.copy_from_slice(text);
        if let Some(key) = &self.key {
            key.open(self.counter, &self.hash, out, tag)?;
            self.counter = self.counter.saturating_add(1);
        }
        self.mix_hash(bytes);
        Ok(text.len())
    }

    /// The keys of the initiator's and the responder's messages.
    pub(super) fn split(&self) -> [CipherKey; 2] {
        hkdf(&self.chain, &[]).map(|key| CipherKey::new(&key))
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

/// HKDF of Noise 4.3 with two outputs.
fn hkdf(chain: &[u8; 32], input: &[u8]) -> [Zeroizing<[u8; 32]>; 2] {
    let temporary = MacKey::new(&*Zeroizing::new(MacKey::new(chain).tag(input)));
    let first = Zeroizing::new(temporary.tag(&[1]));
    let mut second = temporary.begin();
    second.update(first.as_slice());
    second.update(&[2]);
    let second = Zeroizing::new(second.finish());
    [first, second]
}
