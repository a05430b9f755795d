//! The overlay of a node: devices are found by name and not by address.
//!
//! It composes [`registry`](crate::registry) and [`discovery`](crate::discovery) into the node, and adds what takes packets. What it promises:
//!
//! * **A registry answers only with records**, as their devices signed them; it acknowledges a record once that is kept. What the gate does not accept gets no answer here either.
//! * **An operation of ours ends once**, in time, with an [outcome](OperationOutcome) or the [reason](OperationError): it resends what was lost, and asks everybody who may know.
//! * **Nothing that matters is sent to an address because somebody said so**: [`Operation::Reach`] has the key of the name answer a challenge there first.
//! * **Everything is bounded** ([`OverlayConfig`]). A node without an overlay has none of its tables.

mod client;
mod command;
mod config;
mod join;
mod known;
mod news;
mod operations;
mod serve;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_belief;
#[cfg(test)]
mod tests_finding;
#[cfg(test)]
mod tests_joining;
#[cfg(test)]
mod tests_tokens;
#[cfg(test)]
mod tests_vouches;
#[cfg(test)]
mod tests_world;
mod vouches;
pub(super) mod wire;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};

pub use self::command::OverlayCommand;
use self::config::OwnProfile;
pub use self::config::{OverlayConfig, Profile};
pub use self::join::TokenError;
pub use self::news::{
    FoundDevice, OperationError, OperationId, OperationOutcome, OverlayError, OverlayNews, Resolution,
};
pub use self::operations::Operation;
use self::operations::Operations;
pub(super) use self::serve::{ANSWER, Asked, BESIDE, Served};
pub use self::vouches::VouchRefusal;
pub use self::wire::{FIND, JOIN, REGISTER, RESOLVE, VERIFY, VOUCH};
use super::identity::Lent;
use super::policy::Policy;
use super::storing::OverlayChange;
use super::{Node, NodeConfig};
use crate::discovery::{JoinTokens, TokenInfo};
use crate::identity::{PublicKey, Statement};
use crate::registry::{Address, Challenges, RegisterError, Registry, ResolveError, Resolver};
use crate::seed::{Rng, Seed};
use crate::time::{Duration, Instant, Now, Wall};
use crate::{Path, check_did};

/// How long a challenge of ours is open.
const CHALLENGE: Duration = Duration::from_secs(10);

/// A registry that is asked for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    did: Box<str>,
    path: Path,
}

/// A registration that is to be renewed.
#[derive(Debug)]
struct Renewal {
    server: Server,
    at: Instant,
}

/// The rooms of the overlay.
pub(super) struct Overlay {
    config: OverlayConfig,
    registry: Registry,
    resolver: Resolver,
    challenges: Challenges,
    operations: Operations,
    servers: alloc::vec::Vec<Server>,
    profile: Option<OwnProfile>,
    renewal: Option<Renewal>,
    /// Made with the first token.
    tokens: Option<Box<JoinTokens>>,
    /// Where names were said to be, unsigned: the last that is taken, and never without a key that answers there.
    unproven: BTreeMap<Box<str>, Box<str>>,
    /// What is told once the records of these devices are kept.
    unkept: BTreeMap<Box<str>, alloc::vec::Vec<OverlayNews>>,
    news: VecDeque<OverlayNews>,
    /// Records that were refused, by reason.
    refused: BTreeMap<&'static str, u64>,
    rng: Rng,
    /// When vouches that are over are looked for next.
    sweep: Instant,
}

impl Overlay {
    pub(super) fn new(config: &NodeConfig, seed: &Seed) -> Option<Box<Self>> {
        let bounds = **config.overlay.as_ref()?;
        let mut rng = seed.fork("node.overlay");
        let challenges = seed.fork("node.overlay.challenges");
        Some(Box::new(Self {
            registry: Registry::new(bounds.registry, rng.sip_key()),
            resolver: Resolver::new(bounds.resolve, &mut rng),
            challenges: Challenges::new(config.did.clone(), challenges, bounds.max_operations, CHALLENGE),
            operations: Operations::new(bounds.max_operations),
            servers: alloc::vec::Vec::new(),
            profile: None,
            renewal: None,
            tokens: None,
            unproven: BTreeMap::new(),
            unkept: BTreeMap::new(),
            news: VecDeque::new(),
            refused: BTreeMap::new(),
            rng,
            sweep: Instant::ZERO,
            config: bounds,
        }))
    }

    /// Whether there is something to be told besides the ends of operations.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub(super) fn pop_news(&mut self) -> Option<OverlayNews> {
        self.news.pop_front()
    }

    /// Where the record of a name says that it is, if it is a current one with an address.
    pub(super) fn endpoint(&self, did: &str, now: Wall) -> Option<Path> {
        match self.registry.get(did).filter(|device| device.is_current(now))?.endpoint()? {
            Address::Ip(addr) => Some(Path::to(addr)),
            Address::Host { .. } => None,
        }
    }

    /// Whether an operation has ended and that is not told yet.
    pub(super) fn has_ended(&self) -> bool {
        self.operations.has_done()
    }

    pub(super) fn pop_ended(&mut self) -> Option<(OperationId, Result<OperationOutcome, OperationError>)> {
        self.operations.pop_done()
    }

    /// When this wants to be called again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let renewal = self.renewal.as_ref().map(|renewal| renewal.at);
        let times = [self.resolver.next_timeout(), self.challenges.next_timeout(), self.operations.deadline(), renewal];
        times.into_iter().flatten().min()
    }

    fn has_room_for_news(&self, more: usize) -> bool {
        self.news.len() + self.unkept.len() + more <= self.config.max_news
    }

    fn tell(&mut self, news: OverlayNews) {
        if self.has_room_for_news(1) {
            self.news.push_back(news);
        }
    }

    fn refuse(&mut self, why: &'static str) {
        let count = self.refused.entry(why).or_default();
        *count = count.saturating_add(1);
    }

    /// What was to be kept and was not is taken back.
    pub(super) fn undo(&mut self, change: &OverlayChange) {
        match change {
            OverlayChange::Device(change) => _ = self.registry.undo(change),
            OverlayChange::Token(change) => _ = self.tokens.as_mut().is_some_and(|tokens| tokens.undo(change)),
            OverlayChange::Vouch(_) => {}
        }
    }

    fn tokens(&mut self) -> &mut JoinTokens {
        let Self { tokens, config, rng, .. } = self;
        tokens.get_or_insert_with(|| Box::new(JoinTokens::new(config.max_tokens, rng)))
    }
}

impl core::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Overlay").field("devices", &self.registry.len()).finish_non_exhaustive()
    }
}

/// What can be asked of the overlay of a node at any time, and what the operator decides about it.
impl Node {
    fn overlay(&mut self) -> Result<&mut Overlay, OverlayError> {
        self.rooms.overlay.as_deref_mut().ok_or(OverlayError::Off)
    }

    /// The devices that are known; `None` without an overlay.
    #[must_use]
    pub fn registry(&self) -> Option<&Registry> {
        self.rooms.overlay.as_ref().map(|overlay| &overlay.registry)
    }

    /// How often records were refused, by reason, in the order of the reasons' names.
    pub fn refused_records(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.rooms.overlay.iter().flat_map(|overlay| overlay.refused.iter().map(|(why, count)| (*why, *count)))
    }

    /// Say what the node says of itself in its record from now on. A record that a registry has is renewed.
    ///
    /// # Errors
    /// [`OverlayError::Off`], [`OverlayError::NoIdentity`], [`OverlayError::Profile`].
    pub fn set_profile(&mut self, now: Now, profile: &Profile<'_>) -> Result<(), OverlayError> {
        let Some(signer) = self.rooms.outbox.identity().cloned() else { return Err(OverlayError::NoIdentity) };
        let did = self.config.did.clone();
        let overlay = self.overlay()?;
        let mut own = OwnProfile::new(profile, overlay.profile.as_ref().map_or(0, OwnProfile::seq));
        // What cannot be said is found now.
        let mut buf = [0; crate::registry::Record::MAX_LEN];
        own.sign(now.wall, (did.as_str(), signer.signer()), &mut buf)?;
        overlay.profile = Some(own);
        if let Some(renewal) = &mut overlay.renewal {
            renewal.at = now.mono;
        }
        self.run_overlay(now);
        Ok(())
    }

    /// Whether what this registry answers could be believed: a key is pinned to its name, is to be learned from its [first answer](Self::trust_first_use), or it
    /// [may stay unsigned](Self::allow_legacy). Otherwise it is not asked, and an operation that would have to ends with [`OperationError::Unpinned`].
    #[must_use]
    pub fn may_believe(&self, did: &str) -> bool {
        self.policy.may_believe(did)
    }

    /// Ask this registry for names, and for devices that can do something. What it answers counts only as far as it [can be believed](Self::may_believe).
    ///
    /// # Errors
    /// [`OverlayError::Off`], [`OverlayError::Did`], [`OverlayError::TooManyServers`].
    pub fn ask_registry(&mut self, did: &str, path: Path) -> Result<(), OverlayError> {
        check_did(did)?;
        self.overlay()?.add_server(did, path)
    }

    /// Name the endpoint of a DID, as the operator: it goes before all that is heard.
    ///
    /// # Errors
    /// [`OverlayError::Off`], [`OverlayError::Resolve`].
    pub fn name_endpoint(&mut self, did: &str, endpoint: Address<'_>) -> Result<(), OverlayError> {
        Ok(self.overlay()?.resolver.set_local(did, endpoint)?)
    }

    /// Names of which only an unsigned word is known, with the endpoint that it says (empty: none), in the order of their bytes.
    pub fn unproven_names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rooms.overlay.iter().flat_map(|overlay| overlay.unproven.iter().map(|(did, at)| (&**did, &**at)))
    }

    /// Every join token, without its secret.
    pub fn join_tokens(&self) -> impl Iterator<Item = TokenInfo> {
        self.rooms.overlay.iter().flat_map(|overlay| overlay.tokens.iter().flat_map(|tokens| tokens.iter()))
    }
}

impl Overlay {
    /// The key is `u` and the DID, the value the endpoint, or nothing.
    fn restore_unproven(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreOverlayError> {
        let damaged = RestoreOverlayError::Unproven;
        let did = key.get(1..).and_then(|did| core::str::from_utf8(did).ok()).filter(|did| check_did(did).is_ok());
        let endpoint = core::str::from_utf8(value).ok().filter(|at| at.is_empty() || Address::parse(at).is_ok());
        let (Some(did), Some(endpoint)) = (did, endpoint) else { return Err(damaged) };
        if self.unproven.len() >= self.config.registry.max_devices {
            return Err(damaged);
        }
        self.unproven.insert(did.into(), endpoint.into());
        Ok(())
    }

    fn add_server(&mut self, did: &str, path: Path) -> Result<(), OverlayError> {
        if let Some(server) = self.servers.iter_mut().find(|server| *server.did == *did) {
            server.path = path;
            return Ok(());
        }
        if self.servers.len() >= self.config.max_servers {
            return Err(OverlayError::TooManyServers(self.config.max_servers));
        }
        self.servers.push(Server { did: did.into(), path });
        Ok(())
    }
}

/// What signed vouches lend to a name with a key, or its score where that counts: whichever is more.
pub(super) fn lent(policy: &Policy, overlay: Option<&Overlay>, did: &str, key: PublicKey, now: Wall) -> Option<Lent> {
    let vouched = policy.lent(did, key, now);
    let scored = overlay.filter(|overlay| overlay.config.trust_score).and_then(|overlay| {
        let device = overlay.registry.get(did).filter(|device| device.key() == key && device.is_current(now))?;
        Some(Lent { trust: device.fira(now).score, count: 0 })
    });
    match (vouched, scored) {
        (Some(vouched), Some(scored)) if scored.trust > vouched.trust => Some(scored),
        (vouched, scored) => vouched.or(scored),
    }
}

/// Why a kept record of the overlay is not taken in: whoever reads a store should go no further than to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreOverlayError {
    /// Of a device.
    #[error(transparent)]
    Device(#[from] crate::registry::RestoreError),
    /// Of a signed vouch.
    #[error(transparent)]
    Vouch(#[from] crate::airlock::RestoreVouchError),
    /// Of a join token.
    #[error(transparent)]
    Token(#[from] crate::discovery::RestoreTokenError),
    /// Of a name of which only an unsigned word is known.
    #[error("a record of an unproven name is damaged, or there is no room for it")]
    Unproven,
}

impl Node {
    /// Take in a record of the overlay; false when it is none. Where the overlay is off, records of devices and tokens stay on the medium and are passed over.
    pub(super) fn restore_overlay(&mut self, key: &[u8], value: &[u8]) -> Result<bool, RestoreOverlayError> {
        match (key.first(), self.rooms.overlay.as_deref_mut()) {
            (Some(b'd'), Some(overlay)) => Ok(overlay.registry.restore(key, value, false)?),
            (Some(b'j'), Some(overlay)) => Ok(overlay.tokens().restore(key, value)?),
            (Some(b'u'), Some(overlay)) => overlay.restore_unproven(key, value).map(|()| true),
            (Some(b'd' | b'j' | b'u'), None) => Ok(true),
            (Some(b's' | b'w'), _) => self.restore_vouch(key, value),
            _ => Ok(false),
        }
    }
}

/// The record of a device in the store.
fn device_key(did: &str) -> alloc::vec::Vec<u8> {
    let mut key = alloc::vec::Vec::with_capacity(1 + did.len());
    key.push(b'd');
    key.extend_from_slice(did.as_bytes());
    key
}

impl Node {
    /// A key was retired: names that are bound to it are bound to its successor, or to nobody.
    pub(super) fn retire_in_overlay(&mut self, statement: &Statement) {
        let Self { rooms, .. } = self;
        let Some(overlay) = rooms.overlay.as_deref_mut() else { return };
        // Where the successor would speak for too many names, these stay with a key that nobody believes.
        for change in overlay.registry.retire(statement).unwrap_or_default() {
            rooms.storing.push_overlay(OverlayChange::Device(change));
        }
    }
}

impl From<RegisterError> for OperationError {
    fn from(why: RegisterError) -> Self {
        Self::Refused(config::refusal(why).into())
    }
}

impl From<ResolveError> for OperationError {
    fn from(_: ResolveError) -> Self {
        Self::Unknown
    }
}
