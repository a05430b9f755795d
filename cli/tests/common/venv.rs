//! Virtual environments under `target/` with real Python packages.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What became of an environment in this process.
pub(crate) type Cell = OnceLock<Result<PathBuf, String>>;

/// The Python of an environment with these requirements (a path below `tests/`), made when it is not there yet.
///
/// Where it cannot be had, the tests that need it fail when `CI` or `SLUIS_REQUIRE_PEERS` is set; otherwise a loud
/// message says what was not tested, and they are left out.
pub(crate) fn python(cell: &'static Cell, folder: &str, requirements: &str) -> Option<&'static Path> {
    let mut fresh = false;
    let made = cell.get_or_init(|| {
        fresh = true;
        make(folder, requirements)
    });
    let why = match made {
        Ok(python) => return Some(python),
        Err(why) => why,
    };
    let required = ["CI", "SLUIS_REQUIRE_PEERS"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(!required, "the reference packages cannot be had, and CI or SLUIS_REQUIRE_PEERS demands them:\n{why}");
    if fresh {
        let bar = "#".repeat(100);
        let message = format!(
            "\n{bar}\n# INTEROP WAS NOT TESTED: the Python reference packages cannot be had.\n# {}\n\
             # The interop tests below say `ok` without having run. Set SLUIS_REQUIRE_PEERS=1 to make this a failure.\n{bar}\n",
            why.trim().replace('\n', "\n# ")
        );
        // Not `eprintln!`: the test harness would keep that to itself.
        let _ = std::io::stderr().write_all(message.as_bytes());
    }
    None
}

fn make(folder: &str, requirements: &str) -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("inside target/");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let made = Command::new("python3")
        .arg(tests.join("interop/python/venv.py"))
        .arg(target.join(folder))
        .arg(tests.join(requirements))
        .output()
        .map_err(|e| format!("python3 cannot be started: {e}"))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim_end()))
}
