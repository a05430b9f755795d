//! What the benches, the allocation checks and the two measuring commands share.
//!
//! * [`alloc`]: an allocator that counts.
//! * [`floors`]: the same packets as serde structs, to compare with.
//! * [`fleet`]: registries with many devices.
//! * [`population`]: a million peers.
//! * [`relaying`]: a node that relays.
//! * [`relays`]: a relay with nothing around it.
//! * [`report`]: results as a table or as JSON.
//! * [`samples`]: the packets that everything here is measured with.
//! * [`nodes`]: a hub and a sensor, and rounds between them.
//! * [`logs`]: logs to be appended to and verified.
//! * [`medium`]: what the commands that measure a disk share.
//! * [`mqtt`]: a message and its acknowledgement, by two codecs.
//! * [`mux`]: channels on one connection, and agents at a hub of native connections.
//! * [`memory`]: two driver loops joined in memory, without sockets.
//! * [`bad`]: everything that can be wrong with a datagram.
//! * [`contenders`]: what is timed against what.
//! * [`swarm`]: thousands of simulated networks.
//! * [`tokens`]: the tokens that everything about tokens is measured with.
//! * [`signal`]: nodes at brokers beside plain clients of MQTT, and simulated pairs that meet.
//! * [`contest`]: timing several things against each other, interleaved.
//!
//! Times are never asserted, here or in the tests: allocations and bytes are.

pub mod alloc;
pub mod bad;
pub mod contenders;
pub mod contest;
pub mod fleet;
pub mod floors;
pub mod logs;
pub mod medium;
pub mod memory;
pub mod mqtt;
pub mod mux;
pub mod nodes;
pub mod population;
pub mod relaying;
pub mod relays;
pub mod report;
pub mod samples;
pub mod sessions;
pub mod signal;
pub mod swarm;
pub mod tokens;
