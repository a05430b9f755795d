//! A packet of a session costs no heap allocation, on either side; neither does what is turned away.

use sluis_benches::alloc::calls_in;
use sluis_benches::sessions::{SessionPair, at, paths};

#[test]
fn packets_cost_none() {
    let mut pair = SessionPair::default();
    let round = |pair: &mut SessionPair| {
        for len in [0, 100, 1400] {
            pair.pass(0, len);
            pair.pass(1, len);
        }
        pair.settle();
    };
    assert!(calls_in(|| pair = SessionPair::default()) > 0, "nothing is counted");
    (0..100).for_each(|_| round(&mut pair));
    // Ten seconds: timers run, keys are not old yet.
    let cost = calls_in(|| (0..10_000).for_each(|_| round(&mut pair)));
    assert_eq!(cost, 0);
}

#[test]
fn packets_of_strangers_cost_none() {
    let mut pair = SessionPair::default();
    let mut frame = [0_u8; 104];
    frame[..9].copy_from_slice(b"TP\x01\x08\0\0\0\x60\x05");
    let mut buf = frame;
    let cost = calls_in(|| {
        for n in 0..10_000_u32 {
            buf.copy_from_slice(&frame);
            buf[12..16].copy_from_slice(&n.to_be_bytes());
            assert!(pair.rooms[1].handle(at(2000), paths()[1], &mut buf, &mut |_| true).is_err());
        }
    });
    assert_eq!(cost, 0);
}
