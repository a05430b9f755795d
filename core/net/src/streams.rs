//! The streams of a machine: TCP and TLS as a [`StreamIo`].

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::{Accepted, Clock, Happened, StreamIo};
use sluis_core::{Conn, End, Endpoint, Instant, ListenerId, Now, Security};

use crate::attempt::{Attempt, Carry, Failed, Fallback, Target, establish, greet};
use crate::ready::{ReadyList, Wakened};
use crate::{Accept as _, ByteStream, ClientTls, MaybeTls, Proxy, Runtime, ServerTls};

/// Streams that came in and are not up yet: their handshake goes on, or the machine has not been asked. At this many no more are accepted.
const MAX_HALF_OPEN: usize = 256;
/// How long nothing is accepted after an error that concerns all (no descriptors left).
const REST: Duration = Duration::from_millis(100);
/// Streams looked at in one call.
const BUDGET: usize = 64;

/// The streams of one machine on one runtime: it dials over TCP and TLS 1.3, and accepts on any number of listeners.
///
/// Whether a server is believed is a matter of the settings that the machine names by number ([`add_tls`](Self::add_tls)); where it names
/// one that is not there, the stream is [`Untrusted`](End::Untrusted).
pub struct NetStreams<R: Runtime, C> {
    runtime: R,
    clock: C,
    tls: Vec<ClientTls>,
    /// Addresses to dial from: IPv4, IPv6.
    from: [Option<IpAddr>; 2],
    proxy: Option<Proxy>,
    fallback: Option<Fallback<R::Tcp>>,
    listeners: Vec<Listening<R>>,
    half_open: usize,
    /// All streams, by a number of ours.
    slots: BTreeMap<u64, Slot<R::Tcp>>,
    names: BTreeMap<Conn, u64>,
    next: u64,
    ready: Arc<ReadyList>,
    timer: Option<(Instant, Sleeping)>,
    hear: Option<Hear>,
}

type Sleeping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Hears why a stream did not come up: whom it was to, and the system's or the protocol's words.
type Hear = Box<dyn FnMut(&str, &io::Error) + Send>;

struct Listening<R: Runtime> {
    socket: R::Listener,
    tls: Option<ServerTls>,
    wakened: Wakened,
    /// Until when nothing is accepted.
    rest: Option<Sleeping>,
}

struct Slot<S> {
    wakened: Wakened,
    state: State<S>,
}

enum State<S> {
    Dialling(Conn, Attempt<S>),
    Accepting(ListenerId, Attempt<S>),
    /// It came in, and the machine has not named it yet.
    Nameless(MaybeTls<S>),
    Up(Conn, MaybeTls<S>),
}

impl<R: Runtime, C: Clock> NetStreams<R, C> {
    /// Without listeners and without TLS settings.
    pub fn new(runtime: R, clock: C) -> Self {
        Self {
            runtime,
            clock,
            tls: Vec::new(),
            from: [None; 2],
            proxy: None,
            fallback: None,
            listeners: Vec::new(),
            half_open: 0,
            slots: BTreeMap::new(),
            names: BTreeMap::new(),
            next: 0,
            ready: Arc::default(),
            timer: None,
            hear: None,
        }
    }

    /// Its clock, for whoever shares the machine.
    pub(crate) fn clock(&self) -> &C {
        &self.clock
    }

    /// Keep settings for dialling with TLS; the number is what [`Security::Tls`] names. `None`: there are 65,536 already.
    pub fn add_tls(&mut self, tls: ClientTls) -> Option<u16> {
        let number = u16::try_from(self.tls.len()).ok()?;
        self.tls.push(tls);
        Some(number)
    }

    /// Dial from this address whenever it is of the other side's family.
    pub fn set_source(&mut self, addr: IpAddr) {
        let [v4, v6] = &mut self.from;
        *(if addr.is_ipv4() { v4 } else { v6 }) = Some(addr);
    }

    /// Dial through this proxy, which looks names up.
    pub fn set_proxy(&mut self, proxy: Proxy) {
        self.proxy = Some(proxy);
    }

    /// Where TLS comes up to another protocol (ALPN) than this, as behind a middlebox that lets nothing but HTTP through, go on over the same
    /// connection with what `carry` makes of it.
    pub fn set_fallback<F, C2>(&mut self, alpn: &str, carry: F)
    where
        F: Fn(MaybeTls<R::Tcp>) -> C2 + Send + Sync + 'static,
        C2: Future<Output = io::Result<Box<dyn ByteStream>>> + Send + 'static,
    {
        let carry: Carry<R::Tcp> = Arc::new(move |stream| Box::pin(carry(stream)));
        self.fallback = Some(Fallback { unless: alpn.as_bytes().into(), carry });
    }

    /// Have this called whenever a stream does not come up: with whom it was to be, and why.
    pub fn on_failure(&mut self, hear: impl FnMut(&str, &io::Error) + Send + 'static) {
        self.hear = Some(Box::new(hear));
    }

    /// Accept what comes to a listening socket, with TLS where there are settings.
    ///
    /// # Errors
    /// The runtime or the system refuse it, or there are 65,536 already.
    pub fn listen(&mut self, socket: std::net::TcpListener, tls: Option<ServerTls>) -> io::Result<ListenerId> {
        let number = u16::try_from(self.listeners.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let socket = self.runtime.listen(socket)?;
        let wakened = self.ready.add(u64::from(number));
        self.next = self.next.max(FIRST);
        self.listeners.push(Listening { socket, tls, wakened, rest: None });
        Ok(ListenerId::new(number))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// There is no such listener, or the system does not say.
    pub fn local_addr(&self, listener: ListenerId) -> io::Result<SocketAddr> {
        let listening = self.listeners.get(usize::from(listener.number())).ok_or(io::ErrorKind::NotFound)?;
        listening.socket.local_addr()
    }

    fn add(&mut self, state: State<R::Tcp>) -> u64 {
        let key = self.next.max(FIRST);
        self.next = key + 1;
        let wakened = self.ready.add(key);
        self.slots.insert(key, Slot { wakened, state });
        key
    }

    /// Accept one, and look again at once. `true` while there may be more.
    fn accept(&mut self, at: u64) -> bool {
        let place = usize::try_from(at).unwrap_or(usize::MAX);
        let Some(listening) = self.listeners.get_mut(place) else { return false };
        let mut cx = listening.wakened.context();
        if let Some(rest) = &mut listening.rest {
            if rest.as_mut().poll(&mut cx).is_pending() {
                return false;
            }
            listening.rest = None;
        }
        if self.half_open >= MAX_HALF_OPEN {
            // Woken when one of them has come to its end.
            return false;
        }
        match listening.socket.poll_accept(&mut cx) {
            Poll::Ready(Ok((stream, remote))) => {
                let attempt = greet(self.runtime.clone(), stream, remote, listening.tls.as_ref());
                self.half_open += 1;
                let listener = ListenerId::new(u16::try_from(at).unwrap_or_default());
                self.add(State::Accepting(listener, attempt));
                true
            }
            Poll::Ready(Err(error)) if is_of_one(&error) => true,
            Poll::Ready(Err(_)) => {
                listening.rest = Some(Box::pin(self.runtime.sleep(REST)));
                true
            }
            Poll::Pending => false,
        }
    }

    /// One of those that came in is up, or never will be.
    fn half_open_is_over(&mut self) {
        if self.half_open == MAX_HALF_OPEN {
            self.listeners.iter().for_each(|listening| listening.wakened.wake());
        }
        self.half_open = self.half_open.saturating_sub(1);
    }

    fn look_at(&mut self, key: u64) -> Option<Happened> {
        let slot = self.slots.get_mut(&key)?;
        let mut cx = slot.wakened.context();
        let polled = match &mut slot.state {
            State::Up(conn, _) => return Some(Happened::Ready(*conn)),
            State::Nameless(_) => return None,
            State::Dialling(_, attempt) | State::Accepting(_, attempt) => attempt.as_mut().poll(&mut cx),
        };
        let Poll::Ready(done) = polled else { return None };
        match (&slot.state, done) {
            (State::Dialling(conn, _), Ok((stream, established))) => {
                let conn = *conn;
                slot.state = State::Up(conn, stream);
                Some(Happened::Dialled(conn, established))
            }
            (State::Accepting(listener, _), Ok((stream, established))) => {
                let listener = *listener;
                slot.state = State::Nameless(stream);
                Some(Happened::Accepted(Accepted::new(key), listener, established))
            }
            (State::Dialling(conn, _), Err(failed)) => {
                let conn = *conn;
                self.failed(&failed);
                self.close(conn);
                Some(Happened::Failed(conn, failed.end))
            }
            (_, Err(failed)) => {
                self.failed(&failed);
                self.slots.remove(&key);
                self.half_open_is_over();
                None
            }
            (_, Ok(_)) => None,
        }
    }

    fn failed(&mut self, failed: &Failed) {
        if let Some(hear) = &mut self.hear {
            hear(&failed.to, &failed.why);
        }
    }

    fn stream(&mut self, conn: Conn) -> Option<(&mut MaybeTls<R::Tcp>, Context<'_>)> {
        let Slot { wakened, state } = self.slots.get_mut(self.names.get(&conn)?)?;
        match state {
            State::Up(_, stream) => Some((stream, wakened.context())),
            _ => None,
        }
    }
}

/// Keys below are those of listeners.
const FIRST: u64 = 1 << 16;

impl<R: Runtime, C: Clock> StreamIo for NetStreams<R, C> {
    type Error = io::Error;

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let Some(at) = at else {
            self.timer = None;
            return Poll::Pending;
        };
        if self.timer.as_ref().is_none_or(|(set, _)| *set != at) {
            let left = at.saturating_since(self.clock.now().mono);
            self.timer = Some((at, Box::pin(self.runtime.sleep(left))));
        }
        let polled = self.timer.as_mut().map_or(Poll::Pending, |(_, sleep)| sleep.as_mut().poll(cx));
        if polled.is_ready() {
            self.timer = None;
        }
        polled
    }

    fn poll_happened(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Happened>> {
        self.ready.set_driver(cx);
        for _ in 0..BUDGET {
            let Some(key) = self.ready.next() else { return Poll::Pending };
            if key < FIRST {
                if self.accept(key) {
                    self.ready.again(key);
                }
            } else if let Some(happened) = self.look_at(key) {
                return Poll::Ready(Ok(happened));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn dial(&mut self, conn: Conn, to: &Endpoint<'_>) {
        let tls = match to.security {
            Security::Plain => Some(None),
            Security::Tls(number) => self.tls.get(usize::from(number)).map(|tls| Some(tls.clone())),
        };
        let target = Target {
            host: to.host.into(),
            port: to.port,
            family: to.family,
            from: self.from,
            proxy: self.proxy.clone(),
        };
        let runtime = self.runtime.clone();
        let attempt: Attempt<R::Tcp> = match tls {
            Some(tls) => Box::pin(establish(runtime, target, tls, self.fallback.clone())),
            None => Box::pin(async move {
                let why = io::Error::new(io::ErrorKind::InvalidInput, "there are no such TLS settings");
                Err(target.failed(End::Untrusted, why))
            }),
        };
        let key = self.add(State::Dialling(conn, attempt));
        self.names.insert(conn, key);
    }

    fn admit(&mut self, accepted: Accepted, conn: Option<Conn>) {
        let key = accepted.number();
        let Some(Slot { wakened, state: State::Nameless(stream) }) = self.slots.remove(&key) else { return };
        self.half_open_is_over();
        if let Some(conn) = conn {
            self.names.insert(conn, key);
            self.slots.insert(key, Slot { wakened, state: State::Up(conn, stream) });
        }
    }

    fn poll_read(&mut self, conn: Conn, buf: &mut [u8]) -> Poll<Result<usize, End>> {
        let Some((stream, mut cx)) = self.stream(conn) else { return Poll::Ready(Err(End::Lost)) };
        stream.poll_read(&mut cx, buf).map_err(|_| End::Lost)
    }

    fn poll_write(&mut self, conn: Conn, bytes: &[u8]) -> Poll<Result<usize, End>> {
        let Some((stream, mut cx)) = self.stream(conn) else { return Poll::Ready(Err(End::Lost)) };
        stream.poll_write(&mut cx, bytes).map_err(|_| End::Lost)
    }

    fn poll_flush(&mut self, conn: Conn) -> Poll<Result<(), End>> {
        let Some((stream, mut cx)) = self.stream(conn) else { return Poll::Ready(Err(End::Lost)) };
        stream.poll_flush(&mut cx).map_err(|_| End::Lost)
    }

    fn poll_finish(&mut self, conn: Conn) -> Poll<Result<(), End>> {
        let Some((stream, mut cx)) = self.stream(conn) else { return Poll::Ready(Err(End::Lost)) };
        stream.poll_close(&mut cx).map_err(|_| End::Lost)
    }

    fn close(&mut self, conn: Conn) {
        if let Some(key) = self.names.remove(&conn) {
            self.slots.remove(&key);
        }
    }
}

impl<R: Runtime, C> fmt::Debug for NetStreams<R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetStreams")
            .field("listeners", &self.listeners.len())
            .field("streams", &self.slots.len())
            .finish_non_exhaustive()
    }
}

/// Whether an error of accepting is about one who knocked, and the next one can be let in at once.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
