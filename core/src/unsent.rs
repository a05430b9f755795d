//! Why a datagram did not leave.

/// Why the system did not take a datagram, as far as that can be told apart. Whoever drives a machine tells it with
/// [`Datagrams::handle_unsent`](crate::Datagrams::handle_unsent).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Unsent {
    /// No route leads to that network.
    #[error("the network is unreachable")]
    NetworkUnreachable,
    /// No route leads to that host.
    #[error("no route to the host")]
    HostUnreachable,
    /// The system does not permit it: a firewall, or a broadcast address.
    #[error("sending there is not permitted")]
    NotPermitted,
    /// The network is down.
    #[error("the network is down")]
    NetworkDown,
    /// The address that it should leave from is not there.
    #[error("there is no local address to send from")]
    NoSource,
    /// It is too large for the way.
    #[error("the datagram is too large for the way there")]
    TooLarge,
    /// The socket cannot send to such an address: it is of the other family, or has port 0.
    #[error("the socket cannot send to such an address")]
    Address,
    /// The system gave another reason: its number.
    #[error("the system does not send it (error {0})")]
    Other(i32),
}

impl Unsent {
    /// A number for each in recordings: 0 to 6, and from 1000 on the system's own.
    #[cfg(feature = "record")]
    pub(crate) fn code(self) -> u64 {
        match self {
            Self::NetworkUnreachable => 0,
            Self::HostUnreachable => 1,
            Self::NotPermitted => 2,
            Self::NetworkDown => 3,
            Self::NoSource => 4,
            Self::TooLarge => 5,
            Self::Address => 6,
            Self::Other(code) => 1000 + u64::from(code.unsigned_abs()),
        }
    }

    /// From such a number.
    #[cfg(feature = "record")]
    pub(crate) fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            0 => Self::NetworkUnreachable,
            1 => Self::HostUnreachable,
            2 => Self::NotPermitted,
            3 => Self::NetworkDown,
            4 => Self::NoSource,
            5 => Self::TooLarge,
            6 => Self::Address,
            code => Self::Other(i32::try_from(code.checked_sub(1000)?).ok()?),
        })
    }
}
