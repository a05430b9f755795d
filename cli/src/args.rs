//! The flags of every command. They are a promise: scripts and other people's tests drive them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sluis_core::Did;
use sluis_core::framing;

use crate::chain::args::{self as chain, ChainArgs};
use crate::common::Common;
use crate::key::args::{self as key, KeyArgs};
use crate::mux::args::{self as mux, MuxArgs};
use crate::signal::args::{self as signal, SignalArgs};
use crate::values::{self, JsonText, Place, Trust};

/// A hub and its sensors: an airlock for traffic that carries identity.
#[derive(Debug, Parser)]
#[command(name = "sluis", version = env!("SLUIS_VERSION"), after_help = EXAMPLES, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Listen for pings: answer the trusted, keep the doubtful waiting, meet the rest with silence
    #[command(after_help = LISTEN_EXAMPLES)]
    Listen(ListenArgs),
    /// Ping a node and report what it answers
    #[command(after_help = PING_EXAMPLES, visible_alias = "send")]
    Ping(PingArgs),
    /// Send a command to a node that runs with `listen --control`
    #[cfg(unix)]
    #[command(after_help = CTL_EXAMPLES)]
    Ctl(CtlArgs),
    /// Replay what `listen --capture` recorded, and say whether the node does the same again
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Make, show and export keys
    #[command(after_help = key::EXAMPLES)]
    Key(KeyArgs),
    /// Reach peers by their public keys, over MQTT brokers that nobody has to trust
    #[command(after_help = signal::EXAMPLES)]
    Signal(SignalArgs),
    /// Prove what ran: files of tokens that cannot be rewritten unseen
    #[command(after_help = chain::EXAMPLES)]
    Chain(ChainArgs),
    /// Be a hub for channels between agents, or one of its clients: tibet-mux, delivered
    #[command(after_help = mux::EXAMPLES)]
    Mux(MuxArgs),
    /// Play a story on this machine: a hub meets a trusted, a waiting and an unknown sensor, and a replay
    #[command(after_help = DEMO_EXAMPLES)]
    Demo,
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
    /// What accepted pings are answered with [default: {}]
    #[arg(long, value_name = "JSON", value_parser = values::json, allow_negative_numbers = true)]
    pub(crate) reply: Option<JsonText>,
    /// Take pings stamped up to so long before the start: clocks of senders may be behind by that, but what was sent to
    /// this node in that time may be replayed to it once [default: 0]
    #[arg(long, value_name = "TIME", value_parser = values::time, allow_negative_numbers = true)]
    pub(crate) accept_older: Option<Duration>,
    /// Read settings from a TOML file; flags win
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Take commands through this socket, too (see `sluis ctl`); a new file, mode 0600
    #[cfg(unix)]
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
    /// Add every event to this file as a JSON object, too, whatever standard output shows
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Record everything that goes in and out in a new file, for `sluis replay`; it is as secret as a key
    #[arg(long, value_name = "FILE")]
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
    /// Where to ask; only this address may answer
    #[arg(value_name = "HOST:PORT", value_parser = values::remote_place)]
    pub(crate) addr: Place,
    /// What is wanted, like temperature.read
    #[arg(long, value_parser = values::intent)]
    pub(crate) intent: String,
    /// The name to ask under [default: jis:sluis:ping- and 8 random hex digits]
    #[arg(long, value_parser = values::own_did)]
    pub(crate) did: Option<Did>,
    /// Why, for people
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) purpose: String,
    /// Data to send along, any JSON value
    #[arg(long, value_name = "JSON", value_parser = values::json, default_value = "{}", allow_negative_numbers = true)]
    pub(crate) payload: JsonText,
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
    /// Where to send from [default: any address and port]
    #[arg(long, value_name = "HOST:PORT", value_parser = values::place)]
    pub(crate) bind: Option<Place>,
    /// Print only the summary
    #[arg(short, long)]
    pub(crate) quiet: bool,
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

const EXAMPLES: &str = r"Examples:
  sluis demo
  sluis listen --did jis:home:hub --trust jis:home:sensor=0.9 --allow-legacy
  sluis ping jis:home:hub 127.0.0.1:7150 --intent temperature.read \
      --did jis:home:sensor

Exit codes: 0 all went well, 1 it did not, 2 the command line or the
configuration is wrong.";

const LISTEN_EXAMPLES: &str = r#"Examples:
  sluis listen --did jis:home:hub --trust jis:home:sensor=0.9 --allow-legacy
  sluis listen --did jis:home:hub --bind [::1]:0 --json --duration 60
  sluis listen --config hub.toml --reply '{"celsius":21.5}'
  sluis listen --did jis:home:hub --allow-legacy --capture hub.jsonl

Nothing stamped before the start is taken, for this node does not remember what it
took in before: a sender whose clock is behind waits until it has passed that
time, or --accept-older TIME lets it in and, once, a replay of what was sent in that time.

A ping is judged by the rules first, then by the trust in its sender: from 0.7
it is accepted (GROEN), from 0.3 it waits for a decision (GEEL), below there is
silence (ROOD). Unsigned pings wait at best, unless --allow-legacy names their
sender. Until an address has proven itself it is sent at most three times the
bytes that it sent, so an answer has to fit.

Standard input takes one command a line; its end does not end `listen`. So does
the socket of --control, with `sluis ctl`:
  approve N|PACKET-ID  let a waiting ping in, by the number that it was given or,
                       where only one waits under it, by its packet id
  reject N|PACKET-ID   turn it away
  list                 print the pings that wait, and their numbers
  trust DID=SCORE      trust a DID from now on
  stats                print what was counted so far
  help                 print these commands
  quit                 end with the summary, as SIGINT and SIGTERM do
SIGHUP reads the configuration again, where there is one, and opens the file of
--log anew: trust, legacy patterns, rules and replies are as it says from then
on; what cannot change while it runs is said. Without one it ends `listen`.

--json prints these objects:
  {"event":"listening","did","addr"}
  {"event":"ping","wait","source_did","target_did","packet_id","intent",
   "purpose","payload","zone","decision","trust_score","rule","from"}
      wait: the number of a ping that waits for a decision, else null
  {"event":"decided","wait","packet_id","source_did","intent","decision",
   "answered"}
      decision: accept, reject, expired when nobody decided within 300 s, or
      displaced when it made way for the ping of somebody better known
  {"event":"rejected","reason","count"}
      at most once a second for each reason: how many since the last time
  {"event":"summary","received","accepted","pending","rejected":{reason:count},
   "elapsed_s"}
  {"event":"stats",...}
      for the command `stats`, otherwise as the summary
  {"event":"waiting",...}, {"event":"list",...}, {"event":"help",...}
      for these commands, see `sluis ctl --help`
  {"event":"reloaded","trust","legacy","rules","replies"}
      the configuration was read again: how many of each there are
  {"event":"lost_output","count"}
      so many lines are missing here: nobody read them in time; the summary
      has their number as "lost_output"
Each bears its time as "t" (RFC 3339). Lines for people begin with theirs.
--record writes a token for every ping that passes the gate, every decision,
heartbeat, peer that comes or goes, and change of trust; a ping that is turned
away is counted and leaves none. Answers do not wait for the disk. The summary
then also has "record":{"recorded","lost"}: what is on the disk, and what is not
because the disk was full or too slow.

What JSON has no form for in a payload is written as: "NaN", "Infinity" and
"-Infinity", {"bytes":HEX}, {"ext":CODE,"bytes":HEX}. A payload that JSON readers
fail over or change is written whole as {"text":JSON}: more than 64 levels deep,
a key twice, integers beyond 2^53 - 1, numbers beyond the range of floats.
Heartbeats are no pings and are not counted.

Nothing that is not read holds the node up; what nobody reads in time is lost,
and counted. A reader that leaves ends `listen` with exit code 1. A signal ends it
within a second, a signal that was ignored when it began stays ignored.

The configuration file; everything is optional, unknown fields are errors:
  did = "jis:home:hub"
  bind = "0.0.0.0:7150"
  allow_legacy = ["jis:home:*"]
  reply = '{"ok":true}'          # JSON; where no entry of `replies` matches
  trust = { "jis:home:sensor" = 0.9 }
  thresholds = { groen = 0.7, rood = 0.3, otherwise = "GEEL" }
      # otherwise: the best zone of a ping that no rule matches
  caps = { peers = 65536, waiting = 1024 }
      # also: peer_bytes, waiting_per_sender, waiting_per_address, events,
      # event_bytes, transmits, transmit_bytes, replies
  [[rules]]                      # the highest priority that matches counts
  name = "doors wait"
  zone = "GEEL"                  # GROEN, GEEL or ROOD
  priority = 80                  # 50 when left out
  source_did = "jis:home:*"      # conditions, all must hold: patterns for
  intent = "door.*"              # source_did and intent; also ping_type,
                                 # pod_id or no_pod = true, min_trust; a rule
                                 # that means every ping says any = true. A
                                 # star is the first or the last character
  [[replies]]                    # the first that matches counts
  intent = "temperature.*"
  reply = '{"celsius":21.5}'"#;

#[cfg(unix)]
const CTL_EXAMPLES: &str = r#"Examples:
  sluis listen --config hub.toml --control /run/user/1000/sluis.sock
  sluis ctl /run/user/1000/sluis.sock list
  sluis ctl /run/user/1000/sluis.sock approve 17
  sluis ctl --json /run/user/1000/sluis.sock stats

Commands:
  approve N|PACKET-ID  let a waiting ping in
  reject N|PACKET-ID   turn it away
  list                 print the pings that wait, and their numbers
  trust DID=SCORE      trust a DID from now on
  stats                print what was counted so far
  help                 print these commands
  quit                 end with the summary

Whoever may open the socket may decide: it is made with mode 0600. Flags stand
before the path.

--json prints the objects of `listen`: stats, decided, and
  {"event":"waiting","wait","packet_id","source_did","intent","from","age_s"}
  {"event":"list","waiting"}
  {"event":"trust","source_did","trust_score"}
  {"event":"help","command","does"}

Exit codes: 0 it was done, 1 it was not, or no node answers, 2 the command line
is wrong."#;

const REPLAY_EXAMPLES: &str = r#"Examples:
  sluis listen --did jis:home:hub --allow-legacy --capture hub.jsonl
  sluis replay hub.jsonl
  sluis replay hub.jsonl --pcap hub.pcapng && tshark -r hub.pcapng

A recording holds every input of a node (datagrams, times, commands) and every
output. The same core is fed the same inputs and must give the same outputs, so
a recording from elsewhere tells whether this build behaves as that one did, and
if not, where it first differs. It holds the seed of the node and all that was
said to it: keep it as secret as a key.

--json prints these objects:
  {"event":"difference","line","recorded","replayed"}
      the first line of the recording that came out different
  {"event":"summary","same","lines","inputs","datagrams"}
      datagrams: how many went to --pcap, null without it

Exit codes: 0 every output is as recorded, 1 one is not or the recording cannot
be read to its end, 2 the command line is wrong."#;

const PING_EXAMPLES: &str = r#"Examples:
  sluis ping jis:home:hub 127.0.0.1:7150 --intent temperature.read
  sluis ping jis:home:hub [::1]:7150 --did jis:home:sensor --intent door.open \
      --payload '{"door":"north"}' --timeout 60
  sluis ping jis:home:hub 192.0.2.7:7150 --intent temperature.read -c 0 -i 500ms
  sluis ping jis:home:hub hub.local:7150 --intent load.test --quiet \
      --count 100000 --in-flight 64 --interval 0

A host name stands for its first address of the family of --bind; without
--bind for its first IPv4 address, or else its first IPv6 address.

--json prints these objects:
  {"event":"response","packet_id","seq","decision","zone","trust_score",
   "payload","rtt_ms","responder_did","from"}
      after a pending answer the decision may follow, with the same seq
  {"event":"timeout","seq"}
  {"event":"unsent","seq","reason"}   it did not leave this machine, and is not
      counted as sent
      no answer, or after a pending one no decision
  {"event":"summary","sent","received","lost","accept","pending","reject",
   "elapsed_s","per_second","rtt_ms":{"min","p50","p90","p99","max"}}
Every ping received counts once as accept, pending or reject, by the last that
was heard of it; lost are those without any answer. Round-trip times are those
of first answers in milliseconds, percentiles to 1 part in 1,000; null when
there are none. With --count 0 all pings are those sent until a signal ends it.

A reader of the output who does not keep up holds back the next pings.

Exit codes: 0 every ping was accepted (with --no-wait: answered), 1 anything
else, 2 the command line is wrong."#;

const DEMO_EXAMPLES: &str = r#"Examples:
  sluis demo
  sluis demo --runtime smol
  sluis demo --json

Everything happens on the loopback interface, with real UDP sockets. With
--json, the objects of `listen` (of the hub) and of `ping` (of the sensors; seq
counts the pings of the story) are printed as they happen, and around each step
  {"event":"step","step","title","ok"}
      ok: null before the step, then true or false: whether it went as told
The last line is the summary of the hub.

Exit codes: 0 everything went as told, 1 it did not."#;

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
