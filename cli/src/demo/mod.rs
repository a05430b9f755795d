//! `sluis demo`: a short story over real UDP sockets on the loopback interface.
//!
//! Every node is driven on the chosen runtime, in a thread of its own; the story is told from the main thread, through
//! the same handles that an application would use.

pub(crate) mod cast;
mod detour;
mod story;
mod tell;
pub(crate) mod wait;

use std::process::ExitCode;
use std::time::Instant;

use self::cast::Cast;
use self::story::Story;
use self::tell::Teller;
use crate::common::Common;
use crate::fail::Fail;
use crate::output::Out;

/// Play the story; the exit code is 0 when everything went as it says.
pub(crate) fn run(common: Common) -> Result<ExitCode, Fail> {
    let start = Instant::now();
    let cast = Cast::call(common.runtime)?;
    let mut teller = Teller::new(Out::new(common, false).timed());
    teller.introduce(&cast, common.runtime);
    let hub = Story::new(cast, &mut teller).play();
    let good = teller.finish(&hub, start.elapsed())?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
