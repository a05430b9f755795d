//! One WebSocket of a hub.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::Upgraded;
use sluis_mux::switchboard::SocketId;
use sluis_mux::talk::{talk, talk_binary};
use sluis_net::Runtime;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use crate::hub::{Hub, Next};
use crate::pipe::Pipe;

/// Longest message in bytes: the longest body of a request, and room for what is around its payload.
const MAX_MESSAGE: usize = (2 << 20) + 4096;
/// Bytes that may wait for the connection before no more is taken from the hub.
const MAX_WAITING: usize = 64 * 1024;
/// Between two pings.
const PING_EVERY: Duration = Duration::from_secs(25);
/// Pings without any sign of life before the connection counts as dead.
const MISSED: u32 = 2;
/// Messages taken in before what they brought is written ...
const BUDGET: usize = 32;
/// ... and how often both are done before others get their turn.
const ROUNDS: usize = 4;

pub(crate) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// Carry a socket's messages until it ends.
pub(crate) async fn run<R: Runtime>(hub: &Hub<R>, id: SocketId, stream: Upgraded) {
    let mut session = Session {
        hub,
        id,
        stream,
        web: WebSocketContext::new(Role::Server, Some(limits())),
        pipe: Pipe::new(),
        missed: 0,
        closing: false,
        waits: false,
    };
    let mut ping = pin!(None);
    poll_fn(|cx| {
        loop {
            if ping.is_none() {
                ping.set(Some(hub.shared.runtime.sleep(PING_EVERY)));
            }
            if session.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match ping.as_mut().as_pin_mut().map(|ping| Future::poll(ping, cx)) {
                Some(Poll::Ready(())) if session.ping() => ping.set(None),
                Some(Poll::Ready(())) => return Poll::Ready(()),
                _ => return Poll::Pending,
            }
        }
    })
    .await;
    hub.detach(id);
}

struct Session<'h, R> {
    hub: &'h Hub<R>,
    id: SocketId,
    stream: Upgraded,
    web: WebSocketContext,
    pipe: Pipe,
    missed: u32,
    closing: bool,
    /// Nothing has come that was not taken in.
    waits: bool,
}

impl<R: Runtime> Session<'_, R> {
    /// Move what can be moved; ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let read = self.read(cx);
            if self.write(cx).is_err() {
                return Poll::Ready(());
            }
            match read {
                Err(_) => return self.pipe.poll_drain(&mut self.stream, cx).map(|_| ()),
                Ok(()) if self.closing && !self.web.can_read() && self.pipe.waiting() == 0 => return Poll::Ready(()),
                Ok(()) if self.waits || !self.may_read() => return Poll::Pending,
                Ok(()) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hand events and answers to the connection, until there are none or it takes no more for now.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        loop {
            let all = self.write_texts(cx)?;
            match self.web.flush(&mut self.pipe) {
                Ok(()) | Err(Error::ConnectionClosed) => {}
                Err(error) => return Err(error),
            }
            match self.pipe.poll_drain(&mut self.stream, cx) {
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Ready(Ok(())) if !all => {}
                _ => return Ok(()),
            }
        }
    }

    /// Prepare texts, as many as may wait; whether there are no more.
    fn write_texts(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        while !self.closing {
            if self.pipe.waiting() >= MAX_WAITING {
                return Ok(false);
            }
            match self.hub.poll_text(self.id, cx) {
                Next::Text(text) => self.web.write(&mut self.pipe, Message::text(text))?,
                Next::Nothing => return Ok(true),
                Next::Ended => self.close(CloseCode::Policy, "this agent may not be here any more")?,
            }
        }
        Ok(true)
    }

    /// Whether more may be taken in: not while too much waits for the connection.
    fn may_read(&self) -> bool {
        self.pipe.waiting() < MAX_WAITING && (self.closing || self.hub.look(|board| board.may_read(self.id)))
    }

    /// Take in messages, so that the answers to those that came together leave together.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        self.waits = false;
        for _ in 0..BUDGET {
            if !self.may_read() {
                return Ok(());
            }
            match self.web.read(&mut self.pipe) {
                Ok(message) => self.take(message),
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    match self.pipe.poll_fill(&mut self.stream, cx)? {
                        Poll::Ready(()) => self.missed = 0,
                        Poll::Pending => {
                            self.waits = true;
                            return Ok(());
                        }
                    }
                }
                Err(Error::Capacity(_)) => {
                    self.close(CloseCode::Size, "a message is too long")?;
                    self.web.flush(&mut self.pipe)?;
                    return Err(Error::ConnectionClosed);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Text(text) => self.hub.with(|board, now| talk(board, now, self.id, text.as_str())),
            Message::Binary(_) => self.hub.with(|board, _| talk_binary(board, self.id)),
            Message::Close(_) => self.closing = true,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }

    fn close(&mut self, code: CloseCode, why: &'static str) -> Result<(), Error> {
        self.closing = true;
        self.web.close(&mut self.pipe, Some(CloseFrame { code, reason: why.into() }))
    }

    /// Ask for a sign of life; `false` when the last ones brought none.
    fn ping(&mut self) -> bool {
        self.missed += 1;
        self.missed <= MISSED && self.web.write(&mut self.pipe, Message::Ping(Vec::new().into())).is_ok()
    }
}
