//! Steps of SPIFFE workloads, with files as spire-agent writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sluis_core::Wall;
use sluis_spiffe::{Issued, ThrowawayCa};

use crate::common::folder::Folder;
use crate::common::json::Json;

const NEW: &[&str] = &["chain", "new", "c.jsonl", "--svid"];

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Wall::from_micros(i64::try_from(since.as_micros()).expect("before 292277"))
}

fn write(folder: &Folder, name: &str, issued: &Issued) {
    std::fs::create_dir_all(folder.0.join(name)).expect("a folder can be made");
    folder.write(&format!("{name}/svid.0.pem"), issued.chain_pem());
    folder.write(&format!("{name}/svid.0.key"), issued.key_pem().as_bytes());
    folder.set_mode(&format!("{name}/svid.0.key"), 0o600);
}

#[test]
fn an_executor_may_be_a_spiffe_id() {
    let folder = Folder::new("spiffe");
    let from = now().saturating_sub(HOUR);
    let ca = ThrowawayCa::new("example.org", from, 24 * HOUR).expect("an authority");
    let other = ThrowawayCa::new("example.org", from, 24 * HOUR).expect("an authority");
    folder.write("bundle.pem", ca.bundle_pem());
    folder.write("other.pem", other.bundle_pem());
    write(&folder, "drone", &ca.issue("drone", from, now().saturating_add(HOUR)).expect("an SVID"));
    write(&folder, "old", &ca.issue("old", from, now().saturating_sub(Duration::from_secs(60))).expect("an SVID"));

    folder.ends(0, &["chain", "run", "c.jsonl", "--step", "fly", "--svid", "drone", "--", "true"]);
    folder.prints(&["chain", "add", "c.jsonl", "--action", "landed", "--svid", "drone"]);
    let events = folder.events(0, &["chain", "verify", "c.jsonl", "--trust-bundle", "bundle.pem", "--signed"]);
    let Json::List(signers) = events[0].get("signers") else { panic!("{events:?}") };
    assert_eq!((signers[0].str("spiffe_id"), signers[0].count("tokens")), ("spiffe://example.org/drone", 3));
    let step = Json::parse(folder.text("c.jsonl").lines().nth(1).expect("a step"));
    assert_eq!(step.str("actor"), "spiffe://example.org/drone");
    assert_eq!(step.get("eromheen").get("spiffe").str("id"), "spiffe://example.org/drone");
    // Without a bundle nothing is said about such signatures, unless everything must be signed.
    folder.prints(&["chain", "verify", "c.jsonl"]);
    assert_eq!(folder.events(1, &["chain", "verify", "c.jsonl", "--signed"]).len(), 4);
    let events = folder.events(1, &["chain", "verify", "c.jsonl", "--trust-bundle", "example.org=other.pem"]);
    assert_eq!(events.len(), 4, "{events:?}");

    let said = folder.fails(1, &["chain", "add", "c.jsonl", "--action", "late", "--svid", "old"]);
    assert!(said.contains("not valid now"), "{said}");
    let said = folder.fails(2, &["chain", "add", "c.jsonl", "--action", "x", "--svid", "drone", "--actor", "jis:a"]);
    assert!(said.contains("signs for nobody else"), "{said}");
    folder.set_mode("drone/svid.0.key", 0o644);
    let said = folder.fails(1, &["chain", "add", "c.jsonl", "--action", "x", "--svid", "drone"]);
    assert!(said.contains("chmod 600") || said.contains("0600"), "{said}");
    let said = folder.fails(1, &["chain", "verify", "c.jsonl", "--trust-bundle", "nowhere.pem"]);
    assert!(said.contains("nowhere.pem"), "{said}");
}

#[test]
fn a_spiffe_actor_is_proven_by_its_certificate_alone() {
    let folder = Folder::new("spiffe-actor");
    let from = now().saturating_sub(HOUR);
    let ca = ThrowawayCa::new("example.org", from, 24 * HOUR).expect("an authority");
    folder.write("bundle.pem", ca.bundle_pem());
    folder.prints(&["key", "new", "mallory.key"]);
    folder.write("mallory.pub", folder.prints(&["key", "export", "mallory.key"]));
    let add = ["chain", "add", "c.jsonl", "--action", "deployed", "--actor", "spiffe://example.org/ci"];
    folder.prints(&[&add[..], &["--key", "mallory.key"]].concat());
    let kinds = |code, flags: &[&str]| {
        let events = folder.events(code, &[&["chain", "verify", "c.jsonl"], flags].concat());
        events.iter().filter_map(|event| event.find("kind").map(|_| event.str("kind").to_owned())).collect::<Vec<_>>()
    };
    let (bundle, key) = (["--trust-bundle", "bundle.pem"], ["--key", "mallory.pub"]);
    assert_eq!(kinds(1, &bundle), ["unknown_key"]);
    assert_eq!(kinds(1, &[&bundle[..], &["--signed"]].concat()), ["unknown_key"]);
    assert_eq!(kinds(1, &key), ["actor"]);
    assert_eq!(kinds(1, &[&bundle[..], &key].concat()), ["actor"]);
    assert_eq!(kinds(1, &["--signed"]), ["actor"]);
    // Who asks for nothing is told that it is not proven.
    let said = folder.prints(&["chain", "verify", "c.jsonl"]);
    assert!(said.contains("unproven: spiffe://example.org/ci (1 token)"), "{said}");
    // A certificate of another identity of the same domain does not do either.
    write(&folder, "drone", &ca.issue("drone", from, now().saturating_add(HOUR)).expect("an SVID"));
    folder.prints(&["chain", "add", "d.jsonl", "--action", "deployed", "--svid", "drone"]);
    folder.write(
        "d.jsonl",
        folder.text("d.jsonl").replace("\"spiffe://example.org/drone\"", "\"spiffe://example.org/ci\""),
    );
    let events = folder.events(1, &[&["chain", "verify", "d.jsonl"], &bundle[..]].concat());
    assert_eq!(events[0].str("kind"), "content_hash");
}

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
