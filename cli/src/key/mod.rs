//! `sluis key`: make, show and export Ed25519 keys. What reads key files is in [`mod@file`], for every command.

pub(crate) mod args;
pub(crate) mod file;

use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{PublicKey, SecretKey};

use self::args::{ExportArgs, Format, KeyCommand, NewArgs};
use self::file::Held;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::{Color, Out, Style, escape};

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &KeyCommand) -> Result<ExitCode, Fail> {
    let mut out = Out::new(common, false);
    match command {
        KeyCommand::New(args) => new(&mut out, args)?,
        KeyCommand::Show(args) => {
            let held = file::any(&args.file)?;
            describe(&mut out, &args.file, &held.public(), matches!(held, Held::Secret(_)));
        }
        KeyCommand::Export(args) => export(&mut out, args)?,
    }
    out.finish().map_err(|why| Fail::output(&why))?;
    Ok(ExitCode::SUCCESS)
}

fn new(out: &mut Out, args: &NewArgs) -> Result<(), Fail> {
    let seed =
        sluis_tokio::system_seed().map_err(|why| Fail::runtime(format!("the system has no randomness: {why}")))?;
    let key = SecretKey::generate(&mut seed.fork("key"));
    let pem = key.to_pem().map_err(Fail::runtime)?;
    file::create(&args.file, pem.as_bytes(), args.force)?;
    describe(out, &args.file, &key.public(), true);
    Ok(())
}

/// Say whose key this is.
fn describe(out: &mut Out, file: &Path, key: &PublicKey, secret: bool) {
    let (name, fingerprint) = (file.display().to_string(), key.fingerprint());
    if out.style == Style::Json {
        return out.json("key", |o| {
            o.str("file", &name)
                .str("algorithm", "ed25519")
                .raw("secret", secret)
                .str("public", &key.to_string())
                .str("fingerprint", &fingerprint.to_string())
        });
    }
    let kind = if secret { "Ed25519 secret key" } else { "Ed25519 public key" };
    out.line(|line, paint| {
        paint.put(line, Color::Bold, |line| escape::put(line, &name));
        let _ = write!(line, ": {kind}");
    });
    let mut row = |what: &str, value: &dyn Display| out.line(|line, _| drop(write!(line, "  {what:<12} {value}")));
    row("public", key);
    row("fingerprint", &fingerprint);
    row("read aloud", &format_args!("{fingerprint:#}"));
}

fn export(out: &mut Out, args: &ExportArgs) -> Result<(), Fail> {
    let key = file::any(&args.file)?.public();
    let name = args.name.clone().unwrap_or_else(|| {
        args.file.file_stem().map_or_else(|| "sluis".to_owned(), |stem| stem.to_string_lossy().into_owned())
    });
    let text = match args.format {
        Format::Pem => key.to_pem().map_err(Fail::runtime)?,
        Format::Hex => key.to_string(),
        Format::Note => NoteKey::new(&name, key)
            .map_err(|why| Fail::usage(format!("--name `{name}`: {why}, write one like example.org/log")))?
            .to_string(),
        Format::Openssh if name.contains(char::is_control) => {
            return Err(Fail::usage("--name: a comment is one line without control characters, write another"));
        }
        Format::Openssh => format!("{} {name}", key.openssh()),
    };
    match out.style {
        Style::Json => out.json("key", |o| {
            o.str("file", &args.file.display().to_string())
                .str("algorithm", "ed25519")
                .str("format", args.format.name())
                .str("text", text.trim_end())
        }),
        Style::Text => out.line(|line, _| line.extend_from_slice(text.trim_end().as_bytes())),
    }
    Ok(())
}
