//! Files: the key and the state.

use std::path::Path;

use sluis_core::identity::SecretKey;

use super::Finding;
use crate::key;
use crate::state::{self, Looked};

/// Whether a key is one, and nobody else's; and the key.
pub(super) fn key(path: &Path) -> (Finding, Option<SecretKey>) {
    match key::file::secret(path) {
        Ok(key) => {
            let says = format!("a secret key for its owner alone, {}", key.public().fingerprint());
            (Finding::ok("key", says).of(path.to_string_lossy()), Some(key))
        }
        Err(why) => {
            let mend = "name a file that holds a secret key and is its owner's alone, or make one: sluis key new FILE";
            (Finding::failed("key", &why, mend).of(path.to_string_lossy()), None)
        }
    }
}

/// Whether the state of a node could be opened.
pub(super) fn state(dir: &Path) -> Finding {
    let name = dir.to_string_lossy();
    let finding = match state::look(dir) {
        Ok(Looked::Nothing) => Finding::warning(
            "state",
            "there is none here yet",
            "`sluis listen --state` makes it: check the name if there should be one",
        ),
        Ok(Looked::InUse) => Finding::warning(
            "state",
            "it is in use by a process, and was left alone",
            "look at it again when that has ended, if there is reason to",
        ),
        Ok(Looked::Records(n)) => Finding::ok("state", format!("it can be opened, by its owner alone; records: {n}")),
        Err(why) => Finding::failed(
            "state",
            &why,
            "name the directory of a node's state; one that is damaged has to be brought back from a copy",
        ),
    };
    finding.of(name)
}
