//! The token that says what a log does not hold.

use sluis_core::data::{Number, Value};

use super::Token;

/// The action of a token that says how many events of a node are not recorded before it: `erin.count`, with the times of the first and
/// the last in `erin.from` and `erin.until`.
pub const GAP: &str = "events_lost";

impl Token<'_> {
    /// How many events this token says were lost; `None` where it is no such token.
    #[must_use]
    pub fn lost_events(&self) -> Option<u64> {
        if self.action != GAP {
            return None;
        }
        match self.erin.get("count").and_then(Value::as_number)? {
            Number::Int(count) => u64::try_from(count).ok(),
            _ => None,
        }
    }
}
