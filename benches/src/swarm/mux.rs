//! `--scenario mux`: pairs of agents at a hub that alters what it carries, over connections that are cut and stall, with readers that are slow.
//!
//! | invariant | |
//! |---|---|
//! | `genuine` | what is heard is what was said on that channel, each message once and in order |
//! | `taken` | what is acknowledged was taken by the application |
//! | `bounded` | a reader that is slow holds a window of each stream and no more |
//! | `heals` | once all is well, everything that was said is acknowledged, unless its channel was found to be tampered with |
//! | `panic`, `spin` | nothing panics, nothing spins |

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::{App, Flow};
use sluis_core::identity::SecretKey;
use sluis_core::sim::streams::{HostId, StreamLink, StreamWorld};
use sluis_core::{Conn, End, Instant, Machine, Now, Order, Reject, Rng, Seed, Streams, Up, Wants};
use sluis_mux::channel::{ChannelId, Kind, SendError};
use sluis_mux::native::{Channel, Client, ClientConfig, Event, Hub, HubConfig};
use sluis_mux::{Access, Fault};

use super::run::{Finding, Outcome};

/// How long everything heals at the end: longer than a channel waits, and some.
const HEALING: Duration = Duration::from_secs(150);
/// How long an application looks at a message before it takes it.
const THINKING: Duration = Duration::from_millis(200);
/// Channels of a pair.
const CHANNELS: usize = 2;
/// What a slow reader may hold: a window and two blocks of each stream, the greeting's two included.
const HELD: usize = (CHANNELS + 2) * (64 * 1024 + 8 * 1024);
/// What the hub looks for, and alters.
const MARK: &[u8] = b"pay 100 to ";

/// A hub that alters messages while it is told to.
struct Rogue {
    hub: Hub,
    alters: Rc<RefCell<bool>>,
}

impl Machine for Rogue {
    type Event<'a> = ();

    fn handle_timeout(&mut self, now: Now) {
        self.hub.handle_timeout(now);
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        self.hub.wants()
    }
}

impl Streams for Rogue {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        self.hub.handle_up(now, up)
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        self.hub.handle_bytes(now, conn, bytes)
    }

    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        self.hub.handle_end(now, conn, end);
    }

    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        self.hub.poll_order(now)
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        let len = self.hub.poll_bytes(now, conn, out);
        if let Some(at) = out[..len].windows(MARK.len()).position(|window| window == MARK)
            && std::mem::take(&mut *self.alters.borrow_mut())
        {
            out[at + 4] = b'9';
        }
        len
    }
}

/// One agent's application, and what is to be checked of it.
#[derive(Default)]
struct Desk {
    peer: String,
    /// It opens the channels of its pair; these are those that are open.
    opens: bool,
    open: Vec<Channel>,
    names: BTreeMap<Channel, ChannelId>,
    to_say: VecDeque<usize>,
    said: BTreeMap<ChannelId, Vec<Vec<u8>>>,
    acked: BTreeMap<ChannelId, u64>,
    heard: BTreeMap<ChannelId, Vec<Vec<u8>>>,
    taken: BTreeMap<ChannelId, u64>,
    /// What it has heard, when, and not taken yet: it thinks about everything for a moment.
    thinks: VecDeque<(Instant, Channel, u64)>,
    /// Channels that are over without being done: tampered with, or given up.
    lost: Vec<ChannelId>,
    /// It looks at nothing.
    slow: bool,
    most_held: usize,
    number: u64,
}

#[derive(Clone, Default)]
struct AsAgent(Rc<RefCell<Desk>>);

impl AsAgent {
    fn hear(desk: &mut Desk, now: Now, client: &mut Client) {
        loop {
            let Some(event) = client.poll_event() else { return };
            let mut accept = None;
            match event {
                Event::Incoming(channel, opening, _) => {
                    desk.names.insert(channel, opening.channel);
                    accept = Some(channel);
                }
                Event::Message(channel, number, _, body) => {
                    let Some(name) = desk.names.get(&channel) else { continue };
                    desk.heard.entry(*name).or_default().push(body.to_vec());
                    desk.thinks.push_back((now.mono + THINKING, channel, number));
                }
                Event::Opened(channel, _) => desk.open.push(channel),
                Event::Acked(channel, upto) => {
                    let Some(name) = desk.names.get(&channel) else { continue };
                    desk.acked.insert(*name, upto);
                }
                Event::Broken(channel, _) | Event::Abandoned(channel, _) | Event::Refused(channel, _) => {
                    desk.open.retain(|other| *other != channel);
                    desk.lost.extend(desk.names.remove(&channel));
                }
                _ => {}
            }
            if let Some(channel) = accept {
                client.accept(now, channel);
            }
        }
    }

    fn take(desk: &mut Desk, now: Now, client: &mut Client) {
        while let Some((_, channel, number)) = desk.thinks.pop_front_if(|(at, ..)| *at <= now.mono) {
            if let Some(name) = desk.names.get(&channel) {
                desk.taken.insert(*name, number);
            }
            client.take(now, channel, number);
        }
    }

    fn say(desk: &mut Desk, now: Now, client: &mut Client) {
        while desk.opens && desk.names.len() < CHANNELS {
            let Ok(channel) = client.open(now, &desk.peer, "vpn:tunnel", "{}") else { return };
            let Some(opened) = client.channel(channel) else { return };
            desk.names.insert(channel, opened.opening().channel);
        }
        // Until there is nothing to say, or no channel has room.
        let mut full = 0;
        while full < CHANNELS
            && let Some(size) = desk.to_say.front().copied()
        {
            let at = usize::try_from(desk.number).unwrap_or_default() % CHANNELS;
            let Some(channel) = desk.open.get(at).copied() else { return };
            let Some(name) = client.channel(channel).map(|open| open.opening().channel) else { return };
            desk.names.insert(channel, name);
            let mut text = format!("{} pay 100 to {} ", desk.number, desk.peer).into_bytes();
            text.resize(text.len() + size, b'.');
            match client.send(now, channel, Kind::Bytes, &text) {
                Ok(_) => {
                    desk.said.entry(name).or_default().push(text);
                    desk.to_say.pop_front();
                    full = 0;
                }
                Err(SendError::Full) => full += 1,
                Err(_) => return,
            }
            desk.number += 1;
        }
    }
}

impl App<Client> for AsAgent {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, client: &mut Client) -> Poll<()> {
        let desk = &mut *self.0.borrow_mut();
        if !desk.opens {
            desk.most_held = desk.most_held.max(client.held());
        }
        if !desk.slow {
            Self::hear(desk, now, client);
            Self::take(desk, now, client);
            Self::say(desk, now, client);
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        let desk = self.0.borrow();
        desk.thinks.front().filter(|_| !desk.slow).map(|(at, ..)| *at)
    }
}

struct Net {
    world: StreamWorld,
    rng: Rng,
    agents: Vec<(HostId, AsAgent)>,
    hub: HostId,
    alters: Rc<RefCell<bool>>,
    began: Instant,
    findings: Vec<Finding>,
}

/// Run one seed.
#[must_use]
pub fn run(nodes: u32, seed: u64, span: Duration, fault: Option<Fault>) -> Outcome {
    let mut net = Net::new(nodes as usize, seed, fault);
    if !(net.trouble(span) && net.heal()) {
        net.find("spin", 0, "a machine spins".to_owned());
    }
    net.examine(true);
    let heard = |(_, agent): &(HostId, AsAgent)| agent.0.borrow().heard.values().map(Vec::len).sum::<usize>() as u64;
    let deliveries: u64 = net.agents.iter().map(heard).sum();
    let elapsed = net.world.now().mono.saturating_since(net.began);
    Outcome { seed, events: deliveries, deliveries, findings: net.findings, elapsed, digest: deliveries, mesh: None }
}

impl Net {
    fn new(nodes: usize, seed: u64, fault: Option<Fault>) -> Self {
        let source = Seed::from_u64(seed);
        let link = StreamLink { rate: 1_000_000, chunk: 6000, ..StreamLink::default() };
        let mut world = StreamWorld::new(link, &source);
        let (now, alters) = (world.now(), Rc::<RefCell<bool>>::default());
        let mut config = HubConfig::new("hub");
        config.access = Access::Open;
        let rogue = Rogue { hub: Hub::new(config, &source), alters: Rc::clone(&alters) };
        let hub = world.listen("hub", rogue, |_: Now, _: &mut Rogue| Flow::Continue);
        let key = |n: usize| SecretKey::generate(&mut source.fork(&format!("key {n}")));
        let mut agents = Vec::new();
        for n in 0..nodes.next_multiple_of(2) {
            let mut config = ClientConfig::new(&format!("agent{n}"), "hub", 1);
            config.signer = Some(Arc::new(key(n)));
            config.pins.insert(format!("agent{}", n ^ 1).into(), key(n ^ 1).public());
            // Windows that stay as they are can be checked.
            config.session.max_growth = 0;
            let mut client = Client::new(config, &Seed::from_u64(seed * 1000 + n as u64), now);
            if let Some(fault) = fault {
                client.switch_off(fault);
            }
            let agent = AsAgent::default();
            (agent.0.borrow_mut().peer, agent.0.borrow_mut().opens) = (format!("agent{}", n ^ 1), n % 2 == 0);
            agents.push((world.add(&format!("agent{n}"), client, agent.clone()), agent));
        }
        let began = now.mono;
        Self { world, rng: source.fork("trouble"), agents, hub, alters, began, findings: Vec::new() }
    }

    fn find(&mut self, invariant: &'static str, n: usize, detail: String) {
        let at = self.world.now().mono.saturating_since(self.began);
        if self.findings.len() < 20 {
            self.findings.push(Finding::new(at, n, invariant, detail));
        }
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.rng.u64() % n.max(1) as u64).unwrap_or_default()
    }

    fn wake(&mut self) {
        for (host, _) in &self.agents {
            self.world.wake(*host);
        }
    }

    /// Everything that can go wrong does; `false` when something spins.
    fn trouble(&mut self, span: Duration) -> bool {
        let end = self.world.now().mono + span;
        while self.world.now().mono < end {
            let n = self.below(self.agents.len());
            let host = self.agents[n].0;
            match self.below(12) {
                0..=4 => {
                    let (count, size) = (self.below(60), self.below(12_000));
                    self.agents[n & !1].1.0.borrow_mut().to_say.extend((0..count).map(|_| size));
                }
                5 => self.world.cut(host),
                6 => self.world.cut(self.hub),
                7 => self.world.stall(host, true),
                8 | 9 => {
                    let slow = &mut self.agents[n | 1].1.0.borrow_mut().slow;
                    *slow = !*slow;
                }
                10 => *self.alters.borrow_mut() = true,
                _ => {
                    for at in 0..self.agents.len() {
                        self.world.stall(self.agents[at].0, false);
                    }
                }
            }
            self.wake();
            if !self.world.run_for(Duration::from_millis(50 + self.rng.u64() % 1000)) {
                return false;
            }
            self.examine(false);
        }
        true
    }

    /// Everything is well again; `false` when something spins.
    fn heal(&mut self) -> bool {
        *self.alters.borrow_mut() = false;
        for (host, agent) in &self.agents {
            agent.0.borrow_mut().slow = false;
            self.world.stall(*host, false);
        }
        // What is to be said is said at most as fast as it is acknowledged.
        (0..HEALING.as_secs()).all(|_| {
            self.wake();
            self.world.run_for(Duration::from_secs(1))
        })
    }

    /// What must hold at any time, and at the end.
    fn examine(&mut self, end: bool) {
        let mut found = Vec::new();
        for (n, (_, agent)) in self.agents.iter().enumerate() {
            let (desk, peer) = (agent.0.borrow(), self.agents[n ^ 1].1.0.borrow());
            for (name, heard) in &desk.heard {
                let said = peer.said.get(name).map_or(&[][..], |said| &said[..]);
                if said.len() < heard.len() || said[..heard.len()] != heard[..] {
                    found.push(("genuine", n, format!("what was heard on {name} was not said")));
                }
            }
            for (name, upto) in &desk.acked {
                let taken = peer.taken.get(name).copied().unwrap_or(0);
                if *upto > taken {
                    found.push(("taken", n, format!("{upto} acknowledged on {name}, {taken} taken")));
                }
                let said = desk.said.get(name).map_or(0, Vec::len) as u64;
                if end && *upto < said && !desk.lost.contains(name) {
                    found.push(("heals", n, format!("{upto} of {said} acknowledged on {name}")));
                }
            }
            if desk.most_held > HELD {
                found.push(("bounded", n, format!("{} bytes are held", desk.most_held)));
            }
            if end && desk.opens && !desk.to_say.is_empty() {
                found.push(("heals", n, format!("{} are not said", desk.to_say.len())));
            }
        }
        for (invariant, n, detail) in found {
            self.find(invariant, n, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluis_mux::Fault;

    use super::run;

    /// What is found with one of its protections switched off, in a few virtual seconds.
    fn found(seed: u64, fault: Option<Fault>) -> Vec<&'static str> {
        let outcome = run(2, seed, Duration::from_secs(12), fault);
        assert!(outcome.deliveries > 0, "something was said");
        outcome.findings.iter().map(|finding| finding.invariant).collect()
    }

    #[test]
    fn everything_holds_and_whatever_is_missing_is_missed() {
        for seed in 0..4 {
            assert_eq!(found(seed, None), Vec::<&str>::new(), "seed {seed}");
        }
        for (fault, invariant) in [(Fault::NoTag, "genuine"), (Fault::NoCredit, "bounded"), (Fault::AckEarly, "taken")]
        {
            let is_caught = (0..4).any(|seed| found(seed, Some(fault)).contains(&invariant));
            assert!(is_caught, "{} is not caught", fault.name());
        }
    }
}
