//! Making records.

use super::record::{DOMAIN, LINK, MAX_RECORD, MAX_RECORDS, Record, TRACE_HEAD, Trace, flag, head, seal, signed};
use crate::check_did;
use crate::framing::{Digest, EncodeError, Encoding, Packet, Response};
use crate::identity::{SignError, Signer};
use crate::time::Wall;
use sha2::{Digest as _, Sha256};

/// How many bytes a trace may take behind a frame of this length, if the datagram is to go through any network unfragmented: 1,232
/// bytes are what IPv6 carries on every path (RFC 8200, section 5, less its header and that of UDP).
#[must_use]
pub const fn budget(frame: usize) -> usize {
    const EVERY_PATH: usize = 1232;
    EVERY_PATH.saturating_sub(frame)
}

/// Why a record was not made. The packet can go on with the trace as it came: whoever reads that sees a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// There is no room for another record, and none that may be folded.
    #[error("the trace is full")]
    Full,
    /// The buffer is smaller than the trace would be.
    #[error("the buffer is too small for the trace")]
    BufferFull,
    /// Our own name is none that can be written.
    #[error("a trace needs a name of 1 to 256 bytes")]
    Name,
    /// More hops than a record counts, 255, or fewer than none.
    #[error("a trace counts from 1 to 255 hops")]
    Hops,
    /// The signer did not sign.
    #[error(transparent)]
    Signer(#[from] SignError),
}

/// The digest that records of a trace bear for a ping: SHA-256 over its frame as JSON, with `hop_count` 0 and without a proof. What a
/// reference relay does to a ping does not change it, nor does another encoding.
///
/// `scratch` takes that frame: as much as the ping has as JSON.
///
/// # Errors
/// JSON has no form for something in it, or the buffer is too small.
pub fn ping_digest(packet: &Packet<'_>, scratch: &mut [u8]) -> Result<Digest, EncodeError> {
    let len = Packet { hop_count: 0, proof: None, ..*packet }.encode(Encoding::Json, scratch)?;
    Ok(Sha256::digest(scratch.get(..len).unwrap_or_default()).into())
}

/// The same for a response.
///
/// # Errors
/// As [`ping_digest`].
pub fn response_digest(response: &Response<'_>, scratch: &mut [u8]) -> Result<Digest, EncodeError> {
    let len = Response { proof: None, ..*response }.encode(Encoding::Json, scratch)?;
    Ok(Sha256::digest(scratch.get(..len).unwrap_or_default()).into())
}

/// What somebody did with a packet, to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed<'a> {
    /// Made the ping.
    Asked {
        /// The ping that leaves.
        ping: &'a Digest,
    },
    /// Passed a ping or a response on.
    Passed {
        /// The packet that came.
        received: &'a Digest,
        /// The packet that leaves: the same. (Whoever changes a packet and says so is named by everybody who reads the trace.)
        passed: &'a Digest,
        /// The hops that the ping had travelled when it came; `None` for a response, which does not count them.
        hop_count: Option<i64>,
        /// Who it came from, where that is certain: the name of a session, say. `None` where anybody could have sent it.
        from: Option<&'a str>,
    },
    /// Answered a ping.
    Answered {
        /// The ping that came.
        received: &'a Digest,
        /// The response that leaves.
        response: &'a Digest,
        /// The hops that the ping had travelled when it came.
        hop_count: i64,
        /// As in [`Passed`](Self::Passed).
        from: Option<&'a str>,
    },
}

/// A trace with one more record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// How many bytes it takes behind the frame.
    pub len: usize,
    /// What came does not fit the record before: whoever it came from changed it, or the way from there. Only where we know from
    /// whom it came this names somebody ([`Misfit::By`]).
    pub misfit: Option<Misfit>,
}

/// What came is not what the last record of its trace says was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It came from who signed that record: he changed it. We know; to others it is our word against his.
    By,
    /// It came from somebody else, or it is not known from whom.
    Between,
}

/// Put one record more behind those that there are (none where there are none), signed by us, and write all to `out`. What is over
/// the budget is folded: the oldest records that fit go, and the link of the next one goes on to bind them.
///
/// This signs once, hashes the last record, and allocates nothing.
///
/// # Errors
/// [`TraceError`]; then `out` holds nothing of use.
pub fn append(
    trace: Option<Trace<'_>>,
    (did, when): (&str, Wall),
    deed: &Deed<'_>,
    signer: &(impl Signer + ?Sized),
    budget: usize,
    out: &mut [u8],
) -> Result<Appended, TraceError> {
    check_did(did).map_err(|_| TraceError::Name)?;
    // Nothing is in front of the source.
    let trace = trace.filter(|_| !matches!(deed, Deed::Asked { .. }));
    let last = trace.and_then(|trace| trace.last());
    let (record, misfit) = record(last.as_ref(), (did, when), deed)?;
    let mut said = [0; MAX_RECORD];
    let len = record.write(&mut said);
    let mut message = [0; DOMAIN.len() + MAX_RECORD];
    let message = signed(&mut message, said.get(..len).unwrap_or_default()).ok_or(TraceError::Name)?;
    let signature = signer.sign(message)?;
    let len = seal(&mut said, len, &signature);
    let fresh = said.get(..len).unwrap_or_default();

    let kept = fold(trace, fresh.len(), budget)?;
    let mut end = TRACE_HEAD;
    let records = trace.iter().flat_map(Trace::records).enumerate();
    let old = records.filter(|(n, _)| kept & 1 << n != 0).map(|(_, record)| record.bytes);
    for bytes in old.chain([fresh]) {
        out.get_mut(end..end + bytes.len()).ok_or(TraceError::BufferFull)?.copy_from_slice(bytes);
        end += bytes.len();
    }
    let head = head(kept.count_ones() as usize + 1, end - TRACE_HEAD).ok_or(TraceError::Full)?;
    out.get_mut(..TRACE_HEAD).ok_or(TraceError::BufferFull)?.copy_from_slice(&head);
    Ok(Appended { len: end, misfit })
}

/// What is to be signed, behind this record.
fn record<'a>(
    last: Option<&Record<'_>>,
    (did, when): (&'a str, Wall),
    deed: &Deed<'_>,
) -> Result<(Record<'a>, Option<Misfit>), TraceError> {
    let link = last.map_or([0; LINK], |last| Record::link_to(last.bytes));
    let depth = last.map_or(Some(0), |last| last.depth.checked_add(1)).ok_or(TraceError::Hops)?;
    let when = u64::try_from(when.as_micros()).unwrap_or(0);
    let said = |flags, hop, received: &Digest, passed: &Digest| Record {
        flags,
        hop,
        depth,
        when,
        link,
        received: *received,
        passed: *passed,
        did,
        bytes: &[],
    };
    match *deed {
        Deed::Asked { ping } => Ok((said(flag::ORIGIN, 0, ping, ping), None)),
        Deed::Passed { received, passed, hop_count, from } => {
            let came = hop_count.or(last.map(|last| last.hop.into())).unwrap_or(0);
            let misfit = last.and_then(|last| misfit(last, received, came, from));
            let changed = if received == passed { 0 } else { flag::CHANGED };
            Ok((said(changed | flags(misfit), hop_after(came)?, received, passed), misfit))
        }
        Deed::Answered { received, response, hop_count, from } => {
            let misfit = last.and_then(|last| misfit(last, received, hop_count, from));
            Ok((said(flag::TURN | flags(misfit), hop_after(hop_count)?, received, response), misfit))
        }
    }
}

fn hop_after(hop_count: i64) -> Result<u8, TraceError> {
    hop_count.checked_add(1).and_then(|hop| u8::try_from(hop).ok()).filter(|hop| *hop > 0).ok_or(TraceError::Hops)
}

const fn flags(misfit: Option<Misfit>) -> u8 {
    match misfit {
        None => 0,
        Some(Misfit::Between) => flag::GAP,
        Some(Misfit::By) => flag::DISPUTE,
    }
}

/// Whether what came fits what the last record says was passed on, and if not, what is known of who it came from.
fn misfit(last: &Record<'_>, received: &Digest, hop_count: i64, from: Option<&str>) -> Option<Misfit> {
    let fits = last.passed == *received && i64::from(last.hop) <= hop_count;
    match from {
        _ if fits => None,
        Some(from) if from == last.did => Some(Misfit::By),
        _ => Some(Misfit::Between),
    }
}

/// Which of the records stay, as bits, if one of this length is to be added.
///
/// The record of the source stays, and the last one, which the new one is linked to. So do two that do not fit each other, and
/// whatever else names somebody: folding must not take away what a tamperer signed.
fn fold(trace: Option<Trace<'_>>, fresh: usize, budget: usize) -> Result<u64, TraceError> {
    let Some(trace) = trace else {
        return if TRACE_HEAD + fresh <= budget { Ok(0) } else { Err(TraceError::Full) };
    };
    let (count, mut len) = (trace.count(), trace.encoded_len() + fresh);
    let mut kept = u64::MAX >> (64 - count);
    let mut left = count;
    let mut before: Option<Record<'_>> = None;
    let mut records = trace.records().peekable();
    for n in 0..count {
        let (Some(record), next) = (records.next(), records.peek()) else { break };
        if len <= budget && left < MAX_RECORDS {
            break;
        }
        let fits_before = before.is_none_or(|before| follows(&before, &record));
        if fits_before && next.is_some_and(|next| follows(&record, next)) && !record.has(flag::ALL) {
            kept &= !(1 << n);
            (len, left) = (len - record.bytes.len(), left - 1);
        } else {
            before = Some(record);
        }
    }
    if len <= budget && left < MAX_RECORDS { Ok(kept) } else { Err(TraceError::Full) }
}

/// Whether a record fits the one before it, so that the two name nobody.
fn follows(before: &Record<'_>, record: &Record<'_>) -> bool {
    before.passed == record.received && before.hop < record.hop && !record.has(flag::GAP | flag::DISPUTE)
}
