//! What comes and goes through sessions: passed on between the sessions and the rooms that know nothing of them.

use super::bundle::{self, Bundle};
use super::circuits::{self, Circuits, Sent};
use super::client::RequestId;
use super::event::{SessionChange, SessionState};
use super::identity::{self, FromSession, Identity};
use super::inbox::Inbound;
use super::ingress::Ingress;
use super::links::{self, Fate, Links, Told, Waiting, Way};
use super::outbox::{NextHop, Outgoing, Wrap};
use super::peers::PeerLookup;
use super::ping::{AnswerError, Ping, PingError};
use super::policy::Policy;
use super::receive::Taken;
use super::{Node, Rooms};
use crate::airlock::Rank;
use crate::framing::{Frame, Message};
use crate::identity::PublicKey;
use crate::limits::{MAX_DATAGRAM_V6, MAX_DID};
use crate::session::{self, SealError};
use crate::time::{Duration, Now, Wall};
use crate::{Name, Path, Reject, Transmit};

/// Bytes of the notice of a session at most, beside its fixed part.
const NOTICE: usize = MAX_DID + 32;

impl Node {
    /// Whether a datagram is for the sessions of this node.
    pub(super) fn is_sealed(&self, bytes: &[u8]) -> bool {
        self.rooms.links.is_some() && session::is_session_frame(bytes)
    }

    /// Take in a frame of a session, and what is in it.
    pub(super) fn take_sealed(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<Taken, Reject> {
        self.brief_sessions();
        self.judge_sessions(now);
        let Self { policy, rooms, .. } = self;
        let Rooms { links, admission, overlay, .. } = rooms;
        let judges = (&*policy, overlay.as_deref());
        let Some(links) = links.as_deref_mut() else { return Err(Reject::Header) };
        let mut refused = None;
        let names = admission.names().clone();
        let addressed = links.addressed(bytes);
        let taken = links.handle(now, (path, &names), bytes, &mut |claim, standing| {
            refused = admission.check_claim(judges, now.wall, claim, standing).err();
            refused.is_none()
        });
        if let (Ok(session::Ingress::Nothing), Some(id)) = (&taken, addressed) {
            // A challenge is no reason to say something to who is not let in.
            self.judge_session(now, id);
        }
        self.follow_sessions();
        let (from, body) = match taken.map_err(|why| links::reject_of(why, refused))? {
            session::Ingress::Body { session: id, key, body } => (FromSession { id, key, early: false }, body),
            session::Ingress::Early { session: id, key, body } => (FromSession { id, key, early: true }, body),
            session::Ingress::Nothing => return Ok(Taken::Session),
        };
        self.take_body(now, from, bytes.get(body).unwrap_or_default())
    }

    /// Take in the frames that came in one packet of a session. Each is judged and counted by itself; what is said is what became of the
    /// last one.
    fn take_body(&mut self, now: Now, from: FromSession, mut bytes: &[u8]) -> Result<Taken, Reject> {
        for _ in 0..bundle::MAX_TAKEN {
            let Some((frame, rest)) = bundle::split_first(bytes) else { return self.take_opened(now, from, bytes) };
            let taken = self.take_opened(now, from, frame);
            self.rooms.traffic.count_bundled(taken);
            bytes = rest;
        }
        Err(Reject::Malformed)
    }

    /// Take in a frame that came through a session, as long as that is not over.
    pub(super) fn take_opened(&mut self, now: Now, from: FromSession, bytes: &[u8]) -> Result<Taken, Reject> {
        let taken = self.take_said(now, from, bytes);
        if taken.is_err() {
            self.judge_session(now, from.id);
            self.follow_sessions();
        }
        taken
    }

    fn take_said(&mut self, now: Now, from: FromSession, bytes: &[u8]) -> Result<Taken, Reject> {
        let frame = &Frame::decode(bytes)?;
        let (did, path) = self.rooms.links.as_ref().and_then(|links| links.peer(from.id)).ok_or(Reject::Sealed)?;
        // Whoever is at the other side speaks in its own name, and in no other.
        match &frame.message {
            Message::Packet(packet) if packet.source_did != *did => return Err(Reject::BadSignature),
            Message::Response(response) if response.responder_did != *did => return Err(Reject::WrongResponder),
            Message::Packet(_) | Message::Response(_) => {}
        }
        self.take_frame(now, &Ingress { path, session: Some(from), frame, bytes })
    }

    /// Tell the sessions what was kept of an earlier life, once: before anything of theirs comes or goes.
    pub(super) fn brief_sessions(&mut self) {
        let Rooms { links, storing, admission, .. } = &mut self.rooms;
        if let Some(sessions) = links.as_deref_mut().and_then(Links::unbriefed) {
            storing.tell_sessions(sessions, self.config.not_before.unwrap_or(Wall::MIN));
            if let Some(links) = links.as_deref_mut() {
                let _ = links.new_own_stamp();
                links.speak_as(storing.incarnation());
                links.recall(admission.names(), &self.policy.pins);
            }
        }
    }

    /// Take out what happened to sessions, as long as there is room to tell it: keep what has to be kept, let go what waited, and
    /// have peers follow.
    pub(super) fn follow_sessions(&mut self) {
        let Self { policy, rooms, .. } = self;
        let Rooms { links, admission, events, peers, storing, timers, circuits, .. } = rooms;
        let Some(links) = links.as_deref_mut() else { return };
        while links.has_news() && events.room_for_notices(1, NOTICE) {
            match links.poll_news(admission.names(), &policy.pins) {
                Some(Told::Stamp(did, key, stamp)) => storing.note_stamp(did, key, stamp),
                Some(Told::Incarnation(did, key, known)) => storing.note_known(did, key, known),
                Some(Told::Change(change)) => {
                    let name = admission.name(change.did);
                    let pinned = change.key.is_some_and(|key| identity::judge_key(&policy.pins, name, key) == Ok(true));
                    if let SessionState::Up { .. } = change.state
                        && pinned
                        && let Some(change) = policy.pins.note_session(change.did)
                    {
                        storing.push_session(change);
                    }
                    if let SessionState::Moved { .. } = change.state
                        && pinned
                        && change.path.circuit().is_none()
                    {
                        peers.follow(timers.now(), peers.look_up_name(name), change.path);
                    }
                    // Room was found above.
                    let _ = events.session(&shown(circuits.as_deref(), change));
                }
                None => break,
            }
        }
        if let Some(stamp) = links.new_own_stamp() {
            storing.note_own_stamp(stamp);
        }
    }

    /// End every session once all that is queued has left, and tell the other sides, so that they hold nothing for this node and begin anew at once when it is back. What waits for a
    /// session or an answer is not waited for. False when there is no session.
    pub fn close_sessions(&mut self) -> bool {
        self.rooms.links.as_mut().is_some_and(|links| links.close_all())
    }

    /// A key was retired: whatever still comes or goes under it ends now.
    pub(super) fn end_sessions_of(&mut self, key: &PublicKey) {
        if let Some(links) = &mut self.rooms.links {
            links.revoke(key);
        }
        self.follow_sessions();
    }

    /// The next datagram, from whatever room it comes; what goes through a circuit is packed for it.
    pub(super) fn next_transmit(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        self.judge_sessions(now);
        self.follow_sessions();
        self.rooms.ask_for_circuits(now);
        if let Some(ready) = self.rooms.circuits.as_deref_mut().and_then(|circuits| circuits.next_ready(out)) {
            return Some(ready);
        }
        loop {
            let transmit = self.next_plain(now, out)?;
            let Some(label) = transmit.path.circuit() else { return Some(transmit) };
            match self.rooms.circuits.as_deref_mut().and_then(|at| at.send(now.mono, label, (out, transmit.len))) {
                Some(Sent::Now(packed)) => return Some(packed),
                Some(Sent::Later) => self.rooms.ask_for_circuits(now),
                None => self.rooms.outbox.count_unsent(),
            }
        }
    }

    fn next_plain(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        let sent = self.rooms.next_of_sessions(now, out).or_else(|| self.rooms.next_queued(now, out));
        let sent = sent.or_else(|| self.next_heartbeat(now, out));
        // Sealing may have found keys too old, which is no news but output.
        let sent = sent.or_else(|| self.rooms.next_of_sessions(now, out));
        sent.or_else(|| self.rooms.next_farewell(now, out)).or_else(|| self.next_beacon(now, out))
    }

    /// The next call or answer on the local network.
    fn next_beacon(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        let Rooms { lan, outbox, .. } = &mut self.rooms;
        let key = self.config.identity.as_ref().map(Identity::public);
        let sent = lan.as_mut()?.poll_transmit(now, (outbox, key), out);
        if sent.is_some() {
            outbox.count_sent();
        }
        sent
    }

    /// The next heartbeat of the round that is going on, if any.
    fn next_heartbeat(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        let Self { policy, rooms, config } = self;
        let Rooms { timers, peers, outbox, links, admission, .. } = rooms;
        while timers.heartbeats_left() > 0 && out.len() >= MAX_DATAGRAM_V6 {
            // Without a proven peer the round is over.
            let Some(peer) = peers.next_proven() else {
                timers.heartbeat_sent(false);
                return None;
            };
            if policy.shuts_out(now.wall, admission.name(peer.did())) {
                timers.heartbeat_sent(true);
                continue;
            }
            let pin = policy.pins.get_name(admission.name(peer.did())).filter(|pin| !pin.revoked);
            let live = links.as_ref().zip(pin).and_then(|(links, pin)| links.live(peer.did(), &pin.key));
            timers.heartbeat_sent(true);
            if live.is_none() && links.as_ref().is_some_and(|links| links.requires()) {
                continue;
            }
            let wrap = if live.is_some() { Wrap::Sealed } else { Wrap::Plain };
            let Some(len) = outbox.write_heartbeat(now, (peer.did(), wrap), config.heartbeat_encoding, out) else {
                continue;
            };
            let transmit = match (live, links.as_deref_mut()) {
                // One that has no keys at the moment does without.
                (Some(id), Some(links)) => links.seal(now, id, (&mut *out, len), None).ok(),
                _ => Some(Transmit { path: peer.path(), len }),
            };
            if transmit.is_some() {
                outbox.count_sent();
                return transmit;
            }
        }
        None
    }
}

/// A change with the addresses that others know.
fn shown<'a>(circuits: Option<&Circuits>, change: SessionChange<'a>) -> SessionChange<'a> {
    let shown = |path| circuits::shown(circuits, path);
    let state = match change.state {
        SessionState::Moved { from } => SessionState::Moved { from: shown(from) },
        SessionState::Cloned { elsewhere } => SessionState::Cloned { elsewhere: shown(elsewhere) },
        state => state,
    };
    SessionChange { path: shown(change.path), relayed: change.path.circuit().is_some(), state, ..change }
}

impl Rooms {
    /// The next datagram of the sessions themselves, or of what waited for one.
    fn next_of_sessions(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        let Self { links, outbox, client, traces, .. } = self;
        let links = links.as_deref_mut().filter(|_| out.len() >= MAX_DATAGRAM_V6)?;
        if let Some(transmit) = links.poll_transmit(now, out) {
            outbox.count_sent();
            return Some(transmit);
        }
        while let Some(waiting) = links.pop_ready() {
            let Waiting { session, request, path, .. } = waiting;
            if request.is_some_and(|request| !client.is_open(request)) {
                continue;
            }
            if waiting.fate == Fate::Plain {
                let Some((request, (mut len, digest))) = request.zip(outbox.sign_frame(&waiting.frame, out)) else {
                    continue;
                };
                client.unseal(request, digest);
                if waiting.trace
                    && let Some(asked) = outbox.trace_behind(now, path, (out, &mut len))
                {
                    traces.get_or_insert_default().note_asked(client, request, asked);
                }
                outbox.count_sent();
                return Some(Transmit { path, len });
            }
            let Some(session) = session else { continue };
            let (before, len) = (Wrap::Sealed.before(), waiting.frame.len());
            out.get_mut(before..before + len)?.copy_from_slice(&waiting.frame);
            match links.seal(now, session, (&mut *out, len), request) {
                Ok(transmit) => {
                    outbox.count_sent();
                    return Some(transmit);
                }
                Err(SealError::NotReady | SealError::Unproven) => links.put_back(waiting),
                Err(_) => outbox.count_lost(),
            }
        }
        None
    }

    /// The next datagram that ends a session, where all are to end: nothing else is left to be sent.
    fn next_farewell(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        let links = self.links.as_deref_mut().filter(|_| out.len() >= MAX_DATAGRAM_V6)?;
        let transmit = links.poll_farewell(now, out)?;
        self.outbox.count_sent();
        Some(transmit)
    }

    /// The next datagram of the queue. What goes through a session that has no keys at the moment, or whose address has yet to prove itself, waits
    /// aside and holds up nobody.
    fn next_queued(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        let Self { links, outbox, .. } = self;
        loop {
            let (outgoing, len) = outbox.next(out)?;
            let (session, request) = match outgoing {
                Outgoing::Direct(path) => {
                    outbox.count_sent();
                    return Some(Transmit { path, len });
                }
                Outgoing::Session(session, request) => (session, request),
            };
            let Some(links) = links.as_deref_mut() else { continue };
            let bundle = Bundle::gather(outbox, (session, request), out);
            let why = match links.seal(now, session, (&mut *out, bundle.len()), bundle.requests()) {
                Ok(transmit) => {
                    outbox.count_sent();
                    return Some(transmit);
                }
                Err(why) => why,
            };
            let waits = matches!(why, SealError::NotReady | SealError::Unproven);
            let path = links.peer(session).map(|(_, path)| path);
            for (frame, request) in bundle.frames(out) {
                // The session ended since: a request runs out of time, an answer has nobody left to hear it.
                let Some(path) = path.filter(|_| waits) else {
                    outbox.count_lost();
                    continue;
                };
                let (session, early, sealed_only, trace, fate) = (Some(session), false, true, false, Fate::Waits);
                let frame = frame.into();
                links.hold(Waiting { session, frame, request, path, early, sealed_only, trace, fate });
            }
        }
    }

    /// The address of this name was looked up: where there are sessions, pings to it go through one with its key. False where no more such names can be remembered.
    pub(super) fn note_found(&mut self, now: Now, (did, key): (&str, &PublicKey), path: Path) -> bool {
        let Self { links, admission, .. } = self;
        links.as_deref_mut().is_none_or(|links| links.note_found(now, (admission.name(did), key), path))
    }

    /// How a ping gets to whom it is for.
    pub(super) fn way(&mut self, now: Now, policy: &Policy, ping: &Ping<'_>, one: bool) -> (Way, Option<PublicKey>) {
        let Some(links) = self.links.as_deref_mut() else { return (Way::Plain, None) };
        let name = self.admission.name(ping.target);
        // To a name whose key was revoked nothing can be said in confidence.
        let pin = policy.pins.get_name(name).filter(|pin| !pin.revoked).map(|pin| pin.key);
        if !one {
            return (if links.requires() { Way::Elsewhere } else { Way::Plain }, pin);
        }
        (links.way(now, (name, pin.as_ref()), (ping.intent, ping.path)), pin)
    }

    /// Have a ping wait for its session, which is begun at this path if there is none; its request.
    pub(super) fn ask_later(
        &mut self,
        now: Now,
        (ping, to, pin): (&Ping<'_>, Name<'_>, Option<PublicKey>),
        (way, at): (Way, Path),
        timeout: Duration,
    ) -> Result<RequestId, PingError> {
        let Self { links, outbox, client, .. } = self;
        let Some(links) = links.as_deref_mut() else { return Err(PingError::QueueFull) };
        let key = outbox.key();
        let (len, _) = outbox.stage_packet(now, &Ping { path: at, ..*ping }, (Wrap::Sealed, key), false)?;
        let frame = outbox.staged(Wrap::Sealed, len);
        if !links.can_hold(frame.len()) {
            return Err(PingError::QueueFull);
        }
        let may_go_plain = links.may_go_plain(to, ping.intent);
        let (session, early) = match way {
            Way::Wait(session) | Way::Session(session, _) => (session, false),
            Way::Plain | Way::Connect | Way::Elsewhere => {
                let patience = (pin.is_some() && may_go_plain).then_some(timeout / 3);
                let begun = links.connect(now, (to, pin, at), outbox.did(), frame, patience);
                begun.map(|connected| (connected.session, connected.early)).map_err(PingError::Session)?
            }
        };
        let frame = frame.into();
        let full = PingError::TooManyRequests(client.max());
        let request =
            client.insert(key, Some(to.hash()), (ping.path, true, None), now.mono, now.mono + timeout).ok_or(full)?;
        if ping.via.is_some() {
            client.note_relayed(request);
        }
        let (path, sealed_only, trace, fate) = (ping.path, !may_go_plain, ping.trace, Fate::Waits);
        let (session, request_of) = (Some(session), Some(request));
        links.hold(Waiting { session, frame, request: request_of, path, early, sealed_only, trace, fate });
        Ok(request)
    }

    /// How an answer gets to the sender of a ping that was kept: the same way, or if that session is over through another with the same key.
    pub(super) fn hop_to(links: Option<&mut Links>, now: Now, ping: &Inbound) -> Result<NextHop, AnswerError> {
        let (NextHop::Session(id, path), Some(key), Some(links)) = (ping.hop(), ping.auth().key(), links) else {
            return Ok(ping.hop());
        };
        if links.peer(id).is_some() {
            return Ok(ping.hop());
        }
        let id = links.again(now, ping.did(), key, path).map_err(|_| AnswerError::QueueFull)?;
        Ok(NextHop::Session(id, path))
    }

    /// Who sent something through a session with the pinned key is where that session is.
    pub(super) fn prove_by_session(&mut self, seat: PeerLookup<'_>, ingress: &Ingress<'_>, rank: Rank) {
        let remote = ingress.path.remote;
        let shown = ingress.session.is_some_and(|from| !from.early) && rank == Rank::Proven;
        if shown && !self.peers.is_proven(seat, remote) {
            self.peers.prove(seat, remote);
        }
    }
}
