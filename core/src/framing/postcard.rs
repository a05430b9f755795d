//! The compact encoding between two Sluis nodes: what the `postcard` crate makes of the two packets with serde's derive.
//!
//! - Fields in declared order; texts as length and UTF-8; closed sets as the index of the variant in declared order;
//!   integers as zigzag varints; `Option` as 0 or 1 and the value.
//! - `payload`, `capabilities` and `fira_breakdown` are texts that hold JSON in the reference's wire form, so a relay
//!   can pass them on in any encoding without loss.
//! - `trust_score` and `rtt_ms` are the enum [`Number`] in its declared order: `Int(i64)`, `Uint(u64)`, `Big(str)` (decimal
//!   digits), `Float(f64)` (8 bytes, little-endian).
//!
//! Reading checks all of it: lengths, UTF-8, the JSON inside, nothing after the last field. As in the crate, a varint may
//! be longer than it must be.

use super::{Decision, DecodeError, Packet, PingType, Priority, Response, RoutingMode};
use crate::data::{BigInt, Counter, EncodeError, Full, Number, Sink, Style, Text, Unrepresentable, Value, json};

type Done = Result<(), EncodeError>;

/// Write the payload of a ping's frame.
pub(super) fn encode_packet(p: &Packet<'_>, sink: &mut impl Sink) -> Done {
    text(sink, p.packet_id)?;
    text(sink, p.source_did)?;
    text(sink, p.target_did)?;
    sink.put(&[p.ping_type as u8, p.priority as u8, p.routing_mode as u8])?;
    text(sink, p.intent)?;
    text(sink, p.purpose)?;
    value(sink, p.payload)?;
    option(sink, p.pod_id)?;
    option(sink, p.station_id)?;
    int(sink, p.hop_count)?;
    int(sink, p.max_hops)?;
    text(sink, p.nonce)?;
    text(sink, p.timestamp)?;
    option(sink, p.tibet_token_id)?;
    option(sink, p.vouched_by)?;
    option(sink, p.vouch_signature)?;
    text(sink, p.signature)
}

/// Write the payload of a response's frame.
pub(super) fn encode_response(r: &Response<'_>, sink: &mut impl Sink) -> Done {
    text(sink, r.response_id)?;
    text(sink, r.in_response_to)?;
    text(sink, r.responder_did)?;
    sink.put(&[r.decision as u8])?;
    value(sink, r.payload)?;
    value(sink, r.capabilities)?;
    number(sink, r.trust_score)?;
    value(sink, r.fira_breakdown)?;
    option(sink, r.tibet_token_id)?;
    text(sink, r.timestamp)?;
    match r.rtt_ms {
        None => sink.put(&[0])?,
        Some(rtt) => {
            sink.put(&[1])?;
            number(sink, rtt)?;
        }
    }
    text(sink, r.airlock_zone)?;
    option(sink, r.applied_rule)
}

/// Seven bits a byte, lowest first.
#[inline]
fn varint(sink: &mut impl Sink, mut n: u64) -> Result<(), Full> {
    loop {
        let [low, ..] = n.to_le_bytes();
        n >>= 7;
        if n == 0 {
            return sink.put(&[low]);
        }
        sink.put(&[low | 0x80])?;
    }
}

#[inline]
fn int(sink: &mut impl Sink, n: i64) -> Done {
    Ok(varint(sink, (n << 1 ^ n >> 63).cast_unsigned())?)
}

#[inline]
fn str(sink: &mut impl Sink, text: &str) -> Done {
    varint(sink, text.len() as u64)?;
    Ok(sink.put(text.as_bytes())?)
}

#[inline]
fn text(sink: &mut impl Sink, text: Text<'_>) -> Done {
    match text.as_str() {
        Some(plain) => str(sink, plain),
        None => escaped(sink, text),
    }
}

fn escaped(sink: &mut impl Sink, text: Text<'_>) -> Done {
    varint(sink, text.len() as u64)?;
    for c in text.chars() {
        let c = c.map_err(|_| EncodeError::Unrepresentable(Unrepresentable::LoneSurrogate))?;
        sink.put(c.encode_utf8(&mut [0; 4]).as_bytes())?;
    }
    Ok(())
}

#[inline]
fn option(sink: &mut impl Sink, option: Option<Text<'_>>) -> Done {
    match option {
        None => Ok(sink.put(&[0])?),
        Some(some) => {
            sink.put(&[1])?;
            text(sink, some)
        }
    }
}

fn number(sink: &mut impl Sink, n: Number<'_>) -> Done {
    match n {
        Number::Int(n) => {
            sink.put(&[0])?;
            int(sink, n)
        }
        Number::Uint(n) => {
            sink.put(&[1])?;
            Ok(varint(sink, n)?)
        }
        Number::Big(n) => {
            sink.put(&[2])?;
            str(sink, n.digits())
        }
        Number::Float(n) => {
            sink.put(&[3])?;
            Ok(sink.put(&n.to_bits().to_le_bytes())?)
        }
    }
}

#[inline]
fn value(sink: &mut impl Sink, value: Value<'_>) -> Done {
    if let Some(wire) = value.json_wire() {
        return str(sink, wire);
    }
    let mut len = Counter::default();
    value.write_json(&mut len, Style::WIRE)?;
    varint(sink, len.count() as u64)?;
    value.write_json(sink, Style::WIRE)
}

/// Read the payload of a ping's frame.
#[inline]
pub(super) fn decode_packet(payload: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let mut reader = Reader::new(payload);
    packet(&mut reader).ok_or(reader.error)
}

/// Read the payload of a response's frame.
#[inline]
pub(super) fn decode_response(payload: &[u8]) -> Result<Response<'_>, DecodeError> {
    let mut reader = Reader::new(payload);
    response(&mut reader).ok_or(reader.error)
}

/// Texts are kept as `&str` until all is read: that stays in registers, which a [`Text`] does not.
#[inline]
fn packet<'a>(r: &mut Reader<'a>) -> Option<Packet<'a>> {
    let (packet_id, source_did, target_did) = (r.str()?, r.str()?, r.str()?);
    let ping_type = r.variant(PingType::ALL)?;
    let priority = r.variant(Priority::ALL)?;
    let routing_mode = r.variant(RoutingMode::ALL)?;
    let (intent, purpose) = (r.str()?, r.str()?);
    let payload = r.value()?;
    let (pod_id, station_id) = (r.optional_str()?, r.optional_str()?);
    let (hop_count, max_hops) = (r.int()?, r.int()?);
    let (nonce, timestamp) = (r.str()?, r.str()?);
    let (tibet_token_id, vouched_by, vouch_signature) = (r.optional_str()?, r.optional_str()?, r.optional_str()?);
    let signature = r.str()?;
    r.end()?;
    Some(Packet {
        packet_id: Text::new(packet_id),
        source_did: Text::new(source_did),
        target_did: Text::new(target_did),
        ping_type,
        priority,
        routing_mode,
        intent: Text::new(intent),
        purpose: Text::new(purpose),
        payload,
        pod_id: pod_id.map(Text::new),
        station_id: station_id.map(Text::new),
        hop_count,
        max_hops,
        nonce: Text::new(nonce),
        timestamp: Text::new(timestamp),
        tibet_token_id: tibet_token_id.map(Text::new),
        vouched_by: vouched_by.map(Text::new),
        vouch_signature: vouch_signature.map(Text::new),
        signature: Text::new(signature),
    })
}

#[inline]
fn response<'a>(r: &mut Reader<'a>) -> Option<Response<'a>> {
    let (response_id, in_response_to, responder_did) = (r.str()?, r.str()?, r.str()?);
    let decision = r.variant(Decision::ALL)?;
    let (payload, capabilities) = (r.value()?, r.value()?);
    let trust_score = r.number()?;
    let fira_breakdown = r.value()?;
    let (tibet_token_id, timestamp) = (r.optional_str()?, r.str()?);
    let rtt_ms = if r.is_some()? { Some(r.number()?) } else { None };
    let (airlock_zone, applied_rule) = (r.str()?, r.optional_str()?);
    r.end()?;
    if !capabilities.is_array() || !fira_breakdown.is_object() {
        return r.fail(DecodeError::Mistyped);
    }
    Some(Response {
        response_id: Text::new(response_id),
        in_response_to: Text::new(in_response_to),
        responder_did: Text::new(responder_did),
        decision,
        payload,
        capabilities,
        trust_score,
        fira_breakdown,
        tibet_token_id: tibet_token_id.map(Text::new),
        timestamp: Text::new(timestamp),
        rtt_ms,
        airlock_zone: Text::new(airlock_zone),
        applied_rule: applied_rule.map(Text::new),
    })
}

/// What is left of the input. Its methods give `None` when it is not what they read; `error` says why.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The start of the input as far as it is UTF-8: all of it, mostly, since lengths below 128 are ASCII too. Texts in
    /// there need no check of their own.
    utf8: &'a str,
    error: DecodeError,
}

impl<'a> Reader<'a> {
    #[inline]
    fn new(bytes: &'a [u8]) -> Self {
        let utf8 = core::str::from_utf8(bytes).or_else(|e| {
            let good = bytes.get(..e.valid_up_to()).unwrap_or_default();
            core::str::from_utf8(good)
        });
        Self { bytes, at: 0, utf8: utf8.unwrap_or_default(), error: DecodeError::BadPostcard }
    }

    #[cold]
    fn fail<T>(&mut self, error: DecodeError) -> Option<T> {
        self.error = error;
        None
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A varint of at most `BITS` bits.
    #[inline]
    fn varint<const BITS: u32>(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first < 0x80 { Some(u64::from(first)) } else { self.long_varint::<BITS>(first) }
    }

    fn long_varint<const BITS: u32>(&mut self, first: u8) -> Option<u64> {
        let (mut n, mut shift) = (u64::from(first & 0x7f), 7);
        loop {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            if shift >= BITS || BITS - shift < 7 && low >> (BITS - shift) != 0 {
                return None;
            }
            n |= low << shift;
            if byte < 0x80 {
                return Some(n);
            }
            shift += 7;
        }
    }

    #[inline]
    fn int(&mut self) -> Option<i64> {
        let n = self.varint::<64>()?;
        Some((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
    }

    #[inline]
    fn str(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.varint::<{ usize::BITS }>()?).ok()?;
        let (start, end) = (self.at, self.at.checked_add(len)?);
        self.at = end;
        match self.utf8.get(start..end) {
            Some(text) => Some(text),
            None => self.checked_str(start, end),
        }
    }

    #[inline(never)]
    fn checked_str(&mut self, start: usize, end: usize) -> Option<&'a str> {
        match core::str::from_utf8(self.bytes.get(start..end)?) {
            Ok(text) => Some(text),
            Err(_) => self.fail(DecodeError::BadUtf8),
        }
    }

    /// Whether an option holds something.
    #[inline]
    fn is_some(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    #[inline]
    fn optional_str(&mut self) -> Option<Option<&'a str>> {
        if self.is_some()? { self.str().map(Some) } else { Some(None) }
    }

    #[inline]
    fn value(&mut self) -> Option<Value<'a>> {
        match json::checked(self.str()?) {
            Ok(value) => Some(value),
            Err(error) => self.fail(error.into()),
        }
    }

    #[inline]
    fn variant<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.get(usize::try_from(self.varint::<32>()?).ok()?).copied()
    }

    fn number(&mut self) -> Option<Number<'a>> {
        Some(match self.varint::<32>()? {
            0 => Number::Int(self.int()?),
            1 => Number::from(self.varint::<64>()?),
            2 => Number::Big(BigInt::from_digits(self.str()?)?),
            3 => {
                let float = self.bytes.get(self.at..)?.first_chunk::<8>()?;
                self.at += 8;
                Number::Float(f64::from_bits(u64::from_le_bytes(*float)))
            }
            _ => return None,
        })
    }

    /// Nothing may follow.
    #[inline]
    fn end(&self) -> Option<()> {
        (self.at == self.bytes.len()).then_some(())
    }
}
