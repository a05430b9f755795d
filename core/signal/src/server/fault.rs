//! How a broker may misbehave.

use sluis_core::Rng;
use sluis_core::time::Duration;

/// A way to misbehave. Those that strike now and then have a probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fault {
    /// CONNACK with code 5.
    Refuse,
    /// No CONNACK.
    Mute,
    /// No SUBACK.
    NoSuback,
    /// SUBACK with 0x80.
    SubackFail,
    /// A message is acknowledged and lost. With a probability.
    Lose,
    /// A message comes twice. With a probability.
    Duplicate,
    /// A message overtakes those before it. With a probability.
    Reorder,
    /// An old message comes again. With a probability.
    Replay,
    /// A message goes to others, under their topics. With a probability.
    CrossTopics,
    /// Every message is acknowledged and none delivered.
    PubackWithoutDelivery,
    /// What is sent is no MQTT. With a probability.
    Garbage,
    /// Nothing is read and nothing written any more; streams are accepted.
    Freeze,
    /// Messages take two seconds.
    Slow,
    /// All connections end, and none is accepted.
    Die,
    /// Who publishes more than 25 in a second is dropped.
    Limit,
}

impl Fault {
    /// How many there are.
    pub(crate) const COUNT: usize = 15;

    /// Every fault, in declaration order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Refuse,
        Self::Mute,
        Self::NoSuback,
        Self::SubackFail,
        Self::Lose,
        Self::Duplicate,
        Self::Reorder,
        Self::Replay,
        Self::CrossTopics,
        Self::PubackWithoutDelivery,
        Self::Garbage,
        Self::Freeze,
        Self::Slow,
        Self::Die,
        Self::Limit,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Mute => "mute",
            Self::NoSuback => "no-suback",
            Self::SubackFail => "suback-fail",
            Self::Lose => "lose",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::Replay => "replay",
            Self::CrossTopics => "cross-topics",
            Self::PubackWithoutDelivery => "puback-without-delivery",
            Self::Garbage => "garbage",
            Self::Freeze => "freeze",
            Self::Slow => "slow",
            Self::Die => "die",
            Self::Limit => "limit",
        }
    }

    /// By its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// The faults of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Faults {
    /// In thousandths.
    probability: [u16; Fault::COUNT],
}

impl Faults {
    /// With this fault, at this probability in thousandths (1000: always, and what those have that do not strike now and then).
    #[must_use]
    pub fn with(mut self, fault: Fault, thousandths: u16) -> Self {
        if let Some(probability) = self.probability.get_mut(fault as usize) {
            *probability = thousandths.min(1000);
        }
        self
    }

    /// Whether there is this fault at all.
    #[must_use]
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.probability.get(fault as usize).is_some_and(|probability| *probability > 0)
    }

    /// Whether it strikes now.
    pub(super) fn strikes(&self, fault: Fault, rng: &mut Rng) -> bool {
        let probability = self.probability.get(fault as usize).copied().unwrap_or_default();
        probability > 0 && rng.u64() % 1000 < u64::from(probability)
    }

    #[allow(clippy::unused_self, reason = "reads as what it is: a trait of these faults")]
    pub(super) const fn slowness(&self) -> Duration {
        Duration::from_secs(2)
    }
}
