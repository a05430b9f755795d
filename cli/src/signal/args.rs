//! The flags of `sluis signal`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use sluis_core::Did;
use sluis_signal::delivery::MAX_TIMEOUT;

use super::broker::{GivenFault, fault};
use crate::common::Span;
use crate::values::{self, Pin, Place};

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
    /// Be there for peers: print what they say, and acknowledge it
    #[command(after_help = LISTEN_EXAMPLES)]
    Listen(ListenArgs),
    /// Send messages to a public key, and say whether they arrived
    #[command(after_help = SEND_EXAMPLES)]
    Send(SendArgs),
    /// Ask whether a peer is there, and what it runs
    #[command(after_help = PROBE_EXAMPLES)]
    Probe(ProbeArgs),
    /// Run a small MQTT broker, which may be told to misbehave
    #[command(after_help = BROKER_EXAMPLES)]
    Broker(BrokerServeArgs),
    /// Watch two peers and three brokers on this machine, of which one lies and one dies
    #[command(after_help = DEMO_EXAMPLES)]
    Demo,
}

impl SignalCommand {
    /// As it is said in a sentence.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Id(_) => "signal id",
            Self::Rank(_) => "signal rank",
            Self::Listen(_) => "signal listen",
            Self::Send(_) => "signal send",
            Self::Probe(_) => "signal probe",
            Self::Broker(_) => "signal broker",
            Self::Demo => "signal demo",
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
    pub(crate) whose: String,
    #[command(flatten)]
    pub(crate) brokers: BrokerArgs,
    /// Join each of them, and say which can be and how far they are
    #[arg(long)]
    pub(crate) check: bool,
    /// With --check: join under this key, instead of one that nobody knows
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
}

/// From where brokers are dialled.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// The IPv4 address to dial from
    #[arg(long, value_name = "IP")]
    pub(crate) from4: Option<Ipv4Addr>,
    /// The IPv6 address to dial from
    #[arg(long, value_name = "IP")]
    pub(crate) from6: Option<Ipv6Addr>,
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

/// Who we are, where, and from where.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Our key: a file made by `sluis key new FILE --kind secp256k1`
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) brokers: BrokerArgs,
    /// How many brokers of each family are joined for good, the first of our own ranking
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = join)]
    pub(crate) join: usize,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
}

/// By which names peers know us and we know them, besides the keys of signalling.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// Our DID: peers of ours hear it in every sealed session, signed by --id-key
    #[arg(long, requires = "id_key", value_parser = values::own_did)]
    pub(crate) did: Option<Did>,
    /// The Ed25519 key by which others know that DID (see `sluis key new`)
    #[arg(long, value_name = "FILE", requires = "did")]
    pub(crate) id_key: Option<PathBuf>,
    /// Name this DID as the sender of a message where its session is signed by this key: a key in any form that `key export` prints,
    /// or a file with it; may be repeated
    #[arg(long, value_name = "DID=KEY", value_parser = values::pin)]
    pub(crate) pin: Vec<Pin>,
}

/// With whom messages in the clear are exchanged.
#[derive(Debug, Args)]
pub(crate) struct LegacyArgs {
    /// Exchange messages in the clear with this peer (66 hex digits, or a key file) if it runs sidewire, or with every such peer; may be repeated
    #[arg(long, value_name = "PUBKEY", num_args = 0..=1, require_equals = true, default_missing_value = "*")]
    pub(crate) allow_legacy: Vec<String>,
}

/// What survives.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// Keep in this directory what must survive a restart: what was handed over, who is no sidewire peer, where peers were heard
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) name: NameArgs,
    /// Take messages of this peer only (66 hex digits, or a key file); may be repeated
    #[arg(long, value_name = "PUBKEY")]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) legacy: LegacyArgs,
    /// Take messages in the clear that were stamped before we started: they may be replays
    #[arg(long)]
    pub(crate) accept_older: bool,
    /// Send every message back
    #[arg(long)]
    pub(crate) echo: bool,
    /// Acknowledge a message when a line `ok ID` comes on standard input
    #[arg(long)]
    pub(crate) confirm: bool,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) span: Span,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// To whom: 66 hex digits, or a key file
    #[arg(value_name = "PUBKEY")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) name: NameArgs,
    #[command(flatten)]
    pub(crate) what: What,
    /// How many messages
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = values::count)]
    pub(crate) count: u64,
    /// From one message to the next
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = values::time, allow_negative_numbers = true)]
    pub(crate) interval: Duration,
    /// Messages that may be without an answer at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) in_flight: u32,
    /// Make every message this long: cut it, or fill it up with dots
    #[arg(long, value_name = "BYTES", value_parser = values::bytes)]
    pub(crate) size: Option<u64>,
    /// How long each message is tried, an hour at most
    #[arg(long, value_name = "TIME", default_value = "4", value_parser = tried, allow_negative_numbers = true)]
    pub(crate) timeout: Duration,
    /// Each message may be handed over before those sent earlier
    #[arg(long)]
    pub(crate) unordered: bool,
    #[command(flatten)]
    pub(crate) hints: HintArgs,
    #[command(flatten)]
    pub(crate) legacy: LegacyArgs,
    /// Begin at the brokers where the peer was heard within the last hour, as --state knows it
    #[arg(long, requires = "state")]
    pub(crate) cache: bool,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    /// Print only the summary
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Where a peer is said to be.
#[derive(Debug, Args)]
pub(crate) struct HintArgs {
    /// Look for the peer at this broker first, which need not be in the pool; may be repeated
    #[arg(long, value_name = "URL")]
    pub(crate) hint: Vec<String>,
}

/// What is said.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct What {
    /// This text; {i} in it is the number of the message, from 0
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// These bytes, as hex digits
    #[arg(long, value_name = "HEX")]
    pub(crate) hex: Option<String>,
    /// The bytes of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// Whom to look for: 66 hex digits, or a key file
    #[arg(value_name = "PUBKEY")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) hints: HintArgs,
    /// How long to look
    #[arg(long, value_name = "TIME", default_value = "4", value_parser = values::some_time, allow_negative_numbers = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct BrokerServeArgs {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", value_parser = values::place, default_value = "127.0.0.1:1883")]
    pub(crate) bind: Place,
    /// Misbehave so, always or with a probability from 0.001 to 1; may be repeated
    #[arg(long, value_name = "NAME[=P]", value_parser = fault)]
    pub(crate) fault: Vec<GivenFault>,
    #[command(flatten)]
    pub(crate) span: Span,
}

/// How long a message is tried.
fn tried(text: &str) -> Result<Duration, String> {
    match values::some_time(text)? {
        time if time > MAX_TIMEOUT => Err("a message is tried for an hour at most, write a time up to 1h".to_owned()),
        time => Ok(time),
    }
}

fn join(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=1024).contains(n)).ok_or_else(|| "write a whole number from 1 to 1024".to_owned())
}

pub(crate) const EXAMPLES: &str = r"Examples:
  sluis key new signal.key --kind secp256k1
  sluis signal id signal.key
  sluis signal rank signal.key --pool pool.toml
  sluis signal broker &
  sluis signal listen --key signal.key --broker mqtt://127.0.0.1
  sluis signal send 02… --key mine.key --broker mqtt://127.0.0.1 --text hello

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
      with --check a broker has up, rtt_ms and reason, and the summary up
      n: the place in turns; family_n: the place within its family; both from 1
      faults: entries of the pool that cannot be used, each said on standard
      error

Exit codes: 0 done, 1 it could not be done, 2 the command line, the pool or
the key is wrong."#;

const LISTEN_EXAMPLES: &str = r#"Examples:
  sluis signal listen --key signal.key --pool pool.toml
  sluis signal listen --key signal.key --broker mqtts://broker.example.org \
      --only 02… --json
  sluis signal listen --key signal.key --pool pool.toml --state signal.state \
      --allow-legacy=03…
  sluis signal listen --key signal.key --pool pool.toml --did jis:home:hub \
      --id-key hub.key --pin jis:home:sensor=sensor.pub

Messages are sealed: a broker sees who talks to whom and how long a message is
about, and can neither read nor change nor repeat it. An acknowledgement leaves
once the line is written, with --confirm once `ok ID` was read.

One in the clear, as sidewire sends it, is turned away and counted unless
--allow-legacy lets it in ("sealed":false). Everybody on the way reads it, and a
broker may bring what was meant for somebody else. A peer that was once seen as
Sluis is never again believed in the clear.

With --did and --id-key a peer learns in every session, sealed, by which DID and
Ed25519 key we go. Anybody may claim a DID under a key of his own: a message
bears one only where --pin knows the key ("did"); what is claimed otherwise
stands in "claims".

--state: what was acknowledged is not handed over again after a restart, and
what may have been handed over when everything stopped is neither handed over
again nor acknowledged. Without it, nothing in the clear is taken that was
stamped before the start, unless --accept-older says so.

--json prints
  {"event":"ready","public_key","joined","wanted"}
  {"event":"joined","broker","rtt_ms"}   {"event":"left","broker","reason"}
  {"event":"message","n","from","did","claims":{"did","key"},"text","hex","len",
   "sha256","sealed","broker","id","age_s"}
      did: of a pinned key that signed the session of the message, or null
      claims: only where such a key is not pinned to the DID
      text where it is UTF-8; text and hex of up to 2,048 bytes
      age_s: since it was sent, by the clocks of both
  {"event":"clock","off_s"}   by the stamps of peers our clock is so far ahead
  {"event":"rejected","reason","count"}
  {"event":"summary","messages","sealed","rejected":{reason:count},"elapsed_s"}

Exit codes: 0 ended as asked, 1 it could not be done, 2 the command line, the
pool or the key is wrong."#;

const SEND_EXAMPLES: &str = r#"Examples:
  sluis signal send 02… --key signal.key --pool pool.toml --text 'good morning'
  sluis signal send 02… --key signal.key --broker mqtt://192.0.2.1 \
      --text 'reading {i}' --count 100 --in-flight 16

A message is acknowledged once the program of the other side has it. Messages
are handed over in order, each once, whatever brokers do.

To a peer that runs sidewire nothing is sent unless --allow-legacy names it, and
then only text, in the clear. It knows messages by their letters: one that says
the same as another within four minutes is acknowledged and may be thrown away
("maybe_dropped":true).

--json prints
  {"event":"sent","i","acked","ms","broker","sealed","maybe_dropped","reason"}
  {"event":"late","i","ms"}   {"event":"clock","off_s"}
  {"event":"message",…} for what the peer says meanwhile, as `listen` does
  {"event":"summary","count","acked","failed","replies","per_second",
   "rtt_ms":{"min","p50","p90","p99","max"},"elapsed_s"}

Exit codes: 0 all were acknowledged, 1 one was not, 2 the command line, the
pool or the key is wrong."#;

const PROBE_EXAMPLES: &str = r#"Examples:
  sluis signal probe 02… --key signal.key --pool pool.toml

--json prints
  {"event":"probe","broker","kind","ms"}
      kind: sluis, or reference for a peer that runs sidewire

Exit codes: 0 it is there, 1 it did not answer, 2 the command line, the pool or
the key is wrong."#;

const BROKER_EXAMPLES: &str = r#"Examples:
  sluis signal broker
  sluis signal broker --bind 0.0.0.0:1883 --fault lose=0.1 --fault duplicate

MQTT 3.1.1 with quality 0 and 1 and clean sessions. Nothing is kept, nobody is
asked for a password, and there is no TLS: for tests, demos, and a LAN.

Faults: refuse, mute, no-suback, suback-fail, lose, duplicate, reorder, replay,
cross-topics, puback-without-delivery, garbage, freeze, slow, die, limit.

--json prints
  {"event":"listening","addr","url"}
  {"event":"summary","published","delivered","lost","dropped","elapsed_s"}

Exit codes: 0 ended as asked, 1 it could not be done, 2 the command line is
wrong."#;

const DEMO_EXAMPLES: &str = r#"Examples:
  sluis signal demo
  sluis signal demo --json

Two peers with throw-away keys, three brokers, all in this process on loopback.

--json prints
  {"event":"step","n","text","ok"}   ok: null before the step, then whether it
      went as told
  {"event":"message",…} and {"event":"sent",…} as `listen` and `send` do
  {"event":"summary","messages","acked","ok","elapsed_s"}

Exit codes: 0 all went as told, 1 it did not."#;
