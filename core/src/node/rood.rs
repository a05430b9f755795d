//! Who met silence last, for an operator who wonders why.

use alloc::string::String;

use crate::Path;

/// The last sender that was turned away as ROOD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rood<'a> {
    /// Its name, or the name that was written.
    pub did: &'a str,
    /// Where it was heard from.
    pub from: Path,
    /// Why.
    pub because: RoodBecause<'a>,
}

/// What made a sender ROOD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoodBecause<'a> {
    /// How far it is trusted: below the threshold.
    Trust,
    /// The rule of this name.
    Rule(&'a str),
    /// No rule matches, and [`GateConfig::otherwise`](crate::airlock::GateConfig::otherwise) is ROOD.
    Otherwise,
}

/// One entry, overwritten by the next.
#[derive(Debug, Default)]
pub(super) struct LastRood {
    did: String,
    rule: String,
    path: Option<Path>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Default)]
enum Kind {
    #[default]
    Trust,
    Rule,
    Otherwise,
}

impl LastRood {
    pub(super) fn set(&mut self, did: &str, path: Path, because: RoodBecause<'_>) {
        self.did.clear();
        self.did.push_str(did);
        self.rule.clear();
        self.path = Some(path);
        self.kind = match because {
            RoodBecause::Trust => Kind::Trust,
            RoodBecause::Otherwise => Kind::Otherwise,
            RoodBecause::Rule(name) => {
                self.rule.push_str(name);
                Kind::Rule
            }
        };
    }

    pub(super) fn get(&self) -> Option<Rood<'_>> {
        let because = match self.kind {
            Kind::Trust => RoodBecause::Trust,
            Kind::Rule => RoodBecause::Rule(&self.rule),
            Kind::Otherwise => RoodBecause::Otherwise,
        };
        Some(Rood { did: &self.did, from: self.path?, because })
    }
}
