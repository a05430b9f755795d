//! The sender that the gate turned away last, for the operator.

use crate::Route;
use crate::airlock::Source;
use crate::limits::{MAX_DID, MAX_INTENT};
use crate::time::{Duration, Instant};

/// How long one is kept before the next may take its place.
const PAUSE: Duration = Duration::from_secs(1);

/// A sender that met silence: one place of fixed size, taken at most once a second, with
/// [`NodeConfig::tell_refused`](super::NodeConfig::tell_refused).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refused {
    did: heapless::String<MAX_DID>,
    intent: heapless::String<MAX_INTENT>,
    rule: bool,
    /// Where the packet came from. Anybody can write any name there, and any address.
    pub from: Route,
    /// When it came.
    pub at: Instant,
    /// How far the name is trusted.
    pub trust: f64,
    /// Where that trust comes from.
    pub source: Source,
}

impl Refused {
    /// The name on the packet.
    #[must_use]
    pub fn source_did(&self) -> &str {
        &self.did
    }

    /// What it wanted.
    #[must_use]
    pub fn intent(&self) -> &str {
        &self.intent
    }

    /// Whether a rule turned it away, so that trust alone would not let it in.
    #[must_use]
    pub const fn by_rule(&self) -> bool {
        self.rule
    }

    /// Note a refused packet where one was not noted too recently.
    pub(super) fn note(
        place: &mut Option<alloc::boxed::Box<Self>>,
        at: Instant,
        from: Route,
        (did, intent): (&str, &str),
        (trust, source, rule): (f64, Source, bool),
    ) {
        if place.as_ref().is_some_and(|last| at < last.at + PAUSE) {
            return;
        }
        // Both are within their limits: the gate has looked at them.
        let (Ok(did), Ok(intent)) = (did.try_into(), intent.try_into()) else { return };
        let refused = Self { did, intent, rule, from, at, trust, source };
        match place {
            Some(last) => **last = refused,
            None => *place = Some(alloc::boxed::Box::new(refused)),
        }
    }
}
