//! What a channel writes to its stream: records that are prepared together, and long messages as they lie.

use core::mem;

use super::{ACK, Channel, Fault, Own, Side, State, record};
use crate::session::{Session, StreamId};

/// Bytes of records that are prepared before the stream takes them.
const STAGED: usize = 16 * 1024;

impl Channel {
    /// Write what there is to its stream, as far as that has room.
    ///
    /// # Errors
    /// [`Fault::Signer`].
    pub fn write(&mut self, session: &mut Session, stream: StreamId, own: Own<'_>) -> Result<(), Fault> {
        if self.state == State::Opening && self.side == Side::Target {
            return Ok(());
        }
        if self.staged.capacity() == 0 {
            self.staged = session.lend_scratch();
        }
        while self.write_some(session, stream, own)? {}
        if self.staged.is_empty() {
            session.return_scratch(mem::take(&mut self.staged));
        }
        Ok(())
    }

    /// Write what is prepared, or the next message; whether there may be more. A stream that is gone says so in an event of its own.
    fn write_some(&mut self, session: &mut Session, stream: StreamId, own: Own<'_>) -> Result<bool, Fault> {
        if self.staged.is_empty() && !self.sending.is_in_part() {
            self.stage(own)?;
        }
        if self.staged.is_empty() {
            let all = self.is_flowing().then(|| self.sending.write_next(|bytes| session.write(stream, bytes)));
            return Ok(matches!(all, Some(Ok(true))));
        }
        let rest = self.staged.get(self.staged_at..).unwrap_or_default();
        let Ok(taken) = session.write(stream, rest) else { return Ok(false) };
        self.staged_at += taken;
        let all = self.staged_at == self.staged.len();
        if all {
            self.staged.clear();
            self.staged_at = 0;
        }
        Ok(all)
    }

    /// Whether messages may be written.
    const fn is_flowing(&self) -> bool {
        !self.resume_due && matches!(self.state, State::Open | State::HalfClosed)
    }

    /// Prepare the next records.
    fn stage(&mut self, own: Own<'_>) -> Result<(), Fault> {
        if !self.is_flowing() {
            return Ok(());
        }
        if mem::take(&mut self.ack_due) {
            let text = self.taken.to_be_bytes();
            let tag = self.agreement.as_ref().map(|agreement| agreement.aside(self.side.sends(), ACK, &text));
            record::put(&mut self.staged, ACK, &[&text, tag.as_ref().map_or(&[][..], |tag| &tag[..])]);
        }
        // A signature is for all before it, and stands behind the last of them.
        self.sign(own)?;
        while self.staged.len() < STAGED && self.sending.put_short(&mut self.staged) {
            self.sign(own)?;
        }
        Ok(())
    }
}
