//! A native connection inside a WebSocket, where nothing but HTTP/1.1 is to be had.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use hyper::client::conn::http1;
use hyper::header;
use hyper::rt;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use sluis_mux::talk::MUX_SUBPROTOCOL;
use sluis_net::{ByteStream, Runtime};
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Error, Message};

use crate::body::Whole;
use crate::client::Url;
use crate::io::HyperIo;
use crate::pipe::Pipe;

/// Bytes of a message that we send, and the most of one that is taken.
const CHUNK: usize = 16 * 1024;
const MAX_MESSAGE: usize = 256 * 1024;
/// Bytes that may wait for the connection before no more is taken.
const MAX_WAITING: usize = 64 * 1024;

/// What a server knows of the connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comes {
    pub(crate) remote: SocketAddr,
    pub(crate) exporter: Option<[u8; 32]>,
}

/// The bytes in the binary messages of a WebSocket: how they are cut says nothing. For whoever has answered the upgrade in a server of his
/// own, on whatever stream of hyper's kind he has then.
#[derive(Debug)]
pub struct Carried<I = Upgraded> {
    stream: I,
    web: WebSocketContext,
    pipe: Pipe,
    /// A message that has come, and how much of it was read.
    message: Bytes,
    read: usize,
    closed: bool,
}

impl<I: rt::Read + rt::Write + Unpin> Carried<I> {
    /// The server's end, behind its answer to the upgrade.
    pub fn server(stream: I) -> Self {
        Self::new(Role::Server, stream)
    }

    /// The client's end, behind that answer.
    pub fn client(stream: I) -> Self {
        Self::new(Role::Client, stream)
    }

    /// The stream that it was made of, and nothing of what is on its way.
    pub fn into_inner(self) -> I {
        self.stream
    }

    fn new(role: Role, stream: I) -> Self {
        let limits = WebSocketConfig::default()
            .read_buffer_size(CHUNK)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let web = WebSocketContext::new(role, Some(limits));
        Self { stream, web, pipe: Pipe::new(), message: Bytes::new(), read: 0, closed: false }
    }

    /// Write what waits, answers to pings included.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.web.flush(&mut self.pipe) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {}
            Err(error) => return Poll::Ready(Err(io::Error::other(error))),
        }
        self.pipe.poll_drain(&mut self.stream, cx)
    }
}

impl<I: rt::Read + rt::Write + Send + Unpin + 'static> ByteStream for Carried<I> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let rest = self.message.get(self.read..).unwrap_or_default();
            if !rest.is_empty() {
                let len = rest.len().min(buf.len());
                buf.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                self.read += len;
                return Poll::Ready(Ok(len));
            }
            match self.web.read(&mut self.pipe) {
                Ok(Message::Binary(message)) => (self.message, self.read) = (message, 0),
                Ok(Message::Text(_)) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    let _ = self.poll_drain(cx)?;
                    return Poll::Ready(Ok(0));
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ = self.poll_drain(cx)?;
                    ready!(self.pipe.poll_fill(&mut self.stream, cx))?;
                }
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.pipe.waiting() >= MAX_WAITING {
            ready!(self.poll_drain(cx))?;
        }
        let some = buf.get(..buf.len().min(CHUNK)).unwrap_or_default();
        let message = Message::Binary(Bytes::copy_from_slice(some));
        self.web.write(&mut self.pipe, message).map_err(io::Error::other)?;
        let _ = self.poll_drain(cx)?;
        Poll::Ready(Ok(some.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.closed = true;
            // One that is closed already is as it is meant to be.
            let _ = self.web.close(&mut self.pipe, None);
        }
        self.poll_drain(cx)
    }
}

/// Make a request one for a WebSocket; the key that the answer has to be for.
pub(crate) fn ask(request: &mut Request<Whole>, protocol: Option<&'static str>) -> String {
    let key = generate_key();
    let put = |name, text: &str| Some((name, header::HeaderValue::from_str(text).ok()?));
    let lines = [
        put(header::CONNECTION, "upgrade"),
        put(header::UPGRADE, "websocket"),
        put(header::SEC_WEBSOCKET_VERSION, "13"),
        put(header::SEC_WEBSOCKET_KEY, &key),
        protocol.and_then(|protocol| put(header::SEC_WEBSOCKET_PROTOCOL, protocol)),
    ];
    request.headers_mut().extend(lines.into_iter().flatten());
    key
}

/// Whether an answer is one to the request with this key.
pub(crate) fn is_for<B>(response: &Response<B>, key: &str) -> bool {
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(header::HeaderValue::as_bytes);
    accepted == Some(derive_accept_key(key.as_bytes()).as_bytes())
}

/// Go on over a connection to a hub, on which only HTTP/1.1 is spoken, with a native connection inside a WebSocket: what
/// [`NetStreams::set_fallback`](sluis_net::NetStreams::set_fallback) wants.
///
/// # Errors
/// Whoever is there does not speak that, or goes away.
pub async fn carry<R: Runtime, S: ByteStream>(runtime: R, stream: S, url: Url) -> io::Result<Box<dyn ByteStream>> {
    let (mut sender, connection) = http1::handshake(HyperIo::new(stream)).await.map_err(io::Error::other)?;
    runtime.spawn(async move {
        // What goes wrong with it shows in the answer.
        let _ = connection.with_upgrades().await;
    });
    let mut request = url.request("GET", "/api/mux/ws", String::new()).map_err(io::Error::other)?;
    let key = ask(&mut request, Some(MUX_SUBPROTOCOL));
    let mut response = sender.send_request(request).await.map_err(io::Error::other)?;
    let refused = |why: &dyn Display| io::Error::new(io::ErrorKind::ConnectionRefused, why.to_string());
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(&response.status()));
    }
    let chosen = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL).map(header::HeaderValue::as_bytes);
    if !is_for(&response, &key) || chosen != Some(MUX_SUBPROTOCOL.as_bytes()) {
        return Err(refused(&"no native connections are carried there"));
    }
    let stream = hyper::upgrade::on(&mut response).await.map_err(io::Error::other)?;
    Ok(Box::new(Carried::client(stream)))
}
