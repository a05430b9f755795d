//! Identities from the Workload API: the socket of the SPIFFE agent of this machine.
//!
//! The client needs tokio; it lives on a thread of its own in here, and whoever calls sees blocking functions that work
//! on any runtime and on none. Everything that comes is held against the same rules as files are, and against its own
//! bundle, before it is handed out.

use core::time::Duration;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use futures_core::Stream;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sluis_core::Wall;
use spiffe::transport::Endpoint;
use spiffe::{WorkloadApiClient, WorkloadApiError, X509Context, X509Svid};
use tokio::runtime::Runtime;

use crate::bundle::TrustBundles;
use crate::error::SpiffeError;
use crate::identities::Identities;
use crate::svid::Svid;

/// The variable that names the socket.
pub const ENDPOINT_VARIABLE: &str = "SPIFFE_ENDPOINT_SOCKET";
/// Waits between attempts to reach the agent: the first, doubled each time up to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

fn take_all(context: &X509Context, now: Wall) -> Result<Identities, SpiffeError> {
    let mut bundles = TrustBundles::new();
    for (domain, bundle) in context.bundle_set().iter() {
        let roots: Vec<_> = bundle.authorities().iter().map(|root| CertificateDer::from(root.as_bytes())).collect();
        // A federated domain may have none for now: then nobody of it is trusted.
        if !roots.is_empty() {
            bundles.add(Some(domain.as_str()), &roots)?;
        }
    }
    let svids = context.svids().iter().map(|svid| take(svid)).collect::<Result<_, _>>()?;
    Identities::new(svids, bundles, now)
}

fn take(svid: &X509Svid) -> Result<Svid, SpiffeError> {
    let chain = svid.cert_chain().iter().map(|one| CertificateDer::from(one.as_bytes().to_vec())).collect();
    let key = PrivatePkcs8KeyDer::from(svid.private_key().as_bytes());
    Svid::from_der(chain, &PrivateKeyDer::Pkcs8(key))
}

/// Ask the agent once. `endpoint` is `unix:///path/of/the.sock`; without one it is what `SPIFFE_ENDPOINT_SOCKET` says.
///
/// # Errors
/// No endpoint, nobody there, no identity for us, not within the time, or one that its own bundle does not vouch for.
pub fn fetch(endpoint: Option<&str>, timeout: Duration) -> Result<Identities, SpiffeError> {
    let watch = Watch::begin(endpoint, false)?;
    let found = watch.first(timeout)?;
    // Nobody else holds what came: the watch gives it up here.
    watch.shared.change(|state| state.current = None);
    Arc::into_inner(found).ok_or(SpiffeError::NoIdentity { wanted: None })
}

/// Identities that stay current: the agent sends new ones before the old expire, and this takes them.
///
/// Work on a step with what [`current`](Self::current) gave; ask again for the next. When the agent goes away the last
/// identities stay, and it is tried again after 0.5 s, then twice as long each time, up to 30 s.
#[derive(Debug)]
pub struct Watch {
    endpoint: String,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<Identities>>,
    /// Why there is nothing newer.
    problem: Option<String>,
    /// Nothing more will come.
    over: bool,
}

impl Watch {
    /// Reach the agent and wait for the first identities, at most this long.
    ///
    /// # Errors
    /// As [`fetch`]; but an agent that is not there yet, or has no identity for us yet, is asked again until the time
    /// is over.
    pub fn start(endpoint: Option<&str>, timeout: Duration) -> Result<Self, SpiffeError> {
        let watch = Self::begin(endpoint, true)?;
        watch.first(timeout)?;
        Ok(watch)
    }

    /// The newest identities.
    ///
    /// # Errors
    /// None after [`start`](Self::start) has succeeded.
    pub fn current(&self) -> Result<Arc<Identities>, SpiffeError> {
        self.shared.lock().current.clone().ok_or(SpiffeError::NoIdentity { wanted: None })
    }

    /// Wait until there are other identities than these, at most this long; `None` when there were none.
    #[must_use]
    pub fn newer(&self, than: &Arc<Identities>, timeout: Duration) -> Option<Arc<Identities>> {
        let other = |state: &State| state.current.clone().filter(|current| !Arc::ptr_eq(current, than));
        self.shared.wait(timeout, other)
    }

    /// Why nothing newer came, if the last thing that happened was a failure.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.shared.lock().problem.clone()
    }

    fn begin(endpoint: Option<&str>, again: bool) -> Result<Self, SpiffeError> {
        let endpoint = match endpoint {
            Some(endpoint) => endpoint.to_owned(),
            None => std::env::var(ENDPOINT_VARIABLE).map_err(|_| SpiffeError::NoEndpoint)?,
        };
        let failed = |why: String| SpiffeError::WorkloadApi { endpoint: endpoint.clone(), why };
        let address = Endpoint::parse(&endpoint).map_err(|e| failed(e.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sluis-spiffe")
            .enable_all()
            .build()
            .map_err(|e| failed(e.to_string()))?;
        let shared = Arc::new(Shared::default());
        runtime.spawn(watch(address, Arc::clone(&shared), again));
        Ok(Self { endpoint, shared, runtime: Some(runtime) })
    }

    fn first(&self, timeout: Duration) -> Result<Arc<Identities>, SpiffeError> {
        let failed = |why: String| SpiffeError::WorkloadApi { endpoint: self.endpoint.clone(), why };
        let end = |state: &State| match (&state.current, &state.problem) {
            (Some(current), _) => Some(Ok(Arc::clone(current))),
            (None, Some(why)) if state.over => Some(Err(failed(why.clone()))),
            _ => None,
        };
        self.shared.wait(timeout, end).unwrap_or_else(|| {
            let waited = format!("it did not answer within {} s", timeout.as_secs_f32());
            Err(failed(self.problem().unwrap_or(waited)))
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A plain drop would wait for the tasks, and panic inside of an async function.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Look whenever something changes until there is an answer, or the time is over.
    fn wait<T>(&self, timeout: Duration, answer: impl Fn(&State) -> Option<T>) -> Option<T> {
        let end = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if let Some(found) = answer(&state) {
                return Some(found);
            }
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// Take what the agent sends, for ever; or once, unless `again`.
async fn watch(address: Endpoint, shared: Arc<Shared>, again: bool) {
    let mut pause = RETRY.0;
    loop {
        match listen(&address, &shared, again).await {
            Ok(()) => pause = RETRY.0,
            Err(why) => shared.change(|state| state.problem = Some(why)),
        }
        if !again {
            shared.change(|state| state.over = true);
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    }
}

/// One connection, until it ends. `Ok` when it gave something.
async fn listen(address: &Endpoint, shared: &Shared, again: bool) -> Result<(), String> {
    let client = WorkloadApiClient::connect(address.clone()).await.map_err(|e| plainly(&e))?;
    let mut updates = Box::pin(client.stream_x509_contexts().await.map_err(|e| plainly(&e))?);
    let mut gave = false;
    while let Some(update) = core::future::poll_fn(|cx| updates.as_mut().poll_next(cx)).await {
        let context = update.map_err(|e| plainly(&e))?;
        let fresh = take_all(&context, now()).map_err(|e| e.to_string())?;
        shared.change(|state| (state.current, state.problem) = (Some(Arc::new(fresh)), None));
        gave = true;
        if !again {
            return Ok(());
        }
    }
    if gave { Ok(()) } else { Err("it closed the connection without an answer".to_owned()) }
}

/// The error with its causes: the outermost alone often says no more than "transport error".
fn plainly(error: &WorkloadApiError) -> String {
    let mut text = error.to_string();
    let mut cause = core::error::Error::source(error);
    while let Some(why) = cause {
        let why_text = why.to_string();
        if !text.contains(&why_text) {
            text = format!("{text}: {why_text}");
        }
        cause = why.source();
    }
    text
}

fn now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall::from_micros(0).saturating_add(since)
}
