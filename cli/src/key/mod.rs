//! `sluis key`: make, show, export, rotate and revoke keys, Ed25519 and secp256k1. What reads key files is in [`mod@file`], for every command.

pub(crate) mod args;
pub(crate) mod file;

use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{Fingerprint, PublicKey, SecretKey, Statement};
use sluis_signal::key as signal;
use sluis_tokio::SystemClock;

use self::args::{ExportArgs, Format, KeyCommand, Kind, NewArgs};
use self::file::Held;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::{Color, Out, Style, escape};

/// Do what is asked for.
pub(crate) fn run(common: Common, command: &KeyCommand) -> Result<ExitCode, Fail> {
    let mut out = Out::new(common, false).timed();
    match command {
        KeyCommand::New(args) => new(&mut out, args)?,
        KeyCommand::Show(args) => describe(&mut out, &args.file, &file::any(&args.file)?),
        KeyCommand::Export(args) => export(&mut out, args)?,
        KeyCommand::Rotate(args) => {
            let (old, new) = (file::secret(&args.old)?, file::secret(&args.new)?);
            state(&mut out, Statement::rotation(&old, &new, now()).map_err(Fail::usage)?);
        }
        KeyCommand::Revoke(args) => {
            let statement = Statement::revocation(&file::secret(&args.file)?, now());
            state(&mut out, statement.map_err(Fail::runtime)?);
        }
    }
    out.finish().map_err(|why| Fail::output(&why).although(out.done.as_deref()))?;
    Ok(ExitCode::SUCCESS)
}

fn new(out: &mut Out, args: &NewArgs) -> Result<(), Fail> {
    let seed =
        || sluis_tokio::system_seed().map_err(|why| Fail::runtime(format!("the system has no randomness: {why}")));
    let held = match (args.kind, &args.import) {
        (Kind::Ed25519, Some(_)) => return Err(Fail::usage("--import is for keys of --kind secp256k1, add that")),
        (Kind::Ed25519, None) => Held::Secret(Box::new(SecretKey::generate(&mut seed()?.fork("key")))),
        (Kind::Secp256k1, Some(from)) => Held::SignalSecret(Box::new(file::import(from)?)),
        (Kind::Secp256k1, None) => {
            Held::SignalSecret(Box::new(signal::SecretKey::generate(&mut seed()?.fork("signal key"))))
        }
    };
    let pem = match &held {
        Held::Secret(key) => key.to_pem().map_err(Fail::runtime)?,
        Held::SignalSecret(key) => key.to_pem().map_err(Fail::runtime)?,
        Held::Public(_) | Held::SignalPublic(_) => return Err(Fail::runtime("a public key is not made")),
    };
    file::create(&args.file, pem.as_bytes(), args.force)?;
    out.done = Some(format!("the key is written to {}", args.file.display()));
    describe(out, &args.file, &held);
    Ok(())
}

/// Say whose key this is.
fn describe(out: &mut Out, file: &Path, held: &Held) {
    let (name, secret) = (file.display().to_string(), held.is_secret());
    // What people compare; a key for signalling is compared as it is, for it is the address of its owner.
    let (algorithm, public, fingerprint) = match held {
        Held::Secret(key) => ed25519(&key.public()),
        Held::Public(key) => ed25519(key),
        Held::SignalSecret(key) => ("secp256k1", key.public().to_string(), None),
        Held::SignalPublic(key) => ("secp256k1", key.to_string(), None),
    };
    if out.style == Style::Json {
        return out.json("key", |o| {
            let o = o.str("file", &name).str("algorithm", algorithm).raw("secret", secret).str("public", &public);
            match &fingerprint {
                Some(fingerprint) => o.str("fingerprint", &fingerprint.to_string()),
                None => o,
            }
        });
    }
    let kind = if algorithm == "ed25519" { "Ed25519" } else { algorithm };
    let part = if secret { "secret" } else { "public" };
    out.line(|line, paint| {
        paint.put(line, Color::Bold, |line| escape::put(line, &name));
        let _ = write!(line, ": {kind} {part} key");
    });
    let mut row = |what: &str, value: &dyn Display| out.line(|line, _| drop(write!(line, "  {what:<12} {value}")));
    row("public", &public);
    if let Some(fingerprint) = &fingerprint {
        row("fingerprint", fingerprint);
        row("read aloud", &format_args!("{fingerprint:#}"));
    }
}

fn ed25519(key: &PublicKey) -> (&'static str, String, Option<Fingerprint>) {
    ("ed25519", key.to_string(), Some(key.fingerprint()))
}

fn export(out: &mut Out, args: &ExportArgs) -> Result<(), Fail> {
    let key = match file::any(&args.file)? {
        Held::Secret(key) => key.public(),
        Held::Public(key) => key,
        Held::SignalSecret(key) => return export_signal(out, args, &key.public()),
        Held::SignalPublic(key) => return export_signal(out, args, &key),
    };
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
    put_exported(out, args, "ed25519", &text);
    Ok(())
}

/// A key for signalling has two forms.
fn export_signal(out: &mut Out, args: &ExportArgs, key: &signal::PublicKey) -> Result<(), Fail> {
    let text = match args.format {
        Format::Pem => key.to_pem().map_err(Fail::runtime)?,
        Format::Hex => key.to_string(),
        Format::Note | Format::Openssh => {
            let name = args.format.name();
            return Err(Fail::usage(format!("--format `{name}`: a secp256k1 key has no such form, write pem or hex")));
        }
    };
    put_exported(out, args, "secp256k1", &text);
    Ok(())
}

/// Print a statement: one line of JSON however output is styled, as it is read by other nodes.
fn state(out: &mut Out, statement: Statement) {
    // A line takes everything.
    out.line(|line, _| {
        let _ = statement.write_json(line);
    });
}

/// Seconds since 1970 (UTC), 0 where the clock is before that.
fn now() -> u64 {
    u64::try_from(SystemClock::new().now().wall.as_micros() / 1_000_000).unwrap_or(0)
}

fn put_exported(out: &mut Out, args: &ExportArgs, algorithm: &str, text: &str) {
    match out.style {
        Style::Json => out.json("key", |o| {
            o.str("file", &args.file.display().to_string())
                .str("algorithm", algorithm)
                .str("format", args.format.name())
                .str("text", text.trim_end())
        }),
        Style::Text => out.line(|line, _| line.extend_from_slice(text.trim_end().as_bytes())),
    }
}
