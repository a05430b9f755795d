//! Millions of hostile checks: the replay window neither grows nor gives way.

use sluis_core::airlock::{ReplayConfig, ReplayWindow};
use sluis_core::{Instant, Now, Reject, RejectCounts, Seed, Wall};

/// Ten million in an optimised build, one million in a debug build.
const CHECKS: i64 = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };

const SENDERS: i64 = 300;
const SECOND: i64 = 1_000_000;
const START: i64 = 1_736_942_400 * SECOND;

/// `n` in hex digits, as a nonce.
fn nonce(n: i64, text: &mut [u8; 32]) -> &str {
    for (place, digit) in text.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[usize::try_from(n >> (4 * (place % 15)) & 15).unwrap()];
    }
    std::str::from_utf8(text).unwrap()
}

#[test]
fn millions_of_hostile_checks_leave_memory_flat() {
    let mut window = ReplayWindow::new(ReplayConfig::default(), Seed::from_u64(9).fork("flood").sip_key());
    let mut counts = RejectCounts::default();
    let (mut admitted, mut flat, mut text) = (0, 0, [0; 32]);
    let dids: Vec<String> = (0..SENDERS).map(|n| format!("jis:home:sensor:{n:08}")).collect();
    // Admitted packets that are sent again for ever.
    let mut kept: Vec<(i64, i64)> = Vec::new();
    for n in 0..CHECKS {
        // Ten microseconds a packet: the window of 30 s would see three million of them.
        let wall = START + n * 10;
        let (which, stamp, fresh) = match n % 10 {
            // Of accepted senders, with garbage for nonces.
            0..5 => (n, wall - n % 7, true),
            5..8 if !kept.is_empty() => {
                let (which, stamp) = kept[usize::try_from(n / 10).unwrap() % kept.len()];
                (which, stamp, false)
            }
            8 => (n, wall - 31 * SECOND, false),
            _ => (n, wall + 6 * SECOND, false),
        };
        if n % 1000 == 0 {
            kept.push((which, stamp));
        }
        let sender = &dids[usize::try_from(which % SENDERS).unwrap()];
        let now = Now::new(Instant::ZERO, Wall::from_micros(wall));
        match window.check(now, sender, nonce(which, &mut text), Wall::from_micros(stamp)) {
            Ok(admission) => {
                assert!(fresh, "{n}: {which} of {stamp} was taken in twice");
                window.admit(admission);
                admitted += 1;
            }
            Err(why) => {
                assert!(!fresh, "{n}: {why}");
                counts.count(why);
            }
        }
        if n == CHECKS * 3 / 4 {
            flat = window.heap_bytes();
        }
    }
    assert_eq!(window.heap_bytes(), flat, "memory still grows");
    assert!(flat <= ReplayConfig::default().max_bytes, "{flat}");
    assert_eq!(window.len(), window.capacity());
    assert_eq!(admitted, CHECKS / 2);
    for why in [Reject::Replay, Reject::Stale, Reject::Future] {
        assert!(counts.get(why) > 10_000, "{why}: {counts:?}");
    }
}
