//! The flags of `sluis trace`, and those of relays.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sluis_core::Did;
use sluis_core::relay::Rate;

use crate::args::{Asker, Relays};
use crate::values::{self, Neighbour, Pin, Place};

pub(crate) const RELAY: &str = r"Examples:
  sluis relay --did jis:mesh:east --key east.key --allow 'jis:home:*' \
      --peer jis:mesh:west=192.0.2.2:7150
  sluis relay --did jis:mesh:west --key west.key --allow 'jis:home:*' \
      --peer jis:home:hub=192.0.2.3:7150 --rate 20/1 --metrics 127.0.0.1:9150

This is `listen --relay`, and takes all flags of `listen`. A ping with routing mode
`mesh` that is for somebody else is passed on: to its target where that is a peer or a
--peer, to where its record says, to where its name was heard from before, or else to
the few best of --peer; and its answer goes back the way it came. Never over more hops
than it allows, never twice, and only for who is let in: who is trusted enough, or
matches --allow and is kept out by nothing else. What one source sends beyond --rate is
dropped, and takes nothing from others. Frames of encrypted sessions pass unread.

With --key it signs what it received and what it passed on, where the ping asks for a
trace (`ping --via` with a key, and `trace`). Without a key it is a gap in every trace.

The summary has `forwarded`: how many pings, answers and packets of circuits were
passed on, and how many were dropped, by reason.";

pub(crate) const TRACE: &str = r"Examples:
  sluis trace jis:home:hub --via jis:mesh:east@192.0.2.1:7150 --key phone.key \
      --pin jis:mesh:east=east.pub --pin jis:mesh:west=west.pub --pin jis:home:hub=hub.pub
  sluis trace jis:home:hub --via jis:mesh:east@192.0.2.1:7150 --report --count 3
  sluis trace jis:home:hub --via jis:mesh:east@192.0.2.1:7150 --dot | dot -Tsvg

Each relay with a key signs what it received and what it passed on, there and back.
What is believed of a name is what its pinned key signed (--pin, or --state): whoever
has none is shown as unsigned, under the name that it gives itself. A relay of the
reference signs nothing and is a gap. Whoever changed the packet is named where only
one can have, and else the two that it was between: see docs/trace.md.

The round trip to a relay is that of the whole ping less the time between its two
records, both by its own clock. On a terminal the table is shown anew with every
answer, and q ends it; --report prints it at the end, --dot a graph for Graphviz, --json objects.

Exit codes: 0 every ping was answered and nothing was changed, 1 otherwise.";

/// What a relay is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct RelayFlags {
    /// Pass pings of others on, and their answers back: what `sluis relay` does
    #[arg(long)]
    pub(crate) relay: bool,
    /// Somebody who passes pings on, or takes them, and where; may be repeated
    #[arg(long, value_name = "DID=HOST:PORT", value_parser = values::neighbour)]
    pub(crate) peer: Vec<Neighbour>,
    /// Relay also for unknown names that match; without it only for who is trusted enough to be accepted; may be repeated
    #[arg(long, value_name = "DID-PATTERN", value_parser = values::pattern)]
    pub(crate) allow: Vec<String>,
    /// Pass on so many pings of one source in so many seconds [default: 50/1]
    #[arg(long, value_name = "N/S", value_parser = values::rate)]
    pub(crate) rate: Option<Rate>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// To whom the way leads
    #[arg(value_name = "TARGET-DID", value_parser = values::did)]
    pub(crate) target: Did,
    /// Where the target is, if the way is to have no relay
    #[arg(value_name = "HOST:PORT", value_parser = values::remote_place)]
    pub(crate) addr: Option<Place>,
    #[command(flatten)]
    pub(crate) relays: Relays,
    #[command(flatten)]
    pub(crate) asker: Asker,
    /// Sign with this secret key (see `sluis key new`) [default: one for this run]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Believe of this name what this key signs: in any form that `key export` prints, or a file with it; may be repeated
    #[arg(long, value_name = "DID=KEY", value_parser = values::pin)]
    pub(crate) pin: Vec<Pin>,
    /// Take the pins of this directory (see `sluis pin`)
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// What the pings want
    #[arg(long, value_parser = values::intent, default_value = "trace.path")]
    pub(crate) intent: String,
    /// How many pings to send; 0: until a signal ends it
    #[arg(short, long, value_name = "N", value_parser = values::count_or_none, default_value = "10", allow_negative_numbers = true)]
    pub(crate) count: u64,
    /// From one ping to the next: seconds, or with a unit as in 100ms
    #[arg(short, long, value_name = "TIME", value_parser = values::some_time, default_value = "1", allow_negative_numbers = true)]
    pub(crate) interval: Duration,
    /// How long to wait for an answer
    #[arg(short, long, value_name = "TIME", value_parser = values::some_time, default_value = "5", allow_negative_numbers = true)]
    pub(crate) timeout: Duration,
    /// Print a table at the end and nothing before
    #[arg(long, conflicts_with = "dot")]
    pub(crate) report: bool,
    /// Print a graph in the language of Graphviz at the end and nothing else
    #[arg(long)]
    pub(crate) dot: bool,
}
