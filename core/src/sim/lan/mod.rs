//! Local networks on which everybody can be called: nodes with several interfaces, which come, go and move.
//!
//! A [`Lan`] has segments. A node has an address on each segment that it is attached to, and one port on all of them, as a node of an adapter has; what it says to the group of a segment is
//! heard by everybody else there. Time is virtual, everything is drawn from one seed.
//!
//! ```
//! use sluis_core::node::{LanConfig, NodeConfig};
//! use sluis_core::sim::Lan;
//! use sluis_core::{Did, Duration};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let mut lan = Lan::new(7);
//! for name in ["jis:a", "jis:b"] {
//!     lan.add(NodeConfig::new(Did::new(name)?), &LanConfig::default(), &[0])?;
//! }
//! lan.run(Duration::from_secs(3));
//! assert!(lan.node(0).neighbour("jis:b").is_some() && lan.node(1).neighbour("jis:a").is_some());
//! # Ok(())
//! # }
//! ```

mod beacons;
mod crowd;
mod home;
mod nat;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use self::beacons::Beacon;
pub use self::crowd::{Crowd, CrowdReport, Flood};
pub use self::home::{LanCounts, LanInvariant, LanRun, LanViolation, run_home};
use self::nat::Nat;
use crate::discovery::GROUP_V4;
use crate::framing::Decision;
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::{
    ConfigError, Event, LanConfig, LanError, LanNews, Node, NodeConfig, OperationError, OperationId, OperationOutcome,
    OverlayNews,
};
use crate::time::{Duration, Instant, Now, Wall};
use crate::{Datagrams as _, DidError, Machine as _, Network, NetworkChange, Path, Rng, Seed, SocketId};

/// The port of every node.
const PORT: u16 = 7150;
/// A datagram takes from one millisecond to six.
const DELAY: (u64, u64) = (1_000_000, 5_000_000);
/// What wall clocks show at the beginning, in seconds.
const EPOCH: u64 = 1_764_400_000;

/// Why there is no such node.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LanNodeError {
    /// Its configuration.
    #[error(transparent)]
    Node(#[from] ConfigError),
    /// What it is told about discovery.
    #[error(transparent)]
    Lan(#[from] LanError),
    /// Its name.
    #[error(transparent)]
    Did(#[from] DidError),
    /// What it is told about others, or to say of itself.
    #[error("{0}")]
    Told(Box<str>),
}

/// Somebody on the network.
struct Member {
    node: Node,
    /// Segment, address there, socket.
    attached: Vec<(u16, Ipv4Addr, SocketId)>,
    /// When it is looked after next.
    wake: Option<Instant>,
    /// Unicast datagrams that it heard, by the second.
    heard: BTreeMap<u64, u32>,
    news: Vec<LanNews>,
    told: Vec<LanTold>,
}

/// What a node has told that is not about the network.
#[derive(Clone, Debug, PartialEq)]
pub enum LanTold {
    /// It accepted a ping: from whom, and what was wanted.
    Ping(Box<str>, Box<str>),
    /// An operation of its has ended.
    Ended(OperationId, Result<OperationOutcome, OperationError>),
    /// Others did something in the overlay.
    Overlay(OverlayNews),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A datagram arrives: at whom, from where, through which socket, to which of its addresses.
    Arrive(usize, SocketAddr, SocketId, Option<IpAddr>, Arc<[u8]>),
    /// A node is looked after.
    Wake(usize),
}

/// Segments and the nodes on them. See the module.
pub struct Lan {
    members: Vec<Member>,
    /// Who is at an address.
    addresses: BTreeMap<Ipv4Addr, usize>,
    nats: Vec<Nat>,
    agenda: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    /// Events of one moment happen in the order in which they were put on the agenda.
    nth: u64,
    next_host: u32,
    now: Instant,
    seed: Seed,
    rng: Rng,
    /// How many datagrams of a thousand are lost.
    loss: u64,
    buffer: Vec<u8>,
    delivered: u64,
    digest: u64,
}

impl Lan {
    /// Nobody is there.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let seed = Seed::from_u64(seed);
        Self {
            members: Vec::new(),
            addresses: BTreeMap::new(),
            nats: Vec::new(),
            agenda: BinaryHeap::new(),
            nth: 0,
            next_host: 1,
            now: Instant::ZERO,
            rng: seed.fork("sim.lan"),
            seed,
            loss: 0,
            buffer: vec![0; MAX_DATAGRAM_V6],
            delivered: 0,
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// From now on so many datagrams of a thousand are lost.
    pub fn lose(&mut self, of_thousand: u64) {
        self.loss = of_thousand;
    }

    /// A node comes up, on these segments; its number, from 0.
    ///
    /// # Errors
    /// [`LanNodeError`].
    pub fn add(&mut self, config: NodeConfig, lan: &LanConfig, segments: &[u16]) -> Result<usize, LanNodeError> {
        let id = self.members.len();
        let mut seed = [0; 32];
        let mut rng = self.seed.fork(&alloc::format!("sim.lan.{id}"));
        seed.as_chunks_mut::<8>().0.iter_mut().for_each(|part| *part = rng.u64().to_le_bytes());
        let mut node = Node::new(config, &Seed::new(seed))?;
        node.discover(self.clock(), lan)?;
        let attached = Vec::new();
        self.members.push(Member {
            node,
            attached,
            wake: None,
            heard: BTreeMap::new(),
            news: Vec::new(),
            told: Vec::new(),
        });
        segments.iter().for_each(|segment| self.attach(id, *segment));
        Ok(id)
    }

    /// A node gets an interface on a segment, with an address that nobody had before.
    pub fn attach(&mut self, id: usize, segment: u16) {
        let address = self.fresh();
        self.attach_at(id, segment, address);
    }

    fn fresh(&mut self) -> Ipv4Addr {
        let host = self.next_host.to_be_bytes();
        self.next_host += 1;
        Ipv4Addr::new(10, host[1], host[2], host[3])
    }

    /// The same with an address that somebody else had until now.
    pub fn attach_at(&mut self, id: usize, segment: u16, address: Ipv4Addr) {
        let now = self.clock();
        let Some(member) = self.members.get_mut(id) else { return };
        // The lowest number that none of its sockets has.
        let socket =
            (1..).map(SocketId::new).find(|socket| member.attached.iter().all(|(_, _, taken)| taken != socket));
        let Some(socket) = socket else { return };
        member.attached.push((segment, address, socket));
        self.addresses.insert(address, id);
        let group = Path { remote: GROUP_V4.into(), local: Some(address.into()), socket: SocketId::MAIN };
        member.node.handle_network(now, NetworkChange::Up(Network { socket, group, port: PORT }));
        self.look_after(id);
    }

    /// Who is on the segment `inside` reaches the segment `outside` through a translator from now on, and is reached there from whatever address it sent last, until it has sent nothing for
    /// `life`. Then its port is given to others. The address of the translator.
    pub fn translate(&mut self, inside: u16, outside: u16, life: Duration) -> Ipv4Addr {
        let address = self.fresh();
        self.nats.push(Nat::new(inside, outside, address, life));
        address
    }

    /// The interface of a node on a segment vanishes, and its address with it.
    pub fn detach(&mut self, id: usize, segment: u16) {
        let now = self.clock();
        let Some(member) = self.members.get_mut(id) else { return };
        let Some(at) = member.attached.iter().position(|(of, ..)| *of == segment) else { return };
        let (_, address, socket) = member.attached.remove(at);
        // Somebody else may have it by now.
        if self.addresses.get(&address) == Some(&id) {
            self.addresses.remove(&address);
        }
        member.node.handle_network(now, NetworkChange::Down(socket));
        self.look_after(id);
    }

    /// A node is told to end; what it still says goes out.
    pub fn stop(&mut self, id: usize) {
        let now = self.clock();
        if let Some(member) = self.members.get_mut(id) {
            member.node.handle_stop(now);
        }
        self.look_after(id);
    }

    /// What comes from a sender that is no node: to everybody on a segment.
    pub fn shout(&mut self, from: SocketAddr, segment: u16, bytes: &[u8]) {
        self.say_to_all(None, from, segment, &bytes.into());
    }

    /// Let time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(Reverse((at, _, _))) = self.agenda.peek()
            && *at <= end
        {
            let Some(Reverse((at, _, happening))) = self.agenda.pop() else { break };
            self.now = at;
            match happening {
                Happening::Arrive(id, from, socket, to, bytes) => self.arrive(id, from, (socket, to), &bytes),
                Happening::Wake(id) => self.wake(id),
            }
        }
        self.now = end;
    }

    /// A node.
    ///
    /// # Panics
    /// There is none with this number.
    #[must_use]
    #[allow(clippy::indexing_slicing, reason = "documented")]
    pub fn node(&self, id: usize) -> &Node {
        &self.members[id].node
    }

    /// Tell a node something.
    ///
    /// # Panics
    /// There is none with this number.
    #[allow(clippy::indexing_slicing, reason = "documented")]
    pub fn with<R>(&mut self, id: usize, tell: impl FnOnce(&mut Node, Now) -> R) -> R {
        let now = self.clock();
        let out = tell(&mut self.members[id].node, now);
        self.look_after(id);
        out
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What a node has told of the network so far, taken out.
    pub fn take_news(&mut self, id: usize) -> Vec<LanNews> {
        self.members.get_mut(id).map(|member| core::mem::take(&mut member.news)).unwrap_or_default()
    }

    /// What a node has told otherwise so far, taken out.
    pub fn take_told(&mut self, id: usize) -> Vec<LanTold> {
        self.members.get_mut(id).map(|member| core::mem::take(&mut member.told)).unwrap_or_default()
    }

    /// How many datagrams arrived.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// What arrived where and when, in short: the same seed and the same orders give the same.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// Where a node is on a segment.
    #[must_use]
    pub fn address(&self, id: usize, segment: u16) -> Option<SocketAddr> {
        let attached = &self.members.get(id)?.attached;
        let (_, address, _) = attached.iter().find(|(of, ..)| *of == segment)?;
        Some(SocketAddr::from((*address, PORT)))
    }

    /// How many datagrams each node heard that were for it alone, in each second in which it heard any.
    pub fn heard_alone(&self) -> impl Iterator<Item = u32> + '_ {
        self.members.iter().flat_map(|member| member.heard.values().copied())
    }

    /// Both clocks: every node's are right.
    #[must_use]
    pub fn clock(&self) -> Now {
        let wall = Wall::from_secs(EPOCH).saturating_add(Duration::from_nanos(self.now.as_nanos()));
        Now::new(self.now, wall)
    }

    fn plan(&mut self, at: Instant, happening: Happening) {
        self.nth += 1;
        self.agenda.push(Reverse((at, self.nth, happening)));
    }

    fn arrive(&mut self, id: usize, from: SocketAddr, (socket, local): (SocketId, Option<IpAddr>), bytes: &[u8]) {
        let now = self.clock();
        self.delivered += 1;
        for part in [now.mono.as_nanos(), id as u64, bytes.len() as u64] {
            self.digest = (self.digest ^ part).wrapping_mul(0x100_0000_01b3);
        }
        let Some(member) = self.members.get_mut(id) else { return };
        if socket == SocketId::MAIN {
            *member.heard.entry(now.mono.as_nanos() / 1_000_000_000).or_default() += 1;
        }
        // The node counts what it turns away.
        let _ = member.node.handle_datagram(now, Path { remote: from, local, socket }, &mut bytes.to_vec());
        self.look_after(id);
    }

    fn wake(&mut self, id: usize) {
        let now = self.clock();
        let Some(member) = self.members.get_mut(id).filter(|member| member.wake == Some(now.mono)) else { return };
        member.wake = None;
        member.node.handle_timeout(now);
        self.look_after(id);
    }

    /// Drain a node, and see to it that it is looked after in time.
    fn look_after(&mut self, id: usize) {
        let now = self.clock();
        loop {
            let Some(member) = self.members.get_mut(id) else { return };
            if member.node.wants().is_due(now.mono) {
                member.node.handle_timeout(now);
            }
            while let Some(event) = member.node.poll_event() {
                match event {
                    Event::Lan(news) => member.news.push(news.clone()),
                    Event::Overlay(news) => member.told.push(LanTold::Overlay(news.clone())),
                    Event::Operation { id, result } => {
                        member.told.push(LanTold::Ended(id, result.cloned().map_err(Clone::clone)));
                    }
                    Event::Ping(ping) if ping.decision == Decision::Accept => {
                        let packet = ping.packet();
                        let text = |text: crate::framing::Text<'_>| Box::from(&*text.to_cow());
                        member.told.push(LanTold::Ping(text(packet.source_did), text(packet.intent)));
                    }
                    _ => {}
                }
            }
            let Some(sent) = member.node.poll_transmit(now, &mut self.buffer) else { break };
            let bytes: Arc<[u8]> = self.buffer.get(..sent.len).unwrap_or_default().into();
            self.send(id, sent.path, bytes);
        }
        let Some(member) = self.members.get_mut(id) else { return };
        let at = member.node.wants().at.map(|(at, _)| at.max(now.mono));
        if at != member.wake {
            member.wake = at;
            if let Some(at) = at {
                self.plan(at, Happening::Wake(id));
            }
        }
    }

    fn send(&mut self, id: usize, path: Path, bytes: Arc<[u8]>) {
        let Some(member) = self.members.get(id) else { return };
        // As the system does it: from the address that is asked for, if that is still ours, else from any.
        let found = member.attached.iter().find(|(_, address, _)| Some(IpAddr::V4(*address)) == path.local);
        let Some(&(segment, from, _)) = found.or(member.attached.first()) else { return };
        if path.remote == SocketAddr::V4(GROUP_V4) {
            self.say_to_all(Some(id), (from, PORT).into(), segment, &bytes);
            return;
        }
        let IpAddr::V4(to) = path.remote.ip() else { return };
        let Some((from, to, port)) = self.route(id, to, path.remote.port()) else { return };
        let Some(receiver) = self.addresses.get(&to).copied() else { return };
        if let Some(at) = self.arrival().filter(|_| port == PORT) {
            self.plan(at, Happening::Arrive(receiver, from, SocketId::MAIN, Some(to.into()), bytes));
        }
    }

    /// As whom a node is heard that writes to an address, and who that is. Segments are not routed between: only who shares one hears it, from the address that is ours there, or who is
    /// on the other side of a translator.
    fn route(&mut self, id: usize, to: Ipv4Addr, port: u16) -> Option<(SocketAddr, Ipv4Addr, u16)> {
        let Self { members, addresses, nats, now, .. } = self;
        let ours = &members.get(id)?.attached;
        let on = |segment: u16| ours.iter().find(|(of, ..)| *of == segment).map(|(_, address, _)| *address);
        if let Some(nat) = nats.iter().find(|nat| nat.address == to) {
            let from = on(nat.outside)?;
            return Some(((from, PORT).into(), nat.reach(port, *now)?, PORT));
        }
        let their = &members.get(*addresses.get(&to)?)?.attached;
        let (segment, ..) = their.iter().find(|(_, address, _)| *address == to)?;
        if let Some(from) = on(*segment) {
            return Some(((from, PORT).into(), to, port));
        }
        let nat = nats.iter_mut().find(|nat| nat.outside == *segment && on(nat.inside).is_some())?;
        Some((nat.out(on(nat.inside)?, *now), to, port))
    }

    fn say_to_all(&mut self, sender: Option<usize>, from: SocketAddr, segment: u16, bytes: &Arc<[u8]>) {
        let there = |(id, member): (usize, &Member)| {
            member.attached.iter().find(|(of, ..)| *of == segment).map(|(_, _, socket)| (id, *socket))
        };
        let heard: Vec<_> = self.members.iter().enumerate().filter_map(there).collect();
        for (id, socket) in heard {
            if Some(id) == sender {
                continue;
            }
            if let Some(at) = self.arrival() {
                self.plan(at, Happening::Arrive(id, from, socket, None, bytes.clone()));
            }
        }
    }

    /// When a datagram arrives that is sent now, if it does.
    fn arrival(&mut self) -> Option<Instant> {
        let (lost, more) = (self.rng.u64() % 1000 < self.loss, self.rng.u64() % DELAY.1);
        (!lost).then(|| self.now + Duration::from_nanos(DELAY.0 + more))
    }
}

impl core::fmt::Debug for Lan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lan").field("members", &self.members.len()).field("now", &self.now).finish_non_exhaustive()
    }
}
