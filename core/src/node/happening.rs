//! Events of a node, as what chains record.

use super::event::{Event, Outcome};
use crate::chain::events::{Happening, Judgement, Kinds};
use crate::framing::{Decision, Number, Text};

impl Event<'_> {
    /// What kind of happening this is, without looking at the packet in it; `None` for what no chain records: time that ran out
    /// for a request of ours or for the application.
    #[must_use]
    pub const fn kind(&self) -> Option<Kinds> {
        match self {
            Self::Ping(_) => Some(Kinds::PING),
            Self::Decided(_) => Some(Kinds::DECISION),
            Self::Response(_) => Some(Kinds::RESPONSE),
            Self::Heartbeat { .. } => Some(Kinds::HEARTBEAT),
            Self::PeerSeen { .. } | Self::PeerLost { .. } => Some(Kinds::DISCOVERY),
            Self::Timeout { .. } | Self::Unanswered(_) => None,
        }
    }

    /// The event as a chain records it.
    #[must_use]
    pub fn happening(&self) -> Option<Happening<'_>> {
        Some(match *self {
            Self::Ping(ref received) => Happening::Ping {
                packet: received.packet(),
                judgement: Some(Judgement {
                    decision: Text::new(received.decision.as_str()),
                    trust_score: Number::Float(received.trust),
                    zone: Text::new(received.zone.as_str()),
                    rule: received.rule.map(Text::new),
                }),
                at: Some(received.from.remote),
            },
            Self::Response(ref answered) => {
                let response = answered.response();
                Happening::Response {
                    packet_id: response.in_response_to,
                    responder: response.responder_did,
                    judgement: Judgement {
                        decision: Text::new(response.decision.as_str()),
                        trust_score: response.trust_score,
                        zone: response.airlock_zone,
                        rule: response.applied_rule,
                    },
                    rtt: answered.rtt,
                    at: Some(answered.from.remote),
                }
            }
            Self::Decided(decided) => Happening::Decided {
                packet_id: Text::new(decided.packet_id),
                source: Text::new(decided.source_did),
                decision: match decided.outcome {
                    Outcome::Approved => Some(Decision::Accept),
                    Outcome::Rejected => Some(Decision::Reject),
                    Outcome::Expired => None,
                },
            },
            Self::Heartbeat { did, route } => {
                Happening::Heartbeat { source: Text::new(did), at: Some(route.remote), status: None }
            }
            Self::PeerSeen { did, route } => {
                Happening::Discovery { did: Text::new(did), at: Some(route.remote), decision: "accepted" }
            }
            Self::PeerLost { did } => Happening::Lost { did: Text::new(did) },
            Self::Timeout { .. } | Self::Unanswered(_) => return None,
        })
    }
}
