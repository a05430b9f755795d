//! Why something that was asked for is not done.

use alloc::string::{String, ToString as _};
use core::time::Duration;

use super::ChannelId;
use crate::signed::Wrong;

/// Why a request is refused. Nothing was changed, counters of what was throttled aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such channel, or none that is the caller's business.
    #[error("Channel not found")]
    NotFound,
    /// It is closed.
    #[error("Channel {0} is closed, not open")]
    Closed(ChannelId),
    /// The agent has as many open channels as one may have.
    #[error("Max {0} open channels per agent")]
    TooManyChannels(usize),
    /// There is room for no more channels, agents or sockets in all.
    #[error("This hub has no room for another {0}")]
    HubFull(&'static str),
    /// Above the bandwidth of the intent.
    #[error("Channel {channel} throttled (intent={intent}, priority={priority})")]
    Throttled {
        /// Which channel.
        channel: ChannelId,
        /// Its intent.
        intent: String,
        /// Its priority.
        priority: u8,
        /// When or how it would pass.
        until: Throttle,
    },
    /// The other end is not there, and too much waits for it already.
    #[error("Too much waits for {0} already")]
    QueueFull(String),
    /// The caller says it is somebody else.
    #[error("You are {is}, not {says}")]
    NotYourName {
        /// Whose token was shown.
        is: String,
        /// Who it says it is.
        says: String,
    },
    /// The caller's entry in the table of agents does not allow it.
    #[error("{agent} may not open {intent} to {target}")]
    NotAllowed {
        /// Who asks.
        agent: String,
        /// What for.
        intent: String,
        /// To whom.
        target: String,
    },
    /// The payload is a frame that carries its own signature ([`signed`](crate::signed)), and is not believed.
    #[error("The signed frame is not believed: {0}")]
    Unbelieved(Wrong),
    /// A text is too long, or a value is none that can be passed on.
    #[error("{field}: {why}")]
    Invalid {
        /// Which member of the request.
        field: &'static str,
        /// What is wrong with it.
        why: Invalid,
    },
}

/// What can be done about a frame that was throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// Send it again after this time.
    Wait(Duration),
    /// Make it smaller: no frame of more bytes can pass at once.
    AtMost(u64),
}

/// What is wrong with a member of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// Too long.
    #[error("at most {0} bytes")]
    TooLong(usize),
    /// It holds half a surrogate pair, which no UTF-8 text can.
    #[error("half a surrogate pair is no text")]
    LoneSurrogate,
    /// It holds `NaN` or an infinity, which JSON has no form for.
    #[error("not a finite number")]
    NotFinite,
    /// Asked for over a connection that anybody can read.
    #[error("a key is only given out over TLS")]
    NeedsTls,
}

impl Refusal {
    /// A throttled frame.
    pub(super) fn throttled(channel: ChannelId, intent: &str, priority: u8, until: Throttle) -> Self {
        Self::Throttled { channel, intent: intent.to_string(), priority, until }
    }

    /// A member that is wrong.
    pub(crate) const fn invalid(field: &'static str, why: Invalid) -> Self {
        Self::Invalid { field, why }
    }
}
