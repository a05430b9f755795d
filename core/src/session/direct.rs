//! From relays to a direct path, and back.
//!
//! A session that goes over relays has, for the other side, a path that is nobody's address. Each side says, within the session, where it can be reached without relays; the other asks there, and goes
//! there once it was answered from there. What is sent on a direct path is kept for a moment: when nothing is heard any more, the session goes back to the relays, and what was sent last goes once
//! more, under the counters that it has: the other side takes each once.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::HEAD_ROOM;
use super::epoch::Inner;
use super::room::Sessions;
use super::table::{Roaming, Session, news, owed};
use crate::machine::Transmit;
use crate::path::Path;
use crate::time::{Duration, Instant, Now};

/// Most addresses that a side may be reached at.
pub(crate) const MAX_ADDRESSES: usize = 4;
/// Length of an address: what it is, 16 bytes, a port.
const ADDRESS: usize = 19;
/// How often one is asked, a second apart.
const TRIES: u8 = 3;
/// The least time between two words about where the other side is.
const HEARD_AGAIN: Duration = Duration::from_secs(10);
/// How long after a move what still comes over relays means nothing.
const SETTLING: Duration = Duration::from_secs(3);
/// How long nothing is heard before it is asked whether the direct path still works; and how long that may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long what was sent on a direct path is kept, and how many bytes of it.
const KEPT_FOR: Duration = Duration::from_secs(4);
const KEPT: usize = 64 * 1024;
/// How long after a direct path failed it is tried again: twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(30);
const MOST_DOUBLED: u8 = 5;

/// What only a session has that goes over relays, or did.
#[derive(Debug)]
pub(super) struct Detour {
    /// The way over relays.
    pub(super) relays: Path,
    /// Where the other side can be reached by its own word, and when it said so.
    offered: heapless::Vec<SocketAddr, MAX_ADDRESSES>,
    heard: Option<Instant>,
    /// What is to come back from there.
    token: [u8; 8],
    /// Which of them is asked next, how often all were, and when they are asked again.
    next: usize,
    tries: u8,
    ask_at: Option<Instant>,
    failures: u8,
    moved: Option<Instant>,
    /// When it was asked whether the direct path still works.
    checked: Option<Instant>,
    kept: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Detour {
    fn new(relays: Path) -> Self {
        Self {
            relays,
            offered: heapless::Vec::new(),
            heard: None,
            token: [0; 8],
            next: 0,
            tries: 0,
            ask_at: None,
            failures: 0,
            moved: None,
            checked: None,
            kept: VecDeque::new(),
            bytes: 0,
        }
    }

    fn offers(&self, path: &Path) -> bool {
        let plain = |at: SocketAddr| (at.ip().to_canonical(), at.port());
        self.offered.iter().any(|offered| plain(*offered) == plain(path.remote))
    }

    fn keep(&mut self, now: Instant, packet: &[u8]) {
        while let Some((sent, old)) = self.kept.front()
            && (now.saturating_since(*sent) >= KEPT_FOR || self.bytes + packet.len() > KEPT)
        {
            self.bytes -= old.len();
            self.kept.pop_front();
        }
        if self.bytes + packet.len() <= KEPT {
            self.bytes += packet.len();
            self.kept.push_back((now, packet.into()));
        }
    }

    /// What is too old to be sent again is let go of, and the room that it took, too.
    fn forget_old(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|(sent, _)| now.saturating_since(*sent) >= KEPT_FOR) {
            self.bytes -= self.kept.pop_front().map_or(0, |(_, old)| old.len());
        }
        if self.kept.is_empty() {
            self.kept = VecDeque::new();
        }
    }

    fn take_kept(&mut self, now: Instant) -> Option<Vec<u8>> {
        while let Some((sent, packet)) = self.kept.pop_front() {
            self.bytes -= packet.len();
            if now.saturating_since(sent) < KEPT_FOR {
                return Some(packet);
            }
        }
        None
    }
}

/// Whether somebody can be at an address.
fn is_usable(at: SocketAddr) -> bool {
    let ip = at.ip().to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip == Ipv4Addr::BROADCAST);
    at.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

fn write(addresses: &[SocketAddr], out: &mut [u8]) -> Option<usize> {
    for (place, at) in out.chunks_exact_mut(ADDRESS).zip(addresses) {
        let (family, ip) = match at.ip() {
            IpAddr::V4(ip) => (4, ip.to_ipv6_mapped()),
            IpAddr::V6(ip) => (6, ip),
        };
        place[0] = family;
        place[1..17].copy_from_slice(&ip.octets());
        place[17..].copy_from_slice(&at.port().to_be_bytes());
    }
    let len = addresses.len() * ADDRESS;
    (len <= out.len()).then_some(len)
}

fn read(bytes: &[u8]) -> heapless::Vec<SocketAddr, MAX_ADDRESSES> {
    let read = |at: &[u8]| {
        let (&[family], rest) = at.split_first_chunk::<1>()?;
        let (ip, port) = rest.split_first_chunk::<16>()?;
        let ip = Ipv6Addr::from(*ip);
        let ip = match (family, ip.to_ipv4_mapped()) {
            (4, Some(ip)) => IpAddr::V4(ip),
            (6, None) => IpAddr::V6(ip),
            _ => return None,
        };
        let at = SocketAddr::new(ip, u16::from_be_bytes(port.try_into().ok()?));
        is_usable(at).then_some(at)
    };
    bytes.chunks_exact(ADDRESS).filter_map(read).take(MAX_ADDRESSES).collect()
}

impl Session {
    /// Whether it goes over relays at the moment.
    pub(super) fn is_relayed(&self) -> bool {
        self.path.circuit().is_some()
    }

    fn detour(&mut self) -> Option<&mut Detour> {
        self.roaming.as_deref_mut()?.detour.as_deref_mut()
    }

    /// The same, begun where the session goes over relays.
    fn detour_of_relayed(&mut self) -> Option<&mut Detour> {
        let (path, relayed) = (self.path, self.is_relayed());
        let roaming = self.roaming.get_or_insert_default();
        if relayed && roaming.detour.is_none() {
            roaming.detour = Some(Detour::new(path).into());
        }
        roaming.detour.as_deref_mut()
    }
}

impl Sessions {
    /// Say to the other sides of sessions over relays that this node can be reached here without. False for an address at which nobody can be, and where there are as many as there may be.
    pub fn add_address(&mut self, at: SocketAddr) -> bool {
        is_usable(at) && (self.addresses.contains(&at) || self.addresses.push(at).is_ok())
    }

    /// There are keys: say where we are, if the session goes over relays.
    pub(super) fn offer_addresses(&mut self, slot: u32) {
        let relayed = self.table.at(slot).is_some_and(Session::is_relayed);
        if relayed && !self.addresses.is_empty() {
            self.table.owe(slot, owed::ADDRESSES);
        }
    }

    /// The other side says where it is.
    pub(super) fn on_addresses(&mut self, now: Instant, slot: u32, said: &[u8]) {
        let mut token = [0; 8];
        self.rng.fill(&mut token);
        let Some(session) = self.table.at_mut(slot).filter(|session| session.is_relayed()) else { return };
        let Some(detour) = session.detour_of_relayed() else { return };
        if detour.heard.is_some_and(|heard| now.saturating_since(heard) < HEARD_AGAIN) {
            return;
        }
        (detour.offered, detour.heard) = (read(said), Some(now));
        if detour.offered.is_empty() {
            return;
        }
        (detour.token, detour.next, detour.tries) = (token, 0, 0);
        detour.ask_at = Some(now + Duration::from_secs(1));
        self.table.owe(slot, owed::ASK_DIRECT);
        self.table.set_timer(slot, now + Duration::from_secs(1));
    }

    /// Whether a challenge to a session over relays may be answered on a direct path: only where the other side says that it is. Who copies what we send there, and passes on what
    /// comes back, is somewhere else.
    pub(super) fn may_answer(&self, slot: u32, path: &Path) -> bool {
        let Some(session) = self.table.at(slot) else { return false };
        let direct = path.circuit().is_none();
        let detour = session.roaming.as_ref().and_then(|roaming| roaming.detour.as_ref());
        !(session.is_relayed() && direct) || detour.is_some_and(|detour| detour.offers(path))
    }

    /// Whether this answers what was asked at an address of the other side; then the session goes there.
    pub(super) fn is_answer_of_direct(&mut self, now: Instant, slot: u32, token: &[u8], path: Path) -> bool {
        let Some(session) = self.table.at_mut(slot) else { return false };
        let relayed = session.is_relayed();
        let Some(detour) = session.detour() else { return false };
        let asked = detour.ask_at.is_some() || detour.checked.is_some();
        if !asked || detour.token != *token || path.circuit().is_some() {
            return false;
        }
        if !relayed {
            // The direct path still works.
            return true;
        }
        if detour.offers(&path) {
            self.go_direct(now, slot, path);
        }
        true
    }

    /// A direct path works: the session goes there.
    pub(super) fn go_direct(&mut self, now: Instant, slot: u32, path: Path) {
        let mut token = [0; 8];
        self.rng.fill(&mut token);
        let Some(session) = self.table.at_mut(slot) else { return };
        let Some(detour) = session.detour_of_relayed() else { return };
        (detour.ask_at, detour.checked, detour.moved, detour.token) = (None, None, Some(now), token);
        self.go_to(slot, path);
    }

    fn go_to(&mut self, slot: u32, path: Path) {
        let Some(session) = self.table.at_mut(slot) else { return };
        let from = core::mem::replace(&mut session.path, path);
        if let Some(roaming) = session.roaming.as_deref_mut() {
            (roaming.from, roaming.probe, roaming.quiet_until) = (Some(from), None, None);
        }
        self.table.tell(slot, news::MOVED);
    }

    /// Something came over the relays of a session that has gone to a direct path: the other side has gone back. True where that is looked after.
    pub(super) fn follow_back(&mut self, now: Instant, slot: u32, path: &Path, newest: bool) -> bool {
        let Some(session) = self.table.at_mut(slot).filter(|session| !session.is_relayed()) else { return false };
        let Some(detour) = session.detour().filter(|detour| detour.relays == *path) else { return false };
        let settled = detour.moved.is_none_or(|moved| now.saturating_since(moved) >= SETTLING);
        if newest && settled {
            self.go_back(now, slot);
        }
        true
    }

    /// The direct path does not work any more.
    fn go_back(&mut self, now: Instant, slot: u32) {
        let Some(detour) = self.table.at_mut(slot).and_then(Session::detour) else { return };
        detour.checked = None;
        // One that has worked for a while fails for the first time. One that never holds is tried ever more seldom, else the session goes to and fro.
        if detour.moved.is_some_and(|moved| now.saturating_since(moved) >= FIRST_RETRY) {
            detour.failures = 0;
        }
        detour.failures = (detour.failures + 1).min(MOST_DOUBLED);
        let again = now + FIRST_RETRY * (1 << (detour.failures - 1));
        // Who was told of no address waits for the other side to ask.
        detour.ask_at = (!detour.offered.is_empty()).then_some(again);
        (detour.next, detour.tries) = (0, 0);
        let relays = detour.relays;
        self.go_to(slot, relays);
        self.table.owe(slot, owed::AGAIN);
        self.table.set_timer(slot, now + Duration::from_secs(1));
    }

    /// What was sent on a direct path is kept for a moment.
    pub(super) fn note_sent(&mut self, now: Instant, slot: u32, packet: &[u8]) {
        let Some(session) = self.table.at_mut(slot).filter(|session| session.roaming.is_some()) else { return };
        if session.is_relayed() {
            return;
        }
        let Some(detour) = session.detour() else { return };
        detour.keep(now, packet);
        if detour.checked.is_none() {
            self.table.set_timer(slot, now + PATIENCE);
        }
    }

    /// How many bytes are kept that were sent on direct paths.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        let detours = self.table.slab.iter().filter_map(|(_, session)| session.roaming.as_ref()?.detour.as_ref());
        detours.map(|detour| detour.bytes).sum()
    }

    /// Ask at the addresses of the other side, look whether a direct path still works, go back. Says when to come again.
    pub(super) fn look_after_detour(&mut self, now: Instant, slot: u32) -> Option<Instant> {
        let session = self.table.at_mut(slot)?;
        let (relayed, heard) = (session.is_relayed(), session.heard);
        let unheard = session.awaiting.get();
        let detour = session.detour()?;
        if relayed {
            let at = detour.ask_at?;
            if now < at {
                return Some(at);
            }
            if detour.tries >= TRIES {
                detour.failures = (detour.failures + 1).min(MOST_DOUBLED);
                (detour.tries, detour.next) = (0, 0);
                detour.ask_at = Some(now + FIRST_RETRY * (1 << (detour.failures - 1)));
                return detour.ask_at;
            }
            detour.tries += 1;
            detour.ask_at = Some(now + Duration::from_secs(1));
            let at = detour.ask_at;
            self.table.owe(slot, owed::ASK_DIRECT);
            return at;
        }
        detour.forget_old(now);
        let old = detour.kept.front().map(|(sent, _)| *sent + KEPT_FOR);
        match detour.checked {
            Some(checked) if heard > checked => detour.checked = None,
            Some(checked) if now >= checked + PATIENCE => {
                self.go_back(now, slot);
                return Some(now + Duration::from_secs(1));
            }
            Some(checked) => return Some(checked + PATIENCE),
            None => {}
        }
        let Some(unheard) = unheard else { return old };
        let at = unheard + PATIENCE;
        if now < at {
            return Some(at);
        }
        detour.checked = Some(now);
        self.table.owe(slot, owed::CHECK);
        Some(now + PATIENCE)
    }

    /// Write what is owed of all this.
    pub(super) fn send_of_detour(&mut self, now: Now, slot: u32, what: u8, out: &mut [u8]) -> Option<Transmit> {
        if what == owed::ADDRESSES {
            let len = write(&self.addresses, out.get_mut(HEAD_ROOM..HEAD_ROOM + MAX_ADDRESSES * ADDRESS)?)?;
            let sealed = self.seal_inner(now, slot, Inner::Addresses, out, len).ok()?;
            return Some(Transmit { path: sealed.path, len: sealed.len });
        }
        let session = self.table.at_mut(slot)?;
        let (path, relayed) = (session.path, session.is_relayed());
        let detour = session.detour()?;
        match what {
            owed::AGAIN => {
                let packet = detour.take_kept(now.mono)?;
                out.get_mut(..packet.len())?.copy_from_slice(&packet);
                self.table.owe(slot, owed::AGAIN);
                Some(Transmit { path, len: packet.len() })
            }
            owed::ASK_DIRECT if relayed => {
                let at = *detour.offered.get(detour.next)?;
                detour.next = (detour.next + 1) % detour.offered.len();
                let (token, more) = (detour.token, detour.next != 0);
                if more {
                    self.table.owe(slot, owed::ASK_DIRECT);
                }
                let len = self.seal_token(now, slot, (Inner::Ask, token), out)?;
                Some(Transmit { path: Path::to(at), len })
            }
            owed::CHECK if !relayed => {
                let token = detour.token;
                let len = self.seal_token(now, slot, (Inner::Ask, token), out)?;
                Some(Transmit { path, len })
            }
            _ => None,
        }
    }

    fn seal_token(&mut self, now: Now, slot: u32, (inner, token): (Inner, [u8; 8]), out: &mut [u8]) -> Option<usize> {
        out.get_mut(HEAD_ROOM..HEAD_ROOM + 8)?.copy_from_slice(&token);
        self.seal_inner(now, slot, inner, out, 8).ok().map(|sealed| sealed.len)
    }
}

impl Roaming {
    /// Whether there is nothing to be remembered.
    pub(super) const fn is_over(&self) -> bool {
        self.probe.is_none() && self.quiet_until.is_none() && self.answer.is_none() && self.detour.is_none()
    }
}
