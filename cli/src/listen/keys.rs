//! Keys that are pinned and retired while a node listens, and when that is kept.

use std::io::Write as _;
use std::path::Path;

use sluis_core::framing::{Text, Value};
use sluis_core::identity::{PublicKey, Statement};
use sluis_core::node::Keeping;
use sluis_core::pins::Origin;
use sluis_core::{StoreError, StoreSeq};

use super::NAME;
use super::app::Listen;
use crate::files;
use crate::output::{Color, Page, tell};

/// What to do where a statement is none, or not one to be believed.
const MEND: &str = "write one with `sluis key rotate` or `key revoke`";

/// The statement of a key in a file.
///
/// # Errors
/// A sentence that names the file.
pub(super) fn statement(file: &Path) -> Result<Statement, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("cannot take in {}: {why}", file.display());
    let text = files::read_text(file, 2 * Statement::MAX_JSON).map_err(|why| wrong(&why))?;
    let value = Value::from_json(text.trim()).map_err(|_| wrong(&format!("it is no JSON; {MEND}")))?;
    Statement::read(value).map_err(|why| wrong(&format!("{why}; {MEND}")))
}

/// The number to wait for, or that there is nothing to wait for.
pub(super) fn change(keeping: Keeping) -> Option<String> {
    match keeping {
        Keeping::Done => None,
        Keeping::Until(seq) => Some(seq.0.to_string()),
    }
}

/// A key was pinned to a name; it is kept once that is said.
pub(super) fn show_pin(page: &mut Page, did: &str, key: PublicKey, keeping: Keeping, origin: Origin) {
    let (fingerprint, change) = (key.fingerprint().to_string(), change(keeping));
    page.show(
        "pin",
        |o| {
            let o = o.str("source_did", did).str("fingerprint", &fingerprint);
            // Who asked for one knows where it comes from.
            let o = if origin == Origin::FirstUse { o.str("origin", origin.as_str()) } else { o };
            o.raw("change", change.as_deref().unwrap_or("null"))
        },
        |flow| {
            flow.word(Color::Bold, "pinned").quoted("", Text::new(did)).words(&format!("to {fingerprint}"));
            if origin == Origin::FirstUse {
                flow.text(Color::Yellow, "at first sight");
            }
        },
    );
}

/// No key is pinned to a name any longer.
pub(super) fn show_unpin(page: &mut Page, did: &str, keeping: Keeping) {
    let change = change(keeping);
    page.show(
        "unpin",
        |o| o.str("source_did", did).raw("change", change.as_deref().unwrap_or("null")),
        |flow| {
            flow.word(Color::Bold, "unpinned").quoted("", Text::new(did));
        },
    );
}

/// A key is not believed any longer.
pub(super) fn show_retired(page: &mut Page, key: PublicKey, successor: Option<PublicKey>, keeping: Option<Keeping>) {
    let (old, new) = (key.fingerprint().to_string(), successor.map(|key| key.fingerprint().to_string()));
    let change = keeping.and_then(change);
    page.show(
        "retired",
        |o| {
            o.str("fingerprint", &old)
                .maybe("successor", new.as_deref())
                .raw("change", change.as_deref().unwrap_or("null"))
        },
        |flow| {
            flow.word(Color::Yellow, "retired");
            flow.piece(Color::Plain, |line| drop(write!(line, "{old}")));
            match &new {
                Some(new) => flow.words(&format!("{new} takes its place")),
                None => flow.words("nobody is believed under its names"),
            };
        },
    );
}

impl Listen {
    /// A statement came in a ping.
    pub(super) fn tell_retired(&mut self, key: PublicKey, successor: Option<PublicKey>) {
        let mut page = self.out.page();
        show_retired(&mut page, key, successor, None);
        self.out.add(page);
    }

    /// The first key of a name was pinned to it.
    pub(super) fn tell_pinned(&mut self, did: &str, key: PublicKey, keeping: Keeping) {
        let mut page = self.out.page();
        show_pin(&mut page, did, key, keeping, Origin::FirstUse);
        self.out.add(page);
    }

    /// Changes are on the disk, or are not.
    pub(super) fn tell_kept(&mut self, upto: StoreSeq, result: Result<(), StoreError>) {
        let why = result.err().map(|why| why.to_string());
        self.out.event(
            "kept",
            |o| o.raw("change", upto.0).raw("ok", why.is_none()).maybe("reason", why.as_deref()),
            |flow| {
                match &why {
                    None => flow.text(Color::Dim, &format!("change {} is on the disk", upto.0)),
                    Some(why) => {
                        flow.word(Color::Red, "not kept:").words(&format!("{why}; what it changed is taken back"))
                    }
                };
            },
        );
        if let Some(why) = why {
            tell(&format!(
                "{NAME}: a change of pins, trust, vouches or tokens could not be kept ({why}): they are as they were before, what was retired or revoked stays so until this node ends."
            ));
        }
    }
}
