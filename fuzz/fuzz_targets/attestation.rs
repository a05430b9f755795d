//! `cargo +nightly fuzz run --features libfuzzer attestation`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluis_fuzz::attestation(data));
