//! One event after the other.

use alloc::format;
use alloc::string::ToString as _;

use super::World;
use super::keep::wants_beside;
use super::member::{Doing, Errand, Member, Role};
use super::observe::{Observer, is_response};
use super::report::Invariant;
use super::said::PURPOSE;
use super::sealed::Sealed;
use crate::framing::Value;
use crate::node::{Event, Ping, Received, Taken};
use crate::sim::agenda::Due;
use crate::sim::clock::EPOCH;
use crate::sim::link::{Lost, nanos};
use crate::sim::names::{Name, address, member as member_at};
use crate::sim::transit::{Origin, Way};
use crate::time::{Duration, Now};
use crate::{Datagrams, Machine, Path, session};

/// Events between two sweeps.
const SWEEP: u64 = 1000;

/// Probability that a driver leaves its node alone after a datagram, where drivers do that.
const LEAVES: f64 = 0.05;

/// How often a node may have more to say in one step.
const ROUNDS: u32 = 1000;

/// How many first messages a node may look at in a second: what there is of one second and of the next, and those of who has shown to hear it, at every one of
/// a few addresses.
const fn most_looked(caps: &session::Caps) -> u32 {
    2 * caps.handshakes_per_second + 4 * caps.handshakes_per_source as u32
}

impl World {
    /// Let one thing happen.
    pub(super) fn happen(&mut self, due: Due) {
        self.net.counts.events += 1;
        match due {
            Due::Mail(datagram) => self.arrive(datagram),
            Due::Timer(n) => self.wake(n),
            Due::Errand(place) => self.run_errand(place),
            Due::Plan(line) => self.carry_out(line),
        }
        if self.net.counts.events.is_multiple_of(SWEEP) {
            self.sweep();
        }
    }

    /// A datagram reaches its receiver.
    fn arrive(&mut self, datagram: u32) {
        let Some((_, Way { edge, back, to }, _)) = self.net.post.get(datagram) else { return };
        if self.net.edges[back as usize].tapped && !self.pass_taps(datagram, edge) {
            return;
        }
        let Some((bytes, origin)) = self.net.post.bytes_mut(datagram) else { return };
        let from = self.net.edges[back as usize].to;
        let member = &mut self.members[to as usize];
        let node = match &mut member.role {
            Role::Node(node) => node,
            Role::Down => {
                self.net.counts.lose(Lost::Down);
                return self.net.post.free(datagram);
            }
            Role::Foe(_) => return self.caught(datagram, from, to),
        };
        let now = member.clock.now(self.now);
        let edge_back = &mut self.net.edges[back as usize];
        edge_back.got += bytes.len() as u64;
        if !origin.genuine {
            Observer::hear(edge_back, bytes);
        }
        self.net.trace.note(self.now, u64::from(edge) << 32);
        self.net.trace.bytes(bytes);
        member.books.handed += 1;
        let sealed = Sealed::of(bytes).filter(|_| self.said.is_some());
        let taken = node.take_in(now, Path::to(address(from)), bytes);
        let Some((bytes, ..)) = self.net.post.get(datagram) else { return };
        if let Some(sealed) = sealed {
            let books = &mut member.books;
            let who = (to, books.incarnation, &mut books.looked);
            self.observer.opened(
                self.now,
                who,
                sealed,
                taken.map(drop),
                most_looked(&self.template.config.session_caps),
            );
        }
        match taken {
            // What is taken in is an event where it is known who said what.
            Ok(_) if self.said.is_some() => {
                self.net.counts.deliveries += 1;
                edge_back.heard |= !is_response(bytes);
            }
            Ok(taken) => {
                self.net.counts.deliveries += 1;
                if !is_response(bytes) {
                    edge_back.heard = true;
                    let (zone, incarnation) = (edge_back.zone, member.books.incarnation);
                    let zone = match member.books.commanded {
                        // Whom it was told to trust only the node knows.
                        true => None,
                        // The name on a genuine packet is right.
                        false if origin.genuine => Some(zone),
                        false => self.zone_of_sender(to, bytes),
                    };
                    // What is held may still be found out as a copy.
                    if taken != Taken::Held {
                        self.observer.taken_in(self.now, (to, incarnation), (from, zone), bytes, origin);
                    }
                }
            }
            Err(why) => {
                self.net.counts.rejected += 1;
                self.net.trace.note(why as u64, 1);
            }
        }
        self.net.post.free(datagram);
        if self.habits.away.is_zero() || !self.is_away(to, origin.genuine) {
            self.drain(to, now, Some(back), origin.genuine);
        }
    }

    /// Whether the driver of a node is away, so that what just came in stays there; now and then it leaves.
    fn is_away(&mut self, n: u32, genuine: bool) -> bool {
        if self.now >= self.members[n as usize].books.away {
            if !self.rng.chance(LEAVES) {
                return false;
            }
            let after = self.rng.below(nanos(self.habits.away));
            self.members[n as usize].books.away = self.now.saturating_add(after);
            self.later(n, after, Doing::Return);
        }
        let Member { role: Role::Node(node), books, .. } = &mut self.members[n as usize] else { return true };
        books.foreign |= !genuine;
        self.observer.check(self.now, n, books.handed, node, &self.template.config);
        self.testify(n);
        true
    }

    /// A member's timer.
    fn wake(&mut self, n: u32) {
        let member = &mut self.members[n as usize];
        if member.armed != self.now {
            return;
        }
        member.disarm();
        let now = member.clock.now(self.now);
        match &mut member.role {
            Role::Node(node) => {
                if node.wants().is_due(now.mono) {
                    node.handle_timeout(now);
                    self.net.trace.note(self.now, u64::from(n));
                }
                self.drain(n, now, None, true);
            }
            Role::Foe(_) => self.foe_wakes(n),
            Role::Down => {}
        }
    }

    /// Take everything out of a node: events go to its application, datagrams to the network; check it and set its timer.
    ///
    /// `hint` is an edge along which datagrams probably go; `genuine` says that nothing but a genuine datagram has reached
    /// the node since the last drain.
    pub(super) fn drain(&mut self, n: u32, now: Now, hint: Option<u32>, genuine: bool) {
        let mut timeouts = 0;
        // The name on a genuine answer is right as long as the address is.
        let decode = core::mem::take(&mut self.members[n as usize].books.foreign) || !genuine;
        for round in 0.. {
            self.drain_events(n, now, decode);
            self.drain_datagrams(n, now, hint);
            self.keep(n);
            let member = &mut self.members[n as usize];
            let Role::Node(node) = &mut member.role else { return };
            let wants = wants_beside(member.store.as_deref(), node.wants());
            if wants.is_pending() && round < ROUNDS {
                continue;
            }
            match wants.at {
                _ if wants.is_pending() => {}
                None => break,
                Some((at, _)) if at > now.mono => {
                    if at < member.armed_local {
                        member.arm(self.now, at);
                        self.net.agenda.push(member.armed, Due::Timer(n));
                    }
                    break;
                }
                Some(_) if timeouts == 0 => {
                    timeouts += 1;
                    node.handle_timeout(now);
                    continue;
                }
                Some(_) => {}
            }
            let detail = format!("{wants:?} after a full drain at {:?}", now.mono);
            self.observer.object(self.now, n, Invariant::Deadline, detail);
            break;
        }
        let member = &mut self.members[n as usize];
        let Role::Node(node) = &member.role else { return };
        self.observer.check(self.now, n, member.books.handed, node, &self.template.config);
        if !core::mem::replace(&mut member.touched, true) {
            self.observer.touched.push(n);
        }
        self.testify(n);
    }

    fn drain_events(&mut self, n: u32, now: Now, decode: bool) {
        let mut again = 0;
        let Self { members, observer, net, habits, rng, errands, said, .. } = self;
        let member = &mut members[n as usize];
        let Member { role: Role::Node(node), books, store, .. } = member else { return };
        while let Some(event) = node.poll_event() {
            match event {
                Event::Response(answered) => {
                    let asked = books.open_request(answered.request).map(|asked| asked.said());
                    if let Some(said) = said.as_ref()
                        && let Some(asked) = asked
                        && let Err((invariant, detail)) = said.answered(asked, answered.response().payload)
                    {
                        observer.object(self.now, n, invariant, detail);
                    }
                    let responder = decode.then(|| answered.response().responder_did);
                    observer.answered(self.now, (n, books), &mut net.edges, &answered, responder);
                    net.counts.answered += u64::from(answered.last);
                    again += u32::from(answered.last);
                }
                Event::Timeout { request, .. } => {
                    if books.open_request(request).is_none() && !books.commanded {
                        let detail = "a request that is over ran out of time".into();
                        observer.object(self.now, n, Invariant::CompletesOnce, detail);
                    }
                    books.ended(request);
                    net.counts.timeouts += 1;
                    again += 1;
                }
                Event::Session(change) => {
                    let edge = Name::member(change.did).and_then(|to| net.edge(n, to, None));
                    if let Some(said) = said.as_ref() {
                        let edge = edge.and_then(|edge| net.edges.get_mut(edge as usize));
                        observer.session(self.now, n, said, edge, &change);
                    }
                }
                Event::Ping(ping @ Received { wait, open, .. }) => {
                    if let Some(said) = said.as_mut()
                        && let Err((invariant, detail)) = said.heard(n, &ping)
                    {
                        observer.object(self.now, n, invariant, detail);
                    }
                    if store.is_some() {
                        observer.told(self.now, n, &ping.packet());
                    }
                    let Some(doing) = wait.map(Doing::Decide).or(open.map(Doing::Answer)) else { continue };
                    let after = rng.below(nanos(habits.decide).max(1));
                    let place = errands.put(Errand { member: n, incarnation: books.incarnation, doing });
                    net.agenda.push(self.now.saturating_add(after), Due::Errand(place));
                }
                _ => {}
            }
        }
        for _ in 0..again {
            self.ask_again(n, now);
        }
    }

    fn drain_datagrams(&mut self, n: u32, now: Now, hint: Option<u32>) {
        let Member { role: Role::Node(node), books, .. } = &mut self.members[n as usize] else { return };
        while let Some(transmit) = node.poll_transmit(now, &mut self.scratch) {
            let bytes = &self.scratch[..transmit.len];
            if let Some(witness) = &mut self.witness {
                let wall = EPOCH.saturating_add(Duration::from_nanos(self.now));
                witness.sent(wall, address(n), transmit.path.remote, bytes);
            }
            let edge = member_at(&transmit.path.remote).and_then(|to| self.net.edge(n, to, hint));
            let Some(edge) = edge else {
                self.net.counts.sent += 1;
                self.net.counts.lose(Lost::NoRoute);
                if !books.commanded {
                    let detail = format!("wrote to {}, from where nothing came", transmit.path.remote);
                    self.observer.object(self.now, n, Invariant::Amplification, detail);
                }
                continue;
            };
            let along = &mut self.net.edges[edge as usize];
            let truthful = along.to < self.nodes;
            match Sealed::of(bytes).filter(|_| self.said.is_some()) {
                Some(sealed) => {
                    self.observer.sent_sealed(self.now, n, along, (sealed, bytes.len()), truthful);
                }
                None => self.observer.sent(self.now, n, along, bytes, (truthful, books.commanded)),
            }
            if self.said.is_some() {
                self.observer.sent_plain(self.now, n, along, bytes);
            }
            let serial = if is_response(bytes) { 0 } else { self.observer.next_serial() };
            self.net.trace.note(self.now, u64::from(edge));
            self.net.send(self.now, n, edge, bytes, Origin { serial, genuine: true });
        }
    }

    /// A request has ended: another takes its place, at once or after some thinking.
    fn ask_again(&mut self, n: u32, now: Now) {
        if self.quiet || self.habits.in_flight == 0 {
            return;
        }
        if self.habits.think.is_zero() {
            self.ask(n, now);
        } else {
            let after = self.rng.below(nanos(self.habits.think));
            self.later(n, after, Doing::Ask);
        }
    }

    /// Have an application do something after so many nanoseconds.
    pub(super) fn later(&mut self, n: u32, after: u64, doing: Doing) {
        let place =
            self.errands.put(Errand { member: n, incarnation: self.members[n as usize].books.incarnation, doing });
        self.net.agenda.push(self.now.saturating_add(after), Due::Errand(place));
    }

    /// Ask some neighbour.
    fn ask(&mut self, n: u32, now: Now) {
        let askable = self.members[n as usize].askable;
        if askable > 0 {
            let edge = self.net.edges_of(n).start + self.rng.below(u64::from(askable)) as u32;
            self.ask_along(n, now, edge);
        }
    }

    fn ask_along(&mut self, n: u32, now: Now, edge: u32) {
        let member = &mut self.members[n as usize];
        let Role::Node(node) = &mut member.role else { return };
        let along = &mut self.net.edges[edge as usize];
        let name = Name::of(along.to);
        let intent = match self.habits.intents {
            [only] => only,
            intents => intents.get(self.rng.index(intents.len())).copied().unwrap_or_default(),
        };
        let mut ping = Ping::new(name.as_str(), Path::to(address(along.to)), intent);
        ping.encoding = self.habits.encoding;
        ping.payload = self.payload.as_value();
        let said = self.said.as_mut().map_or(0, |said| said.say(n, along.to, intent));
        let number = said.to_string();
        if said > 0 {
            (ping.payload, ping.purpose) = (Value::from_json(&number).unwrap_or(Value::NULL), PURPOSE);
        }
        match node.ping(now, &ping) {
            Ok(request) => {
                along.asked = true;
                self.net.counts.requests += 1;
                if !member.books.ask(request, edge, said) {
                    let detail = "a new request has the index of an open one".into();
                    self.observer.object(self.now, n, Invariant::CompletesOnce, detail);
                }
            }
            // Too much is open or queued: try again later.
            Err(_) => self.later(n, 1_000_000_000, Doing::Ask),
        }
    }

    /// An application does what it meant to do.
    fn run_errand(&mut self, place: u32) {
        let Some(Errand { member: n, incarnation, doing }) = self.errands.take(place) else { return };
        let member = &mut self.members[n as usize];
        if member.books.incarnation != incarnation {
            return;
        }
        let now = member.clock.now(self.now);
        let Role::Node(node) = &mut member.role else { return };
        match doing {
            Doing::Ask if !self.quiet => self.ask(n, now),
            Doing::Ask | Doing::Return => {}
            Doing::Commit => self.commit(n, now),
            Doing::Greet(edge) => {
                self.ask_along(n, now, edge);
                let edges = self.net.edges_of(n);
                if edge + 1 < edges.start + self.members[n as usize].askable {
                    self.later(n, 10_000_000, Doing::Greet(edge + 1));
                }
            }
            Doing::Answer(id) => {
                let answer = self.template.answer.as_value();
                // It may have run out of time.
                let _ = node.respond(now, id, answer);
            }
            Doing::Decide(id) => {
                // The application may have forgotten it, and it may have run out of time.
                if self.rng.chance(self.habits.approve) {
                    if let Ok(Some(open)) = node.approve(now, id) {
                        let _ = node.respond(now, open, Value::EMPTY_OBJECT);
                    }
                } else if self.rng.chance(0.5) {
                    let _ = node.reject(now, id);
                }
            }
        }
        self.drain(n, now, None, true);
    }
}
