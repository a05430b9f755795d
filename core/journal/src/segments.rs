//! The segments of a journal when it is opened: which files are, which of them the file continues, and a rotation that was cut short.

use std::io;

use sluis_chain::log::is_blank;

use crate::chain::Chain;
use crate::disk::{File, Folder, How, read_small};
use crate::fail::OpenError;
use crate::names::Names;
use crate::options::CHECKPOINT_BYTES;
use crate::recover::{NO_LINE_FEED, Opening, TOO_LONG};
use crate::scan::{Lines, Next};
use crate::writer::undo_rotation;

impl<D: Folder> Opening<D> {
    /// Have the chain follow the closed segment that the file continues; whether there is one. A name alone makes no segment: where
    /// the file has lines, it is the newest to whose last line the first of them may be linked.
    pub(crate) fn follow<C: Chain>(
        &mut self,
        file: &mut D::File,
        len: u64,
        closed: Vec<u64>,
        chain: &mut C,
    ) -> Result<bool, OpenError> {
        let first = self.first_line::<C>(file, len)?;
        if first.as_deref().is_some_and(|line| !C::continues(line)) {
            return Ok(false);
        }
        let (start, mut unfit) = (chain.mark(), None);
        for number in closed {
            match self.follow_one(number, first.as_deref(), chain) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(why) => drop(unfit.get_or_insert(why)),
            }
            chain.rewind(&start);
        }
        // What it is that does not fit is better said than passed over.
        unfit.map_or(Ok(false), Err)
    }

    /// The first line that is not blank. `None` where there is none, also because the write that was to bring it is torn.
    fn first_line<C: Chain>(&mut self, file: &mut D::File, len: u64) -> Result<Option<Vec<u8>>, OpenError> {
        let name = self.names.file().to_owned();
        let (mut lines, mut at) = (Lines::new(file, len, self.max_line), 0);
        let first = loop {
            let next = lines.next();
            match self.io(&name, "reading", next)? {
                Some(Next::Line(line)) if is_blank(line) => at += line.len() as u64 + 1,
                Some(Next::Line(line)) => break Some(line.to_owned()),
                Some(Next::NoLineFeed(line)) if C::is_whole(line) => break Some(line.to_owned()),
                Some(Next::NoLineFeed(_) | Next::TooLong) | None => break None,
            }
        };
        // The file continues a segment whatever became of its first line.
        let holed = first.as_deref().is_some_and(|line| line.contains(&0));
        if holed && self.is_torn::<C>(file, at, len)? { Ok(None) } else { Ok(first) }
    }

    /// Whether the file may continue this segment.
    fn follow_one<C: Chain>(&mut self, number: u64, first: Option<&[u8]>, chain: &mut C) -> Result<bool, OpenError> {
        let name = self.names.segment(number);
        if self.is_empty(&name)? {
            return Ok(false);
        }
        let Some(first) = first else {
            // The first line is still to be written: it may say how long the segment before is, and what its lines are.
            self.last_line(number)?;
            self.push_segment(number, chain)?;
            chain.turn();
            return Ok(true);
        };
        chain.follow(&self.last_line(number)?);
        chain.turn();
        chain.check(first).map(|()| true).map_err(|fault| OpenError::Damaged {
            path: self.path(self.names.file()),
            line: 1,
            offset: 0,
            fault: fault.to_string(),
        })
    }

    /// Whether there is nothing in a file of this name, or it is no file.
    fn is_empty(&mut self, name: &str) -> Result<bool, OpenError> {
        match self.folder.open(name, How::Existing) {
            Ok(None) => Ok(true),
            Ok(Some(mut file)) => {
                let empty = file.is_empty();
                self.io(name, "measuring", empty)
            }
            Err(error) if error.kind() == io::ErrorKind::Other || error.kind() == io::ErrorKind::IsADirectory => {
                Ok(true)
            }
            Err(error) => self.io(name, "opening", Err(error)),
        }
    }

    /// Take back a rotation that was cut short. The highest number that a name has, and those of closed segments, the newest first.
    pub(crate) fn settle_names(&mut self) -> Result<(u64, Vec<u64>), OpenError> {
        let listed = self.folder.names();
        let listed = self.io("", "listing the folder", listed)?;
        let mut numbers: Vec<u64> = listed.iter().filter_map(|name| self.names.number(name)).collect();
        numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        let last = numbers.first().copied().unwrap_or(0);
        let file = self.names.file().to_owned();
        let same = last > 0 && {
            let same = self.folder.same(&file, &self.names.segment(last));
            self.io(&file, "comparing it with the last segment", same)?
        };
        let next = self.names.next();
        // While a rotation is under way, the next segment lies ready. Without it, a second name is somebody else's: a hard link that
        // was made as a copy, say. It is no segment, and stays.
        let cut_short = listed.contains(&next);
        if same {
            numbers.remove(0);
        }
        let prepared = last + u64::from(!same);
        // Before the file has its second name, its sidecars are where they were, and only what was prepared is in the way.
        let settled = if !cut_short {
            Ok(())
        } else if same {
            undo_rotation(&mut self.folder, &self.names, prepared)
        } else {
            let prepared = Names::checkpoint(&self.names.segment(prepared));
            let removed = self.folder.remove(&format!("{prepared}.new")).and_then(|()| self.folder.remove(&prepared));
            removed.and_then(|()| self.folder.remove(&next))
        };
        self.io(&file, "taking back a rotation that was cut short", settled)?;
        let new = format!("{}.new", Names::checkpoint(&file));
        let removed = self.folder.remove(&new);
        self.io(&new, "removing", removed)?;
        let taken = if cut_short { numbers.first().copied().unwrap_or(0) } else { last };
        Ok((taken, numbers))
    }

    /// The last line of a closed segment, to which the first one of the next links.
    fn last_line(&mut self, number: u64) -> Result<Vec<u8>, OpenError> {
        let name = self.names.segment(number);
        let read = (|| {
            let mut file = self.folder.open(&name, How::Existing)?.ok_or(io::ErrorKind::NotFound)?;
            let len = file.len()?;
            let from = len.saturating_sub(self.max_line as u64 + 2);
            let mut bytes = vec![0; usize::try_from(len - from).unwrap_or_default()];
            let got = file.read_full_at(from, &mut bytes)?;
            bytes.truncate(got);
            Ok(bytes)
        })();
        let bytes: Vec<u8> = self.io(&name, "reading", read)?;
        let line = bytes.rsplit(|&b| b == b'\n').find(|line| !is_blank(line)).unwrap_or_default();
        if bytes.last() != Some(&b'\n') || line.is_empty() || line.len() > self.max_line {
            let fault = "this closed segment does not end with a whole line".to_owned();
            return Err(OpenError::Damaged { path: self.path(&name), line: 0, offset: 0, fault });
        }
        Ok(line.to_owned())
    }

    /// Every line of a closed segment, each of which must be what it says, and all of them what its checkpoint says: the next segment will
    /// say that it continues these.
    fn push_segment<C: Chain>(&mut self, number: u64, chain: &mut C) -> Result<(), OpenError> {
        let name = self.names.segment(number);
        let opened = self.folder.open(&name, How::Existing).and_then(|file| file.ok_or(io::ErrorKind::NotFound.into()));
        let mut file = self.io(&name, "opening", opened)?;
        let len = file.len();
        let len = self.io(&name, "measuring", len)?;
        let mut lines = Lines::new(&mut file, len, self.max_line);
        let (mut number, mut entries, mut offset) = (0, 0, 0);
        loop {
            number += 1;
            let next = lines.next();
            let fault = match self.io(&name, "reading", next)? {
                None => break,
                Some(Next::NoLineFeed(_)) => NO_LINE_FEED.to_owned(),
                Some(Next::TooLong) => TOO_LONG.to_owned(),
                Some(Next::Line(line)) => {
                    // The first may follow a segment that is kept elsewhere by now.
                    let linked = if entries == 0 || is_blank(line) { Ok(()) } else { chain.check(line) };
                    match linked.and_then(|()| if is_blank(line) { Ok(()) } else { chain.intact(line) }) {
                        Ok(()) => {
                            offset += line.len() as u64 + 1;
                            if !is_blank(line) {
                                chain.follow(line);
                                entries += 1;
                            }
                            continue;
                        }
                        Err(fault) => fault.to_string(),
                    }
                }
            };
            return Err(OpenError::Damaged { path: self.path(&name), line: number, offset, fault });
        }
        self.agrees(&name, entries, chain)
    }

    /// Whether a closed segment is what its checkpoint says, if that speaks of all its lines.
    fn agrees<C: Chain>(&mut self, segment: &str, entries: u64, chain: &mut C) -> Result<(), OpenError> {
        let sidecar = Names::checkpoint(segment);
        let note = read_small(&mut self.folder, &sidecar, CHECKPOINT_BYTES);
        let Some(note) = self.io(&sidecar, "reading", note)? else { return Ok(()) };
        let agrees =
            C::covered(&note).and_then(|covered| if covered == entries { chain.agrees(&note) } else { Ok(()) });
        agrees.map_err(|fault| OpenError::Checkpoint { path: self.path(segment), sidecar, fault: fault.to_string() })
    }
}
