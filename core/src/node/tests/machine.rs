//! What every machine promises.

use std::vec::Vec;

use super::*;

#[test]
fn same_seed_and_same_inputs_give_the_same_bytes() {
    let run = || {
        let (mut hub, mut sensor) = pair(0.9);
        let mut all = Vec::new();
        for i in 0..20 {
            let (_, ping) = ask(&mut sensor, at(i), Encoding::Json);
            hub.handle_datagram(at(i), from(9), &mut ping.clone()).unwrap();
            all.push(ping);
            all.extend(drain(&mut hub, at(i)).into_iter().map(|(_, b)| b));
        }
        all
    };
    assert_eq!(run(), run());
}

#[test]
fn a_caller_that_forgets_to_drain_is_told_so() {
    let (mut hub, mut sensor) = pair(0.9);
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    assert!(hub.wants().output && hub.wants().events);
    drain(&mut hub, at(0));
    assert!(hub.wants().events && !hub.wants().output);
    let mut small = [0; 10];
    told(&mut hub);
    assert!(!hub.wants().is_pending() && hub.wants().at.is_some());
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    assert_eq!(hub.poll_transmit(at(0), &mut small), None);
    assert_eq!(drain(&mut hub, at(0)).len(), 1, "nothing is lost into a small buffer");
}
