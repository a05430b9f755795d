//! Asking for circuits, and what becomes of what waits for them.

use core::net::SocketAddr;

use super::{CIRCUIT, Circuits, Parked, Wanted};
use crate::airlock::Subject;
use crate::framing::{Decision, PingType, Response, Value};
use crate::identity::PublicKey;
use crate::node::inbox::Inbound;
use crate::node::ingress::Sender;
use crate::node::links::{Fate, PATIENCE, Waiting, Way};
use crate::node::outbox::{NextHop, Wrap};
use crate::node::ping::{Ping, PingError};
use crate::node::{Node, RelayError, RequestId, Rooms};
use crate::relay::{Label, enters_circuit};
use crate::session::SessionId;
use crate::time::{Duration, Instant, Now};
use crate::{Name, Path};

/// What waits may go without a session after so many pings that nobody answered, at the latest.
const TRIES: u8 = 3;
/// How long the first of them waits for its answer; each further one twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// What the payload of an answer says.
const ANSWER: &str = "{\"circuit\":true}";

impl Node {
    /// Send a ping over a relay: through a session with the target where there can be one.
    pub(in crate::node) fn ping_over(
        &mut self,
        now: Now,
        ping: &Ping<'_>,
        (relay, timeout): (&str, Duration),
        pinned: bool,
    ) -> Result<RequestId, PingError> {
        let Self { policy, rooms, .. } = self;
        let names = rooms.admission.names().clone();
        let name = names.name(ping.target);
        let pin = policy.pins.get_name(name).filter(|pin| !pin.revoked).map(|pin| pin.key);
        let way = rooms.way_over(now, (name, pin), ping);
        let direct = (NextHop::Direct(ping.path), timeout);
        let asked = match (way, pin) {
            (Way::Plain, _) | (_, None) if rooms.may_go_plain(name, ping.intent) => {
                rooms.ask(now, ping, direct, pinned)
            }
            (Way::Session(id, path), Some(pin)) if rooms.is_doubtful(now, path, ping.path) => {
                rooms.ask_over(now, ping, (name, relay, pin), (Some(id), timeout))
            }
            (Way::Session(id, path), _) => rooms.ask(now, ping, (NextHop::Session(id, path), timeout), pinned),
            (Way::Connect, Some(pin)) => rooms.ask_over(now, ping, (name, relay, pin), (None, timeout)),
            (Way::Wait(_), Some(_)) => rooms.ask_later(now, (ping, name, pin), (way, Path::of_circuit(0)), timeout),
            _ => Err(PingError::NoSession),
        };
        self.follow_sessions();
        asked
    }

    /// The other end answered a ping of ours that asks for a circuit.
    pub(in crate::node) fn circuit_answered(
        &mut self,
        now: Now,
        (request, path): (RequestId, Path),
        response: &Response<'_>,
    ) {
        let stands = response.decision == Decision::Accept && enters_circuit(response);
        let rooms = &mut self.rooms;
        if response.decision == Decision::Pending {
            // Somebody decides about it, later; what waits now does not wait for that.
            rooms.client.forget(request);
        }
        let Some(circuits) = rooms.circuits.as_deref_mut() else { return };
        let Some(label) = circuits.settle(request) else { return };
        if !stands {
            return rooms.give_up(now.mono, label);
        }
        circuits.stand(now.mono, label, path);
        let Some(opener) = circuits.opener(label) else { return };
        let (did, pin) = (opener.did.clone(), opener.pin);
        let parked = circuits.unpark(label);
        let name = rooms.admission.names().clone();
        for parked in parked {
            rooms.enter(now, (name.name(&did), pin), Path::of_circuit(label), parked);
        }
        self.follow_sessions();
    }
}

impl Node {
    /// How many names are reached through a session over relays at the moment; [`peers`](Self::peers) are those that were heard from directly. Looks at every session.
    #[must_use]
    pub fn relayed_peers(&self) -> usize {
        let Rooms { circuits, links, .. } = &self.rooms;
        // Without an end of a circuit there is none.
        circuits.as_ref().and(links.as_deref()).map_or(0, |links| links.relayed_len())
    }
}

/// What the operator tells of where the node is.
impl Node {
    /// Peers whose session with this node goes over relays are told, within it, that they can reach it here; where they do, the session goes on without relays, and back should that fail.
    /// At most four addresses.
    ///
    /// # Errors
    /// [`RelayError::Address`].
    pub fn add_address(&mut self, at: SocketAddr) -> Result<(), RelayError> {
        let added = self.rooms.links.as_mut().is_some_and(|links| links.add_address(at));
        if added { Ok(()) } else { Err(RelayError::Address(at)) }
    }
}

impl Rooms {
    fn way_over(&self, now: Now, (name, pin): (Name<'_>, Option<PublicKey>), ping: &Ping<'_>) -> Way {
        let Some(links) = self.links.as_deref() else { return Way::Plain };
        // A session has one other side; and who asks for circuits himself is no user of ours.
        let one = ping.target != crate::limits::BROADCAST && ping.ping_type != PingType::Relay;
        links.way_over(now, (name, pin.as_ref().filter(|_| one)), ping.intent)
    }

    fn is_doubtful(&self, now: Now, path: Path, relay: Path) -> bool {
        self.circuits.as_ref().is_some_and(|circuits| circuits.is_doubtful(now.mono, path, relay))
    }

    /// Have a ping wait for a circuit, and for the session through it.
    fn ask_over(
        &mut self,
        now: Now,
        ping: &Ping<'_>,
        (to, relay, pin): (Name<'_>, &str, PublicKey),
        (session, timeout): (Option<SessionId>, Duration),
    ) -> Result<RequestId, PingError> {
        let circuits = self.circuits.get_or_insert_default();
        if let (None, Some(path)) = (session, circuits.standing(now.mono, to.hash(), ping.path)) {
            return self.ask_later(now, (ping, to, Some(pin)), (Way::Connect, path), timeout);
        }
        let sealed_only = session.is_some() || !self.may_go_plain(to, ping.intent);
        let key = self.outbox.key();
        // Through whatever circuit: what is longer than goes through one is refused here.
        let staged = &Ping { path: Path::of_circuit(0), ..*ping };
        let (len, _) = self.outbox.stage_packet(now, staged, (Wrap::Sealed, key), false)?;
        let frame = self.outbox.staged(Wrap::Sealed, len);
        let circuits = self.circuits.get_or_insert_default();
        if !circuits.has_room(frame.len()) {
            return Err(PingError::QueueFull);
        }
        let full = PingError::TooManyRequests(self.client.max());
        let how = (ping.path, true, None);
        let request = self.client.insert(key, Some(to.hash()), how, now.mono, now.mono + timeout).ok_or(full)?;
        self.client.note_relayed(request);
        let (path, early, fate) = (ping.path, false, Fate::Waits);
        let (frame, trace, request_of) = (frame.into(), ping.trace, Some(request));
        let waiting = Waiting { session, frame, request: request_of, path, early, sealed_only, trace, fate };
        let patience = (!sealed_only).then_some(timeout / 3);
        let until = now.mono + patience.map_or(timeout, |patience| patience.min(PATIENCE));
        let wanted = Wanted {
            name: to.hash(),
            did: ping.target,
            pin,
            relay: (relay, ping.path),
            max_hops: ping.max_hops,
            encoding: ping.encoding,
            until,
        };
        let key = self.outbox.key();
        circuits.park(now.mono, self.outbox.did(), key, &wanted, Parked { waiting, patience });
        Ok(request)
    }

    /// A circuit stands: what waited for it goes on to its session, which is begun if there is none.
    fn enter(&mut self, now: Now, (name, pin): (Name<'_>, PublicKey), path: Path, parked: Parked) {
        let Parked { mut waiting, patience } = parked;
        let Some(links) = self.links.as_deref_mut() else { return };
        if waiting.session.is_none_or(|id| links.peer(id).is_none()) {
            let own = self.outbox.did();
            match links.begin(now, (name, pin, path), own, &waiting.frame, patience) {
                Ok((session, early)) => (waiting.session, waiting.early) = (Some(session), early),
                Err(_) if waiting.sealed_only => return,
                Err(_) => return links.hold(Waiting { session: None, fate: Fate::Plain, ..waiting }),
            }
        }
        links.hold(waiting);
        links.release(now);
    }

    /// There is no circuit: what waited for it goes without where it may.
    fn give_up(&mut self, now: Instant, label: u64) {
        let Self { circuits, links, .. } = self;
        let (Some(circuits), Some(links)) = (circuits.as_deref_mut(), links.as_deref_mut()) else { return };
        circuits.release(label);
        if let Some(end) = circuits.ends.get(&label).filter(|end| !end.up) {
            links.note_silent(now, end.name.0);
        }
        for Parked { waiting, .. } in circuits.unpark(label) {
            let fate = match waiting.session {
                // The way that there was, good or bad.
                Some(id) if links.peer(id).is_some() => Fate::Sealed,
                _ if waiting.sealed_only => continue,
                _ => Fate::Plain,
            };
            links.hold(Waiting { fate, ..waiting });
        }
    }

    /// A request ran out of time that asks for a circuit: it is asked for again, or given up. False when it does not ask for one.
    pub(in crate::node) fn lose_circuit(&mut self, request: RequestId) -> bool {
        let now = self.timers.now();
        let Some(circuits) = self.circuits.as_deref_mut() else { return false };
        let Some(label) = circuits.settle(request) else { return false };
        let again = circuits.opener(label).is_some_and(|opener| {
            opener.tries += 1;
            opener.tries < TRIES && now < opener.until
        });
        match again {
            true => _ = circuits.due.insert(label),
            false => self.give_up(now, label),
        }
        true
    }

    /// Send the pings that ask for circuits.
    pub(in crate::node) fn ask_for_circuits(&mut self, now: Now) {
        while let Some(label) = self.circuits.as_deref_mut().and_then(|circuits| circuits.due.pop_first()) {
            if self.ask_for_circuit(now, label).is_none() {
                self.give_up(now.mono, label);
            }
        }
    }

    fn ask_for_circuit(&mut self, now: Now, label: u64) -> Option<()> {
        let Self { circuits, outbox, client, .. } = self;
        let circuits = circuits.as_deref_mut()?;
        let name = circuits.ends.get(&label)?.name.0;
        let opener = circuits.opener(label)?;
        let mut ping = Ping::over(&opener.did, &opener.relay, opener.place, CIRCUIT);
        ping.purpose = "A session over relays";
        (ping.ping_type, ping.max_hops, ping.encoding) = (PingType::Relay, opener.max_hops, opener.encoding);
        if client.is_full() {
            return None;
        }
        let (len, digest) = outbox.stage_packet(now, &ping, (Wrap::Plain, opener.key), true).ok()?;
        let most = opener.until.max(now.mono + FIRST);
        let deadline = (now.mono + FIRST * (1 << opener.tries.min(TRIES))).min(most);
        let request = client.insert(opener.key, Some(name), (opener.place, false, digest), now.mono, deadline)?;
        client.note_relayed(request);
        outbox.commit_ping(NextHop::Direct(opener.place), request, len);
        (opener.request, opener.asked) = (Some(request), Some(now.mono));
        circuits.requests.insert(request, label);
        Some(())
    }

    /// Somebody who signed and is let in asked for a circuit: it ends here.
    pub(in crate::node) fn end_circuit(&mut self, now: Instant, (label, did): (Label, &str), known: bool, relay: Path) {
        let name = self.admission.name(did).hash();
        self.circuits.get_or_insert_default().accept(now, (name, known), label, relay);
    }

    /// Whether there is a place for a circuit of this name.
    pub(in crate::node) fn has_place_for_circuit(&self, did: &str, known: bool) -> bool {
        let name = self.admission.name(did).hash();
        self.circuits.as_ref().is_none_or(|circuits| circuits.has_place(name, known))
    }

    /// The circuit that a waiting ping asks for, if it does and one can end here: its packet id and sender, and over whom it came.
    pub(in crate::node) fn circuit_of(&self, ping: &Inbound) -> Option<(Path, Label)> {
        let NextHop::Direct(path) = ping.hop() else { return None };
        let Subject { ping_type, intent, .. } = ping.subject();
        let asks = ping_type == PingType::Relay && intent == CIRCUIT;
        let ends_here = asks && self.links.is_some() && ping.auth().key().is_some();
        ends_here.then(|| (path, Label::of(ping.packet_id(), ping.did(), self.outbox.did())))
    }

    /// The path as others know it.
    pub(in crate::node) fn shown(&self, path: Path) -> Path {
        shown(self.circuits.as_deref(), path)
    }
}

/// The path as others know it: of a circuit that to the relay next to us.
pub(in crate::node) fn shown(circuits: Option<&Circuits>, path: Path) -> Path {
    circuits.map_or(path, |circuits| circuits.shown(path))
}

/// Whether a ping asks for a circuit.
pub(in crate::node) fn asks(sender: Sender<'_>) -> bool {
    sender.ping_type == PingType::Relay && sender.intent == CIRCUIT
}

/// What an answer to such a ping says.
pub(in crate::node) const fn answer(ends_here: bool) -> Value<'static> {
    if ends_here { Value::from_wire(ANSWER) } else { Value::EMPTY_OBJECT }
}
