//! Who met silence last, for an operator who wonders why.

use alloc::string::String;

use crate::Route;

/// One entry, overwritten by the next.
#[derive(Debug, Default)]
pub(super) struct LastRood {
    did: String,
    route: Option<Route>,
}

impl LastRood {
    pub(super) fn set(&mut self, did: &str, route: Route) {
        self.did.clear();
        self.did.push_str(did);
        self.route = Some(route);
    }

    pub(super) fn get(&self) -> Option<(&str, Route)> {
        Some((&self.did, self.route?))
    }
}
