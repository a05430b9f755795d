//! The suite that every adapter passes, on a runtime of several threads.

mod adapter;

sluis_core::conformance!(adapter::Tokio<true>);
