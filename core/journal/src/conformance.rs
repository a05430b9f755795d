//! The suite that the journal passes on every runtime (feature `conformance`).
//!
//! An adapter's test names its runtime and gets a test for everything in here: [`conformance!`](macro@crate::conformance).

use std::fs;
use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use sluis_chain::token::Token;
use sluis_core::framing::Text;
use sluis_core::identity::SecretKey;
use sluis_core::{Now, Seed, Wall};

use crate::spawn::Spawn;
use crate::{Journal, OpenError, Options, Plain, Setup, TokenJournal, TokenSetup};

/// A runtime, as the suite sees it.
pub trait Runtime {
    /// Its blocking threads, from inside of it.
    fn blocking() -> impl Spawn;

    /// Run a future to its end; whatever belongs to the runtime alone ends with it.
    fn block_on<F: Future>(future: F) -> F::Output;
}

/// A test for everything in the suite, on one runtime, with files in the test's temporary folder.
#[macro_export]
macro_rules! conformance {
    ($runtime:ty) => {
        $crate::conformance!(
            $runtime:
            lines_of_many_tasks_become_durable
            full_queues_make_appenders_wait
            what_is_dropped_is_written_all_the_same
            lines_outlive_their_runtime
            tokens_rotate_under_checkpoints
        );
    };
    ($runtime:ty: $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $crate::conformance::$name::<$runtime>(env!("CARGO_TARGET_TMPDIR").as_ref());
        }
    )*};
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(parent: &Path, name: &str) -> Self {
        let path = parent.join(format!("journal-{}-{name}", std::process::id()));
        assert!(fs::create_dir_all(&path).is_ok(), "{path:?} cannot be made");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("log.jsonl")
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.file()).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn open<R: Runtime>(folder: &Folder, options: Options) -> Journal<Plain> {
    let setup = Setup::default().options(options).spawn(R::blocking());
    match Journal::open_async(folder.file(), Plain, setup).await {
        Ok((journal, _)) => journal,
        Err(error) => panic!("{error}"),
    }
}

/// Wait for all of them at once.
async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Poll once and no more.
async fn begin(future: Pin<&mut impl Future>) {
    let mut future = future;
    poll_fn(|cx| {
        let _ = future.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

/// Lines of many futures stand in the file when these resolve, each once, and those of one task in its order. The blocking face
/// may be used beside.
pub fn lines_of_many_tasks_become_durable<R: Runtime>(parent: &Path) {
    let folder = Folder::new(parent, "many");
    R::block_on(async {
        let journal = open::<R>(&folder, Options::default()).await;
        let task = |task: usize| {
            let (journal, folder) = (&journal, &folder);
            async move {
                for round in 0..10 {
                    let line = format!("{task} {round}");
                    assert_eq!(journal.append_line(line.as_bytes()).await, Ok(()));
                    assert!(folder.lines().contains(&line), "{line} was acknowledged");
                }
            }
        };
        let beside = journal.clone();
        let thread = std::thread::spawn(move || {
            (0..20).all(|round| beside.append_line_blocking(format!("100 {round}").as_bytes()).is_ok())
        });
        all((0..20).map(task)).await;
        assert!(thread.join().is_ok_and(|all| all));
        assert_eq!(journal.flush().await, Ok(()));
        assert_eq!(journal.held(), (0, 0));
    });
    let lines = folder.lines();
    assert_eq!(lines.len(), 220);
    for task in (0..20).chain([100]) {
        let of_task: Vec<&String> = lines.iter().filter(|line| line.starts_with(&format!("{task} "))).collect();
        let expected: Vec<String> = (0..of_task.len()).map(|round| format!("{task} {round}")).collect();
        assert_eq!(of_task, expected.iter().collect::<Vec<_>>());
    }
}

/// What waits for the disk never passes the caps; whoever waits for room and gives up does not keep it from others.
pub fn full_queues_make_appenders_wait<R: Runtime>(parent: &Path) {
    let folder = Folder::new(parent, "full");
    let mut options = Options::default();
    (options.queue_entries, options.queue_bytes, options.max_line) = (5, 400, 100);
    R::block_on(async {
        let journal = open::<R>(&folder, options).await;
        let tickets: Vec<_> = (0..5).map(|n| journal.try_append_line(format!("first {n}").as_bytes())).collect();
        assert!(tickets.iter().all(Result::is_ok), "{tickets:?}");
        assert!(matches!(journal.try_append_line(b"one too many"), Err(crate::AppendError::Busy)));
        {
            // These give up, some of them after they were told that there is room.
            let lines: Vec<String> = (0..3).map(|n| format!("given up {n}")).collect();
            let mut given_up: Vec<_> =
                lines.iter().map(|line| Box::pin(journal.append_line(line.as_bytes()))).collect();
            for waiting in &mut given_up {
                begin(waiting.as_mut()).await;
            }
            assert_eq!(journal.flush().await, Ok(()));
        }
        let appends = (0..300).map(|n| {
            let journal = &journal;
            async move {
                let line = format!("line {n} {}", "x".repeat(n % 90));
                let appended = journal.append_line(line.as_bytes()).await;
                let (bytes, entries) = journal.held();
                assert!(bytes <= 400 && entries <= 5, "{bytes} bytes, {entries} entries");
                appended
            }
        });
        assert!(all(appends).await.iter().all(Result::is_ok));
        drop(tickets);
    });
    let lines = folder.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("line ")).count(), 300);
    assert_eq!(lines.iter().filter(|line| line.starts_with("first ")).count(), 5);
}

/// A line is written also when its ticket or its future is dropped.
pub fn what_is_dropped_is_written_all_the_same<R: Runtime>(parent: &Path) {
    let folder = Folder::new(parent, "dropped");
    R::block_on(async {
        let journal = open::<R>(&folder, Options::default()).await;
        drop(journal.try_append_line(b"never polled"));
        {
            let mut append = pin!(journal.append_line(b"polled once"));
            begin(append.as_mut()).await;
        }
        assert_eq!(journal.flush().await, Ok(()));
        assert_eq!(folder.lines(), ["never polled", "polled once"]);
    });
}

/// Lines whose tickets were dropped are written though the runtime ends at once.
pub fn lines_outlive_their_runtime<R: Runtime>(parent: &Path) {
    let folder = Folder::new(parent, "outlive");
    R::block_on(async {
        let journal = open::<R>(&folder, Options::default()).await;
        for n in 0..50 {
            drop(journal.try_append_line(format!("{n}").as_bytes()));
        }
    });
    let began = Instant::now();
    loop {
        match Journal::open(folder.file(), Plain, Setup::default()) {
            Ok((_, found)) => return assert_eq!(found.entries, 50),
            Err(OpenError::Locked { .. }) if began.elapsed() < Duration::from_secs(20) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Everything that a journal of tokens does, in its asynchronous face.
pub fn tokens_rotate_under_checkpoints<R: Runtime>(parent: &Path) {
    let folder = Folder::new(parent, "tokens");
    let now = Now::new(sluis_core::Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
    let key = || SecretKey::from_seed(&[9; 32]);
    let open = |seed| {
        let setup = TokenSetup::default().seal(key()).checkpoints("example.com/log", key()).spawn(R::blocking());
        let file = folder.file();
        async move {
            match TokenJournal::open_async(file, &Seed::from_u64(seed), setup).await {
                Ok(opened) => opened,
                Err(error) => panic!("{error}"),
            }
        }
    };
    R::block_on(async {
        let (journal, _) = open(1).await;
        let draft = Token { action: Text::new("tested"), actor: Text::new("jis:home:test"), ..Token::default() };
        let entries = all((0..30).map(|_| journal.append(now, &draft))).await;
        for (at, entry) in entries.iter().enumerate() {
            assert!(entry.as_ref().is_ok_and(|entry| entry.index == at as u64), "{entry:?}");
        }
        assert!(matches!(journal.checkpoint().await, Ok(30)));
        assert_eq!(journal.rotate().await, Ok(()));
        assert!(journal.append(now, &draft).await.is_ok_and(|entry| entry.index == 0));
        assert_eq!(journal.flush().await, Ok(()));
        assert_eq!(journal.journal().recover().await, Ok(()));
    });
    R::block_on(async {
        let (_, found) = open(2).await;
        assert_eq!((found.segments, found.entries, found.torn), (1, 1, 0));
    });
}
