//! Forwarding: where a ping goes, where its answer goes back to, and what is turned away.

use core::net::IpAddr;

use super::Label;
use super::circuit::{AMPLIFICATION, Asker, Circuits, enters_circuit};
use super::config::{MAX_FANOUT, Rate, RelayConfig};
use super::credit::Credits;
use super::faults::Faults;
use super::names::{Names, Scratch, fingerprints};
use super::neighbours::{Hop, Hops, Neighbours};
use super::open::{self, OpenWays, Passed};
use super::quota::{Grant, Quotas};
use super::recent::Recent;
use super::reject::RelayReject;
use super::reserve::{Reservations, ReserveError};
use super::routes::{Learned, Routes};
use super::told::{Back, Forward, RelayStats, Transit, Way, WayBack};
use crate::Path;
use crate::framing::{Decision, Packet, PingType, Response, RoutingMode, Text, Zone};
use crate::limits::MAX_PACKET_ID;
use crate::seed::{Rng, SipKey};
use crate::time::Instant;

/// How many timers run out in one call of [`Relay::handle_timeout`] at most.
const TIMERS: usize = 64;

/// The next hops of a ping: how the first was found, all of them, and of each that has proven nothing how many bytes may go there.
type Next = (Way, Hops, heapless::Vec<Option<(u64, usize)>, MAX_FANOUT>);

/// A relay: all that it knows of what passes through it. See the [module](super).
pub struct Relay {
    config: RelayConfig,
    key: SipKey,
    seen: Recent,
    avoided: Recent,
    routes: Routes,
    neighbours: Neighbours,
    open: OpenWays,
    sources: Quotas,
    /// The same of sources that prove nothing, by name and link: however many names there are, they take no place from those that are proven.
    strangers: Quotas,
    targets: Quotas,
    links: Quotas,
    /// What sources that prove nothing have of the quota of a target over one link.
    shares: Quotas,
    reservations: Reservations,
    circuits: Circuits,
    credits: Credits,
    stats: RelayStats,
    faults: Faults,
}

impl Relay {
    /// A relay that knows nobody. `rng` gives the keys of its tables: a fork of the machine's seed.
    #[must_use]
    pub fn new(config: RelayConfig, rng: &mut Rng) -> Self {
        let quotas = || Quotas::new(config.max_rates);
        Self {
            key: rng.sip_key(),
            // Of each ping that bears a proof there are two hashes.
            seen: Recent::new(config.max_seen.saturating_mul(2), config.seen_for),
            avoided: Recent::new(config.max_routes, config.avoid_for),
            routes: Routes::new(config.max_routes, config.route_for),
            neighbours: Neighbours::new(config.max_neighbours),
            open: OpenWays::new(&config),
            sources: quotas(),
            strangers: quotas(),
            targets: quotas(),
            links: quotas(),
            shares: quotas(),
            reservations: Reservations::new(),
            circuits: Circuits::new(&config, rng.sip_key()),
            credits: Credits::new(config.max_routes),
            stats: RelayStats::default(),
            faults: Faults::default(),
            config,
        }
    }

    /// Switch protections off, to prove that a simulation notices.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// How it was configured.
    #[must_use]
    pub const fn config(&self) -> &RelayConfig {
        &self.config
    }

    /// Decide where a ping goes that is for somebody else, and keep its way back.
    ///
    /// In this order: whether it may go on at all, whether it went already, quotas, and who comes next: the target itself if it is a
    /// peer, its reservation, its record, what was learned, and otherwise the neighbours with the best score. Never where it came
    /// from. A way that this source had no answer over a moment ago comes last. What is turned away leaves nothing behind but a count.
    ///
    /// # Errors
    /// Why it does not go on.
    pub fn forward(&mut self, now: Instant, transit: &Transit<'_>) -> Result<Forward, RelayReject> {
        let result = self.try_forward(now, transit);
        match &result {
            Ok(forward) => {
                self.stats.forwarded = self.stats.forwarded.saturating_add(1);
                self.stats.copies = self.stats.copies.saturating_add(forward.to.len() as u64);
            }
            Err(why) => self.stats.rejects.count(*why),
        }
        result
    }

    /// Whether a ping that bears a proof is turned away even if that holds: exactly this one was passed on a short time ago, or a quota that is its source's then is used up. So copies
    /// and floods in names that are let in need no arithmetic.
    ///
    /// # Errors
    /// Why it does not go on.
    pub(crate) fn check_unverified(&self, now: Instant, packet: &Packet<'_>, from: Path) -> Result<(), RelayReject> {
        let (bare, signed) = fingerprints(&self.key, packet);
        if !self.faults.poisonable_seen() && self.seen.contains(now, signed.unwrap_or(bare)) {
            return Err(RelayReject::Duplicate);
        }
        let (mut scratch, zone) = (Scratch::new(), Zone::Groen);
        let names = Names::of_packet(packet, &mut scratch)?;
        let (peer, recorded, room) = (None, None, None);
        let transit = Transit { packet, from, len: 0, zone, proven: true, room, peer, peer_proven: false, recorded };
        let passed = self.passed(&names, &transit);
        self.grants(now, &passed)?;
        self.open.place(&passed).map(|_| ()).ok_or(RelayReject::Busy)
    }

    /// Count what whoever holds the relay does not have it pass on, and why.
    pub(crate) fn refuse(&mut self, why: RelayReject) -> RelayReject {
        self.stats.rejects.count(why);
        why
    }

    fn try_forward(&mut self, now: Instant, transit: &Transit<'_>) -> Result<Forward, RelayReject> {
        let packet = transit.packet;
        let hop_count = self.may_travel(transit)?;
        let mut scratch = Scratch::new();
        let names = Names::of_packet(packet, &mut scratch)?;
        if names.source == names.target {
            return Err(RelayReject::NoRoute);
        }
        let (bare, signed) = match self.faults.poisonable_seen() {
            true => (self.key.hash(names.packet_id.as_bytes()), None),
            false => fingerprints(&self.key, packet),
        };
        if self.seen.contains(now, signed.unwrap_or(bare)) {
            return Err(RelayReject::Duplicate);
        }
        let passed = self.passed(&names, transit);
        let grants = self.grants(now, &passed)?;
        let place = self.open.place(&passed).ok_or(RelayReject::Busy)?;
        let (way, hops, rooms) = self.next_hops(now, transit, &passed)?;

        let ([source, target, link], share) = grants;
        let sources = if passed.proven { &mut self.sources } else { &mut self.strangers };
        sources.charge(source);
        self.targets.charge(target);
        self.links.charge(link);
        share.into_iter().for_each(|share| self.shares.charge(share));
        [Some(bare), signed].into_iter().flatten().for_each(|hash| self.seen.note(now, hash));
        rooms.iter().flatten().for_each(|(address, _)| self.credits.take(*address, transit.len));
        if let Some(other) = self.open.keep(now, &self.config, passed, (place, &hops)) {
            self.close_way(other);
        }
        self.neighbours.up(passed.from.link);
        if transit.proven {
            let hops = u8::try_from(hop_count).unwrap_or(u8::MAX);
            self.routes.learn(now, passed.source, passed.from, hops, false);
        }
        let to = hops.into_iter().map(|hop| hop.path).collect();
        Ok(Forward { to, way, hop_count, rooms, charged: transit.len })
    }

    /// The hops that it has travelled when it leaves, if it may leave.
    fn may_travel(&self, transit: &Transit<'_>) -> Result<i64, RelayReject> {
        let Packet { routing_mode, .. } = *transit.packet;
        if routing_mode != RoutingMode::Mesh {
            return Err(RelayReject::NotMesh);
        }
        if transit.zone != Zone::Groen {
            return Err(RelayReject::NotAllowed);
        }
        self.check_hops(transit.packet)
    }

    /// The hops that a ping has travelled when it leaves, if it may go one further.
    pub(crate) fn check_hops(&self, packet: &Packet<'_>) -> Result<i64, RelayReject> {
        let Packet { hop_count, max_hops, .. } = *packet;
        if hop_count < 0 || max_hops < 0 {
            return Err(RelayReject::BadHops);
        }
        if hop_count >= max_hops.min(self.config.max_hops.into()) && !self.faults.no_hop_cap() {
            return Err(RelayReject::HopLimit);
        }
        Ok(hop_count.saturating_add(1))
    }

    fn passed(&self, names: &Names<'_>, transit: &Transit<'_>) -> Passed {
        let &Names { packet_id, source, target } = names;
        let &Transit { packet, from, proven, room, .. } = transit;
        let [source_hash, target_hash] = [source, target].map(|did| self.did(did));
        let from = Hop { shown: room.is_none(), ..self.hop(from) };
        let holder = if proven { source_hash } else { both(source_hash, from.link) };
        Passed {
            id: self.key.hash(packet_id.as_bytes()),
            source: source_hash,
            holder,
            proven,
            room,
            target: target_hash,
            flow: both(holder, target_hash),
            from,
            circuit: (packet.ping_type == PingType::Relay).then(|| Label::of(packet_id, source, target).number()),
        }
    }

    /// Room in all quotas: of the source, the target and the link, and of what sources that prove nothing have of the target's. Nothing is used up before it is known that the ping goes on: else a source that sends too much would
    /// use up the quota of its link, which others need.
    fn grants(&self, now: Instant, passed: &Passed) -> Result<([Grant; 3], Option<Grant>), RelayReject> {
        let RelayConfig { source_rate, target_rate, link_rate, reserved_factor, .. } = self.config;
        let reserved = |did| self.reservations.find(now, did).is_some();
        let pace = |did, rate: Rate| if reserved(did) { rate.times(reserved_factor).pace() } else { rate.pace() };
        let sources = if passed.proven { &self.sources } else { &self.strangers };
        let source = sources.grant(now, passed.holder, pace(passed.source, source_rate));
        let source = source.ok_or(RelayReject::SourceQuota)?;
        let all = pace(passed.target, target_rate);
        let target = self.targets.grant(now, passed.target, if passed.proven { all } else { all.for_strangers() });
        let target = target.ok_or(RelayReject::TargetQuota)?;
        let share = match passed.proven {
            true => None,
            false => {
                let share = both(passed.target, passed.from.link);
                Some(self.shares.grant(now, share, all.for_one_link()).ok_or(RelayReject::TargetQuota)?)
            }
        };
        let of_link = if passed.proven { link_rate.pace() } else { link_rate.pace().for_strangers() };
        let link = self.links.grant(now, passed.from.link, of_link).ok_or(RelayReject::LinkQuota)?;
        Ok(([source, target, link], share))
    }

    /// Over whom it goes, and how the first of them was found: over one hop that is known, two where the way is long, unless the first left something unanswered; then
    /// over as many as the fan-out allows and one more for each that did so, those last.
    fn next_hops(&self, now: Instant, transit: &Transit<'_>, passed: &Passed) -> Result<Next, RelayReject> {
        let from = passed.from.link;
        let allowed = |link: u64| link != from || self.faults.no_split_horizon();
        let avoided = |link: u64| self.avoided.contains(now, both(passed.flow, link));
        // Mostly the target is a peer, and nothing else is looked at.
        let peer = transit.peer.map(|path| Hop { shown: transit.peer_proven, ..self.hop(path) });
        if let Some(hop) = peer.filter(|hop| hop.shown && allowed(hop.link) && !avoided(hop.link)) {
            return Ok((Way::Peer, Hops::from_iter([hop]), heapless::Vec::new()));
        }
        let reserved = self.reservations.find(now, passed.target);
        let is_shown = |hop: &Hop| {
            let shown = [peer, reserved].into_iter().flatten().any(|known| known.shown && known.link == hop.link);
            hop.shown || shown || self.neighbours.has(hop.link)
        };
        let room = |hop: &Hop| (!is_shown(hop)).then(|| (hop.link, self.credits.left(hop.link)));
        let affords = |hop: &Hop| room(hop).is_none_or(|(_, left)| left >= transit.len);
        let next = |way, mut hops: Hops| {
            let rooms = hops.iter().map(room).collect();
            hops.iter_mut().for_each(|hop| hop.shown = is_shown(hop));
            (way, hops, rooms)
        };
        if let Some(hop) = peer.filter(|hop| allowed(hop.link) && !avoided(hop.link) && affords(hop)) {
            return Ok(next(Way::Peer, Hops::from_iter([hop])));
        }
        let [learned, other] = self.routes.find(now, passed.target);
        let known = [
            peer.map(|hop| (Way::Peer, hop, false)),
            reserved.map(|hop| (Way::Reserved, hop, false)),
            transit.recorded.map(|path| (Way::Recorded, self.hop(path), false)),
            learned.map(|learned| (Way::Learned, learned.hop, learned.doubted)),
            other.map(|learned| (Way::Learned, learned.hop, learned.doubted)),
        ];
        let known_at_all = || known.iter().flatten().filter(|(_, hop, _)| allowed(hop.link));
        let known = || known_at_all().filter(|(_, hop, _)| affords(hop));
        let is_sure = |(_, hop, doubted): &(Way, Hop, bool)| !doubted && !avoided(hop.link);
        let sure = known().next().is_some_and(is_sure);
        let failed = known().filter(|(_, hop, _)| avoided(hop.link)).count();
        let fanout = match (sure, known().next(), known().nth(1)) {
            // Both are learned ones: of all others there is one way, in front.
            (true, Some((Way::Learned, ..)), Some(second)) if is_sure(second) && self.is_far(learned) => 2,
            (true, ..) => 1,
            (false, ..) => (usize::from(self.config.fanout) + failed).clamp(1, MAX_FANOUT),
        };
        let mut hops = Hops::new();
        // Anybody can have an address learned that is not his: a ping goes to one such at most, so that nobody there gets several times what was sent.
        let is_reserved = |link: u64| reserved.is_some_and(|hop| hop.link == link);
        let is_stray = |hop: &Hop| !is_reserved(hop.link) && !self.neighbours.has(hop.link);
        for again in [false, true] {
            for (_, hop, _) in known().filter(|(_, hop, _)| avoided(hop.link) == again) {
                let is_new = hops.iter().all(|taken| taken.link != hop.link);
                let is_second = !hops.is_empty() && is_stray(hop) && hops.iter().any(is_stray);
                if hops.len() < fanout && is_new && !is_second {
                    let _ = hops.push(*hop);
                }
            }
            // One at least that has left nothing unanswered, if there is any.
            let most = if again || known().next().is_none() { fanout } else { 1 };
            let usable = |link: u64| allowed(link) && (again || !avoided(link));
            // Where all have left something unanswered each try takes others of them.
            let flow = if again { passed.flow ^ passed.id } else { passed.flow };
            self.neighbours.choose(now, flow, most, &mut hops, usable);
        }
        let way = hops.first().and_then(|hop| known().find(|(_, known, _)| known.link == hop.link));
        let way = way.map_or(Way::Chosen, |(way, ..)| *way);
        match hops.is_empty() {
            false => Ok(next(way, hops)),
            // What may not be sent to where it is known to be.
            true if known_at_all().next().is_some() => Err(RelayReject::Amplification),
            true => Err(RelayReject::NoRoute),
        }
    }

    /// Whether a way is so long that a ping goes over a second one, too.
    fn is_far(&self, way: Option<Learned>) -> bool {
        way.is_some_and(|way| way.is_far(self.config.twice_from))
    }

    /// Whether one who passes things on is at this address.
    pub(crate) fn is_near(&self, path: Path) -> bool {
        self.neighbours.has(self.link(&path))
    }

    /// Whether more of this address is looked at.
    pub(crate) fn has_link_room(&self, now: Instant, path: Path) -> bool {
        self.links.grant(now, self.link(&path), self.config.link_rate.pace()).is_some()
    }

    /// Something came from this address that cost work and was worth nothing.
    pub(crate) fn charge_link(&mut self, now: Instant, path: Path) {
        if let Some(link) = self.links.grant(now, self.link(&path), self.config.link_rate.pace()) {
            self.links.charge(link);
        }
    }

    /// Whether an answer to the ping with this id may go back.
    pub(crate) fn awaits(&self, now: Instant, packet_id: Text<'_>) -> bool {
        let mut scratch = [0; MAX_PACKET_ID];
        packet_id.resolve(&mut scratch).is_ok_and(|id| self.open.awaits(now, self.key.hash(id.as_bytes())))
    }

    /// Decide where an answer goes back to.
    ///
    /// It has to come over a link over which the ping went, in the name that was asked. It is passed on as it is: behind an answer that
    /// says `pending` the way stays open for the decision, any other closes it. Where the ping went over several links each may bring
    /// one, for a moment: a neighbour that answers in the name of the target takes nothing away, and while two of them do no way to the
    /// target is taken for sure.
    ///
    /// # Errors
    /// Why it does not go back.
    pub fn answer(&mut self, now: Instant, from: Path, response: &Response<'_>) -> Result<Back, RelayReject> {
        let result = self.try_answer(now, from, response);
        match &result {
            Ok(_) => self.stats.answered = self.stats.answered.saturating_add(1),
            Err(why) => self.stats.rejects.count(*why),
        }
        result
    }

    fn try_answer(&mut self, now: Instant, from: Path, response: &Response<'_>) -> Result<Back, RelayReject> {
        let mut scratch = Scratch::new();
        let (id, responder) = Names::of_response(response, &mut scratch)?;
        let (id, responder, hop) = (self.key.hash(id.as_bytes()), self.did(responder), self.hop(from));
        let link = self.links.grant(now, hop.link, self.config.link_rate.pace()).ok_or(RelayReject::LinkQuota)?;
        let askers = self.open.answer(now, &self.config, (id, responder, hop.link), response.decision)?;
        self.links.charge(link);
        self.neighbours.up(hop.link);
        self.routes.learn(now, responder, hop, 0, true);
        let unproven = askers.iter().all(|asker| !asker.shown).then_some(hop.link);
        let mut back = Back { to: heapless::Vec::new(), ways: heapless::Vec::new(), unproven, circuit: None };
        if askers.iter().any(|asker| asker.disputed) {
            self.routes.dispute(responder, now + self.config.avoid_for);
        }
        let asks = askers.iter().any(|asker| asker.passed.circuit.is_some());
        let enters = asks && response.decision == Decision::Accept && enters_circuit(response);
        for open::Asker { passed: asker, slot, shown, ended, .. } in &askers {
            let _ = back.to.push(asker.from.path);
            let (slot, ended) = (*slot, ended.then_some(asker.from.link));
            let _ = back.ways.push(WayBack { slot, room: asker.room, ended });
            self.avoided.forget(both(asker.flow, hop.link));
            if let Some(label) = asker.circuit.filter(|_| enters) {
                let by = Asker { holder: asker.holder, proven: asker.proven };
                let ends = [asker.from, Hop { shown: *shown, ..hop }];
                let stands = self.circuits.establish(now, &self.config, (label, by), ends);
                back.circuit = back.circuit.or(stands.then_some(label));
            }
        }
        Ok(back)
    }

    /// So many bytes of an answer went to each of its addresses: there is the less room for what follows, the decision behind `pending` say.
    /// Three times as many may go to where the answer came from: over the circuit, if one stands by it now.
    pub fn sent_back(&mut self, back: &Back, len: usize) {
        if let (Some(address), None) = (back.unproven, back.circuit) {
            self.credits.add(address, len.saturating_mul(AMPLIFICATION));
        }
        for (WayBack { slot, room, ended }, to) in back.ways.iter().zip(&back.to) {
            if let Some(label) = back.circuit {
                let left = room.unwrap_or_default().saturating_sub(len);
                self.circuits.fund(label, to, [left, len.saturating_mul(AMPLIFICATION)]);
                continue;
            }
            match (ended, room) {
                (Some(address), Some(room)) => self.credits.add(*address, room.saturating_sub(len)),
                (None, Some(_)) => self.open.charge(*slot, len),
                (_, None) => {}
            }
        }
    }

    /// So many bytes more may go to this address, which has not proven itself: of three times what came from there, what no answer to that
    /// takes.
    pub fn credit(&mut self, from: Path, bytes: usize) {
        let link = self.link(&from);
        if !self.neighbours.has(link) {
            self.credits.add(link, bytes);
        }
    }

    /// A ping went to the address with this number, in so many bytes: more than it came in, say, for there is a record of ours behind it.
    pub fn sent_on(&mut self, forward: &Forward, n: usize, len: usize) {
        if let Some((address, _)) = forward.rooms.get(n).copied().flatten() {
            self.credits.take(address, len.saturating_sub(forward.charged));
        }
    }

    /// A way back is closed: what was kept for answers may be sent otherwise.
    fn close_way(&mut self, passed: Passed) {
        if let Some(room) = passed.room {
            self.credits.add(passed.from.link, room);
        }
    }

    /// An answer was too long for the [room](Back::room) that there is.
    pub fn refused_back(&mut self) {
        self.stats.rejects.count(RelayReject::Amplification);
    }

    /// Pass on a packet of a circuit: where it goes. It is changed in place (one byte, the hops that are left) and goes as it is then.
    ///
    /// # Errors
    /// Why it does not go on.
    pub fn carry(&mut self, now: Instant, from: Path, datagram: &mut [u8]) -> Result<Path, RelayReject> {
        match self.circuits.carry(now, &self.config, &from, datagram) {
            Ok(to) => {
                self.stats.carried = self.stats.carried.saturating_add(1);
                self.stats.carried_bytes = self.stats.carried_bytes.saturating_add(datagram.len() as u64);
                Ok(to)
            }
            Err(why) => {
                self.stats.rejects.count(why);
                Err(why)
            }
        }
    }

    /// A name was heard over this hop: something that it signed came from there, and was verified. The next ping for it goes there,
    /// unless something better is known.
    pub fn learn(&mut self, now: Instant, did: &str, via: Path, hops: u8) {
        let (did, hop) = (self.did(did), self.hop(via));
        self.routes.learn(now, did, hop, hops, false);
    }

    /// Somebody who passes things on, and how good he is: 0 to 1. False where there is no room for one with this score.
    pub fn set_neighbour(&mut self, did: &str, path: Path, score: f64) -> bool {
        let (did, hop) = (self.did(did), self.hop(path));
        self.neighbours.set(did, hop, score)
    }

    /// He passes nothing on any more. False where he was not known.
    pub fn remove_neighbour(&mut self, did: &str) -> bool {
        self.neighbours.remove(self.did(did))
    }

    /// This address does not take what is sent: it refuses, or did not answer a heartbeat. Nothing is passed on to it by choice
    /// for [`RelayConfig::avoid_for`], or until something comes from there.
    pub fn unreachable(&mut self, now: Instant, path: Path) {
        let link = self.link(&path);
        self.neighbours.down(link, now + self.config.avoid_for);
    }

    /// Give a name at this address a reservation, or renew it; until when it lasts. The caller has made sure that the name is proven
    /// and let in. Who holds one is found at this address, and has larger quotas.
    ///
    /// # Errors
    /// There is none left.
    pub fn reserve(&mut self, now: Instant, did: &str, path: Path) -> Result<Instant, ReserveError> {
        let (did, hop) = (self.did(did), Hop { shown: true, ..self.hop(path) });
        self.reservations.reserve(now, &self.config, did, hop)
    }

    /// Whether this name holds a reservation.
    #[must_use]
    pub fn is_reserved(&self, now: Instant, did: &str) -> bool {
        self.reservations.len() > 0 && self.reservations.find(now, self.did(did)).is_some()
    }

    /// Take a reservation back. False where there is none.
    pub fn release(&mut self, did: &str) -> bool {
        self.reservations.release(self.did(did))
    }

    /// Forget what was learned about a name, its reservation, and that it is a neighbour: it was revoked, or turned ROOD.
    pub fn forget(&mut self, did: &str) {
        let did = self.did(did);
        self.routes.forget(did);
        self.reservations.release(did);
        self.neighbours.remove(did);
    }

    /// Let time pass: pings that nobody answered, and whatever has run out. At most 64 of them, so call it again while
    /// [`next_timeout`](Self::next_timeout) is not later than now.
    pub fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TIMERS {
            let Some(silent) = self.open.next_silent(now, &self.config) else { break };
            self.stats.silent = self.stats.silent.saturating_add(1);
            for link in &silent.to {
                self.avoided.note(now, both(silent.passed.flow, *link));
                self.routes.doubt(silent.passed.target, *link, silent.sent);
            }
        }
        for _ in 0..TIMERS {
            let Some(passed) = self.open.expire(now) else { break };
            self.close_way(passed);
        }
        self.reservations.expire(now);
        self.circuits.expire(now, &self.config, TIMERS);
    }

    /// When time has to [pass](Self::handle_timeout) at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let timers = [
            self.open.next_timeout(&self.config),
            self.reservations.next_timeout(),
            self.circuits.next_timeout(&self.config),
        ];
        timers.into_iter().flatten().min()
    }

    /// What it has done, and what it holds.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        RelayStats {
            seen: self.seen.len(),
            open: self.open.len(),
            routes: self.routes.len(),
            neighbours: self.neighbours.len(),
            reservations: self.reservations.len(),
            circuits: self.circuits.len(),
            unproven: self.credits.len(),
            quotas: [&self.sources, &self.strangers, &self.targets, &self.links, &self.shares]
                .map(Quotas::len)
                .iter()
                .sum(),
            ..self.stats
        }
    }

    fn did(&self, did: &str) -> u64 {
        self.key.hash_in(1, did.as_bytes())
    }

    fn hop(&self, path: Path) -> Hop {
        Hop { path, link: self.link(&path), shown: false }
    }

    /// The keyed hash of an address, which may be written as IPv4 or as IPv4 mapped into IPv6.
    fn link(&self, path: &Path) -> u64 {
        let ip = match path.remote.ip().to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        self.key.hash_in(u64::from(path.remote.port()) << 8 | 2, &ip.octets())
    }
}

/// One hash of two that are keyed: nobody knows what they are, so nobody can choose two pairs that meet. The finalizer of SplitMix64 makes every bit depend on
/// every other, since neighbours are chosen by what comes of it.
const fn both(first: u64, second: u64) -> u64 {
    let mixed = first ^ second.rotate_left(29);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl core::fmt::Debug for Relay {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Relay").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
