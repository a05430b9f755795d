//! The flags of `sluis mux`.

#![allow(rustdoc::bare_urls, reason = "these comments are what --help prints, as they are")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use sluis_core::limits::MAX_INTENT;
use sluis_net::{Fingerprint, Proxy};
use sluis_web::Url;

use crate::common::Span;
use crate::values::{self, JsonText, Place};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sluis mux token alice --agents agents.toml > alice.token          once for each agent
  sluis mux serve --agents agents.toml --self-signed certs           a hub on port 8443; it shows its fingerprint
  sluis mux listen --agent bob --token-file bob.token --pin FINGERPRINT
  sluis mux open --agent alice --target bob --intent chat --token-file alice.token --pin FINGERPRINT
  sluis mux send --channel ch-… --payload '{\"text\":\"hi\"}' --token-file alice.token --pin FINGERPRINT
  sluis mux pipe --agent alice --target bob --intent chat --token-file alice.token --key alice.pem --pin FINGERPRINT < lines
  sluis mux serve --agents agents.toml --self-signed certs --backend file:sync=127.0.0.1:873
  sluis mux pipe --agent alice --target node --intent file:sync --forward 127.0.0.1:8730 --token-file alice.token --pin FINGERPRINT
                                                                     that service of the hub's machine, on a port of this one
  ssh -o ProxyCommand='sluis mux pipe --agent alice --target node --intent stream:ssh --bytes …' node      and one as ssh wants it
  sluis mux serve --open --plain --bind 127.0.0.1:8443               a hub that believes every name, on this machine only";

#[derive(Debug, Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct MuxArgs {
    #[command(subcommand)]
    pub(crate) command: MuxCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MuxCommand {
    /// Be a hub: agents open channels to each other through it, by REST and WebSocket, as at tibet-mux
    Serve(ServeArgs),
    /// Be an agent that is there, and print what arrives
    Listen(ListenArgs),
    /// Open a channel on a native connection and send on it: the lines of standard input, made messages, or TCP connections
    Pipe(PipeArgs),
    /// Play a story: a hub and two agents over TLS, voice beside bulk, a hub that alters found out, a cut survived
    Demo,
    /// Open a channel, and print what the hub answers
    Open(OpenArgs),
    /// Send a frame on a channel
    Send(SendArgs),
    /// Close a channel
    Close(CloseArgs),
    /// List an agent's open channels
    Channels(ChannelsArgs),
    /// Show how the hub is
    Status(HubArgs),
    /// Show the intents that the hub knows
    Intents(HubArgs),
    /// Give an agent a token: its hash is added to the file that `serve --agents` reads, the token itself is printed
    Token(TokenArgs),
}

impl MuxCommand {
    /// As it is said in a sentence.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Serve(_) => "mux serve",
            Self::Listen(_) => "mux listen",
            Self::Pipe(_) => "mux pipe",
            Self::Demo => "mux demo",
            Self::Open(_) => "mux open",
            Self::Send(_) => "mux send",
            Self::Close(_) => "mux close",
            Self::Channels(_) => "mux channels",
            Self::Status(_) => "mux status",
            Self::Intents(_) => "mux intents",
            Self::Token(_) => "mux token",
        }
    }
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("transport").required(true).args(["cert", "self_signed", "plain"]))]
#[command(group = ArgGroup::new("access").required(true).args(["agents", "open"]))]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "HOST:PORT", value_parser = values::place, default_value = "0.0.0.0:8443")]
    pub(crate) bind: Place,
    /// The hub's own name, which stands for an empty one
    #[arg(long, value_name = "NAME", default_value = "node")]
    pub(crate) agent: String,
    /// The certificate chain, in PEM; SIGHUP reads it again
    #[arg(long, value_name = "FILE", requires = "cert_key")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) cert_key: Option<PathBuf>,
    /// Make a certificate in this folder, where there is none, and use it; clients pin its fingerprint
    #[arg(long, value_name = "DIR")]
    pub(crate) self_signed: Option<PathBuf>,
    /// No TLS: anybody on the way can read and change everything, tokens included
    #[arg(long)]
    pub(crate) plain: bool,
    /// Who may come in: a TOML file, see `sluis mux token`; SIGHUP reads it again. Frames that an agent with a `key` there signs as
    /// tibet-mux 1.3.1 does are believed once, if they were made after the hub began
    #[arg(long, value_name = "FILE")]
    pub(crate) agents: Option<PathBuf>,
    /// Believe every name, as tibet-mux does; on loopback addresses only, unless `--open=anywhere`
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "loopback",
          value_parser = ["loopback", "anywhere"])]
    pub(crate) open: Option<String>,
    /// Where the paths begin
    #[arg(long, value_name = "PATH", default_value = "/api/mux", value_parser = prefix)]
    pub(crate) prefix: String,
    /// Route exactly this intent to a backend; may be repeated
    #[arg(long, value_name = "NAME=BACKEND[=TEXT]", value_parser = registered)]
    pub(crate) intent: Vec<Registered>,
    /// Join channels of exactly this intent, which native agents (`sluis mux pipe --forward`) open to the hub's own name, with a TCP
    /// service here; may be repeated
    #[arg(long, value_name = "INTENT=HOST:PORT", value_parser = joined)]
    pub(crate) backend: Vec<Joined>,
    /// Open channels of one agent at a time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) max_channels: u32,
    /// A proxy in front of the hub ends TLS: what native agents sign is not bound to the TLS connection
    #[arg(long)]
    pub(crate) behind_proxy: bool,
    /// The file with the secret key (see `sluis key new`) that the hub signs its own end of channels with, those to --backend: whoever
    /// has it verified (`pipe --agent-key NODE=KEY`) knows that nobody in between has changed anything
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Record what the ends of native channels sign for as tokens in this file (see `sluis chain`), when it was verified. What has no
    /// signatures is not recorded
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Sign what is recorded with this secret key, and keep a signed FILE.checkpoint
    #[arg(long, value_name = "FILE", requires = "record")]
    pub(crate) record_key: Option<PathBuf>,
    /// Let pages from here use the hub, like `https://app.example`; may be repeated
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub(crate) allow_origin: Vec<String>,
    #[command(flatten)]
    pub(crate) span: Span,
}

/// `--intent NAME=BACKEND[=TEXT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) name: String,
    pub(crate) backend: String,
    pub(crate) description: String,
}

/// `--backend INTENT=HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) intent: String,
    pub(crate) place: Place,
}

/// How a hub is reached.
#[derive(Debug, Args)]
pub(crate) struct HubArgs {
    /// Where the hub is
    #[arg(long, value_name = "URL", default_value = "https://localhost:8443")]
    pub(crate) url: Url,
    /// The file that holds the token to show
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Believe servers that an authority in this PEM file vouches for [default: the system's authorities]
    #[arg(long, value_name = "FILE", conflicts_with = "pin")]
    pub(crate) ca: Option<PathBuf>,
    /// Believe the server with this certificate, whatever its name: what `serve` shows
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) pin: Option<Fingerprint>,
    /// Go through this proxy, like http://proxy.example:3128 [default: HTTPS_PROXY for https, not for hosts of NO_PROXY and this machine]
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<Proxy>,
}

#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    pub(crate) hub: HubArgs,
    /// The agent to be
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: String,
    /// Take channels of matching intents and close others; `*` at either end stands for anything; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) accept: Vec<String>,
    /// Send every frame back
    #[arg(long)]
    pub(crate) echo: bool,
    /// On a native connection only: hear channels of `mux pipe`, and not those of REST and WebSocket
    #[arg(long)]
    pub(crate) native: bool,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// End after so many frames
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) span: Span,
}

/// What is proven on native connections.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The file with the secret key that channels are signed with; without a token it also shows who we are
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The key of another agent, or a file with it: then it has to show it, and frames that it signs as tibet-mux 1.3.1 does are
    /// believed, once each, if they were made after this began; may be repeated
    #[arg(long, value_name = "AGENT=KEY")]
    pub(crate) agent_key: Vec<String>,
    /// A proxy in front of the hub ends TLS: what the key signs is not bound to the TLS connection
    #[arg(long)]
    pub(crate) behind_proxy: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PipeArgs {
    #[command(flatten)]
    pub(crate) hub: HubArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// Who opens it
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: String,
    /// To whom
    #[arg(long, value_name = "NAME")]
    pub(crate) target: String,
    /// What for, like chat or call:voice
    #[arg(long)]
    pub(crate) intent: String,
    /// What the target should know: a JSON object
    #[arg(long, value_name = "JSON", value_parser = values::json)]
    pub(crate) metadata: Option<JsonText>,
    /// Send so many made messages instead of the lines of standard input
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(crate) count: Option<u64>,
    /// Listen here, and open a channel for each TCP connection that comes in: its bytes go to the other end and back, to the service
    /// of `sluis mux serve --backend`, say
    #[arg(long, value_name = "HOST:PORT", value_parser = values::place, conflicts_with_all = ["count", "size", "in_flight", "timeout"])]
    pub(crate) forward: Option<Place>,
    /// Send standard input as it is, and write what comes back to standard output: one connection to a service, as --forward carries
    /// many. Ends when both directions have
    #[arg(long, conflicts_with_all = ["count", "size", "in_flight", "forward", "sign_131"])]
    pub(crate) bytes: bool,
    /// Sign each message with --key as a frame of tibet-mux 1.3.1, which whoever has that key verified checks; lines have to be JSON
    #[arg(long = "sign-131", requires = "key", conflicts_with = "forward")]
    pub(crate) sign_131: bool,
    /// Leave the channel unsigned although there is a --key, which then only shows who we are: nothing is proven to the other end
    #[arg(long, conflicts_with = "sign_131")]
    pub(crate) unsigned: bool,
    /// Sign with --key whenever messages go out, instead of every 4,096 messages, 10 s after the first of less, and at the end
    #[arg(long, requires = "key", conflicts_with = "unsigned")]
    pub(crate) sign_each: bool,
    /// Bytes of each of them
    #[arg(long, value_name = "B", requires = "count", default_value_t = 128, value_parser = clap::value_parser!(u32).range(0..=2_097_152))]
    pub(crate) size: u32,
    /// Messages that may wait for their acknowledgement
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) in_flight: u32,
    /// Give up when the channel is not open after this time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::some_time, allow_negative_numbers = true)]
    pub(crate) timeout: Duration,
    /// Print only the summary
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    pub(crate) hub: HubArgs,
    /// Who opens it
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: String,
    /// To whom
    #[arg(long, value_name = "NAME")]
    pub(crate) target: String,
    /// What for, like chat or call:voice
    #[arg(long)]
    pub(crate) intent: String,
    /// What the target should know: a JSON object
    #[arg(long, value_name = "JSON", value_parser = values::json)]
    pub(crate) metadata: Option<JsonText>,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    pub(crate) hub: HubArgs,
    /// On which channel
    #[arg(long, value_name = "ID")]
    pub(crate) channel: String,
    /// What to send: any JSON value
    #[arg(long, value_name = "JSON", value_parser = values::json, allow_negative_numbers = true)]
    pub(crate) payload: JsonText,
}

#[derive(Debug, Args)]
pub(crate) struct CloseArgs {
    #[command(flatten)]
    pub(crate) hub: HubArgs,
    /// Which channel
    #[arg(long, value_name = "ID")]
    pub(crate) channel: String,
    /// Why, for the other end
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ChannelsArgs {
    #[command(flatten)]
    pub(crate) hub: HubArgs,
    /// Whose
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: String,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// The agent's name
    pub(crate) name: String,
    /// The file that `serve --agents` reads; it is made if need be
    #[arg(long, value_name = "FILE")]
    pub(crate) agents: PathBuf,
    /// Intents that it may open: `*` at either end stands for anything; may be repeated [default: *]
    #[arg(long, value_name = "PATTERN")]
    pub(crate) may: Vec<String>,
    /// Agents that it may open channels to; may be repeated [default: *]
    #[arg(long, value_name = "PATTERN")]
    pub(crate) to: Vec<String>,
}

fn prefix(text: &str) -> Result<String, String> {
    let segments = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    if text.starts_with('/') && text.len() > 1 && !text.ends_with('/') && text.chars().all(segments) {
        return Ok(text.to_owned());
    }
    Err("write a path like /api/mux, without a slash at its end".to_owned())
}

/// As browsers write it; one that is written otherwise would allow nobody.
fn origin(text: &str) -> Result<String, String> {
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@']);
    let is_origin = text.split_once("://").is_some_and(|(scheme, host)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_lowercase() || c == '-') && is_host(host)
    });
    let is_plain = !text.chars().any(|c| c.is_whitespace() || c.is_control() || c.is_ascii_uppercase());
    if matches!(text, "*" | "null") || is_origin && is_plain {
        return Ok(text.to_owned());
    }
    Err("write an origin as browsers do, like https://app.example: lower case, no slash at its end".to_owned())
}

fn joined(text: &str) -> Result<Joined, String> {
    let (intent, place) = text
        .rsplit_once('=')
        .filter(|(intent, _)| !intent.is_empty() && intent.len() <= MAX_INTENT)
        .ok_or("write INTENT=HOST:PORT, like file:sync=127.0.0.1:873")?;
    Ok(Joined { intent: intent.to_owned(), place: values::remote_place(place)? })
}

fn registered(text: &str) -> Result<Registered, String> {
    let mut parts = text.splitn(3, '=');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(backend), text) if !backend.is_empty() => {
            let description = text.unwrap_or(name).to_owned();
            Ok(Registered { name: name.to_owned(), backend: backend.to_owned(), description })
        }
        _ => Err("write NAME=BACKEND or NAME=BACKEND=TEXT, like iot:sensor=mqtt".to_owned()),
    }
}
