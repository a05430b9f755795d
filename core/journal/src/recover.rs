//! Opening: what is whole is taken in, what the last write left torn is cut off and kept beside, anything else is an error.
//!
//! # What a torn write is
//!
//! A batch is written behind the last acknowledged line and synced before another one is begun, and no line holds a NUL. So when the
//! power goes or the process dies, everything up to the last acknowledged line is as it was written, and of at most [`BATCH_BYTES`] behind it
//! each sector of the medium (512 bytes, or a multiple of that) was written or was not. One that was not reads as zeros, or the file
//! ends before it. (File systems that show what a block held before, as FAT does and ext4 with `data=writeback`, leave other bytes, which cannot
//! be told from an edit: they are damage here, and a person decides.) What is left of a torn write is therefore known by one of these, within
//! the last [`BATCH_BYTES`] of the file:
//!
//! * **A missing end.** The file ends in a line without a line feed. If that is certainly a whole line ([`Chain::is_whole`]), only the line
//!   feed is missing: it is written, and the line counts.
//! * **A hole.** A line holds zeros, and all zeros from its beginning to the end of the file are such that sectors can have left them:
//!   each run begins at the beginning of that line or where a sector begins, and ends where a sector or the file does. What comes behind a hole was in
//!   the same batch, and not acknowledged either.
//!
//! A line with its line feed and without zeros was written whole. If it cannot be read, is not what its own hash says, or does not
//! link to the one before, somebody has changed it or the medium is at fault: that is damage, and so is everything that is torn where
//! it cannot be:
//!
//! * in a file that no journal wrote to: it continues no closed segment and has no `FILE.tree`, which is on the medium before the first
//!   line of a file that continues none; a checkpoint says nothing about that;
//! * before a line of which a sidecar knows, since these speak of acknowledged lines only.
//!
//! Damage is an error, and then nothing is changed: no byte of the file, of its sidecars or beside them, but for a rotation that was cut short,
//! which is taken back first. `FILE.tree` is read along with
//! the lines and mended only when all of them have been judged. It proves no line, since anybody can write it: the content of
//! every line beyond the checkpoint is checked ([`Chain::intact`]), whether the tree knows of it or not.

use std::io;

use sluis_chain::log::is_blank;

use crate::chain::{Chain, Leaf};
use crate::disk::{File, Folder, How, read_small};
use crate::fail::OpenError;
use crate::names::Names;
use crate::options::{BATCH_BYTES, CHECKPOINT_BYTES, Options};
use crate::queue::Fill;
use crate::scan::{At, Expected, Lines, Next, Tree, fill};
use crate::writer::{PAGE, Parts, Writer};

/// How often a file is opened anew that was another one by the time it was locked.
const LOCK_ROUNDS: u32 = 3;

/// What a medium writes whole or not at all; real sectors are multiples of this.
const SECTOR: u64 = 512;

/// What is wrong with a line that has one.
const NUL: &str = "it holds a NUL, which no line does";
/// What keeps the end of a file from being a line.
pub(crate) const NO_LINE_FEED: &str = "no line feed at its end";
pub(crate) const TOO_LONG: &str = "longer than a line may be";

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Entries in the file: its whole lines that are not blank.
    pub entries: u64,
    /// The bytes of all whole lines, blank ones included.
    pub bytes: u64,
    /// Closed segments before it.
    pub segments: u64,
    /// The file was not there.
    pub created: bool,
    /// The last write was torn: so many bytes were cut off the end and appended to `FILE.torn`.
    pub torn: u64,
}

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

/// A journal's file while it is opened.
pub(crate) struct Opening<D: Folder> {
    pub(crate) folder: D,
    pub(crate) names: Names,
    pub(crate) max_line: usize,
}

/// What lies beside the file when it is opened.
struct Sidecars<F> {
    tree: Option<Tree<F>>,
    checkpoint: Option<Vec<u8>>,
    /// A journal wrote to the file, so that what it wrote last may be torn.
    ours: bool,
}

/// What was taken in.
struct Read {
    fill: Fill,
    /// The first line that is not known to be acknowledged; the end, if all of them are.
    unknown: At,
    /// The last line has no line feed yet.
    unfinished: bool,
}

impl<D: Folder> Opening<D> {
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.display())
    }

    pub(crate) fn io<T>(&self, name: &str, doing: &'static str, result: io::Result<T>) -> Result<T, OpenError> {
        result.map_err(|source| OpenError::Io { path: self.path(name), doing, source })
    }

    fn run<C: Chain>(mut self, mut chain: C) -> Result<Opened<C, D>, OpenError> {
        let (mut file, created) = self.lock()?;
        match self.take_in(&mut file, created, &mut chain) {
            Ok((tree, fill, recovered)) => {
                let parts = Parts {
                    folder: self.folder,
                    names: self.names,
                    file,
                    tree,
                    keeps_tree: C::TREE,
                    segments: recovered.segments,
                    len: fill.bytes,
                    entries: fill.entries,
                };
                Ok((Writer::new(parts), chain, fill, recovered))
            }
            Err(why) => {
                // Nothing is left of a file that was made for nothing; it is still locked, so nobody else has written to it.
                if created {
                    let _ = self.folder.remove(self.names.file());
                }
                Err(why)
            }
        }
    }

    /// What is in the file, and its tree.
    fn take_in<C: Chain>(
        &mut self,
        file: &mut D::File,
        created: bool,
        chain: &mut C,
    ) -> Result<(Option<D::File>, Fill, Recovered), OpenError> {
        let (segments, closed) = self.settle_names()?;
        let name = self.names.file().to_owned();
        let len = file.len();
        let len = self.io(&name, "measuring", len)?;
        let follows = if created { false } else { self.follow(file, len, closed, chain)? };
        let mut sidecars = self.sidecars::<C>(follows)?;
        let read = self.read(file, len, chain, &mut sidecars)?;
        let Read { mut fill, unknown, unfinished } = read;
        let torn = len - fill.bytes;
        if torn > 0 {
            self.cut(file, fill.bytes, torn)?;
        }
        if unfinished {
            let finished = file.write_all_at(fill.bytes, b"\n");
            self.io(&name, "writing the line feed that its last line lacks", finished)?;
            fill.bytes += 1;
        }
        let renewed = renew(file, unknown.bytes, fill.bytes);
        self.io(&name, "making its last lines safe", renewed)?;
        let tree = if C::TREE { self.mend_tree::<C>(sidecars.tree, file, fill.bytes, unknown)? } else { None };
        let recovered = Recovered { entries: fill.entries, bytes: fill.bytes, segments, created, torn };
        Ok((tree, fill, recovered))
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

    fn sidecars<C: Chain>(&mut self, follows: bool) -> Result<Sidecars<D::File>, OpenError> {
        let file = self.names.file();
        let (checkpoint, tree) = (Names::checkpoint(file), Names::tree(file));
        let note = read_small(&mut self.folder, &checkpoint, CHECKPOINT_BYTES);
        let note = self.io(&checkpoint, "reading", note)?;
        let found = if C::TREE { self.folder.open(&tree, How::Existing) } else { Ok(None) };
        let found = match found {
            // It may be kept from being written to: it tells all the same what the lines were.
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => self.folder.open(&tree, How::Read),
            found => found,
        };
        let found = self.io(&tree, "opening", found)?;
        let ours = !C::TREE || found.is_some() || follows;
        Ok(Sidecars { tree: found.map(Tree::new), checkpoint: note, ours })
    }

    /// The tree with a leaf for every line and no more; made, and its name safe, if it was not there. `None` if it could not be written: it
    /// is a help, and the next open tries again.
    fn mend_tree<C: Chain>(
        &mut self,
        tree: Option<Tree<D::File>>,
        file: &mut D::File,
        len: u64,
        unknown: At,
    ) -> Result<Option<D::File>, OpenError> {
        let mut tree = match tree {
            Some(tree) => tree.into_file(),
            None => {
                let name = Names::tree(self.names.file());
                let made = self.folder.open(&name, How::Create).and_then(|made| self.folder.sync().map(|()| made));
                let gone = || Err(io::ErrorKind::NotFound.into());
                self.io(&name, "making", made.and_then(|made| made.map_or_else(gone, Ok)))?
            }
        };
        let lines = Lines::from(file, unknown.bytes, len, self.max_line);
        Ok(fill(&mut tree, lines, unknown, C::leaf).is_ok().then_some(tree))
    }

    /// Take in every whole line, to where the file ends or the last write was torn.
    fn read<C: Chain>(
        &mut self,
        file: &mut D::File,
        len: u64,
        chain: &mut C,
        sidecars: &mut Sidecars<D::File>,
    ) -> Result<Read, OpenError> {
        let name = self.names.file().to_owned();
        let disagrees = |opening: &Self, fault: C::Fault| OpenError::Checkpoint {
            path: opening.path(&name),
            sidecar: Names::checkpoint(&name),
            fault: fault.to_string(),
        };
        let Sidecars { tree, checkpoint, ours } = sidecars;
        let covered = checkpoint.as_deref().map(C::covered).transpose().map_err(|fault| disagrees(self, fault))?;
        let mut lines = Lines::new(file, len, self.max_line);
        let (mut fill, mut unknown, mut number, mut unfinished) = (Fill::default(), None, 0, false);
        let fault = loop {
            if let (Some(note), true) = (checkpoint.as_deref(), covered == Some(fill.entries)) {
                chain.agrees(note).map_err(|fault| disagrees(self, fault))?;
            }
            let next = lines.next();
            let (line, fed) = match self.io(&name, "reading", next)? {
                None => break None,
                Some(Next::Line(line)) => (line, true),
                Some(Next::NoLineFeed(line)) if *ours && C::is_whole(line) => (line, false),
                Some(Next::NoLineFeed(_)) => break Some(NO_LINE_FEED.to_owned()),
                Some(Next::TooLong) => break Some(TOO_LONG.to_owned()),
            };
            let bytes = line.len() as u64 + u64::from(fed);
            if is_blank(line) {
                (number, fill.bytes) = (number + 1, fill.bytes + bytes);
                continue;
            }
            if let Err(fault) = judge(chain, line, covered.is_some_and(|covered| fill.entries < covered)) {
                break Some(fault);
            }
            let leaf = chain.push(line);
            let known = match (tree.as_mut(), leaf) {
                (Some(tree), Some(leaf)) => self.compare(tree, (fill.entries, number + 1), leaf)?,
                _ => false,
            };
            if !known {
                unknown.get_or_insert(At { bytes: fill.bytes, entries: fill.entries });
            }
            (number, fill.bytes) = (number + 1, fill.bytes + bytes);
            fill.entries += 1;
            unfinished = !fed;
        };
        let known = self.known(fill.entries, tree.as_mut(), covered)?;
        match fault {
            Some(fault) => {
                let torn = *ours && known.is_none() && self.is_torn::<C>(file, fill.bytes, len)?;
                if !torn {
                    return Err(OpenError::Damaged {
                        path: self.path(&name),
                        line: number + 1,
                        offset: fill.bytes,
                        fault,
                    });
                }
            }
            None => {
                if let Some((known, sidecar)) = known {
                    return Err(OpenError::Missing { path: self.path(&name), sidecar, entries: fill.entries, known });
                }
            }
        }
        chain.admits(checkpoint.as_deref()).map_err(|fault| disagrees(self, fault))?;
        let unknown = unknown.unwrap_or(At { bytes: fill.bytes, entries: fill.entries });
        Ok(Read { fill, unknown, unfinished })
    }

    /// How many entries a sidecar knows of, if it knows of more than these, and which one does.
    fn known(
        &self,
        entries: u64,
        tree: Option<&mut Tree<D::File>>,
        covered: Option<u64>,
    ) -> Result<Option<(u64, String)>, OpenError> {
        let file = self.names.file();
        let in_tree = match tree {
            Some(tree) => self.io(&Names::tree(file), "reading", tree.known_beyond(entries))?,
            None => 0,
        };
        let covered = covered.unwrap_or(0);
        let sidecar = if covered >= in_tree { Names::checkpoint(file) } else { Names::tree(file) };
        Ok(Some((in_tree.max(covered), sidecar)).filter(|(known, _)| *known > entries))
    }

    /// Whether what begins at an offset, where no line was found, may be what a torn write left.
    pub(crate) fn is_torn<C: Chain>(&self, file: &mut D::File, from: u64, len: u64) -> Result<bool, OpenError> {
        let size = usize::try_from(len - from).ok().filter(|size| *size <= BATCH_BYTES);
        let Some(size) = size else { return Ok(false) };
        let mut tail = vec![0; size];
        let got = file.read_full_at(from, &mut tail);
        let got = self.io(self.names.file(), "reading", got)?;
        Ok(got == size && is_torn(&tail, from, self.max_line, C::is_whole))
    }

    /// Whether the tree knows an entry, which is the one of this index and in the line of this number.
    fn compare(&self, tree: &mut Tree<D::File>, (entry, line): (u64, u64), leaf: Leaf) -> Result<bool, OpenError> {
        let sidecar = Names::tree(self.names.file());
        match tree.expect(entry, leaf) {
            Ok(Expected::Known) => Ok(true),
            Ok(Expected::Unknown) => Ok(false),
            Ok(Expected::Other) => {
                Err(OpenError::TreeDiffers { path: self.path(self.names.file()), tree: sidecar, line })
            }
            Err(error) => self.io(&sidecar, "reading", Err(error)),
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

/// Whether a line belongs behind those before it; its content is looked at unless the checkpoint covers it.
fn judge<C: Chain>(chain: &C, line: &[u8], covered: bool) -> Result<(), String> {
    if line.contains(&0) {
        return Err(NUL.to_owned());
    }
    chain
        .check(line)
        .and_then(|()| if covered { Ok(()) } else { chain.intact(line) })
        .map_err(|fault| fault.to_string())
}

/// The rule of this module: whether the end of a file, of which nothing is known to be acknowledged and whose first line is none, can be
/// what a torn write left. It begins at `from` in the file.
fn is_torn(tail: &[u8], from: u64, max_line: usize, is_whole: impl Fn(&[u8]) -> bool) -> bool {
    let line = tail.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if line.contains(&0) {
        return holes_are_sectors(tail, from);
    }
    line.len() == tail.len() && line.len() <= max_line && !is_whole(line)
}

/// Whether each run of zeros can be what is read of sectors that were never written.
fn holes_are_sectors(tail: &[u8], from: u64) -> bool {
    let edge = |at: usize| at == 0 || at == tail.len() || (from + at as u64).is_multiple_of(SECTOR);
    let mut before = None;
    tail.iter().map(|byte| Some(*byte == 0)).chain([None]).enumerate().all(|(at, zero)| {
        let turns = before.replace(zero).is_some_and(|before| before != zero) || at == 0;
        // Only where zeros begin or end does it matter.
        !turns || edge(at)
    })
}

#[cfg(test)]
mod tests {
    use super::is_torn;

    /// A hole from one offset to another in a file of lines, of which the first that is not whole begins at `line`.
    fn holed(line: usize, hole: std::ops::Range<usize>, len: usize) -> bool {
        let mut file = b"0123456789\n".repeat(400);
        file.truncate(len);
        file[hole].fill(0);
        is_torn(&file[line..], line as u64, 100, |_| false)
    }

    #[test]
    fn holes_begin_and_end_where_sectors_do() {
        // From its beginning, or from a sector on, to the end of a sector or of the file.
        assert!(holed(22, 22..512, 2200));
        assert!(holed(22, 22..1024, 2200));
        assert!(holed(22, 22..800, 800));
        assert!(holed(506, 512..1024, 2200));
        assert!(holed(506, 512..2200, 2200));
        // An edit, or a medium that is at fault.
        assert!(!holed(22, 23..24, 2200));
        assert!(!holed(22, 22..25, 2200));
        assert!(!holed(22, 22..511, 2200));
        assert!(!holed(506, 511..1024, 2200));
        assert!(!holed(506, 512..1025, 2200));
    }

    #[test]
    fn every_hole_counts() {
        let mut file = b"0123456789\n".repeat(400);
        file[0..512].fill(0);
        file[1024..1536].fill(0);
        assert!(is_torn(&file, 0, 100, |_| false));
        file[2000] = 0;
        assert!(!is_torn(&file, 0, 100, |_| false));
    }

    #[test]
    fn a_line_with_its_end_is_not_torn() {
        let torn = |tail: &[u8]| is_torn(tail, 77, 8, |line| line.ends_with(b"."));
        assert!(torn(b"half"));
        assert!(!torn(b"half\n") && !torn(b"half\nand more"));
        assert!(!torn(b"whole."), "and it was not taken in");
        assert!(!torn(b"longer than any"));
    }
}
