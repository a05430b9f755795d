//! The FIR/A score: how often, how well proven, how lately, how orderly.

use core::fmt::Write as _;

use crate::time::Wall;

/// What has been proven about a device.
///
/// In the reference being looked up, or failing a verification, counts as an interaction and raises the score. Here an event counts when it could
/// not have come about without the device's key, or without the device's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct History {
    /// Challenges answered.
    pub verify_pass: u32,
    /// Challenges answered wrongly, from the address that was asked.
    pub verify_fail: u32,
    /// Its first registration, challenges answered, signed pings accepted.
    pub interactions: u32,
    /// What an honest device does not do: two records with one number, say.
    pub anomalies: u32,
    /// The last of the interactions.
    pub last_success: Option<Wall>,
}

/// Something proven about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proven {
    /// Its first record was taken in.
    Registered,
    /// It answered a challenge.
    Verified,
    /// A challenge was answered wrongly from where it was sent. (That nobody answers proves nothing.)
    Failed,
    /// A signed ping of it was accepted.
    Interaction,
    /// It did what an honest device does not do, under its signature.
    Anomaly,
}

/// A score and what it is made of, each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Fira {
    /// 0.2 of frequency, 0.4 of integrity, 0.25 of recency, 0.15 of anomaly. As all of them rounded to four digits.
    pub score: f64,
    /// Interactions, up to twenty.
    pub frequency: f64,
    /// Which share of the answered challenges was answered well; one half when there were none.
    pub integrity: f64,
    /// How long ago the last interaction was: from 1 down to 0.1 within a day; 0.3 when there was none.
    pub recency: f64,
    /// A fifth less for each anomaly.
    pub anomaly: f64,
}

impl History {
    /// Note something.
    pub fn note(&mut self, wall: Wall, event: Proven) {
        let count = |n: &mut u32| *n = n.saturating_add(1);
        match event {
            Proven::Registered | Proven::Interaction => {}
            Proven::Verified => count(&mut self.verify_pass),
            Proven::Failed => return count(&mut self.verify_fail),
            Proven::Anomaly => return count(&mut self.anomalies),
        }
        count(&mut self.interactions);
        self.last_success = self.last_success.max(Some(wall));
    }

    /// The score at this time.
    #[must_use]
    pub fn fira(&self, wall: Wall) -> Fira {
        let (pass, fail) = (f64::from(self.verify_pass), f64::from(self.verify_fail));
        let frequency = (f64::from(self.interactions) / 20.0).min(1.0);
        let integrity = if pass + fail > 0.0 { pass / (pass + fail) } else { 0.5 };
        let recency = self.last_success.map_or(0.3, |last| {
            // A stamp in the future is as good as now. (In the reference it is better.)
            #[allow(clippy::cast_precision_loss, reason = "a double holds microseconds of two centuries exactly")]
            let age = wall.micros_since(last).max(0) as f64 / 1e6;
            (1.0 - age / 86_400.0).max(0.1)
        });
        let anomaly = (1.0 - 0.2 * f64::from(self.anomalies)).max(0.0);
        let score = 0.2 * frequency + 0.4 * integrity + 0.25 * recency + 0.15 * anomaly;
        let [score, frequency, integrity, recency, anomaly] =
            [score.clamp(0.0, 1.0), frequency, integrity, recency, anomaly].map(rounded);
        Fira { score, frequency, integrity, recency, anomaly }
    }
}

/// Rounded to four digits as Python's `round` does it: by the exact value of the double, halves to even.
fn rounded(x: f64) -> f64 {
    let mut text = heapless::String::<16>::new();
    // From 0 to 1 it is six characters long.
    if write!(text, "{x:.4}").is_err() { x } else { text.parse().unwrap_or(x) }
}
