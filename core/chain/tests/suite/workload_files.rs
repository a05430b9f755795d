//! The files that a step names are what its hashes cover, or that is a finding.

use sluis_chain::token::Hash32;
use sluis_chain::workload::check::{LineFault, StepFault, StepVerifier};
use sluis_chain::workload::{Data, MAX_LINE, NewStep, NewWorkload, Protection, StepStatus, Workload, hash_value};
use sluis_core::data::Value;
use sluis_core::table::Heap;
use sluis_core::{Now, Seed};

/// Two files, one of them changed, and neither.
const FILES: &str = r#"{"a": "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7", "b": "53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3"}"#;
const OTHERS: &str = r#"{"a": "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"}"#;

fn hash(json: &str) -> Hash32 {
    hash_value(Value::from_json(json).unwrap()).unwrap()
}

/// What is found in the token of a step with this metadata, input and output.
fn found(metadata: &str, input: Option<&str>, output: Option<&str>, status: StepStatus) -> Option<StepFault> {
    let (seed, now) = (Seed::from_u64(1), Now::default());
    let mut rng = seed.fork("ids");
    let data = |json: Option<&str>| json.map_or(Data::None, |json| Data::Hash(hash(json)));
    let mut workload =
        Workload::<Heap>::new(now, &NewWorkload { name: "w", ..NewWorkload::default() }, &mut rng).unwrap();
    let step = NewStep { name: "s", metadata: Value::from_json(metadata).unwrap(), ..NewStep::default() };
    let step = workload.add(&step, &mut rng).unwrap();
    workload.start(now, step, data(input), None).unwrap();
    match status {
        StepStatus::Failed => workload.fail(now, step, "no").unwrap(),
        StepStatus::Compromised => {
            workload.complete(now, step, data(output), Some(Data::Hash(Hash32([1; 32])))).unwrap();
        }
        _ => drop(workload.complete(now, step, data(output), None).unwrap()),
    }
    let (mut verifier, mut line) = (StepVerifier::new(None, None, &seed), vec![0; MAX_LINE]);
    let mut faults = Vec::new();
    while let Some(written) = workload.poll_token(&Protection::default(), &mut line) {
        faults.extend(verifier.line(&line[..written.unwrap().len]).map(|finding| finding.fault));
    }
    assert!(faults.len() <= 1, "{faults:?}");
    faults.first().map(|fault| match fault {
        LineFault::Step(finding) => finding.kind,
        other => panic!("{other:?}"),
    })
}

#[test]
fn files_are_what_the_hashes_cover() {
    let files = |inputs: &str, outputs: &str| format!(r#"{{"inputs": {inputs}, "outputs": {outputs}}}"#);
    let none = "{}";
    let (ended, failed, compromised) = (StepStatus::Completed, StepStatus::Failed, StepStatus::Compromised);
    for (inputs, outputs, input, output, status, expected) in [
        (FILES, OTHERS, Some(FILES), Some(OTHERS), ended, None),
        (none, none, None, None, ended, None),
        (none, FILES, None, Some(OTHERS), ended, Some(StepFault::Files)),
        (none, FILES, None, None, ended, Some(StepFault::Files)),
        (none, none, None, Some(FILES), ended, Some(StepFault::Files)),
        (OTHERS, none, Some(FILES), None, ended, Some(StepFault::Files)),
        (none, none, Some(FILES), None, ended, Some(StepFault::Files)),
        (FILES, none, None, None, ended, Some(StepFault::Files)),
        // What a step put out that was not completed has no hash.
        (FILES, OTHERS, Some(FILES), None, failed, None),
        (FILES, OTHERS, Some(FILES), None, compromised, Some(StepFault::Compromised)),
        (OTHERS, none, Some(FILES), None, compromised, Some(StepFault::Files)),
        // Anything else under these names is nobody's list of files.
        (r#"{"a": "red"}"#, r#"{"a": 1}"#, Some(FILES), Some(FILES), ended, None),
        ("[]", "7", Some(FILES), Some(FILES), ended, None),
        ("null", r#""none""#, Some(FILES), Some(FILES), ended, None),
    ] {
        let metadata = files(inputs, outputs);
        assert_eq!(found(&metadata, input, output, status), expected, "{metadata}, {input:?}, {output:?}, {status}");
    }
    // But nothing that may be taken for one: with something else beside the hashes, nested, as a list, in capitals, by hash.
    let hash = "ab".repeat(32);
    for odd in [
        format!(r#"{{"a": "{hash}", "b": 1}}"#),
        format!(r#"{{"a": "{hash}", "b": "red"}}"#),
        format!(r#"{{"a": {{"b": "{hash}"}}}}"#),
        format!(r#"{{"a": ["{hash}"]}}"#),
        format!(r#"["a", "{hash}"]"#),
        format!(r#"[{{"a": "{hash}"}}]"#),
        format!(r#"{{"a": "{}"}}"#, hash.to_uppercase()),
        format!(r#"{{"a": "sha256:{hash}"}}"#),
        format!(r#"{{"{hash}": "a"}}"#),
        format!(r#""{hash}  a""#),
    ] {
        for (inputs, outputs) in [(none, &*odd), (&*odd, none)] {
            let metadata = files(inputs, outputs);
            assert_eq!(found(&metadata, None, None, ended), Some(StepFault::Files), "{metadata}");
        }
    }
    assert_eq!(found("{}", Some(FILES), Some(OTHERS), ended), None, "nothing is said");
}
