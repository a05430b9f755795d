//! Replays the committed corpora: every input that ever mattered, crashes that were found included.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Bounds of what is committed.
const MOST_FILES: usize = 200;
const MOST_BYTES: usize = 1 << 20;

fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_input_keeps_every_promise() {
    let mut broken = Vec::new();
    for (target, run) in sluis_fuzz::TARGETS {
        let inputs = inputs(target);
        assert!(inputs.len() >= 20, "{target}: only {} inputs", inputs.len());
        for path in inputs {
            let data = fs::read(&path).unwrap();
            if catch_unwind(|| run(&data)).is_err() {
                broken.push(path);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_corpora_stay_small() {
    let mut bytes = 0;
    for (target, _) in sluis_fuzz::TARGETS {
        let inputs = inputs(target);
        assert!(inputs.len() <= MOST_FILES, "{target}: {} inputs", inputs.len());
        bytes += inputs.iter().map(|path| usize::try_from(fs::metadata(path).unwrap().len()).unwrap()).sum::<usize>();
    }
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
}
