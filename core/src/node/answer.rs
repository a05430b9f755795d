//! Writing answers.

use core::fmt::Write as _;

use super::ids::Ids;
use super::ping::AnswerError;
use super::policy::Judged;
use super::queue::{Queue, StageError, Written};
use crate::Route;
use crate::airlock::Source;
use crate::framing::{Decision, EncodeError, Encoding, Number, Response, Text, Value};
use crate::time::{Now, iso};

/// Bytes that a packet or an answer takes beyond its variable parts, generously.
pub(super) const fn overhead(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Json | Encoding::Msgpack => 512,
        // No names of members, and a byte for each that is absent.
        Encoding::Postcard => 224,
    }
}

/// An answer to be written.
pub(super) struct Answer<'a> {
    pub(super) in_response_to: Text<'a>,
    pub(super) decision: Decision,
    pub(super) payload: Value<'a>,
    pub(super) judged: Judged<'a>,
    pub(super) route: Route,
    pub(super) encoding: Encoding,
    /// Bytes that the address may be sent; `None` when it has proven itself.
    pub(super) allowance: Option<usize>,
}

impl Answer<'_> {
    /// Write the answer behind the send queue without queueing it yet, and say how long it is.
    pub(super) fn stage(
        &self,
        now: Now,
        did: &str,
        ids: &mut Ids,
        breakdown: &mut Breakdown,
        out: &mut Queue<Route>,
    ) -> Result<usize, AnswerError> {
        let id = ids.response();
        let mut stamp = [0; 32];
        let response = Response {
            response_id: Text::from_wire(id.as_str()),
            in_response_to: self.in_response_to,
            responder_did: Text::new(did),
            decision: self.decision,
            payload: self.payload,
            trust_score: Number::Float(self.judged.trust),
            fira_breakdown: breakdown.value(&self.judged),
            timestamp: Text::from_wire(iso::format(now.wall, &mut stamp)),
            airlock_zone: Text::from_wire(self.judged.zone.as_str()),
            applied_rule: self.judged.rule.map(Text::new),
            // No token yet, and no `rtt_ms`: a machine has no clock to measure its own time with.
            ..Response::default()
        };
        let max = self.route.max_datagram();
        let guess = overhead(self.encoding) + did.len() + self.payload.raw_len();
        let len = stage_frame(out, guess, |space| response.encode(self.encoding, space)).map_err(|e| match e {
            StageError::Full => AnswerError::QueueFull,
            StageError::Failed(EncodeError::TooLarge { .. }) => AnswerError::TooLarge { max },
            StageError::Failed(why) => AnswerError::Encode(why),
        })?;
        if len > max {
            return Err(AnswerError::TooLarge { max });
        }
        match self.allowance {
            Some(allowed) if len > allowed => Err(AnswerError::Unproven { len, allowed }),
            _ => Ok(len),
        }
    }
}

/// Write a frame behind a queue, offering more space until it fits.
pub(super) fn stage_frame(
    out: &mut Queue<Route>,
    guess: usize,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<usize, StageError<EncodeError>> {
    out.stage(guess, |space| match encode(space) {
        Ok(len) => Written::Bytes(len),
        Err(EncodeError::BufferFull) => Written::MoreSpace,
        Err(why) => Written::Failed(why),
    })
}

/// Where the trust comes from, as the reference says it: `{"score":0.9,"source":"known"}`. The last one is kept, because
/// most answers in a row say the same.
#[derive(Debug, Default)]
pub(super) struct Breakdown {
    of: Option<(u64, Source)>,
    text: heapless::String<96>,
}

impl Breakdown {
    fn value(&mut self, judged: &Judged<'_>) -> Value<'_> {
        let of = Some((judged.trust.to_bits(), judged.source));
        if self.of != of {
            self.text.clear();
            // A score, a word and a count fit by far.
            self.of = of.filter(|_| self.write(judged).is_ok());
        }
        if self.of.is_some() { Value::from_wire(&self.text) } else { Value::EMPTY_OBJECT }
    }

    fn write(&mut self, judged: &Judged<'_>) -> core::fmt::Result {
        let (score, source) = (Number::Float(judged.trust), judged.source.as_str());
        write!(self.text, "{{\"score\":{score},\"source\":\"{source}\"")?;
        if let Source::Vouched { count } = judged.source {
            write!(self.text, ",\"vouch_count\":{count}")?;
        }
        self.text.write_str("}")
    }
}
