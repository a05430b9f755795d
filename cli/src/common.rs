//! The flags that every command takes.

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use crate::values;

/// Flags that every command takes, before or after its name.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Common {
    /// Which async runtime moves the datagrams
    #[arg(long, global = true, value_enum, default_value = "tokio")]
    pub(crate) runtime: Runtime,
    /// Print one JSON object a line on standard output, and nothing else there
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more on standard error; twice: also what was counted, once a second
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours; `auto`: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: ColorWhen,
}

/// Flags of commands that run until they are stopped.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Span {
    /// End after this time
    #[arg(long, value_name = "TIME", value_parser = values::time, allow_negative_numbers = true)]
    pub(crate) duration: Option<Duration>,
    /// Print only the summary
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    Tokio,
    Smol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    Auto,
    Always,
    Never,
}
