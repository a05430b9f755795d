//! What a known peer takes on the heap when there are a million of them.
#![allow(missing_docs)]

use sluis_benches::alloc::Counting;
use sluis_benches::population::{MILLION, heap_of};

#[global_allocator]
static ALLOC: Counting = Counting;

#[test]
fn a_million_peers_take_at_most_256_bytes_each() {
    let heap = heap_of(MILLION);
    assert!(heap.live >= 32 * MILLION as usize, "their names alone take more: {heap:?}");
    assert!(heap.live <= 256 * MILLION as usize, "{heap:?}");
    assert!(heap.held <= 256 * MILLION as usize, "with malloc's overhead: {heap:?}");
}
