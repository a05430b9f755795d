//! ROOD is silence, within a session as without: who is not let in any more has no session any more, and is told nothing of that.

use super::client::Client;
use super::identity::{self, Proof};
use super::overlay::{self, Overlay};
use super::policy::Policy;
use super::{Node, Rooms};
use crate::Name;
use crate::identity::PublicKey;
use crate::session::SessionId;
use crate::time::{Now, Wall};

/// All that is asked about who is at the other side of a session.
struct Judges<'a> {
    policy: &'a Policy,
    overlay: Option<&'a Overlay>,
    client: &'a Client,
    wall: Wall,
}

impl Judges<'_> {
    /// Whether nothing is to be said any more to this key under this name. A key that may not speak under the name is always out. Else it is who could send nothing that the gate
    /// lets in, except as long as something is asked of it here: who is asked may answer. With `lenient` only a word of the operator's shuts it out, and not that it
    /// is unknown: there was a session with its pinned key before, or one was asked for here.
    fn is_out(&self, name: Name<'_>, key: &PublicKey, lenient: bool) -> bool {
        let Self { policy, overlay, client, wall } = *self;
        let proof = match identity::judge_key(&policy.pins, name, *key) {
            Err(_) => return true,
            Ok(true) => Proof::Pinned,
            Ok(false) => {
                overlay::lent(policy, overlay, name.as_str(), *key, wall).map_or(Proof::Nothing, Proof::Vouched)
            }
        };
        let out =
            if lenient { policy.shuts_out(wall, name) } else { policy.judge_any(wall, name, proof, false).is_some() };
        out && !client.asks(name.hash())
    }
}

impl Node {
    /// Judge the sessions that there are, if something was decided since that was done last.
    pub(super) fn judge_sessions(&mut self, now: Now) {
        if !self.policy.doubts_sessions() || self.rooms.links.is_none() {
            return;
        }
        if self.policy.doubts_vouches() {
            self.refresh_vouches(now);
        }
        self.policy.end_doubt_of_sessions();
        let (policy, Rooms { links, admission, overlay, client, .. }) = (&self.policy, &mut self.rooms);
        let judges = Judges { policy, overlay: overlay.as_deref(), client, wall: now.wall };
        if let Some(links) = links {
            links.shut_out_where(admission.names(), |name, key, lenient| judges.is_out(name, key, lenient));
        }
        self.follow_sessions();
    }

    /// Judge the other side of a session from which something came that was not taken in: it may be let in no more without anything having been decided, as when what
    /// others vouch has expired.
    pub(super) fn judge_session(&mut self, now: Now, id: SessionId) {
        let (policy, Rooms { links, admission, overlay, client, .. }) = (&self.policy, &mut self.rooms);
        let judges = Judges { policy, overlay: overlay.as_deref(), client, wall: now.wall };
        if let Some(links) = links {
            links.shut_out_if(id, admission.names(), |name, key, lenient| judges.is_out(name, key, lenient));
        }
    }
}
