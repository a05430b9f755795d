//! Framing.

mod packet;
mod types;

pub use packet::{Frame, Message, Packet, Response};
pub use types::{Decision, Encoding, PingType, Priority, RoutingMode, Zone};

/// stub
pub type Text<'a> = &'a str;
/// stub
pub type Value<'a> = &'a str;
/// stub
pub type Number<'a> = &'a str;
