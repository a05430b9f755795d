//! Crowds that come up in one moment, and floods from one sender.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};

use super::{Beacon, Lan, LanNodeError};
use crate::Did;
use crate::discovery::DiscoveryConfig;
use crate::framing::Value;
use crate::node::{LanConfig, NodeConfig};
use crate::time::Duration;

/// Devices that all come up in one moment on one segment.
#[derive(Clone, Copy, Debug)]
pub struct Crowd<'a> {
    /// How many, two at least.
    pub devices: usize,
    /// How often they call.
    pub interval: Duration,
    /// For how many of these.
    pub intervals: u32,
    /// How many datagrams of a thousand are lost.
    pub loss: u64,
    /// Each wants the names of those that are so many places behind it.
    pub wanted: &'a [usize],
    /// Where all randomness comes from.
    pub seed: u64,
}

/// What came of a crowd.
#[derive(Clone, Debug)]
pub struct CrowdReport {
    /// Wanted names that are not known: who wants, and whom.
    pub missed: Vec<(usize, usize)>,
    /// After how many intervals everybody knew everybody.
    pub complete: Option<u32>,
    /// Neighbours that all of them know, in sum.
    pub known: usize,
    /// Answers that a device heard, in each second in which it heard any.
    pub heard: Vec<u32>,
}

impl CrowdReport {
    /// Answers that all heard.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.heard.iter().copied().map(u64::from).sum()
    }

    /// The most that one heard in a second.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.heard.iter().copied().max().unwrap_or(0)
    }

    /// In how many of those seconds it was more than this.
    #[must_use]
    pub fn above(&self, answers: u32) -> usize {
        self.heard.iter().filter(|heard| **heard > answers).count()
    }
}

/// The name of a device.
fn name(n: usize) -> String {
    format!("jis:device:{n:05}")
}

fn config(n: usize) -> Result<NodeConfig, LanNodeError> {
    Ok(NodeConfig::new(Did::new(&name(n))?))
}

impl Crowd<'_> {
    /// Let them call.
    ///
    /// # Errors
    /// There is no such node.
    pub fn run(&self) -> Result<CrowdReport, LanNodeError> {
        let devices = self.devices.max(2);
        let mut lan = Lan::new(self.seed);
        lan.lose(self.loss);
        let discovery = DiscoveryConfig { interval: self.interval, ..DiscoveryConfig::default() };
        let network = LanConfig { discovery, ..LanConfig::default() };
        for n in 0..devices {
            lan.add(config(n)?, &network, &[0])?;
        }
        let wants = |n: usize| self.wanted.iter().map(move |behind| (n + behind) % devices).filter(move |of| *of != n);
        for n in 0..devices {
            for of in wants(n) {
                // A name that cannot be sought is missed.
                let _ = lan.with(n, |node, now| node.seek(now, &name(of)));
            }
        }
        let (mut complete, mut known) = (None, 0);
        for interval in 1..=self.intervals {
            lan.run(self.interval);
            known = (0..devices).map(|n| lan.node(n).neighbours().count()).sum();
            if complete.is_none() && known == devices * (devices - 1) {
                complete = Some(interval);
            }
        }
        let missed = (0..devices)
            .flat_map(|n| wants(n).map(move |of| (n, of)))
            .filter(|(n, of)| lan.node(*n).neighbour(&name(*of)).is_none())
            .collect();
        Ok(CrowdReport { missed, complete, known, heard: lan.heard_alone().collect() })
    }
}

/// Beacons of one sender within a second, each in another name.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// How many.
    pub beacons: u32,
    /// Where all randomness comes from.
    pub seed: u64,
}

impl Flood {
    /// How many neighbours one address may make of itself, and the one device that is there.
    #[must_use]
    pub fn most() -> usize {
        DiscoveryConfig::default().max_per_address + 1
    }

    /// Let it come over two nodes that know each other: how many neighbours it leaves at one of them, and whether the other one is still heard afterwards.
    ///
    /// # Errors
    /// There is no such node.
    pub fn run(&self) -> Result<(usize, bool), LanNodeError> {
        let (mut lan, network) = (Lan::new(self.seed), LanConfig::default());
        for n in 0..2 {
            lan.add(config(n)?, &network, &[0])?;
        }
        lan.run(Duration::from_secs(2));
        let mut frame = [0; 2048];
        let from = SocketAddr::from((Ipv4Addr::new(10, 9, 9, 9), 7150));
        let gap = Duration::from_secs(1) / self.beacons.max(1);
        for n in 0..self.beacons {
            let did = format!("jis:flood:{n:06}");
            let len = Beacon { did: &did, payload: Value::EMPTY_OBJECT }.write(lan.clock(), &mut frame).unwrap_or(0);
            lan.shout(from, 0, frame.get(..len).unwrap_or_default());
            lan.run(gap);
        }
        let before = lan.clock().mono;
        let left = lan.node(0).neighbours().count();
        lan.run(network.discovery.interval * 2);
        let heard = lan.node(0).neighbour(&name(1)).is_some_and(|known| known.heard > before);
        Ok((left, heard))
    }
}
