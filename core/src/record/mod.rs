//! Recordings: everything that went into a node and came out of it, so that a bug report becomes a test (feature
//! `record`).
//!
//! * [`Recorded`] wraps a machine at its boundary and writes each call to a [`Tape`] as a line of JSON: what it was made of first,
//!   then datagrams, times, commands, and what came of each. [`Node::recorded`](crate::node::Node::recorded) makes a node in one.
//! * [`replay`] builds the node again from such lines, feeds it the same inputs, and says where it first did something else.
//!   [`Replay`] does it line by line, for any machine that is [`Recordable`]: that can write its commands and events.
//! * [`Capture`] takes the datagrams out of a recording, and [`pcapng`] writes datagrams, in the form that Wireshark reads.
//!
//! **A recording is secret.** It holds the seed of the node, from which all its nonces, packet ids and hash keys follow, and
//! every datagram in full. Keep it as you keep a key, and give it away only for a node that will not be started again
//! with that seed (adapters never use one twice).
//!
//! ```
//! use sluis_core::node::{Node, NodeConfig, Ping};
//! use sluis_core::record::{Lines, replay};
//! use sluis_core::{Datagrams, Did, Now, Path, Seed};
//!
//! let lines = Lines::default();
//! let config = NodeConfig::new(Did::new("jis:home:sensor")?);
//! let mut node = Node::recorded(config, &Seed::from_u64(1), Box::new(lines.clone()))?;
//! let hub = Path::to("192.0.2.1:7150".parse()?);
//! node.ping(Now::default(), &Ping::new("jis:home:hub", hub, "temperature.read"))?;
//! node.poll_transmit(Now::default(), &mut vec![0; 65_535]);
//!
//! let again = replay(&lines.text())?;
//! assert_eq!(again.inputs, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod capture;
mod lan;
mod line;
mod node;
mod overlay;
pub mod pcapng;
mod read;
mod recorded;
mod relay;
mod replay;
mod settings;
#[cfg(test)]
mod tests;
mod version_one;

pub use self::capture::Capture;
pub use self::line::{Line, Version};
pub use self::read::{BadRecord, Object};
#[cfg(feature = "sim")]
pub(crate) use self::recorded::Sink;
pub use self::recorded::{NoSuchQueue, Recordable, Recorded, Tape};
pub use self::replay::{RecordingEnd, Replay, ReplayError, Replayed, replay, replay_labelled};

/// A tape in memory. Clones share their lines.
#[cfg(feature = "std")]
#[derive(Clone, Debug, Default)]
pub struct Lines(std::sync::Arc<std::sync::Mutex<alloc::string::String>>);

#[cfg(feature = "std")]
impl Lines {
    /// Everything that was recorded.
    #[must_use]
    pub fn text(&self) -> alloc::string::String {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

#[cfg(feature = "std")]
impl Tape for Lines {
    fn line(&mut self, line: &str) {
        let mut text = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        text.push_str(line);
        text.push('\n');
    }
}
