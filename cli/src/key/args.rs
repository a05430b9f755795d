//! The flags of `sluis key`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key: Ed25519, or secp256k1 for signalling; PKCS#8 in PEM, for the owner's eyes only (mode 0600)
    #[command(after_help = NEW_EXAMPLES)]
    New(NewArgs),
    /// Show whose key a file holds: the public key and its fingerprint, never the secret
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Print the public key in a form that others read
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Hand the names of a key over to another key: print a statement signed by both, for `accept` of whoever pinned the old one
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate(RotateArgs),
    /// Say that a key is not to be believed any longer: print a statement signed by it, for `accept` of whoever pinned it
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke(RevokeArgs),
}

impl KeyCommand {
    /// As it is said in a sentence.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::New(_) => "key new",
            Self::Show(_) => "key show",
            Self::Export(_) => "key export",
            Self::Rotate(_) => "key rotate",
            Self::Revoke(_) => "key revoke",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Where to write the key
    pub(crate) file: PathBuf,
    /// What it is for: ed25519 signs and names a node, secp256k1 is an address for signalling
    #[arg(long, value_enum, default_value = "ed25519")]
    pub(crate) kind: Kind,
    /// Take a secp256k1 key that is there already: a file, for its owner's eyes only, with 64 hex digits
    #[arg(long, value_name = "HEXFILE")]
    pub(crate) import: Option<PathBuf>,
    /// Replace what is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Ed25519,
    Secp256k1,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A key file: a secret key, or a public key in any form that `key export` prints
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A key file: a secret key, or a public key in any form that is printed here
    pub(crate) file: PathBuf,
    /// In which form
    #[arg(long, value_enum, default_value = "pem")]
    pub(crate) format: Format,
    /// The name in the forms `note` and `openssh` [default: the name of the file without its extension]
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The secret key that is retired
    pub(crate) old: PathBuf,
    /// The secret key that takes its place: it signs too, so that no name ends with a key that is not asked
    pub(crate) new: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The secret key that is retired
    pub(crate) file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Pem,
    Hex,
    Note,
    Openssh,
}

impl Format {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pem => "pem",
            Self::Hex => "hex",
            Self::Note => "note",
            Self::Openssh => "openssh",
        }
    }
}

pub(crate) const EXAMPLES: &str = r"Examples:
  sluis key new hub.key
  sluis key show hub.key
  sluis key export hub.key --format note --name example.org/hub
  sluis key rotate hub.key next.key > statement.json

A secret key that group or others may read is refused until you close it with
`chmod 600 FILE`.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong.";

const NEW_EXAMPLES: &str = r#"Examples:
  sluis key new hub.key
  sluis key new hub.key --force --json
  sluis key new signal.key --kind secp256k1
  sluis key new signal.key --kind secp256k1 --import secret.hex
  openssl pkey -in hub.key -pubout      (others read it, too)

The file is made with mode 0600 and never written over without --force, which
puts the new key in the place of the old one in one step.

--json prints
  {"event":"key","file","algorithm":"ed25519","secret":true,"public",
   "fingerprint","t"}
      algorithm: ed25519 or secp256k1; a secp256k1 key has no fingerprint

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong."#;

const SHOW_EXAMPLES: &str = r#"Examples:
  sluis key show hub.key
  sluis key show hub.pub --json

Compare fingerprints before you trust a key: `SHA256:...` is what
`ssh-keygen -lf` prints for the same key, the groups are the start of the same
hash for reading aloud.

--json prints
  {"event":"key","file","algorithm":"ed25519","secret","public","fingerprint",
   "t"}
      secret: whether the file holds the secret key; public: 64 hex digits
  and of a secp256k1 key "algorithm":"secp256k1", public: 66 hex digits, no
  fingerprint: such a key is compared whole, it is the address of its owner

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong."#;

const EXPORT_EXAMPLES: &str = r#"Examples:
  sluis key export hub.key > hub.pub
  sluis key export hub.key --format note --name example.org/hub
  sluis key export hub.key --format openssh | ssh-keygen -lf -

pem      SPKI in PEM, as `openssl pkey -pubout` prints it
hex      the 32 bytes as 64 hex digits
note     the verifier key of a C2SP signed note: NAME+KEYID+BASE64; a log signs
         its checkpoints under its name (see `sluis chain new`)
openssh  a line as in authorized_keys
A secp256k1 key, for signalling, has the forms pem and hex (66 digits).

--json prints
  {"event":"key","file","algorithm":"ed25519","format","text","t"}

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong."#;

const ROTATE_EXAMPLES: &str = r#"Examples:
  sluis key new sensor-2027.key
  sluis key rotate sensor.key sensor-2027.key > statement.json

Whoever pinned the old key pins the new one in its place once he has read the
statement, and believes the old key never again. Both keys sign.

One line of JSON, with or without --json:
  {"type":"sluis-key-rotation","old","new","at","signature","new_signature"}
      at: seconds since 1970 (UTC)

Exit codes: 0 done, 1 a key cannot be read, 2 the command line is wrong."#;

const REVOKE_EXAMPLES: &str = r#"Examples:
  sluis key revoke sensor.key > statement.json

Whoever has read the statement believes the key never again: not in sessions
that are open, not under any name. It can be made in advance and kept in a safe
place, for the day the key is lost or stolen. There is no way back.

One line of JSON, with or without --json:
  {"type":"sluis-key-revocation","key","at","signature"}
      at: seconds since 1970 (UTC)

Exit codes: 0 done, 1 the key cannot be read, 2 the command line is wrong."#;
