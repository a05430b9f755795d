//! Whether peers answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sluis_core::framing::Decision;
use sluis_core::identity::SecretKey;
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{Answered, Event, Identity, Node, NodeConfig, Ping};
use sluis_core::time::iso;
use sluis_core::{Datagrams as _, Did, Machine as _};
use sluis_udp::SystemClock;

use super::{Finding, network};
use crate::fail::Fail;
use crate::overlay::args::Registry;
use crate::{ping, run};

const CHECK: &str = "peer";
/// How often a peer is asked, and how long each time.
const TRIES: u32 = 3;
const EACH: Duration = Duration::from_secs(1);
/// How far clocks may be apart: what is further ahead is refused.
const SKEW: u64 = 5_000_000;

/// Who asks.
pub(super) struct Asker {
    did: Option<Did>,
    identity: Option<Identity>,
}

/// What came of it.
enum Outcome {
    Answered {
        rtt: Duration,
        decision: Decision,
        ahead: Option<i64>,
    },
    /// The system at the other end says that nothing listens there.
    Nobody,
    NotSent(io::Error),
    Silence,
}

impl Asker {
    pub(super) fn new(did: Option<Did>, key: Option<SecretKey>) -> Self {
        Self { did, identity: key.map(Identity::from) }
    }

    /// Ping somebody; what came of it, and of the way there.
    pub(super) fn look(&self, peer: &Registry) -> Vec<Finding> {
        let name = peer.did.as_deref().unwrap_or_default();
        let subject = format!("{name}@{}", peer.place);
        let mut found = match self.ask(name, peer) {
            Ok(found) => found,
            Err(why) => {
                vec![Finding::failed(CHECK, &why, "check the name, the port, and whether names are resolved here")]
            }
        };
        found.iter_mut().for_each(|finding| finding.subject = Some(subject.clone()));
        found
    }

    fn ask(&self, name: &str, peer: &Registry) -> Result<Vec<Finding>, Fail> {
        let did = match &self.did {
            Some(did) => did.clone(),
            None => ping::a_name()?,
        };
        let addrs = run::resolve(&peer.place)?;
        let Some(addr) = addrs.iter().find(|addr| addr.is_ipv4()).or(addrs.first()).copied() else {
            return Err(Fail::runtime(format!("{} has no address", peer.place)));
        };
        let mut config = NodeConfig::new(did.clone());
        config.heartbeat = None;
        config.identity = self.identity.clone();
        let mut node = run::node(config)?;
        let any: IpAddr = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let opened = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(addr).map(|()| socket));
        let outcome = match opened {
            Ok(socket) => {
                let outcome = ask(&mut node, &socket, name, addr)?;
                let clock = judge_clock(&outcome);
                return Ok([Some(judge(outcome, addr, &did)), clock, mtu(&socket)].into_iter().flatten().collect());
            }
            Err(why) => Outcome::NotSent(why),
        };
        Ok(vec![judge(outcome, addr, &did)])
    }
}

/// Ping, again where nothing comes. The socket is connected, so that the system tells of ports that nobody listens on.
fn ask(node: &mut Node, socket: &UdpSocket, name: &str, addr: SocketAddr) -> Result<Outcome, Fail> {
    let clock = SystemClock::new();
    let mut buffer = vec![0; MAX_DATAGRAM_V6];
    for _ in 0..TRIES {
        let mut ping = Ping::new(name, addr, "doctor.reach");
        ping.timeout = Some(EACH);
        node.ping(clock.now(), &ping).map_err(Fail::usage)?;
        let until = Instant::now() + EACH;
        loop {
            while let Some(out) = node.poll_transmit(clock.now(), &mut buffer) {
                if let Err(why) = socket.send(buffer.get(..out.len).unwrap_or_default())
                    && why.kind() != io::ErrorKind::ConnectionRefused
                {
                    return Ok(Outcome::NotSent(why));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
                break;
            }
            match socket.recv(&mut buffer) {
                Ok(len) => {
                    let now = clock.now();
                    // What is none of ours is counted and no answer.
                    let _ = node.handle_datagram(now, addr.into(), buffer.get_mut(..len).unwrap_or_default());
                    while let Some(event) = node.poll_event() {
                        if let Event::Response(answer) = event {
                            return Ok(answered(&answer, now.wall.as_micros()));
                        }
                    }
                }
                Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => return Ok(Outcome::Nobody),
                // Nothing came, or a signal did.
                Err(_) => {}
            }
        }
        node.handle_timeout(clock.now());
        while node.poll_event().is_some() {}
    }
    Ok(Outcome::Silence)
}

fn answered(answer: &Answered<'_>, now: i64) -> Outcome {
    let stamp = iso::parse_zoned(&answer.response().timestamp.to_cow());
    // It was written half a round trip ago, as far as one can tell. One without a zone may be in any.
    let half = i64::try_from(answer.rtt.as_micros() / 2).unwrap_or(0);
    let ahead = stamp.filter(|(_, zoned)| *zoned).map(|(wall, _)| wall.as_micros() - (now - half));
    Outcome::Answered { rtt: answer.rtt, decision: answer.decision, ahead }
}

/// A clock that is far from ours, whatever else there is to say of who answers.
fn judge_clock(outcome: &Outcome) -> Option<Finding> {
    let &Outcome::Answered { ahead: Some(ahead), .. } = outcome else { return None };
    let (apart, ahead) = (ahead.unsigned_abs(), ahead > 0);
    (apart > SKEW).then(|| {
        let which = if ahead { "ahead of" } else { "behind" };
        Finding::warning(
            "peer clock",
            format!("it is {} s {which} ours", apart / 1_000_000),
            "set the one that is wrong: pings from 5 s ahead and from 30 s behind are refused",
        )
    })
}

fn judge(outcome: Outcome, addr: SocketAddr, did: &Did) -> Finding {
    match outcome {
        Outcome::Answered { rtt, decision, .. } => {
            let decided = match decision {
                Decision::Accept => "accepts",
                Decision::Pending => "asks an operator",
                Decision::Reject => "refuses",
            };
            let rtt = rtt.as_secs_f64() * 1e3;
            Finding::ok(CHECK, format!("it answers after {rtt:.1} ms, and {decided}"))
        }
        Outcome::Nobody => Finding::problem(
            CHECK,
            format!("nothing listens at {addr}"),
            "start the node there, or check address and port",
        ),
        Outcome::NotSent(why) => Finding::problem(
            CHECK,
            format!("nothing can be sent to {addr} ({why})"),
            "check the address, the route to it, and the firewall of this machine",
        ),
        Outcome::Silence => Finding::problem(
            CHECK,
            format!("no answer from {addr} within {} s", (EACH * TRIES).as_secs()),
            format!(
                "it is not there, a firewall drops it, its name is another, or it does not trust {did}: whom it does not know it tells nothing, \
                 add --did and --key of somebody whom it does"
            ),
        ),
    }
}

/// What the longest packet on the way is, as far as the system knows.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn mtu(socket: &UdpSocket) -> Option<Finding> {
    use nix::sys::socket::{getsockopt, sockopt};
    let mtu = getsockopt(socket, sockopt::IpMtu).ok()?;
    u32::try_from(mtu).ok().map(network::judge_mtu)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn mtu(_: &UdpSocket) -> Option<Finding> {
    let _ = network::judge_mtu;
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn a_clock_that_is_far_off_is_named() {
        let (addr, did) = (SocketAddr::from(([192, 0, 2, 1], 7150)), Did::new("jis:a:b").unwrap());
        let outcome = |ahead| Outcome::Answered { rtt: Duration::from_millis(1), decision: Decision::Reject, ahead };
        for near in [None, Some(0), Some(5_000_000), Some(-5_000_000)] {
            assert_eq!(judge_clock(&outcome(near)), None, "{near:?}");
        }
        for (far, says) in [
            (12_000_000, "it is 12 s ahead of ours"),
            (-7_500_000, "it is 7 s behind ours"),
            (i64::MIN, "it is 9223372036854 s behind ours"),
        ] {
            let clock = judge_clock(&outcome(Some(far))).unwrap();
            assert_eq!((clock.status, &*clock.says), (Status::Warning, says));
            // What it decided is told none the less.
            assert!(judge(outcome(Some(far)), addr, &did).says.ends_with("and refuses"));
        }
    }
}
