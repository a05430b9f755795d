//! The network interfaces of this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A network interface that is up, as the system shows it at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// The system's number for it. It has another one when it comes back after it was removed.
    pub index: u32,
    /// Its IPv4 addresses.
    pub v4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    pub v6: Vec<Ipv6Addr>,
    /// It leads nowhere but back to this machine.
    pub loopback: bool,
    /// The system says that it carries multicast, and that there may be more than one machine at its other end.
    pub multicast: bool,
}

impl Interface {
    /// Whether this is one of its addresses.
    #[must_use]
    pub fn has(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.contains(&ip),
            IpAddr::V6(ip) => self.v6.contains(&ip),
        }
    }
}

/// Where others can reach a socket that is bound to this address: there, or, if it is bound to all addresses of its family, at those of the interfaces, those aside that mean
/// something on this machine or on one link only.
#[must_use]
pub fn reachable_at(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let everywhere = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let of = |interface: Interface| match bound {
        SocketAddr::V4(_) => interface.v4.into_iter().map(IpAddr::V4).collect::<Vec<_>>(),
        SocketAddr::V6(_) => interface.v6.into_iter().map(IpAddr::V6).collect(),
    };
    let all = interfaces().unwrap_or_default().into_iter().flat_map(of).filter(everywhere);
    all.map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

/// Every interface that is up, in the order in which the system lists them.
///
/// # Errors
/// The system does not list them.
#[cfg(unix)]
pub fn interfaces() -> io::Result<Vec<Interface>> {
    use nix::net::if_::{InterfaceFlags, if_nametoindex};

    let mut found: Vec<Interface> = Vec::new();
    for entry in nix::ifaddrs::getifaddrs()? {
        let flags = entry.flags;
        if !flags.contains(InterfaceFlags::IFF_UP) {
            continue;
        }
        let place = match found.iter().position(|interface| interface.name == entry.interface_name) {
            Some(place) => place,
            None => {
                // One that went away meanwhile has no number any more.
                let Ok(index) = if_nametoindex(entry.interface_name.as_str()) else { continue };
                let loopback = flags.contains(InterfaceFlags::IFF_LOOPBACK);
                let multicast =
                    flags.contains(InterfaceFlags::IFF_MULTICAST) && !flags.contains(InterfaceFlags::IFF_POINTOPOINT);
                let (v4, v6) = (Vec::new(), Vec::new());
                found.push(Interface { name: entry.interface_name, index, v4, v6, loopback, multicast });
                found.len() - 1
            }
        };
        let (Some(interface), Some(address)) = (found.get_mut(place), entry.address) else { continue };
        if let Some(v4) = address.as_sockaddr_in() {
            interface.v4.push(v4.ip());
        } else if let Some(v6) = address.as_sockaddr_in6() {
            interface.v6.push(v6.ip());
        }
    }
    Ok(found)
}

/// The one that the system chooses where it is not told which: this system is not asked for more.
///
/// # Errors
/// None here.
#[cfg(not(unix))]
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let v4 = vec![Ipv4Addr::UNSPECIFIED];
    Ok(vec![Interface { name: "default".into(), index: 0, v4, v6: Vec::new(), loopback: false, multicast: true }])
}

#[cfg(all(test, unix))]
mod tests {
    use super::interfaces;
    use std::net::Ipv4Addr;

    #[test]
    fn the_loopback_interface_is_found_by_its_address() {
        let all = interfaces().unwrap();
        let found = all.iter().find(|interface| interface.has(Ipv4Addr::LOCALHOST.into())).unwrap();
        assert!(found.loopback && found.index > 0 && !found.name.is_empty(), "{found:?}");
        assert!(!found.has(Ipv4Addr::new(192, 0, 2, 1).into()));
    }
}
