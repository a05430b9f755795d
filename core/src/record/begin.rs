//! The beginning of a recording.

use alloc::boxed::Box;

use super::{Tape, settings};
use crate::Seed;
use crate::node::line::Version;
use crate::node::tape::Sink;
use crate::node::{ConfigError, Node, NodeConfig};

impl Node {
    /// A node that writes everything that goes in and out, its seed included, to a tape: see [`record`](crate::record).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn recorded(config: NodeConfig, seed: &Seed, tape: Box<dyn Tape + Send>) -> Result<Self, ConfigError> {
        let mut node = Self::new(config, seed)?;
        node.record((None, Version::default()), seed, Sink::Tape(tape));
        Ok(node)
    }

    /// Begin a recording of a node that was just made from this seed.
    pub(crate) fn record(&mut self, (label, version): (Option<u32>, Version), seed: &Seed, sink: Sink) {
        let config = settings::write(self.config(), version);
        self.begin_tape((label, version), sink, seed, &config);
    }
}
