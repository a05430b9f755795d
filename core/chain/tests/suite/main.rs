//! Tokens, logs and workloads against what the reference wrote, and against models.

// How tables of fixtures are read is the same in every crate.
#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "../../../tests/common/packets.rs"]
mod packets;

mod audit;
mod chains;
mod documents;
mod export;
mod made;
mod tokens;
mod verify_files;
mod workload;
mod workload_files;
mod workload_handover;
mod workload_import;
mod workload_model;
mod workload_tamper;
