//! What is known of a node from outside, kept beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use sluis_core::Path;
use sluis_core::framing::Encoding;
use sluis_core::node::{OpenId, RequestId, WaitId};

/// Everything that went in and came out.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Datagrams that went in.
    pub(super) received: u64,
    /// Bytes that each address sent us.
    pub(super) sent_us: BTreeMap<SocketAddr, usize>,
    /// Bytes of answers that each address was sent.
    pub(super) was_sent: BTreeMap<SocketAddr, usize>,
    /// Addresses that answered a request of ours.
    pub(super) proven: BTreeSet<SocketAddr>,
    /// Sender, nonce and time of every packet that was taken in.
    pub(super) taken: BTreeSet<(String, String, i64)>,
    /// Everyone who passed the gate or answered us.
    pub(super) heard: BTreeSet<String>,
    /// Answers that are due to be sent: to whom, for which packet, in which encodings it may be.
    pub(super) due: BTreeMap<(SocketAddr, String), Due>,
    /// Requests in the order they were made, until their pings came out.
    pub(super) asked: VecDeque<RequestId>,
    pub(super) requests: Vec<Asked>,
    pub(super) by_id: HashMap<RequestId, usize>,
    /// Pings that the application was told of and has to speak about.
    pub(super) waiting: Vec<Told<WaitId>>,
    pub(super) open: Vec<Told<OpenId>>,
    /// Announced by approval, before its event.
    pub(super) approved: HashMap<WaitId, OpenId>,
    pub(super) peers: BTreeSet<String>,
    pub(super) counts: Counts,
    /// Datagrams that were received, for playing them again.
    pub(super) kept: Vec<(Path, Vec<u8>)>,
    /// Everything that came out, in order.
    pub(super) trace: Vec<u8>,
}

/// Answers to one packet id of one address.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) count: usize,
    pub(super) encodings: Vec<Encoding>,
}

/// A request of ours.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: RequestId,
    pub(super) path: Path,
    pub(super) whom: String,
    /// Once its ping came out.
    pub(super) packet_id: Option<String>,
    pub(super) pending: bool,
    /// It was answered, ran out of time, or was forgotten.
    pub(super) over: bool,
    /// Answers that came and whose events were not polled yet.
    pub(super) queued: usize,
    /// It was forgotten: only answers that came before are still told.
    pub(super) forgotten: bool,
}

/// A ping that the application was told of.
#[derive(Clone, Debug)]
pub(super) struct Told<I> {
    pub(super) id: I,
    pub(super) from: SocketAddr,
    pub(super) packet_id: String,
}

/// Events by kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) pings: u64,
    pub(super) decided: u64,
    pub(super) responses: u64,
    pub(super) timeouts: u64,
    pub(super) unanswered: u64,
    pub(super) transmits: u64,
    pub(super) requests: u64,
}

impl Ledger {
    /// An answer was queued.
    pub(super) fn owe(&mut self, to: SocketAddr, packet_id: &str) {
        self.due.entry((to, packet_id.to_owned())).or_default().count += 1;
    }

    /// A packet of an address may be answered in this encoding.
    pub(super) fn allow(&mut self, to: SocketAddr, packet_id: &str, encoding: Encoding) {
        self.due.entry((to, packet_id.to_owned())).or_default().encodings.push(encoding);
    }

    pub(super) fn note(&mut self, what: &str) {
        self.trace.extend(what.as_bytes());
        self.trace.push(b'\n');
    }

    /// The request that an event is about.
    pub(super) fn request(&mut self, id: RequestId) -> &mut Asked {
        let at = *self.by_id.get(&id).expect("an event about a request that was never made");
        &mut self.requests[at]
    }
}

/// One of several, chosen by a small number.
pub(super) fn choose<T>(from: &[T], which: u8) -> Option<&T> {
    from.get(usize::from(which) % from.len().max(1))
}
