//! An answer that travels as the payload of a ping: the way back where a reference relay stands in between.
//!
//! A reference node drops every response that it did not ask for itself, so an answer cannot go back over one. Pings it passes on.
//! So whoever got a ping over a relay that does not speak this protocol sends the answer as a ping of its own, to the name that asked:
//!
//! ```text
//! intent "overlay.answer" · routing_mode "mesh" · payload {"response":<members of the response>}
//! ```
//!
//! The response in it is the one that would have gone as JSON, its proof included: who asked opens the payload and judges what comes
//! out as it judges any response. The ping around it is judged by the airlock as any ping, and draws no answer.

use crate::data::{Sink as _, SliceSink};
use crate::framing::{EncodeError, Encoding, Header, Response, Text, Value};
use crate::limits::{HEADER_LEN, MAX_PAYLOAD};

/// The intent of a ping that carries an answer.
pub const ANSWER_INTENT: &str = "overlay.answer";
const KEY: &str = "response";
const HEAD: &[u8] = b"{\"response\":";

/// Write the payload of a ping that carries this response, and say how long it is. A proof in the response has to be one for
/// [`Encoding::Json`].
///
/// # Errors
/// As [`Response::encode`].
pub fn pack_answer(response: &Response<'_>, out: &mut [u8]) -> Result<usize, EncodeError> {
    // The response goes to where it ends up, with the header of its frame in front, which is then written over.
    let start = HEAD.len() - HEADER_LEN;
    let len = response.encode(Encoding::Json, out.get_mut(start..).ok_or(EncodeError::BufferFull)?)?;
    let end = start + len;
    let mut head = SliceSink::new(out);
    head.put(HEAD)?;
    *out.get_mut(end).ok_or(EncodeError::BufferFull)? = b'}';
    Ok(end + 1)
}

/// The id of the ping that is answered by the response that a payload carries: looked up in place, so that what nobody asked for is not unpacked.
pub(crate) fn peek_answered(payload: Value<'_>) -> Option<Text<'_>> {
    payload.get(KEY)?.get("in_response_to")?.as_text()
}

/// The frame of the response that a payload carries, as a datagram; how long it is. `None` where it carries none.
///
/// What comes out is to be taken as a datagram is: nothing of it was checked.
#[must_use]
pub fn unpack_answer(payload: Value<'_>, out: &mut [u8]) -> Option<usize> {
    let response = payload.get(KEY).filter(|value| value.is_object())?;
    let (head, rest) = out.split_at_mut_checked(HEADER_LEN)?;
    let mut sink = SliceSink::new(rest);
    response.write_json(&mut sink, crate::data::Style::WIRE).ok()?;
    let len = sink.len();
    if len > MAX_PAYLOAD {
        return None;
    }
    let header = Header { response: true, encoding: Encoding::Json, len: u32::try_from(len).ok()? };
    head.copy_from_slice(&header.to_bytes());
    Some(HEADER_LEN + len)
}
