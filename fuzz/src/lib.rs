//! What must hold for any input, as plain functions: each takes bytes and panics when a promise is broken.
//!
//! | target | input | promise |
//! |---|---|---|
//! | [`carried`](carried()) | a native mux connection inside a WebSocket | however its messages and bytes are cut, what comes out went in |
//! | [`envelope`] | an envelope of signalling | it is read as it was signed, or not at all |
//! | [`frame`] | a datagram, or flags and a payload | decoding never fails badly, and what decodes survives every encoding |
//! | [`value`] | a JSON text | it is read as Python reads it, and writing it is idempotent |
//! | [`texts`] | names, patterns, rules, times | the quick ways agree with the plain ones |
//! | [`attestation`] | an envelope, or a statement | what is read survives writing, and only what was signed is verified |
//! | [`bridge`](bridge()) | agents that speak JSON and agents on native connections at one hub, payloads that are signed or not | what is acknowledged was taken, nothing comes twice, nothing is left; a frame is believed once |
//! | [`hub`] | what clients say to a mux hub, by REST and on sockets | every answer is one, every frame is heard once, nothing is kept for ever |
//! | [`log`](log()) | files of tokens, edits of a log, notes, bundles | verification is the same in any pieces, and finds what was done |
//! | [`workload`] | an offer, an answer, lines of a chain, a dictionary of the reference | nothing is let in that nobody signed |
//! | [`token`] | a line of a token | however it is written it hashes alike, and what is written is read as it was |
//! | [`mqtt`] | a stream of MQTT packets | any chunking gives the same packets, and rumqttc agrees |
//! | [`rendezvous`] | what happens to signalling: a hostile broker, streams, time | orders make sense, and every send ends once |
//! | [`sealed`] | hellos, answers, and a broker's work on packets | what is taken was sent in this session, and is fresh once |
//! | [`session`] | two rooms of sessions, and a hostile network between them | what is heard was said, once; nobody unproven is sent more than three times his bytes |
//! | [`streams`] | what a native mux connection sends, two of them that talk, and the yamux crate at the other end | any chunking gives the same, memory is bounded, what is read was written |
//! | [`overlay`] | records, vouches, beacons, patterns, join tokens | there is one form of each, whatever bit is touched is found, and patterns end |
//! | [`relay`] | traces, packets of circuits, carried answers, and what happens to a relay | nobody honest is named, no quota or table is passed, answers are asked for |
//! | [`node`] | packets, commands, clocks | the promises of the node, after every step |
//!
//! Three ways to run them:
//!
//! * `cargo test -p sluis-fuzz` (part of `cargo test --workspace`) replays the committed corpora `fuzz/seeds/<target>/*`.
//! * `cargo +nightly fuzz run <target>` searches for more; needs nightly, cargo-fuzz and a C++ compiler. It starts from a copy of the
//!   committed corpus and works in `fuzz/corpus/`, which is not committed. A crash it finds goes into `fuzz/seeds/<target>/`
//!   together with the mend.
//! * `fuzz/run-short [seconds]` runs all targets for a while, as CI does.

mod attestation;
mod bridge;
mod carried;
mod envelope;
mod frame;
mod hub;
mod log;
mod mqtt;
mod node;
mod overlay;
mod peer;
mod relay;
mod rendezvous;
mod sealed;
mod session;
mod streams;
mod texts;
mod token;
mod value;
mod workload;

pub use attestation::attestation;
pub use bridge::bridge;
pub use carried::carried;
pub use envelope::envelope;
pub use frame::frame;
pub use hub::hub;
pub use log::log;
pub use mqtt::mqtt;
pub use node::node;
pub use overlay::overlay;
pub use relay::relay;
pub use rendezvous::rendezvous;
pub use sealed::sealed;
pub use session::session;
pub use streams::streams;
pub use texts::texts;
pub use token::token;
pub use value::value;
pub use workload::workload;

/// What a target's binary does when it was built without libFuzzer: say how it is run, and fail.
#[must_use]
pub fn not_built_for_it(target: &str) -> std::process::ExitCode {
    eprintln!("this was built without libFuzzer, run it so: cargo +nightly fuzz run {target}");
    std::process::ExitCode::from(2)
}

/// A target: it panics when a promise is broken.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 19] = [
    ("frame", frame),
    ("value", value),
    ("texts", texts),
    ("token", token),
    ("attestation", attestation),
    ("node", node),
    ("log", log),
    ("workload", workload),
    ("envelope", envelope),
    ("mqtt", mqtt),
    ("sealed", sealed),
    ("session", session),
    ("rendezvous", rendezvous),
    ("hub", hub),
    ("streams", streams),
    ("bridge", bridge),
    ("carried", carried),
    ("overlay", overlay),
    ("relay", relay),
];
