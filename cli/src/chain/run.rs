//! `sluis chain run`: a command as a step.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use sluis_chain::token::Hash32;
use sluis_chain::workload::{Finding, Protection, Spiffe, Step, StepId, StepStatus};
use sluis_core::data::canonical::{self, Member};
use sluis_core::framing::{Number, Text, Value};
use sluis_core::{Now, Wall};
use sluis_tokio::SystemClock;

use super::add;
use super::args::RunArgs;
use super::ledger::{self, Added, Keys, Ledger};
use super::lines::{Lines, Running, hash_files, to_json};
use crate::fail::Fail;
use crate::output::{Out, Style, tell};
use crate::tokens;

/// Files and the hashes of their contents, in hex.
type Files = BTreeMap<String, String>;

/// Exit codes of a command that did not run, as shells and `env` have them.
const NOT_FOUND: i32 = 127;
const NOT_RUN: i32 = 126;

/// What goes into the step, and what that has to do with the step before.
struct Plan {
    inputs: Files,
    input: Option<Hash32>,
    independent: bool,
}

/// How the command ended.
struct Ended {
    started: Wall,
    ended: Wall,
    took: Duration,
    /// As a shell says it.
    code: i32,
    /// Why it did not go well.
    error: String,
}

/// Run the command and record it.
pub(super) fn run(out: &mut Out, args: &RunArgs) -> Result<ExitCode, Fail> {
    let keys = Keys::read(&args.protect)?;
    add::refuse_another(&keys, args.actor.as_deref())?;
    let clock = SystemClock::new();
    let before = if args.file.exists() { Ledger::open(&args.file)?.lines() } else { Lines::default() };
    let before = before.kept.workload.as_deref().filter(|running| !running.closed);
    refuse_twice(before, &args.step)?;
    let plan = plan(before, args)?;
    let (ended, outputs, finding) = execute(&clock, out.style, args, &plan);

    let ledger = Ledger::open(&args.file)?;
    let outcome = Outcome { plan, ended, outputs, finding };
    let added = record(&ledger, &keys, args, before, &outcome)?;
    ledger.checkpoint(&keys)?;
    drop(ledger);
    say(out, args, &outcome, &added);
    Ok(match (&outcome.finding, outcome.ended.code, added.status) {
        (_, code, _) if code != 0 => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        (None, _, StepStatus::Completed) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn refuse_twice(running: Option<&Running>, step: &str) -> Result<(), Fail> {
    match running {
        Some(running) if running.steps.iter().any(|name| name == step) => Err(Fail::runtime(format!(
            "step `{step}` was run in this chain already, and what it ended as is final; name this one otherwise"
        ))),
        _ => Ok(()),
    }
}

/// Hash what goes in, and hold it against what the step before put out.
fn plan(before: Option<&Running>, args: &RunArgs) -> Result<Plan, Fail> {
    let inputs = hash_all(&args.input).map_err(|(path, why)| {
        Fail::runtime(format!("cannot read the input {} ({why}), the command was not run", path.display()))
    })?;
    let none = Files::new();
    let outputs = before.map_or(&none, |running| &running.outputs);
    let shared = || inputs.iter().filter_map(|(name, hash)| outputs.get(name).map(|left| (name, hash, left)));
    if let Some((name, hash, left)) = shared().find(|(_, hash, left)| hash != left).filter(|_| !args.independent) {
        return Err(Fail::runtime(format!(
            "{name} is not as the step before left it (expected {left}, found {hash}), the command was not run; restore it, \
             or add --independent if it may differ"
        )));
    }
    let tied = before.and_then(|running| running.after.output);
    // Everything that came out goes in, and perhaps more.
    let all = outputs.keys().all(|name| inputs.contains_key(name)) && !outputs.is_empty();
    Ok(match tied {
        Some(output) if !args.independent && (inputs.is_empty() || all) => {
            Plan { inputs, input: Some(output), independent: false }
        }
        _ => Plan { input: hash_files(&inputs), independent: args.independent || tied.is_some(), inputs },
    })
}

fn hash_all(paths: &[PathBuf]) -> Result<Files, (&Path, io::Error)> {
    paths
        .iter()
        .map(|path| match add::hash_file(path) {
            Ok(hash) => Ok((name(path), hash.to_string())),
            Err(why) => Err((path.as_path(), why)),
        })
        .collect()
}

/// One name for one file, however it is spelled: `./a//b` is `a/b`.
fn name(path: &Path) -> String {
    let parts: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if parts.as_os_str().is_empty() { path.display().to_string() } else { parts.display().to_string() }
}

/// Expected and actual hash of the inputs, where they changed.
type Changed = Option<(Hash32, Hash32)>;

fn execute(clock: &SystemClock, style: Style, args: &RunArgs, plan: &Plan) -> (Ended, Files, Changed) {
    let start = clock.now();
    let outcome = spawn(style, args);
    let end = clock.now();
    let mut ended = ended(start, end, outcome);
    let outputs = match hash_all(&args.output) {
        Ok(outputs) if ended.code == 0 => outputs,
        Ok(_) => Files::new(),
        Err((path, why)) => {
            if ended.error.is_empty() {
                ended.error = format!("cannot read the output {} ({why})", path.display());
            }
            Files::new()
        }
    };
    let changed = match hash_all(&args.input) {
        Ok(now) if now == plan.inputs => None,
        now => {
            let actual = hash_files(&now.unwrap_or_default()).unwrap_or(Hash32([0; 32]));
            Some((hash_files(&plan.inputs).unwrap_or(actual), actual))
        }
    };
    (ended, outputs, changed)
}

/// Run the command to its end. Signals from the terminal are the command's: this waits for what it makes of them.
fn spawn(style: Style, args: &RunArgs) -> io::Result<ExitStatus> {
    let Some((program, rest)) = args.command.split_first() else {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    };
    let mut command = Command::new(program);
    command.args(rest);
    if style == Style::Json {
        command.stdout(Stdio::from(io::stderr()));
    }
    let mut child = command.spawn()?;
    forward_signals(child.id());
    child.wait()
}

/// A signal that only this process got is passed on; one that the terminal sent has reached the command by itself.
#[cfg_attr(not(unix), expect(unused_variables, reason = "there are no signals to pass on"))]
fn forward_signals(child: u32) {
    let handler = move || {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, getpgrp, kill_process};
            let ours = rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|front| front == getpgrp());
            if let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw).filter(|_| !ours) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    };
    // Without a handler a signal ends this process, too, and the step is not recorded.
    let _ = ctrlc::set_handler(handler);
}

fn ended(start: Now, end: Now, outcome: io::Result<ExitStatus>) -> Ended {
    let took = end.mono.saturating_since(start.mono);
    let (code, error) = match outcome {
        Ok(status) => match (status.code(), signal(status)) {
            (Some(0), _) => (0, String::new()),
            (Some(code), _) => (code, format!("exit code {code}")),
            (None, signal) => (128 + signal, format!("ended by signal {signal}")),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => (NOT_FOUND, "the command was not found".to_owned()),
        Err(why) => (NOT_RUN, format!("the command could not be run ({why})")),
    };
    Ended { started: start.wall, ended: end.wall, took, code, error }
}

fn signal(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    #[cfg(not(unix))]
    return i32::from(status.success());
}

struct Outcome {
    plan: Plan,
    ended: Ended,
    outputs: Files,
    finding: Changed,
}

/// The step as it was recorded.
struct Recorded {
    added: Added,
    status: StepStatus,
}

fn record(
    ledger: &Ledger,
    keys: &Keys,
    args: &RunArgs,
    before: Option<&Running>,
    outcome: &Outcome,
) -> Result<Recorded, Fail> {
    let lines = ledger.lines();
    if lines.kept.workload.as_deref().is_none_or(|running| running.closed) {
        let stem = args.file.file_stem().map_or_else(|| "chain".into(), |stem| stem.to_string_lossy());
        add::begin(ledger, keys, &stem, &args.actor.clone().unwrap_or_else(|| add::owner(&lines)))?;
    }
    let lines = ledger.lines();
    let running = lines.kept.workload.as_deref().ok_or_else(|| Fail::runtime("the chain has no workload"))?;
    refuse_twice(Some(running), &args.step)?;
    // Somebody else's step came in between, and what was held against the one before it no longer is what it follows.
    let between = before.map_or(running.after.step.is_some(), |before| before.after != running.after);
    let error = match between && !outcome.plan.independent {
        true => "another step was recorded while this one ran".to_owned(),
        false => outcome.ended.error.clone(),
    };
    let status = match (&outcome.finding, error.is_empty()) {
        (Some(_), _) => StepStatus::Compromised,
        (None, false) => StepStatus::Failed,
        (None, true) => StepStatus::Completed,
    };
    let metadata = metadata(args, outcome);
    let metadata = Value::from_json(&metadata).map_err(Fail::runtime)?;
    let random = tokens::seed()?.fork("step").u64().to_be_bytes();
    let sequence = running.counts.steps.saturating_add(1);
    let node = args.node.clone().unwrap_or_else(add::node_name);
    let actor = args.actor.clone().or_else(|| keys.actor()).unwrap_or_else(|| running.owner.clone());
    let spiffe_id = keys.actor();
    let spiffe = keys.svid.as_ref().zip(spiffe_id.as_deref()).map(|(svid, id)| Spiffe {
        id: Text::new(id),
        expires_at: svid.expires_at(),
        certificate: Hash32(svid.certificate_sha256()),
    });
    let input = if error == outcome.ended.error { outcome.plan.input } else { running.after.output };
    let output = if status == StepStatus::Completed { hash_files(&outcome.outputs) } else { None };
    let step = Step {
        workload_id: running.id,
        step_id: StepId::derive(running.id, &args.step, sequence, random),
        name: Text::new(&args.step),
        sequence,
        status,
        executor: Text::new(&actor),
        node: Text::new(&node),
        intent: args.intent.as_deref().map(Text::new),
        independent: outcome.plan.independent,
        input,
        output,
        started: Some(outcome.ended.started),
        ended: outcome.ended.ended,
        duration_ms: millis(outcome.ended.took),
        error: Text::new(&error),
        finding: outcome.finding.and_then(|(_, actual)| Some(Finding { expected: input?, actual, data: None })),
        metadata,
        spiffe,
        after: running.after,
    };
    let added = ledger.append(|lines: &Lines, room| {
        let written = keys.sealing(outcome.ended.ended, |seal| {
            step.write(&Protection { mac: keys.mac.as_ref(), seal, link: lines.link(), ..Protection::default() }, room)
        });
        written.map(|written| written.len).map_err(Fail::runtime)
    })?;
    Ok(Recorded { added, status })
}

/// Milliseconds, to the microsecond.
fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

/// What else is known of the step, members in order.
fn metadata(args: &RunArgs, outcome: &Outcome) -> String {
    let words: Vec<String> = args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut command = vec![b'['];
    for (i, word) in words.iter().enumerate() {
        if i > 0 {
            command.extend_from_slice(b", ");
        }
        crate::output::json::put_text(&mut command, Text::new(word));
    }
    command.push(b']');
    let command = String::from_utf8(command).unwrap_or_default();
    let [inputs, outputs] = [&outcome.plan.inputs, &outcome.outputs].map(to_json);
    let value =
        |json: &str| Value::from_json(json).map_or(Value::NULL, |value| value).to_json_string().unwrap_or_default();
    let texts = [value(&command), value(&inputs), value(&outputs)];
    let member =
        |i: usize| Member::Value(texts.get(i).and_then(|json| Value::from_json(json).ok()).unwrap_or(Value::NULL));
    let mut out = Vec::new();
    let members = [
        ("command", member(0)),
        ("exit_code", Number::Int(outcome.ended.code.into()).into()),
        ("inputs", member(1)),
        ("outputs", member(2)),
    ];
    // A vector has always room, and all of it has a form.
    let _ = canonical::write_object(&mut out, &members, canonical::Style::SPACED);
    String::from_utf8(out).unwrap_or_default()
}

fn say(out: &mut Out, args: &RunArgs, outcome: &Outcome, recorded: &Recorded) {
    let Recorded { added, status } = recorded;
    let took = millis(outcome.ended.took);
    if out.style == Style::Json {
        let files = |files: &Files| to_json(files).replace("\": \"", "\":\"").replace("\", \"", "\",\"");
        return out.json("step", |o| {
            o.str("file", &args.file.display().to_string())
                .raw("line", added.line)
                .str("token_id", &added.token_id)
                .str("step", &args.step)
                .str("status", status.as_str())
                .raw("exit_code", outcome.ended.code)
                .rounded("duration_ms", Some(took), 3)
                .with("inputs", |line| line.extend_from_slice(files(&outcome.plan.inputs).as_bytes()))
                .with("outputs", |line| line.extend_from_slice(files(&outcome.outputs).as_bytes()))
                .str("leaf", &ledger::hex(&added.leaf))
        });
    }
    // Standard output is the command's.
    let mut line = Vec::new();
    let _ = write!(line, "sluis: step {} {} in {took} ms", args.step, status.as_str());
    if !outcome.ended.error.is_empty() {
        let _ = write!(line, " ({})", outcome.ended.error);
    }
    if let Some((expected, actual)) = outcome.finding {
        let _ = write!(line, ": an input changed while it ran (expected {expected}, found {actual})");
    }
    if outcome.plan.independent && !args.independent {
        line.extend_from_slice(b", independent of what the step before put out");
    }
    let _ = write!(line, "; line {} of {}", added.line, args.file.display());
    tell(&String::from_utf8_lossy(&line));
}
