//! `cargo +nightly fuzz run carried`
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| sluis_fuzz::carried(data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    sluis_fuzz::not_built_for_it("carried")
}
