//! Ids of workloads, steps and audit tokens, made as the reference makes them.

use core::fmt;

use sha2::{Digest as _, Sha256};

use sluis_core::data::{Sink, SliceSink, hex};
use sluis_core::time::{Wall, iso};

/// Randomness in an id: eight bytes, hashed as 16 hex digits.
pub type IdSeed = [u8; 8];

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Read exactly this many lower-case hex digits.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let digits: [u8; $len] = text.as_bytes().try_into().ok()?;
                digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f')).then_some(Self(digits))
            }

            /// The digits.
            #[must_use]
            pub fn as_str(&self) -> &str {
                core::str::from_utf8(&self.0).unwrap_or_default()
            }

            /// The digits, as bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The first digits of a hash.
            fn of(hash: Sha256) -> Self {
                let mut digits = [0; $len];
                let hash: [u8; 32] = hash.finalize().into();
                for (two, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(hash) {
                    *two = hex::pair(byte);
                }
                Self(digits)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

id! {
    /// Names a workload: 16 lower-case hex digits.
    WorkloadId, 16
}
id! {
    /// Names a step: 12 lower-case hex digits.
    StepId, 12
}
id! {
    /// Names an entry of the reference's audit trail: 16 lower-case hex digits.
    AuditId, 16
}

impl WorkloadId {
    /// SHA-256 of `name:owner:now:random`, cut.
    #[must_use]
    pub fn derive(name: &str, owner: &str, now: Wall, random: IdSeed) -> Self {
        let mut stamp = [0; iso::FORMAT_LEN];
        let stamp = iso::format(now, &mut stamp);
        Self::of(joined(&[name.as_bytes(), owner.as_bytes(), stamp.as_bytes(), &digits(random)]))
    }
}

impl StepId {
    /// SHA-256 of `workload_id:name:sequence:random`, cut.
    #[must_use]
    pub fn derive(workload: WorkloadId, name: &str, sequence: u32, random: IdSeed) -> Self {
        let mut place = itoa::Buffer::new();
        let place = place.format(sequence).as_bytes();
        Self::of(joined(&[workload.as_bytes(), name.as_bytes(), place, &digits(random)]))
    }
}

impl AuditId {
    /// SHA-256 of `action:workload_id:now:sequence`, cut. `now` is the text in the entry.
    #[must_use]
    pub fn derive(action: &str, workload: &str, now: &str, sequence: u64) -> Self {
        let mut place = itoa::Buffer::new();
        let place = place.format(sequence).as_bytes();
        Self::of(joined(&[action.as_bytes(), workload.as_bytes(), now.as_bytes(), place]))
    }
}

/// The hash of parts with a colon between each two. What is short, as nearly all is, the hash sees in one piece.
fn joined(parts: &[&[u8]; 4]) -> Sha256 {
    let put = |sink: &mut dyn FnMut(&[u8]) -> bool| {
        parts.iter().enumerate().all(|(n, part)| (n == 0 || sink(b":")) && sink(part))
    };
    let mut hash = Sha256::new();
    let mut room = [0; 120];
    let mut short = SliceSink::new(&mut room);
    if put(&mut |bytes| short.put(bytes).is_ok()) {
        hash.update(short.written());
    } else {
        put(&mut |bytes| {
            hash.update(bytes);
            true
        });
    }
    hash
}

/// As 16 hex digits.
fn digits(random: IdSeed) -> [u8; 16] {
    hex::u64_digits(u64::from_be_bytes(random))
}
