//! The suite that every adapter passes, on a runtime of one thread.

mod adapter;

sluis_core::conformance!(adapter::Tokio<false>);
