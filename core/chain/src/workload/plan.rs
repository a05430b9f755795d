//! Steps that have not ended, as a log tells of them: what was planned, and what was started.
//!
//! A workload in memory has its steps before they end, its log has their tokens when they do. Between programs that work on one
//! log, two more tokens say what is still to come; they bear the names of the reference's audit entries. They are tokens as any
//! other, and no links of the workload: no step follows them.

use super::data::short_hash;
use super::ids::{StepId, WorkloadId};
use super::read::Malformed;
use super::status::{StepStatus, WorkloadStatus};
use crate::token::{Hash32, Token};
use sluis_core::data::{EncodeError, Member, Number, Sink, Style, Text, Value, canonical};
use sluis_core::time::{Wall, iso};

/// The action of a token that plans a step.
pub const STEP_ADDED: &str = "step_added";
/// The action of a token that starts one.
pub const STEP_STARTED: &str = "step_started";

/// Whether only a workload writes tokens of this action.
#[must_use]
pub fn is_reserved(action: &str) -> bool {
    if !action.starts_with("step_") && !action.starts_with("workload_") {
        return false;
    }
    let steps = StepStatus::ALL.iter().filter_map(|status| status.action());
    let ends = WorkloadStatus::ALL.iter().map(|status| status.closing_action());
    ["workload_created", "step_running", STEP_ADDED, STEP_STARTED]
        .into_iter()
        .chain(steps)
        .chain(ends)
        .any(|a| a == action)
}

/// A step that is planned, or started: what the `erin` of its token says. The members stand in this order:
///
/// ```json
/// {"executor"?: "…", "independent"?: true, "intent"?: "…", "sequence": 1, "step": "name", "step_id": "12 hex", "workload_id": "16 hex"}
/// {"executor"?: "…", "input_hash": "32 hex", "input_sha256": "64 hex", "inputs"?: {}, "links"?: {}, "sequence": 1,
///  "step": "name", "step_id": "12 hex", "workload_id": "16 hex"}
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan<'a> {
    /// The workload.
    pub workload_id: WorkloadId,
    /// The step.
    pub step_id: StepId,
    /// Its name.
    pub name: Text<'a>,
    /// Its place, from 1.
    pub sequence: u32,
    /// Who is to run it, or runs it, when that is not whoever coordinates the workload.
    pub executor: Option<Text<'a>>,
    /// What is said about it.
    pub said: Planned<'a>,
}

/// What is said about a step that has not ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Planned<'a> {
    /// It is to run, in its turn.
    Added {
        /// Why.
        intent: Option<Text<'a>>,
        /// Its input need not be the output of the step before.
        independent: bool,
    },
    /// It runs.
    Started {
        /// When it was started: the time of the token.
        at: Wall,
        /// The hash of its input.
        input: Option<Hash32>,
        /// The files that the input is made of: an object of names and hashes; empty for none.
        inputs: Value<'a>,
        /// Names by which files were given that stand in `inputs` under another one, because a link led to it: an object of both; empty
        /// for none.
        links: Value<'a>,
    },
}

impl<'a> Plan<'a> {
    /// What a token says, if its action is [`STEP_ADDED`] or [`STEP_STARTED`].
    ///
    /// # Errors
    /// [`Malformed`]: it is not in the form that [`write_erin`](Self::write_erin) writes.
    pub fn read(token: &Token<'a>) -> Option<Result<Self, Malformed>> {
        let action = token.action.as_str()?;
        if action != STEP_ADDED && action != STEP_STARTED {
            return None;
        }
        Some(Self::erin(token, action == STEP_STARTED).ok_or(Malformed("erin")))
    }

    fn erin(token: &Token<'a>, started: bool) -> Option<Self> {
        let erin = token.erin;
        let text = |key| erin.get(key).and_then(Value::as_text);
        let said = if started {
            let full = text("input_sha256")?.as_str()?;
            let input = if full.is_empty() { None } else { Some(Hash32::from_hex(full)?) };
            let inputs = erin.get("inputs").unwrap_or(Value::EMPTY_OBJECT);
            let links = erin.get("links").unwrap_or(Value::EMPTY_OBJECT);
            (inputs.is_object() && links.is_object() && text("input_hash")? == short_hash(input).as_str())
                .then_some(())?;
            Planned::Started { at: iso::parse(token.timestamp.as_str()?)?, input, inputs, links }
        } else {
            let independent = erin.get("independent").is_some_and(|said| said.as_bool() == Some(true));
            Planned::Added { intent: text("intent"), independent }
        };
        let Number::Int(sequence) = erin.get("sequence")?.as_number()? else { return None };
        Some(Self {
            workload_id: WorkloadId::parse(text("workload_id")?.as_str()?)?,
            step_id: StepId::parse(text("step_id")?.as_str()?)?,
            name: text("step")?,
            sequence: u32::try_from(sequence).ok().filter(|sequence| *sequence > 0)?,
            executor: text("executor"),
            said,
        })
    }

    /// The action of its token.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self.said {
            Planned::Added { .. } => STEP_ADDED,
            Planned::Started { .. } => STEP_STARTED,
        }
    }

    /// Write the `erin` of its token.
    ///
    /// # Errors
    /// The sink is full, or something has no JSON form.
    pub fn write_erin(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let input = match self.said {
            Planned::Started { input, .. } => input,
            Planned::Added { .. } => None,
        };
        let digits = input.map_or([0; 64], |input| input.to_hex());
        let (short, full) =
            (short_hash(input), input.map_or("", |_| core::str::from_utf8(&digits).unwrap_or_default()));
        let mut members: heapless::Vec<(&str, Member<'_>), 9> = heapless::Vec::new();
        // There is room for all of them.
        let mut put = |key, member| {
            let _ = members.push((key, member));
        };
        if let Some(executor) = self.executor {
            put("executor", executor.into());
        }
        match self.said {
            Planned::Added { intent, independent } => {
                if independent {
                    put("independent", Member::Bool(true));
                }
                if let Some(intent) = intent {
                    put("intent", intent.into());
                }
            }
            Planned::Started { inputs, links, .. } => {
                put("input_hash", short.as_str().into());
                put("input_sha256", full.into());
                if inputs != Value::EMPTY_OBJECT {
                    put("inputs", inputs.into());
                }
                if links != Value::EMPTY_OBJECT {
                    put("links", links.into());
                }
            }
        }
        put("sequence", Number::Int(self.sequence.into()).into());
        put("step", self.name.into());
        put("step_id", self.step_id.as_str().into());
        put("workload_id", self.workload_id.as_str().into());
        canonical::write_object(sink, &members, Style::SPACED)
    }
}
