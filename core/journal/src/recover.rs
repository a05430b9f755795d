//! Opening: what is whole is taken in, what the last write left torn is cut off and kept beside, anything else is an error.

use std::io;

use sluis_chain::log::is_blank;

use crate::chain::{Chain, Leaf};
use crate::disk::{File, Folder, How, read_small};
use crate::fail::OpenError;
use crate::names::Names;
use crate::options::{BATCH_BYTES, CHECKPOINT_BYTES, Options};
use crate::queue::Fill;
use crate::scan::{Expected, Lines, Tree};
use crate::writer::{PAGE, Parts, Writer, undo_rotation};

/// How often a file is opened anew that was another one by the time it was locked.
const LOCK_ROUNDS: u32 = 3;

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Whole lines in the file.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Closed segments before it.
    pub segments: u64,
    /// The file was not there.
    pub created: bool,
    /// The last write was torn: so many bytes were cut off the end and appended to `FILE.torn`.
    pub torn: u64,
}

/// A tree, and whether it was there.
type Held<F> = (Option<Tree<F>>, bool);
type Opened<C, D> = (Writer<D>, C, Fill, Recovered);

/// Open a journal's file, with a chain that has seen no line yet.
pub(crate) fn open<C: Chain, D: Folder>(
    folder: D,
    names: Names,
    options: &Options,
    chain: C,
) -> Result<Opened<C, D>, OpenError> {
    options.check()?;
    Opening { folder, names, max_line: options.max_line }.run(chain)
}

struct Opening<D: Folder> {
    folder: D,
    names: Names,
    max_line: usize,
}

impl<D: Folder> Opening<D> {
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.display())
    }

    fn io<T>(&self, name: &str, doing: &'static str, result: io::Result<T>) -> Result<T, OpenError> {
        result.map_err(|source| OpenError::Io { path: self.path(name), doing, source })
    }

    fn run<C: Chain>(mut self, mut chain: C) -> Result<Opened<C, D>, OpenError> {
        let (mut file, created) = self.lock()?;
        let (segments, closed) = self.settle_names()?;
        let name = self.names.file().to_owned();
        let len = file.len();
        let len = self.io(&name, "measuring", len)?;
        let follows = if created { false } else { self.follow(&mut file, len, closed, &mut chain)? };
        let (mut tree, had_tree) = self.tree::<C>()?;
        let checkpoint = read_small(&mut self.folder, &Names::checkpoint(&name), CHECKPOINT_BYTES);
        let checkpoint = self.io(&Names::checkpoint(&name), "reading", checkpoint)?;
        // Only a write of ours can have been torn; of what others wrote, nothing is cut off.
        let ours = had_tree || follows || checkpoint.is_some();
        let (fill, unknown) = self.read(&mut file, len, &mut chain, tree.as_mut(), checkpoint.as_deref(), ours)?;
        let torn = len - fill.bytes;
        if torn > 0 {
            self.cut(&mut file, fill.bytes, torn)?;
        }
        let renewed = renew(&mut file, unknown, fill.bytes);
        self.io(&name, "making its last lines safe", renewed)?;
        let recovered = Recovered { entries: fill.entries, bytes: fill.bytes, segments, created, torn };
        let parts = Parts {
            folder: self.folder,
            names: self.names,
            file,
            tree: tree.and_then(|tree| tree.finish(fill.entries)),
            keeps_tree: C::TREE,
            segments,
            len: fill.bytes,
            entries: fill.entries,
        };
        Ok((Writer::new(parts), chain, fill, recovered))
    }

    /// The file, for us alone, and whether it is new.
    fn lock(&mut self) -> Result<(D::File, bool), OpenError> {
        let name = self.names.file().to_owned();
        for _ in 0..LOCK_ROUNDS {
            let found = self.folder.open(&name, How::Existing);
            let (mut file, created) = match self.io(&name, "opening", found)? {
                Some(file) => (file, false),
                None => {
                    let made = self.folder.open(&name, How::Create);
                    let made = self.io(&name, "making", made)?;
                    let gone = || Err(io::ErrorKind::NotFound.into());
                    (self.io(&name, "making", made.map_or_else(gone, Ok))?, true)
                }
            };
            let locked = self.folder.lock(&name, &mut file);
            if self.io(&name, "locking", locked)? {
                // Also for a file that was there: whoever made it may have been killed before it was safe.
                let synced = self.folder.sync();
                self.io(&name, "making its name safe in its folder", synced)?;
                return Ok((file, created));
            }
        }
        Err(OpenError::Locked { path: self.path(&name) })
    }

    /// Have the chain follow the closed segment that the file continues; whether there is one. A name alone makes no segment: where
    /// the file has lines, it is the newest to whose last line the first of them may be linked.
    fn follow<C: Chain>(
        &mut self,
        file: &mut D::File,
        len: u64,
        closed: Vec<u64>,
        chain: &mut C,
    ) -> Result<bool, OpenError> {
        let name = self.names.file().to_owned();
        let first = match Lines::new(file, len, self.max_line).next() {
            Err(error) => return self.io(&name, "reading", Err(error)),
            Ok(Some(Ok(line))) => Some(line.to_owned()),
            Ok(Some(Err(_)) | None) => None,
        };
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
    fn settle_names(&mut self) -> Result<(u64, Vec<u64>), OpenError> {
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

    /// Every line of a closed segment.
    fn push_segment<C: Chain>(&mut self, number: u64, chain: &mut C) -> Result<(), OpenError> {
        let name = self.names.segment(number);
        let opened = self.folder.open(&name, How::Existing).and_then(|file| file.ok_or(io::ErrorKind::NotFound.into()));
        let mut file = self.io(&name, "opening", opened)?;
        let len = file.len();
        let len = self.io(&name, "measuring", len)?;
        let mut lines = Lines::new(&mut file, len, self.max_line);
        let mut number = 0;
        loop {
            number += 1;
            match lines.next() {
                Err(error) => return self.io(&name, "reading", Err(error)),
                Ok(None) => return Ok(()),
                Ok(Some(Err(fault))) => {
                    let (path, fault) = (self.path(&name), fault.to_owned());
                    return Err(OpenError::Damaged { path, line: number, offset: 0, fault });
                }
                Ok(Some(Ok(line))) if is_blank(line) => {}
                Ok(Some(Ok(line))) => chain.follow(line),
            }
        }
    }

    /// The tree, and whether it was there, as it is beside every file that a journal with a tree wrote to.
    fn tree<C: Chain>(&mut self) -> Result<Held<D::File>, OpenError> {
        if !C::TREE {
            return Ok((None, true));
        }
        let name = Names::tree(self.names.file());
        let found = self.folder.open(&name, How::Existing);
        if let Some(file) = self.io(&name, "opening", found)? {
            return Ok((Some(Tree::new(file)), true));
        }
        let made = self.folder.open(&name, How::Create).and_then(|made| self.folder.sync().map(|()| made));
        let made = self.io(&name, "making", made)?;
        Ok((made.map(Tree::new), false))
    }

    /// Take in every whole line, to where the file ends or the last write was torn. Also where the first line begins that is not
    /// known to be acknowledged.
    fn read<C: Chain>(
        &mut self,
        file: &mut D::File,
        len: u64,
        chain: &mut C,
        mut tree: Option<&mut Tree<D::File>>,
        checkpoint: Option<&[u8]>,
        ours: bool,
    ) -> Result<(Fill, u64), OpenError> {
        let name = self.names.file().to_owned();
        let disagrees = |opening: &Self, fault: C::Fault| OpenError::Checkpoint {
            path: opening.path(&name),
            sidecar: Names::checkpoint(&name),
            fault: fault.to_string(),
        };
        let covered = match checkpoint {
            Some(note) => Some(C::covered(note).map_err(|fault| disagrees(self, fault))?),
            None => None,
        };
        let mut lines = Lines::new(file, len, self.max_line);
        let (mut fill, mut unknown, mut number) = (Fill::default(), None, 0);
        let fault = loop {
            if let (Some(note), true) = (checkpoint, covered == Some(fill.entries)) {
                chain.agrees(note).map_err(|fault| disagrees(self, fault))?;
            }
            let line = match lines.next() {
                Err(error) => return self.io(&name, "reading", Err(error)),
                Ok(None) => break None,
                Ok(Some(Err(fault))) => break Some(fault.to_owned()),
                Ok(Some(Ok(line))) => line,
            };
            if is_blank(line) {
                fill.bytes += line.len() as u64 + 1;
                number += 1;
                continue;
            }
            if let Err(fault) = chain.check(line) {
                break Some(fault.to_string());
            }
            let (leaf, len) = (chain.push(line), line.len() as u64 + 1);
            let known = match (tree.as_deref_mut(), leaf) {
                (Some(tree), Some(leaf)) => self.compare(tree, fill.entries, leaf)?,
                _ => false,
            };
            if !known {
                unknown.get_or_insert(fill.bytes);
            }
            fill.bytes += len;
            fill.entries += 1;
            number += 1;
        };
        let fault = fault.map(|fault| (number + 1, fault));
        if let (Some((line, fault)), false) = (&fault, ours) {
            let (path, fault) = (self.path(&name), fault.clone());
            // Nor is there a tree that would say that it was ours.
            let _ = self.folder.remove(&Names::tree(&name));
            return Err(OpenError::Damaged { path, line: *line, offset: fill.bytes, fault });
        }
        self.judge(len, fill, fault, tree, covered)?;
        Ok((fill, unknown.unwrap_or(fill.bytes)))
    }

    /// Whether the tree knows a line.
    fn compare(&self, tree: &mut Tree<D::File>, entry: u64, leaf: Leaf) -> Result<bool, OpenError> {
        let sidecar = Names::tree(self.names.file());
        match tree.expect(entry, leaf) {
            Ok(Expected::Known) => Ok(true),
            Ok(Expected::Unknown) => Ok(false),
            Ok(Expected::Other) => {
                Err(OpenError::TreeDiffers { path: self.path(self.names.file()), tree: sidecar, line: entry + 1 })
            }
            Err(error) => self.io(&sidecar, "reading", Err(error)),
        }
    }

    /// Whether the lines may end here: at the end of the file, or where the last write may have been torn. What was
    /// acknowledged is known from the sidecars, as they speak of acknowledged lines only.
    fn judge(
        &self,
        len: u64,
        fill: Fill,
        fault: Option<(u64, String)>,
        tree: Option<&mut Tree<D::File>>,
        covered: Option<u64>,
    ) -> Result<(), OpenError> {
        let name = self.names.file();
        let in_tree = match tree {
            Some(tree) => self.io(&Names::tree(name), "reading", tree.known_beyond(fill.entries))?,
            None => 0,
        };
        let covered = covered.unwrap_or(0);
        let known = in_tree.max(covered);
        match fault {
            Some((line, fault)) if known > fill.entries || len - fill.bytes > BATCH_BYTES as u64 => {
                Err(OpenError::Damaged { path: self.path(name), line, offset: fill.bytes, fault })
            }
            None if known > fill.entries => Err(OpenError::Missing {
                path: self.path(name),
                sidecar: if covered == known { Names::checkpoint(name) } else { Names::tree(name) },
                lines: fill.entries,
                known,
            }),
            _ => Ok(()),
        }
    }

    /// Keep a torn tail beside the file, then cut it off.
    fn cut(&mut self, file: &mut D::File, keep: u64, torn: u64) -> Result<(), OpenError> {
        let name = self.names.torn();
        let mut tail = vec![0; usize::try_from(torn).unwrap_or_default()];
        let saved = (|| {
            let got = file.read_full_at(keep, &mut tail)?;
            tail.truncate(got);
            let mut beside = self.folder.open(&name, How::Create)?.ok_or(io::ErrorKind::NotFound)?;
            let end = beside.len()?;
            // It is there already if we were killed after this.
            let mut before = vec![0; tail.len()];
            let from = end.saturating_sub(tail.len() as u64);
            before.truncate(usize::try_from(end - from).unwrap_or_default());
            beside.read_full_at(from, &mut before)?;
            beside.write_all_at(if before == tail { from } else { end }, &tail)?;
            beside.sync()?;
            self.folder.sync()
        })();
        self.io(&name, "keeping a torn tail", saved)?;
        let cut = file.set_len(keep);
        self.io(self.names.file(), "cutting off a torn tail", cut)
    }
}

/// Write the last lines again and wait until they are on the medium. What a killed process wrote may be in the kernel's cache only;
/// and where writing that to the medium has failed before, the kernel may hold it for written all the same, so that
/// a sync alone would do nothing.
fn renew<F: File>(file: &mut F, unknown: u64, end: u64) -> io::Result<()> {
    let from = unknown.max(end.saturating_sub(BATCH_BYTES as u64)) / PAGE as u64 * PAGE as u64;
    let mut bytes = vec![0; usize::try_from(end.saturating_sub(from)).unwrap_or_default()];
    if file.read_full_at(from, &mut bytes)? < bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.write_all_at(from, &bytes)?;
    file.sync()
}
