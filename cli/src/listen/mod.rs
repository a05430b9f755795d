//! `sluis listen`.

mod app;
mod record;
mod settings;

use std::process::ExitCode;

use self::app::Listen;
use self::record::{Keys, Record};
use self::settings::Settings;
use crate::args::ListenArgs;
use crate::capture::Capture;
use crate::common::Common;
use crate::fail::Fail;
use crate::input::Inbox;
use crate::key;
use crate::output::{Out, tell};
use crate::run;

/// Listen until there is a reason to end; the exit code is 0 then, unless a recording ended before.
pub(crate) fn run(common: Common, args: ListenArgs) -> Result<ExitCode, Fail> {
    let (count, duration, quiet) = (args.count, args.duration, args.quiet);
    let (captured, recorded) = (args.capture.clone(), args.record.clone());
    let keys = Keys {
        secret: args.record_key.as_deref().map(key::file::secret).transpose()?,
        mac: args.record_hmac_key.as_deref().map(key::file::mac).transpose()?,
    };
    let settings = Settings::gather(args)?;
    let addr = run::resolve_bind(&settings.bind)?;
    let (capture, tape) = captured.map(Capture::begin).transpose()?.unzip();
    let mut node = settings.node(tape)?;
    for warning in settings.warnings(&node) {
        tell(&format!("sluis listen: {warning}."));
    }
    if let Some(why) = capture.as_ref().and_then(Capture::failed) {
        return Err(Fail::runtime(why));
    }
    let record = recorded.map(|file| Record::open(&file, &settings.did, keys)).transpose()?;
    let zones = settings.zones();
    let inbox = Inbox::with_signals().with_lines();
    let app = Listen::new(Out::queued(common, quiet).stamped(), inbox, settings.did, count, duration, capture);
    let mut app = app.recording(record, zones);
    let ended = run::drive(common.runtime, addr, &mut node, &mut app);
    // Whatever ended it: what was done is said, once the socket has been open.
    app.finish(&node.stats(), ended.as_ref().ok())?;
    ended.map(|_| if app.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
