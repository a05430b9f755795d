//! The executor's side, with a memory of what it was offered.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use core::fmt;

use super::super::MAX_LINE;
use super::super::data::hash_value;
use super::super::entry::{After, Finding, Spiffe};
use super::super::ids::{StepId, WorkloadId};
use super::super::inputs::Data;
use super::super::protect::WriteError;
use super::super::refused::Refused;
use super::super::storage::MAX_NAME;
use super::offer::{Declined, Offer};
use crate::token::Protection;
use crate::token::{Authority, Hash32};
use sluis_core::data::{Text, Value};
use sluis_core::time::{Now, Wall};

/// Names a step that was taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId {
    /// The workload.
    pub workload: WorkloadId,
    /// The step.
    pub step: StepId,
}

/// What becomes of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered<'e> {
    /// Run the step, then [`finish`](Executor::finish) it.
    Run(JobId),
    /// It runs already.
    Running(JobId),
    /// It ran: this is its token, which goes back once more.
    Done(&'e str),
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// Well. With `verify`, the input as it was found at the end is compared with the one that was offered.
    Completed {
        /// What came out.
        output: Data<'a>,
        /// What the input was found to be.
        verify: Option<Data<'a>>,
    },
    /// Not well.
    Failed {
        /// Why.
        error: &'a str,
    },
}

struct Job {
    id: JobId,
    name: Box<str>,
    intent: Box<str>,
    coordinator: Box<str>,
    sequence: u32,
    independent: bool,
    input: Option<Hash32>,
    after: After,
    started: Now,
    line: Option<String>,
}

impl Job {
    fn offer<'j>(&'j self, executor: &'j str) -> Offer<'j> {
        Offer {
            workload_id: self.id.workload,
            step_id: self.id.step,
            name: Text::new(&self.name),
            sequence: self.sequence,
            coordinator: Text::new(&self.coordinator),
            executor: Text::new(executor),
            intent: Text::new(&self.intent),
            independent: self.independent,
            input: self.input,
            after: self.after,
            expires_at: Wall::MIN,
        }
    }

    /// Whether the offer is the one that was taken on; it may be valid longer.
    fn is(&self, offer: &Offer<'_>, executor: &str) -> bool {
        self.offer(executor) == Offer { expires_at: Wall::MIN, ..*offer }
    }
}

/// Takes on steps, runs each once, and signs each once.
///
/// At most so many steps are remembered as it was made for; the longest done are forgotten first, and one that runs never.
pub struct Executor {
    did: Box<str>,
    node: Box<str>,
    jobs: VecDeque<Job>,
    capacity: usize,
}

impl Executor {
    /// An executor with this name, at this place, that remembers so many steps.
    #[must_use]
    pub fn new(did: &str, node: &str, capacity: usize) -> Self {
        Self { did: did.into(), node: node.into(), jobs: VecDeque::new(), capacity }
    }

    fn position(&self, id: JobId) -> Option<usize> {
        self.jobs.iter().position(|job| job.id == id)
    }

    /// Take the payload of a ping with the intent [`INTENT`](super::INTENT): check the offer, and take it on if it is new.
    ///
    /// # Errors
    /// [`Declined`]: say so in the answer.
    pub fn offered(
        &mut self,
        now: Now,
        payload: Value<'_>,
        coordinators: &dyn Authority,
    ) -> Result<Offered<'_>, Declined> {
        let offer = Offer::read(payload)?;
        offer.check(now.wall, payload, &self.did, coordinators)?;
        let id = JobId { workload: offer.workload_id, step: offer.step_id };
        if let Some(at) = self.position(id) {
            let job = self.jobs.get(at).ok_or(Declined::Busy)?;
            return match &job.line {
                _ if !job.is(&offer, &self.did) => Err(Declined::Conflict),
                Some(line) => Ok(Offered::Done(line)),
                None => Ok(Offered::Running(id)),
            };
        }
        let text = |text: Text<'_>, what| match text.as_str() {
            _ if text.len() > MAX_NAME => Err(Declined::Malformed(what)),
            Some(text) => Ok(Box::from(text)),
            None => Ok(Box::from(&*text.to_cow())),
        };
        let job = Job {
            id,
            name: text(offer.name, "name")?,
            intent: text(offer.intent, "intent")?,
            coordinator: text(offer.coordinator, "coordinator")?,
            sequence: offer.sequence,
            independent: offer.independent,
            input: offer.input,
            after: offer.after,
            started: now,
            line: None,
        };
        if self.jobs.len() >= self.capacity {
            let done = self.jobs.iter().position(|job| job.line.is_some()).ok_or(Declined::Busy)?;
            self.jobs.remove(done);
        }
        self.jobs.push_back(job);
        Ok(Offered::Run(id))
    }

    /// A step ended: sign its token, which goes back as the answer.
    ///
    /// # Errors
    /// [`Refused::UnknownStep`] when it was not taken on, [`Refused::Ended`] when it was finished before, [`Refused::Data`]; or it cannot be
    /// written or signed, and may then be finished again.
    pub fn finish(
        &mut self,
        now: Now,
        id: JobId,
        outcome: Outcome<'_>,
        spiffe: Option<Spiffe<'_>>,
        protection: &Protection<'_>,
    ) -> Result<&str, FinishError> {
        let at = self.position(id).ok_or(Refused::UnknownStep)?;
        let job = self.jobs.get_mut(at).ok_or(Refused::UnknownStep)?;
        if job.line.is_some() {
            return Err(Refused::Ended(super::super::StepStatus::Completed).into());
        }
        let offer = job.offer(&self.did);
        let output = match outcome {
            Outcome::Completed { output, .. } => output.hash()?,
            Outcome::Failed { .. } => None,
        };
        let mut step = offer.step(&self.node, job.started, now, output);
        match outcome {
            Outcome::Failed { error } => step = step.failed(error),
            Outcome::Completed { verify: Some(found), .. } => {
                let actual = match found {
                    Data::None => hash_value(Value::NULL).map_err(Refused::from)?,
                    Data::Value(value) => hash_value(value).map_err(Refused::from)?,
                    Data::Hash(hash) => hash,
                };
                if let Some(expected) = job.input.filter(|expected| *expected != actual) {
                    step = step.compromised(Finding { expected, actual, data: None });
                }
            }
            Outcome::Completed { verify: None, .. } => {}
        }
        step.spiffe = spiffe;
        let mut out = alloc::vec![0; MAX_LINE];
        let len = step.write(protection, &mut out)?.len;
        out.truncate(len);
        // What the writer puts is ASCII.
        let line = String::from_utf8(out).map_err(|_| Refused::TooLong)?;
        Ok(job.line.insert(line))
    }
}

/// Why a step could not be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// It is not running, or its data has no JSON form.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It cannot be written or signed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("did", &self.did).field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}
