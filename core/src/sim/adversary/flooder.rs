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
    fn wake(&mut self, hand: &mut AdversaryContext<'_>) {
        if !hand.targets.is_empty() {
            let to = hand.targets[hand.dice.index(hand.targets.len())];
            let bytes = match hand.dice.below(4) {
                0 => garbage(hand),
                1 => {
                    let mut bytes = ping(hand, to, "jis:nobody:");
                    bytes.truncate(hand.dice.index(bytes.len()));
                    bytes
                }
                2 => ping(hand, to, "jis:nobody:"),
                _ => ping(hand, to, GUEST),
            };
            hand.send(Duration::ZERO, hand.me, to, 0, bytes);
        }
        hand.wake_after(self.interval);
    }
}

fn garbage(hand: &mut AdversaryContext<'_>) -> Vec<u8> {
    let mut bytes = vec![0; hand.dice.index(600)];
    for byte in &mut bytes {
        *byte = hand.dice.u64() as u8;
    }
    // Half of it looks like a frame at the beginning.
    if hand.dice.chance(0.5) && bytes.len() > 8 {
        let len = (bytes.len() - 8) as u32;
        let flags = [0, 1, 2, 3, 4, 5][hand.dice.index(6)];
        bytes[..4].copy_from_slice(&[b'T', b'P', 1, flags]);
        bytes[4..8].copy_from_slice(&len.to_be_bytes());
    }
    bytes
}

fn ping(hand: &mut AdversaryContext<'_>, to: u32, prefix: &str) -> Vec<u8> {
    let name = format!("{prefix}{:016x}", hand.dice.u64());
    ping_of(hand, to, &name)
}

/// A fresh ping in this name.
pub(super) fn ping_of(hand: &mut AdversaryContext<'_>, to: u32, name: &str) -> Vec<u8> {
    let (number, target) = (hand.dice.u64(), Name::of(to));
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
        timestamp: Text::new(iso::format(hand.wall(), &mut stamp)),
        tibet_token_id: None,
        vouched_by: None,
        vouch_signature: None,
        signature: Text::EMPTY,
        proof: None,
    };
    let encoding = hand.encoding;
    written(|out| packet.encode(encoding, out))
}
