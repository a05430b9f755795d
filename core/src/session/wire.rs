//! The six frames, from the outside: what stands in the clear.

use super::SessionReject;
use crate::limits::HEADER_LEN;

/// Bits of a TP header: a frame of a session and nothing else.
const FLAGS: u8 = 0x08;
/// The version of TP frames.
const VERSION: u8 = 1;

/// Length of a mac, in bytes.
pub(super) const MAC: usize = 16;
/// Length of a tag, in bytes.
pub(super) const TAG: usize = 16;
/// Of a first message, before what Noise writes.
pub(super) const INIT_HEAD: usize = HEADER_LEN + 8;
/// The same of a second and a third message.
pub(super) const ANSWER_HEAD: usize = HEADER_LEN + 12;
/// Of data, before the ciphertext: all of it is authenticated.
pub(super) const DATA_HEAD: usize = HEADER_LEN + 16;
/// All of a cookie frame.
pub(super) const COOKIE_LEN: usize = HEADER_LEN + 8 + 16 + MAC + TAG;
/// What is encrypted is a multiple of this long, in bytes.
pub(super) const BLOCK: usize = 64;

/// The kinds of frames, as their first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Init = 1,
    Response = 2,
    Final = 3,
    Cookie = 4,
    Data = 5,
    /// The rest of what a first or second message of suite 2 announces.
    Rest = 6,
}

/// What stands in the clear in front of a frame. What a kind does not have is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) suite: u8,
    pub(super) pattern: u8,
    /// The index that the sender wants to be answered under.
    pub(super) sender: u32,
    /// The index that the receiver gave.
    pub(super) receiver: u32,
    /// The number of the packet.
    pub(super) counter: u64,
}

impl Head {
    pub(super) const fn data(receiver: u32, counter: u64) -> Self {
        Self { kind: Kind::Data, suite: 0, pattern: 0, sender: 0, receiver, counter }
    }

    /// How long this is in front of a frame.
    pub(super) const fn len(&self) -> usize {
        match self.kind {
            Kind::Init | Kind::Cookie => INIT_HEAD,
            Kind::Response | Kind::Final | Kind::Rest => ANSWER_HEAD,
            Kind::Data => DATA_HEAD,
        }
    }

    /// Write it to the front of a frame, whose length is that of the whole buffer.
    pub(super) fn write(&self, frame: &mut [u8]) {
        let len = u32::try_from(frame.len().saturating_sub(HEADER_LEN)).unwrap_or(u32::MAX).to_be_bytes();
        let mut head = [0; DATA_HEAD];
        head[..4].copy_from_slice(&[b'T', b'P', VERSION, FLAGS]);
        head[4..8].copy_from_slice(&len);
        head[8..12].copy_from_slice(&[self.kind as u8, self.suite, self.pattern, 0]);
        let (first, second) = match self.kind {
            Kind::Init => (self.sender, 0),
            Kind::Cookie | Kind::Data => (self.receiver, 0),
            Kind::Response | Kind::Final | Kind::Rest => (self.sender, self.receiver),
        };
        head[12..16].copy_from_slice(&first.to_be_bytes());
        head[16..20].copy_from_slice(&second.to_be_bytes());
        if self.kind == Kind::Data {
            head[16..24].copy_from_slice(&self.counter.to_be_bytes());
        }
        frame.iter_mut().zip(head.iter().take(self.len())).for_each(|(to, from)| *to = *from);
    }

    /// Read the front of a datagram: a frame of a session that is as long as it says, and as its kind must be.
    pub(super) fn parse(datagram: &[u8]) -> Result<Self, SessionReject> {
        let head = datagram.first_chunk::<INIT_HEAD>().ok_or(SessionReject::Frame)?;
        let [b'T', b'P', VERSION, FLAGS, l0, l1, l2, l3, kind, suite, pattern, 0, i0, i1, i2, i3] = *head else {
            return Err(SessionReject::Frame);
        };
        if u32::from_be_bytes([l0, l1, l2, l3]) as usize != datagram.len() - HEADER_LEN {
            return Err(SessionReject::Frame);
        }
        let kind = [Kind::Init, Kind::Response, Kind::Final, Kind::Cookie, Kind::Data, Kind::Rest]
            .into_iter()
            .find(|known| *known as u8 == kind)
            .ok_or(SessionReject::Frame)?;
        let first = u32::from_be_bytes([i0, i1, i2, i3]);
        let rest = datagram.get(INIT_HEAD..).unwrap_or_default();
        let mut this = Self { kind, suite, pattern, sender: 0, receiver: first, counter: 0 };
        let (head, shortest) = (this.len(), 32 + 2 * MAC);
        let fits = match kind {
            Kind::Init | Kind::Response | Kind::Final | Kind::Rest => datagram.len() >= head + shortest,
            Kind::Cookie => datagram.len() == COOKIE_LEN && (suite, pattern) == (0, 0),
            Kind::Data => {
                let sealed = datagram.len().saturating_sub(head + TAG);
                sealed > 0 && sealed.is_multiple_of(BLOCK) && (suite, pattern) == (0, 0)
            }
        };
        if !fits {
            return Err(SessionReject::Frame);
        }
        match kind {
            Kind::Init => (this.sender, this.receiver) = (first, 0),
            Kind::Response | Kind::Final | Kind::Rest => {
                let second = rest.first_chunk().ok_or(SessionReject::Frame)?;
                (this.sender, this.receiver) = (first, u32::from_be_bytes(*second));
            }
            Kind::Data => this.counter = u64::from_be_bytes(*rest.first_chunk().ok_or(SessionReject::Frame)?),
            Kind::Cookie => {}
        }
        Ok(this)
    }
}

/// Whether a datagram is for [`Sessions`](super::Sessions): a TP frame whose flags are exactly `0x08`. Whatever else has that bit is read as the frame that
/// its other bits say.
#[must_use]
pub fn is_session_frame(datagram: &[u8]) -> bool {
    datagram.starts_with(&[b'T', b'P', VERSION, FLAGS])
}
