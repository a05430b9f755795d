//! The seal of a SPIFFE workload: the `signature` member of a token, with everything in it to check it offline.

use base64ct::{Base64, Encoding as _};
use rustls_pki_types::CertificateDer;
use sluis_chain::token::{Hash32, Seal, SealError};
use sluis_chain::workload::Spiffe;
use sluis_core::Wall;
use sluis_core::framing::Text;
use sluis_core::identity::SignError;

use crate::svid::{MAX_CHAIN, Svid};

/// What the seal of an X.509-SVID begins with.
pub const PREFIX: &str = "x509:";
/// Longest seal in bytes that is looked at: chains of [`MAX_CHAIN`] RSA certificates fit several times.
pub const MAX_SEAL: usize = 64 * 1024;

impl Svid {
    /// What a step must say so that this identity can sign it: for
    /// [`Workload::bind_spiffe`](sluis_chain::workload::Workload::bind_spiffe), or the member `spiffe` of
    /// [`Step`](sluis_chain::workload::Step).
    #[must_use]
    pub fn binding(&self) -> Spiffe<'_> {
        Spiffe {
            id: Text::new(self.id_text()),
            expires_at: self.expires_at(),
            certificate: Hash32(self.certificate_sha256()),
        }
    }

    /// Seal tokens with this identity at this time. Only a token whose actor is [`id`](Self::id), and for a step one
    /// that holds the [`binding`](Self::binding), is then accepted by others.
    #[must_use]
    pub const fn seal_at(&self, now: Wall) -> SvidSeal<'_> {
        SvidSeal { svid: self, now }
    }
}

/// An identity at a time, that seals: `x509:<signature>:<leaf>[:<intermediate>]…`, each in Base64 (standard, padded).
///
/// The leaf's key signs, the one way that its kind has ([`Algorithm`](crate::Algorithm)).
#[derive(Clone, Copy, Debug)]
pub struct SvidSeal<'a> {
    svid: &'a Svid,
    now: Wall,
}

impl Seal for SvidSeal<'_> {
    fn max_len(&self) -> usize {
        let of_chain: usize = self.svid.chain().iter().map(|der| 1 + base64_len(der.len())).sum();
        PREFIX.len() + base64_len(self.svid.key().signature_len()) + of_chain
    }

    /// # Errors
    /// [`SealError::NotValid`] outside of the leaf's validity; no room; or the system has no randomness.
    fn seal(&self, signed_text: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        if self.now < self.svid.not_before() || self.now > self.svid.expires_at() {
            return Err(SealError::NotValid);
        }
        let need = self.max_len();
        let room = out.get_mut(..need).ok_or(SealError::NoRoom { need })?;
        let signature = self.svid.key().sign(signed_text).ok_or(SignError::Unavailable)?;
        let mut text = String::with_capacity(need);
        text.push_str(PREFIX);
        text.push_str(&Base64::encode_string(&signature));
        for certificate in self.svid.chain() {
            text.push(':');
            text.push_str(&Base64::encode_string(certificate));
        }
        let room = room.get_mut(..text.len()).ok_or(SealError::NoRoom { need: text.len() })?;
        room.copy_from_slice(text.as_bytes());
        Ok(text.len())
    }
}

/// Whether a text has the form of a seal of an X.509-SVID: a signature and certificates in Base64. Whether it holds, only a
/// [`SpiffeAuthority`](crate::SpiffeAuthority) knows.
#[must_use]
pub fn is_seal(text: &str) -> bool {
    let parts = text.strip_prefix(PREFIX).and_then(Parts::read);
    // A certificate is a DER sequence.
    let is_der = |der: &CertificateDer<'_>| der.first() == Some(&0x30);
    parts.and_then(|parts| parts.certificates()).is_some_and(|chain| chain.iter().all(is_der))
}

/// A seal, taken apart.
#[derive(Debug)]
pub(crate) struct Parts<'t> {
    pub(crate) signature: Vec<u8>,
    /// The certificates as they are written: what a chain that was checked before is known by.
    pub(crate) chain: &'t str,
}

impl<'t> Parts<'t> {
    /// Take apart what stands behind the prefix.
    pub(crate) fn read(seal: &'t str) -> Option<Self> {
        if seal.len() > MAX_SEAL {
            return None;
        }
        let (signature, chain) = seal.split_once(':')?;
        Some(Self { signature: Base64::decode_vec(signature).ok()?, chain })
    }

    /// The certificates, if they are as many as a chain may have.
    pub(crate) fn certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        if self.chain.split(':').count() > MAX_CHAIN {
            return None;
        }
        self.chain.split(':').map(|text| Base64::decode_vec(text).ok().map(CertificateDer::from)).collect()
    }
}

/// Characters that Base64 with padding takes for so many bytes.
const fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}
