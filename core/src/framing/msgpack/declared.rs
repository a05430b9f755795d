//! The two packets, read in one pass.
//!
//! Nearly every frame has every field once, in declared order and with the type it should have: [`Declared`] reads
//! those and nothing else. Any other frame is read again by key, which is where the rules and the errors are.

use super::super::{Decision, DecodeError, Packet, PingType, Priority, Response, RoutingMode};
use super::by_key;
use super::encode::key;
use crate::data::msgpack::item::{Item, Reader};
use crate::data::msgpack::value;
use crate::data::{Number, Text, Value};

/// Read the payload of a ping's frame.
#[inline]
pub(in super::super) fn packet(payload: &[u8]) -> Result<Packet<'_>, DecodeError> {
    match Declared::packet(payload) {
        Some(packet) => Ok(packet),
        None => by_key::packet(payload),
    }
}

/// Read the payload of a response's frame.
#[inline]
pub(in super::super) fn response(payload: &[u8]) -> Result<Response<'_>, DecodeError> {
    match Declared::response(payload) {
        Some(response) => Ok(response),
        None => by_key::response(payload),
    }
}

/// Reads a frame whose layout is the reference's own. `None`: read it by key.
struct Declared<'a>(Reader<'a>);

impl<'a> Declared<'a> {
    /// Texts are kept as `&str` until all is read: that stays in registers, which a [`Text`] does not.
    #[inline]
    fn packet(payload: &'a [u8]) -> Option<Packet<'a>> {
        let mut d = Self(Reader::new(payload));
        d.eat(b"\xde\x00\x13")?;
        let packet_id = d.str(key::PACKET_ID)?;
        let source_did = d.str(key::SOURCE_DID)?;
        let target_did = d.str(key::TARGET_DID)?;
        let ping_type = PingType::from_wire(d.str(key::PING_TYPE)?)?;
        let priority = Priority::from_wire(d.int(key::PRIORITY)?)?;
        let routing_mode = RoutingMode::from_wire(d.str(key::ROUTING_MODE)?)?;
        let intent = d.str(key::INTENT)?;
        let purpose = d.str(key::PURPOSE)?;
        let payload = d.value(key::PAYLOAD)?;
        let pod_id = d.optional_str(key::POD_ID)?;
        let station_id = d.optional_str(key::STATION_ID)?;
        let hop_count = d.int(key::HOP_COUNT)?;
        let max_hops = d.int(key::MAX_HOPS)?;
        let nonce = d.str(key::NONCE)?;
        let timestamp = d.str(key::TIMESTAMP)?;
        let tibet_token_id = d.optional_str(key::TIBET_TOKEN_ID)?;
        let vouched_by = d.optional_str(key::VOUCHED_BY)?;
        let vouch_signature = d.optional_str(key::VOUCH_SIGNATURE)?;
        let signature = d.str(key::SIGNATURE)?;
        d.0.rest().is_empty().then_some(())?;
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
    fn response(payload: &'a [u8]) -> Option<Response<'a>> {
        let mut d = Self(Reader::new(payload));
        d.eat(b"\x8d")?;
        let response_id = d.str(key::RESPONSE_ID)?;
        let in_response_to = d.str(key::IN_RESPONSE_TO)?;
        let responder_did = d.str(key::RESPONDER_DID)?;
        let decision = Decision::from_wire(d.str(key::DECISION)?)?;
        let payload = d.value(key::PAYLOAD)?;
        let capabilities = d.value(key::CAPABILITIES).filter(|value| value.is_array())?;
        let trust_score = d.optional_number(key::TRUST_SCORE)??;
        let fira_breakdown = d.value(key::FIRA_BREAKDOWN).filter(|value| value.is_object())?;
        let tibet_token_id = d.optional_str(key::TIBET_TOKEN_ID)?;
        let timestamp = d.str(key::TIMESTAMP)?;
        let rtt_ms = d.optional_number(key::RTT_MS)?;
        let airlock_zone = d.str(key::AIRLOCK_ZONE)?;
        let applied_rule = d.optional_str(key::APPLIED_RULE)?;
        d.0.rest().is_empty().then_some(())?;
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

    #[inline]
    fn eat(&mut self, bytes: &[u8]) -> Option<()> {
        self.0.eat(bytes).then_some(())
    }

    #[inline]
    fn str(&mut self, key: &[u8]) -> Option<&'a str> {
        self.eat(key)?;
        let head = self.0.byte().ok()?;
        self.str_after(head)
    }

    #[inline]
    fn str_after(&mut self, head: u8) -> Option<&'a str> {
        let len = match head {
            0xa0..=0xbf => usize::from(head & 0x1f),
            0xd9 => usize::from(self.0.byte().ok()?),
            0xda => usize::from(u16::from_be_bytes([self.0.byte().ok()?, self.0.byte().ok()?])),
            _ => return None,
        };
        core::str::from_utf8(self.0.take(len).ok()?).ok()
    }

    #[inline]
    fn optional_str(&mut self, key: &[u8]) -> Option<Option<&'a str>> {
        self.eat(key)?;
        match self.0.byte().ok()? {
            0xc0 => Some(None),
            head => self.str_after(head).map(Some),
        }
    }

    #[inline]
    fn int(&mut self, key: &[u8]) -> Option<i64> {
        self.eat(key)?;
        match (self.0.peek()?, self.0.item()) {
            (small @ 0..=0x7f, _) => Some(i64::from(small)),
            (_, Ok(Item::Int(n))) => Some(n),
            _ => None,
        }
    }

    #[inline]
    fn optional_number(&mut self, key: &[u8]) -> Option<Option<Number<'a>>> {
        self.eat(key)?;
        match self.0.item() {
            Ok(Item::Nil) => Some(None),
            Ok(Item::Int(n)) => Some(Some(Number::Int(n))),
            Ok(Item::Uint(n)) => Some(Some(Number::Uint(n))),
            Ok(Item::Float(n)) => Some(Some(Number::Float(n))),
            _ => None,
        }
    }

    #[inline]
    fn value(&mut self, key: &[u8]) -> Option<Value<'a>> {
        self.eat(key)?;
        value(&mut self.0).ok()
    }
}
