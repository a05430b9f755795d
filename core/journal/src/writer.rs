//! The one who writes: a file, its sidecars, and what is known to be durable in it.

use std::io;

use crate::disk::{File, Folder, How, replace};
use crate::fail::{Failure, Step};
use crate::names::Names;
use crate::queue::{Batch, Broken};

/// What is written again with a repair, so that the page in which the file ends is whole on the medium whatever a failed sync
/// made of it.
pub(crate) const PAGE: usize = 4096;

/// A journal's file while it is open.
#[derive(Debug)]
pub(crate) struct Writer<D: Folder> {
    folder: D,
    names: Names,
    file: D::File,
    tree: Option<D::File>,
    /// Closed segments.
    segments: u64,
    /// What is durable.
    len: u64,
    entries: u64,
    /// Something failed, and the file may hold more than what is durable.
    suspect: bool,
    /// The file is not ours alone.
    lost: bool,
    keeps_tree: bool,
    /// A rotation has failed half way, and is to be taken back.
    half_rotated: bool,
    /// The file's name may not be on the medium yet.
    unsynced_name: bool,
}

/// What a writer starts with.
#[derive(Debug)]
pub(crate) struct Parts<D: Folder> {
    pub(crate) folder: D,
    pub(crate) names: Names,
    pub(crate) file: D::File,
    pub(crate) tree: Option<D::File>,
    pub(crate) keeps_tree: bool,
    pub(crate) segments: u64,
    pub(crate) len: u64,
    pub(crate) entries: u64,
}

impl<D: Folder> Writer<D> {
    pub(crate) fn new(parts: Parts<D>) -> Self {
        let Parts { folder, names, file, tree, keeps_tree, segments, len, entries } = parts;
        Self {
            folder,
            names,
            file,
            tree,
            segments,
            len,
            entries,
            suspect: false,
            lost: false,
            keeps_tree,
            half_rotated: false,
            unsynced_name: false,
        }
    }

    /// How many segments are closed.
    pub(crate) fn segments(&self) -> u64 {
        self.segments
    }

    /// The leaf hashes of the last lines are not beside the file.
    pub(crate) fn tree_is_behind(&self) -> bool {
        self.keeps_tree && self.tree.is_none()
    }

    /// Write a batch and wait until it is on the medium. `note` is the last checkpoint of a segment that ends with this batch.
    ///
    /// # Errors
    /// Nothing of it counts as written.
    pub(crate) fn commit<C>(&mut self, batch: &Batch<C>, note: Option<&[u8]>) -> Result<(), Broken> {
        let mut turned = false;
        self.try_commit(batch, note, &mut turned).map_err(|failure| {
            self.lost |= failure.step == Step::Look;
            self.suspect = true;
            // At once, since the next open would take whole lines that are left over for written ones.
            let _ = self.repair();
            Broken { failure, turned }
        })
    }

    fn try_commit<C>(&mut self, batch: &Batch<C>, note: Option<&[u8]>, turned: &mut bool) -> Result<(), Failure> {
        self.repair()?;
        if batch.turn {
            self.rotate(note, turned)?;
        }
        if batch.bytes.is_empty() {
            return Ok(());
        }
        self.look()?;
        self.file.write_all_at(self.len, &batch.bytes).map_err(|error| Failure::new(Step::Write, &error))?;
        self.file.sync().map_err(|error| Failure::new(Step::Sync, &error))?;
        self.len += batch.bytes.len() as u64;
        if let Some(tree) = &mut self.tree
            && tree.write_all_at(self.entries * 32, batch.leaves.as_flattened()).is_err()
        {
            // It is no promise: the next open mends it.
            self.tree = None;
        }
        self.entries += batch.entries;
        Ok(())
    }

    /// Whether the file is as we left it.
    fn look(&mut self) -> Result<(), Failure> {
        match self.file.len() {
            Ok(len) if len == self.len => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::new(Step::Write, &error)),
            _ => Err(Failure::changed()),
        }
    }

    /// After a failure: cut the file back to what is durable, and see that this is on the medium.
    ///
    /// # Errors
    /// The file cannot be trusted yet. It may be tried again.
    pub(crate) fn repair(&mut self) -> Result<(), Failure> {
        if self.lost {
            return Err(Failure::changed());
        }
        if self.suspect {
            self.try_repair().map_err(|error| Failure::new(Step::Repair, &error))?;
            self.suspect = false;
        }
        Ok(())
    }

    fn try_repair(&mut self) -> io::Result<()> {
        if self.half_rotated {
            undo_rotation(&mut self.folder, &self.names, self.segments + 1)?;
            self.half_rotated = false;
            self.open_tree(How::Create);
        }
        if self.unsynced_name {
            self.folder.sync()?;
            self.unsynced_name = false;
            self.open_tree(How::Empty);
        }
        self.cut()
    }

    fn cut(&mut self) -> io::Result<()> {
        let from = self.len.saturating_sub(1) / PAGE as u64 * PAGE as u64;
        let mut page = [0; PAGE];
        let kept = usize::try_from(self.len - from).unwrap_or(page.len()).min(page.len());
        let Some(page) = page.get_mut(..kept) else { return Ok(()) };
        if self.file.read_full_at(from, page)? < kept {
            self.lost = true;
            return Err(io::Error::other("the file is shorter than what was written"));
        }
        self.file.set_len(self.len)?;
        // The kernel forgets that a page is unwritten once writing it failed; written anew, it is tried again.
        self.file.write_all_at(from, page)?;
        self.file.sync()
    }

    /// Put a checkpoint in place of the file's last one; at any time one of them is there, whole.
    ///
    /// # Errors
    /// Which of them it is, is not known.
    pub(crate) fn checkpoint(&mut self, note: &[u8]) -> io::Result<()> {
        let name = Names::checkpoint(self.names.file());
        replace(&mut self.folder, &name, note)?;
        self.folder.sync()
    }

    /// Close the segment and start the next. Until the last rename the file is the old one, and a repair or the next open takes
    /// the rotation back; after it, it is the new one, locked since before it had its name.
    fn rotate(&mut self, note: Option<&[u8]>, turned: &mut bool) -> Result<(), Failure> {
        self.look()?;
        self.half_rotated = true;
        self.try_rotate(note, turned).map_err(|error| Failure::new(Step::Rotate, &error))
    }

    fn try_rotate(&mut self, note: Option<&[u8]>, turned: &mut bool) -> io::Result<()> {
        let (file, next) = (self.names.file().to_owned(), self.names.next());
        let closed = self.names.segment(self.segments + 1);
        let mut fresh = self.folder.open(&next, How::Empty)?.ok_or(io::ErrorKind::NotFound)?;
        if !self.folder.lock(&next, &mut fresh)? {
            return Err(io::Error::other("the next segment is in use by another writer"));
        }
        // Whoever finds the file with two names takes these sidecars for its own: no old one may have their names by then.
        self.folder.remove(&Names::tree(&closed))?;
        self.close_checkpoint(&closed, note)?;
        self.folder.sync()?;
        self.folder.link(&file, &closed)?;
        self.folder.sync()?;
        self.tree = None;
        rename_if_there(&mut self.folder, &Names::tree(&file), &Names::tree(&closed))?;
        self.folder.remove(&Names::checkpoint(&file))?;
        self.folder.sync()?;
        self.folder.rename(&next, &file)?;
        // From here on the new segment is the file, come what may.
        *turned = true;
        self.half_rotated = false;
        self.file = fresh;
        self.segments += 1;
        (self.len, self.entries) = (0, 0);
        self.unsynced_name = true;
        self.folder.sync()?;
        self.unsynced_name = false;
        self.open_tree(How::Empty);
        Ok(())
    }

    /// `FILE.tree` is no promise: where it cannot be had, the next open mends it.
    fn open_tree(&mut self, how: How) {
        if self.keeps_tree {
            self.tree = self.folder.open(&Names::tree(self.names.file()), how).unwrap_or_default();
        }
    }

    /// The closed segment gets its checkpoint before it is closed for good.
    fn close_checkpoint(&mut self, closed: &str, note: Option<&[u8]>) -> io::Result<()> {
        let (ours, theirs) = (Names::checkpoint(self.names.file()), Names::checkpoint(closed));
        match note {
            Some(note) => replace(&mut self.folder, &theirs, note),
            None => match crate::disk::read_small(&mut self.folder, &ours, crate::options::CHECKPOINT_BYTES)? {
                Some(note) => replace(&mut self.folder, &theirs, &note),
                None => self.folder.remove(&theirs),
            },
        }
    }
}

pub(crate) fn rename_if_there<D: Folder>(folder: &mut D, from: &str, to: &str) -> io::Result<bool> {
    match folder.rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Take back a rotation that ended before the last rename: the file has its sidecars again, and no second name.
pub(crate) fn undo_rotation<D: Folder>(folder: &mut D, names: &Names, number: u64) -> io::Result<()> {
    let (file, closed) = (names.file(), names.segment(number));
    // The closed segment's checkpoint is as old as the file's, or newer.
    rename_if_there(folder, &Names::checkpoint(&closed), &Names::checkpoint(file))?;
    rename_if_there(folder, &Names::tree(&closed), &Names::tree(file))?;
    folder.sync()?;
    if folder.same(file, &closed)? {
        folder.remove(&closed)?;
        // As long as the next segment lies ready, the second name is known to be ours.
        folder.sync()?;
    }
    folder.remove(&names.next())?;
    folder.remove(&format!("{}.new", Names::checkpoint(&closed)))?;
    folder.sync()
}
