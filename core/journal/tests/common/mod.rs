//! What the tests of this crate share.
#![allow(dead_code, unreachable_pub, reason = "every test uses a part of it")]

pub mod disk;
pub mod linked;
