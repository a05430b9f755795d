//! Files of tokens that are written to: what `chain` and `listen --record` do alike.

use std::path::Path;

use sluis_chain::log::fit_origin;
use sluis_core::Seed;
use sluis_journal::{EntryFault, OpenError};

use crate::fail::Fail;
use crate::output::tell;

/// What the journal says of a file that does not end with a line feed.
const NO_LINE_FEED: &str = "no line feed at its end";

/// A seed of the system's, never used twice.
pub(crate) fn seed() -> Result<Seed, Fail> {
    sluis_tokio::system_seed().map_err(|why| Fail::runtime(format!("the system has no randomness: {why}")))
}

/// Why a file cannot be added to, in a sentence.
pub(crate) fn opening(path: &Path, why: &OpenError) -> Fail {
    let file = path.display();
    match why {
        // It may be a file beside it.
        OpenError::Io { source, doing, path } => {
            let path = path.strip_prefix("./").filter(|_| !file.to_string().starts_with("./")).unwrap_or(path);
            Fail::runtime(format!("cannot write to {path} ({doing}: {source})"))
        }
        OpenError::Options(why) => Fail::runtime(format!("cannot write to {file}: {why}")),
        OpenError::Damaged { fault, .. } if fault == NO_LINE_FEED => Fail::runtime(format!(
            "the last line of {file} has no line feed, nothing is put behind it: if it is whole, write one (`echo >> {file}`), else \
             take it away"
        )),
        OpenError::Damaged { line, fault, .. } if *fault == EntryFault::Unsealed.to_string() => Fail::runtime(format!(
            "line {line} of {file} is behind its checkpoint and not signed by the key of the log, nothing is added to it: see `sluis \
             chain verify {file} --key PUB`, and take it away, or cover it all the same: `--new-checkpoint` with the next `sluis chain \
             add` (a line of `--svid` is signed by its SPIFFE identity: after a crash before its checkpoint was written, that is what \
             this takes)"
        )),
        OpenError::Checkpoint { sidecar, fault, .. } if *fault == EntryFault::CheckpointMissing.to_string() => {
            Fail::runtime(format!(
                "{sidecar} is missing, and the first line of {file} says that it has one, so lines may have been cut off and nothing is \
                 added: bring the files beside it back, or sign a new one over what there is: `--new-checkpoint` with the next `sluis chain add`"
            ))
        }
        OpenError::Damaged { line, fault, .. } => Fail::runtime(format!(
            "line {line} of {file} is broken ({fault}), nothing is added to it: see `sluis chain verify {file}`"
        )),
        why => Fail::runtime(why),
    }
}

/// Refuse a log by a second name, a hard link: under each name it would have sidecars of its own, of which one tells the truth. Its own
/// name is the one that has sidecars.
#[cfg(unix)]
pub(crate) fn refuse_second_name(path: &Path) -> Result<(), Fail> {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(resolved) = std::fs::canonicalize(path) else { return Ok(()) };
    let Ok(stat) = std::fs::metadata(&resolved) else { return Ok(()) };
    let beside = |path: &Path, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        Path::new(&name).exists()
    };
    // While a rotation is under way, the file has two names.
    if !stat.is_file()
        || stat.nlink() < 2
        || stat.len() == 0
        || beside(&resolved, ".tree")
        || beside(&resolved, ".next")
    {
        return Ok(());
    }
    let entries = resolved.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let same = |other: &Path| {
        other != resolved
            && std::fs::symlink_metadata(other).is_ok_and(|is| (is.dev(), is.ino()) == (stat.dev(), stat.ino()))
    };
    let own = entries.map(|entry| entry.path()).find(|other| same(other) && beside(other, ".tree"));
    let file = path.display();
    match own {
        Some(own) => Err(Fail::runtime(format!(
            "{file} is another name (a hard link) of {}, beside which its sidecars are: name that one",
            own.file_name().unwrap_or_default().display()
        ))),
        None if is_ours(&resolved) => Err(Fail::runtime(format!(
            "{file} has another name (a hard link), and no {file}.tree: name the one beside which that is, or remove the other name"
        ))),
        None => Ok(()),
    }
}

/// Whether the first line of a file says of which log it is: beside such a one we have written sidecars.
#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    crate::chain::first_of(path).header().is_some()
}

/// Here nothing tells that a file has two names.
#[cfg(not(unix))]
pub(crate) fn refuse_second_name(_: &Path) -> Result<(), Fail> {
    Ok(())
}

/// Tell where the bytes of a torn write are, if there are any.
pub(crate) fn tell_torn(path: &Path, torn: u64) {
    if torn > 0 {
        let file = path.display();
        tell(&format!("sluis: the last write to {file} was torn, its {torn} bytes are in {file}.torn now"));
    }
}

/// What a log is called that was given no name: as its file.
pub(crate) fn origin_of(file: &Path) -> String {
    fit_origin(&file.file_stem().map_or_else(|| "log".into(), |stem| stem.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_origins() {
        assert_eq!(origin_of(Path::new("/var/log/relay 3.jsonl")), "relay-3");
        assert_eq!(origin_of(Path::new("/")), "log");
    }
}
