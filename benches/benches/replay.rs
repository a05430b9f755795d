//! The replay window: check and admit, with one sender and with many, full and turning over.

use std::hint::black_box;

use criterion::Criterion;
use sluis_benches::nodes::{Clock, STEP};
use sluis_core::Seed;
use sluis_core::airlock::{ReplayConfig, ReplayWindow};

/// Everything in this file.
pub(crate) fn all(c: &mut Criterion) {
    admit(c);
}

fn window() -> ReplayWindow {
    ReplayWindow::new(ReplayConfig::default(), Seed::from_u64(1).fork("replay").sip_key())
}

/// 32 hex digits that differ.
fn nonce(n: u64, out: &mut [u8; 32]) -> &str {
    for (i, digit) in out.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[usize::from((n.rotate_right(4 * u32::try_from(i % 16).unwrap_or(0)) & 15) as u8)];
    }
    std::str::from_utf8(out).unwrap_or_default()
}

fn admit(c: &mut Criterion) {
    let mut group = c.benchmark_group("replay");
    for senders in [1usize, 10_000] {
        let names: Vec<String> = (0..senders).map(|i| format!("jis:home:sensor-{i:012}")).collect();
        let (mut window, mut clock, mut n, mut text) = (window(), Clock::default(), 0u64, [0; 32]);
        let mut step = || {
            n += 1;
            let now = clock.advance(STEP);
            let sender = &names[usize::try_from(n.wrapping_mul(0x9E37_79B9) % senders as u64).unwrap_or(0)];
            let admission = window.check(now, black_box(sender), nonce(n, &mut text), now.wall).expect("fresh");
            window.admit(admission);
        };
        // Fill it, so that every admission also forgets.
        for _ in 0..300_000 {
            step();
        }
        group.bench_function(format!("check+admit/{senders} senders"), |b| b.iter(&mut step));
        let now = clock.now();
        group.bench_function(format!("refused/{senders} senders"), |b| {
            let sender = &names[usize::try_from(n.wrapping_mul(0x9E37_79B9) % senders as u64).unwrap_or(0)];
            let text = nonce(n, &mut text);
            b.iter(|| window.check(now, black_box(sender), black_box(text), now.wall).is_err());
        });
    }
}
