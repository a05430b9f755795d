//! Writes the tokens of a workload.

use super::draft::Draft;
use super::entry::{After, Closed, Created, Finding, Spiffe, Step};
use super::ids::WorkloadId;
use super::protect::{InLog, WriteError, Written};
use super::status::{StepStatus, WorkloadStatus};
use sluis_core::data::{Number, Separators, Text, Value, canonical};

impl Created<'_> {
    /// Write the token as a line, without a line feed.
    ///
    /// # Errors
    /// [`WriteError`]; what is in `out` then means nothing.
    pub fn write<'k>(&self, how: impl Into<InLog<'k>>, out: &mut [u8]) -> Result<Written, WriteError> {
        let how = how.into();
        let mut draft = Draft::new(out)?;
        draft.begin("\"token_id\": \"workload_")?;
        draft.id(self.workload_id.as_bytes())?;
        draft.put("\"")?;
        draft.begin("\"action\": \"workload_created\"")?;
        draft.begin("\"timestamp\": \"")?;
        draft.stamp(self.at)?;
        draft.put("\"")?;
        draft.begin("\"actor\": ")?;
        draft.text(self.actor)?;
        draft.begin("\"erin\": {")?;
        if metadata(&mut draft, self.metadata)? {
            draft.put(", ")?;
        }
        draft.put("\"name\": ")?;
        draft.text(self.name)?;
        draft.put(", \"owner\": ")?;
        draft.text(self.owner)?;
        draft.put(", \"spiffe_id\": ")?;
        draft.text(self.spiffe_id)?;
        workload_id(&mut draft, self.workload_id)?;
        draft.begin("\"eraan\": [")?;
        link(&mut draft, how, "")?;
        draft.begin("\"eromheen\": {\"node\": ")?;
        draft.text(self.node)?;
        draft.put("}")?;
        draft.begin("\"erachter\": \"Create workload pipeline: ")?;
        draft.inside(self.name)?;
        draft.put("\"")?;
        draft.begin("\"parent_id\": ")?;
        match self.parent_id {
            Some(parent) => draft.text(parent)?,
            None => draft.put("null")?,
        }
        draft.begin("\"state\": \"created\"")?;
        draft.finish(how)
    }
}

impl Step<'_> {
    /// Write the token as a line, without a line feed.
    ///
    /// # Errors
    /// [`WriteError`]; what is in `out` then means nothing.
    pub fn write<'k>(&self, how: impl Into<InLog<'k>>, out: &mut [u8]) -> Result<Written, WriteError> {
        let how = how.into();
        let mut draft = Draft::new(out)?;
        draft.begin("\"token_id\": \"step_")?;
        draft.id(self.workload_id.as_bytes())?;
        draft.put("_")?;
        draft.id(self.step_id.as_bytes())?;
        draft.put("\"")?;
        draft.begin("\"action\": \"")?;
        // A step that has not ended has no token; whoever writes one all the same gets one that no checker takes.
        draft.put(self.status.action().unwrap_or("step_running"))?;
        draft.put("\"")?;
        draft.begin("\"timestamp\": \"")?;
        draft.stamp(self.ended)?;
        draft.put("\"")?;
        draft.begin("\"actor\": ")?;
        draft.text(self.executor)?;
        self.erin(&mut draft)?;
        after(&mut draft, &self.after, how)?;
        self.eromheen(&mut draft)?;
        match self.intent {
            Some(intent) => {
                draft.begin("\"erachter\": ")?;
                draft.text(intent)?;
            }
            None => {
                draft.begin("\"erachter\": \"Execute step '")?;
                draft.inside(self.name)?;
                draft.put("'\"")?;
            }
        }
        parent(&mut draft, self.workload_id, &self.after)?;
        draft.begin(state(self.status == StepStatus::Compromised))?;
        draft.finish(how)
    }

    fn erin(&self, draft: &mut Draft<'_>) -> Result<(), WriteError> {
        draft.begin("\"erin\": {")?;
        if !self.error.is_empty() {
            draft.put("\"error\": ")?;
            draft.text(self.error)?;
            draft.put(", ")?;
        }
        if let Some(Finding { expected, actual, data }) = self.finding {
            draft.put("\"finding\": {\"actual\": \"")?;
            draft.hash(actual)?;
            if let Some(data) = data {
                draft.put("\", \"data\": ")?;
                canonical::write(draft.sink(), data, Separators::Spaced)?;
                draft.put(", \"expected\": \"")?;
            } else {
                draft.put("\", \"expected\": \"")?;
            }
            draft.hash(expected)?;
            draft.put("\"}, ")?;
        }
        if self.independent {
            draft.put("\"independent\": true, ")?;
        }
        draft.put("\"input_hash\": \"")?;
        draft.both(self.input, "\", \"input_sha256\": \"")?;
        draft.put("\", ")?;
        if metadata(draft, self.metadata)? {
            draft.put(", ")?;
        }
        draft.put("\"output_hash\": \"")?;
        draft.both(self.output, "\", \"output_sha256\": \"")?;
        draft.put("\", \"sequence\": ")?;
        draft.number(self.sequence)?;
        draft.put(", \"status\": \"")?;
        draft.put(self.status.as_str())?;
        draft.put("\", \"step\": ")?;
        draft.text(self.name)?;
        draft.put(", \"step_id\": \"")?;
        draft.id(self.step_id.as_bytes())?;
        draft.put("\"")?;
        workload_id(draft, self.workload_id)
    }

    fn eromheen(&self, draft: &mut Draft<'_>) -> Result<(), WriteError> {
        draft.begin("\"eromheen\": {\"duration_ms\": ")?;
        Number::Float(self.duration_ms).write(draft.sink())?;
        draft.put(", \"node\": ")?;
        draft.text(self.node)?;
        if let Some(Spiffe { id, expires_at, certificate }) = self.spiffe {
            draft.put(", \"spiffe\": {\"certificate_sha256\": \"")?;
            draft.hash(certificate)?;
            draft.put("\", \"expires_at\": \"")?;
            draft.stamp(expires_at)?;
            draft.put("\", \"id\": ")?;
            draft.text(id)?;
            draft.put("}")?;
        }
        draft.put(", \"started_at\": \"")?;
        if let Some(started) = self.started {
            draft.stamp(started)?;
        }
        Ok(draft.put("\"}")?)
    }
}

impl Closed<'_> {
    /// Write the token as a line, without a line feed.
    ///
    /// # Errors
    /// [`WriteError`]; what is in `out` then means nothing.
    pub fn write<'k>(&self, how: impl Into<InLog<'k>>, out: &mut [u8]) -> Result<Written, WriteError> {
        let how = how.into();
        let mut draft = Draft::new(out)?;
        draft.begin("\"token_id\": \"closed_")?;
        draft.id(self.workload_id.as_bytes())?;
        draft.put("\"")?;
        draft.begin("\"action\": \"")?;
        draft.put(self.status.closing_action())?;
        draft.put("\"")?;
        draft.begin("\"timestamp\": \"")?;
        draft.stamp(self.at)?;
        draft.put("\"")?;
        draft.begin("\"actor\": ")?;
        draft.text(self.actor)?;
        draft.begin("\"erin\": {\"completed_steps\": ")?;
        draft.number(self.counts.completed)?;
        draft.put(", \"compromised_steps\": ")?;
        draft.number(self.counts.compromised)?;
        draft.put(", \"failed_steps\": ")?;
        draft.number(self.counts.failed)?;
        draft.put(", \"skipped_steps\": ")?;
        draft.number(self.counts.skipped)?;
        draft.put(", \"status\": \"")?;
        draft.put(self.status.as_str())?;
        draft.put("\", \"step_count\": ")?;
        draft.number(self.counts.steps)?;
        workload_id(&mut draft, self.workload_id)?;
        after(&mut draft, &After { output: None, ..self.after }, how)?;
        draft.begin("\"eromheen\": {\"node\": ")?;
        draft.text(self.node)?;
        draft.put("}")?;
        draft.begin("\"erachter\": \"Close workload pipeline\"")?;
        parent(&mut draft, self.workload_id, &self.after)?;
        draft.begin(state(self.status == WorkloadStatus::Compromised))?;
        draft.finish(how)
    }
}

/// The last member of `erin`, and its end.
fn workload_id(draft: &mut Draft<'_>, id: WorkloadId) -> Result<(), WriteError> {
    draft.put(", \"workload_id\": \"")?;
    draft.id(id.as_bytes())?;
    Ok(draft.put("\"}")?)
}

/// `metadata`, where there is any; whether there was.
fn metadata(draft: &mut Draft<'_>, metadata: Value<'_>) -> Result<bool, WriteError> {
    if metadata == Value::EMPTY_OBJECT {
        return Ok(false);
    }
    draft.put("\"metadata\": ")?;
    canonical::write(draft.sink(), metadata, Separators::Spaced)?;
    Ok(true)
}

/// `eraan`.
fn after(draft: &mut Draft<'_>, after: &After, how: InLog<'_>) -> Result<(), WriteError> {
    draft.begin("\"eraan\": [\"")?;
    if let Some(output) = after.output {
        draft.put("output:sha256:")?;
        draft.hash(output)?;
        draft.put("\", \"")?;
    }
    draft.put("token:")?;
    draft.hash(after.token)?;
    draft.put("\"")?;
    link(draft, how, ", ")
}

/// The header and the link of the log, and the end of `eraan`.
fn link(draft: &mut Draft<'_>, how: InLog<'_>, mut comma: &'static str) -> Result<(), WriteError> {
    if let Some(header) = how.header {
        draft.put(core::mem::replace(&mut comma, ", "))?;
        draft.text(Text::new(header))?;
    }
    if let Some(prev) = how.link {
        draft.put(comma)?;
        draft.put("\"prev:sha256:")?;
        draft.hash(prev)?;
        draft.put("\"")?;
    }
    Ok(draft.put("]")?)
}

/// `parent_id`.
fn parent(draft: &mut Draft<'_>, workload: WorkloadId, after: &After) -> Result<(), WriteError> {
    match after.step {
        Some(step) => {
            draft.begin("\"parent_id\": \"step_")?;
            draft.id(workload.as_bytes())?;
            draft.put("_")?;
            draft.id(step.as_bytes())?;
        }
        None => {
            draft.begin("\"parent_id\": \"workload_")?;
            draft.id(workload.as_bytes())?;
        }
    }
    Ok(draft.put("\"")?)
}

const fn state(compromised: bool) -> &'static str {
    if compromised { "\"state\": \"detected\"" } else { "\"state\": \"created\"" }
}
