//! The beginning of a recording.

use alloc::boxed::Box;

use super::{Tape, settings};
use crate::Seed;
use crate::node::tape::Sink;
use crate::node::{ConfigError, Node, NodeConfig};

impl Node {
    /// A node that writes everything that goes in and out, its seed included, to a tape: see [`record`](crate::record).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn recorded(config: NodeConfig, seed: &Seed, tape: Box<dyn Tape + Send>) -> Result<Self, ConfigError> {
        let mut node = Self::new(config, seed)?;
        node.record(None, seed, Sink::Tape(tape));
        Ok(node)
    }

    /// Begin a recording of a node that was just made from this seed.
    pub(crate) fn record(&mut self, label: Option<u32>, seed: &Seed, sink: Sink) {
        let config = settings::write(self.config());
        self.begin_tape(label, sink, seed, &config);
    }
}
