//! Who is who: tokens, what their bearer may do, and where a request carries them.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};
use sluis_core::airlock::glob;
use sluis_core::identity::PublicKey;
use sluis_core::limits::MAX_DID;
use subtle::ConstantTimeEq as _;

use crate::agent;
use crate::rest::percent;

/// Most agents in one table.
pub const MAX_CREDENTIALS: usize = 10_000;

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 512;

/// The WebSocket subprotocol that carries a token, before the token.
const SUBPROTOCOL: &str = "sluis.token.";

/// One agent that may come in, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its name, normalised.
    pub name: Box<str>,
    /// SHA-256 of its token.
    pub token_sha256: [u8; 32],
    /// The key that it shows on native connections, instead of its token, and signs channels with.
    pub key: Option<PublicKey>,
    /// Patterns of the intents that it may open: a star at either end stands for anything. None: nothing.
    pub may: Vec<Box<str>>,
    /// Patterns of the agents that it may open channels to. None: nobody.
    pub to: Vec<Box<str>>,
}

impl Credential {
    /// Whether it may open a channel of this intent to this agent.
    #[must_use]
    pub fn allows(&self, intent: &str, target: &str) -> bool {
        let any = |patterns: &[Box<str>], text: &str| patterns.iter().any(|pattern| glob::matches(pattern, text));
        any(&self.may, intent) && any(&self.to, target)
    }
}

/// Why a table of agents is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// More than [`MAX_CREDENTIALS`].
    #[error("there are {0} agents, at most {MAX_CREDENTIALS} fit")]
    TooMany(usize),
    /// A name that is empty, too long, or not what it would be called here.
    #[error("the agent {name:?} would be called {normal:?} here: write it like that, in at most {MAX_DID} bytes")]
    Name {
        /// As it was given.
        name: String,
        /// Normalised.
        normal: String,
    },
    /// Two agents of one name, or with one token.
    #[error("the agent {0:?} has its name or its token from another one")]
    Twice(String),
}

/// Who may come in.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// Everybody, under whatever name they say, as at the reference. Only for a hub that no stranger reaches.
    Open,
    /// These agents and nobody else. Starts with none.
    #[default]
    Nobody,
    /// Those in this table.
    Agents(Agents),
}

/// A checked table of agents, in the order of their names.
#[derive(Clone, Debug)]
pub struct Agents(Vec<Arc<Credential>>);

impl Agents {
    /// Whether there is an agent of this name.
    #[must_use]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn get(&self, name: &str) -> Option<&Credential> {
        let at = self.0.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?;
        self.0.get(at).map(|entry| &**entry)
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Somebody at an open hub; who it is is what the request says.
    Anyone,
    /// The bearer of a token.
    Agent(Arc<Credential>),
}

impl Access {
    /// Only these agents.
    ///
    /// # Errors
    /// Too many, a name that is none, or two that cannot be told apart.
    pub fn agents(mut table: Vec<Credential>) -> Result<Self, AccessError> {
        if table.len() > MAX_CREDENTIALS {
            return Err(AccessError::TooMany(table.len()));
        }
        let mut order: Vec<&Credential> = table.iter().collect();
        for entry in &table {
            let normal = agent::normalise(&entry.name);
            if normal.is_empty() || normal.len() > MAX_DID || *normal != *entry.name {
                return Err(AccessError::Name { name: entry.name.as_ref().into(), normal });
            }
        }
        for key in [(|c| c.name.as_bytes()) as fn(&Credential) -> &[u8], |c| &c.token_sha256[..]] {
            order.sort_by_key(|entry| key(entry));
            let mut pairs = order.iter().zip(order.iter().skip(1));
            if let Some((_, second)) = pairs.find(|(first, second)| key(first) == key(second)) {
                return Err(AccessError::Twice(second.name.as_ref().into()));
            }
        }
        table.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Self::Agents(Agents(table.into_iter().map(Arc::new).collect())))
    }

    /// Who shows this token; `None`: nobody who may come in. Every token of the table is compared, in constant time.
    #[must_use]
    pub fn identify(&self, token: Option<&str>) -> Option<Caller> {
        let agents = match self {
            Self::Open => return Some(Caller::Anyone),
            Self::Nobody => return None,
            Self::Agents(agents) => agents,
        };
        let token = token.filter(|token| token.len() <= MAX_TOKEN)?;
        let hash = token_hash(token);
        let mut found = None;
        for entry in &agents.0 {
            if bool::from(entry.token_sha256.ct_eq(&hash)) {
                found = Some(entry);
            }
        }
        found.map(|entry| Caller::Agent(Arc::clone(entry)))
    }

    /// The agent of this name, if this is its key. An open hub knows no keys.
    pub(crate) fn identify_key(&self, name: &str, key: &PublicKey) -> Option<Caller> {
        let Self::Agents(agents) = self else { return None };
        let at = agents.0.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?;
        agents.0.get(at).filter(|entry| entry.key == Some(*key)).map(|entry| Caller::Agent(Arc::clone(entry)))
    }

    /// The key of an agent, where that is known. `None` at an open hub, which knows nobody.
    pub(crate) fn key_of(&self, name: &str) -> Option<Option<PublicKey>> {
        match self {
            Self::Open => None,
            Self::Nobody => Some(None),
            Self::Agents(agents) => Some(agents.get(name).and_then(|entry| entry.key)),
        }
    }

    /// Whether exactly this credential is still in force.
    #[must_use]
    pub(crate) fn still_has(&self, credential: &Credential) -> bool {
        match self {
            Self::Open => true,
            Self::Nobody => false,
            Self::Agents(agents) => agents.get(&credential.name).is_some_and(|entry| *entry == *credential),
        }
    }
}

/// What of a token is kept in a table.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A request's token, and its target without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented<'a> {
    /// The token, where there is one.
    pub token: Option<Cow<'a, str>>,
    /// Path and query as [`rest`](crate::rest::rest) takes them: `/as/TOKEN` in front is gone.
    pub target: &'a str,
}

/// Find the token of a request: `Authorization: Bearer TOKEN`, the WebSocket subprotocol `sluis.token.TOKEN`, a base URL
/// `/as/TOKEN` or the parameter `token`, the first of these that is there.
///
/// `target` is path and query as sent; `authorization` and `subprotocols` are the values of the header lines. None of them may be
/// logged.
#[must_use]
pub fn presented<'a>(target: &'a str, authorization: Option<&'a str>, subprotocols: Option<&'a str>) -> Presented<'a> {
    let (in_path, target) = match target.strip_prefix("/as/") {
        Some(rest) => {
            let (token, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (Some(percent::decode(token, false)), path)
        }
        None => (None, target),
    };
    let header = authorization.and_then(bearer).map(Cow::Borrowed);
    let protocol = || offered(subprotocols).map(Cow::Borrowed);
    let query = || percent::parameter(target, "token").filter(|token| !token.is_empty());
    Presented { token: header.or_else(protocol).or(in_path).or_else(query), target }
}

/// The token among the WebSocket subprotocols that a client offers. The one that carries it is what the server answers with.
#[must_use]
pub fn offered(subprotocols: Option<&str>) -> Option<&str> {
    subprotocols?.split(',').find_map(|one| one.trim().strip_prefix(SUBPROTOCOL)).filter(|token| !token.is_empty())
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Access, AccessError, Caller, Credential, presented, token_hash};
    use alloc::vec;
    use alloc::vec::Vec;

    fn agent(name: &str, token: &str) -> Credential {
        Credential {
            name: name.into(),
            token_sha256: token_hash(token),
            key: None,
            may: vec!["chat".into(), "call:*".into()],
            to: vec!["bob".into()],
        }
    }

    fn token(target: &str, authorization: Option<&str>, subprotocols: Option<&str>) -> Option<alloc::string::String> {
        presented(target, authorization, subprotocols).token.map(Into::into)
    }

    #[test]
    fn a_token_names_one_agent_and_nothing_else_does() {
        let access = Access::agents(vec![agent("alice", "a"), agent("bob", "b")]).unwrap();
        let name = |token| match access.identify(token) {
            Some(Caller::Agent(entry)) => Some(entry.name.clone()),
            Some(Caller::Anyone) => panic!("a closed hub took anyone"),
            None => None,
        };
        assert_eq!(name(Some("b")).as_deref(), Some("bob"));
        for wrong in [None, Some(""), Some("c"), Some("B"), Some("b ")] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
        assert!(Access::default().identify(Some("a")).is_none());
        assert!(matches!(Access::Open.identify(None), Some(Caller::Anyone)));
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        let entry = agent("alice", "a");
        assert!(entry.allows("call:voice", "bob"));
        for (intent, target) in [("file:sync", "bob"), ("chat", "carol"), ("chat:x", "bob")] {
            assert!(!entry.allows(intent, target), "{intent} to {target}");
        }
        let nothing = Credential { may: Vec::new(), to: Vec::new(), ..entry };
        assert!(!nothing.allows("chat", "bob"));
    }

    #[test]
    fn a_table_that_is_ambiguous_is_refused() {
        let twice = |table| matches!(Access::agents(table), Err(AccessError::Twice(_)));
        assert!(twice(vec![agent("alice", "a"), agent("bob", "b"), agent("alice", "c")]));
        assert!(twice(vec![agent("alice", "a"), agent("bob", "a")]));
        for name in ["", "Alice", "alice.aint", " alice"] {
            assert!(matches!(Access::agents(vec![agent(name, "a")]), Err(AccessError::Name { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_token_is_found_wherever_a_client_can_put_one() {
        assert_eq!(token("/x", Some("bearer  t "), None).as_deref(), Some("t"));
        assert_eq!(token("/x", None, Some("other, sluis.token.t")).as_deref(), Some("t"));
        assert_eq!(token("/x?agent=a&token=t%2B1", None, None).as_deref(), Some("t+1"));
        assert_eq!(token("/x?token=", Some("Basic t"), Some("sluis.token.")), None);
        let found = presented("/as/t%201/api/mux/open?x=1", None, None);
        assert_eq!((found.token.as_deref(), found.target), (Some("t 1"), "/api/mux/open?x=1"));
        // The header is what a client means when it sends both.
        assert_eq!(token("/as/path/x?token=query", Some("Bearer header"), None).as_deref(), Some("header"));
    }
}
