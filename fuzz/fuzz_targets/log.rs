//! `cargo +nightly fuzz run --features libfuzzer log`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluis_fuzz::log(data));
