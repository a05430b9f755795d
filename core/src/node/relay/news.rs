//! What a trace told.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::Path;
use crate::node::RequestId;
use crate::relay::trace::{Field, Hop, Report, Tampered, Verdict};
use crate::time::{Duration, Wall};

/// The way that a ping took to us, or ours and its answer there and back, as its trace tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceNews {
    /// The request of ours that was answered; `None` for a ping of somebody else.
    pub request: Option<RequestId>,
    /// Who sent the ping, or answered ours.
    pub did: Box<str>,
    /// The id of the ping.
    pub packet_id: Box<str>,
    /// Where it came from: the last relay on its way.
    pub from: Path,
    /// Time since the request was made.
    pub rtt: Option<Duration>,
    /// Whether what bore it counts: an answer that is not signed as it should be does not, and its request goes on waiting; its trace may tell who changed what.
    pub believed: bool,
    /// Every hop, in order. Behind who answered it goes on counting on the way back.
    pub hops: Vec<PathHop>,
    /// Every place where the trace does not fit, in order.
    pub tampered: Vec<Tampering>,
}

/// One hop, or several of which there is nothing to tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathHop {
    /// Its number: 0 is the source.
    pub n: u8,
    /// How many hops this is about.
    pub count: u8,
    /// Its name: as it says itself, if it signed nothing that can be verified.
    pub did: Option<Box<str>>,
    /// When it says that it was, by its own clock.
    pub when: Option<Wall>,
    /// What to think of it.
    pub verdict: Verdict,
    /// Whether it is the one who answered.
    pub turn: bool,
}

/// A place where a trace does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tampering {
    /// Who did it, where only one can have.
    pub relay: Option<Box<str>>,
    /// The last one before that who signed, and the first one behind it; `None` for the source, or ourselves.
    pub between: (Option<Box<str>>, Option<Box<str>>),
    /// What was changed.
    pub field: Field,
}

impl From<&Hop<'_>> for PathHop {
    fn from(hop: &Hop<'_>) -> Self {
        let &Hop { n, count, did, when, verdict, turn } = hop;
        Self { n, count, did: did.map(Into::into), when, verdict, turn }
    }
}

impl From<&Tampered<'_>> for Tampering {
    fn from(tampered: &Tampered<'_>) -> Self {
        let &Tampered { relay, between: (before, behind), field } = tampered;
        let between = (before.map(Into::into), behind.map(Into::into));
        Self { relay: relay.map(Into::into), between, field }
    }
}

impl TraceNews {
    pub(super) fn read(&mut self, report: &Report<'_>) {
        self.hops = report.hops().iter().map(PathHop::from).collect();
        self.tampered = report.tampered().iter().map(Tampering::from).collect();
    }
}
