//! An agent that is there on a WebSocket.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;
use sluis_net::Runtime;
use tungstenite::protocol::{Role, WebSocketContext};
use tungstenite::{Error, Message};

use crate::carried::{ask, is_for};
use crate::client::{Client, ClientError};
use crate::pipe::Pipe;
use crate::socket::limits;

/// What came on a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer or an event, as JSON.
    Text(String),
    /// The socket is closed, and why, where that was said.
    Closed(String),
}

/// A WebSocket of a hub, from the client's side.
#[derive(Debug)]
pub struct Listener {
    stream: Upgraded,
    web: WebSocketContext,
    pipe: Pipe,
}

impl Listener {
    /// Be there: `path` is like `/api/mux/ws?agent=NAME`.
    ///
    /// # Errors
    /// The hub cannot be reached, is not believed, or refuses.
    pub async fn connect<R: Runtime>(client: &Client<R>, path: &str) -> Result<Self, ClientError> {
        let mut sender = client.connect(true).await?;
        let mut request = client.request("GET", path, None)?;
        let key = ask(&mut request, None);
        let mut response = sender.send_request(request).await.map_err(|error| client.no_answer(&error))?;
        if response.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status().as_u16();
            let body = client.text(response.into_body()).await?;
            return Err(ClientError::Refused { url: client.url.clone(), status, body });
        }
        if !is_for(&response, &key) {
            return Err(client.no_answer(&"it is not for this WebSocket"));
        }
        let stream = hyper::upgrade::on(&mut response).await.map_err(|error| client.no_answer(&error))?;
        Ok(Self { stream, web: WebSocketContext::new(Role::Client, Some(limits())), pipe: Pipe::new() })
    }

    /// Send a message. It goes out while [`next`](Self::next) is waited for.
    ///
    /// # Errors
    /// The socket is closed.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        self.web.write(&mut self.pipe, Message::text(text)).map_err(io::Error::other)
    }

    /// Close the socket; what comes until the other side has closed it too can still be heard.
    pub fn close(&mut self) {
        // One that is closed already is as it is meant to be.
        let _ = self.web.close(&mut self.pipe, None);
    }

    /// The next message.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn next(&mut self) -> io::Result<Heard> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), for a poll function.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Heard>> {
        loop {
            match self.web.flush(&mut self.pipe) {
                Ok(()) | Err(Error::ConnectionClosed) => {}
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
            let drained = self.pipe.poll_drain(&mut self.stream, cx)?;
            match self.web.read(&mut self.pipe) {
                Ok(Message::Text(text)) => return Poll::Ready(Ok(Heard::Text(text.as_str().into()))),
                Ok(Message::Close(frame)) => {
                    let why = frame.map(|frame| frame.reason.as_str().to_owned()).unwrap_or_default();
                    return Poll::Ready(Ok(Heard::Closed(why)));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.pipe.waiting() > 0 && drained.is_ready() {
                        continue;
                    }
                    if self.pipe.poll_fill(&mut self.stream, cx)?.is_pending() {
                        return Poll::Pending;
                    }
                }
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Poll::Ready(Ok(Heard::Closed(String::new())));
                }
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
    }
}
