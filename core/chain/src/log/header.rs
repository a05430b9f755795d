//! What the first entry of a file says of the log that it begins or continues.

use core::fmt;

use super::merkle::NodeHash;
use super::note::MAX_ORIGIN;
use crate::token::{HEADER_PREFIX, Hash32};
use sluis_core::identity::PublicKey;
use sluis_core::identity::note::{NoteKey, is_name};

/// The segment that a file continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continues {
    /// How many entries the segment before has.
    pub size: u64,
    /// The root of the Merkle tree of these entries.
    pub root: NodeHash,
}

/// What the first entry of a file says of its log: what it is called, who signs its checkpoints, and which segment it
/// continues.
///
/// It is a reference in the `eraan` of that entry, before its link if it has one: `log:ORIGIN`, or `log:` and the verifier key
/// `ORIGIN+KEYID+BASE64` where the log has checkpoints; in a segment that continues another ` after:SIZE:ROOT` follows. The
/// content hash covers it, and so does the seal.
///
/// It is what makes sidecars that were removed a finding, and what keeps another key from taking the log over. No other
/// entry has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader<'a> {
    /// The name of the log, under which its checkpoints are signed.
    pub origin: &'a str,
    /// The key that signs them. `None`: it has none.
    pub key: Option<PublicKey>,
    /// The segment before this one.
    pub after: Option<Continues>,
}

impl<'a> LogHeader<'a> {
    /// The header of a log that begins.
    #[must_use]
    pub const fn new(origin: &'a str, key: Option<PublicKey>) -> Self {
        Self { origin, key, after: None }
    }

    /// Read the reference.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix(HEADER_PREFIX)?;
        let (name, after) = match text.split_once(' ') {
            None => (text, None),
            Some((name, after)) => (name, Some(continues(after)?)),
        };
        if !name.contains('+') {
            let fits = is_name(name) && name.len() <= MAX_ORIGIN;
            return fits.then_some(Self { origin: name, key: None, after });
        }
        let key = NoteKey::parse(name).ok().filter(|key| key.name().len() <= MAX_ORIGIN)?;
        Some(Self { origin: key.name(), key: Some(key.key()), after })
    }

    /// The key under the name of the log.
    #[must_use]
    pub fn note_key(&self) -> Option<NoteKey<'a>> {
        NoteKey::new(self.origin, self.key?).ok()
    }
}

/// A name as a log may have it: what it must not hold becomes a dash, and it is cut where it becomes too long.
#[cfg(feature = "alloc")]
#[must_use]
pub fn fit_origin(name: &str) -> alloc::string::String {
    let mut origin: alloc::string::String =
        name.chars().map(|c| if c == '+' || c.is_whitespace() || c.is_control() { '-' } else { c }).collect();
    while origin.len() > MAX_ORIGIN {
        origin.pop();
    }
    if is_name(&origin) { origin } else { "log".into() }
}

fn continues(text: &str) -> Option<Continues> {
    let (size, root) = text.strip_prefix("after:")?.split_once(':')?;
    let plain = size.bytes().all(|byte| byte.is_ascii_digit()) && !size.starts_with('0');
    let size = size.parse().ok().filter(|_| plain)?;
    Some(Continues { size, root: Hash32::from_hex(root)?.0 })
}

/// As it stands in `eraan`.
impl fmt::Display for LogHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.note_key() {
            Some(key) => write!(f, "{HEADER_PREFIX}{key}")?,
            None => write!(f, "{HEADER_PREFIX}{}", self.origin)?,
        }
        match self.after {
            Some(Continues { size, root }) => write!(f, " after:{size}:{}", Hash32(root)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::{Continues, LogHeader, MAX_ORIGIN, fit_origin};
    use sluis_core::Seed;
    use sluis_core::identity::SecretKey;

    #[test]
    fn headers_are_read_as_they_are_written() {
        let key = SecretKey::generate(&mut Seed::from_u64(1).fork("header")).public();
        for key in [None, Some(key)] {
            for after in [None, Some(Continues { size: 7, root: [9; 32] })] {
                let header = LogHeader { after, ..LogHeader::new("example.com/log", key) };
                let text = header.to_string();
                assert_eq!(LogHeader::parse(&text), Some(header), "{text}");
                assert!(text.starts_with("log:example.com/log"), "{text}");
            }
        }
    }

    #[test]
    fn names_become_origins() {
        assert_eq!(fit_origin("example.org/log"), "example.org/log");
        assert_eq!(fit_origin("Drone mission +7"), "Drone-mission--7");
        assert_eq!(fit_origin(""), "log");
        assert!(fit_origin(&"é".repeat(400)).len() <= MAX_ORIGIN);
    }

    #[test]
    fn what_is_no_header_is_none() {
        let root = "00".repeat(32);
        for text in [
            "log:",
            "lag:x",
            "log:two words",
            "log:a+b",
            "log:a+00000000+AAAA",
            "log:a after:",
            &std::format!("log:a after:0:{root}"),
            &std::format!("log:a after:01:{root}"),
            &std::format!("log:a after:+1:{root}"),
            &std::format!("log:a after:1:{root}0"),
            &std::format!("log:a  after:1:{root}"),
        ] {
            assert_eq!(LogHeader::parse(text), None, "{text}");
        }
        assert!(LogHeader::parse(&std::format!("log:a after:1:{root}")).is_some());
    }
}
