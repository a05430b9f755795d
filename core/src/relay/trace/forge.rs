//! Records made by hand, as who means harm makes them: for simulations and tests.

use alloc::vec::Vec;

use super::Trace;
use super::record::{DOMAIN, LINK, MAX_RECORD, Record, head, seal, signed};
use crate::framing::Digest;
use crate::identity::SecretKey;
use crate::time::Wall;

/// These records with one more behind them.
pub(super) fn forge(records: &[&[u8]], fresh: &[u8]) -> Option<Vec<u8>> {
    let all: Vec<u8> = records.iter().copied().chain([fresh]).flatten().copied().collect();
    let mut bytes = head(records.len() + 1, all.len())?.to_vec();
    bytes.extend(all);
    Some(bytes)
}

/// A record that says that this digest was received and passed on, whatever was.
pub(super) fn by_hand(
    (did, when, key): (&str, Wall, &SecretKey),
    digest: &Digest,
    (hop, depth): (u8, u8),
    link: [u8; LINK],
    flags: u8,
) -> Option<Vec<u8>> {
    let when = u64::try_from(when.as_micros()).ok()?;
    let record = Record { flags, hop, depth, when, link, received: *digest, passed: *digest, did, bytes: &[] };
    let mut out = [0; MAX_RECORD];
    let len = record.write(&mut out);
    let mut message = [0; DOMAIN.len() + MAX_RECORD];
    let signature = key.sign_now(signed(&mut message, out.get(..len)?)?);
    let end = seal(&mut out, len, &signature);
    Some(out.get(..end)?.to_vec())
}

/// The same behind the records that came, bound to the last of them.
pub(crate) fn lie(trace: Trace<'_>, who: (&str, Wall, &SecretKey), digest: &Digest, flags: u8) -> Option<Vec<u8>> {
    let records: Vec<&[u8]> = trace.records().map(|record| record.bytes).collect();
    let last = trace.last()?;
    let place = (last.hop.checked_add(1)?, last.depth.checked_add(1)?);
    forge(&records, &by_hand(who, digest, place, Record::link_to(last.bytes), flags)?)
}
