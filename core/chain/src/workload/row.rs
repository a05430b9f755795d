//! What is kept of a step.

use super::ids::StepId;
use super::status::StepStatus;
use super::storage::StepStorage;
use crate::token::Hash32;
use sluis_core::table::{Chain, Chained};
use sluis_core::time::{Now, Wall};

/// The index of steps by name.
pub(super) struct ByName;

/// A step in that index. Apart from the step itself, so that many are close together: the index looks at a few with each that is added.
pub(super) struct Named {
    chain: Chain,
    /// The slot of the step.
    pub(super) slot: u32,
}

impl Named {
    pub(super) fn new(slot: u32) -> Self {
        Self { chain: Chain::default(), slot }
    }
}

/// A step.
pub(super) struct Row<S: StepStorage> {
    pub(super) name: S::Text,
    pub(super) rare: Option<S::Rare<Rare<S>>>,
    pub(super) id: StepId,
    pub(super) status: StepStatus,
    pub(super) independent: bool,
    pub(super) input: Option<Hash32>,
    pub(super) output: Option<Hash32>,
    pub(super) started: Option<Now>,
    pub(super) ended: Wall,
    pub(super) micros: u64,
}

/// What few steps have.
pub(super) struct Rare<S: StepStorage> {
    /// Who was to run it, as it was added.
    pub(super) executor: Option<S::Text>,
    /// Who ran it, if that was another.
    pub(super) runner: Option<S::Text>,
    pub(super) intent: Option<S::Text>,
    pub(super) metadata: Option<S::Text>,
    pub(super) error: Option<S::Text>,
    /// Of the input as it was found.
    pub(super) actual: Option<Hash32>,
    pub(super) data: Option<S::Text>,
    pub(super) spiffe: Option<(S::Text, Wall, Hash32)>,
    /// Where it ran, if that was elsewhere.
    pub(super) node: Option<S::Text>,
    pub(super) handed: Handed,
    /// It was started in another process.
    pub(super) elsewhere: bool,
    /// When the offer is void.
    pub(super) expires: Wall,
}

/// Whether a step was handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Handed {
    /// It runs here.
    #[default]
    No,
    /// An offer is out.
    Offered,
    /// It came back, as a token of its own.
    Admitted,
}

impl<S: StepStorage> Default for Rare<S> {
    fn default() -> Self {
        Self {
            executor: None,
            runner: None,
            intent: None,
            metadata: None,
            error: None,
            actual: None,
            data: None,
            spiffe: None,
            node: None,
            handed: Handed::No,
            elsewhere: false,
            expires: Wall::MIN,
        }
    }
}

impl<S: StepStorage> Row<S> {
    pub(super) fn new(id: StepId, name: S::Text, independent: bool) -> Self {
        Self {
            name,
            rare: None,
            id,
            status: StepStatus::Pending,
            independent,
            input: None,
            output: None,
            started: None,
            ended: Wall::MIN,
            micros: 0,
        }
    }

    pub(super) fn rare_mut(&mut self) -> &mut Rare<S> {
        self.rare.get_or_insert_with(|| S::rare(Rare::default()))
    }

    pub(super) fn rare(&self) -> Option<&Rare<S>> {
        self.rare.as_deref()
    }

    pub(super) fn handed(&self) -> Handed {
        self.rare().map_or(Handed::No, |rare| rare.handed)
    }

    /// Only its signed token ends it.
    pub(super) fn is_handed_over(&self) -> bool {
        self.handed() == Handed::Offered
    }

    /// A text that few steps have.
    pub(super) fn note<'r>(&'r self, pick: impl FnOnce(&'r Rare<S>) -> &'r Option<S::Text>) -> Option<&'r str> {
        self.rare().and_then(|rare| pick(rare).as_ref()).map(AsRef::as_ref)
    }
}

impl Chained<ByName> for Named {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}
