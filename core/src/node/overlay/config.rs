//! What the overlay of a node is told: bounds, and what the node says of itself.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::registry::{Address, Draft, MakeRecordError, Record, RegistryConfig, ResolveConfig, Role};
use crate::time::{Duration, Wall};
use crate::{identity, registry};

/// Bounds of a node's overlay, and what of it others may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverlayConfig {
    /// Whether records of others are kept and given out: the node is a registry. Off: it answers challenges, and asks.
    pub serve: bool,
    /// Bounds of the registry.
    pub registry: RegistryConfig,
    /// Bounds of look-ups. Its `timeout` also says how long any operation may take that names no time of its own.
    pub resolve: ResolveConfig,
    /// How many operations of ours may be under way: 1,024.
    pub max_operations: usize,
    /// How many registries the node asks: 16.
    pub max_servers: usize,
    /// How many join tokens there may be: 256.
    pub max_tokens: usize,
    /// How many news wait to be polled; pings that would bring more are turned away as [`Busy`](crate::Reject::Busy): 1,024.
    pub max_news: usize,
    /// Whether a device that is registered here is trusted as far as its score ([`Fira`](crate::registry::Fira)) where its key has proven itself and the operator has said nothing of
    /// its name: off.
    pub trust_score: bool,
    /// Whether the endpoint of a device that registers anew is challenged at once, so that it is known to be its own: on.
    pub verify_registered: bool,
}

impl Default for OverlayConfig {
    fn default() -> Self {
        Self {
            serve: false,
            registry: RegistryConfig::default(),
            resolve: ResolveConfig::default(),
            max_operations: 1024,
            max_servers: 16,
            max_tokens: 256,
            max_news: 1024,
            trust_score: false,
            verify_registered: true,
        }
    }
}

/// What a node says of itself in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile<'a> {
    /// Where it can be reached, best first, at most four. None: where the registry says that it sees us.
    pub endpoints: &'a [Address<'a>],
    /// What it can do: at most 32 texts of 1 to 64 bytes.
    pub capabilities: &'a [&'a str],
    /// It cannot be written to before it has written itself.
    pub behind_nat: bool,
    /// Its role in its pods.
    pub role: Role,
    /// The pods that it belongs to: at most 8.
    pub pods: &'a [&'a str],
    /// The stations that it belongs to: at most 8.
    pub stations: &'a [&'a str],
    /// How long a record of it holds: 1 hour.
    pub ttl: Duration,
}

impl Default for Profile<'_> {
    fn default() -> Self {
        Self {
            endpoints: &[],
            capabilities: &[],
            behind_nat: false,
            role: Role::None,
            pods: &[],
            stations: &[],
            ttl: Duration::from_secs(3600),
        }
    }
}

/// A [`Profile`] that is kept.
#[derive(Debug, Default)]
pub(super) struct OwnProfile {
    endpoints: Vec<Box<str>>,
    capabilities: Vec<Box<str>>,
    pods: Vec<Box<str>>,
    stations: Vec<Box<str>>,
    behind_nat: bool,
    role: Role,
    ttl: Duration,
    /// Where a registry saw us last.
    seen: Option<Box<str>>,
    /// The number of the record that was signed last.
    seq: u64,
}

impl OwnProfile {
    pub(super) fn new(profile: &Profile<'_>, seq: u64) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect();
        Self {
            endpoints: profile.endpoints.iter().map(|endpoint| alloc::format!("{endpoint}").into()).collect(),
            capabilities: owned(profile.capabilities),
            pods: owned(profile.pods),
            stations: owned(profile.stations),
            behind_nat: profile.behind_nat,
            role: profile.role,
            ttl: profile.ttl,
            seen: None,
            seq,
        }
    }

    /// Note where a registry sees us; whether that is news, and goes into our record.
    pub(super) fn see(&mut self, at: &str) -> bool {
        let news = self.endpoints.is_empty() && self.seen.as_deref() != Some(at) && Address::parse(at).is_ok();
        if news {
            self.seen = Some(at.into());
        }
        news
    }

    /// The number of the record that was signed last; 0 before the first.
    pub(super) const fn seq(&self) -> u64 {
        self.seq
    }

    /// The best endpoint that a record says.
    pub(super) fn endpoint(&self) -> Option<&str> {
        self.endpoints.first().or(self.seen.as_ref()).map(|text| &**text)
    }

    /// How long a record holds.
    pub(super) const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Sign a record that is newer than any before.
    pub(super) fn sign<'b>(
        &mut self,
        now: Wall,
        (did, signer): (&str, &dyn identity::Signer),
        out: &'b mut [u8; Record::MAX_LEN],
    ) -> Result<Record<'b>, MakeRecordError> {
        fn texts(texts: &[Box<str>]) -> Vec<&str> {
            texts.iter().map(|text| &**text).collect()
        }
        let micros = u64::try_from(now.as_micros()).unwrap_or(0);
        let seen = self.seen.iter().filter(|_| self.endpoints.is_empty());
        let endpoints: Vec<_> =
            self.endpoints.iter().chain(seen).filter_map(|text| Address::parse(text).ok()).collect();
        let issued = micros / 1_000_000;
        let draft = Draft {
            did,
            seq: micros.max(self.seq.saturating_add(1)),
            issued,
            expires: issued.saturating_add(self.ttl.as_secs().max(1)),
            behind_nat: self.behind_nat,
            role: self.role,
            endpoints: &endpoints,
            capabilities: &texts(&self.capabilities),
            pods: &texts(&self.pods),
            stations: &texts(&self.stations),
            metadata: &[],
        };
        let record = draft.sign(signer, out)?;
        self.seq = record.claims().seq;
        Ok(record)
    }
}

/// What a refused record is told, and counted as.
pub(super) const fn refusal(why: registry::RegisterError) -> &'static str {
    use registry::RegisterError as E;
    match why {
        E::Expired => "expired",
        E::Future => "future",
        E::TooLong => "too_long",
        E::OtherKey => "other_key",
        E::Retired => "retired",
        E::Stale => "stale",
        E::Conflict => "conflict",
        E::TooManyNames => "too_many_names",
        E::Full => "full",
    }
}
