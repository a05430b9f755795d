//! `sluis listen`.

mod app;
mod keys;
mod orders;
mod overlay;
mod reload;
mod room;
mod settings;
mod shown;
mod tokens;

use std::fmt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use self::app::Listen;
use self::overlay::Member;
use self::settings::Settings;
use self::shown::Shown;
use crate::args::ListenArgs;
use crate::capture::{Capture, cannot_make};
use crate::common::Common;
use crate::fail::Fail;
#[cfg(unix)]
use crate::input::Control;
use crate::input::Inbox;
use crate::metrics::Metrics;
use crate::output::{Out, tell};
use crate::record::{Keys, Record};
use crate::{key, record, run, state};

/// What the command is called in what it says: `listen`, or `relay` where it began as that.
struct Name(AtomicBool);

static NAME: Name = Name(AtomicBool::new(false));

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.load(Ordering::Relaxed) { "sluis relay" } else { "sluis listen" })
    }
}

/// Listen as a relay.
pub(crate) fn relay(common: Common, mut args: ListenArgs) -> Result<ExitCode, Fail> {
    args.relaying.relay = true;
    NAME.0.store(true, Ordering::Relaxed);
    run(common, args)
}

/// Listen until there is a reason to end; the exit code is 0 then, unless something was not recorded that should have been.
pub(crate) fn run(common: Common, args: ListenArgs) -> Result<ExitCode, Fail> {
    let keys = Keys {
        secret: args.record_key.as_deref().map(key::file::secret).transpose()?,
        mac: args.record_hmac_key.as_deref().map(key::file::mac).transpose()?,
    };
    refuse_same(&args)?;
    let settings = Settings::gather(&args)?;
    let member = Member::new(&args)?;
    settings.node(None, None)?;
    // Files are made once nothing else can fail: a node that never listened leaves none.
    let socket = run::bind(run::resolve_bind(&settings.bind)?)?;
    let mut metrics = args.metrics.as_ref().map(Metrics::open).transpose()?;
    let (capture, tape) = args.capture.clone().map(|file| Capture::begin(file, args.max_bytes)).transpose()?.unzip();
    let mut store = args.state.as_deref().map(state::open).transpose()?;
    let mut node = settings.node(tape, store.as_mut())?;
    overlay::prepare(&args, &mut node)?;
    for warning in settings.warnings(&node) {
        tell(&format!("{NAME}: {warning}."));
    }
    if let Some(why) = capture.as_ref().and_then(Capture::failed) {
        return Err(Fail::runtime(why));
    }
    #[cfg(unix)]
    let control = args.control.as_deref().map(Control::open).transpose()?;
    let open = |file| Record::open(&NAME, file, settings.did.as_str(), keys, args.max_bytes);
    let record = args.record.as_deref().map(open).transpose()?;
    let lan = args.lan.multicast();
    let inbox = Inbox::with_signals(args.config.is_some() || args.log.is_some()).with_lines();
    #[cfg(unix)]
    let inbox = inbox.with_control(control);
    let mut out = Out::queued(common, args.quiet).stamped();
    if let Some(file) = &args.log {
        out.log(file).map_err(|why| cannot_make("write to", file, &why))?;
    }
    metrics.as_mut().map_or(Ok(()), |metrics| metrics.serve(common.runtime))?;
    let mut app = Listen::new(out, inbox, args, settings).keeping(capture, record).joining(member);
    app.shown = metrics.map(Shown::new);
    let ended = run::drive(common.runtime, (socket, lan), store, &mut node, &mut app);
    // Whatever ended it: what was done is said.
    app.finish(&node, ended.as_ref().ok())?;
    ended.map(|_| if app.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is written to is nothing else that is read or written.
fn refuse_same(args: &ListenArgs) -> Result<(), Fail> {
    #[cfg(unix)]
    let control = args.control.as_deref();
    #[cfg(not(unix))]
    let control = None;
    let written = [("--log", args.log.as_deref()), ("--capture", args.capture.as_deref()), ("--control", control)];
    let read = [
        ("--config", args.config.as_deref()),
        ("--record-key", args.record_key.as_deref()),
        ("--record-hmac-key", args.record_hmac_key.as_deref()),
    ];
    record::refuse_same(args.record.as_deref(), &written, &read)
}
