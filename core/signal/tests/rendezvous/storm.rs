//! A broker restarts under a thousand nodes.

use sluis_core::time::Duration;
use sluis_core::{Instant, Machine as _, Now, Seed, Wall};
use sluis_signal::broker::{End, Order};
use sluis_signal::rendezvous::{Config, Rendezvous};

use super::{places, secret};

const NODES: u64 = 1000;
const BROKERS: usize = 3;
const SECOND: Duration = Duration::from_secs(1);
/// CONNACK, SUBACK, PINGRESP.
const JOINED: [u8; 9] = [0x20, 2, 0, 0, 0x90, 3, 0, 1, 1];
const PONG: [u8; 2] = [0xd0, 0];

/// When a node that has joined three brokers for a minute is joined again at the first, which is gone for a while: from its return on.
fn comes_back(seed: u64, away: Duration) -> Duration {
    let mut mono = Instant::ZERO + Duration::from_secs(1000);
    let now = |mono: Instant| {
        let micros = i64::try_from(mono.as_nanos() / 1000).unwrap();
        Now::new(mono, Wall::from_micros(1_736_942_400_000_000 + micros))
    };
    let mut node = Rendezvous::new(Config::new(secret(0), places(BROKERS)), &Seed::from_u64(seed), now(mono));
    let gone = mono + Duration::from_secs(60);
    let back = gone + away;
    let mut is_lost = false;
    loop {
        let time = now(mono);
        node.handle_timeout(time);
        if !is_lost && mono >= gone {
            is_lost = true;
            node.broker_end(time, 0, End::Lost);
        }
        while let Some((at, order)) = node.broker_order() {
            if order != Order::Dial {
                continue;
            }
            if at == 0 && (gone..back).contains(&mono) {
                node.broker_end(time, at, End::Unreachable);
                continue;
            }
            node.broker_up(time, at);
            assert_eq!(node.broker_bytes(time, at, &JOINED), JOINED.len());
            if at == 0 && is_lost {
                return mono.saturating_since(back);
            }
        }
        let mut out = [0; 500];
        for at in 0..BROKERS {
            // What it writes besides CONNECT and SUBSCRIBE is a PINGREQ; another answer does no harm.
            while node.broker_output(time, at, &mut out) > 0 {
                node.broker_bytes(time, at, &PONG);
            }
        }
        while node.poll_event().is_some() {}
        let next = node.deadline().expect("it has something to do");
        let next = if is_lost { next } else { next.min(gone) };
        mono = next.max(mono + Duration::from_nanos(1));
    }
}

/// It may be back at once, or be away for longer than anybody waits at first: within no second more than 15 of 100 connect.
#[test]
fn a_restart_makes_no_storm() {
    for away in [0, 1, 3, 8, 30].map(Duration::from_secs) {
        let mut back: Vec<Duration> = (0..NODES).map(|seed| comes_back(seed, away)).collect();
        back.sort_unstable();
        let within = |from: &Duration| back.iter().filter(|at| (*from..*from + SECOND).contains(*at)).count();
        let most = back.iter().map(within).max().unwrap();
        assert!(most <= 150, "away for {away:?}: {most} of {NODES} within a second");
        // And nobody is left behind.
        assert!(*back.last().unwrap() <= Duration::from_secs(60), "away for {away:?}: {:?}", back.last());
    }
}
