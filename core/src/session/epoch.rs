//! The keys that one handshake made, and the packets under them.

use super::window::Window;
use super::wire::{BLOCK, DATA_HEAD, Head, TAG};
use super::{INNER_HEAD, REJECT_AFTER_PACKETS, SealError, SessionReject};
use crate::noise::CipherKey;
use crate::table::{Chain, Chained};
use crate::time::Instant;

/// What stands in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Inner {
    /// Nothing: it is heard that we are there.
    Nothing = 0,
    /// What the application sends.
    Body = 1,
    /// Eight bytes that are to come back the same way.
    Challenge = 2,
    /// Those eight bytes.
    Answer = 3,
    /// The sender has forgotten this session.
    Close = 4,
    /// The sender has heard two nodes with the name and key of the receiver, and has forgotten this session.
    Clone = 5,
    /// Addresses at which the sender can be reached without relays.
    Addresses = 6,
    /// Eight bytes that are to come back from one of them.
    Ask = 7,
}

/// The index of epochs by the number that we gave.
pub(super) struct ByNumber;

pub(super) struct Epoch {
    /// Ours: what is sent to us under these keys bears it.
    pub(super) index: u32,
    /// The other side's.
    pub(super) peer_index: u32,
    /// The slot of the session.
    pub(super) session: u32,
    /// Whether the handshake was ours.
    pub(super) initiator: bool,
    pub(super) suite: u8,
    /// Whether anything was opened with these keys.
    pub(super) heard: bool,
    pub(super) born: Instant,
    send: CipherKey,
    receive: CipherKey,
    pub(super) sent: u64,
    window: Window,
    chain: Chain,
}

impl Chained<ByNumber> for Epoch {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

/// What was in a packet.
pub(super) struct Opened {
    pub(super) inner: Inner,
    /// Length of its body, which begins behind the head of the packet and its own.
    pub(super) len: usize,
    /// Whether no later packet was opened before.
    pub(super) newest: bool,
}

/// How long a packet is, in bytes, with a body of this length.
pub(super) const fn sealed_len(body: usize) -> usize {
    DATA_HEAD + (INNER_HEAD + body).next_multiple_of(BLOCK) + TAG
}

impl Epoch {
    pub(super) fn new(
        index: u32,
        peer_index: u32,
        session: u32,
        keys: [CipherKey; 2],
        initiator: bool,
        suite: u8,
        born: Instant,
    ) -> Self {
        let [send, receive] = keys;
        let (window, chain) = (Window::new(), Chain::default());
        Self { index, peer_index, session, initiator, suite, heard: false, born, send, receive, sent: 0, window, chain }
    }

    /// Whether it holds memory for packets that are missing.
    pub(super) const fn is_wide(&self) -> bool {
        self.window.is_wide()
    }

    /// Give that memory back: what is missing is no longer taken, the last 64 packets aside.
    pub(super) fn narrow(&mut self) {
        self.window.narrow();
    }

    /// Make a packet of a body that stands at [`HEAD_ROOM`](super::HEAD_ROOM), and say how long it is.
    pub(super) fn seal(&mut self, inner: Inner, body: usize, buf: &mut [u8]) -> Result<usize, SealError> {
        let len = sealed_len(body);
        let written = u16::try_from(body).map_err(|_| SealError::TooLong)?;
        let frame = buf.get_mut(..len).ok_or(SealError::Room)?;
        if self.sent >= REJECT_AFTER_PACKETS {
            return Err(SealError::NotReady);
        }
        Head::data(self.peer_index, self.sent).write(frame);
        let (head, rest) = frame.split_at_mut(DATA_HEAD);
        let (text, tag) = rest.split_at_mut(len - DATA_HEAD - TAG);
        let [high, low] = written.to_be_bytes();
        text[..INNER_HEAD].copy_from_slice(&[inner as u8, high, low]);
        text[INNER_HEAD + body..].fill(0);
        let sealed = self.send.seal(self.sent, head, text).map_err(|_| SealError::TooLong)?;
        tag.copy_from_slice(&sealed);
        self.sent += 1;
        Ok(len)
    }

    /// Take every counter once more.
    pub(super) fn forget_counters(&mut self) {
        self.window = Window::new();
    }

    /// Check and decrypt a packet in place. Only one that is genuine changes anything.
    pub(super) fn open(&mut self, counter: u64, frame: &mut [u8]) -> Result<Opened, SessionReject> {
        if counter >= REJECT_AFTER_PACKETS {
            return Err(SessionReject::Expired);
        }
        self.window.check(counter)?;
        let (head, rest) = frame.split_at_mut_checked(DATA_HEAD).ok_or(SessionReject::Frame)?;
        let (text, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(SessionReject::Frame)?;
        self.receive.open(counter, head, text, tag).map_err(|_| SessionReject::Seal)?;
        let newest = self.window.take(counter);
        self.heard = true;
        let (&[kind, high, low], body) = text.split_first_chunk::<INNER_HEAD>().ok_or(SessionReject::Frame)?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        use Inner::{Addresses, Answer, Ask, Body, Challenge, Clone, Close, Nothing};
        let all = [Nothing, Body, Challenge, Answer, Close, Clone, Addresses, Ask];
        let inner = all.into_iter().find(|known| *known as u8 == kind);
        match inner.filter(|_| len <= body.len()) {
            Some(inner) => Ok(Opened { inner, len, newest }),
            None => Err(SessionReject::Frame),
        }
    }
}
