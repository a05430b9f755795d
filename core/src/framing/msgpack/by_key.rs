//! The two packets from maps with their keys in any order: the last of equal keys counts, other keys are checked and
//! ignored.

use super::super::{DecodeError, Packet, Response, fields};
use crate::data::Value;
use crate::data::msgpack::item::{Item, Reader};
use crate::data::msgpack::{check, value};

/// Read the payload of a ping's frame.
#[inline(never)]
pub(super) fn packet(payload: &[u8]) -> Result<Packet<'_>, DecodeError> {
    fields::packet(members(payload, &fields::PACKET)?)
}

/// Read the payload of a response's frame.
#[inline(never)]
pub(super) fn response(payload: &[u8]) -> Result<Response<'_>, DecodeError> {
    fields::response(members(payload, &fields::RESPONSE)?)
}

/// The members with these names of the one map that the payload must be.
fn members<'a, const N: usize>(payload: &'a [u8], names: &[&str; N]) -> Result<[Option<Value<'a>>; N], DecodeError> {
    let mut found = [None; N];
    let mut reader = Reader::new(payload);
    let Item::Map(n) = reader.item()? else {
        value(&mut Reader::new(payload))?;
        return Err(DecodeError::WrongContainer);
    };
    for _ in 0..check::elements(n, true, &reader)? / 2 {
        let key = reader.item()?;
        let slot = match key {
            Item::Str(text) => {
                let text = check::utf8(text)?;
                names.iter().position(|name| *name == text).and_then(|at| found.get_mut(at))
            }
            // The reference has bytes as keys too; they are not the texts it looks for.
            Item::Bin(_) => None,
            _ => return Err(DecodeError::MsgpackMapKey),
        };
        let value = value(&mut reader)?;
        if let Some(slot) = slot {
            *slot = Some(value);
        }
    }
    if reader.rest().is_empty() { Ok(found) } else { Err(DecodeError::MsgpackTrailing) }
}
