//! Operations of ours, step by step: what is sent next, and what an answer makes of it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::known::{describe, near, own, proves_nothing, refused, text};
use super::news::{OperationError, OperationId, OperationOutcome, OverlayError, OverlayNews};
use super::operations::{Ask, Came, Job, Joining, Operation, Target};
use super::wire::{self, Members};
use super::{Overlay, Renewal, Server};
use crate::discovery::JoinToken;
use crate::framing::{Decision, Response, Value};
use crate::identity::PublicKey;
use crate::node::event::Auth;
use crate::node::storing::OverlayChange;
use crate::node::{Node, Ping, RequestId};
use crate::pins::Judgement;
use crate::registry::{Address, News, Proven, QueryId, Record, Registered, Unverified};
use crate::time::{Duration, Now, Wall};
use crate::{Path, check_did};

/// How long the first answer is waited for before a ping is sent again; twice that for the next one, and so on.
pub(super) const RESEND: Duration = Duration::from_secs(1);
/// How often somebody who does not answer is challenged before others are asked for a newer address.
const CHALLENGES: u8 = 2;
/// How many peers are asked for a name where no registry is known.
const PEERS_ASKED: usize = 4;
/// How many devices a search brings at most.
const MAX_FOUND: usize = 1024;
/// How often what a device sends to the address that a registration names is repeated: one answer may be lost.
const REGISTERED: Duration = Duration::from_secs(3);

/// How an operation ended.
pub(super) type End = Result<OperationOutcome, OperationError>;

impl Node {
    /// Begin an operation. Exactly one [`Event::Operation`](crate::node::Event::Operation) follows for it, unless it is [given up](Self::give_up): when it has
    /// come to something, or at the latest after `timeout` (of the configuration, where it is `None`).
    ///
    /// # Errors
    /// Why it does not begin.
    pub fn start_operation(
        &mut self,
        now: Now,
        operation: &Operation<'_>,
        timeout: Option<Duration>,
    ) -> Result<OperationId, OverlayError> {
        let signs = self.rooms.outbox.identity().is_some();
        let has_profile = self.overlay()?.profile.is_some();
        let job = match *operation {
            Operation::Register { server, path } => {
                check_did(server)?;
                if !signs || !has_profile {
                    return Err(OverlayError::NoIdentity);
                }
                self.overlay()?.add_server(server, path)?;
                Job::Register { server: Server { did: server.into(), path }, again: false }
            }
            Operation::Resolve(did) => Job::Resolve { did: named(did)? },
            Operation::Reach(did) => Job::Reach { did: named(did)?, asked: false },
            Operation::Find(capability) => {
                if !(1..=64).contains(&capability.len()) || crate::airlock::glob::check_seen(capability).is_err() {
                    return Err(OverlayError::Capability);
                }
                Job::Find { capability: capability.into(), found: Vec::new(), servers: Vec::new(), skip: 0 }
            }
            Operation::Verify { did, key, path } => Job::Verify { did: named(did)?, key, path },
            Operation::Join { token, path } => {
                if !signs {
                    return Err(OverlayError::NoIdentity);
                }
                // The token has no other copy than its text.
                let token = JoinToken::parse(&token.to_text()).map_err(|_| OverlayError::NoIdentity)?;
                let mut nonce = [0; 16];
                self.overlay()?.rng.fill(&mut nonce);
                Job::Join(Box::new(Joining { token, path, nonce, challenge: None }))
            }
        };
        let overlay = self.overlay()?;
        let deadline = now.mono + timeout.unwrap_or(overlay.config.resolve.timeout);
        let id = overlay.operations.insert(job, deadline, false).ok_or(OverlayError::Busy)?;
        self.run_overlay(now);
        Ok(id)
    }

    /// Give an operation up: nothing is told of it any more. False when it has ended and that was told.
    pub fn give_up(&mut self, id: OperationId) -> bool {
        self.rooms.overlay.as_mut().is_some_and(|overlay| overlay.operations.remove(id))
    }

    /// Do what is due: to be called whenever something came in or time has passed.
    pub(in crate::node) fn run_overlay(&mut self, now: Now) {
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        if overlay.deadline().is_none_or(|at| at > now.mono) && overlay.resolver.is_empty() {
            return self.sweep_vouches(now);
        }
        overlay.resolver.handle_timeout(now.mono);
        while let Some((did, failed)) = overlay.challenges.expire_one(now.mono) {
            if failed {
                overlay.registry.note(now.wall, did.as_str(), Proven::Failed);
            }
        }
        self.send_questions(now);
        self.end_queries(now);
        self.renew(now);
        while let Some(id) = self.rooms.overlay.as_deref_mut().and_then(|overlay| overlay.operations.pop_due()) {
            self.advance(now, id);
        }
        while let Some(id) = self.rooms.overlay.as_deref_mut().and_then(|overlay| overlay.operations.over(now.mono)) {
            self.run_out(now, id);
        }
        self.sweep_vouches(now);
    }

    /// Queries that have ended go on in the operations that wait for them.
    fn end_queries(&mut self, now: Now) {
        while let Some(overlay) = self.rooms.overlay.as_deref_mut()
            && let Some(ended) = overlay.resolver.poll_ended()
        {
            let outcome = overlay.resolver.outcome(now.wall, &ended, &overlay.registry).map(|r| own(&ended.did, &r));
            let outcome = outcome.or_else(|| overlay.last_known(now.wall, &ended.did));
            for id in overlay.operations.waiting_for(ended.query) {
                let Some(row) = overlay.operations.get_mut(id) else { continue };
                row.query = None;
                match (&mut row.job, &outcome) {
                    (Job::Reach { asked, .. }, Some(_)) => {
                        *asked = true;
                        (row.target, row.tries) = (None, 0);
                        overlay.operations.set_due(id);
                    }
                    (_, Some(outcome)) => {
                        overlay.end(now.wall, id, Ok(OperationOutcome::Resolved(outcome.clone())));
                    }
                    (_, None) => {
                        let why = nobody_knows(row.came);
                        overlay.end(now.wall, id, Err(why));
                    }
                }
            }
        }
    }

    /// Our record is sent again before it is over.
    fn renew(&mut self, now: Now) {
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        let Some(renewal) = overlay.renewal.as_mut().filter(|renewal| renewal.at <= now.mono) else { return };
        let ttl = overlay.profile.as_ref().map_or(REGISTERED, super::OwnProfile::ttl);
        renewal.at = now.mono + (ttl / 2).max(REGISTERED);
        let job = Job::Register { server: renewal.server.clone(), again: false };
        let deadline = now.mono + overlay.config.resolve.timeout;
        overlay.operations.insert(job, deadline, true);
    }

    /// Ask those who may know for the names that are looked for.
    fn send_questions(&mut self, now: Now) {
        loop {
            let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
            let timeout = overlay.config.resolve.timeout;
            let Some(question) = overlay.resolver.poll_question(now.mono) else { return };
            let (did, query): (Box<str>, _) = (question.did.into(), question.query);
            let payload = Members::new().text("did", &did).question();
            for Server { did: server, path } in self.whom_to_ask(now, &did) {
                let ping = Ping { timeout: Some(timeout), ..question_to(&server, path, wire::RESOLVE, &payload) };
                // Whoever cannot be asked does not answer; others may.
                let Ok(request) = self.ping(now, &ping) else { continue };
                if let Some(overlay) = self.rooms.overlay.as_deref_mut() {
                    overlay.operations.ask(request, Ask::Question(query));
                }
            }
        }
    }

    /// The registries; where there are none, some peers at proven addresses. Whose answer could not be believed is not asked.
    fn whom_to_ask(&self, now: Now, did: &str) -> Vec<Server> {
        let servers = self.rooms.overlay.as_ref().map_or(&[][..], |overlay| &overlay.servers);
        let others = || servers.iter().filter(|server| *server.did != *did);
        let mut asked: Vec<Server> = others().filter(|server| self.may_believe(&server.did)).cloned().collect();
        if others().next().is_none() {
            let peers = self.rooms.peers.proven(now.mono).filter(|peer| peer.did() != did);
            let server = |peer: &crate::node::Peer| Server { did: peer.did().into(), path: peer.path() };
            asked.extend(peers.filter(|peer| self.may_believe(peer.did())).map(server).take(PEERS_ASKED));
        }
        asked
    }

    /// Why nobody can be asked: a registry is known, and nothing that it says could be believed.
    fn nobody_to_ask(&self, did: &str) -> OperationError {
        let mut servers = self.rooms.overlay.iter().flat_map(|overlay| &overlay.servers);
        match servers.find(|server| *server.did != *did && !self.may_believe(&server.did)) {
            Some(server) => OperationError::Unpinned(server.did.clone()),
            None => OperationError::Unknown,
        }
    }

    /// Take the next step of an operation.
    fn advance(&mut self, now: Now, id: OperationId) {
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        let Some(row) = overlay.operations.get_mut(id).filter(|row| row.query.is_none()) else { return };
        if row.target.is_some() {
            return self.challenge(now, id);
        }
        match &row.job {
            Job::Resolve { did } | Job::Reach { did, .. } => {
                let (did, reach) = (did.clone(), matches!(row.job, Job::Reach { .. }));
                self.look_up(now, id, &did, reach);
            }
            Job::Verify { did, key, path } => {
                let (did, key, path) = (did.clone(), *key, *path);
                self.aim(now, id, &did, (key, path));
            }
            Job::Register { .. } => self.send_record(now, id),
            Job::Find { .. } => self.search(now, id),
            Job::Join(_) => self.send_join(now, id),
        }
    }

    /// What is known of a name, or else others are asked.
    fn look_up(&mut self, now: Now, id: OperationId, did: &str, reach: bool) {
        let asks = !self.whom_to_ask(now, did).is_empty();
        let neighbour = self.neighbour(did).map(|neighbour| near(&neighbour));
        let nobody = self.nobody_to_ask(did);
        let Self { rooms, policy, .. } = self;
        let Some(overlay) = rooms.overlay.as_deref_mut() else { return };
        let known = overlay.known(now, did, &rooms.peers).or(neighbour);
        let asked = overlay.operations.get_mut(id).is_some_and(|row| matches!(row.job, Job::Reach { asked: true, .. }));
        let last = || overlay.last_known(now.wall, did);
        let found = if asked { last().or(known) } else { known.or_else(|| if asks { None } else { last() }) };
        let Some(found) = found else {
            if !asks || asked {
                return overlay.end(now.wall, id, Err(if asks { OperationError::Unknown } else { nobody }));
            }
            return match overlay.resolver.ask(now.mono, did) {
                Ok(query) => {
                    if let Some(row) = overlay.operations.get_mut(id) {
                        row.query = Some(query);
                    }
                    self.send_questions(now);
                }
                Err(why) => overlay.end(now.wall, id, Err(why.into())),
            };
        };
        if !reach {
            return overlay.end(now.wall, id, Ok(OperationOutcome::Resolved(found)));
        }
        let Some(Address::Ip(addr)) = found.address() else {
            return overlay.end(now.wall, id, Err(OperationError::HostName(found.endpoint)));
        };
        let pinned = policy.pins.get(did).filter(|pin| !pin.revoked).map(|pin| pin.key);
        let Some(key) = pinned.or(found.key) else {
            return overlay.end(now.wall, id, Err(OperationError::NoKey));
        };
        // Also where it answered before: somebody else may have the address by now.
        let target = Target { did: did.into(), key, path: Path::to(addr), nonce: None, resolution: Some(found) };
        overlay.aim_at(id, target);
        self.challenge(now, id);
    }

    /// Whom a verification concerns, and where.
    fn aim(&mut self, now: Now, id: OperationId, did: &str, (key, path): (Option<PublicKey>, Option<Path>)) {
        let Self { rooms, policy, .. } = self;
        let Some(overlay) = rooms.overlay.as_deref_mut() else { return };
        let pinned = policy.pins.get(did).filter(|pin| !pin.revoked).map(|pin| pin.key);
        let recorded = || overlay.registry.get(did).filter(|device| !device.is_revoked()).map(|device| device.key());
        let Some(key) = key.or(pinned).or_else(recorded) else {
            return overlay.end(now.wall, id, Err(OperationError::NoKey));
        };
        let path = match path {
            Some(path) => path,
            None => match overlay.known(now, did, &rooms.peers).or_else(|| overlay.last_known(now.wall, did)) {
                None => return overlay.end(now.wall, id, Err(OperationError::Unknown)),
                Some(found) => match found.address() {
                    Some(Address::Ip(addr)) => Path::to(addr),
                    _ => return overlay.end(now.wall, id, Err(OperationError::HostName(found.endpoint))),
                },
            },
        };
        overlay.aim_at(id, Target { did: did.into(), key, path, nonce: None, resolution: None });
        self.challenge(now, id);
    }

    /// Send a challenge, a new one each time.
    fn challenge(&mut self, now: Now, id: OperationId) {
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        let Overlay { operations, challenges, .. } = overlay;
        let Some(row) = operations.get_mut(id) else { return };
        let tries = row.tries;
        let gone = matches!(row.job, Job::Reach { asked: false, .. }) && tries >= CHALLENGES;
        let Some(target) = row.target.as_deref_mut() else { return };
        if gone {
            // It may be elsewhere by now: somebody may have a newer record.
            let did = target.did.clone();
            return self.ask_anew(now, id, &did);
        }
        // As many as there may be are open: it is tried again with the next answer that is missing.
        let Ok(nonce) = challenges.ask(now.mono, &target.did, target.key, target.path) else {
            return overlay.end(now.wall, id, Err(OperationError::Timeout));
        };
        target.nonce = Some(nonce);
        let (did, path) = (target.did.clone(), target.path);
        let payload = Members::new().hex("challenge", &nonce).finish();
        self.send_step(now, id, (&did, path), wire::VERIFY, &payload);
    }

    /// A name was not where it was known to be: others are asked.
    fn ask_anew(&mut self, now: Now, id: OperationId, did: &str) {
        let asks = !self.whom_to_ask(now, did).is_empty();
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        let query = if asks { overlay.resolver.ask(now.mono, did).ok() } else { None };
        match (overlay.operations.get_mut(id), query) {
            (Some(row), Some(query)) => {
                (row.query, row.target) = (Some(query), None);
                self.send_questions(now);
            }
            _ => overlay.end(now.wall, id, Err(OperationError::Timeout)),
        }
    }

    /// Send our record to the registry.
    fn send_record(&mut self, now: Now, id: OperationId) {
        let Some(identity) = self.rooms.outbox.identity().cloned() else { return };
        let own = self.config.did.clone();
        let Self { rooms, policy, .. } = self;
        let Some(overlay) = rooms.overlay.as_deref_mut() else { return };
        let Overlay { operations, profile, .. } = overlay;
        let Some((row, profile)) = operations.get_mut(id).zip(profile.as_mut()) else { return };
        let Job::Register { server, .. } = &row.job else { return };
        let (did, path) = (server.did.clone(), server.path);
        if !policy.may_believe(&did) {
            return overlay.end(now.wall, id, Err(OperationError::Unpinned(did)));
        }
        let mut buf = [0; Record::MAX_LEN];
        let mut text = [0; Record::MAX_TEXT];
        let payload = match profile.sign(now.wall, (own.as_str(), identity.signer()), &mut buf) {
            Ok(record) => Members::new().text("record", record.to_text(&mut text)).finish(),
            Err(why) => return overlay.end(now.wall, id, Err(why.into())),
        };
        self.send_step(now, id, (&did, path), wire::REGISTER, &payload);
    }

    /// Look for a capability: here first, then in one registry after the other.
    fn search(&mut self, now: Now, id: OperationId) {
        let Self { rooms, policy, .. } = self;
        let Some(overlay) = rooms.overlay.as_deref_mut() else { return };
        let Overlay { operations, registry, servers, .. } = overlay;
        let Some(row) = operations.get_mut(id) else { return };
        let Job::Find { capability, found, servers: left, skip } = &mut row.job else { return };
        if row.tries == 0 && found.is_empty() && left.is_empty() && *skip == 0 {
            left.clone_from(servers);
            for device in registry.find(now.wall, capability).take(MAX_FOUND) {
                let pinned = policy.pins.judge(device.did(), device.key());
                if !matches!(pinned, Judgement::OtherKey | Judgement::Retired) {
                    found.extend(device.record().map(|record| describe(&record, true)));
                }
            }
        }
        let Some(Server { did, path }) = left.first().filter(|_| found.len() < MAX_FOUND).cloned() else {
            let found = core::mem::take(found);
            return overlay.end(now.wall, id, Ok(OperationOutcome::Found(found)));
        };
        if !policy.may_believe(&did) {
            return overlay.end(now.wall, id, Err(OperationError::Unpinned(did)));
        }
        let payload = Members::new().text("capability", capability).number("skip", *skip).question();
        self.send_step(now, id, (&did, path), wire::FIND, &payload);
    }

    /// Send the ping of a step; it is repeated when no answer comes.
    pub(super) fn send_step(&mut self, now: Now, id: OperationId, to: (&str, Path), intent: &str, payload: &str) {
        let Some(row) = self.rooms.overlay.as_deref_mut().and_then(|overlay| overlay.operations.get_mut(id)) else {
            return;
        };
        let wait = RESEND * (1 << row.tries.min(3));
        let left = row.deadline.saturating_since(now.mono);
        row.tries = row.tries.saturating_add(1);
        let ping = Ping { timeout: Some(wait.min(left)), ..question_to(to.0, to.1, intent, payload) };
        let sent = self.ping(now, &ping);
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        match sent {
            Ok(request) => overlay.operations.ask(request, Ask::Step(id)),
            Err(why) => overlay.end(now.wall, id, Err(why.into())),
        }
    }

    /// The time of an operation is up.
    fn run_out(&mut self, now: Now, id: OperationId) {
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        let Some(row) = overlay.operations.get_mut(id) else {
            overlay.operations.remove(id);
            return;
        };
        let end = match &mut row.job {
            // What was found so far is what was found.
            Job::Find { found, .. } if !found.is_empty() => Ok(OperationOutcome::Found(core::mem::take(found))),
            Job::Resolve { did } => {
                let (did, why) = (did.clone(), nobody_knows(row.came));
                overlay.last_known(now.wall, &did).map(OperationOutcome::Resolved).ok_or(why)
            }
            _ if row.came.is_doubted() => Err(OperationError::Unproven),
            Job::Join(_) => Err(OperationError::NotLetIn),
            _ => Err(OperationError::Timeout),
        };
        overlay.end(now.wall, id, end);
    }

    /// An answer to a ping of the overlay came, and what it proves about who gave it.
    pub(in crate::node) fn take_overlay_answer(
        &mut self,
        now: Now,
        (request, path, auth): (RequestId, Path, Auth),
        response: &Response<'_>,
    ) {
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        if response.decision == Decision::Pending {
            // A person decides: the request stays open, and the operation until its time is up.
            return;
        }
        let Some(ask) = overlay.operations.answered(request) else { return };
        match (ask, response.decision) {
            (Ask::Question(query), Decision::Accept) => self.hear_record(now, query, response.payload),
            (Ask::Question(query), _) => overlay.operations.note(query, |came| came.nothing = true),
            (Ask::Step(id), Decision::Accept) => {
                let responder = response.responder_did.to_cow();
                self.step_answered(now, id, (&responder, path, auth), response.payload);
            }
            (Ask::Step(id), _) => {
                let why = "the other side has turned it away".into();
                overlay.end(now.wall, id, Err(OperationError::Refused(why)));
            }
        }
        self.run_overlay(now);
    }

    /// Somebody passed a record on that was asked for.
    fn hear_record(&mut self, now: Now, query: QueryId, payload: Value<'_>) {
        let mut buf = [0; Record::MAX_LEN];
        let Self { rooms, policy, .. } = self;
        let Some(overlay) = rooms.overlay.as_deref_mut() else { return };
        let Some(bytes) = wire::record(payload, &mut buf) else {
            return overlay.operations.note(query, |came| came.nothing = true);
        };
        let did = Unverified::parse(bytes).map(|record| Box::<str>::from(record.claims().did));
        let before = did.as_ref().ok().and_then(|did| overlay.registry.get(did)?.endpoint()).map(text);
        match overlay.resolver.handle_record(now, bytes, &mut overlay.registry, &policy.pins) {
            Ok(Registered { news, change }) => {
                rooms.storing.push_overlay(OverlayChange::Device(change));
                if let (News::Newer { moved: true }, Ok(did)) = (news, did) {
                    let to = overlay.registry.get(&did).and_then(|device| device.endpoint()).map(text);
                    overlay.tell(OverlayNews::Moved { did, from: before, to });
                }
            }
            Err(why) => {
                if proves_nothing(why) {
                    overlay.operations.note(query, |came| came.unproven = true);
                }
                overlay.refuse(refused(why));
            }
        }
    }

    fn step_answered(&mut self, now: Now, id: OperationId, from: (&str, Path, Auth), payload: Value<'_>) {
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        let Some(row) = overlay.operations.get_mut(id) else { return };
        if row.target.is_some() {
            return self.take_signature(now, id, payload);
        }
        match row.job {
            Job::Register { .. } => self.take_registered(now, id, payload),
            Job::Find { .. } => self.take_found(now, id, payload),
            Job::Join(_) => self.take_joined(now, id, from, payload),
            Job::Resolve { .. } | Job::Reach { .. } | Job::Verify { .. } => {}
        }
    }

    /// The answer to a challenge.
    fn take_signature(&mut self, now: Now, id: OperationId, payload: Value<'_>) {
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        let Overlay { operations, challenges, registry, .. } = overlay;
        let Some(row) = operations.get_mut(id) else { return };
        let (reach, asked) = match row.job {
            Job::Reach { asked, .. } => (true, asked),
            _ => (false, true),
        };
        let Some(target) = row.target.as_deref() else { return };
        let did = target.did.clone();
        let signature = wire::bytes(payload, "signature");
        let verified = target.nonce.zip(signature).map(|(nonce, it)| challenges.handle_answer(now.mono, &nonce, &it));
        let Some(Ok(verified)) = verified else {
            // Whoever is there is somebody else, or does not do this.
            return if asked {
                let why = if signature.is_some() { OperationError::Failed } else { OperationError::NotServed };
                overlay.end(now.wall, id, Err(why));
            } else {
                self.ask_anew(now, id, &did);
            };
        };
        let (path, key, took) = (target.path, target.key, verified.took);
        let resolution = target.resolution.clone();
        let known = registry.get(&did).is_some_and(|device| device.key() == key);
        let score = if known { registry.note(now.wall, &did, Proven::Verified) } else { None };
        let end = match resolution.filter(|_| reach) {
            // Whoever has the address may have carried the challenge to the key elsewhere: nothing else goes there but through a session with that key.
            Some(_) if !self.rooms.note_found(now, (&did, &key), path) => {
                Err(OperationError::Keep("as many names were looked up as may be".into()))
            }
            Some(resolution) => Ok(OperationOutcome::Reached { resolution, path, took }),
            None => Ok(OperationOutcome::Verified { did: did.clone(), key, path, took, score }),
        };
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        overlay.end(now.wall, id, end);
        self.rooms.prove_named(now, &did, path);
    }

    /// What a registry says to our record.
    fn take_registered(&mut self, now: Now, id: OperationId, payload: Value<'_>) {
        let Some(overlay) = self.rooms.overlay.as_deref_mut() else { return };
        let Overlay { operations, profile, renewal, .. } = overlay;
        let Some(row) = operations.get_mut(id) else { return };
        let Job::Register { server, again } = &mut row.job else { return };
        let Some(profile) = profile.as_mut() else { return };
        if payload.get("registered").and_then(Value::as_bool) == Some(true) {
            // Only now is it known where we are; once, for somebody who says something else each time is not to keep us busy.
            let moved = wire::text(payload, "seen").is_some_and(|at| profile.see(&at));
            if moved && !core::mem::replace(again, true) {
                row.tries = 0;
                return operations.set_due(id);
            }
            *renewal = Some(Renewal { server: server.clone(), at: now.mono + (profile.ttl() / 2).max(REGISTERED) });
            let (seq, expires) = (wire::number(payload, "seq"), wire::number(payload, "expires"));
            let (seq, expires) = (seq.unwrap_or_default(), expires.unwrap_or_default());
            let endpoint = profile.endpoint().map(Into::into);
            return overlay.end(now.wall, id, Ok(OperationOutcome::Registered { endpoint, seq, expires }));
        }
        let why = match wire::text(payload, "error") {
            Some(why) => OperationError::Refused(why.into()),
            // Somebody has let us in who was asked whether to: what was asked then is asked again.
            None if !core::mem::replace(again, true) => {
                row.tries = 0;
                return operations.set_due(id);
            }
            None => OperationError::NotServed,
        };
        overlay.end(now.wall, id, Err(why));
    }

    /// Devices that a registry has found.
    fn take_found(&mut self, now: Now, id: OperationId, payload: Value<'_>) {
        let Self { rooms, policy, .. } = self;
        let Some(overlay) = rooms.overlay.as_deref_mut() else { return };
        let Overlay { operations, registry, .. } = overlay;
        let Some(row) = operations.get_mut(id) else { return };
        let Job::Find { capability, found, servers, skip } = &mut row.job else { return };
        let mut buf = [0; Record::MAX_LEN];
        for text in wire::texts(payload, "records") {
            let Some(record) = Record::from_text(&text, &mut buf).and_then(|bytes| Record::read(bytes).ok()) else {
                continue;
            };
            let claims = record.claims();
            let judged = policy.pins.judge(claims.did, claims.key);
            let bound = registry.get(claims.did).map(|device| device.key() == claims.key && !device.is_revoked());
            let believed = !matches!(judged, Judgement::OtherKey | Judgement::Retired) && bound != Some(false);
            let current = now.wall < Wall::from_secs(claims.expires);
            let known = found.iter().any(|device| *device.did == *claims.did);
            let fits = claims.capabilities().any(|one| *one == **capability) && found.len() < MAX_FOUND;
            if believed && current && fits && !known {
                found.push(describe(&record, judged == Judgement::Pinned || bound == Some(true)));
            }
        }
        row.tries = 0;
        match wire::number(payload, "next").filter(|next| *next > *skip) {
            Some(next) => *skip = next,
            None => {
                *skip = 0;
                if !servers.is_empty() {
                    servers.remove(0);
                }
                if servers.is_empty() {
                    let found = core::mem::take(found);
                    return overlay.end(now.wall, id, Ok(OperationOutcome::Found(found)));
                }
            }
        }
        operations.set_due(id);
    }
}

/// Why a name was not found: nobody knows it, or what came in answer cannot be believed.
const fn nobody_knows(came: Came) -> OperationError {
    if came.is_doubted() { OperationError::Unproven } else { OperationError::Unknown }
}

fn named(did: &str) -> Result<Box<str>, OverlayError> {
    check_did(did)?;
    Ok(did.into())
}

/// A ping of the overlay. The payload is written by us.
fn question_to<'a>(did: &'a str, path: Path, intent: &'a str, payload: &'a str) -> Ping<'a> {
    Ping { payload: Value::from_wire(payload), purpose: "overlay", ..Ping::new(did, path, intent) }
}
