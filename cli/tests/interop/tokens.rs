//! Token files: what `tibet-core` writes verifies here, and what is written here verifies there, hashed either way.

use std::path::Path;
use std::process::Command;

use sluis_chain::store::{Store, StoreLimits};
use sluis_core::Seed;
use sluis_core::identity::MacKey;

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::peers;

const KEY: &str = "a shared secret";

fn reference(python: &Path, folder: &Folder, command: &str, file: &str, keyed: bool) -> String {
    let hex: String = KEY.bytes().map(|b| format!("{b:02x}")).collect();
    let mut run = Command::new(python);
    run.arg(peers::script("ref_tokens.py")).args([command, file]).args(keyed.then_some(hex)).current_dir(&folder.0);
    let done = run.output().expect("python runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8")
}

fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("mac.key", KEY);
    folder.set_mode("mac.key", 0o600);
    folder
}

/// `sluis chain verify`: the findings.
fn findings(folder: &Folder, code: i32, file: &str, keyed: bool) -> Vec<Json> {
    let key: &[&str] = if keyed { &["--hmac-key", "mac.key"] } else { &[] };
    let mut events = folder.events(code, &[&["chain", "verify", file], key].concat());
    events.retain(|event| event.str("event") == "finding");
    events
}

fn theirs_here(python: &Path, keyed: bool) {
    let folder = folder(if keyed { "tokens-theirs-mac" } else { "tokens-theirs" });
    reference(python, &folder, "write", "log.jsonl", keyed);
    assert_eq!(findings(&folder, 0, "log.jsonl", keyed), []);
    // Read into a store, every line is written as it was, and the chain holds.
    let text = folder.text("log.jsonl");
    let mut store = Store::new(StoreLimits::default(), &Seed::from_u64(1));
    store.add_lines(text.as_bytes(), |line, why| panic!("{line}: {why}"));
    assert_eq!(store.lines().flat_map(|line| [line, "\n"]).collect::<String>(), text);
    let key = keyed.then(|| MacKey::new(KEY.as_bytes()));
    let last = store.tokens().next_back().expect("a token").token_id.to_string();
    let judged = Json::parse(&reference(python, &folder, "verify", "log.jsonl", keyed));
    assert_eq!(judged.count("count"), store.len() as u64);
    let length = usize::try_from(judged.count("chain")).expect("a length");
    assert_eq!(store.verify(last.as_str().into(), key.as_ref()), Ok(length));
    // The other kind of hash does not verify, and an edit is one finding.
    assert_eq!(findings(&folder, 1, "log.jsonl", !keyed).len(), store.len());
    folder.write("edited.jsonl", text.replacen("healthy", "healthx", 1));
    let found = findings(&folder, 1, "edited.jsonl", keyed);
    assert_eq!(found.iter().map(|finding| finding.str("kind")).collect::<Vec<_>>(), ["content_hash"]);
}

fn ours_there(python: &Path, keyed: bool) {
    let folder = folder(if keyed { "tokens-ours-mac" } else { "tokens-ours" });
    folder.prints(&["key", "new", "hub.key"]);
    let keys: &[&str] = if keyed { &["--hmac-key", "mac.key", "--key", "hub.key"] } else { &["--key", "hub.key"] };
    folder.prints(&[&["chain", "new", "log.jsonl", "--name", "m", "--owner", "jis:hub"], keys].concat());
    let erins = [r#"{"z":1.50,"a":[1e16,"é\ud83d\ude80\u0000"],"é":{"b":{},"a":null}}"#, "[]", "-0.0", "\"x\""];
    let mut parent = String::new();
    for erin in erins {
        let add = ["chain", "add", "log.jsonl", "--action", "noted", "--erin", erin, "--eraan", "r", "--erachter", "é"];
        let follows = ["--parent", &parent];
        let follows: &[&str] = if parent.is_empty() { &[] } else { &follows };
        parent = folder.json(&[&add, follows, keys].concat()).str("token_id").to_owned();
    }
    let judged = Json::parse(&reference(python, &folder, "verify", "log.jsonl", keyed));
    assert_eq!((judged.count("count"), judged.get("bad")), (5, &Json::List(Vec::new())));
    assert_eq!((judged.count("rewritten"), judged.count("chain")), (5, 4));
    // What it adds behind ours has no link to ours: it is true, and it is noticed.
    reference(python, &folder, "write", "log.jsonl", keyed);
    let found = findings(&folder, 1, "log.jsonl", keyed);
    assert!(found.iter().all(|finding| finding.str("kind") == "link") && !found.is_empty(), "{found:?}");
}

macro_rules! both_hashes {
    ($($case:ident)*) => {
        $(mod $case {
            #[test]
            fn sha256() {
                if let Some(python) = crate::peers::python() {
                    super::$case(python, false);
                }
            }
            #[test]
            fn hmac() {
                if let Some(python) = crate::peers::python() {
                    super::$case(python, true);
                }
            }
        })*
    };
}

both_hashes! { theirs_here ours_there }
