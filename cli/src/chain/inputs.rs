//! What goes into a step, held against the log and what earlier steps put out.

use std::path::PathBuf;

use sluis_chain::token::Hash32;
use sluis_chain::workload::{Spiffe, Workload};
use sluis_core::data::Text;
use sluis_core::table::Heap;

use super::files::{Base, Declared, Hashes};
use super::ledger::Keys;
use super::running::Running;
use crate::fail::Fail;
use crate::files;

/// The sidecars of a log, and the log.
const SIDECARS: [&str; 4] = ["", ".tree", ".checkpoint", ".torn"];

/// A log that declares itself would change what it declares.
pub(super) fn refuse_log<'p>(
    base: &Base,
    log: &std::path::Path,
    declared: impl Iterator<Item = &'p PathBuf>,
) -> Result<(), Fail> {
    let (_, log) = base.expect(log);
    let own = SIDECARS.map(|end| {
        let mut name = log.clone().into_os_string();
        name.push(end);
        PathBuf::from(name)
    });
    for path in declared {
        let (_, other) = base.expect(path);
        // By no other name either.
        if own.iter().any(|own| files::same(own, &other)) {
            let path = path.display();
            return Err(Fail::usage(format!(
                "{path} belongs to the log itself, which changes with the step: leave it out"
            )));
        }
    }
    Ok(())
}

/// Hash what goes in.
pub(super) fn hash(base: &Base, paths: &[PathBuf]) -> Result<Declared, Fail> {
    base.hash(paths).map_err(|(path, why)| {
        Fail::runtime(format!("cannot read the input {} ({why}), nothing was done", path.display()))
    })
}

/// The names of what is to come out, with hashes of the right length. What stands there now must be files, if anything does.
pub(super) fn expect(base: &Base, paths: &[PathBuf]) -> Result<Hashes, Fail> {
    let zero = Hash32([0; 32]).to_string();
    let mut names = Hashes::new();
    for path in paths {
        let (name, resolved) = base.expect(path);
        match files::open(&resolved) {
            Err(why) if resolved.exists() && why.kind() == std::io::ErrorKind::Other => {
                return Err(Fail::runtime(format!(
                    "cannot hash the output {} ({why}), nothing was done",
                    path.display()
                )));
            }
            _ => {}
        }
        names.insert(name, zero.clone());
    }
    Ok(names)
}

/// Hold inputs against what earlier steps put out: whatever one of them left must be as it left it.
pub(super) fn compare(base: &Base, running: &Running, inputs: &Declared) -> Result<(), Fail> {
    for (name, seen) in inputs {
        let known = running.outputs.get(name).map(|output| (name, output)).or_else(|| {
            let alias = base.alias(&base.path(name), running.outputs.keys())?;
            Some((alias, running.outputs.get(alias)?))
        });
        let Some((known, output)) = known.filter(|(_, output)| output.hash != seen.hash) else { continue };
        let alias = if known == name { String::new() } else { format!(" (also known as {known})") };
        return Err(Fail::runtime(format!(
            "{name}{alias} is not as the step before left it: step `{}` put out {}, found {}; nothing was done: restore it, or \
             add --independent if it may differ",
            output.step, output.hash, seen.hash
        )));
    }
    Ok(())
}

/// A step that was planned to take in what the one before put out, and is given something else.
pub(super) fn not_tied(step: &str, tied: Hash32, running: &Running) -> Fail {
    let files: Vec<&str> = running.outputs.keys().map(String::as_str).collect();
    let files = if files.is_empty() { String::new() } else { format!(" (of {})", files.join(", ")) };
    Fail::runtime(format!(
        "step `{step}` was planned to take in what the step before put out, SHA-256 {tied}{files}, and is given something else; \
         name just that, or plan such a step with --independent"
    ))
}

/// Bind the SPIFFE identity that signs a step, if there is one.
pub(super) fn bind(workload: &mut Workload<Heap>, sequence: u32, keys: &Keys) -> Result<(), Fail> {
    let Some((svid, id)) = keys.svid.as_ref().zip(keys.actor()) else { return Ok(()) };
    let spiffe =
        Spiffe { id: Text::new(&id), expires_at: svid.expires_at(), certificate: Hash32(svid.certificate_sha256()) };
    workload.bind_spiffe(sequence, &spiffe).map_err(Fail::runtime)
}
