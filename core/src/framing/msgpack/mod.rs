//! The two packets in msgpack as the reference reads and writes them.

mod by_key;
mod declared;
mod encode;

pub(super) use declared::{packet as decode_packet, response as decode_response};
pub(super) use encode::{packet as encode_packet, response as encode_response};
