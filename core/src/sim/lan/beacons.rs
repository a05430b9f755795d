//! Beacons of nobody: what strangers and liars call.

use crate::framing::{EncodeError, Encoding, Packet, PingType, RoutingMode, Text, Value};
use crate::time::{Now, iso};

/// A beacon that nobody signs. Whoever writes it may say any name.
#[derive(Clone, Copy, Debug)]
pub struct Beacon<'a> {
    /// In whose name.
    pub did: &'a str,
    /// What it says: a JSON object.
    pub payload: Value<'a>,
}

impl Beacon<'_> {
    /// Write it as if it were called now; its length.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn write(&self, now: Now, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut stamp = [0; 32];
        let packet = Packet {
            packet_id: Text::new("ping_0123456789abcdef"),
            source_did: Text::new(self.did),
            target_did: Text::new("broadcast"),
            ping_type: PingType::Discover,
            routing_mode: RoutingMode::Broadcast,
            intent: Text::new("discover"),
            payload: self.payload,
            nonce: Text::new("00112233445566778899aabbccddeeff"),
            timestamp: Text::new(iso::format(now.wall, &mut stamp)),
            ..Packet::default()
        };
        packet.encode(Encoding::Json, out)
    }
}
