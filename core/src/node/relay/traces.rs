//! Traces of pings and answers that end here, or begin here.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::news::TraceNews;
use crate::airlock::Rank;
use crate::framing::{Digest, Frame, Message, Packet, Response};
use crate::identity::{PublicKey, Signer};
use crate::limits::{MAX_PACKET_ID, MAX_PAYLOAD};
use crate::node::RequestId;
use crate::node::admission::AdmissionControl;
use crate::node::client::{Client, Match};
use crate::node::ingress::{Ingress, Sender};
use crate::node::policy::Policy;
use crate::relay::Faults;
use crate::relay::trace::{Deed, Known, Misfit, Trace, append, budget, ping_digest, response_digest, verify_with};
use crate::time::{Now, Wall};

/// What a trace told, and nobody took out, at most.
const MAX_NEWS: usize = 256;
/// From so many traced requests on, those that have ended are looked for.
const SWEEP: usize = 64;
/// The largest trace.
pub(super) const MAX_TRACE: usize = 1232;
/// A larger buffer for a packet whose digest is made is not kept.
const MAX_SCRATCH: usize = 64 * 1024;

/// What is known of traces. Made with the first one.
#[derive(Debug, Default)]
pub(in crate::node) struct Traces {
    /// What our traced requests asked, and whether an answer that does not count was told of.
    asked: BTreeMap<RequestId, (Digest, bool)>,
    news: VecDeque<Box<TraceNews>>,
}

impl Traces {
    pub(in crate::node) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub(in crate::node) fn pop_news(&mut self) -> Option<Box<TraceNews>> {
        self.news.pop_front()
    }

    /// Whether there is room to tell of one more.
    pub(in crate::node) fn has_room(&self) -> bool {
        self.news.len() < MAX_NEWS
    }

    /// Whether there is no room to tell of the answer to this request, whose trace is to be read.
    pub(in crate::node) fn is_full_for(&self, request: RequestId) -> bool {
        !self.has_room() && self.asked.contains_key(&request)
    }

    pub(super) fn tell(&mut self, news: TraceNews) {
        if self.has_room() {
            self.news.push_back(Box::new(news));
        }
    }

    /// A request of ours bears a trace.
    pub(in crate::node) fn note_asked(&mut self, client: &Client, request: RequestId, digest: Digest) {
        if self.asked.len() >= SWEEP {
            self.asked.retain(|request, _| client.is_open(*request));
        }
        self.asked.insert(request, (digest, false));
    }

    /// Somebody's ping for us passed the gate: read its trace.
    pub(in crate::node) fn read_ping(
        &mut self,
        now: Now,
        (policy, admission, own): (&Policy, &mut AdmissionControl, Own<'_>),
        (ingress, packet): (&Ingress<'_>, &Packet<'_>),
        (sender, rank, certain): (Sender<'_>, Rank, bool),
    ) {
        let (_, Some(trace)) = Trace::split(ingress.bytes) else { return };
        let Some(arrived) = digest_of(packet, ingress.bytes.len(), &mut Vec::new()) else { return };
        let from = certain.then_some(sender.did);
        let known = Known { arrived: &arrived, hop_count: Some(packet.hop_count), from, asked: None, responder: None };
        let keys = own.keys(policy);
        // Strangers have only so many signatures verified.
        let keys = |did: &str| keys(did).filter(|_| rank >= Rank::Proven || admission.may_verify(now.mono));
        let report = verify_with(Some(trace), &known, keys, own.faults);
        let mut news = TraceNews {
            request: None,
            did: sender.did.into(),
            packet_id: sender.packet_id.into(),
            from: ingress.path,
            rtt: None,
            believed: true,
            hops: Vec::new(),
            tampered: Vec::new(),
        };
        news.read(&report);
        self.tell(news);
    }

    /// A traced request of ours was answered: read the trace of the answer, there and back. Also of the first one that does not count (`believed`), because it is not signed as it
    /// should be: somebody changed it, or the ping.
    pub(in crate::node) fn read_answer(
        &mut self,
        (policy, own): (&Policy, Own<'_>),
        (ingress, response): (&Ingress<'_>, &Response<'_>),
        (answer, responder, believed): (&Match, &str, bool),
    ) {
        let asked = match self.asked.get_mut(&answer.request) {
            Some((_, told)) if !believed && (*told || Trace::split(ingress.bytes).1.is_none()) => None,
            Some((asked, told)) => {
                *told |= !believed;
                Some(*asked)
            }
            None => None,
        };
        if believed && answer.is_last() {
            self.asked.remove(&answer.request);
        }
        let (Some(asked), Some(arrived)) = (asked, digest_of_response(response, ingress.bytes.len(), &mut Vec::new()))
        else {
            return;
        };
        let mut scratch = [0; MAX_PACKET_ID];
        let packet_id = response.in_response_to.resolve(&mut scratch).unwrap_or_default();
        let known = Known {
            arrived: &arrived,
            hop_count: None,
            from: policy.is_certain(responder, ingress.session.as_ref()).then_some(responder),
            asked: Some((own.did, &asked)),
            responder: Some(responder),
        };
        let report = verify_with(Trace::split(ingress.bytes).1, &known, own.keys(policy), own.faults);
        let mut news = TraceNews {
            request: Some(answer.request),
            did: responder.into(),
            packet_id: packet_id.into(),
            from: ingress.path,
            rtt: Some(answer.rtt),
            believed,
            hops: Vec::new(),
            tampered: Vec::new(),
        };
        news.read(&report);
        self.tell(news);
    }
}

/// Our own name and key.
#[derive(Clone, Copy)]
pub(in crate::node) struct Own<'a> {
    pub(in crate::node) did: &'a str,
    pub(in crate::node) key: Option<PublicKey>,
    /// Nothing, outside of a simulation.
    pub(in crate::node) faults: Faults,
}

impl<'a> Own<'a> {
    /// The key by which each name is known here.
    fn keys(self, policy: &'a Policy) -> impl Fn(&str) -> Option<PublicKey> + 'a {
        move |did| match did == self.did {
            true => self.key,
            false => policy.pins.get(did).filter(|pin| !pin.revoked).map(|pin| pin.key),
        }
    }
}

/// Make a digest with room for the JSON of something that took so many bytes, in whatever encoding.
fn with_room<E>(
    scratch: &mut Vec<u8>,
    len: usize,
    make: impl FnOnce(&mut [u8]) -> Result<Digest, E>,
) -> Option<Digest> {
    let room = (2048 + 6 * len).min(MAX_PAYLOAD + 1024);
    if scratch.len() < room {
        scratch.resize(room, 0);
    }
    let digest = make(scratch).ok();
    if scratch.len() > MAX_SCRATCH {
        *scratch = Vec::new();
    }
    digest
}

/// What records say of a ping that came or goes in so many bytes.
pub(super) fn digest_of(packet: &Packet<'_>, len: usize, scratch: &mut Vec<u8>) -> Option<Digest> {
    with_room(scratch, len, |room| ping_digest(packet, room))
}

/// The same for an answer.
pub(super) fn digest_of_response(response: &Response<'_>, len: usize, scratch: &mut Vec<u8>) -> Option<Digest> {
    with_room(scratch, len, |room| response_digest(response, room))
}

/// The trace of a ping of ours, which begins it: its bytes, and what was asked.
pub(in crate::node) fn begin(frame: &[u8], who: (&str, Wall), signer: &dyn Signer) -> Option<(Vec<u8>, Digest)> {
    let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(frame) else { return None };
    let ping = digest_of(&packet, frame.len(), &mut Vec::new())?;
    Some((extended(None, who, &Deed::Asked { ping: &ping }, (signer, frame.len()))?, ping))
}

/// The trace of an answer of ours to a traced ping, which goes on behind that of the ping.
pub(in crate::node) fn answer(
    frame: &[u8],
    (ingress, packet): (&Ingress<'_>, &Packet<'_>),
    (who, from): ((&str, Wall), Option<&str>),
    signer: &dyn Signer,
) -> Option<Vec<u8>> {
    let (_, trace) = Trace::split(ingress.bytes);
    let Ok(Frame { message: Message::Response(response), .. }) = Frame::decode(frame) else { return None };
    let (received, response) = (
        digest_of(packet, ingress.bytes.len(), &mut Vec::new())?,
        digest_of_response(&response, frame.len(), &mut Vec::new())?,
    );
    let deed = Deed::Answered { received: &received, response: &response, hop_count: packet.hop_count, from };
    extended(Some(trace?), who, &deed, (signer, frame.len()))
}

/// One record more, written to `out`; how long all are, and whether who signed last is certain to have changed what came.
pub(super) fn extend(
    trace: Option<Trace<'_>>,
    who: (&str, Wall),
    deed: &Deed<'_>,
    (signer, frame): (&dyn Signer, usize),
    out: &mut [u8; MAX_TRACE],
) -> Option<(usize, bool)> {
    let appended = append(trace, who, deed, signer, budget(frame), out).ok()?;
    Some((appended.len, appended.misfit == Some(Misfit::By)))
}

/// The same in bytes of its own.
fn extended(
    trace: Option<Trace<'_>>,
    who: (&str, Wall),
    deed: &Deed<'_>,
    signs: (&dyn Signer, usize),
) -> Option<Vec<u8>> {
    let mut out = [0; MAX_TRACE];
    let (len, _) = extend(trace, who, deed, signs, &mut out)?;
    Some(out.get(..len)?.to_vec())
}
