//! `sluis chain prove`: one file that proves one token, without the log.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use sluis_chain::log::merkle::{NodeHash, ProveError, leaf_hash};
use sluis_chain::log::note::{Checkpoint, Note, last_note};
use sluis_chain::log::{Bundle, MakeBundleError};
use sluis_chain::token::Token;
use sluis_core::identity::PublicKey;
use sluis_core::identity::note::NoteKey;

use super::args::ProveArgs;
use super::earlier::First;
use super::read;
use crate::fail::Fail;
use crate::output::Out;
use crate::{files, key};

/// Keys that are tried, of those that signed lines.
const MAX_KEYS: usize = 64;
/// The largest file of checkpoints that is read.
const MAX_NOTES: usize = 1 << 20;

/// What is gathered in one pass over the file.
#[derive(Default)]
struct Gathered {
    leaves: Vec<NodeHash>,
    /// Index, number and bytes of the line that is to be proven: blank lines have a number and no index.
    entry: Option<(u64, u64, Vec<u8>)>,
    /// The key that the first line names as the log's, and keys that signed lines: one of them signed the checkpoint, as a rule.
    keys: Vec<PublicKey>,
}

/// Print the bundle.
pub(super) fn prove(out: &mut Out, args: &ProveArgs) -> Result<(), Fail> {
    let note = note(args)?;
    let gathered = gather(args)?;
    let file = args.file.display();
    let Some((index, number, entry)) = gathered.entry else {
        return Err(Fail::runtime(format!(
            "{file} has no token `{}`, write an id or the number of a line",
            args.token
        )));
    };
    let broken = |why: &dyn std::fmt::Display| Fail::runtime(format!("the checkpoint of {file} cannot be read: {why}"));
    let parsed = Note::parse(note.as_bytes()).map_err(|why| broken(&why))?;
    let checkpoint = Checkpoint::parse(parsed.text()).map_err(|why| broken(&why))?;
    let key = signer(args, &gathered.keys, &parsed, checkpoint.origin)?;
    let made = Bundle::new(&entry, index, &mut gathered.leaves.as_slice(), &note, key);
    let bundle = made.map_err(|why| refused(&file.to_string(), number, checkpoint.size, &why))?;
    let mut json = Vec::new();
    bundle.write_json(&mut json).map_err(Fail::runtime)?;
    out.line(|line, _| line.extend_from_slice(&json));
    Ok(())
}

fn refused(file: &str, number: u64, size: u64, why: &MakeBundleError<Infallible>) -> Fail {
    match why {
        MakeBundleError::Prove(ProveError::OutOfRange) => Fail::runtime(format!(
            "the checkpoint of {file} covers {size} lines (blank ones aside) and not line {number}, sign a newer one (`chain add --key`)"
        )),
        MakeBundleError::Proof(_) => Fail::runtime(format!(
            "the lines of {file} are not those of its checkpoint: see `sluis chain verify {file}`"
        )),
        why => Fail::runtime(why),
    }
}

/// The newest checkpoint.
fn note(args: &ProveArgs) -> Result<String, Fail> {
    let path = args.checkpoint.clone().unwrap_or_else(|| files::beside(&args.file, ".checkpoint"));
    let bytes = files::read(&path, MAX_NOTES).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound if args.checkpoint.is_none() => Fail::runtime(format!(
            "there is no {}.checkpoint: only a signed checkpoint proves anything, `sluis chain add --key` makes one",
            args.file.display()
        )),
        _ => read::cannot(&path, &why),
    })?;
    let text = std::str::from_utf8(last_note(&bytes)).map_err(|_| not_text(&path))?;
    Ok(text.to_owned())
}

fn not_text(path: &Path) -> Fail {
    Fail::runtime(format!("{} is no text", path.display()))
}

fn gather(args: &ProveArgs) -> Result<Gathered, Fail> {
    let wanted: Option<u64> = args.token.parse().ok();
    let mut gathered = Gathered::default();
    read::lines(&args.file, |number, line| {
        // A line that is too long is none that a log wrote; in its place the proof fails.
        let line = line.unwrap_or_default();
        let token = Token::parse_bytes(line).ok();
        if gathered.leaves.is_empty() {
            gathered.keys.extend(First::of(line).header().and_then(|header| header.key));
        }
        let named = token.is_some_and(|token| token.token_id == args.token.as_str());
        if gathered.entry.is_none() && (wanted == Some(number) || named) {
            gathered.entry = Some((gathered.leaves.len() as u64, number, line.to_vec()));
        }
        if let Some(key) = token.filter(|_| gathered.keys.len() < MAX_KEYS).and_then(|token| token.sealed_by())
            && !gathered.keys.contains(&key)
        {
            gathered.keys.push(key);
        }
        gathered.leaves.push(leaf_hash(line));
    })?;
    Ok(gathered)
}

/// The key that signed the checkpoint: the one that is named, or one that signed lines.
fn signer<'n>(args: &ProveArgs, seen: &[PublicKey], note: &Note<'_>, origin: &'n str) -> Result<NoteKey<'n>, Fail> {
    let named = args.key.as_deref().map(key::file::public).transpose()?;
    let all = named.as_ref().map_or(seen, std::slice::from_ref);
    let signed = all.iter().filter_map(|key| NoteKey::new(origin, *key).ok()).find(|key| note.verify(&[*key]).is_ok());
    signed.ok_or_else(|| match named {
        Some(_) => Fail::runtime(format!("that key did not sign the checkpoint of {origin}, name the one that did")),
        None => {
            Fail::runtime(format!("no key that signed lines signed the checkpoint of {origin}, name it with --key"))
        }
    })
}
