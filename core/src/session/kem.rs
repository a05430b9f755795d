//! The second key exchange of suite 2: ML-KEM-768 (FIPS 203), whose keys and ciphertexts are too long for one datagram.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ml_kem::kem::{Decapsulate as _, KeyExport as _};
use ml_kem::{B32, DecapsulationKey768, EncapsulationKey768, Seed, SharedKey};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::Rng;

/// How much of a key (1,184 bytes) or a ciphertext (1,088) stands in the payload of the message that announces it; the rest follows in a datagram of its own.
const FIRST: usize = 512;
/// Length of what stands in that payload: a digest of all of it, and the first part.
pub(super) const ANNOUNCED: usize = 32 + FIRST;

/// A shared secret.
pub(super) type Shared = Zeroizing<[u8; 32]>;

/// The secret of one handshake, as the 64 bytes that its keys are made of (FIPS 203 7.1: d and z). They take a hundredth of the memory of the keys.
pub(super) struct KemSecret(Zeroizing<[u8; 64]>);

impl KemSecret {
    pub(super) fn generate(rng: &mut Rng) -> Self {
        let mut seed = Zeroizing::new([0; 64]);
        rng.fill(seed.as_mut_slice());
        Self(seed)
    }

    fn key(&self) -> DecapsulationKey768 {
        let mut seed = Seed::from(*self.0);
        let key = DecapsulationKey768::from_seed(seed);
        seed.zeroize();
        key
    }

    /// The encapsulation key.
    pub(super) fn public(&self) -> Vec<u8> {
        self.key().encapsulation_key().to_bytes().to_vec()
    }

    /// The shared secret in a ciphertext; `None` for what has not the length of one. Of a ciphertext that was made for another key it is a secret that nobody else has.
    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Option<Shared> {
        self.key().decapsulate_slice(ciphertext).ok().map(take)
    }
}

/// A ciphertext for this key, and the secret in it; `None` for what is no key.
pub(super) fn encapsulate(key: &[u8], rng: &mut Rng) -> Option<(Vec<u8>, Shared)> {
    let key = EncapsulationKey768::new(key.try_into().ok()?).ok()?;
    let mut random = B32::default();
    rng.fill(&mut random);
    let (ciphertext, shared) = key.encapsulate_deterministic(&random);
    random.zeroize();
    Some((ciphertext.to_vec(), take(shared)))
}

fn take(mut shared: SharedKey) -> Shared {
    let taken = Zeroizing::new(shared.into());
    shared.zeroize();
    taken
}

/// What a payload announces.
pub(super) struct Announced {
    digest: [u8; 32],
    first: Box<[u8]>,
}

/// What stands in the payload of a key or ciphertext, and what follows.
pub(super) fn announce(long: &[u8]) -> ([u8; ANNOUNCED], &[u8]) {
    let (first, rest) = long.split_at(FIRST.min(long.len()));
    let mut announced = [0; ANNOUNCED];
    let digest: [u8; 32] = Sha256::digest(long).into();
    announced.iter_mut().zip(digest.iter().chain(first)).for_each(|(to, from)| *to = *from);
    (announced, rest)
}

impl Announced {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (digest, first) = bytes.split_first_chunk()?;
        Some(Self { digest: *digest, first: first.into() }).filter(|_| bytes.len() == ANNOUNCED)
    }

    /// All of it, where this is the rest.
    pub(super) fn with(&self, rest: &[u8]) -> Option<Vec<u8>> {
        let all = [&self.first, rest].concat();
        let digest: [u8; 32] = Sha256::digest(&all).into();
        Some(all).filter(|_| digest == self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::{ANNOUNCED, Announced, KemSecret, announce, encapsulate};
    use crate::Seed;

    const KEY: usize = 1184;
    const CIPHERTEXT: usize = 1088;

    #[test]
    fn both_sides_have_one_secret_and_lengths_are_those_of_the_standard() {
        let mut rng = Seed::from_u64(1).fork("kem");
        let secret = KemSecret::generate(&mut rng);
        let key = secret.public();
        let (ciphertext, shared) = encapsulate(&key, &mut rng).unwrap();
        assert_eq!((key.len(), ciphertext.len()), (KEY, CIPHERTEXT));
        assert_eq!(secret.decapsulate(&ciphertext).unwrap(), shared);
        let mut other = ciphertext.clone();
        other[7] ^= 1;
        assert_ne!(secret.decapsulate(&other).unwrap(), shared);
        assert!(secret.decapsulate(&ciphertext[1..]).is_none() && encapsulate(&key[1..], &mut rng).is_none());
        // Coefficients of a key are below 3329.
        assert!(encapsulate(&[0xff; KEY], &mut rng).is_none());
    }

    #[test]
    fn what_follows_is_what_was_announced_or_nothing() {
        let long: alloc::vec::Vec<u8> = (0..KEY).map(|n| n.to_le_bytes()[0]).collect();
        let (announced, rest) = announce(&long);
        assert!(Announced::read(&announced[1..]).is_none());
        let announced = Announced::read(&announced).unwrap();
        assert_eq!((rest.len() + ANNOUNCED - 32, announced.with(rest)), (KEY, Some(long.clone())));
        for wrong in [&rest[1..], &[rest, b"x"].concat(), &[]] {
            assert_eq!(announced.with(wrong), None);
        }
    }
}
