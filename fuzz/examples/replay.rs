//! Runs a target on files or folders, with any toolchain: `cargo run -p sluis-fuzz --example replay -- node crash-1234 …`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn files(path: &Path, out: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let mut inside: Vec<_> =
            std::fs::read_dir(path).expect("a readable folder").flatten().map(|e| e.path()).collect();
        inside.sort();
        inside.iter().for_each(|path| files(path, out));
    } else {
        out.push(path.to_owned());
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let name = args.next().unwrap_or_default();
    let Some((_, run)) = sluis_fuzz::TARGETS.into_iter().find(|(target, _)| name == *target) else {
        let names: Vec<_> = sluis_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: replay {} FILE…", names.join("|"));
        return ExitCode::from(2);
    };
    let mut inputs = Vec::new();
    args.for_each(|path| files(Path::new(&path), &mut inputs));
    let mut broken = 0;
    for path in inputs {
        let data = std::fs::read(&path).expect("a readable file");
        if std::panic::catch_unwind(|| run(&data)).is_err() {
            eprintln!("^^ {}", path.display());
            broken += 1;
        }
    }
    println!("{broken} broken");
    ExitCode::from(u8::from(broken > 0))
}
