//! Events and ids as version 1 of recordings has them: as the types of that time printed themselves.

use core::fmt;

use crate::Path;
use crate::airlock::{Source, WaitingId};
use crate::framing::{Decision, Encoding, Zone};
use crate::node::{AnswerError, Answered, Decided, Event, OpenId, Outcome, Received, RequestId, WaitId};
use crate::time::Duration;

#[derive(Debug)]
#[allow(dead_code, reason = "it is printed")]
struct PingId {
    /// Called as the first version wrote it.
    room: Place,
    id: WaitingId,
}

#[derive(Debug)]
enum Place {
    Waiting,
    Open,
}

impl From<WaitId> for PingId {
    fn from(id: WaitId) -> Self {
        Self { room: Place::Waiting, id: id.slot }
    }
}

impl From<OpenId> for PingId {
    fn from(id: OpenId) -> Self {
        Self { room: Place::Open, id: id.0 }
    }
}

/// Events that have changed since, under the names that they had.
mod then {
    use core::net::{IpAddr, SocketAddr};

    use super::{Decision, Duration, Encoding, Outcome, Path, PingId, RequestId, Source, Zone};

    #[derive(Debug)]
    #[allow(dead_code, reason = "it is printed")]
    pub(super) struct Route {
        pub(super) remote: SocketAddr,
        pub(super) local: Option<IpAddr>,
    }

    impl From<Path> for Route {
        fn from(Path { remote, local, .. }: Path) -> Self {
            Self { remote, local }
        }
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "it is printed")]
    pub(super) struct Received<'a> {
        pub(super) id: Option<PingId>,
        pub(super) encoding: Encoding,
        pub(super) from: Route,
        pub(super) zone: Zone,
        pub(super) decision: Decision,
        pub(super) trust: f64,
        pub(super) source: Source,
        pub(super) rule: Option<&'a str>,
        pub(super) frame: [u8; 0],
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "it is printed")]
    pub(super) struct Decided<'a> {
        pub(super) id: PingId,
        pub(super) packet_id: &'a str,
        pub(super) source_did: &'a str,
        pub(super) outcome: Outcome,
        pub(super) open: Option<PingId>,
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "it is printed")]
    pub(super) struct Answered {
        pub(super) request: RequestId,
        pub(super) decision: Decision,
        pub(super) from: Route,
        pub(super) rtt: Duration,
        pub(super) last: bool,
        pub(super) frame: [u8; 0],
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "it is printed")]
    pub(super) enum Event<'a> {
        Decided(Decided<'a>),
        Timeout { request: RequestId, pending: bool },
        Unanswered(PingId),
        Heartbeat { did: &'a str, route: Route },
        PeerSeen { did: &'a str, route: Route },
        PeerLost { did: &'a str },
    }
}

/// An event, without the datagram that it lends.
pub(super) struct Shown<'a>(pub(super) &'a Event<'a>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = match *self.0 {
            Event::Ping(Received { wait, open, encoding, from, zone, decision, trust, source, rule, .. }) => {
                let id = wait.map(PingId::from).or(open.map(PingId::from));
                let (frame, from) = ([], from.into());
                let then = then::Received { id, encoding, from, zone, decision, trust, source, rule, frame };
                return write!(f, "{then:?}");
            }
            Event::Response(Answered { request, decision, from, rtt, last, .. }) => {
                let (frame, from) = ([], from.into());
                return write!(f, "{:?}", then::Answered { request, decision, from, rtt, last, frame });
            }
            Event::Decided(Decided { wait, packet_id, source_did, outcome, open, .. }) => {
                let (id, open) = (wait.into(), open.map(PingId::from));
                then::Event::Decided(then::Decided { id, packet_id, source_did, outcome, open })
            }
            Event::Timeout { request, pending } => then::Event::Timeout { request, pending },
            // There was no such event: its request ran out of time.
            Event::Unsent { request, .. } => then::Event::Timeout { request, pending: false },
            Event::Unanswered(id) => then::Event::Unanswered(id.into()),
            Event::Heartbeat { did, path } => then::Event::Heartbeat { did, route: path.into() },
            Event::PeerSeen { did, path } => then::Event::PeerSeen { did, route: path.into() },
            Event::PeerLost { did } => then::Event::PeerLost { did },
            // Nothing that brings these about was in a recording of that time.
            Event::Retired { .. }
            | Event::Session(_)
            | Event::Pinned { .. }
            | Event::Kept { .. }
            | Event::Lan(_)
            | Event::Trace(_)
            | Event::Reservation(_)
            | Event::Overlay(_)
            | Event::Operation { .. } => return Ok(()),
        };
        write!(f, "{event:?}")
    }
}

/// What came of an approval.
pub(super) fn approval(out: Result<Option<OpenId>, AnswerError>) -> impl fmt::Debug {
    out.map(|open| open.map(PingId::from))
}
