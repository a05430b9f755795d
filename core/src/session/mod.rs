//! Encrypted sessions: handshakes, packets under their keys, and addresses that change.
//!
//! What this room promises:
//!
//! - **Steady traffic pays no asymmetric operation and no heap allocation.** A handshake of the [Noise framework](crate::noise) makes keys, every packet after it costs
//!   one ChaCha20-Poly1305, in place. Keys are renewed after two minutes or 2³² packets, not used after three, and gone when the session is.
//! - **A session is with a key, not with an address.** Static X25519 keys are bound to Ed25519 identities by a strictly verified
//!   signature over the handshake; the caller decides which key may speak under which name ([`Claim`]), each time.
//! - **Two suites**, of which two nodes use the better one that both speak ([`Suites`]): suite 2 adds ML-KEM-768, so that what is recorded today stays closed. Every datagram of a handshake fits 1,200 bytes.
//! - **Who has no valid key hears nothing.** The first message names its sender, provably, in both patterns; who is not let in gets no byte and leaves nothing in memory but counters.
//!   Only under load, who knows our key or name hears a cookie: shorter than what it sent, and without memory of it.
//! - **Nothing is taken twice**: packets by a window of 2,048 counters, first messages by a [`Stamp`] that rises per peer and survives restarts
//!   where the application stores it. What rides in a first message ([`Ingress::Early`]) is *replayable* where stamps were lost: it has to pass whatever keeps replays out of plain packets.
//! - **A key in two places is noticed**: handshakes show which start of a node speaks ([`Incarnation`]), and of two that cannot be one node neither goes on ([`News::Clone`]).
//! - **A session is kept until the next one is confirmed.** Who has lost its keys begins anew, from wherever it is; the old keys and the old address go when it has used the new ones.
//! - **An address is believed when it has answered.** A session moves when its other side writes from elsewhere, the new address answers a challenge and the old one does not. At most three times the bytes that came
//!   from an unproven address go there.
//! - **Bounded**: every table has a cap ([`Caps`]), every call does bounded work.
//!
//! What an observer learns, and the frames byte by byte, stand in `docs/wire.md`.
//!
//! # The loop
//!
//! Hand in what came ([`Sessions::handle`], [`Sessions::handle_timeout`]), take out what is to be sent and told ([`Sessions::poll_transmit`],
//! [`Sessions::poll_event`]), seal what the application sends ([`Sessions::seal`]).
//!
//! ```
//! use sluis_core::identity::SecretKey;
//! use sluis_core::session::{Config, HEAD_ROOM, Ingress, News, Peer, Sessions, Suites, sealed_len};
//! use sluis_core::{Did, Instant, Now, Path, Seed, Wall};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
//! let key = |n| SecretKey::generate(&mut Seed::from_u64(n).fork("key")); // in production: a seed of the system's
//! let (hub_key, sensor_key) = (key(1).public(), key(2).public());
//! let [mut of_hub, mut of_sensor] = [("jis:home:hub", 1), ("jis:home:sensor", 2)].map(|(did, n)| Config::new(Did::new(did).unwrap(), key(n)));
//! // Early data is a matter of suite 1; in suite 2 the question follows when the session is up.
//! (of_hub.suites, of_sensor.suites) = (Suites::One, Suites::One);
//! let mut hub = Sessions::new(of_hub, &Seed::from_u64(3))?;
//! let mut sensor = Sessions::new(of_sensor, &Seed::from_u64(4))?;
//! let (at_hub, at_sensor) = (Path::to("192.0.2.1:7150".parse()?), Path::to("192.0.2.2:7150".parse()?));
//!
//! // The sensor has pinned the hub's key: what it asks rides in the first message.
//! let peer = Peer::pinned("jis:home:hub", hub_key);
//! sensor.connect(now, &peer, at_hub, b"how warm is it?")?;
//!
//! let mut buf = [0; 1500];
//! let (mut heard, mut up) = (Vec::new(), 0);
//! for _ in 0..4 {
//!     while let Some(sent) = sensor.poll_transmit(now, &mut buf) {
//!         let may_come = &mut |claim: &sluis_core::session::Claim<'_>| claim.key == sensor_key;
//!         match hub.handle(now, at_sensor, &mut buf[..sent.len], may_come)? {
//!             Ingress::Early { session, body, .. } => {
//!                 heard.push(buf[body].to_vec());
//!                 // The answer needs room in front of it, and is encrypted where it stands.
//!                 let mut out = vec![0; sealed_len(4)];
//!                 out[HEAD_ROOM..][..4].copy_from_slice(b"21.5");
//!                 while let Some(sent) = hub.poll_transmit(now, &mut buf) {
//!                     sensor.handle(now, at_hub, &mut buf[..sent.len], &mut |_| true)?;
//!                 }
//!                 let sealed = hub.seal(now, session, &mut out, 4)?;
//!                 if let Ingress::Body { body, key, .. } = sensor.handle(now, at_hub, &mut out[..sealed.len], &mut |_| true)? {
//!                     assert_eq!((&out[body], key), (&b"21.5"[..], hub_key));
//!                     heard.push(b"21.5".to_vec());
//!                 }
//!             }
//!             Ingress::Body { .. } | Ingress::Nothing => {}
//!         }
//!     }
//!     while let Some(event) = sensor.poll_event() {
//!         if let News::Up { early, .. } = event.news {
//!             assert!(early && event.did == "jis:home:hub");
//!             up += 1;
//!         }
//!     }
//! }
//! assert_eq!((heard.len(), up), (2, 1));
//! # Ok(())
//! # }
//! ```

mod data;
pub(crate) use direct::MAX_ADDRESSES;
mod direct;
mod epoch;
pub(crate) mod faults;
mod guard;
mod handshake;
mod incarnation;
mod initiator;
mod kem;
mod payload;
mod pending;
mod responder;
mod room;
mod stamp;
mod suite;
mod table;
mod timers;
mod wheel;
mod window;
mod wire;

use alloc::sync::Arc;
use core::fmt;
use core::ops::Range;

pub use incarnation::{Incarnation, Known};
pub use payload::max_early;
pub use room::Sessions;
pub use stamp::Stamp;
pub use suite::{SUITE, SUITE_HYBRID, Suites};
pub use wire::is_session_frame;

use crate::identity::{PublicKey, SecretKey, Signer};
use crate::noise::{X25519Public, X25519Secret};
use crate::path::Path;
use crate::table::SlotId;
use crate::time::Duration;
use crate::{Did, DidError};

/// How many bytes [`Sessions::seal`] needs in front of a body.
pub const HEAD_ROOM: usize = wire::DATA_HEAD + INNER_HEAD;
/// The longest body of a packet, in bytes: with all that is added it is a datagram over IPv4.
pub const MAX_BODY: usize =
    (crate::limits::MAX_DATAGRAM_V4 - wire::DATA_HEAD - wire::TAG) / wire::BLOCK * wire::BLOCK - INNER_HEAD;
/// In front of a body, encrypted: what it is, and its length.
const INNER_HEAD: usize = 3;

/// From this age on nothing is sent or taken under keys.
pub const REJECT_AFTER: Duration = Duration::from_secs(180);
/// A session ends when nothing was heard for so long.
pub const DEAD_AFTER: Duration = Duration::from_secs(180);
/// So many packets are sent under keys at most, whatever becomes of the handshake for new ones.
const REJECT_AFTER_PACKETS: u64 = 1 << 33;

/// How long a packet is, in bytes, with a body of this length: what it adds is the head, padding to a multiple of 64, and the tag.
#[must_use]
pub const fn sealed_len(body: usize) -> usize {
    epoch::sealed_len(body)
}

/// Names one session of one room. One that is over is never named again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(SlotId);

impl SessionId {
    /// As one number.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0.to_bits()
    }

    /// From [`to_bits`](Self::to_bits). Any number is safe: one that names nothing finds nothing.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(SlotId::from_bits(bits))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {:?}", self.0)
    }
}

/// Most of everything. Nothing is set aside beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Sessions; of one key at most 64, under as many names. Default 65,536.
    pub sessions: usize,
    /// Handshakes under way: those we began, those of others by XX, and sessions of others that are not confirmed yet. Default 1,024 of each.
    /// Where others began as many, the oldest of them makes way for the next when it has waited for a second.
    pub half_open: usize,
    /// Messages of handshakes, and cookies, that wait to be sent. Default 1,024 of each.
    pub outgoing: usize,
    /// Peers without a session of which the newest stamp is known. Default 65,536.
    pub stamps: usize,
    /// First messages a second that are looked at without a cookie. Default 512.
    pub handshakes_per_second: u32,
    /// First messages a second with a cookie, from one IPv4 address or the first 64 bits of an IPv6 address. (Sources are counted in 512 places by their
    /// hash, so that some share one.) Default 64.
    pub handshakes_per_source: u16,
    /// Cookies a second. Default 8,192.
    pub cookies_per_second: u32,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            sessions: 65_536,
            half_open: 1024,
            outgoing: 1024,
            stamps: 65_536,
            handshakes_per_second: 512,
            handshakes_per_source: 64,
            cookies_per_second: 8192,
        }
    }
}

/// Who we are, and how much there may be.
pub struct Config {
    /// Our name. First messages for another are refused.
    pub did: Did,
    /// Our Ed25519 key. It signs once in each handshake.
    pub identity: Arc<dyn Signer + Send + Sync>,
    /// Our static key.
    pub statics: X25519Secret,
    /// Which suites we speak.
    pub suites: Suites,
    /// Most of everything.
    pub caps: Caps,
    /// Keys are renewed when they are used at this age. Default and most: 2 minutes.
    pub rekey_after: Duration,
    /// Keys are renewed after so many packets. Default and most: 2³².
    pub rekey_after_packets: u64,
}

impl Config {
    /// With the static key that belongs to the identity: whoever has pinned the identity knows it, and needs no more for its first message.
    #[must_use]
    pub fn new(did: Did, key: SecretKey) -> Self {
        let statics = X25519Secret::of_identity(&key);
        Self::with_signer(did, Arc::new(key), statics)
    }

    /// With a key that somebody else keeps, and a static key of its own. Peers that are to use [`Pattern::Ik`](crate::noise::Pattern::Ik) have to be told of that one ([`Peer::statics`]), or learn it by
    /// a first session.
    #[must_use]
    pub fn with_signer(did: Did, identity: Arc<dyn Signer + Send + Sync>, statics: X25519Secret) -> Self {
        let (rekey_after, rekey_after_packets) = (Duration::from_secs(120), 1 << 32);
        let (suites, caps) = (Suites::default(), Caps::default());
        Self { did, identity, statics, suites, caps, rekey_after, rekey_after_packets }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.identity.public();
        f.debug_struct("Config")
            .field("did", &self.did)
            .field("key", &key)
            .field("caps", &self.caps)
            .finish_non_exhaustive()
    }
}

/// Why there is no room with this configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A cap is 0, or that of messages to be sent is 1 and does not hold the two datagrams of one of suite 2.
    #[error("every cap of sessions must be at least 1, and that of messages that wait to be sent 2")]
    Cap,
    /// Keys would be renewed too late or all the time.
    #[error("keys are renewed after 1 second to 2 minutes, and 1 to 2^32 packets")]
    Rekey,
}

/// Whom to begin a session with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<'a> {
    /// Its name.
    pub did: &'a str,
    /// Its key. `None`: whoever answers under that name is shown as a [`Claim`], and the first message can carry no early data.
    pub key: Option<PublicKey>,
    /// Its static key, where it is not the one that belongs to its key.
    pub statics: Option<X25519Public>,
}

impl<'a> Peer<'a> {
    /// Somebody whose key is known.
    #[must_use]
    pub const fn pinned(did: &'a str, key: PublicKey) -> Self {
        Self { did, key: Some(key), statics: None }
    }

    /// Somebody of whom only the name is known.
    #[must_use]
    pub const fn named(did: &'a str) -> Self {
        Self { did, key: None, statics: None }
    }
}

/// Who wants a session, or answers the wish for one: it has the key, and asks to speak under the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The name.
    pub did: &'a str,
    /// The key.
    pub key: PublicKey,
    /// Where it is.
    pub path: Path,
    /// Whether it answers us; otherwise it asks.
    pub answers: bool,
}

/// What [`Sessions::connect`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The session: a new one, or one that there is already.
    pub session: SessionId,
    /// Whether the early data rides along. If not, it is to be sealed when the session is up.
    pub early: bool,
}

/// Why no session is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name is none.
    #[error(transparent)]
    Did(#[from] DidError),
    /// The key or the name is our own.
    #[error("no session with ourselves")]
    Ourselves,
    /// The static key leads to a secret that everybody knows.
    #[error("the peer's static key is weak")]
    Weak,
    /// The early data does not fit a first message.
    #[error("early data has at most {0} bytes here")]
    TooLong(usize),
    /// A cap is reached.
    #[error("there are as many sessions or handshakes as there may be")]
    Busy,
    /// Our key does not sign.
    #[error("the signer that holds our key does not sign")]
    Signer,
}

/// What [`Sessions::handle`] made of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// A body from the other side of a session: it stands in the datagram, decrypted.
    Body {
        /// Which session.
        session: SessionId,
        /// Who wrote it.
        key: PublicKey,
        /// Where it stands.
        body: Range<usize>,
    },
    /// The same out of a first message. Its sender is proven; that it was sent only once is as certain as what is known of its newest [`Stamp`].
    Early {
        /// The session that it begins. What is sealed in it now goes out behind the answer, up to three times what came; where there was a session already, it
        /// [waits](SealError::NotReady) for the first packet under the new keys.
        session: SessionId,
        /// Who wrote it.
        key: PublicKey,
        /// Where it stands.
        body: Range<usize>,
    },
    /// Nothing that concerns the application.
    Nothing,
}

/// A packet that [`Sessions::seal`] made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Where it goes.
    pub path: Path,
    /// How many bytes of the buffer it takes.
    pub len: usize,
}

/// Why a body was not sealed. The buffer is then as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The session is over.
    #[error("this session is over")]
    Gone,
    /// There are no keys at the moment, or the other side has lost them; a handshake is under way.
    #[error("this session has no keys yet")]
    NotReady,
    /// More would be sent to an unproven address than three times what came from there.
    #[error("the address of this session has yet to be proven")]
    Unproven,
    /// The buffer does not hold the packet.
    #[error("the buffer is too short for this packet")]
    Room,
    /// The body is longer than [`MAX_BODY`].
    #[error("a body has at most {MAX_BODY} bytes")]
    TooLong,
}

/// Something that happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Which session.
    pub session: SessionId,
    /// The name of the other side.
    pub did: &'a str,
    /// Its key; unknown where nobody ever answered.
    pub key: Option<PublicKey>,
    /// Its address.
    pub path: Path,
    /// The suite of its keys ([`SUITE`] or [`SUITE_HYBRID`]); of one that had none yet, that of the last attempt.
    pub suite: u8,
    /// What happened.
    pub news: News,
}

/// What happened to a session. Of one session they come in this order, and what happens twice before it is taken is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// The newest stamp of this name and key: to be stored, and given to [`Sessions::set_newest`] after a restart. Whoever answers the handshake ([`Sessions::poll_transmit`]) before
    /// it is on the disk may take its first message twice.
    Stamp(Stamp),
    /// What is known of the starts of this name and key, to be stored, and given to [`Sessions::set_known`] after a restart.
    Incarnation(Known),
    /// There are keys, and both sides have them.
    Up {
        /// Whether we began.
        initiator: bool,
        /// Whether the early data of [`Sessions::connect`] was heard. If not, it is to be sealed now.
        early: bool,
    },
    /// There are new keys.
    Rekeyed,
    /// The other side has another address.
    Moved {
        /// Where it was before.
        from: Path,
    },
    /// Two nodes speak with this name and key: the key, or the state directory that it lies in, is in two places. Neither has a session from now on, since nobody here can tell who
    /// the owner is; both were told ([`Down::Cloned`]). Whichever is started next is let in. [`Event::path`] is where one of them was last.
    Clone {
        /// Where the other one is.
        elsewhere: Path,
    },
    /// It is over.
    Down(Down),
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Down {
    /// Nobody answered who may.
    NoAnswer,
    /// Nothing was heard for [`DEAD_AFTER`].
    Silent,
    /// The other side closed it.
    Closed,
    /// Its key was [revoked](Sessions::revoke).
    Revoked,
    /// Its other side is [not let in any more](Sessions::shut_out); it was told nothing.
    Rood,
    /// Two nodes speak with the name and key of the other side, see [`News::Clone`].
    Clone,
    /// The other side has heard two nodes with our name and key. Let the other one end, and start this one anew.
    Cloned,
}

impl Down {
    /// The name in logs and JSON: lower case with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::Revoked => "revoked",
            Self::Rood => "rood",
            Self::Clone => "clone",
            Self::Cloned => "cloned",
        }
    }
}

/// How something goes to a name, see [`Sessions::route`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Within this session.
    Session(SessionId),
    /// Not yet: this session has no keys at the moment.
    Wait(SessionId),
    /// Not yet: a session is to be begun first.
    Connect,
    /// In the clear.
    Plain,
}

/// Why a datagram was turned away. None gets an answer but [`Cookie`](Self::Cookie).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[repr(u8)]
#[non_exhaustive]
pub enum SessionReject {
    /// Not a frame of a session, or not of the length that its kind has.
    #[error("frame")]
    Frame,
    /// A suite or a pattern that we do not speak, or a suite that is not the best that both speak.
    #[error("suite")]
    Suite,
    /// Its sender does not know us.
    #[error("mac")]
    Mac,
    /// There is load: a cookie was sent for it.
    #[error("cookie")]
    Cookie,
    /// There is load, and not even a cookie for it.
    #[error("load")]
    Load,
    /// More handshakes than one source may begin under load.
    #[error("source")]
    Source,
    /// A message that nobody made who has the keys.
    #[error("handshake")]
    Handshake,
    /// The identity did not sign this handshake.
    #[error("signature")]
    Signature,
    /// Who proved who it is, and is not let in.
    #[error("key")]
    Key,
    /// Our own key or name as the other side.
    #[error("own_key")]
    OwnKey,
    /// A first message that is not newer than what is known of its sender.
    #[error("stamp")]
    Stamp,
    /// It crossed a message of ours, which goes on in its place.
    #[error("crossed")]
    Crossed,
    /// A cap is reached; nothing was remembered.
    #[error("busy")]
    Busy,
    /// Our key does not sign.
    #[error("signer")]
    Signer,
    /// From another address than the one that was written to.
    #[error("path")]
    Path,
    /// There is no session or handshake of this number.
    #[error("unknown")]
    Unknown,
    /// A packet that was not made with the keys of its session.
    #[error("seal")]
    Seal,
    /// A packet that was taken before, or is too far behind.
    #[error("replay")]
    Replay,
    /// A packet under keys that are too old.
    #[error("expired")]
    Expired,
    /// Its sender has a name and key with which another node speaks as well.
    #[error("clone")]
    Clone,
}

impl SessionReject {
    /// How many reasons there are.
    pub const COUNT: usize = Self::Clone as usize + 1;

    /// Every reason, in declaration order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Frame,
        Self::Suite,
        Self::Mac,
        Self::Cookie,
        Self::Load,
        Self::Source,
        Self::Handshake,
        Self::Signature,
        Self::Key,
        Self::OwnKey,
        Self::Stamp,
        Self::Crossed,
        Self::Busy,
        Self::Signer,
        Self::Path,
        Self::Unknown,
        Self::Seal,
        Self::Replay,
        Self::Expired,
        Self::Clone,
    ];
}
