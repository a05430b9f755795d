//! A store on a disk that fails and loses power at any moment.
//!
//! What is written is in the cache, `sync` brings it to the medium. When the power goes, each sector that was not synced is on the medium or not, by
//! chance, and the length is one that was set since then (a system changes it at once). A failed sync brings some of them there and forgets the others: no later sync does anything about those.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use redb::{Database, DatabaseError, StorageBackend};
use sluis_core::driver::blocking::{Job, Spawn};
use sluis_core::driver::{Store as _, StoreBatch};
use sluis_core::{StoreError, StoreOp, StoreSeq};

use crate::store::{Medium, Store, begin};
use crate::{Background, CommitError, OpenError};

const SECTOR: usize = 512;
const NODE: &[u8] = b"node";

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Full,
    Io,
    PowerOff,
}

#[derive(Debug, Default)]
struct Inode {
    cache: Vec<u8>,
    medium: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Lengths that were set since the last sync.
    lens: Vec<usize>,
}

#[derive(Debug, Default)]
struct World {
    inodes: Vec<Inode>,
    /// Which of them has the name.
    named: usize,
    ops: u64,
    faults: BTreeMap<u64, Fault>,
    off: bool,
    chance: u64,
    /// How often the state was written anew.
    replaced: usize,
}

#[derive(Clone, Debug)]
struct Disk(Arc<Mutex<World>>);

#[derive(Debug)]
struct DiskFile(Disk, usize);

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

    fn step(&mut self) -> io::Result<Option<Fault>> {
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        self.ops += 1;
        let fault = self.faults.remove(&self.ops);
        self.off = fault == Some(Fault::PowerOff);
        Ok(fault)
    }

    fn write_back(&mut self, at: usize, len: usize, all: bool) {
        let mut inode = std::mem::take(&mut self.inodes[at]);
        inode.medium.resize(len, 0);
        inode.lens.clear();
        for sector in std::mem::take(&mut inode.dirty) {
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(len).min(inode.cache.len()));
            if from < to && (all || self.flip()) {
                inode.medium[from..to].copy_from_slice(&inode.cache[from..to]);
            }
        }
        self.inodes[at] = inode;
    }

    fn crash(&mut self) {
        self.faults.clear();
        self.off = false;
        // Nobody can open the others again.
        let named = std::mem::take(&mut self.inodes[self.named]);
        (self.inodes, self.named) = (vec![named], 0);
        for at in 0..self.inodes.len() {
            let mut lens = std::mem::take(&mut self.inodes[at].lens);
            lens.push(self.inodes[at].medium.len());
            let len = lens[self.below(lens.len())];
            self.write_back(at, len, false);
            let inode = &mut self.inodes[at];
            inode.cache.clone_from(&inode.medium);
        }
    }
}

fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::Full => io::Error::from_raw_os_error(28),
        Fault::Io => io::Error::from_raw_os_error(5),
        Fault::PowerOff => io::Error::other("the power is off"),
    }
}

impl Disk {
    /// With an empty state of the node on it.
    fn new(chance: u64) -> Self {
        let disk = Self(Arc::new(Mutex::new(World { chance, ..World::default() })));
        disk.replace(&mut |database| begin(database, NODE, std::iter::empty())).unwrap();
        disk
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn database(&self, inode: usize) -> Result<Database, DatabaseError> {
        let mut builder = redb::Builder::new();
        builder.set_cache_size(1 << 20).set_check_integrity_on_open(true);
        builder.create_with_backend(DiskFile(self.clone(), inode))
    }

    fn fault(&self, after: u64, fault: Fault) {
        let mut world = self.world();
        let at = world.ops + 1 + after;
        world.faults.insert(at, fault);
    }
}

impl Medium for Disk {
    fn path(&self) -> PathBuf {
        "/model/state.redb".into()
    }

    fn peek(&self) -> Result<Database, DatabaseError> {
        let mut world = self.world();
        let cache = world.inodes[world.named].cache.clone();
        // Nobody else sees it.
        world.inodes.push(Inode { cache, ..Inode::default() });
        let copy = world.inodes.len() - 1;
        drop(world);
        self.database(copy)
    }

    fn replace(&self, fill: &mut dyn FnMut(&Database) -> Result<(), redb::Error>) -> Result<Database, redb::Error> {
        let fresh = {
            let mut world = self.world();
            world.inodes.push(Inode::default());
            world.inodes.len() - 1
        };
        let database = self.database(fresh)?;
        fill(&database)?;
        database.close()?;
        DiskFile(self.clone(), fresh).sync_data()?;
        let mut world = self.world();
        world.step()?.map_or(Ok(()), |fault| Err(error(fault)))?;
        world.named = fresh;
        world.replaced += 1;
        drop(world);
        Ok(self.database(fresh)?)
    }
}

impl StorageBackend for DiskFile {
    fn len(&self) -> Result<u64, io::Error> {
        let world = self.0.world();
        Ok(world.inodes[self.1].cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let mut world = self.0.world();
        if world.step()? == Some(Fault::Io) {
            return Err(error(Fault::Io));
        }
        let offset = usize::try_from(offset).unwrap();
        let from = world.inodes[self.1].cache.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut world = self.0.world();
        if let Some(fault) = world.step()? {
            return Err(error(fault));
        }
        let inode = &mut world.inodes[self.1];
        let (old, len) = (inode.cache.len(), usize::try_from(len).unwrap());
        inode.cache.resize(len, 0);
        inode.lens.push(len);
        inode.dirty.extend(old.min(len) / SECTOR..old.max(len).div_ceil(SECTOR));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut world = self.0.world();
        let fault = world.step()?;
        let len = world.inodes[self.1].cache.len();
        match fault {
            None => world.write_back(self.1, len, true),
            Some(Fault::PowerOff) => {}
            Some(_) => world.write_back(self.1, len, false),
        }
        fault.map_or(Ok(()), |fault| Err(error(fault)))
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut world = self.0.world();
        let fault = world.step()?;
        let taken = if fault.is_some() { data.len() / 2 } else { data.len() };
        let at = usize::try_from(offset).unwrap();
        let inode = &mut world.inodes[self.1];
        if inode.cache.len() < at + taken {
            inode.cache.resize(at + taken, 0);
            inode.lens.push(at + taken);
        }
        inode.cache[at..at + taken].copy_from_slice(&data[..taken]);
        inode.dirty.extend(at / SECTOR..(at + taken).div_ceil(SECTOR));
        fault.map_or(Ok(()), |fault| Err(error(fault)))
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Commit these changes of a few keys: with a value of so many bytes, or removed.
    Commit(Vec<(u8, Option<usize>)>),
    /// Something goes wrong so many operations from now.
    Fault(u64, Fault),
    Reopen,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    let change = (0_u8..20, prop::option::weighted(0.8, prop_oneof![0_usize..60, 0_usize..6000]));
    let fault = prop_oneof![Just(Fault::Full), Just(Fault::Io), Just(Fault::PowerOff)];
    prop_oneof![
        6 => prop::collection::vec(change, 1..12).prop_map(Op::Commit),
        4 => (0_u64..60, fault).prop_map(|(at, fault)| Op::Fault(at, fault)),
        1 => Just(Op::Reopen),
        2 => Just(Op::Crash),
    ]
}

struct Run {
    disk: Disk,
    store: Option<Store>,
    /// What may be kept: every failed commit may have been taken, or not.
    may: BTreeSet<State>,
    next: u64,
}

impl Run {
    fn reopen(&mut self) {
        self.store = None;
        let mut store = Store::on(Box::new(self.disk.clone()), NODE).unwrap_or_else(|error| panic!("{error}"));
        let kept: State = store.entries().unwrap().collect::<Result<_, _>>().unwrap();
        let short =
            |state: &State| -> Vec<_> { state.iter().map(|(key, value)| (key[0], value.first().copied())).collect() };
        let may: Vec<_> = self.may.iter().map(short).collect();
        assert!(self.may.contains(&kept), "{:?} is none of {may:?}", short(&kept));
        self.may = [kept].into();
        self.store = Some(store);
    }

    fn commit(&mut self, changes: &[(u8, Option<usize>)]) -> Result<(), CommitError> {
        let (mut batch, mut after) = (StoreBatch::new(), self.may.clone());
        for (key, len) in changes {
            self.next += 1;
            let value = len.map(|len| vec![self.next.to_le_bytes()[0]; len]);
            let seq = StoreSeq(self.next);
            let op = match &value {
                Some(value) => StoreOp::put(seq, std::slice::from_ref(key), value),
                None => StoreOp::remove(seq, std::slice::from_ref(key)),
            };
            batch.push(&op.unwrap());
            after = after.into_iter().map(|state| changed(state, *key, value.clone())).collect();
        }
        let result = self.store.as_mut().unwrap().commit(&batch);
        if result.is_ok() {
            self.may = after;
        } else {
            self.may.append(&mut after);
        }
        result
    }

    fn op(&mut self, op: Op) {
        match op {
            Op::Commit(changes) => drop(self.commit(&changes)),
            Op::Fault(at, fault) => self.disk.fault(at, fault),
            Op::Reopen if !self.disk.world().off => {
                self.disk.world().faults.clear();
                self.reopen();
            }
            Op::Reopen | Op::Crash => {
                self.disk.world().off = true;
                self.store = None;
                self.disk.world().crash();
                self.reopen();
            }
        }
    }
}

fn changed(mut state: State, key: u8, value: Option<Vec<u8>>) -> State {
    match value {
        Some(value) => drop(state.insert(vec![key], value)),
        None => drop(state.remove(&[key][..])),
    }
    state
}

fn new(chance: u64) -> Run {
    let mut run = Run { disk: Disk::new(chance), store: None, may: [State::new()].into(), next: 0 };
    run.reopen();
    run
}

/// `PROPTEST_CASES`, or what takes a few seconds.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_confirmed_batch_is_lost_and_none_is_kept_by_half(chance: u64, ops in prop::collection::vec(op(), 1..40)) {
        let mut run = new(chance);
        for op in ops {
            run.op(op);
        }
        run.op(Op::Crash);
    }
}

/// Whatever operation of a commit finds no room, the store says so, and goes on when there is some.
#[test]
fn a_full_disk_fails_batches_until_there_is_room() {
    let mut failed = 0;
    for at in 0..40 {
        let mut run = new(at);
        run.commit(&[(1, Some(100)), (2, Some(3000))]).unwrap();
        run.disk.fault(at, Fault::Full);
        // Reads do not mind, and then the fault lies in a later commit.
        for _ in 0..4 {
            match run.commit(&[(3, Some(5000)), (1, None)]) {
                Ok(()) => {}
                Err(CommitError::Full { .. }) => failed += 1,
                Err(error) => panic!("{at}: {error}"),
            }
        }
        run.disk.world().faults.clear();
        run.commit(&[(4, Some(10))]).unwrap();
        assert!(run.may.iter().all(|state| state.contains_key(&[2][..]) && state.contains_key(&[4][..])));
        run.op(Op::Crash);
    }
    assert!(failed > 10, "{failed}");
}

/// What a failed sync has lost without a word is written anew, before anything else is confirmed.
#[test]
fn after_a_failure_all_that_is_kept_is_written_anew() {
    for chance in 0..100 {
        let mut run = new(chance);
        run.commit(&[(1, Some(100)), (2, Some(3000))]).unwrap();
        let before = run.disk.world().replaced;
        for at in 0..30 {
            run.disk.fault(at, Fault::Io);
            if run.commit(&[(3, Some(5000))]).is_err() {
                break;
            }
            run.disk.world().faults.clear();
        }
        run.disk.world().faults.clear();
        run.commit(&[(4, Some(10))]).unwrap();
        assert!(run.disk.world().replaced > before);
        run.op(Op::Crash);
    }
}

/// A commit that fails is told to the machine by its kind, each time, and to the operator in words, once; so is that the next one is kept.
#[test]
fn a_failure_is_told() {
    struct Here;

    impl Spawn for Here {
        fn spawn(&self, job: Job) {
            job.run();
        }
    }

    let disk = Disk::new(1);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    let background = Background::new(Store::on(Box::new(disk.clone()), NODE).unwrap(), Here);
    let words = |turn: Result<(), &CommitError>| turn.map_or_else(ToString::to_string, |()| "again".to_owned());
    let mut background = background.on_turn(move |turn| tell.lock().unwrap().push(words(turn)));
    let full = Err(StoreError::Full);
    for expected in [Ok(()), full, full, full, Ok(()), Ok(()), full] {
        if expected.is_err() {
            (0..30).for_each(|at| disk.fault(at, Fault::Full));
        }
        let mut batch = StoreBatch::new();
        batch.push(&StoreOp::put(StoreSeq(1), b"k", b"v").unwrap());
        background.start(batch);
        let Poll::Ready((batch, result)) = background.poll_commit(&mut Context::from_waker(Waker::noop())) else {
            panic!("it is done");
        };
        assert_eq!((batch.len(), result), (1, expected));
        disk.world().faults.clear();
    }
    let said = "/model/state.redb: No space left on device (os error 28); nothing is kept until there is room";
    assert_eq!(*told.lock().unwrap(), [said, "again", said]);
}

#[test]
fn another_nodes_state_is_refused() {
    let refused = Store::on(Box::new(Disk::new(1)), b"another").unwrap_err();
    assert!(matches!(refused, OpenError::OtherNode { .. }), "{refused}");
}
