//! What a known peer takes on the heap when there are a million of them, and an idle node of a simulation.

use sluis_benches::alloc::heap;
use sluis_benches::population::{MILLION, heap_of};
use sluis_core::sim::{Scenario, Setup};
use sluis_core::time::Duration;

#[test]
fn a_million_peers_take_at_most_256_bytes_each() {
    let _alone = crate::alone();
    let heap = heap_of(MILLION);
    assert!(heap.live >= 32 * MILLION as usize, "their names alone take more: {heap:?}");
    assert!(heap.live <= 256 * MILLION as usize, "{heap:?}");
    assert!(heap.held <= 256 * MILLION as usize, "with malloc's overhead: {heap:?}");
}

#[test]
fn a_node_takes_less_than_8_kib_at_birth_and_with_neighbours() {
    let _alone = crate::alone();
    let nodes = 1000;
    let before = heap().held;
    let mut world = Scenario::Heartbeat.build(&Setup::new(nodes, 1)).unwrap();
    let born = (heap().held - before) / nodes as usize;
    // Every node knows its neighbours and has exchanged heartbeats with them for ten minutes.
    assert!(world.run_until(Duration::from_secs(600)));
    let later = (heap().held - before) / nodes as usize;
    assert!(world.counts().deliveries > 50_000);
    println!("{born} bytes when born, {later} after ten minutes of heartbeats");
    assert!(born < 8192 && later < 8192, "{born} {later}");
}
