//! The README, run from top to bottom in one folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::folder::Folder;

const README: &str = include_str!("../../../README.md");

/// In place of cargo: building is what brought this test here. It knows the commands that the README may use, and what they name must be
/// there.
const CARGO: &str = r#"
cargo() {
    case "$*" in
        "install --locked --path cli" | "test --locked --workspace --all-features" | "bench -p sluis-benches") ;;
        "run --locked --release -p sluis-cli -- demo") sluis demo ;;
        "run --release -p sluis-benches --bin "*)
            local bin=$ROOT/benches/src/bin/$6
            [ -e "$bin.rs" ] || [ -e "$bin" ] || { echo "no such bench: $6" >&2; return 1; } ;;
        *) echo "the README uses cargo in a way that is not tested: cargo $*" >&2; return 1 ;;
    esac
}
"#;

/// The shell blocks, in their order.
fn blocks(text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, from)) = rest.split_once("\n```sh\n") {
        let (block, after) = from.split_once("\n```\n").expect("a block ends");
        blocks.push(block);
        rest = after;
    }
    blocks
}

#[test]
fn what_the_readme_shows_works() {
    let folder = Folder::new("readme");
    let bin = folder.0.join("bin");
    fs::create_dir(&bin).expect("a folder");
    symlink(env!("CARGO_BIN_EXE_sluis"), bin.join("sluis")).expect("a link");
    let blocks = blocks(README);
    assert!(blocks.len() >= 5, "{blocks:?}");
    let mut script = String::from("set -euo pipefail\n");
    script += CARGO;
    for block in blocks {
        script += block;
        script.push('\n');
    }
    script += "wait\n";
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&folder.0)
        .env("PATH", path)
        .env("ROOT", root)
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let (said, told) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}\n{told}");
    // What the text around the blocks promises.
    assert!(said.contains("GROEN  accepted") && said.contains("GEEL   waits"), "{said}");
    assert!(said.contains("as the checkpoint of relay-3"), "{said}");
    for file in ["relay.dsse.json", "events.jsonl.checkpoint", "capture.pcapng"] {
        assert!(folder.0.join("target/try").join(file).exists(), "{file} was not made");
    }
}
