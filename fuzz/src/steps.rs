//! Steps that strangers send: offers, answers, tokens and dictionaries.

use sluis_chain::token::{KnownKeys, Token};
use sluis_chain::workload::check::{StepChecker, StepVerifier};
use sluis_chain::workload::handover::{Executor, Offer, Offered, Proof, Reply};
use sluis_chain::workload::{Data, Entry, MAX_LINE, NewStep, NewWorkload, Plan, Protection, Workload, import};
use sluis_core::framing::Value;
use sluis_core::identity::MacKey;
use sluis_core::table::Heap;
use sluis_core::time::Duration;
use sluis_core::{Now, Seed};

/// A text: what it may be as an offer, an answer, a line of a chain, a chain, and a dictionary.
///
/// # Panics
/// When something is let in that nobody signed, or what was read is not what is written again.
pub fn steps(data: &[u8]) {
    lines(data);
    let Ok(text) = core::str::from_utf8(data) else { return };
    token(text);
    let Ok(value) = Value::from_json(text) else { return };
    offer(value);
    if let Some(Reply::Token(line)) = Reply::read(value) {
        token(&line.to_cow());
    }
    let _ = import::verify(value, Some(value));
    let (dict, trail) = (value.get("dict").unwrap_or(value), value.get("trail"));
    assert!(import::verify(dict, trail).findings.len() <= import::MAX_FINDINGS);
}

/// Nobody is known, so nothing is taken on; and what is read is written again as it was.
fn offer(payload: Value<'_>) {
    let nobody = KnownKeys::new(&mut []);
    let mut executor = Executor::new("jis:w", "here", 4);
    let taken = executor.offered(Now::default(), payload, &nobody);
    assert!(!matches!(taken, Ok(Offered::Run(_))), "an offer that nobody signed was taken on");
    let Ok(offer) = Offer::read(payload) else { return };
    let mut out = vec![0; MAX_LINE];
    let Ok(len) = offer.write(payload.get("input"), None, &mut out) else { return };
    let again = core::str::from_utf8(&out[..len]).expect("what is written is ASCII");
    let again = Value::from_json(again).expect("what is written is JSON");
    assert_eq!(Offer::read(again), Ok(offer));
}

/// A line as the token of a step: it is never admitted, and what it says survives.
fn token(line: &str) {
    let mut workload = offered();
    let key = MacKey::new(b"nobody knows this");
    let proof = Proof { mac: Some(&key), authority: None };
    assert!(workload.admit(Now::default(), line, &proof).is_err(), "a token that nobody hashed was admitted");
    let Ok(token) = Token::parse(line) else { return };
    plan(&token);
    let Some(Ok(entry)) = Entry::read(&token) else { return };
    let mut out = vec![0; MAX_LINE * 8];
    let protection = Protection::default();
    let written = match &entry {
        Entry::Created(created) => created.write(&protection, &mut out),
        Entry::Step(step) => step.write(&protection, &mut out),
        Entry::Closed(closed) => closed.write(&protection, &mut out),
    };
    let Ok(written) = written else { return };
    let again = core::str::from_utf8(&out[..written.len]).expect("what is written is ASCII");
    let again = Token::parse(again).expect("what is written is a token");
    assert_eq!(again.content_hash(None).ok(), Some(written.content_hash), "the hash is that of the line");
    let again = Entry::read(&again).expect("of a workload").expect("in its form");
    // Times are written in one way, and those outside of the years that can be written as the nearest.
    assert_eq!(again.workload_id(), entry.workload_id());
    if let (Entry::Step(a), Entry::Step(b)) = (&again, &entry) {
        assert_eq!((a.step_id, a.sequence, a.status, a.after), (b.step_id, b.sequence, b.status, b.after));
        assert_eq!((a.input, a.output, a.independent), (b.input, b.output, b.independent));
        assert_eq!((a.name, a.executor, a.node), (b.name, b.executor, b.node));
    }
}

/// What a token says of a step that has not ended is read again as it is written.
fn plan(token: &Token<'_>) {
    let Some(Ok(plan)) = Plan::read(token) else { return };
    let mut erin = Vec::new();
    if plan.write_erin(&mut erin).is_err() {
        return;
    }
    let erin = core::str::from_utf8(&erin).expect("what is written is ASCII");
    let again = Token { erin: Value::from_json(erin).expect("what is written is JSON"), ..*token };
    assert_eq!(Plan::read(&again), Some(Ok(plan)));
}

/// A workload that is resumed from any lines keeps its rules: nothing of it waits to be written, and no step ended before its turn.
fn resume(data: &[u8], seed: &Seed) {
    let (key, mut resumed) = (seed.fork("resume").sip_key(), None::<Workload<Heap>>);
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(token) = Token::parse_bytes(line) else { continue };
        if let (Some(Ok(plan)), Some(workload)) = (Plan::read(&token), &mut resumed) {
            let _ = workload.replay_plan(&plan);
        }
        let (Some(Ok(entry)), Some(hash)) = (Entry::read(&token), token.said_hash()) else { continue };
        match (&entry, &mut resumed) {
            (Entry::Created(created), _) => resumed = Workload::resume(created, hash, key.clone(), 64).ok(),
            (entry, Some(workload)) => {
                let _ = workload.replay(entry, hash);
            }
            (_, None) => {}
        }
        let Some(workload) = &resumed else { continue };
        assert_eq!(workload.pending(), None);
        let ended = workload.steps().take_while(|step| step.status.is_final()).count();
        assert_eq!(workload.counts().ended() as usize, ended, "steps end in their turn");
    }
}

/// A workload whose only step is out.
fn offered() -> Workload<Heap> {
    let (now, mut rng) = (Now::default(), Seed::from_u64(1).fork("fuzz"));
    let new = NewWorkload { name: "w", actor: "jis:c", ..NewWorkload::default() };
    let mut workload = Workload::<Heap>::new(now, &new, &mut rng).expect("a workload");
    workload.add(&NewStep { name: "a", ..NewStep::default() }, &mut rng).expect("a step");
    workload.poll_token(&Protection::default(), &mut vec![0; MAX_LINE]).expect("waits").expect("is written");
    workload.offer(now, 1, Data::None, "jis:w", Duration::from_secs(1)).expect("offered");
    workload
}

/// Lines as a chain: at most one finding for each.
fn lines(data: &[u8]) {
    let seed = Seed::from_u64(2);
    resume(data, &seed);
    let (mut verifier, mut checker) = (StepVerifier::new(None, None, &seed), StepChecker::new(&seed));
    let mut findings = 0;
    for line in data.split(|byte| *byte == b'\n') {
        findings += usize::from(verifier.line(line).is_some());
        if let Ok(token) = Token::parse_bytes(line) {
            let _ = checker.token(&token, true);
        }
    }
    let workloads = verifier.unfinished().count();
    assert!(findings + workloads <= 2 * data.len() + 1);
}
