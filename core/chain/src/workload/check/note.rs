//! What is taken down of a token, to be judged in its turn.

use sha2::{Digest as _, Sha256};

use crate::token::{Hash32, Token};
use crate::workload::data::hash_data;
use crate::workload::entry::{After, Entry, Step, StepCounts};
use crate::workload::ids::{StepId, WorkloadId};
use crate::workload::status::{StepStatus, WorkloadStatus};
use sluis_core::data::{FnSink, Value, ValueToken, put_inside};

/// What is taken down of one token of a workload, or of one that may have been one. Small, and borrows nothing.
#[derive(Clone, Copy, Debug)]
pub struct StepNote(pub(super) What);

#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all that are taken down are steps, and they live on the stack")]
pub(super) enum What {
    /// It is not sound, and may have been any.
    Unknown,
    /// Its action is one of a workload; this member is not as it must be.
    Malformed(&'static str),
    /// The first of a workload.
    Created(WorkloadId, Hash32),
    /// A step.
    Step(StepEntry),
    /// The last of a workload.
    Closed(ClosedEntry),
}

/// What counts of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepEntry {
    pub(super) workload_id: WorkloadId,
    pub(super) step_id: StepId,
    /// Of the name.
    pub(super) name: [u8; 16],
    pub(super) sequence: u32,
    pub(super) status: StepStatus,
    pub(super) independent: bool,
    pub(super) input: Option<Hash32>,
    pub(super) output: Option<Hash32>,
    pub(super) after: After,
    /// The hashes of its data, and of the files that it names as that, where they differ.
    pub(super) files: Option<(Option<Hash32>, Option<Hash32>)>,
    /// What was recorded and found as the input of a compromised one.
    pub(super) finding: Option<(Hash32, Hash32)>,
    /// The hash of its token.
    pub(super) token: Hash32,
}

/// What counts of the last token.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClosedEntry {
    pub(super) workload_id: WorkloadId,
    pub(super) status: WorkloadStatus,
    pub(super) counts: StepCounts,
    pub(super) after: After,
}

impl StepNote {
    /// Look at a token: nothing, if it is none of a workload and sound. `sound`: nothing else was found wrong with it.
    #[must_use]
    pub(crate) fn of(token: &Token<'_>, sound: bool) -> Option<Self> {
        let what = match (Entry::read(token), token.said_hash()) {
            (None, _) if sound => return None,
            (None, _) | (Some(Ok(_)), None) => What::Unknown,
            (Some(Err(malformed)), _) => What::Malformed(malformed.0),
            (Some(Ok(Entry::Created(created))), Some(hash)) => What::Created(created.workload_id, hash),
            (Some(Ok(Entry::Step(step))), Some(hash)) => What::Step(StepEntry::of(&step, hash)),
            (Some(Ok(Entry::Closed(closed))), Some(_)) => What::Closed(ClosedEntry {
                workload_id: closed.workload_id,
                status: closed.status,
                counts: closed.counts,
                after: closed.after,
            }),
        };
        Some(Self(what))
    }

    /// A line that is no token, and may have been any.
    #[must_use]
    pub const fn unreadable() -> Self {
        Self(What::Unknown)
    }
}

impl StepEntry {
    fn of(step: &Step<'_>, token: Hash32) -> Self {
        let mut hash = Sha256::new();
        // As it is written: one name has one spelling there.
        let _ = put_inside(step.name, &mut FnSink(|bytes: &[u8]| hash.update(bytes)));
        let hash: [u8; 32] = hash.finalize().into();
        let mut name = [0; 16];
        name.iter_mut().zip(hash).for_each(|(to, byte)| *to = byte);
        Self {
            workload_id: step.workload_id,
            step_id: step.step_id,
            name,
            sequence: step.sequence,
            status: step.status,
            independent: step.independent,
            input: step.input,
            output: step.output,
            after: step.after,
            files: files(step),
            finding: step.finding.map(|finding| (finding.expected, finding.actual)),
            token,
        }
    }
}

/// Where the files that a step names in its metadata are not its data: the hash that it says, and theirs.
fn files(step: &Step<'_>) -> Option<(Option<Hash32>, Option<Hash32>)> {
    let differs = |member, said: Option<Hash32>| {
        let declared = step.metadata.get(member)?;
        if are_files(declared) {
            let is = hash_data(declared).ok()?;
            return (is != said).then_some((said, is));
        }
        // In no other form can hashes agree with anything.
        has_hash(declared).then_some((said, None))
    };
    // What a step put out that was not completed has no hash.
    let output = if step.status == StepStatus::Completed { differs("outputs", step.output) } else { None };
    output.or_else(|| differs("inputs", step.input).filter(|_| step.status.has_run()))
}

/// Whether a value is an object of names and SHA-256 in hex.
fn are_files(value: Value<'_>) -> bool {
    let mut depth = 0;
    value.is_object()
        && value.tokens().all(|token| match token {
            ValueToken::ObjectStart => {
                depth += 1;
                depth == 1
            }
            ValueToken::ObjectEnd | ValueToken::Key(_) => true,
            ValueToken::Str(text) => text.as_str().and_then(Hash32::from_hex).is_some(),
            _ => false,
        })
}

/// Whether something in a value, a name or a text, may be taken for a SHA-256 in hex.
fn has_hash(value: Value<'_>) -> bool {
    value.tokens().any(|token| match token {
        ValueToken::Key(text) | ValueToken::Str(text) => {
            let mut run = 0;
            text.chars().any(|c| {
                run = if c.is_ok_and(|c| c.is_ascii_hexdigit()) { run + 1 } else { 0 };
                run == 64
            })
        }
        _ => false,
    })
}
