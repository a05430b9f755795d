//! By what a file is judged: keys, and a checkpoint.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use sluis_chain::log::LogHeader;
use sluis_chain::log::merkle::NodeHash;
use sluis_chain::log::note::{Checkpoint, Note, last_note};
use sluis_chain::verify::Against;
use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{MacKey, PublicKey};
use sluis_spiffe::{SpiffeAuthority, TrustBundles};

use super::args::Judge;
use super::read;
use crate::fail::Fail;
use crate::{files, key};

/// The largest checkpoint that is read.
const MAX_NOTE: usize = 1 << 20;

/// The keys of a command, read.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) mac: Option<MacKey>,
    /// Who may sign.
    pub(super) known: Vec<PublicKey>,
    /// Who signs for an actor, and nobody else.
    pub(super) actors: BTreeMap<String, Vec<PublicKey>>,
    /// Judges SPIFFE identities.
    pub(super) spiffe: Option<Arc<SpiffeAuthority>>,
    /// Everything must be signed by whoever its actor is known to be.
    pub(super) signed: bool,
    /// What is not signed is let through.
    pub(super) allow_unsigned: bool,
}

impl Keys {
    pub(super) fn read(judge: &Judge) -> Result<Self, Fail> {
        let mac = judge.hmac_key.as_deref().map(key::file::mac).transpose()?;
        let known = judge.key.iter().map(|word| key::file::public(word)).collect::<Result<_, _>>()?;
        let mut actors: BTreeMap<String, Vec<PublicKey>> = BTreeMap::new();
        for actor in &judge.actor {
            actors.entry(actor.did.clone()).or_default().push(key::file::public(&actor.key)?);
        }
        let mut bundles = TrustBundles::new();
        for bundle in &judge.trust_bundle {
            bundles.add_argument(bundle).map_err(|why| Fail::runtime(format!("--trust-bundle: {why}")))?;
        }
        let spiffe = (!bundles.is_empty()).then(|| Arc::new(SpiffeAuthority::new(bundles)));
        Ok(Self { mac, known, actors, spiffe, signed: judge.signed, allow_unsigned: judge.allow_unsigned })
    }

    /// Whether somebody is named who may sign: nobody else may then.
    pub(super) fn names_somebody(&self) -> bool {
        !self.known.is_empty() || !self.actors.is_empty() || self.spiffe.is_some()
    }

    /// Whether signatures are asked for at all.
    pub(super) fn asks(&self) -> bool {
        self.signed || self.names_somebody()
    }

    /// Whether every token must have one.
    pub(super) fn required(&self) -> bool {
        self.asks() && !self.allow_unsigned
    }

    /// Whether this key was named, for everything or for an actor.
    pub(super) fn knows(&self, key: &[u8; 32]) -> bool {
        self.known.iter().chain(self.actors.values().flatten()).any(|known| known.as_bytes() == key)
    }
}

/// A checkpoint, and who signed it.
pub(super) struct Held {
    pub(super) origin: String,
    pub(super) size: u64,
    pub(super) root: NodeHash,
    /// By a key that was named.
    pub(super) signed: bool,
    /// By the key that the first line of the log names.
    pub(super) own: bool,
}

impl Held {
    pub(super) fn against<'t>(&self) -> Against<'t> {
        Against::checkpoint(&Checkpoint { origin: &self.origin, size: self.size, root: self.root, extensions: "" })
    }
}

/// The checkpoint of a file: the one that is named, or the one beside it. The error within says what is wrong with it, also
/// that there is none although the first line of the log (`header`) names the key that signs it.
pub(super) fn checkpoint(
    file: &Path,
    named: Option<&Path>,
    known: &[PublicKey],
    header: Option<&LogHeader<'_>>,
) -> Result<Option<Result<Held, String>>, Fail> {
    let path = named.map_or_else(|| files::beside(file, ".checkpoint"), Path::to_owned);
    let bytes = match files::read(&path, MAX_NOTE) {
        Ok(bytes) => bytes,
        Err(why) if why.kind() == io::ErrorKind::NotFound && named.is_none() => {
            let missing = header.filter(|header| header.key.is_some());
            return Ok(missing.map(|_| Err("no checkpoint, and the first line says that the log has some".to_owned())));
        }
        Err(why) => return Err(read::cannot(&path, &why)),
    };
    Ok(Some(open(&bytes, known, header)))
}

/// Read a checkpoint. With keys, one of them must have signed it; and the one that the log itself names must have.
pub(super) fn open(note: &[u8], known: &[PublicKey], header: Option<&LogHeader<'_>>) -> Result<Held, String> {
    let note = last_note(note);
    let parsed = Note::parse(note).map_err(|why| why.to_string())?;
    let checkpoint = Checkpoint::parse(parsed.text()).map_err(|why| why.to_string())?;
    let own = header.and_then(LogHeader::note_key);
    if let Some(own) = own {
        Checkpoint::open(note, own.name(), &[own]).map_err(|why| format!("{why} (the log is {own})"))?;
    }
    if !known.is_empty() {
        let origin = checkpoint.origin;
        let keys: Vec<NoteKey<'_>> = known.iter().filter_map(|key| NoteKey::new(origin, *key).ok()).collect();
        parsed.verify(&keys).map_err(|why| why.to_string())?;
    }
    Ok(Held {
        origin: checkpoint.origin.to_owned(),
        size: checkpoint.size,
        root: checkpoint.root,
        signed: !known.is_empty(),
        own: own.is_some(),
    })
}
