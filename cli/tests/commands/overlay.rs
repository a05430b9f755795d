//! Devices that are found by name, let in by a token, and vouched for, from outside.

use crate::common::events::Speaker;
use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::common::process::Process;
use crate::on_both;
use crate::sluis::{HUB, Listen, SENSOR, command};

on_both! {
    a_device_joins_by_a_token_and_is_found_and_pinged_by_name
    a_vouched_sensor_is_heard_with_its_key_until_that_is_taken_back
    what_is_registered_survives_and_is_exported_and_imported
    a_registry_is_believed_by_its_key_or_not_asked
}

pub(crate) fn keys(name: &str, runtime: &str) -> Folder {
    let folder = Folder::new(&format!("overlay-{name}-{runtime}"));
    for key in ["hub", "sensor", "lamp", "thief"] {
        folder.prints(&["key", "new", &format!("{key}.key")]);
        folder.write(&format!("{key}.pub"), folder.prints(&["key", "export", &format!("{key}.key")]));
    }
    folder
}

pub(crate) fn path(folder: &Folder, name: &str) -> String {
    folder.0.join(name).to_str().expect("UTF-8").to_owned()
}

pub(crate) fn hub(runtime: &str, folder: &Folder, more: &[&str]) -> Listen {
    let (key, state) = (path(folder, "hub.key"), path(folder, "state"));
    let pin = format!("{SENSOR}={}", path(folder, "sensor.pub"));
    let usual = ["--bind", "127.0.0.1:0", "--key", &key, "--state", &state, "--registry", "--pin", &pin];
    Listen::bare(runtime, &[&usual[..], &["--trust", "jis:test:sensor=0.9"], more].concat())
}

/// A device that listens, and the next event of a name that it tells.
pub(crate) fn device(runtime: &str, args: &[&str]) -> Process {
    let args = [&["listen", "--json", "--runtime", runtime, "--bind", "127.0.0.1:0"], args].concat();
    Process::spawn("sluis listen", &mut command(&args))
}

pub(crate) fn next(process: &Process, name: &str) -> Json {
    loop {
        let event = Speaker::Listen.read(&process.line());
        if event.str("event") == name {
            return event;
        }
    }
}

fn a_device_joins_by_a_token_and_is_found_and_pinged_by_name(runtime: &str) {
    let folder = keys("join", runtime);
    let token = folder.json(&["token", "new", "--uses", "1", "--ttl", "1h", "--state", "state", "--out", "token"]);
    let hub = hub(runtime, &folder, &[]);
    let file = path(&folder, "token");
    let at = format!("{HUB}@{}", hub.addr);
    let (lamp, thief, hub_addr) = (path(&folder, "lamp.key"), path(&folder, "thief.key"), hub.addr.clone());
    let pin = format!("{SENSOR}={}", path(&folder, "sensor.pub"));
    let join = ["--join-file", &file, "--at", &hub_addr, "--capability", "light"];
    let knows = ["--trust", "jis:test:sensor=0.9", "--pin", &pin];
    let mut light = device(runtime, &[&["--did", "jis:test:lamp", "--key", &lamp], &join[..], &knows].concat());
    let joined = next(&light, "joined");
    assert_eq!((joined.str("did"), joined.str("token")), (HUB, token.str("id")));
    let told = hub.next_of("joined");
    assert_eq!((told.str("did"), told.str("token")), ("jis:test:lamp", token.str("id")));
    let registered = next(&light, "registered");
    assert_eq!(hub.next_of("registered").str("endpoint"), registered.str("endpoint"));
    // It has let in as many as it may.
    let mut late = device(runtime, &[&["--did", "jis:test:late", "--key", &thief], &join[..]].concat());
    late.wait_for_stderr("does not know the token");
    late.say("quit");
    late.finish();

    let (sensor, pin) = (path(&folder, "sensor.key"), format!("{HUB}={}", path(&folder, "hub.pub")));
    let who = ["--at", &at, "--did", SENSOR, "--key", &sensor, "--runtime", runtime];
    let found = folder.events(0, &[&["overlay", "find", "light", "--pin", &pin], &who[..]].concat());
    assert_eq!(
        (found.len(), found[0].str("did"), found[0].str("addr")),
        (1, "jis:test:lamp", registered.str("endpoint"))
    );
    let resolved = folder.json(&[&["overlay", "resolve", "jis:test:lamp", "--pin", &pin], &who[..]].concat());
    assert_eq!((resolved.str("source"), resolved.str("endpoint")), ("network", registered.str("endpoint")));
    let verified = folder.json(&[&["overlay", "verify", "jis:test:lamp", "--pin", &pin], &who[..]].concat());
    assert_eq!(
        (verified.get("verified"), verified.str("fingerprint")),
        (&Json::Bool(true), resolved.str("fingerprint"))
    );
    has(&found[0], &["capabilities", "fingerprint"]);
    has(&resolved, &["did", "seq", "age_s"]);
    has(&verified, &["did", "trust_score", "rtt_ms"]);
    let unknown = ["overlay", "resolve", "jis:test:nobody", "--pin", &pin, "--timeout", "2"];
    let unknown = folder.events(1, &[&unknown, &who[..]].concat());
    assert_eq!(unknown[0].str("event"), "failed");
    let by_name = ["ping", "jis:test:lamp", "--json", "--intent", "light.on", "--pin", &pin];
    let mut ping = Process::spawn("sluis ping", &mut command(&[&by_name, &who[..]].concat()));
    let (code, lines) = ping.finish();
    assert_eq!(code, 0, "{lines:?}");
    light.say("quit");
    light.finish();
    hub.quit();
}

fn a_vouched_sensor_is_heard_with_its_key_until_that_is_taken_back(runtime: &str) {
    let folder = keys("vouch", runtime);
    let named = format!("jis:test:lamp={}", path(&folder, "lamp.pub"));
    let new = ["vouch", "new", "--key", "hub.key", "--did", "jis:test:boss", "--for", &named, "--factor", "0.9"];
    folder.write("vouch.json", folder.prints(&new));
    let shown = folder.json(&["vouch", "show", "vouch.json"]);
    assert_eq!(shown.str("voucher_did"), "jis:test:boss");
    let pin = format!("jis:test:boss={}", path(&folder, "hub.pub"));
    let (key, vouch) = (path(&folder, "sensor.key"), path(&folder, "vouch.json"));
    let trust = ["--trust", "jis:test:boss=1", "--pin", &pin];
    let usual = [&["--bind", "127.0.0.1:0", "--key", &key], &trust[..]].concat();
    let mut door = Listen::bare(runtime, &[&usual[..], &["--vouch", &vouch]].concat());
    let ping = |door: &Listen, key: &str| {
        let key = path(&folder, key);
        let args =
            ["ping", HUB, &door.addr, "--json", "--intent", "door.open", "--did", "jis:test:lamp", "--key", &key];
        let mut ping = Process::spawn("sluis ping", &mut command(&[&args[..], &["-t", "700ms", "--no-wait"]].concat()));
        ping.finish().0
    };
    assert_eq!(ping(&door, "lamp.key"), 0);
    assert_eq!(door.next_of("ping").str("zone"), "GROEN");
    assert_eq!(ping(&door, "thief.key"), 1, "the name with another key");
    folder.write("revoked.json", folder.prints(&["vouch", "revoke", "vouch.json", "--key", "hub.key"]));
    door.process.say(&format!("vouch {}", path(&folder, "revoked.json")));
    assert_eq!(door.next_of("vouch").str("id"), shown.str("id"));
    assert_eq!(ping(&door, "lamp.key"), 1);
    door.quit();
    // A vouch of somebody who is not trusted is refused when it is read.
    let why = folder.fails(2, &["listen", "--did", HUB, "--bind", "127.0.0.1:0", "--vouch", "vouch.json"]);
    assert!(why.contains("may not vouch"), "{why}");
}

fn what_is_registered_survives_and_is_exported_and_imported(runtime: &str) {
    let folder = keys("kept", runtime);
    let first = hub(runtime, &folder, &[]);
    let at = format!("{HUB}@{}", first.addr);
    let register = ["overlay", "register", "--at", &at, "--key", "sensor.key", "--did", SENSOR, "--runtime", runtime];
    let pin = format!("{HUB}={}", path(&folder, "hub.pub"));
    let more = ["--endpoint", "192.0.2.7:7150", "--capability", "temperature", "--pin", &pin];
    let registered = folder.json(&[&register[..], &more].concat());
    assert_eq!((registered.str("event"), registered.str("endpoint")), ("registered", "192.0.2.7:7150"));
    first.quit();
    let status = folder.events(0, &["overlay", "status", "--state", "state"]);
    assert_eq!((status.len(), status[0].str("did"), status[0].str("endpoint")), (1, SENSOR, "192.0.2.7:7150"));
    folder.write("records", folder.prints(&["overlay", "export", "--state", "state"]));
    let imported = folder.events(0, &["overlay", "import", "records", "--state", "other"]);
    assert_eq!(imported[0].str("event"), "registered");
    // Nothing in an export of the reference is signed: it is marked, and no more than a hint.
    let identity = r#"{"jis:old:lamp":{"device_id":"lamp","did":"jis:old:lamp","public_key_hash":"630dcd2966c4336691125448bbb25b4f","capabilities":["light"],
        "network":{"last_known_ip":"192.0.2.9","last_known_port":7150,"behind_nat":false},"metadata":{}}}"#;
    folder.write("reference.json", identity);
    let imported = folder.events(0, &["overlay", "import", "reference.json", "--state", "other"]);
    assert_eq!((imported[0].str("did"), imported[0].get("proven")), ("jis:old:lamp", &Json::Bool(false)));
    let status = folder.events(0, &["overlay", "status", "--state", "other"]);
    let proven: Vec<_> = status.iter().map(|device| (device.str("did"), device.get("proven"))).collect();
    assert_eq!(proven, [(SENSOR, &Json::Bool(true)), ("jis:old:lamp", &Json::Bool(false))]);
    let resolved = folder.json(&["overlay", "resolve", "jis:old:lamp", "--state", "other"]);
    assert_eq!((resolved.str("source"), resolved.get("fingerprint")), ("last_known", &Json::Null));
    let verified = folder.events(1, &["overlay", "verify", "jis:old:lamp", "--state", "other"]);
    assert_eq!(verified[0].get("verified"), &Json::Bool(false));
    for (bad, text) in [("neither", "{}"), ("altered", "{\"record\":\"c2x1aXM\"}")] {
        folder.write(bad, text);
        let out = folder.sluis(&["overlay", "import", bad, "--state", "other"]);
        assert_eq!(out.status.code(), Some(1), "{bad}");
    }
}

fn a_registry_is_believed_by_its_key_or_not_asked(runtime: &str) {
    let folder = keys("believed", runtime);
    let signing = hub(runtime, &folder, &[]);
    let at = format!("{HUB}@{}", signing.addr);
    let who = ["--did", SENSOR, "--key", "sensor.key", "--runtime", runtime];
    let ask = |code, command: &[&str], at: &str, more: &[&str]| {
        let args = [&["overlay"], command, &["--at", at, "-t", "3"], &who[..], more].concat();
        folder.events(code, &args)
    };
    // Nothing is sent to who could be anybody, and the sentence names the mend.
    for command in [&["register"][..], &["resolve", "jis:test:lamp"], &["find", "light"], &["verify", "jis:test:lamp"]]
    {
        let why = folder.fails(2, &[&["overlay"], command, &["--at", &at], &who[..]].concat());
        assert!(why.contains(&format!("--pin {HUB}=KEY")) && why.contains("--trust-first-use"), "{why}");
    }
    let ping = ["ping", "jis:test:lamp", "--intent", "x", "--at", &at];
    assert!(folder.fails(2, &ping).contains("no key is pinned"));
    let listen = ["listen", "--did", SENSOR, "--key", "sensor.key", "--bind", "127.0.0.1:0", "--at", &at];
    assert!(folder.fails(2, &listen).contains("no key is pinned"));
    let first = ask(0, &["register"], &at, &["--trust-first-use", "--state", "kept"]);
    assert_eq!(first.last().expect("an event").str("event"), "registered");
    // From then on it is pinned, and another one at its address is not believed.
    ask(0, &["find", "light"], &at, &["--state", "kept"]);
    signing.quit();
    let unsigned = Listen::bare(
        runtime,
        &[
            &["--bind", "127.0.0.1:0", "--registry", "--allow-legacy", "--trust", "jis:test:sensor=0.9"][..],
            &["--trust", "jis:test:lamp=0.9"],
        ]
        .concat(),
    );
    let at = format!("{HUB}@{}", unsigned.addr);
    let failed = ask(1, &["register"], &at, &["--state", "kept"]);
    assert_eq!(failed[0].str("event"), "failed");
    let failed = ask(1, &["register"], &at, &["--trust-first-use"]);
    assert!(failed[0].str("reason").contains("not signed"), "{failed:?}");
    let failed = ask(1, &["resolve", SENSOR], &at, &["--trust-first-use"]);
    let why = failed[0].str("reason");
    assert!(why.contains("not signed") && why.contains("--allow-legacy"), "{why}");
    let (lamp, pin) = (path(&folder, "lamp.key"), format!("{HUB}={}", path(&folder, "hub.pub")));
    let sensor = format!("{SENSOR}={}", path(&folder, "sensor.pub"));
    let light = ["--did", "jis:test:lamp", "--key", &lamp, "--trust", "jis:test:sensor=0.9", "--pin", &sensor];
    let mut light = device(runtime, &[&light[..], &["--at", &at, "--allow-legacy"]].concat());
    next(&light, "registered");
    let ping = |code, more: &[&str]| {
        let args = ["ping", "jis:test:lamp", "--intent", "light.on", "--at", &at, "-t", "6"];
        folder.events(code, &[&args, &who[..], more].concat())
    };
    // By its name, through a registry that signs nothing: only where that was said, and of this one.
    let failed = ping(1, &["--trust-first-use"]);
    assert!(failed[0].str("reason").contains("not signed"), "{failed:?}");
    assert!(folder.fails(2, &["ping", SENSOR, "127.0.0.1:9", "--intent", "x", "--allow-legacy"]).contains("--at"));
    let args = ["ping", "jis:test:lamp", "--intent", "light.on", "--at", &at, "--allow-legacy=jis:other:*"];
    assert!(folder.fails(2, &args).contains(&format!("--allow-legacy={HUB}")));
    let failed = ping(1, &["--allow-legacy", "--pin", &pin]);
    assert_eq!(failed[0].str("event"), "failed", "a pin goes before that");
    let answered = ping(0, &["--allow-legacy=jis:test:hub"]);
    assert!(answered.iter().any(|event| event.str("event") == "response"), "{answered:?}");
    light.say("quit");
    light.finish();
    let legacy = ask(0, &["register"], &at, &["--allow-legacy"]);
    assert_eq!(legacy[0].str("event"), "registered");
    unsigned.quit();
}

#[cfg(unix)]
#[test]
fn a_file_with_a_join_token_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = keys("file", "none");
    let made = folder.json(&["token", "new", "--state", "state", "--out", "token"]);
    assert!(made.find("token").is_none() && made.find("id").is_some());
    assert_eq!(folder.mode("token"), 0o600);
    assert!(folder.text("token").starts_with("sluis-join-"));
    assert!(folder.fails(1, &["token", "new", "--state", "state", "--out", "token"]).contains("name another file"));
    let join = |file: &str| {
        let args = ["listen", "--did", SENSOR, "--key", "sensor.key", "--at", "127.0.0.1:9", "--join-file", file];
        folder.fails(1, &args)
    };
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.0.join("token"), open).expect("it is ours");
    assert!(join("token").contains("chmod 600 token"));
    assert!(join("sensor.key").contains("join token"), "another secret");
}

#[test]
fn tokens_and_stories_are_as_they_say() {
    let folder = Folder::new("overlay-tokens");
    let made = folder.json(&["token", "new", "--uses", "3", "--state", "state"]);
    let (id, secret) = (made.str("id").to_owned(), made.str("token").to_owned());
    let listed = folder.events(0, &["token", "list", "--state", "state"]);
    assert_eq!((listed[0].str("id"), listed[0].count("uses"), listed[0].count("used")), (id.as_str(), 3, 0));
    assert!(listed[0].find("token").is_none() && !secret.is_empty());
    folder.json(&["token", "revoke", &id, "--state", "state"]);
    assert!(folder.events(0, &["token", "list", "--state", "state"]).is_empty());
    assert!(folder.fails(1, &["token", "revoke", &id, "--state", "state"]).contains("no token"));
    assert!(folder.fails(2, &["token", "new", "--uses", "0", "--state", "state"]).contains("1 to 1000"));
    let story = folder.events(0, &["overlay", "demo"]);
    assert!(story.iter().all(|step| step.get("ok") == &Json::Bool(true)), "{story:?}");
    let same = folder.events(0, &["demo", "--scenario=cgnat"]);
    assert!(same.len() == story.len() && same.iter().all(|step| step.get("ok") == &Json::Bool(true)), "{same:?}");
}

/// The members that are promised are there, whatever they hold.
#[track_caller]
fn has(event: &Json, members: &[&str]) {
    for member in members {
        assert!(event.find(member).is_some(), "no {member} in {event:?}");
    }
}
