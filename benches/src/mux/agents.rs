//! A hub and agents on native connections to it, joined in memory.

use std::net::SocketAddr;
use std::sync::Arc;

use sluis_core::identity::SecretKey;
use sluis_core::{Conn, Instant, ListenerId, Machine as _, Now, Order, Origin, Seed, Streams, Up, Wall};
use sluis_mux::Access;
use sluis_mux::channel::Kind;
use sluis_mux::native::{Channel, Client, ClientConfig, Event, Hub, HubConfig};

/// A hub, and who is connected to it.
#[derive(Debug)]
pub struct Agents {
    /// The hub.
    pub hub: Hub,
    agents: Vec<Agent>,
    now: Now,
    wire: Vec<u8>,
}

#[derive(Debug)]
struct Agent {
    client: Client,
    /// Its names of the connection: its own, and the hub's.
    conns: Option<[Conn; 2]>,
    channel: Option<Channel>,
    heard: u64,
    acked: u64,
}

const FROM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

impl Agents {
    /// An open hub that nobody is connected to.
    #[must_use]
    pub fn new() -> Self {
        let mut config = HubConfig::new("node");
        config.access = Access::Open;
        let now = Now::new(Instant::ZERO, Wall::from_micros(0));
        Self { hub: Hub::new(config, &Seed::from_u64(1)), agents: Vec::new(), now, wire: vec![0; 65_536] }
    }

    /// Connect an agent, with a key to sign channels or without.
    ///
    /// # Panics
    /// It is not let in.
    pub fn join(&mut self, name: &str, key: Option<[u8; 32]>) {
        let mut config = ClientConfig::new(name, "hub", 1);
        config.signer = key.map(|key| Arc::new(SecretKey::from_seed(&key)) as _);
        let seed = Seed::from_u64(10 + self.agents.len() as u64);
        let client = Client::new(config, &seed, self.now);
        self.agents.push(Agent { client, conns: None, channel: None, heard: 0, acked: 0 });
        self.carry();
        assert!(self.agents.last().is_some_and(|agent| agent.client.is_connected()), "it is let in");
    }

    /// Take the agents away without a word to the hub; it goes on holding what it holds.
    pub fn forget_agents(&mut self) {
        self.agents = Vec::new();
        self.wire = Vec::new();
    }

    /// Open a channel from the first agent to the second, which accepts it.
    ///
    /// # Panics
    /// It does not open.
    pub fn open(&mut self, target: &str) {
        let agent = &mut self.agents[0];
        agent.channel = Some(agent.client.open(self.now, target, "stream", "{}").expect("room"));
        self.carry();
    }

    /// Send messages on it, each of which is read and acknowledged at the other end.
    ///
    /// # Panics
    /// One is lost.
    pub fn send(&mut self, count: u64, body: &[u8]) {
        let before = [self.agents[0].acked, self.agents[1].heard];
        for _ in 0..count {
            let agent = &mut self.agents[0];
            let channel = agent.channel.expect("it was opened");
            agent.client.send(self.now, channel, Kind::Bytes, body).expect("room for so few");
        }
        self.carry();
        let after = [self.agents[0].acked, self.agents[1].heard];
        assert_eq!(after, before.map(|before| before + count), "acknowledged and heard");
    }

    fn carry(&mut self) {
        let Self { hub, agents, now, wire } = self;
        loop {
            let mut moved = false;
            for agent in agents.iter_mut() {
                moved |= agent.act(*now, hub, wire);
            }
            while let Some(order) = hub.poll_order(*now) {
                moved = true;
                let Order::Write(conn) = order else { panic!("{order:?}") };
                let to = agents.iter_mut().find(|agent| agent.conns.is_some_and(|conns| conns[1] == conn));
                let agent = to.expect("somebody is there");
                let name = agent.conns.expect("it is up")[0];
                loop {
                    let len = hub.poll_bytes(*now, conn, wire);
                    if len == 0 {
                        break;
                    }
                    agent.client.handle_bytes(*now, name, &wire[..len]).expect("the same protocol");
                }
            }
            if !moved {
                return;
            }
        }
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self::new()
    }
}

impl Agent {
    /// Do what its machine asks for, and what its application does.
    fn act(&mut self, now: Now, hub: &mut Hub, wire: &mut [u8]) -> bool {
        let mut moved = self.hear(now);
        while let Some(order) = self.client.poll_order(now) {
            moved = true;
            match order {
                Order::Dial(conn, _) => {
                    let up = |origin| Up { origin, remote: FROM, alpn: None, exporter: None };
                    self.client.handle_up(now, &up(Origin::Dialled(conn))).expect("it wanted it");
                    let there = hub.handle_up(now, &up(Origin::Accepted(ListenerId::new(0)))).expect("room");
                    self.conns = Some([conn, there]);
                }
                Order::Write(conn) => {
                    let there = self.conns.expect("it is up")[1];
                    loop {
                        let len = self.client.poll_bytes(now, conn, wire);
                        if len == 0 {
                            break;
                        }
                        hub.handle_bytes(now, there, &wire[..len]).expect("the same protocol");
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        moved
    }

    fn hear(&mut self, now: Now) -> bool {
        let mut moved = false;
        loop {
            let (mut accept, mut take) = (None, None);
            match self.client.poll_event() {
                None => return moved,
                Some(Event::Incoming(channel, ..)) => accept = Some(channel),
                Some(Event::Message(channel, number, ..)) => {
                    self.heard += 1;
                    take = Some((channel, number));
                }
                Some(Event::Acked(_, upto)) => self.acked = upto,
                Some(_) => {}
            }
            moved = true;
            if let Some(channel) = accept {
                self.client.accept(now, channel);
            }
            if let Some((channel, number)) = take {
                self.client.take(now, channel, number);
            }
        }
    }
}
