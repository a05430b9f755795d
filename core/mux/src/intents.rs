//! What an intent means: where it is routed, and what bandwidth it gets.
//!
//! Both are looked up by the whole intent, then by its shorter and shorter prefixes up to a colon (`call:voice:opus`,
//! `call:voice`, `call`), upper and lower case different. An intent that nobody knows is routed to `generic` under the default
//! policy, so any text is an intent.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use sluis_core::limits::MAX_INTENT;

/// The bandwidth of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// 0 (voice) to 9 (bulk); low numbers go first.
    pub priority: u8,
    /// Bytes a second; 0: no limit.
    pub max_bytes_per_sec: u64,
    /// Bytes that may pass at once above that.
    pub burst_bytes: u64,
    /// Whether a frame above the budget is refused. What is not preemptible passes for a while; see [`Bucket`](crate::Bucket).
    pub preemptible: bool,
}

impl Policy {
    /// What an intent gets that has no policy of its own.
    pub const DEFAULT: Self = Self::new(5, 200_000, 100_000, true);

    /// A policy.
    #[must_use]
    pub const fn new(priority: u8, max_bytes_per_sec: u64, burst_bytes: u64, preemptible: bool) -> Self {
        Self { priority, max_bytes_per_sec, burst_bytes, preemptible }
    }

    /// Priorities 0 to 2: delay is worse than loss.
    #[must_use]
    pub const fn is_realtime(&self) -> bool {
        self.priority <= 2
    }

    /// Nothing is ever refused or delayed.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.max_bytes_per_sec == 0
    }

    /// Bytes that can pass at once from a full bucket: the burst, else a second of the rate, else a million.
    #[must_use]
    pub(crate) const fn capacity(&self) -> u64 {
        match (self.burst_bytes, self.max_bytes_per_sec) {
            (0, 0) => 1_000_000,
            (0, rate) => rate,
            (burst, _) => burst,
        }
    }
}

/// An intent that is known from the start.
struct BuiltIn {
    name: &'static str,
    backend: &'static str,
    description: &'static str,
    policy: Policy,
}

const fn built_in(name: &'static str, backend: &'static str, description: &'static str, policy: Policy) -> BuiltIn {
    BuiltIn { name, backend, description, policy }
}

/// In the order in which the reference lists them.
static BUILT_IN: [BuiltIn; 13] = [
    built_in("chat", "ipoll", "Text messaging via I-Poll", Policy::new(3, 50_000, 20_000, false)),
    built_in("mail", "mail", "Email delivery", Policy::new(6, 500_000, 200_000, true)),
    built_in("push", "ipoll", "Push notification", Policy::new(3, 50_000, 20_000, false)),
    built_in("task", "ipoll", "Task assignment via I-Poll", Policy::new(4, 100_000, 50_000, true)),
    built_in("sync", "ipoll", "State synchronization via I-Poll", Policy::new(4, 200_000, 100_000, true)),
    built_in("call:voice", "voice", "Voice call via Voice Pipeline / SIP", Policy::new(0, 128_000, 32_000, false)),
    built_in("call:video", "webrtc", "Video call via WebRTC", Policy::new(1, 2_000_000, 500_000, false)),
    built_in("stream", "stream", "Generic data stream", Policy::new(8, 0, 0, true)),
    built_in("vpn:tunnel", "overlay", "VPN tunnel via tibet-overlay", Policy::new(8, 0, 0, true)),
    built_in("file:sync", "sync", "File synchronization", Policy::new(7, 1_000_000, 500_000, true)),
    built_in("session", "phantom", "Phantom session resume/fork", Policy::new(5, 500_000, 200_000, true)),
    built_in("tibet:ping", "tping", "Identity-based ping", Policy::new(2, 10_000, 5_000, false)),
    built_in("tibet:token", "tibet", "TIBET token operations", Policy::new(5, 50_000, 20_000, true)),
];

/// Most intents that can be registered.
pub const MAX_REGISTERED: usize = 1024;

/// Longest backend name and description of a registered intent in bytes.
const MAX_DESCRIPTION: usize = 1024;

/// Where an intent goes: a number that stays the same as long as its [`Intents`] live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteId {
    BuiltIn(u8),
    Registered(u16),
    Generic,
}

/// Which frames share a token bucket: those of one agent under one policy, whatever follows the known part of the intent. Intents
/// that nobody registered share one, because a sender can make up any number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Budget {
    BuiltIn(u8),
    Registered(u16),
    Unknown,
}

/// A resolved intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent<'a> {
    /// The text that was asked for.
    pub name: &'a str,
    /// Which service handles it.
    pub backend: &'a str,
    /// For people.
    pub description: Cow<'a, str>,
    /// The known intent that it is a part of, where it is not one itself.
    pub parent: Option<&'static str>,
    /// Its bandwidth.
    pub policy: Policy,
    pub(crate) route: RouteId,
    pub(crate) budget: Budget,
}

impl Intent<'_> {
    /// Its backend keeps messages for people: `ipoll` or `mail`.
    #[must_use]
    pub fn is_messaging(&self) -> bool {
        matches!(self.backend, "ipoll" | "mail")
    }
}

/// Why an intent cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// There are [`MAX_REGISTERED`] already.
    #[error("no more than {MAX_REGISTERED} intents can be registered")]
    Full,
    /// A text is too long.
    #[error("an intent has at most {MAX_INTENT} bytes, its backend and its description at most 1024")]
    TooLong,
}

#[derive(Debug)]
struct Registered {
    name: Box<str>,
    backend: Box<str>,
    description: Box<str>,
}

/// The known intents: thirteen built in, and those that were registered.
#[derive(Debug, Default)]
pub struct Intents {
    registered: Vec<Registered>,
}

impl Intents {
    /// The built-in ones.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Route exactly this intent (not what begins with it) to a backend. A name that is registered already is changed.
    ///
    /// Its bandwidth is what it was: an intent that is built in, or part of one, keeps that policy.
    ///
    /// # Errors
    /// Too many, or too long.
    pub fn register(&mut self, name: &str, backend: &str, description: &str) -> Result<(), RegisterError> {
        if name.len() > MAX_INTENT || backend.len().max(description.len()) > MAX_DESCRIPTION {
            return Err(RegisterError::TooLong);
        }
        let entry = Registered { name: name.into(), backend: backend.into(), description: description.into() };
        if let Some(known) = self.registered.iter_mut().find(|known| *known.name == *name) {
            *known = entry;
        } else if self.registered.len() < MAX_REGISTERED {
            self.registered.push(entry);
        } else {
            return Err(RegisterError::Full);
        }
        Ok(())
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Never: there are those built in.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Name, backend and description of each: the built-in ones first, then as they were registered.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let known = BUILT_IN.iter().map(|known| {
            let (backend, description) = match self.find(known.name) {
                Some((_, own)) => (&*own.backend, &*own.description),
                None => (known.backend, known.description),
            };
            (known.name, backend, description)
        });
        let own = self.registered.iter().filter(|own| index_of(&own.name).is_none());
        known.chain(own.map(|own| (&*own.name, &*own.backend, &*own.description)))
    }

    fn find(&self, name: &str) -> Option<(usize, &Registered)> {
        self.registered.iter().enumerate().find(|(_, own)| *own.name == *name)
    }

    /// Look an intent up.
    #[must_use]
    pub fn resolve<'a>(&'a self, name: &'a str) -> Intent<'a> {
        let known = prefixes(name).find_map(index_of);
        let own = self.find(name);
        let policy = known.and_then(|at| BUILT_IN.get(at)).map_or(Policy::DEFAULT, |known| known.policy);
        let budget = match (known, &own) {
            (Some(at), _) => Budget::BuiltIn(small(at)),
            (None, Some((at, _))) => Budget::Registered(short(*at)),
            (None, None) => Budget::Unknown,
        };
        if let Some((at, own)) = own {
            let (backend, description) = (&*own.backend, Cow::Borrowed(&*own.description));
            return Intent {
                name,
                backend,
                description,
                parent: None,
                policy,
                route: RouteId::Registered(short(at)),
                budget,
            };
        }
        match known.and_then(|at| Some((at, BUILT_IN.get(at)?))) {
            Some((at, known)) => Intent {
                name,
                backend: known.backend,
                description: Cow::Borrowed(known.description),
                parent: (known.name != name).then_some(known.name),
                policy,
                route: RouteId::BuiltIn(small(at)),
                budget,
            },
            None => {
                let description = Cow::Owned(generic_description(name));
                Intent { name, backend: "generic", description, parent: None, policy, route: RouteId::Generic, budget }
            }
        }
    }

    /// Backend and description of an intent that was resolved before.
    pub(crate) fn route<'a>(&'a self, id: RouteId, name: &str) -> (&'a str, Cow<'a, str>) {
        let found = match id {
            RouteId::BuiltIn(at) => BUILT_IN.get(usize::from(at)).map(|known| (known.backend, known.description)),
            RouteId::Registered(at) => {
                self.registered.get(usize::from(at)).map(|own| (&*own.backend, &*own.description))
            }
            RouteId::Generic => None,
        };
        match found {
            Some((backend, description)) => (backend, Cow::Borrowed(description)),
            None => ("generic", Cow::Owned(generic_description(name))),
        }
    }
}

/// The policy of a budget.
pub(crate) fn policy_of(budget: Budget) -> Policy {
    match budget {
        Budget::BuiltIn(at) => BUILT_IN.get(usize::from(at)).map_or(Policy::DEFAULT, |known| known.policy),
        Budget::Registered(_) | Budget::Unknown => Policy::DEFAULT,
    }
}

fn generic_description(name: &str) -> alloc::string::String {
    format!("Custom intent: {name}")
}

fn index_of(name: &str) -> Option<usize> {
    BUILT_IN.iter().position(|known| known.name == name)
}

/// The text itself, and what stands before each of its colons, the longest first.
fn prefixes(name: &str) -> impl Iterator<Item = &str> {
    core::iter::successors(Some(name), |longer| longer.rfind(':').and_then(|at| longer.get(..at)))
}

/// An index into the built-in intents.
fn small(at: usize) -> u8 {
    u8::try_from(at).unwrap_or(u8::MAX)
}

/// An index into the registered ones.
fn short(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}
