//! What came before a file that continues another: the closed segments of a rotated journal.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sluis_chain::log::merkle::leaf_hash;
use sluis_chain::token::{PREV_PREFIX, Token};
use sluis_chain::verify::{Finding, Kind, Start};
use sluis_journal::Names;

use super::read;

/// Findings that wait until it is known whether what is missing stands in another file; of more it is not asked.
const MAX_WAITING: usize = 1 << 16;

/// The segments before a file.
pub(super) struct Earlier {
    /// The newest first, up to the first that is not there.
    segments: Vec<PathBuf>,
    /// There were more, which are not there any more.
    gone: bool,
}

impl Earlier {
    /// Those before this file: before `NAME.jsonl` stands the `NAME.<n>.jsonl` with the highest number, before that the one with
    /// the number before.
    pub(super) fn of(path: &Path) -> Self {
        let none = Self { segments: Vec::new(), gone: false };
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return none };
        if let Some((names, number)) = segment(name) {
            return Self::before(path, &names, number);
        }
        let names = Names::new(name);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let listed = fs::read_dir(folder).into_iter().flatten().flatten();
        let last = listed.filter_map(|entry| names.number(entry.file_name().to_str()?)).max();
        last.map_or(none, |last| Self::before(path, &names, last.saturating_add(1)))
    }

    fn before(path: &Path, names: &Names, number: u64) -> Self {
        let all = (1..number).rev().map(|number| path.with_file_name(names.segment(number)));
        let segments: Vec<PathBuf> = all.take_while(|path| path.is_file()).collect();
        Self { gone: (segments.len() as u64) < number - 1, segments }
    }

    /// What the first line links to.
    pub(super) fn start(&self) -> Start {
        let Some(newest) = self.segments.first() else {
            return if self.gone { Start::Unknown } else { Start::Fresh };
        };
        let (mut last, mut linked) = (None, false);
        let read = read::lines(newest, |_, line| {
            last = line.map(leaf_hash);
            linked = linked
                || line.is_some_and(|line| line.windows(PREV_PREFIX.len()).any(|at| at == PREV_PREFIX.as_bytes()));
        });
        match (read, last) {
            // Files that are no log of ours may have such names, too.
            (Ok(_), Some(leaf)) if linked => Start::After(leaf),
            _ => Start::Unknown,
        }
    }

    /// Files in which what is missing may stand: the segments, and the others that are checked together with this one.
    pub(super) fn elsewhere<'p>(&'p self, others: &'p [PathBuf]) -> Elsewhere<'p> {
        let others = others.iter().filter(|path| path.is_file());
        let files: Vec<&Path> = self.segments.iter().chain(others).map(PathBuf::as_path).collect();
        Elsewhere { gone: self.gone, alone: self.segments.is_empty(), waiting: Vec::new(), files }
    }
}

/// The journal of a file that is named like a closed segment, and its number.
fn segment(name: &str) -> Option<(Names, u64)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (stem, _) = stem.rsplit_once('.')?;
    let names = Names::new(format!("{stem}.{extension}"));
    let number = names.number(name).filter(|number| *number > 0)?;
    Some((names, number))
}

/// Findings about what is missing in a file, until it was looked for in others.
pub(super) struct Elsewhere<'p> {
    files: Vec<&'p Path>,
    gone: bool,
    /// No segment before it is left.
    alone: bool,
    waiting: Vec<(String, Finding)>,
}

impl Elsewhere<'_> {
    /// Put a finding aside if what is missing may stand elsewhere; it comes back otherwise.
    pub(super) fn wait(&mut self, finding: Finding) -> Option<Finding> {
        if (self.files.is_empty() && !self.gone) || self.waiting.len() >= MAX_WAITING {
            return Some(finding);
        }
        let Some(missing) = missing(&finding) else { return Some(finding) };
        self.waiting.push((missing, finding));
        None
    }

    /// What was found nowhere.
    pub(super) fn finish(self) -> impl Iterator<Item = Finding> {
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
        // Where the oldest segments are gone, what the first line that is left follows cannot be known, nor where a workload began.
        let (gone, alone) = (self.gone, self.alone);
        let unknowable =
            move |finding: &Finding| gone && (finding.kind != Kind::MissingParent || (alone && finding.line == 1));
        let found_nowhere = self.waiting.into_iter().filter(move |(missing, _)| wanted.contains(missing));
        found_nowhere.map(|(_, finding)| finding).filter(move |finding| !unknowable(finding))
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
    use super::segment;

    #[test]
    fn segments_are_told_by_their_names() {
        let of = |name| segment(name).map(|(names, number)| (names.file().to_owned(), number));
        assert_eq!(of("log.12.jsonl"), Some(("log.jsonl".to_owned(), 12)));
        assert_eq!(of("a.b.1.jsonl"), Some(("a.b.jsonl".to_owned(), 1)));
        for name in ["log.jsonl", "log", "log.012.jsonl", "log.0.jsonl", "log.1", "log.x.jsonl"] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
