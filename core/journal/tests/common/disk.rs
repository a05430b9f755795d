//! A disk in memory that fails as real ones do.
//!
//! * What is written is in the cache; `sync` brings it to the medium. When the power goes, every sector that was not synced is, by
//!   chance, on the medium or not, in any order, and so is the length.
//! * A failed sync brings some of the sectors to the medium and marks all of them clean: later syncs know nothing of them.
//! * Names are safe once their folder is synced. Before, any part of what was done to them may be.
//! * Writes may take less than given, or fail after taking a part.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use sluis_journal::disk::{File, Folder, How};

pub const SECTOR: usize = 512;
/// What a kernel writes at once.
const PAGE: usize = 4096;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write takes half of what it is given.
    Short,
    /// There is no room: for writes after half of what is given.
    Full,
    /// The medium fails: for writes after half of what is given, for syncs as described above.
    Io,
    /// As [`Io`](Self::Io), but for syncs: the pages that it was to bring to the medium are lost there, with what they held before.
    /// Until they are written anew, nothing can be promised.
    Damage,
    /// The power goes, half way through a write.
    PowerOff,
}

#[derive(Debug, Default)]
struct Inode {
    cache: Vec<u8>,
    medium: Vec<u8>,
    dirty: BTreeSet<usize>,
    locked: bool,
}

#[derive(Clone, Debug)]
enum NameOp {
    Put(String, u64),
    Rename(String, String, u64),
    Remove(String),
}

#[derive(Debug)]
struct World {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    names: BTreeMap<String, u64>,
    safe: BTreeMap<String, u64>,
    pending: Vec<NameOp>,
    ops: u64,
    faults: BTreeMap<u64, Fault>,
    off: bool,
    chance: u64,
}

#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<World>>);

#[derive(Debug)]
pub struct DiskFile {
    disk: Disk,
    id: u64,
    holds_lock: bool,
}

impl World {
    fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    fn below(&mut self, n: usize) -> usize {
        // splitmix64
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n.max(1) as u64).unwrap()
    }

    /// Count an operation; what goes wrong with it, if anything.
    fn step(&mut self) -> io::Result<Option<Fault>> {
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        self.ops += 1;
        let fault = self.faults.remove(&self.ops);
        self.off = fault == Some(Fault::PowerOff);
        Ok(fault)
    }

    /// An operation that happens or does not.
    fn whole(&mut self) -> io::Result<()> {
        match self.step()? {
            None | Some(Fault::Short) => Ok(()),
            Some(fault) => Err(error(fault)),
        }
    }
}

fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::Full => io::Error::from_raw_os_error(28),
        Fault::PowerOff => io::Error::other("the power is off"),
        _ => io::Error::from_raw_os_error(5),
    }
}

fn apply(names: &mut BTreeMap<String, u64>, op: &NameOp) {
    match op {
        NameOp::Put(name, id) => {
            names.insert(name.clone(), *id);
        }
        NameOp::Rename(from, to, id) => {
            if names.get(from) == Some(id) {
                names.remove(from);
            }
            names.insert(to.clone(), *id);
        }
        NameOp::Remove(name) => {
            names.remove(name);
        }
    }
}

fn sector(bytes: &[u8], at: usize) -> [u8; SECTOR] {
    let mut out = [0; SECTOR];
    let part = bytes.get(at * SECTOR..).unwrap_or_default();
    let n = part.len().min(SECTOR);
    out[..n].copy_from_slice(&part[..n]);
    out
}

impl Inode {
    /// Bring some dirty sectors to the medium, and the length if told to.
    fn write_back(&mut self, len: usize, mut chosen: impl FnMut() -> bool) {
        self.medium.resize(len, 0);
        for at in std::mem::take(&mut self.dirty) {
            if chosen() {
                let from = at * SECTOR;
                let to = (from + SECTOR).min(len);
                if from < to {
                    self.medium[from..to].copy_from_slice(&sector(&self.cache, at)[..to - from]);
                }
            }
        }
    }
}

impl Disk {
    pub fn new(chance: u64) -> Self {
        Self(Arc::new(Mutex::new(World {
            inodes: BTreeMap::new(),
            next: 0,
            names: BTreeMap::new(),
            safe: BTreeMap::new(),
            pending: Vec::new(),
            ops: 0,
            faults: BTreeMap::new(),
            off: false,
            chance,
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Something goes wrong with one of the next operations.
    pub fn fault(&self, after: u64, fault: Fault) {
        let mut world = self.world();
        let at = world.ops + 1 + after;
        world.faults.insert(at, fault);
    }

    /// Nothing goes wrong any more.
    pub fn calm(&self) {
        self.world().faults.clear();
    }

    pub fn is_off(&self) -> bool {
        self.world().off
    }

    /// The power goes and comes back: only what the medium has is left.
    pub fn crash(&self) {
        let mut guard = self.world();
        let world = &mut *guard;
        world.faults.clear();
        world.off = false;
        let in_order = world.flip();
        let stop = world.below(world.pending.len() + 1);
        for (at, op) in std::mem::take(&mut world.pending).iter().enumerate() {
            if if in_order { at < stop } else { world.flip() } {
                apply(&mut world.safe, op);
            }
        }
        world.names = world.safe.clone();
        let ids: Vec<u64> = world.inodes.keys().copied().collect();
        for id in ids {
            let mut inode = world.inodes.remove(&id).unwrap();
            let (a, b) = (inode.medium.len().min(inode.cache.len()), inode.medium.len().max(inode.cache.len()));
            // A longer file may have grown by any part; a cut one is cut or not.
            let len = match world.below(4) {
                0 => inode.medium.len(),
                1 => inode.cache.len(),
                _ if inode.cache.len() >= inode.medium.len() => a + world.below(b - a + 1),
                _ => inode.medium.len(),
            };
            let all = world.below(4);
            inode.write_back(len, || match all {
                0 => true,
                1 => false,
                _ => world.flip(),
            });
            inode.cache.clone_from(&inode.medium);
            inode.locked = false;
            if world.names.values().any(|named| *named == id) {
                world.inodes.insert(id, inode);
            }
        }
    }

    /// The contents, as a reader sees them now.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.world();
        Some(world.inodes[world.names.get(name)?].cache.clone())
    }

    /// Change the contents, on the medium.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        let id = world.names[name];
        let inode = world.inodes.get_mut(&id).unwrap();
        edit(&mut inode.cache);
        inode.medium.clone_from(&inode.cache);
    }

    pub fn list(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    fn put(world: &mut World, name: &str, id: u64) {
        world.names.insert(name.to_owned(), id);
        world.pending.push(NameOp::Put(name.to_owned(), id));
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        if self.holds_lock
            && let Some(inode) = self.disk.world().inodes.get_mut(&self.id)
        {
            inode.locked = false;
        }
    }
}

impl File for DiskFile {
    fn len(&mut self) -> io::Result<u64> {
        let mut world = self.disk.world();
        world.whole()?;
        Ok(world.inodes[&self.id].cache.len() as u64)
    }

    fn read_at(&mut self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut world = self.disk.world();
        world.whole()?;
        let from = world.inodes[&self.id].cache.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        let n = from.len().min(out.len());
        out[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.disk.world();
        let fault = world.step()?;
        let taken = if fault.is_some() { bytes.len() / 2 } else { bytes.len() };
        let at = usize::try_from(at).unwrap();
        let inode = world.inodes.get_mut(&self.id).unwrap();
        if taken > 0 {
            if inode.cache.len() < at + taken {
                let old = inode.cache.len();
                inode.cache.resize(at + taken, 0);
                inode.dirty.extend(old / SECTOR..(at + taken).div_ceil(SECTOR));
            }
            inode.cache[at..at + taken].copy_from_slice(&bytes[..taken]);
            inode.dirty.extend(at / SECTOR..(at + taken).div_ceil(SECTOR));
        }
        match fault {
            None => Ok(taken),
            Some(Fault::Short) if taken > 0 => Ok(taken),
            Some(Fault::Short) => Err(io::ErrorKind::Interrupted.into()),
            Some(fault) => Err(error(fault)),
        }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.whole()?;
        let len = usize::try_from(len).unwrap();
        let inode = world.inodes.get_mut(&self.id).unwrap();
        inode.cache.resize(len, 0);
        inode.dirty.insert(len / SECTOR);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut guard = self.disk.world();
        let world = &mut *guard;
        let fault = world.step()?;
        let mut inode = world.inodes.remove(&self.id).unwrap();
        match fault {
            None | Some(Fault::Short) => inode.write_back(inode.cache.len(), || true),
            Some(Fault::PowerOff) => {}
            Some(fault) => {
                if fault == Fault::Damage {
                    for at in inode.dirty.clone() {
                        let page = at * SECTOR / PAGE * PAGE;
                        let to = inode.medium.len().min(page + PAGE);
                        inode.medium.get_mut(page..to).unwrap_or_default().fill(0);
                    }
                }
                let len = if world.flip() { inode.cache.len() } else { inode.medium.len() };
                inode.write_back(len, || world.flip());
            }
        }
        world.inodes.insert(self.id, inode);
        match fault {
            None | Some(Fault::Short) => Ok(()),
            Some(fault) => Err(error(fault)),
        }
    }
}

impl Folder for Disk {
    type File = DiskFile;

    fn display(&self) -> String {
        "/model".into()
    }

    fn names(&mut self) -> io::Result<Vec<String>> {
        let mut world = self.world();
        world.whole()?;
        Ok(world.names.keys().cloned().collect())
    }

    fn open(&mut self, name: &str, how: How) -> io::Result<Option<DiskFile>> {
        let mut world = self.world();
        world.whole()?;
        let id = match (world.names.get(name).copied(), how) {
            (None, How::Existing | How::Read) => return Ok(None),
            (Some(id), How::Empty) => {
                let inode = world.inodes.get_mut(&id).unwrap();
                inode.cache.clear();
                inode.dirty.insert(0);
                id
            }
            (Some(id), _) => id,
            (None, _) => {
                let id = world.next;
                world.next += 1;
                world.inodes.insert(id, Inode::default());
                Self::put(&mut world, name, id);
                id
            }
        };
        Ok(Some(DiskFile { disk: self.clone(), id, holds_lock: false }))
    }

    fn lock(&mut self, name: &str, file: &mut DiskFile) -> io::Result<bool> {
        let mut world = self.world();
        world.whole()?;
        if world.names.get(name) != Some(&file.id) || world.inodes[&file.id].locked {
            return Ok(false);
        }
        world.inodes.get_mut(&file.id).unwrap().locked = true;
        file.holds_lock = true;
        Ok(true)
    }

    fn same(&mut self, a: &str, b: &str) -> io::Result<bool> {
        let mut world = self.world();
        world.whole()?;
        Ok(world.names.contains_key(a) && world.names.get(a) == world.names.get(b))
    }

    fn link(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.whole()?;
        if world.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = *world.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        Self::put(&mut world, to, id);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.whole()?;
        let id = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), id);
        world.pending.push(NameOp::Rename(from.to_owned(), to.to_owned(), id));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        world.whole()?;
        if world.names.remove(name).is_some() {
            world.pending.push(NameOp::Remove(name.to_owned()));
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut world = self.world();
        world.whole()?;
        world.safe = world.names.clone();
        world.pending.clear();
        Ok(())
    }
}
