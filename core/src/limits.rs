//! Limits that hold everywhere.

/// Longest DID in bytes, after unescaping.
pub const MAX_DID: usize = 256;
/// Longest intent in bytes, after unescaping.
pub const MAX_INTENT: usize = 256;
/// Longest packet id in bytes, after unescaping.
pub const MAX_PACKET_ID: usize = 64;
/// Longest nonce in bytes, after unescaping.
pub const MAX_NONCE: usize = 64;
/// Largest payload of a TP frame in bytes (`tibet_ping.transport.codec.MAX_PAYLOAD`).
pub const MAX_PAYLOAD: usize = 65_536;
/// Length of the TP frame header in bytes.
pub const HEADER_LEN: usize = 8;
/// Largest TP frame in bytes.
pub const MAX_FRAME: usize = HEADER_LEN + MAX_PAYLOAD;
/// Largest UDP payload over IPv4 in bytes: 65,535 less the IP and UDP headers.
pub const MAX_DATAGRAM_V4: usize = 65_507;
/// Largest UDP payload over IPv6 in bytes, jumbograms aside.
pub const MAX_DATAGRAM_V6: usize = 65_527;
/// The port a node listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 7150;
/// The target that means "whoever hears this".
pub const BROADCAST: &str = "broadcast";
/// Longest key of what a machine keeps, in bytes: a DID, and what it is kept for.
pub const MAX_STORE_KEY: usize = 512;
/// Longest value of what a machine keeps, in bytes.
pub const MAX_STORE_VALUE: usize = 65_536;
