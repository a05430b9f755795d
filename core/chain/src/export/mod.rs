//! Workloads as attestations that other tools read: an in-toto Statement v1 in a DSSE envelope.
//!
//! What this room promises:
//!
//! - [`Envelope`] is DSSE 1.0: signatures cover [`pae`], keyids are those of `securesystemslib` ([`KeyId`]) and never
//!   more than a hint, any number of signers may sign, and `t` of `n` keys can be asked for. Ed25519 has the one
//!   acceptance rule of the project.
//! - Nothing of a payload is seen before it was verified, and what is seen is what was verified: [`Verified`].
//! - [`Statement`] is made from the lines of a workload and from nothing else, the same bytes each time. Reading one
//!   makes it again from the lines inside and compares, so nothing in it can say what its tokens do not.
//! - Lines are taken only in order, each following the one before by hash. Seals, and ties of inputs to outputs, are
//!   for the verifier of logs to judge; an envelope holds the lines, so it can be asked afterwards too.
//!
//! ```
//! use sluis_chain::export::{Envelope, PAYLOAD_TYPE};
//! use sluis_core::identity::SecretKey;
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let (alice, bob) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
//! let mut envelope = Envelope::new(PAYLOAD_TYPE, br#"{"_type":"https://in-toto.io/Statement/v1"}"#);
//! envelope.sign(&alice)?;
//! envelope.sign(&bob)?;
//!
//! let received = Envelope::parse(&envelope.to_json())?;
//! let verified = received.verify(&[alice.public(), bob.public()], 2)?;
//! assert_eq!(verified.payload_type(), PAYLOAD_TYPE);
//! # Ok(())
//! # }
//! ```
//!
//! # The statement
//!
//! No predicate of others fits: SLSA provenance and in-toto's link each describe one build or one step, by one party.
//! So the predicate is ours, [`PREDICATE_TYPE`], with members named as in-toto asks for:
//!
//! ```json
//! {"_type": "https://in-toto.io/Statement/v1",
//!  "subject": [{"name": "path.json", "digest": {"sha256": "64 hex"}}],
//!  "predicateType": "urn:sluis:attestation:workload:v1",
//!  "predicate": {
//!    "workload": {"id": "16 hex", "name": "…", "owner": "…", "spiffeId"?: "…", "coordinator": "…", "status": "completed",
//!                 "createdAt": "ISO 8601", "closedAt"?: "ISO 8601"},
//!    "steps": [{"name": "…", "sequence": 1, "status": "completed", "executor": "…", "node": "…", "startedAt"?: "ISO 8601",
//!               "endedAt": "ISO 8601", "inputSha256"?: "64 hex", "outputSha256"?: "64 hex", "tokenId": "…", "contentHash": "64 hex"}],
//!    "tokenHash": "sha256",
//!    "tokens": ["the line of each token, as it stands in the log"]}}
//! ```
//!
//! - **Subjects** are what completed steps put out. A step that declares files (`metadata.outputs`: an object of names
//!   and SHA-256 in hex, whose own hash is the step's `output_sha256`) gives each of them; any other step with an
//!   output gives one by its own name, the digest that of the output's canonical text. What a later step puts out under
//!   the same name takes the place of the earlier. A workload without any output is its own subject: the name of its
//!   last token, and SHA-256 of that token's line.
//! - `status` is that of the last token, `open` where there is none yet. `tokenHash` is `hmac-sha256` for a chain under
//!   a shared key.
//! - The lines are texts, not objects, because it is their bytes that logs hash.

mod envelope;
mod error;
mod json;
mod keyid;
mod order;
mod statement;

pub use envelope::{Envelope, MAX_SIGNATURES, Verified, pae};
pub use error::{EnvelopeError, StatementError};
pub use keyid::KeyId;
pub use statement::{Statement, Subject};

/// What the payload of an envelope is: an in-toto statement as JSON.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// What a statement is.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// What our statements say about their subjects: which workload made them, and how. The name of a definition, not an
/// address: the definition is the documentation of this module.
pub const PREDICATE_TYPE: &str = "urn:sluis:attestation:workload:v1";
