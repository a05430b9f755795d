//! What a hub tells whoever runs it: who comes, which channels are opened and closed, what was signed for on them.
//!
//! Nothing is told unless that is asked for ([`Config::tells`](crate::switchboard::Config::tells),
//! [`HubConfig::tells`](crate::native::HubConfig::tells), [`HubConfig::witnesses`](crate::native::HubConfig::witnesses)). What is not
//! fetched is held up to a bound; [`News::Missed`] counts what came beyond.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::SocketAddr;

use sluis_core::identity::{PublicKey, Signature};

use crate::proof::{Direction, Purpose, verify_signed};

/// Most of what is held until it is fetched.
const MAX_NEWS: usize = 8192;

/// What an agent speaks with its hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// One request after the other.
    Rest,
    /// A WebSocket: the dialogue in JSON, or, for an agent that says so of its own connection, a native one inside it.
    WebSocket,
    /// A native connection.
    Native,
}

impl Via {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::WebSocket => "websocket",
            Self::Native => "native",
        }
    }
}

/// What happened at a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// An agent is there.
    Connected {
        /// Which one.
        agent: Arc<str>,
        /// On what.
        via: Via,
        /// From where, where that is known.
        from: Option<SocketAddr>,
    },
    /// A channel is open.
    Opened {
        /// Its name.
        channel: Box<str>,
        /// Who has opened it.
        agent: Arc<str>,
        /// To whom.
        target: Arc<str>,
        /// What for.
        intent: Box<str>,
        /// Which service handles that.
        backend: Box<str>,
        /// What its opener speaks.
        via: Via,
        /// Both ends have signed it, and prove what they say to each other.
        proven: bool,
    },
    /// It is closed.
    Closed {
        /// Its name.
        channel: Box<str>,
        /// The reason that was given for it.
        reason: Box<str>,
        /// Messages, both ways.
        frames: u64,
        /// Bytes of them.
        bytes: u64,
    },
    /// An end of a channel has signed for what it has said so far.
    Signed(Box<Statement>),
    /// So much was not told, because what was told before was not fetched in time, or because too many channels had lost their
    /// connection: of one that is not looked at any more the rest counts as one.
    Missed {
        /// How much of all.
        told: u64,
        /// How many of these were [`Signed`](Self::Signed).
        signed: u64,
    },
}

/// What an end of a channel has signed: anybody can [verify](Self::verify) it, and whoever has the messages can compute
/// [`hash`](Self::hash) from [`start`](Self::start) and them (see [`proof`](crate::proof)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// The channel.
    pub channel: Box<str>,
    /// Who has opened it.
    pub agent: Arc<str>,
    /// To whom.
    pub target: Arc<str>,
    /// What for.
    pub intent: Box<str>,
    /// Which of the two signs: what goes out is the agent's, what comes back the target's.
    pub way: Direction,
    /// The key that it has shown in the opening, and signs with.
    pub key: PublicKey,
    /// How many messages of that direction, its end included, the signature is for.
    pub count: u64,
    /// h(0) of the direction.
    pub start: [u8; 32],
    /// h(count).
    pub hash: [u8; 32],
    /// Over both.
    pub signature: Signature,
}

impl Statement {
    /// Who signs.
    #[must_use]
    pub fn signer(&self) -> &str {
        match self.way {
            Direction::Out => &self.agent,
            Direction::Back => &self.target,
        }
    }

    /// Whether the signature is that of the key. A hub tells of none for which this is not so.
    #[must_use]
    pub fn verify(&self) -> bool {
        let mut text = [0; 40];
        let (count, hash) = text.split_at_mut(8);
        count.copy_from_slice(&self.count.to_be_bytes());
        hash.copy_from_slice(&self.hash);
        let way = [u8::from(self.way == Direction::Back)];
        verify_signed(Purpose::Sign, &self.key, &[&way], &text, &self.signature).is_ok()
    }
}

/// What waits to be fetched.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waits: VecDeque<News>,
    missed: u64,
    missed_signed: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, news: News) {
        if self.waits.len() < MAX_NEWS && self.missed == 0 {
            self.waits.push_back(news);
        } else {
            self.missed += 1;
            self.missed_signed += u64::from(matches!(news, News::Signed(_)));
        }
    }

    /// Something is not told, whatever is fetched; what comes behind it is.
    pub(crate) fn miss(&mut self, is_signed: bool) {
        if let (Some(News::Missed { told, signed }), 0) = (self.waits.back_mut(), self.missed) {
            (*told, *signed) = (*told + 1, *signed + u64::from(is_signed));
        } else if self.waits.len() < MAX_NEWS && self.missed == 0 {
            self.waits.push_back(News::Missed { told: 1, signed: u64::from(is_signed) });
        } else {
            (self.missed, self.missed_signed) = (self.missed + 1, self.missed_signed + u64::from(is_signed));
        }
    }

    pub(crate) fn pop(&mut self) -> Option<News> {
        let next = self.waits.pop_front();
        if next.is_some() || self.missed == 0 {
            return next;
        }
        let (told, signed) = (core::mem::take(&mut self.missed), core::mem::take(&mut self.missed_signed));
        Some(News::Missed { told, signed })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waits.is_empty() && self.missed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_NEWS, News, Queue, Via};

    #[test]
    fn what_is_not_fetched_is_bounded_and_counted_in_its_place() {
        let mut queue = Queue::default();
        let news = || News::Connected { agent: "a".into(), via: Via::Rest, from: None };
        (0..MAX_NEWS + 3).for_each(|_| queue.push(news()));
        for _ in 0..MAX_NEWS {
            assert_eq!(queue.pop(), Some(news()));
        }
        assert_eq!(queue.pop(), Some(News::Missed { told: 3, signed: 0 }));
        queue.push(news());
        assert_eq!((queue.pop(), queue.pop()), (Some(news()), None));
    }

    #[test]
    fn what_comes_behind_what_is_missed_is_told() {
        let mut queue = Queue::default();
        let news = || News::Connected { agent: "a".into(), via: Via::Rest, from: None };
        queue.miss(true);
        queue.miss(false);
        queue.push(news());
        assert_eq!(queue.pop(), Some(News::Missed { told: 2, signed: 1 }));
        assert_eq!((queue.pop(), queue.pop()), (Some(news()), None));
    }
}
