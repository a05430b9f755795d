//! What it takes to prove an adapter: small machines and the conformance suite (feature `sim`).

#[cfg(feature = "sim")]
pub mod conformance;
pub mod machines;
