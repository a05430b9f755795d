//! Join tokens of a hub that runs: made, listed and revoked through its control socket and its standard input.

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::control::ctl;
use crate::on_both;
use crate::overlay::{device, hub, keys, next, path};
use crate::sluis::{HUB, Listen};

on_both! {
    tokens_of_a_running_hub_outlive_it
    a_token_that_is_revoked_lets_nobody_in_from_then_on
    tokens_are_orders_on_standard_input_too
    what_tokens_let_in_is_recorded_and_no_secret_is
}

fn json(socket: &std::path::Path, order: &[&str]) -> Json {
    let (code, out, said) = ctl(socket, &[&["--json"], order].concat());
    assert_eq!((code, &*said), (Some(0), ""), "{order:?}");
    Json::parse(out.trim_end())
}

/// A device that starts with this token.
fn joins(runtime: &str, folder: &Folder, token: &str, hub: &Listen) -> crate::common::process::Process {
    folder.write("token", token);
    folder.set_mode("token", 0o600);
    let (key, file) = (path(folder, "lamp.key"), path(folder, "token"));
    device(runtime, &["--did", "jis:test:lamp", "--key", &key, "--join-file", &file, "--at", &hub.addr])
}

/// What was acknowledged is there after a kill: a token that was made, and that one was revoked.
fn tokens_of_a_running_hub_outlive_it(runtime: &str) {
    let folder = keys("running", runtime);
    let socket = folder.0.join("hub.sock");
    let control = ["--control", socket.to_str().expect("UTF-8")];
    let first = hub(runtime, &folder, &control);
    let (code, line, said) = ctl(&socket, &["token", "new", "--uses", "2", "--ttl", "1h", "--trust", "0.75"]);
    assert_eq!((code, line.lines().count(), &*said), (Some(0), 1, ""), "{line}");
    assert!(line.starts_with("sluis-join-"), "{line}");
    let made = json(&socket, &["token", "new"]);
    assert!(made.str("token").starts_with("sluis-join-"));
    assert_eq!((made.count("uses"), made.number("trust_score")), (1, 0.8));
    assert_eq!(json(&socket, &["token", "revoke", made.str("id")]).str("id"), made.str("id"));
    first.process.signal("KILL");
    drop(first);

    let second = hub(runtime, &folder, &control);
    let listed = json(&socket, &["token", "list"]);
    assert_eq!((listed.count("uses"), listed.count("used"), listed.number("trust_score")), (2, 0, 0.75));
    assert!(listed.find("token").is_none(), "its secret is shown once");
    let mut lamp = joins(runtime, &folder, &line, &second);
    assert_eq!(next(&lamp, "joined").str("did"), HUB);
    assert_eq!(second.next_of("joined").str("token"), listed.str("id"));
    assert_eq!(json(&socket, &["token", "list"]).count("used"), 1);
    lamp.say("quit");
    lamp.finish();
    second.quit();
    let kept = folder.events(0, &["token", "list", "--state", "state"]);
    assert_eq!((kept.len(), kept[0].str("id"), kept[0].count("used")), (1, listed.str("id"), 1));
}

fn a_token_that_is_revoked_lets_nobody_in_from_then_on(runtime: &str) {
    let folder = keys("revoking", runtime);
    let socket = folder.0.join("hub.sock");
    let hub = hub(runtime, &folder, &["--control", socket.to_str().expect("UTF-8")]);
    let made = json(&socket, &["token", "new", "--uses", "5"]);
    assert_eq!(json(&socket, &["token", "revoke", made.str("id")]).str("event"), "token_revoked");
    let mut lamp = joins(runtime, &folder, made.str("token"), &hub);
    lamp.wait_for_stderr("does not know the token");
    lamp.say("quit");
    lamp.finish();
    let (code, _, said) = ctl(&socket, &["token", "revoke", made.str("id")]);
    assert!(code == Some(1) && said.contains("there is no token") && said.contains("token list"), "{said}");
    let (code, out, said) = ctl(&socket, &["token", "list"]);
    assert!(code == Some(0) && out.is_empty() && said.contains("there are no tokens"), "{out}{said}");
    for (wrong, says) in [
        (&["token"][..], "new, list or revoke"),
        (&["token", "make"], "new, list and revoke"),
        (&["token", "new", "--trust", "2"], "--trust `2`"),
        (&["token", "new", "--uses", "many"], "--uses `many`"),
        (&["token", "revoke", "1"], "16 hex digits"),
    ] {
        let (code, _, said) = ctl(&socket, wrong);
        assert!(code == Some(2) && said.contains(says), "{wrong:?}: {said}");
    }
    let (code, _, said) = ctl(&socket, &["token", "new", "--uses", "0"]);
    assert!(code == Some(1) && said.contains("1 to 1000"), "{said}");
    hub.quit();
}

fn tokens_are_orders_on_standard_input_too(runtime: &str) {
    let folder = keys("orders", runtime);
    let mut keeping = hub(runtime, &folder, &[]);
    keeping.process.say("token new --uses 3");
    let made = keeping.next_of("token");
    assert_eq!((made.count("uses"), made.str("token").is_empty()), (3, false));
    // Who asks for one and has it end right away gets it first.
    keeping.process.say("token new --uses 4");
    let (events, _) = keeping.quit();
    let last = events.iter().find(|event| event.str("event") == "token").expect("it was asked for");
    assert_eq!((last.count("uses"), last.str("token").is_empty()), (4, false));
    assert_eq!(folder.events(0, &["token", "list", "--state", "state"]).len(), 2);

    // Without a key there is nothing to show to who joins, and without state it is said that nothing stays.
    let mut keyless = Listen::bare(runtime, &["--bind", "127.0.0.1:0", "--registry"]);
    keyless.process.say("token new");
    keyless.process.wait_for_stderr("start it with --key FILE");
    keyless.quit();
    let mut forgetful = Listen::bare(runtime, &["--bind", "127.0.0.1:0", "--key", &path(&folder, "hub.key")]);
    forgetful.process.say("token new");
    assert!(forgetful.next_of("token").str("token").starts_with("sluis-join-"));
    forgetful.process.wait_for_stderr("start it with --state DIR");
    forgetful.quit();
}

/// Who reads the log later sees which token let whom in, and until when it could.
fn what_tokens_let_in_is_recorded_and_no_secret_is(runtime: &str) {
    let folder = keys("recorded", runtime);
    let (socket, log) = (folder.0.join("hub.sock"), path(&folder, "log.jsonl"));
    let control = ["--control", socket.to_str().expect("UTF-8"), "--record", &log];
    let hub = hub(runtime, &folder, &control);
    let made = json(&socket, &["token", "new", "--uses", "2", "--trust", "0.75"]);
    folder.write("token", made.str("token"));
    folder.set_mode("token", 0o600);
    let (key, file) = (path(&folder, "lamp.key"), path(&folder, "token"));
    let own = path(&folder, "lamp.jsonl");
    let join = ["--did", "jis:test:lamp", "--key", &key, "--join-file", &file, "--at", &hub.addr, "--record", &own];
    let mut lamp = device(runtime, &join);
    let registered = hub.next_of("registered");
    hub.next_of("verified");
    json(&socket, &["token", "revoke", made.str("id")]);
    lamp.say("quit");
    lamp.finish();
    hub.quit();

    let text = folder.text("log.jsonl");
    let tokens: Vec<Json> = text.lines().map(Json::parse).collect();
    let of = |action: &str| {
        let mut found = tokens.iter().filter(|token| token.str("action") == action);
        let one = found.next().unwrap_or_else(|| panic!("{action} in {text}"));
        assert!(found.next().is_none(), "{action} once in {text}");
        one
    };
    for action in ["join_token_made", "joined", "join_token_revoked"] {
        assert_eq!(of(action).get("erin").str("join_token"), made.str("id"), "{action}");
    }
    assert_eq!(of("join_token_made").get("erin").count("uses"), 2);
    assert_eq!(of("joined").str("actor"), "jis:test:lamp");
    assert_eq!(of("register").get("erin").str("endpoint"), registered.str("endpoint"));
    assert_eq!(of("verify").get("erin").str("did"), "jis:test:lamp");
    let (_, secret) = made.str("token").rsplit_once('-').expect("sluis-join-…");
    let lamp = folder.text("lamp.jsonl");
    assert!(lamp.contains(r#""action": "let_in""#) || lamp.contains(r#""action":"let_in""#), "{lamp}");
    assert!(!text.contains(secret) && !lamp.contains(secret));
    folder.events(0, &["chain", "verify", "log.jsonl"]);
}
