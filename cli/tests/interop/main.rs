//! The `sluis` binary against the published Python packages, both ways, on loopback.
//!
//! Every case runs on both runtimes and in both encodings of the reference. The peers are scripts in `python/` that
//! read and write the wire with the packages' own classes only; `control` lets two of them talk to each other, so that
//! a failure there is a change of theirs and not a fault of ours.

#[path = "../common/mod.rs"]
mod common;

mod attacks;
mod attestation;
mod control;
mod data;
mod discovery;
mod overlay;
mod peers;
mod relay;
mod signed;
mod sluis;
mod to_listen;
mod to_reference;
mod tokens;

/// One corner of the matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// `tokio` or `smol`.
    runtime: &'static str,
    /// `json` or `msgpack`.
    encoding: &'static str,
}

impl Setup {
    /// What makes a Python peer speak this encoding.
    fn peer_flag(self) -> &'static [&'static str] {
        if self.encoding == "msgpack" { &["--msgpack"] } else { &[] }
    }

    /// The payload that is hardest to carry in this encoding.
    fn payload(self) -> &'static str {
        if self.encoding == "msgpack" { data::HARD_MSGPACK } else { data::HARD_JSON }
    }

    /// The flag byte of a response frame in this encoding.
    fn response_flags(self) -> &'static str {
        if self.encoding == "msgpack" { "03" } else { "01" }
    }
}

/// Make each case a test per runtime and encoding.
macro_rules! matrix {
    ($($case:ident)*) => {
        matrix! { @corner tokio_json "tokio" "json" $($case)* }
        matrix! { @corner tokio_msgpack "tokio" "msgpack" $($case)* }
        matrix! { @corner smol_json "smol" "json" $($case)* }
        matrix! { @corner smol_msgpack "smol" "msgpack" $($case)* }
    };
    (@corner $name:ident $runtime:literal $encoding:literal $($case:ident)*) => {
        mod $name {
            $(#[test]
            fn $case() {
                if let Some(python) = crate::peers::python() {
                    super::$case(python, crate::Setup { runtime: $runtime, encoding: $encoding });
                }
            })*
        }
    };
}
pub(crate) use matrix;
