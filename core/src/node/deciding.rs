//! What the application says about pings that wait for it.

use super::answer::Answer;
use super::event::{Outcome, PingId, Room};
use super::inbound::Inbound;
use super::ping::AnswerError;
use super::{Node, State};
use crate::Route;
use crate::framing::{Decision, Text, Value};
use crate::time::Now;

impl Node {
    /// Answer a ping that was accepted with [`Reply::Later`](super::Reply::Later).
    ///
    /// # Errors
    /// Why nothing was sent; the ping stays open.
    pub fn respond(&mut self, now: Now, id: PingId, payload: Value<'_>) -> Result<(), AnswerError> {
        let out = self.try_respond(now, id, payload);
        self.tape.note(|line| {
            line.text("in", "respond").at(now).ping(id).value("payload", payload).out(&out);
        });
        out
    }

    fn try_respond(&mut self, now: Now, id: PingId, payload: Value<'_>) -> Result<(), AnswerError> {
        if id.room != Room::Open {
            return Err(AnswerError::Gone);
        }
        let len = self.state.stage_decision(now, id, Decision::Accept, payload)?;
        self.state.finish(id, len);
        Ok(())
    }

    /// Let a waiting ping in: its sender gets a second response, `accept`, with what the reply rules say.
    ///
    /// With [`Reply::Later`](super::Reply::Later) the ping becomes open instead, and the id under which to
    /// [`respond`](Self::respond) is returned.
    ///
    /// # Errors
    /// Why nothing happened; the ping goes on waiting.
    pub fn approve(&mut self, now: Now, id: PingId) -> Result<Option<PingId>, AnswerError> {
        let out = self.try_approve(now, id);
        self.tape.note(|line| {
            line.text("in", "approve").at(now).ping(id).out(&out);
        });
        out
    }

    fn try_approve(&mut self, now: Now, id: PingId) -> Result<Option<PingId>, AnswerError> {
        let waiting = self.state.waiting_ping(id)?;
        let Some(payload) = self.policy.replies.find(&waiting.intent) else {
            return self.state.open_waiting(now, id).map(Some);
        };
        let len = self.state.stage_decision(now, id, Decision::Accept, payload)?;
        self.state.decide(now, id, Outcome::Approved, len)?;
        Ok(None)
    }

    /// Refuse a waiting ping: its sender gets a second response, `reject`.
    ///
    /// # Errors
    /// Why nothing happened; the ping goes on waiting.
    pub fn reject(&mut self, now: Now, id: PingId) -> Result<(), AnswerError> {
        let out = self.try_reject(now, id);
        self.tape.note(|line| {
            line.text("in", "reject").at(now).ping(id).out(&out);
        });
        out
    }

    fn try_reject(&mut self, now: Now, id: PingId) -> Result<(), AnswerError> {
        self.state.waiting_ping(id)?;
        let len = self.state.stage_decision(now, id, Decision::Reject, Value::EMPTY_OBJECT)?;
        self.state.decide(now, id, Outcome::Rejected, len)
    }

    /// The waiting pings with this packet id, and who sent them. Senders choose packet ids, so there may be several.
    pub fn waiting(&self, packet_id: &str) -> impl Iterator<Item = (PingId, &str)> {
        self.state
            .waiting
            .iter()
            .filter(move |(_, ping)| ping.packet_id == packet_id)
            .map(|(id, ping)| (PingId { room: Room::Waiting, id }, ping.did.as_str()))
    }
}

impl State {
    fn waiting_ping(&self, id: PingId) -> Result<&Inbound, AnswerError> {
        if id.room != Room::Waiting {
            return Err(AnswerError::Gone);
        }
        self.waiting.get(id.id).ok_or(AnswerError::Gone)
    }

    /// Take a ping out of the waiting room.
    fn take_waiting(&mut self, id: PingId) -> Option<Inbound> {
        let ping = self.waiting.remove(id.id)?;
        self.quota.remove(self.names.hash(ping.did.as_bytes()));
        Some(ping)
    }

    /// Write the answer to a kept ping behind the send queue.
    fn stage_decision(
        &mut self,
        now: Now,
        id: PingId,
        decision: Decision,
        payload: Value<'_>,
    ) -> Result<usize, AnswerError> {
        let Self { waiting, open, peers, did, ids, breakdown, out, .. } = self;
        let room = match id.room {
            Room::Waiting => waiting,
            Room::Open => open,
        };
        let ping = room.get(id.id).ok_or(AnswerError::Gone)?;
        let proven = peers.is_proven(peers.look_up(&ping.did), ping.route.remote);
        let answer = Answer {
            in_response_to: Text::new(&ping.packet_id),
            decision,
            payload,
            judged: ping.judged(),
            route: ping.route,
            encoding: ping.encoding,
            allowance: (!proven).then_some(ping.allowance),
        };
        answer.stage(now, did.as_str(), ids, breakdown, out)
    }

    /// Queue the staged answer to an open ping and forget the ping.
    fn finish(&mut self, id: PingId, len: usize) {
        if let Some(ping) = self.open.remove(id.id) {
            self.out.commit(ping.route, len);
        }
    }

    /// Move a waiting ping to the open ones.
    fn open_waiting(&mut self, now: Now, id: PingId) -> Result<PingId, AnswerError> {
        if self.open.is_full() {
            return Err(AnswerError::QueueFull);
        }
        let ping = self.waiting_ping(id)?;
        if !self.events.room_for_notices(1, ping.packet_id.len() + ping.did.len()) {
            return Err(AnswerError::QueueFull);
        }
        let ping = self.take_waiting(id).ok_or(AnswerError::Gone)?;
        let (packet_id, did, route) = (ping.packet_id.clone(), ping.did.clone(), ping.route);
        let open = self.open.insert(now.mono, 0, ping).map_err(|_| AnswerError::QueueFull)?;
        let open = PingId { room: Room::Open, id: open };
        let _ = self.events.decided(id, &packet_id, &did, Outcome::Approved, Some(open));
        self.stats.approved = self.stats.approved.saturating_add(1);
        self.meet_approved(now, &did, route);
        Ok(open)
    }

    /// Only now is the sender of a waiting ping accepted, and so a peer. What is known of it already is newer than the ping.
    fn meet_approved(&mut self, now: Now, did: &str, route: Route) {
        let seat = self.peers.look_up(did);
        if !seat.is_known() {
            self.meet(now, seat, route);
        }
    }

    /// Forget a waiting ping, queue its staged answer and tell the application.
    fn decide(&mut self, now: Now, id: PingId, outcome: Outcome, staged: usize) -> Result<(), AnswerError> {
        let ping = self.waiting_ping(id)?;
        if !self.events.room_for_notices(1, ping.packet_id.len() + ping.did.len()) {
            return Err(AnswerError::QueueFull);
        }
        let ping = self.take_waiting(id).ok_or(AnswerError::Gone)?;
        self.out.commit(ping.route, staged);
        let _ = self.events.decided(id, &ping.packet_id, &ping.did, outcome, None);
        if outcome == Outcome::Approved {
            self.stats.approved = self.stats.approved.saturating_add(1);
            self.meet_approved(now, &ping.did, ping.route);
        } else {
            self.stats.refused = self.stats.refused.saturating_add(1);
        }
        Ok(())
    }
}
