//! Names and addresses of simulated nodes, each computed from the node's number and back.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::identity::SecretKey;
use crate::limits::DEFAULT_PORT;

/// How many members a world can have: one for every address in 10.0.0.0/8.
pub const MAX_MEMBERS: u32 = 1 << 24;

/// The address of a member: 10.x.y.z, where x.y.z is its number.
#[must_use]
pub const fn address(member: u32) -> SocketAddr {
    let [_, x, y, z] = member.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, x, y, z)), DEFAULT_PORT)
}

/// The member with this address.
#[must_use]
pub const fn member(address: &SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V4(v4) => match v4.ip().octets() {
            [10, x, y, z] => Some(u32::from_be_bytes([0, x, y, z])),
            _ => None,
        },
        SocketAddr::V6(_) => None,
    }
}

/// The key of a member, in a world where nodes have keys. Whoever wants to steal it asks here.
#[must_use]
pub fn key(member: u32) -> SecretKey {
    let mut seed = *b"the key of a member, numbered   ";
    seed[28..].copy_from_slice(&member.to_be_bytes());
    SecretKey::from_seed(&seed)
}

/// The name of a member: `jis:sim:` and its number in six hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name([u8; 14]);

impl Name {
    /// Of this member.
    #[must_use]
    pub(crate) fn of(member: u32) -> Self {
        let mut text = *b"jis:sim:000000";
        for (i, digit) in text.iter_mut().rev().take(6).enumerate() {
            let value = (member >> (4 * i) & 15) as u8;
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        }
        Self(text)
    }

    /// The member of this name.
    #[must_use]
    pub(crate) fn member(name: &str) -> Option<u32> {
        let digits = name.strip_prefix("jis:sim:")?;
        let number = u32::from_str_radix(digits, 16).ok()?;
        (*Self::of(number).as_str() == *name).then_some(number)
    }

    /// As text.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        // Built from ASCII only.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_MEMBERS, Name, address, member};

    #[test]
    fn addresses_and_names_tell_members_apart() {
        for n in [0, 1, 255, 256, 99_999, MAX_MEMBERS - 1] {
            assert_eq!(member(&address(n)), Some(n));
        }
        assert_eq!(Name::of(0x00ab_cdef).as_str(), "jis:sim:abcdef");
        assert_eq!(Name::of(99).as_str(), "jis:sim:000063");
        assert_eq!((Name::member("jis:sim:000063"), Name::member("jis:sim:00abcdef")), (Some(99), None));
        assert_eq!((Name::member("jis:sim:+00063"), Name::member("jis:guest:000063")), (None, None));
        assert_eq!(member(&"192.0.2.1:7150".parse().unwrap()), None);
    }
}
