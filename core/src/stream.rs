//! The boundary for byte streams.

use core::net::SocketAddr;

use crate::machine::Machine;
use crate::reject::Reject;
use crate::time::Now;

/// A machine that speaks byte streams: it dials, is dialled, reads and writes, without knowing sockets or TLS.
///
/// Whoever drives it does what its [orders](Order) say, hands in what comes and takes out what it writes. The contract:
///
/// * **A stream has one name**, a [`Conn`] of the machine's own, from [`Order::Dial`] or from the answer to
///   [`handle_up`](Self::handle_up) until its last end ([`End::is_last`]) or [`Order::Abort`]. A name is never used twice: the generation
///   tells a new stream in an old slot apart, so what comes late for the old one finds nothing.
/// * **Any chunking gives the same outputs.** Bytes come cut anywhere, and are written cut anywhere.
/// * **Back-pressure.** What the machine does not take stays with the driver, which reads no more of that stream until
///   [`Order::Read`]: the peer is held back by its own socket. One stream that is held back holds up no other one.
/// * **An order is given once.** At most one of a kind is outstanding for a stream; once taken it is the driver's debt, so a blocked
///   socket leaves nothing pending in [`wants`](Machine::wants).
///
/// [`Wants::orders`](crate::Wants::orders) says that orders wait.
pub trait Streams: Machine {
    /// A stream is up: one that an [`Order::Dial`] named, or one that came in. The machine says how it names it; for one that it
    /// dialled that is the same name.
    ///
    /// # Errors
    /// It does not want it (no room, not now): the driver drops it and tells nothing of it again.
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject>;

    /// Bytes came: how many of them, from the first on, were taken. Less than all: no more is read until [`Order::Read`].
    ///
    /// # Errors
    /// They are not what they must be: the driver drops the stream and tells nothing of it again.
    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject>;

    /// The peer's half of a stream has ended ([`End::Eof`]: bytes of ours may still be written), or all of it.
    fn handle_end(&mut self, now: Now, conn: Conn, end: End);

    /// The next order, oldest first for each stream.
    fn poll_order(&mut self, now: Now) -> Option<Order<'_>>;

    /// Write what is to be sent on a stream to the start of `out`, and say how much that is. 0: nothing for now, and the
    /// [`Order::Write`] is done; a new one comes with new bytes.
    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize;
}

/// Names one stream of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conn {
    slot: u32,
    generation: u32,
}

impl Conn {
    /// The stream in a place of the machine's, and the how-manieth in that place.
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// The place.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.slot
    }

    /// The how-manieth there.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// What a driver is to do with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<'a> {
    /// Connect; then [`handle_up`](Streams::handle_up), or [`handle_end`](Streams::handle_end) with the reason.
    Dial(Conn, Endpoint<'a>),
    /// There is something to write: ask [`poll_bytes`](Streams::poll_bytes) until it has nothing more.
    Write(Conn),
    /// Bytes are taken again.
    Read(Conn),
    /// Write what [`poll_bytes`](Streams::poll_bytes) still gives and then say that no more comes. What the peer sends is still read.
    Finish(Conn),
    /// Drop the stream at once, unwritten bytes with it, and tell nothing of it again.
    Abort(Conn),
}

/// Whom to connect to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// A name, or an address (IPv6 without brackets).
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// Which addresses of a name count.
    pub family: Family,
    /// How it is protected on the way.
    pub security: Security,
}

/// Families of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Family {
    /// Whichever answers first.
    #[default]
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// How a stream is protected on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Security {
    /// Not at all.
    #[default]
    Plain,
    /// By TLS, with the settings that whoever runs the machine keeps under this number. Where there are none the stream is
    /// [`Untrusted`](End::Untrusted): never plain instead.
    Tls(u16),
}

/// One of the listening sockets that a machine is served by. Numbers are given by whoever runs the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ListenerId(u16);

impl ListenerId {
    /// The listener with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// A stream that is up.
#[derive(Clone, Copy, Debug)]
pub struct Up<'a> {
    /// Whose doing it is.
    pub origin: Origin,
    /// The other end.
    pub remote: SocketAddr,
    /// The protocol that both agreed on (ALPN), where there is TLS and one was.
    pub alpn: Option<&'a [u8]>,
    /// The `tls-exporter` channel binding (RFC 9266), where there is TLS.
    pub exporter: Option<&'a [u8; 32]>,
}

/// Whose doing a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// An [`Order::Dial`] named it so.
    Dialled(Conn),
    /// It came in through this listener.
    Accepted(ListenerId),
}

/// How a stream, or the peer's half of it, came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The peer sends no more. The other half lives until it is [finished](Order::Finish).
    #[error("the other side sends no more")]
    Eof,
    /// Both halves ended in peace.
    #[error("both sides have ended it")]
    Closed,
    /// It broke: reset, or cut without a word.
    #[error("the connection is lost")]
    Lost,
    /// Nobody listens there, or it is not let in.
    #[error("the connection is refused")]
    Refused,
    /// No way leads there.
    #[error("it cannot be reached")]
    Unreachable,
    /// The name has no address, or none of the family.
    #[error("its name has no address")]
    UnknownHost,
    /// Nothing came in time.
    #[error("it does not answer in time")]
    Timeout,
    /// TLS does not come about, or with somebody who is not believed.
    #[error("TLS with it fails, or its certificate is not trusted")]
    Untrusted,
}

impl End {
    /// Whether nothing more of the stream is told after this.
    #[must_use]
    pub const fn is_last(self) -> bool {
        !matches!(self, Self::Eof)
    }
}
