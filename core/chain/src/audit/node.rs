//! Events of a node, as what chains record.

use sluis_core::data::{Number, Text};
use sluis_core::framing::Decision;
use sluis_core::node::{Event, LanNews, Outcome};

use super::{Happening, Judgement, Kinds, OverlayAction};

impl Kinds {
    /// What kind of happening an event of a node is, without looking at the packet in it; `None` for what no chain records: time
    /// that ran out for a request of ours or for the application.
    #[must_use]
    pub const fn of_event(event: &Event<'_>) -> Option<Self> {
        match event {
            Event::Ping(_) => Some(Self::PING),
            Event::Decided(_) => Some(Self::DECISION),
            Event::Response(_) => Some(Self::RESPONSE),
            Event::Heartbeat { .. } => Some(Self::HEARTBEAT),
            Event::PeerSeen { .. } | Event::PeerLost { .. } | Event::Lan(_) => Some(Self::DISCOVERY),
            event if OverlayAction::is_in(event) => Some(Self::OVERLAY),
            // Timeouts of ours and of the application, and what a later node may add.
            _ => None,
        }
    }
}

impl<'a> Happening<'a> {
    /// The event as a chain records it; `None` for what no chain records.
    #[must_use]
    pub fn of_event(event: &'a Event<'_>) -> Option<Self> {
        Some(match *event {
            Event::Ping(ref received) => Self::Ping {
                packet: received.packet(),
                judgement: Some(Judgement {
                    decision: Text::new(received.decision.as_str()),
                    trust_score: Number::Float(received.trust),
                    zone: Text::new(received.zone.as_str()),
                    rule: received.rule.map(Text::new),
                }),
                at: Some(received.from.remote),
            },
            Event::Response(ref answered) => {
                let response = answered.response();
                Self::Response {
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
            Event::Decided(decided) => Self::Decided {
                packet_id: Text::new(decided.packet_id),
                source: Text::new(decided.source_did),
                decision: match decided.outcome {
                    Outcome::Approved => Some(Decision::Accept),
                    Outcome::Rejected => Some(Decision::Reject),
                    // Nobody decided.
                    _ => None,
                },
            },
            Event::Heartbeat { did, path } => {
                Self::Heartbeat { source: Text::new(did), at: Some(path.remote), status: None }
            }
            Event::PeerSeen { did, path } => {
                Self::Discovery { did: Text::new(did), at: Some(path.remote), decision: "accepted" }
            }
            Event::PeerLost { did } => Self::Lost { did: Text::new(did) },
            Event::Lan(LanNews::Found(found)) => {
                Self::Discovery { did: Text::new(&found.did), at: Some(found.addr), decision: "found" }
            }
            Event::Lan(LanNews::Beacon(called)) => {
                Self::Discovery { did: Text::new(&called.did), at: Some(called.from), decision: called.decision.name() }
            }
            Event::Lan(LanNews::Gone { did, .. }) => Self::Lost { did: Text::new(did) },
            ref event => Self::Overlay(OverlayAction::of_event(event)?),
        })
    }
}
