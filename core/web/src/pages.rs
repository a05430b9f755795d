//! Pages that are made when somebody asks for them: what a program tells of itself to whoever watches it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use sluis_net::{Accept as _, Runtime, within};

use crate::body::Whole;
use crate::io::HyperIo;
use crate::server::ACCEPT_PAUSE;

/// Connections at a time.
const CONNECTIONS: usize = 32;
/// From the accept to the end of the answer.
const TIME: Duration = Duration::from_secs(10);
/// Bytes of a header.
const HEADER: usize = 16 * 1024;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status of HTTP.
    pub status: u16,
    /// What the text is.
    pub content_type: &'static str,
    /// All of it.
    pub text: String,
}

impl Page {
    /// A text for people.
    #[must_use]
    pub fn plain(status: u16, text: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", text: text.into() }
    }
}

/// Answer GET and HEAD with the page of their path, one request a connection, until the future is dropped.
///
/// There are at most 32 connections, each for at most 10 s. A new one takes the place of the oldest that has not asked yet, or else of the
/// oldest: whoever connects and says nothing, or reads nothing, keeps nobody out.
pub async fn serve_pages<R: Runtime, A: Future<Output = Page>>(
    runtime: R,
    mut listener: R::Listener,
    page: impl Fn(&str) -> A,
) -> Infallible {
    let mut open = Open::default();
    let mut pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    poll_fn(|cx| {
        open.poll(cx);
        // As many as have a place: then others on this thread get their turn.
        for _ in 0..CONNECTIONS {
            if pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
            pause = None;
            match listener.poll_accept(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => pause = Some(Box::pin(runtime.sleep(ACCEPT_PAUSE))),
                Poll::Ready(Ok((stream, _))) => {
                    let asked = Arc::new(AtomicBool::new(false));
                    let connection = connection::<R, A>(stream, Arc::clone(&asked), &page);
                    let bounded = within(&runtime, TIME, connection);
                    open.add(asked, Box::pin(async { _ = bounded.await }), cx);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Serve one request.
async fn connection<R: Runtime, A: Future<Output = Page>>(
    stream: R::Tcp,
    asked: Arc<AtomicBool>,
    page: &impl Fn(&str) -> A,
) -> io::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let page = matches!(*request.method(), Method::GET | Method::HEAD).then(|| page(request.uri().path()));
        async move {
            Ok::<_, Infallible>(match page {
                Some(page) => written(page.await),
                None => refused(),
            })
        }
    });
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).half_close(true).max_buf_size(HEADER);
    builder.serve_connection(HyperIo::new(stream), service).await.map_err(io::Error::other)
}

fn written(page: Page) -> Response<Whole> {
    let mut response = Response::new(Whole::from(page.text));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused() -> Response<Whole> {
    let mut response = written(Page::plain(405, "GET and HEAD are answered here\n"));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// A connection, as it is served.
type Serving<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The connections, the oldest first, and whether each has asked.
#[derive(Default)]
struct Open<'a>(VecDeque<(Arc<AtomicBool>, Serving<'a>)>);

impl<'a> Open<'a> {
    fn poll(&mut self, cx: &mut Context<'_>) {
        self.0.retain_mut(|(_, serving)| serving.as_mut().poll(cx).is_pending());
    }

    /// Serve one more, in the place of another where there is none left.
    fn add(&mut self, asked: Arc<AtomicBool>, mut serving: Serving<'a>, cx: &mut Context<'_>) {
        if serving.as_mut().poll(cx).is_ready() {
            return;
        }
        if self.0.len() >= CONNECTIONS {
            let silent = self.0.iter().position(|(asked, _)| !asked.load(Ordering::Relaxed));
            self.0.remove(silent.unwrap_or(0));
        }
        self.0.push_back((asked, serving));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::task::{Context, Waker};

    use super::{CONNECTIONS, Open};

    #[test]
    fn the_oldest_that_has_not_asked_makes_way_then_the_oldest() {
        let cx = &mut Context::from_waker(Waker::noop());
        let live = Arc::new(AtomicU64::new(0));
        let mut open = Open::default();
        let mut add = |n: u32, asked: bool, open: &mut Open<'_>| {
            let bit = Bit(Arc::clone(&live), 1 << n);
            live.fetch_or(bit.1, Ordering::Relaxed);
            let serving = Box::pin(async move {
                let _bit = bit;
                std::future::pending::<()>().await;
            });
            open.add(Arc::new(AtomicBool::new(asked)), serving, cx);
            live.load(Ordering::Relaxed)
        };
        let all = u32::try_from(CONNECTIONS).expect("a few");
        for n in 0..all {
            add(n, n != 3 && n != 5, &mut open);
        }
        let (full, one) = ((1_u64 << all) - 1, |n: u32| 1_u64 << n);
        assert_eq!(add(all, true, &mut open), full & !one(3) | one(all));
        assert_eq!(add(all + 1, true, &mut open), full & !one(3) & !one(5) | one(all) | one(all + 1));
        assert_eq!(add(all + 2, true, &mut open) & one(0), 0);
        open.poll(cx);
        assert_eq!(open.0.len(), CONNECTIONS);
    }

    /// Set as long as it is there.
    struct Bit(Arc<AtomicU64>, u64);

    impl Drop for Bit {
        fn drop(&mut self) {
            self.0.fetch_and(!self.1, Ordering::Relaxed);
        }
    }
}
