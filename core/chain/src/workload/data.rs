//! Hashes of what goes into a step and comes out of it.

use sha2::{Digest as _, Sha256};

use crate::token::Hash32;
use sluis_core::data::{EncodeError, FnSink, Number, Reader, Separators, Value, ValueToken, canonical, hex};

/// SHA-256 over the canonical text of any value.
///
/// # Errors
/// Something in it has no JSON form.
pub fn hash_value(data: Value<'_>) -> Result<Hash32, EncodeError> {
    // As Python writes it when it sorts, which is the rule for data of ours: then the text is hashed where it stands.
    let data = match data.as_json().map(|text| Reader::new(text).value()) {
        Some(Ok(read)) => read,
        _ => data,
    };
    if let Some(text) = data.as_canonical() {
        return Ok(Hash32::of(text.as_bytes()));
    }
    let mut hash = Sha256::new();
    canonical::write(&mut FnSink(|bytes: &[u8]| hash.update(bytes)), data, Separators::Spaced)?;
    Ok(Hash32(hash.finalize().into()))
}

/// The hash of what goes into a step, or comes out of it: as [`hash_value`], and none for what Python calls false (`null`, `false`, zero,
/// and what is empty).
///
/// # Errors
/// Something in it has no JSON form.
pub fn hash_data(data: Value<'_>) -> Result<Option<Hash32>, EncodeError> {
    if is_false(data) { Ok(None) } else { hash_value(data).map(Some) }
}

/// The reference's `input_hash` and `output_hash`: the first 32 hex digits, and the empty text for none.
#[must_use]
pub fn short_hash(hash: Option<Hash32>) -> heapless::String<32> {
    let mut out = heapless::String::new();
    for byte in hash.iter().flat_map(|hash| hash.0.iter().take(16)) {
        for digit in hex::pair(*byte) {
            // Sixteen bytes have 32 digits.
            let _ = out.push(char::from(digit));
        }
    }
    out
}

fn is_false(data: Value<'_>) -> bool {
    if data.as_json().is_some_and(|text| text.starts_with("{\"")) {
        return false;
    }
    if let Some(text) = data.as_text() {
        return text.is_empty();
    }
    if let Some(number) = data.as_number() {
        return match number {
            Number::Int(n) => n == 0,
            Number::Float(x) => x == 0.0,
            Number::Uint(_) | Number::Big(_) => false,
        };
    }
    if let Some(yes) = data.as_bool() {
        return !yes;
    }
    let mut tokens = data.tokens();
    match tokens.next() {
        None | Some(ValueToken::Null) => true,
        Some(ValueToken::Bytes(bytes)) => bytes.is_empty(),
        Some(ValueToken::ArrayStart) => tokens.next() == Some(ValueToken::ArrayEnd),
        Some(ValueToken::ObjectStart) => tokens.next() == Some(ValueToken::ObjectEnd),
        Some(_) => false,
    }
}
