//! Found on the local network: beacons, the answers to them, and how somebody who knows nobody is let in.
//!
//! What this room promises:
//!
//! - **What a beacon says is a claim**: [`Beacon`] is read strictly, [`AutoVouch`] lets nobody in who has not proven the key that the beacon names, and the patterns of its rules
//!   ([`Pattern`]) are checked when they are loaded and matched in linear time.
//! - **No storm**: of all who hear a call about three answer ([`DiscoveryConfig::answers`]), or, where it names somebody, those; each after a random delay, with at most three times its bytes.
//! - **Bounded**: [`Neighbourhood`] keeps so many neighbours, so many of one address; who has proven a key is not pushed out by who has not.
//! - **A join token is never sent**: a device shows that it knows one ([`JoinToken::prove`]) and learns in turn that the hub does; a token lets in no more devices than it
//!   may, and none when it is over or revoked ([`JoinTokens`]).
//!
//! ```
//! use sluis_core::discovery::{Join, JoinTokens};
//! use sluis_core::identity::SecretKey;
//! use sluis_core::{Instant, Now, Seed, Wall};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let mut rng = Seed::from_u64(1).fork("join"); // in production: a seed of the system's
//! let (hub, device) = (SecretKey::generate(&mut rng).public(), SecretKey::generate(&mut rng).public());
//! let now = Now::new(Instant::ZERO, Wall::from_secs(1_764_400_000));
//! let mut tokens = JoinTokens::new(16, &mut rng);
//! let (token, _keep_it) = tokens.create(&mut rng, 1, 1_764_403_600, 0.8)?;
//!
//! // The device has the text of the token, and sends its name and a nonce, signed with its key.
//! let join = Join { token: token.id(), did: "jis:home:sensor", key: device, nonce: [7; 16] };
//! let challenge = tokens.challenge(now.mono, &join);
//! let proof = token.prove(&join, &challenge);
//! let joined = tokens.redeem(now, &join, &challenge, &proof, ("jis:home:hub", &hub))?;
//! // The hub pins the device's key and trusts it; the device pins the hub's.
//! assert!(!joined.again && token.is_hub(&join, &challenge, "jis:home:hub", &hub, &joined.answer));
//! # Ok(())
//! # }
//! ```
//!
//! Source: `tibet_ping` 0.2.1 (`beacon.py`) and `tibet_iot` 0.1.1 (`discovery.py`); where ours differ on purpose the item says so and `core/tests/deviations.toml` lists
//! the fixture.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

/// The group at which everybody hears calls, and its port.
pub const GROUP_V4: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 71, 50), 7151);
/// The same for IPv6, on one link: the last two numbers of the IPv4 group as the group id. The scope is that of the interface.
pub const GROUP_V6: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x4732), 7151, 0, 0);
/// The TTL of IPv4 calls: they pass one router at most.
pub const TTL: u32 = 2;

mod beacon;
mod neighbours;
mod pattern;
mod rules;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_pattern;
#[cfg(test)]
mod tests_token;
mod token;

pub use beacon::{Beacon, BeaconError, Call, Kind, key_hash};
pub use neighbours::{Answer, DiscoveryConfig, DiscoveryReject, Heard, Neighbour, Neighbourhood};
pub use pattern::{Pattern, PatternError};
pub use rules::{AutoVouch, AutoVouchError, RuleDraft, Verdict};
pub use token::{
    BadToken, Join, JoinReject, JoinToken, JoinTokens, Joined, MAX_USES, NewTokenError, RestoreTokenError, TokenChange,
    TokenId, TokenInfo, TokenUndo,
};
