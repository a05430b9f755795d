//! The flags of `sluis token`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::args::StateDir;
use crate::{usage, values};

#[derive(Debug, Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token that lets devices join, and print it: whoever has it may join
    New(NewArgs),
    /// Print every token, without its secret
    List(StateDir),
    /// Make a token worth nothing from now on
    Revoke(RevokeArgs),
}

impl TokenCommand {
    /// As it is said in a sentence.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::New(_) => "token new",
            Self::List(_) => "token list",
            Self::Revoke(_) => "token revoke",
        }
    }
}

/// What a new token is.
#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct NewToken {
    /// How many devices it lets in, 1 to 1000
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    pub(crate) uses: u32,
    /// For how long: seconds, or with a unit as in 30m or 24h
    #[arg(long, value_name = "TIME", value_parser = values::some_time, default_value = "1h", allow_negative_numbers = true)]
    pub(crate) ttl: Duration,
    /// How far the devices are trusted, from 0 to 1
    #[arg(long, value_name = "SCORE", value_parser = score, default_value = "0.8", allow_negative_numbers = true)]
    pub(crate) trust: f64,
}

impl NewToken {
    /// For how long: tokens count whole seconds.
    pub(crate) fn life(&self) -> Duration {
        self.ttl.max(Duration::from_secs(1))
    }
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    #[command(flatten)]
    pub(crate) token: NewToken,
    /// Write it to this new file, mode 0600, for `listen --join-file`, and do not print it
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) dir: StateDir,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The id of the token, as `token list` prints it
    #[arg(value_parser = id)]
    pub(crate) id: [u8; 8],
    #[command(flatten)]
    pub(crate) dir: StateDir,
}

/// What is asked of the tokens of a node that runs: behind the word `token`, one line.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub(crate) enum TokenOrder {
    /// Make one.
    New(NewToken),
    /// Print every token.
    List,
    /// Make one worth nothing.
    Revoke {
        /// Which.
        #[arg(value_parser = id)]
        id: [u8; 8],
    },
}

#[derive(Debug, Parser)]
#[command(
    no_binary_name = true,
    arg_required_else_help = false,
    disable_help_flag = true,
    disable_help_subcommand = true
)]
struct TokenLine {
    #[command(subcommand)]
    order: TokenOrder,
}

impl TokenOrder {
    /// Understand what is behind the word `token`.
    ///
    /// # Errors
    /// A sentence that names the mend.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let words = text.split_whitespace();
        TokenLine::try_parse_from(words.clone()).map(|line| line.order).map_err(|why| {
            let spoken: Vec<String> = ["sluis", "token"].into_iter().chain(words).map(str::to_owned).collect();
            usage::sentence(&why, &spoken)
        })
    }
}

fn score(text: &str) -> Result<f64, String> {
    values::score_of(text.parse().unwrap_or(f64::NAN))
}

fn id(text: &str) -> Result<[u8; 8], String> {
    let mut id = [0; 8];
    let read = sluis_core::data::hex::parse(text.as_bytes(), &mut id);
    read.map(|()| id).ok_or_else(|| "an id is 16 hex digits, as `sluis token list` prints it".to_owned())
}

pub(crate) const EXAMPLES: &str = r#"Examples:
  sluis token new --uses 50 --ttl 24h --state hub-state --out token
  sluis token list --state hub-state --json
  sluis token revoke 5f1c0a9be2d34471 --state hub-state

A device that starts with `sluis listen … --join-file token --at HOST:PORT` shows the hub
that it knows the token without sending it, and learns in turn that the hub does. Its
key is pinned at the hub and it is trusted there, the hub's key is pinned at the
device: no person, no second command. A token lets in no more devices than it may; one
that is used up, over or revoked is worth nothing. With --join TOKEN instead of a file every
user of the device sees the token in the list of processes.

The state belongs to one process at a time. A hub that runs takes `token new`, `token list`
and `token revoke ID` on its standard input and its control socket, at once:
  sluis ctl hub.sock token new --uses 50 --ttl 24h > token && chmod 600 token

--json prints, of `new`,
  {"event":"token","id","token","uses","used","expires","trust_score"}
and of `list`, and with --out, the same without "token" (expires: seconds since 1970); of
`revoke`
  {"event":"token_revoked","id"}

Exit codes: 0 done (it is on the disk), 1 it could not be done, 2 the command
line is wrong."#;
