//! What a client does on streams of its own: it opens a channel or goes on with one, and the hub passes on what comes.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use sluis_core::Instant;
use sluis_core::table::SlotId;

use super::greeting::Greeting;
use super::hub::{Hub, Leg, Link};
use super::relay::Relay;
use crate::channel::{Opening, Resume, cut, record};
use crate::proof::{OPEN, REFUSE, RESUME};
use crate::session::StreamId;

/// Where a channel leads.
#[derive(Clone, Copy, Debug)]
enum Joined {
    /// To another native connection.
    Relay(SlotId),
    /// It ends here.
    Here,
}

fn not_there() -> String {
    String::from("the agent is not there")
}

impl Hub {
    /// A client opens a channel, or goes on with one.
    pub(super) fn first(&mut self, now: Instant, id: SlotId, stream: StreamId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let Some(Leg::First(mut reader)) = link.legs.remove(&stream) else { return };
        let Some(kind) = Self::read_first(link, now, stream, &mut reader) else {
            link.legs.insert(stream, Leg::First(reader));
            return;
        };
        let joined = match kind {
            Ok(OPEN) => self.open(now, id, stream, reader.body()),
            Ok(RESUME) => self.resume(now, id, stream, reader.body()),
            _ => {
                link.session.reset(stream);
                return;
            }
        };
        match joined {
            Ok(joined) => {
                if kind == Ok(OPEN) {
                    self.stats.opened += 1;
                    self.stats.joined += u64::from(matches!(joined, Joined::Relay(_)));
                } else {
                    self.stats.resumed += 1;
                }
                // What came behind the first record. What comes of a channel that ends here is read once it is accepted.
                if let Joined::Relay(relay) = joined {
                    self.pump(now, relay, 0);
                }
            }
            Err(reason) => {
                self.stats.refused += 1;
                let mut answer = Vec::new();
                record::put(&mut answer, REFUSE, &[cut(&reason).as_bytes()]);
                if let Some(link) = self.links.get_mut(id) {
                    let _ = link.session.write(stream, &answer);
                    let _ = link.session.finish(stream);
                }
            }
        }
        self.settle(now, id);
    }

    fn open(&mut self, now: Instant, id: SlotId, stream: StreamId, body: &[u8]) -> Result<Joined, String> {
        let (opening, signed) = Opening::read(body).map_err(|_| String::from("the opening is not what it must be"))?;
        let key = signed.map(|signed| signed.key);
        self.may(id, &opening.agent, &opening.target, &opening.intent)?;
        let Some(Greeting::Done(_, credential)) = self.links.get(id).map(|link| &link.greeting) else {
            return Err(String::from("not let in"));
        };
        let known = credential.as_ref().and_then(|entry| entry.key);
        if let (Some(known), Some(shown)) = (known, key)
            && known != shown
        {
            return Err(String::from("it is signed with another key than this agent's"));
        }
        match self.leads_to(&opening.target, &opening.intent)? {
            Some(target) => {
                self.may_be_named(&opening)?;
                let relay = self.join(now, (id, stream), target, &opening.intent, OPEN, body)?;
                self.tap(relay, opening, body, key);
                Ok(Joined::Relay(relay))
            }
            None if self.locals.are_kept => self.end_here(id, stream, &opening, body).map(|_| Joined::Here),
            None => Err(not_there()),
        }
    }

    fn resume(&mut self, now: Instant, id: SlotId, stream: StreamId, body: &[u8]) -> Result<Joined, String> {
        let malformed = |_| String::from("the record is not what it must be");
        let (tag, text) = Resume::parts(body).map_err(malformed)?;
        let resume = Resume::read(text).map_err(malformed)?;
        self.may(id, &resume.agent, &resume.target, &resume.intent)?;
        if let Some(local) = self.locals.find(resume.channel) {
            return self.go_on_here(now, id, stream, local, body).map(|()| Joined::Here);
        }
        self.may_go_on(now, &resume)?;
        let target = self.leads_to(&resume.target, &resume.intent)?.ok_or_else(not_there)?;
        let relay = self.join(now, (id, stream), target, &resume.intent, RESUME, body)?;
        self.tap_again(relay, &resume, !tag.is_empty());
        Ok(Joined::Relay(relay))
    }

    /// Whether an agent may open a channel.
    fn may(&self, id: SlotId, agent: &str, target: &str, intent: &str) -> Result<(), String> {
        let Some(Greeting::Done(name, credential)) = self.links.get(id).map(|link| &link.greeting) else {
            return Err(String::from("not let in"));
        };
        if **name != *agent {
            return Err(String::from("it is another agent's"));
        }
        if credential.as_ref().is_some_and(|entry| !entry.allows(intent, target)) {
            return Err(String::from("it is not allowed"));
        }
        Ok(())
    }

    /// The connection to which a channel leads: the hub's own for its services, else the newest of the target.
    fn leads_to(&self, target: &str, intent: &str) -> Result<Option<SlotId>, String> {
        if *target == *self.config.agent && self.config.services.contains(intent) {
            return self.own.map(Some).ok_or_else(not_there);
        }
        Ok(self.newest(target))
    }

    /// The newest connection of an agent.
    fn newest(&self, agent: &str) -> Option<SlotId> {
        self.agents.get(agent).and_then(|all| all.last()).copied()
    }

    /// Open a stream to the target, and join the two.
    fn join(
        &mut self,
        now: Instant,
        from: (SlotId, StreamId),
        target: SlotId,
        intent: &str,
        kind: u8,
        body: &[u8],
    ) -> Result<SlotId, String> {
        let busy = || String::from("there are too many channels");
        if self.relays.is_full() {
            return Err(busy());
        }
        let intent = self.intents.resolve(intent);
        let level = intent.policy.priority;
        let name = self.name(from.0).ok_or_else(busy)?;
        let served = self.own == Some(target);
        // Of a service each agent has its own share; of an agent whoever comes first.
        let has_room = |link: &&mut Link| match served {
            true => self.relays.served(&name) < self.config.max_served,
            false => link.legs.len() < self.config.max_channels,
        };
        let link = self.links.get_mut(target).filter(has_room).ok_or_else(busy)?;
        let stream = link.session.open(now, level).map_err(|_| busy())?;
        let mut first = Vec::new();
        record::put(&mut first, kind, &[body]);
        // A control record is shorter than what a new stream takes.
        let _ = link.session.write(stream, &first);
        let agents = [name, self.name(target).ok_or_else(busy)?];
        let mut relay = Relay::new([from, (target, stream)], agents, intent.policy, intent.budget);
        relay.served = served;
        let id = self.relays.insert(relay).ok_or_else(busy)?;
        for (side, (link, stream)) in [from, (target, stream)].into_iter().enumerate() {
            if let Some(link) = self.links.get_mut(link) {
                let _ = link.session.set_level(stream, level);
                link.legs.insert(stream, Leg::Relay(id, side));
            }
        }
        self.settle(now, target);
        Ok(id)
    }

    pub(super) fn name(&self, id: SlotId) -> Option<Arc<str>> {
        match &self.links.get(id)?.greeting {
            Greeting::Done(name, _) => Some(Arc::clone(name)),
            Greeting::Waiting(_) => None,
        }
    }

    /// Pass on what one side of a channel has sent: as much as the other side takes, and its budget.
    pub(super) fn pump(&mut self, now: Instant, relay: SlotId, side: usize) {
        let Some(moved) = self.relays.pump(now, relay, side, &mut self.links, &mut self.timers) else { return };
        self.stats.bytes += moved.bytes;
        self.stats.throttled += u64::from(moved.throttled);
        self.tell_of(relay);
        if moved.over
            && let Some(gone) = self.relays.remove(relay, &mut self.timers)
        {
            self.untap(now, gone.tap);
            for (link, stream) in gone.legs {
                if let Some(link) = self.links.get_mut(link) {
                    link.legs.remove(&stream);
                }
            }
        }
        for (link, _) in moved.legs {
            self.settle(now, link);
        }
    }
}
