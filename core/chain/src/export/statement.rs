//! The in-toto statement of a workload: made from its lines, and read back only as what would be made of them.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use super::envelope::{Envelope, elements};
use super::error::StatementError;
use super::json::Json;
use super::order::{Ordered, Row};
use super::{PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE};
use crate::token::Hash32;
use crate::workload::{Step, StepStatus, WorkloadId, hash_data};
use sluis_core::data::{EncodeError, Text, Value, ValueToken};
use sluis_core::identity::MacKey;
use sluis_core::time::{Wall, iso};

/// What a workload put out: a name, unique among the subjects of its statement, and the SHA-256 of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The name of a file, or of the step.
    pub name: String,
    /// The digest.
    pub sha256: Hash32,
}

/// An in-toto statement about one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    json: String,
    workload: WorkloadId,
    subjects: Vec<Subject>,
    lines: Vec<String>,
}

impl Statement {
    /// State what the lines of a log say about a workload; about the only one in them unless one is named. Lines of
    /// others are passed over, empty ones too. `key` is that of a chain whose content hashes are HMACs.
    ///
    /// # Errors
    /// [`StatementError`], with the line.
    pub fn of<'l>(
        lines: impl IntoIterator<Item = &'l str>,
        workload: Option<WorkloadId>,
        key: Option<&MacKey>,
    ) -> Result<Self, StatementError> {
        let ordered = Ordered::read(lines, workload, key)?;
        let subjects = subjects(&ordered)?;
        Ok(Self {
            json: write(&ordered, &subjects, key.is_some())?,
            workload: ordered.created.entry.workload_id,
            subjects,
            lines: ordered.lines().map(ToOwned::to_owned).collect(),
        })
    }

    /// Read a statement of ours, from a payload that was [verified](super::Verified::statement). It is made again from
    /// the tokens in it, and must come out the same, byte for byte.
    ///
    /// # Errors
    /// [`StatementError`]; lines are those of the predicate's `tokens`.
    pub fn read(payload: &[u8], key: Option<&MacKey>) -> Result<Self, StatementError> {
        let ours = |value: Value<'_>| {
            let is = |member, text: &str| value.get(member).and_then(Value::as_text).is_some_and(|said| said == *text);
            let tokens = value.get("predicate")?.get("tokens")?;
            let line = |line: &Value<'_>| line.as_text()?.chars().collect::<Result<String, _>>().ok();
            let lines = elements(tokens)?.iter().map(line).collect::<Option<Vec<_>>>()?;
            (is("_type", STATEMENT_TYPE) && is("predicateType", PREDICATE_TYPE)).then_some(lines)
        };
        let json = core::str::from_utf8(payload).map_err(|_| StatementError::NotOurs)?;
        let lines = Value::from_json(json).ok().and_then(ours).ok_or(StatementError::NotOurs)?;
        let made = Self::of(lines.iter().map(String::as_str), None, key)?;
        if made.json.as_bytes() == payload { Ok(made) } else { Err(StatementError::Differs) }
    }

    /// The statement as one line of JSON: the payload.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// The workload that it is about.
    #[must_use]
    pub const fn workload(&self) -> WorkloadId {
        self.workload
    }

    /// What it put out, by name.
    #[must_use]
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// The lines of its tokens, the first token's first.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// In an envelope that nobody has signed yet.
    #[must_use]
    pub fn envelope(&self) -> Envelope {
        Envelope::new(PAYLOAD_TYPE, self.json.as_bytes())
    }
}

fn subjects(ordered: &Ordered<'_>) -> Result<Vec<Subject>, StatementError> {
    let mut subjects = BTreeMap::new();
    for Row { entry: step, .. } in &ordered.steps {
        let (StepStatus::Completed, Some(output)) = (step.status, step.output) else { continue };
        match files(step, output)? {
            Some(files) => subjects.extend(files),
            None => drop(subjects.insert(step.name.to_cow().into_owned(), output)),
        }
    }
    if subjects.is_empty() {
        let id = ordered.created.entry.workload_id;
        let (kind, line) = match (&ordered.closed, ordered.steps.last()) {
            (Some(row), _) => ("closed_", row.line),
            (None, Some(row)) => ("step_", row.line),
            (None, None) => ("workload_", ordered.created.line),
        };
        let mut name = String::from(kind) + id.as_str();
        if let (None, Some(row)) = (&ordered.closed, ordered.steps.last()) {
            name = name + "_" + row.entry.step_id.as_str();
        }
        subjects.insert(name, Hash32(Sha256::digest(line.as_bytes()).into()));
    }
    Ok(subjects.into_iter().map(|(name, sha256)| Subject { name, sha256 }).collect())
}

/// The files that a step declares, where their names and digests are what its output hash covers.
fn files(step: &Step<'_>, output: Hash32) -> Result<Option<Vec<(String, Hash32)>>, StatementError> {
    let Some(declared) = step.metadata.get("outputs").filter(|outputs| outputs.is_object()) else { return Ok(None) };
    if hash_data(declared)? != Some(output) {
        return Ok(None);
    }
    let mut files = Vec::new();
    let mut name = None;
    for token in declared.tokens() {
        match token {
            ValueToken::ObjectStart | ValueToken::ObjectEnd => {}
            ValueToken::Key(key) => name = Some(key.to_cow().into_owned()),
            ValueToken::Str(text) => {
                let (Some(name), Some(sha256)) = (name.take(), text.as_str().and_then(Hash32::from_hex)) else {
                    return Ok(None);
                };
                files.push((name, sha256));
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(files))
}

fn write(ordered: &Ordered<'_>, subjects: &[Subject], mac: bool) -> Result<String, EncodeError> {
    let mut json = Json::new();
    json.open(b'{').member("_type", Text::new(STATEMENT_TYPE))?.key("subject")?.open(b'[');
    for Subject { name, sha256 } in subjects {
        json.open(b'{').member("name", Text::new(name))?.key("digest")?.open(b'{');
        hash(&mut json, "sha256", *sha256)?;
        json.close(b'}').close(b'}');
    }
    json.close(b']').member("predicateType", Text::new(PREDICATE_TYPE))?.key("predicate")?.open(b'{');
    json.key("workload")?.open(b'{');
    workload(&mut json, ordered)?;
    json.close(b'}').key("steps")?.open(b'[');
    for row in &ordered.steps {
        json.open(b'{');
        step(&mut json, row)?;
        json.close(b'}');
    }
    json.close(b']').member("tokenHash", Text::new(if mac { "hmac-sha256" } else { "sha256" }))?;
    json.key("tokens")?.open(b'[');
    for line in ordered.lines() {
        json.text(Text::new(line))?;
    }
    json.close(b']').close(b'}').close(b'}');
    Ok(json.finish())
}

fn workload(json: &mut Json, ordered: &Ordered<'_>) -> Result<(), EncodeError> {
    let created = &ordered.created.entry;
    json.member("id", Text::new(created.workload_id.as_str()))?;
    json.member("name", created.name)?.member("owner", created.owner)?;
    if !created.spiffe_id.is_empty() {
        json.member("spiffeId", created.spiffe_id)?;
    }
    let closed = ordered.closed.as_ref().map(|row| &row.entry);
    let status = closed.map_or("open", |closed| closed.status.as_str());
    json.member("coordinator", created.actor)?.member("status", Text::new(status))?;
    stamp(json, "createdAt", created.at)?;
    closed.map_or(Ok(()), |closed| stamp(json, "closedAt", closed.at))
}

fn step(json: &mut Json, Row { hash: content_hash, entry: step, .. }: &Row<'_, Step<'_>>) -> Result<(), EncodeError> {
    json.member("name", step.name)?.key("sequence")?.number(step.sequence);
    json.member("status", Text::new(step.status.as_str()))?;
    json.member("executor", step.executor)?.member("node", step.node)?;
    if let Some(started) = step.started {
        stamp(json, "startedAt", started)?;
    }
    stamp(json, "endedAt", step.ended)?;
    for (key, sha256) in [("inputSha256", step.input), ("outputSha256", step.output)] {
        if let Some(sha256) = sha256 {
            hash(json, key, sha256)?;
        }
    }
    let id = String::from("step_") + step.workload_id.as_str() + "_" + step.step_id.as_str();
    json.member("tokenId", Text::new(&id))?;
    hash(json, "contentHash", *content_hash)
}

fn hash(json: &mut Json, key: &str, hash: Hash32) -> Result<(), EncodeError> {
    json.member(key, Text::new(core::str::from_utf8(&hash.to_hex()).unwrap_or_default())).map(drop)
}

fn stamp(json: &mut Json, key: &str, at: Wall) -> Result<(), EncodeError> {
    json.member(key, Text::new(iso::format(at, &mut [0; iso::FORMAT_LEN]))).map(drop)
}
