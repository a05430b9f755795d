//! What came before a file that continues another: the closed segments of a rotated log.
//!
//! The first line of a segment refers to the one before: it links to the last line of it, and as a rule says how many lines
//! it has and what their root is. Names only say where to look for it. A file that is named like a segment and that nothing
//! refers to is none.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sluis_chain::log::merkle::{Frontier, NodeHash, leaf_hash};
use sluis_chain::log::{Continues, LogHeader, is_blank};
use sluis_chain::token::{Hash32, Token};
use sluis_chain::verify::{Finding, Kind, Start};
use sluis_chain::workload::check::{StepChecker, StepNote};
use sluis_core::identity::MacKey;
use sluis_journal::Names;

use super::read;
use crate::fail::Fail;
use crate::files;

/// Findings that wait until it is known whether what is missing stands in another file; of more it is not asked.
const MAX_WAITING: usize = 1 << 16;
/// Segments that are followed back.
const MAX_SEGMENTS: usize = 1 << 16;

/// What the first line of a file says of the log.
#[derive(Default)]
pub(crate) struct First {
    /// Its header, as it is written.
    header: Option<String>,
    /// What it links to.
    link: Option<NodeHash>,
}

impl First {
    /// Out of the first line that is not blank.
    pub(super) fn of(line: &[u8]) -> Self {
        let Ok(token) = Token::parse_bytes(line) else { return Self::default() };
        let header = token.log_header().map(|header| header.to_cow().into_owned());
        Self { header, link: token.prev().map(|link| link.0) }
    }

    pub(crate) fn header(&self) -> Option<LogHeader<'_>> {
        LogHeader::parse(self.header.as_deref()?)
    }

    fn reference(&self) -> Option<Reference> {
        Some(Reference { last: self.link?, whole: self.header().and_then(|header| header.after) })
    }
}

/// The segment that a file continues.
#[derive(Clone, Copy)]
struct Reference {
    /// The leaf hash of its last line.
    last: NodeHash,
    /// How many lines it has, and their root.
    whole: Option<Continues>,
}

/// A segment before a file.
struct Segment {
    path: PathBuf,
    /// What the one after it says of it.
    reference: Reference,
}

/// The segments before a file.
pub(super) struct Earlier {
    /// The newest first.
    segments: Vec<Segment>,
    /// The first of them that is nowhere.
    missing: Option<Reference>,
    /// Files that differ, of which each may be the first that is missing.
    unclear: Vec<PathBuf>,
}

impl Earlier {
    /// Follow the references back, from what the first line of `path` says. The segments may stand beside it or be among `others`.
    pub(super) fn of(path: &Path, first: &First, others: &[PathBuf]) -> Self {
        let (mut segments, mut reference): (Vec<Segment>, _) = (Vec::new(), first.reference());
        let mut candidates: Option<Vec<(PathBuf, NodeHash)>> = None;
        while let Some(wanted) = reference {
            let candidates = candidates.get_or_insert_with(|| candidates_for(path, others));
            let ends: Vec<usize> = (0..candidates.len())
                .filter(|at| candidates.get(*at).is_some_and(|(_, last)| *last == wanted.last))
                .collect();
            let at = match choose(candidates, &ends, wanted.whole) {
                Ok(at) => at.filter(|_| segments.len() < MAX_SEGMENTS),
                Err(unclear) => return Self { segments, missing: Some(wanted), unclear },
            };
            let Some(at) = at else { return Self { segments, missing: Some(wanted), unclear: Vec::new() } };
            // One file is one segment, so that this comes to an end.
            let (path, _) = candidates.remove(at);
            reference = first_of(&path).reference();
            segments.push(Segment { path, reference: wanted });
        }
        Self { segments, missing: None, unclear: Vec::new() }
    }

    /// What the first line must link to. Where the segment before is missing and may be, that is not known; but there must have been
    /// one: a line that links to another and does not say that it begins a segment is not the first of anything.
    pub(super) fn start(&self, partial: bool) -> Start {
        match self.segments.first() {
            Some(newest) => Start::After(newest.reference.last),
            // Whichever it is, it ends in that line.
            None if !self.unclear.is_empty() => self.missing.map_or(Start::Fresh, |missing| Start::After(missing.last)),
            None if partial && self.segment_is_missing() => Start::Unknown,
            None => Start::Fresh,
        }
    }

    fn segment_is_missing(&self) -> bool {
        self.missing.is_some_and(|missing| missing.whole.is_some())
    }

    /// Whether segments at the beginning are missing.
    pub(super) const fn is_cut(&self) -> bool {
        self.missing.is_some()
    }

    /// Read the segments, the oldest first: their steps are told to `steps`, and one that is not what the next one says of it is a
    /// finding about the first line of the file. So is one of which the next one says nothing, once the log has checkpoints: whoever
    /// writes those says it, and a head that was moved away would otherwise take along what it promises. And so is it that the
    /// segment before the oldest that is there is missing, unless it may be (`partial`).
    pub(super) fn read(
        &self,
        partial: bool,
        mac: Option<&MacKey>,
        steps: &mut StepChecker,
        found: &mut dyn FnMut(Finding),
    ) -> Result<(), Fail> {
        let (mut promised, mut missing) = (false, self.missing.filter(|_| !(partial && self.segment_is_missing())));
        if !self.unclear.is_empty() {
            missing = None;
            let names: Vec<String> = self.unclear.iter().map(|path| path.display().to_string()).collect();
            let expected = "one file that ends in the line before, or a first line that says which it is".to_owned();
            found(wrong_segment(expected, format!("{} that differ: {}", names.len(), names.join(", "))));
        }
        for segment in self.segments.iter().rev() {
            let (mut tree, mut last, mut torn) = (Frontier::new(), None, false);
            read::lines(&segment.path, |_, line| {
                let line = line.unwrap_or_default();
                let (leaf, token) = (leaf_hash(line), Token::parse_bytes(line));
                tree.push(leaf);
                match token {
                    Ok(token) => {
                        promised |= has_checkpoints(&token);
                        torn |= last.is_some_and(|last| token.prev().is_some_and(|link| link.0 != last));
                        let _ = steps.token(&token, token.verify(mac).is_ok());
                    }
                    Err(_) => drop(steps.judge(&StepNote::unreadable(), false)),
                }
                last = Some(leaf);
            })?;
            let (path, missing) = (segment.path.display(), missing.take());
            let (expected, actual) = match (segment.reference.whole, missing) {
                (Some(Continues { size, root }), _) if (tree.size(), tree.root()) != (size, root) => (
                    format!("after a segment of {size} lines with the root {}", Hash32(root)),
                    format!("{path} with {} lines and the root {}", tree.size(), Hash32(tree.root())),
                ),
                // Of one that is another, the first line tells nothing about what is missing.
                (_, Some(missing)) => missing_before(missing, &segment.path),
                (None, _) if promised => (
                    "a first line that says which segment it continues".to_owned(),
                    format!("a link to the last line of {path}, and the log has checkpoints"),
                ),
                // Nothing but the links says what the lines of this one were.
                (None, _) if torn => (
                    "after a segment whose lines link to one another".to_owned(),
                    format!("{path}, in which one links to another than the one before it"),
                ),
                _ => continue,
            };
            found(wrong_segment(expected, actual));
        }
        Ok(())
    }

    /// Files in which what is missing may stand: the segments, and the others that are checked together with this one. With
    /// `partial`, it may also stand in a segment that is missing.
    pub(super) fn elsewhere<'p>(&'p self, others: &'p [PathBuf], partial: bool) -> Elsewhere<'p> {
        let segments = self.segments.iter().map(|segment| segment.path.as_path());
        let others = others.iter().map(PathBuf::as_path).filter(|path| path.is_file());
        Elsewhere {
            files: segments.chain(others).collect(),
            cut: partial && self.segment_is_missing(),
            waiting: Vec::new(),
            let_be: 0,
        }
    }
}

/// Which of the files that end in the right line (`ends`) is the segment: the one that has the lines that the next says it has. Where it
/// does not say, or none has, it is the first if all of them have the same; else all of them are given.
fn choose(
    files: &[(PathBuf, NodeHash)],
    ends: &[usize],
    whole: Option<Continues>,
) -> Result<Option<usize>, Vec<PathBuf>> {
    let Some(first) = ends.first().copied() else { return Ok(None) };
    if ends.len() == 1 {
        return Ok(Some(first));
    }
    let paths = || ends.iter().filter_map(|at| files.get(*at)).map(|(path, _)| path);
    let lines: Vec<Option<Continues>> = paths().map(|path| lines_of(path)).collect();
    if let Some(at) = whole.and_then(|whole| lines.iter().position(|lines| *lines == Some(whole))) {
        return Ok(ends.get(at).copied());
    }
    let same = lines.windows(2).all(|two| two[0].is_some() && two[0] == two[1]);
    if same { Ok(Some(first)) } else { Err(paths().cloned().collect()) }
}

/// How many lines a file has, and their root; `None` if it cannot be read.
fn lines_of(path: &Path) -> Option<Continues> {
    let mut tree = Frontier::new();
    read::lines(path, |_, line| tree.push(leaf_hash(line.unwrap_or_default()))).ok()?;
    Some(Continues { size: tree.size(), root: tree.root() })
}

/// Whether a line, wherever it stands, says that the log has checkpoints.
fn has_checkpoints(token: &Token<'_>) -> bool {
    let header = token.log_header().map(|header| header.to_cow());
    header.is_some_and(|header| LogHeader::parse(&header).is_some_and(|header| header.key.is_some()))
}

/// What is expected and found where the segment before the oldest is missing.
fn missing_before(missing: Reference, oldest: &Path) -> (String, String) {
    let oldest = oldest.display();
    match missing.whole {
        Some(Continues { size, root }) => (
            format!("a segment of {size} lines with the root {} before {oldest}", Hash32(root)),
            "none that ends as its first line says".to_owned(),
        ),
        None => (
            format!("in {oldest} a first line that begins a log, or says which segment it continues"),
            "a link to a line that is missing".to_owned(),
        ),
    }
}

/// A finding about what is before the first line.
const fn wrong_segment(expected: String, actual: String) -> Finding {
    Finding { line: 1, token_id: None, kind: Kind::Other("segment"), expected: Some(expected), actual: Some(actual) }
}

/// Files that may be segments before this one, with the leaf hashes of their last lines.
fn candidates_for(path: &Path, others: &[PathBuf]) -> Vec<(PathBuf, NodeHash)> {
    let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut all: Vec<PathBuf> = others.iter().filter_map(|other| fs::canonicalize(other).ok()).collect();
    if let (Some(name), Some(folder)) = (resolved.file_name().and_then(|name| name.to_str()), resolved.parent()) {
        let names = journal(name);
        let listed = fs::read_dir(folder).into_iter().flatten().flatten();
        all.extend(listed.filter(|entry| is_segment(&names, entry)).map(|entry| entry.path()));
    }
    all.sort();
    all.dedup();
    let others = all.into_iter().filter(|other| *other != resolved);
    others.filter_map(|other| last_leaf(&other).ok().flatten().map(|leaf| (other, leaf))).collect()
}

fn is_segment(names: &Names, entry: &fs::DirEntry) -> bool {
    entry.file_name().to_str().is_some_and(|name| names.number(name).is_some())
}

/// The names of the journal of a file, which may itself be named like one of its closed segments.
fn journal(name: &str) -> Names {
    let whole = || {
        let (stem, extension) = name.rsplit_once('.')?;
        let (stem, _) = stem.rsplit_once('.')?;
        let names = Names::new(format!("{stem}.{extension}"));
        names.number(name).is_some_and(|number| number > 0).then_some(names)
    };
    whole().unwrap_or_else(|| Names::new(name))
}

/// The first line of a file; of one that cannot be read, nothing is known.
pub(crate) fn first_of(path: &Path) -> First {
    let Ok(mut file) = files::open(path) else { return First::default() };
    let mut front = Vec::new();
    read::first_line(&mut file, &mut front).ok().flatten().map(First::of).unwrap_or_default()
}

/// The leaf hash of the last line of a file that is not blank.
fn last_leaf(path: &Path) -> io::Result<Option<NodeHash>> {
    let file = files::open(path)?;
    let len = file.metadata()?.len();
    let mut want = 1_u64 << 16;
    loop {
        let from = len.saturating_sub(want);
        let bytes = tail(&file, from)?;
        // What stands before the first line feed may have begun before it.
        let begun = if from == 0 { Some(0) } else { bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1) };
        let whole = begun.and_then(|begun| bytes.get(begun..)).unwrap_or_default();
        if let Some(line) = whole.rsplit(|byte| *byte == b'\n').find(|line| !is_blank(line)) {
            return Ok(Some(leaf_hash(line)));
        }
        if from == 0 || want >= read::MAX_LINE as u64 {
            return Ok(None);
        }
        want *= 16;
    }
}

fn tail(mut file: &File, from: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Seek::seek(&mut file, io::SeekFrom::Start(from))?;
    io::Read::read_to_end(&mut io::Read::take(file, read::MAX_LINE as u64 + 1), &mut bytes)?;
    Ok(bytes)
}

/// Findings about what is missing in a file, until it was looked for in others.
pub(super) struct Elsewhere<'p> {
    files: Vec<&'p Path>,
    /// Segments are missing, and may be.
    cut: bool,
    waiting: Vec<(String, Finding)>,
    /// Findings that were let be, because what is missing may stand in a segment that is.
    let_be: u64,
}

impl Elsewhere<'_> {
    /// Put a finding aside if what is missing may stand elsewhere; it comes back otherwise.
    pub(super) fn wait(&mut self, finding: Finding) -> Option<Finding> {
        if (self.files.is_empty() && !self.cut) || self.waiting.len() >= MAX_WAITING {
            return Some(finding);
        }
        let Some(missing) = missing(&finding) else { return Some(finding) };
        self.waiting.push((missing, finding));
        None
    }

    /// What was found nowhere, and how much of that was let be.
    pub(super) fn finish(mut self) -> (Vec<Finding>, u64) {
        let mut wanted: BTreeSet<String> = self.waiting.iter().map(|(missing, _)| missing.clone()).collect();
        for file in self.files {
            if wanted.is_empty() {
                break;
            }
            // One that cannot be read holds nothing.
            let _ = read::lines(file, |_, line| {
                if let Some(token) = line.and_then(|line| Token::parse_bytes(line).ok()) {
                    wanted.remove(&*token.token_id.to_cow());
                }
            });
        }
        let mut nowhere: Vec<Finding> =
            self.waiting.into_iter().filter(|(missing, _)| wanted.contains(missing)).map(|(_, found)| found).collect();
        if self.cut {
            self.let_be = nowhere.len() as u64;
            nowhere.clear();
        }
        (nowhere, self.let_be)
    }
}

/// The id of the token that is missing.
fn missing(finding: &Finding) -> Option<String> {
    match finding.kind {
        Kind::MissingParent => finding.expected.clone(),
        Kind::Other("missing_workload") => {
            let id = finding.token_id.as_deref()?;
            let workload = id.strip_prefix("step_").or_else(|| id.strip_prefix("closed_"))?.get(..16)?;
            Some(format!("workload_{workload}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::journal;

    #[test]
    fn the_journal_of_a_segment_is_told_by_its_name() {
        for (name, file) in [
            ("log.12.jsonl", "log.jsonl"),
            ("a.b.1.jsonl", "a.b.jsonl"),
            ("log.jsonl", "log.jsonl"),
            ("log", "log"),
            ("log.012.jsonl", "log.012.jsonl"),
            ("log.0.jsonl", "log.0.jsonl"),
            ("log.1", "log.1"),
        ] {
            assert_eq!(journal(name).file(), file, "{name}");
        }
    }
}
