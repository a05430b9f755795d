//! The examples and promises under each `--help` of `sluis chain`.

pub(super) const CHAIN: &str = r#"Examples:
  sluis chain demo
  sluis chain new mission.jsonl --name mission-7 --owner jis:dispatch
  sluis chain run mission.jsonl --step build --input main.c --output main.o \
      -- cc -c main.c
  sluis chain add mission.jsonl --action approved --actor jis:alice
  sluis chain close mission.jsonl
  sluis chain verify mission.jsonl

A chain is a file of JSON lines, one token each, as `tibet-core` writes and reads
them. Every line we write says the hash of the line before it. Beside FILE stand
FILE.tree, the hashes of its lines, and FILE.checkpoint, in which the log says,
signed, how long it is and what the root of its Merkle tree (RFC 9162) is: keep
copies of that, and nothing before it can be rewritten unseen.

With --json, every line is an object with its time as "t" (RFC 3339); `prove` and
`export` print one document, without it.

Who adds to a log with a checkpoint without its --key leaves lines that the checkpoint
does not cover: the next write with the key is refused until `--new-checkpoint` signs
one over all that is there, after `chain verify` has shown what that is. So it is
after a crash between a line of --svid and its checkpoint: what signs that line is
the SPIFFE identity, and not the key of the log.

Exit codes: 0 all well, 1 it is not, or it could not be done, 2 the command line
is wrong; `chain run` ends as its command does when that fails."#;

pub(super) const NEW: &str = r#"Examples:
  sluis chain new mission.jsonl --name mission-7 --owner jis:dispatch
  sluis chain new mission.jsonl --name example.org/mission --owner jis:dispatch \
      --key hub.key

--json prints
  {"event":"added","file","line","token_id","action","content_hash","leaf",
   "checkpoint","behind"}
      leaf: the hash of the line in the Merkle tree; checkpoint: "renewed", "not
      renewed", or null without one; behind: why it, or FILE.tree, is not, or null
It bears its time as "t" (RFC 3339).

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong."#;

pub(super) const ADD: &str = r#"Examples:
  sluis chain add log.jsonl --action door_opened --actor jis:home:hub \
      --erin '{"door":"north"}' --erachter 'the courier rang'
  sluis chain add log.jsonl --action approved --actor jis:alice --key alice.key
  sluis chain add log.jsonl --action read --actor jis:bob --hmac-key shared.key

The line is on the disk when the command ends well. If only the checkpoint, or the
tree, could not be written then, that is said, and the exit code is 0 all the same:
the next write renews them. The checkpoints of a log are signed by the key that it
was begun with, and by no other. Others that add at the same time wait for each
other. Closed segments and the actions of workloads (step_completed, ...) are
refused.

--json prints
  {"event":"added","file","line","token_id","action","content_hash","leaf",
   "checkpoint","behind"}
      leaf: the hash of the line in the Merkle tree; checkpoint: "renewed", "not
      renewed", or null without one; behind: why it, or FILE.tree, is not, or null
It bears its time as "t" (RFC 3339).

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong."#;

pub(super) const RUN: &str = r#"Examples:
  sluis chain run ci.jsonl --step build --input main.c --output main.o \
      -- cc -c main.c
  sluis chain run ci.jsonl --step link --input main.o --output main \
      --intent 'release 1.2' --key ci.key -- cc main.o -o main

Inputs are hashed before and after the command, outputs after it. Files are known
by their resolved paths, relative to the folder of the log. An input that an
earlier step put out must be as that left it, or the command is not run; one that
has other bytes after the command makes the step compromised, and one that was
written to, renamed or exchanged meanwhile makes it failed, for good. Inputs other
than just what the step before put out, or none at all, make the step independent
of it, as --independent does. Exit code, command, files and their hashes stand in
the metadata of the step.

Before the command is run, the log is opened, and the step must fit into it. A
step that was planned (see `chain plan`) runs in its turn. SIGTERM and SIGHUP are
passed on to the command, SIGINT and SIGQUIT where it has not got them from the
terminal by itself; once it has ended, they end `chain run`.

The standard output of the command is passed through; with --json it goes to
standard error, because standard output then holds only
  {"event":"step","file","line","token_id","step","status","error","exit_code",
   "duration_ms","inputs":{file:sha256},"outputs":{file:sha256},"leaf",
   "checkpoint","behind"}
      error: why it is not completed, or null; the last two as of `chain add`
It bears its time as "t" (RFC 3339).

Exit codes: that of the command when it fails (128 and the signal that ended it;
127 it was not found, 126 it could not be run); 0 it went well and is recorded,
1 it could not be recorded, or an input changed, 2 the command line is wrong."#;

pub(super) const PLAN: &str = r#"Examples:
  sluis chain plan mission.jsonl --step receive --executor jis:drone-7
  sluis chain plan mission.jsonl --step deliver --executor jis:drone-7
  sluis chain start mission.jsonl --step receive --data '{"order":"PKG-42"}'
  sluis chain complete mission.jsonl --step receive --data '{"accepted":true}'
  sluis chain run mission.jsonl --step deliver --independent -- ./deliver

Planned steps run in the order in which they were planned, by `chain start` and
`complete` or by `chain run`; a step that was not planned runs behind them. What
goes into a step must be what the one before put out, unless it was planned with
--independent.

--json prints what `chain add` does.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong."#;

pub(super) const START: &str = r#"Examples:
  sluis chain start mission.jsonl --step receive --data '{"order":"PKG-42"}'
  sluis chain start ci.jsonl --step sign --input app.bin --actor jis:signer

--json prints what `chain add` does.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong."#;

pub(super) const COMPLETE: &str = r#"Examples:
  sluis chain complete mission.jsonl --step receive --data '{"accepted":true}'
  sluis chain complete ci.jsonl --step sign --output app.sig --key ci.key
  sluis chain complete mission.jsonl --step deliver --error 'no landing place'
  sluis chain complete mission.jsonl --step deliver --skip

Files that went in are hashed again: if one has other bytes than at the start, the
step is compromised, for good. --input-data compares data in the same way.

--json prints
  {"event":"step","file","line","token_id","step","status","error","leaf",
   "checkpoint","behind"}
      error: why it is not completed, or null; the last two as of `chain add`
It bears its time as "t" (RFC 3339).

Exit codes: 0 done, also where it failed or was left out as you said, 1 it is
compromised, or could not be done, 2 the command line is wrong."#;

pub(super) const CLOSE: &str = r#"Examples:
  sluis chain close ci.jsonl
  sluis chain close ci.jsonl --key ci.key

The last token says how many steps there were and how they ended: with it, steps
that are cut off are found without a checkpoint, too, and nothing can be put
behind them. A step that is run in the file afterwards begins a new workload.

--json prints what `chain add` does
      action: workload_completed, workload_failed or workload_compromised

Exit codes: 0 it is closed, however its steps ended, 1 it could not be done, 2 the
command line is wrong."#;

pub(super) const VERIFY: &str = r#"Examples:
  sluis chain verify mission.jsonl
  sluis chain verify mission.jsonl --key hub.pub --checkpoint kept.checkpoint
  sluis chain verify mission.jsonl --signed --actor jis:hub=hub.pub
  sluis chain verify audit.jsonl --hmac-key shared.key --json
  sluis chain verify proof.json --key hub.pub
  ssh hub cat mission.jsonl | sluis chain verify - --checkpoint kept.checkpoint

Takes our files and the JSON lines of `tibet-core` alike. A broken line is named
and verification goes on. What follows from a finding is not reported again. Without
--key, signatures are checked against the keys that they name, and who that is is
said in the summary, as is all that was not checked.

With --key, --actor or --trust-bundle every token must be signed by one of them, unless
--allow-unsigned lets those without a signature through. --actor says whose key a
key is: then nobody else signs for that actor. With --signed that must be known of
every actor; a SPIFFE identity proves itself by its certificate. The first line of a
log names the key of its checkpoints, so that a FILE.checkpoint that is gone is
found. A file without a single token is never right.

--json prints for each finding, and then for each file
  {"event":"finding","line","token_id","kind","expected","actual"}
  {"event":"summary","file","lines","tokens","findings","ok","linked","size",
   "root","checkpoint":{"origin","size","root","signed","own_key"},
   "signers":[{"public","fingerprint" or "spiffe_id","tokens","known"}],
   "unproven":[{"actor","tokens"}],"not_checked":[word],"elapsed_s"}
      root: null where there is neither FILE.tree nor a checkpoint, checkpoint:
      null where there is none; signed: by a key that was named, own_key: by the one
      that the log names; unproven: who signed is not known to be that actor;
      not_checked: tail, links, unlinked, checkpoint_key, after_checkpoint, segments,
      elsewhere, signers, spiffe, unsigned, actors
Each bears its time as "t" (RFC 3339).

The first line of a segment of a rotated log says which segment it continues. That
one is looked for beside it, among the files that are named like it, and in the other
files of the command line; if it is missing, that is a finding, unless --partial lets
it be. What any token follows may also stand in the other files that are named.

Exit codes: 0 nothing was found, 1 something was, or it could not be read, 2 the
command line is wrong."#;

pub(super) const FIND: &str = r#"Examples:
  sluis chain find log.jsonl --action door_opened --limit 10
  sluis chain find log.jsonl --actor jis:home:hub --since 3600
  sluis chain find log.jsonl --since 2026-01-15T12:00:00+00:00 --json

The last N that match are printed, the newest at the end. Nothing is verified on
the way. A time without an offset is taken for UTC.

--json prints the tokens as they stand in the file, each a line
  {"event":"token","line","token":{...}}
  {"event":"summary","file","lines","broken","found","shown"}
Each bears its time as "t" (RFC 3339). A token that JSON readers fail over or change
is {"text":JSON}, as payloads are (see `sluis listen --help`).

Exit codes: 0 done, 1 the file could not be read, 2 the command line is wrong."#;

pub(super) const SHOW: &str = r#"Examples:
  sluis chain show mission.jsonl
  sluis chain show mission.jsonl --limit 1000 --color always | less -R

--json prints what is drawn
  {"event":"token","line","token_id","action","actor","timestamp","state",
   "step","exit_code","linked","signed","finding":{"kind","expected","actual"}}
      step, exit_code: of a step, or null; linked: whether it says the hash of the
      line before it; finding: or null
  {"event":"finding","line","token_id","kind","expected","actual"}
      what is wrong with the whole, and with lines that are not there
  {"event":"summary","file","lines","findings","ok"}
Each bears its time as "t" (RFC 3339).

What is asked for with --key, --actor, --trust-bundle and --signed is as with `chain
verify`. Of more than 10,000 findings the rest is marked and not told.

Exit codes: 0 nothing is wrong with it, 1 something is, or it could not be read,
2 the command line is wrong."#;

pub(super) const PROVE: &str = r"Examples:
  sluis chain prove mission.jsonl 3 > proof.json
  sluis chain prove mission.jsonl tibet_20260115120000000000_deadbeef > proof.json
  sluis chain verify proof.json --key hub.pub

The bundle is one JSON object, with or without --json. It needs FILE.checkpoint,
which `--key` of `chain new`, `add` and `run` makes.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong.";

pub(super) const EXPORT: &str = r"Examples:
  sluis chain export ci.jsonl --key ci.key > ci.intoto.json

The envelope is one JSON object, with or without --json: DSSE around an in-toto
statement that other supply-chain tools verify. The log is verified first, and what
`chain verify --key` with the same key finds fault with is not signed: every token
must be signed by that key, or by one of --signer or --trust-bundle, unless
--allow-unsigned lets unsigned ones through. Whoever verifies the envelope names the
same keys. A compromised step is in the statement as what it is.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong.";

pub(super) const DEMO: &str = r#"Examples:
  sluis chain demo
  sluis chain demo --scenario ai
  sluis chain demo --scenario spiffe --json

drone   a mission whose navigation data is changed after the fact
ai      a pipeline of models, each step signed by its own executor
spiffe  executors with X.509-SVIDs of a throw-away authority

Everything happens in a folder of its own that is gone afterwards. --json prints
  {"event":"step","step","title","ok"}
around what is found; ok: null before the step, then true or false. Each bears its
time as "t" (RFC 3339).

Exit codes: 0 everything went as told, 1 it did not."#;
