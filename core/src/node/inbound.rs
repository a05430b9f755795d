//! What is kept of a ping while the application has not yet spoken.

use super::policy::Judged;
use crate::Route;
use crate::airlock::Source;
use crate::airlock::gate::MAX_RULE_TEXT;
use crate::framing::{Encoding, Zone};
use crate::limits::{MAX_DID, MAX_INTENT, MAX_PACKET_ID};

/// An unproven address may be sent at most this many times the bytes that it sent (as RFC 9000, section 8).
pub(super) const AMPLIFICATION: usize = 3;

/// Enough of a ping to answer it later. Of constant size: keeping one costs no allocation.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) route: Route,
    pub(super) encoding: Encoding,
    pub(super) did: heapless::String<MAX_DID>,
    pub(super) packet_id: heapless::String<MAX_PACKET_ID>,
    pub(super) intent: heapless::String<MAX_INTENT>,
    pub(super) rule: Option<heapless::String<MAX_RULE_TEXT>>,
    pub(super) zone: Zone,
    pub(super) trust: f64,
    pub(super) source: Source,
    /// Bytes that this ping still entitles its address to, while the address is unproven.
    pub(super) allowance: usize,
}

/// The texts of a ping that are kept, each within its limit.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) did: &'a str,
    pub(super) packet_id: &'a str,
    pub(super) intent: &'a str,
}

impl Inbound {
    /// `None` when a text is over its limit; the caller has checked that before.
    pub(super) fn new(
        sender: Sender<'_>,
        route: Route,
        encoding: Encoding,
        judged: &Judged<'_>,
        allowance: usize,
    ) -> Option<Self> {
        Some(Self {
            route,
            encoding,
            did: sender.did.try_into().ok()?,
            packet_id: sender.packet_id.try_into().ok()?,
            intent: sender.intent.try_into().ok()?,
            rule: match judged.rule {
                Some(name) => Some(name.try_into().ok()?),
                None => None,
            },
            zone: judged.zone,
            trust: judged.trust,
            source: judged.source,
            allowance,
        })
    }

    /// The judgement as it was when the ping came.
    pub(super) fn judged(&self) -> Judged<'_> {
        Judged { zone: self.zone, trust: self.trust, source: self.source, rule: self.rule.as_deref() }
    }
}
