//! Batches of datagrams in and out of one socket.

use std::array;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use sluis_core::driver::{RecvBatch, Run, RunLimits, SendBatch};
use sluis_core::{Path, SocketId, Unsent};

use crate::sys::{self, AsSocket};

/// Receive buffers used in one call.
const SLOTS: usize = 16;
/// Longest datagram that goes into a GSO batch whatever the path: it fits the smallest MTU that IPv6 allows (1280 less the headers), so
/// that it never needs the fragmentation that a batch cannot have.
const SEGMENT: usize = 1232;
/// The same where every path so far has carried it: what fits a frame of Ethernet (1500 less the headers).
const LONG_SEGMENT: usize = 1452;
/// Bytes of a GSO batch: what fits one IPv4 packet before it is cut up.
const BATCH: usize = 65_000;

/// A socket of a runtime, and how that runtime tells when it is ready.
///
/// As in every readiness model, `poll_*` may say *ready* when the socket is not; then `try_*` finds out.
pub trait Readiness: AsSocket + Sized {
    /// Have the runtime watch a bound, non-blocking socket.
    ///
    /// # Errors
    /// The runtime or the system refuse it.
    fn register(socket: UdpSocket) -> io::Result<Self>;

    /// Wait until there may be something to receive.
    ///
    /// # Errors
    /// The runtime no longer watches the socket.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Wait until there may be room to send.
    ///
    /// # Errors
    /// The runtime no longer watches the socket.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Call `read`, which receives from the socket; after [`WouldBlock`](io::ErrorKind::WouldBlock) the next
    /// [`poll_readable`](Self::poll_readable) waits for what comes later than this call.
    ///
    /// # Errors
    /// What `read` says, or `WouldBlock` without calling it if the socket is known not to be ready.
    fn try_read<R>(&self, read: impl FnOnce(&Self) -> io::Result<R>) -> io::Result<R> {
        read(self)
    }

    /// The same for `write`, which sends.
    ///
    /// # Errors
    /// As [`try_read`](Self::try_read).
    fn try_write<R>(&self, write: impl FnOnce(&Self) -> io::Result<R>) -> io::Result<R> {
        write(self)
    }
}

/// How often the network said that nothing listens where a datagram went (ICMP port unreachable, RFC 792, RFC 4443). The system
/// tells that only of a socket that is connected to the one address it talks to. Whoever is on the way can forge it: it is
/// something to tell a person, never an answer.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<AtomicU64>);

impl Refusals {
    /// The number so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The socket half of an [`Io`](sluis_core::driver::Io).
pub(crate) struct Udp<S> {
    /// What the paths of its datagrams bear.
    pub(crate) id: SocketId,
    runtime: S,
    state: UdpSocketState,
    local: SocketAddr,
    meta: [RecvMeta; SLOTS],
    /// The socket may hold datagrams; otherwise wait for the runtime first.
    readable: bool,
    /// Longest datagram that goes into a batch.
    segment: usize,
    /// So many datagrams from the front go one by one: the kernel refused them as a batch.
    singly: usize,
    /// A local address that datagrams came to but none may leave from (a subnet's broadcast address).
    no_source: Option<IpAddr>,
    refusals: Refusals,
}

impl<S> fmt::Debug for Udp<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Udp").field("local", &self.local).finish_non_exhaustive()
    }
}

impl<S: Readiness> Udp<S> {
    /// Prepare a bound, non-blocking socket, which has this number among those that serve a machine.
    ///
    /// # Errors
    /// The system refuses what it takes.
    pub(crate) fn new(id: SocketId, runtime: S) -> io::Result<Self> {
        let local = socket2::SockRef::from(&runtime).local_addr()?.as_socket();
        let local = local.ok_or(io::ErrorKind::InvalidInput)?;
        let state = sys::prepare(&runtime, local.is_ipv6())?;
        let meta = [RecvMeta::default(); SLOTS];
        Ok(Self {
            id,
            runtime,
            state,
            local,
            meta,
            readable: true,
            segment: LONG_SEGMENT,
            singly: 0,
            no_source: None,
            refusals: Refusals::default(),
        })
    }

    /// How far what it sends to IPv4 groups goes.
    ///
    /// # Errors
    /// The system refuses it.
    pub(crate) fn set_multicast_ttl(&self, ttl: u32) -> io::Result<()> {
        socket2::SockRef::from(&self.runtime).set_multicast_ttl_v4(ttl)
    }

    /// Where it listens.
    #[must_use]
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The runtime's socket.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn runtime(&self) -> &S {
        &self.runtime
    }

    /// How many datagrams the kernel takes in one call; 1 where it has no GSO.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Whether datagrams go into batches that not every path carries.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn batches_long_ones(&self) -> bool {
        self.segment == LONG_SEGMENT
    }

    /// What the network says of ports that nobody listens on.
    #[must_use]
    pub(crate) fn refusals(&self) -> Refusals {
        self.refusals.clone()
    }

    /// See [`Io::poll_recv`](sluis_core::driver::Io::poll_recv).
    ///
    /// # Errors
    /// The socket can no longer be used.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>, rx: &mut RecvBatch) -> Poll<io::Result<()>> {
        loop {
            if !self.readable {
                ready!(self.runtime.poll_readable(cx))?;
                self.readable = true;
            }
            let Self { runtime, state, meta, .. } = self;
            let mut filled = 0;
            let received = runtime.try_read(|socket| {
                filled = receive(state, socket, meta, rx)?;
                // Slots left over: the socket is empty, which saves the call that would say so.
                if filled < rx.slots().min(SLOTS) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            if let Err(error) = received {
                match error.kind() {
                    io::ErrorKind::WouldBlock => self.readable = false,
                    kind if concerns_one_peer(&error) => {
                        if kind == io::ErrorKind::ConnectionRefused {
                            self.refusals.note();
                        }
                        rx.note_error();
                        return Poll::Ready(Ok(()));
                    }
                    _ => return Poll::Ready(Err(error)),
                }
            }
            for meta in self.meta.iter().take(filled) {
                let local = meta.dst_ip.map(|ip| ip.to_canonical()).filter(is_source);
                rx.fill(Path { remote: plain(meta.addr), local, socket: self.id }, meta.len, meta.stride);
            }
            if filled > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Send from the front of `tx` for as long as that leaves through this socket; see
    /// [`Io::poll_send`](sluis_core::driver::Io::poll_send).
    ///
    /// # Errors
    /// The socket can no longer be used.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, tx: &mut SendBatch) -> Poll<io::Result<()>> {
        while let Some(run) = tx.front(self.limits()).filter(|run| run.path.socket == self.id) {
            let count = run.count;
            let Some(transmit) = self.transmit(run) else {
                self.done(count);
                tx.refuse(count, Unsent::Address);
                continue;
            };
            match self.send_whatever_was_refused(&transmit) {
                Ok(()) => {
                    self.done(count);
                    tx.advance(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.runtime.poll_writable(cx))?,
                Err(error) if is_fatal(&error) => return Poll::Ready(Err(error)),
                // From now on as long ones go one by one, and are cut up where that is needed.
                Err(error) if transmit.segment_size.is_some_and(|len| len > SEGMENT) && may_be_too_long(&error) => {
                    self.segment = SEGMENT;
                    self.ask_anew();
                }
                // The batch is too much for the path or the device: one by one it may go.
                Err(_) if count > 1 => self.singly = count,
                Err(error) => {
                    let why = unsent(&error);
                    self.done(1);
                    if self.send_from_anywhere(transmit)? { tx.advance(1) } else { tx.refuse(1, why) }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn limits(&self) -> RunLimits {
        if self.singly > 0 {
            return RunLimits::ONE;
        }
        RunLimits { segments: self.state.max_gso_segments(), segment_len: self.segment, bytes: BATCH }
    }

    fn done(&mut self, count: usize) {
        self.singly = self.singly.saturating_sub(count);
    }

    /// What to ask of the kernel, `None` if it would only say no.
    fn transmit<'a>(&self, run: Run<'a>) -> Option<Transmit<'a>> {
        let destination = self.reachable(run.path.remote)?;
        // A socket with an address of its own sends from there anyway.
        let asked = run.path.local.filter(|ip| self.local.ip().is_unspecified() && self.no_source != Some(*ip));
        let src_ip = match (asked, destination) {
            (Some(IpAddr::V4(ip)), SocketAddr::V6(_)) => Some(ip.to_ipv6_mapped().into()),
            (Some(IpAddr::V6(_)), SocketAddr::V4(_)) => None,
            (asked, _) => asked,
        };
        let segment_size = (run.count > 1).then_some(run.segment_len);
        Some(Transmit { destination, ecn: None, contents: run.bytes, segment_size, src_ip })
    }

    /// The address in the family of the socket. Port 0 is nobody's: the kernel refuses it, and `quinn-udp` would take
    /// that for a lack of GSO.
    fn reachable(&self, remote: SocketAddr) -> Option<SocketAddr> {
        match (self.local, remote) {
            _ if remote.port() == 0 => None,
            (SocketAddr::V6(_), SocketAddr::V4(to)) => {
                Some(SocketAddrV6::new(to.ip().to_ipv6_mapped(), to.port(), 0, 0).into())
            }
            (SocketAddr::V4(_), SocketAddr::V6(_)) => None,
            _ => Some(remote),
        }
    }

    /// Send, although the system may want to say first that an earlier datagram found nobody.
    fn send_whatever_was_refused(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.send(transmit) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.refusals.note();
                self.send(transmit)
            }
            sent => sent,
        }
    }

    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.runtime.try_write(|socket| self.state.try_send(socket.into(), transmit))
    }

    /// A datagram was refused. If that was for the address it should leave from, let the system choose; whether it went.
    fn send_from_anywhere(&mut self, mut transmit: Transmit<'_>) -> io::Result<bool> {
        let Some(source) = transmit.src_ip.take() else { return Ok(false) };
        let sent = self.send(&transmit).is_ok();
        if sent {
            self.no_source = Some(source.to_canonical());
            // It was not for its length that a batch was refused.
            self.segment = LONG_SEGMENT;
        }
        self.ask_anew();
        Ok(sent)
    }

    /// `quinn-udp` took a refusal for a lack of GSO and would never try it again. Where it cannot be asked anew (no descriptor is left,
    /// say) datagrams go one by one.
    fn ask_anew(&mut self) {
        if let Ok(state) = sys::offload(&self.runtime, self.local.is_ipv6()) {
            self.state = state;
        }
    }
}

fn receive<S: AsSocket>(
    state: &UdpSocketState,
    socket: &S,
    meta: &mut [RecvMeta; SLOTS],
    rx: &mut RecvBatch,
) -> io::Result<usize> {
    let slots = rx.slots().min(SLOTS);
    let mut buffers = rx.buffers();
    let mut buffers: [_; SLOTS] = array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
    let (buffers, _) = buffers.split_at_mut(slots);
    state.recv(socket.into(), buffers, meta)
}

/// An IPv4 peer of an IPv6 socket has an IPv4 address.
fn plain(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::from((ip, v6.port())),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
        v4 @ SocketAddr::V4(_) => v4,
    }
}

/// Datagrams can leave from this address.
fn is_source(ip: &IpAddr) -> bool {
    !ip.is_multicast() && !matches!(ip, IpAddr::V4(v4) if v4.is_broadcast())
}

/// What systems say of a batch whose datagrams are longer than the path carries.
fn may_be_too_long(error: &io::Error) -> bool {
    quinn_udp::is_msg_size_err(error) || error.kind() == io::ErrorKind::InvalidInput
}

/// A receive error that tells of a datagram sent earlier (ICMP), or that passes.
fn concerns_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::PermissionDenied
            | Kind::Interrupted
            | Kind::OutOfMemory
    ) || quinn_udp::is_msg_size_err(error)
}

/// Why the system did not take a datagram.
fn unsent(error: &io::Error) -> Unsent {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NetworkUnreachable => Unsent::NetworkUnreachable,
        Kind::HostUnreachable => Unsent::HostUnreachable,
        Kind::PermissionDenied => Unsent::NotPermitted,
        Kind::NetworkDown => Unsent::NetworkDown,
        Kind::AddrNotAvailable => Unsent::NoSource,
        _ if quinn_udp::is_msg_size_err(error) => Unsent::TooLarge,
        _ => Unsent::Other(error.raw_os_error().unwrap_or(0)),
    }
}

/// A send error that no other datagram will fare better with: the socket is gone.
fn is_fatal(error: &io::Error) -> bool {
    #[cfg(unix)]
    if [nix::libc::EBADF, nix::libc::ENOTSOCK].iter().any(|code| error.raw_os_error() == Some(*code)) {
        return true;
    }
    error.kind() == io::ErrorKind::BrokenPipe
}
