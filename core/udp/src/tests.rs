//! Batches through a pair of real sockets, without a runtime.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, Waker};
use std::{io, thread};

use sluis_core::driver::{DatagramTransport, DriverConfig, DriverStats, Io as _, RecvBatch, SendBatch, Transport};
use sluis_core::{Datagrams, Machine, NetworkChange, Now, Path, Reject, SocketId, Transmit, Wants};

use crate::{Multicast, MulticastError, Readiness, SystemClock, Timer, Udp, UdpIo, bind};

/// A socket that is looked at whenever it is polled.
struct Busy(UdpSocket);

impl AsFd for Busy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Readiness for Busy {
    fn register(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self(socket))
    }

    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.peek_from(&mut [0]) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                thread::yield_now();
                Poll::Pending
            }
            // There is something, be it an error.
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        thread::yield_now();
        Poll::Ready(Ok(()))
    }
}

fn udp(addr: impl Into<SocketAddr>) -> Udp<Busy> {
    Udp::new(SocketId::MAIN, Busy(bind(addr.into()).unwrap())).unwrap()
}

fn send(from: &mut Udp<Busy>, tx: &mut SendBatch) {
    assert!(from.poll_send(&mut Context::from_waker(Waker::noop()), tx).is_ready());
    assert!(tx.is_empty());
}

fn recv(at: &mut Udp<Busy>, rx: &mut RecvBatch) -> Vec<(Path, Vec<u8>)> {
    while at.poll_recv(&mut Context::from_waker(Waker::noop()), rx).map(Result::unwrap).is_pending() {}
    std::iter::from_fn(|| rx.next().map(|(path, bytes)| (path, bytes.to_vec()))).collect()
}

fn port(of: &Udp<Busy>) -> u16 {
    of.local_addr().port()
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_crosses_in_one_piece_and_is_cut_up_again() {
    let (mut one, mut two) = (udp(([127, 0, 0, 1], 0)), udp(([127, 0, 0, 1], 0)));
    let mut tx = SendBatch::new(64, 64_000);
    let bodies: Vec<Vec<u8>> = (0..40).map(|i| vec![i; if i < 39 { 500 } else { 77 }]).collect();
    for body in &bodies {
        assert!(tx.push(two.local_addr().into(), body));
    }
    send(&mut one, &mut tx);
    // Room for one receive buffer only, and all of them are in it.
    let got = recv(&mut two, &mut RecvBatch::new(1, 65_536));
    let path = Path { local: Some(Ipv4Addr::LOCALHOST.into()), ..Path::to(one.local_addr()) };
    assert_eq!(got, bodies.into_iter().map(|body| (path, body)).collect::<Vec<_>>());
}

/// Twenty datagrams of 1,400 bytes; whether longer ones than any path carries still go into batches afterwards.
#[cfg(target_os = "linux")]
fn send_long_ones() -> bool {
    let (mut one, mut two) = (udp(([127, 0, 0, 1], 0)), udp(([127, 0, 0, 1], 0)));
    let segments = one.segments();
    let mut tx = SendBatch::new(64, 64_000);
    for i in 0..20 {
        assert!(tx.push(two.local_addr().into(), &[i; 1400]));
    }
    send(&mut one, &mut tx);
    assert_eq!(one.segments(), segments, "shorter ones go on in batches");
    let (mut rx, mut got) = (RecvBatch::new(16, 65_536), Vec::new());
    while got.len() < 20 {
        got.extend(recv(&mut two, &mut rx).into_iter().map(|(_, body)| body));
    }
    assert_eq!(got, (0..20).map(|i| vec![i; 1400]).collect::<Vec<_>>());
    one.batches_long_ones()
}

#[test]
#[cfg(target_os = "linux")]
fn long_ones_leave_in_a_batch_where_the_path_carries_them() {
    assert!(send_long_ones());
}

/// In a network namespace of its own, where loopback carries 1,300 bytes.
#[test]
#[cfg(target_os = "linux")]
fn long_ones_are_cut_up_where_the_path_does_not_carry_them() {
    const INSIDE: &str = "SLUIS_TEST_SMALL_MTU";
    if std::env::var_os(INSIDE).is_some() {
        assert!(!send_long_ones());
        return;
    }
    let script = "ip link set lo mtu 1300 && ip link set lo up && exec \"$0\" --exact \"$1\"";
    let name = "tests::long_ones_are_cut_up_where_the_path_does_not_carry_them";
    let mut command = std::process::Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(name);
    let out = command.env(INSIDE, "1").output();
    let ran = out.as_ref().is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("1 passed"));
    let failed = out.as_ref().is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("1 failed"));
    assert!(!failed, "{out:?}");
    if !ran {
        assert!(std::env::var_os("CI").is_none(), "no namespace: {out:?}");
        eprintln!(
            "NOT TESTED: a path that carries 1,300 bytes, since there is no network namespace to be had: {out:?}"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn without_coalescing_they_arrive_one_by_one() {
    use nix::sys::socket::{setsockopt, sockopt};
    let (mut one, two) = (udp(([127, 0, 0, 1], 0)), bind("127.0.0.1:0").unwrap());
    let mut two = Udp::new(SocketId::MAIN, Busy(two)).unwrap();
    setsockopt(two.runtime(), sockopt::UdpGroSegment, &false).unwrap();
    let mut tx = SendBatch::new(64, 64_000);
    for i in 0..40 {
        assert!(tx.push(two.local_addr().into(), &[i; 500]));
    }
    send(&mut one, &mut tx);
    let (mut rx, mut got) = (RecvBatch::new(16, 65_536), Vec::new());
    while got.len() < 40 {
        let batch = recv(&mut two, &mut rx);
        assert!(batch.len() <= 16, "one a buffer");
        got.extend(batch.into_iter().map(|(_, body)| body));
    }
    assert_eq!(got, (0..40).map(|i| vec![i; 500]).collect::<Vec<_>>());
}

#[test]
fn a_source_that_is_not_ours_is_given_up_and_batches_go_on() {
    // The kernel has a different error for each of these.
    for strange in [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(224, 0, 0, 1)] {
        let (mut one, mut two) = (udp(([0, 0, 0, 0], 0)), udp(([127, 0, 0, 1], 0)));
        let before = one.segments();
        let to = Path { local: Some(strange.into()), ..two.local_addr().into() };
        let mut tx = SendBatch::new(64, 64_000);
        for i in 0..4 {
            assert!(tx.push(to, &[i; 9]));
        }
        send(&mut one, &mut tx);
        let (mut rx, mut got) = (RecvBatch::new(16, 65_536), Vec::new());
        while got.len() < 4 {
            got.extend(recv(&mut two, &mut rx));
        }
        let from = SocketAddr::from(([127, 0, 0, 1], port(&one)));
        assert!(got.iter().zip(0..).all(|((path, body), i)| path.remote == from && *body == [i; 9]));
        assert_eq!(one.segments(), before, "the refusal was not for a lack of GSO");
    }
}

#[test]
fn port_0_and_the_other_family_are_discarded_before_the_kernel_sees_them() {
    let (mut one, mut two) = (udp(([127, 0, 0, 1], 0)), udp(([127, 0, 0, 1], 0)));
    let before = one.segments();
    let mut tx = SendBatch::new(64, 64_000);
    for to in [SocketAddr::from(([127, 0, 0, 1], 0)), ([0xfe80, 0, 0, 0, 0, 0, 0, 1], 9).into(), two.local_addr()] {
        assert!(tx.push(to.into(), b"x") && tx.push(to.into(), b"y"));
    }
    send(&mut one, &mut tx);
    let (mut rx, mut got) = (RecvBatch::new(16, 65_536), Vec::new());
    while got.len() < 2 {
        got.extend(recv(&mut two, &mut rx));
    }
    assert_eq!(got.into_iter().map(|(_, body)| body).collect::<Vec<_>>(), [b"x", b"y"]);
    assert_eq!(one.segments(), before);
}

#[test]
fn addresses_that_cannot_be_a_source_are_not_taken_for_one() {
    let multicast = Ipv4Addr::new(224, 0, 71, 50);
    let all = udp((Ipv4Addr::UNSPECIFIED, 0));
    let to = SocketAddr::from((multicast, port(&all)));
    let mut all = all;
    all.runtime().0.join_multicast_v4(&multicast, &Ipv4Addr::LOCALHOST).unwrap();
    let from = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    from.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    from.send_to(b"hello", &to.into()).unwrap();
    let got = recv(&mut all, &mut RecvBatch::new(16, 65_536));
    assert_eq!(got.into_iter().map(|(path, _)| path.local).collect::<Vec<_>>(), [None]);
}

/// A timer that never fires.
#[derive(Debug)]
struct Never;

impl Timer for Never {
    fn another(&self) -> Self {
        Self
    }

    fn poll_at(&mut self, _: &mut Context<'_>, _: Option<std::time::Instant>) -> Poll<()> {
        Poll::Pending
    }
}

/// A machine that notes its networks and what came through which socket.
#[derive(Default)]
struct Notes {
    networks: Vec<NetworkChange>,
    heard: Vec<(Path, Vec<u8>)>,
}

impl Machine for Notes {
    type Event<'a> = ();

    fn handle_timeout(&mut self, _: Now) {}

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        Wants::NOTHING
    }
}

impl Datagrams for Notes {
    fn handle_datagram(&mut self, _: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        self.heard.push((path, bytes.to_vec()));
        Ok(())
    }

    fn poll_transmit(&mut self, _: Now, _: &mut [u8]) -> Option<Transmit> {
        None
    }

    fn handle_network(&mut self, _: Now, change: NetworkChange) {
        self.networks.push(change);
    }
}

/// Receive until this holds of what the machine noted.
fn until(io: &mut UdpIo<Busy, Never>, notes: &mut Notes, done: impl Fn(&Notes) -> bool) {
    let mut transport = DatagramTransport::new(io, &DriverConfig::default());
    let (mut cx, mut stats) = (Context::from_waker(Waker::noop()), DriverStats::default());
    while !done(notes) {
        if Transport::<Notes>::receive(&mut transport, &mut cx, &mut stats, false).unwrap() {
            while transport.hand_in(Now::default(), notes, &mut stats) {}
        }
    }
}

#[test]
fn what_is_said_to_everybody_comes_through_the_socket_of_its_network_from_where_its_sender_listens() {
    let free = bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let group = SocketAddr::from((Ipv4Addr::new(224, 0, 71, 50), free));
    let open = || {
        let socket = Busy(bind("127.0.0.1:0").unwrap());
        let mut io = UdpIo::new(socket, Never, SystemClock::new()).unwrap();
        io.discover(Multicast::default().with_group(group)).unwrap();
        io
    };
    // Both are on the loopback interface, since that has the address that they listen at.
    let (mut one, mut two) = (open(), open());
    let (mut first, mut second) = (Notes::default(), Notes::default());
    until(&mut one, &mut first, |notes| !notes.networks.is_empty());
    until(&mut two, &mut second, |notes| !notes.networks.is_empty());
    let [NetworkChange::Up(network)] = first.networks[..] else { panic!("{:?}", first.networks) };
    assert_eq!((network.socket, network.port), (SocketId::new(1), one.local_addr().port()));
    assert_eq!(network.group.remote, group);
    let mut tx = SendBatch::new(4, 4_000);
    assert!(tx.push(network.group, b"who is there"));
    assert!(one.poll_send(&mut Context::from_waker(Waker::noop()), &mut tx).is_ready());
    until(&mut two, &mut second, |notes| !notes.heard.is_empty());
    let (path, bytes) = &second.heard[0];
    assert_eq!((path.socket, &bytes[..]), (SocketId::new(1), &b"who is there"[..]));
    if cfg!(target_os = "linux") {
        assert_eq!(path.remote, one.local_addr());
    }
    // It comes back to who said it, through the same socket.
    until(&mut one, &mut first, |notes| !notes.heard.is_empty());
    assert_eq!(first.heard[0].0.socket, SocketId::new(1));
}

#[test]
fn an_interface_that_does_not_have_the_address_that_is_listened_at_is_refused() {
    let lo = crate::interfaces().unwrap().into_iter().find(|interface| interface.loopback).unwrap().name;
    let mut io = UdpIo::new(Busy(bind("127.0.0.1:0").unwrap()), Never, SystemClock::new()).unwrap();
    let named = |name: &str| Multicast { interfaces: vec![name.into()], ..Multicast::default() };
    assert!(matches!(io.discover(named("nosuch0")), Err(MulticastError::UnknownInterface { .. })));
    io.discover(named(&lo)).unwrap();
    let group = Multicast::default().with_group("192.0.2.1:7151".parse().unwrap());
    assert!(matches!(io.discover(group), Err(MulticastError::Group(_))));
}
