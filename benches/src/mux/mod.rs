//! Channels on one connection: both ends in memory, or each on a socket; and agents at a hub, in memory.

mod agents;
mod end;
mod peer;

pub use agents::Agents;
pub use end::{Channels, End};
pub use peer::{Job, Peer, Progress, Sender};
