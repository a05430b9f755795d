//! The flags of `sluis signal`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(arg_required_else_help = false, disable_help_subcommand = true)]
pub(crate) struct SignalArgs {
    #[command(subcommand)]
    pub(crate) command: SignalCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SignalCommand {
    /// Print the public key of a key file: the address by which peers reach its owner
    #[command(after_help = ID_EXAMPLES)]
    Id(IdArgs),
    /// Print in which order the brokers of a pool are tried for a public key
    #[command(after_help = RANK_EXAMPLES)]
    Rank(RankArgs),
}

impl SignalCommand {
    /// As it is said in a sentence.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Id(_) => "signal id",
            Self::Rank(_) => "signal rank",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    /// A key file, made by `sluis key new FILE --kind secp256k1`
    #[arg(value_name = "KEYFILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RankArgs {
    /// Whose brokers: 66 hex digits, or a key file
    #[arg(value_name = "PUBKEY")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) brokers: BrokerArgs,
}

/// Which brokers there are.
#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// The pool: TOML with `[[broker]]` tables, or the JSON of sidewire
    #[arg(long, value_name = "FILE")]
    pub(crate) pool: Option<PathBuf>,
    /// A broker, instead of a pool or beside it; may be repeated
    #[arg(long, value_name = "URL")]
    pub(crate) broker: Vec<String>,
}

pub(crate) const EXAMPLES: &str = r"Examples:
  sluis key new signal.key --kind secp256k1
  sluis signal id signal.key
  sluis signal rank signal.key --pool pool.toml

Two peers who have the same pool find the same order for a key, so they meet
without asking anybody.

Exit codes: 0 done, 1 it could not be done, 2 the command line, the pool or
the key is wrong.";

const ID_EXAMPLES: &str = r#"Examples:
  sluis signal id signal.key
  sluis signal id signal.key --json

--json prints
  {"event":"id","file","public_key"}
      public_key: 66 hex digits; also the MQTT topic that its owner hears

Exit codes: 0 done, 1 it could not be done, 2 the key is of the wrong kind, or
open to others."#;

const RANK_EXAMPLES: &str = r#"Examples:
  sluis signal rank 02… --pool pool.toml
  sluis signal rank signal.key --broker mqtt://192.0.2.1 \
      --broker mqtts://broker.example.org

A pool file in TOML:
  [[broker]]
  url = "mqtts://broker.example.org"  # or mqtt://HOST[:PORT]; an IPv6 address
                                      # in brackets
  family = "v4"     # or "v6"; without it both, and for an address its own
  user = "me"
  password = "secret"
  ca = "ca.pem"     # mqtts: trust these roots instead of the system's
  weight = 2.5      # draws so many times as much as a broker of weight 1
  rate = 100        # publishes a second that it takes from us
A file that begins with { is read as sidewire's: what its `servers=` takes, or
its infrastructure list.

Score: -ln((SHA-256(family, key, host) + 1) / 2^256) / weight, low first. IPv4
and IPv6 are ordered apart, and shown in turns. sidewire ignores weights: in a
pool that has some, its peers look for each other in another order.

--json prints, first to last,
  {"event":"broker","n","family","family_n","broker","score","weight"}
  {"event":"summary","brokers","faults"}
      n: the place in turns; family_n: the place within its family; both from 1
      faults: entries of the pool that cannot be used, each said on standard
      error

Exit codes: 0 done, 1 it could not be done, 2 the command line, the pool or
the key is wrong."#;
