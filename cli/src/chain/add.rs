//! `sluis chain new` and `add`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use sluis_chain::log::{AppendError as LogError, Log, Protection};
use sluis_chain::token::{Hash32, Token};
use sluis_chain::workload::{Created, Protection as StepProtection, WorkloadId};
use sluis_core::framing::{Text, Value};
use sluis_tokio::SystemClock;

use super::args::{AddArgs, NewArgs};
use super::ledger::{self, Added, Keys, Ledger};
use super::lines::Lines;
use crate::fail::Fail;
use crate::output::{Color, Out, Style, escape};
use crate::tokens;

/// Begin a chain.
pub(super) fn new(out: &mut Out, args: &NewArgs) -> Result<(), Fail> {
    let there = || {
        Fail::runtime(format!("{} is there already, name another file (`chain add` adds to it)", args.file.display()))
    };
    if fs::metadata(&args.file).is_ok_and(|stat| stat.len() > 0) {
        return Err(there());
    }
    let keys = Keys::read(&args.protect)?;
    let stem = || args.file.file_stem().map_or_else(|| "chain".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().unwrap_or_else(stem);
    let owner = args.owner.as_ref().map_or_else(this_machine, |did| did.as_str().to_owned());
    let ledger = Ledger::open(&args.file)?;
    if ledger.lines().tree.size() > 0 {
        return Err(there());
    }
    let added = begin(&ledger, &keys, &name, &owner)?;
    ledger.checkpoint(&keys)?;
    say(out, &args.file, &added);
    Ok(())
}

/// Add the token that begins a workload.
pub(super) fn begin(ledger: &Ledger, keys: &Keys, name: &str, owner: &str) -> Result<Added, Fail> {
    let at = SystemClock::new().now().wall;
    let id = WorkloadId::derive(name, owner, at, tokens::seed()?.fork("workload").u64().to_be_bytes());
    let node = node_name();
    let actor = keys.actor().unwrap_or_else(|| owner.to_owned());
    ledger.append(|lines: &Lines, room| {
        let created = Created {
            workload_id: id,
            name: Text::new(name),
            owner: Text::new(owner),
            spiffe_id: Text::EMPTY,
            actor: Text::new(&actor),
            node: Text::new(&node),
            at,
            parent_id: None,
            metadata: Value::EMPTY_OBJECT,
        };
        let written = keys.sealing(at, |seal| {
            created.write(&StepProtection { mac: keys.mac.as_ref(), seal, link: lines.link() }, room)
        });
        written.map(|written| written.len).map_err(Fail::runtime)
    })
}

/// Add a token.
pub(super) fn add(out: &mut Out, args: &AddArgs) -> Result<(), Fail> {
    let keys = Keys::read(&args.protect)?;
    let seed = tokens::seed()?;
    let eraan = references(&args.eraan);
    let eraan = Value::from_json(&eraan).map_err(Fail::usage)?;
    refuse_another(&keys, args.actor.as_deref())?;
    let ledger = Ledger::open(&args.file)?;
    let now = SystemClock::new().now();
    let added = ledger.append(|lines: &Lines, room| {
        let actor = args.actor.clone().or_else(|| keys.actor()).unwrap_or_else(|| owner(lines));
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
        let mut log = Log::resume(&seed, lines.tree.clone(), lines.last);
        let made =
            keys.sealing(now.wall, |seal| log.append(now, &draft, Protection { mac: keys.mac.as_ref(), seal }, room));
        made.map(|made| made.len.saturating_sub(1)).map_err(|why| match why {
            why @ (LogError::Seal(_) | LogError::Encode(_)) => Fail::runtime(why),
            why => Fail::usage(why),
        })
    })?;
    ledger.checkpoint(&keys)?;
    say(out, &args.file, &added);
    Ok(())
}

/// A SPIFFE identity signs for nobody else.
pub(super) fn refuse_another(keys: &Keys, actor: Option<&str>) -> Result<(), Fail> {
    match (keys.actor(), actor) {
        (Some(id), Some(actor)) if id != actor => Err(Fail::usage(format!(
            "--actor `{actor}`: the SPIFFE identity is {id} and signs for nobody else, leave --actor out"
        ))),
        _ => Ok(()),
    }
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

/// Whose the chain is.
pub(super) fn owner(lines: &Lines) -> String {
    lines.kept.workload.as_ref().map_or_else(this_machine, |workload| workload.owner.clone())
}

/// A name for whoever sits at this machine.
fn this_machine() -> String {
    format!("jis:local:{}", tokens::origin(&node_name()))
}

/// What this machine is called.
pub(super) fn node_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = String::new();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Say what was added.
pub(super) fn say(out: &mut Out, file: &Path, added: &Added) {
    match out.style {
        Style::Json => out.json("added", |o| {
            o.str("file", &file.display().to_string())
                .raw("line", added.line)
                .str("token_id", &added.token_id)
                .str("action", &added.action)
                .str("content_hash", &added.content_hash)
                .str("leaf", &ledger::hex(&added.leaf))
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

/// A hash of a file's content.
pub(super) fn hash_file(path: &Path) -> std::io::Result<Hash32> {
    use sha2::Digest as _;
    let mut file = fs::File::open(path)?;
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match std::io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return Ok(Hash32(hash.finalize().into())),
            Ok(n) => hash.update(buffer.get(..n).unwrap_or_default()),
            Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
}
