//! The flags of `sluis chain`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sluis_chain::token::State;
use sluis_core::Did;

use crate::values::{self, JsonText};

use super::help;
use super::values as own;

/// What stands under `sluis chain --help`.
pub(crate) const EXAMPLES: &str = help::CHAIN;

#[derive(Debug, Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct ChainArgs {
    #[command(subcommand)]
    pub(crate) command: ChainCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChainCommand {
    /// Begin a chain: a file whose first token says what it is called and whose it is
    #[command(after_help = help::NEW)]
    New(NewArgs),
    /// Add a token: what happened, linked to the line before it
    #[command(after_help = help::ADD)]
    Add(AddArgs),
    /// Run a command as a step: its declared files hashed, its exit code and duration recorded
    #[command(after_help = help::RUN)]
    Run(RunArgs),
    /// Plan a step: it is to run behind those that are there
    #[command(after_help = help::PLAN)]
    Plan(PlanArgs),
    /// Start a planned step: what goes in is recorded
    #[command(after_help = help::START)]
    Start(StartArgs),
    /// Complete a step that was started: what came out is recorded
    #[command(after_help = help::COMPLETE)]
    Complete(CompleteArgs),
    /// End the workload: a last token that counts its steps, so that none can be cut off or added unseen
    #[command(after_help = help::CLOSE)]
    Close(CloseArgs),
    /// Find out whether anything was changed, and what; also of files that the reference wrote, and of bundles
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Print the tokens that match, the newest at the end
    #[command(after_help = help::FIND)]
    Find(FindArgs),
    /// Draw the chain, with what is broken marked
    #[command(after_help = help::SHOW)]
    Show(ShowArgs),
    /// Print a bundle that proves one token: the token, its way to the root, the signed checkpoint
    #[command(after_help = help::PROVE)]
    Prove(ProveArgs),
    /// Print the workload as an in-toto statement in a signed DSSE envelope
    #[command(after_help = help::EXPORT)]
    Export(ExportArgs),
    /// Play a story: a chain is made, checked, tampered with, and checked again
    #[command(after_help = help::DEMO)]
    Demo(DemoArgs),
}

impl ChainCommand {
    /// As it is said in a sentence.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::New(_) => "chain new",
            Self::Add(_) => "chain add",
            Self::Run(_) => "chain run",
            Self::Plan(_) => "chain plan",
            Self::Start(_) => "chain start",
            Self::Complete(_) => "chain complete",
            Self::Close(_) => "chain close",
            Self::Verify(_) => "chain verify",
            Self::Find(_) => "chain find",
            Self::Show(_) => "chain show",
            Self::Prove(_) => "chain prove",
            Self::Export(_) => "chain export",
            Self::Demo(_) => "chain demo",
        }
    }
}

/// How what is written is protected.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Protect {
    /// Sign what is written with this secret key (see `sluis key new`), and keep a signed FILE.checkpoint
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Sign tokens as a SPIFFE workload: the folder with its svid.0.pem and svid.0.key, or the socket of the agent as
    /// `unix:///run/agent.sock`, or `agent` for that of SPIFFE_ENDPOINT_SOCKET (both need the feature workload-api); the
    /// checkpoint is still signed with --key
    #[arg(long, value_name = "FOLDER|SOCKET")]
    pub(crate) svid: Option<PathBuf>,
    /// Hash with HMAC-SHA256 under this shared key: the bytes of the file without one line feed at its end
    #[arg(long, value_name = "FILE")]
    pub(crate) hmac_key: Option<PathBuf>,
    /// Sign a checkpoint of the log as it is, also where its last one is missing, or the key of the log did not sign lines behind
    /// that: whatever was cut off or written by others before is covered then
    #[arg(long, requires = "key")]
    pub(crate) new_checkpoint: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The file to begin; it must not be there yet
    pub(crate) file: PathBuf,
    /// What the chain is called; its checkpoints are signed under this name [default: the name of the file without its extension]
    #[arg(long, value_parser = own::name)]
    pub(crate) name: Option<String>,
    /// Whose it is
    #[arg(long, value_name = "DID", value_parser = values::did)]
    pub(crate) owner: Option<Did>,
    #[command(flatten)]
    pub(crate) protect: Protect,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The file to add to; begun when it is not there
    pub(crate) file: PathBuf,
    /// What kind of thing happened, like door_opened
    #[arg(long, value_parser = own::text)]
    pub(crate) action: String,
    /// Who did it [default: the owner of the chain]
    #[arg(long, value_name = "DID", value_parser = own::actor)]
    pub(crate) actor: Option<String>,
    /// ERIN, what is in it: any JSON value
    #[arg(long, value_name = "JSON", value_parser = values::exact_json, default_value = "{}", allow_negative_numbers = true)]
    pub(crate) erin: JsonText,
    /// ERAAN, what it is linked to: a text; may be repeated
    #[arg(long, value_name = "TEXT", value_parser = own::reference)]
    pub(crate) eraan: Vec<String>,
    /// EROMHEEN, what was around it: a JSON object
    #[arg(long, value_name = "JSON", value_parser = own::object, default_value = "{}")]
    pub(crate) eromheen: JsonText,
    /// ERACHTER, why it happened
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) erachter: String,
    /// The id of the token from which it follows
    #[arg(long, value_name = "ID", value_parser = own::text)]
    pub(crate) parent: Option<String>,
    /// Where it is in its life: created, detected, classified, mitigated or resolved
    #[arg(long, value_parser = own::state, default_value = "created")]
    pub(crate) state: State,
    #[command(flatten)]
    pub(crate) protect: Protect,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The file to add the step to; begun when it is not there
    pub(crate) file: PathBuf,
    /// The name of the step, unique in its workload
    #[arg(long, value_name = "NAME", value_parser = own::name)]
    pub(crate) step: String,
    /// A file that goes in; may be repeated. Without any, nothing is declared to go in
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Vec<PathBuf>,
    /// A file that comes out; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Vec<PathBuf>,
    /// Why, for people
    #[arg(long, value_name = "TEXT", value_parser = own::text)]
    pub(crate) intent: Option<String>,
    /// Who runs it [default: the owner of the chain]
    #[arg(long, value_name = "DID", value_parser = own::actor)]
    pub(crate) actor: Option<String>,
    /// Where it runs [default: the name of this machine]
    #[arg(long, value_name = "TEXT", value_parser = own::name)]
    pub(crate) node: Option<String>,
    /// What goes in need not be what came out of the step before
    #[arg(long)]
    pub(crate) independent: bool,
    #[command(flatten)]
    pub(crate) protect: Protect,
    /// The command and its arguments, behind `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The file whose workload gets the step; begun when it is not there
    pub(crate) file: PathBuf,
    /// The name of the step, unique in its workload
    #[arg(long, value_name = "NAME", value_parser = own::name)]
    pub(crate) step: String,
    /// Who is to run it [default: whoever coordinates the workload]
    #[arg(long, value_name = "DID", value_parser = own::actor)]
    pub(crate) executor: Option<String>,
    /// Why, for people
    #[arg(long, value_name = "TEXT", value_parser = own::text)]
    pub(crate) intent: Option<String>,
    /// What goes in need not be what came out of the step before
    #[arg(long)]
    pub(crate) independent: bool,
    /// Who plans it [default: the owner of the chain]
    #[arg(long, value_name = "DID", value_parser = own::actor)]
    pub(crate) actor: Option<String>,
    #[command(flatten)]
    pub(crate) protect: Protect,
}

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// The file with the step
    pub(crate) file: PathBuf,
    /// The name of the step, as it was planned
    #[arg(long, value_name = "NAME", value_parser = own::name)]
    pub(crate) step: String,
    /// A file that goes in; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub(crate) input: Vec<PathBuf>,
    /// What goes in: any JSON value, of which only the hash is recorded
    #[arg(long, value_name = "JSON", value_parser = values::exact_json, allow_negative_numbers = true)]
    pub(crate) data: Option<JsonText>,
    /// Who runs it [default: as it was planned]
    #[arg(long, value_name = "DID", value_parser = own::actor)]
    pub(crate) actor: Option<String>,
    /// Where it runs [default: the name of this machine]
    #[arg(long, value_name = "TEXT", value_parser = own::name)]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) protect: Protect,
}

#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    /// The file with the step
    pub(crate) file: PathBuf,
    /// The name of the step, as it was planned
    #[arg(long, value_name = "NAME", value_parser = own::name)]
    pub(crate) step: String,
    /// A file that came out; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "error", "skip"])]
    pub(crate) output: Vec<PathBuf>,
    /// What came out: any JSON value, of which only the hash is recorded
    #[arg(long, value_name = "JSON", value_parser = values::exact_json, allow_negative_numbers = true,
          conflicts_with_all = ["error", "skip"])]
    pub(crate) data: Option<JsonText>,
    /// What went in, as it is now: if it is not what the step was started with, the step is compromised
    #[arg(long, value_name = "JSON", value_parser = values::exact_json, allow_negative_numbers = true, conflicts_with = "skip")]
    pub(crate) input_data: Option<JsonText>,
    /// It failed, and this is why
    #[arg(long, value_name = "TEXT", value_parser = own::text, conflicts_with = "skip")]
    pub(crate) error: Option<String>,
    /// It is left out: it was not started, and will not be
    #[arg(long)]
    pub(crate) skip: bool,
    /// Where it ran [default: the name of this machine]
    #[arg(long, value_name = "TEXT", value_parser = own::name)]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) protect: Protect,
}

#[derive(Debug, Args)]
pub(crate) struct CloseArgs {
    /// The file whose last workload is to end
    pub(crate) file: PathBuf,
    /// Who closes it [default: the owner of the chain]
    #[arg(long, value_name = "DID", value_parser = own::actor)]
    pub(crate) actor: Option<String>,
    #[command(flatten)]
    pub(crate) protect: Protect,
}

/// By which keys a file is judged.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Judge {
    /// The shared key under which it was hashed: the bytes of the file without one line feed at its end
    #[arg(long, value_name = "FILE")]
    pub(crate) hmac_key: Option<PathBuf>,
    /// Hold it against this checkpoint [default: FILE.checkpoint, where there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// A public key (hex, note, OpenSSH, or a file with one) that may have signed; may be repeated. With it every token must be
    /// signed, and every other signer is a finding
    #[arg(long, value_name = "PUB")]
    pub(crate) key: Vec<String>,
    /// The key of an actor: nobody else signs for it; may be repeated, also for the same actor. Otherwise as --key
    #[arg(long, value_name = "DID=PUB", value_parser = own::actor_key)]
    pub(crate) actor: Vec<own::ActorKey>,
    /// Trust the SPIFFE identities of this bundle (PEM); may be repeated. Otherwise as --key
    #[arg(long, value_name = "[TRUST-DOMAIN=]FILE")]
    pub(crate) trust_bundle: Vec<String>,
    /// Every token must be signed, and by whoever its actor is known to be (--actor, or its SPIFFE identity)
    #[arg(long)]
    pub(crate) signed: bool,
    /// Let tokens without a signature through, in spite of --key, --actor or --trust-bundle
    #[arg(long, conflicts_with = "signed")]
    pub(crate) allow_unsigned: bool,
    /// Segments before the first of a rotated log may be missing: what they hold is not asked for
    #[arg(long)]
    pub(crate) partial: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The files: chains, reference JSON-lines, bundles; `-` is a chain on standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) judge: Judge,
}

#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    /// The file to look in
    pub(crate) file: PathBuf,
    /// Only what has this action
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only what this one did
    #[arg(long, value_name = "DID")]
    pub(crate) actor: Option<String>,
    /// Only what happened then or later: a time as in tokens, like 2026-01-15T12:00:00+00:00, or seconds ago, like 3600
    #[arg(long, value_name = "TIME", value_parser = own::since)]
    pub(crate) since: Option<own::Since>,
    /// At most so many: the last
    #[arg(long, value_name = "N", value_parser = values::count, default_value = "100")]
    pub(crate) limit: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The file to draw
    pub(crate) file: PathBuf,
    /// At most so many tokens, the last; all those with a finding are drawn
    #[arg(long, value_name = "N", value_parser = values::count, default_value = "50")]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) judge: Judge,
}

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// The chain
    pub(crate) file: PathBuf,
    /// The token: its id, or the number of its line, from 1
    #[arg(value_name = "ID|LINE")]
    pub(crate) token: String,
    /// Prove it against this checkpoint [default: FILE.checkpoint]
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// The public key that signed the checkpoint [default: found among those that signed lines]
    #[arg(long, value_name = "PUB")]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The chain
    pub(crate) file: PathBuf,
    /// Sign the envelope with this secret key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The shared key under which it was hashed: the bytes of the file without one line feed at its end
    #[arg(long, value_name = "FILE")]
    pub(crate) hmac_key: Option<PathBuf>,
    /// A public key (hex, note, OpenSSH, or a file with one) that may have signed tokens and the checkpoint, beside that of --key; may
    /// be repeated
    #[arg(long, value_name = "PUB")]
    pub(crate) signer: Vec<String>,
    /// Trust the SPIFFE identities of this bundle (PEM) as signers of tokens; may be repeated
    #[arg(long, value_name = "[TRUST-DOMAIN=]FILE")]
    pub(crate) trust_bundle: Vec<String>,
    /// Attest tokens without a signature, too
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
    /// The workload, where there are several [default: the last]
    #[arg(long, value_name = "ID")]
    pub(crate) workload: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Which story [default: all of them]
    #[arg(long, value_enum)]
    pub(crate) scenario: Option<Scenario>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    Drone,
    Ai,
    Spiffe,
}

impl Scenario {
    /// In the order in which they are told.
    pub(crate) const ALL: &'static [Self] = &[Self::Drone, Self::Ai, Self::Spiffe];
}
