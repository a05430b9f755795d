//! How accepted pings are answered: at once, or later by the application.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::ping::ReplyError;
use crate::airlock::glob;
use crate::data::msgpack;
use crate::framing::{Encoding, Value, ValueBuf};
use crate::limits::{MAX_DATAGRAM_V6, MAX_INTENT};

/// What happens to an accepted ping.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It is answered at once with this payload.
    Now(ValueBuf),
    /// The application answers it with [`Node::respond`](super::Node::respond).
    Later,
}

/// Reply rules by intent pattern; the first that matches counts.
#[derive(Debug)]
pub(super) struct Replies {
    rules: Vec<Rule>,
    max: u32,
    max_bytes: usize,
}

#[derive(Debug)]
struct Rule {
    pattern: Box<str>,
    /// `None`: the application answers.
    payload: Option<Payload>,
}

/// What is answered, in every form that is sent, so that no answer has to convert it.
#[derive(Debug)]
struct Payload {
    json: ValueBuf,
    /// Empty where msgpack has no form for it; then every such answer fails, and says why.
    msgpack: Box<[u8]>,
}

/// What an answer has room for: the largest datagram less what every answer holds.
pub(super) const MAX_REPLY: usize = MAX_DATAGRAM_V6 - 256;

impl Replies {
    pub(super) const fn new(max: u32, max_bytes: usize) -> Self {
        Self { rules: Vec::new(), max, max_bytes }
    }

    /// Add a rule behind the others, or replace the one with the same pattern where it stands.
    pub(super) fn set(&mut self, pattern: &str, reply: Reply) -> Result<(), ReplyError> {
        if pattern.len() > MAX_INTENT {
            return Err(ReplyError::Pattern { len: pattern.len() });
        }
        glob::check_seen(pattern)?;
        glob::check(pattern)?;
        let rule = Rule::new(pattern, reply);
        let len = rule.answer_len();
        if len > MAX_REPLY {
            return Err(ReplyError::TooLarge { len, max: MAX_REPLY });
        }
        let others = self.rules.iter().filter(|rule| *rule.pattern != *pattern).map(Rule::kept_len).sum::<usize>();
        if others + rule.kept_len() > self.max_bytes {
            return Err(ReplyError::TooMuch(self.max_bytes));
        }
        if let Some(old) = self.rules.iter_mut().find(|rule| *rule.pattern == *pattern) {
            *old = rule;
            return Ok(());
        }
        if self.rules.len() >= self.max as usize {
            return Err(ReplyError::TooMany(self.max));
        }
        if self.rules.is_empty() {
            // Most nodes have one rule, and a list would begin with room for four.
            self.rules.reserve_exact(1);
        }
        self.rules.push(rule);
        Ok(())
    }

    /// Remove a rule; whether there was one.
    pub(super) fn remove(&mut self, pattern: &str) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| *rule.pattern != *pattern);
        self.rules.len() < before
    }

    /// What to answer to this intent in this encoding: a payload, or `None` for later. Without a rule: `{}`, as the reference
    /// does.
    pub(super) fn find(&self, intent: &str, encoding: Encoding) -> Option<Value<'_>> {
        match self.rules.iter().find(|rule| glob::matches(&rule.pattern, intent)) {
            None => Some(Value::EMPTY_OBJECT),
            Some(rule) => rule.payload.as_ref().map(|payload| payload.to_write(encoding)),
        }
    }
}

impl Rule {
    fn new(pattern: &str, reply: Reply) -> Self {
        let payload = match reply {
            Reply::Now(json) => {
                let mut packed = Vec::new();
                if msgpack::transcode::value(&mut packed, json.as_value()).is_err() {
                    packed.clear();
                }
                Some(Payload { json, msgpack: packed.into() })
            }
            Reply::Later => None,
        };
        Self { pattern: pattern.into(), payload }
    }

    /// Bytes of the pattern and of the payload as JSON.
    fn answer_len(&self) -> usize {
        self.pattern.len() + self.payload.as_ref().map_or(0, |payload| payload.json.as_json().len())
    }

    /// Bytes that the rule keeps.
    fn kept_len(&self) -> usize {
        self.answer_len() + self.payload.as_ref().map_or(0, |payload| payload.msgpack.len())
    }
}

impl Payload {
    fn to_write(&self, encoding: Encoding) -> Value<'_> {
        match encoding {
            Encoding::Msgpack if !self.msgpack.is_empty() => Value::from_wire_msgpack(&self.msgpack),
            Encoding::Json | Encoding::Msgpack | Encoding::Postcard => self.json.as_value(),
        }
    }
}
