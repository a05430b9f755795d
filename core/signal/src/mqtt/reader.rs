//! Packets from a stream that cuts them anywhere.

use alloc::vec::Vec;

use super::decode::{Header, packet};
use super::types::{DecodeError, Packet};

/// Memory that is kept from packet to packet, in bytes.
const KEPT: usize = 4096;

/// Puts packets together that arrive in pieces.
///
/// A packet that is there as a whole is lent from the caller's bytes. One that is cut is copied as it arrives, after its length was
/// looked at: memory grows with the bytes that came, not with what a header claims, and goes back after a long packet. Between
/// packets nothing is held.
#[derive(Debug)]
pub struct Reader {
    max: usize,
    /// The start of a packet, or a whole one that was lent out by the last call.
    held: Vec<u8>,
    lent: bool,
    broken: Option<DecodeError>,
}

impl Reader {
    /// Take packets of at most `max` bytes, header included; see [`MAX_PACKET`](super::MAX_PACKET).
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { max, held: Vec::new(), lent: false, broken: None }
    }

    /// The next packet, and how many bytes of `input` were used: all of them where there is no packet yet.
    ///
    /// # Errors
    /// [`DecodeError`], and the same for every call after it: nothing behind a malformed packet can be understood.
    #[inline]
    pub fn read<'a>(&'a mut self, input: &'a [u8]) -> Result<(Option<Packet<'a>>, usize), DecodeError> {
        // What comes most often, where it is there as a whole and nothing is held.
        if let [0x40, 2, high, low, ..] = *input
            && (high, low) != (0, 0)
            && self.held.is_empty()
            && self.broken.is_none()
            && self.max >= 4
        {
            return Ok((Some(Packet::PubAck { id: u16::from_be_bytes([high, low]) }), 4));
        }
        self.read_any(input)
    }

    fn read_any<'a>(&'a mut self, input: &'a [u8]) -> Result<(Option<Packet<'a>>, usize), DecodeError> {
        if let Some(why) = self.broken {
            return Err(why);
        }
        if self.lent {
            self.lent = false;
            self.held.clear();
            if self.held.capacity() > KEPT {
                self.held = Vec::new();
            }
        }
        let mut rest = input;
        let decoded = match self.take(&mut rest) {
            Ok(Some(Whole::Lent(header, body))) => packet(&header, body).map(Some),
            Ok(Some(Whole::Held(header))) => {
                self.lent = true;
                packet(&header, self.held.get(header.len..).unwrap_or_default()).map(Some)
            }
            Ok(None) => Ok(None),
            Err(why) => {
                self.held = Vec::new();
                Err(why)
            }
        };
        self.broken = decoded.err();
        decoded.map(|packet| (packet, input.len() - rest.len()))
    }

    /// Bytes of heap that are held.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// The next whole packet, in the input or in `held`; `None` when all of the input was used up and there is none.
    fn take<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Whole<'a>>, DecodeError> {
        if self.held.is_empty() {
            let Some(header) = Header::read(input, self.max)? else {
                self.hold(input, usize::MAX);
                return Ok(None);
            };
            if let Some((whole, rest)) = input.split_at_checked(header.packet_len()) {
                *input = rest;
                return Ok(Some(Whole::Lent(header, whole.get(header.len..).unwrap_or_default())));
            }
            self.hold(input, usize::MAX);
            return Ok(None);
        }
        // The header byte by byte: nothing of a packet that is too long is kept.
        let header = loop {
            match Header::read(&self.held, self.max)? {
                Some(header) => break header,
                None if input.is_empty() => return Ok(None),
                None => self.hold(input, 1),
            }
        };
        self.hold(input, header.packet_len().saturating_sub(self.held.len()));
        Ok((self.held.len() == header.packet_len()).then_some(Whole::Held(header)))
    }

    /// Keep at most so many bytes off the front of the input.
    fn hold(&mut self, input: &mut &[u8], most: usize) {
        let (take, rest) = input.split_at(most.min(input.len()));
        self.held.extend_from_slice(take);
        *input = rest;
    }
}

/// Where a whole packet is.
enum Whole<'a> {
    /// In the input: this is behind its header.
    Lent(Header, &'a [u8]),
    /// All that is held.
    Held(Header),
}
