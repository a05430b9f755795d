//! `cargo +nightly fuzz run --features libfuzzer mqtt`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluis_fuzz::mqtt(data));
