//! The bounds of a journal.

use crate::fail::OpenError;

/// The most bytes written with one sync, and so the most that a crash can leave torn at the end of a file.
pub const BATCH_BYTES: usize = 1 << 20;

/// The largest checkpoint that is read.
pub(crate) const CHECKPOINT_BYTES: usize = 1 << 20;

/// The bounds of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The most bytes that wait for the disk, line feeds included; 8 MiB. An appender needs room for the longest line.
    pub queue_bytes: usize,
    /// The most lines that wait for the disk; 16,384.
    pub queue_entries: usize,
    /// The longest line in bytes, without its line feed; 256 KiB. Below [`BATCH_BYTES`].
    pub max_line: usize,
    /// Start a new segment with the first line that finds at least so many bytes in the file. `None`: never.
    pub rotate_bytes: Option<u64>,
    /// Start a new segment with the first line that finds at least so many lines in the file. `None`: never.
    pub rotate_entries: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_bytes: 8 << 20,
            queue_entries: 16_384,
            max_line: 256 << 10,
            rotate_bytes: None,
            rotate_entries: None,
        }
    }
}

impl Options {
    /// Whether they can be met.
    ///
    /// # Errors
    /// [`OpenError::Options`] says what contradicts what.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let wrong = if self.max_line == 0 || self.max_line >= BATCH_BYTES {
            "max_line must be at least 1 and below 1 MiB"
        } else if self.queue_bytes <= self.max_line {
            "queue_bytes must exceed max_line, or no line ever finds room"
        } else if self.queue_entries == 0 {
            "queue_entries must be at least 1"
        } else if self.rotate_bytes == Some(0) || self.rotate_entries == Some(0) {
            "a segment holds at least one line: rotate_bytes and rotate_entries must be at least 1, or None"
        } else {
            return Ok(());
        };
        Err(OpenError::Options(wrong))
    }
}
