//! Names of agents, spelled as the reference spells them.

use alloc::string::String;

/// The name under which an agent is known: every lower-case `.aint` taken out once, from left to right, then white space at both
/// ends, then everything in lower case.
///
/// `Alice.aint` is `alice`; `ALICE.AINT` is `alice.aint`, because the suffix is looked for before the case is changed.
#[must_use]
pub fn normalise(name: &str) -> String {
    // What Python strips: Unicode's white space and the four separators of ASCII.
    let blank = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    name.replace(".aint", "").trim_matches(blank).to_lowercase()
}

/// A name as lists of channels repeat it: white space stays.
#[must_use]
pub(crate) fn echoed(name: &str) -> String {
    name.replace(".aint", "").to_lowercase()
}

/// The name under which a WebSocket's channels are opened: the reference normalises a name in the query twice.
#[must_use]
pub(crate) fn of_socket(name: &str) -> String {
    normalise(&echoed(name))
}
