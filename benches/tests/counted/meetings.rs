//! Simulated pairs meet, whatever the size of the pool, however far brokers are, and when 30 of 100 are dead.

use std::time::Duration;

use sluis_benches::signal::meet::meet;

/// Of the reference 7, 19 and 14 of 24 pairs met in pools of 3, 8 and 16. The times are virtual; `signal` looks at a thousand pairs each.
#[test]
fn all_pairs_meet_in_time() {
    for (pool, dead) in [(1, 0), (3, 0), (8, 0), (8, 30), (16, 30)] {
        let met = meet(6, pool, dead, 1);
        assert_eq!(met.met, met.pairs, "{dead} % of {pool} dead");
        let slowest = |times: &[Duration]| times.last().copied().expect("they met");
        assert!(slowest(&met.cold) <= Duration::from_millis(2500), "{dead} % of {pool} dead: {:?}", met.cold);
        assert!(slowest(&met.joined) <= Duration::from_secs(1), "{dead} % of {pool} dead: {:?}", met.joined);
    }
}
