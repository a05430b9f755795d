//! `cargo +nightly fuzz run --features libfuzzer steps`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluis_fuzz::steps(data));
