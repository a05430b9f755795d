//! Whether a seal of a SPIFFE workload holds, offline: the seal brings the certificates, the operator the bundles.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sluis_chain::token::{Authority, Token, Verdict};
use sluis_core::Wall;
use sluis_core::framing::{Text, Value};
use sluis_core::time::iso;
use spiffe::SpiffeId;

use crate::bundle::{TrustBundles, Window};
use crate::error::SpiffeError;
use crate::rules::{self, Leaf};
use crate::seal::{PREFIX, Parts};
use crate::svid::read_chain;

/// Chains that were found good and are kept, at most.
const MAX_KNOWN: usize = 256;

/// Why a seal does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealFault {
    /// There is no seal.
    #[error("it is not sealed")]
    Unsigned,
    /// It is not that of an X.509-SVID.
    #[error("its seal is not that of an X.509-SVID")]
    OtherKind,
    /// It cannot be read.
    #[error("its seal cannot be read")]
    Unreadable,
    /// The certificates are no SVID.
    #[error("its seal holds no X.509-SVID: {0}")]
    NoSvid(SpiffeError),
    /// Nobody we know vouches for the certificates, or they were not valid at that time.
    #[error("{0}")]
    Untrusted(SpiffeError),
    /// Another identity sealed it than its actor.
    #[error("it names {actor:?} as who did it, and {id} sealed it")]
    Actor {
        /// Who the token says did it.
        actor: String,
        /// Whose certificate it is.
        id: String,
    },
    /// A step does not hold the identity that sealed it, or another.
    #[error("its member eromheen.spiffe.{0} is not that of the certificate that sealed it")]
    Binding(&'static str),
    /// It has no time.
    #[error("its timestamp cannot be read")]
    Timestamp,
    /// It was sealed outside of the validity of the leaf.
    #[error("it ended at {at}, when the certificate of {id} was not valid")]
    Expired {
        /// Whose certificate.
        id: String,
        /// When the step ended.
        at: String,
    },
    /// The signature is wrong: what was signed was changed, or another key signed it.
    #[error("the signature of {id} is wrong")]
    Signature {
        /// Whose.
        id: String,
    },
}

impl SealFault {
    /// What a verifier reports.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::Unsigned => Verdict::Unsigned,
            Self::OtherKind => Verdict::OtherKind,
            Self::Actor { .. } => Verdict::NotTheActor,
            Self::Untrusted(SpiffeError::NoBundle { .. } | SpiffeError::UnknownIssuer { .. }) => Verdict::Unknown,
            _ => Verdict::Bad,
        }
    }
}

/// Judges the seals of SPIFFE workloads by trust bundles, at the time at which each token says it came to be.
///
/// A seal holds if its certificates are an X.509-SVID with a path to a root of its trust domain, valid at that time;
/// its ID is the token's actor; a step is [bound](crate::Svid::binding) to exactly this leaf; and the leaf's key signed
/// the content hash. What this cannot see is a step that was dated back by somebody who has an old key: that is what
/// the log's checkpoints are for.
///
/// Good chains are remembered (at most 256), so that a million steps of one workload cost one path validation.
#[derive(Debug)]
pub struct SpiffeAuthority {
    bundles: TrustBundles,
    known: RwLock<HashMap<[u8; 32], Arc<Known>>>,
}

/// A chain that has a path to a root within these times.
#[derive(Debug)]
struct Known {
    leaf: Leaf,
    id: String,
    window: Window,
}

impl SpiffeAuthority {
    /// Judge by these bundles.
    #[must_use]
    pub fn new(bundles: TrustBundles) -> Self {
        Self { bundles, known: RwLock::default() }
    }

    /// Judge the seal of a token over a signed text, and say who sealed it or what is wrong.
    ///
    /// The content hash is taken as it stands in the token, as by every [`Authority`].
    ///
    /// # Errors
    /// [`SealFault`]: the first thing that is wrong.
    pub fn judge(&self, token: &Token<'_>, signed_text: &[u8]) -> Result<SpiffeId, SealFault> {
        if token.signature.is_empty() {
            return Err(SealFault::Unsigned);
        }
        let seal = token.signature.to_cow();
        let seal = seal.strip_prefix(PREFIX).ok_or(SealFault::OtherKind)?;
        let parts = Parts::read(seal).ok_or(SealFault::Unreadable)?;
        let at = time(token.timestamp).ok_or(SealFault::Timestamp)?;
        let known = self.known(&parts, at)?;
        let Known { leaf, id, .. } = &*known;
        if token.actor != *id.as_str() {
            return Err(SealFault::Actor { actor: token.actor.to_cow().into_owned(), id: id.clone() });
        }
        check_binding(token, leaf, id)?;
        if at < leaf.not_before || at > leaf.not_after {
            return Err(SealFault::Expired { id: id.clone(), at: token.timestamp.to_cow().into_owned() });
        }
        if leaf.algorithm.verify(&leaf.key, signed_text, &parts.signature) {
            Ok(leaf.id.clone())
        } else {
            Err(SealFault::Signature { id: id.clone() })
        }
    }

    /// The chain of a seal, once it has a path to a root at this time.
    fn known(&self, parts: &Parts<'_>, at: Wall) -> Result<Arc<Known>, SealFault> {
        let name = rules::sha256(parts.chain.as_bytes());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(known) = known.filter(|known| known.window.holds(at)) {
            return Ok(known);
        }
        let chain = parts.certificates().ok_or(SealFault::Unreadable)?;
        let leaf = read_chain(&chain).map_err(SealFault::NoSvid)?;
        let window = self.bundles.check_path(&leaf.id, &chain, at).map_err(SealFault::Untrusted)?;
        let fresh = Arc::new(Known { id: leaf.id.to_string(), leaf, window });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(name, Arc::clone(&fresh));
        Ok(fresh)
    }
}

impl Authority for SpiffeAuthority {
    fn check(&self, token: &Token<'_>, signed_text: &[u8]) -> Verdict {
        self.judge(token, signed_text).map_or_else(|fault| fault.verdict(), |_| Verdict::Good)
    }
}

/// Whether the token holds the leaf that sealed it. Only steps must; what others say must be true.
fn check_binding(token: &Token<'_>, leaf: &Leaf, id: &str) -> Result<(), SealFault> {
    let is_step = token.action.as_str().is_none_or(|action| action.starts_with("step_"));
    let Some(spiffe) = token.eromheen.get("spiffe") else {
        return if is_step { Err(SealFault::Binding("id")) } else { Ok(()) };
    };
    let text = |member| spiffe.get(member).and_then(Value::as_text);
    if text("id").is_none_or(|said| said != *id) {
        return Err(SealFault::Binding("id"));
    }
    if text("expires_at").and_then(time) != Some(leaf.not_after) {
        return Err(SealFault::Binding("expires_at"));
    }
    let mut sha256 = [0; 32];
    let read = text("certificate_sha256")
        .and_then(|said| sluis_core::data::hex::parse(said.as_str()?.as_bytes(), &mut sha256));
    if read.is_none() || sha256 != leaf.sha256 {
        return Err(SealFault::Binding("certificate_sha256"));
    }
    Ok(())
}

fn time(text: Text<'_>) -> Option<Wall> {
    let mut scratch = [0; iso::MAX_TEXT];
    text.resolve(&mut scratch).ok().and_then(iso::parse)
}
