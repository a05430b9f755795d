//! `sluis chain new` and `add`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use sluis_chain::log::fit_origin;
use sluis_chain::token::{GAP, Token};
use sluis_chain::workload::{NewWorkload, Workload, is_reserved};
use sluis_core::Now;
use sluis_core::data::{Text, Value};
use sluis_tokio::SystemClock;

use super::args::{AddArgs, NewArgs};
use super::ledger::{self, Added, Keys, Ledger, Sidecars};
use super::running::Running;
use crate::fail::Fail;
use crate::output::{Color, Out, Style, escape};

/// Begin a chain.
pub(super) fn new(out: &mut Out, args: &NewArgs) -> Result<(), Fail> {
    let there = || {
        Fail::runtime(format!("{} is there already, name another file (`chain add` adds to it)", args.file.display()))
    };
    if fs::metadata(&args.file).is_ok_and(|stat| stat.len() > 0) {
        return Err(there());
    }
    let keys = Keys::read(&args.protect)?;
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.file));
    let owner = args.owner.as_ref().map_or_else(this_machine, |did| did.as_str().to_owned());
    let mut ledger = Ledger::open(&args.file, &keys, Some(&name))?;
    if ledger.size() > 0 {
        return Err(there());
    }
    let added = begin(&mut ledger, &keys, SystemClock::new().now(), &name, &owner)?;
    say(out, "chain new", &args.file, &added, &ledger.renew(&keys));
    Ok(())
}

/// What a chain is called that was given no name: as its file.
pub(super) fn name_of(file: &Path) -> String {
    file.file_stem().map_or_else(|| "chain".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Add the token that begins a workload.
pub(super) fn begin(ledger: &mut Ledger, keys: &Keys, now: Now, name: &str, owner: &str) -> Result<Added, Fail> {
    let (actor, node) = (keys.actor().unwrap_or_else(|| owner.to_owned()), node_name());
    let new = NewWorkload { name, owner, actor: &actor, node: &node, ..NewWorkload::default() };
    let workload = Workload::new(now, &new, &mut ledger.rng)
        .map_err(|why| Fail::usage(format!("a chain cannot be called `{}`: {why}", crate::usage::short(name))))?;
    ledger.known.workload = Some(Running::new(workload));
    ledger.append_step(keys, now, None)
}

/// Add a token.
pub(super) fn add(out: &mut Out, args: &AddArgs) -> Result<(), Fail> {
    if args.action == GAP {
        return Err(Fail::usage(format!(
            "--action `{GAP}` is what `listen --record` writes where events are missing, name another action"
        )));
    }
    if is_reserved(&args.action) {
        return Err(Fail::usage(format!(
            "--action `{}` is what a workload writes: `chain new`, `run`, `plan`, `start`, `complete` and `close` do, name \
             another action",
            args.action
        )));
    }
    let keys = Keys::read(&args.protect)?;
    keys.refuse_another(args.actor.as_deref())?;
    let eraan = references(&args.eraan);
    let eraan = Value::from_json(&eraan).map_err(Fail::usage)?;
    let mut ledger = Ledger::open(&args.file, &keys, None)?;
    let actor = args.actor.clone().or_else(|| keys.actor()).unwrap_or_else(|| owner(&ledger));
    let draft = Token {
        action: Text::new(&args.action),
        actor: Text::new(&actor),
        erin: args.erin.as_value(),
        eraan,
        eromheen: args.eromheen.as_value(),
        erachter: Text::new(&args.erachter),
        parent_id: args.parent.as_deref().map(Text::new),
        state: args.state,
        ..Token::default()
    };
    let added = ledger.append(&keys, SystemClock::new().now(), &draft)?;
    say(out, "chain add", &args.file, &added, &ledger.renew(&keys));
    Ok(())
}

/// Texts as a JSON array.
fn references(all: &[String]) -> String {
    let mut out = vec![b'['];
    for (i, text) in all.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        crate::output::json::put_text(&mut out, Text::new(text));
    }
    out.push(b']');
    String::from_utf8(out).unwrap_or_default()
}

/// Whose the log is.
pub(super) fn owner(ledger: &Ledger) -> String {
    ledger.known.owner().map_or_else(this_machine, ToOwned::to_owned)
}

/// A name for whoever sits at this machine.
fn this_machine() -> String {
    format!("jis:local:{}", fit_origin(&node_name()))
}

/// What this machine is called.
pub(super) fn node_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = String::new();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Say what was added, and what became of the sidecars.
pub(super) fn say(out: &mut Out, command: &str, file: &Path, added: &Added, sidecars: &Sidecars) {
    sidecars.tell(out, command, file, added.line);
    match out.style {
        Style::Json => out.json("added", |o| {
            let o = o
                .str("file", &file.display().to_string())
                .raw("line", added.line)
                .str("token_id", &added.token_id)
                .str("action", &added.action)
                .str("content_hash", &added.content_hash)
                .str("leaf", &ledger::hex(&added.leaf));
            sidecars.put(o)
        }),
        Style::Text => out.line(|line, paint| {
            escape::put(line, &file.display().to_string());
            let _ = write!(line, ", line {}: ", added.line);
            paint.put(line, Color::Bold, |line| escape::put(line, &added.action));
            line.extend_from_slice(b"  ");
            escape::put(line, &added.token_id);
        }),
    }
}
