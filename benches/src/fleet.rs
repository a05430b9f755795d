//! Registries with many devices.

use std::fmt::Write as _;

use sluis_core::Seed;
use sluis_core::identity::SecretKey;
use sluis_core::pins::{PinConfig, Pins};
use sluis_core::registry::{Change, Draft, Heard, Record, Registered, Registry, RegistryConfig};
use sluis_core::time::Wall;

use crate::alloc::{Heap, heap};

/// How many names speak with one key here; a registry takes some more.
const NAMES: u32 = 50;
/// When all of this happens, in seconds.
const NOW: u64 = 1_764_400_000;
/// What devices can do; each can do two of these.
pub const CAPABILITIES: [&str; 8] = ["light", "heat", "lock", "camera", "temperature", "humidity", "energy", "door"];

/// What only the first device can do.
pub const RARE: &str = "siren";

/// Devices with records of a usual size: a name of 32 bytes, one endpoint, two capabilities.
#[derive(Debug)]
pub struct Fleet {
    keys: Vec<SecretKey>,
    pins: Pins,
    name: String,
}

impl Fleet {
    /// So many.
    #[must_use]
    pub fn new(devices: u32) -> Self {
        let key = |n: u32| {
            let mut seed = [7; 32];
            seed[..4].copy_from_slice(&n.to_le_bytes());
            SecretKey::from_seed(&seed)
        };
        let keys = (0..devices.div_ceil(NAMES).max(1)).map(key).collect();
        let names = Seed::from_u64(1).fork("fleet").sip_key();
        Self { keys, pins: Pins::new(PinConfig::default(), names), name: String::with_capacity(32) }
    }

    /// The time.
    #[must_use]
    pub fn wall() -> Wall {
        Wall::from_secs(NOW)
    }

    /// The name of a device.
    #[must_use]
    pub fn did(n: u32) -> String {
        format!("jis:fleet:sensor-{n:015}")
    }

    /// The record of a device with this number, signed.
    ///
    /// # Panics
    /// It cannot be made, or is of another fleet.
    pub fn record<'b>(&mut self, n: u32, seq: u64, out: &'b mut [u8; Record::MAX_LEN]) -> Record<'b> {
        self.name.clear();
        let _ = write!(self.name, "jis:fleet:sensor-{n:015}");
        let [a, b, c, d] = n.to_be_bytes();
        let endpoints = [std::net::SocketAddr::from(([10, b, c, d], 7150 + u16::from(a))).into()];
        let at = n as usize;
        let capabilities = [CAPABILITIES[at % 8], CAPABILITIES[(at / 8 + 1 + at) % 8]];
        let capabilities = match n {
            0 => &[RARE][..],
            _ if capabilities[0] == capabilities[1] => &capabilities[..1],
            _ => &capabilities[..],
        };
        let draft = Draft {
            did: &self.name,
            seq,
            issued: NOW,
            expires: NOW + 86_400,
            endpoints: &endpoints,
            capabilities,
            ..Draft::default()
        };
        draft.sign(&self.keys[at / NAMES as usize], out).expect("a record")
    }

    /// A registry that has room for so many.
    #[must_use]
    pub fn registry(devices: u32) -> Registry {
        let mut config = RegistryConfig::default();
        (config.max_devices, config.max_offers) = (devices as usize + 1, 2 * devices as usize + 2);
        config.max_bytes = usize::MAX;
        Registry::new(config, Seed::from_u64(2).fork("registry").sip_key())
    }

    /// Have a registry take a record in.
    ///
    /// # Panics
    /// It does not.
    pub fn register(&self, registry: &mut Registry, record: &Record<'_>) -> Registered {
        registry.register(Self::wall(), record, Heard::Directly, &self.pins).expect("it is new, and there is room")
    }

    /// Fill a registry; every change goes to `keep`.
    ///
    /// # Panics
    /// It does not take them.
    pub fn fill(devices: u32, mut keep: impl FnMut(&Change)) -> (Self, Registry) {
        let (mut fleet, mut registry) = (Self::new(devices), Self::registry(devices));
        let mut buf = [0; Record::MAX_LEN];
        for n in 0..devices {
            let record = fleet.record(n, 1, &mut buf);
            keep(&fleet.register(&mut registry, &record).change);
        }
        assert_eq!(registry.len(), devices as usize);
        (fleet, registry)
    }
}

/// Heap of a registry with so many devices, all of it counted by [`Counting`](crate::alloc::Counting), which must be the global allocator.
///
/// # Panics
/// It does not take them.
#[must_use]
pub fn heap_of(devices: u32) -> Heap {
    let (mut fleet, before) = (Fleet::new(devices), heap());
    let mut registry = Fleet::registry(devices);
    let mut buf = [0; Record::MAX_LEN];
    for n in 0..devices {
        let record = fleet.record(n, 1, &mut buf);
        drop(fleet.register(&mut registry, &record));
    }
    let after = heap();
    assert_eq!(registry.len(), devices as usize);
    Heap { live: after.live.saturating_sub(before.live), held: after.held.saturating_sub(before.held) }
}
