//! Accepting connections, and answering what they ask.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use sluis_mux::access::{offered, presented};
use sluis_mux::native::ALPN;
use sluis_mux::rest::{self, Answer, MAX_BODY, rest};
use sluis_mux::switchboard::SocketId;
use sluis_mux::talk::{MUX_SUBPROTOCOL, asks_for_mux, join};
use sluis_mux::{Access, Caller};
use sluis_net::{Accept as _, ByteStream, MaybeTls, Runtime, ServerTls, handshake, within};
use tungstenite::handshake::derive_accept_key;

use crate::backends;
use crate::body::{self, Unread, Whole};
use crate::carried::{Carried, Comes};
use crate::hub::{Hub, count};
use crate::io::{HyperIo, HyperTimer};
use crate::native;
use crate::origin::{self, Verdict};
use crate::socket;

/// From the accept, or from the last answer, to the end of the next header.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How long nothing is accepted after the system had no descriptor to give.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl<R: Runtime> Hub<R> {
    /// Serve connections, over TLS where there is a certificate, until `stop` is ready. Connections that are open then go on until
    /// they are dropped with their tasks.
    ///
    /// # Errors
    /// None for a single connection; those are counted.
    pub async fn serve(
        &self,
        mut listener: R::Listener,
        tls: Option<ServerTls>,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let mut stop = pin!(stop);
        let mut time = pin!(self.clone().keep_time());
        let mut backends = pin!(backends::serve(self.clone()));
        let room = Arc::new(Room::new(self.shared.options.max_connections));
        let mut pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
        poll_fn(|cx| {
            loop {
                if stop.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                let _ = time.as_mut().poll(cx);
                if let Poll::Ready(Err(error)) = backends.as_mut().poll(cx) {
                    return Poll::Ready(Err(error));
                }
                if pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_pending()) {
                    return Poll::Pending;
                }
                pause = None;
                if !room.is_free(cx.waker()) {
                    return Poll::Pending;
                }
                match listener.poll_accept(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(_)) => pause = Some(Box::pin(self.shared.runtime.sleep(ACCEPT_PAUSE))),
                    Poll::Ready(Ok((stream, remote))) => {
                        count(&self.shared.counters.connections);
                        let (hub, tls, place) = (self.clone(), tls.clone(), room.take());
                        self.shared.runtime.spawn(async move {
                            hub.accepted(stream, remote, tls).await;
                            drop(place);
                        });
                    }
                }
            }
        })
        .await
    }

    /// Find out what a connection speaks: by ALPN, or without TLS by its first byte.
    async fn accepted(&self, mut stream: R::Tcp, remote: SocketAddr, tls: Option<ServerTls>) {
        let Some(tls) = tls else {
            let mut first = [0];
            let read = within(&self.shared.runtime, HEADER_TIME, sluis_net::read(&mut stream, &mut first)).await;
            let stream = native::Begun::new(stream, first.first().copied());
            return match (read, first) {
                (Some(Ok(1)), [0]) => native::run(self, stream, native::Comes::From(remote, None)).await,
                (Some(Ok(1)), _) => self.requests(stream, Some(Comes { remote, exporter: None })).await,
                _ => count(&self.shared.counters.dropped),
            };
        };
        let secured = match tls.accept() {
            Ok(tls) => handshake(&self.shared.runtime, stream, tls).await.ok(),
            Err(_) => None,
        };
        let Some(stream) = secured else { return count(&self.shared.counters.dropped) };
        let Ok(exporter) = stream.exporter() else { return count(&self.shared.counters.dropped) };
        if stream.alpn() == Some(ALPN.as_bytes()) {
            return native::run(self, stream, native::Comes::From(remote, Some(exporter))).await;
        }
        self.requests(MaybeTls::Tls(Box::new(stream)), Some(Comes { remote, exporter: Some(exporter) })).await;
    }

    /// Serve one connection to its end.
    pub async fn connection<S: ByteStream>(&self, stream: S) {
        self.requests(stream, None).await;
    }

    async fn requests<S: ByteStream>(&self, stream: S, comes: Option<Comes>) {
        let asked = AtomicBool::new(false);
        let service = service_fn(|mut request: Request<Incoming>| {
            comes.map(|comes| request.extensions_mut().insert(comes));
            asked.store(true, Ordering::Relaxed);
            let hub = self.clone();
            async move { Ok::<_, Infallible>(hub.answer(request).await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(HyperTimer(self.shared.runtime.clone())).header_read_timeout(HEADER_TIME).half_close(true);
        let connection = builder.serve_connection(HyperIo::new(stream), service).with_upgrades();
        let (mut connection, mut late) = (pin!(connection), pin!(self.shared.runtime.sleep(HEADER_TIME)));
        let mut waits = true;
        poll_fn(|cx| {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // hyper's own time starts with the first byte.
            waits &= !asked.load(Ordering::Relaxed);
            if waits { late.as_mut().poll(cx) } else { Poll::Pending }
        })
        .await;
        if !asked.load(Ordering::Relaxed) {
            count(&self.shared.counters.dropped);
        }
    }

    /// Answer one request: the service to mount in a server of your own. Upgrades run in tasks of the hub's runtime.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Whole> {
        let headers = request.headers();
        let open = self.look(|board| matches!(board.config().access, Access::Open));
        let verdict = origin::judge(
            text(headers, &header::ORIGIN),
            text(headers, &header::HOST),
            &self.shared.options.allow_origins,
            open,
        );
        let mut response = match &verdict {
            Verdict::No => {
                count(&self.shared.counters.foreign_pages);
                plain(403, "This page may not use this hub: see --allow-origin")
            }
            Verdict::Told(_) if request.method() == hyper::Method::OPTIONS => preflight(headers),
            _ => self.answer_allowed(request).await,
        };
        if let Verdict::Told(origin) = verdict
            && let Ok(origin) = HeaderValue::from_str(&origin)
        {
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("origin"));
        }
        response
    }

    async fn answer_allowed(&self, request: Request<Incoming>) -> Response<Whole> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let headers = request.headers();
        let protocols = text(headers, &header::SEC_WEBSOCKET_PROTOCOL);
        if is_upgrade(headers) && asks_for_mux(protocols) && self.is_socket_path(&target) {
            // Who it is, it says inside.
            return self.carry(request);
        }
        let found = presented(&target, text(headers, &header::AUTHORIZATION), protocols);
        let caller = self.look(|board| board.identify(found.token.as_deref()));
        if caller.is_none() {
            count(&self.shared.counters.unauthorised);
        }
        let path = found.target.to_owned();
        if is_upgrade(headers) {
            let joined = self.with(|board, now| join(board, now, caller.as_ref(), &path));
            match joined {
                Some(Ok(socket)) => return self.upgrade(request, socket),
                Some(Err(refused)) => return written(refused),
                None => {}
            }
        }
        self.ask(caller, &path, request).await
    }

    async fn ask(&self, caller: Option<Caller>, target: &str, request: Request<Incoming>) -> Response<Whole> {
        let (parts, body) = request.into_parts();
        let content_type = text(&parts.headers, &header::CONTENT_TYPE);
        // Whoever is nobody is not listened to.
        let body = match caller {
            None => Vec::new(),
            Some(_) => match within(&self.shared.runtime, BODY_TIME, body::read(body, MAX_BODY)).await {
                Some(Ok(body)) => body,
                Some(Err(Unread::TooLong)) => {
                    return closing(plain(413, &format!("A body has at most {MAX_BODY} bytes")));
                }
                Some(Err(Unread::Lost)) => return closing(plain(400, "The body did not come to its end")),
                None => return closing(plain(408, "The body took too long")),
            },
        };
        let request = rest::Request { method: parts.method.as_str(), target, content_type, body: &body };
        match self.with(|board, now| rest(board, now, caller.as_ref(), request)) {
            Answer::Done(response) => written(response),
            Answer::Wait(wait) => written(self.wait(wait).await),
        }
    }

    fn is_socket_path(&self, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or_default();
        self.look(|board| path.strip_prefix(&*board.config().prefix) == Some("/ws"))
    }

    /// Carry a native connection in the WebSocket of a request.
    fn carry(&self, mut request: Request<Incoming>) -> Response<Whole> {
        let chosen = Some(HeaderValue::from_static(MUX_SUBPROTOCOL));
        let Some(response) = switching(request.headers(), chosen) else { return wrong_version() };
        let unknown = Comes { remote: SocketAddr::from(([0, 0, 0, 0], 0)), exporter: None };
        let Comes { remote, exporter } = request.extensions().get::<Comes>().copied().unwrap_or(unknown);
        let hub = self.clone();
        self.shared.runtime.spawn(async move {
            if let Ok(stream) = hyper::upgrade::on(&mut request).await {
                let stream = Carried::server(stream);
                native::run(&hub, stream, native::Comes::Carried(remote, exporter)).await;
            }
        });
        response
    }

    /// Make a WebSocket of a connection.
    fn upgrade(&self, mut request: Request<Incoming>, socket: SocketId) -> Response<Whole> {
        // The one that carried the token: a browser wants to hear one of those that it has offered.
        let protocols = text(request.headers(), &header::SEC_WEBSOCKET_PROTOCOL);
        let chosen = offered(protocols).and_then(|token| HeaderValue::from_str(&format!("sluis.token.{token}")).ok());
        let Some(response) = switching(request.headers(), chosen) else {
            self.detach(socket);
            return wrong_version();
        };
        let (hub, from) = (self.clone(), request.extensions().get::<Comes>().map(|comes| comes.remote));
        self.shared.runtime.spawn(async move {
            match hyper::upgrade::on(&mut request).await {
                Ok(stream) => {
                    hub.with(|board, _| board.came_from(socket, from));
                    socket::run(&hub, socket, stream).await;
                }
                Err(_) => hub.detach(socket),
            }
        });
        response
    }
}

/// The answer to a request for a WebSocket; `None` where it is for another version.
fn switching(headers: &HeaderMap, protocol: Option<HeaderValue>) -> Option<Response<Whole>> {
    let version = text(headers, &header::SEC_WEBSOCKET_VERSION);
    let key = text(headers, &header::SEC_WEBSOCKET_KEY).filter(|_| version == Some("13"))?;
    let mut response = Response::new(Whole::from(String::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let to = response.headers_mut();
    to.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    to.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    to.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()?);
    to.extend(protocol.map(|protocol| (header::SEC_WEBSOCKET_PROTOCOL, protocol)));
    Some(response)
}

fn wrong_version() -> Response<Whole> {
    let mut response = plain(426, "WebSocket version 13 is spoken here");
    response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

/// Places for connections.
struct Room {
    left: AtomicUsize,
    waits: Mutex<Option<Waker>>,
}

/// One of them; it is free again when this is dropped.
struct Place(Arc<Room>);

impl Room {
    fn new(places: usize) -> Self {
        Self { left: AtomicUsize::new(places.max(1)), waits: Mutex::new(None) }
    }

    /// Whether there is a place; else the task is woken when there may be one.
    fn is_free(&self, waker: &Waker) -> bool {
        let is_free = || self.left.load(Ordering::Acquire) > 0;
        if is_free() {
            return true;
        }
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
        is_free()
    }

    /// One of those that are free: nobody else takes any.
    fn take(self: &Arc<Self>) -> Place {
        self.left.fetch_sub(1, Ordering::AcqRel);
        Place(Arc::clone(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.left.fetch_add(1, Ordering::AcqRel);
        if let Some(waker) = self.0.waits.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    text(headers, &header::UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
}

fn written(response: rest::Response) -> Response<Whole> {
    let mut out = Response::new(Whole::from(response.body));
    *out.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            out.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    out
}

fn plain(status: u16, detail: &str) -> Response<Whole> {
    written(rest::error(status, detail))
}

/// An answer after which nothing more is read.
fn closing(mut response: Response<Whole>) -> Response<Whole> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What a browser asks before a page's request.
fn preflight(headers: &HeaderMap) -> Response<Whole> {
    let mut response = Response::new(Whole::from(String::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let to = response.headers_mut();
    to.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    to.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    if headers.contains_key("access-control-request-private-network") {
        to.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
    }
    response
}
