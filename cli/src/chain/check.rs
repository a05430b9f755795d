//! A file is checked: what `verify` and `show` have in common.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluis_chain::token::Hash32;
use sluis_chain::verify::{Against, Finding, Kind, Parallel, Seals, Settings, Summary};
use sluis_chain::workload::check::StepChecker;
use sluis_tokio::SystemClock;

use super::args::Judge;
use super::earlier::{Earlier, First};
use super::judge::{self, Held, Keys};
use super::progress::Progress;
use super::read;
use super::seals::Seen;
use super::treefile::TreeFile;
use crate::fail::Fail;
use crate::output::tell;
use crate::tokens;

/// Bytes of a file that one thread reads at most.
const MANY: u64 = 4 << 20;
/// More threads wait for each other.
const MAX_THREADS: usize = 16;

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A file of tokens.
    Chain,
    /// One token with its way to a checkpoint.
    Bundle,
    /// An attestation.
    Envelope {
        /// A known key signed it.
        signed: bool,
    },
}

/// What a check has seen.
pub(super) struct Checked {
    pub(super) what: What,
    pub(super) summary: Summary,
    /// What was found, the checkpoint included.
    pub(super) findings: u64,
    pub(super) checkpoint: Option<Held>,
    /// Tokens whose hash is not that of their members.
    pub(super) wrong_hashes: u64,
    /// Segments before it are missing.
    pub(super) cut: bool,
    /// What was not found, and may be in segments that are missing.
    pub(super) let_be: u64,
    pub(super) keys: Arc<Keys>,
    pub(super) seen: Seen,
    pub(super) took: Duration,
}

/// Check a file; `found` is called with everything that is wrong with it. What its tokens follow may also stand in the segments
/// before it, or in `others`.
pub(super) fn check(
    path: &Path,
    others: &[PathBuf],
    judge: &Judge,
    keys: &Arc<Keys>,
    found: &mut (dyn FnMut(&Finding) + Send),
) -> Result<Checked, Fail> {
    check_open(path, read::open(path)?, others, judge, keys, found)
}

/// Check what can be read from standard input. Where that is a file, what stands beside it counts.
pub(super) fn check_stdin(
    others: &[PathBuf],
    judge: &Judge,
    keys: &Arc<Keys>,
    found: &mut (dyn FnMut(&Finding) + Send),
) -> Result<Checked, Fail> {
    check_open(Path::new("/dev/stdin"), read::open_stdin()?, others, judge, keys, found)
}

fn check_open(
    path: &Path,
    mut file: File,
    others: &[PathBuf],
    judge: &Judge,
    keys: &Arc<Keys>,
    found: &mut (dyn FnMut(&Finding) + Send),
) -> Result<Checked, Fail> {
    let start = Instant::now();
    let (mut findings, mut wrong_hashes) = (0, 0);
    let mut count = |finding: Finding| {
        findings += 1;
        wrong_hashes += u64::from(finding.kind == Kind::ContentHash);
        found(&finding);
    };
    let mut front = Vec::new();
    let first = read::first_line(&mut file, &mut front).map_err(|why| read::cannot(path, &why))?;
    read::refuse_recording(path, first)?;
    let first = first.map(First::of).unwrap_or_default();
    let earlier = Earlier::of(path, &first, others);
    let mut elsewhere = earlier.elsewhere(others, judge.partial);
    let checkpoint = judge::checkpoint(path, judge.checkpoint.as_deref(), &keys.known, first.header().as_ref())?;
    let checkpoint = checkpoint.and_then(|held| held.map_err(|why| count(no_checkpoint(why))).ok());
    let seed = tokens::seed()?;
    let mut steps = StepChecker::new(&seed);
    earlier.read(judge.partial, keys.mac.as_ref(), &mut steps, &mut count)?;
    // What is written from now on is not looked at: first the leaf hashes are read, then the lines.
    let against = against(path, checkpoint.as_ref());
    let seen = Seen::new(keys);
    let settings = Settings {
        mac: keys.mac.clone(),
        seals: Seals::Known { authority: Box::new(seen.clone()), required: keys.required() },
        now: Some(SystemClock::new().now().wall),
        start: earlier.start(judge.partial),
        // Half as much work again, where nobody has anything to compare it with.
        tree: against.is_some(),
        ..Settings::default()
    };
    let threads = threads(&file);
    let mut progress = Progress::new(path, &file);
    let left = whole_lines(path, &file, front.len() as u64)?;
    let input = Input { front: io::Cursor::new(front), file, left, progress: &mut progress };
    let mut ask = |finding: Finding| {
        if let Some(finding) = elsewhere.wait(finding) {
            count(finding);
        }
    };
    let verify = Parallel::new(settings, against, &seed, steps, input, &mut ask);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| verify.work());
        }
        verify.work();
    });
    let done = verify.finish();
    progress.end();
    let (summary, _) = done.map_err(|why| read::cannot(path, &why))?;
    let (nowhere, let_be) = elsewhere.finish();
    nowhere.into_iter().for_each(&mut count);
    seen.findings().into_iter().for_each(&mut count);
    if summary.tokens == 0 && findings == 0 {
        findings += 1;
        found(&empty());
    }
    let (cut, keys) = (earlier.is_cut(), Arc::clone(keys));
    let took = start.elapsed();
    Ok(Checked { what: What::Chain, summary, findings, checkpoint, wrong_hashes, cut, let_be, keys, seen, took })
}

/// Nothing was there to be checked: nothing is proven.
fn empty() -> Finding {
    let (expected, actual) = (Some("at least one token".to_owned()), Some("none".to_owned()));
    Finding { line: 0, token_id: None, kind: Kind::Other("empty"), expected, actual }
}

/// How many threads are worth their while.
fn threads(file: &File) -> usize {
    let all = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_THREADS);
    if file.metadata().is_ok_and(|stat| stat.len() < MANY) { 1 } else { all }
}

/// How much of the file is looked at: as much as there is now, and while somebody writes to it only whole lines. A last line
/// that is torn is a finding only if nobody is about to finish it. It is read on from `at`.
fn whole_lines(path: &Path, file: &File, at: u64) -> Result<u64, Fail> {
    if !file.metadata().map_err(|why| read::cannot(path, &why))?.is_file() {
        return Ok(u64::MAX);
    }
    let written = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    let size = file.metadata().map_err(|why| read::cannot(path, &why))?.len();
    if !written {
        // Whoever waits to write may go on.
        let _ = file.unlock();
        return Ok(size);
    }
    let whole = last_line_feed(file, size).map_err(|why| read::cannot(path, &why))?;
    (&*file).seek(SeekFrom::Start(at)).map_err(|why| read::cannot(path, &why))?;
    Ok(whole)
}

/// Where the last line feed before `end` ends.
fn last_line_feed(mut file: &File, end: u64) -> io::Result<u64> {
    let (mut end, mut block) = (end, vec![0; 1 << 16]);
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let held = block.get_mut(..usize::try_from(end - start).unwrap_or(0)).unwrap_or_default();
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(held)?;
        if let Some(at) = held.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// A file that is read, and how far it is.
struct Input<'p> {
    /// What was read of it already.
    front: io::Cursor<Vec<u8>>,
    file: File,
    /// Bytes that are read at most.
    left: u64,
    progress: &'p mut Progress,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let room = buffer.get_mut(..most).unwrap_or_default();
        let n = match self.front.read(room)? {
            0 => self.file.read(room)?,
            n => n,
        };
        self.left = self.left.saturating_sub(n as u64);
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
