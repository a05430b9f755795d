//! Segments of a rotated log, as the first tokens of files tell of them.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sluis_chain::log::Continues;
use sluis_chain::log::merkle::NodeHash;
use sluis_journal::Names;

use super::earlier::first_of;
use crate::files;

/// Files of a folder whose first lines are looked at.
const MAX_FILES: usize = 4096;

/// How the first line of a log begins.
const BEGIN: &[u8] = b"{\"token_id\":";

/// The name of a file beside this one, whatever it is called, whose first token says that it continues exactly these lines.
pub(super) fn continued_by(file: &Path, size: u64, root: NodeHash) -> Option<PathBuf> {
    if size == 0 {
        return None;
    }
    let resolved = std::fs::canonicalize(file).ok()?;
    let continues =
        |next: &Path| first_of(next).header().and_then(|header| header.after) == Some(Continues { size, root });
    // As a rule it has one of these names.
    let named = resolved.file_name().and_then(OsStr::to_str).and_then(segment).map(|(names, number)| {
        [names.segment(number.saturating_add(1)), names.file().to_owned()].map(|name| resolved.with_file_name(name))
    });
    let entries = std::fs::read_dir(resolved.parent()?).ok()?.flatten().map(|entry| entry.path());
    let others = entries.filter(|other| *other != resolved && is_log(other)).take(MAX_FILES);
    let next = named.into_iter().flatten().chain(others).find(|next| continues(next))?;
    next.file_name().map(PathBuf::from)
}

/// Whether a file may be a log, at first sight.
fn is_log(path: &Path) -> bool {
    let mut begin = [0; BEGIN.len()];
    files::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == *BEGIN
}

/// The journal of a file that is named like a closed segment, and its number.
fn segment(name: &str) -> Option<(Names, u64)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (stem, _) = stem.rsplit_once('.')?;
    let names = Names::new(format!("{stem}.{extension}"));
    let number = names.number(name).filter(|number| *number > 0)?;
    Some((names, number))
}
