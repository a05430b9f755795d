//! Who met silence last, for an operator who wonders why.

use alloc::string::String;

use crate::Path;

/// One entry, overwritten by the next.
#[derive(Debug, Default)]
pub(super) struct LastRood {
    did: String,
    path: Option<Path>,
}

impl LastRood {
    pub(super) fn set(&mut self, did: &str, path: Path) {
        self.did.clear();
        self.did.push_str(did);
        self.path = Some(path);
    }

    pub(super) fn get(&self) -> Option<(&str, Path)> {
        Some((&self.did, self.path?))
    }
}
