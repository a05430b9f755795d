//! `sluis demo`.
use crate::args::Common;
use crate::fail::Fail;
use std::process::ExitCode;
pub(crate) fn run(_: Common) -> Result<ExitCode, Fail> {
    Err(Fail::runtime("not yet"))
}
