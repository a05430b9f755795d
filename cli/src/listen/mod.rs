//! `sluis listen`.

mod app;
mod record;
mod settings;

use std::process::ExitCode;

use self::app::Listen;
pub(crate) use self::record::Recorded;
use self::record::{Keys, Record};
use self::settings::Settings;
use crate::args::{Common, ListenArgs};
use crate::fail::Fail;
use crate::input::Inbox;
use crate::key;
use crate::output::Out;
use crate::run;

/// Listen until there is a reason to end; the exit code is 0 then.
pub(crate) fn run(common: Common, args: ListenArgs) -> Result<ExitCode, Fail> {
    let (count, duration, quiet) = (args.count, args.duration, args.quiet);
    let file = args.record.clone();
    let keys = Keys {
        secret: args.record_key.as_deref().map(key::file::secret).transpose()?,
        mac: args.record_hmac_key.as_deref().map(key::file::mac).transpose()?,
    };
    let settings = Settings::gather(args)?;
    let addr = run::resolve_bind(&settings.bind)?;
    let mut node = settings.node()?;
    let record = file.map(|file| Record::open(&file, &settings.did, keys)).transpose()?;
    let zones = settings.zones();
    let inbox = Inbox::with_signals().with_lines();
    let mut app = Listen::new(Out::new(common, quiet), inbox, settings.did, count, duration).recording(record, zones);
    let ended = run::drive(common.runtime, addr, &mut node, &mut app);
    // Whatever ended it: what was done is said, once the socket has been open.
    app.finish(&node.stats(), ended.as_ref().ok())?;
    ended.map(|_| ExitCode::SUCCESS)
}
