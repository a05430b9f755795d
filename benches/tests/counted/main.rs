//! How often a thread asks the allocator for memory, and the commands of this package.
#![allow(missing_docs)]

mod allocations;
mod meetings;
mod mux_allocations;
mod relays;
mod sessions;
mod signal_allocations;
mod swarm;
mod token_allocations;

use sluis_benches::alloc::Counting;

#[global_allocator]
static ALLOC: Counting = Counting;
