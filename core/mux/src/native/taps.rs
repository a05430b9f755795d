//! The taps of a hub's channels: on the streams of a channel, or waiting for it to go on.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use core::time::Duration;

use sluis_core::Instant;
use sluis_core::identity::PublicKey;
use sluis_core::table::{Heap, Slab, SlotId};

use super::hub::{Hub, Timer};
use super::tap::Tap;
use crate::channel::{ChannelId, Opening, Resume};

/// How long a channel outlives its streams.
const PARK_TIME: Duration = Duration::from_secs(60);

/// Channels whose end was told and that may go on for an end that has not heard all of it.
const MAX_DONE: usize = 16_384;

/// A channel: who has opened it, and its name, which that agent has chosen.
type Named = (Box<str>, ChannelId);

#[derive(Clone, Copy, Debug)]
enum Place {
    On(SlotId),
    Waits(SlotId),
}

#[derive(Debug)]
struct Waiting {
    tap: Box<Tap>,
    until: Instant,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Taps {
    places: BTreeMap<Named, Place>,
    waiting: Slab<Waiting, Heap>,
    /// Those that wait, oldest first, by who has opened them; and how many these are.
    shares: BTreeMap<Box<str>, BTreeSet<(Instant, SlotId)>>,
    sizes: BTreeSet<(usize, Box<str>)>,
    /// How many of one agent's wait at most.
    most: usize,
    /// Those whose end was told, in the order of that: nothing more is told of them.
    done: BTreeSet<Named>,
    ended: VecDeque<(Instant, Named)>,
}

impl Taps {
    pub(super) fn new(capacity: usize, most: usize) -> Self {
        Self {
            places: BTreeMap::new(),
            waiting: Slab::new(capacity),
            shares: BTreeMap::new(),
            sizes: BTreeSet::new(),
            most,
            done: BTreeSet::new(),
            ended: VecDeque::new(),
        }
    }

    /// The end of a channel is told.
    fn end(&mut self, now: Instant, named: Named) {
        let is_old = |(at, _): &mut (Instant, Named)| *at + PARK_TIME < now;
        while let Some((_, old)) = self.ended.pop_front_if(is_old) {
            self.done.remove(&old);
        }
        if self.ended.len() >= MAX_DONE
            && let Some((_, oldest)) = self.ended.pop_front()
        {
            self.done.remove(&oldest);
        }
        if self.done.insert(named.clone()) {
            self.ended.push_back((now, named));
        }
    }

    /// One of an agent's waits, or does no more.
    fn share(&mut self, agent: &str, at: (Instant, SlotId), waits: bool) {
        let share = self.shares.entry(agent.into()).or_default();
        self.sizes.remove(&(share.len(), agent.into()));
        if waits {
            share.insert(at);
        } else {
            share.remove(&at);
        }
        if share.is_empty() {
            self.shares.remove(agent);
        } else {
            self.sizes.insert((share.len(), agent.into()));
        }
    }

    /// Which one makes way for one more of this agent's: the oldest of its own where it has its share, else, where there is no room, the
    /// oldest of whoever has most.
    fn in_the_way(&self, agent: &str) -> Option<SlotId> {
        let own = self.shares.get(agent).filter(|share| share.len() >= self.most);
        let most = || self.sizes.last().filter(|_| self.waiting.is_full()).and_then(|(_, name)| self.shares.get(name));
        own.or_else(most)?.first().map(|(_, slot)| *slot)
    }
}

impl Hub {
    const fn looks(&self) -> bool {
        self.config.tells || self.config.witnesses
    }

    /// Whether a channel can be opened under this name: no other one of the agent's has it, which would hide what passes.
    pub(super) fn may_be_named(&self, opening: &Opening) -> Result<(), String> {
        // Nobody looks: the target finds out.
        if self.looks() && self.taps.places.contains_key(&(opening.agent.clone(), opening.channel)) {
            return Err(String::from("there is a channel of this name"));
        }
        Ok(())
    }

    /// Look at a channel that was opened, where that is wanted.
    pub(super) fn tap(&mut self, relay: SlotId, opening: Opening, open: &[u8], key: Option<PublicKey>) {
        if self.looks() {
            let backend = Box::from(self.intents.resolve(&opening.intent).backend);
            let what = (self.config.tells, self.config.witnesses);
            let tap = Box::new(Tap::new(opening, open, key, backend, what));
            self.put_tap(relay, tap);
        }
    }

    fn put_tap(&mut self, relay: SlotId, tap: Box<Tap>) {
        if let Some(place) = self.relays.tap(relay) {
            self.taps.places.insert(tap.named(), Place::On(relay));
            *place = Some(tap);
        }
    }

    /// Whether a channel can go on like this: it was accepted, and leads where it did. What is left of its streams ends, where the hub has
    /// not heard yet that they are gone: nothing passes on them that is not looked at.
    pub(super) fn may_go_on(&mut self, now: Instant, resume: &Resume) -> Result<(), String> {
        let place = self.taps.places.get(&(resume.agent.clone(), resume.channel)).copied();
        let is_same = match place {
            None => true,
            Some(Place::On(relay)) => {
                self.relays.tap(relay).and_then(|tap| tap.as_deref()).is_none_or(|tap| tap.is_resumed_by(resume))
            }
            Some(Place::Waits(slot)) => {
                self.taps.waiting.get(slot).is_none_or(|waiting| waiting.tap.is_resumed_by(resume))
            }
        };
        if !is_same {
            return Err(String::from("there is no such channel to go on with"));
        }
        if let Some(Place::On(relay)) = place {
            self.part_whole(now, relay);
        }
        Ok(())
    }

    /// A channel goes on, where its opener's RESUME leads; `is_tagged`: its ends have keys. One that was opened at another hub is looked at
    /// from now on.
    pub(super) fn tap_again(&mut self, relay: SlotId, resume: &Resume, is_tagged: bool) {
        if !self.looks() || self.taps.done.contains(&(resume.agent.clone(), resume.channel)) {
            return;
        }
        let known = match self.taps.places.get(&(resume.agent.clone(), resume.channel)).copied() {
            Some(Place::Waits(slot)) => self.take_waiting(slot),
            _ => None,
        };
        let mut tap = known.unwrap_or_else(|| {
            let backend = Box::from(self.intents.resolve(&resume.intent).backend);
            let what = (self.config.tells, self.config.witnesses);
            Box::new(Tap::elsewhere(resume, is_tagged, backend, what))
        });
        tap.go_on(resume.received);
        self.put_tap(relay, tap);
    }

    /// Tell what was found on a channel.
    pub(super) fn tell_of(&mut self, relay: SlotId) {
        if let Some(Some(tap)) = self.relays.tap(relay) {
            while let Some(news) = tap.poll() {
                self.news.push(news);
            }
        }
    }

    /// A channel has no streams any more: it is over, or goes on later.
    pub(super) fn untap(&mut self, now: Instant, tap: Option<Box<Tap>>) {
        let Some(mut tap) = tap else { return };
        while let Some(news) = tap.poll() {
            self.news.push(news);
        }
        let named = tap.named();
        if tap.is_over() {
            self.taps.places.remove(&named);
            if let Some(news) = tap.closed() {
                self.news.push(news);
                self.taps.end(now, named);
            }
            return;
        }
        if let Some(tap) = self.taps.in_the_way(&named.0).and_then(|slot| self.take_waiting(slot)) {
            // Its channel may go on: nothing is known of its end.
            self.taps.places.remove(&tap.named());
            self.news.miss(tap.may_be_signed());
        }
        let until = now + PARK_TIME;
        if let Ok(slot) = self.taps.waiting.insert(Waiting { tap, until }) {
            self.timers.insert((until, Timer::Tap(slot)));
            self.taps.share(&named.0, (until, slot), true);
            self.taps.places.insert(named, Place::Waits(slot));
        } else {
            self.taps.places.remove(&named);
        }
    }

    /// One that waits does so no more.
    fn take_waiting(&mut self, slot: SlotId) -> Option<Box<Tap>> {
        let Waiting { tap, until } = self.taps.waiting.remove(slot)?;
        self.timers.remove(&(until, Timer::Tap(slot)));
        self.taps.share(&tap.named().0, (until, slot), false);
        Some(tap)
    }

    /// A channel has not gone on.
    pub(super) fn forget_tap(&mut self, slot: SlotId) {
        if let Some(tap) = self.take_waiting(slot) {
            self.taps.places.remove(&tap.named());
            tap.closed().into_iter().for_each(|news| self.news.push(news));
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::time::Duration;

    use sluis_core::table::SlotId;
    use sluis_core::{Instant, Seed};

    use super::super::hub::{Hub, HubConfig};
    use super::super::relay::Relay;
    use super::super::tap::Tap;
    use crate::channel::{ChannelId, Opening, Resume, record, write_accept};
    use crate::news::News;
    use crate::proof::{ACCEPT, BYTES, CLOSE, REFUSE, RESUME};
    use crate::session::{Config, Role, Session};

    fn opening(agent: &str, n: u8) -> Opening {
        Opening::new(ChannelId([n; 16]), agent, "bob", "chat", "{}").unwrap()
    }

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        record::put(&mut out, kind, &[body]);
        out
    }

    /// That of a channel that is open.
    fn tap(agent: &str, n: u8) -> Box<Tap> {
        let opening = opening(agent, n);
        let open = opening.write(None).unwrap();
        let mut tap = Box::new(Tap::new(opening, &open, None, "ipoll".into(), (true, true)));
        tap.look(1, &record(ACCEPT, &write_accept(&open, None).unwrap()));
        while tap.poll().is_some() {}
        tap
    }

    fn hub() -> Hub {
        let mut config = HubConfig::new("hub");
        (config.tells, config.max_channels, config.max_all_channels) = (true, 4, 8);
        Hub::new(config, &Seed::from_u64(1))
    }

    #[test]
    fn who_has_many_channels_cut_costs_nobody_else_what_is_looked_for_on_his() {
        let mut hub = hub();
        let waits = |hub: &Hub, agent: &str, n: u8| hub.taps.places.contains_key(&(agent.into(), ChannelId([n; 16])));
        (0..3).for_each(|n| hub.untap(Instant::ZERO, Some(tap("alice", n))));
        (0..20).for_each(|n| {
            hub.untap(Instant::ZERO + Duration::from_millis(u64::from(n)), Some(tap("mallory", n)));
        });
        let alice = |hub: &Hub| (0..3).all(|n| waits(hub, "alice", n));
        assert!(alice(&hub) && hub.taps.waiting.len() == 7);
        assert!((16..20).all(|n| waits(&hub, "mallory", n)), "the newest ones");
        // There is no room at all: of whoever has most one makes way.
        (0..2).for_each(|n| hub.untap(Instant::ZERO, Some(tap("carol", n))));
        assert!(alice(&hub) && waits(&hub, "carol", 0) && waits(&hub, "carol", 1) && !waits(&hub, "mallory", 16));
        assert_eq!(hub.poll_news(), Some(News::Missed { told: 17, signed: 0 }));
        assert_eq!(hub.poll_news(), None);
        assert_eq!((hub.taps.places.len(), hub.timers.len(), hub.taps.shares.len()), (8, 8, 3));
    }

    fn resume(target: &str, received: u64) -> Resume {
        let (channel, agent, intent) = (ChannelId([1; 16]), "alice".into(), "chat".into());
        Resume { channel, agent, target: target.into(), intent, received }
    }

    fn answer(received: u64) -> Vec<u8> {
        record(RESUME, &[&[0], &resume("bob", received).write()[..]].concat())
    }

    fn frames(tap: &Tap) -> u64 {
        let Some(News::Closed { frames, .. }) = tap.closed() else { panic!("it was open") };
        frames
    }

    #[test]
    fn what_one_end_says_of_going_on_counts_once_the_other_goes_on_too() {
        let mut tap = tap("alice", 1);
        tap.look(0, &[record(BYTES, b"one"), record(BYTES, b"two")].concat());
        tap.look(1, &record(BYTES, b"back"));
        // It is refused; what comes before that, and what is behind it, is for nobody.
        tap.go_on(1 << 50);
        tap.look(0, &record(BYTES, b"junk"));
        tap.look(1, &record(REFUSE, b"no"));
        tap.go_on(0);
        tap.look(1, &record(REFUSE, b"no"));
        // The answer cannot be.
        tap.go_on(1);
        tap.look(1, &[answer(1 << 50), record(BYTES, b"junk")].concat());
        assert_eq!(frames(&tap), 3);
        // Bob has one, alice has none.
        tap.go_on(0);
        tap.look(1, &[answer(1), record(BYTES, b"back"), record(BYTES, b"more")].concat());
        tap.look(0, &[record(BYTES, b"two"), record(BYTES, b"three")].concat());
        assert_eq!(frames(&tap), 5);
    }

    #[test]
    fn a_channel_goes_on_only_where_it_led() {
        let mut hub = hub();
        hub.untap(Instant::ZERO, Some(tap("alice", 1)));
        assert!(hub.may_go_on(Instant::ZERO, &resume("carol", 0)).is_err());
        assert!(hub.may_go_on(Instant::ZERO, &resume("bob", 0)).is_ok());
        assert_eq!(hub.taps.waiting.len(), 1);
    }

    /// The streams of a channel, of connections that the hub does not find any more.
    fn streams(hub: &mut Hub) -> SlotId {
        let mut session = Session::new(Role::Client, Config::default(), &Seed::from_u64(2), Instant::ZERO);
        let leg = (SlotId::from_bits(u64::MAX), session.open(Instant::ZERO, 3).unwrap());
        let chat = hub.intents.resolve("chat");
        let relay = Relay::new([leg; 2], ["alice".into(), "bob".into()], chat.policy, chat.budget);
        hub.relays.insert(relay).unwrap()
    }

    #[test]
    fn a_channel_passes_on_no_streams_that_are_not_looked_at() {
        let mut hub = hub();
        let relay = streams(&mut hub);
        hub.put_tap(relay, tap("alice", 1));
        // It leads elsewhere: the streams that there are stay, and are looked at.
        assert!(hub.may_go_on(Instant::ZERO, &resume("carol", 0)).is_err());
        assert!(hub.relays.tap(relay).is_some_and(|tap| tap.is_some()));
        // The opener is back before it was missed: the streams that it had end.
        assert!(hub.may_go_on(Instant::ZERO, &resume("bob", 0)).is_ok());
        assert!(hub.relays.tap(relay).is_none() && hub.taps.waiting.len() == 1);
        let next = streams(&mut hub);
        hub.tap_again(next, &resume("bob", 0), false);
        assert!(hub.relays.tap(next).is_some_and(|tap| tap.is_some()) && hub.taps.waiting.is_empty());
        // Nothing goes on that was not accepted.
        let opening = opening("carol", 1);
        let (relay, unanswered) = (streams(&mut hub), Tap::new(opening, b"", None, "ipoll".into(), (true, true)));
        hub.put_tap(relay, Box::new(unanswered));
        assert!(hub.may_go_on(Instant::ZERO, &Resume { agent: "carol".into(), ..resume("bob", 0) }).is_err());
    }

    #[test]
    fn a_reason_is_told_up_to_the_length_that_an_end_gives_it() {
        let mut tap = tap("alice", 1);
        tap.look(0, &record(CLOSE, &[b'x'; 16_000]));
        assert!(matches!(tap.closed(), Some(News::Closed { reason, .. }) if reason.len() == 256));
    }
}
