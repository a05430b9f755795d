//! Whose key is whose.

use core::fmt;

use crate::token::{Authority, KnownKeys, Token, Verdict};
use sluis_core::identity::{MacKey, Verifier};

/// Keys that are bound to names: a token is good only if its actor's own key signed it.
#[derive(Clone, Copy, Debug)]
pub struct BoundKeys<'k>(&'k [(&'k str, Verifier)]);

impl<'k> BoundKeys<'k> {
    /// Know these: an actor (a DID, say) may have several keys.
    #[must_use]
    pub const fn new(keys: &'k [(&'k str, Verifier)]) -> Self {
        Self(keys)
    }
}

impl Authority for BoundKeys<'_> {
    fn check(&self, token: &Token<'_>, signed_text: &[u8]) -> Verdict {
        let key = token.sealed_by();
        let of_actor = |(actor, verifier): &&(&str, Verifier)| token.actor == *actor && Some(verifier.key()) == key;
        match self.0.iter().find(of_actor) {
            Some((_, verifier)) => KnownKeys::new(&mut [verifier.clone()]).check(token, signed_text),
            // Says what is wrong with the form; nobody is known to it.
            None => KnownKeys::new(&mut []).check(token, signed_text),
        }
    }
}

/// What proves that a token comes from its actor: a seal, or the hash under a shared key. One of them at least.
#[derive(Clone, Copy, Default)]
pub struct Proof<'k> {
    /// The key of HMAC hashes.
    pub mac: Option<&'k MacKey>,
    /// Who may sign for whom.
    pub authority: Option<&'k dyn Authority>,
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mac, authority) = (self.mac.is_some(), self.authority.is_some());
        f.debug_struct("Proof").field("mac", &mac).field("authority", &authority).finish()
    }
}
