//! Parameters of a query that are no text.

use super::body::{self, Problem};
use super::{Response, percent};

/// A truth value as pydantic reads one; `false` where it is missing.
pub(super) fn flag(target: &str, name: &'static str) -> Result<bool, Response> {
    let Some(text) = percent::parameter(target, name) else { return Ok(false) };
    match &*text.to_ascii_lowercase() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
        _ => Err(body::invalid(&[Problem::bad_flag(name)])),
    }
}

/// A whole number that is not negative.
pub(super) fn number(target: &str, name: &'static str) -> Result<Option<u64>, Response> {
    let Some(text) = percent::parameter(target, name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| body::invalid(&[Problem::bad_number(name)]))
}
