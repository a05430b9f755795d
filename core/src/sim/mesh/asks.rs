//! What nodes ask each other in a mesh, and what comes of it.

use alloc::format;
use alloc::string::String;

use super::shape::Part;
use super::watch::MeshInvariant;
use super::{ANSWER, Mesh, path};
use crate::framing::{Decision, Encoding};
use crate::node::{Ping, RequestId};
use crate::sim::Name;
use crate::sim::agenda::Due;
use crate::time::Duration;

/// Between two tries, in nanoseconds: longer than the patience of relays.
pub(super) const WAIT: u64 = 4_000_000_000;
/// How often is tried when all is well: until ways that failed while it was not are tried again, too.
pub(super) const PATIENT: u8 = 10;
/// How many hops a question may take that is to be answered.
const MAX_HOPS: u8 = 16;

/// A question, and how often it was asked.
#[derive(Debug)]
pub(super) struct Ask {
    from: u32,
    to: u32,
    most: u8,
    tries: u8,
    max_hops: u8,
    traced: bool,
    encoding: Encoding,
    /// Over which neighbour it goes first.
    first: usize,
    /// Whether it counts in the figures: it had all its tries, and who asks was up.
    counts: bool,
    /// Steps of the shortest way over foes and relays that were up.
    shortest: u32,
    hops: Option<u32>,
    answered: bool,
}

impl Mesh {
    /// Somebody asks somebody who is not a neighbour, so many times at most. What does not count may go over few hops only.
    pub(super) fn ask(&mut self, most: u8, counts: bool) {
        let (endpoints, guests) = (self.shape.endpoints(), self.shape.guests());
        let by_guest = self.verifications.is_none() || self.tamperers || self.rng.below(2) == 0;
        let from = match by_guest {
            true => guests.start + self.rng.below(guests.len() as u64) as u32,
            false => self.rng.below(endpoints.into()) as u32,
        };
        let to = self.rng.below(endpoints.into()) as u32;
        if from == to || self.shape.around(from).contains(&to) || !self.members[to as usize].up {
            return;
        }
        let up = |n: u32| self.members.get(n as usize).is_some_and(|member| member.up);
        // There has to be an honest way for what is to be answered.
        let honest = self.shape.steps(to, up)[from as usize];
        if honest > MAX_HOPS.into() || !self.members[from as usize].up {
            return;
        }
        let ahead = self.shape.steps(to, |n| up(n) && n != from);
        let leads = |over: &u32| self.shape.part(*over) == Part::Relay && ahead[*over as usize] < MAX_HOPS.into();
        let first = match self.shape.around(from).iter().position(leads) {
            Some(over) if most == PATIENT => over,
            _ => self.rng.index(16),
        };
        let shortest = self.shape.steps(to, |n| up(n) || self.shape.part(n) == Part::Foe)[from as usize];
        let short = !counts && most == 1;
        let max_hops = if short { self.rng.between(1, 4) as u8 } else { MAX_HOPS };
        if counts {
            self.counts.flooding += self.shape.flood(up);
        }
        self.asks.push(Ask {
            from,
            to,
            most,
            tries: 0,
            max_hops,
            traced: self.shape.part(from) == Part::Guest || self.rng.chance(0.5),
            encoding: [Encoding::Json, Encoding::Msgpack, Encoding::Postcard][self.rng.index(3)],
            first,
            counts,
            shortest,
            hops: None,
            answered: false,
        });
        self.again(self.asks.len() - 1);
    }

    /// The next try of a question that nobody answered.
    pub(super) fn again(&mut self, ask: usize) {
        let now = self.clock();
        let Some(Ask { from, to, most, tries, max_hops, traced, encoding, first, answered, .. }) =
            self.asks.get_mut(ask)
        else {
            return;
        };
        let member = &mut self.members[*from as usize];
        if *answered || tries >= most || !member.up {
            return;
        }
        let around = self.shape.around(*from);
        // Whoever is patient leaves it to one honest relay to find another way.
        let turn = if *most == PATIENT { 0 } else { usize::from(*tries) };
        let over = around[(*first + turn) % around.len()];
        *tries += 1;
        let (target, relay, purpose) = (self.shape.did(*to), self.shape.did(over), purpose(ask));
        let mut ping = Ping::over(&target, &relay, path(over), "temperature.read");
        (ping.purpose, ping.encoding, ping.trace, ping.max_hops) = (&purpose, *encoding, *traced, Some(*max_hops));
        ping.timeout = Some(Duration::from_nanos(WAIT));
        if let Ok(request) = member.node.ping(now, &ping) {
            member.open.insert(request, ask);
        }
        let from = *from;
        self.agenda.push(self.now + WAIT, Due::Errand(ask as u32));
        self.look_after(from);
    }

    /// Somebody took a ping in.
    pub(super) fn heard(&mut self, n: u32, (source, said): (&str, &str), hop_count: i64) {
        let asked = said.strip_prefix("ask ").and_then(|ask| ask.parse::<usize>().ok());
        let ask = asked.and_then(|ask| self.asks.get_mut(ask)).filter(|ask| {
            let by = self.shape.did(ask.from);
            ask.to == n && by == source
        });
        match ask {
            Some(ask) => {
                let hops = u32::try_from(hop_count).unwrap_or(u32::MAX).saturating_add(1);
                // A foe may have counted them back.
                ask.hops.get_or_insert(hops.max(ask.shortest));
            }
            None if source.starts_with("jis:guest:") => self.counts.altered += 1,
            // What a foe says in its own name is its own affair.
            None if Name::member(source).is_some_and(|by| self.shape.part(by) == Part::Foe) => {}
            None => self.watch.find(self.now, n, MeshInvariant::Genuine, format!("{source} did not say {said:?}")),
        }
    }

    /// A question was answered.
    pub(super) fn answered(&mut self, n: u32, request: RequestId, decision: Decision, payload: &str) {
        let Some(ask) = self.members[n as usize].open.remove(&request).and_then(|ask| self.asks.get_mut(ask)) else {
            return;
        };
        match decision == Decision::Accept && payload == ANSWER {
            true => ask.answered = true,
            false => {
                let detail = format!("{} did not answer {decision} {payload:?}", self.shape.did(ask.to));
                self.watch.find(self.now, n, MeshInvariant::Genuine, detail);
            }
        }
    }

    /// Whoever asked when all was well has an answer.
    pub(super) fn check_lives(&mut self) {
        for (at, ask) in self.asks.iter().enumerate().filter(|(_, ask)| ask.most == PATIENT && !ask.answered) {
            let Ask { from, to, tries, hops, shortest, .. } = ask;
            let came = hops.map_or("never came".into(), |hops| format!("came over {hops} hops"));
            let detail = format!("{tries} times {from} asked {to}, {shortest} steps away; {came} ({})", purpose(at));
            self.watch.find(self.now, *from, MeshInvariant::Lives, detail);
        }
    }

    /// Sum up what was asked while there was trouble.
    pub(super) fn count(&mut self) {
        for ask in self.asks.iter().filter(|ask| ask.counts && (ask.answered || ask.tries == ask.most)) {
            self.counts.asked += 1;
            self.counts.answered += u64::from(ask.answered);
            if let Some(hops) = ask.hops {
                self.counts.delivered += 1;
                self.counts.hops += u64::from(hops);
                self.counts.shortest += u64::from(ask.shortest);
            }
        }
    }
}

fn purpose(ask: usize) -> String {
    format!("ask {ask}")
}
