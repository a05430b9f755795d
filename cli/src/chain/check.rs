//! A file is checked: what `verify` and `show` have in common.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use sluis_core::chain::token::Hash32;
use sluis_core::chain::verify::{Against, Finding, Kind, Parallel, Seals, Settings, Summary};
use sluis_core::chain::workload::check::StepChecker;
use sluis_tokio::SystemClock;

use super::args::Judge;
use super::judge::{self, Held, Keys, Seen, TreeFile};
use super::{ledger, read};
use crate::fail::Fail;
use crate::output::tell;

/// Bytes of a file that one thread reads at most.
const MANY: u64 = 4 << 20;
/// More threads wait for each other.
const MAX_THREADS: usize = 16;
/// After this, and then so often, a terminal is told how far it is.
const SECOND: Duration = Duration::from_secs(1);

/// What a check has seen.
pub(super) struct Checked {
    pub(super) summary: Summary,
    /// What was found, the checkpoint included.
    pub(super) findings: u64,
    pub(super) checkpoint: Option<Held>,
    pub(super) seen: Seen,
    pub(super) took: Duration,
}

/// Check a file; `found` is called with everything that is wrong with it.
pub(super) fn check(
    path: &Path,
    judge: &Judge,
    keys: &Keys,
    found: &mut (dyn FnMut(&Finding) + Send),
) -> Result<Checked, Fail> {
    let start = Instant::now();
    let mut findings = 0;
    let mut count = |finding: Finding| {
        findings += 1;
        found(&finding);
    };
    let file = read::open(path)?;
    let checkpoint = match judge::checkpoint(path, judge.checkpoint.as_deref(), &keys.known)? {
        None => None,
        Some(Ok(held)) => Some(held),
        Some(Err(why)) => {
            count(no_checkpoint(why));
            None
        }
    };
    let against = against(path, checkpoint.as_ref());
    let seen = Seen::new(keys);
    let settings = Settings {
        mac: keys.mac.clone(),
        seals: Seals::Known { authority: Box::new(seen.clone()), required: judge.signed },
        now: Some(SystemClock::new().now().wall),
        tree: true,
        ..Settings::default()
    };
    let seed = ledger::seed()?;
    let threads = threads(&file);
    let mut progress = Progress::new(path, &file, start);
    let input = Input { file, progress: &mut progress };
    let steps = StepChecker::new(&seed);
    let verify = Parallel::new(settings, against, &seed, steps, input, &mut count);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| verify.work());
        }
        verify.work();
    });
    let done = verify.finish();
    progress.end();
    let (summary, _) = done.map_err(|why| read::cannot(path, &why))?;
    Ok(Checked { summary, findings, checkpoint, seen, took: start.elapsed() })
}

/// How many threads are worth their while.
fn threads(file: &File) -> usize {
    let all = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_THREADS);
    if file.metadata().is_ok_and(|stat| stat.len() < MANY) { 1 } else { all }
}

/// A file that is read, and how far it is.
struct Input<'p> {
    file: File,
    progress: &'p mut Progress,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.progress.more(n);
        Ok(n)
    }
}

/// What the lines are held against.
fn against<'t>(path: &Path, checkpoint: Option<&Held>) -> Option<Against<'t>> {
    if let Some(mut tree) = TreeFile::beside(path) {
        if let Some(held) = tree.grown(checkpoint)
            && let Ok(against) = held.against().with_tree(tree)
        {
            return Some(against);
        }
        if checkpoint.is_some() {
            let file = path.display();
            tell(&format!(
                "sluis: {file}.tree is not that of the checkpoint, so it cannot tell the first changed line"
            ));
        }
    }
    checkpoint.map(Held::against)
}

fn no_checkpoint(why: String) -> Finding {
    let expected = Some("a checkpoint that a known key signed".to_owned());
    Finding { line: 0, token_id: None, kind: Kind::Other("checkpoint"), expected, actual: Some(why) }
}

/// A root in words.
pub(super) fn root(summary: &Summary) -> Option<String> {
    summary.root.map(|root| Hash32(root).to_string())
}

/// How far it is, for a terminal.
pub(super) struct Progress {
    name: String,
    done: u64,
    size: u64,
    next: Option<Instant>,
    said: bool,
}

impl Progress {
    pub(super) fn new(path: &Path, file: &File, start: Instant) -> Self {
        let size = file.metadata().map_or(0, |stat| stat.len());
        let next = io::stderr().is_terminal().then(|| start + SECOND);
        Self { name: path.display().to_string(), done: 0, size, next, said: false }
    }

    pub(super) fn more(&mut self, bytes: usize) {
        self.done += bytes as u64;
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now < next {
            return;
        }
        self.next = Some(now + SECOND / 5);
        self.said = true;
        let percent = (self.done * 100).checked_div(self.size).unwrap_or(0).min(100);
        let name = crate::output::escape::safe(&self.name);
        let _ = write!(io::stderr().lock(), "\r\x1b[K{name}: {percent} % of {} MB", self.size / 1_000_000);
    }

    pub(super) fn end(&mut self) {
        if self.said {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}
