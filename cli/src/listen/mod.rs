//! `sluis listen`.

mod app;
mod settings;

use std::process::ExitCode;

use self::app::Listen;
use self::settings::Settings;
use crate::args::{Common, ListenArgs};
use crate::capture::Capture;
use crate::fail::Fail;
use crate::input::Inbox;
use crate::output::Out;
use crate::run;

/// Listen until there is a reason to end; the exit code is 0 then, unless a recording ended before.
pub(crate) fn run(common: Common, args: ListenArgs) -> Result<ExitCode, Fail> {
    let (count, duration, quiet) = (args.count, args.duration, args.quiet);
    let file = args.capture.clone();
    let settings = Settings::gather(args)?;
    let addr = run::resolve_bind(&settings.bind)?;
    let (capture, tape) = file.map(Capture::begin).transpose()?.unzip();
    let mut node = settings.node(tape)?;
    if let Some(why) = capture.as_ref().and_then(Capture::failed) {
        return Err(Fail::runtime(why));
    }
    let inbox = Inbox::with_signals().with_lines();
    let mut app = Listen::new(Out::new(common, quiet), inbox, settings.did, count, duration, capture);
    let ended = run::drive(common.runtime, addr, &mut node, &mut app);
    // Whatever ended it: what was done is said, once the socket has been open.
    app.finish(&node.stats(), ended.as_ref().ok())?;
    ended.map(|_| if app.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
