//! The taps of a hub's channels: on the streams of a channel, or waiting for it to go on.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::time::Duration;

use sluis_core::Instant;
use sluis_core::identity::PublicKey;
use sluis_core::table::{Heap, Slab, SlotId};

use super::hub::{Hub, Timer};
use super::tap::Tap;
use crate::channel::{ChannelId, Opening};

/// How long a channel outlives its streams.
const PARK_TIME: Duration = Duration::from_secs(60);

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
}

impl Taps {
    pub(super) fn new(capacity: usize) -> Self {
        Self { places: BTreeMap::new(), waiting: Slab::new(capacity) }
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

    /// A channel goes on, by the body of its opener's RESUME.
    pub(super) fn tap_again(&mut self, relay: SlotId, agent: &str, channel: ChannelId, resume: &[u8]) {
        let tap = match self.taps.places.get(&(agent.into(), channel)).copied() {
            None => None,
            // The hub has not heard yet that its streams are gone.
            Some(Place::On(before)) => self.relays.tap(before).and_then(Option::take),
            Some(Place::Waits(slot)) => self.taps.waiting.remove(slot).map(|waiting| {
                self.timers.remove(&(waiting.until, Timer::Tap(slot)));
                waiting.tap
            }),
        };
        if let Some(mut tap) = tap {
            tap.go_on(resume);
            self.put_tap(relay, tap);
        }
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
        if tap.is_over() || self.taps.waiting.is_full() {
            self.taps.places.remove(&named);
            tap.closed().into_iter().for_each(|news| self.news.push(news));
            return;
        }
        let until = now + PARK_TIME;
        if let Ok(slot) = self.taps.waiting.insert(Waiting { tap, until }) {
            self.timers.insert((until, Timer::Tap(slot)));
            self.taps.places.insert(named, Place::Waits(slot));
        }
    }

    /// A channel has not gone on.
    pub(super) fn forget_tap(&mut self, slot: SlotId) {
        if let Some(Waiting { tap, .. }) = self.taps.waiting.remove(slot) {
            self.taps.places.remove(&tap.named());
            tap.closed().into_iter().for_each(|news| self.news.push(news));
        }
    }
}
