//! `cargo +nightly fuzz run --features libfuzzer node`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluis_fuzz::node(data));
