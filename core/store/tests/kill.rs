//! A process that commits is killed at a random moment, hundreds of times: no batch that it acknowledged is missing, none is there by half, and the
//! store opens every time. And one whose file may not grow: it says so, and goes on when the file may.
//!
//! The writer is this very program, and says on standard output which batches are on the medium. `KILLS=n` changes how often.

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() {
    unix::main();
}

#[cfg(unix)]
mod unix {
    use std::io::{BufRead, BufReader, Write};
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::sync::mpsc;
    use std::time::{Duration, Instant};
    use std::{env, fs, thread};

    use rustix::process::{Resource, Rlimit, setrlimit};
    use sluis_core::driver::StoreBatch;
    use sluis_core::{StoreOp, StoreSeq};
    use sluis_store::{CommitError, Store};

    const WRITER: &str = "--be-the-writer";
    const FULL: &str = "--find-no-room";
    const NODE: &[u8] = b"node";
    /// Keys of a batch, each of which gets its number.
    const KEYS: u8 = 7;

    fn batch(number: u64, len: usize) -> StoreBatch {
        let mut batch = StoreBatch::new();
        let mut value = vec![0; len.max(8)];
        value[..8].copy_from_slice(&number.to_le_bytes());
        for key in 0..KEYS {
            batch.push(&StoreOp::put(StoreSeq(number), &[key], &value).unwrap());
        }
        batch
    }

    /// The last batch that is there, all of whose keys must be.
    fn last(dir: &Path) -> u64 {
        let mut store = Store::open(dir, NODE).unwrap_or_else(|error| panic!("{error}"));
        let numbers: Vec<u64> = store
            .entries()
            .unwrap()
            .map(|entry| u64::from_le_bytes(entry.unwrap().1[..8].try_into().unwrap()))
            .collect();
        let first = numbers.first().copied().unwrap_or_default();
        assert!(numbers.iter().all(|number| *number == first), "{numbers:?}");
        assert!(numbers.is_empty() || numbers.len() == usize::from(KEYS), "{numbers:?}");
        first
    }

    /// Commit until killed.
    fn write(dir: &Path, first: u64) {
        let mut store = Store::open(dir, NODE).unwrap();
        for number in first.. {
            let len = usize::try_from(number * 7919 % 3000).unwrap();
            store.commit(&batch(number, len)).unwrap();
            std::io::stdout().lock().write_all(format!("{number}\n").as_bytes()).unwrap();
        }
    }

    /// Start the writer, kill it so long after its start or its first batch, and say which batch it acknowledged last.
    fn kill_one(dir: &Path, first: u64, from_start: bool, after: Duration) -> Option<u64> {
        let mut writer = Command::new(env::current_exe().unwrap())
            .args([WRITER, dir.to_str().unwrap(), &first.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(writer.stdout.take().unwrap());
        let (heard, first_line) = mpsc::channel();
        let reader = thread::spawn(move || {
            said.lines()
                .map(|line| {
                    let _ = heard.send(());
                    line.unwrap().parse().unwrap()
                })
                .last()
        });
        if !from_start {
            first_line.recv().unwrap();
        }
        thread::sleep(after);
        writer.kill().unwrap();
        let status = writer.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "it ended by itself: {status}");
        reader.join().unwrap()
    }

    /// A file may have so many bytes.
    fn limit(bytes: Option<u64>) {
        setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// Run with SIGXFSZ ignored, as a shell does that: files that may not grow are a full disk then.
    fn find_no_room(dir: &Path) {
        let mut store = Store::open(dir, NODE).unwrap();
        store.commit(&batch(1, 100)).unwrap();
        let mut confirmed = 1;
        for _ in 0..3 {
            limit(Some(300_000));
            let refused = loop {
                match store.commit(&batch(confirmed + 1, 60_000)) {
                    Ok(()) => confirmed += 1,
                    Err(error) => break error,
                }
            };
            assert!(matches!(refused, CommitError::Full { .. }), "{refused}");
            assert!(store.commit(&batch(confirmed + 1, 60_000)).is_err(), "there is no more room than before");
            limit(None);
            confirmed += 2;
            store.commit(&batch(confirmed, 100)).unwrap();
        }
        drop(store);
        assert_eq!(last(dir), confirmed);
    }

    pub(crate) fn main() {
        let args: Vec<String> = env::args().collect();
        if let Some(at) = args.iter().position(|arg| arg == WRITER) {
            return write(Path::new(&args[at + 1]), args[at + 2].parse().unwrap());
        }
        if let Some(at) = args.iter().position(|arg| arg == FULL) {
            return find_no_room(Path::new(&args[at + 1]));
        }
        // What `cargo test` asks of every test program.
        if args.iter().any(|arg| arg == "--list") {
            return println!("killed_hundreds_of_times: test");
        }
        let kills = env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(300_u32);
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("store-kill-{}", std::process::id()));
        let began = Instant::now();
        let (mut confirmed, mut batches, mut silent, mut more) = (0, 0, 0, 0);
        let mut chance = 0x2545_f491_4f6c_dd1d_u64;
        for round in 0..kills {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            // From before it has opened the store, or made it, to some dozens of batches later.
            let first = confirmed + 1;
            let said = kill_one(&dir, first, round % 3 == 1, Duration::from_micros(chance % 25_000));
            batches += said.map_or(0, |said| said + 1 - first);
            silent += u32::from(said.is_none());
            let said = said.unwrap_or(confirmed);
            let found = last(&dir);
            // The one that was under way may be there, too.
            assert!(found == said || found == said + 1, "round {round}: {said} was acknowledged, {found} is there");
            more += u32::from(found > said);
            confirmed = found;
            if round % 50 == 49 {
                fs::remove_dir_all(&dir).unwrap();
                confirmed = 0;
            }
        }
        let _ = fs::remove_dir_all(&dir);
        println!(
            "killed {kills} writers in {:.0?}: {batches} acknowledged batches all there, {more} more that were under way, {silent} killed \
             before their first",
            began.elapsed()
        );
        assert!(batches > 0, "the writers wrote nothing");
        let program = env::current_exe().unwrap();
        let script = "trap '' XFSZ; exec \"$0\" \"$@\"";
        let status = Command::new("sh").args(["-c", script]).arg(program).arg(FULL).arg(&dir).status().unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert!(status.success(), "{status}");
    }
}
