//! The header of a yamux frame.

/// Bytes of a header.
pub(super) const HEADER_LEN: usize = 12;

/// What the other side may send on a stream before it has heard anything of ours (the yamux specification).
pub const FIRST_WINDOW: u32 = 256 * 1024;

/// Opens a stream.
pub(super) const SYN: u16 = 1;
/// Accepts it.
pub(super) const ACK: u16 = 2;
/// No more data follows.
pub(super) const FIN: u16 = 4;
/// The stream is over in both directions.
pub(super) const RST: u16 = 8;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As many bytes as its length says follow.
    Data,
    /// The length is added to what may be sent.
    WindowUpdate,
    /// The length is any value, which comes back with ACK.
    Ping,
    /// The length is a code.
    GoAway,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) flags: u16,
    pub(super) stream: u32,
    pub(super) length: u32,
}

impl Header {
    /// Read one.
    pub(super) fn read(bytes: &[u8; HEADER_LEN]) -> Result<Self, super::SessionError> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = *bytes;
        if version != 0 {
            return Err(super::SessionError::Version);
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            _ => return Err(super::SessionError::Kind),
        };
        let flags = u16::from_be_bytes([f0, f1]);
        if flags & !(SYN | ACK | FIN | RST) != 0 {
            return Err(super::SessionError::Flags);
        }
        let (stream, length) = (u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([l0, l1, l2, l3]));
        Ok(Self { kind, flags, stream, length })
    }

    /// Write it.
    pub(super) const fn bytes(self) -> [u8; HEADER_LEN] {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::WindowUpdate => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        let [f0, f1] = self.flags.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [0, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }
}
