//! How a ping gets to whom it is for: through a session, which may have to be begun, without one, or not.

use super::{AGAIN, Known, Links, MAX_FOUND, Opening, PATIENCE};
use crate::identity::PublicKey;
use crate::node::config::SessionPolicy;
use crate::session::{ConnectError, Connected, Peer, Route, SessionId, max_early};
use crate::time::{Duration, Instant, Now};
use crate::{Name, Path};

/// How a ping gets to whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Way {
    /// Without a session.
    Plain,
    /// Through this one, at this address.
    Session(SessionId, Path),
    /// Through this one, as soon as it has keys.
    Wait(SessionId),
    /// A session is to be begun.
    Connect,
    /// There is one, and it is with whoever uses the name elsewhere.
    Elsewhere,
}

impl Links {
    /// The session that has keys for this name and key.
    pub(in crate::node) fn live(&self, did: &str, key: &PublicKey) -> Option<SessionId> {
        match self.sessions.route(did, Some(key)) {
            Route::Session(id) => Some(id),
            Route::Wait(_) | Route::Connect | Route::Plain => None,
        }
    }

    /// Whether nothing may go without a session.
    pub(in crate::node) fn requires(&self) -> bool {
        self.policy == SessionPolicy::Require
    }

    /// The address of this name was looked up, and its key answered there, or had its answer carried there: from now on pings to the name go through a session with that key or not at
    /// all; one with somebody at another address is over, for there is nobody any more. False where as many names are found as may be.
    pub(in crate::node) fn note_found(&mut self, now: Now, (name, key): (Name<'_>, &PublicKey), path: Path) -> bool {
        if let Route::Session(id) | Route::Wait(id) = self.sessions.route(name.as_str(), Some(key))
            && self.peer(id).is_some_and(|(_, at)| !at.same_remote(&path))
        {
            self.sessions.close(now, id);
        }
        let room = self.found.len() < MAX_FOUND || self.found.contains(&name.hash());
        if room {
            self.found.insert(name.hash());
        }
        room
    }

    /// Whether a ping to this name may go only through a session because the name was looked up. A challenge is no secret, and comes before everything else.
    fn is_found(&self, name: Name<'_>, intent: &str) -> bool {
        intent != crate::node::overlay::VERIFY && self.found.contains(&name.hash())
    }

    /// Whether a ping with this intent to this name may go without a session.
    pub(in crate::node) fn may_go_plain(&self, name: Name<'_>, intent: &str) -> bool {
        let kept_in = self.speaks(name) || self.is_found(name, intent);
        !self.requires() && (!kept_in || self.faults.accept_downgrade())
    }

    /// How a ping with this intent to this name, with this key pinned to it, gets there.
    pub(in crate::node) fn way(
        &mut self,
        now: Now,
        (to, key): (Name<'_>, Option<&PublicKey>),
        (intent, path): (&str, Path),
    ) -> Way {
        let found = self.is_found(to, intent);
        if found && key.is_none() {
            return Way::Elsewhere;
        }
        let route = self.sessions.route(to.as_str(), key);
        let at = |id| self.peer(id).map(|(_, at)| at);
        match route {
            Route::Session(id) | Route::Wait(id)
                if key.is_none() && !at(id).is_some_and(|at| at.same_remote(&path)) =>
            {
                if self.requires() {
                    Way::Elsewhere
                } else {
                    Way::Plain
                }
            }
            // Whether it is elsewhere by now is asked there, and not where it was.
            Route::Session(id) | Route::Wait(id)
                if intent == crate::node::overlay::VERIFY
                    && !self.requires()
                    && at(id).is_some_and(|at| !at.same_remote(&path)) =>
            {
                Way::Plain
            }
            Route::Session(id) => Way::Session(id, at(id).unwrap_or(path)),
            Route::Wait(_) if !found && self.is_silent(to) => Way::Plain,
            Route::Wait(id) => Way::Wait(id),
            Route::Connect | Route::Plain if found || self.requires() => Way::Connect,
            Route::Connect | Route::Plain => {
                let Some(key) = key else { return Way::Plain };
                match self.known.get_mut(&to.hash()) {
                    Some(Known::Silent(again)) => {
                        if *again <= now.mono {
                            *again = now.mono + AGAIN;
                            // Whether it begins or not, the ping does not wait for it.
                            let _ = self.sessions.connect(now, &Peer::pinned(to.as_str(), *key), path, &[]);
                        }
                        Way::Plain
                    }
                    Some(Known::Speaks) | None => Way::Connect,
                }
            }
        }
    }

    /// How a ping with this intent to this name, with this key pinned to it, gets there over a relay. [`Way::Connect`]: through a session over a circuit.
    pub(in crate::node) fn way_over(&self, now: Now, (to, key): (Name<'_>, Option<&PublicKey>), intent: &str) -> Way {
        let may_go_plain = self.may_go_plain(to, intent);
        let Some(key) = key else { return if may_go_plain { Way::Plain } else { Way::Elsewhere } };
        let silent = matches!(self.known.get(&to.hash()), Some(Known::Silent(again)) if *again > now.mono);
        match self.sessions.route(to.as_str(), Some(key)) {
            Route::Session(id) => self.peer(id).map_or(Way::Connect, |(_, at)| Way::Session(id, at)),
            Route::Wait(_) | Route::Connect | Route::Plain if may_go_plain && silent => Way::Plain,
            Route::Wait(id) => Way::Wait(id),
            Route::Connect | Route::Plain => Way::Connect,
        }
    }

    /// Nobody who has sessions over relays answered for this name: it is not tried again for a while.
    pub(in crate::node) fn note_silent(&mut self, now: Instant, name: u64) {
        let known = self.known.entry(name).or_insert(Known::Silent(now));
        if let Known::Silent(again) = known {
            *again = now + AGAIN;
        }
    }

    /// Whether nobody answered the last handshake with this name.
    fn is_silent(&self, name: Name<'_>) -> bool {
        !self.requires() && matches!(self.known.get(&name.hash()), Some(Known::Silent(_)))
    }

    /// Begin a session, with a ping in its first message if it fits. With a `patience` pings wait for it only so long.
    pub(in crate::node) fn connect(
        &mut self,
        now: Now,
        (to, key, path): (Name<'_>, Option<PublicKey>, Path),
        own: &str,
        frame: &[u8],
        patience: Option<Duration>,
    ) -> Result<Connected, ConnectError> {
        let early = if key.is_some() && frame.len() <= max_early(own) { frame } else { &[] };
        let connected = self.sessions.connect(now, &Peer { did: to.as_str(), key, statics: None }, path, early)?;
        if let Some(patience) = patience {
            let until = now.mono + patience.min(PATIENCE);
            self.opening.push(Opening { until, session: connected.session, name: to.hash() });
            self.give_up = self.give_up.into_iter().chain([until]).min();
        }
        Ok(connected)
    }

    /// The session with this key, which is begun here if there is none; and whether the frame rides in its first message.
    pub(in crate::node) fn begin(
        &mut self,
        now: Now,
        (to, key, path): (Name<'_>, PublicKey, Path),
        own: &str,
        frame: &[u8],
        patience: Option<Duration>,
    ) -> Result<(SessionId, bool), ConnectError> {
        match self.sessions.route(to.as_str(), Some(&key)) {
            Route::Session(id) | Route::Wait(id) => Ok((id, false)),
            Route::Connect | Route::Plain => self
                .connect(now, (to, Some(key), path), own, frame, patience)
                .map(|connected| (connected.session, connected.early)),
        }
    }

    /// The session that an answer goes through whose ping came through one that is over: there is another, or one is begun.
    pub(in crate::node) fn again(
        &mut self,
        now: Now,
        did: &str,
        key: PublicKey,
        path: Path,
    ) -> Result<SessionId, ConnectError> {
        match self.sessions.route(did, Some(&key)) {
            Route::Session(id) | Route::Wait(id) => Ok(id),
            Route::Connect | Route::Plain => {
                self.sessions.connect(now, &Peer::pinned(did, key), path, &[]).map(|connected| connected.session)
            }
        }
    }
}
