//! Several frames in one packet of a session.
//!
//! Frames that wait for the same session leave together, one behind another, since each says in its header how long it is: sealing, and what a
//! datagram costs on its way, is then paid once for all of them. None waits for another one to come.

use super::client::RequestId;
use super::outbox::{Outbox, Wrap, frame_len};
use crate::limits::HEADER_LEN;
use crate::relay::CIRCUIT_HEAD;
use crate::session::{SessionId, sealed_len};

/// Frames that are taken from one packet: more than fit into what we send.
pub(super) const MAX_TAKEN: usize = 64;
/// Frames that leave together.
const MAX_SENT: usize = 16;
/// Bytes of them: what a packet of 1,192 bytes holds. Paths of IPv6 carry 1,280 in one piece, headers and what a circuit adds included.
const MAX_BYTES: usize = 1149;
const _: () = assert!(sealed_len(MAX_BYTES) + CIRCUIT_HEAD <= 1280 - 48);

/// How a frame begins.
const MAGIC: &[u8] = b"TP";

/// The first of several frames, and the others. `None` where there is one: what else stands behind it belongs to it.
pub(super) fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_at_checked(frame_len(bytes).max(HEADER_LEN))?;
    (rest.len() >= HEADER_LEN && rest.starts_with(MAGIC)).then_some((first, rest))
}

/// What leaves in one packet.
pub(super) struct Bundle {
    len: usize,
    /// Of each frame, the request that it asks.
    requests: heapless::Vec<Option<RequestId>, MAX_SENT>,
}

impl Bundle {
    /// The frame that stands in `out`, behind the room that a session needs in front, and behind it those that wait next for the same
    /// session, as far as they fit.
    pub(super) fn gather(
        outbox: &mut Outbox,
        (session, request): (SessionId, Option<RequestId>),
        out: &mut [u8],
    ) -> Self {
        // Sealing needs room behind them, too.
        let most = if out.len() < sealed_len(MAX_BYTES) { 0 } else { MAX_BYTES };
        let body = out.get_mut(Wrap::Sealed.before()..).unwrap_or_default();
        let mut bundle = Self { len: frame_len(body), requests: heapless::Vec::new() };
        let _ = bundle.requests.push(request);
        while !bundle.requests.is_full()
            && let Some(room) = body.get_mut(bundle.len..most)
            && let Some((request, len)) = outbox.next_through(session, room)
        {
            bundle.len += len;
            let _ = bundle.requests.push(request);
        }
        bundle
    }

    /// Bytes of all of them.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The requests that they ask.
    pub(super) fn requests(&self) -> impl Iterator<Item = RequestId> {
        self.requests.iter().copied().flatten()
    }

    /// Each frame in `out` by itself, and the request that it asks.
    pub(super) fn frames<'b>(&'b self, out: &'b [u8]) -> impl Iterator<Item = (&'b [u8], Option<RequestId>)> {
        let body = out.get(Wrap::Sealed.before()..).unwrap_or_default();
        self.requests.iter().scan(body, |rest, request| {
            let (frame, behind) = rest.split_at_checked(frame_len(rest))?;
            *rest = behind;
            Some((frame, *request))
        })
    }
}
