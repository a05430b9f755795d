//! What becomes of it.

use super::*;

#[test]
fn a_chain_grows_over_several_machines_and_bad_links() {
    for seed in 1..=3 {
        let (net, coordinator) = run(seed, 12, 0.3, &[Manner::Honest; 3]);
        assert_eq!(coordinator.lines.len(), 14, "the first token, twelve steps, the last");
        assert_eq!(coordinator.refused, BTreeMap::new());
        verify(&coordinator, net.hosts.len());
        for host in &net.hosts {
            assert!(host.runs.values().all(|runs| *runs == 1), "{}: a step ran twice: {:?}", host.did, host.runs);
        }
        let who: Vec<_> =
            coordinator.workload.steps().map(|step| (step.executor.to_owned(), step.node.to_owned())).collect();
        assert_eq!(who.len(), 12);
        assert!(who.iter().any(|(_, node)| node == "machine-1") && who.iter().any(|(_, node)| node == "machine-3"));
    }
}

#[test]
fn a_cheating_executor_gets_nothing_in() {
    for (seed, cheat) in (10..).zip(CHEATS) {
        let (net, coordinator) = run(seed, 8, 0.2, &[Manner::Honest, cheat, Manner::Honest]);
        verify(&coordinator, net.hosts.len());
        assert_eq!(coordinator.lines.len(), 10);
        if cheat == Manner::Twice {
            // One answer is as good as the other, if only one ever gets in: it is the executor's word.
            continue;
        }
        let by_cheater = coordinator.workload.steps().filter(|step| step.executor == executor_did(2)).count();
        assert_eq!(by_cheater, 0, "{cheat:?}");
        assert!(!coordinator.refused.is_empty(), "{cheat:?}: it never had its turn");
    }
}

/// The bare pieces, without a heap's memory: what a firmware does.
#[test]
fn an_offer_says_what_its_token_must() {
    let mut rng = Seed::from_u64(1).fork("x");
    let now = Clock::new(0, 0, 0).now(5 * MS);
    let new = NewWorkload { name: "w", actor: COORDINATOR, ..NewWorkload::default() };
    let mut workload = Workload::<sluis_core::table::Fixed<2>>::new(now, &new, &mut rng).unwrap();
    workload.add(&NewStep { name: "a", intent: Some("why not"), ..NewStep::default() }, &mut rng).unwrap();
    let (own, worker) = (key(1), key(2));
    let valid = Duration::from_secs(60);
    let refused = workload.offer(now, 1, Data::None, "jis:w", valid).unwrap_err();
    assert_eq!(refused, Refused::TokensWaiting);
    let mut out = vec![0; MAX_LINE];
    let signed = Protection { seal: Some(&own), ..Protection::default() };
    workload.poll_token(&signed, &mut out).unwrap().unwrap();
    let input = Value::from_json(r#"{"x": 1}"#).unwrap();
    workload.offer(now, 1, Data::Value(input), "jis:w", valid).unwrap();
    assert_eq!(workload.complete(now, 1, Data::None, None), Err(Refused::HandedOver));
    assert_eq!(workload.fail(now, 1, "no"), Err(Refused::HandedOver));
    let len = workload.offered(1).unwrap().write(Some(input), Some(&own), &mut out).unwrap();
    let payload = String::from_utf8(out[..len].to_vec()).unwrap();
    let value = Value::from_json(&payload).unwrap();
    let offer = Offer::read(value).unwrap();
    assert_eq!(offer, workload.offered(1).unwrap());
    let coordinators = [(COORDINATOR, own.public().verifier().unwrap())];
    let coordinators = BoundKeys::new(&coordinators);
    offer.check(now.wall, value, "jis:w", &coordinators).unwrap();
    for (edit, with) in
        [("\"sequence\": 1", "\"sequence\": 2"), ("why not", "why"), ("{\"x\": 1}", "{\"x\": 2}"), ("jis:w", "jis:v")]
    {
        let edited = payload.replace(edit, with);
        let value = Value::from_json(&edited).unwrap();
        let offer = Offer::read(value).unwrap();
        offer.check(now.wall, value, "jis:w", &coordinators).unwrap_err();
    }
    let step = offer.step("there", now, now, None);
    let sealed = Protection { seal: Some(&worker), ..Protection::default() };
    let len = step.write(&sealed, &mut out).unwrap().len;
    let line = String::from_utf8(out[..len].to_vec()).unwrap();
    let workers = [("jis:w", worker.public().verifier().unwrap())];
    let workers = BoundKeys::new(&workers);
    let none = workload.admit(now, &line, &Proof::default()).unwrap_err();
    assert!(matches!(none, NotAdmitted::Seal(_)), "unsigned and unkeyed is no proof: {none}");
    let proof = Proof { authority: Some(&workers), mac: None };
    workload.admit(now, &line, &proof).unwrap();
    let again = workload.admit(now, &line, &proof).unwrap_err();
    assert_eq!(again, NotAdmitted::Refused(Refused::Ended(StepStatus::Completed)));
    workload.close(now).unwrap();
    workload.poll_token(&signed, &mut out).unwrap().unwrap();
    assert!(workload.poll_token(&signed, &mut out).is_none());
}
