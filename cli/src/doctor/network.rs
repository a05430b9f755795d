//! Sockets and interfaces.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use sluis_core::discovery::{GROUP_V4, GROUP_V6};
use sluis_udp::Interface;

use super::Finding;

/// Bytes of an IPv6 packet with the longest message of a handshake in it.
const LEAST_MTU: u32 = 1280;
const SMALL: &str = "sessions in suite 2 need 1,200 bytes in one datagram: use --suite 1, or raise it";

/// Whether a socket of each family can be had.
pub(super) fn sockets() -> Vec<Finding> {
    let open = |family: &str, any: SocketAddr| match sluis_udp::bind(any) {
        Ok(_) => Finding::ok("socket", "it opens").of(family),
        // A machine without IPv6 is no broken one.
        Err(why) if any.is_ipv6() => Finding::warning(
            "socket",
            format!("there is none ({})", why.source),
            "turn IPv6 on if nodes are to be reached by it",
        )
        .of(family),
        Err(why) => Finding::problem(
            "socket",
            format!("there is none ({})", why.source),
            "see what keeps this user from opening UDP sockets: a sandbox, a limit of open files",
        )
        .of(family),
    };
    vec![open("IPv4", (Ipv4Addr::UNSPECIFIED, 0).into()), open("IPv6", (Ipv6Addr::UNSPECIFIED, 0).into())]
}

/// Whether groups can be joined on each interface, and what a packet may have there.
pub(super) fn interfaces() -> Vec<Finding> {
    let all = match sluis_udp::interfaces() {
        Ok(all) => all,
        Err(why) => {
            let says = format!("the system does not list its interfaces ({why})");
            return vec![Finding::problem(
                "multicast",
                says,
                "see what keeps this user from it: a sandbox (AF_NETLINK)",
            )];
        }
    };
    let mut found: Vec<Finding> = all.iter().filter(|interface| is_used(interface)).flat_map(groups).collect();
    if found.is_empty() {
        found.push(Finding::warning(
            "multicast",
            "no interface carries it",
            "name the addresses of nodes: `--discover-at`, `sluis discover --at`",
        ));
    }
    found.extend(all.iter().filter_map(mtu));
    found
}

fn is_used(interface: &Interface) -> bool {
    interface.multicast && !interface.loopback
}

/// Join the groups of discovery, and leave them again.
fn groups(interface: &Interface) -> Vec<Finding> {
    let v4 = interface.v4.first().map(|address| ("IPv4", join_v4(*address)));
    let v6 = (!interface.v6.is_empty()).then(|| ("IPv6", join_v6(interface.index)));
    let told = v4.into_iter().chain(v6).map(|(family, joined)| {
        let subject = format!("{} {family}", interface.name);
        match joined {
            Ok(()) => Finding::ok("multicast", "the group of discovery can be joined").of(subject),
            Err(why) => Finding::warning(
                "multicast",
                format!("the group of discovery cannot be joined ({why})"),
                "nodes there are found by address only: `--discover-at`",
            )
            .of(subject),
        }
    });
    told.collect()
}

fn join_v4(address: Ipv4Addr) -> io::Result<()> {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?.join_multicast_v4(GROUP_V4.ip(), &address)
}

fn join_v6(index: u32) -> io::Result<()> {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?.join_multicast_v6(GROUP_V6.ip(), index)
}

/// What the longest packet on an interface is, where the system says it in a file.
fn mtu(interface: &Interface) -> Option<Finding> {
    let file = format!("/sys/class/net/{}/mtu", interface.name);
    let mtu = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    Some(judge_mtu(mtu).of(&interface.name))
}

/// What to think of a longest packet.
pub(super) fn judge_mtu(mtu: u32) -> Finding {
    if mtu >= LEAST_MTU {
        Finding::ok("mtu", format!("{mtu} bytes"))
    } else {
        Finding::warning("mtu", format!("{mtu} bytes"), SMALL)
    }
}

/// How many datagrams go in one call.
pub(super) fn offload() -> Vec<Finding> {
    let look = |ipv6| match sluis_udp::offload(ipv6) {
        Ok(offload) => {
            let says =
                format!("{} datagrams are sent in one call (GSO), {} taken (GRO)", offload.send, offload.receive);
            if offload.send > 1 && offload.receive > 1 {
                Finding::ok("offload", says)
            } else {
                Finding::warning(
                    "offload",
                    says,
                    "a newer kernel (Linux 5.0) moves more with less work; all else is the same",
                )
            }
        }
        Err(why) => Finding::warning("offload", format!("the system does not say ({why})"), "see the sockets above"),
    };
    // What holds for one family holds for the other; a machine may have but one.
    let v4 = look(false);
    vec![if v4.mend.is_some() { look(true) } else { v4 }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn what_carries_no_handshake_is_a_warning() {
        assert_eq!((judge_mtu(1280).status, judge_mtu(1279).status), (Status::Ok, Status::Warning));
    }
}
