//! Files of tokens that are written to: what `chain` and `listen --record` do alike.

use std::path::Path;

use sluis_chain::log::fit_origin;
use sluis_core::Seed;
use sluis_journal::OpenError;

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
        OpenError::Io { source, doing, .. } => Fail::runtime(format!("cannot write to {file} ({doing}: {source})")),
        OpenError::Options(why) => Fail::runtime(format!("cannot write to {file}: {why}")),
        OpenError::Damaged { fault, .. } if fault == NO_LINE_FEED => Fail::runtime(format!(
            "the last line of {file} has no line feed, nothing is put behind it: if it is whole, write one (`echo >> {file}`), else \
             take it away"
        )),
        OpenError::Damaged { line, fault, .. } => Fail::runtime(format!(
            "line {line} of {file} is broken ({fault}), nothing is added to it: see `sluis chain verify {file}`"
        )),
        why => Fail::runtime(why),
    }
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
