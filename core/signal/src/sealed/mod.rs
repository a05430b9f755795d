//! Sealed sessions between nodes of ours: nobody on the way reads, changes or replays, and every message is bound to who sent it and
//! to whom.
//!
//! The handshake is that of BOLT 8, `Noise_XK_secp256k1_ChaChaPoly_SHA256`, because it exists for these very keys and needs only the
//! peer's. It travels in envelopes that a peer of the reference answers, too:
//!
//! ```text
//! hello    PROBE, body:  "sluis1" · act one 50          the reference ignores the body of a probe, and answers "ack"
//! answer   ACK, body:    "ack" · act two 50             a peer that answers without act two is one of the reference
//! first    0x54 · session 8 · length u16 · act three · counter u64 · sealed
//! sealed   0x53 · session 8 · counter u64 · sealed
//! sealed = ChaCha20-Poly1305(kind u8 · id 16 · length u32 · body · zeros), a multiple of 64 bytes with its tag
//! ```
//!
//! Integers are big endian. A session is known by the first 8 bytes of the handshake's hash after act two. Acts begin with the version
//! 0, as in BOLT 8. Every packet of the initiator is a `first` until it has heard the responder, because any of them may be lost;
//! those bytes are no point of the curve, so the reference drops them unharmed. Act three may carry a name: DID, Ed25519 key and its
//! signature over the handshake, see [`name`].
//!
//! What stays visible to a broker: who talks to whom (topics and envelopes are in the clear), when, and sizes in steps of 64 bytes.
//!
//! Counters tell fresh packets from copies: brokers deliver at least once, and several carry the same packet. [`Session::open`] says
//! which it was, and refuses what is older than its window.

mod hello;
pub mod name;
mod session;
mod window;

pub use hello::{ANSWER_LEN, Answered, HELLO_LEN, Offer, is_hello, our_hello_stands};
pub use session::{Opened, Session, packet_len, session_of};

use core::time::Duration;

/// What identifies a session on the wire. It is no secret.
pub type SessionId = [u8; 8];

/// What identifies a message: chosen by its sender, the same in every copy and in every session that it takes.
pub type MessageId = [u8; 16];

/// How long a session is used for sending.
pub const LIFETIME: Duration = Duration::from_secs(3600);

/// How much longer packets of a session are taken: what was sent at its end may be under way.
pub const GRACE: Duration = Duration::from_secs(120);

/// How many packets are sent in a session.
pub const MAX_PACKETS: u64 = 1 << 20;

/// The longest body of a packet in bytes: a message of 64 KiB, and what is said of it.
pub const MAX_BODY: usize = 64 * 1024 + 64;

/// What both sides agree on beforehand.
const PROLOGUE: &[u8] = b"sluis signal 1";

/// Why a packet or an act was refused, or not made. Nothing was changed by the call that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// Not a packet or act of this form.
    #[error("not a sealed packet")]
    Form,
    /// It does not verify: not made by who knows the keys, or touched.
    #[error("the packet does not verify")]
    Unverified,
    /// From another session.
    #[error("from a session that is not known")]
    Session,
    /// Older than the window: whether it is a copy cannot be told any more.
    #[error("older than the window of its session")]
    Old,
    /// The session has lived or sent too long: make a new one.
    #[error("the session is at its end")]
    Spent,
    /// The caller's buffer is too short.
    #[error("the buffer is too short for this packet")]
    Room,
    /// The body is longer than [`MAX_BODY`], or a DID longer than it may be.
    #[error("longer than a packet may be")]
    TooLong,
    /// A name came along whose signature does not hold.
    #[error("the name that came along is not proven")]
    Name,
}
