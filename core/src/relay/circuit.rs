//! Circuits: how a session goes end to end through relays that read nothing of it.
//!
//! A circuit is opened by a ping of the type `relay` that passes the airlock of every relay on its way, and stands when the answer
//! that accepts it, and says `"circuit":true`, has come back the same way. From then on each relay knows two links and a label, and passes on between the links
//! what bears the label. What it passes on is a frame of a session: ciphertext, in either direction alike.
//!
//! ```text
//! "TP" 2 · version 1 · flags 0x10 · length u32 · label u64 · hops left u8 · zero 3 · frame of a session
//! ```

use sha2::{Digest as _, Sha256};

use super::config::{Pace, RelayConfig, for_strangers};
use super::neighbours::Hop;
use super::quota::Cell;
use super::reject::RelayReject;
use crate::Path;
use crate::framing::Response;
use crate::limits::HEADER_LEN;
use crate::seed::SipKey;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::Instant;

/// Flags of a TP header: a packet of a circuit and nothing else. The reference drops it unread.
const FLAGS: u8 = 0x10;
const VERSION: u8 = 1;
/// How many bytes may go to an end that has proven nothing, for each one that came from there.
pub(super) const AMPLIFICATION: usize = 3;
/// Bytes that a circuit adds in front of a frame.
pub const CIRCUIT_HEAD: usize = HEADER_LEN + 12;

/// What the packets of one circuit bear, in both directions and on every link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(u64);

impl Label {
    /// The label of the circuit that is opened by this ping: the first eight bytes of SHA-256 over the three texts, each behind its
    /// length. Both ends and all relays know it without telling each other.
    #[must_use]
    pub fn of(packet_id: &str, source: &str, target: &str) -> Self {
        let mut hash = Sha256::new_with_prefix(b"sluis circuit\0\0\x01");
        for text in [packet_id, source, target] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// A packet of a circuit, as its two ends see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitPacket<'a> {
    /// Which circuit.
    pub label: Label,
    /// Over how many relays it may still go.
    pub hops_left: u8,
    /// A frame of a session.
    pub frame: &'a [u8],
}

impl<'a> CircuitPacket<'a> {
    /// Whether a datagram says that it is a packet of a circuit. Nothing else of it was checked.
    #[must_use]
    pub fn is_one(datagram: &[u8]) -> bool {
        datagram.starts_with(&[b'T', b'P', VERSION, FLAGS])
    }

    /// Read one; `None` for what is none. Bytes behind the declared length are none of it.
    #[must_use]
    pub fn read(datagram: &'a [u8]) -> Option<Self> {
        let (head, _) = datagram.split_first_chunk::<CIRCUIT_HEAD>()?;
        let &[b'T', b'P', VERSION, FLAGS, l0, l1, l2, l3, a, b, c, d, e, f, g, h, hops_left, 0, 0, 0] = head else {
            return None;
        };
        let end = HEADER_LEN.checked_add(u32::from_be_bytes([l0, l1, l2, l3]) as usize)?;
        let frame = datagram.get(CIRCUIT_HEAD..end)?;
        Some(Self { label: Label(u64::from_be_bytes([a, b, c, d, e, f, g, h])), hops_left, frame })
    }

    /// Write what goes in front of a frame of this many bytes.
    #[must_use]
    pub fn head(label: Label, hops_left: u8, frame: usize) -> [u8; CIRCUIT_HEAD] {
        let len = u32::try_from(frame + CIRCUIT_HEAD - HEADER_LEN).unwrap_or(u32::MAX).to_be_bytes();
        let mut head = [0; CIRCUIT_HEAD];
        head[..4].copy_from_slice(&[b'T', b'P', VERSION, FLAGS]);
        head[4..8].copy_from_slice(&len);
        head[8..16].copy_from_slice(&label.0.to_be_bytes());
        head[16] = hops_left;
        head
    }
}

/// What the payload of the answer says where the target has entered into the circuit: `true`.
const ENTERED: &str = "circuit";

/// Whether an answer says that the circuit ends at who gives it. Any other answer leaves none: what a target does not take for a circuit
/// moves none of another's, and takes up no place.
pub(crate) fn enters_circuit(response: &Response<'_>) -> bool {
    response.payload.get(ENTERED).is_some_and(|value| value.as_bool() == Some(true))
}

/// Who has asked for a circuit.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    /// Keyed hash: the source where it is proven, else that name on that link.
    pub(super) holder: u64,
    pub(super) proven: bool,
}

struct ByLabel;
struct ByUse;

struct Circuit {
    label: u64,
    by: Asker,
    ends: [Hop; 2],
    /// How many bytes may go to each end, where it is not shown to be who is heard there.
    rooms: [usize; 2],
    bytes: Cell,
    used: Instant,
    by_label: Chain,
    by_use: Link,
}

impl Circuit {
    /// Which of its ends is at this address.
    fn end_at(&self, from: &Path) -> Option<usize> {
        self.ends.iter().position(|end| end.path.same_remote(from))
    }
}

impl Chained<ByLabel> for Circuit {
    fn chain(&self) -> &Chain {
        &self.by_label
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_label
    }
}

impl Linked<ByUse> for Circuit {
    fn link(&self) -> &Link {
        &self.by_use
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.by_use
    }
}

/// The circuits through this relay, found from either end by label and address.
///
/// There are few, and hardly ever two under one label: a packet costs one keyed hash of eight bytes.
pub(super) struct Circuits {
    circuits: Slab<Circuit, Heap>,
    by_label: Index<ByLabel, Heap>,
    by_use: List<ByUse>,
    key: SipKey,
    pace: Pace,
}

impl Circuits {
    pub(super) fn new(config: &RelayConfig, key: SipKey) -> Self {
        let (circuits, pace) = (Slab::new(config.max_circuits), config.circuit_rate.pace());
        Self { circuits, by_label: Index::new(), by_use: List::new(), key, pace }
    }

    pub(super) fn len(&self) -> usize {
        self.circuits.len()
    }

    fn place(&self, label: u64) -> u64 {
        self.key.hash(&label.to_be_bytes())
    }

    /// The circuit with this label that has an end here, and which end that is.
    fn find(&self, label: u64, from: &Path) -> Option<(u32, usize)> {
        let mut end = None;
        let slot = self.by_label.find(&self.circuits, self.place(label), |circuit| {
            end = if circuit.label == label { circuit.end_at(from) } else { None };
            end.is_some()
        });
        slot.zip(end)
    }

    /// Let a circuit stand between two links, the first of them that of who asks. What stood under this label at one of them ends. False
    /// where both are the same or there is no room.
    pub(super) fn establish(
        &mut self,
        now: Instant,
        config: &RelayConfig,
        (label, by): (u64, Asker),
        ends: [Hop; 2],
    ) -> bool {
        let [first, second] = ends;
        if first.link == second.link {
            return false;
        }
        for end in &ends {
            if let Some((slot, _)) = self.find(label, &end.path) {
                self.close(slot);
            }
        }
        self.expire(now, config, 2);
        if !self.make_room(config, by, first.link) {
            return false;
        }
        let (by_label, by_use) = (Chain::default(), Link::default());
        let rooms = [0; 2];
        let circuit = Circuit { label, by, ends, rooms, bytes: Cell::default(), used: now, by_label, by_use };
        let Ok(id) = self.circuits.insert(circuit) else { return false };
        let place = self.place(label);
        self.by_label.insert(&mut self.circuits, id.slot(), place);
        self.by_use.push_back(&mut self.circuits, id.slot())
    }

    /// Room for one more of this source over this link. Nobody takes a place from others but who is proven, from those who are not.
    fn make_room(&mut self, config: &RelayConfig, by: Asker, link: u64) -> bool {
        let [most, most_of_link] = for_strangers(config.max_circuits);
        if self.those(|circuit| circuit.by.holder == by.holder) >= config.max_circuits_per_source.max(1) {
            self.close_oldest(|circuit| circuit.by.holder == by.holder);
        }
        let strangers = |circuit: &Circuit| !circuit.by.proven;
        if by.proven {
            return !self.circuits.is_full() || self.close_oldest(strangers);
        }
        let of_link = |circuit: &Circuit| !circuit.by.proven && circuit.ends[0].link == link;
        if self.those(of_link) >= most_of_link {
            self.close_oldest(of_link);
        }
        !self.circuits.is_full() && self.those(strangers) < most
    }

    /// How many circuits there are of which this holds.
    fn those(&self, which: impl Fn(&Circuit) -> bool) -> usize {
        self.circuits.iter().filter(|(_, circuit)| which(circuit)).count()
    }

    /// Close the one of them that was not used for longest. False where there is none.
    fn close_oldest(&mut self, which: impl Fn(&Circuit) -> bool) -> bool {
        let those = self.circuits.iter().filter(|(_, circuit)| which(circuit));
        let oldest = those.min_by_key(|(_, circuit)| circuit.used).map(|(id, _)| id.slot());
        oldest.map(|slot| self.close(slot)).is_some()
    }

    /// So many bytes more may go to the end of a circuit at this address, and to its other end.
    pub(super) fn fund(&mut self, label: u64, at: &Path, [here, there]: [usize; 2]) {
        let Some((slot, end)) = self.find(label, at) else { return };
        let Some(circuit) = self.circuits.at_mut(slot) else { return };
        for (n, room) in circuit.rooms.iter_mut().enumerate() {
            *room = room.saturating_add(if n == end { here } else { there });
        }
    }

    /// Where a packet of a circuit goes that came from there. It is changed in place and has to be sent as it is then.
    pub(super) fn carry(
        &mut self,
        now: Instant,
        config: &RelayConfig,
        from: &Path,
        datagram: &mut [u8],
    ) -> Result<Path, RelayReject> {
        let CircuitPacket { label, hops_left, .. } = CircuitPacket::read(datagram).ok_or(RelayReject::Malformed)?;
        let hops_left = hops_left.checked_sub(1).ok_or(RelayReject::HopLimit)?;
        let (slot, end) = self.find(label.0, from).ok_or(RelayReject::NoCircuit)?;
        let circuit = self.circuits.at_mut(slot).ok_or(RelayReject::NoCircuit)?;
        if now.saturating_since(circuit.used) >= config.circuit_idle {
            self.close(slot);
            return Err(RelayReject::NoCircuit);
        }
        let other = *circuit.ends.get(1 - end).ok_or(RelayReject::NoCircuit)?;
        let [first, second] = &mut circuit.rooms;
        let (here, there) = if end == 0 { (first, second) } else { (second, first) };
        *here = here.saturating_add(AMPLIFICATION * datagram.len());
        let left = if other.shown { Some(*there) } else { there.checked_sub(datagram.len()) };
        let left = left.ok_or(RelayReject::Amplification)?;
        let len = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
        // What does not go on uses up nothing.
        circuit.bytes = circuit.bytes.after(now, self.pace, len).ok_or(RelayReject::CircuitQuota)?;
        *there = left;
        circuit.used = now;
        self.by_use.move_to_back(&mut self.circuits, slot);
        if let Some(byte) = datagram.get_mut(CIRCUIT_HEAD - 4) {
            *byte = hops_left;
        }
        Ok(other.path)
    }

    /// Close at most so many that were not used for long.
    pub(super) fn expire(&mut self, now: Instant, config: &RelayConfig, most: usize) {
        for _ in 0..most {
            match self.by_use.front() {
                Some(slot) if self.ends(slot, config).is_some_and(|ends| ends <= now) => self.close(slot),
                _ => return,
            }
        }
    }

    pub(super) fn next_timeout(&self, config: &RelayConfig) -> Option<Instant> {
        self.by_use.front().and_then(|slot| self.ends(slot, config))
    }

    fn ends(&self, slot: u32, config: &RelayConfig) -> Option<Instant> {
        self.circuits.at(slot).map(|circuit| circuit.used + config.circuit_idle)
    }

    fn close(&mut self, slot: u32) {
        self.by_use.remove(&mut self.circuits, slot);
        self.by_label.remove(&mut self.circuits, slot);
        self.circuits.remove_at(slot);
    }
}
