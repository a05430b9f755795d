//! The flags of `sluis pin`.

use clap::{Args, Subcommand};
use sluis_core::Did;

use crate::args::StateDir;

#[derive(Debug, Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct PinArgs {
    #[command(subcommand)]
    pub(crate) command: PinCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PinCommand {
    /// Bind a name to a key: from then on only what that key signs is believed of the name
    Add(AddArgs),
    /// Forget which key speaks for a name: from then on anybody may use it, as far as rules and trust let the unsigned in
    Remove(RemoveArgs),
    /// Print every pin
    List(StateDir),
}

impl PinCommand {
    /// As it is said in a sentence.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "pin add",
            Self::Remove(_) => "pin remove",
            Self::List(_) => "pin list",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The name
    #[arg(value_parser = crate::values::did)]
    pub(crate) did: Did,
    /// Its key: in any form that `key export` prints, or a file with it
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) dir: StateDir,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The name
    pub(crate) did: String,
    #[command(flatten)]
    pub(crate) dir: StateDir,
}

pub(crate) const EXAMPLES: &str = r#"Examples:
  sluis pin add jis:home:sensor sensor.pub --state hub-state
  sluis pin list --state hub-state --json
  sluis pin remove jis:home:sensor --state hub-state

The state belongs to one process at a time: to a hub that runs, say `pin DID KEY`
or `unpin DID` on its standard input, or with `sluis ctl`.

--json prints, of `add` and of `list` for each pin,
  {"event":"pin","source_did","public","fingerprint","origin","since","revoked",
   "session"}
      origin: operator, approved (by `approve N --pin`) or first_use; since: seconds
      since 1970; revoked: its key has been revoked, and nothing is believed of it;
      session: there was an encrypted session with it, and nothing goes to it
      without one; `pin remove` and `pin add` make it forgotten
and of `remove`
  {"event":"unpin","source_did"}

Exit codes: 0 done (it is on the disk), 1 it could not be done, 2 the command
line is wrong."#;
