//! What is in the directory, who may use it, and what bad files get.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use sluis_core::driver::StoreBatch;
use sluis_core::{StoreOp, StoreSeq};
use sluis_store::{CommitError, MAX_NODE, OpenError, Store};

pub(crate) const NODE: &[u8] = b"node";

/// A directory that goes away with the test.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state.redb")
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(&self.0, NODE).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(&self) -> OpenError {
        Store::open(&self.0, NODE).unwrap_err()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

type Change<'a> = (&'a [u8], Option<&'a [u8]>);

pub(crate) fn commit(store: &mut Store, changes: &[Change<'_>]) -> Result<(), CommitError> {
    let mut batch = StoreBatch::new();
    for (key, value) in changes {
        let op = match value {
            Some(value) => StoreOp::put(StoreSeq(1), key, value),
            None => StoreOp::remove(StoreSeq(1), key),
        };
        assert!(batch.push(&op.unwrap()));
    }
    store.commit(&batch)
}

pub(crate) fn kept(store: &mut Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    store.entries().unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_is_committed_is_there_after_opening_anew() {
    let dir = Dir::new("kept");
    commit(&mut dir.open(), &[(b"a", Some(b"1")), (b"b", Some(b"")), (b"", Some(b"empty"))]).unwrap();
    let mut store = dir.open();
    // Of several changes of one key the last counts; what is not there can be removed.
    commit(&mut store, &[(b"b", Some(b"x")), (b"b", None), (b"c", None), (b"a", None), (b"a", Some(b"2"))]).unwrap();
    let expected = BTreeMap::from([(b"".to_vec(), b"empty".to_vec()), (b"a".to_vec(), b"2".to_vec())]);
    assert_eq!(kept(&mut store), expected);
    drop(store);
    assert_eq!(kept(&mut dir.open()), expected);
    // What a process that was killed left while it made the state anew is of no account.
    fs::write(dir.0.join("state.redb.new"), "half").unwrap();
    let mut store = dir.open();
    commit(&mut store, &[(b"", None)]).unwrap();
    assert_eq!((kept(&mut store).len(), dir.0.join("state.redb.new").exists()), (1, false));
}

#[test]
fn one_process_and_one_node_at_a_time() {
    let dir = Dir::new("alone");
    let store = dir.open();
    let said = dir.refused().to_string();
    assert!(said.ends_with("is in use by another process; stop that one first"), "{said}");
    drop(store);
    let before = fs::read(dir.file()).unwrap();
    let said = Store::open(&dir.0, b"another").unwrap_err().to_string();
    assert!(said.contains("state.redb is the state of another node"), "{said}");
    assert!(matches!(Store::open(&dir.0, &[0; MAX_NODE + 1]), Err(OpenError::NodeTooLong)));
    assert!(fs::read(dir.file()).unwrap() == before);
    drop(dir.open());
}

#[test]
fn looking_changes_nothing_and_makes_nothing() {
    let dir = Dir::new("looked");
    let look = || {
        let mut seen = BTreeMap::new();
        Store::look(&dir.0, NODE, |key, value| drop(seen.insert(key.to_vec(), value.to_vec())))
            .map(|there| (there, seen))
    };
    assert!(matches!(look(), Ok((false, _))) && !dir.0.exists());
    let mut store = dir.open();
    commit(&mut store, &[(b"a", Some(b"1"))]).unwrap();
    assert!(matches!(look(), Err(OpenError::InUse { .. })));
    commit(&mut store, &[(b"b", Some(b"2"))]).unwrap();
    drop(store);
    // A copy that somebody made has no lock, and gets none.
    fs::remove_file(dir.0.join("lock")).unwrap();
    let before = fs::read(dir.file()).unwrap();
    let expected = BTreeMap::from([(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]);
    assert_eq!(look().unwrap(), (true, expected));
    assert!(fs::read(dir.file()).unwrap() == before && fs::read_dir(&dir.0).unwrap().count() == 1);
    assert!(matches!(Store::look(&dir.0, b"another", |_, _| ()), Err(OpenError::OtherNode { .. })));
    fs::write(dir.file(), "none").unwrap();
    assert!(matches!(look(), Err(OpenError::Corrupt { .. })));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_use_it() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let dir = Dir::new("closed");
    drop(dir.open());
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&dir.0), mode(&dir.file()), mode(&dir.0.join("lock"))), (0o700, 0o600, 0o600));
    for (path, open, wanted) in [(dir.0.clone(), 0o750, "700"), (dir.file(), 0o640, "600")] {
        let closed = mode(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        let said = dir.refused().to_string();
        assert!(
            said.contains(&format!("(mode {open:o}); close it with `chmod {wanted} {}`", path.display())),
            "{said}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(closed)).unwrap();
        drop(dir.open());
    }
    // It stays closed when it is made anew.
    commit(&mut dir.open(), &[(b"a", Some(b"1"))]).unwrap();
    assert_eq!(mode(&dir.file()), 0o600);
    // Links and directories are no files.
    for name in ["state.redb", "lock"] {
        let (path, aside) = (dir.0.join(name), dir.0.join("aside"));
        fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        assert!(matches!(dir.refused(), OpenError::Kind { wanted: "regular file", .. }), "{name}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(dir.refused(), OpenError::Kind { wanted: "regular file", .. }), "{name}");
        fs::remove_dir(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
    }
    fs::write(dir.0.join("file"), "").unwrap();
    let refused = Store::open(dir.0.join("file"), NODE).unwrap_err();
    assert!(matches!(refused, OpenError::Kind { wanted: "directory", .. }), "{refused}");
}

#[test]
fn a_damaged_file_is_named_and_left_as_it_is() {
    let dir = Dir::new("damaged");
    let changes: Vec<_> = (0..60_u8).map(|n| (vec![n; 30], vec![n; 1000])).collect();
    let expected: BTreeMap<_, _> = changes.iter().cloned().collect();
    let changes: Vec<Change<'_>> = changes.iter().map(|(key, value)| (&key[..], Some(&value[..]))).collect();
    commit(&mut dir.open(), &changes).unwrap();
    let whole = fs::read(dir.file()).unwrap();
    let (mut refused, mut opened) = (0, 0);
    let mut try_with = |text: &[u8], must_be_refused: bool| {
        fs::write(dir.file(), text).unwrap();
        match Store::open(&dir.0, NODE) {
            Ok(mut store) => {
                assert!(!must_be_refused);
                // What was changed is used by nobody.
                assert!(kept(&mut store) == expected);
                opened += 1;
                return;
            }
            Err(error @ OpenError::Corrupt { .. }) => {
                let said = error.to_string();
                assert!(
                    said.contains("state.redb is damaged (") && said.contains("bring it back from a copy"),
                    "{said}"
                );
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(fs::read(dir.file()).unwrap() == text, "it was changed");
    };
    try_with(b"", true);
    try_with(b"{}\n", true);
    try_with(&vec![0; whole.len()], true);
    try_with(&whole[..whole.len() / 2], true);
    try_with(&whole[..100], true);
    // A byte, or a sector of zeros, here and there.
    for n in 0..50 {
        let at = whole.len() * n / 50;
        let mut text = whole.clone();
        text[at] ^= 1 << (n % 8);
        try_with(&text, false);
        let at = at / 512 * 512;
        text[at..at + 512].fill(0);
        try_with(&text, false);
    }
    assert!(refused > 20 && opened > 0, "{refused} {opened}");
}

#[test]
fn a_later_version_is_not_guessed_at() {
    let dir = Dir::new("version");
    drop(dir.open());
    let meta: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
    let database = redb::Database::open(dir.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(meta).unwrap().insert("version", &7_u32.to_le_bytes()[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let said = dir.refused().to_string();
    assert!(said.contains("has version 7, of which this program knows nothing: use a newer one"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    /// As a map in memory, over any batches, however often it is opened.
    #[test]
    fn it_holds_what_a_map_holds(
        batches in prop::collection::vec(
            (prop::collection::vec((prop::collection::vec(0_u8..4, 0..3), prop::option::of(prop::collection::vec(any::<u8>(), 0..300))), 1..20), any::<bool>()),
            1..12,
        ),
    ) {
        let dir = Dir::new("map");
        let mut store = dir.open();
        let mut map = BTreeMap::new();
        for (changes, reopen) in batches {
            let lent: Vec<Change<'_>> = changes.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
            commit(&mut store, &lent).unwrap();
            for (key, value) in changes {
                match value {
                    Some(value) => drop(map.insert(key, value)),
                    None => drop(map.remove(&key)),
                }
            }
            if reopen {
                drop(store);
                store = dir.open();
            }
            prop_assert!(kept(&mut store) == map);
        }
    }
}
