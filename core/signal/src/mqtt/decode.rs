//! Bytes to packets.

use core::str;

use super::types::{Connect, DecodeError, Filters, Packet, Publish, Qos, Will};

/// The fixed header of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Type and flags.
    first: u8,
    /// Bytes of the header itself.
    pub(super) len: usize,
    /// Bytes behind it.
    pub(super) remaining: usize,
}

impl Header {
    /// Read it; `None` when it is not all there yet. `max` bounds the whole packet and is checked first.
    pub(super) fn read(bytes: &[u8], max: usize) -> Result<Option<Self>, DecodeError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        check_first(first)?;
        let mut remaining = 0;
        for (at, &byte) in rest.iter().take(4).enumerate() {
            remaining |= usize::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                let len = 2 + at;
                return match len + remaining {
                    all if all > max => Err(DecodeError::TooLong),
                    _ => Ok(Some(Self { first, len, remaining })),
                };
            }
        }
        if rest.len() >= 4 { Err(DecodeError::Length) } else { Ok(None) }
    }

    /// Bytes of the whole packet.
    pub(super) const fn packet_len(&self) -> usize {
        self.len + self.remaining
    }
}

/// What is wrong with a packet by its first byte: an HTTP server is told from a broker before it has said its length.
fn check_first(first: u8) -> Result<(), DecodeError> {
    match (first >> 4, first & 15) {
        (0 | 15, _) => Err(DecodeError::Type),
        // Quality 3, or a duplicate of quality 0.
        (3, flags) if flags & 6 == 6 || flags & 14 == 8 => Err(DecodeError::Qos),
        // PUBREL, SUBSCRIBE and UNSUBSCRIBE have one of the reserved bits set.
        (3, _) | (6 | 8 | 10, 2) => Ok(()),
        (6 | 8 | 10, _) => Err(DecodeError::Reserved),
        (_, 0) => Ok(()),
        _ => Err(DecodeError::Reserved),
    }
}

/// Take the first packet of `bytes`, and say how many bytes it takes; `None` when it is not all there yet.
///
/// `max` bounds the length of the packet, header included ([`MAX_PACKET`](super::MAX_PACKET)): a longer one is refused by what its
/// header says.
///
/// # Errors
/// [`DecodeError`]. There is no way to find the start of the next packet then.
#[inline]
pub fn decode(bytes: &[u8], max: usize) -> Result<Option<(Packet<'_>, usize)>, DecodeError> {
    let Some(header) = Header::read(bytes, max)? else { return Ok(None) };
    let Some(body) = bytes.get(header.len..header.packet_len()) else { return Ok(None) };
    packet(&header, body).map(|packet| Some((packet, header.packet_len())))
}

/// The packet of a header and all that is behind it.
#[inline]
pub(super) fn packet<'a>(header: &Header, body: &'a [u8]) -> Result<Packet<'a>, DecodeError> {
    let (kind, flags) = (header.first >> 4, header.first & 15);
    let mut body = Body(body);
    if kind == 3 {
        return publish(flags, body).map(Packet::Publish);
    }
    let packet = match kind {
        1 => Packet::Connect(connect(&mut body)?),
        2 => connack(&mut body)?,
        4 => Packet::PubAck { id: body.id()? },
        5 => Packet::PubRec { id: body.id()? },
        6 => Packet::PubRel { id: body.id()? },
        7 => Packet::PubComp { id: body.id()? },
        8 => Packet::Subscribe { id: body.id()?, filters: body.filters(true)? },
        9 => suback(&mut body)?,
        10 => Packet::Unsubscribe { id: body.id()?, filters: body.filters(false)? },
        11 => Packet::UnsubAck { id: body.id()? },
        12 => Packet::PingReq,
        13 => Packet::PingResp,
        14 => Packet::Disconnect,
        _ => return Err(DecodeError::Type),
    };
    if body.0.is_empty() { Ok(packet) } else { Err(DecodeError::Trailing) }
}

fn publish(flags: u8, mut body: Body<'_>) -> Result<Publish<'_>, DecodeError> {
    let (duplicate, retain) = (flags & 8 != 0, flags & 1 != 0);
    let qos = Qos::from_byte((flags >> 1) & 3).ok_or(DecodeError::Qos)?;
    let topic = body.topic()?;
    let id = match qos {
        Qos::AtMostOnce => None,
        Qos::AtLeastOnce => Some(body.id()?),
        Qos::ExactlyOnce => return Err(DecodeError::Qos2),
    };
    Ok(Publish { topic, payload: body.0, id, retain, duplicate })
}

fn connack<'a>(body: &mut Body<'a>) -> Result<Packet<'a>, DecodeError> {
    let (flags, code) = (body.byte()?, body.byte()?);
    if flags > 1 {
        return Err(DecodeError::Reserved);
    }
    // A refusal keeps no session.
    if code > 5 || (code != 0 && flags == 1) {
        return Err(DecodeError::Code);
    }
    Ok(Packet::ConnAck { session_present: flags == 1, code })
}

fn suback<'a>(body: &mut Body<'a>) -> Result<Packet<'a>, DecodeError> {
    let id = body.id()?;
    let codes = core::mem::take(&mut body.0);
    if codes.is_empty() {
        return Err(DecodeError::Short);
    }
    if !codes.iter().all(|code| matches!(code, 0 | 1 | 2 | 0x80)) {
        return Err(DecodeError::Code);
    }
    Ok(Packet::SubAck { id, codes })
}

fn connect<'a>(body: &mut Body<'a>) -> Result<Connect<'a>, DecodeError> {
    if body.binary()? != b"MQTT" || body.byte()? != 4 {
        return Err(DecodeError::Protocol);
    }
    let flags = body.byte()?;
    let set = |bit: u8| flags & bit != 0;
    let will_qos = Qos::from_byte((flags >> 3) & 3).ok_or(DecodeError::Qos)?;
    // The lowest bit is reserved; what belongs to a will needs one, and a password a user.
    if set(1) || (!set(4) && flags & 0x38 != 0) || (set(0x40) && !set(0x80)) {
        return Err(DecodeError::Reserved);
    }
    let keep_alive = body.u16()?;
    let client_id = body.text()?;
    let will = match set(4) {
        true => Some(Will { topic: body.topic()?, payload: body.binary()?, qos: will_qos, retain: set(0x20) }),
        false => None,
    };
    let user = if set(0x80) { Some(body.text()?) } else { None };
    let password = if set(0x40) { Some(body.binary()?) } else { None };
    Ok(Connect { client_id, clean: set(2), keep_alive, user, password, will })
}

/// What is left of a packet.
#[derive(Clone, Copy)]
pub(super) struct Body<'a>(pub(super) &'a [u8]);

impl<'a> Body<'a> {
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (byte, rest) = self.0.split_first().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        let (two, rest) = self.0.split_first_chunk().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*two))
    }

    fn id(&mut self) -> Result<u16, DecodeError> {
        self.u16().and_then(|id| if id == 0 { Err(DecodeError::Id) } else { Ok(id) })
    }

    fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = usize::from(self.u16()?);
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        let text = str::from_utf8(self.binary()?).map_err(|_| DecodeError::Text)?;
        if text.contains('\0') { Err(DecodeError::Text) } else { Ok(text) }
    }

    /// The topic of a message.
    fn topic(&mut self) -> Result<&'a str, DecodeError> {
        let topic = self.text()?;
        if topic.is_empty() || topic.contains(['+', '#']) { Err(DecodeError::Topic) } else { Ok(topic) }
    }

    /// A topic filter and what stands behind it.
    pub(super) fn filter(&mut self, with_qos: bool) -> Result<(&'a str, Qos), DecodeError> {
        let filter = self.text()?;
        if !is_filter(filter) {
            return Err(DecodeError::Topic);
        }
        if !with_qos {
            return Ok((filter, Qos::AtMostOnce));
        }
        match self.byte()? {
            byte if byte > 3 => Err(DecodeError::Reserved),
            byte => Ok((filter, Qos::from_byte(byte).ok_or(DecodeError::Qos)?)),
        }
    }

    /// All filters to the end of the packet: one at least.
    fn filters(&mut self, with_qos: bool) -> Result<Filters<'a>, DecodeError> {
        let raw = self.0;
        self.filter(with_qos)?;
        while !self.0.is_empty() {
            self.filter(with_qos)?;
        }
        Ok(Filters { raw, with_qos })
    }
}

/// Whether wildcards stand where they may (4.7.1): alone in a level, `#` only in the last one.
fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').rev();
    let last = levels.next().is_some_and(|level| level == "#" || is_level(level));
    !filter.is_empty() && last && levels.all(is_level)
}

fn is_level(level: &str) -> bool {
    level == "+" || !level.contains(['+', '#'])
}
