//! `sluis chain export`: a workload as an in-toto statement in a DSSE envelope.

use std::sync::Arc;

use sluis_chain::export::{Statement, StatementError};
use sluis_chain::token::Token;
use sluis_chain::verify::Kind;
use sluis_chain::workload::{Entry, WorkloadId};
use sluis_core::identity::SecretKey;

use super::args::{ExportArgs, Judge};
use super::judge::Keys;
use super::proof::MAX_ENVELOPE;
use super::{check, files, read};
use crate::fail::Fail;
use crate::key;
use crate::output::Out;

/// Print the envelope.
pub(super) fn export(out: &mut Out, args: &ExportArgs) -> Result<(), Fail> {
    let secret = key::file::secret(&args.key)?;
    let keys = Arc::new(believed(args, &secret)?);
    let named = args.workload.as_deref().map(id).transpose()?;
    let before = files::stamp_of(&args.file).map_err(|why| read::cannot(&args.file, &why))?;
    verify(args, &keys)?;
    let (mut lines, mut last) = (Vec::new(), None);
    read::lines(&args.file, |_, line| {
        // A broken line keeps its place: the statement says which it is.
        let line = line.and_then(|line| std::str::from_utf8(line).ok()).unwrap_or("?");
        match Token::parse(line).ok().as_ref().and_then(Entry::read) {
            Some(Ok(entry)) => last = Some(entry.workload_id()),
            Some(Err(_)) => {}
            // What is no business of a workload need not be kept.
            None => return lines.push(String::new()),
        }
        lines.push(line.to_owned());
    })?;
    let file = args.file.display();
    let Some(workload) = named.or(last) else {
        return Err(Fail::runtime(format!("{file} has no workload: `sluis chain new` or `run` begins one")));
    };
    let statement =
        Statement::of(lines.iter().map(String::as_str), Some(workload), keys.mac.as_ref()).map_err(|why| {
            let mend = format!("see `sluis chain verify {file}`");
            match why {
                StatementError::NoWorkload => Fail::runtime(format!("{file} has no workload {workload}")),
                why => Fail::runtime(format!("{file} cannot be attested: {why}; {mend}")),
            }
        })?;
    // What is signed is what was verified.
    if files::stamp_of(&args.file).map_err(|why| read::cannot(&args.file, &why))? != before {
        return Err(Fail::runtime(format!("{file} was written to while it was read, nothing is signed: try again")));
    }
    let mut envelope = statement.envelope();
    envelope.sign(&secret).map_err(Fail::runtime)?;
    let json = envelope.to_json();
    if json.len() > MAX_ENVELOPE {
        let why = "the envelope would be longer than `sluis chain verify` reads";
        return Err(Fail::runtime(format!("{why}, {MAX_ENVELOPE} bytes: export from a log of its own")));
    }
    out.line(|line, _| line.extend_from_slice(json.as_bytes()));
    Ok(())
}

/// Who may have signed what is attested: whoever attests, and who else is named.
fn believed(args: &ExportArgs, secret: &SecretKey) -> Result<Keys, Fail> {
    let judge = Judge {
        hmac_key: args.hmac_key.clone(),
        key: args.signer.clone(),
        trust_bundle: args.trust_bundle.clone(),
        allow_unsigned: args.allow_unsigned,
        ..Judge::default()
    };
    let mut keys = Keys::read(&judge)?;
    keys.known.push(secret.public());
    Ok(keys)
}

/// Nothing is signed that `verify --key` with the same key finds fault with, unless others are named who may have signed. That a step
/// is compromised is no fault of the log: it says so itself, and so will the attestation.
fn verify(args: &ExportArgs, keys: &Arc<Keys>) -> Result<(), Fail> {
    let (mut findings, mut first, mut mend) = (0_u64, None, "");
    check::check(&args.file, &[], &Judge::default(), keys, &mut |finding| {
        if finding.kind.as_str() != "compromised" {
            findings += 1;
            mend = match finding.kind {
                Kind::UnknownKey if mend.is_empty() => {
                    "; name who else may have signed with --signer or --trust-bundle"
                }
                Kind::Unsigned if mend.is_empty() => "; --allow-unsigned attests unsigned tokens, too",
                _ => mend,
            };
            first.get_or_insert_with(|| finding.to_string());
        }
    })?;
    let Some(first) = first else { return Ok(()) };
    let (file, more) =
        (args.file.display(), if findings > 1 { format!(", and {} more", findings - 1) } else { String::new() });
    Err(Fail::runtime(format!("{file} is not attested: {first}{more}; see `sluis chain verify {file}`{mend}")))
}

fn id(text: &str) -> Result<WorkloadId, Fail> {
    let bare = text.strip_prefix("workload_").unwrap_or(text);
    WorkloadId::parse(bare)
        .ok_or_else(|| Fail::usage(format!("--workload `{text}`: write the 16 hex digits of a workload's id")))
}
