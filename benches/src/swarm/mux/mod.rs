//! `--scenario mux`: pairs of agents at a hub that alters, drops, repeats and swaps what it carries, over connections that are cut and stall,
//! with readers that are slow.
//!
//! | invariant | |
//! |---|---|
//! | `genuine` | what is heard is what was said on that channel, each message once and in order |
//! | `taken` | what is acknowledged was taken by the application |
//! | `bounded` | a reader that is slow holds a window of each stream and no more |
//! | `named` | a channel that is not what it should be is said to be tampered with, and nothing else |
//! | `ends` | once all is well and every channel is closed, nobody waits for one, and neither agents nor the hub keep one |
//! | `heals` | once all is well, everything that was said is acknowledged, unless its channel was found to be tampered with |
//! | `panic`, `spin` | nothing panics, nothing spins |

mod desk;
mod rogue;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sluis_core::driver::Flow;
use sluis_core::identity::SecretKey;
use sluis_core::sim::streams::{HostId, StreamLink, StreamWorld};
use sluis_core::{Instant, Now, Rng, Seed};
use sluis_mux::native::{Client, ClientConfig, Hub, HubConfig};
use sluis_mux::{Access, Fault, channel};

use super::run::{Finding, Outcome};
use desk::AsAgent;
use rogue::{Deed, Orders, Rogue};

/// How long everything heals at the end: longer than a channel waits, and some.
const HEALING: Duration = Duration::from_secs(150);
/// How long closing takes at most: as long as one waits for an end that has given a channel up.
const CLOSING: Duration = Duration::from_secs(100);
/// What a slow reader may hold of each stream: a window and two blocks. The greeting has two streams, too.
const HELD: usize = 64 * 1024 + 8 * 1024;

struct Net {
    world: StreamWorld,
    rng: Rng,
    agents: Vec<(HostId, AsAgent)>,
    hub: HostId,
    orders: Rc<Orders>,
    /// Channels of a pair.
    channels: usize,
    began: Instant,
    findings: Vec<Finding>,
}

/// Run one seed: each pair of these nodes has so many channels.
#[must_use]
pub fn run(nodes: u32, channels: u32, seed: u64, span: Duration, fault: Option<Fault>) -> Outcome {
    let mut net = Net::new(nodes as usize, channels as usize, seed, fault);
    if !(net.trouble(span) && net.heal() && net.close()) {
        net.find("spin", 0, "a machine spins".to_owned());
    }
    net.examine(true);
    let heard = |(_, agent): &(HostId, AsAgent)| agent.0.borrow().heard.values().map(Vec::len).sum::<usize>() as u64;
    let deliveries: u64 = net.agents.iter().map(heard).sum();
    let elapsed = net.world.now().mono.saturating_since(net.began);
    Outcome { seed, events: deliveries, deliveries, findings: net.findings, elapsed, digest: deliveries, mesh: None }
}

impl Net {
    fn new(nodes: usize, channels: usize, seed: u64, fault: Option<Fault>) -> Self {
        let source = Seed::from_u64(seed);
        let link = StreamLink { rate: 1_000_000, chunk: 6000, ..StreamLink::default() };
        let mut world = StreamWorld::new(link, &source);
        let (now, orders) = (world.now(), Rc::<Orders>::default());
        let mut config = HubConfig::new("hub");
        config.access = Access::Open;
        let rogue = Rogue::new(Hub::new(config, &source), Rc::clone(&orders));
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
            let opens = if n % 2 == 0 { channels } else { 0 };
            (agent.0.borrow_mut().peer, agent.0.borrow_mut().opens) = (format!("agent{}", n ^ 1), opens);
            agents.push((world.add(&format!("agent{n}"), client, agent.clone()), agent));
        }
        let began = now.mono;
        Self { world, rng: source.fork("trouble"), agents, hub, orders, channels, began, findings: Vec::new() }
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
                10 => {
                    let deed = Deed::ALL.get(self.below(Deed::ALL.len())).copied();
                    self.orders.deed.set(deed);
                }
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
        self.orders.deed.set(None);
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

    /// Every channel is closed, and everybody is done with it; `false` when something spins. A message that was left out shows at the end
    /// of its channel at the latest.
    fn close(&mut self) -> bool {
        for (_, agent) in &self.agents {
            agent.0.borrow_mut().closes = true;
        }
        (0..CLOSING.as_secs()).all(|_| {
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
            found.extend(
                desk.faults
                    .iter()
                    .filter(|fault| **fault != channel::Fault::Tampered)
                    .map(|fault| ("named", n, fault.to_string())),
            );
            if end && (desk.waits() > 0 || desk.left > 0) {
                found.push(("ends", n, format!("{} channels are waited for, {} kept", desk.waits(), desk.left)));
            }
            if desk.most_held > HELD * (self.channels + 2) {
                found.push(("bounded", n, format!("{} bytes are held", desk.most_held)));
            }
            if end && desk.opens > 0 && !desk.to_say.is_empty() {
                found.push(("heals", n, format!("{} are not said", desk.to_say.len())));
            }
        }
        let kept = self.orders.channels.get();
        if end && kept > 0 {
            found.push(("ends", self.agents.len(), format!("the hub keeps {kept} channels")));
        }
        for (invariant, n, detail) in found {
            self.find(invariant, n, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sluis_mux::{Fault, channel};

    use super::rogue::Deed;
    use super::{Net, run};

    /// What is found with one of its protections switched off, in a few virtual seconds.
    fn found(seed: u64, fault: Option<Fault>) -> Vec<&'static str> {
        let outcome = run(2, 2, seed, Duration::from_secs(12), fault);
        assert!(outcome.deliveries > 0, "something was said");
        outcome.findings.iter().map(|finding| finding.invariant).collect()
    }

    #[test]
    fn everything_holds_and_whatever_is_missing_is_missed() {
        for seed in 0..6 {
            assert_eq!(found(seed, None), Vec::<&str>::new(), "seed {seed}");
        }
        for (fault, invariant) in [(Fault::NoTag, "genuine"), (Fault::NoCredit, "bounded"), (Fault::AckEarly, "taken")]
        {
            let is_caught = (0..6).any(|seed| found(seed, Some(fault)).contains(&invariant));
            assert!(is_caught, "{} is not caught", fault.name());
        }
    }

    /// On connections that are not cut, each thing that the hub does to a channel is found out there, and costs the other channel nothing.
    #[test]
    fn whatever_a_hub_does_is_named() {
        for (n, deed) in Deed::ALL.into_iter().enumerate() {
            let mut net = Net::new(2, 2, 50 + n as u64, None);
            assert!(net.world.run_for(Duration::from_secs(3)));
            net.orders.deed.set(Some(deed));
            net.agents[0].1.0.borrow_mut().to_say.extend([100; 40]);
            net.wake();
            assert!(net.world.run_for(Duration::from_secs(5)) && net.heal() && net.close());
            net.examine(true);
            assert!(net.findings.is_empty(), "{deed:?}: {:?}", net.findings);
            assert_eq!(net.orders.done.borrow().get(&deed), Some(&1), "{deed:?}");
            let heard = net.agents[1].1.0.borrow();
            assert_eq!(heard.faults, [channel::Fault::Tampered], "{deed:?}");
            assert_eq!(heard.lost.len(), 1, "{deed:?}: the other channel is as it was");
        }
    }
}
