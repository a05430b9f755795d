//! A hub on a runtime on which nothing ever happens.

use std::future::{Future, pending};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sluis_core::{Now, Seed};
use sluis_mux::switchboard::Config;
use sluis_net::{Accept, Runtime};

use crate::inside::Half;
use crate::{Backend, Hub, Options};

#[derive(Clone)]
struct Still;

struct StillListener;

impl Accept for StillListener {
    type Tcp = Half;

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(Half, SocketAddr)>> {
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Runtime for Still {
    type Tcp = Half;
    type Listener = StillListener;

    fn listen(&self, _: std::net::TcpListener) -> io::Result<StillListener> {
        Ok(StillListener)
    }

    fn connect(&self, _: SocketAddr, _: Option<IpAddr>) -> impl Future<Output = io::Result<Half>> + Send + 'static {
        pending()
    }

    fn resolve(&self, _: &str, _: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        pending()
    }

    fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) {}

    fn sleep(&self, _: Duration) -> impl Future<Output = ()> + Send + Sync + 'static {
        pending()
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_hub_at_which_nothing_happens_sleeps() {
    for backends in [vec![], vec![Backend::new("stream", "localhost", 1)]] {
        let options = Options { backends, ..Options::default() };
        let hub = Hub::new(Still, Config::new("node"), options, &Seed::from_u64(1), Now::default);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut serving = pin!(hub.serve(StillListener, None, pending()));
        // What it does for a start may take some turns.
        for _ in 0..10 {
            assert!(serving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        let before = woken.0.load(Ordering::Relaxed);
        assert!(serving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), before, "it wakes itself");
    }
}
