//! Who comes to a hub: what is said until an agent is let in.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use sluis_core::table::SlotId;
use sluis_core::{Conn, Instant, Now, Origin, Reject, Seed, Up};

use super::hello::{ClientHello, ServerHello, WINDOW};
use super::hub::{Hub, Link, conn_of};
use crate::access::{Access, Caller, Credential};
use crate::agent::normalise;
use crate::channel::record::{self, Reader};
use crate::news::{News, Via};
use crate::proof::{ACCEPT, HELLO, REFUSE};
use crate::session::{Role, Session, StreamId};
use crate::talk::MUX_SUBPROTOCOL;

/// From the connection to the end of the greeting.
pub(super) const GREETING_TIME: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) enum Greeting {
    /// Its HELLO has not come.
    Waiting(Box<Reader>),
    /// It is this agent.
    Done(Arc<str>, Option<Arc<Credential>>),
}

impl Hub {
    /// As [`handle_up`](sluis_core::Streams::handle_up), for a connection of the hub's own agent, which whoever holds the hub makes within
    /// the process: it needs no credentials. Channels of [`HubConfig::services`](super::HubConfig::services) that are opened to the hub's
    /// name go there, and to nobody else who bears that name; the agent itself is not listed. A second one takes the place of the first.
    ///
    /// # Errors
    /// There are too many connections.
    pub fn handle_own_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        self.come_up(now, up, true)
    }

    pub(super) fn come_up(&mut self, now: Now, up: &Up<'_>, own: bool) -> Result<Conn, Reject> {
        if !matches!(up.origin, Origin::Accepted(_)) || self.links.is_full() {
            return Err(Reject::Busy);
        }
        let mut nonce = [0; 32];
        self.rng.fill(&mut nonce);
        let seed = self.own_seed(&Seed::new(nonce));
        let mut session = Session::new(Role::Server, self.config.session.clone(), &seed, now.mono);
        self.rng.fill(&mut nonce);
        let hello = ServerHello { agent: self.config.agent.clone(), nonce, window: WINDOW };
        let mut first = Vec::new();
        record::put(&mut first, HELLO, &[&hello.write()]);
        let stream = session.open(now.mono, 0).map_err(|_| Reject::Busy)?;
        let _ = session.write(stream, &first);
        let _ = session.finish(stream);
        let exporter = up.exporter.copied().filter(|_| !self.config.behind_proxy).unwrap_or_default();
        let link = Link {
            session,
            nonce,
            exporter,
            greeting: Greeting::Waiting(Box::default()),
            remote: up.remote,
            via: if up.alpn == Some(MUX_SUBPROTOCOL.as_bytes()) { Via::WebSocket } else { Via::Native },
            own,
            beside: false,
            greet_until: Some(now.mono + GREETING_TIME),
            hello: None,
            legs: BTreeMap::new(),
            timer: None,
            ending: false,
        };
        let id = self.links.insert(link).map_err(|_| Reject::Busy)?;
        self.stats.connections += u64::from(!own);
        self.settle(now.mono, id);
        Ok(conn_of(id))
    }

    /// A client says who it is.
    pub(super) fn greet(&mut self, now: Instant, id: SlotId, stream: StreamId) {
        let access = &self.config.access;
        let Some(link) = self.links.get_mut(id) else { return };
        let Greeting::Waiting(reader) = &mut link.greeting else { return };
        let mut reader = core::mem::take(reader);
        let read = Self::read_first(link, now, stream, &mut reader);
        let Some(kind) = read else {
            link.greeting = Greeting::Waiting(reader);
            return;
        };
        let hello = (kind == Ok(HELLO)).then(|| ClientHello::read(reader.body(), &link.nonce, &link.exporter).ok());
        let known = hello.flatten().and_then(|hello| {
            let own = || (String::from(&*self.config.agent), None);
            let who = if link.own { own() } else { identify(access, &hello)? };
            Some((who, hello.window, hello.beside))
        });
        let mut answer = Vec::new();
        let mut came = None;
        match known {
            Some(((name, credential), window, beside)) => {
                link.session.set_first_windows(WINDOW, window);
                record::put(&mut answer, ACCEPT, &[]);
                let name: Arc<str> = name.into();
                link.greeting = Greeting::Done(Arc::clone(&name), credential);
                link.greet_until = None;
                link.beside = beside;
                came = Some((name, link.own, link.via, link.remote));
            }
            None => {
                self.stats.unauthorised += 1;
                record::put(&mut answer, REFUSE, &[b"not let in"]);
            }
        }
        let _ = link.session.write(stream, &answer);
        let _ = link.session.finish(stream);
        if came.is_none() {
            link.session.close();
        }
        match &came {
            Some((_, true, ..)) => self.own = Some(id),
            Some((name, false, ..)) => self.agents.entry(Arc::clone(name)).or_default().push(id),
            None => {}
        }
        self.settle(now, id);
        if let Some((name, false, via, from)) = came {
            if self.config.tells {
                self.news.push(News::Connected { agent: Arc::clone(&name), via, from: Some(from) });
            }
            self.came(now, &name);
        }
    }

    /// The seed of one connection's tables.
    fn own_seed(&self, fresh: &Seed) -> Seed {
        let mut bytes = [0; 32];
        let (mut ours, mut other) = (self.seed.fork("sluis mux native links"), fresh.fork("sluis mux native link"));
        let mut mask = [0; 32];
        ours.fill(&mut bytes);
        other.fill(&mut mask);
        bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        Seed::new(bytes)
    }
}

/// Who a client is.
fn identify(access: &Access, hello: &ClientHello) -> Option<(String, Option<Arc<Credential>>)> {
    let name = normalise(&hello.agent);
    if name.is_empty() || *name != *hello.agent {
        return None;
    }
    let caller = match hello.key {
        Some(key) => access.identify_key(&name, &key).or_else(|| access.identify(None)),
        None => access.identify(hello.token.as_deref()),
    };
    match caller? {
        Caller::Anyone => Some((name, None)),
        Caller::Agent(entry) => (*entry.name == *name).then_some((name, Some(entry))),
    }
}

impl Link {
    pub(super) fn is_still_in(&self, access: &Access) -> bool {
        match &self.greeting {
            _ if self.own => true,
            Greeting::Waiting(_) => true,
            Greeting::Done(_, None) => matches!(access, Access::Open),
            Greeting::Done(_, Some(entry)) => access.still_has(entry),
        }
    }
}
