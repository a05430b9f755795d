//! Pods of devices around a hub, and stations of pods.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::record::Role;
use crate::did::{DidError, check_did};
use crate::seed::SipKey;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};

/// Longest id or name of a pod or station in bytes.
const MAX_NAME: usize = 64;
/// How many capabilities a pod may name.
const MAX_CAPABILITIES: usize = 32;

/// How much a [`Topology`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopologyConfig {
    /// How many pods. Default 4,096.
    pub max_pods: usize,
    /// How many stations. Default 1,024.
    pub max_stations: usize,
    /// How many memberships, hubs included. Default 65,536.
    pub max_members: usize,
}

impl Default for TopologyConfig {
    fn default() -> Self {
        Self { max_pods: 4096, max_stations: 1024, max_members: 65_536 }
    }
}

/// Why something is not taken into a [`Topology`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// There is no such pod.
    #[error("there is no such pod")]
    NoPod,
    /// An id, name or capability is empty, too long, or cannot be shown.
    #[error("{0} has 1 to {MAX_NAME} bytes, no control characters, and no blanks at its ends")]
    Text(&'static str),
    /// A pod names more capabilities than it may.
    #[error("a pod names {MAX_CAPABILITIES} capabilities at most")]
    TooManyCapabilities,
    /// A DID cannot be one.
    #[error(transparent)]
    Did(#[from] DidError),
    /// There are as many as the configuration allows.
    #[error("there are as many {0} as the configuration allows")]
    Full(&'static str),
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its id.
    pub id: Box<str>,
    /// What people call it.
    pub name: Box<str>,
    /// Its station, whether that is known or not.
    pub station: Option<Box<str>>,
    /// What it can do as a whole.
    pub capabilities: Vec<Box<str>>,
}

/// A station: pods that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its id.
    pub id: Box<str>,
    /// What people call it.
    pub name: Box<str>,
    /// Whom it reports to.
    pub uplink: Option<Box<str>>,
}

/// Counts of a [`Topology`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TopologyStats {
    /// Pods.
    pub pods: usize,
    /// Stations.
    pub stations: usize,
    /// Devices that are in a pod.
    pub devices: usize,
    /// Of these: hubs, hubbies, and those that are both.
    pub roles: (usize, usize, usize),
}

struct ById;
struct ByDid;
/// The members of one pod, its hub first.
struct OfPod;

struct PodRow {
    pod: Pod,
    members: List<OfPod>,
    by_id: Chain,
}

struct Member {
    did: Box<str>,
    pod: u32,
    hub: bool,
    /// Counts up: the newest membership of a device is the one that it is in.
    serial: u64,
    of_pod: Link,
    by_did: Chain,
}

impl Chained<ById> for PodRow {
    fn chain(&self) -> &Chain {
        &self.by_id
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_id
    }
}

impl Chained<ByDid> for Member {
    fn chain(&self) -> &Chain {
        &self.by_did
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_did
    }
}

impl Linked<OfPod> for Member {
    fn link(&self) -> &Link {
        &self.of_pod
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.of_pod
    }
}

/// Which device is in which pod, and which pod in which station.
///
/// A device's role follows from the pods that it is in. (In the reference it is what was done last, and outlives its pods.)
pub struct Topology {
    hash: SipKey,
    max_stations: usize,
    pods: Slab<PodRow, Heap>,
    by_id: Index<ById, Heap>,
    members: Slab<Member, Heap>,
    by_did: Index<ByDid, Heap>,
    /// In the order in which they came.
    stations: Vec<Station>,
    serial: u64,
}

impl Topology {
    /// Empty.
    #[must_use]
    pub fn new(config: TopologyConfig, hash: SipKey) -> Self {
        Self {
            hash,
            max_stations: config.max_stations,
            pods: Slab::new(config.max_pods),
            by_id: Index::new(),
            members: Slab::new(config.max_members),
            by_did: Index::new(),
            stations: Vec::new(),
            serial: 0,
        }
    }

    /// Add a pod with its hub. One with the same id is replaced, and its members are in it no longer.
    ///
    /// # Errors
    /// [`TopologyError`]; then nothing has changed.
    pub fn add_pod(&mut self, pod: Pod, hub: &str) -> Result<(), TopologyError> {
        check(&pod.id, "the id of a pod")?;
        check(&pod.name, "the name of a pod")?;
        pod.station.iter().try_for_each(|station| check(station, "the id of a station"))?;
        pod.capabilities.iter().try_for_each(|capability| check(capability, "a capability"))?;
        if pod.capabilities.len() > MAX_CAPABILITIES {
            return Err(TopologyError::TooManyCapabilities);
        }
        check_did(hub)?;
        let replaced = self.find(&pod.id);
        if replaced.is_none() && (self.pods.is_full() || self.members.is_full()) {
            return Err(TopologyError::Full("pods"));
        }
        if let Some(slot) = replaced {
            self.drop_pod(slot);
        }
        let hash = self.hash.hash(pod.id.as_bytes());
        let row = PodRow { pod, members: List::new(), by_id: Chain::default() };
        let Ok(id) = self.pods.insert(row) else { return Err(TopologyError::Full("pods")) };
        self.by_id.insert(&mut self.pods, id.slot(), hash);
        self.join(id.slot(), hub, true)
    }

    /// Remove a pod; false when there is none.
    pub fn remove_pod(&mut self, id: &str) -> bool {
        let slot = self.find(id);
        slot.into_iter().for_each(|slot| self.drop_pod(slot));
        slot.is_some()
    }

    /// Add a device to a pod, as one of those around the hub.
    ///
    /// # Errors
    /// [`TopologyError`].
    pub fn add_hubby(&mut self, pod: &str, did: &str) -> Result<(), TopologyError> {
        check_did(did)?;
        let slot = self.find(pod).ok_or(TopologyError::NoPod)?;
        if self.membership(slot, did, false).is_some() { Ok(()) } else { self.join(slot, did, false) }
    }

    /// Take a device out of a pod; false when it was not in it.
    pub fn remove_hubby(&mut self, pod: &str, did: &str) -> bool {
        let member = self.find(pod).and_then(|slot| Some((slot, self.membership(slot, did, false)?)));
        member.into_iter().for_each(|(pod, member)| self.leave(pod, member));
        member.is_some()
    }

    /// Add a station, or change one.
    ///
    /// # Errors
    /// [`TopologyError`].
    pub fn add_station(&mut self, station: Station) -> Result<(), TopologyError> {
        check(&station.id, "the id of a station")?;
        check(&station.name, "the name of a station")?;
        station.uplink.iter().try_for_each(|did| check_did(did))?;
        if let Some(known) = self.stations.iter_mut().find(|known| known.id == station.id) {
            *known = station;
        } else if self.stations.len() < self.max_stations {
            self.stations.push(station);
        } else {
            return Err(TopologyError::Full("stations"));
        }
        Ok(())
    }

    /// A pod.
    #[must_use]
    pub fn pod(&self, id: &str) -> Option<&Pod> {
        self.pods.at(self.find(id)?).map(|row| &row.pod)
    }

    /// Who is in a pod: its hub, then the others in the order in which they came.
    pub fn members(&self, pod: &str) -> impl Iterator<Item = &str> {
        let row = self.find(pod).and_then(|slot| self.pods.at(slot));
        let slots = row.into_iter().flat_map(|row| row.members.iter(&self.members));
        slots.filter_map(|slot| self.members.at(slot)).map(|member| &*member.did)
    }

    /// Every pod, in no meaningful but a reproducible order.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().map(|(_, row)| &row.pod)
    }

    /// Every station, in the order in which they came.
    #[must_use]
    pub fn stations(&self) -> &[Station] {
        &self.stations
    }

    /// The pods of a station, whether the station came before them or not.
    pub fn pods_of(&self, station: &str) -> impl Iterator<Item = &Pod> {
        self.pods().filter(move |pod| pod.station.as_deref() == Some(station))
    }

    /// What a device is.
    #[must_use]
    pub fn role(&self, did: &str) -> Role {
        let (mut hub, mut hubby) = (false, false);
        self.each_membership(did, |member| if member.hub { hub = true } else { hubby = true });
        match (hub, hubby) {
            (false, false) => Role::None,
            (true, false) => Role::Hub,
            (false, true) => Role::Hubby,
            (true, true) => Role::Hybrid,
        }
    }

    /// The pod that a device joined last.
    #[must_use]
    pub fn pod_of(&self, did: &str) -> Option<&Pod> {
        let mut newest: Option<(u64, u32)> = None;
        self.each_membership(did, |member| newest = newest.max(Some((member.serial, member.pod))));
        self.pods.at(newest?.1).map(|row| &row.pod)
    }

    /// Counts. Looks at every member.
    #[must_use]
    pub fn stats(&self) -> TopologyStats {
        let mut stats =
            TopologyStats { pods: self.pods.len(), stations: self.stations.len(), ..TopologyStats::default() };
        for (_, member) in self.members.iter() {
            let mut first = member.serial;
            self.each_membership(&member.did, |other| first = first.min(other.serial));
            if first != member.serial {
                continue;
            }
            stats.devices += 1;
            match self.role(&member.did) {
                Role::None => {}
                Role::Hub => stats.roles.0 += 1,
                Role::Hubby => stats.roles.1 += 1,
                Role::Hybrid => stats.roles.2 += 1,
            }
        }
        stats
    }

    fn find(&self, id: &str) -> Option<u32> {
        self.by_id.find(&self.pods, self.hash.hash(id.as_bytes()), |row| *row.pod.id == *id)
    }

    fn each_membership(&self, did: &str, mut then: impl FnMut(&Member)) {
        let hash = self.hash.hash(did.as_bytes());
        self.by_did.find(&self.members, hash, |member| {
            if *member.did == *did {
                then(member);
            }
            false
        });
    }

    fn membership(&self, pod: u32, did: &str, hub: bool) -> Option<u32> {
        let hash = self.hash.hash(did.as_bytes());
        self.by_did.find(&self.members, hash, |m| m.pod == pod && m.hub == hub && *m.did == *did)
    }

    fn join(&mut self, pod: u32, did: &str, hub: bool) -> Result<(), TopologyError> {
        self.serial += 1;
        let (of_pod, by_did) = (Link::default(), Chain::default());
        let member = Member { did: did.into(), pod, hub, serial: self.serial, of_pod, by_did };
        let Ok(id) = self.members.insert(member) else { return Err(TopologyError::Full("members of pods")) };
        self.by_did.insert(&mut self.members, id.slot(), self.hash.hash(did.as_bytes()));
        if let Some(row) = self.pods.at_mut(pod) {
            row.members.push_back(&mut self.members, id.slot());
        }
        Ok(())
    }

    fn leave(&mut self, pod: u32, member: u32) {
        if let Some(row) = self.pods.at_mut(pod) {
            row.members.remove(&mut self.members, member);
        }
        self.by_did.remove(&mut self.members, member);
        self.members.remove_at(member);
    }

    fn drop_pod(&mut self, slot: u32) {
        while let Some(member) = self.pods.at(slot).and_then(|row| row.members.front()) {
            self.leave(slot, member);
        }
        self.by_id.remove(&mut self.pods, slot);
        self.pods.remove_at(slot);
    }
}

impl core::fmt::Debug for Topology {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Topology").field("pods", &self.pods.len()).finish_non_exhaustive()
    }
}

fn check(text: &str, what: &'static str) -> Result<(), TopologyError> {
    let good = (1..=MAX_NAME).contains(&text.len()) && crate::airlock::glob::check_seen(text).is_ok();
    if good { Ok(()) } else { Err(TopologyError::Text(what)) }
}
