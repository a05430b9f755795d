//! An accepted ping costs no heap allocation, on either side, in any encoding; neither does what is turned away.
//!
//! Tables grow to their working size first: that is what the warm-up is for.

use sluis_benches::alloc::calls_in;
use sluis_benches::bad::{Flood, Kind};
use sluis_benches::memory::World;
use sluis_benches::nodes::{Packets, Pair, STEP, reading_buf};
use sluis_benches::samples::ENCODINGS;
use sluis_core::Machine;
use sluis_core::framing::Encoding;
use sluis_core::node::Reply;

/// More than a sender's quota in the replay window, so that every further ping also forgets one.
const WARM_UP: usize = 6_000;
const PINGS: usize = 10_000;

/// Allocations on each side.
#[derive(Debug, Default, PartialEq)]
struct Cost {
    hub: u64,
    sensor: u64,
}

/// A pair and what goes between them.
struct Rig {
    pair: Pair,
    there: Packets,
    back: Packets,
    cost: Cost,
    ended: usize,
}

impl Rig {
    fn new(trust: f64, encoding: Encoding) -> Self {
        Self::of(Pair::new(trust, encoding))
    }

    fn of(pair: Pair) -> Self {
        let (there, back) = (Packets::default(), Packets::default());
        Self { pair, there, back, cost: Cost::default(), ended: 0 }
    }

    /// The sensor asks, the hub hears it and says what it has to say.
    fn ask(&mut self) {
        let Self { pair, there, back, cost, .. } = self;
        there.clear();
        back.clear();
        cost.sensor += calls_in(|| there.push(pair.ask()));
        cost.hub += calls_in(|| {
            let heard = pair.tell_hub(there.get_mut(0), back).expect("a ping that passes the gate");
            assert_eq!(heard.events, 1);
        });
    }

    /// The sensor hears what the hub said; time passes for both.
    fn answer(&mut self) {
        let Self { pair, back, cost, ended, .. } = self;
        cost.sensor += calls_in(|| {
            for at in 0..back.len() {
                *ended += pair.tell_sensor(back.get_mut(at)).expect("an answer to a request");
            }
        });
        let now = pair.clock.now();
        cost.hub += calls_in(|| pair.hub.handle_timeout(now));
        cost.sensor += calls_in(|| pair.sensor.handle_timeout(now));
        assert!(!back.is_empty(), "the hub said nothing");
    }

    /// What a round costs once everything is warm.
    fn steady(mut self, mut round: impl FnMut(&mut Self)) -> Cost {
        for _ in 0..WARM_UP {
            round(&mut self);
        }
        assert!(self.cost.hub > 0 && self.cost.sensor > 0, "nothing is counted: {:?}", self.cost);
        (self.cost, self.ended) = (Cost::default(), 0);
        for _ in 0..PINGS {
            round(&mut self);
        }
        assert_eq!(self.ended, PINGS, "every ping was answered");
        self.cost
    }
}

#[test]
fn the_allocator_counts() {
    assert_eq!(calls_in(|| drop(std::hint::black_box(vec![1u8; 100]))), 1);
    let mut grown = Vec::with_capacity(1);
    assert_eq!(calls_in(|| (0..2u8).for_each(|i| grown.push(std::hint::black_box(i)))), 1);
}

#[test]
fn a_ping_that_is_answered_at_once_costs_none() {
    for (encoding, name) in ENCODINGS {
        let cost = Rig::new(0.9, encoding).steady(|rig| {
            rig.ask();
            rig.answer();
        });
        assert_eq!(cost, Cost::default(), "{name}");
    }
}

#[test]
fn a_ping_through_a_session_costs_none() {
    for (encoding, name) in ENCODINGS {
        let cost = Rig::of(Pair::sealed(0.9, encoding)).steady(|rig| {
            rig.ask();
            rig.answer();
        });
        assert_eq!(cost, Cost::default(), "{name}");
    }
}

#[test]
fn a_ping_that_the_application_answers_costs_none() {
    for (encoding, name) in ENCODINGS {
        let mut rig = Rig::new(0.9, encoding);
        rig.pair.hub.set_reply("*", Reply::Later).expect("a pattern within its limit");
        let reading = reading_buf();
        let cost = rig.steady(|rig| {
            let Rig { pair, there, back, cost, .. } = rig;
            there.clear();
            back.clear();
            cost.sensor += calls_in(|| there.push(pair.ask()));
            cost.hub += calls_in(|| {
                let heard = pair.tell_hub(there.get_mut(0), back).expect("an accepted ping");
                let id = heard.open.expect("it waits for the application");
                pair.hub.respond(pair.clock.now(), id, reading.as_value()).expect("an answer");
                assert!(pair.drain_hub(back).sent > 0);
            });
            rig.answer();
        });
        assert_eq!(cost, Cost::default(), "{name}");
    }
}

#[test]
fn a_ping_that_waits_and_is_approved_costs_none() {
    for (encoding, name) in ENCODINGS {
        let cost = Rig::new(0.5, encoding).steady(|rig| {
            let Rig { pair, there, back, cost, .. } = rig;
            there.clear();
            back.clear();
            cost.sensor += calls_in(|| there.push(pair.ask()));
            cost.hub += calls_in(|| {
                let heard = pair.tell_hub(there.get_mut(0), back).expect("a ping that waits");
                pair.hub.approve(pair.clock.now(), heard.wait.expect("it waits for a decision")).expect("approved");
                assert!(pair.drain_hub(back).sent > 0);
            });
            assert_eq!(rig.back.len(), 2, "pending, and the decision");
            rig.answer();
        });
        assert_eq!(cost, Cost::default(), "{name}");
    }
}

#[test]
fn what_is_turned_away_costs_none_and_gets_no_byte() {
    for (encoding, name) in ENCODINGS {
        for kind in Kind::ALL {
            let mut flood = Flood::new(&[kind], &[encoding], STEP);
            let mut cost = 0;
            for round in 0..3_000 {
                let calls = calls_in(|| flood.send());
                cost += if round < 100 { 0 } else { calls };
            }
            assert_eq!(cost, 0, "{name}: {kind:?}");
            flood.check();
        }
    }
}

#[test]
fn two_drivers_in_steady_state_cost_none() {
    for (encoding, name) in ENCODINGS {
        for in_flight in [1, 64] {
            let mut world = World::new(encoding, in_flight);
            assert!(calls_in(|| assert_eq!(world.run(WARM_UP as u64), WARM_UP as u64)) > 0, "nothing is counted");
            let cost = calls_in(|| assert_eq!(world.run(PINGS as u64), PINGS as u64));
            assert_eq!(cost, 0, "{name}, {in_flight} in flight");
        }
    }
}

#[test]
fn framing_costs_none() {
    for (encoding, name) in ENCODINGS {
        let mut ping = sluis_benches::contenders::ours(sluis_benches::samples::ping_frame(encoding).leak());
        let mut response = sluis_benches::contenders::ours(sluis_benches::samples::response_frame(encoding).leak());
        assert_eq!(calls_in(|| (0..100).for_each(|_| (ping(), response()).0)), 0, "{name}");
    }
}

#[test]
fn a_signed_ping_and_its_signed_answer_allocate_nothing() {
    for (encoding, name) in ENCODINGS {
        let mut once = sluis_benches::contenders::signed(encoding);
        once();
        assert_eq!(calls_in(once), 0, "{name}");
    }
}
