//! The flags of `sluis vouch`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use sluis_core::Did;

use crate::values::{self, Pin};

#[derive(Debug, Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct VouchArgs {
    #[command(subcommand)]
    pub(crate) command: VouchCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VouchCommand {
    /// Sign a vouch for devices and their keys, and print it
    New(NewArgs),
    /// Check the signature of a vouch or of a revocation, and say what is in it
    Show(ShowArgs),
    /// Sign that a vouch counts no longer, and print that
    Revoke(RevokeArgs),
}

impl VouchCommand {
    /// As it is said in a sentence.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::New(_) => "vouch new",
            Self::Show(_) => "vouch show",
            Self::Revoke(_) => "vouch revoke",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The secret key of who vouches (see `sluis key new`)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The name of who vouches
    #[arg(long, value_parser = values::own_did)]
    pub(crate) did: Did,
    /// For whom, with the key that it has: in any form that `key export` prints, or a file with it; may be repeated, up to 64 times
    #[arg(long = "for", value_name = "DID=KEY", value_parser = values::pin, required = true)]
    pub(crate) named: Vec<Pin>,
    /// Which share of the own trust is lent, from 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "0.7", allow_negative_numbers = true)]
    pub(crate) factor: u16,
    /// For how long: seconds, or with a unit as in 30m or 24h
    #[arg(long, value_name = "TIME", value_parser = values::some_time, default_value = "24h", allow_negative_numbers = true)]
    pub(crate) ttl: Duration,
    /// How many levels of vouching those that are named may do in turn, 0 to 2
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) depth: u8,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The file
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The file with the vouch, or its id
    #[arg(value_name = "FILE|ID")]
    pub(crate) vouch: String,
    /// The secret key of who vouched
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
}

/// In thousandths.
fn share(text: &str) -> Result<u16, String> {
    let share =
        values::score_of(text.parse().unwrap_or(f64::NAN)).map_err(|_| "write a share from 0 to 1".to_owned())?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
    Ok((share * 1000.0).round() as u16)
}

pub(crate) const EXAMPLES: &str = r#"Examples:
  sluis vouch new --key hub.key --did jis:home:hub \
      --for jis:home:a=a.pub --for jis:home:b=b.pub > vouch.json
  sluis vouch show vouch.json
  sluis listen --did jis:home:door --key door.key --pin jis:home:hub=hub.pub \
      --trust jis:home:hub=0.9 --vouch vouch.json
  sluis vouch revoke vouch.json --key hub.key > revoked.json

A vouch counts at a node that trusts who vouches and has pinned its key, or that has
taken in a vouch which names it and lets it vouch (--depth). Who is vouched for is
trusted with the named key alone: the trust in the voucher, times the factor. With a
vouch that is over or revoked go all that were made on its ground.

A node takes vouches in with `listen --vouch FILE`, `vouch FILE` on its standard input,
or in a ping with the intent overlay.vouch and the payload {"vouch":TEXT} (a revocation:
{"revoke":TEXT}), whoever carries it.

`new` prints {"type":"sluis-vouch","id","voucher_did","fingerprint","issued","expires",
"factor","depth","vouched":[{"did","public"}],"vouch":TEXT}, of which TEXT alone counts;
`show --json` the same as {"event":"vouch",…}. Times are seconds since 1970.

Exit codes: 0 done, 1 it could not be done or does not hold, 2 the command line is
wrong."#;
