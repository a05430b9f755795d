//! `cargo +nightly fuzz run --features libfuzzer value`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluis_fuzz::value(data));
