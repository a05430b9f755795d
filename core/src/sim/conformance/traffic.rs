//! Datagrams in and out.

use core::task::{Context, Poll};
use std::collections::VecDeque;
use std::format;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::string::{String, ToString};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::vec;
use std::vec::Vec;

use super::{Adapter, loopback, plain};
use crate::driver::{App, DriverStats, Flow};
use crate::limits::MAX_DATAGRAM_V4;
use crate::sim::machines::Echo;
use crate::time::Now;
use crate::{Datagrams, Machine, Path, Reject, SocketId, Transmit, Wants};

/// An echo on a thread of its own, which stops after so many datagrams.
pub(super) fn echo<T: Adapter>(addr: SocketAddr, count: u64) -> (SocketAddr, JoinHandle<DriverStats>) {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        T::block_on(async move {
            let mut socket = T::bind(addr).expect("a socket");
            tell.send(T::local_addr(&socket)).expect("the test waits for it");
            let mut app = move |_: Now, echo: &mut Echo| if echo.heard < count { Flow::Continue } else { Flow::Stop };
            T::run(&mut socket, &mut Echo::new(1024), &mut app).await.expect("no failure")
        })
    });
    (told.recv().expect("an address"), thread)
}

/// A second socket on a taken port is refused, with the port in the text.
pub(super) fn a_socket_in_use_says_so<T: Adapter>() {
    T::block_on(async {
        let socket = T::bind(loopback()).expect("a socket");
        let addr = T::local_addr(&socket);
        let error = T::bind(addr).err().expect("taken");
        assert!(error.contains(&addr.to_string()) && error.contains("in use"), "{error}");
    });
}

/// One at a time, of every length up to some thousand bytes.
pub(super) fn every_datagram_comes_back_as_it_was<T: Adapter>() {
    let sizes: Vec<usize> = (0..40).chain([500, 1232, 1233, 1472, 1473, 4096, 9000]).collect();
    let (addr, thread) = echo::<T>(loopback(), sizes.len() as u64);
    let client = plain(loopback());
    let mut buffer = vec![0; 10_000];
    for (fill, size) in (1_u8..).zip(sizes) {
        client.send_to(&vec![fill; size], addr).expect("sent");
        let (len, from) = client.recv_from(&mut buffer).expect("an answer");
        assert_eq!((len, from), (size, addr));
        assert!(buffer.iter().take(len).all(|byte| *byte == fill));
    }
    let stats = thread.join().expect("no panic");
    assert_eq!((stats.received, stats.sent, stats.discarded, stats.recv_errors), (47, 47, 0, 0));
}

/// Keeps a window of numbered datagrams under way until all came back.
struct Window {
    to: Path,
    sizes: &'static [usize],
    credit: usize,
    sent: u32,
    want: u32,
    back: u32,
    expected: VecDeque<(u32, usize)>,
}

impl Window {
    fn new(to: SocketAddr, window: usize, want: u32, sizes: &'static [usize]) -> Self {
        Self { to: Path::to(to), sizes, credit: window, sent: 0, want, back: 0, expected: VecDeque::new() }
    }

    fn size(&self, number: u32) -> usize {
        self.sizes.get(number as usize % self.sizes.len()).copied().unwrap_or(4).max(4)
    }
}

impl Machine for Window {
    type Event<'a> = ();

    fn handle_timeout(&mut self, _: Now) {}

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        Wants { output: self.credit > 0 && self.sent < self.want, ..Wants::NOTHING }
    }
}

impl Datagrams for Window {
    fn handle_datagram(&mut self, _: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        assert_eq!(path.remote, self.to.remote);
        let (number, size) = self.expected.pop_front().expect("something is under way");
        assert_eq!(bytes.len(), size, "the bounds of datagram {number}");
        assert_eq!(bytes.first_chunk(), Some(&number.to_be_bytes()), "the order");
        assert!(bytes.iter().skip(4).all(|byte| u32::from(*byte) == number % 251), "what is in datagram {number}");
        self.back += 1;
        self.credit += 1;
        Ok(())
    }

    fn poll_transmit(&mut self, _: Now, out: &mut [u8]) -> Option<Transmit> {
        if self.credit == 0 || self.sent == self.want {
            return None;
        }
        let (number, len) = (self.sent, self.size(self.sent));
        let out = out.get_mut(..len)?;
        out.fill(u8::try_from(number % 251).unwrap_or(0));
        out.first_chunk_mut::<4>()?.copy_from_slice(&number.to_be_bytes());
        self.expected.push_back((number, len));
        self.credit -= 1;
        self.sent += 1;
        Some(Transmit { path: self.to, len })
    }
}

/// Stops when everything came back.
struct AllBack;

impl App<Window> for AllBack {
    fn poll(&mut self, _: &mut Context<'_>, _: Now, window: &mut Window) -> Poll<()> {
        if window.back == window.want { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Both ends on the adapter; every datagram has to come back whole and in order.
fn exchange<T: Adapter>(addr: SocketAddr, window: usize, want: u32, sizes: &'static [usize]) {
    let (to, thread) = echo::<T>(addr, u64::from(want));
    let local = if to.is_ipv4() { loopback() } else { (Ipv6Addr::LOCALHOST, 0).into() };
    let stats = T::block_on(async {
        let mut socket = T::bind(local).expect("a socket");
        T::run(&mut socket, &mut Window::new(to, window, want, sizes), &mut AllBack).await.expect("no failure")
    });
    assert_eq!((stats.sent, stats.received, stats.discarded), (want.into(), want.into(), 0));
    let stats = thread.join().expect("no panic");
    assert_eq!((stats.sent, stats.received, stats.discarded), (want.into(), want.into(), 0));
}

/// 64 under way.
pub(super) fn thousands_are_exchanged_and_none_is_lost<T: Adapter>() {
    exchange::<T>(loopback(), 64, 20_000, &[400]);
}

/// Runs of equal length, shorter last ones, longer ones, and some that no batch may hold.
pub(super) fn bursts_of_many_lengths_keep_their_bounds_and_their_order<T: Adapter>() {
    exchange::<T>(loopback(), 48, 6_000, &[300, 300, 300, 120, 120, 1232, 1232, 700, 4, 4, 4, 2000, 2000, 9, 10, 11]);
}

/// The same over IPv6.
pub(super) fn ipv6_works_like_ipv4<T: Adapter>() {
    exchange::<T>((Ipv6Addr::LOCALHOST, 0).into(), 32, 3_000, &[400, 400, 400, 100, 2000]);
}

/// Echoes, and keeps the paths.
struct Paths {
    echo: Echo,
    paths: Vec<Path>,
}

impl Machine for Paths {
    type Event<'a> = ();

    fn handle_timeout(&mut self, _: Now) {}

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        self.echo.wants()
    }
}

impl Datagrams for Paths {
    fn handle_datagram(&mut self, now: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        self.paths.push(path);
        self.echo.handle_datagram(now, path, bytes)
    }

    fn poll_transmit(&mut self, now: Now, out: &mut [u8]) -> Option<Transmit> {
        self.echo.poll_transmit(now, out)
    }
}

/// Ask a socket on all addresses at each of `at`; the answers have to come from there. Returns the paths it saw.
fn ask_at<T: Adapter>(all: IpAddr, at: &[IpAddr]) -> Vec<Path> {
    let (tell, told) = mpsc::channel();
    let count = at.len();
    let thread = thread::spawn(move || {
        T::block_on(async move {
            let mut socket = T::bind((all, 0).into()).expect("a socket");
            tell.send(T::local_addr(&socket).port()).expect("the test waits for it");
            let mut machine = Paths { echo: Echo::new(64), paths: Vec::new() };
            let mut app = |_: Now, m: &mut Paths| if m.paths.len() < count { Flow::Continue } else { Flow::Stop };
            T::run(&mut socket, &mut machine, &mut app).await.expect("no failure");
            machine.paths
        })
    });
    let port = told.recv().expect("a port");
    for ip in at {
        let client = plain(if ip.is_ipv4() { loopback() } else { (Ipv6Addr::LOCALHOST, 0).into() });
        // A connected socket takes answers from this very address only.
        client.connect((*ip, port)).expect("connected");
        client.send(b"?").expect("sent");
        assert_eq!(client.recv(&mut [0; 8]).expect("an answer from where it was asked"), 1);
    }
    thread.join().expect("no panic")
}

/// A socket on `[::]`: IPv4 peers have plain IPv4 addresses, on both ends of the path.
pub(super) fn a_socket_on_all_addresses_serves_ipv4_over_ipv6<T: Adapter>() {
    let at = [IpAddr::from(Ipv6Addr::LOCALHOST), Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let paths = ask_at::<T>(Ipv6Addr::UNSPECIFIED.into(), &at);
    assert_eq!(paths.iter().map(|path| path.remote.ip()).collect::<Vec<_>>(), at);
    assert_eq!(paths.iter().map(|path| path.local).collect::<Vec<_>>(), at.map(Some));
}

/// All of 127/8 is ours on Linux; elsewhere there is only one address to ask.
pub(super) fn answers_leave_from_the_address_that_was_asked<T: Adapter>() {
    let last = if cfg!(target_os = "linux") { [1, 2, 77, 3] } else { [1; 4] };
    let at = last.map(|last| IpAddr::from([127, 0, 0, last]));
    for all in [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
        let paths = ask_at::<T>(all, &at);
        assert_eq!(paths.iter().map(|path| path.local).collect::<Vec<_>>(), at.map(Some));
    }
}

/// Answers leave through the socket that was asked, also where that is not the main one, and what is to leave through a socket
/// that is not there holds nothing up.
pub(super) fn several_sockets_serve_one_machine<T: Adapter>() {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        T::block_on(async move {
            let mut socket = T::bind(loopback()).expect("a socket");
            let mut ports = [T::local_addr(&socket).port(), 0, 0];
            for (at, number) in [(1, 1), (2, 2)] {
                let more = T::bind(loopback()).expect("a socket");
                ports[at] = T::local_addr(&more).port();
                assert_eq!(T::add(&mut socket, more), Ok(SocketId::new(number)));
            }
            tell.send(ports).expect("the test waits for them");
            let mut machine = Paths { echo: Echo::new(64), paths: Vec::new() };
            machine.echo.send(Path::to(([127, 0, 0, 1], 9).into()).through(SocketId::new(7)), b"lost").expect("room");
            let mut app = |_: Now, m: &mut Paths| if m.paths.len() < 9 { Flow::Continue } else { Flow::Stop };
            let stats = T::run(&mut socket, &mut machine, &mut app).await.expect("no failure");
            assert_eq!((stats.received, stats.sent, stats.discarded), (9, 9, 1));
            machine.paths
        })
    });
    let ports = told.recv().expect("ports");
    let clients = ports.map(|port| {
        let client = plain(loopback());
        // A connected socket takes answers from this very port only.
        client.connect((Ipv4Addr::LOCALHOST, port)).expect("connected");
        client
    });
    for _ in 0..3 {
        clients.iter().for_each(|client| assert_eq!(client.send(b"?").expect("sent"), 1));
        clients
            .iter()
            .for_each(|client| assert_eq!(client.recv(&mut [0; 8]).expect("an answer from where it was asked"), 1));
    }
    let paths = thread.join().expect("no panic");
    for (number, client) in (0..).zip(&clients) {
        let from = client.local_addr().expect("bound");
        let through = paths.iter().filter(|path| path.remote == from && path.socket == SocketId::new(number));
        assert_eq!(through.count(), 3, "{paths:?}");
    }
}

/// 60 KB, as the reference sends them, and the most that IPv4 carries.
pub(super) fn the_largest_datagrams_pass<T: Adapter>() {
    exchange::<T>(loopback(), 2, 60, &[60_000, MAX_DATAGRAM_V4, 60_000, 400]);
    exchange::<T>((Ipv6Addr::LOCALHOST, 0).into(), 2, 30, &[60_000, 65_527]);
}

/// Where this is set, the test runs in a network namespace of its own, and loopback has this MTU.
const INSIDE: &str = "SLUIS_CONFORMANCE_MTU";

/// The same through an MTU of 1500, and through one that no batch fits, for which the test runs itself again in a network
/// namespace of its own. Where the system gives none, what even loopback's own MTU does not carry in one piece has to do.
pub(super) fn datagrams_above_the_mtu_are_fragmented<T: Adapter>() {
    if let Ok(mtu) = std::env::var(INSIDE) {
        let set = std::fs::read_to_string("/sys/class/net/lo/mtu").expect("readable");
        assert_eq!(set.trim(), mtu);
        return if mtu == "600" {
            // The kernel refuses batches of these: they go one by one.
            exchange::<T>(loopback(), 32, 2_000, &[1000, 1000, 1000, 1000, 60]);
        } else {
            the_largest_datagrams_pass::<T>();
            exchange::<T>(loopback(), 32, 2_000, &[400, 400, 400, 1472, 1473, 3000]);
        };
    }
    let unshare = |mtu: &str, then: &str| {
        let exe = std::env::current_exe().expect("this test");
        let script = format!("mount -t sysfs none /sys && ip link set lo mtu {mtu} up && {then}");
        let mut command = Command::new("unshare");
        command.args(["-r", "-n", "-m", "sh", "-c", &script]).arg(exe).env(INSIDE, mtu);
        command.output()
    };
    if !unshare("1500", "true").is_ok_and(|out| out.status.success()) {
        return exchange::<T>((Ipv6Addr::LOCALHOST, 0).into(), 2, 30, &[65_527, 65_520]);
    }
    for mtu in ["1500", "600"] {
        let test = format!("exec \"$0\" --exact {} --nocapture", thread::current().name().expect("named by `guard`"));
        let out = unshare(mtu, &test).expect("it worked before");
        let [said, cried] = [&out.stdout, &out.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(out.status.success() && said.contains("1 passed"), "MTU {mtu}: {said}\n{cried}");
    }
}
