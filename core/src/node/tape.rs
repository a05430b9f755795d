//! What a node writes down of itself, if it was made to: see [`record`](crate::record).
//!
//! Every method that changes a node notes its input and what came of it. Polls that find nothing are noted only where that
//! changed something. Without the feature `record` nothing here takes a byte or an instruction.

#[cfg(feature = "record")]
use super::event::{OpenId, WaitId};
use super::line::Line;
#[cfg(feature = "record")]
use super::line::Version;
#[cfg(feature = "record")]
use crate::table::SlotId;

/// Where a recording goes: a file, a socket, memory.
#[cfg(feature = "record")]
pub trait Tape {
    /// One line, without its end. What cannot be kept is lost; a node does not stop for its recording.
    fn line(&mut self, line: &str);
}

#[cfg(feature = "record")]
impl Tape for alloc::string::String {
    fn line(&mut self, line: &str) {
        self.push_str(line);
        self.push('\n');
    }
}

/// A node's tape.
#[derive(Default)]
pub(super) struct Taped {
    #[cfg(feature = "record")]
    recorder: Option<alloc::boxed::Box<Recorder>>,
}

#[cfg(feature = "record")]
struct Recorder {
    /// Which node it is, where several share a tape.
    label: Option<u32>,
    version: Version,
    sink: Sink,
}

/// Where lines go.
#[cfg(feature = "record")]
pub(crate) enum Sink {
    /// To a tape, each at once.
    Tape(alloc::boxed::Box<dyn Tape + Send>),
    /// Nowhere: they are kept until somebody takes them.
    Keep(alloc::string::String),
}

impl core::fmt::Debug for Taped {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Taped").field("running", &self.is_running()).finish()
    }
}

impl Taped {
    #[cfg(feature = "record")]
    pub(super) fn new(label: Option<u32>, version: Version, sink: Sink) -> Self {
        Self { recorder: Some(alloc::boxed::Box::new(Recorder { label, version, sink })) }
    }

    /// Move the lines that were kept to the end of `out`.
    #[cfg(feature = "record")]
    pub(super) fn take(&mut self, out: &mut alloc::string::String) {
        if let Some(recorder) = &mut self.recorder
            && let Sink::Keep(lines) = &mut recorder.sink
        {
            out.push_str(lines);
            lines.clear();
        }
    }

    /// Whether anything is written down.
    #[inline]
    pub(super) const fn is_running(&self) -> bool {
        #[cfg(feature = "record")]
        return self.recorder.is_some();
        #[cfg(not(feature = "record"))]
        false
    }

    /// Write a line.
    #[inline]
    pub(super) fn note(&mut self, write: impl FnOnce(&mut Line)) {
        #[cfg(feature = "record")]
        if let Some(recorder) = &mut self.recorder {
            recorder.write(write);
        }
        #[cfg(not(feature = "record"))]
        let _ = write;
    }
}

#[cfg(feature = "record")]
impl Recorder {
    #[cold]
    fn write(&mut self, write: impl FnOnce(&mut Line)) {
        let mut line = Line::new(self.version);
        if let Some(label) = self.label {
            line.number("node", u64::from(label));
        }
        write(&mut line);
        let line = line.finish();
        match &mut self.sink {
            Sink::Tape(tape) => tape.line(&line),
            Sink::Keep(lines) => lines.line(&line),
        }
    }
}

#[cfg(feature = "record")]
fn slot(text: &str, kind: &str) -> Option<SlotId> {
    let bits = text.strip_prefix(kind)?.strip_prefix(' ')?;
    Some(SlotId::from_bits(bits.parse().ok()?))
}

#[cfg(feature = "record")]
impl WaitId {
    /// What [`Line::waiting`] wrote. The number is not in it, and nothing looks a ping up by that.
    pub(crate) fn read(text: &str) -> Option<Self> {
        slot(text, "Waiting").map(|slot| Self { slot, number: 0 })
    }
}

#[cfg(feature = "record")]
impl OpenId {
    /// What [`Line::open`] wrote.
    pub(crate) fn read(text: &str) -> Option<Self> {
        slot(text, "Open").map(Self)
    }
}
