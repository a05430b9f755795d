//! Who signed: judges the seals of tokens, and takes down whose they are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sluis_chain::token::{Authority, Token, Verdict};
use sluis_chain::verify::{Finding, Kind};
use sluis_core::data::hex;
use sluis_core::identity::{PublicKey, Verifier};

use super::judge::Keys;

/// Signers and actors that are remembered, so that a file full of them takes no more than this.
const MAX_SIGNERS: usize = 1024;

/// What the names of SPIFFE identities begin with.
const SPIFFE: &str = "spiffe://";

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

/// Actors whose tokens somebody signed who is not known to be them.
#[derive(Default)]
struct Unproven {
    /// How many tokens, for each.
    actors: BTreeMap<String, u64>,
    /// Tokens of actors that there was no room for.
    others: u64,
}

#[derive(Default)]
struct Counts {
    keys: RwLock<BTreeMap<[u8; 32], Arc<Signer>>>,
    ids: RwLock<BTreeMap<String, u64>>,
    unproven: RwLock<Unproven>,
    /// Signatures of SPIFFE identities about which nothing is said, since no bundle is there.
    unjudged: AtomicU64,
}

/// Judges seals, and takes down who signed.
///
/// - An Ed25519 seal must hold; where keys or bundles are named, under one of these keys. Where the key of its actor is
///   named, it must be that.
/// - The seal of a SPIFFE identity must be judged by a bundle, and be that of its actor. An actor with such a name is proven
///   by nothing else.
/// - What is no seal counts as one of somebody unknown, once anything is named.
#[derive(Clone)]
pub(super) struct Seen {
    keys: Arc<Keys>,
    counts: Arc<Counts>,
}

impl Seen {
    pub(super) fn new(keys: &Arc<Keys>) -> Self {
        Self { keys: Arc::clone(keys), counts: Arc::default() }
    }

    /// Who signed, how many tokens, and whether one was told to trust them.
    pub(super) fn signers(&self) -> Vec<(Signed, u64, bool)> {
        let keys = self.counts.keys.read().unwrap_or_else(PoisonError::into_inner);
        let held = keys.values().filter_map(|signer| {
            let key = signer.verifier.as_ref()?.key();
            Some((Signed::Key(key), signer.good.load(Ordering::Relaxed), self.keys.knows(key.as_bytes())))
        });
        let ids = self.counts.ids.read().unwrap_or_else(PoisonError::into_inner);
        let ids = ids.iter().map(|(id, tokens)| (Signed::Spiffe(id.clone()), *tokens, true));
        held.chain(ids).filter(|(_, tokens, _)| *tokens > 0).collect()
    }

    /// Whether what is not signed is a finding.
    pub(super) fn requires(&self) -> bool {
        self.keys.required()
    }

    /// Signatures of SPIFFE identities that nobody judged.
    pub(super) fn unjudged(&self) -> u64 {
        self.counts.unjudged.load(Ordering::Relaxed)
    }

    /// Actors whose tokens are signed, and not by somebody who is known to be them; and the tokens of those that there was no
    /// room for.
    pub(super) fn unproven(&self) -> (Vec<(String, u64)>, u64) {
        let unproven = self.counts.unproven.read().unwrap_or_else(PoisonError::into_inner);
        (unproven.actors.iter().map(|(actor, tokens)| (actor.clone(), *tokens)).collect(), unproven.others)
    }

    /// The same as findings, where everything must be signed.
    pub(super) fn findings(&self) -> Vec<Finding> {
        if !self.keys.signed {
            return Vec::new();
        }
        let (actors, others) = self.unproven();
        let finding = |expected: String, tokens: u64| Finding {
            line: 0,
            token_id: None,
            kind: Kind::Other("unproven_actor"),
            expected: Some(expected),
            actual: Some(format!("{tokens} tokens signed by keys that are not bound to it")),
        };
        let named = actors.iter().map(|(actor, tokens)| finding(format!("--actor '{actor}=KEY'"), *tokens));
        let others = (others > 0).then(|| finding("--actor for every other actor".to_owned(), others));
        named.chain(others).collect()
    }

    /// Whoever has this key. Decoding it is a tenth of the work of a verification, so that is done once.
    fn signer(&self, key: [u8; 32]) -> Arc<Signer> {
        if let Some(signer) = self.counts.keys.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(signer);
        }
        let signer = Arc::new(Signer { verifier: Verifier::new(key).ok(), good: AtomicU64::new(0) });
        let mut keys = self.counts.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() < MAX_SIGNERS { Arc::clone(keys.entry(key).or_insert(signer)) } else { signer }
    }

    fn ed25519(&self, token: &Token<'_>, seal: &str, text: &[u8]) -> Verdict {
        let (mut key, mut signature) = ([0; 32], [0; 64]);
        let parts = seal.split_once(':').and_then(|(key_text, signature_text)| {
            hex::parse(key_text.as_bytes(), &mut key)?;
            hex::parse(signature_text.as_bytes(), &mut signature)
        });
        if parts.is_none() {
            return Verdict::Bad;
        }
        if self.keys.names_somebody() && !self.keys.knows(&key) {
            return Verdict::Unknown;
        }
        let signer = self.signer(key);
        match &signer.verifier {
            Some(verifier) if verifier.verify(text, &signature).is_ok() => {}
            _ => return Verdict::Bad,
        }
        let actor = token.actor.to_cow();
        let bound = self.keys.actors.get(&*actor);
        let is_spiffe = actor.starts_with(SPIFFE) && (self.keys.names_somebody() || self.keys.signed);
        if is_spiffe || bound.is_some_and(|keys| !keys.iter().any(|bound| *bound.as_bytes() == key)) {
            return Verdict::NotTheActor;
        }
        signer.good.fetch_add(1, Ordering::Relaxed);
        if bound.is_none() {
            self.unproven_by(&actor);
        }
        Verdict::Good
    }

    /// A signature holds, and nobody knows whether it is that of the actor.
    fn unproven_by(&self, actor: &str) {
        let mut unproven = self.counts.unproven.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = unproven.actors.get_mut(actor) {
            *tokens += 1;
        } else if unproven.actors.len() < MAX_SIGNERS {
            unproven.actors.insert(actor.to_owned(), 1);
        } else {
            unproven.others += 1;
        }
    }

    fn spiffe(&self, token: &Token<'_>, text: &[u8]) -> Verdict {
        let Some(authority) = &self.keys.spiffe else {
            // Whether it holds cannot be said; whether it is one can.
            if !sluis_spiffe::is_seal(&token.signature.to_cow()) {
                return Verdict::Bad;
            }
            self.counts.unjudged.fetch_add(1, Ordering::Relaxed);
            return self.other_kind();
        };
        match authority.judge(token, text) {
            Err(fault) => fault.verdict(),
            Ok(id) => {
                let mut ids = self.counts.ids.write().unwrap_or_else(PoisonError::into_inner);
                if ids.len() < MAX_SIGNERS {
                    *ids.entry(id.to_string()).or_default() += 1;
                }
                Verdict::Good
            }
        }
    }

    /// Nothing can be said about it: of nobody's who is known, where somebody is.
    fn other_kind(&self) -> Verdict {
        if self.keys.asks() { Verdict::Unknown } else { Verdict::OtherKind }
    }
}

impl Authority for Seen {
    fn check(&self, token: &Token<'_>, signed_text: &[u8]) -> Verdict {
        match token.signature.as_str() {
            Some("") => Verdict::Unsigned,
            Some(seal) if seal.starts_with(sluis_spiffe::PREFIX) => self.spiffe(token, signed_text),
            Some(seal) => seal
                .strip_prefix("ed25519:")
                .map_or_else(|| self.other_kind(), |seal| self.ed25519(token, seal, signed_text)),
            None => self.other_kind(),
        }
    }
}
