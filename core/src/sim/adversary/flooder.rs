use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::{Adversary, AdversaryContext, written};
use crate::framing::{Packet, PingType, Priority, RoutingMode, Text, Value};
use crate::sim::names::Name;
use crate::time::{Duration, iso};

/// Names that nodes of the scenarios let wait: `jis:guest:…`.
const GUEST: &str = "jis:guest:";

/// Sends garbage, half frames, unasked answers, and pings in ever new names.
#[derive(Clone, Copy, Debug)]
pub struct Flooder {
    /// Time between two datagrams.
    pub interval: Duration,
}

impl Adversary for Flooder {
    fn wake(&mut self, context: &mut AdversaryContext<'_>) {
        if !context.targets.is_empty() {
            let to = context.targets[context.rng.index(context.targets.len())];
            let bytes = match context.rng.below(4) {
                0 => garbage(context),
                1 => {
                    let mut bytes = ping(context, to, "jis:nobody:");
                    bytes.truncate(context.rng.index(bytes.len()));
                    bytes
                }
                2 => ping(context, to, "jis:nobody:"),
                _ => ping(context, to, GUEST),
            };
            context.send(Duration::ZERO, context.me, to, 0, bytes);
        }
        context.wake_after(self.interval);
    }
}

fn garbage(context: &mut AdversaryContext<'_>) -> Vec<u8> {
    let mut bytes = vec![0; context.rng.index(600)];
    for byte in &mut bytes {
        *byte = context.rng.u64() as u8;
    }
    // Half of it looks like a frame at the beginning.
    if context.rng.chance(0.5) && bytes.len() > 8 {
        let len = (bytes.len() - 8) as u32;
        let flags = [0, 1, 2, 3, 4, 5][context.rng.index(6)];
        bytes[..4].copy_from_slice(&[b'T', b'P', 1, flags]);
        bytes[4..8].copy_from_slice(&len.to_be_bytes());
    }
    bytes
}

fn ping(context: &mut AdversaryContext<'_>, to: u32, prefix: &str) -> Vec<u8> {
    let name = format!("{prefix}{:016x}", context.rng.u64());
    ping_of(context, to, &name)
}

/// A fresh ping in this name.
pub(super) fn ping_of(context: &mut AdversaryContext<'_>, to: u32, name: &str) -> Vec<u8> {
    let (number, target) = (context.rng.u64(), Name::of(to));
    let (packet_id, nonce) = (format!("ping_{number:016x}"), format!("{number:032x}"));
    let mut stamp = [0; 32];
    let packet = Packet {
        packet_id: Text::new(&packet_id),
        source_did: Text::new(name),
        target_did: Text::new(target.as_str()),
        ping_type: PingType::Intent,
        priority: Priority::Urgent,
        routing_mode: RoutingMode::Direct,
        intent: Text::new("temperature.read"),
        purpose: Text::EMPTY,
        payload: Value::EMPTY_OBJECT,
        pod_id: None,
        station_id: None,
        hop_count: 0,
        max_hops: 5,
        nonce: Text::new(&nonce),
        timestamp: Text::new(iso::format(context.wall(), &mut stamp)),
        tibet_token_id: None,
        vouched_by: None,
        vouch_signature: None,
        signature: Text::EMPTY,
        proof: None,
    };
    let encoding = context.encoding;
    written(|out| packet.encode(encoding, out))
}
