//! The rendezvous behind a handle: a send is a future, events are owned.

use std::sync::Arc;

use sluis_core::driver::{Answer, Handle, Request, Requests};
use sluis_core::time::Duration;

use super::machine::Rendezvous;
use super::{Delivered, Event, MessageKey, NotDelivered};
use crate::delivery::SendError;
use crate::key::PublicKey;

impl Requests for Rendezvous {
    /// To whom, and what [`Rendezvous::send`] said.
    type Id = (PublicKey, u64);
    type Reply = Result<Delivered, NotDelivered>;
    type Notice = Event;

    fn poll_reply(&mut self) -> Option<Answer<Self::Id, Self::Reply>> {
        match self.take_event(|event| matches!(event, Event::Sent { .. }))? {
            Event::Sent { to, number, outcome } => Some(Answer { id: (to, number), reply: outcome, last: true }),
            _ => None,
        }
    }

    fn poll_notice(&mut self) -> Option<Event> {
        self.take_event(|event| !matches!(event, Event::Sent { .. })).or_else(|| self.next_message())
    }

    /// The message is still tried: whoever does not wait for its end may still want it delivered.
    fn cancel(&mut self, _: Self::Id) {}

    fn ended(_: Self::Id) -> Self::Reply {
        Err(NotDelivered::Ended)
    }
}

/// Ways to call a rendezvous through its handle.
pub trait Signalling {
    /// What is said to one peer.
    fn pipe(&self, to: PublicKey) -> Pipe;

    /// Send a message, in order; the future resolves once the other application has it, or with why it is not known to.
    ///
    /// # Errors
    /// [`SendError`]: nothing was sent.
    fn send(&self, to: &PublicKey, body: Arc<[u8]>, timeout: Duration) -> Result<Request<Rendezvous>, SendError>;

    /// The application has a message: it is acknowledged. Says whether there was one to confirm.
    fn confirm(&self, key: &MessageKey) -> bool;
}

impl Signalling for Handle<Rendezvous> {
    fn send(&self, to: &PublicKey, body: Arc<[u8]>, timeout: Duration) -> Result<Request<Rendezvous>, SendError> {
        self.request(|machine, now| machine.send(now, to, body, true, timeout).map(|number| (*to, number)))
    }

    fn pipe(&self, to: PublicKey) -> Pipe {
        Pipe { handle: self.clone(), to, timeout: TIMEOUT, ordered: true }
    }

    fn confirm(&self, key: &MessageKey) -> bool {
        self.with(|machine, now| machine.confirm(now, key))
    }
}

/// How long a message is tried unless a [`Pipe`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(4);

/// What is said to one peer. Any number of pieces may be under way at once; they are handed over in order.
#[derive(Clone, Debug)]
pub struct Pipe {
    handle: Handle<Rendezvous>,
    to: PublicKey,
    timeout: Duration,
    ordered: bool,
}

impl Pipe {
    /// Try each message for so long, instead of four seconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Each message may be handed over before those sent earlier.
    #[must_use]
    pub const fn unordered(mut self) -> Self {
        self.ordered = false;
        self
    }

    /// Whom it leads to.
    #[must_use]
    pub const fn peer(&self) -> PublicKey {
        self.to
    }

    /// Send a message; it is under way when this returns. The future resolves once the other application has it, or with why it is not
    /// known to.
    ///
    /// # Errors
    /// [`SendError`]: nothing was sent.
    pub fn begin(&self, body: impl Into<Arc<[u8]>>) -> Result<Request<Rendezvous>, SendError> {
        let (to, body) = (self.to, body.into());
        self.handle
            .request(|machine, now| machine.send(now, &to, body, self.ordered, self.timeout).map(|number| (to, number)))
    }

    /// Send a message, and wait until the other application has it.
    ///
    /// # Errors
    /// [`PipeError`]: nothing was sent, or it is not known to have arrived.
    pub async fn send(&self, body: impl Into<Arc<[u8]>>) -> Result<Delivered, PipeError> {
        Ok(self.begin(body)?.await?)
    }
}

/// Why a message of a [`Pipe`] is not known to have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PipeError {
    /// It was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// It was.
    #[error(transparent)]
    NotDelivered(#[from] NotDelivered),
}
