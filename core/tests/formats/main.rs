//! What is on the wire and what is signed: against the reference's fixtures, other implementations, and models.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/packets.rs"]
mod packets;

mod canonical;
mod documents;
mod encodings;
mod frames;
mod framing_properties;
mod identity;
mod malformed;
mod msgpack;
#[cfg(feature = "alloc")]
mod noise;
mod postcard;
#[cfg(feature = "alloc")]
mod snow;
