//! Single files that prove something: bundles of the log, and envelopes of attestations. What `verify` says of them.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sluis_chain::export::{Envelope, Statement};
use sluis_chain::log::merkle::{leaf_hash, verify_inclusion};
use sluis_chain::log::{BUNDLE_TYPE, Bundle, MAX_BUNDLE};
use sluis_chain::token::{Fault, Token, Verdict};
use sluis_chain::verify::{Finding, Kind, Problem, Summary};
use sluis_chain::workload::check::StepChecker;
use sluis_core::framing::Value;

use super::check::{Checked, What};
use super::judge::{self, Keys};
use super::read;
use super::seals::Seen;
use crate::fail::Fail;
use crate::{files, tokens};

/// A file that is one JSON object of such a kind.
pub(super) enum Proof {
    Bundle(String),
    Envelope(String),
}

/// The largest envelope that is read, and written.
pub(super) const MAX_ENVELOPE: usize = 512 << 20;

/// What a file is, if it is no chain.
pub(super) fn read(path: &Path) -> Result<Option<Proof>, Fail> {
    // What is no regular file is refused by whoever reads chains.
    let stat = fs::metadata(path).map_err(|why| read::cannot(path, &why))?;
    if !stat.is_file() || stat.len() > MAX_ENVELOPE as u64 {
        return Ok(None);
    }
    // Chains may be that large, too, and are not read twice for it.
    if stat.len() > MAX_BUNDLE as u64 && !begins_envelope(path).map_err(|why| read::cannot(path, &why))? {
        return Ok(None);
    }
    let bytes = files::read(path, MAX_ENVELOPE).map_err(|why| read::cannot(path, &why))?;
    let Ok(text) = String::from_utf8(bytes) else { return Ok(None) };
    let Ok(value) = Value::from_json(text.trim()) else { return Ok(None) };
    let is_bundle = value.get("type").and_then(Value::as_text).is_some_and(|kind| kind == BUNDLE_TYPE);
    let is_envelope = value.get("payloadType").is_some();
    Ok(match (is_bundle, is_envelope) {
        (true, _) => Some(Proof::Bundle(text)),
        (_, true) => Some(Proof::Envelope(text)),
        _ => None,
    })
}

/// Whether a file begins as an envelope does: an object whose first member is one of those.
fn begins_envelope(path: &Path) -> io::Result<bool> {
    let mut front = Vec::new();
    files::open(path)?.take(256).read_to_end(&mut front)?;
    let members = front.trim_ascii_start().strip_prefix(b"{").unwrap_or_default().trim_ascii_start();
    Ok([&b"\"payload\""[..], b"\"payloadType\"", b"\"signatures\""].iter().any(|member| members.starts_with(member)))
}

/// Check it.
pub(super) fn check(proof: &Proof, keys: &Arc<Keys>, found: &mut dyn FnMut(&Finding)) -> Result<Checked, Fail> {
    let mut checked = Checked {
        what: match proof {
            Proof::Bundle(_) => What::Bundle,
            Proof::Envelope(_) => What::Envelope { signed: false },
        },
        summary: Summary {
            lines: 1,
            entries: 1,
            tokens: 0,
            unsigned: 0,
            findings: 0,
            linked: false,
            lost: 0,
            unlinked: 0,
            last: None,
            root: None,
        },
        findings: 0,
        checkpoint: None,
        wrong_hashes: 0,
        cut: false,
        let_be: 0,
        keys: Arc::clone(keys),
        seen: Seen::new(keys),
        took: std::time::Duration::ZERO,
    };
    let start = Instant::now();
    let finding = match proof {
        Proof::Bundle(text) => bundle(text, keys, &mut checked),
        Proof::Envelope(text) => envelope(text, keys, &mut checked)?,
    };
    for finding in finding.into_iter().chain(checked.seen.findings()) {
        found(&finding);
        checked.findings += 1;
    }
    checked.took = start.elapsed();
    Ok(checked)
}

fn finding(line: u64, kind: Kind, expected: &str, actual: &impl ToString) -> Finding {
    Finding { line, token_id: None, kind, expected: Some(expected.to_owned()), actual: Some(actual.to_string()) }
}

/// The first thing that is wrong with a bundle.
fn bundle(text: &str, keys: &Keys, checked: &mut Checked) -> Option<Finding> {
    let bundle = match Bundle::parse(text.trim()) {
        Ok(bundle) => bundle,
        Err(why) => return Some(finding(0, Kind::BrokenLine, "a bundle", &why)),
    };
    let line = bundle.index.saturating_add(1);
    // The key in it says who signed; whether to believe that, only who names keys can say.
    let own = bundle.key().map(|key| key.key());
    let known =
        if keys.known.is_empty() { own.as_ref().map_or(&[][..], std::slice::from_ref) } else { keys.known.as_slice() };
    if known.is_empty() {
        return Some(finding(0, Kind::Other("checkpoint"), "a key", &"none that can be read"));
    }
    let held = match judge::open(bundle.checkpoint.as_bytes(), known, None) {
        Ok(held) => held,
        Err(why) => return Some(finding(0, Kind::Other("checkpoint"), "a checkpoint that a known key signed", &why)),
    };
    let held = judge::Held { signed: !keys.known.is_empty(), ..held };
    let (size, root) = (held.size, held.root);
    (checked.summary.root, checked.checkpoint) = (Some(root), Some(held));
    if size != bundle.size {
        return Some(finding(line, Kind::Root, &format!("{size} entries"), &bundle.size));
    }
    if let Err(why) = verify_inclusion(&leaf_hash(bundle.entry.as_bytes()), bundle.index, size, &bundle.proof, &root) {
        return Some(finding(line, Kind::Root, "a way from this entry to the root", &why));
    }
    token(&bundle.entry, line, keys, checked)
}

/// What is wrong with the token itself.
fn token(line: &str, number: u64, keys: &Keys, checked: &mut Checked) -> Option<Finding> {
    let token = match Token::parse(line) {
        Ok(token) => token,
        Err(why) => return Some(finding(number, Kind::BrokenLine, "a token", &why)),
    };
    checked.summary.tokens += 1;
    let sealed = token.signature.as_str().is_some_and(|seal| seal.starts_with("ed25519:") || seal.starts_with("x509:"));
    checked.summary.unsigned += u64::from(!sealed);
    checked.summary.linked = token.prev().is_some();
    let problem = match token.verify(keys.mac.as_ref()) {
        Ok(()) => None,
        Err(Fault::MissingHash) => Some((Kind::MissingHash, "a content hash".to_owned(), String::new())),
        Err(Fault::NonFinite(field)) => Some((Kind::NonFinite, "finite numbers".to_owned(), field.to_string())),
        Err(Fault::ContentHash { actual }) => {
            let actual = actual.map_or_else(|| "another HMAC under this key".to_owned(), |hash| hash.to_string());
            Some((Kind::ContentHash, token.content_hash.to_cow().into_owned(), actual))
        }
        Err(why) => Some((Kind::BrokenLine, "a token".to_owned(), why.to_string())),
    };
    let problem = problem.or_else(|| match token.check_seal(&checked.seen) {
        Verdict::Bad => Some((Kind::BadSignature, "a signature that holds".to_owned(), String::new())),
        Verdict::Unknown => Some((Kind::UnknownKey, "a known key".to_owned(), String::new())),
        Verdict::NotTheActor => {
            Some((Kind::Actor, format!("a signature of {}", token.actor.to_cow()), "that of somebody else".to_owned()))
        }
        Verdict::Unsigned | Verdict::OtherKind if keys.required() => {
            Some((Kind::Unsigned, "a signature".to_owned(), String::new()))
        }
        Verdict::Unsigned | Verdict::OtherKind | Verdict::Good => None,
    });
    let (kind, expected, actual) = problem?;
    let token_id = Some(token.token_id.to_cow().into_owned());
    Some(Finding { line: number, token_id, kind, expected: Some(expected), actual: Some(actual) })
}

/// What is wrong with a token as a step: that it is compromised, say.
fn step(line: &str, number: u64, steps: &mut StepChecker) -> Option<Finding> {
    let token = Token::parse(line).ok()?;
    let Problem { kind, expected, actual, .. } = steps.token(&token, true)?.into();
    Some(Finding { line: number, token_id: Some(token.token_id.to_cow().into_owned()), kind, expected, actual })
}

/// The first thing that is wrong with an attestation.
fn envelope(text: &str, keys: &Arc<Keys>, checked: &mut Checked) -> Result<Option<Finding>, Fail> {
    if keys.known.is_empty() {
        return Err(Fail::usage(
            "an attestation says who signed it, not whether that is true: name the key with --key",
        ));
    }
    let wrong = |why: &dyn ToString| {
        Some(finding(0, Kind::BadSignature, "an envelope that a known key signed", &why.to_string()))
    };
    let envelope = match Envelope::parse(text.trim()) {
        Ok(envelope) => envelope,
        Err(why) => return Ok(Some(finding(0, Kind::BrokenLine, "an envelope", &why))),
    };
    let verified = match envelope.verify(&keys.known, 1) {
        Ok(verified) => verified,
        Err(why) => return Ok(wrong(&why)),
    };
    let payload = match verified.statement() {
        Ok(payload) => payload,
        Err(why) => return Ok(wrong(&why)),
    };
    let statement = match Statement::read(payload, keys.mac.as_ref()) {
        Ok(statement) => statement,
        Err(why) => return Ok(Some(finding(0, Kind::Other("statement"), "what its own tokens say", &why))),
    };
    let (mut wrong, mut as_step, mut steps) = (None, None, StepChecker::new(&tokens::seed()?));
    for (line, number) in statement.lines().iter().zip(1..) {
        let of_token = token(line, number, keys, checked);
        wrong = wrong.or(of_token);
        as_step = as_step.or(step(line, number, &mut steps));
    }
    let found = wrong.or(as_step);
    checked.what = What::Envelope { signed: true };
    Ok(found)
}
