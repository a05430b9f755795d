//! What the two commands that measure a medium share: their arguments, a folder on it, times on the wall, and the comparison with a floor.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use crate::contest::{self, Runner};
use crate::report::{Report, Row};

/// Run `NAME [--json] [--rounds N (61)] [--folder PATH (under target/)]`: `measure` is given a new folder, which is removed when it has
/// succeeded, where results go, and how many rounds there are.
pub fn main(
    name: &'static str,
    measure: impl FnOnce(&Path, &mut Report, usize) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    let usage = format!("usage: {name} [--json] [--rounds N (61)] [--folder PATH (under target/)]");
    let misused = || {
        eprintln!("{usage}");
        ExitCode::from(2)
    };
    let (mut json, mut rounds, mut folder) = (false, 61, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => json = true,
            "--help" | "-h" => {
                println!("{usage}");
                return ExitCode::SUCCESS;
            }
            "--rounds" => match args.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0) {
                Some(n) => rounds = n,
                None => return misused(),
            },
            "--folder" => match args.next() {
                Some(path) => folder = Some(PathBuf::from(path)),
                None => return misused(),
            },
            _ => return misused(),
        }
    }
    let parent =
        folder.unwrap_or_else(|| std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()).into());
    let folder = parent.join(format!("{name}-{}", std::process::id()));
    let mut report = Report::new(name, json);
    let measured = fs::create_dir_all(&folder).map_err(Into::into).and_then(|()| measure(&folder, &mut report, rounds));
    report.finish();
    match measured.and_then(|()| Ok(fs::remove_dir_all(&folder)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// One that is timed on the wall: it waits for the medium.
pub fn timed<'a>(name: &'static str, mut op: impl FnMut() + 'a) -> Runner<'a> {
    Runner::custom(name, move |n| {
        let began = Instant::now();
        for _ in 0..n {
            op();
        }
        began.elapsed()
    })
}

/// Report how much of the first one's speed the others reach, and whether that is as much as `target`.
pub fn compare(report: &mut Report, (batch, rounds): (usize, usize), target: f64, runners: &mut [Runner<'_>]) {
    let standings = contest::run(runners, rounds);
    let Some((floor, ours)) = standings.split_first() else { return };
    for standing in ours {
        report.at_least(&Row {
            what: format!("{}, batches of {batch}", standing.name),
            value: 1.0 / standing.ratio,
            unit: "×",
            target: Some(target),
            floor: Some((floor.name, floor.nanos)),
            nanos: Some(standing.nanos),
        });
    }
}
