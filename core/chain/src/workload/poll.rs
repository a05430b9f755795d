//! The tokens of a workload, one after the other.

use super::entry::{After, Closed, Created, Finding, Spiffe, Step};
use super::machine::Workload;
use super::protect::{InLog, WriteError, Written};
use super::storage::StepStorage;
use sluis_core::data::{Text, Value};

/// The token that waits to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// The first of the workload.
    Created,
    /// The one of this step.
    Step(u32),
    /// The last.
    Closed,
}

/// JSON that was checked when it was kept.
fn kept(json: Option<&str>) -> Value<'_> {
    json.and_then(|json| Value::from_json(json).ok()).unwrap_or(Value::EMPTY_OBJECT)
}

impl<S: StepStorage> Workload<S> {
    /// The token that waits to be written, if any does.
    #[must_use]
    pub fn pending(&self) -> Option<Pending> {
        if self.written == 0 {
            return Some(Pending::Created);
        }
        match self.row(self.written) {
            Some(row) => row.status.is_final().then_some(Pending::Step(self.written)),
            None => (self.is_closed() && !self.closing_written).then_some(Pending::Closed),
        }
    }

    /// Write the next token into `out`, as a line without a line feed; `None` when none waits.
    ///
    /// # Errors
    /// [`WriteError`]; the token then still waits.
    pub fn poll_token<'k>(&mut self, how: impl Into<InLog<'k>>, out: &mut [u8]) -> Option<Result<Written, WriteError>> {
        self.poll_token_with(None, how, out)
    }

    /// As [`poll_token`](Self::poll_token); the token of a step gets this metadata, an object of any length for which `out` has room,
    /// in place of what the step was added with.
    ///
    /// # Errors
    /// [`WriteError`]; the token then still waits.
    pub fn poll_token_with<'k>(
        &mut self,
        metadata: Option<Value<'_>>,
        how: impl Into<InLog<'k>>,
        out: &mut [u8],
    ) -> Option<Result<Written, WriteError>> {
        let how = how.into();
        Some(match self.pending()? {
            Pending::Created => self.write_created(how, out),
            Pending::Step(sequence) => self.write_step(sequence, metadata, how, out),
            Pending::Closed => self.write_closed(how, out),
        })
    }

    fn write_created(&mut self, how: InLog<'_>, out: &mut [u8]) -> Result<Written, WriteError> {
        let created = Created {
            workload_id: self.id,
            name: Text::new(self.name.as_ref()),
            owner: Text::new(self.owner.as_ref()),
            spiffe_id: Text::new(self.spiffe_id.as_ref()),
            actor: Text::new(self.actor.as_ref()),
            node: Text::new(self.node.as_ref()),
            at: self.created,
            parent_id: self.parent_id.as_ref().map(|parent| Text::new(parent.as_ref())),
            metadata: kept(self.metadata.as_ref().map(AsRef::as_ref)),
        };
        let written = created.write(how, out)?;
        self.written = 1;
        self.head = After { step: None, token: written.content_hash, output: None };
        Ok(written)
    }

    fn write_step(
        &mut self,
        sequence: u32,
        metadata: Option<Value<'_>>,
        how: InLog<'_>,
        out: &mut [u8],
    ) -> Result<Written, WriteError> {
        let (Some(view), Some(row)) = (self.step(sequence), self.row(sequence)) else {
            return Err(WriteError::Full(sluis_core::data::Full));
        };
        let rare = row.rare();
        let mut error = super::ErrorText::new();
        let step = Step {
            workload_id: self.id,
            step_id: view.id,
            name: Text::new(view.name),
            sequence,
            status: view.status,
            executor: Text::new(view.executor),
            node: Text::new(view.node),
            intent: view.intent.map(Text::new),
            independent: view.independent,
            input: view.input,
            output: view.output,
            started: view.started,
            ended: row.ended,
            duration_ms: view.duration_ms,
            error: Text::new(view.error(&mut error)),
            finding: match (rare.and_then(|rare| rare.actual), view.input) {
                (Some(actual), Some(expected)) => {
                    let data = row.note(|rare| &rare.data).map(|data| kept(Some(data)));
                    Some(Finding { expected, actual, data })
                }
                _ => None,
            },
            metadata: metadata.unwrap_or_else(|| kept(view.metadata)),
            spiffe: rare.and_then(|rare| rare.spiffe.as_ref()).map(|(id, expires_at, certificate)| Spiffe {
                id: Text::new(id.as_ref()),
                expires_at: *expires_at,
                certificate: *certificate,
            }),
            after: self.head,
        };
        let written = step.write(how, out)?;
        let (id, output) = (view.id, view.output);
        self.wrote(sequence, id, written.content_hash, output);
        Ok(written)
    }

    /// The token of a step stands.
    pub(super) fn wrote(
        &mut self,
        sequence: u32,
        id: super::StepId,
        token: crate::token::Hash32,
        output: Option<crate::token::Hash32>,
    ) {
        self.written = sequence.saturating_add(1);
        self.head = After { step: Some(id), token, output: output.or(self.head.output) };
    }

    fn write_closed(&mut self, how: InLog<'_>, out: &mut [u8]) -> Result<Written, WriteError> {
        let closed = Closed {
            workload_id: self.id,
            actor: Text::new(self.actor.as_ref()),
            node: Text::new(self.node.as_ref()),
            at: self.closed.unwrap_or(self.created),
            status: self.status,
            counts: self.counts,
            after: self.head,
        };
        let written = closed.write(how, out)?;
        self.closing_written = true;
        Ok(written)
    }
}
