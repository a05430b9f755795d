//! The coordinator's side: which step is offered to whom, and which tokens are let in.

use super::super::inputs::Data;
use super::super::machine::Workload;
use super::super::refused::Refused;
use super::super::row::{Handed, Row};
use super::super::status::{StepStatus, WorkloadStatus};
use super::super::storage::{MAX_NAME, MAX_NOTE, StepStorage, keep};
use super::super::{Entry, MAX_LINE, Malformed, Step};
use super::keys::Proof;
use super::offer::Offer;
use crate::token::{Fault, Hash32, Token, TokenError, Verdict};
use sluis_core::data::{Full, Sink, Text};
use sluis_core::time::{Duration, Now};

/// Why a token was not admitted. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// It is no token.
    #[error("not a token: {0}")]
    Token(#[from] TokenError),
    /// It is a token, but not written as tokens of this room are, byte for byte.
    #[error("not written as the tokens of steps are")]
    Form,
    /// Its members are not those of a step.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its hash is wrong, or made with another key.
    #[error(transparent)]
    Hash(#[from] Fault),
    /// Nobody who may has signed it.
    #[error("not signed by the executor it was offered to")]
    Seal(Verdict),
    /// It is of another workload, or no step of this one.
    #[error("not a step of this workload")]
    NotOurs,
    /// The step was not offered, or came back already.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It was offered to another executor.
    #[error("the step was offered to another executor")]
    OtherExecutor,
    /// It does not follow the token that it was to follow.
    #[error("the step does not follow what it was to follow")]
    OtherParent,
    /// It ran on another input than it was offered with.
    #[error("the step ran on another input than it was offered with")]
    OtherInput,
    /// Its name, place or purpose is not what was offered, or what it says contradicts itself.
    #[error("the step is not what was offered: {0}")]
    Otherwise(&'static str),
}

/// A token was admitted: its line goes into the file as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The step.
    pub sequence: u32,
    /// How it ended.
    pub status: StepStatus,
    /// Its `content_hash`.
    pub content_hash: Hash32,
}

impl<S: StepStorage> Workload<S> {
    /// Offer a step to an executor elsewhere, for so long. It counts as started; only its signed token, or
    /// [`withdraw`](Self::withdraw), ends that.
    ///
    /// # Errors
    /// As [`start`](Self::start); [`Refused::TokensWaiting`] when the token before it was not polled yet.
    pub fn offer(
        &mut self,
        now: Now,
        sequence: u32,
        input: Data<'_>,
        executor: &str,
        valid: Duration,
    ) -> Result<Offer<'_>, Refused> {
        let input = self.input_of(self.waiting(sequence)?, input)?;
        if self.pending().is_some() {
            return Err(Refused::TokensWaiting);
        }
        let executor = keep::<S>(executor, MAX_NAME)?;
        let row = self.row_mut(sequence).ok_or(Refused::UnknownStep)?;
        row.status = StepStatus::Running;
        row.started = Some(now);
        row.input = input;
        let rare = row.rare_mut();
        rare.runner = Some(executor);
        rare.handed = Handed::Offered;
        rare.expires = now.wall.saturating_add(valid);
        if self.status == WorkloadStatus::Created {
            self.status = WorkloadStatus::Running;
        }
        self.offered(sequence).ok_or(Refused::UnknownStep)
    }

    /// The offer of a step that is out: the same as when it was made, to be sent again.
    #[must_use]
    pub fn offered(&self, sequence: u32) -> Option<Offer<'_>> {
        let row = self.row(sequence).filter(|row| row.is_handed_over())?;
        let step = self.step(sequence)?;
        Some(Offer {
            workload_id: self.id,
            step_id: row.id,
            name: Text::new(step.name),
            sequence,
            coordinator: Text::new(self.actor.as_ref()),
            executor: Text::new(step.executor),
            intent: Text::new(step.intent.unwrap_or_default()),
            independent: row.independent,
            input: row.input,
            after: self.head,
            expires_at: row.rare().map(|rare| rare.expires)?,
        })
    }

    /// Take an offer back: the step waits again, for another executor. A token that still comes is not admitted.
    ///
    /// # Errors
    /// [`Refused::NotStarted`] when it is not offered.
    pub fn withdraw(&mut self, sequence: u32) -> Result<(), Refused> {
        let row = self.row_mut(sequence).filter(|row| row.is_handed_over()).ok_or(Refused::NotStarted)?;
        row.status = StepStatus::Pending;
        row.started = None;
        row.input = None;
        let rare = row.rare_mut();
        rare.runner = None;
        rare.handed = Handed::No;
        Ok(())
    }

    /// Admit the token of a step that came back: the one that was offered, in its place, once, by whom it was offered to and signed by
    /// that one. The line goes into the file exactly as it is.
    ///
    /// # Errors
    /// [`NotAdmitted`]; the step is still offered.
    pub fn admit(&mut self, now: Now, line: &str, proof: &Proof<'_>) -> Result<Admitted, NotAdmitted> {
        if line.len() > MAX_LINE {
            return Err(NotAdmitted::Form);
        }
        let token = Token::parse(line)?;
        self.admit_token(now, line, &token, proof)
    }

    pub(in super::super) fn admit_token(
        &mut self,
        now: Now,
        line: &str,
        token: &Token<'_>,
        proof: &Proof<'_>,
    ) -> Result<Admitted, NotAdmitted> {
        let Some(entry) = Entry::read(token) else { return Err(NotAdmitted::NotOurs) };
        let Entry::Step(step) = entry? else { return Err(NotAdmitted::NotOurs) };
        let row = self.row(step.sequence).filter(|row| row.id == step.step_id && step.workload_id == self.id);
        let row = row.ok_or(NotAdmitted::NotOurs)?;
        self.may_come_back(row)?;
        if self.step(step.sequence).is_none_or(|view| step.executor != view.executor) {
            return Err(NotAdmitted::OtherExecutor);
        }
        proven(token, proof)?;
        if !is_form(line, token) {
            return Err(NotAdmitted::Form);
        }
        if step.after != self.head {
            return Err(NotAdmitted::OtherParent);
        }
        if step.input != row.input || step.independent != row.independent {
            return Err(NotAdmitted::OtherInput);
        }
        self.as_offered(&step)?;
        let hash = token.said_hash().ok_or(NotAdmitted::Form)?;
        self.take_in(now, &step, hash)?;
        Ok(Admitted { sequence: step.sequence, status: step.status, content_hash: hash })
    }

    /// It is offered, and did not come back.
    fn may_come_back(&self, row: &Row<S>) -> Result<(), Refused> {
        match row.status {
            _ if self.is_closed() => Err(Refused::Closed),
            StepStatus::Running if row.is_handed_over() => Ok(()),
            StepStatus::Running => Err(Refused::AlreadyStarted),
            StepStatus::Pending => Err(Refused::NotStarted),
            ended => Err(Refused::Ended(ended)),
        }
    }

    /// The rest of what it says is what was offered, and does not contradict itself.
    fn as_offered(&self, step: &Step<'_>) -> Result<(), NotAdmitted> {
        let view = self.step(step.sequence).ok_or(NotAdmitted::NotOurs)?;
        let wrong = |what| Err(NotAdmitted::Otherwise(what));
        if step.name != view.name {
            return wrong("name");
        }
        let fits = match view.intent {
            Some(intent) => step.intent.is_some_and(|said| said == intent),
            None => step.intent.is_some_and(|said| is_default_intent(said, view.name)),
        };
        if !fits {
            return wrong("intent");
        }
        if step.started.is_none() || !(step.duration_ms >= 0.0 && step.duration_ms.is_finite()) {
            return wrong("times");
        }
        let consistent = match (step.status, step.finding) {
            (StepStatus::Completed | StepStatus::Failed, None) => true,
            (StepStatus::Compromised, Some(found)) => {
                Some(found.expected) == step.input && found.actual != found.expected
            }
            _ => false,
        };
        if consistent { Ok(()) } else { wrong("status") }
    }

    fn take_in(&mut self, now: Now, step: &Step<'_>, hash: Hash32) -> Result<(), NotAdmitted> {
        let node = keep::<S>(step.node.as_str().unwrap_or_default(), MAX_NAME).map_err(Refused::from)?;
        let error = match step.error.as_str().unwrap_or_default() {
            "" => None,
            error => Some(keep::<S>(error, MAX_NOTE).map_err(Refused::from)?),
        };
        if let Some(row) = self.row_mut(step.sequence) {
            let rare = row.rare_mut();
            rare.node = Some(node);
            rare.error = error;
            rare.actual = step.finding.map(|finding| finding.actual);
            rare.handed = Handed::Admitted;
        }
        self.end(now, step.sequence, step.status, step.output);
        if let Some(row) = self.row_mut(step.sequence) {
            // By the executor's clocks, as in its token.
            row.ended = step.ended;
            row.started = step.started.map(|wall| Now::new(now.mono, wall));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturating")]
            let micros = (step.duration_ms * 1000.0) as u64;
            row.micros = micros;
        }
        self.wrote(step.sequence, step.step_id, hash, step.output);
        Ok(())
    }
}

/// Whoever it was offered to has signed it, or hashed it under the shared key.
fn proven(token: &Token<'_>, proof: &Proof<'_>) -> Result<(), NotAdmitted> {
    token.verify(proof.mac)?;
    match (proof.authority, proof.mac) {
        (Some(authority), _) => match token.check_seal(&authority) {
            Verdict::Good => Ok(()),
            verdict => Err(NotAdmitted::Seal(verdict)),
        },
        (None, Some(_)) => Ok(()),
        (None, None) => Err(NotAdmitted::Seal(Verdict::Unsigned)),
    }
}

/// Whether the line is exactly what is written for the token: one line, nothing beside it.
fn is_form(line: &str, token: &Token<'_>) -> bool {
    struct Same<'l>(&'l [u8]);
    impl Sink for Same<'_> {
        fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
            self.0 = self.0.strip_prefix(bytes).ok_or(Full)?;
            Ok(())
        }
    }
    let mut same = Same(line.as_bytes());
    token.write_json(&mut same).is_ok() && same.0.is_empty()
}

/// `Execute step '<name>'`.
fn is_default_intent(said: Text<'_>, name: &str) -> bool {
    let expected = "Execute step '".chars().chain(name.chars()).chain(core::iter::once('\''));
    said.chars().eq(expected.map(Ok))
}
