//! What survives of a node: its `--state` directory.

use std::path::Path;

use sluis_core::driver::StoreBatch;
use sluis_core::driver::blocking::Spawn;
use sluis_core::node::{Node, NodeConfig, RestoreError};
use sluis_core::pins::{Change, PinConfig, Pins};
use sluis_core::{Did, StoreOp, StoreSeq};
use sluis_store::{Background, OpenError, Store};

use crate::fail::Fail;
use crate::output::tell;
use crate::run;

/// A store beside a driver. That nothing is kept is said once when that begins, and that it is over.
pub(crate) fn beside(store: Store, threads: impl Spawn) -> Background {
    let path = store.path();
    Background::new(store, threads).on_turn(move |turn| match turn {
        Err(why) => tell(&format!("sluis: {why}; what was to be kept is not.")),
        Ok(()) => tell(&format!("sluis: {}: what is to be kept is kept again.", path.display())),
    })
}

/// Whose state is kept there. The directory belongs to one node; which one is for its owner to say.
const NODE: &[u8] = b"sluis";

/// Open the state in a directory, for this process alone.
pub(crate) fn open(dir: &Path) -> Result<Store, Fail> {
    Store::open(dir, NODE).map_err(Fail::runtime)
}

/// As [`open`], of state that has to be there: a name that was mistyped must not stand for a node that pins nothing.
pub(crate) fn open_kept(dir: &Path) -> Result<Store, Fail> {
    if !dir.join("state.redb").exists() {
        return Err(Fail::runtime(format!(
            "{} holds no state of a node, check the name of the directory",
            dir.display()
        )));
    }
    open(dir)
}

/// What there is in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// No state yet.
    Nothing,
    /// A process has it open.
    InUse,
    /// So many records, each of which is understood.
    Records(u64),
}

/// Look whether the state in a directory could be opened, and change nothing.
pub(crate) fn look(dir: &Path) -> Result<Looked, Fail> {
    let (mut pins, mut rest) = readers()?;
    let (mut count, mut refused) = (0, None);
    let looked = Store::look(dir, NODE, |key, value| {
        count += 1;
        let why = match known(&mut pins, &mut rest, key, value) {
            Ok(true) => return,
            Ok(false) => UNKNOWN.to_owned(),
            Err(why) => why.to_string(),
        };
        refused.get_or_insert(why);
    });
    match (looked, refused) {
        (Err(OpenError::InUse { .. }), _) => Ok(Looked::InUse),
        (Err(why), _) => Err(Fail::runtime(why)),
        (Ok(_), Some(why)) => Err(damaged(dir, &why)),
        (Ok(false), None) => Ok(Looked::Nothing),
        (Ok(true), None) => Ok(Looked::Records(count)),
    }
}

/// Give a node all that was kept.
pub(crate) fn restore(store: &mut Store, node: &mut Node) -> Result<(), Fail> {
    each(store, |key, value| node.restore(key, value))
}

/// The pins that were kept.
pub(crate) fn pins(store: &mut Store) -> Result<Pins, Fail> {
    let (mut pins, mut rest) = readers()?;
    each(store, |key, value| known(&mut pins, &mut rest, key, value))?;
    Ok(pins)
}

/// Pins, and a node that knows what else is kept for what it is.
fn readers() -> Result<(Pins, Node), Fail> {
    let pins = Pins::new(PinConfig::default(), run::seed()?.fork("cli.pins").sip_key());
    Ok((pins, run::node(NodeConfig::new(Did::new("jis:sluis:pin").map_err(Fail::runtime)?))?))
}

/// Whether a record is understood.
fn known(pins: &mut Pins, rest: &mut Node, key: &[u8], value: &[u8]) -> Result<bool, RestoreError> {
    Ok(pins.restore(key, value)? || rest.restore(key, value)?)
}

/// Keep a change, and say so only once it is on the medium.
pub(crate) fn keep(store: &mut Store, change: &Change) -> Result<(), Fail> {
    keep_record(store, change.record())
}

/// Keep the record of any change.
pub(crate) fn keep_record(store: &mut Store, record: Option<(&[u8], Option<&[u8]>)>) -> Result<(), Fail> {
    let Some((key, value)) = record else { return Ok(()) };
    let op = match value {
        Some(value) => StoreOp::put(StoreSeq(1), key, value),
        None => StoreOp::remove(StoreSeq(1), key),
    };
    let mut batch = StoreBatch::new();
    batch.push(&op.map_err(Fail::runtime)?);
    store.commit(&batch).map_err(|why| Fail::runtime(format!("nothing has changed: {why}")))
}

/// Records that are not understood are not passed over: who does not know all that was decided believes too much.
pub(crate) fn each<E: std::fmt::Display>(
    store: &mut Store,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<bool, E>,
) -> Result<(), Fail> {
    let path = store.path();
    for entry in store.entries().map_err(Fail::runtime)? {
        let (key, value) = entry.map_err(Fail::runtime)?;
        match take(&key, &value) {
            Ok(true) => {}
            Ok(false) => return Err(damaged(&path, &UNKNOWN)),
            Err(why) => return Err(damaged(&path, &why)),
        }
    }
    Ok(())
}

const UNKNOWN: &str = "it holds what this version of sluis does not know";

fn damaged(path: &Path, why: &dyn std::fmt::Display) -> Fail {
    Fail::runtime(format!(
        "{}: {why}; nothing was changed: bring it back from a copy, or move it away to begin with nothing",
        path.display()
    ))
}
