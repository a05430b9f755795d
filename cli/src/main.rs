//! sluis
fn main() {}
