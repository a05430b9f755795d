//! From a name to where it is: what is known here, else a question to others.

use alloc::boxed::Box;

use super::address::Address;
use super::intake::{RegisterError, Registered, Registry};
use super::record::{RecordError, Unverified};
use super::table::Heard;
use crate::did::{DidError, check_did};
use crate::identity::PublicKey;
use crate::pins::Pins;
use crate::seed::{Rng, SipKey};
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab, SlotId};
use crate::time::{Duration, Instant, Now, Wall};

/// How much a [`Resolver`] may hold, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolveConfig {
    /// How many endpoints the operator may name. Default 4,096.
    pub max_local: usize,
    /// How many names may be asked for at once. Default 1,024.
    pub max_queries: usize,
    /// How long a record that was passed on is taken for the newest. Default 300 s, as in the reference (which never looks).
    pub ttl: Duration,
    /// How long an answer is waited for. Default 5 s.
    pub timeout: Duration,
    /// How often a question is sent within that time, 1 to 8. Default 3.
    pub tries: u8,
}

impl Default for ResolveConfig {
    fn default() -> Self {
        let (ttl, timeout) = (Duration::from_secs(300), Duration::from_secs(5));
        Self { max_local: 4096, max_queries: 1024, ttl, timeout, tries: 3 }
    }
}

/// Where an endpoint is known from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operator named it, or the device registered here itself.
    Local,
    /// A record that was passed on lately.
    Cache,
    /// A peer's address that has proven itself.
    Peer,
    /// A record that was just asked for.
    Network,
    /// A record that may be out of date: nobody had a newer one.
    LastKnown,
}

impl Source {
    /// Its name in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Cache => "cache",
            Self::Peer => "peer",
            Self::Network => "network",
            Self::LastKnown => "last_known",
        }
    }
}

/// Where a name is. Its path is to be validated before anything that matters is sent there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// Where.
    pub endpoint: Address<'a>,
    /// From where that is known.
    pub source: Source,
    /// The number and the key of the record that says so; `None`: no record does.
    pub record: Option<(u64, PublicKey)>,
    /// When it was heard.
    pub heard: Option<Wall>,
}

/// Names a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(SlotId);

/// A name cannot be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The name cannot be one.
    #[error(transparent)]
    Did(#[from] DidError),
    /// It is not known here, and as many names are asked for as may be.
    #[error("too many names are being asked for")]
    Busy,
    /// There are as many endpoints of the operator as the configuration allows.
    #[error("{0} endpoints are named already, the most that the configuration allows")]
    TooMany(usize),
}

/// Why an answer is dropped. Queries stay open: somebody else may know better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerReject {
    /// Nobody asked for that name, and nothing is known of it.
    #[error("nobody asked for that name")]
    Unasked,
    /// It is no record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The registry does not take it.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// A question to be sent to whoever may know: other registries, peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The name.
    pub did: &'a str,
    /// Of which query.
    pub query: QueryId,
}

/// A query that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub query: QueryId,
    /// The name.
    pub did: Box<str>,
    /// An answer was taken in: [`Source::Network`]. Else its time was up, and what is known is [`Source::LastKnown`], if anything is.
    pub answered: bool,
}

struct ByDid;
struct ByAge;
struct Done;
/// Queries that have sent as many questions: their next ones are due in the order in which they began.
struct BySent;

/// How often a question is sent at most.
const MAX_TRIES: u8 = 8;

struct Local {
    did: Box<str>,
    endpoint: Box<str>,
    by_did: Chain,
}

impl Chained<ByDid> for Local {
    fn chain(&self) -> &Chain {
        &self.by_did
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_did
    }
}

struct Query {
    did: Box<str>,
    began: Instant,
    /// Questions sent.
    sent: u8,
    answered: bool,
    by_did: Chain,
    by_age: Link,
    by_sent: Link,
    done: Link,
}

impl Chained<ByDid> for Query {
    fn chain(&self) -> &Chain {
        &self.by_did
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_did
    }
}

impl Linked<ByAge> for Query {
    fn link(&self) -> &Link {
        &self.by_age
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.by_age
    }
}

impl Linked<BySent> for Query {
    fn link(&self) -> &Link {
        &self.by_sent
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.by_sent
    }
}

impl Linked<Done> for Query {
    fn link(&self) -> &Link {
        &self.done
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.done
    }
}

/// Finds out where names are.
///
/// In this order: what the operator named, and devices that registered here themselves; records that were passed on within the time to live; peers with proven
/// addresses; a question to the network; and when nobody answers, the last record that was known. Whatever answers come, what is known stays the newest that
/// the right key has signed ([`Registry::register`]).
pub struct Resolver {
    config: ResolveConfig,
    hash: SipKey,
    local: Slab<Local, Heap>,
    by_name: Index<ByDid, Heap>,
    queries: Slab<Query, Heap>,
    by_did: Index<ByDid, Heap>,
    /// All queries wait equally long: the oldest ends first.
    open: List<ByAge>,
    /// Those of them that still have questions to send, by how many they have sent.
    asking: [List<BySent>; MAX_TRIES as usize],
    /// Ended, and not told yet.
    done: List<Done>,
}

impl Resolver {
    /// Knows nothing.
    #[must_use]
    pub fn new(config: ResolveConfig, rng: &mut Rng) -> Self {
        Self {
            config,
            hash: rng.sip_key(),
            local: Slab::new(config.max_local),
            by_name: Index::new(),
            queries: Slab::new(config.max_queries),
            by_did: Index::new(),
            open: List::new(),
            asking: [const { List::new() }; MAX_TRIES as usize],
            done: List::new(),
        }
    }

    /// Name the endpoint of a DID, as the operator. It goes before all that is heard.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn set_local(&mut self, did: &str, endpoint: Address<'_>) -> Result<(), ResolveError> {
        check_did(did)?;
        let endpoint = alloc::format!("{endpoint}").into_boxed_str();
        let hash = self.hash.hash(did.as_bytes());
        if let Some(local) = self.local_slot(did).and_then(|slot| self.local.at_mut(slot)) {
            local.endpoint = endpoint;
            return Ok(());
        }
        let local = Local { did: did.into(), endpoint, by_did: Chain::default() };
        let id = self.local.insert(local).map_err(|_| ResolveError::TooMany(self.config.max_local))?;
        self.by_name.insert(&mut self.local, id.slot(), hash);
        Ok(())
    }

    /// Name it no longer; false when it was not named.
    pub fn remove_local(&mut self, did: &str) -> bool {
        let Some(slot) = self.local_slot(did) else { return false };
        self.by_name.remove(&mut self.local, slot);
        self.local.remove_at(slot).is_some()
    }

    fn local_slot(&self, did: &str) -> Option<u32> {
        if self.local.is_empty() {
            return None;
        }
        self.by_name.find(&self.local, self.hash.hash(did.as_bytes()), |local| *local.did == *did)
    }

    /// What is known of a name here and now, nothing asked. `peer` says which address of that name has proven itself, if one has; it is asked only when
    /// nothing better is known.
    pub fn known<'a>(
        &'a self,
        now: Wall,
        did: &str,
        registry: &'a Registry,
        peer: impl FnOnce(&str) -> Option<core::net::SocketAddr>,
    ) -> Option<Resolved<'a>> {
        if let Some(local) = self.local_slot(did).and_then(|slot| self.local.at(slot)) {
            let endpoint = Address::parse(&local.endpoint).ok()?;
            return Some(Resolved { endpoint, source: Source::Local, record: None, heard: None });
        }
        let recorded = recorded(now, did, registry, self.config.ttl);
        let peer = || {
            peer(did).map(|addr| Resolved { endpoint: addr.into(), source: Source::Peer, record: None, heard: None })
        };
        recorded.filter(|known| known.source != Source::LastKnown).or_else(peer)
    }

    /// Ask others for a name, whatever is known of it: one query for all who ask for the same name. It ends with [`Ended`], at the latest when its time is up.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn ask(&mut self, now: Instant, did: &str) -> Result<QueryId, ResolveError> {
        check_did(did)?;
        let hash = self.hash.hash(did.as_bytes());
        if let Some(id) =
            self.by_did.find(&self.queries, hash, |query| *query.did == *did).and_then(|slot| self.queries.id_at(slot))
        {
            return Ok(QueryId(id));
        }
        let query = Query {
            did: did.into(),
            began: now,
            sent: 0,
            answered: false,
            by_did: Chain::default(),
            by_age: Link::default(),
            by_sent: Link::default(),
            done: Link::default(),
        };
        let id = self.queries.insert(query).map_err(|_| ResolveError::Busy)?;
        self.by_did.insert(&mut self.queries, id.slot(), hash);
        self.open.push_back(&mut self.queries, id.slot());
        self.asking[0].push_back(&mut self.queries, id.slot());
        Ok(QueryId(id))
    }

    /// The next question to be sent, if one is due.
    pub fn poll_question(&mut self, now: Instant) -> Option<Question<'_>> {
        let (_, sent) = self.next_question().filter(|(at, _)| *at <= now)?;
        let slot = self.asking.get_mut(sent)?.pop_front(&mut self.queries)?;
        if sent + 1 < usize::from(self.tries()) {
            self.asking.get_mut(sent + 1)?.push_back(&mut self.queries, slot);
        }
        let id = self.queries.id_at(slot)?;
        let query = self.queries.at_mut(slot)?;
        query.sent += 1;
        Some(Question { did: &query.did, query: QueryId(id) })
    }

    fn tries(&self) -> u8 {
        self.config.tries.clamp(1, MAX_TRIES)
    }

    /// When the next question is due, and how many its query has sent. A query spreads them evenly over its time.
    fn next_question(&self) -> Option<(Instant, usize)> {
        let between = self.config.timeout / u32::from(self.tries());
        let fronts =
            self.asking.iter().enumerate().filter_map(|(sent, list)| Some((sent, self.queries.at(list.front()?)?)));
        fronts.map(|(sent, query)| (query.began + between * u32::from(query.sent), sent)).min()
    }

    /// Take in a record that somebody passed on. It is taken when its name is asked for, or when it is newer than what is known of a name; it ends the query.
    ///
    /// # Errors
    /// [`AnswerReject`]. What costs most, the signature, is verified last, and not for names that nobody wants.
    pub fn handle_record(
        &mut self,
        now: Now,
        bytes: &[u8],
        registry: &mut Registry,
        pins: &Pins,
    ) -> Result<Registered, AnswerReject> {
        let record = Unverified::parse(bytes)?;
        let did = record.claims().did;
        let hash = self.hash.hash(did.as_bytes());
        let query = self.by_did.find(&self.queries, hash, |query| *query.did == *did);
        let known = registry.get(did);
        if query.is_none() && known.is_none() {
            return Err(AnswerReject::Unasked);
        }
        // What the registry would refuse whoever signed it.
        if known.is_some_and(|known| record.claims().seq < known.seq()) {
            return Err(RegisterError::Stale.into());
        }
        let registered = registry.register(now.wall, &record.verify()?, Heard::PassedOn, pins)?;
        if let Some(slot) = query {
            self.end(slot, true);
        }
        Ok(registered)
    }

    fn end(&mut self, slot: u32, answered: bool) {
        self.by_did.remove(&mut self.queries, slot);
        self.open.remove(&mut self.queries, slot);
        let Some(query) = self.queries.at_mut(slot) else { return };
        query.answered = answered;
        let sent = usize::from(query.sent);
        if let Some(list) = self.asking.get_mut(sent) {
            list.remove(&mut self.queries, slot);
        }
        self.done.push_back(&mut self.queries, slot);
    }

    /// Queries whose time is up end.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(slot) = self.open.front() {
            let Some(query) = self.queries.at(slot).filter(|query| query.began + self.config.timeout <= now) else {
                return;
            };
            let answered = query.answered;
            self.end(slot, answered);
        }
    }

    /// The next query that has ended.
    pub fn poll_ended(&mut self) -> Option<Ended> {
        let slot = self.done.pop_front(&mut self.queries)?;
        let query = QueryId(self.queries.id_at(slot)?);
        let Query { did, answered, .. } = self.queries.remove_at(slot)?;
        Some(Ended { query, did, answered })
    }

    /// What a query that has ended found.
    #[must_use]
    pub fn outcome<'a>(&self, now: Wall, ended: &Ended, registry: &'a Registry) -> Option<Resolved<'a>> {
        let known = recorded(now, &ended.did, registry, self.config.ttl)?;
        let source = if ended.answered { Source::Network } else { known.source };
        Some(Resolved { source, ..known })
    }

    /// When this wants to be called again: to send a question, or to end a query.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let end = self.queries.at(self.open.front()?)?.began + self.config.timeout;
        Some(self.next_question().map_or(end, |(at, _)| at.min(end)))
    }

    /// How many queries are open or not told yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// None is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }
}

impl core::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Resolver").field("queries", &self.len()).finish_non_exhaustive()
    }
}

/// What the records say of a name.
fn recorded<'a>(now: Wall, did: &str, registry: &'a Registry, ttl: Duration) -> Option<Resolved<'a>> {
    let device = registry.get(did)?;
    let endpoint = device.endpoint()?;
    let (heard_at, heard) = device.heard();
    let source = match heard {
        _ if !device.is_current(now) => Source::LastKnown,
        Heard::Directly => Source::Local,
        // A clock that was set back makes nothing fresh.
        Heard::PassedOn if heard_at <= now && now < heard_at.saturating_add(ttl) => Source::Cache,
        Heard::PassedOn => Source::LastKnown,
    };
    Some(Resolved { endpoint, source, record: Some((device.seq(), device.key())), heard: Some(heard_at) })
}
