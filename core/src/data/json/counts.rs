//! Looks ahead over JSON text for encodings that say how much is in a container before it comes.

use super::read::end_of_string;

/// Containers that are counted; [`Walk`](super::super::walk::Walk) is for more.
const CONTAINERS: usize = 64;
/// Nesting that is followed.
const LEVELS: usize = 16;

/// How many elements or members each container of a value has, duplicate keys included, in the order of their opening.
pub(crate) struct Counts {
    counts: [u16; CONTAINERS],
    next: usize,
}

impl Counts {
    /// Count in one pass over a checked value. `None` when it has too many containers or too many levels.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut counts = [0; CONTAINERS];
        let mut outer = [0; LEVELS];
        let (mut opened, mut depth, mut pos) = (0, 0_usize, 0);
        while let Some(b) = bytes.get(pos) {
            pos += 1;
            match b {
                b'"' => pos = end_of_string(bytes, pos)?,
                b'[' | b'{' => {
                    let rest = bytes.get(pos..)?;
                    let empty = matches!(rest.trim_ascii_start(), [b']' | b'}', ..]);
                    *counts.get_mut(opened)? = u16::from(!empty);
                    *outer.get_mut(depth)? = opened;
                    opened += 1;
                    depth += 1;
                }
                b']' | b'}' => depth = depth.checked_sub(1)?,
                b',' => {
                    let count = counts.get_mut(*outer.get(depth.checked_sub(1)?)?)?;
                    *count = count.checked_add(1)?;
                }
                _ => {}
            }
        }
        Some(Self { counts, next: 0 })
    }
}

impl Iterator for Counts {
    type Item = u16;

    #[inline]
    fn next(&mut self) -> Option<u16> {
        let count = self.counts.get(self.next).copied();
        self.next += 1;
        count
    }
}
