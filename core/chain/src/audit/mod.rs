//! What happens to a node, as tokens.
//!
//! What this room promises:
//!
//! - A [`Happening`] becomes the members of a token exactly as the reference's bridge fills them in: ping, heartbeat, discovery,
//!   relay, trust change. What the reference has no words for is a response, a decision, a lost peer, and most of what happens in
//!   the overlay; they are made alike.
//! - A [`Recorder`] is what the operator switches on, kind by kind. It draws up drafts; whoever seals them (a log, a provider)
//!   fills in id, time, link and hash, and says so with [`Recorder::follow`], so that each token follows from the one before.
//! - Strangers switch nothing: what the gate turns away is no happening, only a counter of the node. A token always fits a line of
//!   [`MAX_LINE`] bytes: of what is longer than [`MAX_TEXT`] or [`MAX_PAYLOAD`], `eromheen.shortened` has length and SHA-256, by the
//!   path of the member. What no other reader could check (numbers that are none, byte strings) is left out and marked.
//! - What could not be written is not passed over in silence: [`Losses`] counts it, and the next token says so ([`GAP`]).
//!
//! ```
//! use sluis_chain::audit::{Happening, Recorder};
//!
//! let mut recorder = Recorder::new("jis:home:hub");
//! let seen = Happening::Discovery { did: "jis:home:lamp".into(), at: Some("192.0.2.7:7150".parse()?), decision: "accepted" };
//! let draft = recorder.draft(&seen).ok_or("switched off")?;
//! assert_eq!(draft.action, "discovery");
//! assert_eq!(draft.erachter, "Discovered jis:home:lamp at 192.0.2.7:7150 \u{2014} accepted");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod draft;
mod losses;
mod node;
mod overlay;
mod recorder;
mod short;
mod statement;
#[cfg(test)]
mod tests;

use core::net::SocketAddr;

pub use crate::token::GAP;
pub use losses::Losses;
pub use overlay::OverlayAction;
pub use recorder::{Kinds, Recorder};
pub use statement::ChannelStatement;

use sluis_core::data::{Number, Text};
use sluis_core::framing::{Decision, Packet};
use sluis_core::time::{Duration, Wall};

/// Longest text of somebody else's in bytes (UTF-8) that goes into a token whole. Of a longer one the token holds the beginning, and
/// `eromheen.shortened` its length and SHA-256.
pub const MAX_TEXT: usize = 1024;

/// Longest payload in bytes, as JSON text, that goes into a token. Of a longer one the token says that it was left out, and
/// `eromheen.shortened` its length and SHA-256.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// No token of a node's event takes more bytes than this in its line, whatever strangers wrote.
pub const MAX_LINE: usize = 256 * 1024;

/// What was decided about a ping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement<'a> {
    /// `accept`, `pending`, `reject`.
    pub decision: Text<'a>,
    /// How far the sender is trusted.
    pub trust_score: Number<'a>,
    /// `GROEN`, `GEEL`, `ROOD`.
    pub zone: Text<'a>,
    /// Name of the rule that decided. The reference does not record it; `None` leaves it out.
    pub rule: Option<Text<'a>>,
}

/// Something that happened to a node, and that can be recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "lent for one draft and never kept; without a heap there is no box")]
pub enum Happening<'a> {
    /// A ping came, or went.
    Ping {
        /// The ping.
        packet: Packet<'a>,
        /// What was decided about it, if that is known.
        judgement: Option<Judgement<'a>>,
        /// Its other end. The reference does not record it, nor the packet's id; `None` leaves both out.
        at: Option<SocketAddr>,
    },
    /// A ping of ours was answered.
    Response {
        /// The ping that is answered.
        packet_id: Text<'a>,
        /// Who answered.
        responder: Text<'a>,
        /// What was decided.
        judgement: Judgement<'a>,
        /// How long it took.
        rtt: Duration,
        /// Where the answer came from.
        at: Option<SocketAddr>,
    },
    /// Somebody is alive.
    Heartbeat {
        /// Who.
        source: Text<'a>,
        /// Where.
        at: Option<SocketAddr>,
        /// What it says about itself.
        status: Option<Text<'a>>,
    },
    /// Somebody new is there.
    Discovery {
        /// Who.
        did: Text<'a>,
        /// Where.
        at: Option<SocketAddr>,
        /// `accepted`, `rejected`, `pending`.
        decision: &'a str,
    },
    /// Somebody has been silent for too long.
    Lost {
        /// Who.
        did: Text<'a>,
    },
    /// A packet was passed on.
    Relay {
        /// From whom.
        source: Text<'a>,
        /// To whom.
        target: Text<'a>,
        /// After so many hops.
        hop_count: i64,
        /// To this place.
        to: Option<SocketAddr>,
    },
    /// Somebody is trusted more, or less, than before.
    Trust {
        /// Who.
        did: Text<'a>,
        /// Trust before, 0 to 1.
        old: f64,
        /// Trust from now on.
        new: f64,
        /// Why; empty: the change itself.
        reason: Text<'a>,
        /// From this trust on GROEN, and below this one ROOD: 0.7 and 0.3 in the reference.
        zones: (f64, f64),
    },
    /// Events could not be recorded (the disk was full, or too slow): see [`Losses`].
    Gap {
        /// How many.
        count: u64,
        /// When the first of them happened.
        from: Wall,
        /// When the last of them happened.
        until: Wall,
    },
    /// A ping that waited was decided.
    Decided {
        /// Its id.
        packet_id: Text<'a>,
        /// Its sender.
        source: Text<'a>,
        /// `accept` or `reject`; `None`: nobody decided in time.
        decision: Option<Decision>,
    },
    /// Something happened in the overlay.
    Overlay(OverlayAction<'a>),
    /// Somebody has signed for what he said on a channel.
    Statement(ChannelStatement<'a>),
}
