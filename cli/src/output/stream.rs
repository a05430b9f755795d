//! Events on their way to somebody who may not keep up: what does not fit is counted, and told where it is missing.

use std::io::{self, Write};

use sluis_core::Wall;

use super::Style;
use super::json::Object;
use super::page::stamped;
use super::queue::{Patience, Queue};

/// Bytes of lines that may wait for their reader.
const ROOM: usize = 8 << 20;

/// A bounded stream of events.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) queue: Queue,
    style: Style,
    /// Lines that there was no room for, and how many of them were told of.
    lost: u64,
    told: u64,
}

impl Stream {
    pub(super) fn new(name: &str, style: Style, file: impl Write + Send + 'static) -> io::Result<Self> {
        Ok(Self { queue: Queue::new(name, ROOM, file)?, style, lost: 0, told: 0 })
    }

    /// Whole lines, as far as there is room. Once lines were lost, none goes out until half of the room is free and it was said
    /// how many are missing.
    pub(super) fn put(&mut self, lines: &[u8], time: Wall) {
        if self.lost > self.told && self.queue.is_behind() {
            self.lost += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
            return;
        }
        self.tell_lost(time);
        self.lost += self.queue.put(lines);
    }

    /// The last lines, room or not; then wait for their reader.
    pub(super) fn finish(&mut self, lines: &[u8], time: Wall, patience: Patience) -> io::Result<()> {
        self.tell_lost(time);
        self.queue.put_always(lines);
        self.queue.finish(patience)
    }

    /// Lines that nobody will see.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Say how many lines are missing here, if any are.
    fn tell_lost(&mut self, time: Wall) {
        let count = self.lost - self.told;
        if count == 0 {
            return;
        }
        self.told = self.lost;
        let mut line = Vec::new();
        match self.style {
            Style::Json => stamped(Object::event(&mut line, "lost_output").raw("count", count), Some(time)),
            Style::Text => {
                let _ = write!(line, "{count} lines are missing here: they came faster than they were read");
            }
        }
        line.push(b'\n');
        self.queue.put_always(&line);
    }
}
