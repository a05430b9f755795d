//! `sluis chain plan`, `start` and `complete`: steps that are planned first, and run by other means than `chain run`.

use std::process::ExitCode;

use sluis_chain::token::Token;
use sluis_chain::workload::{Completion, Data, NewStep, Plan, Planned, Refused, StepStatus};
use sluis_core::Now;
use sluis_core::data::canonical::{self, Style as Form};
use sluis_core::data::{Text, Value};
use sluis_core::time::iso;
use sluis_tokio::SystemClock;

use super::args::{CompleteArgs, PlanArgs, StartArgs};
use super::files::{self, Base, Change, Hashes};
use super::ledger::{self, Added, Keys, Ledger, Sidecars};
use super::running::Running;
use super::{add, inputs, run};
use crate::fail::Fail;
use crate::output::{Out, Style};

/// Say that a step is to run, behind those that are there.
pub(super) fn plan(out: &mut Out, args: &PlanArgs) -> Result<(), Fail> {
    let keys = Keys::read(&args.protect)?;
    keys.refuse_another(args.actor.as_deref())?;
    let mut ledger = Ledger::open(&args.file, &keys, None)?;
    let now = SystemClock::new().now();
    if ledger.known.open(&args.file)?.is_none() {
        let owner = args.actor.clone().unwrap_or_else(|| add::owner(&ledger));
        add::begin(&mut ledger, &keys, now, &add::name_of(&args.file), &owner)?;
    }
    let Ledger { known, rng, .. } = &mut ledger;
    let running = known.open(&args.file)?.ok_or_else(|| Fail::runtime("the chain has no workload"))?;
    let workload = &mut running.workload;
    let step = NewStep {
        name: &args.step,
        executor: args.executor.as_deref(),
        intent: args.intent.as_deref(),
        independent: args.independent,
        ..NewStep::default()
    };
    let sequence = workload.add(&step, rng).map_err(|why| refused(&args.step, &why))?;
    let actor = args.actor.clone().or_else(|| keys.actor()).unwrap_or_else(|| workload.owner().to_owned());
    let plan = workload.plan(sequence).ok_or_else(|| refused(&args.step, &Refused::UnknownStep))?;
    let draft = Draft::of(now, &plan, &actor, &add::node_name());
    let added = ledger.append(&keys, now, &draft.token())?;
    add::say(out, "chain plan", &args.file, &added, &ledger.renew(&keys));
    Ok(())
}

/// Say that a planned step begins, and what goes in.
pub(super) fn start(out: &mut Out, args: &StartArgs) -> Result<(), Fail> {
    let keys = Keys::read(&args.protect)?;
    keys.refuse_another(args.actor.as_deref())?;
    let base = Base::of(&args.file)?;
    inputs::refuse_log(&base, &args.file, args.input.iter())?;
    let declared = inputs::hash(&base, &args.input)?;
    let mut ledger = Ledger::open_existing(&args.file, &keys)?;
    let now = SystemClock::new().now();
    let running = ledger.known.open(&args.file)?.ok_or_else(|| no_workload(&args.file))?;
    let sequence = run::turn(running, &args.file, &args.step)?.ok_or_else(|| unplanned(&args.file, &args.step))?;
    let independent = running.workload.step(sequence).is_some_and(|step| step.independent);
    if !independent {
        inputs::compare(&base, running, &declared)?;
    }
    let hashes = files::hashes(&declared);
    let input = match &args.data {
        Some(json) => Data::Value(json.as_value()),
        // Nothing that is named is nothing that goes in.
        None => files::hash_all(&hashes).map_or(Data::Value(Value::NULL), Data::Hash),
    };
    let actor = args.actor.clone().or_else(|| keys.actor());
    let started = running.workload.start(now, sequence, input, actor.as_deref());
    if let Err(Refused::InputMismatch { expected, .. }) = started {
        return Err(inputs::not_tied(&args.step, expected, running));
    }
    started.map_err(|why| refused(&args.step, &why))?;
    let json = [files::to_json(&hashes), files::to_json(&base.links(&declared))];
    let [inputs, links] = json.each_ref().map(|json| Value::from_json(json).unwrap_or(Value::EMPTY_OBJECT));
    let plan = running.workload.started(sequence, inputs, links).ok_or_else(|| unplanned(&args.file, &args.step))?;
    let executor = running.workload.step(sequence).map_or("", |step| step.executor);
    let draft = Draft::of(now, &plan, executor, &node(args.node.as_deref()));
    let added = ledger.append(&keys, now, &draft.token())?;
    add::say(out, "chain start", &args.file, &added, &ledger.renew(&keys));
    Ok(())
}

/// End a step: well, with an error, or without having run.
pub(super) fn complete(out: &mut Out, args: &CompleteArgs) -> Result<ExitCode, Fail> {
    let keys = Keys::read(&args.protect)?;
    let base = Base::of(&args.file)?;
    inputs::refuse_log(&base, &args.file, args.output.iter())?;
    let declared = base.hash(&args.output).map_err(|(path, why)| {
        Fail::runtime(format!("cannot read the output {} ({why}), nothing was done", path.display()))
    })?;
    let outputs = files::hashes(&declared);
    let mut ledger = Ledger::open_existing(&args.file, &keys)?;
    let now = SystemClock::new().now();
    let running = ledger.known.open(&args.file)?.ok_or_else(|| no_workload(&args.file))?;
    let workload = &mut running.workload;
    let sequence = workload.find(&args.step).ok_or_else(|| unplanned(&args.file, &args.step))?;
    let planned = |why| refused(&args.step, &why);
    keys.refuse_another(workload.step(sequence).map(|step| step.executor))?;
    let runs = workload.step(sequence).is_some_and(|step| step.status == StepStatus::Running);
    if runs {
        workload.set_node(Some(sequence), &node(args.node.as_deref())).map_err(planned)?;
        inputs::bind(workload, sequence, &keys)?;
    }
    let (status, why) = end(args, &base, now, running, sequence, &outputs)?;
    let put_out = if status == StepStatus::Completed { outputs } else { Hashes::new() };
    let metadata = metadata(&running.inputs, args.data.is_none().then_some(&put_out));
    let metadata = metadata.as_deref().map(Value::from_json).transpose().map_err(Fail::runtime)?;
    let added = ledger.append_step(&keys, now, metadata)?;
    say(out, args, status, why.as_deref(), &added, &ledger.renew(&keys));
    Ok(if status == StepStatus::Compromised { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// End a step in the workload: as what, and why.
fn end(
    args: &CompleteArgs,
    base: &Base,
    now: Now,
    running: &mut Running,
    sequence: u32,
    outputs: &Hashes,
) -> Result<(StepStatus, Option<String>), Fail> {
    let planned = |why| refused(&args.step, &why);
    if args.skip {
        running.workload.skip(now, sequence).map_err(planned)?;
        return Ok((StepStatus::Skipped, None));
    }
    let (found, changed) = found(base, running);
    let found = found.or_else(|| args.input_data.as_ref().map(|json| Data::Value(json.as_value())));
    let workload = &mut running.workload;
    let differs = match (&args.error, found) {
        (Some(error), None) => {
            workload.fail(now, sequence, error).map_err(planned)?;
            return Ok((StepStatus::Failed, Some(error.clone())));
        }
        (Some(error), Some(found)) => workload.fail_verified(now, sequence, error, found).map_err(planned)?,
        (None, found) => {
            let output = match &args.data {
                Some(json) => Data::Value(json.as_value()),
                None => files::hash_all(outputs).map_or(Data::None, Data::Hash),
            };
            match workload.complete(now, sequence, output, found).map_err(planned)? {
                Completion::Completed => None,
                Completion::Compromised { expected, actual } => Some((expected, actual)),
            }
        }
    };
    Ok(match differs {
        None if args.error.is_some() => (StepStatus::Failed, args.error.clone()),
        None => (StepStatus::Completed, None),
        Some((expected, actual)) => {
            let what = changed.map_or_else(String::new, |name| format!("{name} changed since it was started: "));
            let error = args.error.as_ref().map_or_else(String::new, |error| format!("; {error}"));
            (StepStatus::Compromised, Some(format!("{what}expected {expected}, found {actual}{error}")))
        }
    })
}

/// The input of a step that was started with files, as it is found now, and the first file that changed.
fn found(base: &Base, running: &Running) -> (Option<Data<'static>>, Option<String>) {
    if running.inputs.is_empty() {
        return (None, None);
    }
    let (change, now) = base.compare_hashes(&running.inputs, &running.links);
    match change {
        Change::None | Change::Touched(_) => (None, None),
        Change::Bytes(name) => (Some(Data::Hash(files::hash_of(&now))), Some(name)),
    }
}

/// The files of a step, where it has any. What goes in or comes out as data is no file: then nothing is said of files there.
fn metadata(inputs: &Hashes, outputs: Option<&Hashes>) -> Option<String> {
    let inputs = Some(inputs).filter(|inputs| !inputs.is_empty());
    if inputs.is_none() && outputs.is_none_or(Hashes::is_empty) {
        return None;
    }
    let members = [("inputs", inputs), ("outputs", outputs)];
    let members: Vec<String> =
        members.into_iter().filter_map(|(key, files)| Some(format!("\"{key}\": {}", files::to_json(files?)))).collect();
    Some(format!("{{{}}}", members.join(", ")))
}

fn node(named: Option<&str>) -> String {
    named.map_or_else(add::node_name, ToOwned::to_owned)
}

fn refused(step: &str, why: &Refused) -> Fail {
    match why {
        Refused::TooLong => Fail::usage(format!("step `{}`: {why}, shorten it", crate::usage::short(step))),
        why => Fail::runtime(format!("step `{step}`: {why}")),
    }
}

fn no_workload(file: &std::path::Path) -> Fail {
    Fail::runtime(format!("{} has no workload that goes on: `sluis chain plan` begins one", file.display()))
}

fn unplanned(file: &std::path::Path, step: &str) -> Fail {
    Fail::runtime(format!(
        "step `{step}` was not planned: `sluis chain plan {} --step {step}` does that",
        file.display()
    ))
}

/// The token of a plan, put together.
struct Draft {
    action: &'static str,
    at: String,
    actor: String,
    id: String,
    parent: String,
    erin: String,
    eromheen: String,
    why: String,
}

impl Draft {
    fn of(now: Now, plan: &Plan<'_>, actor: &str, node: &str) -> Self {
        let (workload, step, name) = (plan.workload_id, plan.step_id, plan.name.to_cow());
        let (mut erin, mut eromheen) = (Vec::new(), Vec::new());
        // A vector has always room, and texts have a form.
        let _ = plan.write_erin(&mut erin);
        let _ = canonical::write_object(&mut eromheen, &[("node", node.into())], Form::SPACED);
        let (id, parent, why) = match plan.said {
            Planned::Added { .. } => ("added", format!("workload_{workload}"), format!("Add step '{name}'")),
            Planned::Started { .. } => ("started", format!("added_{workload}_{step}"), format!("Start step '{name}'")),
        };
        let [erin, eromheen] = [erin, eromheen].map(|json| String::from_utf8(json).unwrap_or_default());
        let (action, actor, id) = (plan.action(), actor.to_owned(), format!("{id}_{workload}_{step}"));
        let at = iso::format(now.wall, &mut [0; iso::FORMAT_LEN]).to_owned();
        Self { action, at, actor, id, parent, erin, eromheen, why }
    }

    fn token(&self) -> Token<'_> {
        Token {
            token_id: Text::new(&self.id),
            action: Text::new(self.action),
            timestamp: Text::new(&self.at),
            actor: Text::new(&self.actor),
            erin: Value::from_json(&self.erin).unwrap_or(Value::NULL),
            eromheen: Value::from_json(&self.eromheen).unwrap_or(Value::EMPTY_OBJECT),
            erachter: Text::new(&self.why),
            parent_id: Some(Text::new(&self.parent)),
            ..Token::default()
        }
    }
}

fn say(out: &mut Out, args: &CompleteArgs, status: StepStatus, why: Option<&str>, added: &Added, sidecars: &Sidecars) {
    if out.style == Style::Text {
        if let Some(why) = why {
            crate::output::tell(&format!("sluis: step {} {} ({why})", args.step, status.as_str()));
        }
        return add::say(out, "chain complete", &args.file, added, sidecars);
    }
    sidecars.tell(out, "chain complete", &args.file, added.line);
    out.json("step", |o| {
        let o = o
            .str("file", &args.file.display().to_string())
            .raw("line", added.line)
            .str("token_id", &added.token_id)
            .str("step", &args.step)
            .str("status", status.as_str())
            .maybe("error", why)
            .str("leaf", &ledger::hex(&added.leaf));
        sidecars.put(o)
    });
}
