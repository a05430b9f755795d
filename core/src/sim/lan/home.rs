//! Homes in which devices are found by name, while they roam, their mappings expire, their old addresses go to thieves, and a registry lies.
//!
//! A hub and a phone have an interface on each of two segments; devices are on either, or behind a translator. A second registry, which the phone asks first, keeps whatever it is told, also by
//! thieves, and says it for ever. What comes next is drawn from the seed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};

use super::super::rng::SimRng;
use super::{Beacon, Lan, LanNodeError, LanTold};
use crate::discovery::{DiscoveryConfig, JoinToken};
use crate::framing::Value;
use crate::identity::{PublicKey, SecretKey};
use crate::node::{
    Identity, LanConfig, NodeConfig, Operation, OperationError, OperationOutcome, OverlayConfig, OverlayNews, Ping,
    Profile, Resolution, SessionPolicy,
};
use crate::pins::Origin;
use crate::registry::{Address, Source};
use crate::time::Duration;
use crate::{Did, Path, Seed};

const HUB: usize = 0;
const LIAR: usize = 1;
const PHONE: usize = 2;
/// Devices come behind these, and their thieves behind them.
const FIRST: usize = 3;
/// The segment behind the translator, and how long a mapping of it lives.
const HIDDEN: u16 = 2;
const MAPPING: Duration = Duration::from_secs(20);
/// How long an operation may take, and how long a datagram is on its way at most, with room.
const PATIENCE: Duration = Duration::from_secs(6);
const MOMENT: Duration = Duration::from_millis(100);
/// Beacons that come in one moment.
const STORM: usize = 1000;
/// What is sent to devices that were found.
const PAYLOAD: &str = "payload";
/// Devices that come with one token, and how many it lets in.
const JOINERS: usize = 3;
const USES: u32 = 2;

/// What has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanInvariant {
    /// An endpoint that was found was signed by the owner of the name.
    Signed,
    /// No record wins over a newer one.
    Newest,
    /// Nothing but challenges goes to who took over an address.
    Stolen,
    /// A join token lets in no more than it may.
    Token,
}

impl LanInvariant {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Newest => "newest",
            Self::Stolen => "stolen",
            Self::Token => "token",
        }
    }
}

/// What did not hold.
#[derive(Clone, Debug)]
pub struct LanViolation {
    /// When.
    pub at: Duration,
    /// At which node.
    pub node: usize,
    /// What should have held.
    pub invariant: LanInvariant,
    /// What was seen.
    pub detail: String,
}

/// What happened, in numbers: a home in which nothing succeeds proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LanCounts {
    /// What was done.
    pub steps: u64,
    /// Datagrams that arrived.
    pub deliveries: u64,
    /// Registrations that a registry acknowledged.
    pub registered: u64,
    /// Names that were found, and those whose key then answered.
    pub resolved: u64,
    /// Those whose key answered where they were found.
    pub reached: u64,
    /// Payloads that came to who they were for.
    pub payloads: u64,
    /// Moves that were seen.
    pub moved: u64,
    /// Devices that joined.
    pub joined: u64,
    /// Devices that did not.
    pub turned_away: u64,
}

/// What came of a home.
#[derive(Clone, Debug)]
pub struct LanRun {
    /// What did not hold; the run ends with the first.
    pub violations: Vec<LanViolation>,
    /// What happened.
    pub counts: LanCounts,
    /// How long it ran.
    pub elapsed: Duration,
    /// What arrived where and when, in short.
    pub digest: u64,
}

/// Let a home of so many devices live for this time.
///
/// # Errors
/// There is no such home.
pub fn run_home(devices: usize, seed: u64, span: Duration) -> Result<LanRun, LanNodeError> {
    let mut home = Home::new(devices.max(1), seed)?;
    while home.elapsed() < span && home.violations.is_empty() {
        home.step()?;
        home.check();
    }
    home.counts.deliveries = home.lan.delivered();
    let (elapsed, digest) = (home.elapsed(), home.lan.digest());
    Ok(LanRun { violations: home.violations, counts: home.counts, elapsed, digest })
}

struct Device {
    key: PublicKey,
    /// Where it is.
    segment: u16,
    /// Every address that it ever had.
    had: Vec<SocketAddr>,
    /// Who has its old address, and on which segment.
    thief: Option<(usize, u16)>,
    /// The highest number that the hub had, and the phone found.
    at_hub: u64,
    found: u64,
}

struct Home {
    lan: Lan,
    rng: SimRng,
    seed: u64,
    devices: Vec<Device>,
    nat: Ipv4Addr,
    /// How many joined with each token, as the hub says.
    joined: Vec<([u8; 8], Vec<String>)>,
    /// Drawn for names and keys.
    next: u64,
    counts: LanCounts,
    violations: Vec<LanViolation>,
}

fn told(why: impl core::fmt::Display) -> LanNodeError {
    LanNodeError::Told(format!("{why}").into())
}

fn name(node: usize) -> String {
    match node {
        HUB => "jis:home:hub".into(),
        LIAR => "jis:home:liar".into(),
        PHONE => "jis:home:phone".into(),
        n => format!("jis:home:device{:04}", n - FIRST),
    }
}

impl Home {
    fn new(devices: usize, seed: u64) -> Result<Self, LanNodeError> {
        let mut lan = Lan::new(seed);
        let nat = lan.translate(HIDDEN, 0, MAPPING);
        let rng = SimRng::new(&Seed::from_u64(seed), "sim.lan.home");
        let (counts, violations, joined) = (LanCounts::default(), Vec::new(), Vec::new());
        let mut home = Self { lan, rng, seed, devices: Vec::new(), nat, joined, next: 1 << 32, counts, violations };
        for node in 0..FIRST + devices {
            let segments: &[u16] = match node {
                HUB | LIAR | PHONE => &[0, 1],
                n if n % 3 == 0 => &[HIDDEN],
                n if n % 3 == 1 => &[0],
                _ => &[1],
            };
            home.add(&name(node), node as u64, matches!(node, HUB | LIAR), segments)?;
        }
        for n in 0..devices {
            let node = FIRST + n;
            let segment = [HIDDEN, 0, 1][node % 3];
            let had = home.lan.address(node, segment).into_iter().collect();
            let key = home.secret(node as u64).public();
            home.devices.push(Device { key, segment, had, thief: None, at_hub: 0, found: 0 });
            for (who, whom) in [(node, HUB), (node, LIAR), (node, PHONE), (HUB, node), (PHONE, node)] {
                home.trust(who, whom)?;
            }
        }
        for (who, whom) in [(HUB, PHONE), (LIAR, PHONE), (PHONE, HUB), (PHONE, LIAR)] {
            home.trust(who, whom)?;
        }
        home.lan.with(LIAR, |liar, _| liar.allow_legacy("*")).map_err(told)?;
        for registry in [LIAR, HUB] {
            let path = home.registry(registry, 0);
            home.lan.with(PHONE, |phone, _| phone.ask_registry(&name(registry), path)).map_err(told)?;
        }
        home.lan.run(Duration::from_secs(1));
        Ok(home)
    }

    fn secret(&self, n: u64) -> SecretKey {
        let mut seed = [0; 32];
        let (run, key) = seed.split_at_mut(8);
        run.copy_from_slice(&self.seed.to_le_bytes());
        key.iter_mut().zip(n.wrapping_add(1).to_le_bytes()).for_each(|(to, from)| *to = from);
        SecretKey::from_seed(&seed)
    }

    fn add(&mut self, did: &str, key: u64, serve: bool, segments: &[u16]) -> Result<usize, LanNodeError> {
        let mut config = NodeConfig::new(Did::new(did)?);
        config.identity = Some(Identity::from(self.secret(key)));
        (config.sessions, config.heartbeat) = (SessionPolicy::Auto, None);
        config.overlay = Some(OverlayConfig { serve, ..OverlayConfig::default() }.into());
        let discovery = DiscoveryConfig { interval: Duration::from_secs(30), ..DiscoveryConfig::default() };
        let network = LanConfig { discovery, ..LanConfig::default() };
        self.lan.add(config, &network, segments)
    }

    /// One trusts another, and knows its key.
    fn trust(&mut self, who: usize, whom: usize) -> Result<(), LanNodeError> {
        let (did, key) = (name(whom), self.secret(whom as u64).public());
        self.lan.with(who, |node, now| {
            node.set_trust(&did, 0.9).map_err(told)?;
            node.pin(now, &did, key, Origin::Operator).map(drop).map_err(told)
        })
    }

    /// Where a registry is, seen from a segment.
    fn registry(&self, registry: usize, segment: u16) -> Path {
        let on = if segment == HIDDEN { 0 } else { segment };
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        Path::to(self.lan.address(registry, on).unwrap_or(nowhere))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.lan.clock().mono.as_nanos())
    }

    /// Do an operation to its end.
    fn operate(&mut self, node: usize, operation: &Operation<'_>) -> Result<OperationOutcome, OperationError> {
        let begun = self.lan.with(node, |node, now| node.start_operation(now, operation, Some(PATIENCE)));
        let id = begun.map_err(|why| OperationError::Refused(format!("{why}").into()))?;
        let end = self.lan.clock().mono + PATIENCE + MOMENT;
        while self.lan.clock().mono < end {
            self.lan.run(MOMENT);
            for said in self.take(node) {
                match said {
                    LanTold::Ended(ended, result) if ended == id => return result,
                    _ => {}
                }
            }
        }
        Err(OperationError::Timeout)
    }

    /// What a node has told, after what counts anyway is counted.
    fn take(&mut self, node: usize) -> Vec<LanTold> {
        let told = self.lan.take_told(node);
        for said in &told {
            match said {
                LanTold::Ping(_, intent) if **intent == *PAYLOAD => self.got_payload(node),
                LanTold::Overlay(OverlayNews::Moved { .. }) => self.counts.moved += 1,
                LanTold::Overlay(OverlayNews::Joined { did, token, .. }) if node == HUB => self.let_in(token, did),
                _ => {}
            }
        }
        told
    }

    fn got_payload(&mut self, node: usize) {
        match (FIRST..FIRST + self.devices.len()).contains(&node) {
            true => self.counts.payloads += 1,
            false => self.violate(node, LanInvariant::Stolen, "it got what was meant for another".into()),
        }
    }

    fn let_in(&mut self, token: &[u8; 8], did: &str) {
        let Some((_, names)) = self.joined.iter_mut().find(|(id, _)| id == token) else {
            return self.violate(HUB, LanInvariant::Token, format!("{did} came with a token that was never made"));
        };
        if !names.iter().any(|known| known == did) {
            names.push(did.into());
        }
        if names.len() > USES as usize {
            let names = names.clone();
            self.violate(HUB, LanInvariant::Token, format!("{names:?} came with a token for {USES}"));
        }
    }

    fn violate(&mut self, node: usize, invariant: LanInvariant, detail: String) {
        let at = self.elapsed();
        self.violations.push(LanViolation { at, node, invariant, detail });
    }

    /// What comes next.
    fn step(&mut self) -> Result<(), LanNodeError> {
        self.counts.steps += 1;
        let device = self.rng.index(self.devices.len());
        match self.rng.below(20) {
            0..=2 => self.roam(device)?,
            3..=6 => self.register(device, HUB)?,
            7 => self.register(device, LIAR)?,
            8 => self.lie(device)?,
            9..=11 => self.resolve(device),
            12..=15 => self.send(device),
            16 => self.storm(device),
            17 => self.join()?,
            18 => self.lan.lose([0, 0, 50, 200].get(self.rng.index(4)).copied().unwrap_or(0)),
            _ => self.lan.run(Duration::from_secs(self.rng.between(1, 40))),
        }
        Ok(())
    }

    /// A device goes to another segment, or gets another address on its own; who says that he is it has the old one.
    fn roam(&mut self, n: usize) -> Result<(), LanNodeError> {
        let to = [0, 1, HIDDEN].get(self.rng.index(3)).copied().unwrap_or(0);
        let node = FIRST + n;
        let Some(device) = self.devices.get_mut(n) else { return Ok(()) };
        let old = self.lan.address(node, device.segment);
        let from = core::mem::replace(&mut device.segment, to);
        self.lan.detach(node, from);
        self.lan.attach(node, to);
        device.had.extend(self.lan.address(node, to));
        let thief = device.thief;
        let Some(SocketAddr::V4(old)) = old else { return Ok(()) };
        let thief = match thief {
            Some((thief, segment)) => {
                self.lan.detach(thief, segment);
                thief
            }
            None => self.thief(node)?,
        };
        self.lan.attach_at(thief, from, *old.ip());
        if let Some(device) = self.devices.get_mut(n) {
            device.thief = Some((thief, from));
        }
        self.lan.run(MOMENT);
        Ok(())
    }

    /// Somebody with a device's name and a key of his own, who believes everybody.
    fn thief(&mut self, node: usize) -> Result<usize, LanNodeError> {
        self.next += 1;
        let thief = self.add(&name(node), self.next, false, &[])?;
        self.lan.with(thief, |thief, _| {
            thief.set_trust(&name(PHONE), 1.0).map_err(told)?;
            thief.allow_legacy("*").map_err(told)
        })?;
        Ok(thief)
    }

    /// A device has a registry keep where it is, as it says or as the registry sees it.
    fn register(&mut self, n: usize, registry: usize) -> Result<(), LanNodeError> {
        let Some(segment) = self.devices.get(n).map(|device| device.segment) else { return Ok(()) };
        self.say(FIRST + n, segment, registry)
    }

    /// A node has a registry keep a record of it.
    fn say(&mut self, node: usize, segment: u16, registry: usize) -> Result<(), LanNodeError> {
        let own = self.lan.address(node, segment).filter(|_| segment != HIDDEN).map(Address::from);
        let profile = Profile { endpoints: own.as_slice(), ttl: Duration::from_secs(60), ..Profile::default() };
        self.lan.with(node, |node, now| node.set_profile(now, &profile)).map_err(told)?;
        let path = self.registry(registry, segment);
        let server = name(registry);
        if self.operate(node, &Operation::Register { server: &server, path }).is_ok() {
            self.counts.registered += 1;
        }
        Ok(())
    }

    /// A thief has the liar keep a record in the name of the device, and calls in its name.
    fn lie(&mut self, n: usize) -> Result<(), LanNodeError> {
        let Some((thief, segment)) = self.devices.get(n).and_then(|device| device.thief) else { return Ok(()) };
        let (did, payload) =
            (name(FIRST + n), if self.rng.chance(0.5) { r#"{"beacon":"goodbye"}"# } else { r#"{"port":9999}"# });
        let mut frame = [0; 2048];
        let payload = Value::from_json(payload).unwrap_or(Value::EMPTY_OBJECT);
        let len = Beacon { did: &did, payload }.write(self.lan.clock(), &mut frame).unwrap_or(0);
        let from = self.lan.address(thief, segment).unwrap_or(SocketAddr::from((Ipv4Addr::new(10, 9, 9, 9), 7150)));
        self.lan.shout(from, 0, frame.get(..len).unwrap_or_default());
        self.say(thief, segment, LIAR)
    }

    fn resolve(&mut self, n: usize) {
        if let Ok(OperationOutcome::Resolved(found)) = self.operate(PHONE, &Operation::Resolve(&name(FIRST + n))) {
            self.counts.resolved += 1;
            self.check_found(n, &found);
        }
    }

    /// The phone looks a device up, and sends it something.
    fn send(&mut self, n: usize) {
        let did = name(FIRST + n);
        let Ok(OperationOutcome::Reached { resolution, path, .. }) = self.operate(PHONE, &Operation::Reach(&did))
        else {
            return;
        };
        self.counts.reached += 1;
        self.check_found(n, &resolution);
        // What cannot be sent is not sent.
        let _ = self.lan.with(PHONE, |phone, now| phone.ping(now, &Ping::new(&did, path, PAYLOAD)));
        self.lan.run(MOMENT);
    }

    /// A thousand beacons of as many strangers, and one in the name of a device, all in one moment.
    fn storm(&mut self, n: usize) {
        let mut frame = [0; 2048];
        let own = name(FIRST + n);
        for stranger in 0..STORM {
            let did = if stranger == 0 { own.clone() } else { format!("jis:storm:{stranger}") };
            let from = SocketAddr::from((Ipv4Addr::new(10, 200, (stranger / 250) as u8, (stranger % 250) as u8), 7150));
            let len =
                Beacon { did: &did, payload: Value::EMPTY_OBJECT }.write(self.lan.clock(), &mut frame).unwrap_or(0);
            self.lan.shout(from, (stranger % 2) as u16, frame.get(..len).unwrap_or_default());
        }
        self.lan.run(MOMENT);
    }

    /// The hub makes a token, and more devices come with it than it may let in, two of them at once.
    fn join(&mut self) -> Result<(), LanNodeError> {
        let made = self.lan.with(HUB, |hub, now| hub.new_join_token(now, USES, Duration::from_secs(600), 0.8));
        // There are as many as there may be.
        let Ok((token, _)) = made else { return Ok(()) };
        self.joined.push((token.id(), Vec::new()));
        let mut joiners = Vec::new();
        for _ in 0..JOINERS {
            self.next += 1;
            let segment = (self.next % 2) as u16;
            joiners.push((self.add(&format!("jis:new:{}", self.next), self.next, false, &[segment])?, segment));
        }
        self.bring_in(&token, &joiners);
        for (joiner, segment) in joiners {
            self.lan.detach(joiner, segment);
        }
        Ok(())
    }

    fn bring_in(&mut self, token: &JoinToken, joiners: &[(usize, u16)]) {
        let mut begun = Vec::new();
        for (joiner, segment) in joiners {
            let path = self.registry(HUB, *segment);
            let join = Operation::Join { token, path };
            begun.extend(self.lan.with(*joiner, |node, now| node.start_operation(now, &join, Some(PATIENCE))).ok());
        }
        self.lan.run(PATIENCE + MOMENT);
        let mut let_in = 0;
        for (joiner, _) in joiners {
            for said in self.take(*joiner) {
                match said {
                    LanTold::Ended(id, Ok(OperationOutcome::Joined { .. })) if begun.contains(&id) => let_in += 1,
                    LanTold::Ended(..) => self.counts.turned_away += 1,
                    _ => {}
                }
            }
        }
        self.counts.joined += u64::from(let_in);
        if let_in > USES {
            self.violate(
                HUB,
                LanInvariant::Token,
                format!("{let_in} devices say that they joined with a token for {USES}"),
            );
        }
    }

    /// What was found is the word of the key whose name it is, and not older than what was found before.
    fn check_found(&mut self, n: usize, found: &Resolution) {
        let nat = self.nat;
        let Some(device) = self.devices.get_mut(n) else { return };
        let addr = match found.address() {
            Some(Address::Ip(addr)) => Some(addr),
            _ => None,
        };
        let was_there = addr.is_some_and(|addr| device.had.contains(&addr) || addr.ip() == nat);
        let Some(seq) = found.seq else {
            // A peer, or a neighbour: it has shown its key from there.
            if found.source == Source::Peer && !was_there {
                self.violate(PHONE, LanInvariant::Signed, format!("{found:?}"));
            }
            return;
        };
        let (key, newest) = (device.key, device.found);
        device.found = newest.max(seq);
        let did = name(FIRST + n);
        let known = self.lan.node(PHONE).registry().and_then(|registry| registry.get(&did));
        let signed = known.and_then(|known| known.record()).is_some_and(|record| {
            let claims = record.claims();
            let says = claims.endpoints().any(|endpoint| *format!("{endpoint}") == *found.endpoint);
            claims.key == key && claims.seq == seq && *claims.did == *did && says
        });
        if !signed || found.key != Some(key) || !was_there {
            self.violate(PHONE, LanInvariant::Signed, format!("{found:?}"));
        }
        if seq < newest {
            self.violate(PHONE, LanInvariant::Newest, format!("{found:?} after {newest}"));
        }
    }

    /// What holds of the hub at any time, and what everybody else was told.
    fn check(&mut self) {
        for node in 0..self.lan.len() {
            self.take(node);
        }
        for n in 0..self.devices.len() {
            let did = name(FIRST + n);
            let known = self.lan.node(HUB).registry().and_then(|registry| registry.get(&did));
            let known = known.map(|known| (known.seq(), known.key()));
            let (Some((seq, key)), Some(device)) = (known, self.devices.get_mut(n)) else { continue };
            let before = core::mem::replace(&mut device.at_hub, seq);
            let own = device.key == key;
            if seq < before {
                self.violate(HUB, LanInvariant::Newest, format!("{did}: {seq} after {before}"));
            }
            if !own {
                self.violate(HUB, LanInvariant::Signed, format!("{did} is bound to another key"));
            }
        }
        let over = self.lan.node(HUB).join_tokens().find(|token| token.used > token.uses);
        if let Some(token) = over {
            self.violate(HUB, LanInvariant::Token, format!("{token:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_be_is_noticed() {
        let mut home = Home::new(2, 3).unwrap();
        home.register(0, HUB).unwrap();
        let Ok(OperationOutcome::Resolved(found)) = home.operate(PHONE, &Operation::Resolve(&name(FIRST))) else {
            panic!("it is registered")
        };
        home.check_found(0, &found);
        assert!(home.violations.is_empty() && home.devices[0].found == found.seq.unwrap());
        let elsewhere = Resolution { endpoint: "10.9.9.9:7150".into(), ..found.clone() };
        let forged = Resolution { key: Some(home.secret(77).public()), ..found.clone() };
        let newer = Resolution { seq: found.seq.map(|seq| seq + 1), ..found.clone() };
        let near = Resolution { endpoint: "10.9.9.9:7150".into(), source: Source::Peer, seq: None, ..found.clone() };
        for wrong in [elsewhere, forged, newer, near] {
            home.check_found(0, &wrong);
        }
        home.devices[0].found = found.seq.unwrap() + 1;
        home.check_found(0, &found);
        let thief = home.thief(FIRST).unwrap();
        home.got_payload(thief);
        home.joined.push(([1; 8], Vec::new()));
        for did in ["jis:a", "jis:b", "jis:b", "jis:c"] {
            home.let_in(&[1; 8], did);
        }
        home.let_in(&[2; 8], "jis:a");
        let noticed: Vec<_> = home.violations.iter().map(|violation| violation.invariant.name()).collect();
        assert_eq!(noticed, ["signed", "signed", "signed", "signed", "newest", "stolen", "token", "token"]);
    }
}
