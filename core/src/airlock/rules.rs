//! The gate with its rules on the heap, sorted and guarded.

use alloc::string::String;
use alloc::vec::Vec;

use super::gate::{GateConfig, GateError, Pod, Rule, RuleError, Subject, Verdict, or_zero};
use super::glob::Pattern;
use crate::framing::{PingType, Zone};

/// Thresholds and rules.
///
/// Rules are asked highest priority first, among equals in the order they were added. Before a rule is asked in full, a guard
/// looks at eight telling bytes of its patterns, so that a thousand rules cost a few nanoseconds each.
#[derive(Debug)]
pub struct Gate {
    config: GateConfig,
    rules: Vec<Rule<String>>,
    /// One for each rule, same order.
    guards: Vec<Guard>,
    text_bytes: usize,
    /// Some rule looks inside of senders.
    inner_source: bool,
    /// Some rule looks inside of intents.
    inner_intent: bool,
}

impl Gate {
    /// A gate without rules.
    ///
    /// # Errors
    /// When the thresholds make no sense.
    pub fn new(config: GateConfig) -> Result<Self, GateError> {
        config.check()?;
        Ok(Self {
            config,
            rules: Vec::new(),
            guards: Vec::new(),
            text_bytes: 0,
            inner_source: false,
            inner_intent: false,
        })
    }

    /// Its thresholds and limits.
    #[must_use]
    pub(crate) const fn config(&self) -> &GateConfig {
        &self.config
    }

    /// Add a rule. A rule with the same id is replaced; the new one counts as added last.
    ///
    /// # Errors
    /// When the rule is wrong or does not fit; then nothing has changed.
    pub fn add_rule<T: AsRef<str>>(&mut self, rule: &Rule<T>) -> Result<(), RuleError> {
        rule.check()?;
        let view = rule.as_view();
        let old = self.position(view.id);
        let old_bytes = old.and_then(|at| self.rules.get(at)).map_or(0, |rule| rule.as_view().text_bytes());
        let text_bytes = self.text_bytes - old_bytes + view.text_bytes();
        if old.is_none() && self.rules.len() >= self.config.max_rules {
            return Err(RuleError::TooMany(self.config.max_rules));
        }
        if text_bytes > self.config.max_rule_bytes {
            return Err(RuleError::TooLarge(self.config.max_rule_bytes));
        }
        self.remove_rule(view.id);
        let at = self.rules.partition_point(|other| other.priority >= view.priority);
        self.guards.insert(at, Guard::new(&view));
        self.rules.insert(at, to_owned(&view));
        self.text_bytes = text_bytes;
        self.note_inner();
        Ok(())
    }

    /// Remove the rule with this id; false when there is none.
    pub fn remove_rule(&mut self, id: &str) -> bool {
        let Some(at) = self.position(id) else { return false };
        self.guards.remove(at);
        let rule = self.rules.remove(at);
        self.text_bytes -= rule.as_view().text_bytes();
        self.note_inner();
        true
    }

    /// Letter pairs are taken of a ping only where a rule asks for them.
    fn note_inner(&mut self) {
        self.inner_source = self.guards.iter().any(|guard| guard.source.pairs != 0);
        self.inner_intent = self.guards.iter().any(|guard| guard.intent.pairs != 0);
    }

    /// The rules in the order they are asked.
    #[must_use]
    pub fn rules(&self) -> &[Rule<String>] {
        &self.rules
    }

    /// Rules that a sender [evades](Rule::is_evadable) by writing otherwise what they look at, as long as
    /// [`GateConfig::otherwise`] does not catch what no rule matches.
    pub fn evadable(&self) -> impl Iterator<Item = &Rule<String>> {
        let open = matches!(self.config.otherwise, None | Some(Zone::Groen));
        self.rules.iter().filter(move |rule| open && rule.is_evadable())
    }

    /// Which zone a ping gets, and by which rule. Trust that is not a number counts as 0.
    #[must_use]
    pub fn judge(&self, subject: &Subject<'_>, trust: f64) -> Verdict<'_> {
        let trust = or_zero(trust);
        match self.first_match(subject, trust) {
            Some(rule) => Verdict { zone: rule.zone, rule: Some(&rule.name) },
            None => Verdict { zone: self.config.unmatched(trust), rule: None },
        }
    }

    fn first_match(&self, subject: &Subject<'_>, trust: f64) -> Option<&Rule<String>> {
        if self.rules.is_empty() {
            return None;
        }
        let source = Padded::new(subject.source_did, self.inner_source);
        let intent = Padded::new(subject.intent, self.inner_intent);
        let kind = 1 << subject.ping_type as u8;
        self.guards
            .iter()
            .zip(&self.rules)
            .find(|(guard, rule)| guard.may_match(&source, &intent, kind) && rule.matches(subject, trust))
            .map(|(_, rule)| rule)
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.rules.iter().position(|rule| rule.id == id)
    }
}

fn to_owned(rule: &Rule<&str>) -> Rule<String> {
    Rule {
        id: rule.id.into(),
        name: rule.name.into(),
        source_did: rule.source_did.map(Into::into),
        intent: rule.intent.map(Into::into),
        pod_id: rule.pod_id.map(|pod| match pod {
            Pod::None => Pod::None,
            Pod::Is(id) => Pod::Is(id.into()),
        }),
        ping_type: rule.ping_type,
        min_trust: rule.min_trust,
        any: rule.any,
        zone: rule.zone,
        priority: rule.priority,
    }
}

/// Says of most rules that they cannot match, without touching their texts.
#[derive(Clone, Copy, Debug)]
struct Guard {
    source: Window,
    intent: Window,
    /// A bit for each ping type that may match.
    kinds: u8,
}

impl Guard {
    fn new(rule: &Rule<&str>) -> Self {
        let window = |pattern: Option<&str>| Window::new(pattern.map_or(Pattern::Any, Pattern::new));
        Self {
            source: window(rule.source_did),
            intent: window(rule.intent),
            kinds: rule.ping_type.map_or(u8::MAX, |kind: PingType| 1 << kind as u8),
        }
    }

    fn may_match(&self, source: &Padded, intent: &Padded, kind: u8) -> bool {
        self.kinds & kind != 0 && self.source.may_match(source) && self.intent.may_match(intent)
    }
}

/// Up to eight bytes that a value must have at one place, and the lengths it may have.
#[derive(Clone, Copy, Debug)]
struct Window {
    bits: u64,
    mask: u64,
    /// Letter pairs that it must have somewhere, as [`pairs`] marks them.
    pairs: u64,
    shortest: u16,
    longest: u16,
    /// Where the bytes are, from the start or from the end.
    offset: u16,
    from_end: bool,
}

impl Window {
    fn new(pattern: Pattern<'_>) -> Self {
        let any = Self { bits: 0, mask: 0, pairs: 0, shortest: 0, longest: u16::MAX, offset: 0, from_end: false };
        let (text, exact, from_end) = match pattern {
            Pattern::Any => return any,
            Pattern::Contains(text) => {
                return Self { shortest: len16(text), pairs: pairs(text.as_bytes()), ..any };
            }
            Pattern::Exact(text) => (text, true, false),
            Pattern::Prefix(text) => (text, false, false),
            Pattern::Suffix(text) => (text, false, true),
        };
        let shortest = len16(text);
        // Names differ at their tails (`jis:home:kitchen`, `jis:home:cellar`): of a start take the last bytes.
        let start = if from_end { 0 } else { text.len().saturating_sub(8) };
        let mut bytes = [0; 8];
        let mut mask = [0; 8];
        for ((to, seen), from) in bytes.iter_mut().zip(&mut mask).zip(text.as_bytes().iter().skip(start)) {
            (*to, *seen) = (*from, 0xff);
        }
        Self {
            bits: u64::from_le_bytes(bytes),
            mask: u64::from_le_bytes(mask),
            pairs: 0,
            shortest,
            longest: if exact { shortest } else { u16::MAX },
            offset: if from_end { shortest } else { u16::try_from(start).unwrap_or(u16::MAX) },
            from_end,
        }
    }

    #[inline]
    fn may_match(&self, value: &Padded) -> bool {
        let Some(len) = value.len else { return true };
        if len < self.shortest || len > self.longest || self.pairs & !value.pairs != 0 {
            return false;
        }
        let at = if self.from_end { len - self.offset } else { self.offset };
        value.window(at) & self.mask == self.bits
    }
}

/// A length, held at the largest that is ever compared.
fn len16(text: &str) -> u16 {
    u16::try_from(text.len()).unwrap_or(u16::MAX)
}

/// A value with room behind it, so that eight bytes can be read at any place in it.
struct Padded {
    bytes: [u8; Self::LONGEST + 8],
    /// `None`: too long to be looked at.
    len: Option<u16>,
    /// Its [`pairs`], or all.
    pairs: u64,
}

/// A bit for each pair of neighbouring bytes: a text that contains another has all of the other's bits.
fn pairs(text: &[u8]) -> u64 {
    text.windows(2).fold(0, |bits, pair| match pair {
        [a, b] => bits | 1 << (((u32::from(*a) << 8 | u32::from(*b)).wrapping_mul(0x9E37_79B1)) >> 26),
        _ => bits,
    })
}

impl Padded {
    /// Longest DID or intent.
    const LONGEST: usize = 256;

    fn new(value: &str, with_pairs: bool) -> Self {
        let pairs = if with_pairs { pairs(value.as_bytes()) } else { u64::MAX };
        let mut bytes = [0; Self::LONGEST + 8];
        let len = match bytes.get_mut(..value.len()) {
            Some(room) if value.len() <= Self::LONGEST => {
                room.copy_from_slice(value.as_bytes());
                Some(len16(value))
            }
            _ => None,
        };
        Self { bytes, len, pairs }
    }

    #[inline]
    fn window(&self, at: u16) -> u64 {
        let at = usize::from(at);
        self.bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
    }
}
