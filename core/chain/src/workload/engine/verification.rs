//! What the reference's `verify_chain` answers, as the dictionary that it returns.

use super::Engine;
use crate::workload::view::put_members;
use crate::workload::{ErrorText, Issue, Refused, WorkloadId};
use sluis_core::data::{Number, Sink};
use sluis_core::time::Now;

impl Engine {
    /// `verify_chain`, its outcome written as `json.dumps` prints the dictionary that the reference returns; for
    /// a workload that is not there that it is invalid, and why.
    ///
    /// # Errors
    /// [`Refused::Full`] when there is no room for the audit entry, [`Refused::Data`] when the sink is full.
    pub fn write_verification(&mut self, now: Now, id: WorkloadId, sink: &mut impl Sink) -> Result<(), Refused> {
        let verification = match self.verify_chain(now, id) {
            Err(Refused::UnknownWorkload) => {
                return put(sink, b"{\"valid\": false, \"reason\": \"workload_not_found\"}");
            }
            verification => verification?,
        };
        let workload = self.workload(id).ok_or(Refused::UnknownWorkload)?;
        put(sink, if verification.valid { b"{\"valid\": true, " } else { b"{\"valid\": false, " })?;
        let members = [
            ("workload_id", id.as_str().into()),
            ("name", workload.name().into()),
            ("steps_checked", Number::Int(verification.steps_checked.into()).into()),
        ];
        put_members(sink, &members)?;
        put(sink, b", \"issues\": [")?;
        for (n, Issue::Compromised(step)) in workload.issues().enumerate() {
            let mut room = ErrorText::new();
            let members =
                [("step", step.name.into()), ("issue", "compromised".into()), ("error", step.error(&mut room).into())];
            put(sink, if n > 0 { b", {" } else { b"{" })?;
            put_members(sink, &members)?;
            put(sink, b"}")?;
        }
        put(sink, b"]}")
    }
}

fn put(sink: &mut impl Sink, bytes: &[u8]) -> Result<(), Refused> {
    sink.put(bytes).map_err(|full| Refused::Data(full.into()))
}
