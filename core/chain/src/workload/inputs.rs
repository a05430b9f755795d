//! What a workload is told.

use super::data::hash_data;
use super::refused::Refused;
use crate::token::Hash32;
use sluis_core::data::Value;

/// A workload that is to be created.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NewWorkload<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whose it is.
    pub owner: &'a str,
    /// Its SPIFFE ID, or empty.
    pub spiffe_id: &'a str,
    /// Who coordinates it, and executes its steps unless they say otherwise: a DID or SPIFFE ID.
    pub actor: &'a str,
    /// Where that is.
    pub node: &'a str,
    /// The token for which it is made.
    pub parent_id: Option<&'a str>,
    /// Anything else about it: an object.
    pub metadata: Value<'a>,
    /// Keep the tampered data itself in the finding of a compromised step.
    pub keep_data: bool,
    /// Most steps it may have; 0 for as many as there is room for.
    pub max_steps: u32,
}

/// A step that is to be added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NewStep<'a> {
    /// Its name, unique in the workload.
    pub name: &'a str,
    /// Who is to run it; nobody named: who coordinates the workload.
    pub executor: Option<&'a str>,
    /// Why.
    pub intent: Option<&'a str>,
    /// Anything else about it: an object.
    pub metadata: Value<'a>,
    /// Its input need not be the output of the step before.
    pub independent: bool,
}

/// What goes into a step, or comes out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Data<'a> {
    /// Nothing that is named. As the input of a step that is tied to the step before it is that one's output.
    #[default]
    None,
    /// This value.
    Value(Value<'a>),
    /// What was hashed elsewhere: files, say.
    Hash(Hash32),
}

impl Data<'_> {
    /// Its hash, none for what Python calls false.
    pub(super) fn hash(self) -> Result<Option<Hash32>, Refused> {
        Ok(match self {
            Self::None => None,
            Self::Value(value) => hash_data(value)?,
            Self::Hash(hash) => Some(hash),
        })
    }
}

/// How a step ended that was completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Well.
    Completed,
    /// Its input was another than the one recorded at the start. Final.
    Compromised {
        /// The hash of the input that was recorded.
        expected: Hash32,
        /// The hash of the input as it was found.
        actual: Hash32,
    },
}
