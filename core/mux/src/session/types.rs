//! What is said of a session: settings, states, errors, events.

use core::time::Duration;

use sluis_core::table::SlotId;

use super::frame::FIRST_WINDOW;
use super::window::WindowPool;

/// Levels of urgency: 0 first, 9 last, as [`Policy::priority`](crate::intents::Policy::priority) has them.
pub const LEVELS: usize = 10;

/// Streams that may be opened before the other side has acknowledged them.
pub const MAX_UNANSWERED: u32 = 256;

/// Which side of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It dialled. Its streams have odd numbers.
    Client,
    /// It was dialled. Its streams have even numbers.
    Server,
}

/// Settings of a [`Session`](super::Session).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Streams at a time.
    pub max_streams: usize,
    /// What the other side may send on a new stream, in bytes. Anything but [`FIRST_WINDOW`] has to be agreed on with it.
    pub first_window: u32,
    /// No window grows larger, in bytes.
    pub max_window: u32,
    /// All windows together grow by no more, in bytes.
    pub max_growth: u32,
    /// Windows of many sessions grow by no more than this together.
    pub pool: WindowPool,
    /// Bytes that came and were not read, of all streams.
    pub max_unread: usize,
    /// Bytes that were written to a stream and have not gone.
    pub send_buffer: usize,
    /// The level of streams that the other side opens, until they are accepted.
    pub level: u8,
    /// Between two signs of life.
    pub ping_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_streams: 16_384,
            first_window: FIRST_WINDOW,
            max_window: 16 << 20,
            max_growth: 64 << 20,
            pool: WindowPool::default(),
            max_unread: 64 << 20,
            send_buffer: 64 * 1024,
            level: 5,
            ping_every: Duration::from_secs(25),
        }
    }
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Streams may be opened, by both sides.
    Open,
    /// No new streams: one side has said that it goes away. It is [`Closed`](Self::Closed) with the last stream.
    Draining,
    /// It is over. What [`poll_bytes`](super::Session::poll_bytes) still gives is to be written; then the connection can go.
    Closed,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Not version 0.
    #[error("a frame of another version of the protocol")]
    Version,
    /// A frame of a kind that does not exist.
    #[error("a frame of an unknown kind")]
    Kind,
    /// Flags that do not exist, or not on this kind of frame.
    #[error("a frame with flags that it cannot have")]
    Flags,
    /// A stream number that this kind of frame, or this side, cannot have.
    #[error("a frame with a stream number that it cannot have")]
    Stream,
    /// A stream is opened that is open.
    #[error("a stream is opened a second time")]
    Reused,
    /// Data after the end of its direction.
    #[error("data after the end of a stream")]
    AfterEnd,
    /// More data than was granted.
    #[error("more data than was granted")]
    Credit,
    /// More is granted than can be counted.
    #[error("a window of more than 4 GiB")]
    Window,
    /// Too many frames that cost work and bring nothing.
    #[error("a flood of frames that bring nothing")]
    Flood,
    /// The other side says that the fault is ours, or its own.
    #[error("the other side has ended the session with an error")]
    Refused,
    /// Nothing has come for two pings.
    #[error("the other side gives no sign of life")]
    Dead,
    /// The connection has ended.
    #[error("the connection is lost")]
    Lost,
}

impl From<SessionError> for sluis_core::Reject {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Flood => Self::Busy,
            _ => Self::Malformed,
        }
    }
}

/// Why no stream can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// [`MAX_UNANSWERED`] wait for an acknowledgement: later.
    #[error("{MAX_UNANSWERED} streams wait to be acknowledged")]
    Unanswered,
    /// There are [`Config::max_streams`].
    #[error("there are as many streams as there may be")]
    Full,
    /// The session ends: on another connection.
    #[error("the session takes no new streams")]
    Draining,
}

/// The stream is not there any more: it was reset, has come to its end, or the session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is not there any more")]
pub struct Gone;

/// Names one stream of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(super) SlotId);

impl StreamId {
    /// The number of its place, below [`Config::max_streams`], which another stream may have afterwards.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0.slot()
    }
}

/// What an application is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The other side has opened a stream: [`accept`](super::Session::accept) or [`reset`](super::Session::reset) it.
    Opened(StreamId),
    /// There is something to [`read`](super::Session::read), or the end.
    Readable(StreamId),
    /// A write that was cut short can go on.
    Writable(StreamId),
    /// The stream is over, and what was not read is gone: the other side has reset it, or the session has ended.
    Reset(StreamId),
    /// The other side takes no new streams.
    GoingAway,
}

/// What reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read<T = usize> {
    /// These, or so many bytes.
    Bytes(T),
    /// Nothing for now; there will be an [`Event::Readable`].
    Pending,
    /// No more will come.
    End,
}

/// What was counted. Counters stop at `u64::MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Streams that we opened.
    pub opened: u64,
    /// Streams that the other side opened.
    pub accepted: u64,
    /// Streams that it wanted to open and was not let.
    pub refused: u64,
    /// Streams that it reset.
    pub resets: u64,
    /// Streams that were reset because too much was not read.
    pub overflows: u64,
    /// Frames for streams that were not there.
    pub strays: u64,
}
