//! What is kept of a ping while the application has not yet spoken.

use super::event::{OpenId, WaitId};
use super::inbox::ByName;
use super::policy::Judged;
use super::quota::Charged;
use crate::Path;
use crate::airlock::gate::MAX_RULE_TEXT;
use crate::airlock::{Rank, Source, Subject};
use crate::framing::{Encoding, PingType, Zone};
use crate::limits::{MAX_DID, MAX_INTENT, MAX_PACKET_ID};
use crate::table::{Link, Linked};
use crate::time::Instant;

/// An unproven address may be sent at most this many times the bytes that it sent (as RFC 9000, section 8).
pub(super) const AMPLIFICATION: usize = 3;

/// Enough of a ping to answer it later. Of constant size: keeping one costs no allocation.
#[derive(Debug)]
pub(super) struct Inbound {
    /// The number of a ping that waits for a decision; 0 for one that never did.
    pub(super) number: u64,
    pub(super) since: Instant,
    pub(super) rank: Rank,
    pub(super) charged: Charged,
    pub(super) path: Path,
    pub(super) encoding: Encoding,
    pub(super) did: heapless::String<MAX_DID>,
    pub(super) packet_id: heapless::String<MAX_PACKET_ID>,
    pub(super) intent: heapless::String<MAX_INTENT>,
    pod_id: Option<heapless::String<MAX_DID>>,
    ping_type: PingType,
    pub(super) rule: Option<heapless::String<MAX_RULE_TEXT>>,
    pub(super) zone: Zone,
    pub(super) trust: f64,
    pub(super) source: Source,
    /// Bytes that this ping still entitles its address to, while the address is unproven.
    pub(super) allowance: usize,
    by_name: Link,
}

impl Linked<ByName> for Inbound {
    fn link(&self) -> &Link {
        &self.by_name
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.by_name
    }
}

/// Where a ping is kept until the application has spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nowhere: its answer is on its way.
    Nowhere,
    /// GEEL: it waits for a decision.
    Waiting(WaitId),
    /// Accepted: it waits for an answer.
    Open(OpenId),
}

impl Kept {
    pub(super) const fn wait(self) -> Option<WaitId> {
        match self {
            Self::Waiting(id) => Some(id),
            Self::Nowhere | Self::Open(_) => None,
        }
    }

    pub(super) const fn open(self) -> Option<OpenId> {
        match self {
            Self::Open(id) => Some(id),
            Self::Nowhere | Self::Waiting(_) => None,
        }
    }
}

/// The texts of a ping that are kept, each within its limit.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) did: &'a str,
    pub(super) packet_id: &'a str,
    pub(super) intent: &'a str,
    pub(super) pod_id: Option<&'a str>,
    pub(super) ping_type: PingType,
}

impl<'a> Sender<'a> {
    /// What rules look at in it.
    pub(super) const fn subject(&self) -> Subject<'a> {
        let &Self { did, intent, pod_id, ping_type, .. } = self;
        Subject { source_did: did, intent, pod_id, ping_type }
    }
}

impl Sender<'_> {
    /// Bytes of all three.
    pub(super) const fn text_bytes(&self) -> usize {
        self.did.len() + self.packet_id.len() + self.intent.len()
    }
}

impl Inbound {
    /// `None` when a text is over its limit; the caller has checked that before.
    pub(super) fn new(
        now: Instant,
        (rank, charged): (Rank, Charged),
        sender: Sender<'_>,
        path: Path,
        encoding: Encoding,
        judged: &Judged<'_>,
        allowance: usize,
    ) -> Option<Self> {
        Some(Self {
            number: 0,
            since: now,
            rank,
            charged,
            path,
            encoding,
            did: sender.did.try_into().ok()?,
            packet_id: sender.packet_id.try_into().ok()?,
            intent: sender.intent.try_into().ok()?,
            pod_id: sender.pod_id.map(TryInto::try_into).transpose().ok()?,
            ping_type: sender.ping_type,
            rule: match judged.rule {
                Some(name) => Some(name.try_into().ok()?),
                None => None,
            },
            zone: judged.zone,
            trust: judged.trust,
            source: judged.source,
            allowance,
            by_name: Link::default(),
        })
    }

    /// Packet id, sender and intent: what an event about a decision tells.
    pub(super) fn texts(&self) -> [&str; 3] {
        [&self.packet_id, &self.did, &self.intent]
    }

    /// What rules look at in it.
    pub(super) fn subject(&self) -> Subject<'_> {
        let (source_did, intent) = (self.did.as_str(), self.intent.as_str());
        Subject { source_did, intent, pod_id: self.pod_id.as_deref(), ping_type: self.ping_type }
    }

    /// Bytes of its packet id, sender and intent.
    pub(super) fn text_bytes(&self) -> usize {
        self.texts().map(str::len).iter().sum()
    }

    /// The judgement as it was when the ping came.
    pub(super) fn judged(&self) -> Judged<'_> {
        Judged { zone: self.zone, trust: self.trust, source: self.source, rule: self.rule.as_deref() }
    }
}
