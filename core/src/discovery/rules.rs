//! Who is let in without a person: auto-vouch rules.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::beacon::Beacon;
use super::pattern::{Pattern, PatternError};
use crate::airlock::glob::check_seen;
use crate::did::check_did;
use crate::time::{Duration, Wall};

/// How many rules there may be.
const MAX_RULES: usize = 64;
/// How long a beacon is fresh (`tibet_ping.beacon`).
const FRESH: Duration = Duration::from_secs(300);
/// How far ahead of our clock it may be.
const SKEW: Duration = Duration::from_secs(5);

/// A rule, as it is handed in. All conditions that it has must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleDraft<'a> {
    /// What people call it.
    pub name: &'a str,
    /// The device type, exactly.
    pub device_type: Option<&'a str>,
    /// What it must be able to do.
    pub required_capabilities: &'a [&'a str],
    /// A [`Pattern`] that its name begins with.
    pub source_pattern: Option<&'a str>,
    /// Whoever calls, and no condition beside it.
    pub any: bool,
    /// The pod that it gets into.
    pub pod: Option<&'a str>,
}

/// Why a rule is refused when it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AutoVouchError {
    /// It would let everybody in. (In the reference it does.)
    #[error("a rule without conditions lets everybody in: say so with any = true, or name a condition")]
    NoCondition,
    /// It says that everybody is let in, and has conditions.
    #[error("a rule with any = true has no other conditions")]
    AnyAndCondition,
    /// A text is empty, or has what is not seen.
    #[error("{0} is empty, or has control characters or blanks at its ends")]
    Text(&'static str),
    /// Its pattern is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// There are as many as there may be.
    #[error("there are {MAX_RULES} rules at most")]
    TooMany,
}

#[derive(Debug)]
struct Rule {
    name: Box<str>,
    device_type: Option<Box<str>>,
    required: Vec<Box<str>>,
    source: Option<Pattern>,
    pod: Option<Box<str>>,
}

impl Rule {
    fn holds(&self, did: &str, beacon: &Beacon<'_>) -> bool {
        let has = |wanted: &str| beacon.capabilities().any(|capability| capability == wanted);
        self.device_type.as_deref().is_none_or(|wanted| beacon.device_type == wanted)
            && self.required.iter().all(|wanted| has(wanted))
            && self.source.as_ref().is_none_or(|pattern| pattern.matches(did))
    }
}

/// What comes of a beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It is older than 300 s, or its time cannot be read.
    TooOld,
    /// It is of the future. (In the reference it is fresh for ever.)
    Future,
    /// Its sender can have no such name.
    BadName,
    /// A rule lets it in.
    AutoVouched {
        /// The rule.
        rule: &'a str,
        /// The pod that it gets into.
        pod: Option<&'a str>,
    },
    /// A rule would let it in if it proved its key: it waits for a person.
    Unproven,
    /// No rule does: it waits for a person.
    Ask,
}

/// The rules, in their order: the first that holds decides.
#[derive(Debug, Default)]
pub struct AutoVouch {
    rules: Vec<Rule>,
}

impl AutoVouch {
    /// No rule: a person decides about everybody.
    #[must_use]
    pub const fn new() -> Self {
        Self { rules: Vec::new() }
    }

    /// Add a rule at the end.
    ///
    /// # Errors
    /// [`AutoVouchError`].
    pub fn add(&mut self, rule: &RuleDraft<'_>) -> Result<(), AutoVouchError> {
        let conditions =
            rule.device_type.is_some() || !rule.required_capabilities.is_empty() || rule.source_pattern.is_some();
        match (conditions, rule.any) {
            (false, false) => return Err(AutoVouchError::NoCondition),
            (true, true) => return Err(AutoVouchError::AnyAndCondition),
            _ => {}
        }
        if self.rules.len() >= MAX_RULES {
            return Err(AutoVouchError::TooMany);
        }
        let seen = |text: &str, what| {
            if text.is_empty() || check_seen(text).is_err() { Err(AutoVouchError::Text(what)) } else { Ok(()) }
        };
        seen(rule.name, "the name of a rule")?;
        rule.device_type.map_or(Ok(()), |text| seen(text, "the device type of a rule"))?;
        rule.pod.map_or(Ok(()), |text| seen(text, "the pod of a rule"))?;
        rule.required_capabilities.iter().try_for_each(|text| seen(text, "a capability of a rule"))?;
        rule.source_pattern.map_or(Ok(()), |text| seen(text, "the source pattern of a rule"))?;
        self.rules.push(Rule {
            name: rule.name.into(),
            device_type: rule.device_type.map(Into::into),
            required: rule.required_capabilities.iter().map(|text| (*text).into()).collect(),
            source: rule.source_pattern.map(Pattern::new).transpose()?,
            pod: rule.pod.map(Into::into),
        });
        Ok(())
    }

    /// Decide about the beacon of a device that bears this name. `proven`: the ping was signed with the key that the beacon names, or the operator takes
    /// the sender without one; else nobody is let in by a rule, for all that a beacon says anybody can say.
    #[must_use]
    pub fn judge(&self, now: Wall, did: &str, stamp: Option<Wall>, beacon: &Beacon<'_>, proven: bool) -> Verdict<'_> {
        let Some(stamp) = stamp.filter(|stamp| *stamp >= now.saturating_sub(FRESH)) else { return Verdict::TooOld };
        if stamp > now.saturating_add(SKEW) {
            return Verdict::Future;
        }
        if check_did(did).is_err() {
            return Verdict::BadName;
        }
        match self.rules.iter().find(|rule| rule.holds(did, beacon)) {
            Some(_) if !proven => Verdict::Unproven,
            Some(rule) => Verdict::AutoVouched { rule: &rule.name, pod: rule.pod.as_deref() },
            None => Verdict::Ask,
        }
    }

    /// How many rules there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rules.len()
    }

    /// There is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
