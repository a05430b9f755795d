//! Reads the tokens of a workload: exactly the form in which they are written, and nothing else.

use super::data::short_hash;
use super::entry::{After, Closed, Created, Entry, Finding, Spiffe, Step, StepCounts};
use super::ids::{StepId, WorkloadId};
use super::status::{StepStatus, WorkloadStatus};
use crate::token::{Hash32, Token};
use sluis_core::data::{Number, Reader, Text, Value};
use sluis_core::time::{Wall, iso};

/// A token's action says that it belongs to a workload, and this member of it is not as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not as the tokens of workloads have it")]
pub struct Malformed(pub &'static str);

type Read<T> = Option<T>;

impl<'a> Entry<'a> {
    /// What a token says, if its action is one of a workload.
    ///
    /// # Errors
    /// [`Malformed`]: it is not in the form that this room writes.
    pub fn read(token: &Token<'a>) -> Option<Result<Self, Malformed>> {
        let action = token.action.as_str()?;
        if action == "workload_created" {
            return Some(created(token).map(Self::Created));
        }
        if let Some(status) = StepStatus::ALL.iter().copied().find(|s| s.action() == Some(action)) {
            return Some(step(token, status).map(Self::Step));
        }
        let closing = [WorkloadStatus::Completed, WorkloadStatus::Failed, WorkloadStatus::Compromised];
        let status = closing.into_iter().find(|status| status.closing_action() == action)?;
        Some(closed(token, status).map(Self::Closed))
    }
}

fn created<'a>(token: &Token<'a>) -> Result<Created<'a>, Malformed> {
    let erin = || {
        let mut at = reader(token.erin, "{")?;
        let metadata = metadata(&mut at)?;
        let name = text(&mut at, "\"name\": \"")?;
        let owner = text(&mut at, ", \"owner\": \"")?;
        let spiffe_id = text(&mut at, ", \"spiffe_id\": \"")?;
        let workload_id = WorkloadId::parse(text(&mut at, ", \"workload_id\": \"")?.as_str()?)?;
        end(&mut at, "}")?;
        Some((metadata, name, owner, spiffe_id, workload_id))
    };
    let (metadata, name, owner, spiffe_id, workload_id) = erin().ok_or(Malformed("erin"))?;
    named(token, "workload_", workload_id, None)?;
    let eraan = || {
        let mut at = reader(token.eraan, "[")?;
        prev(&mut at, "")
    };
    eraan().ok_or(Malformed("eraan"))?;
    Ok(Created {
        workload_id,
        name,
        owner,
        spiffe_id,
        actor: token.actor,
        node: node(token)?,
        at: stamp(token.timestamp).ok_or(Malformed("timestamp"))?,
        parent_id: token.parent_id,
        metadata,
    })
}

fn step<'a>(token: &Token<'a>, status: StepStatus) -> Result<Step<'a>, Malformed> {
    let Erin { error, finding, independent, input, metadata, output, sequence, name, step_id, workload_id } =
        Erin::read(token, status).ok_or(Malformed("erin"))?;
    named(token, "step_", workload_id, Some(step_id))?;
    let Where { duration_ms, node, spiffe, started } = Where::read(token).ok_or(Malformed("eromheen"))?;
    Ok(Step {
        workload_id,
        step_id,
        name,
        sequence,
        status,
        executor: token.actor,
        node,
        intent: Some(token.erachter),
        independent,
        input,
        output,
        started,
        ended: stamp(token.timestamp).ok_or(Malformed("timestamp"))?,
        duration_ms,
        error,
        finding,
        metadata,
        spiffe,
        after: after(token, workload_id)?,
    })
}

fn closed<'a>(token: &Token<'a>, status: WorkloadStatus) -> Result<Closed<'a>, Malformed> {
    let erin = || {
        let mut at = reader(token.erin, "{")?;
        let completed = number(&mut at, "\"completed_steps\": ")?;
        let compromised = number(&mut at, ", \"compromised_steps\": ")?;
        let failed = number(&mut at, ", \"failed_steps\": ")?;
        let skipped = number(&mut at, ", \"skipped_steps\": ")?;
        let said = text(&mut at, ", \"status\": \"")?;
        let steps = number(&mut at, ", \"step_count\": ")?;
        let workload_id = WorkloadId::parse(text(&mut at, ", \"workload_id\": \"")?.as_str()?)?;
        end(&mut at, "}")?;
        let counts = StepCounts { steps, completed, failed, compromised, skipped };
        (said == status.as_str()).then_some((counts, workload_id))
    };
    let (counts, workload_id) = erin().ok_or(Malformed("erin"))?;
    named(token, "closed_", workload_id, None)?;
    Ok(Closed {
        workload_id,
        actor: token.actor,
        node: node(token)?,
        at: stamp(token.timestamp).ok_or(Malformed("timestamp"))?,
        status,
        counts,
        after: after(token, workload_id)?,
    })
}

/// What the `erin` of a step says.
struct Erin<'a> {
    error: Text<'a>,
    finding: Option<Finding<'a>>,
    independent: bool,
    input: Option<Hash32>,
    metadata: Value<'a>,
    output: Option<Hash32>,
    sequence: u32,
    name: Text<'a>,
    step_id: StepId,
    workload_id: WorkloadId,
}

impl<'a> Erin<'a> {
    fn read(token: &Token<'a>, status: StepStatus) -> Read<Self> {
        let mut at = reader(token.erin, "{")?;
        let mut error = Text::EMPTY;
        if at.eat("\"error\": \"") {
            error = at.string().ok()?;
            at.eat(", ").then_some(())?;
        }
        let finding = if at.eat("\"finding\": {") { Some(finding(&mut at)?) } else { None };
        let independent = at.eat("\"independent\": true, ");
        let input = data_hash(&mut at, "\"input_hash\": \"", ", \"input_sha256\": \"")?;
        at.eat(", ").then_some(())?;
        let metadata = metadata(&mut at)?;
        let output = data_hash(&mut at, "\"output_hash\": \"", ", \"output_sha256\": \"")?;
        let sequence = number(&mut at, ", \"sequence\": ")?;
        let said = text(&mut at, ", \"status\": \"")?;
        let name = text(&mut at, ", \"step\": \"")?;
        let step_id = StepId::parse(text(&mut at, ", \"step_id\": \"")?.as_str()?)?;
        let workload_id = WorkloadId::parse(text(&mut at, ", \"workload_id\": \"")?.as_str()?)?;
        end(&mut at, "}")?;
        if said != status.as_str() {
            return None;
        }
        Some(Self { error, finding, independent, input, metadata, output, sequence, name, step_id, workload_id })
    }
}

fn finding<'a>(at: &mut Reader<'a>) -> Read<Finding<'a>> {
    let actual = Hash32::from_hex(text(at, "\"actual\": \"")?.as_str()?)?;
    let data = if at.eat(", \"data\": ") { Some(at.value().ok()?) } else { None };
    let expected = Hash32::from_hex(text(at, ", \"expected\": \"")?.as_str()?)?;
    at.eat("}, ").then_some(Finding { expected, actual, data })
}

/// What the `eromheen` of a step says.
struct Where<'a> {
    duration_ms: f64,
    node: Text<'a>,
    spiffe: Option<Spiffe<'a>>,
    started: Option<Wall>,
}

impl<'a> Where<'a> {
    fn read(token: &Token<'a>) -> Read<Self> {
        let mut at = reader(token.eromheen, "{\"duration_ms\": ")?;
        let Some(Number::Float(duration_ms)) = at.value().ok()?.as_number() else { return None };
        let node = text(&mut at, ", \"node\": \"")?;
        let spiffe = if at.eat(", \"spiffe\": {") { Some(spiffe(&mut at)?) } else { None };
        let started = text(&mut at, ", \"started_at\": \"")?;
        let started = if started.is_empty() { None } else { Some(stamp(started)?) };
        end(&mut at, "}")?;
        Some(Self { duration_ms, node, spiffe, started })
    }
}

fn spiffe<'a>(at: &mut Reader<'a>) -> Read<Spiffe<'a>> {
    let certificate = Hash32::from_hex(text(at, "\"certificate_sha256\": \"")?.as_str()?)?;
    let expires_at = stamp(text(at, ", \"expires_at\": \"")?)?;
    let id = text(at, ", \"id\": \"")?;
    at.eat("}").then_some(Spiffe { id, expires_at, certificate })
}

/// `eromheen` of a first or last token.
fn node<'a>(token: &Token<'a>) -> Result<Text<'a>, Malformed> {
    let read = || {
        let mut at = reader(token.eromheen, "{")?;
        let node = text(&mut at, "\"node\": \"")?;
        end(&mut at, "}")?;
        Some(node)
    };
    read().ok_or(Malformed("eromheen"))
}

/// `eraan` and `parent_id`, which say what came before.
fn after(token: &Token<'_>, workload: WorkloadId) -> Result<After, Malformed> {
    let eraan = || {
        let mut at = reader(token.eraan, "[\"")?;
        let mut output = None;
        if at.eat("output:sha256:") {
            output = Some(Hash32::from_hex(at.string().ok()?.as_str()?)?);
            at.eat(", \"").then_some(())?;
        }
        at.eat("token:").then_some(())?;
        let token = Hash32::from_hex(at.string().ok()?.as_str()?)?;
        prev(&mut at, ", ")?;
        Some((output, token))
    };
    let (output, hash) = eraan().ok_or(Malformed("eraan"))?;
    let step = || {
        let parent = token.parent_id?.as_str()?;
        if let Some(rest) = parent.strip_prefix("step_") {
            let (of, step) = rest.split_once('_')?;
            return (of == workload.as_str()).then_some(Some(StepId::parse(step)?));
        }
        (parent.strip_prefix("workload_")? == workload.as_str()).then_some(None)
    };
    Ok(After { step: step().ok_or(Malformed("parent_id"))?, token: hash, output })
}

/// The header and the link of the log, where there are any, and the end of `eraan`.
fn prev(at: &mut Reader<'_>, mut comma: &'static str) -> Read<()> {
    let mut before = *at;
    if at.eat(comma) && at.eat("\"log:") {
        at.string().ok()?;
        (before, comma) = (*at, ", ");
    } else {
        *at = before;
    }
    if at.eat(comma) && at.eat("\"prev:sha256:") {
        Hash32::from_hex(at.string().ok()?.as_str()?)?;
    } else {
        *at = before;
    }
    end(at, "]")
}

/// The token's own id says the same as the rest of it.
fn named(token: &Token<'_>, kind: &str, workload: WorkloadId, step: Option<StepId>) -> Result<(), Malformed> {
    let fits = || {
        let rest = token.token_id.as_str()?.strip_prefix(kind)?.strip_prefix(workload.as_str())?;
        match step {
            None => rest.is_empty().then_some(()),
            Some(step) => (rest.strip_prefix('_')? == step.as_str()).then_some(()),
        }
    };
    fits().ok_or(Malformed("token_id"))
}

fn reader<'a>(value: Value<'a>, open: &'static str) -> Read<Reader<'a>> {
    let mut reader = Reader::new(value.as_json()?);
    reader.eat(open).then_some(reader)
}

fn end(at: &mut Reader<'_>, close: &'static str) -> Read<()> {
    (at.eat(close) && at.at_end()).then_some(())
}

/// A text; `key` is what stands before it, its opening quote included.
fn text<'a>(at: &mut Reader<'a>, key: &'static str) -> Read<Text<'a>> {
    if at.eat(key) { at.string().ok() } else { None }
}

fn number(at: &mut Reader<'_>, key: &'static str) -> Read<u32> {
    if !at.eat(key) {
        return None;
    }
    match at.value().ok()?.as_number()? {
        Number::Int(n) => u32::try_from(n).ok(),
        _ => None,
    }
}

fn metadata<'a>(at: &mut Reader<'a>) -> Read<Value<'a>> {
    if !at.eat("\"metadata\": ") {
        return Some(Value::EMPTY_OBJECT);
    }
    let value = at.value().ok()?;
    (value.is_object() && at.eat(", ")).then_some(value)
}

/// A hash in both lengths, which must agree.
fn data_hash(at: &mut Reader<'_>, short: &'static str, full: &'static str) -> Read<Option<Hash32>> {
    let short = text(at, short)?;
    let full = text(at, full)?.as_str()?;
    let hash = if full.is_empty() { None } else { Some(Hash32::from_hex(full)?) };
    (short == short_hash(hash).as_str()).then_some(hash)
}

fn stamp(text: Text<'_>) -> Read<Wall> {
    iso::parse(text.as_str()?)
}
