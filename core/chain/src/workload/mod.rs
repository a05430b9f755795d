//! Workloads and steps: pipelines whose every step is a token, signed by whoever ran it.
//!
//! What this room promises:
//!
//! - [`Workload`] is one pipeline as a machine: no I/O, no clock, randomness comes in. It lives on the heap ([`Heap`](sluis_core::table::Heap)),
//!   where a million steps cost as much each as a thousand, or inline with a fixed capacity ([`Fixed`](sluis_core::table::Fixed)).
//! - **A step runs once, in its turn, and how it ended is final.** Starting out of order or again, a second step of one name, and any
//!   change of a step that ended (compromised ones above all) are refused with a [`Refused`] that says why.
//! - **Its input is the output of the step before**, unless it was declared independent when it was added.
//! - **Each step is a token** in the form below, hashed, MACed or signed by its executor ([`Protection`]), linked to the one before, and
//!   covering WHO ran it, WHERE, and on what. [`check`] finds what does not fit, whoever wrote it.
//! - **Steps may run elsewhere** ([`handover`]): only the signed token of the one that was offered, in its place, is let in.
//! - `Engine` is `tibet-workload`'s engine over all that: ids, states, audit trail, statistics as there, save for the rows of
//!   `tests/deviations.toml`; `import` verifies what that package wrote.
//!
#![cfg_attr(feature = "alloc", doc = "```")]
#![cfg_attr(not(feature = "alloc"), doc = "```ignore")]
//! use sluis_chain::token::KnownKeys;
//! use sluis_chain::workload::check::StepVerifier;
//! use sluis_chain::workload::{Data, NewStep, NewWorkload, Protection, Refused, Workload};
//! use sluis_core::data::Value;
//! use sluis_core::identity::SecretKey;
//! use sluis_core::table::Fixed;
//! use sluis_core::{Now, Seed};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let (now, seed) = (Now::default(), Seed::from_u64(1)); // in production: the clocks, and a seed of the system's
//! let (key, mut rng) = (SecretKey::generate(&mut seed.fork("key")), seed.fork("ids"));
//! let new = NewWorkload { name: "delivery", owner: "jis:dispatch", actor: "jis:drone:7", node: "drone-7", ..NewWorkload::default() };
//! let mut delivery = Workload::<Fixed<4>>::new(now, &new, &mut rng)?;
//! let order = Data::Value(Value::from_json(r#"{"order": "PKG-42"}"#)?);
//! let path = Data::Value(Value::from_json(r#"{"waypoints": 12}"#)?);
//!
//! let plan = delivery.add(&NewStep { name: "plan", ..NewStep::default() }, &mut rng)?;
//! let fly = delivery.add(&NewStep { name: "fly", ..NewStep::default() }, &mut rng)?;
//! assert_eq!(delivery.start(now, fly, path, None), Err(Refused::OutOfOrder { first: plan }));
//! delivery.start(now, plan, order, None)?;
//! delivery.complete(now, plan, path, None)?;
//! assert!(matches!(delivery.start(now, fly, order, None), Err(Refused::InputMismatch { .. })));
//! delivery.start(now, fly, path, None)?;
//! delivery.complete(now, fly, Data::None, Some(path))?;
//! delivery.close(now)?;
//!
//! let (mut line, mut chain) = ([0; 4096], Vec::new());
//! let signed = Protection { seal: Some(&key), ..Protection::default() };
//! while let Some(written) = delivery.poll_token(&signed, &mut line) {
//!     chain.push(line[..written?.len].to_vec());
//! }
//! assert_eq!(chain.len(), 4, "its beginning, two steps, its end");
//!
//! let mut keys = [key.public().verifier()?];
//! let keys = KnownKeys::new(&mut keys);
//! let mut verifier = StepVerifier::new(None, Some(&keys), &seed);
//! assert!(chain.iter().all(|line| verifier.line(line).is_none()));
//! # Ok(())
//! # }
//! ```
//!
//! # A workload as tokens
//!
//! A workload is one token when it is created, one for each step *when it ends*, and one when it is closed. Each is a token as
//! any other ([`chain::token`](crate::token)): the reference's twelve members in its order, so one file, one log and one
//! verifier hold them all. Members of `erin` and `eromheen` stand sorted by key, so that the same text is hashed and written.
//! Members marked *?* are absent where they would say nothing.
//!
//! | member | first token | step | last token |
//! |---|---|---|---|
//! | `token_id` | `workload_<workload id>` | `step_<workload id>_<step id>` | `closed_<workload id>` |
//! | `action` | `workload_created` | `step_completed`, `step_failed`, `step_compromised`, `step_skipped` | `workload_completed`, `workload_failed`, `workload_compromised` |
//! | `timestamp` | when it was created | when the step ended (`completed_at`) | when it was closed |
//! | `actor` | who coordinates it, and signs | the executor: who ran the step, and signs (a DID or SPIFFE ID) | who coordinates it, and signs |
//! | `erin` | what: below | what: below | what: below |
//! | `eraan` | `[]` | `["output:sha256:<64 hex>"?, "token:<64 hex>"]` | `["token:<64 hex>"]` |
//! | `eromheen` | `{"node"}` | where: below | `{"node"}` |
//! | `erachter` | `Create workload pipeline: <name>` | the step's intent, else `Execute step '<name>'` | `Close workload pipeline` |
//! | `parent_id` | `null`, or the token it was created for | `token_id` of the step before, of the first token for step 1 | `token_id` of the last step, of the first token without steps |
//! | `state` | `created` | `created`; `detected` when compromised | `created`; `detected` when compromised |
//! | `signature` | by the seal, or `""` | by the seal of the executor, or `""` | by the seal, or `""` |
//!
//! `token:` is the `content_hash` of the token that `parent_id` names, as it stands in its line (SHA-256, or HMAC under the chain's
//! key). `output:sha256:` is the full output hash of the step before (of the last that had one), absent where none has. A log that writes
//! the token adds its own `prev:sha256:…` as the last member of `eraan`; a step that was signed elsewhere has none.
//!
//! `erin` of a **step**, in this order:
//!
//! ```json
//! {"error"?: "text", "finding"?: {"actual": "64 hex", "data"?: any, "expected": "64 hex"}, "independent"?: true,
//!  "input_hash": "32 hex", "input_sha256": "64 hex", "metadata"?: {}, "output_hash": "32 hex", "output_sha256": "64 hex",
//!  "sequence": 1, "status": "completed", "step": "name", "step_id": "12 hex", "workload_id": "16 hex"}
//! ```
//!
//! - `input_hash` and `output_hash` are the reference's: the first 32 digits of SHA-256 over the canonical text of the data (`, ` and
//!   `: `), `""` for none and for what Python calls false. `…_sha256` is all 64 digits, or `""`. The links use the full ones.
//! - `metadata.inputs` and `metadata.outputs`, where they are objects of file names and SHA-256 in hex, say which files the data is:
//!   their own hash is then `input_sha256` and, of a completed step, `output_sha256`. In any other form they must not hold anything
//!   that looks like a SHA-256. `sluis chain run` names a file by its resolved path
//!   relative to the folder of the log, with `\\` for a backslash and `\xff` for a byte that is no UTF-8.
//! - `independent` says that the input was declared not to be the output of the step before. Else `input_sha256`
//!   equals the `output:sha256:` in `eraan` (where there is none, any input will do).
//! - `status` is `completed`, `failed`, `compromised` or `skipped`, and agrees with `action`. `sequence` counts from 1 without gaps; a
//!   step's `step` (name) is unique in its workload.
//! - `error` and `finding` go with `failed` and `compromised`: what was recorded as input at the start (`expected`), what it was found to be at
//!   the end (`actual`), and where switched on the data itself (`data`).
//!
//! `eromheen` of a **step**, in this order (a SPIFFE identity that signed is bound by its ID, the end of its validity and its leaf
//! certificate; the certificate itself stands in the `x509:` signature):
//!
//! ```json
//! {"duration_ms": 1.5, "node": "where it ran", "spiffe"?: {"certificate_sha256": "64 hex", "expires_at": "ISO 8601", "id": "spiffe://…"},
//!  "started_at": "ISO 8601"}
//! ```
//!
//! `duration_ms` is measured on the monotonic clock. `started_at` is `""` for a step that was never started (skipped).
//!
//! `erin` of the **first** token: `{"metadata"?: {}, "name": "…", "owner": "…", "spiffe_id": "", "workload_id": "16 hex"}`.
//!
//! `erin` of the **last** token: `{"completed_steps": 3, "compromised_steps": 0, "failed_steps": 0, "skipped_steps": 0, "status": "completed",
//! "step_count": 3, "workload_id": "16 hex"}`: with it, removing the last steps is found without a checkpoint too. Nothing of this workload may
//! follow it.
//!
//! # Steps that have not ended
//!
//! Programs that work on one log, one after the other, say there what is planned and what was started. These are tokens as any
//! other, and no links of the workload: the tokens of ended steps follow each other as if they were not there.
//!
//! | member | planned | started |
//! |---|---|---|
//! | `token_id` | `added_<workload id>_<step id>` | `started_<workload id>_<step id>` |
//! | `action` | `step_added` | `step_started` |
//! | `actor` | who plans it | who runs it |
//! | `erin` | [`Plan`] | [`Plan`] |
//! | `eromheen` | `{"node"}` | `{"node"}` |
//! | `parent_id` | `workload_<workload id>` | `added_<workload id>_<step id>` |
//!
//! [`Workload::resume`], [`replay`](Workload::replay) and [`replay_plan`](Workload::replay_plan) make of all that the workload again. The
//! step that ends has the id and the place that it was planned with.
//!
//! # Handing a step over
//!
//! A step may run elsewhere. The coordinator sends a ping with the intent `sluis.step` and an **offer** as its payload:
//!
//! ```json
//! {"step_offer": {"coordinator": "jis:dispatch", "executor": "jis:relay-3", "expires_at": "ISO 8601", "independent": false,
//!   "input_sha256": "64 hex", "intent": "…", "name": "navigate", "parent_id": "step_…", "parent_token": "64 hex",
//!   "previous_output_sha256": "64 hex", "sequence": 2, "step_id": "12 hex", "workload_id": "16 hex"},
//!  "input": any, "signature": "ed25519:<64 hex public key>:<128 hex signature>"}
//! ```
//!
//! `signature` covers `sluis step offer v1\n<64 hex SHA-256 of the canonical text of step_offer>\n`; `input_sha256` ties `input` to it. The executor checks the
//! offer, runs the step, and answers with the finished, signed line as a text (its bytes survive any encoding), or says why not:
//!
//! ```json
//! {"step_token": "{\"token_id\": \"step_…\", …}"}        {"step_refused": "reason"}
//! ```
//!
//! The coordinator admits the line only if it is the step it offered, once, in its place, by the executor it offered it to, signed by a key
//! that is this executor's.

#[cfg(feature = "alloc")]
pub mod check;
mod data;
mod draft;
#[cfg(feature = "alloc")]
mod engine;
mod entry;
pub mod handover;
mod ids;
#[cfg(feature = "alloc")]
pub mod import;
mod inputs;
mod machine;
mod plan;
mod poll;
mod protect;
mod read;
mod refused;
mod resume;
mod row;
mod status;
mod storage;
mod view;
mod write;

pub use crate::token::Protection;
pub use data::{hash_data, hash_value, short_hash};
#[cfg(feature = "alloc")]
pub use engine::{Action, AuditEntry, Engine, EngineConfig, EngineStats, Event};
pub use entry::{After, Closed, Created, Entry, Finding, Spiffe, Step, StepCounts};
pub use ids::{AuditId, IdSeed, StepId, WorkloadId};
pub use inputs::{Completion, Data, NewStep, NewWorkload};
pub use machine::Workload;
pub use plan::{Plan, Planned, STEP_ADDED, STEP_STARTED, is_reserved};
pub use poll::Pending;
pub use protect::{InLog, WriteError, Written};
pub use read::Malformed;
pub use refused::Refused;
pub use status::{StepStatus, WorkloadStatus};
pub use storage::{FIXED_TEXT, MAX_DATA, MAX_NAME, MAX_NOTE, StepStorage};
pub use view::{ErrorText, Issue, StepView, Verification};

/// Bytes in which every line of this room fits, metadata aside.
pub const MAX_LINE: usize = 64 * 1024;
