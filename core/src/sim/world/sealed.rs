//! What must hold of sessions, where nodes have them.

use alloc::collections::BTreeSet;
use alloc::format;

use super::net::Edge;
use super::observe::Observer;
use super::report::Invariant;
use super::said::Said;
use crate::Reject;
use crate::framing::{Frame, Message, PingType, Zone};
use crate::node::{SessionChange, SessionState};
use crate::session::is_session_frame;
use crate::sim::names::{Name, member as member_at};

/// Where the kind of a frame stands, and what makes a packet the only one of its kind: the number of its receiver and its counter.
const KIND: usize = 8;
const HEAD: core::ops::Range<usize> = 12..24;
const FIRST: u8 = 1;
const COOKIE: u8 = 4;
const DATA: u8 = 5;
const REST: u8 = 6;
/// Where the number of the receiver stands in the rest of a message: 0 in that of a first one, which has none yet.
const RECEIVER: core::ops::Range<usize> = 16..20;

/// What a frame of a session is, as everybody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealed {
    First,
    /// What of a first message did not fit into its datagram.
    RestOfFirst,
    Cookie,
    /// A packet, and what it has alone.
    Data([u8; 12]),
    Other,
}

impl Sealed {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let kind = *bytes.get(KIND).filter(|_| is_session_frame(bytes))?;
        Some(match (kind, bytes.get(HEAD).and_then(|head| head.try_into().ok())) {
            (FIRST, _) => Self::First,
            (REST, _) if bytes.get(RECEIVER) == Some(&[0; 4]) => Self::RestOfFirst,
            (COOKIE, _) => Self::Cookie,
            (DATA, Some(head)) => Self::Data(head),
            _ => Self::Other,
        })
    }
}

/// What nodes took in of sessions.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// By node and incarnation.
    packets: BTreeSet<(u32, u32, [u8; 12])>,
}

/// First messages that a node looked at in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looked {
    second: u32,
    count: u32,
}

impl Looked {
    /// A node looked at one more; how many that makes.
    pub(super) const fn count(&mut self, now: u64) -> u32 {
        // Which one it is matters for as long as it lasts only.
        let second = (now / 1_000_000_000) as u32;
        if second != self.second {
            *self = Self { second, count: 0 };
        }
        self.count += 1;
        self.count
    }
}

impl Observer {
    /// A node took a frame of a session in, or turned it away.
    pub(super) fn opened(
        &mut self,
        now: u64,
        (node, incarnation, looked): (u32, u32, &mut Looked),
        sealed: Sealed,
        taken: Result<(), Reject>,
        most: u32,
    ) {
        match (sealed, taken) {
            (Sealed::Data(head), Ok(())) if !self.opened.packets.insert((node, incarnation, head)) => {
                self.object(now, node, Invariant::NoReplay, "took a packet of a session in twice".into());
            }
            // What has no mac costs nothing.
            (Sealed::First, Err(Reject::Cookie | Reject::Header | Reject::Handshake)) => {}
            (Sealed::First, _) => {
                let count = looked.count(now);
                if count > most {
                    let detail = format!("looked at {count} first messages within a second, the cap is {most}");
                    self.object(now, node, Invariant::Load, detail);
                }
            }
            _ => {}
        }
    }

    /// A node sent a frame of a session along an edge. `truthful`: the other end never lies about its name.
    pub(super) fn sent_sealed(
        &mut self,
        now: u64,
        node: u32,
        edge: &mut Edge,
        (sealed, len): (Sealed, usize),
        truthful: bool,
    ) {
        // Who asks of its own accord begins a handshake as it would send a request, which is no answer to anything that came from there.
        if edge.asked && matches!(sealed, Sealed::First | Sealed::RestOfFirst) {
            return;
        }
        edge.gave += len as u64;
        if edge.asked || edge.proven {
            return;
        }
        let Edge { to, gave, got, .. } = *edge;
        if gave > 3 * got {
            let detail = format!("gave the unproven address of node {to} {gave} bytes of sessions for {got}");
            self.object(now, node, Invariant::Amplification, detail);
        }
        // Under load a cookie says no more than that somebody knows whom he writes to.
        if edge.zone == Zone::Rood && truthful && sealed != Sealed::Cookie && !edge.lied {
            self.object(now, node, Invariant::RoodSilence, format!("has a session with node {to}, which is ROOD"));
        }
    }

    /// A node with a key sent something that is not of a session along an edge.
    pub(super) fn sent_plain(&mut self, now: u64, node: u32, edge: &Edge, bytes: &[u8]) {
        let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(bytes) else { return };
        let to = edge.to;
        if packet.proof.is_none() {
            let detail = format!("wrote to node {to}, whose key it has pinned, without a signature");
            self.object(now, node, Invariant::Downgrade, detail);
        }
        if edge.speaks && packet.ping_type != PingType::Heartbeat {
            let detail = format!("wrote to node {to} without a session, after there had been one");
            self.object(now, node, Invariant::Downgrade, detail);
        }
    }

    /// Something happened to a session of a node. `edge` leads to the node of that name.
    pub(super) fn session(
        &mut self,
        now: u64,
        node: u32,
        said: &Said,
        edge: Option<&mut Edge>,
        change: &SessionChange<'_>,
    ) {
        let at = member_at(&change.path.remote);
        let named = Name::member(change.did);
        match change.state {
            SessionState::Up { .. } if change.key.as_ref() != named.and_then(|named| said.key(named)) => {
                let detail = format!("has a session as with {:?}, whose key is another", change.did);
                self.object(now, node, Invariant::NoForgery, detail);
            }
            SessionState::Up { .. } => {
                if let Some(edge) = edge {
                    edge.speaks = true;
                    edge.proven |= at == named;
                }
            }
            SessionState::Moved { .. } if at != named => {
                let detail = format!("let its session with {:?} move to {}", change.did, change.path.remote);
                self.object(now, node, Invariant::NoForgery, detail);
            }
            SessionState::Cloned { .. } => {
                let detail = format!("takes {:?} for two nodes with one key", change.did);
                self.object(now, node, Invariant::NoForgery, detail);
            }
            SessionState::Moved { .. } | SessionState::Rekeyed | SessionState::Down(_) => {}
        }
    }
}
