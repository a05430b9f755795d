//! Segments of a rotated log, as the first tokens of files tell of them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sluis_chain::log::Continues;
use sluis_chain::log::merkle::NodeHash;
use sluis_journal::Names;

use super::earlier::first_of;

/// The name of the file beside this one whose first token says that it continues exactly these lines.
pub(super) fn continued_by(file: &Path, size: u64, root: NodeHash) -> Option<PathBuf> {
    if size == 0 {
        return None;
    }
    let resolved = std::fs::canonicalize(file).ok()?;
    let (names, number) = segment(resolved.file_name()?.to_str()?)?;
    let next = [names.segment(number.checked_add(1)?), names.file().to_owned()];
    let next = next.map(|name| resolved.with_file_name(OsStr::new(&name)));
    let next = next
        .into_iter()
        .find(|next| first_of(next).header().and_then(|header| header.after) == Some(Continues { size, root }))?;
    next.file_name().map(PathBuf::from)
}

/// The journal of a file that is named like a closed segment, and its number.
fn segment(name: &str) -> Option<(Names, u64)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (stem, _) = stem.rsplit_once('.')?;
    let names = Names::new(format!("{stem}.{extension}"));
    let number = names.number(name).filter(|number| *number > 0)?;
    Some((names, number))
}
