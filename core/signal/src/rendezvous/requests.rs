//! The rendezvous behind a handle: a send is a future, events are owned.

use std::sync::Arc;

use sluis_core::driver::{Answer, Handle, Request, Requests};
use sluis_core::time::Duration;

use super::machine::Rendezvous;
use super::{Event, NotDelivered};
use crate::delivery::SendError;
use crate::key::PublicKey;

impl Requests for Rendezvous {
    /// To whom, and what [`Rendezvous::send`] said.
    type Id = (PublicKey, u64);
    type Reply = Result<Duration, NotDelivered>;
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
    /// Send a message, in order; the future resolves once the other application has it, with how long that took, or with why it is not
    /// known to.
    ///
    /// # Errors
    /// [`SendError`]: nothing was sent.
    fn send(&self, to: &PublicKey, body: Arc<[u8]>, timeout: Duration) -> Result<Request<Rendezvous>, SendError>;

    /// The application has a message: it is acknowledged. Says whether there was one to confirm.
    fn confirm(&self, from: PublicKey, epoch: u64, number: u64) -> bool;
}

impl Signalling for Handle<Rendezvous> {
    fn send(&self, to: &PublicKey, body: Arc<[u8]>, timeout: Duration) -> Result<Request<Rendezvous>, SendError> {
        self.request(|machine, now| machine.send(now, to, body, true, timeout).map(|number| (*to, number)))
    }

    fn confirm(&self, from: PublicKey, epoch: u64, number: u64) -> bool {
        self.with(|machine, now| machine.confirm(now, from, epoch, number))
    }
}
