//! Steps of an engine that run elsewhere.

use super::audit::Record;
use super::{Action, Engine};
use crate::token::Token;
use crate::workload::handover::{Admitted, NotAdmitted, Offer, Proof};
use crate::workload::{Data, Entry, MAX_LINE, Refused, StepStatus, WorkloadId};
use sluis_core::time::{Duration, Now};

impl Engine {
    /// Offer a step to an executor elsewhere: [`Workload::offer`](crate::workload::Workload::offer), which the audit trail shows as a
    /// start.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn offer_step(
        &mut self,
        now: Now,
        id: WorkloadId,
        name: &str,
        input: Data<'_>,
        executor: &str,
        valid: Duration,
    ) -> Result<Offer<'_>, Refused> {
        self.room_for_audit()?;
        let (slot, sequence, workload) = self.step(id, name)?;
        let before = workload.status();
        workload.offer(now, sequence, input, executor, valid)?;
        self.trail.push(Record::new(now, Action::StepStarted, slot, sequence));
        self.done(slot, before);
        let workload = &self.slots.at(slot).ok_or(Refused::UnknownWorkload)?.workload;
        workload.offered(sequence).ok_or(Refused::UnknownStep)
    }

    /// Take an offer back. The audit trail keeps its start.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn withdraw_step(&mut self, id: WorkloadId, name: &str) -> Result<(), Refused> {
        let (_, sequence, workload) = self.step(id, name)?;
        workload.withdraw(sequence)
    }

    /// Admit the token of a step that came back, to the workload that it names:
    /// [`Workload::admit`](crate::workload::Workload::admit). Its line goes into the file as it came.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub fn admit_step(
        &mut self,
        now: Now,
        line: &str,
        proof: &Proof<'_>,
    ) -> Result<(WorkloadId, Admitted), NotAdmitted> {
        self.room_for_audit().map_err(NotAdmitted::Refused)?;
        if line.len() > MAX_LINE {
            return Err(NotAdmitted::Form);
        }
        let token = Token::parse(line)?;
        let Some(entry) = Entry::read(&token) else { return Err(NotAdmitted::NotOurs) };
        let id = entry?.workload_id();
        let slot = self.slot(id).map_err(|_| NotAdmitted::NotOurs)?;
        let workload = self.at(slot)?;
        let before = workload.status();
        let admitted = workload.admit_token(now, line, &token, proof)?;
        let action = match admitted.status {
            StepStatus::Failed => Action::StepFailed,
            StepStatus::Compromised => {
                self.compromised.push_back((slot, admitted.sequence));
                Action::StepCompromised
            }
            _ => Action::StepCompleted,
        };
        self.trail.push(Record::new(now, action, slot, admitted.sequence));
        self.done(slot, before);
        Ok((id, admitted))
    }
}
