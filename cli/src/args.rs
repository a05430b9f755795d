//! The flags of every command. They are a promise: scripts and other people's tests drive them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sluis_core::Did;
use sluis_core::{framing, node, session};

use crate::chain::args::{self as chain, ChainArgs};
use crate::common::Common;
use crate::config::template::{self, ConfigArgs};
use crate::discover::args::{self as discover, DiscoverArgs, LanArgs};
use crate::doctor::{self, DoctorArgs};
use crate::help;
use crate::install::{self, CompletionsArgs, ManArgs};
use crate::key::args::{self as key, KeyArgs};
use crate::mux::args::{self as mux, MuxArgs};
use crate::overlay::args::{self as overlay, OverlayArgs, Registry};
use crate::pin::args::{self as pin, PinArgs};
use crate::signal::args::{self as signal, SignalArgs};
use crate::token::args::{self as token, TokenArgs};
use crate::trace::args::{self as trace, RelayFlags, TraceArgs};
use crate::values::{self, JsonText, Pin, Place, Trust};
use crate::vouch::args::{self as vouch, VouchArgs};

/// A hub and its sensors: an airlock for traffic that carries identity.
#[derive(Debug, Parser)]
#[command(name = "sluis", version = env!("SLUIS_VERSION"), after_help = help::SLUIS, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Listen for pings: answer the trusted, keep the doubtful waiting, meet the rest with silence
    #[command(after_help = help::LISTEN)]
    Listen(Box<ListenArgs>),
    /// Ping a node and report what it answers
    #[command(after_help = help::PING, visible_alias = "send")]
    Ping(PingArgs),
    /// Pass pings of others on, and their answers back: `listen --relay`
    #[command(after_help = trace::RELAY)]
    Relay(Box<ListenArgs>),
    /// Show the way that pings take over relays, hop by hop, and who changed them
    #[command(after_help = trace::TRACE)]
    Trace(TraceArgs),
    /// Send a command to a node that runs with `listen --control`
    #[cfg(unix)]
    #[command(after_help = help::CTL)]
    Ctl(CtlArgs),
    /// Replay what `listen --capture` recorded, and say whether the node does the same again
    #[command(after_help = help::REPLAY)]
    Replay(ReplayArgs),
    /// Make, show and export keys
    #[command(after_help = key::EXAMPLES)]
    Key(KeyArgs),
    /// Say which key speaks for which name, in the state of a node
    #[command(after_help = pin::EXAMPLES)]
    Pin(PinArgs),
    /// Find devices by name and not by address, and be found
    #[command(after_help = overlay::EXAMPLES)]
    Overlay(OverlayArgs),
    /// Make, list and revoke tokens that let devices join a hub
    #[command(after_help = token::EXAMPLES)]
    Token(TokenArgs),
    /// Vouch for devices and their keys, signed
    #[command(after_help = vouch::EXAMPLES)]
    Vouch(VouchArgs),
    /// Reach peers by their public keys, over MQTT brokers that nobody has to trust
    #[command(after_help = signal::EXAMPLES)]
    Signal(SignalArgs),
    /// Prove what ran: files of tokens that cannot be rewritten unseen
    #[command(after_help = chain::EXAMPLES)]
    Chain(ChainArgs),
    /// Be a hub for channels between agents, or one of its clients: tibet-mux, delivered
    #[command(after_help = mux::EXAMPLES)]
    Mux(MuxArgs),
    /// Find the nodes on the local network
    #[command(after_help = discover::EXAMPLES)]
    Discover(DiscoverArgs),
    /// Look for what keeps a node on this machine from working, and say what to do
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Print a configuration file to begin with
    #[command(after_help = template::EXAMPLES)]
    Config(ConfigArgs),
    /// Print a script that has a shell complete commands and flags
    #[command(after_help = install::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Write a manual page for every command
    #[command(after_help = install::MAN)]
    Man(ManArgs),
    /// Play a story on this machine: a hub meets a trusted, a waiting and an unknown sensor, and a replay
    #[command(after_help = help::DEMO)]
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Which story: how the gate decides; or how a device is found by its name while its NAT gives it another address, and the old one goes to a thief
    #[arg(long, value_enum, default_value = "airlock")]
    pub(crate) scenario: Scenario,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    Airlock,
    Cgnat,
}

/// The state of a node that does not run.
#[derive(Debug, Args)]
pub(crate) struct StateDir {
    /// The directory with the state of the node
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
}

/// Who asks, and from where.
#[derive(Debug, Args)]
pub(crate) struct Asker {
    /// The name to ask under [default: jis:sluis:ping- and 8 random hex digits]
    #[arg(long, value_parser = values::own_did)]
    pub(crate) did: Option<Did>,
    /// Where to send from [default: any address and port]
    #[arg(long, value_name = "HOST:PORT", value_parser = values::place)]
    pub(crate) bind: Option<Place>,
}

/// Over whom a ping goes.
#[derive(Debug, Args)]
pub(crate) struct Relays {
    /// Ask over this relay, whose answer comes back the same way; may be repeated: the next one is taken when no answer comes
    #[arg(long, value_name = "DID@HOST:PORT", value_parser = overlay::registry, conflicts_with = "addr")]
    pub(crate) via: Vec<Registry>,
    /// Over how many relays it may go [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16), requires = "via")]
    pub(crate) max_hops: Option<u8>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ListenArgs {
    /// The name of this node (or `did` in the configuration)
    #[arg(long, value_parser = values::own_did)]
    pub(crate) did: Option<Did>,
    /// Where to listen; port 0 takes any free one [default: 0.0.0.0:7150]
    #[arg(long, value_name = "HOST:PORT", value_parser = values::place)]
    pub(crate) bind: Option<Place>,
    /// Trust a DID so far, from 0 to 1; may be repeated
    #[arg(long, value_name = "DID=SCORE", value_parser = values::trust)]
    pub(crate) trust: Vec<Trust>,
    /// Accept unsigned pings of DIDs that match, as the reference does; without a pattern of everyone; may be repeated
    #[arg(long, value_name = "DID-PATTERN", num_args = 0..=1, require_equals = true, default_missing_value = "*",
          value_parser = values::pattern)]
    pub(crate) allow_legacy: Vec<String>,
    /// Sign every answer with this secret key (see `sluis key new`), and take part in encrypted sessions
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Believe of this name only what this key signs: a key in any form that `key export` prints, or a file with it; may be repeated
    #[arg(long, value_name = "DID=KEY", value_parser = values::pin)]
    pub(crate) pin: Vec<Pin>,
    /// Keep what has to survive a restart in this directory: pins, retired keys, trust that is set while it runs, and what keeps
    /// out packets from before the restart
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Pin the first key that signs validly under a name that matches, unless one is pinned already; without a pattern under any
    /// name; may be repeated
    #[arg(long, value_name = "DID-PATTERN", num_args = 0..=1, require_equals = true, default_missing_value = "*",
          value_parser = values::pattern)]
    pub(crate) trust_first_use: Vec<String>,
    /// What others have to prove to be heard at all: nothing, a signature or a session, or a session. A name with a pinned key has to be signed for in any case
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) require: Require,
    #[command(flatten)]
    pub(crate) lan: LanArgs,
    #[command(flatten)]
    pub(crate) relaying: RelayFlags,
    /// Be reached over this relay: have it pass on what is for this node to where it is, for as long as both run. It has to be pinned (--pin), and to let this node in; up to four
    #[arg(long, value_name = "DID@HOST:PORT", value_parser = overlay::registry, requires = "key")]
    pub(crate) via: Vec<Registry>,
    /// Be a registry: keep the records of devices that register, and say who is where. Without --key only who allows it as legacy believes what it says
    #[arg(long)]
    pub(crate) registry: bool,
    /// Trust a registered device as far as its score, where its key has proven itself and nothing else is said of it
    #[arg(long, requires = "registry")]
    pub(crate) trust_score: bool,
    /// Something that this node can do, said where it registers and on the local network; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) capability: Vec<String>,
    /// Join the hub at --at, which has made this token (see `sluis token`), and register there. Every user of the machine sees it in the list of processes: better --join-file
    #[arg(long, value_name = "TOKEN", requires = "key", requires = "at")]
    pub(crate) join: Option<String>,
    /// The same with the token in this file, which is for its owner's eyes only (see `sluis token new --out`)
    #[arg(long, value_name = "FILE", requires = "key", requires = "at", conflicts_with = "join")]
    pub(crate) join_file: Option<PathBuf>,
    /// Where the hub of the token is; with DID@ in front: a registry to register at, and to ask
    #[arg(long, value_name = "[DID@]HOST:PORT", value_parser = overlay::registry_or_place)]
    pub(crate) at: Option<Registry>,
    /// Where this node says that it can be reached, where it registers [default: where the registry sees it]
    #[arg(long, value_name = "HOST:PORT", value_parser = values::remote_place, requires = "at")]
    pub(crate) endpoint: Vec<Place>,
    /// Take in a signed vouch, or the revocation of one (see `sluis vouch`); may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) vouch: Vec<PathBuf>,
    /// Which suites sessions may be in: 2 (X25519 and ML-KEM-768) with all who speak it, else 1; or one alone. 1 is for paths that do not carry datagrams of 1,200 bytes
    #[arg(long, value_enum, default_value = "any", requires = "key")]
    pub(crate) suite: Suite,
    /// What accepted pings are answered with [default: {}]
    #[arg(long, value_name = "JSON", value_parser = values::exact_json, allow_negative_numbers = true)]
    pub(crate) reply: Option<JsonText>,
    /// Take pings stamped up to so long before the start: clocks of senders may be behind by that, but what was sent to
    /// this node in that time may be replayed to it once, also with --state [default: 0]
    #[arg(long, value_name = "TIME", value_parser = values::time, allow_negative_numbers = true)]
    pub(crate) accept_older: Option<Duration>,
    /// Read settings from a TOML file; flags win
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Take commands through this socket, too (see `sluis ctl`); a new file, mode 0600
    #[cfg(unix)]
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
    /// Serve what is counted here for a monitoring system, as OpenMetrics text: /metrics, and /healthz, which says 200 while this node does its work. Whoever reaches the
    /// port may read it; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", value_parser = values::place)]
    pub(crate) metrics: Option<Place>,
    /// Add every event to this file as a JSON object, too, whatever standard output shows
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Record everything that goes in and out in a new file, for `sluis replay`; it is as secret as a key
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub(crate) capture: Option<PathBuf>,
    /// Record what happens as tokens in this file (see `sluis chain`); pings that are turned away are not recorded
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Sign what is recorded with this secret key (see `sluis key new`), and keep a signed FILE.checkpoint
    #[arg(long, value_name = "FILE", requires = "record")]
    pub(crate) record_key: Option<PathBuf>,
    /// Hash what is recorded with HMAC-SHA256 under this shared key
    #[arg(long, value_name = "FILE", requires = "record")]
    pub(crate) record_hmac_key: Option<PathBuf>,
    /// Let the files of --capture and --record grow to so many bytes each (k, M or G may follow); what is beyond is lost
    #[arg(long, value_name = "BYTES", value_parser = values::bytes, allow_negative_numbers = true)]
    pub(crate) max_bytes: Option<u64>,
    /// End after so many pings were accepted or put to wait, once their answers are sent
    #[arg(short, long, value_name = "N", value_parser = values::count, allow_negative_numbers = true)]
    pub(crate) count: Option<u64>,
    /// End after this time: seconds, or with a unit as in 100ms, 2m, 1h
    #[arg(long, value_name = "TIME", value_parser = values::time, allow_negative_numbers = true)]
    pub(crate) duration: Option<Duration>,
    /// Print only the summary
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[cfg(unix)]
#[derive(Debug, Args)]
pub(crate) struct CtlArgs {
    /// The socket of the node: the path behind its --control
    #[arg(value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// The command, as standard input of `listen` takes it
    #[arg(value_name = "COMMAND", required = true, num_args = 1.., trailing_var_arg = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The recording
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Write its datagrams to a new file that Wireshark and tshark read (pcapng); `-`: to standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
    /// Which node, in the recording of a simulated network
    #[arg(long, value_name = "N", value_parser = values::node, allow_negative_numbers = true)]
    pub(crate) node: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    /// Whom to ask; only this DID may answer (`broadcast`: whoever is there)
    #[arg(value_name = "TARGET-DID", value_parser = values::target)]
    pub(crate) target: String,
    /// Where to ask; only this address may answer. Without it (and without --via) the name is looked up, and its key has to answer there first
    #[arg(value_name = "HOST:PORT", value_parser = values::remote_place)]
    pub(crate) addr: Option<Place>,
    /// Ask this registry where the target is; may be repeated
    #[arg(long, value_name = "DID@HOST:PORT", value_parser = overlay::registry, conflicts_with_all = ["addr", "via"])]
    pub(crate) at: Vec<Registry>,
    #[command(flatten)]
    pub(crate) relays: Relays,
    /// What is wanted, like temperature.read
    #[arg(long, value_parser = values::intent)]
    pub(crate) intent: String,
    #[command(flatten)]
    pub(crate) asker: Asker,
    /// Why, for people
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) purpose: String,
    /// Data to send along, any JSON value
    #[arg(long, value_name = "JSON", value_parser = values::exact_json, default_value = "{}", allow_negative_numbers = true)]
    pub(crate) payload: JsonText,
    /// Sign the pings with this secret key (see `sluis key new`), or send them through a session that it begins
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Take only answers that this key signed, or that a session with it brought: in any form that `key export` prints, or a file with it. With DID= in front: the key of a registry of --at; may then be
    /// repeated
    #[arg(long, value_name = "[DID=]KEY")]
    pub(crate) pin: Vec<String>,
    /// Take the pins of this directory (see `sluis pin`); with --key also keep there what sessions must not forget, so that no other process may use it meanwhile
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Pin the key of the first valid answer, of the target and of each registry of --at, unless one is pinned already: in --state, or else for this run
    #[arg(long)]
    pub(crate) trust_first_use: bool,
    /// Believe registries of --at that sign nothing, of DIDs that match; without a pattern all of them; may be repeated. Anybody on the way may then answer in their place; what they say of a
    /// device is still its own signed word
    #[arg(long, value_name = "DID-PATTERN", num_args = 0..=1, require_equals = true, default_missing_value = "*",
          value_parser = values::pattern)]
    pub(crate) allow_legacy: Vec<String>,
    /// Whether pings go through an encrypted session. auto: where the key of the target is pinned, and signed if nobody answers the handshake; require: always, or not at all
    /// [default: auto with --key, else off]
    #[arg(long, value_enum)]
    pub(crate) session: Option<Session>,
    /// Which suites a session may be in: 2 (X25519 and ML-KEM-768) with who speaks it, else 1; or one alone. 1 saves the first ping a round trip, and is for paths that do not
    /// carry datagrams of 1,200 bytes
    #[arg(long, value_enum, default_value = "any", requires = "key")]
    pub(crate) suite: Suite,
    /// How the ping is written
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) encoding: Encoding,
    /// How many pings to send, numbered from 1; 0: until a signal ends it
    #[arg(short, long, value_name = "N", value_parser = values::count_or_none, default_value = "1",
          allow_negative_numbers = true)]
    pub(crate) count: u64,
    /// From one ping to the next: seconds, or with a unit as in 100ms; 0: as fast as --in-flight allows
    #[arg(short, long, value_name = "TIME", value_parser = values::time, default_value = "1", allow_negative_numbers = true)]
    pub(crate) interval: Duration,
    /// How many pings may wait for their answers at once; with more than 1, use --interval 0 for speed
    #[arg(long, value_name = "N", value_parser = values::in_flight, default_value = "1", allow_negative_numbers = true)]
    pub(crate) in_flight: u32,
    /// How long to wait for an answer, and after a pending one for the decision, from when the ping was sent: seconds, or
    /// with a unit as in 100ms
    #[arg(short, long, value_name = "TIME", value_parser = values::some_time, default_value = "10",
          allow_negative_numbers = true)]
    pub(crate) timeout: Duration,
    /// Do not wait for the decision on a pending answer
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How urgent it is
    #[arg(long, value_enum, default_value = "normal")]
    pub(crate) priority: Priority,
    /// Print only the summary
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Require {
    None,
    Signed,
    Session,
}

impl From<Require> for node::Require {
    fn from(require: Require) -> Self {
        match require {
            Require::None => Self::Nothing,
            Require::Signed => Self::Signed,
            Require::Session => Self::Session,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Session {
    Auto,
    Require,
    Off,
}

impl From<Session> for node::SessionPolicy {
    fn from(session: Session) -> Self {
        match session {
            Session::Auto => Self::Auto,
            Session::Require => Self::Require,
            Session::Off => Self::Off,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    Any,
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

impl From<Suite> for session::Suites {
    fn from(suite: Suite) -> Self {
        match suite {
            Suite::Any => Self::Any,
            Suite::One => Self::One,
            Suite::Two => Self::Two,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    Json,
    Msgpack,
    Postcard,
}

impl From<Encoding> for framing::Encoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Json => Self::Json,
            Encoding::Msgpack => Self::Msgpack,
            Encoding::Postcard => Self::Postcard,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Priority {
    Urgent,
    Normal,
    Lazy,
}

impl From<Priority> for framing::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Urgent => Self::Urgent,
            Priority::Normal => Self::Normal,
            Priority::Lazy => Self::Lazy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn legacy_takes_a_pattern_only_with_an_equals_sign() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["sluis", "listen", "--did", "jis:a"], args].concat());
        let Command::Listen(args) = parse(&["--allow-legacy", "--allow-legacy=jis:b:*", "--quiet"]).unwrap().command
        else {
            panic!("listen was asked for")
        };
        assert_eq!(args.allow_legacy, ["*", "jis:b:*"]);
        assert!(parse(&["--allow-legacy", "jis:b:*"]).is_err());
    }
}
