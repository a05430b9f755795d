//! What can happen to the node.

use proptest::prelude::*;
use sluis_core::framing::{Decision, Encoding, Zone};

pub(crate) const ME: &str = "jis:me";
/// The last one may stay unsigned only as `jis:legacy*` says; the first is the node itself.
pub(crate) const SENDERS: [&str; 5] = [ME, "jis:legacy-a", "jis:legacy-b", "jis:plain", ""];
pub(crate) const INTENTS: [&str; 3] = ["door.open", "light.on", "status"];
pub(crate) const WAITING: usize = 4;
pub(crate) const PER_SENDER: usize = 2;
pub(crate) const WINDOW_MS: i64 = 30_000;
pub(crate) const SKEW_MS: i64 = 5_000;
pub(crate) const WAITING_MS: u64 = 300_000;
pub(crate) const TIMEOUT_MS: u64 = 10_000;
pub(crate) const DECISION_MS: u64 = 300_000;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Time passes.
    Advance(u64),
    /// A packet comes: sender, nonce, stamp (ms from now), intent, heartbeat, right target.
    Packet {
        sender: usize,
        nonce: u8,
        stamp: i64,
        intent: usize,
        heartbeat: bool,
        for_us: bool,
        encoding: Encoding,
    },
    Trust(usize, f64),
    Rule {
        id: u8,
        intent: usize,
        zone: Zone,
        priority: i64,
    },
    RemoveRule(u8),
    /// Ask: whom, at which address.
    Ask(usize, u8),
    /// An answer comes: to which request, in whose name, from which address.
    Answer {
        request: usize,
        name: usize,
        address: u8,
        decision: Decision,
    },
    /// Decide about a waiting ping.
    Decide(usize, bool),
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let zone = prop_oneof![Just(Zone::Groen), Just(Zone::Geel), Just(Zone::Rood)];
    let encoding = prop_oneof![Just(Encoding::Json), Just(Encoding::Msgpack), Just(Encoding::Postcard)];
    let decision = prop_oneof![Just(Decision::Accept), Just(Decision::Pending), Just(Decision::Reject)];
    let stamp = prop_oneof![4 => Just(0_i64), 2 => -40_000..8_000_i64, 1 => Just(-WINDOW_MS), 1 => Just(SKEW_MS)];
    prop_oneof![
        3 => prop_oneof![4 => 0..5_000_u64, 1 => 0..400_000_u64].prop_map(Op::Advance),
        8 => (0..5_usize, 0..4_u8, stamp, 0..3_usize, prop::bool::weighted(0.15), prop::bool::weighted(0.95), encoding)
            .prop_map(|(sender, nonce, stamp, intent, heartbeat, for_us, encoding)| Op::Packet {
                sender, nonce, stamp, intent, heartbeat, for_us, encoding
            }),
        2 => (1..4_usize, prop_oneof![Just(0.1), Just(0.3), Just(0.5), Just(0.7), Just(1.0)])
            .prop_map(|(sender, trust)| Op::Trust(sender, trust)),
        1 => (0..3_u8, 0..3_usize, zone, 0..3_i64)
            .prop_map(|(id, intent, zone, priority)| Op::Rule { id, intent, zone, priority }),
        1 => (0..3_u8).prop_map(Op::RemoveRule),
        3 => (1..4_usize, 0..2_u8).prop_map(|(whom, address)| Op::Ask(whom, address)),
        5 => (any::<prop::sample::Index>(), 1..4_usize, 0..2_u8, decision).prop_map(|(i, name, address, decision)| {
            Op::Answer { request: i.index(8), name, address, decision }
        }),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(i, yes)| Op::Decide(i.index(8), yes)),
    ]
}
