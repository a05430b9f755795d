//! `sluis chain run`: a command as a step.
//!
//! Everything that can be known before the command is looked at before it: that the log can be opened, locked and added to, that the
//! step may run now, that its inputs are there and as earlier steps left them, that its token will fit. The log is not held while
//! the command runs; what others added by then is seen when the step is recorded.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use sluis_chain::token::Hash32;
use sluis_chain::workload::{
    After, Data, Finding, InLog, NewStep, Refused, Spiffe, Step, StepId, StepStatus, WorkloadId,
};
use sluis_core::data::canonical::{self, Member};
use sluis_core::data::{Number, Text, Value};
use sluis_tokio::SystemClock;

use super::args::RunArgs;
use super::command::{self, Ended};
use super::files::{self, Base, Change, Declared, Hashes};
use super::ledger::{self, Added, Keys, Ledger, MAX_LINE, Sidecars};
use super::running::Running;
use super::{add, inputs};
use crate::fail::Fail;
use crate::output::{Out, Style, tell};

/// The longest error text of a step.
const MAX_ERROR: usize = sluis_chain::workload::MAX_NOTE;

/// The step that is to run, and what it was held against.
struct Plan {
    workload: WorkloadId,
    /// What it follows.
    head: After,
    /// Its place, when it was planned.
    planned: Option<u32>,
    independent: bool,
    inputs: Declared,
    input: Option<Hash32>,
}

/// How it went.
struct Outcome {
    ended: Ended,
    outputs: Hashes,
    /// The hash of the inputs as they were found, where they changed.
    found: Option<Hash32>,
    /// Why it is not completed; empty when it is.
    error: String,
}

/// The step as it was recorded.
struct Recorded {
    added: Added,
    status: StepStatus,
    sidecars: Sidecars,
}

/// Run the command and record it.
pub(super) fn run(out: &mut Out, args: &RunArgs) -> Result<ExitCode, Fail> {
    let keys = Keys::read(&args.protect)?;
    keys.refuse_another(args.actor.as_deref())?;
    let base = Base::of(&args.file)?;
    inputs::refuse_log(&base, &args.file, args.input.iter().chain(&args.output))?;
    let declared = inputs::hash(&base, &args.input)?;
    let outputs = inputs::expect(&base, &args.output)?;
    let clock = SystemClock::new();
    let plan = prepare(&clock, &keys, args, &base, declared, &outputs)?;

    let ended = command::run(&clock, out.style, &args.step, &args.command);

    let mut outcome = outcome(&base, args, &plan, ended);
    // A link may lead to a file of a longer name now: that it does not fit must not lose the step.
    let actual = metadata(args, outcome.ended.code, &files::hashes(&plan.inputs), &outcome.outputs);
    if fits(&keys, args, &clock, &actual).is_err() {
        outcome.error = "the names of its outputs are too long to be recorded in one token".to_owned();
        outcome.outputs.clear();
    }
    let recorded = record(&keys, args, &plan, outcome)?;
    say(out, args, &plan, &recorded.1, &recorded.0);
    Ok(match (recorded.1.ended.code, recorded.0.status) {
        (0, StepStatus::Completed) => ExitCode::SUCCESS,
        (0, _) => ExitCode::FAILURE,
        (code, _) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
    })
}

/// Look at everything that may be in the way, and begin the workload if none goes on.
fn prepare(
    clock: &SystemClock,
    keys: &Keys,
    args: &RunArgs,
    base: &Base,
    inputs: Declared,
    outputs: &Hashes,
) -> Result<Plan, Fail> {
    let longest = fits(keys, args, clock, &metadata(args, -1, &files::hashes(&inputs), outputs))?;
    let mut ledger = Ledger::open(&args.file, keys, None)?;
    ledger.ready(keys, longest)?;
    let running = ledger.known.open(&args.file)?;
    let planned = match &running {
        None => None,
        Some(running) => turn(running, &args.file, &args.step)?,
    };
    if let Some(running) = running.as_deref().filter(|_| !args.independent) {
        inputs::compare(base, running, &inputs)?;
    }
    let input = files::hash_all(&files::hashes(&inputs));
    let tied = running.as_ref().and_then(|running| running.workload.head().output);
    let independent = match (planned, &running) {
        (Some(sequence), Some(running)) => {
            let independent = running.workload.step(sequence).is_some_and(|step| step.independent);
            if let (false, Some(tied)) = (independent, tied.filter(|tied| input != Some(*tied))) {
                return Err(inputs::not_tied(&args.step, tied, running));
            }
            independent
        }
        _ => args.independent || tied.is_some_and(|tied| input != Some(tied)),
    };
    if running.is_none() {
        let owner = args.actor.clone().unwrap_or_else(|| add::owner(&ledger));
        add::begin(&mut ledger, keys, clock.now(), &add::name_of(&args.file), &owner)?;
        // Whatever becomes of the step, this token is there and covered.
        let _ = ledger.renew(keys);
    }
    let running = ledger.known.open(&args.file)?.ok_or_else(|| Fail::runtime("the chain has no workload"))?;
    let (workload, head) = (running.workload.id(), running.workload.head());
    Ok(Plan { workload, head, planned, independent, inputs, input })
}

/// The place of the step if it was planned; refused if it may not run now.
pub(super) fn turn(running: &Running, file: &Path, step: &str) -> Result<Option<u32>, Fail> {
    let workload = &running.workload;
    let first = workload.first_open();
    let Some(sequence) = workload.find(step) else {
        return match workload.step(first) {
            None => Ok(None),
            Some(waiting) => Err(Fail::runtime(format!(
                "step `{}` was planned before it and has not ended: run that first, or leave it out (`sluis chain complete {} \
                 --step {} --skip`)",
                waiting.name,
                file.display(),
                waiting.name
            ))),
        };
    };
    match workload.step(sequence).map(|step| step.status) {
        Some(StepStatus::Pending) if sequence == first => Ok(Some(sequence)),
        Some(StepStatus::Pending) => {
            let waiting = workload.step(first).map_or("", |step| step.name);
            Err(Fail::runtime(format!("step `{step}` comes after `{waiting}`, which has not ended")))
        }
        Some(StepStatus::Running) => Err(Fail::runtime(format!(
            "step `{step}` was started already: `sluis chain complete {} --step {step}` ends it",
            file.display()
        ))),
        _ => Err(Fail::runtime(format!(
            "step `{step}` was run in this chain already, and what it ended as is final; name this one otherwise"
        ))),
    }
}

/// How long the line of a step with this metadata can be, however it ends and whoever signs it; refused where that is too long.
fn fits(keys: &Keys, args: &RunArgs, clock: &SystemClock, metadata: &str) -> Result<usize, Fail> {
    let now = clock.now().wall;
    let (zero, error) = (Hash32([0; 32]), "\u{1}".repeat(MAX_ERROR));
    let workload_id = WorkloadId::derive("", "", now, [0; 8]);
    let actor = args.actor.clone().or_else(|| keys.actor()).unwrap_or_else(|| "\u{1}".repeat(256));
    let step = Step {
        workload_id,
        step_id: StepId::derive(workload_id, &args.step, u32::MAX, [0; 8]),
        name: Text::new(&args.step),
        sequence: u32::MAX,
        status: StepStatus::Compromised,
        executor: Text::new(&actor),
        node: Text::new(&actor),
        intent: args.intent.as_deref().map(Text::new),
        independent: true,
        input: Some(zero),
        output: Some(zero),
        started: Some(now),
        ended: now,
        duration_ms: 1.0 / 3.0 * 1e15,
        error: Text::new(&error),
        finding: Some(Finding { expected: zero, actual: zero, data: None }),
        metadata: Value::from_json(metadata).map_err(Fail::runtime)?,
        spiffe: keys.actor().as_deref().map(|_| Spiffe { id: Text::new(&actor), expires_at: now, certificate: zero }),
        after: After { step: None, token: zero, output: Some(zero) },
    };
    let mut room = vec![0; MAX_LINE];
    let written = keys.sealing(now, |seals| {
        let how = InLog { protection: seals, link: Some(zero), header: None };
        step.write(how, &mut room).map(|written| written.len)
    });
    written.map_err(|why| match why {
        sluis_chain::workload::WriteError::Full(_) => Fail::runtime(format!(
            "step `{}` declares so much ({} files) that its token would be longer than {MAX_LINE} bytes, the most that a line of a \
             log may have, the command was not run: declare an archive, or a file that lists the others, in place of so many",
            args.step,
            args.input.len() + args.output.len()
        )),
        why => Fail::runtime(format!("{why}, the command was not run")),
    })
}

/// Look at what the command left.
fn outcome(base: &Base, args: &RunArgs, plan: &Plan, ended: Ended) -> Outcome {
    let mut error = ended.error.clone();
    let mut outputs = Hashes::new();
    if ended.code == 0 {
        match base.hash(&args.output) {
            Ok(declared) => outputs = files::hashes(&declared),
            Err((path, why)) => error = format!("cannot read the output {} ({why})", path.display()),
        }
    }
    let mut found = None;
    match base.compare(&plan.inputs) {
        (Change::None, _) => {}
        (Change::Touched(name), _) if error.is_empty() => {
            error =
                format!("{name} was written to, renamed or exchanged while the command ran: what it read is not known");
        }
        (Change::Touched(_), _) => {}
        (Change::Bytes(name), now) => {
            found = Some(files::hash_of(&now));
            error = format!("{name} changed while the command ran");
        }
    }
    if !error.is_empty() {
        outputs.clear();
    }
    Outcome { ended, outputs, found, error }
}

/// Add the step to the log.
fn record(keys: &Keys, args: &RunArgs, plan: &Plan, mut outcome: Outcome) -> Result<(Recorded, Outcome), Fail> {
    let lost = |why: String| Fail::runtime(format!("step `{}` is not recorded: {why}", args.step));
    let file = args.file.display();
    if !args.file.exists() {
        return Err(lost(format!("{file} is gone")));
    }
    let mut ledger = Ledger::open(&args.file, keys, None).map_err(|why| lost(why.to_string()))?;
    let node = args.node.clone().unwrap_or_else(add::node_name);
    let Ledger { known, rng, .. } = &mut ledger;
    let running = known.open(&args.file)?.filter(|running| running.workload.id() == plan.workload);
    let running = running.ok_or_else(|| lost(format!("its workload in {file} is closed, or another one has begun")))?;
    let workload = &mut running.workload;
    let between = workload.head() != plan.head;
    if between && !plan.independent && outcome.found.is_none() {
        outcome.error = "another step was recorded while this one ran".to_owned();
        outcome.outputs.clear();
    }
    let metadata = metadata(args, outcome.ended.code, &files::hashes(&plan.inputs), &outcome.outputs);
    let refused = |why: Refused| lost(why.to_string());
    let sequence = match plan.planned {
        Some(sequence) => sequence,
        None => {
            let intent = args.intent.as_deref();
            let step =
                NewStep { name: &args.step, intent, independent: plan.independent || between, ..NewStep::default() };
            workload.add(&step, rng).map_err(refused)?
        }
    };
    let actor = args.actor.clone().or_else(|| keys.actor()).unwrap_or_else(|| workload.owner().to_owned());
    let input = plan.input.map_or(Data::None, Data::Hash);
    workload.start(outcome.ended.started, sequence, input, Some(&actor)).map_err(refused)?;
    workload.set_node(Some(sequence), &node).map_err(refused)?;
    inputs::bind(workload, sequence, keys)?;
    let ended = outcome.ended.ended;
    let status = if let Some(found) = outcome.found {
        workload.complete(ended, sequence, Data::None, Some(Data::Hash(found))).map_err(refused)?;
        StepStatus::Compromised
    } else if outcome.error.is_empty() {
        let output = files::hash_all(&outcome.outputs).map_or(Data::None, Data::Hash);
        workload.complete(ended, sequence, output, None).map_err(refused)?;
        StepStatus::Completed
    } else {
        workload.fail(ended, sequence, cut(&outcome.error)).map_err(refused)?;
        StepStatus::Failed
    };
    let metadata = Value::from_json(&metadata).map_err(Fail::runtime)?;
    let added = ledger.append_step(keys, ended, Some(metadata)).map_err(|why| lost(why.to_string()))?;
    let sidecars = ledger.renew(keys);
    Ok((Recorded { added, status, sidecars }, outcome))
}

/// A text that fits where errors are kept.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_ERROR)).unwrap_or_default()
}

/// What else is known of the step, members in order.
fn metadata(args: &RunArgs, code: i32, inputs: &Hashes, outputs: &Hashes) -> String {
    let mut command = vec![b'['];
    for (i, word) in args.command.iter().enumerate() {
        if i > 0 {
            command.extend_from_slice(b", ");
        }
        crate::output::json::put_text(&mut command, Text::new(&files::word(word)));
    }
    command.push(b']');
    let command = String::from_utf8(command).unwrap_or_default();
    let texts = [command, files::to_json(inputs), files::to_json(outputs)];
    let [command, inputs, outputs] =
        texts.each_ref().map(|json| Member::Value(Value::from_json(json).unwrap_or(Value::NULL)));
    let mut out = Vec::new();
    let members = [
        ("command", command),
        ("exit_code", Number::Int(code.into()).into()),
        ("inputs", inputs),
        ("outputs", outputs),
    ];
    // A vector has always room, and all of it has a form.
    let _ = canonical::write_object(&mut out, &members, canonical::Style::SPACED);
    String::from_utf8(out).unwrap_or_default()
}

fn say(out: &mut Out, args: &RunArgs, plan: &Plan, outcome: &Outcome, recorded: &Recorded) {
    let Recorded { added, status, sidecars } = recorded;
    let took = (outcome.ended.took().as_secs_f64() * 1e6).round() / 1e3;
    sidecars.tell(out, "chain run", &args.file, added.line);
    if out.style == Style::Json {
        let files = |files: &Hashes| files::to_json(files).replace("\": \"", "\":\"").replace("\", \"", "\",\"");
        return out.json("step", |o| {
            let o = o
                .str("file", &args.file.display().to_string())
                .raw("line", added.line)
                .str("token_id", &added.token_id)
                .str("step", &args.step)
                .str("status", status.as_str())
                .maybe("error", Some(&*outcome.error).filter(|error| !error.is_empty()))
                .raw("exit_code", outcome.ended.code)
                .rounded("duration_ms", Some(took), 3)
                .with("inputs", |line| line.extend_from_slice(files(&files::hashes(&plan.inputs)).as_bytes()))
                .with("outputs", |line| line.extend_from_slice(files(&outcome.outputs).as_bytes()))
                .str("leaf", &ledger::hex(&added.leaf));
            sidecars.put(o)
        });
    }
    // Standard output is the command's.
    let mut line = Vec::new();
    let _ = write!(line, "sluis: step {} {} in {took} ms", args.step, status.as_str());
    if !outcome.error.is_empty() {
        let _ = write!(line, " ({})", outcome.error);
    }
    if let (Some(expected), Some(actual)) = (plan.input, outcome.found) {
        let _ = write!(line, ": expected {expected}, found {actual}");
    }
    if plan.independent && !args.independent {
        line.extend_from_slice(b", independent of what the step before put out");
    }
    let _ = write!(line, "; line {} of {}", added.line, args.file.display());
    if *status != StepStatus::Completed {
        let _ =
            write!(line, "; that is final: run it again under another name, or end the workload (`sluis chain close`)");
    }
    tell(&String::from_utf8_lossy(&line));
}
