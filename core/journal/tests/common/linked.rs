//! A chain of lines that each name the hash of the one before: any line lost, doubled or swapped is noticed.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hasher};

use sluis_journal::{Chain, Composed, Leaf};

/// `ID HASH-OF-THE-LINE-BEFORE PADDING.`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    last: Option<Leaf>,
    /// Lines in this segment.
    pub size: u64,
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Linked {
    fn prev(&self) -> String {
        self.last.map_or("-".to_owned(), |leaf| hex(&leaf))
    }

    /// The line of an id, padded to some length.
    pub fn compose(&mut self, id: u64, padding: usize, out: &mut [u8]) -> Result<Composed<u64>, Infallible> {
        let line = format!("{id} {} {}.", self.prev(), "x".repeat(padding));
        out[..line.len()].copy_from_slice(line.as_bytes());
        let value = self.size;
        Ok(Composed { len: line.len(), leaf: self.push(line.as_bytes()), value })
    }

    pub fn note(&self) -> Vec<u8> {
        format!("{} {}\n", self.size, self.prev()).into_bytes()
    }
}

/// The id of a line.
pub fn id(line: &[u8]) -> u64 {
    std::str::from_utf8(line).unwrap().split(' ').next().unwrap().parse().unwrap()
}

impl Chain for Linked {
    type Fault = String;
    type Mark = Self;
    const TREE: bool = true;

    fn check(&self, line: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(line).map_err(|_| "no text")?;
        let mut words = text.split(' ');
        let (id, prev, padding) = (words.next(), words.next(), words.next());
        if id.is_none_or(|id| id.parse::<u64>().is_err()) {
            return Err("no id".into());
        }
        if prev != Some(&self.prev()) {
            return Err("no link to the line before".into());
        }
        match padding.and_then(|padding| padding.strip_suffix('.')) {
            Some(padding) if padding.bytes().all(|b| b == b'x') => Ok(()),
            _ => Err("not whole".into()),
        }
    }

    fn is_whole(line: &[u8]) -> bool {
        line.ends_with(b".")
    }

    fn leaf(line: &[u8]) -> Option<Leaf> {
        // Nobody forges these lines: any hash will do.
        let mut leaf = Leaf::default();
        for (at, part) in leaf.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let mut hasher = DefaultHasher::new();
            hasher.write_usize(at);
            hasher.write(line);
            *part = hasher.finish().to_be_bytes();
        }
        Some(leaf)
    }

    fn push(&mut self, line: &[u8]) -> Option<Leaf> {
        self.last = Self::leaf(line);
        self.size += 1;
        self.last
    }

    fn turn(&mut self) {
        self.size = 0;
    }

    fn mark(&self) -> Self {
        self.clone()
    }

    fn rewind(&mut self, mark: &Self) {
        self.clone_from(mark);
    }

    fn covered(checkpoint: &[u8]) -> Result<u64, String> {
        let text = std::str::from_utf8(checkpoint).map_err(|_| "no text")?;
        let (size, _) = text.strip_suffix('\n').and_then(|text| text.split_once(' ')).ok_or("not whole")?;
        size.parse().map_err(|_| "no size".into())
    }

    fn agrees(&mut self, checkpoint: &[u8]) -> Result<(), String> {
        if self.note() == checkpoint { Ok(()) } else { Err("of other lines".into()) }
    }
}
