//! The flags of `sluis overlay`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use sluis_core::Did;

use crate::args::{Asker, StateDir};
use crate::values::{self, Pin, Place};

#[derive(Debug, Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct OverlayArgs {
    #[command(subcommand)]
    pub(crate) command: OverlayCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OverlayCommand {
    /// Have a registry keep where a device is and what it can do, signed with its key
    Register(RegisterArgs),
    /// Find out where a name is
    Resolve(ResolveArgs),
    /// Find devices that can do something
    Find(FindArgs),
    /// Have the key of a name answer a challenge
    Verify(VerifyArgs),
    /// Print every device that a state directory knows
    Status(StateDir),
    /// Print the records of a state directory, one a line, to be taken in elsewhere
    Export(StateDir),
    /// Take records into a state directory: those of `overlay export`, or a registry export of the reference
    Import(ImportArgs),
    /// Watch a device behind a NAT be found by its name while its address changes, and an impostor get nothing
    Demo,
}

impl OverlayCommand {
    /// As it is said in a sentence.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "overlay register",
            Self::Resolve(_) => "overlay resolve",
            Self::Find(_) => "overlay find",
            Self::Verify(_) => "overlay verify",
            Self::Status(_) => "overlay status",
            Self::Export(_) => "overlay export",
            Self::Import(_) => "overlay import",
            Self::Demo => "overlay demo",
        }
    }
}

/// A registry, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registry {
    /// `None`: whoever is there.
    pub(crate) did: Option<String>,
    pub(crate) place: Place,
}

/// `DID@HOST:PORT`, split at the last `@`: a DID may hold one.
pub(crate) fn registry(text: &str) -> Result<Registry, String> {
    let (did, place) =
        text.rsplit_once('@').ok_or_else(|| "write DID@HOST:PORT, like jis:home:hub@192.0.2.1:7150".to_owned())?;
    let did = values::did(did)?.as_str().to_owned();
    Ok(Registry { did: Some(did), place: values::remote_place(place)? })
}

/// The same, or an address alone.
pub(crate) fn registry_or_place(text: &str) -> Result<Registry, String> {
    if text.contains('@') { registry(text) } else { Ok(Registry { did: None, place: values::remote_place(text)? }) }
}

/// Who asks, and how.
#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    #[command(flatten)]
    pub(crate) asker: Asker,
    /// Sign with this secret key (see `sluis key new`)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Believe of this name only what this key signs: in any form that `key export` prints, or a file with it; may be repeated
    #[arg(long, value_name = "DID=KEY", value_parser = values::pin)]
    pub(crate) pin: Vec<Pin>,
    /// Pin the key with which a registry of --at signs its first answer, unless one is pinned already: in --state, or else for this run
    #[arg(long)]
    pub(crate) trust_first_use: bool,
    /// Believe registries that sign nothing, of DIDs that match; without a pattern all of them; may be repeated. Anybody on the way may then answer in their place
    #[arg(long, value_name = "DID-PATTERN", num_args = 0..=1, require_equals = true, default_missing_value = "*",
          value_parser = values::pattern)]
    pub(crate) allow_legacy: Vec<String>,
    /// Take pins and what is known of devices from this directory, and keep there what is learned
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// How long to wait: seconds, or with a unit as in 100ms
    #[arg(short, long, value_name = "TIME", value_parser = values::some_time, default_value = "10",
          allow_negative_numbers = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// The registry
    #[arg(long, value_name = "DID@HOST:PORT", value_parser = registry)]
    pub(crate) at: Registry,
    /// Where the device can be reached; may be repeated, best first [default: where the registry sees it]
    #[arg(long, value_name = "HOST:PORT", value_parser = values::remote_place)]
    pub(crate) endpoint: Vec<Place>,
    /// What it can do; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) capability: Vec<String>,
    /// It cannot be written to before it has written itself
    #[arg(long)]
    pub(crate) behind_nat: bool,
    /// For how long: seconds, or with a unit as in 30m or 24h
    #[arg(long, value_name = "TIME", value_parser = values::some_time, default_value = "1h", allow_negative_numbers = true)]
    pub(crate) ttl: Duration,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// The name
    #[arg(value_parser = values::did)]
    pub(crate) name: Did,
    /// Ask this registry; may be repeated
    #[arg(long, value_name = "DID@HOST:PORT", value_parser = registry)]
    pub(crate) at: Vec<Registry>,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    /// What the devices are to be able to do
    pub(crate) capability: String,
    /// Ask this registry; may be repeated
    #[arg(long, value_name = "DID@HOST:PORT", value_parser = registry)]
    pub(crate) at: Vec<Registry>,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The name
    #[arg(value_parser = values::did)]
    pub(crate) name: Did,
    /// Where it is to answer [default: where it is known to be]
    #[arg(value_name = "HOST:PORT", value_parser = values::remote_place)]
    pub(crate) addr: Option<Place>,
    /// Ask this registry where it is; may be repeated
    #[arg(long, value_name = "DID@HOST:PORT", value_parser = registry)]
    pub(crate) at: Vec<Registry>,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) dir: StateDir,
}

pub(crate) const EXAMPLES: &str = r#"Examples:
  sluis listen --did jis:home:hub --key hub.key --state hub-state --registry \
      --pin jis:home:sensor=sensor.pub --trust jis:home:sensor=0.9
  sluis overlay register --at jis:home:hub@192.0.2.1:7150 --pin jis:home:hub=hub.pub \
      --key sensor.key --did jis:home:sensor --capability temperature
  sluis overlay resolve jis:home:sensor --at jis:home:hub@192.0.2.1:7150 --state phone-state
  sluis overlay find temperature --at jis:home:hub@192.0.2.1:7150 --state phone-state --json
  sluis ping jis:home:sensor --at jis:home:hub@192.0.2.1:7150 --state phone-state \
      --intent temperature.read

A record is the signed word of its device: any registry may pass it on, none can change
it, and none can bring an older one back. The first record of a name binds the name to
its key, a pin goes before that, and nobody takes the name over. `resolve` takes what
is known (pins, this directory), and else asks; a payload goes to a found address only
after the key of the name has answered there.

What a registry answers counts only if it is signed by the key that is pinned to its
name: by --pin, in --state (`sluis pin`, or joined there), or at first use where
--trust-first-use says so. Without a pin it is not asked at all. Registries that sign
nothing are believed only as --allow-legacy, by their address alone. Where all that came
in answer is unsigned, or not by the right key, the reason of `failed` says that.

--json prints
  {"event":"registered","did","endpoint","seq","expires"}
  {"event":"resolved","did","endpoint","source","seq","age_s","fingerprint"}
      source: local, cache, peer, network or last_known
  {"event":"found","did","addr","capabilities","fingerprint","bound","seq","expires"}
      bound: the key is known to be the one of this name
  {"event":"verified","did","verified","trust_score","fingerprint","rtt_ms","addr"}
  {"event":"failed","did","reason"}

Exit codes: 0 done, 1 it could not be done (an unknown name, no answer within
--timeout), 2 the command line is wrong."#;
