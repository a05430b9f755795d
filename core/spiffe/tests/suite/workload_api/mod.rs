//! Identities from the Workload API, served by the test over a unix socket.

mod agent;

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use agent::{Agent, SvidMessage, SvidResponse};
use sluis_core::Wall;
use sluis_spiffe::workload_api::{Watch, fetch};
use sluis_spiffe::{SpiffeError, ThrowawayCa};
use tonic::Status;

const SOON: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Wall::from_micros(0).saturating_add(since)
}

fn socket(name: &str) -> PathBuf {
    // Short: a unix socket's path has at most 108 bytes.
    std::env::temp_dir().join(format!("sluis-spiffe-{name}-{}.sock", std::process::id()))
}

fn authority(trust_domain: &str) -> ThrowawayCa {
    ThrowawayCa::new(trust_domain, now().saturating_sub(HOUR), 3 * HOUR).expect("an authority")
}

fn entry(ca: &ThrowawayCa, trust_domain: &str, path: &str, until: Wall) -> SvidMessage {
    let issued = ca.issue(path, now().saturating_sub(HOUR), until).expect("an SVID");
    SvidMessage {
        spiffe_id: format!("spiffe://{trust_domain}/{path}"),
        x509_svid: issued.chain().iter().flat_map(|der| der.to_vec()).collect(),
        x509_svid_key: issued.key().to_vec(),
        bundle: ca.root().to_vec(),
        hint: String::new(),
    }
}

fn response(svids: Vec<SvidMessage>) -> SvidResponse {
    SvidResponse { svids, ..SvidResponse::default() }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn identities_and_bundles_come_over_the_socket() {
    let agent = Agent::start(&socket("fetch"));
    let (fleet, mill) = (authority("fleet.example"), authority("mill.example"));
    let end = now().saturating_add(HOUR);
    let mut update =
        response(vec![entry(&fleet, "fleet.example", "drone/7", end), entry(&fleet, "fleet.example", "drone/8", end)]);
    update.federated_bundles.insert("spiffe://mill.example".to_owned(), mill.root().to_vec());
    update.federated_bundles.insert("spiffe://empty.example".to_owned(), Vec::new());
    agent.push(Ok(update));

    let found = fetch(Some(&agent.endpoint()), SOON).expect("identities");
    assert_eq!(found.svids().len(), 2);
    assert_eq!(found.default_svid().expect("one").id().to_string(), "spiffe://fleet.example/drone/7");
    let eight = found.find("spiffe://fleet.example/drone/8").expect("the other");
    eight.check(found.bundles(), now()).expect("valid");
    assert_eq!(found.bundles().domains().collect::<Vec<_>>(), [("fleet.example", 1), ("mill.example", 1)]);
    let missing = found.find("spiffe://fleet.example/drone/9").expect_err("not ours").to_string();
    assert_eq!(missing, "there is no identity spiffe://fleet.example/drone/9");
    let own = found.into_default_svid().expect("one");
    assert_eq!(own.id_text(), "spiffe://fleet.example/drone/7");
}

#[test]
fn a_rotated_identity_replaces_the_old_one() {
    let agent = Agent::start(&socket("rotate"));
    let ca = authority("fleet.example");
    let give = |minutes: u64| {
        let end = now().saturating_add(Duration::from_secs(60 * minutes));
        agent.push(Ok(response(vec![entry(&ca, "fleet.example", "drone/7", end)])));
    };
    give(1);
    let watch = Watch::start(Some(&agent.endpoint()), SOON).expect("identities");
    let first = watch.current().expect("identities");
    assert!(watch.newer(&first, Duration::from_millis(50)).is_none(), "nothing was sent");
    give(2);
    let second = watch.newer(&first, SOON).expect("rotated");
    let (old, new) = (first.default_svid().expect("one"), second.default_svid().expect("one"));
    assert!(new.expires_at() > old.expires_at());
    assert_ne!(new.certificate_sha256(), old.certificate_sha256());

    // A bad update changes nothing but what is said about it.
    let mut wrong = entry(&ca, "fleet.example", "drone/7", now().saturating_add(HOUR));
    wrong.bundle = authority("fleet.example").root().to_vec();
    agent.push(Ok(response(vec![wrong])));
    until("the problem is told", || watch.problem().is_some());
    assert!(std::sync::Arc::ptr_eq(&second, &watch.current().expect("the last good ones")));

    // The agent mends it; the connection was given up for it and is made again.
    give(3);
    let third = watch.newer(&second, SOON).expect("reconnected");
    assert!(third.default_svid().expect("one").expires_at() > new.expires_at());
    assert_eq!(watch.problem(), None);

    agent.hang_up();
    until("it comes back by itself", || agent.listeners() > 0);
    drop(watch);
    until("it hangs up when it is dropped", || agent.listeners() == 0);
}

#[test]
fn an_agent_that_starts_later_is_waited_for() {
    let path = socket("late");
    let endpoint = format!("unix://{}", path.display());
    let starting = std::thread::spawn(move || Watch::start(Some(&endpoint), SOON).map(|watch| watch.current().is_ok()));
    std::thread::sleep(Duration::from_millis(200));
    let agent = Agent::start(&path);
    agent.push(Err(Status::permission_denied("no identity issued")));
    std::thread::sleep(Duration::from_millis(300));
    let ca = authority("fleet.example");
    agent.push(Ok(response(vec![entry(&ca, "fleet.example", "drone/7", now().saturating_add(HOUR))])));
    assert!(starting.join().expect("no panic").expect("identities"));
}

#[test]
fn what_is_wrong_is_said_in_one_sentence() {
    let said = |endpoint: &str, timeout| fetch(Some(endpoint), timeout).expect_err("nothing to have").to_string();
    let nobody = format!("unix://{}", socket("nobody").display());
    let text = said(&nobody, SOON);
    assert!(text.starts_with(&format!("the Workload API at {nobody} gave no identity: ")), "{text}");
    assert!(text.contains("No such file or directory"), "{text}");
    let text = said("not an endpoint", SOON);
    assert!(text.starts_with("the Workload API at not an endpoint gave no identity: "), "{text}");

    let agent = Agent::start(&socket("wrong"));
    let endpoint = agent.endpoint();
    let text = said(&endpoint, Duration::from_millis(200));
    assert_eq!(text, format!("the Workload API at {endpoint} gave no identity: it did not answer within 0.2 s"));

    let ca = authority("fleet.example");
    let end = now().saturating_add(HOUR);
    let expired = entry(&ca, "fleet.example", "drone/7", now().saturating_sub(Duration::from_secs(1)));
    let mut stranger = entry(&ca, "fleet.example", "drone/7", end);
    stranger.bundle = authority("fleet.example").root().to_vec();
    let mut swapped = entry(&ca, "fleet.example", "drone/7", end);
    swapped.x509_svid_key = entry(&ca, "fleet.example", "drone/8", end).x509_svid_key;
    let mut broken = entry(&ca, "fleet.example", "drone/7", end);
    broken.x509_svid.truncate(100);
    for (update, reason) in [
        (Err(Status::permission_denied("no identity issued")), "no identity issued"),
        (Ok(response(vec![])), "missing required field"),
        (Ok(response(vec![expired])), "expired"),
        (Ok(response(vec![stranger])), "not trusted"),
        (Ok(response(vec![swapped])), "does not belong to the certificate"),
        (Ok(response(vec![broken])), "X.509 SVID"),
    ] {
        agent.push(update);
        let text = said(&endpoint, SOON);
        assert!(text.contains(reason), "{reason}: {text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn works_inside_of_an_async_function() {
    let agent = Agent::start(&socket("async"));
    let ca = authority("fleet.example");
    agent.push(Ok(response(vec![entry(&ca, "fleet.example", "drone/7", now().saturating_add(HOUR))])));
    let endpoint = agent.endpoint();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async move {
        let watch = Watch::start(Some(&endpoint), SOON).expect("identities");
        drop(watch);
        fetch(Some(&endpoint), SOON).expect("identities");
    });
}

#[test]
fn the_socket_is_named_by_the_environment() {
    // Changing the environment of a process with threads is unsafe, so the test runs itself with another.
    let path = concat!(module_path!(), "::the_socket_is_named_by_the_environment");
    let name = path.split_once("::").expect("crate and test").1;
    if std::env::var_os("SLUIS_TEST_INNER").is_some() {
        fetch(None, SOON).expect("identities");
        return;
    }
    let agent = Agent::start(&socket("env"));
    let ca = authority("fleet.example");
    agent.push(Ok(response(vec![entry(&ca, "fleet.example", "drone/7", now().saturating_add(HOUR))])));
    let this = std::env::current_exe().expect("this test");
    let run = |program: &Path, endpoint: Option<String>| {
        let mut command = std::process::Command::new(program);
        command.args(["--exact", name]).env("SLUIS_TEST_INNER", "1").env_remove("SPIFFE_ENDPOINT_SOCKET");
        command.envs(endpoint.map(|endpoint| ("SPIFFE_ENDPOINT_SOCKET", endpoint)));
        command.output().expect("it runs")
    };
    assert!(run(&this, Some(agent.endpoint())).status.success());
    let without = run(&this, None);
    assert!(!without.status.success());
    assert!(String::from_utf8_lossy(&without.stdout).contains("NoEndpoint"), "{without:?}");
    assert!(SpiffeError::NoEndpoint.to_string().contains("SPIFFE_ENDPOINT_SOCKET"));
}
