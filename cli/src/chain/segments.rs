//! Segments of a rotated log, as the first tokens of files tell of them.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use sluis_chain::log::LogHeader;
use sluis_chain::log::merkle::NodeHash;
use sluis_chain::token::Token;
use sluis_journal::Names;

use super::read;
use crate::files;

/// The name of the file beside this one whose first token says that it continues exactly these lines.
pub(super) fn continued_by(file: &Path, size: u64, root: NodeHash) -> Option<PathBuf> {
    if size == 0 {
        return None;
    }
    let resolved = std::fs::canonicalize(file).ok()?;
    let (names, number) = segment(resolved.file_name()?.to_str()?)?;
    let next = [names.segment(number.checked_add(1)?), names.file().to_owned()];
    let next = next.map(|name| resolved.with_file_name(OsStr::new(&name)));
    let next = next.into_iter().find(|next| continues(next).is_some_and(|before| before == (size, root)))?;
    next.file_name().map(PathBuf::from)
}

/// Size and root of the segment that a file continues.
fn continues(file: &Path) -> Option<(u64, NodeHash)> {
    let mut line = Vec::new();
    let file = files::open(file).ok()?;
    BufReader::new(file.take(read::MAX_LINE as u64)).read_until(b'\n', &mut line).ok()?;
    let token = Token::parse_bytes(line.strip_suffix(b"\n")?).ok()?;
    let after = LogHeader::parse(&token.log_header()?.to_cow())?.after?;
    Some((after.size, after.root))
}

/// The journal of a file that is named like a closed segment, and its number.
fn segment(name: &str) -> Option<(Names, u64)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (stem, _) = stem.rsplit_once('.')?;
    let names = Names::new(format!("{stem}.{extension}"));
    let number = names.number(name).filter(|number| *number > 0)?;
    Some((names, number))
}
