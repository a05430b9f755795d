//! What an agent hears besides what is said on its channels.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use sluis_core::driver::{Events, Handle};
use sluis_mux::channel::Proof;
use sluis_mux::native::{self, Lost};

use super::machine::{Asked, Told};
use super::{AgentMachine, Channel};

/// A channel that somebody opens to us: to be [accepted](super::Agent::accept) or [refused](super::Agent::refuse). Dropping it refuses it.
///
/// 256 may wait for an answer at a time; more are refused.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming {
    question: Question,
    /// Who.
    pub agent: Box<str>,
    /// What for.
    pub intent: Box<str>,
    /// What else it says: a JSON object.
    pub metadata: Box<str>,
    /// What is known of who that is.
    pub proof: Proof,
}

#[derive(Debug)]
struct Question {
    handle: Handle<AgentMachine>,
    channel: native::Channel,
}

impl Drop for Question {
    fn drop(&mut self) {
        // One that was answered is let alone.
        self.handle.with(|machine, now| machine.refuse(now, self.channel, "the application does not answer"));
    }
}

impl Incoming {
    /// `None` where whoever opened it has gone since.
    fn new(handle: &Handle<AgentMachine>, asked: Asked) -> Option<Self> {
        let Asked { channel, agent, intent, metadata, proof } = asked;
        let question = handle
            .with(|machine, _| machine.hand_over(channel))
            .then(|| Question { handle: handle.clone(), channel })?;
        Some(Self { question, agent, intent, metadata, proof })
    }

    /// It is that of the agent that was told of it, whichever is asked to accept it.
    pub(super) fn accept(self) -> Channel {
        let (Question { handle, channel }, proof) = (&self.question, self.proof);
        handle.with(|machine, now| machine.accept(now, *channel, proof));
        Channel { handle: handle.clone(), id: *channel, proof }
    }

    pub(super) fn refuse(self, reason: &str) {
        let Question { handle, channel } = &self.question;
        handle.with(|machine, now| machine.refuse(now, *channel, reason));
    }
}

/// What an agent is told besides what is said on its channels.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// The hub of this name has let us in.
    Connected(Box<str>),
    /// There is no connection; it is made again, and channels that are open wait for it.
    Disconnected(Lost),
    /// Somebody opens a channel.
    Incoming(Incoming),
}

/// What an agent hears besides what is said on its channels; also a [`Stream`].
///
/// Who wants no channels from others drops it: those that were not read, and those that are opened from then on, are refused.
#[derive(Debug)]
pub struct Notices {
    handle: Handle<AgentMachine>,
    events: Events<AgentMachine>,
}

impl Notices {
    pub(super) const fn new(handle: Handle<AgentMachine>, events: Events<AgentMachine>) -> Self {
        Self { handle, events }
    }

    /// The next notice; `None` when there will be no more. Can be dropped and called again without losing anything.
    pub async fn next(&mut self) -> Option<Notice> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), for those who poll by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Notice>> {
        loop {
            let Some(told) = ready!(self.events.poll_next(cx)) else { return Poll::Ready(None) };
            let notice = match told {
                Told::Connected(hub) => Some(Notice::Connected(hub)),
                Told::Disconnected(why) => Some(Notice::Disconnected(why)),
                Told::Incoming(asked) => Incoming::new(&self.handle, asked).map(Notice::Incoming),
            };
            if notice.is_some() {
                return Poll::Ready(notice);
            }
        }
    }
}

impl Stream for Notices {
    type Item = Notice;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Notice>> {
        Self::poll_next(self.get_mut(), cx)
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.handle.with(|machine, now| machine.stop_listening(now));
    }
}
