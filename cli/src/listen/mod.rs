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
use crate::output::Out;
use crate::run;

/// Listen until there is a reason to end; the exit code is 0 then, unless something was not recorded that should have been.
pub(crate) fn run(common: Common, args: ListenArgs) -> Result<ExitCode, Fail> {
    let (count, duration, quiet, max_bytes) = (args.count, args.duration, args.quiet, args.max_bytes);
    let (captured, recorded) = (args.capture.clone(), args.record.clone());
    let keys = Keys {
        secret: args.record_key.as_deref().map(key::file::secret).transpose()?,
        mac: args.record_hmac_key.as_deref().map(key::file::mac).transpose()?,
    };
    let settings = Settings::gather(args)?;
    settings.node(None)?;
    // Files are made once nothing else can fail: a node that never listened leaves none.
    let socket = run::bind(run::resolve_bind(&settings.bind)?)?;
    let (capture, tape) = captured.map(|file| Capture::begin(file, max_bytes)).transpose()?.unzip();
    let mut node = settings.node(tape)?;
    if let Some(why) = capture.as_ref().and_then(Capture::failed) {
        return Err(Fail::runtime(why));
    }
    let record = recorded.map(|file| Record::open(&file, &settings.did, keys, max_bytes)).transpose()?;
    let zones = settings.zones();
    let inbox = Inbox::with_signals().with_lines();
    let app = Listen::new(Out::queued(common, quiet).stamped(), inbox, settings.did, count, duration, capture);
    let mut app = app.recording(record, zones);
    let ended = run::drive(common.runtime, socket, &mut node, &mut app);
    // Whatever ended it: what was done is said.
    app.finish(&node.stats(), ended.as_ref().ok())?;
    ended.map(|_| if app.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
