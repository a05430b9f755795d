//! Pools: which brokers there are, from a file that a person wrote or the reference did.
//!
//! TOML:
//!
//! ```toml
//! [[broker]]
//! url = "mqtts://broker.example.org"   # or mqtt://HOST[:PORT]; an IPv6 address in brackets
//! family = "v4"                        # or "v6"; without it both, and for an address its own
//! user = "me"
//! password = "secret"
//! ca = "/etc/ssl/our-ca.pem"           # mqtts only: the roots to trust instead of the system's
//! weight = 2.5                         # draws so many times as much as a broker of weight 1
//! rate = 100                           # publishes a second that it takes from us
//! ```
//!
//! or the JSON of the reference: what its `servers=` takes, as documented and as it works, or its infrastructure list. Both sides
//! must have the same pool in order to find the same brokers; order within the file does not matter.
//!
//! An entry that cannot be used is said in one sentence ([`Pool::faults`]), and the rest works.

mod broker;
mod read;

pub use broker::{Broker, Secret};
pub use read::PoolError;

use alloc::string::String;
use alloc::vec::Vec;

use crate::key::PUBLIC_LEN;
use crate::rank::{self, Candidate, Family, Ranked, Weight};

/// The longest file that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// The most brokers of a pool, each family counted.
pub const MAX_BROKERS: usize = 1000;

/// The brokers that both sides know of.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    brokers: Vec<Broker>,
    faults: Vec<String>,
}

impl Pool {
    /// Read a file: TOML, or JSON where it begins with a brace.
    ///
    /// # Errors
    /// [`PoolError`] where nothing of it can be read. Entries that cannot be used are [`faults`](Self::faults) instead.
    pub fn parse(text: &str) -> Result<Self, PoolError> {
        read::parse(text)
    }

    /// Add brokers by URLs, as a pool file has them.
    pub fn add_urls<'a>(&mut self, urls: impl IntoIterator<Item = &'a str>) {
        for url in urls {
            match Broker::from_url(url) {
                Ok(brokers) => self.add(brokers),
                Err(why) => self.faults.push(why),
            }
        }
    }

    /// The brokers that can be used, one for each family by which it is reached, in the order of the file.
    #[must_use]
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// What cannot be used and why, a sentence each.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Whether it has weights other than 1, which the reference ignores: its peers then look for each other elsewhere than ours.
    #[must_use]
    pub fn is_weighted(&self) -> bool {
        self.brokers.iter().any(|broker| broker.weight != Weight::ONE)
    }

    /// The brokers of one family in the order for a key.
    #[must_use]
    pub fn order(&self, key: &[u8; PUBLIC_LEN], family: Family) -> Vec<(&Broker, Ranked)> {
        let brokers: Vec<&Broker> = self.brokers.iter().filter(|broker| broker.family == family).collect();
        let candidates = brokers.iter().map(|broker| {
            let Broker { family, host, port, weight, .. } = broker;
            Candidate { family: *family, host, port: *port, weight: *weight }
        });
        let ranked = rank::order(key, candidates);
        ranked.into_iter().filter_map(|row| brokers.get(row.index).map(|broker| (*broker, row))).collect()
    }

    fn add(&mut self, brokers: impl IntoIterator<Item = Broker>) {
        for broker in brokers {
            let same = |other: &Broker| {
                (other.family, other.host.as_str(), other.port) == (broker.family, broker.host.as_str(), broker.port)
            };
            if self.brokers.iter().any(same) {
                self.faults.push(alloc::format!("{broker} is named twice, the second is left out"));
            } else if self.brokers.len() >= MAX_BROKERS {
                self.faults.push(alloc::format!("{broker} is left out: a pool has at most {MAX_BROKERS} brokers"));
            } else {
                self.brokers.push(broker);
            }
        }
    }
}
