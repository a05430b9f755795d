//! Socket, clock and timer together.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sluis_core::driver::{Io, RecvBatch, RunLimits, SendBatch};
use sluis_core::{Instant, Network, NetworkChange, Now, Path, SocketId};

use crate::multicast::{Membership, SOURCE_CHOOSES};
use crate::{Multicast, MulticastError, Readiness, Refusals, SystemClock, Udp};

/// How often the system is asked for its interfaces, while there is somebody to be called on them.
const LOOK: Duration = Duration::from_secs(2);

/// One timer of a runtime.
pub trait Timer {
    /// Another one of the same kind, not set.
    #[must_use]
    fn another(&self) -> Self;

    /// Set it to `at` (`None` unsets it), if it is not set so already, and wait for it.
    fn poll_at(&mut self, cx: &mut Context<'_>, at: Option<std::time::Instant>) -> Poll<()>;
}

/// The io of a runtime whose sockets have [`Readiness`] and whose [`Timer`] this is.
///
/// It has one socket, [`SocketId::MAIN`], and more if any are [added](Self::add): one machine is served by all of them.
#[derive(Debug)]
pub struct UdpIo<S, T> {
    main: Udp<S>,
    /// Those beside the main one; their numbers begin with 1. A place is free once its interface is gone.
    more: Vec<Option<Udp<S>>>,
    /// Where everybody is called, if anybody is.
    lan: Option<Box<Lan<T>>>,
    /// Which socket is asked first for what came in: each gets its turn.
    next: usize,
    timer: T,
    clock: SystemClock,
}

/// The groups that are joined, on each interface.
#[derive(Debug)]
struct Lan<T> {
    multicast: Multicast,
    joined: Vec<(Membership, SocketId)>,
    /// What the machine was not told of yet.
    changes: Vec<NetworkChange>,
    timer: T,
    /// When the system is asked for its interfaces next.
    look: Option<Instant>,
}

impl<S: Readiness, T: Timer> UdpIo<S, T> {
    /// Take over a non-blocking socket that `runtime` has registered. The timer and the clock go by the same time.
    ///
    /// # Errors
    /// The socket cannot be prepared.
    pub fn new(runtime: S, timer: T, clock: SystemClock) -> io::Result<Self> {
        Ok(Self { main: Udp::new(SocketId::MAIN, runtime)?, more: Vec::new(), lan: None, next: 0, timer, clock })
    }

    /// Serve the machine through another socket, too: one that another `UdpIo` of the same runtime was made of. The number is
    /// what the [paths](sluis_core::Path) of its datagrams bear.
    ///
    /// # Errors
    /// It has other sockets added itself, or there are 65,535 already.
    pub fn add(&mut self, other: Self) -> io::Result<SocketId> {
        if !other.more.is_empty() || other.lan.is_some() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.place(other.main)
    }

    /// Put a socket to those beside the main one.
    fn place(&mut self, mut socket: Udp<S>) -> io::Result<SocketId> {
        let place = self.more.iter().position(Option::is_none).unwrap_or(self.more.len());
        socket.id = SocketId::new(u16::try_from(place + 1).map_err(|_| io::ErrorKind::InvalidInput)?);
        let id = socket.id;
        match self.more.get_mut(place) {
            Some(free) => *free = Some(socket),
            None => self.more.push(Some(socket)),
        }
        Ok(id)
    }

    /// Join the groups of `multicast` on its interfaces, and follow them: the machine is told of each that comes or goes
    /// ([`handle_network`](sluis_core::Datagrams::handle_network)), within two seconds.
    ///
    /// # Errors
    /// [`MulticastError`]: an interface or a group that was asked for is none, or cannot be joined. Of interfaces that were not asked for by name those that cannot be joined are left
    /// out, and tried again.
    pub fn discover(&mut self, multicast: Multicast) -> Result<(), MulticastError> {
        let main = self.local_addr();
        multicast.check(main)?;
        if main.is_ipv4() || main.ip().is_unspecified() {
            // Only what goes to groups is meant by it. Where an IPv6 socket does not take it, calls reach less far.
            let _ = self.main.set_multicast_ttl(multicast.ttl);
        }
        let demanded = !multicast.interfaces.is_empty();
        let timer = self.timer.another();
        // Told anew it leaves what it had joined.
        let left = self.lan.take().map(|lan| lan.joined).unwrap_or_default();
        let changes = left.iter().map(|(_, socket)| NetworkChange::Down(*socket)).collect();
        left.into_iter().for_each(|(_, socket)| self.close(socket));
        self.lan = Some(Box::new(Lan { multicast, joined: Vec::new(), changes, timer, look: None }));
        match self.look().map_err(MulticastError::List)? {
            Some((name, group, source)) if demanded => {
                let joined = self.lan.take().map(|lan| lan.joined).unwrap_or_default();
                joined.into_iter().for_each(|(_, socket)| self.close(socket));
                Err(MulticastError::Join { name, group, source })
            }
            _ => Ok(()),
        }
    }

    /// Compare the interfaces with those that are joined, and join and leave what has changed. The first that could not be joined is returned.
    fn look(&mut self) -> io::Result<Option<(String, SocketAddr, io::Error)>> {
        let main = self.local_addr();
        let Some(mut lan) = self.lan.take() else { return Ok(None) };
        let wanted = match lan.multicast.memberships(main) {
            Ok(wanted) => wanted,
            Err(why) => {
                self.lan = Some(lan);
                return Err(why);
            }
        };
        let mut failed = None;
        lan.joined.retain(|(membership, socket)| {
            let stays = wanted.iter().any(|(_, wanted)| wanted == membership);
            if !stays {
                self.close(*socket);
                lan.changes.push(NetworkChange::Down(*socket));
            }
            stays
        });
        for (name, membership) in wanted {
            if lan.joined.iter().any(|(joined, _)| *joined == membership) {
                continue;
            }
            match self.join(membership, lan.multicast.ttl) {
                Ok(network) => {
                    lan.joined.push((membership, network.socket));
                    lan.changes.push(NetworkChange::Up(network));
                }
                Err(why) => _ = failed.get_or_insert((name, membership.group(), why)),
            }
        }
        self.lan = Some(lan);
        Ok(failed)
    }

    fn join(&mut self, membership: Membership, ttl: u32) -> io::Result<Network> {
        let main = self.local_addr();
        let socket = self.place(Udp::new(SocketId::MAIN, S::register(membership.open(ttl)?)?)?)?;
        let path = Path { remote: membership.group(), local: membership.source(), socket: SocketId::MAIN };
        let group = if SOURCE_CHOOSES { path } else { Path { local: None, ..path }.through(socket) };
        Ok(Network { socket, group, port: main.port() })
    }

    fn close(&mut self, socket: SocketId) {
        if let Some(place) = usize::from(socket.number()).checked_sub(1).and_then(|place| self.more.get_mut(place)) {
            *place = None;
        }
    }

    /// Look after the interfaces when it is time to, and note what has changed.
    fn follow(&mut self, cx: &mut Context<'_>, rx: &mut RecvBatch) -> Poll<()> {
        let now = self.clock.now().mono;
        loop {
            let Some(lan) = &mut self.lan else { return Poll::Pending };
            let look = *lan.look.get_or_insert(now + LOOK);
            if look <= now || lan.timer.poll_at(cx, Some(self.clock.to_std(look))).is_ready() {
                lan.look = Some(now + LOOK);
                // Where they are not listed at the moment those that are joined stay.
                let _ = self.look();
                continue;
            }
            let changed = !lan.changes.is_empty();
            lan.changes.drain(..).for_each(|change| rx.note_network(change));
            return if changed { Poll::Ready(()) } else { Poll::Pending };
        }
    }

    /// The socket of a network failed: it is left, and joined again with the next look if it is still there.
    fn give_up(&mut self, socket: SocketId) -> bool {
        let Some(lan) = &mut self.lan else { return false };
        let before = lan.joined.len();
        lan.joined.retain(|(_, joined)| *joined != socket);
        let known = lan.joined.len() < before;
        if known {
            lan.changes.push(NetworkChange::Down(socket));
            self.close(socket);
        }
        known
    }

    /// What the network says of ports that nobody listens on, as far as the main socket hears of it.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.main.refusals()
    }

    fn at_mut(&mut self, place: usize) -> Option<&mut Udp<S>> {
        if place == 0 { Some(&mut self.main) } else { self.more.get_mut(place - 1)?.as_mut() }
    }

    /// Where its main socket listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.main.local_addr()
    }

    /// Its clock, for whoever shares the machine.
    #[must_use]
    pub(crate) fn clock(&self) -> SystemClock {
        self.clock
    }
}

impl<S: Readiness, T: Timer> Io for UdpIo<S, T> {
    type Error = io::Error;

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, rx: &mut RecvBatch) -> Poll<io::Result<()>> {
        if self.follow(cx, rx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let sockets = self.more.len() + 1;
        for _ in 0..sockets {
            let place = self.next;
            self.next = (place + 1) % sockets;
            let Some(udp) = self.at_mut(place) else { continue };
            let (id, polled) = (udp.id, udp.poll_recv(cx, rx));
            match polled {
                Poll::Pending => {}
                Poll::Ready(Err(_)) if self.give_up(id) => return Poll::Ready(Ok(())),
                Poll::Ready(_) => return polled,
            }
        }
        Poll::Pending
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, tx: &mut SendBatch) -> Poll<io::Result<()>> {
        // In order, whichever socket a datagram leaves through: one that is blocked holds those behind it up, shortly.
        while let Some(run) = tx.front(RunLimits::ONE) {
            let id = run.path.socket;
            match self.at_mut(usize::from(id.number())).map(|udp| udp.poll_send(cx, tx)) {
                Some(Poll::Ready(Err(_))) if self.give_up(id) => {}
                Some(polled) => ready!(polled)?,
                None => tx.discard(1),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        self.timer.poll_at(cx, at.map(|at| self.clock.to_std(at)))
    }
}
