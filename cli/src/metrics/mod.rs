//! `--metrics`: what a node counts, for a monitoring system, on a thread of its own.
//!
//! `/metrics` is OpenMetrics text, `/healthz` says whether the node's loop turns. Whoever asks wakes the node, which copies its counters; all
//! else happens here, so that whoever reads slowly, or not at all, holds nothing up.

mod desk;
mod kept;
mod snapshot;
mod text;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::task::Context;
use std::thread;
use std::time::Duration;

use sluis_net::{Runtime, within};
use sluis_web::{Page, serve_pages};

use self::desk::Desk;
pub(crate) use self::kept::{Commits, Watched};
pub(crate) use self::snapshot::{Sessions, Snapshot, count, relayed, tables};
use crate::common;
use crate::fail::Fail;
use crate::mux::on_runtime;
use crate::run;
use crate::values::Place;

/// How long the node may take to answer: its loop turns in far less unless something holds it up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pages of a node.
#[derive(Debug)]
pub(crate) struct Metrics {
    addr: SocketAddr,
    /// Until it is served.
    listener: Option<TcpListener>,
    desk: Arc<Desk>,
    pub(crate) commits: Commits,
}

impl Metrics {
    /// Open the port.
    pub(crate) fn open(place: &Place) -> Result<Self, Fail> {
        let addr = run::resolve_bind(place)?;
        let wrong = |why: io::Error| {
            Fail::runtime(format!("--metrics: cannot listen on {addr} ({why}), choose another address or port"))
        };
        let listener = TcpListener::bind(addr).map_err(wrong)?;
        let addr = listener.local_addr().map_err(wrong)?;
        Ok(Self { addr, listener: Some(listener), desk: Arc::default(), commits: Commits::default() })
    }

    /// Where it is served.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serve it until the process ends.
    pub(crate) fn serve(&mut self, runtime: common::Runtime) -> Result<(), Fail> {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let (desk, commits) = (Arc::clone(&self.desk), self.commits.clone());
        let serve = move || {
            on_runtime!(runtime, runtime => {
                match runtime.listen(listener) {
                    Ok(listener) => match serve(runtime, listener, &desk, &commits).await {},
                    Err(why) => crate::output::tell(&format!("sluis: the metrics are not served ({why})")),
                }
            });
        };
        let started = thread::Builder::new().name("metrics".to_owned()).spawn(serve);
        started.map(drop).map_err(|why| Fail::runtime(format!("--metrics: there is no thread for it ({why})")))
    }

    /// Whether somebody asks; from now on that wakes this task.
    pub(crate) fn is_asked(&self, cx: &Context<'_>) -> bool {
        self.desk.is_asked(cx)
    }

    /// What the node is like now.
    pub(crate) fn answer(&self, snapshot: Snapshot) {
        self.desk.answer(snapshot);
    }
}

async fn serve<R: Runtime>(
    runtime: R,
    listener: R::Listener,
    desk: &Desk,
    commits: &Commits,
) -> std::convert::Infallible {
    let page = |path: &str| page(runtime.clone(), path.to_owned(), desk, commits);
    serve_pages(runtime.clone(), listener, page).await
}

/// What is answered to a path.
async fn page<R: Runtime>(runtime: R, path: String, desk: &Desk, commits: &Commits) -> Page {
    if path != "/metrics" && path != "/healthz" {
        return Page::plain(404, "There are /metrics and /healthz\n");
    }
    match within(&runtime, PATIENCE, desk.ask()).await {
        None => Page::plain(503, "The node does not answer\n"),
        Some(_) if path == "/healthz" => Page::plain(200, "ok\n"),
        Some(snapshot) => match text::openmetrics(&snapshot, commits) {
            Ok(text) => Page { status: 200, content_type: text::CONTENT_TYPE, text },
            Err(_) => Page::plain(500, "The metrics cannot be written\n"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};

    use super::*;

    /// A loop that hangs is not healthy, and one that turns is.
    #[test]
    fn a_node_that_does_not_answer_is_not_healthy() {
        let (desk, commits) = (Desk::default(), Commits::default());
        let ask = |path: &str| page(sluis_tokio::net::Tokio, path.to_owned(), &desk, &commits);
        sluis_tokio::block_on(async {
            for path in ["/healthz", "/metrics"] {
                assert_eq!(ask(path).await.status, 503);
            }
            let turn = async {
                while !desk.is_asked(&Context::from_waker(Waker::noop())) {
                    sluis_tokio::net::Tokio.sleep(Duration::from_millis(1)).await;
                }
                desk.answer(Snapshot::default());
                std::future::pending().await
            };
            // The questions from before, which nobody waits for any more, are answered with the next.
            assert_eq!(
                within(&sluis_tokio::net::Tokio, PATIENCE, both(ask("/healthz"), turn)).await.map(|page| page.status),
                Some(200)
            );
            assert_eq!(ask("/").await.status, 404);
        });
    }

    /// The first, while the second goes on.
    async fn both<T>(first: impl Future<Output = T>, second: impl Future<Output = T>) -> T {
        let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
        std::future::poll_fn(|cx| match first.as_mut().poll(cx) {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(done),
            std::task::Poll::Pending => second.as_mut().poll(cx),
        })
        .await
    }
}
