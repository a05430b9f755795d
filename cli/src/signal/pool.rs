//! Which brokers there are, from a file and from flags.

use std::path::Path;

use sluis_signal::pool::{MAX_FILE, Pool};

use super::args::BrokerArgs;
use crate::fail::Fail;
use crate::files;
use crate::output::tell;

/// The pool of a file and the brokers of flags; what of it cannot be used is said on standard error.
pub(super) fn read(args: &BrokerArgs) -> Result<Pool, Fail> {
    if args.pool.is_none() && args.broker.is_empty() {
        return Err(Fail::usage(
            "no brokers are named, add --pool FILE or --broker URL: no public one is used unasked",
        ));
    }
    let mut pool = match &args.pool {
        Some(path) => file(path)?,
        None => Pool::default(),
    };
    pool.add_urls(args.broker.iter().map(String::as_str));
    for fault in pool.faults() {
        tell(&format!("{fault}."));
    }
    if pool.brokers().is_empty() {
        return Err(Fail::usage("no broker that is named can be used, name another"));
    }
    Ok(pool)
}

/// Where the paths in a pool begin.
pub(super) fn folder(args: &BrokerArgs) -> &Path {
    args.pool.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
}

fn file(path: &Path) -> Result<Pool, Fail> {
    let cannot = |why: std::io::Error| Fail::usage(format!("cannot read {} ({why})", path.display()));
    let text = String::from_utf8(files::read(path, MAX_FILE).map_err(cannot)?);
    let text = text.map_err(|_| Fail::usage(format!("{}: this is no text, pools are UTF-8", path.display())))?;
    Pool::parse(&text).map_err(|why| Fail::usage(format!("{}: {why}", path.display())))
}
