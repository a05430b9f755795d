//! What the application says about pings that wait for it.

use super::answer::Answer;
use super::event::{OpenId, Outcome, WaitId, Waiting};
use super::inbound::Inbound;
use super::peers::Peers;
use super::ping::AnswerError;
use super::{Node, State};
use crate::Path;
use crate::airlock::Rank;
use crate::framing::{Decision, Value, Zone};
use crate::time::Now;

impl Node {
    /// Answer a ping that was accepted with [`Reply::Later`](super::Reply::Later).
    ///
    /// # Errors
    /// Why nothing was sent; the ping stays open.
    pub fn respond(&mut self, now: Now, id: OpenId, payload: Value<'_>) -> Result<(), AnswerError> {
        self.state.respond(now, id, payload)
    }

    /// Let a waiting ping in: its sender gets a second response, `accept`, with what the reply rules say.
    ///
    /// With [`Reply::Later`](super::Reply::Later) the ping becomes open instead, and the id under which to
    /// [`respond`](Self::respond) is returned.
    ///
    /// # Errors
    /// Why nothing happened; the ping goes on waiting. [`AnswerError::Rood`] if it would be turned away by now. Room for the answer of the reply rules that held when the ping came
    /// was set aside, so this happens only when they have changed since or a queue is full.
    pub fn approve(&mut self, now: Now, id: WaitId) -> Result<Option<OpenId>, AnswerError> {
        let waiting = self.state.inbox.waiting(id).ok_or(AnswerError::Gone)?;
        // Who may not even wait by now does not get in by having waited.
        let judged = self.policy.judge(now.wall, &waiting.subject(), self.state.names.name(&waiting.did));
        if judged.zone == Zone::Rood && !self.state.faults.answer_rood() {
            return Err(AnswerError::Rood);
        }
        let Some(payload) = self.policy.replies.find(&waiting.intent, waiting.encoding) else {
            return self.state.open_waiting(now, id).map(Some);
        };
        let len = self.state.stage_decision(now, id, Decision::Accept, payload)?;
        let ping = self.state.take_waiting(id).ok_or(AnswerError::Gone)?;
        self.state.outbox.commit(ping.path, len);
        let _ = self.state.events.decided(now.mono, id, &ping, Outcome::Approved, true, None);
        self.state.approved(now, &ping.did, ping.path);
        Ok(None)
    }

    /// Turn a waiting ping away. It stops waiting in any case; its sender gets a second response, `reject`, if that finds
    /// room ([`Decided::answered`](super::Decided::answered)).
    ///
    /// # Errors
    /// [`AnswerError::Gone`]: it did not wait any more.
    pub fn reject(&mut self, now: Now, id: WaitId) -> Result<(), AnswerError> {
        self.state.reject(now, id)
    }

    /// Every ping that waits for a decision, the one that came first in front.
    pub fn waiting(&self) -> impl Iterator<Item = Waiting<'_>> {
        self.state.inbox.list()
    }

    /// The ping that waits under this [number](WaitId::number).
    #[must_use]
    pub fn waiting_number(&self, number: u64) -> Option<Waiting<'_>> {
        self.waiting().find(|ping| ping.id.number() == number)
    }
}

impl State {
    fn respond(&mut self, now: Now, id: OpenId, payload: Value<'_>) -> Result<(), AnswerError> {
        let Self { inbox, peers, outbox, .. } = self;
        let ping = inbox.opened(id).ok_or(AnswerError::Gone)?;
        let len = outbox.stage(now, &Answer::to(ping, is_proven(peers, ping), Decision::Accept, payload))?;
        outbox.commit(ping.path, len);
        inbox.take_open(id);
        Ok(())
    }

    /// Write the decision about a waiting ping behind the send queue.
    fn stage_decision(
        &mut self,
        now: Now,
        id: WaitId,
        decision: Decision,
        payload: Value<'_>,
    ) -> Result<usize, AnswerError> {
        let Self { inbox, peers, outbox, .. } = self;
        let ping = inbox.waiting(id).ok_or(AnswerError::Gone)?;
        outbox.stage(now, &Answer::to(ping, is_proven(peers, ping), decision, payload))
    }

    /// Take a ping out that waits for a decision, and free the room that is reserved for telling of it.
    pub(super) fn take_waiting(&mut self, id: WaitId) -> Option<Inbound> {
        let ping = self.inbox.take_waiting(id)?;
        self.events.release(ping.text_bytes());
        Some(ping)
    }

    fn reject(&mut self, now: Now, id: WaitId) -> Result<(), AnswerError> {
        let staged = self.stage_decision(now, id, Decision::Reject, Value::EMPTY_OBJECT);
        let ping = self.take_waiting(id).ok_or(AnswerError::Gone)?;
        if let Ok(len) = staged {
            self.outbox.commit(ping.path, len);
        }
        // Room was reserved when it began to wait.
        let _ = self.events.decided(now.mono, id, &ping, Outcome::Rejected, staged.is_ok(), None);
        self.stats.refused = self.stats.refused.saturating_add(1);
        Ok(())
    }

    /// Move a waiting ping to the open ones.
    fn open_waiting(&mut self, now: Now, id: WaitId) -> Result<OpenId, AnswerError> {
        let ping = self.inbox.waiting(id).ok_or(AnswerError::Gone)?;
        if !self.inbox.can_open(ping) {
            return Err(AnswerError::QueueFull);
        }
        let ping = self.take_waiting(id).ok_or(AnswerError::Gone)?;
        let (did, path) = (ping.did.clone(), ping.path);
        let open = self.inbox.open(now.mono, ping).ok_or(AnswerError::QueueFull)?;
        if let Some(ping) = self.inbox.opened(open) {
            let _ = self.events.decided(now.mono, id, ping, Outcome::Approved, false, Some(open));
        }
        self.approved(now, &did, path);
        Ok(open)
    }

    /// Only now is the sender of a waiting ping accepted, and so a peer. What is known of it already is newer than the ping.
    fn approved(&mut self, now: Now, did: &str, path: Path) {
        self.stats.approved = self.stats.approved.saturating_add(1);
        let seat = self.peers.look_up(did);
        if !seat.is_known() {
            self.meet(now, seat, path, Rank::Stranger);
        }
    }
}

/// Whether a ping came from the proven address of its sender.
fn is_proven(peers: &Peers, ping: &Inbound) -> bool {
    peers.is_proven(peers.look_up(&ping.did), ping.path.remote)
}
