//! Where we are joined, told to peers in their sessions, and where they are: what is sent to a peer goes there first.
//!
//! ```text
//! body of a JOINED record: length u16 · name · for each broker: family u8 (4 or 6) · port u16 · length u8 · host
//! ```
//!
//! The name is that of who answered the hello, see [`sealed::name`](crate::sealed::name); who said hello has given it in act three, and leaves it out.
//! A broker that our pool does not have is passed over: nobody gets us to dial what the operator did not name.

use alloc::boxed::Box;
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Instant, Now};

use super::machine::{IDLE, Rendezvous, pool_of};
use super::outgoing::seconds;
use super::peer::Peer;
use super::{PeerName, Place, Turned};
use crate::broker::jitter;
use crate::delivery::{Reach, Record};
use crate::key::PublicKey;
use crate::rank::Family;

/// A change is told after so long, and up to twice that: brokers come and go together.
const SETTLE: Duration = Duration::from_secs(1);
/// What was not heard is told again after this, doubled each time.
const AGAIN: Duration = Duration::from_secs(2);
/// How often: then the peer finds out by itself.
const TIMES: u32 = 3;
/// The most brokers that are told, and that are taken.
const MOST: usize = 16;

/// What a peer is to be told.
#[derive(Debug)]
pub(super) struct Tell {
    version: u64,
    pub(super) due: Instant,
    times: u32,
    /// Our name, as long as it is not known to be heard.
    name: Box<[u8]>,
}

/// What a peer told us.
#[derive(Debug)]
pub(super) struct Told {
    epoch: u64,
    version: u64,
    brokers: Box<[u16]>,
}

impl Told {
    /// At which brokers it is.
    pub(super) fn brokers(&self) -> impl Iterator<Item = usize> + '_ {
        self.brokers.iter().map(|at| usize::from(*at))
    }
}

impl Peer {
    /// It is to be told of a change, if it is in touch with us.
    fn tell(&mut self, now: Instant, version: u64, due: Instant) -> bool {
        let in_touch = self.session.as_ref().is_some_and(|session| !session.is_spent(now)) && self.unused(now) < IDLE;
        if !in_touch {
            return false;
        }
        let name = self.take_tell_if(|_| true).map(|tell| tell.name).unwrap_or_default();
        self.more.tell = Some(Tell { version, due, times: 0, name });
        true
    }
}

impl Rendezvous {
    /// A broker of our own ranking was joined or left: peers are told, once that has settled.
    pub(super) fn joined_changed(&mut self, now: Instant) {
        self.version += 1;
        let Self { peers, active, rng, version, .. } = self;
        peers.for_each(|key, peer| {
            if peer.tell(now, *version, now + SETTLE + jitter(rng, SETTLE)) {
                active.insert(*key, ());
            }
        });
    }

    /// In a new session a peer is told where we are, and our name if it does not know that yet.
    pub(super) fn begin_to_tell(&mut self, now: Now, key: &PublicKey, name: Vec<u8>) {
        let version = self.version;
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.more.tell = Some(Tell { version, due: now.mono, times: 0, name: name.into_boxed_slice() });
        self.active.insert(*key, ());
    }

    /// Tell a peer what is due.
    pub(super) fn tell_due(&mut self, now: Now, key: &PublicKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Some(mut tell) = peer.take_tell_if(|tell| tell.due <= now.mono).filter(|tell| tell.times < TIMES) else {
            return;
        };
        let epoch = peer.sender.epoch();
        let mut near = Vec::new();
        peer.brokers(key, pool_of(&self.config), Reach::Near, &mut near);
        let body = write(&tell.name, &self.joined_places());
        let record = Record::Joined { epoch, version: tell.version, body: &body };
        let Some(peer) = self.peers.get_mut(key) else { return };
        // Without a session there will be another, which begins with this.
        let sealed = peer.session.as_mut().and_then(|session| self.buffers.seal(now.mono, session, &record));
        let Some(packet) = sealed else { return };
        tell.due = now.mono + AGAIN * (1 << tell.times);
        tell.times += 1;
        peer.more.tell = Some(tell);
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        for at in near {
            if let Some(broker) = self.broker(at) {
                // Where it does not get in it is told again.
                let _ = broker.publish(key, packet.clone(), ticket);
            }
        }
    }

    /// The brokers of our own ranking that are joined.
    fn joined_places(&self) -> Vec<&Place> {
        let joined = self.spots.iter().zip(&self.config.brokers).filter(|(spot, _)| spot.is_own_and_joined());
        joined.map(|(_, place)| place).take(MOST).collect()
    }

    /// A peer says where it is.
    pub(super) fn told(
        &mut self,
        now: Now,
        at: usize,
        from: &PublicKey,
        (epoch, version): (u64, u64),
        body: &[u8],
    ) -> Result<(), Turned> {
        let (name, brokers) = read(body).ok_or(Turned::Unverified)?;
        let Self { config, peers, keep, .. } = self;
        let peer = peers.get_mut(from).ok_or(Turned::Busy)?;
        let is_known = |told: &Told| told.epoch == epoch && told.version >= version;
        if !peer.told.as_deref().is_some_and(is_known) {
            let may = |at: &usize| *at < config.pool || peer.is_hinted(*at);
            let brokers = brokers.iter().filter_map(|broker| broker.find(&config.brokers)).filter(may);
            let brokers = brokers.filter_map(|at| u16::try_from(at).ok()).collect();
            peer.told = Some(Box::new(Told { epoch, version, brokers }));
            if config.keeps {
                keep.heard(seconds(now), from, &peer.is_at());
            }
        }
        let named = peer.read_name(name);
        let Some(session) = peer.session.as_mut() else { return Ok(()) };
        let heard = self.buffers.seal(now.mono, session, &Record::JoinedHeard { epoch, version });
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        if let (Some(heard), Some(broker)) = (heard, self.broker(at)) {
            // What finds no room is asked for again by a copy.
            let _ = broker.publish(from, heard, ticket);
        }
        named
    }

    /// A peer has heard where we are.
    pub(super) fn tell_heard(&mut self, from: &PublicKey, (epoch, version): (u64, u64)) {
        let Some(peer) = self.peers.get_mut(from).filter(|peer| peer.sender.epoch() == epoch) else { return };
        peer.take_tell_if(|tell| tell.version <= version);
    }
}

impl Peer {
    /// The name of a peer that answered our hello, if it is not known yet.
    fn read_name(&mut self, bytes: &[u8]) -> Result<(), Turned> {
        let Some(session) = self.session.as_mut().filter(|session| session.awaits_name()) else { return Ok(()) };
        let name = session.read_name(bytes);
        self.name = name.ok().flatten().map(|name| Box::new(PeerName { did: name.did.into(), key: name.key }));
        name.map(drop).map_err(|_| Turned::Name)
    }
}

/// A broker as a peer names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named<'a> {
    family: Family,
    port: u16,
    host: &'a str,
}

impl Named<'_> {
    fn find(&self, places: &[Place]) -> Option<usize> {
        places
            .iter()
            .position(|place| place.port == self.port && place.family == self.family && place.host == self.host)
    }
}

fn write(name: &[u8], joined: &[&Place]) -> Vec<u8> {
    // A name is far shorter.
    let mut out = Vec::from(u16::try_from(name.len()).unwrap_or_default().to_be_bytes());
    out.extend_from_slice(name);
    for place in joined {
        // No host is longer that could be dialled.
        let Ok(len) = u8::try_from(place.host.len()) else { continue };
        out.push(if place.family == Family::V4 { 4 } else { 6 });
        out.extend_from_slice(&place.port.to_be_bytes());
        out.push(len);
        out.extend_from_slice(place.host.as_bytes());
    }
    out
}

/// The name, and where it is joined.
fn read(body: &[u8]) -> Option<(&[u8], Vec<Named<'_>>)> {
    let (len, rest) = body.split_first_chunk()?;
    let (name, mut rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    let mut brokers = Vec::new();
    while let Some((&[family, high, low, len], after)) = rest.split_first_chunk() {
        let (host, after) = after.split_at_checked(usize::from(len))?;
        let family = match family {
            4 => Family::V4,
            6 => Family::V6,
            _ => return None,
        };
        if brokers.len() >= MOST {
            return None;
        }
        brokers.push(Named { family, port: u16::from_be_bytes([high, low]), host: core::str::from_utf8(host).ok()? });
        rest = after;
    }
    rest.is_empty().then_some((name, brokers))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluis_core::Security;

    use super::*;
    use crate::broker::Settings;
    use crate::rank::Weight;

    proptest! {
        #[test]
        fn what_is_told_is_understood_and_garbage_is_none(
            name: Vec<u8>, hosts in proptest::collection::vec(("[a-z.:]{0,60}", any::<u16>(), any::<bool>()), 0..=MOST), garbage: Vec<u8>,
        ) {
            let place = |(host, port, v4): &(alloc::string::String, u16, bool)| Place {
                family: if *v4 { Family::V4 } else { Family::V6 },
                host: host.clone(),
                port: *port,
                weight: Weight::ONE,
                security: Security::Plain,
                settings: Settings::default(),
            };
            let places: Vec<Place> = hosts.iter().map(place).collect();
            let body = write(&name, &places.iter().collect::<Vec<_>>());
            let (said, brokers) = read(&body).unwrap();
            prop_assert_eq!(said, &name[..]);
            for (broker, place) in brokers.iter().zip(&places) {
                let at = broker.find(&places).unwrap();
                prop_assert_eq!((&places[at].host, places[at].port, places[at].family), (&place.host, place.port, place.family));
            }
            prop_assert_eq!(brokers.len(), places.len());
            for end in 0..body.len() {
                if let Some((part, fewer)) = read(&body[..end]) {
                    prop_assert!(part == name && fewer == brokers[..fewer.len()] && fewer.len() < brokers.len());
                }
            }
            let _ = read(&garbage);
        }
    }
}
