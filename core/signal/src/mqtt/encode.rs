//! Packets to bytes, each written to the start of the caller's buffer. What is returned is their length.

use super::types::{Connect, Publish, Qos};

/// Why a packet is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The caller's buffer is too short.
    #[error("the buffer is too short for this packet")]
    Room,
    /// A text is longer than 65,535 bytes, or the packet longer than MQTT allows.
    #[error("longer than MQTT allows")]
    TooLong,
    /// What the standard forbids: packet id 0, a password without a user, a topic that is none, a duplicate of quality 0.
    #[error("MQTT does not allow such a packet")]
    Invalid,
}

/// The most that four bytes of length can say.
const MAX_REMAINING: usize = 268_435_455;

/// CONNECT.
///
/// # Errors
/// [`EncodeError`].
pub fn connect(connect: &Connect<'_>, out: &mut [u8]) -> Result<usize, EncodeError> {
    if connect.password.is_some() && connect.user.is_none() {
        return Err(EncodeError::Invalid);
    }
    let mut flags = if connect.clean { 2 } else { 0 };
    let mut fields: [Option<&[u8]>; 5] = [Some(connect.client_id.as_bytes()), None, None, None, None];
    if let Some(will) = &connect.will {
        check_topic(will.topic)?;
        flags |= 4 | ((will.qos as u8) << 3) | if will.retain { 0x20 } else { 0 };
        (fields[1], fields[2]) = (Some(will.topic.as_bytes()), Some(will.payload));
    }
    if let Some(user) = connect.user {
        flags |= 0x80;
        fields[3] = Some(user.as_bytes());
    }
    if let Some(password) = connect.password {
        flags |= 0x40;
        fields[4] = Some(password);
    }
    check_texts([Some(connect.client_id), connect.user])?;
    let fields = || fields.iter().flatten();
    let mut out = Out::begin(0x10, 10 + fields().map(|field| 2 + field.len()).sum::<usize>(), out)?;
    out.put(b"\0\x04MQTT\x04")?;
    out.put(&[flags])?;
    out.put(&connect.keep_alive.to_be_bytes())?;
    fields().try_for_each(|field| out.counted(field))?;
    Ok(out.at)
}

/// PUBLISH.
///
/// # Errors
/// [`EncodeError`].
#[inline]
pub fn publish(publish: &Publish<'_>, out: &mut [u8]) -> Result<usize, EncodeError> {
    let at = publish_header(publish, publish.payload.len(), out)?;
    let end = at + publish.payload.len();
    out.get_mut(at..end).ok_or(EncodeError::Room)?.copy_from_slice(publish.payload);
    Ok(end)
}

/// All of a PUBLISH that stands before its payload, for a payload of `payload_len` bytes that the caller writes behind it himself.
/// `publish.payload` is not looked at.
///
/// # Errors
/// [`EncodeError`]; [`EncodeError::Room`] also where the payload would not fit behind.
#[inline]
pub fn publish_header(publish: &Publish<'_>, payload_len: usize, out: &mut [u8]) -> Result<usize, EncodeError> {
    check_topic(publish.topic)?;
    if publish.id == Some(0) || (publish.duplicate && publish.id.is_none()) {
        return Err(EncodeError::Invalid);
    }
    let flags = (u8::from(publish.id.is_some()) << 1) | (u8::from(publish.duplicate) << 3) | u8::from(publish.retain);
    let fixed = 2 + publish.topic.len() + if publish.id.is_some() { 2 } else { 0 };
    let remaining = fixed.checked_add(payload_len).ok_or(EncodeError::TooLong)?;
    let mut out = Out::begin(0x30 | flags, remaining, out)?;
    out.counted(publish.topic.as_bytes())?;
    if let Some(id) = publish.id {
        out.put(&id.to_be_bytes())?;
    }
    Ok(out.at)
}

/// How long a PUBLISH with a topic, a packet id and a payload of these lengths is.
#[must_use]
pub const fn publish_len(topic: usize, payload: usize) -> usize {
    let remaining = topic.saturating_add(4).saturating_add(payload);
    remaining.saturating_add(1 + length_len(remaining))
}

/// PUBACK.
///
/// # Errors
/// [`EncodeError`].
pub fn puback(id: u16, out: &mut [u8]) -> Result<usize, EncodeError> {
    with_id(0x40, id, out)
}

/// UNSUBACK.
///
/// # Errors
/// [`EncodeError`].
pub fn unsuback(id: u16, out: &mut [u8]) -> Result<usize, EncodeError> {
    with_id(0xb0, id, out)
}

/// SUBSCRIBE to these filters, one at least.
///
/// # Errors
/// [`EncodeError`].
pub fn subscribe(id: u16, filters: &[(&str, Qos)], out: &mut [u8]) -> Result<usize, EncodeError> {
    if id == 0 || filters.is_empty() {
        return Err(EncodeError::Invalid);
    }
    let mut out = Out::begin(0x82, 2 + filters.iter().map(|(filter, _)| 3 + filter.len()).sum::<usize>(), out)?;
    out.put(&id.to_be_bytes())?;
    for (filter, qos) in filters {
        check_texts([Some(filter), None])?;
        out.counted(filter.as_bytes())?;
        out.put(&[*qos as u8])?;
    }
    Ok(out.at)
}

/// UNSUBSCRIBE from these filters, one at least.
///
/// # Errors
/// [`EncodeError`].
pub fn unsubscribe(id: u16, filters: &[&str], out: &mut [u8]) -> Result<usize, EncodeError> {
    if id == 0 || filters.is_empty() {
        return Err(EncodeError::Invalid);
    }
    let mut out = Out::begin(0xa2, 2 + filters.iter().map(|filter| 2 + filter.len()).sum::<usize>(), out)?;
    out.put(&id.to_be_bytes())?;
    for filter in filters {
        check_texts([Some(filter), None])?;
        out.counted(filter.as_bytes())?;
    }
    Ok(out.at)
}

/// SUBACK with a code for each filter, one at least.
///
/// # Errors
/// [`EncodeError`].
pub fn suback(id: u16, codes: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
    if id == 0 || codes.is_empty() || !codes.iter().all(|code| matches!(code, 0 | 1 | 2 | 0x80)) {
        return Err(EncodeError::Invalid);
    }
    let mut out = Out::begin(0x90, 2 + codes.len(), out)?;
    out.put(&id.to_be_bytes())?;
    out.put(codes)?;
    Ok(out.at)
}

/// CONNACK, of a session that was not kept.
///
/// # Errors
/// [`EncodeError`].
pub fn connack(code: u8, out: &mut [u8]) -> Result<usize, EncodeError> {
    if code > 5 {
        return Err(EncodeError::Invalid);
    }
    Out::whole(&[0x20, 2, 0, code], out)
}

/// PINGREQ.
///
/// # Errors
/// [`EncodeError::Room`].
pub fn pingreq(out: &mut [u8]) -> Result<usize, EncodeError> {
    Out::whole(&[0xc0, 0], out)
}

/// PINGRESP.
///
/// # Errors
/// [`EncodeError::Room`].
pub fn pingresp(out: &mut [u8]) -> Result<usize, EncodeError> {
    Out::whole(&[0xd0, 0], out)
}

/// DISCONNECT.
///
/// # Errors
/// [`EncodeError::Room`].
pub fn disconnect(out: &mut [u8]) -> Result<usize, EncodeError> {
    Out::whole(&[0xe0, 0], out)
}

fn with_id(first: u8, id: u16, out: &mut [u8]) -> Result<usize, EncodeError> {
    if id == 0 {
        return Err(EncodeError::Invalid);
    }
    let [high, low] = id.to_be_bytes();
    Out::whole(&[first, 2, high, low], out)
}

#[inline]
fn check_topic(topic: &str) -> Result<(), EncodeError> {
    // Sixteen bytes at a time, the last of them looked at twice where the length is no multiple, and no way out in the middle.
    // `+` and `#` differ in one bit.
    let is_bad = |byte: u8| u8::from(byte == 0) | u8::from(byte | 8 == b'+');
    let bytes = topic.as_bytes();
    let bad = match bytes.last_chunk::<16>() {
        Some(last) => {
            let mut bad = [0; 16];
            for chunk in bytes.as_chunks::<16>().0.iter().chain([last]) {
                bad.iter_mut().zip(chunk).for_each(|(bad, byte)| *bad |= is_bad(*byte));
            }
            u128::from_ne_bytes(bad) != 0
        }
        None => bytes.is_empty() || bytes.iter().any(|byte| is_bad(*byte) != 0),
    };
    if bad { Err(EncodeError::Invalid) } else { Ok(()) }
}

fn check_texts(texts: [Option<&str>; 2]) -> Result<(), EncodeError> {
    let bad = texts.into_iter().flatten().any(|text| text.contains('\0'));
    if bad { Err(EncodeError::Invalid) } else { Ok(()) }
}

/// How many bytes a length takes.
const fn length_len(remaining: usize) -> usize {
    match remaining {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// The start of a packet in the making.
struct Out<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Out<'a> {
    /// The fixed header; there is room for all of the packet from here on.
    #[inline]
    fn begin(first: u8, remaining: usize, bytes: &'a mut [u8]) -> Result<Self, EncodeError> {
        if remaining > MAX_REMAINING {
            return Err(EncodeError::TooLong);
        }
        let len = length_len(remaining);
        if bytes.len() < 1 + len + remaining {
            return Err(EncodeError::Room);
        }
        // Seven bits each.
        #[allow(clippy::cast_possible_truncation)]
        let seven = |at: usize| (remaining >> (7 * at)) as u8 & 0x7f;
        let mut out = Self { bytes, at: 0 };
        // Of a length that is known where it is copied.
        match len {
            1 => out.put(&[first, seven(0)])?,
            2 => out.put(&[first, seven(0) | 0x80, seven(1)])?,
            3 => out.put(&[first, seven(0) | 0x80, seven(1) | 0x80, seven(2)])?,
            _ => out.put(&[first, seven(0) | 0x80, seven(1) | 0x80, seven(2) | 0x80, seven(3)])?,
        }
        Ok(out)
    }

    fn whole(packet: &[u8], bytes: &'a mut [u8]) -> Result<usize, EncodeError> {
        let mut out = Self { bytes, at: 0 };
        out.put(packet)?;
        Ok(out.at)
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let end = self.at + bytes.len();
        self.bytes.get_mut(self.at..end).ok_or(EncodeError::Room)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// Two bytes of length before it.
    #[inline]
    fn counted(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::TooLong)?;
        self.put(&len.to_be_bytes())?;
        self.put(bytes)
    }
}
