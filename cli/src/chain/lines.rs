//! What is known of the lines of a file, from which the next one is made.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluis_chain::log::{LogHeader, fit_origin};
use sluis_chain::token::{Hash32, Token};
use sluis_chain::workload::{After, Entry, Step, StepCounts, StepStatus, WorkloadId};
use sluis_core::framing::{Value, canonical};
use sluis_journal::{Fold, Trail};

use crate::tokens;

/// What is known of the lines of a chain.
pub(super) type Lines = Trail<Kept>;

/// The workload that goes on. Cheap to clone: the journal does that for every batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// The name that the first line gives the log.
    pub(super) origin: Option<Arc<str>>,
    begun: bool,
    /// The last workload of the file.
    pub(super) workload: Option<Arc<Running>>,
}

/// A workload as its tokens tell it.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) id: WorkloadId,
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) after: After,
    /// The names of its steps.
    pub(super) steps: Vec<String>,
    pub(super) counts: StepCounts,
    pub(super) closed: bool,
    /// The files that the last step with an output put out, and their hashes.
    pub(super) outputs: BTreeMap<String, String>,
}

impl Kept {
    /// The name under which the log signs: that of its workload, made fit.
    pub(super) fn origin(&self, file: &std::path::Path) -> String {
        let workload = || self.workload.as_ref().map(|workload| fit_origin(&workload.name));
        let header = self.origin.as_deref().map(ToOwned::to_owned);
        header.or_else(workload).unwrap_or_else(|| tokens::origin_of(file))
    }
}

impl Fold for Kept {
    /// Take in what a token of a workload says. One that is not as it must be changes nothing: `verify` finds it.
    fn fold(&mut self, token: &Token<'_>) {
        if !std::mem::replace(&mut self.begun, true) {
            let header = token.log_header().map(|header| header.to_cow().into_owned());
            self.origin = header.and_then(|header| Some(LogHeader::parse(&header)?.origin.into()));
        }
        let (Some(Ok(entry)), Some(hash)) = (Entry::read(token), token.said_hash()) else { return };
        if let Entry::Created(created) = &entry {
            self.workload = Some(Arc::new(Running {
                id: created.workload_id,
                name: created.name.to_cow().into_owned(),
                owner: created.owner.to_cow().into_owned(),
                after: After { step: None, token: hash, output: None },
                steps: Vec::new(),
                counts: StepCounts::default(),
                closed: false,
                outputs: BTreeMap::new(),
            }));
            return;
        }
        let Some(running) = self.workload.as_mut().filter(|running| running.id == entry.workload_id()) else { return };
        let running = Arc::make_mut(running);
        match entry {
            Entry::Step(step) => running.step(&step, hash),
            _ => running.closed = true,
        }
    }
}

impl Running {
    fn step(&mut self, step: &Step<'_>, token: Hash32) {
        self.steps.push(step.name.to_cow().into_owned());
        self.counts.steps = self.counts.steps.saturating_add(1);
        let ended = match step.status {
            StepStatus::Completed => Some(&mut self.counts.completed),
            StepStatus::Failed => Some(&mut self.counts.failed),
            StepStatus::Compromised => Some(&mut self.counts.compromised),
            StepStatus::Skipped => Some(&mut self.counts.skipped),
            StepStatus::Pending | StepStatus::Running => None,
        };
        if let Some(ended) = ended {
            *ended = ended.saturating_add(1);
        }
        if step.output.is_some() {
            self.outputs = hashes(step.metadata.get("outputs"));
        }
        self.after = After { step: Some(step.step_id), token, output: step.output.or(self.after.output) };
    }
}

/// The texts of an object.
fn hashes(value: Option<Value<'_>>) -> BTreeMap<String, String> {
    let Some(value) = value else { return BTreeMap::new() };
    let mut out = BTreeMap::new();
    let mut key = None;
    for token in value.tokens() {
        match token {
            sluis_core::framing::Token::Key(text) => key = Some(text.to_cow().into_owned()),
            sluis_core::framing::Token::Str(text) => {
                if let Some(key) = key.take() {
                    out.insert(key, text.to_cow().into_owned());
                }
            }
            _ => {}
        }
    }
    out
}

/// SHA-256 over the names and hashes of files, as an object in canonical form; none for no files.
pub(super) fn hash_files(files: &BTreeMap<String, String>) -> Option<Hash32> {
    if files.is_empty() {
        return None;
    }
    let json = to_json(files);
    sluis_chain::workload::hash_data(Value::from_json(&json).ok()?).ok().flatten()
}

/// Names and hashes of files as a JSON object.
pub(super) fn to_json(files: &BTreeMap<String, String>) -> String {
    let mut out = Vec::new();
    let members: Vec<(&str, canonical::Member<'_>)> =
        files.iter().map(|(name, hash)| (name.as_str(), hash.as_str().into())).collect();
    // A vector has always room, and texts have a form.
    let _ = canonical::write_object(&mut out, &members, canonical::Style::SPACED);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_hashed_by_name_and_content() {
        let files = |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let one: BTreeMap<String, String> = files(&[("a", "00"), ("b", "11")]);
        assert_eq!(to_json(&one), r#"{"a": "00", "b": "11"}"#);
        assert_eq!(hashes(Value::from_json(&to_json(&one)).ok()), one);
        assert_ne!(hash_files(&one), hash_files(&files(&[("a", "00"), ("b", "12")])));
        assert_eq!(hash_files(&BTreeMap::new()), None);
    }
}
