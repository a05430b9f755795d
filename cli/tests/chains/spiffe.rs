//! Identities of SPIFFE workloads, from where they can come.

use crate::common::folder::Folder;

const NEW: &[&str] = &["chain", "new", "c.jsonl", "--svid"];

#[test]
fn an_agent_that_is_not_there_is_one_sentence() {
    let folder = Folder::new("chain-agent");
    for from in ["agent", "unix:///no/such/agent.sock"] {
        let said = folder.fails(1, &[NEW, &[from]].concat());
        if cfg!(feature = "workload-api") {
            let expected = if from == "agent" { "set SPIFFE_ENDPOINT_SOCKET" } else { "No such file or directory" };
            assert!(said.contains(expected), "{said}");
        } else {
            assert!(said.contains("--features workload-api"), "{said}");
        }
        assert!(!folder.exists("c.jsonl"), "nothing was begun");
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    let folder = Folder::new("chain-svid-files");
    let said = folder.fails(1, &[NEW, &["nowhere"]].concat());
    assert!(said.contains("cannot read nowhere/svid.0.pem"), "{said}");
}
