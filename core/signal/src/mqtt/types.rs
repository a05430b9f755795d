//! What packets say.

use super::decode::Body;

/// A packet, borrowed from the bytes it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// A client opens its session.
    Connect(Connect<'a>),
    /// The broker's answer to it.
    ConnAck {
        /// The broker kept the session of before.
        session_present: bool,
        /// 0: accepted; 1 to 5: refused, by table 3.1.
        code: u8,
    },
    /// A message.
    Publish(Publish<'a>),
    /// A message of quality 1 was taken by who is next on the way. It says nothing of who it was for.
    PubAck {
        /// Which.
        id: u16,
    },
    /// Quality 2: received. Never asked for here.
    PubRec {
        /// Which.
        id: u16,
    },
    /// Quality 2: released.
    PubRel {
        /// Which.
        id: u16,
    },
    /// Quality 2: done.
    PubComp {
        /// Which.
        id: u16,
    },
    /// A client wants to hear something.
    Subscribe {
        /// By which it is answered.
        id: u16,
        /// What, and how.
        filters: Filters<'a>,
    },
    /// The broker's answer to it.
    SubAck {
        /// Which.
        id: u16,
        /// One for each filter: the quality granted, or [`SUBSCRIPTION_REFUSED`](super::SUBSCRIPTION_REFUSED).
        codes: &'a [u8],
    },
    /// A client does not want to hear something any more. The filters have no quality.
    Unsubscribe {
        /// By which it is answered.
        id: u16,
        /// What.
        filters: Filters<'a>,
    },
    /// The broker's answer to it.
    UnsubAck {
        /// Which.
        id: u16,
    },
    /// Is anybody there?
    PingReq,
    /// Yes.
    PingResp,
    /// The client goes in peace.
    Disconnect,
}

/// How hard delivery is tried from one hop to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qos {
    /// At most once.
    AtMostOnce = 0,
    /// At least once.
    AtLeastOnce = 1,
    /// Exactly once.
    ExactlyOnce = 2,
}

impl Qos {
    /// By its number; `None` above 2.
    #[must_use]
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// How a client opens its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Its name. A broker ends an older connection of the same name.
    pub client_id: &'a str,
    /// Nothing is kept from before and nothing for later.
    pub clean: bool,
    /// The longest silence in seconds that the broker takes; 0: any.
    pub keep_alive: u16,
    /// Who it is.
    pub user: Option<&'a str>,
    /// And how it shows that. Needs a user.
    pub password: Option<&'a [u8]>,
    /// What the broker says when the client is lost.
    pub will: Option<Will<'a>>,
}

/// What a broker publishes when a client is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Under which topic.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// How hard.
    pub qos: Qos,
    /// For those who come later, too.
    pub retain: bool,
}

/// A message of quality 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Under which topic.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// Quality 1 has a number, by which it is acknowledged; quality 0 has none.
    pub id: Option<u16>,
    /// The broker keeps it for those who come later.
    pub retain: bool,
    /// It may have been sent before.
    pub duplicate: bool,
}

/// The topic filters of a SUBSCRIBE or UNSUBSCRIBE: never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filters<'a> {
    pub(super) raw: &'a [u8],
    pub(super) with_qos: bool,
}

impl<'a> Filters<'a> {
    /// Each filter with the quality that is asked for, at most once in an UNSUBSCRIBE.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Qos)> + use<'a> {
        let (mut rest, with_qos) = (Body(self.raw), self.with_qos);
        // They were all looked at when the packet was decoded.
        core::iter::from_fn(move || rest.filter(with_qos).ok())
    }
}

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There is no packet of type 0 or 15.
    #[error("a packet of a type that does not exist")]
    Type,
    /// Reserved bits are not what they must be.
    #[error("reserved bits of a packet are not what they must be")]
    Reserved,
    /// A length of more than four bytes.
    #[error("a malformed length")]
    Length,
    /// Longer than is taken.
    #[error("a packet longer than is taken")]
    TooLong,
    /// The packet ends before what it says it has in it.
    #[error("a packet shorter than its content")]
    Short,
    /// Something stands behind its content.
    #[error("a packet longer than its content")]
    Trailing,
    /// A text is not UTF-8, or has a U+0000 in it.
    #[error("a text that is not UTF-8, or has U+0000 in it")]
    Text,
    /// A topic is empty, or one of a message has wildcards, or those of a filter are not where they may be.
    #[error("a topic that is none")]
    Topic,
    /// Quality 3, or a duplicate of quality 0.
    #[error("a quality of service that does not exist")]
    Qos,
    /// A message of quality 2, which nobody here asked for.
    #[error("a message of quality 2, which was not asked for")]
    Qos2,
    /// Packet id 0.
    #[error("packet id 0")]
    Id,
    /// Not MQTT 3.1.1.
    #[error("not MQTT 3.1.1")]
    Protocol,
    /// A code that the standard does not have.
    #[error("a return code that does not exist")]
    Code,
}

impl DecodeError {
    /// The name in counts and JSON: lower case with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "mqtt_type",
            Self::Reserved => "mqtt_reserved",
            Self::Length => "mqtt_length",
            Self::TooLong => "mqtt_too_long",
            Self::Short => "mqtt_short",
            Self::Trailing => "mqtt_trailing",
            Self::Text => "mqtt_text",
            Self::Topic => "mqtt_topic",
            Self::Qos => "mqtt_qos",
            Self::Qos2 => "mqtt_qos2",
            Self::Id => "mqtt_id",
            Self::Protocol => "mqtt_protocol",
            Self::Code => "mqtt_code",
        }
    }
}
