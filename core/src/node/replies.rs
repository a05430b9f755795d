//! How accepted pings are answered: at once, or later by the application.

use alloc::string::String;
use alloc::vec::Vec;

use super::ping::ReplyError;
use crate::airlock::glob;
use crate::framing::{Value, ValueBuf};
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
    rules: Vec<(String, Reply)>,
    max: u32,
    max_bytes: usize,
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
        glob::check(pattern)?;
        let len = bytes(pattern, &reply);
        if len > MAX_REPLY {
            return Err(ReplyError::TooLarge { len, max: MAX_REPLY });
        }
        let others = self.rules.iter().filter(|(p, _)| p != pattern).map(|(p, reply)| bytes(p, reply)).sum::<usize>();
        if others + len > self.max_bytes {
            return Err(ReplyError::TooMuch(self.max_bytes));
        }
        if let Some((_, old)) = self.rules.iter_mut().find(|(p, _)| p == pattern) {
            *old = reply;
            return Ok(());
        }
        if self.rules.len() >= self.max as usize {
            return Err(ReplyError::TooMany(self.max));
        }
        if self.rules.is_empty() {
            // Most nodes have one rule, and a list would begin with room for four.
            self.rules.reserve_exact(1);
        }
        self.rules.push((pattern.into(), reply));
        Ok(())
    }

    /// Remove a rule; whether there was one.
    pub(super) fn remove(&mut self, pattern: &str) -> bool {
        let before = self.rules.len();
        self.rules.retain(|(p, _)| p != pattern);
        self.rules.len() < before
    }

    /// What to answer to this intent: a payload, or `None` for later. Without a rule: `{}`, as the reference does.
    pub(super) fn find(&self, intent: &str) -> Option<Value<'_>> {
        match self.rules.iter().find(|(pattern, _)| glob::matches(pattern, intent)) {
            None => Some(Value::EMPTY_OBJECT),
            Some((_, Reply::Now(payload))) => Some(payload.as_value()),
            Some((_, Reply::Later)) => None,
        }
    }
}

/// Bytes that a rule keeps.
fn bytes(pattern: &str, reply: &Reply) -> usize {
    let payload = match reply {
        Reply::Now(payload) => payload.as_json().len(),
        Reply::Later => 0,
    };
    pattern.len() + payload
}
