//! What passes through a relay costs no heap allocation: pings, traced or not, their answers, and packets of circuits.

use sluis_benches::alloc::calls_in;
use sluis_benches::nodes::{hub_addr, node};
use sluis_benches::relaying::{Carried, Relaying};
use sluis_benches::relays::{Carrying, Forwarding};
use sluis_benches::samples::{ENCODINGS, HUB, INTENT, SENSOR, ping};
use sluis_core::framing::{Packet, Response, Text, Value};
use sluis_core::node::Ping;
use sluis_core::relay::{ANSWER_INTENT, pack_answer};
use sluis_core::{Datagrams as _, Instant, Now, Path, Reject, Wall};

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

/// The same through whole nodes: gate, quotas and queue included.
#[test]
fn what_a_node_passes_on_costs_none() {
    let rounds = |passing: &mut Relaying, pings: u64| {
        for _ in 0..pings / 50 {
            for _ in 0..50 {
                passing.pass();
            }
            passing.answer(50);
        }
    };
    let unsigned = ENCODINGS.map(|(encoding, name)| (Relaying::new(encoding), name));
    let traced = ENCODINGS.map(|(encoding, _)| (Relaying::traced(encoding), "traced"));
    for (mut passing, name) in unsigned.into_iter().chain(traced) {
        rounds(&mut passing, WARM_UP);
        assert_eq!(calls_in(|| rounds(&mut passing, PINGS)), 0, "{name}");
    }
    let mut carried = Carried::new(1400);
    carried.pass();
    assert_eq!(calls_in(|| (0..PINGS).for_each(|_| carried.pass())), 0);
}

/// Answers in pings that nobody asked for are looked at in place.
#[test]
fn carried_answers_of_strangers_cost_none() {
    let mut asker = node(SENSOR, 2);
    let now = Now::new(Instant::ZERO, Wall::from_secs(1_764_400_000));
    asker.ping(now, &Ping::over(HUB, "jis:home:relay", hub_addr(), INTENT)).unwrap();
    let (id, mut payload, mut bytes) = (Text::new("ping_0000000000000001"), vec![0; 1024], vec![0; 4096]);
    let response = Response { in_response_to: id, responder_did: Text::new(HUB), ..Response::default() };
    let len = pack_answer(&response, &mut payload).unwrap();
    let payload = Value::from_json(std::str::from_utf8(&payload[..len]).unwrap()).unwrap();
    let (intent, target_did) = (Text::new(ANSWER_INTENT), Text::new(SENSOR));
    let len = Packet { intent, target_did, payload, ..ping() }.encode(ENCODINGS[0].0, &mut bytes).unwrap();
    let from = Path::to(hub_addr());
    let mut hear = || asker.handle_datagram(now, from, &mut bytes[..len]);
    assert_eq!(hear(), Err(Reject::Unrequested));
    assert_eq!(calls_in(|| (0..PINGS).for_each(|_| _ = hear())), 0);
}
