//! What is kept of a ping while the application has not yet spoken.

use super::ByName;
use super::quota::Charged;
use crate::Path;
use crate::airlock::gate::MAX_RULE_TEXT;
use crate::airlock::{Rank, Source, Subject};
use crate::framing::{Digest, Encoding, PingType, Zone};
use crate::limits::{MAX_DID, MAX_INTENT, MAX_PACKET_ID};
use crate::node::event::Auth;
use crate::node::event::{OpenId, WaitId};
use crate::node::ingress::Sender;
use crate::node::outbox::NextHop;
use crate::node::policy::Judged;
use crate::table::{Link, Linked};
use crate::time::Instant;

/// An unproven address may be sent at most this many times the bytes that it sent (as RFC 9000, section 8).
pub(in crate::node) const AMPLIFICATION: usize = 3;

/// Enough of a ping to answer it later. Of constant size: keeping one costs no allocation.
#[derive(Debug)]
pub(in crate::node) struct Inbound {
    /// The number of a ping that waits for a decision; 0 for one that never did.
    pub(super) number: u64,
    since: Instant,
    pub(super) rank: Rank,
    pub(super) charged: Charged,
    hop: NextHop,
    auth: Auth,
    /// What an answer is bound to, where answers are signed.
    digest: Option<Digest>,
    encoding: Encoding,
    did: heapless::String<MAX_DID>,
    packet_id: heapless::String<MAX_PACKET_ID>,
    intent: heapless::String<MAX_INTENT>,
    pod_id: Option<heapless::String<MAX_DID>>,
    ping_type: PingType,
    rule: Option<heapless::String<MAX_RULE_TEXT>>,
    zone: Zone,
    trust: f64,
    source: Source,
    /// Bytes that this ping still entitles its address to, while the address is unproven.
    allowance: usize,
    /// It is the beacon of a device that would like to be let in: nobody waits for an answer.
    beacon: bool,
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
pub(in crate::node) enum Kept {
    /// Nowhere: its answer is on its way.
    Nowhere,
    /// GEEL: it waits for a decision.
    Waiting(WaitId),
    /// Accepted: it waits for an answer.
    Open(OpenId),
}

impl Kept {
    pub(in crate::node) const fn wait(self) -> Option<WaitId> {
        match self {
            Self::Waiting(id) => Some(id),
            Self::Nowhere | Self::Open(_) => None,
        }
    }

    pub(in crate::node) const fn open(self) -> Option<OpenId> {
        match self {
            Self::Open(id) => Some(id),
            Self::Nowhere | Self::Waiting(_) => None,
        }
    }
}

impl Inbound {
    /// `None` when a text is over its limit; the caller has checked that before.
    pub(in crate::node) fn new(
        now: Instant,
        (rank, charged): (Rank, Charged),
        sender: Sender<'_>,
        (hop, auth, digest): (NextHop, Auth, Option<Digest>),
        encoding: Encoding,
        judged: &Judged<'_>,
        allowance: usize,
    ) -> Option<Self> {
        Some(Self {
            number: 0,
            since: now,
            rank,
            charged,
            hop,
            auth,
            digest,
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
            beacon: false,
            by_name: Link::default(),
        })
    }

    /// The same as the beacon of a device.
    pub(in crate::node) fn of_beacon(self) -> Self {
        Self { beacon: true, ..self }
    }

    /// Whether it is the beacon of a device.
    pub(in crate::node) const fn is_beacon(&self) -> bool {
        self.beacon
    }

    /// The number by which people name it while it waits.
    pub(in crate::node) const fn number(&self) -> u64 {
        self.number
    }

    /// When it came.
    pub(in crate::node) const fn since(&self) -> Instant {
        self.since
    }

    /// Its sender.
    pub(in crate::node) fn did(&self) -> &str {
        &self.did
    }

    pub(in crate::node) fn packet_id(&self) -> &str {
        &self.packet_id
    }

    pub(in crate::node) fn intent(&self) -> &str {
        &self.intent
    }

    /// How its answer gets to its sender.
    pub(in crate::node) const fn hop(&self) -> NextHop {
        self.hop
    }

    /// Where it came from.
    pub(in crate::node) const fn path(&self) -> Path {
        self.hop.path()
    }

    /// What an answer to it is bound to.
    pub(in crate::node) const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    pub(in crate::node) const fn auth(&self) -> Auth {
        self.auth
    }

    pub(in crate::node) const fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(in crate::node) const fn allowance(&self) -> usize {
        self.allowance
    }

    /// Packet id, sender and intent: what an event about a decision tells.
    pub(in crate::node) fn texts(&self) -> [&str; 3] {
        [&self.packet_id, &self.did, &self.intent]
    }

    /// What rules look at in it.
    pub(in crate::node) fn subject(&self) -> Subject<'_> {
        let (source_did, intent) = (self.did.as_str(), self.intent.as_str());
        Subject { source_did, intent, pod_id: self.pod_id.as_deref(), ping_type: self.ping_type }
    }

    /// Bytes of its packet id, sender and intent.
    pub(in crate::node) fn text_bytes(&self) -> usize {
        self.texts().map(str::len).iter().sum()
    }

    /// The judgement as it was when the ping came.
    pub(in crate::node) fn judged(&self) -> Judged<'_> {
        Judged { zone: self.zone, trust: self.trust, source: self.source, rule: self.rule.as_deref() }
    }
}
