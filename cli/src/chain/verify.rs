//! `sluis chain verify`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use sluis_chain::token::Hash32;
use sluis_chain::verify::Finding;
use sluis_core::data::Sink as _;

use super::args::VerifyArgs;
use super::check::{self, Checked, What};
use super::judge::Keys;
use super::seals::{Seen, Signed};
use super::{proof, unchecked};
use crate::fail::Fail;
use crate::output::json::Object;
use crate::output::{Color, Out, Style, escape};

/// Characters of what is expected and found that people are shown.
const MAX_SHOWN: usize = 120;

/// The file name that stands for standard input.
const STDIN: &str = "-";

/// Check every file.
pub(super) fn verify(out: &mut Out, args: &VerifyArgs) -> Result<ExitCode, Fail> {
    if args.files.len() > 1 && args.judge.checkpoint.is_some() {
        return Err(Fail::usage("--checkpoint is that of one file, verify the files one by one"));
    }
    let keys = Arc::new(Keys::read(&args.judge)?);
    let (mut good, mut failed) = (true, None);
    for file in &args.files {
        match one(out, args, file, &keys) {
            Ok(nothing) => good &= nothing,
            // The others are looked at all the same.
            Err(why) => {
                out.flush();
                if let Some(before) = failed.replace(why) {
                    crate::output::tell(&format!("sluis chain verify: {before}."));
                }
            }
        }
    }
    match failed {
        Some(why) => Err(why),
        None if good => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::FAILURE),
    }
}

/// Check one file; whether nothing was found.
fn one(out: &mut Out, args: &VerifyArgs, file: &Path, keys: &Arc<Keys>) -> Result<bool, Fail> {
    if file.as_os_str() == STDIN {
        let others: Vec<PathBuf> = args.files.iter().filter(|other| other.as_os_str() != STDIN).cloned().collect();
        let checked = check::check_stdin(&others, &args.judge, keys, &mut |finding| say(out, file, finding))?;
        summary(out, file, &checked);
        return Ok(checked.findings == 0);
    }
    // By what they are, so that no file stands in for itself.
    let resolved = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let this = resolved(file);
    let others: Vec<PathBuf> = args.files.iter().filter(|other| resolved(other) != this).cloned().collect();
    let checked = match proof::read(file)? {
        Some(proof) => proof::check(&proof, keys, &mut |finding| say(out, file, finding))?,
        None => check::check(file, &others, &args.judge, keys, &mut |finding| say(out, file, finding))?,
    };
    summary(out, file, &checked);
    Ok(checked.findings == 0)
}

/// One finding.
fn say(out: &mut Out, file: &Path, finding: &Finding) {
    match out.style {
        Style::Json => out.json("finding", |object| finding_json(object, finding)),
        Style::Text => out.line(|line, paint| {
            escape::put(line, &file.display().to_string());
            line.extend_from_slice(b": ");
            finding_text(line, paint, finding);
        }),
    }
}

/// The members of a finding.
pub(super) fn finding_json<'l>(object: Object<'l>, finding: &Finding) -> Object<'l> {
    object
        .raw("line", finding.line)
        .maybe("token_id", finding.token_id.as_deref())
        .str("kind", finding.kind.as_str())
        .maybe("expected", finding.expected.as_deref())
        .maybe("actual", finding.actual.as_deref())
}

/// `line 3, token tibet_…: content_hash: expected …, found …`
pub(super) fn finding_text(line: &mut Vec<u8>, paint: crate::output::Paint, finding: &Finding) {
    if finding.line > 0 {
        let _ = write!(line, "line {}", finding.line);
        if let Some(id) = &finding.token_id {
            line.extend_from_slice(b", token ");
            escape::put(line, id);
        }
        line.extend_from_slice(b": ");
    }
    paint.text(line, Color::Red, finding.kind.as_str());
    let mut word = ": expected ";
    if let Some(expected) = finding.expected.as_ref().filter(|text| !text.is_empty()) {
        line.extend_from_slice(word.as_bytes());
        short(line, expected);
        word = ", found ";
    } else {
        word = ": found ";
    }
    if let Some(actual) = finding.actual.as_ref().filter(|text| !text.is_empty()) {
        line.extend_from_slice(word.as_bytes());
        short(line, actual);
    }
}

/// Whole signatures help nobody who reads.
fn short(line: &mut Vec<u8>, text: &str) {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => {
            escape::put(line, &text[..end]);
            line.extend_from_slice(b"...");
        }
        None => escape::put(line, text),
    }
}

fn summary(out: &mut Out, file: &Path, checked: &Checked) {
    match out.style {
        Style::Json => summary_json(out, file, checked),
        Style::Text => summary_text(out, file, checked),
    }
}

fn summary_json(out: &mut Out, file: &Path, checked: &Checked) {
    let Checked { summary, findings, checkpoint, seen, took, .. } = checked;
    out.json("summary", |o| {
        o.str("file", &file.display().to_string())
            .raw("lines", summary.lines)
            .raw("tokens", summary.tokens)
            .raw("findings", findings)
            .raw("ok", *findings == 0)
            .raw("linked", summary.linked)
            .raw("lost_events", summary.lost)
            .raw("size", summary.entries)
            .maybe("root", check::root(summary).as_deref())
            .with("checkpoint", |line| match checkpoint {
                None => line.extend_from_slice(b"null"),
                Some(held) => Object::new(line)
                    .str("origin", &held.origin)
                    .raw("size", held.size)
                    .str("root", &Hash32(held.root).to_string())
                    .raw("signed", held.signed)
                    .raw("own_key", held.own)
                    .end(),
            })
            .with("signers", |line| {
                line.push(b'[');
                for (i, (signed, tokens, known)) in seen.signers().into_iter().enumerate() {
                    if i > 0 {
                        line.push(b',');
                    }
                    let object = Object::new(line);
                    let object = match signed {
                        Signed::Key(key) => {
                            object.str("public", &key.to_string()).str("fingerprint", &key.fingerprint().to_string())
                        }
                        Signed::Spiffe(id) => object.str("spiffe_id", &id),
                    };
                    object.raw("tokens", tokens).raw("known", known).end();
                }
                let _ = line.put(b"]");
            })
            .with("unproven", |line| put_unproven(line, seen))
            .with("not_checked", |line| {
                line.push(b'[');
                for (i, unchecked) in unchecked::of(checked).iter().enumerate() {
                    let _ = write!(line, "{}\"{}\"", if i > 0 { "," } else { "" }, unchecked.word);
                }
                line.push(b']');
            })
            .rounded("elapsed_s", Some(took.as_secs_f64()), 6)
    });
}

/// Actors whose tokens are signed by somebody who is not known to be them.
fn put_unproven(line: &mut Vec<u8>, seen: &Seen) {
    let (actors, others) = seen.unproven();
    line.push(b'[');
    for (i, (actor, tokens)) in actors.iter().enumerate() {
        if i > 0 {
            line.push(b',');
        }
        Object::new(line).str("actor", actor).raw("tokens", tokens).end();
    }
    if others > 0 {
        if !actors.is_empty() {
            line.push(b',');
        }
        Object::new(line).raw("actor", "null").raw("tokens", others).end();
    }
    line.push(b']');
}

fn summary_text(out: &mut Out, file: &Path, checked: &Checked) {
    let Checked { what, summary, findings, checkpoint, seen, took, wrong_hashes, .. } = checked;
    out.line(|line, paint| {
        escape::put(line, &file.display().to_string());
        let _ = write!(line, ": {} {}, ", summary.tokens, if summary.tokens == 1 { "token" } else { "tokens" });
        match findings {
            0 => paint.text(line, Color::Green, "nothing found"),
            1 => paint.text(line, Color::Red, "1 finding"),
            n => paint.put(line, Color::Red, |line| drop(write!(line, "{n} findings"))),
        }
        let _ = write!(line, "; {:.1} s", took.as_secs_f64());
    });
    let mut also = |text: String| out.line(|line, paint| paint.put(line, Color::Dim, |line| escape::put(line, &text)));
    if *wrong_hashes > 0 && *wrong_hashes == summary.tokens {
        also(
            "  no hash holds: they may have been made with a shared key, or another one; name it with --hmac-key"
                .to_owned(),
        );
    }
    if summary.lost > 0 {
        let events = if summary.lost == 1 { "event is" } else { "events are" };
        also(format!(
            "  {} {events} not recorded in it, as its own tokens ({}) say",
            summary.lost,
            sluis_chain::token::GAP
        ));
    }
    if let What::Envelope { signed: true } = what {
        also("  an attestation that a known key signed".to_owned());
    }
    if let Some(held) = checkpoint {
        let word = if *findings == 0 { "as" } else { "held against" };
        let who = match (held.signed, held.own) {
            (true, _) => ", signed by a known key",
            (false, true) => ", signed by the key that the log names",
            (false, false) => "",
        };
        also(format!("  {word} the checkpoint of {} with {}{who}", held.origin, unchecked::counted(held.size, "line")));
    }
    for (signed, tokens, known) in seen.signers() {
        also(match (signed, known) {
            (Signed::Key(key), true) => format!("  {tokens} signed by {} (a known key)", key.fingerprint()),
            (Signed::Key(key), false) => format!("  {tokens} signed by {}", key.fingerprint()),
            (Signed::Spiffe(id), _) => format!("  {tokens} signed by {id}"),
        });
    }
    let (actors, others) = seen.unproven();
    for (actor, tokens) in &actors {
        also(format!("  unproven: {actor} ({})", unchecked::counted(*tokens, "token")));
    }
    if others > 0 {
        also(format!("  unproven: other actors ({})", unchecked::counted(others, "token")));
    }
    for unchecked in unchecked::of(checked) {
        also(format!("  not checked: {}", unchecked.text));
    }
}
