//! Where a device can be reached: an IP address or a host name, and a port.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::data::cursor::{Cursor, put_short_text};
use crate::data::{Full, Sink};

/// Longest host name in bytes (RFC 1035 2.3.4, without the dot at the end).
pub const MAX_HOST: usize = 253;

/// An endpoint of a device, as a [`Record`](super::Record) or the operator names it.
///
/// A name says nothing about who answers there: whoever sends something to an endpoint has its path validated first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address<'a> {
    /// An address that datagrams can be sent to.
    Ip(SocketAddr),
    /// A host name, to be looked up by whoever has a resolver for it.
    Host {
        /// 1 to [`MAX_HOST`] letters, digits, hyphens, underscores and dots.
        name: &'a str,
        /// Not 0.
        port: u16,
    },
}

/// A text or an address is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint is HOST:PORT or [IPv6]:PORT with a unicast address and a port that is not 0")]
pub struct BadAddress;

const HOST: u8 = 1;
const V4: u8 = 4;
const V6: u8 = 6;

impl<'a> Address<'a> {
    /// Check an endpoint: a unicast address (no multicast, none that is unspecified, no IPv4 address in the clothes of IPv6, which would be a second
    /// spelling), or a host name that is not written as an address; a port that is not 0.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn check(self) -> Result<Self, BadAddress> {
        let good = match self {
            // The scope of a link-local address means something on this machine only.
            Self::Ip(SocketAddr::V6(addr)) if addr.scope_id() != 0 || addr.flowinfo() != 0 => false,
            Self::Ip(addr) => addr.port() != 0 && is_unicast(addr.ip()),
            Self::Host { name, port } => port != 0 && is_host(name),
        };
        if good { Ok(self) } else { Err(BadAddress) }
    }

    /// Read `HOST:PORT`, `IPv4:PORT` or `[IPv6]:PORT`.
    ///
    /// # Errors
    /// [`BadAddress`].
    pub fn parse(text: &'a str) -> Result<Self, BadAddress> {
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Self::Ip(addr).check();
        }
        let (name, port) = text.rsplit_once(':').ok_or(BadAddress)?;
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadAddress);
        }
        Self::Host { name, port: port.parse().map_err(|_| BadAddress)? }.check()
    }

    /// The address, where it is one.
    #[must_use]
    pub const fn ip(self) -> Option<SocketAddr> {
        match self {
            Self::Ip(addr) => Some(addr),
            Self::Host { .. } => None,
        }
    }

    pub(super) fn write(self, sink: &mut impl Sink) -> Result<(), Full> {
        let port = match self {
            Self::Ip(addr) => {
                match addr.ip() {
                    IpAddr::V4(ip) => sink.put(&[V4]).and_then(|()| sink.put(&ip.octets()))?,
                    IpAddr::V6(ip) => sink.put(&[V6]).and_then(|()| sink.put(&ip.octets()))?,
                }
                addr.port()
            }
            Self::Host { name, port } => {
                sink.put(&[HOST])?;
                put_short_text(sink, name)?;
                port
            }
        };
        sink.put(&port.to_be_bytes())
    }

    /// Read what [`write`](Self::write) wrote, unchecked.
    pub(super) fn read(from: &mut Cursor<'a>) -> Option<Self> {
        match from.u8()? {
            V4 => Some(Self::Ip(SocketAddr::new(Ipv4Addr::from(from.array()?).into(), from.u16()?))),
            V6 => Some(Self::Ip(SocketAddr::new(Ipv6Addr::from(from.array()?).into(), from.u16()?))),
            HOST => Some(Self::Host { name: from.short_text()?, port: from.u16()? }),
            _ => None,
        }
    }
}

fn is_unicast(ip: IpAddr) -> bool {
    let mapped = matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST) && !mapped
}

fn is_host(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    // A last label of digits is what addresses end in (WHATWG URL 3.1): `1.2.3` is no name.
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    (1..=MAX_HOST).contains(&name.len()) && plain && !numeric && name.split('.').all(|label| !label.is_empty())
}

impl From<SocketAddr> for Address<'_> {
    fn from(addr: SocketAddr) -> Self {
        Self::Ip(addr)
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => write!(f, "{addr}"),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
        }
    }
}
