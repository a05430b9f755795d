//! What the reference overlay knows is taken in for what it is worth, and its relays carry what ours says.

use std::path::Path;
use std::process::Command;

use crate::Setup;
use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::common::venv;
use crate::peers::{Peer, script};
use crate::sluis::{HUB, Listen, SENSOR};

/// The Python that has the reference overlay.
fn python() -> Option<&'static Path> {
    static PYTHON: venv::Cell = venv::Cell::new();
    venv::python(&PYTHON, "overlay-venv", "interop/python/requirements-overlay.txt")
}

fn keys(name: &str) -> Folder {
    let folder = Folder::new(&format!("interop-overlay-{name}"));
    for key in ["hub", "sensor"] {
        folder.prints(&["key", "new", &format!("{key}.key")]);
        folder.write(&format!("{key}.pub"), folder.prints(&["key", "export", &format!("{key}.key")]));
    }
    folder
}

fn file(folder: &Folder, name: &str) -> String {
    folder.0.join(name).to_str().expect("UTF-8").to_owned()
}

/// Name, endpoint, and whether it is proven, of every device that a state knows.
fn known(folder: &Folder) -> Vec<(String, Option<String>, bool)> {
    let status = folder.events(0, &["overlay", "status", "--state", "state"]);
    let endpoint = |device: &Json| match device.get("endpoint") {
        Json::Text(text) => Some(text.clone()),
        _ => None,
    };
    status
        .iter()
        .map(|device| (device.str("did").to_owned(), endpoint(device), device.get("proven") == &Json::Bool(true)))
        .collect()
}

#[test]
fn a_registry_of_the_reference_is_imported_and_nothing_in_it_is_proven() {
    let Some(python) = python() else { return };
    let folder = keys("import");
    let out = Command::new(python).arg(script("ref_overlay.py")).arg("export").output().expect("python runs");
    assert!(out.status.success(), "{out:?}");
    folder.write("reference.json", &out.stdout);
    // One that has registered here by its own signed word, under a name that the reference knows, too.
    let hub = Listen::start(
        Setup { runtime: "tokio", encoding: "json" },
        &[
            "--key",
            &file(&folder, "hub.key"),
            "--state",
            &file(&folder, "state"),
            "--registry",
            "--trust",
            "jis:sensor=0.9",
            "--pin",
            &format!("jis:sensor={}", file(&folder, "sensor.pub")),
        ],
    );
    let (at, pin) = (format!("{HUB}@{}", hub.addr), format!("{HUB}={}", file(&folder, "hub.pub")));
    folder.json(&[
        "overlay",
        "register",
        "--at",
        &at,
        "--pin",
        &pin,
        "--key",
        "sensor.key",
        "--did",
        "jis:sensor",
        "--endpoint",
        "127.0.0.1:9",
    ]);
    hub.end();
    let imported = folder.events(0, &["overlay", "import", "reference.json", "--state", "state"]);
    assert_eq!(imported.len(), 4);
    assert!(imported.iter().all(|device| device.get("proven") == &Json::Bool(false)), "{imported:?}");
    let unproven = |did: &str, at: Option<&str>| (did.to_owned(), at.map(str::to_owned), false);
    assert_eq!(
        known(&folder),
        [
            ("jis:sensor".to_owned(), Some("127.0.0.1:9".to_owned()), true),
            unproven("jis:door", Some("[2001:db8::7]:7151")),
            unproven("jis:lamp", Some("192.0.2.9:7150")),
            unproven("jis:nowhere", None),
        ]
    );
    // No more than a hint: it has no key, its key answers nowhere, it can do nothing, and is not passed on.
    let resolved = folder.json(&["overlay", "resolve", "jis:lamp", "--state", "state"]);
    assert_eq!(
        (resolved.str("source"), resolved.str("endpoint"), resolved.get("fingerprint")),
        ("last_known", "192.0.2.9:7150", &Json::Null)
    );
    let verified = folder.events(1, &["overlay", "verify", "jis:lamp", "--state", "state"]);
    assert_eq!(verified[0].get("verified"), &Json::Bool(false));
    assert!(folder.events(0, &["overlay", "find", "light", "--state", "state"]).is_empty());
    assert_eq!(folder.prints(&["overlay", "export", "--state", "state"]).lines().count(), 1);
    // Taken in once more it is what it was.
    folder.events(0, &["overlay", "import", "reference.json", "--state", "state"]);
    assert_eq!(known(&folder).len(), 4);
}

#[test]
fn a_reference_relay_carries_what_the_overlay_says_unharmed() {
    let Some(python) = python() else { return };
    for runtime in ["tokio", "smol"] {
        let folder = keys(runtime);
        // The package writes anew what it passes on, without the proofs that it does not know.
        let hub = Listen::start(
            Setup { runtime, encoding: "json" },
            &["--key", &file(&folder, "hub.key"), "--registry", "--allow-legacy", "--trust", &format!("{SENSOR}=0.9")],
        );
        let relay = Peer::named(python, "ref_overlay.py", &["relay", "--hub", &hub.addr]);
        let at = format!("{HUB}@{}", relay.addr);
        let ask = |code, command: &[&str], more: &[&str]| {
            let who = ["--at", &at, "--key", "sensor.key", "--did", SENSOR, "--runtime", runtime, "-t", "3"];
            folder.events(code, &[&["overlay"], command, &who, more].concat())
        };
        let register = ["register", "--endpoint", "127.0.0.1:9", "--capability", "light", "--capability", "caf\u{e9}"];
        let pin = format!("{HUB}={}", file(&folder, "hub.pub"));
        let refused = ask(1, &register, &["--pin", &pin]);
        assert_eq!(refused[0].str("event"), "failed", "what is pinned is not believed unsigned");
        let registered = ask(0, &register, &["--allow-legacy"]);
        assert_eq!((registered[0].str("event"), registered[0].str("endpoint")), ("registered", "127.0.0.1:9"));
        let own = folder.json(&["key", "show", "sensor.key"]);
        for command in [&["resolve", SENSOR][..], &["find", "caf\u{e9}"]] {
            let found = ask(0, command, &["--allow-legacy"]);
            assert_eq!(found[0].str("fingerprint"), own.str("fingerprint"), "the record is the device's own word");
        }
        let (mut intents, mut carried) = (Vec::new(), 0);
        while carried < 3 {
            let event = relay.take(1).remove(0);
            if event.str("event") == "carried" {
                assert_eq!((event.get("same"), event.count("hops")), (&Json::Bool(true), 1));
                let intent = event.str("intent").to_owned();
                if !intents.contains(&intent) {
                    intents.push(intent);
                    carried += 1;
                }
            }
        }
        assert_eq!(intents, ["overlay.register", "overlay.resolve", "overlay.find"]);
        drop(relay);
        hub.end();
    }
}
