//! Sockets for what is said to everybody: one on each interface and family, and interfaces followed as they come and go.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};

use sluis_core::discovery::{GROUP_V4, GROUP_V6, TTL};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Interface, interfaces};

/// How many sockets one machine gets: an interface has one for each family.
const MAX_SOCKETS: usize = 64;

/// Where everybody is called, and on which interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multicast {
    /// Names of interfaces, a loopback interface included. Without any: all that carry multicast, and the one that the main socket is bound to by its address, if it is.
    pub interfaces: Vec<String>,
    /// The IPv4 group; `None`: IPv4 is left out. Default [`GROUP_V4`].
    pub v4: Option<SocketAddrV4>,
    /// The IPv6 group, of link-local scope (`ff02::/16`); `None`: IPv6 is left out. Default [`GROUP_V6`]. Only where the main socket is an IPv6 socket: nobody could be answered.
    pub v6: Option<SocketAddrV6>,
    /// How many routers an IPv4 datagram passes, less one. Default [`TTL`].
    pub ttl: u32,
}

impl Default for Multicast {
    fn default() -> Self {
        Self { interfaces: Vec::new(), v4: Some(GROUP_V4), v6: Some(GROUP_V6), ttl: TTL }
    }
}

impl Multicast {
    /// With this group and no other.
    #[must_use]
    pub fn with_group(self, group: SocketAddr) -> Self {
        match group {
            SocketAddr::V4(group) => Self { v4: Some(group), v6: None, ..self },
            SocketAddr::V6(group) => Self { v4: None, v6: Some(group), ..self },
        }
    }
}

/// Why nobody can be called. The text names what is wrong and what can be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum MulticastError {
    /// No interface of this name is up.
    UnknownInterface {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The address is no group, or one that reaches beyond the link where it must not.
    Group(IpAddr),
    /// The main socket is bound to an address that this interface does not have: nobody there could reach it.
    Unreachable {
        /// The interface.
        name: String,
        /// Where the main socket is.
        bound: SocketAddr,
    },
    /// An interface that was asked for cannot be used.
    Join {
        /// The interface.
        name: String,
        /// The group.
        group: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system does not list its interfaces.
    List(io::Error),
}

impl std::fmt::Display for MulticastError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownInterface { name, known } => {
                write!(f, "there is no interface {name} that is up, choose one of: {}", known.join(", "))
            }
            Self::Group(IpAddr::V4(ip)) => {
                write!(f, "{ip} is no multicast group, choose one from 224.0.0.0 to 239.255.255.255")
            }
            Self::Group(IpAddr::V6(ip)) => {
                write!(f, "{ip} is no multicast group of the link, choose one that begins with ff02::")
            }
            Self::Unreachable { name, bound } => write!(
                f,
                "the interface {name} does not have the address {} that is listened on: nobody there could answer; listen on all \
                 addresses, or choose another interface",
                bound.ip()
            ),
            Self::Join { name, group, source } => {
                write!(f, "cannot join {} on the interface {name}: {source}", group.ip())
            }
            Self::List(source) => write!(f, "the system does not list its network interfaces: {source}"),
        }
    }
}

impl std::error::Error for MulticastError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Join { source, .. } | Self::List(source) => Some(source),
            _ => None,
        }
    }
}

/// One group on one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    V4 { group: SocketAddrV4, index: u32, address: Ipv4Addr },
    V6 { group: SocketAddrV6, index: u32 },
}

impl Membership {
    /// The group, with the scope of the interface.
    pub(crate) fn group(self) -> SocketAddr {
        match self {
            Self::V4 { group, .. } => group.into(),
            Self::V6 { group, index } => SocketAddrV6::new(*group.ip(), group.port(), 0, index).into(),
        }
    }

    /// The address that calls leave from, where that decides which interface they take.
    pub(crate) fn source(self) -> Option<IpAddr> {
        match self {
            Self::V4 { address, .. } => Some(address.into()),
            Self::V6 { .. } => None,
        }
    }

    /// A socket that hears what is said to the group on this interface, and nothing else.
    pub(crate) fn open(self, ttl: u32) -> io::Result<UdpSocket> {
        let group = self.group();
        let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
        // Several nodes on one machine, the reference's included, hear the same group.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        match self {
            Self::V4 { group, address, .. } => {
                // Otherwise Linux also hands over what comes in on interfaces that others have joined.
                #[cfg(target_os = "linux")]
                socket.set_multicast_all_v4(false)?;
                socket.bind(&bind_address(group.into()).into())?;
                socket.join_multicast_v4(group.ip(), &address)?;
                socket.set_multicast_if_v4(&address)?;
                socket.set_multicast_ttl_v4(ttl)?;
                socket.set_multicast_loop_v4(true)?;
            }
            Self::V6 { group, index } => {
                socket.set_only_v6(true)?;
                #[cfg(target_os = "linux")]
                socket.set_multicast_all_v6(false)?;
                socket.bind(&bind_address(self.group()).into())?;
                socket.join_multicast_v6(group.ip(), index)?;
                socket.set_multicast_if_v6(index)?;
                socket.set_multicast_loop_v6(true)?;
            }
        }
        Ok(socket.into())
    }
}

/// Bound to the group a socket hears nothing that is said to this machine alone. Not every system allows it.
#[cfg(unix)]
fn bind_address(group: SocketAddr) -> SocketAddr {
    group
}

#[cfg(not(unix))]
fn bind_address(group: SocketAddr) -> SocketAddr {
    let any: IpAddr =
        if group.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, group.port())
}

/// Whether a datagram to a group leaves through the interface whose address it leaves from (or whose scope it names), so that the main socket can send it. Elsewhere the socket of the
/// interface does, and the port that is answered at is only in the datagram.
pub(crate) const SOURCE_CHOOSES: bool = cfg!(any(target_os = "linux", target_os = "android"));

impl Multicast {
    /// Whether the groups are groups, and every named interface is there and of use to a machine that listens at `main`.
    pub(crate) fn check(&self, main: SocketAddr) -> Result<(), MulticastError> {
        if let Some(group) = self.v4.filter(|group| !group.ip().is_multicast()) {
            return Err(MulticastError::Group((*group.ip()).into()));
        }
        // RFC 4291, section 2.7: the scope is the low half of the second byte.
        if let Some(group) = self.v6.filter(|group| !group.ip().is_multicast() || group.ip().octets()[1] & 0xf != 2) {
            return Err(MulticastError::Group((*group.ip()).into()));
        }
        let all = interfaces().map_err(MulticastError::List)?;
        for name in &self.interfaces {
            let Some(interface) = all.iter().find(|interface| interface.name == *name) else {
                let known = all.into_iter().map(|interface| interface.name).collect();
                return Err(MulticastError::UnknownInterface { name: name.clone(), known });
            };
            if !is_served(interface, main) {
                return Err(MulticastError::Unreachable { name: name.clone(), bound: main });
            }
        }
        Ok(())
    }

    /// The memberships that there are to be now.
    pub(crate) fn memberships(&self, main: SocketAddr) -> io::Result<Vec<(String, Membership)>> {
        let all = interfaces()?;
        let wanted = all.into_iter().filter(|interface| self.wants(interface, main));
        let each = wanted.flat_map(|interface| {
            let (v4, v6) = (self.v4_of(&interface, main), self.v6_of(&interface, main));
            [v4, v6].into_iter().flatten().map(move |membership| (interface.name.clone(), membership))
        });
        Ok(each.take(MAX_SOCKETS).collect())
    }

    fn wants(&self, interface: &Interface, main: SocketAddr) -> bool {
        let chosen = if self.interfaces.is_empty() {
            interface.has(main.ip()) || interface.multicast && !interface.loopback
        } else {
            self.interfaces.contains(&interface.name)
        };
        chosen && is_served(interface, main)
    }

    fn v4_of(&self, interface: &Interface, main: SocketAddr) -> Option<Membership> {
        let group = self.v4?;
        let address = match main.ip().to_canonical() {
            // An IPv6 socket on all addresses serves IPv4, too.
            ip if ip.is_unspecified() => interface.v4.first().copied()?,
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => return None,
        };
        Some(Membership::V4 { group, index: interface.index, address })
    }

    fn v6_of(&self, interface: &Interface, main: SocketAddr) -> Option<Membership> {
        let group = self.v6.filter(|_| main.is_ipv6() && main.ip().to_canonical().is_ipv6())?;
        (!interface.v6.is_empty()).then_some(Membership::V6 { group, index: interface.index })
    }
}

/// Whether who hears a call on this interface could reach a socket that is bound there.
fn is_served(interface: &Interface, main: SocketAddr) -> bool {
    main.ip().is_unspecified() || interface.has(main.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, v4: [u8; 4], loopback: bool, multicast: bool) -> Interface {
        let v6 = vec!["fe80::1".parse().unwrap()];
        Interface { name: name.into(), index: 7, v4: vec![v4.into()], v6, loopback, multicast }
    }

    fn main(addr: &str) -> SocketAddr {
        addr.parse().unwrap()
    }

    #[test]
    fn calls_go_where_the_answers_can_come_from() {
        let all = Multicast::default();
        let (lan, tunnel) =
            (interface("eth0", [192, 0, 2, 1], false, true), interface("tun0", [192, 0, 2, 9], false, false));
        let lo = interface("lo", [127, 0, 0, 1], true, false);
        let wants =
            |multicast: &Multicast, addr| [&lan, &tunnel, &lo].map(|interface| multicast.wants(interface, main(addr)));
        assert_eq!(wants(&all, "0.0.0.0:7150"), [true, false, false]);
        assert_eq!(wants(&all, "[::]:7150"), [true, false, false]);
        assert_eq!(wants(&all, "127.0.0.1:7150"), [false, false, true]);
        assert_eq!(wants(&all, "192.0.2.1:7150"), [true, false, false]);
        let named = Multicast { interfaces: vec!["lo".into(), "tun0".into()], ..all.clone() };
        assert_eq!(wants(&named, "0.0.0.0:7150"), [false, true, true]);
        assert_eq!(wants(&named, "192.0.2.1:7150"), [false, false, false]);
        // IPv6 only for who can be answered by it.
        assert_eq!(all.v6_of(&lan, main("0.0.0.0:7150")), None);
        let group = all.v6_of(&lan, main("[::]:7150")).unwrap().group();
        assert_eq!(group.to_string(), "[ff02::4732%7]:7151");
        let v4 = all.v4_of(&lan, main("[::]:7150")).unwrap();
        assert_eq!((v4.group().to_string(), v4.source()), ("224.0.71.50:7151".into(), Some(lan.v4[0].into())));
    }

    #[test]
    fn what_cannot_be_joined_has_a_name() {
        let any = main("0.0.0.0:7150");
        assert!(Multicast::default().check(any).is_ok());
        let said = |multicast: &Multicast, main| multicast.check(main).unwrap_err().to_string();
        let named = |name: &str| Multicast { interfaces: vec![name.into()], ..Multicast::default() };
        assert!(said(&named("nosuch0"), any).starts_with("there is no interface nosuch0 that is up, choose one of: "));
        let group = |addr: &str| Multicast::default().with_group(addr.parse().unwrap());
        assert!(said(&group("192.0.2.1:7151"), any).starts_with("192.0.2.1 is no multicast group, "));
        for wide in ["[ff05::1]:7151", "[fe80::1]:7151"] {
            assert!(said(&group(wide), any).contains("is no multicast group of the link, "));
        }
    }
}
