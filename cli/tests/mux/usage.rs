//! What is refused before anything is done: exit code 2 and one sentence.

use crate::common::folder::Folder;

#[track_caller]
fn refused(folder: &Folder, code: i32, args: &[&str], why: &str) {
    let out = folder.sluis(&[&["mux"], args].concat());
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(why) && said.trim_end().lines().count() == 1, "{args:?}: {said}");
    assert!(out.stdout.is_empty());
}

#[test]
fn a_hub_that_nobody_should_run_is_refused() {
    let folder = Folder::new("mux-usage");
    let write = |name: &str, text: &str| std::fs::write(folder.0.join(name), text).unwrap();
    write("empty.toml", "");
    write("broken.toml", "[agents.alice]\ntoken_sha256 = 5");
    refused(&folder, 2, &["serve", "--open", "--plain"], "--open=anywhere");
    for args in [&["serve", "--open"][..], &["serve", "--plain"], &["serve"]] {
        assert_eq!(folder.sluis(&[&["mux"], args].concat()).status.code(), Some(2), "{args:?}");
    }
    refused(&folder, 2, &["serve", "--plain", "--agents", "missing.toml"], "cannot read missing.toml");
    refused(&folder, 2, &["serve", "--plain", "--agents", "broken.toml"], "broken.toml: line 2: ");
    let missing = ["serve", "--agents", "empty.toml", "--cert", "missing.pem", "--cert-key", "missing.pem"];
    refused(&folder, 2, &missing, "cannot use missing.pem");
    for origin in ["app.example", "https://app.example/", "HTTPS://app.example", "https://", "https://a b"] {
        let args = ["serve", "--plain", "--agents", "empty.toml", "--allow-origin", origin];
        refused(&folder, 2, &args, "write an origin as browsers do");
    }
    let certs = ["serve", "--agents", "empty.toml", "--cert", "empty.toml", "--cert-key", "empty.toml"];
    refused(&folder, 2, &certs, "no certificate can be read");
    refused(&folder, 2, &["serve", "--plain", "--agents", "empty.toml", "--prefix", "api"], "a path like /api/mux");
    let hub = ["serve", "--plain", "--agents", "empty.toml", "--backend"];
    for (given, why) in [
        (&["stream"][..], "like file:sync=127.0.0.1:873"),
        (&["=127.0.0.1:1"], "like file:sync=127.0.0.1:873"),
        (&["stream=127.0.0.1:0"], "nobody can be reached at port 0"),
        (&["stream=127.0.0.1:1", "--backend", "stream=127.0.0.1:2"], "--backend is given twice for stream"),
    ] {
        refused(&folder, 2, &[&hub[..], given].concat(), why);
    }
    let hub = ["serve", "--plain", "--agents", "empty.toml", "--bind", "127.0.0.1:0"];
    let alone = folder.sluis(&[&["mux"], &hub[..], &["--record-key", "x"]].concat());
    assert_eq!(alone.status.code(), Some(2), "there is nothing to sign");
    refused(&folder, 2, &[&hub[..], &["--record", "empty.toml"]].concat(), "--record and --agents are one file");
    refused(&folder, 1, &[&hub[..], &["--key", "missing.pem"]].concat(), "missing.pem");
    let pipe = ["pipe", "--agent", "a", "--target", "b", "--intent", "i", "--forward"];
    refused(&folder, 2, &[&pipe[..], &["8080"]].concat(), "write HOST:PORT");
    let bytes = ["pipe", "--agent", "a", "--target", "b", "--intent", "i", "--bytes"];
    refused(&folder, 2, &[&bytes[..], &["--json"]].concat(), "leave --json out");
    refused(&folder, 2, &[&pipe[..], &["127.0.0.1:0", "--count", "1"]].concat(), "does not go with --count");
    refused(&folder, 2, &["status", "--url", "localhost:8443"], "https://hub.example:8443");
    refused(
        &folder,
        2,
        &["status", "--url", "http://localhost:1", "--pin", &"0".repeat(64)],
        "--ca and --pin are for https",
    );
    refused(&folder, 2, &["status", "--pin", "0"], "64 hex digits");
    refused(&folder, 2, &["status", "--token-file", "empty.toml"], "holds no token");
    refused(&folder, 1, &["status", "--url", "http://127.0.0.1:1"], "cannot be reached");
    refused(
        &folder,
        2,
        &["open", "--agent", "a", "--target", "b", "--intent", "i", "--metadata", "[]"],
        "a JSON object",
    );
}

#[test]
fn a_token_is_given_once_and_its_hash_is_kept() {
    let folder = Folder::new("mux-token");
    let give = |args: &[&str]| folder.ends(0, &[&["mux", "token", "--agents", "a.toml"], args].concat());
    let (alice, bob) = (give(&["alice", "--may", "call:*", "--to", "b\"o\\b"]), give(&["bob"]));
    assert!(alice.trim().len() == 64 && alice != bob);
    let file = std::fs::read_to_string(folder.0.join("a.toml")).unwrap();
    assert!(!file.contains(alice.trim()) && file.contains("may = [\"call:*\"]"), "{file}");
    let again = "alice has a token in a.toml, take its entry out there to make a new one";
    refused(&folder, 2, &["token", "alice", "--agents", "a.toml"], again);
    folder.write("broken.toml", "\n[agents.alice");
    refused(&folder, 2, &["token", "bob", "--agents", "broken.toml"], "broken.toml: line 2: ");
    refused(&folder, 2, &["token", "Alice.aint", "--agents", "a.toml"], "\"alice\"");
    for odd in ["al ice", "al\u{a0}ice", "al\tice", "al\u{7}ice"] {
        refused(&folder, 2, &["token", odd, "--agents", "a.toml"], "blanks or control characters");
    }
    assert_eq!(std::fs::read_to_string(folder.0.join("a.toml")).unwrap(), file);
    if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
        let out = folder.command(&["mux", "token", "carol", "--agents", "b.toml"]).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(
            out.status.code() == Some(1) && said.contains("carol is written to b.toml, but its token is lost"),
            "{said}"
        );
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.0.join("a.toml")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
