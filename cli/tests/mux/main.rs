//! `sluis mux` from outside: hub and clients against each other, against the reference's, and against strangers.

#[path = "../common/mod.rs"]
mod common;
mod hub;
#[cfg(unix)]
mod lives;
mod reference;
mod strangers;
mod usage;

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
