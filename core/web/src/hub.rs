//! A switchboard that many connections share.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sluis_core::driver::Clock;
use sluis_core::identity::Signer;
use sluis_core::{Instant, Machine as _, Now, Seed};
use sluis_mux::intents::RegisterError;
use sluis_mux::native::{Hub as NativeHub, HubConfig, HubStats as NativeStats};
use sluis_mux::news::News;
use sluis_mux::rest::{Response, Wait, read_inbox};
use sluis_mux::switchboard::{Config, SocketId, Switchboard};
use sluis_mux::{Access, Bridge};
use sluis_net::{Runtime, within};

use crate::backends::Backend;
use crate::native::Native;

/// Settings of a hub besides those of its switchboard.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Connections at a time; what comes above waits in the system's queue.
    pub max_connections: usize,
    /// Pages that may use the hub besides its own, as browsers write their origin.
    pub allow_origins: Vec<String>,
    /// A proxy in front of the hub ends TLS: what native agents sign is not bound to the TLS connection.
    pub behind_proxy: bool,
    /// Local services, each for channels of its intent that native agents open to the hub's own name; see [`Backend`].
    pub backends: Vec<Backend>,
    /// What the hub signs its own ends of channels with, those that lead to its backends: then these are proven from end to end.
    pub signer: Option<Arc<dyn Signer + Send + Sync>>,
    /// What happens is told; see [`Hub::poll_news`].
    pub tells: bool,
    /// What the ends of native channels sign for is told, too. Everything that passes is hashed for it.
    pub witnesses: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 16_384,
            allow_origins: Vec::new(),
            behind_proxy: false,
            backends: Vec::new(),
            signer: None,
            tells: false,
            witnesses: false,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signer = self.signer.as_ref().map(|signer| signer.public());
        f.debug_struct("Options").field("signer", &signer).field("backends", &self.backends).finish_non_exhaustive()
    }
}

/// What a hub's server has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Connections that were accepted.
    pub connections: u64,
    /// Of these, that ended before they asked anything: no TLS, no HTTP, or nothing in time.
    pub dropped: u64,
    /// Requests and upgrades without a token that is known.
    pub unauthorised: u64,
    /// Requests of pages that may not.
    pub foreign_pages: u64,
}

/// The counters behind [`HubStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) unauthorised: AtomicU64,
    pub(crate) foreign_pages: AtomicU64,
}

/// Add one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A hub: copies are the same one.
pub struct Hub<R> {
    pub(crate) shared: Arc<Shared<R>>,
}

pub(crate) struct Shared<R> {
    pub(crate) runtime: R,
    pub(crate) options: Options,
    pub(crate) counters: Counters,
    /// Of the hub's own agent.
    pub(crate) own_seed: Seed,
    clock: Box<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    board: Switchboard,
    /// Agents on native connections, and what is between them and the switchboard.
    native: Native,
    bridge: Bridge,
    /// Whom to wake when a socket has something to write.
    sockets: BTreeMap<SocketId, Waker>,
    /// Whom to wake when an agent's inbox has something.
    inboxes: BTreeMap<Arc<str>, Vec<Waker>>,
    /// Whom to wake when the switchboard's next deadline may have come nearer.
    timer: Option<Waker>,
    /// Whom to wake when there is something to tell.
    listener: Option<Waker>,
}

impl<R> Clone for Hub<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<R> fmt::Debug for Hub<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl<R> Hub<R> {
    /// A hub without channels.
    #[must_use]
    pub fn new(runtime: R, mut config: Config, options: Options, seed: &Seed, clock: impl Clock + 'static) -> Self {
        let mut agents = HubConfig::new(&config.agent);
        agents.access = config.access.clone();
        agents.max_connections = options.max_connections;
        agents.behind_proxy = options.behind_proxy;
        (agents.tells, agents.witnesses) = (options.tells, options.witnesses);
        config.tells |= options.tells;
        agents.services = options.backends.iter().map(|backend| backend.intent.as_str().into()).collect();
        let mut own_seed = [0; 32];
        seed.fork("sluis web own agent").fill(&mut own_seed);
        let own_seed = Seed::new(own_seed);
        let mut native = Native::new(NativeHub::new(agents, seed));
        let bridge = Bridge::new(&mut native.hub);
        let board = Switchboard::new(config, seed, clock.now());
        let (sockets, inboxes) = (BTreeMap::new(), BTreeMap::new());
        let state = State { board, native, bridge, sockets, inboxes, timer: None, listener: None };
        let (clock, counters) = (Box::new(clock), Counters::default());
        Self { shared: Arc::new(Shared { runtime, options, counters, own_seed, clock, state: Mutex::new(state) }) }
    }

    /// What its server has seen.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.shared.counters;
        HubStats {
            connections: get(&counters.connections),
            dropped: get(&counters.dropped),
            unauthorised: get(&counters.unauthorised),
            foreign_pages: get(&counters.foreign_pages),
        }
    }

    pub(crate) fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// Do something at the switchboard. Everybody else waits meanwhile, so do it quickly.
    pub fn with<T>(&self, act: impl FnOnce(&mut Switchboard, Now) -> T) -> T {
        let now = self.shared.clock.now();
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.deadline();
        let done = act(&mut state.board, now);
        state.wake(now, before);
        done
    }

    /// Look at the switchboard, which stays as it is.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Switchboard) -> T) -> T {
        at(&self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).board)
    }

    /// Do something with the native connections.
    pub(crate) fn with_native<T>(&self, act: impl FnOnce(&mut Native, Now) -> T) -> T {
        let now = self.shared.clock.now();
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.deadline();
        let done = act(&mut state.native, now);
        state.wake(now, before);
        done
    }

    /// What happened, where [`Options`] say that it is to be told. Else whoever polls is woken when there is something.
    pub fn poll_news(&self, cx: &mut Context<'_>) -> Poll<News> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(news) = state.native.hub.poll_news().or_else(|| state.board.poll_news()) {
            return Poll::Ready(news);
        }
        state.listener = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Route exactly this intent to a backend, whatever its agents speak; see [`Switchboard::register_intent`].
    ///
    /// # Errors
    /// Too many, or too long.
    pub fn register_intent(&self, name: &str, backend: &str, description: &str) -> Result<(), RegisterError> {
        self.with(|board, _| board.register_intent(name, backend, description))?;
        self.with_native(|native, _| native.hub.register_intent(name, backend, description))
    }

    /// Change who may come in, whatever they speak; see [`Switchboard::replace_access`].
    pub fn replace_access(&self, access: Access) {
        self.with_native(|native, now| native.hub.replace_access(now, access.clone()));
        self.with(|board, now| board.replace_access(now, access));
    }

    /// What was counted of native connections.
    #[must_use]
    pub fn native_stats(&self) -> NativeStats {
        self.with_native(|native, _| native.hub.stats())
    }

    /// The next text to write to a socket, which is still the switchboard's; else whoever polls is woken when there is one, or the socket
    /// has ended.
    pub(crate) fn poll_text(&self, socket: SocketId, cx: &mut Context<'_>) -> Next {
        let now = self.shared.clock.now();
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.deadline();
        let Some(text) = state.board.poll_text(now, socket) else {
            if state.board.is_ended(socket) {
                return Next::Ended;
            }
            state.sockets.insert(socket, cx.waker().clone());
            return Next::Nothing;
        };
        // The room that this made may have gone to another socket of the same agent.
        state.wake(now, before);
        Next::Text(text)
    }

    /// A socket is gone.
    pub(crate) fn detach(&self, socket: SocketId) {
        self.with(|board, now| board.detach(now, socket));
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).sockets.remove(&socket);
    }

    /// Wait until the switchboard's deadline may have come nearer than `known`; where it is then.
    async fn deadline_changed(&self, known: Option<Instant>) -> Option<Instant> {
        poll_fn(|cx| {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let deadline = state.deadline();
            if deadline != known {
                return Poll::Ready(deadline);
            }
            state.timer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// What is to be written to a socket.
pub(crate) enum Next {
    /// This.
    Text(String),
    /// Nothing for now.
    Nothing,
    /// Nothing any more: it is to be closed.
    Ended,
}

impl State {
    /// When something is due.
    fn deadline(&self) -> Option<Instant> {
        let native = self.native.hub.wants().at.map(|(at, _)| at);
        [self.board.deadline(), native].into_iter().flatten().min()
    }

    /// Pass on what a change brought, and wake whom it concerns.
    fn wake(&mut self, now: Now, deadline: Option<Instant>) {
        self.bridge.run(now, &mut self.board, &mut self.native.hub);
        while let Some(socket) = self.board.poll_ready() {
            if let Some(waker) = self.sockets.remove(&socket) {
                waker.wake();
            }
        }
        while let Some(agent) = self.board.poll_inbox() {
            self.inboxes.remove(&agent).into_iter().flatten().for_each(Waker::wake);
        }
        self.native.wake();
        if (self.native.hub.has_news() || self.board.has_news())
            && let Some(waker) = self.listener.take()
        {
            waker.wake();
        }
        if self.deadline() != deadline
            && let Some(waker) = self.timer.take()
        {
            waker.wake();
        }
    }
}

impl<R: Runtime> Hub<R> {
    /// Do what is due, for ever.
    pub(crate) async fn keep_time(self) {
        let mut known: Option<Instant> = None;
        loop {
            let now = self.shared.clock.now();
            let changed = match known {
                None => Some(self.deadline_changed(None).await),
                Some(at) if at <= now.mono => {
                    self.with_native(|native, now| native.hub.handle_timeout(now));
                    self.with(Switchboard::handle_timeout);
                    Some(self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).deadline())
                }
                Some(at) => {
                    let left = at.saturating_since(now.mono).max(Duration::from_millis(1));
                    within(&self.shared.runtime, left, self.deadline_changed(known)).await
                }
            };
            if let Some(deadline) = changed {
                known = deadline;
            }
        }
    }

    /// Answer a request for an inbox that is empty, when it is not any more or the time is over.
    pub(crate) async fn wait(&self, wait: Wait) -> Response {
        let agent: Arc<str> = wait.agent.as_str().into();
        if let Err(refusal) = self.with(|board, now| board.wait_for_inbox(now, &agent)) {
            return sluis_mux::rest::refused(refusal);
        }
        // Also when the client goes away and this future is dropped.
        let _waiting = Waiting { hub: self, agent: &agent };
        let news = poll_fn(|cx| {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.board.inbox_has_news(&agent) {
                return Poll::Ready(());
            }
            let wakers = state.inboxes.entry(Arc::clone(&agent)).or_default();
            wakers.retain(|waker| !waker.will_wake(cx.waker()));
            wakers.push(cx.waker().clone());
            Poll::Pending
        });
        within(&self.shared.runtime, wait.at_most, news).await;
        self.with(|board, now| read_inbox(board, now, &wait))
    }
}

/// Somebody who waits for an inbox.
struct Waiting<'h, R> {
    hub: &'h Hub<R>,
    agent: &'h Arc<str>,
}

impl<R> Drop for Waiting<'_, R> {
    fn drop(&mut self) {
        self.hub.with(|board, now| board.stop_waiting(now, self.agent));
        let mut state = self.hub.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Others who wait for the same are woken for nothing and wait again.
        state.inboxes.remove(self.agent).into_iter().flatten().for_each(Waker::wake);
    }
}
