//! What a check did not look at: nobody asked for it, or nothing was there to look at. It is said, so that silence is never
//! taken for proof.

use super::check::{Checked, What};

/// Something that was not checked.
pub(super) struct Unchecked {
    /// The word for it in JSON.
    pub(super) word: &'static str,
    /// In words.
    pub(super) text: String,
}

fn lines(count: u64) -> String {
    counted(count, "line")
}

/// `1 line`, `2 lines`.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// All of it.
pub(super) fn of(checked: &Checked) -> Vec<Unchecked> {
    let mut all = Vec::new();
    let mut put = |word, text: String| all.push(Unchecked { word, text });
    match checked.what {
        What::Chain => place(checked, &mut put),
        What::Bundle => keeper(checked, &mut put),
        // The key that signed it was named.
        What::Envelope { .. } => {}
    }
    signatures(checked, &mut put);
    all
}

/// Whether the lines are those of the log, all of them, and in their order.
fn place(checked: &Checked, put: &mut dyn FnMut(&'static str, String)) {
    let summary = &checked.summary;
    match &checked.checkpoint {
        None if summary.linked => put("tail", "no checkpoint: a cut tail would not be seen".to_owned()),
        None => put("links", "not linked: lines that are gone, or all of it rewritten, would not be seen".to_owned()),
        Some(held) => {
            keeper(checked, put);
            let behind = summary.entries.saturating_sub(held.size);
            if behind > 0 {
                put("after_checkpoint", format!("the checkpoint does not cover the last {}", lines(behind)));
            }
        }
    }
    if summary.linked && summary.unlinked > 0 && checked.checkpoint.is_none() {
        put("unlinked", format!("{} beside the first have no link to the one before", lines(summary.unlinked)));
    }
    if checked.cut {
        let text = "segments before the first that is there are missing".to_owned();
        put("segments", text);
    }
    if checked.let_be > 0 {
        put("elsewhere", format!("{} follow what is not there and may be in a missing segment", lines(checked.let_be)));
    }
}

/// Whether the checkpoint is that of whoever keeps the log.
fn keeper(checked: &Checked, put: &mut dyn FnMut(&'static str, String)) {
    let Some(held) = checked.checkpoint.as_ref().filter(|held| !held.signed) else { return };
    let why = match (checked.what, held.own) {
        (What::Bundle, _) => "nobody told whether the key that the bundle itself names is to be believed",
        (_, true) => "nobody told whether the key that the log itself names is to be believed",
        (_, false) => "the signature of the checkpoint was not checked",
    };
    put("checkpoint_key", format!("{why}: name it with --key"));
}

/// Who wrote it.
fn signatures(checked: &Checked, put: &mut dyn FnMut(&'static str, String)) {
    let signers = checked.seen.signers();
    let signed: u64 = signers.iter().map(|(_, tokens, _)| tokens).sum();
    let unjudged = checked.seen.unjudged();
    if !checked.keys.names_somebody() && signed > 0 {
        put("signers", "nobody told which of the keys that signed is to be trusted: name them with --key".to_owned());
    }
    if !checked.keys.asks() && unjudged > 0 {
        let text =
            format!("{} of SPIFFE identities: name the bundle with --trust-bundle", counted(unjudged, "signature"));
        put("spiffe", text);
    }
    let unsigned = checked.summary.unsigned;
    // Where signatures are asked for, each of them is a finding.
    if unsigned > 0 && !checked.seen.requires() {
        let are = if unsigned == 1 { "is" } else { "are" };
        put("unsigned", format!("who wrote {}, which {are} not signed", counted(unsigned, "token")));
    }
    let (actors, others) = checked.seen.unproven();
    if !actors.is_empty() || others > 0 {
        let tokens = actors.iter().map(|(_, tokens)| tokens).sum::<u64>() + others;
        put(
            "actors",
            format!("whether who signed {} is who it says: bind them with --actor", counted(tokens, "token")),
        );
    }
}
