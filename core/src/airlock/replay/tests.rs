use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::vec::Vec;

use proptest::prelude::*;

use super::ReplayReject;
use super::{FixedReplayWindow, ReplayConfig, ReplayTable};
use crate::seed::{Seed, SipKey};
use crate::table::Storage;
use crate::time::{Instant, Now, Wall};

const SECOND: i64 = 1_000_000;
const START: i64 = 1_736_942_400 * SECOND;

fn key() -> SipKey {
    Seed::from_u64(3).fork("replay").sip_key()
}

fn at(micros: i64) -> Now {
    Now::new(Instant::ZERO, Wall::from_micros(micros))
}

fn send<P: Storage, E: Storage>(
    table: &mut ReplayTable<P, E>,
    wall: i64,
    sender: &str,
    nonce: &str,
    stamp: i64,
) -> Result<(), ReplayReject> {
    let admission = table.check(at(wall), sender, nonce, Wall::from_micros(stamp))?;
    table.admit(admission);
    Ok(())
}

/// A packet of the model: sender, nonce, stamp.
type Packet = (u8, u8, i64);

#[derive(Clone, Debug)]
enum Op {
    /// A packet with a stamp so many half seconds from now.
    Send(u8, u8, i64),
    /// An earlier packet once more.
    Again(prop::sample::Index),
    /// The wall clock moves to where an earlier packet was fresh, and it comes once more.
    Revisit(prop::sample::Index),
    /// The wall clock moves, in half seconds.
    Clock(i64),
}

fn ops(back: i64) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(
        prop_oneof![
            4 => (0..5u8, 0..6u8, -70..14i64).prop_map(|(s, n, t)| Op::Send(s, n, t)),
            2 => any::<prop::sample::Index>().prop_map(Op::Again),
            1 => any::<prop::sample::Index>().prop_map(Op::Revisit),
            1 => (-back..40i64).prop_map(Op::Clock),
            1 => (-back * 100..200i64).prop_map(Op::Clock),
        ],
        0..200,
    )
}

/// Small numbers, so that every cap is reached.
fn tight() -> impl Strategy<Value = ReplayConfig> {
    (1..6usize, 1..5usize, 1..12usize).prop_map(|(per_sender, max_senders, max_entries)| ReplayConfig {
        per_sender,
        max_senders,
        max_entries,
        ..ReplayConfig::default()
    })
}

/// Run a sequence beside a memory that forgets nothing: whatever is admitted was never admitted before, a nonce is only called
/// used when its own sender used it, and no cap is passed.
fn never_twice<P: Storage, E: Storage>(
    mut table: ReplayTable<P, E>,
    config: &ReplayConfig,
    ops: Vec<Op>,
) -> Result<(), TestCaseError> {
    let mut ever: BTreeSet<Packet> = BTreeSet::new();
    let mut sent: Vec<Packet> = Vec::new();
    let mut wall = START;
    for op in ops {
        let (sender, nonce, stamp) = match op {
            Op::Clock(by) => {
                wall += by * SECOND / 2;
                continue;
            }
            Op::Again(_) | Op::Revisit(_) if sent.is_empty() => continue,
            Op::Again(which) => *which.get(&sent),
            Op::Revisit(which) => {
                let packet = *which.get(&sent);
                wall = packet.2;
                packet
            }
            Op::Send(sender, nonce, by) => (sender, nonce, wall + by * SECOND / 2),
        };
        let packet = (sender, nonce, stamp);
        sent.push(packet);
        let (did, text) = (format!("jis:{sender}"), format!("n{nonce}"));
        let before = (table.len(), table.senders());
        let verdict = table.check(at(wall), &did, &text, Wall::from_micros(stamp));
        prop_assert_eq!(&verdict, &table.check(at(wall), &did, &text, Wall::from_micros(stamp)));
        prop_assert_eq!(before, (table.len(), table.senders()));
        match verdict {
            Ok(admission) => {
                prop_assert!(stamp >= wall - 30 * SECOND && stamp <= wall + 5 * SECOND);
                table.admit(admission);
                prop_assert!(ever.insert(packet), "{packet:?} was admitted twice");
                prop_assert!(table.check(at(wall), &did, &text, Wall::from_micros(stamp)).is_err());
            }
            Err(ReplayReject::Replay) => prop_assert!(ever.iter().any(|(s, n, _)| (*s, *n) == (sender, nonce))),
            Err(ReplayReject::Future) => prop_assert!(stamp > wall + 5 * SECOND),
            Err(ReplayReject::Busy) => prop_assert_eq!(table.senders(), config.max_senders),
            Err(ReplayReject::Stale) => {}
        }
        prop_assert!(table.len() <= config.max_entries && table.senders() <= config.max_senders);
    }
    Ok(())
}

/// With room for everything and a clock that never steps back, each verdict is exactly that of a memory that forgets
/// nothing but what has left the window.
fn exact<P: Storage, E: Storage>(mut table: ReplayTable<P, E>, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut last: BTreeMap<(u8, u8), i64> = BTreeMap::new();
    let mut sent: Vec<Packet> = Vec::new();
    let mut wall = START;
    for op in ops {
        let (sender, nonce, stamp) = match op {
            Op::Clock(by) => {
                wall += by.max(0) * SECOND / 2;
                continue;
            }
            Op::Again(_) | Op::Revisit(_) if sent.is_empty() => continue,
            Op::Again(which) | Op::Revisit(which) => *which.get(&sent),
            Op::Send(sender, nonce, by) => (sender, nonce, wall + by * SECOND / 2),
        };
        sent.push((sender, nonce, stamp));
        let horizon = wall - 30 * SECOND;
        let expected = if stamp < horizon {
            Err(ReplayReject::Stale)
        } else if stamp > wall + 5 * SECOND {
            Err(ReplayReject::Future)
        } else if last.get(&(sender, nonce)).is_some_and(|seen| *seen >= horizon) {
            Err(ReplayReject::Replay)
        } else {
            last.insert((sender, nonce), stamp);
            Ok(())
        };
        let verdict = send(&mut table, wall, &format!("jis:{sender}"), &format!("n{nonce}"), stamp);
        prop_assert_eq!(verdict, expected);
    }
    Ok(())
}

/// A sender with rising stamps beside senders that flood without restraint: it is never turned away.
fn honest_is_heard<P: Storage, E: Storage>(
    mut table: ReplayTable<P, E>,
    bursts: Vec<(u8, u8, i64)>,
) -> Result<(), TestCaseError> {
    let mut wall = START;
    let mut count = 0;
    for (flooder, size, step) in bursts {
        wall += step;
        for n in 0..u32::from(size) {
            count += 1;
            let stamp = wall + i64::from(n % 7) * SECOND / 2;
            let _ = send(&mut table, wall, &format!("jis:evil:{}", flooder % 3), &format!("{count}"), stamp);
        }
        count += 1;
        prop_assert_eq!(send(&mut table, wall, "jis:honest", &format!("{count}"), wall), Ok(()));
    }
    Ok(())
}

fn bursts() -> impl Strategy<Value = Vec<(u8, u8, i64)>> {
    prop::collection::vec((any::<u8>(), 0..60u8, 1..3 * SECOND), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn never_twice_without_a_heap(config in tight(), ops in ops(40)) {
        let config = ReplayConfig { max_senders: config.max_senders.min(3), max_entries: config.max_entries.min(8), ..config };
        never_twice(FixedReplayWindow::<3, 8>::new(config, key()), &config, ops)?;
    }

    #[test]
    fn exact_without_a_heap(ops in ops(0)) {
        exact(FixedReplayWindow::<8, 256>::new(ReplayConfig::default(), key()), ops)?;
    }

    #[test]
    fn honest_is_heard_without_a_heap(bursts in bursts()) {
        honest_is_heard(FixedReplayWindow::<4, 32>::new(ReplayConfig::default(), key()), bursts)?;
    }
}

#[cfg(feature = "alloc")]
mod heap {
    use super::super::ReplayWindow;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn never_twice(config in tight(), ops in ops(40)) {
            super::never_twice(ReplayWindow::new(config, key()), &config, ops)?;
        }

        #[test]
        fn exact(ops in ops(0)) {
            super::exact(ReplayWindow::new(ReplayConfig::default(), key()), ops)?;
        }

        #[test]
        fn honest_is_heard(bursts in bursts(), per_sender in 1..80usize, max_entries in 1..200usize) {
            let config = ReplayConfig { per_sender, max_entries, ..ReplayConfig::default() };
            super::honest_is_heard(ReplayWindow::new(config, key()), bursts)?;
        }
    }

    /// One sender, thousands of packets with one stamp: all are taken up to the quota, none twice.
    #[test]
    fn equal_stamps_are_fine_up_to_the_quota() {
        let mut table = ReplayWindow::new(ReplayConfig::default(), key());
        for n in 0..4096 {
            assert_eq!(send(&mut table, START, "a", &format!("{n}"), START), Ok(()), "{n}");
        }
        for n in 0..4096 {
            assert_eq!(send(&mut table, START, "a", &format!("{n}"), START), Err(ReplayReject::Replay));
        }
        // One more pushes out the first, and with it that stamp.
        assert_eq!(send(&mut table, START, "a", "more", START), Ok(()));
        assert_eq!(send(&mut table, START, "a", "0", START), Err(ReplayReject::Stale));
        assert_eq!(send(&mut table, START, "a", "next", START + 1), Ok(()));
        assert_eq!(send(&mut table, START, "b", "0", START), Ok(()));
    }

    /// An accepted sender that never stops: memory grows to its quota and no further.
    #[test]
    fn a_flood_from_one_sender_leaves_memory_flat() {
        let mut table = ReplayWindow::new(ReplayConfig::default(), key());
        let mut flat = 0;
        for n in 0..400_000_i64 {
            let stamp = START + n * 100;
            assert_eq!(send(&mut table, stamp, "jis:loud", &format!("{n}"), stamp), Ok(()));
            if n == 5000 {
                flat = table.heap_bytes();
            }
        }
        assert_eq!(table.heap_bytes(), flat);
        assert_eq!((table.len(), table.senders()), (4096, 1));
        assert!(flat < 4096 * 70, "{flat}");
    }

    /// More names and packets than fit: the byte cap holds, known senders go on, newcomers wait until a window has passed.
    #[test]
    fn a_flood_of_names_stays_under_the_cap_and_opens_nothing() {
        let config = ReplayConfig { max_bytes: 1 << 20, ..ReplayConfig::default() };
        let mut table = ReplayWindow::new(config, key());
        let mut busy = 0;
        let mut first = None;
        for n in 0..60_000_i64 {
            let wall = START + n * 10;
            let did = format!("jis:crowd:{}", n % 20_000);
            match send(&mut table, wall, &did, &format!("{n}"), wall) {
                Ok(()) => _ = first.get_or_insert((did, format!("{n}"), wall)),
                Err(ReplayReject::Busy) => busy += 1,
                Err(other) => panic!("{other}"),
            }
            assert!(table.heap_bytes() <= config.max_bytes);
        }
        assert!(busy > 0 && table.heap_bytes() > config.max_bytes / 2, "{busy} {}", table.heap_bytes());
        let (did, nonce, stamp) = first.unwrap();
        let end = START + 600_000;
        assert!(send(&mut table, end, &did, &nonce, stamp).is_err());
        assert_eq!(send(&mut table, end, "jis:new", "n", end), Err(ReplayReject::Busy));
        assert_eq!(send(&mut table, end, &did, "n", end), Ok(()));
        let later = end + 31 * SECOND;
        assert_eq!(send(&mut table, later, "jis:new", "n", later), Ok(()));
        assert_eq!(send(&mut table, later, "jis:slow", "n", later - 29 * SECOND), Ok(()));
    }

    /// When everything is taken, a loud sender makes room among its own and leaves the quiet one's entries alone.
    #[test]
    fn a_loud_sender_pays_for_itself() {
        let config = ReplayConfig { max_entries: 300, ..ReplayConfig::default() };
        let mut table = ReplayWindow::new(config, key());
        assert_eq!(send(&mut table, START, "quiet", "1", START), Ok(()));
        for n in 1..5000_i64 {
            let loud = format!("loud:{}", n % 3);
            assert_eq!(send(&mut table, START + n, &loud, &format!("{n}"), START + n), Ok(()));
        }
        assert_eq!(table.len(), 300);
        assert_eq!(send(&mut table, START + 5000, "quiet", "1", START), Err(ReplayReject::Replay));
        assert_eq!(send(&mut table, START + 5000, "quiet", "late", START - SECOND), Ok(()));
    }

    /// What was admitted under a clock that ran ahead stays refused when the clock comes back and passes there again.
    #[test]
    fn a_clock_that_steps_back_reopens_nothing() {
        let config = ReplayConfig { per_sender: 4, max_senders: 2, ..ReplayConfig::default() };
        let mut table = ReplayWindow::new(config, key());
        let ahead = START + 3600 * SECOND;
        for n in 0..20 {
            assert_eq!(send(&mut table, ahead, "a", &format!("{n}"), ahead + n), Ok(()));
        }
        // Back: its old stamps are in the future; what it stamps now is not above its floor; others are not concerned.
        assert_eq!(send(&mut table, START, "a", "0", ahead), Err(ReplayReject::Future));
        assert_eq!(send(&mut table, START, "a", "x", START), Err(ReplayReject::Stale));
        assert_eq!(send(&mut table, START, "b", "x", START), Ok(()));
        for wall in (START..ahead + 60 * SECOND).step_by(7 * 1_000_000) {
            let other = send(&mut table, wall, &format!("c{wall}"), "x", wall);
            assert!(matches!(other, Ok(()) | Err(ReplayReject::Busy | ReplayReject::Stale)));
            for n in 0..20 {
                assert!(send(&mut table, wall, "a", &format!("{n}"), ahead + n).is_err());
            }
        }
    }

    /// A record is dropped while its entries are still there, and the clock comes back to where they were fresh.
    #[test]
    fn a_dropped_record_is_not_forgotten() {
        let config = ReplayConfig { max_senders: 3, ..ReplayConfig::default() };
        let mut table = ReplayWindow::new(config, key());
        assert_eq!(send(&mut table, START, "a", "n", START), Ok(()));
        let (before, after) = (START - 100 * SECOND, START + 40 * SECOND);
        assert_eq!(send(&mut table, before, "b", "n", before), Ok(()));
        for newcomer in ["c", "d"] {
            assert_eq!(send(&mut table, after, newcomer, "n", after), Ok(()));
        }
        assert_eq!(send(&mut table, START, "a", "n", START), Err(ReplayReject::Stale));
        assert_eq!(send(&mut table, START, "a", "n", START + 1), Ok(()));
    }

    #[test]
    fn a_raised_floor_closes_the_gap_of_a_restart() {
        let mut table = ReplayWindow::new(ReplayConfig::default(), key());
        table.raise_floor(Wall::from_micros(START));
        table.raise_floor(Wall::from_micros(START - 5));
        assert_eq!(send(&mut table, START, "a", "n", START), Err(ReplayReject::Stale));
        assert_eq!(send(&mut table, START, "a", "n", START + 1), Ok(()));
    }
}
