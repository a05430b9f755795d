//! What becomes of a text between peers that run the reference, so that a sender of ours knows beforehand.
//!
//! A message is bytes on the wire, but the reference hands a string to its application: what is not UTF-8 in it is lost without a word.
//! And it knows messages by their text alone, whoever sent them: one whose ASCII letters equal those of an earlier one is
//! acknowledged and thrown away for two minutes and more.

use alloc::borrow::Cow;
use alloc::string::String;

use sha2::{Digest as _, Sha256};

/// Whether a peer of the reference hands these bytes on as they are.
#[must_use]
pub fn survives(body: &[u8]) -> bool {
    core::str::from_utf8(body).is_ok()
}

/// What a peer of the reference hands on: the body without all that is not UTF-8.
#[must_use]
pub fn received(body: &[u8]) -> Cow<'_, str> {
    match core::str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(body.utf8_chunks().map(|chunk| chunk.valid()).collect::<String>()),
    }
}

/// By what a peer of the reference knows a message: SHA-256 of the ASCII in it.
#[must_use]
pub fn content_hash(body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for ascii in body.split(|byte| !byte.is_ascii()) {
        hash.update(ascii);
    }
    hash.finalize().into()
}
