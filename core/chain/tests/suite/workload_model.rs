//! Random operations on a workload never break its rules, a plain model agrees with it, and whatever tokens come of it verify: alone, in
//! a log, and against that log's links.

use proptest::prelude::*;
use sluis_chain::log::Log;
use sluis_chain::token::{Hash32, Token};
use sluis_chain::verify::{Finding, Settings, Verifier};
use sluis_chain::workload::check::{StepChecker, StepVerifier};
use sluis_chain::workload::{
    Completion, Data, Entry, InLog, MAX_LINE, NewStep, NewWorkload, Plan, Protection, Refused, StepStatus, StepStorage,
    StepView, Workload, WorkloadStatus, hash_value,
};
use sluis_core::data::{Text, Value};
use sluis_core::identity::SecretKey;
use sluis_core::table::{Fixed, Heap};
use sluis_core::time::iso;
use sluis_core::{Instant, Now, Rng, Seed, Wall};

#[derive(Clone, Debug)]
enum Op {
    Add { name: u8, independent: bool },
    Start { step: u8, input: Option<u8> },
    Complete { step: u8, output: Option<u8>, verify: Option<u8> },
    Fail { step: u8 },
    Skip { step: u8 },
    Close,
    Poll,
    Resume,
}

fn op() -> impl Strategy<Value = Op> {
    let data = || proptest::option::of(0..3_u8);
    prop_oneof![
        4 => (0..12_u8, any::<bool>()).prop_map(|(name, independent)| Op::Add { name, independent }),
        6 => (0..10_u8, data()).prop_map(|(step, input)| Op::Start { step, input }),
        6 => (0..10_u8, data(), data()).prop_map(|(step, output, verify)| Op::Complete { step, output, verify }),
        1 => (0..10_u8).prop_map(|step| Op::Fail { step }),
        1 => (0..10_u8).prop_map(|step| Op::Skip { step }),
        1 => Just(Op::Close),
        2 => Just(Op::Poll),
        2 => Just(Op::Resume),
    ]
}

/// Three things that may go in or come out; the first is what Python calls false.
const DATA: [&str; 3] = ["{}", r#"{"a": 1}"#, r#"{"b": [2]}"#];

fn data(n: Option<u8>) -> Data<'static> {
    n.map_or(Data::None, |n| Data::Value(Value::from_json(DATA[usize::from(n)]).unwrap()))
}

fn hash(n: Option<u8>) -> Option<Hash32> {
    n.filter(|n| *n > 0).map(|n| hash_value(Value::from_json(DATA[usize::from(n)]).unwrap()).unwrap())
}

/// The rules, written down once more and as simply as they can be.
#[derive(Default)]
struct Model {
    steps: Vec<(String, StepStatus, bool, Option<Hash32>)>,
    output: Option<Hash32>,
    closed: bool,
    room: usize,
}

impl Model {
    fn turn(&self, at: usize) -> bool {
        !self.closed && at < self.steps.len() && self.steps[..at].iter().all(|step| step.1.is_final())
    }

    fn apply(&mut self, op: &Op) -> bool {
        match *op {
            Op::Add { name, independent } => {
                let name = format!("s{name}");
                let fine = !self.closed && self.steps.len() < self.room && self.steps.iter().all(|step| step.0 != name);
                if fine {
                    self.steps.push((name, StepStatus::Pending, independent, None));
                }
                fine
            }
            Op::Start { step, input } => {
                let at = usize::from(step);
                if !self.turn(at) || self.steps[at].1 != StepStatus::Pending {
                    return false;
                }
                let tied = self.output.filter(|_| !self.steps[at].2);
                let given = if input.is_none() { tied } else { hash(input) };
                let fine = tied.is_none() || given == tied;
                if fine {
                    self.steps[at].1 = StepStatus::Running;
                    self.steps[at].3 = given;
                }
                fine
            }
            Op::Complete { step, output, verify } => {
                let at = usize::from(step);
                if !self.turn(at) || self.steps[at].1 != StepStatus::Running {
                    return false;
                }
                let found = verify.map(|n| hash_value(Value::from_json(DATA[usize::from(n)]).unwrap()).unwrap());
                let bad = self.steps[at].3.is_some() && found.is_some() && found != self.steps[at].3;
                self.steps[at].1 = if bad { StepStatus::Compromised } else { StepStatus::Completed };
                self.output = hash(output).or(self.output);
                true
            }
            Op::Fail { step } => self.end(step, StepStatus::Failed, &[StepStatus::Pending, StepStatus::Running]),
            Op::Skip { step } => self.end(step, StepStatus::Skipped, &[StepStatus::Pending]),
            Op::Close => {
                let fine = !self.closed && self.steps.iter().all(|step| step.1.is_final());
                self.closed |= fine;
                fine
            }
            Op::Poll | Op::Resume => true,
        }
    }

    fn end(&mut self, step: u8, status: StepStatus, from: &[StepStatus]) -> bool {
        let at = usize::from(step);
        let fine = self.turn(at) && from.contains(&self.steps[at].1);
        if fine {
            self.steps[at].1 = status;
        }
        fine
    }
}

struct Run<S: StepStorage> {
    workload: Workload<S>,
    rng: Rng,
    now: Now,
    log: Log,
    lines: Vec<String>,
    /// What a log holds from which others go on: the lines, and what was planned and started in between.
    told: Vec<Told>,
}

enum Told {
    Line(String),
    Plan(&'static str, String),
}

impl<S: StepStorage> Run<S> {
    fn new(key: &SecretKey) -> Self {
        let mut rng = Seed::from_u64(3).fork("model");
        let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
        let new = NewWorkload {
            name: "w",
            owner: "o",
            actor: "jis:a",
            node: "n",
            max_steps: 8,
            keep_data: true,
            ..NewWorkload::default()
        };
        let workload = Workload::new(now, &new, &mut rng).unwrap();
        let log = Log::new(&Seed::from_u64(4));
        let mut run = Self { workload, rng, now, log, lines: Vec::new(), told: Vec::new() };
        run.poll(key);
        run
    }

    /// Write what waits, linked into the log.
    fn poll(&mut self, key: &SecretKey) {
        let mut out = vec![0; MAX_LINE];
        loop {
            let link = self.log.last().map(Hash32);
            let protection = Protection { seal: Some(key), ..Protection::default() };
            let how = InLog { protection, link, header: None };
            let Some(written) = self.workload.poll_token(how, &mut out) else { return };
            let line = &out[..written.unwrap().len];
            self.log.adopt(line).unwrap();
            self.lines.push(String::from_utf8(line.to_vec()).unwrap());
            self.told.extend(self.lines.last().cloned().map(Told::Line));
        }
    }

    /// Say in the log what is planned, or started.
    fn tell(&mut self, plan: impl FnOnce(&Workload<S>) -> Option<Plan<'_>>) {
        let plan = plan(&self.workload).unwrap();
        let mut erin = Vec::new();
        plan.write_erin(&mut erin).unwrap();
        self.told.push(Told::Plan(plan.action(), String::from_utf8(erin).unwrap()));
    }

    /// Go on in another process, that knows nothing but the log.
    fn resume(&mut self, key: &SecretKey) {
        self.poll(key);
        let mut stamp = [0; iso::FORMAT_LEN];
        let stamp = Text::new(iso::format(self.now.wall, &mut stamp));
        let mut resumed: Option<Workload<S>> = None;
        for told in &self.told {
            let (action, erin) = match told {
                Told::Line(line) => {
                    let token = Token::parse(line).unwrap();
                    let (entry, hash) = (Entry::read(&token).unwrap().unwrap(), token.said_hash().unwrap());
                    match (&mut resumed, &entry) {
                        (None, Entry::Created(created)) => {
                            resumed = Some(Workload::resume(created, hash, self.rng.sip_key(), 8).unwrap());
                        }
                        (Some(workload), entry) => {
                            // Twice, or as what comes first, it is refused and changes nothing.
                            workload.replay(entry, hash).unwrap();
                            assert!(workload.replay(entry, hash).is_err());
                        }
                        (None, entry) => panic!("{entry:?}"),
                    }
                    continue;
                }
                Told::Plan(action, erin) => (Text::new(action), Value::from_json(erin).unwrap()),
            };
            let token = Token { action, erin, timestamp: stamp, ..Token::default() };
            let plan = Plan::read(&token).unwrap().unwrap();
            let workload = resumed.as_mut().unwrap();
            workload.replay_plan(&plan).unwrap();
            assert!(workload.replay_plan(&plan).is_err());
        }
        let resumed = resumed.unwrap();
        assert_eq!(resumed.pending(), None);
        assert_eq!((resumed.id(), resumed.name(), resumed.owner()), (self.workload.id(), "w", "o"));
        assert_eq!((resumed.status(), resumed.counts()), (self.workload.status(), self.workload.counts()));
        assert_eq!((resumed.head(), resumed.is_closed()), (self.workload.head(), self.workload.is_closed()));
        for (is, was) in resumed.steps().zip(self.workload.steps()) {
            let of =
                |step: StepView<'_>| (step.id, step.sequence, step.status, step.independent, step.input, step.output);
            assert_eq!((is.name, of(is)), (was.name, of(was)));
            assert_eq!((is.executor, is.started, is.ended), (was.executor, was.started, was.ended));
        }
        self.workload = resumed;
    }

    fn apply(&mut self, op: &Op, key: &SecretKey) -> Result<(), Refused> {
        self.now = Now::new(self.now.mono + core::time::Duration::from_micros(7), self.now.wall);
        let now = self.now;
        let at = |step: u8| u32::from(step) + 1;
        match *op {
            Op::Add { name, independent } => {
                let name = format!("s{name}");
                let step = NewStep { name: &name, independent, ..NewStep::default() };
                let sequence = self.workload.add(&step, &mut self.rng)?;
                // What ended before stands before it.
                self.poll(key);
                self.tell(|workload| workload.plan(sequence));
                Ok(())
            }
            Op::Start { step, input } => {
                self.workload.start(now, at(step), data(input), None)?;
                self.poll(key);
                self.tell(|workload| workload.started(at(step), Value::EMPTY_OBJECT, Value::EMPTY_OBJECT));
                Ok(())
            }
            Op::Complete { step, output, verify } => {
                let done = self.workload.complete(now, at(step), data(output), verify.map(|n| data(Some(n))))?;
                let status = self.workload.step(at(step)).unwrap().status;
                assert_eq!(matches!(done, Completion::Compromised { .. }), status == StepStatus::Compromised);
                Ok(())
            }
            Op::Fail { step } => self.workload.fail(now, at(step), "no"),
            Op::Skip { step } => self.workload.skip(now, at(step)),
            Op::Close => self.workload.close(now).map(drop),
            Op::Poll => {
                self.poll(key);
                Ok(())
            }
            Op::Resume => {
                self.resume(key);
                Ok(())
            }
        }
    }
}

fn findings(lines: &[String]) -> Vec<Finding> {
    let mut found = Vec::new();
    let checker = StepChecker::new(&Seed::from_u64(5));
    let mut verifier = Verifier::with_checker(Settings::default(), None, &Seed::from_u64(6), checker);
    for line in lines {
        verifier.push(line.as_bytes(), &mut |finding| found.push(finding));
        verifier.push(b"\n", &mut |finding| found.push(finding));
    }
    verifier.finish(&mut |finding| found.push(finding));
    found
}

fn check<S: StepStorage>(ops: &[Op]) -> Result<(), TestCaseError> {
    let key = SecretKey::from_seed(&[5; 32]);
    let mut run = Run::<S>::new(&key);
    let mut model = Model { room: 8, ..Model::default() };
    for op in ops {
        let (ours, fine) = (run.apply(op, &key), model.apply(op));
        prop_assert_eq!(ours.is_ok(), fine, "{:?}: {:?}", op, ours);
        for (step, (name, status, ..)) in run.workload.steps().zip(&model.steps) {
            prop_assert_eq!((step.name, step.status), (name.as_str(), *status));
        }
        let compromised = model.steps.iter().any(|step| step.1 == StepStatus::Compromised);
        prop_assert!(compromised || run.workload.status() != WorkloadStatus::Compromised);
    }
    run.poll(&key);
    let ended = model.steps.iter().take_while(|step| step.1.is_final()).count();
    prop_assert_eq!(run.lines.len(), 1 + ended + usize::from(model.closed));
    // Only what is compromised is a finding, alone and in the file.
    let bad = model.steps.iter().filter(|step| step.1 == StepStatus::Compromised).count();
    let found = findings(&run.lines);
    prop_assert_eq!(found.iter().filter(|finding| finding.kind.as_str() == "compromised").count(), bad);
    prop_assert_eq!(found.len(), bad, "{:?}", found);
    let mut alone = StepVerifier::new(None, None, &Seed::from_u64(7));
    let alone = run.lines.iter().filter(|line| alone.line(line.as_bytes()).is_some()).count();
    prop_assert_eq!(alone, bad);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_never_break_the_rules(ops in proptest::collection::vec(op(), 0..60)) {
        check::<Heap>(&ops)?;
        check::<Fixed<8>>(&ops)?;
    }
}

/// A clean run of six steps in a log of its own.
fn clean() -> Vec<String> {
    let key = SecretKey::from_seed(&[5; 32]);
    let mut run = Run::<Heap>::new(&key);
    for n in 0..6 {
        let out = Some(1 + n % 2);
        let input = if n == 0 { None } else { Some(1 + (n + 1) % 2) };
        for op in [
            Op::Add { name: n, independent: false },
            Op::Start { step: n, input },
            Op::Complete { step: n, output: out, verify: None },
        ] {
            run.apply(&op, &key).unwrap();
        }
    }
    run.apply(&Op::Close, &key).unwrap();
    run.poll(&key);
    assert_eq!(findings(&run.lines), []);
    run.lines
}

/// In a linked file the steps do not say again what the links said.
#[test]
fn one_change_of_a_linked_file_is_one_finding() {
    let clean = clean();
    let kinds = |lines: &[String]| {
        findings(lines).into_iter().map(|finding| format!("{} {}", finding.line, finding.kind)).collect::<Vec<_>>()
    };
    let rehash = |line: &mut String| {
        let hash = Token::parse(line).unwrap().content_hash(None).unwrap().to_string();
        let at = line.find("\"content_hash\": \"").unwrap() + 17;
        line.replace_range(at..at + 64, &hash);
    };
    for n in 1..7 {
        let mut edited = clean.clone();
        edited[n] = edited[n].replace("\"node\": \"n\"", "\"node\": \"m\"");
        assert_eq!(kinds(&edited), [format!("{} content_hash", n + 1)]);
        rehash(&mut edited[n]);
        assert_eq!(kinds(&edited).len(), 1, "{:?}", kinds(&edited));
        let mut dropped = clean.clone();
        dropped.remove(n);
        assert_eq!(kinds(&dropped).len(), 1, "without line {}: {:?}", n + 1, kinds(&dropped));
        let mut twice = clean.clone();
        twice.insert(n, clean[n].clone());
        assert_eq!(kinds(&twice).len(), 1, "line {} twice: {:?}", n + 1, kinds(&twice));
        if n < 6 {
            let mut swapped = clean.clone();
            swapped.swap(n, n + 1);
            assert_eq!(kinds(&swapped).len(), 1, "line {} swapped: {:?}", n + 1, kinds(&swapped));
        }
        let mut broken = clean.clone();
        broken[n].truncate(50);
        assert_eq!(kinds(&broken), [format!("{} broken_line", n + 1)]);
    }
}
