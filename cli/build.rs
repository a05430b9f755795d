//! What `sluis --version` says: the version, the commit it was built from, and the features it was built with.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A new commit writes its name there. Outside of a repository there is none, and the version stands alone.
    if let Some(folder) = git(&["rev-parse", "--absolute-git-dir"]) {
        let log = Path::new(&folder).join("logs/HEAD");
        if log.exists() {
            println!("cargo:rerun-if-changed={}", log.display());
        }
    }
    let mut about = Vec::new();
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        about.push(format!("commit {commit}"));
    }
    let features: Vec<&str> = [("CARGO_FEATURE_WORKLOAD_API", "workload-api")]
        .iter()
        .filter(|(set, _)| std::env::var_os(set).is_some())
        .map(|(_, name)| *name)
        .collect();
    about.push(if features.is_empty() { "no features".to_owned() } else { format!("features {}", features.join(" ")) });
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo:rustc-env=SLUIS_VERSION={version} ({})", about.join(", "));
}

/// What git says about this repository, unless there is none, or it is another one that we only lie in.
fn git(args: &[&str]) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    if !root.join(".git").exists() {
        return None;
    }
    let out = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
    let said = String::from_utf8(out.stdout).ok()?;
    out.status.success().then(|| said.trim().to_owned()).filter(|said| !said.is_empty())
}
