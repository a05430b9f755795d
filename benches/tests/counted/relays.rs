//! What passes through a relay costs no heap allocation: pings, traced or not, their answers, and packets of circuits.

use sluis_benches::alloc::calls_in;
use sluis_benches::relays::{Carrying, Forwarding};
use sluis_benches::samples::ENCODINGS;

/// Until as many pings are remembered as there will ever be, and the first of them are forgotten.
const WARM_UP: u64 = 8_000;
const PINGS: u64 = 5_000;

fn rounds(passing: &mut Forwarding, pings: u64) {
    for _ in 0..pings / 50 {
        for _ in 0..50 {
            passing.pass();
        }
        passing.answer(50);
    }
}

#[test]
fn pings_and_answers_cost_none() {
    for (encoding, _) in ENCODINGS {
        let mut passing = None;
        assert!(calls_in(|| passing = Some(Forwarding::new(encoding))) > 0, "nothing is counted");
        let mut passing = passing.expect("made");
        rounds(&mut passing, WARM_UP);
        assert_eq!(calls_in(|| rounds(&mut passing, PINGS)), 0, "{encoding:?}");
    }
}

#[test]
fn a_record_of_a_trace_costs_none() {
    let mut passing = Forwarding::traced(ENCODINGS[0].0);
    rounds(&mut passing, WARM_UP);
    assert_eq!(calls_in(|| rounds(&mut passing, PINGS)), 0);
}

#[test]
fn packets_of_circuits_cost_none() {
    let mut carrying = Carrying::new(1400);
    carrying.pass();
    assert_eq!(calls_in(|| (0..PINGS).for_each(|_| carrying.pass())), 0);
}
