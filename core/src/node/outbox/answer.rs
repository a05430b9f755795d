//! Answers to the pings of others.

use core::fmt::Write as _;

use super::NextHop;
use crate::airlock::Source;
use crate::data::{SliceSink, msgpack};
use crate::framing::{Decision, Digest, Encoding, Number, Response, Text, Value};
use crate::node::inbox::Inbound;
use crate::node::policy::Judged;

/// Bytes that a packet or an answer takes beyond its variable parts, generously.
pub(super) const fn overhead(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Json | Encoding::Msgpack => 512,
        // No names of members, and a byte for each that is absent.
        Encoding::Postcard => 224,
    }
}

/// An answer to be written.
#[derive(Clone, Copy)]
pub(in crate::node) struct Answer<'a> {
    /// Who gets it.
    pub(in crate::node) to: &'a str,
    pub(in crate::node) in_response_to: Text<'a>,
    pub(in crate::node) decision: Decision,
    pub(in crate::node) payload: Value<'a>,
    pub(in crate::node) judged: Judged<'a>,
    pub(in crate::node) hop: NextHop,
    pub(in crate::node) encoding: Encoding,
    /// The ping that is answered, where answers are signed.
    pub(in crate::node) digest: Option<&'a Digest>,
    /// Bytes that the address may be sent; `None` when it has proven itself.
    pub(in crate::node) allowance: Option<usize>,
}

impl<'a> Answer<'a> {
    /// The answer to a ping that was kept. What goes through a session is held to the session's own bounds.
    pub(in crate::node) fn to(
        ping: &'a Inbound,
        (hop, proven): (NextHop, bool),
        decision: Decision,
        payload: Value<'a>,
    ) -> Self {
        Self {
            to: ping.did(),
            in_response_to: Text::new(ping.packet_id()),
            decision,
            payload,
            judged: ping.judged(),
            hop,
            encoding: ping.encoding(),
            digest: ping.digest(),
            allowance: (!proven && !hop.is_session()).then_some(ping.allowance()),
        }
    }

    /// The packet, in the name of `did`, with this id and this time of writing.
    pub(super) fn response(self, did: &'a str, id: &'a str, stamp: &'a str, breakdown: Value<'a>) -> Response<'a> {
        Response {
            response_id: Text::from_wire(id),
            in_response_to: self.in_response_to,
            responder_did: Text::new(did),
            decision: self.decision,
            payload: self.payload,
            trust_score: Number::Float(self.judged.trust),
            fira_breakdown: breakdown,
            timestamp: Text::from_wire(stamp),
            airlock_zone: Text::from_wire(self.judged.zone.as_str()),
            applied_rule: self.judged.rule.map(Text::new),
            // No token yet, and no `rtt_ms`: a machine has no clock to measure its own time with.
            ..Response::default()
        }
    }
}

/// Where the trust comes from, as the reference says it: `{"score":0.9,"source":"known"}`. The last one is kept as it was
/// written, because most answers in a row say the same in the same encoding.
#[derive(Debug, Default)]
pub(super) struct Breakdown {
    of: Option<(u64, Source)>,
    written: Written,
}

#[derive(Debug)]
enum Written {
    Json(heapless::String<MAX_BREAKDOWN>),
    Msgpack(heapless::Vec<u8, MAX_BREAKDOWN>),
}

/// A score, a word and a count fit by far.
const MAX_BREAKDOWN: usize = 96;

impl Breakdown {
    pub(super) fn value(&mut self, judged: &Judged<'_>, encoding: Encoding) -> Value<'_> {
        let of = Some((judged.trust.to_bits(), judged.source));
        let packed = encoding == Encoding::Msgpack;
        if self.of != of || packed != matches!(self.written, Written::Msgpack(_)) {
            let written = if packed { Written::msgpack(judged) } else { Written::json(judged) };
            self.of = written.as_ref().and(of);
            self.written = written.unwrap_or_default();
        }
        match &self.written {
            _ if self.of.is_none() => Value::EMPTY_OBJECT,
            Written::Json(text) => Value::from_wire(text),
            Written::Msgpack(bytes) => Value::from_wire_msgpack(bytes),
        }
    }
}

impl Default for Written {
    fn default() -> Self {
        Self::Json(heapless::String::new())
    }
}

impl Written {
    fn json(judged: &Judged<'_>) -> Option<Self> {
        let mut text = heapless::String::new();
        let (score, source) = (Number::Float(judged.trust), judged.source.as_str());
        write!(text, "{{\"score\":{score},\"source\":\"{source}\"").ok()?;
        if let Source::Vouched { count } = judged.source {
            write!(text, ",\"vouch_count\":{count}").ok()?;
        }
        text.write_str("}").ok()?;
        Some(Self::Json(text))
    }

    fn msgpack(judged: &Judged<'_>) -> Option<Self> {
        let Self::Json(json) = Self::json(judged)? else { return None };
        let mut bytes = [0; MAX_BREAKDOWN];
        let mut sink = SliceSink::new(&mut bytes);
        msgpack::transcode::value(&mut sink, Value::from_wire(&json)).ok()?;
        heapless::Vec::from_slice(sink.written()).ok().map(Self::Msgpack)
    }
}
