//! What happens in the overlay of a node: who registers, moves, joins, is challenged, and for whom somebody vouches.

use alloc::boxed::Box;
use core::net::SocketAddr;

use sluis_core::airlock::SignedId;
use sluis_core::data::{Number, Text};
use sluis_core::discovery::TokenId;
use sluis_core::identity::PublicKey;
use sluis_core::node::{Event, OperationOutcome, OverlayNews};
use sluis_core::time::Duration;

use super::draft::Scratch;

/// Something that happened in the overlay. Ids of join tokens are told and never their secrets.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum OverlayAction<'a> {
    /// The record of a device was taken in and is kept.
    Registered {
        /// The device.
        did: Text<'a>,
        /// Where it says that it is.
        endpoint: Option<Text<'a>>,
        /// The number of its record.
        seq: u64,
        /// Until when the record holds: seconds since the Unix epoch.
        expires: u64,
        /// Where it was heard from.
        at: SocketAddr,
    },
    /// A device is elsewhere, by its own signed word.
    Moved {
        /// The device.
        did: Text<'a>,
        /// Where it was.
        from: Option<Text<'a>>,
        /// Where it is.
        to: Option<Text<'a>>,
    },
    /// A device was challenged at its endpoint.
    Verified {
        /// The device.
        did: Text<'a>,
        /// The key that was asked for.
        key: PublicKey,
        /// Where.
        at: SocketAddr,
        /// How long its answer took; `None`: none came, or a wrong one.
        took: Option<Duration>,
        /// Its score from then on, where it is registered.
        score: Option<f64>,
    },
    /// A device joined by a token.
    Joined {
        /// The device.
        did: Text<'a>,
        /// Its key, pinned from then on.
        key: PublicKey,
        /// The token.
        token: TokenId,
        /// How far it is trusted.
        trust: f64,
    },
    /// A hub let this node in.
    LetIn {
        /// The hub.
        hub: Text<'a>,
        /// Its key, pinned from then on.
        key: PublicKey,
        /// How far it trusts this node.
        trust: f64,
    },
    /// A signed vouch counts from then on.
    Vouched {
        /// Its id.
        id: SignedId,
        /// Who vouches.
        voucher: Text<'a>,
        /// For whom.
        named: &'a [Box<str>],
        /// Until when: seconds since the Unix epoch.
        expires: u64,
    },
    /// A signed vouch counts no longer.
    VouchRevoked {
        /// Its id.
        id: SignedId,
    },
    /// The operator made a join token.
    TokenMade {
        /// Its id.
        id: TokenId,
        /// How many devices it lets in.
        uses: u32,
        /// Until when: seconds since the Unix epoch.
        expires: u64,
        /// How far they are trusted.
        trust: f64,
    },
    /// The operator revoked a join token.
    TokenRevoked {
        /// Its id.
        id: TokenId,
    },
}

impl<'a> OverlayAction<'a> {
    /// Whether an event of a node is one of these.
    pub(super) const fn is_in(event: &Event<'_>) -> bool {
        matches!(
            event,
            Event::Overlay(
                OverlayNews::Registered { .. }
                    | OverlayNews::Moved { .. }
                    | OverlayNews::Verified { .. }
                    | OverlayNews::Joined { .. }
                    | OverlayNews::Vouched { .. }
                    | OverlayNews::VouchRevoked { .. }
            ) | Event::Operation { result: Ok(OperationOutcome::Joined { .. }), .. }
        )
    }

    pub(super) fn of_event(event: &Event<'a>) -> Option<Self> {
        match *event {
            Event::Overlay(news) => Self::of_news(news),
            Event::Operation { result: Ok(OperationOutcome::Joined { hub, key, trust, .. }), .. } => {
                Some(Self::LetIn { hub: Text::new(hub), key: *key, trust: *trust })
            }
            _ => None,
        }
    }

    fn of_news(news: &'a OverlayNews) -> Option<Self> {
        Some(match news {
            OverlayNews::Registered { did, endpoint, seq, expires, from } => Self::Registered {
                did: Text::new(did),
                endpoint: endpoint.as_deref().map(Text::new),
                seq: *seq,
                expires: *expires,
                at: from.remote,
            },
            OverlayNews::Moved { did, from, to } => Self::Moved {
                did: Text::new(did),
                from: from.as_deref().map(Text::new),
                to: to.as_deref().map(Text::new),
            },
            OverlayNews::Verified { did, key, path, took, score } => {
                Self::Verified { did: Text::new(did), key: *key, at: path.remote, took: *took, score: *score }
            }
            OverlayNews::Joined { did, key, token, trust } => {
                Self::Joined { did: Text::new(did), key: *key, token: *token, trust: *trust }
            }
            OverlayNews::Vouched { id, voucher, named, expires } => {
                Self::Vouched { id: *id, voucher: Text::new(voucher), named, expires: *expires }
            }
            OverlayNews::VouchRevoked { id } => Self::VouchRevoked { id: *id },
            _ => return None,
        })
    }
}

impl Scratch {
    pub(super) fn overlay(&mut self, action: &OverlayAction<'_>) {
        match *action {
            OverlayAction::Registered { did, endpoint, seq, expires, at } => {
                self.about("register", did, format_args!("{did} registered"));
                self.erin.optional("endpoint", endpoint);
                self.erin.number("seq", Number::from(seq));
                self.erin.number("expires", Number::from(expires));
                self.eromheen.place("host", "port", Some(at));
                self.by(did);
            }
            OverlayAction::Moved { did, from, to } => {
                self.about("endpoint_moved", did, format_args!("{did} is elsewhere"));
                self.erin.optional("from", from);
                self.erin.optional("to", to);
                self.by(did);
            }
            OverlayAction::Verified { did, key, at, took, score } => {
                let (name, what) = match took {
                    Some(_) => ("verify", "has its key"),
                    None => ("failed_verify", "did not show its key"),
                };
                self.about(name, did, format_args!("{did} {what}"));
                self.erin.fingerprint(key);
                self.erin.word("verified", took.is_some());
                self.eromheen.place("host", "port", Some(at));
                if let Some(took) = took {
                    self.eromheen.number("rtt_ms", Number::Float(took.as_secs_f64() * 1000.0));
                }
                if let Some(score) = score {
                    self.eromheen.number("trust_score", Number::Float(score));
                }
            }
            OverlayAction::Joined { did, key, token, trust } => {
                self.about("joined", did, format_args!("{did} joined by a token"));
                self.erin.hex("join_token", &token);
                self.erin.fingerprint(key);
                self.eromheen.number("trust_score", Number::Float(trust));
                self.by(did);
            }
            OverlayAction::LetIn { hub, key, trust } => {
                self.about("let_in", hub, format_args!("{hub} let this node in"));
                self.erin.fingerprint(key);
                self.eromheen.number("trust_score", Number::Float(trust));
            }
            OverlayAction::Vouched { id, voucher, named, expires } => {
                self.about("vouched", voucher, format_args!("{voucher} vouches for {}", named.len()));
                self.erin.hex("vouch", &id);
                self.erin.texts("named", named.iter().map(|did| Text::new(did)));
                self.erin.number("expires", Number::from(expires));
                self.by(voucher);
            }
            OverlayAction::VouchRevoked { id } => {
                self.names("vouch_revoked", "vouch", &id, "A vouch counts no longer");
            }
            OverlayAction::TokenMade { id, uses, expires, trust } => {
                self.names("join_token_made", "join_token", &id, "A join token was made");
                self.erin.number("uses", Number::from(u64::from(uses)));
                self.erin.number("expires", Number::from(expires));
                self.eromheen.number("trust_score", Number::Float(trust));
            }
            OverlayAction::TokenRevoked { id } => {
                self.names("join_token_revoked", "join_token", &id, "A join token was revoked");
            }
        }
    }

    /// Begin the token of what happened to somebody.
    fn about(&mut self, action: &str, did: Text<'_>, why: core::fmt::Arguments<'_>) {
        self.begin(action, why);
        self.erin.member("did", did);
        self.eraan.refs(&[did]);
    }

    /// The token of what has no name but an id.
    fn names(&mut self, action: &str, key: &'static str, id: &[u8], why: &str) {
        self.begin(action, format_args!("{why}"));
        self.erin.hex(key, id);
        self.eraan.refs(&[]);
    }
}
