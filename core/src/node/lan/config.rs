//! What a node is told about the local network, and what it tells of it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::DidError;
use crate::discovery::DiscoveryConfig;
use crate::framing::Zone;
use crate::identity::PublicKey;
use crate::node::WaitId;
use crate::time::Duration;

/// How a node takes part in discovery on the local network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LanConfig {
    /// Intervals and bounds, and the domain tag that keeps installations on one network apart.
    pub discovery: DiscoveryConfig,
    /// What kind of device this is: at most 256 bytes; empty: it does not say.
    pub device_type: Box<str>,
    /// What it can do: at most 32 texts of 1 to 256 bytes.
    pub capabilities: Vec<Box<str>>,
    /// Who is called one by one, since multicast does not get there (containers, wireless networks that filter it): at most 64.
    pub addresses: Vec<SocketAddr>,
    /// The node only asks who is there, and is not there to stay: nobody takes it for a neighbour, or lets it in. Off.
    pub query: bool,
    /// Devices that call and are not accepted yet may be let in: by an [auto-vouch rule](super::super::Node::add_auto_vouch), else they wait for a person. Off.
    pub admits: bool,
    /// How far a device is trusted that is let in so, from 0 to 1: 0.7, which the default thresholds accept.
    pub trust: f64,
    /// How many news wait to be polled; beacons that could bring more are turned away as [`Busy`](crate::Reject::Busy): 1,024.
    pub max_news: usize,
}

impl Default for LanConfig {
    fn default() -> Self {
        Self {
            discovery: DiscoveryConfig::default(),
            device_type: "".into(),
            capabilities: Vec::new(),
            addresses: Vec::new(),
            query: false,
            admits: false,
            trust: 0.7,
            max_news: 1024,
        }
    }
}

/// Longest text that a beacon says.
const MAX_TEXT: usize = 256;
/// Most capabilities, and most names that are sought at once.
pub(super) const MAX_LIST: usize = 32;
/// Most addresses that are called one by one.
const MAX_ADDRESSES: usize = 64;
/// A shorter interval would be all that the network is busy with.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

impl LanConfig {
    /// Whether a node can take part with this.
    pub(super) fn check(&self) -> Result<(), LanError> {
        let texts = [("domain", &self.discovery.domain), ("device_type", &self.device_type)];
        let capabilities = self.capabilities.iter().map(|text| ("capabilities", text));
        if let Some((field, _)) = texts.into_iter().chain(capabilities.clone()).find(|(_, text)| text.len() > MAX_TEXT)
        {
            return Err(LanError::TooLong { field, max: MAX_TEXT });
        }
        if capabilities.clone().any(|(_, text)| text.is_empty()) {
            return Err(LanError::Empty);
        }
        for (field, len, max) in
            [("capabilities", self.capabilities.len(), MAX_LIST), ("addresses", self.addresses.len(), MAX_ADDRESSES)]
        {
            if len > max {
                return Err(LanError::TooMany { field, max });
            }
        }
        if !(0.0..=1.0).contains(&self.trust) {
            return Err(LanError::Trust);
        }
        if self.discovery.interval < MIN_INTERVAL {
            return Err(LanError::Interval);
        }
        Ok(())
    }
}

/// Why a node does not take part in discovery, or does not seek somebody. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LanError {
    /// A text is over its limit.
    #[error("{field} has more than {max} bytes")]
    TooLong {
        /// The field of [`LanConfig`].
        field: &'static str,
        /// Its limit in bytes.
        max: usize,
    },
    /// A capability without a text.
    #[error("a capability is empty")]
    Empty,
    /// A list is over its limit.
    #[error("{field}: there are {max} at most")]
    TooMany {
        /// The field of [`LanConfig`], or `sought` for names that are sought at once.
        field: &'static str,
        /// Its limit.
        max: usize,
    },
    /// Trust that is no number from 0 to 1.
    #[error("trust is a number from 0 to 1")]
    Trust,
    /// An interval that would be all that the network is busy with.
    #[error("the interval must be at least a second")]
    Interval,
    /// Not a name that anybody could have.
    #[error(transparent)]
    Did(#[from] DidError),
    /// The node does not take part in discovery.
    #[error("discovery is off")]
    Off,
}

/// Something that was heard on the local network.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LanNews {
    /// Somebody is there who was not, or is at another address than before.
    Found(Box<Found>),
    /// Somebody said goodbye, or was not heard for three intervals.
    Gone {
        /// The name.
        did: Box<str>,
        /// Where it was.
        addr: SocketAddr,
    },
    /// A device calls that is not accepted yet; only with [`LanConfig::admits`].
    Beacon(Box<Called>),
}

/// A neighbour. What it says of itself is a claim; the key is proven.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// The name.
    pub did: Box<str>,
    /// Where it says that it listens. It has not proven to be there.
    pub addr: SocketAddr,
    /// Where it was before, if it was.
    pub from: Option<SocketAddr>,
    /// What kind of device it says it is.
    pub device_type: Box<str>,
    /// What it says it can do.
    pub capabilities: Vec<Box<str>>,
    /// The key that signed the beacon. To whom it belongs the pins of the node say.
    pub key: Option<PublicKey>,
    /// Where the airlock puts its sender.
    pub zone: Zone,
    /// From our call to its answer, less the time that it says it waited with that; `None` where it called itself.
    pub rtt: Option<Duration>,
}

/// A device that calls, and what came of that.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Called {
    /// Set when it waits for a decision: [`Node::approve`](super::super::Node::approve) pins its key and trusts it, [`Node::reject`](super::super::Node::reject) asks no more
    /// as long as it is there.
    pub wait: Option<WaitId>,
    /// The name.
    pub did: Box<str>,
    /// Where it says that it listens.
    pub from: SocketAddr,
    /// What kind of device it says it is.
    pub device_type: Box<str>,
    /// What it says it can do.
    pub capabilities: Vec<Box<str>>,
    /// The key that signed the beacon.
    pub key: Option<PublicKey>,
    /// What came of it.
    pub decision: BeaconDecision,
}

/// What comes of the beacon of a device that is not accepted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BeaconDecision {
    /// A rule lets it in: its key is pinned, and it is trusted.
    AutoVouched {
        /// The rule.
        rule: Box<str>,
        /// The pod that the rule names.
        pod: Option<Box<str>>,
    },
    /// It waits for a person.
    Pending,
    /// It has proven no key that could be pinned, and the operator takes nobody of its name without: it may sign its calls, or be
    /// [allowed](super::super::Node::allow_legacy).
    Unproven,
}

impl BeaconDecision {
    /// The name in logs and JSON: `auto_vouched`, `pending`, `unproven`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AutoVouched { .. } => "auto_vouched",
            Self::Pending => "pending",
            Self::Unproven => "unproven",
        }
    }
}
