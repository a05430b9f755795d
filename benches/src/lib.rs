//! sluis-benches
