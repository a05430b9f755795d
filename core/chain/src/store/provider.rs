//! Making tokens, one after the other.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::{Store, StoreError, StoreLimits, raw};
use crate::token::{Fault, State, Token, TokenIds};
use sluis_core::data::{EncodeError, Member, Style, Text, Value, canonical};
use sluis_core::identity::MacKey;
use sluis_core::time::iso;
use sluis_core::{Now, Seed};

/// A token was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It was not stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It has no hash.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A number in it is not finite.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Makes tokens and keeps them: each follows from the one before, unless it says from which.
///
/// ```
/// use sluis_chain::store::Provider;
/// use sluis_chain::token::{State, Token};
/// use sluis_core::data::{Text, Value};
/// use sluis_core::{Instant, Now, Seed, Wall};
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
/// let mut provider = Provider::new("jis:home:hub", &Seed::from_u64(1)); // in production: a seed of the system's
/// let draft = Token { action: Text::new("door_opened"), erin: Value::from_json(r#"{"door": 1}"#)?, ..Token::default() };
/// let opened = provider.create(now, &draft)?.token_id.to_string();
/// let closed = provider.create(now, &Token { action: Text::new("door_closed"), ..Token::default() })?;
/// assert_eq!(closed.parent_id, Some(Text::new(&opened)));
/// provider.change_state(now, Text::new(&opened), State::Resolved, "")?;
/// assert_eq!(provider.store().state(Text::new(&opened)), Some(State::Resolved));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Provider {
    actor: Box<str>,
    auto_chain: bool,
    key: Option<MacKey>,
    ids: TokenIds,
    last: Option<String>,
    store: Store,
}

impl Provider {
    /// With an actor for tokens that name none, default limits, plain SHA-256, and every token following from the one before.
    #[must_use]
    pub fn new(actor: &str, seed: &Seed) -> Self {
        let store = Store::new(StoreLimits::default(), seed);
        Self { actor: actor.into(), auto_chain: true, key: None, ids: TokenIds::new(seed), last: None, store }
    }

    /// Hash with HMAC-SHA256. (To the reference an empty key is none.)
    #[must_use]
    pub fn key(mut self, key: MacKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Let tokens follow only from what they say.
    #[must_use]
    pub const fn unchained(mut self) -> Self {
        self.auto_chain = false;
        self
    }

    /// Make a token of these members.
    ///
    /// `token_id`, `timestamp` and `actor` are filled in where they are empty, `parent_id` where it is `None` and tokens are
    /// chained. (`Some` of an empty text is no parent at all.) `content_hash` is always made here.
    ///
    /// # Errors
    /// [`ProviderError`]; nothing was made.
    pub fn create(&mut self, now: Now, draft: &Token<'_>) -> Result<Token<'_>, ProviderError> {
        draft.check_finite()?;
        let made = draft.token_id.is_empty().then(|| self.ids.next(now.wall));
        let mut stamp = [0; iso::FORMAT_LEN];
        let stamp = iso::format(now.wall, &mut stamp);
        let last = self.last.as_deref().filter(|_| self.auto_chain);
        let mut token = *draft;
        if let Some(id) = &made {
            token.token_id = id.as_text();
        }
        if token.timestamp.is_empty() {
            token.timestamp = Text::new(stamp);
        }
        if token.actor.is_empty() {
            token.actor = Text::new(&self.actor);
        }
        token.parent_id = token.parent_id.or_else(|| last.map(Text::new));
        let hash = token.content_hash(self.key.as_ref())?.to_string();
        let slot = self.store.insert(&token.with(Text::new(&hash), token.signature))?;
        let token = self.store.at(slot).unwrap_or_default();
        self.last = Some(token.token_id.to_cow().into_owned());
        Ok(token)
    }

    /// Say that a token has another state now: a token of its own. The one it speaks of stays as it is; the old state is the
    /// one that token was made with. `None` if there is no such token.
    ///
    /// # Errors
    /// [`ProviderError`]; nothing was made.
    pub fn change_state(
        &mut self,
        now: Now,
        token_id: Text<'_>,
        state: State,
        reason: &str,
    ) -> Result<Option<Token<'_>>, ProviderError> {
        let Some(old) = self.store.get(token_id).map(|token| token.state) else { return Ok(None) };
        let change = format!("State change: {old} -> {state}");
        let mut erin = Vec::new();
        let members: [(&str, Member<'_>); 3] =
            [("token_id", token_id.into()), ("old_state", old.as_str().into()), ("new_state", state.as_str().into())];
        canonical::write_object(&mut erin, &members, Style::SPACED)?;
        let erin = String::from_utf8(erin).unwrap_or_default();
        let eraan = format!("[\"{}\"]", raw(token_id));
        let draft = Token {
            action: Text::new("state_change"),
            erin: Value::from_json(&erin).unwrap_or_default(),
            eraan: Value::from_json(&eraan).unwrap_or(Value::EMPTY_ARRAY),
            erachter: Text::new(if reason.is_empty() { &change } else { reason }),
            parent_id: Some(token_id),
            ..Token::default()
        };
        self.create(now, &draft).map(Some)
    }

    /// What was made.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Every token and whether it verifies with the key of this provider.
    pub fn verify_all(&self) -> impl Iterator<Item = (Token<'_>, Result<(), Fault>)> {
        self.store.tokens().map(|token| (token, token.verify(self.key.as_ref())))
    }

    /// Forget everything; the next token follows from nothing.
    pub fn clear(&mut self) {
        self.store.clear();
        self.last = None;
    }
}
