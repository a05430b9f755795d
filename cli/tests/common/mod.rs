//! What the tests of the `sluis` binary share: child processes, exact JSON, and the promised event shapes.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod events;
pub(crate) mod folder;
pub(crate) mod json;
pub(crate) mod process;
pub(crate) mod venv;

/// Each case as a test on either runtime.
#[macro_export]
macro_rules! on_both {
    ($($case:ident)+) => {
        $(mod $case {
            #[test]
            fn tokio() {
                super::$case("tokio");
            }
            #[test]
            fn smol() {
                super::$case("smol");
            }
        })+
    };
}
