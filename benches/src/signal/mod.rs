//! Signalling, measured: nodes at brokers beside plain clients of MQTT, and thousands of simulated pairs.

pub mod brokers;
pub mod chaos;
pub mod meet;
pub mod nodes;
pub mod raw;

use sluis_core::{Security, Seed};
use sluis_signal::broker::Settings;
use sluis_signal::key::SecretKey;
use sluis_signal::rank::{Family, Weight};
use sluis_signal::rendezvous::Place;

/// A broker on 127.0.0.1 that takes whatever comes.
#[must_use]
pub fn place(port: u16) -> Place {
    named("127.0.0.1", port)
}

/// A broker that takes whatever comes.
#[must_use]
pub fn named(host: &str, port: u16) -> Place {
    Place {
        family: Family::V4,
        host: host.to_owned(),
        port,
        weight: Weight::ONE,
        security: Security::Plain,
        settings: Settings { rate: 10_000_000, burst: 10_000_000, max_in_flight: 64, ..Settings::default() },
    }
}

/// The key of somebody, the same for the same number.
#[must_use]
pub fn key(n: u64) -> SecretKey {
    SecretKey::generate(&mut Seed::from_u64(n).fork("signal benches"))
}
