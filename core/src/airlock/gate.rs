//! Which zone a ping gets.

use super::glob;
use crate::framing::{PingType, Zone};

/// The two thresholds of a [`Gate`](super::Gate), and how much it may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct GateConfig {
    /// Trust from here on is GROEN. Default 0.7.
    pub groen: f64,
    /// Trust below this is ROOD. Default 0.3.
    pub rood: f64,
    /// The best zone that a ping may get which no rule matches, however far its sender is trusted. `None` (the default): the
    /// thresholds alone decide. A rule that turns away what a sender writes (an intent, a pod) is evaded by writing it otherwise;
    /// with GEEL or ROOD here that opens nothing.
    pub otherwise: Option<Zone>,
    /// How many rules there may be. Default 4,096.
    pub max_rules: usize,
    /// How many bytes the texts of all rules may have together. Default 1 MiB.
    pub max_rule_bytes: usize,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { groen: 0.7, rood: 0.3, otherwise: None, max_rules: 4096, max_rule_bytes: 1 << 20 }
    }
}

impl GateConfig {
    /// Check the thresholds. (The reference takes any: with `rood` above `groen` or not a number it opens for everyone.)
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), GateError> {
        if !self.groen.is_finite() || !self.rood.is_finite() {
            return Err(GateError::NotFinite);
        }
        if self.rood > self.groen {
            return Err(GateError::Inverted);
        }
        Ok(())
    }

    /// The zone that trust alone gives.
    #[must_use]
    pub(crate) fn zone(&self, trust: f64) -> Zone {
        if trust >= self.groen {
            Zone::Groen
        } else if trust >= self.rood {
            Zone::Geel
        } else {
            Zone::Rood // and what is not a number
        }
    }

    /// The zone of a ping that no rule matches.
    #[must_use]
    pub(crate) fn unmatched(&self, trust: f64) -> Zone {
        let by_trust = self.zone(trust);
        match self.otherwise {
            Some(most) if is_better(by_trust, most) => most,
            _ => by_trust,
        }
    }

    /// The middle between the thresholds.
    #[must_use]
    pub fn middle(&self) -> f64 {
        f64::midpoint(self.groen, self.rood)
    }
}

/// Whether the first of two zones lets more in than the second.
const fn is_better(zone: Zone, than: Zone) -> bool {
    matches!((zone, than), (Zone::Groen, Zone::Geel | Zone::Rood) | (Zone::Geel, Zone::Rood))
}

/// Why thresholds are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// One is infinite or not a number.
    #[error("both thresholds must be finite numbers")]
    NotFinite,
    /// `rood` is above `groen`.
    #[error("the ROOD threshold must not be above the GROEN threshold")]
    Inverted,
}

/// What a rule demands of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Pod<T> {
    /// That the ping names none.
    None,
    /// That it is exactly this (no pattern).
    Is(T),
}

/// One rule: every condition that is present must hold. A rule without conditions must say that it means every ping ([`any`](Self::any)).
///
/// The texts are `String`, `&str` or whatever else holds text.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Rule<T> {
    /// Names the rule to the operator: adding a rule with the same id replaces it.
    pub id: T,
    /// The name that an answer carries as `applied_rule`.
    pub name: T,
    /// [Pattern](super::glob) for the sender.
    #[cfg_attr(feature = "serde", serde(default = "none"))]
    pub source_did: Option<T>,
    /// [Pattern](super::glob) for the intent.
    #[cfg_attr(feature = "serde", serde(default = "none"))]
    pub intent: Option<T>,
    /// The pod.
    #[cfg_attr(feature = "serde", serde(default = "none"))]
    pub pod_id: Option<Pod<T>>,
    /// The kind of ping.
    #[cfg_attr(feature = "serde", serde(default))]
    pub ping_type: Option<PingType>,
    /// Least trust of the sender, from 0 to 1.
    #[cfg_attr(feature = "serde", serde(default))]
    pub min_trust: Option<f64>,
    /// It matches every ping. Needed where there is no condition, and refused where there is one: a condition that was forgotten
    /// or misspelt does not turn into "everybody".
    #[cfg_attr(feature = "serde", serde(default))]
    pub any: bool,
    /// What a ping that matches gets. (The reference also stores a decision in a rule and never looks at it.)
    pub zone: Zone,
    /// Higher is asked first; among equals the one added first. Default in the reference: 50.
    #[cfg_attr(feature = "serde", serde(default = "usual_priority"))]
    pub priority: i64,
}

#[cfg(feature = "serde")]
fn none<T>() -> Option<T> {
    None
}

#[cfg(feature = "serde")]
fn usual_priority() -> i64 {
    50
}

impl<T> Rule<T> {
    /// A rule with the usual priority, to which conditions are to be added (or [`any`](Self::any)).
    #[must_use]
    pub const fn new(id: T, name: T, zone: Zone) -> Self {
        Self {
            id,
            name,
            source_did: None,
            intent: None,
            pod_id: None,
            ping_type: None,
            min_trust: None,
            any: false,
            zone,
            priority: 50,
        }
    }

    /// Whether it looks at anything.
    #[must_use]
    pub const fn has_conditions(&self) -> bool {
        let texts = self.source_did.is_some() || self.intent.is_some() || self.pod_id.is_some();
        texts || self.ping_type.is_some() || self.min_trust.is_some()
    }
}

impl<T: AsRef<str>> Rule<T> {
    /// Whether a ping from a sender with this trust matches.
    #[must_use]
    pub(crate) fn matches(&self, subject: &Subject<'_>, trust: f64) -> bool {
        self.ping_type.is_none_or(|kind| kind == subject.ping_type)
            && self.min_trust.is_none_or(|least| trust >= least)
            && self.source_did.as_ref().is_none_or(|p| glob::matches(p.as_ref(), subject.source_did))
            && self.intent.as_ref().is_none_or(|p| glob::matches(p.as_ref(), subject.intent))
            && self.pod_id.as_ref().is_none_or(|pod| match pod {
                Pod::None => subject.pod_id.is_none(),
                Pod::Is(id) => subject.pod_id == Some(id.as_ref()),
            })
    }

    /// The same rule with borrowed texts.
    #[must_use]
    pub fn as_view(&self) -> Rule<&str> {
        Rule {
            id: self.id.as_ref(),
            name: self.name.as_ref(),
            source_did: self.source_did.as_ref().map(AsRef::as_ref),
            intent: self.intent.as_ref().map(AsRef::as_ref),
            pod_id: self.pod_id.as_ref().map(|pod| match pod {
                Pod::None => Pod::None,
                Pod::Is(id) => Pod::Is(id.as_ref()),
            }),
            ping_type: self.ping_type,
            min_trust: self.min_trust,
            any: self.any,
            zone: self.zone,
            priority: self.priority,
        }
    }

    /// Whether a sender evades it by writing otherwise what it looks at: it turns away by intent, pod or kind, which are the
    /// sender's own words. (Another name has another trust.)
    #[must_use]
    pub fn is_evadable(&self) -> bool {
        self.zone == Zone::Rood && (self.intent.is_some() || self.pod_id.is_some() || self.ping_type.is_some())
    }

    /// Check what cannot be wrong by type: text lengths, stars, characters that are not seen, no empty sender, that there is a condition, and that the
    /// least trust is one that a sender can have. A rule that can never match is refused: what it was to turn away would get in.
    /// (The reference takes a text that is no number and raises when a ping meets it; with `nan` its rule matches everybody.)
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), RuleError> {
        let view = self.as_view();
        for (field, text) in view.texts() {
            if text.len() > MAX_RULE_TEXT {
                return Err(RuleError::TooLong { field, len: text.len() });
            }
        }
        if self.min_trust.is_some_and(|least| !(0.0..=1.0).contains(&least)) {
            return Err(RuleError::MinTrust);
        }
        for (field, text) in view.conditions() {
            if glob::check_seen(text).is_err() {
                return Err(RuleError::Unseen { field });
            }
        }
        if view.source_did == Some("") {
            return Err(RuleError::Nobody);
        }
        if matches!(view.pod_id, Some(Pod::Is(id)) if id.contains('*')) {
            return Err(RuleError::PodStar);
        }
        for (field, pattern) in [("source_did", view.source_did), ("intent", view.intent)] {
            if pattern.is_some_and(|pattern| glob::check(pattern).is_err()) {
                return Err(RuleError::Star { field });
            }
        }
        match (self.any, self.has_conditions()) {
            (false, false) => Err(RuleError::NoCondition),
            (true, true) => Err(RuleError::AnyAndMore),
            _ => Ok(()),
        }
    }
}

impl<'a> Rule<&'a str> {
    /// Every text of it, with the name of its field.
    fn texts(&self) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
        [("id", self.id), ("name", self.name)].into_iter().chain(self.conditions())
    }

    /// Every text that a ping is compared with, with the name of its field.
    fn conditions(&self) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
        let pod = match self.pod_id {
            Some(Pod::Is(id)) => Some(id),
            _ => None,
        };
        [("source_did", self.source_did), ("intent", self.intent), ("pod_id", pod)]
            .into_iter()
            .filter_map(|(field, text)| Some((field, text?)))
    }

    /// Bytes of all texts together.
    #[cfg(feature = "alloc")]
    pub(super) fn text_bytes(&self) -> usize {
        self.texts().map(|(_, text)| text.len()).sum()
    }
}

/// Longest text of a rule in bytes: the longest DID or intent between two stars.
pub(crate) const MAX_RULE_TEXT: usize = crate::limits::MAX_DID + 2;

/// Why a rule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// `min_trust` is not a number from 0 to 1: no sender has such a trust.
    #[error("min_trust must be a number from 0 to 1")]
    MinTrust,
    /// A text is too long.
    #[error("{field} has {len} bytes, at most {MAX_RULE_TEXT} are possible")]
    TooLong {
        /// Which.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A pattern has a star that stands for nothing.
    #[error("{field}: {}", glob::StarInside)]
    Star {
        /// Which.
        field: &'static str,
    },
    /// A text that pings are compared with has a character that is not seen.
    #[error("{field}: {}", glob::Unseen)]
    Unseen {
        /// Which.
        field: &'static str,
    },
    /// The pod has a star, as if it were a pattern.
    #[error("pod_id: a pod is compared as a whole and a star stands for nothing in it: write a rule for each pod")]
    PodStar,
    /// The sender is empty: no DID is.
    #[error("source_did: no sender has an empty DID, leave it out or write a pattern like a.*")]
    Nobody,
    /// There is no condition, and the rule does not say that it means every ping.
    #[error("a rule without conditions matches every ping: say so with any = true, or add a condition")]
    NoCondition,
    /// It means every ping, and has a condition.
    #[error("any = true matches every ping: leave it out, or the conditions")]
    AnyAndMore,
    /// There are [`GateConfig::max_rules`] already.
    #[error("there are {0} rules already, the most that the configuration allows")]
    TooMany(usize),
    /// The texts of all rules would have more than [`GateConfig::max_rule_bytes`] bytes.
    #[error("the texts of all rules would pass the {0} bytes that the configuration allows")]
    TooLarge(usize),
}

/// What rules look at in a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The sender.
    pub source_did: &'a str,
    /// What it wants.
    pub intent: &'a str,
    /// Its pod.
    pub pod_id: Option<&'a str>,
    /// The kind of ping.
    pub ping_type: PingType,
}

/// What the gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict<'g> {
    /// The zone.
    pub zone: Zone,
    /// The name of the rule that decided; `None`: the thresholds did.
    pub rule: Option<&'g str>,
}

/// Judge one ping by a slice of rules in any order: what [`Gate::judge`](super::Gate::judge) does, without a heap.
///
/// Trust that is not a number counts as 0.
#[must_use]
pub fn judge<'g, T: AsRef<str>>(
    config: &GateConfig,
    rules: &'g [Rule<T>],
    subject: &Subject<'_>,
    trust: f64,
) -> Verdict<'g> {
    let trust = or_zero(trust);
    let mut best: Option<&Rule<T>> = None;
    for rule in rules {
        if best.is_none_or(|b| rule.priority > b.priority) && rule.matches(subject, trust) {
            best = Some(rule);
        }
    }
    match best {
        Some(rule) => Verdict { zone: rule.zone, rule: Some(rule.name.as_ref()) },
        None => Verdict { zone: config.unmatched(trust), rule: None },
    }
}

/// Trust as a number: what is none counts as 0.
pub(super) const fn or_zero(trust: f64) -> f64 {
    if trust.is_nan() { 0.0 } else { trust }
}

/// What becomes of a verdict on a sender that proves nothing: unsigned, no pinned key, not allowed as legacy.
///
/// The zone is at most GEEL and the trust at most the [middle](GateConfig::middle) of the thresholds, whatever rule or trust said
/// otherwise: a name alone opens nothing.
#[must_use]
pub fn unsigned_cap(zone: Zone, trust: f64, config: &GateConfig) -> (Zone, f64) {
    let zone = if zone == Zone::Groen { Zone::Geel } else { zone };
    (zone, or_zero(trust).min(config.middle()))
}
