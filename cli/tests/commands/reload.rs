//! SIGHUP, logs in files, and what operators are told of silence.

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::on_both;
use crate::sluis::{DOOR, Listen, Ping, Raw, SENSOR, assert_counts};

on_both! {
    a_hangup_reads_the_configuration_again
    every_event_is_in_the_log
    silence_is_explained_to_the_operator
}

fn a_hangup_reads_the_configuration_again(runtime: &str) {
    let folder = Folder::new(&format!("reload-{runtime}"));
    let config = folder.0.join("hub.toml");
    let write = |text: &str| {
        folder.write("hub.toml", format!("bind = \"127.0.0.1:0\"\nallow_legacy = [\"jis:test:*\"]\n{text}"));
    };
    write("reply = '1'\ntrust = { \"jis:test:sensor\" = 0.9, \"jis:test:gone\" = 0.9 }");
    let mut listen =
        Listen::bare(runtime, &["--config", config.to_str().expect("UTF-8"), "--trust", "jis:test:flag=0.9"]);
    let ask = |listen: &Listen, did: &str, intent: &str| {
        let args = ["--no-wait", "--timeout", "0.5", "--intent", intent];
        let (_, events, _) = Ping::start(runtime, did, &listen.addr, &args).finish();
        let told = events[0]
            .find("decision")
            .map(|_| (events[0].str("decision").to_owned(), events[0].get("payload").clone()));
        // The hub tells of it, too: accepted, or turned away.
        listen.next();
        told
    };
    let accepted = |payload: &str| Some(("accept".to_owned(), Json::parse(payload)));
    assert_eq!(ask(&listen, SENSOR, "a"), accepted("1"));
    assert_eq!(ask(&listen, "jis:test:gone", "a"), accepted("1"));
    assert_eq!(ask(&listen, DOOR, "a"), None);

    write(
        "reply = '2'\ntrust = { \"jis:test:sensor\" = 0.9, \"jis:test:door\" = 0.5 }\ncaps = { peers = 7 }\n\
         [[rules]]\nname = \"no b\"\nzone = \"ROOD\"\nintent = \"b\"\n[[replies]]\nintent = \"c\"\nreply = '3'",
    );
    listen.process.signal("HUP");
    let told = listen.expect("reloaded");
    assert_counts(&told, &[("trust", 3), ("legacy", 1), ("rules", 1), ("replies", 2)]);
    listen.process.wait_for_stderr("caps cannot change while it runs");
    assert_eq!(ask(&listen, SENSOR, "a"), accepted("2"));
    assert_eq!(ask(&listen, SENSOR, "c"), accepted("3"));
    assert_eq!(ask(&listen, SENSOR, "b"), None, "by the new rule");
    assert_eq!(ask(&listen, DOOR, "a").expect("an answer").0, "pending");
    assert_eq!(ask(&listen, "jis:test:gone", "a"), None, "nobody trusts it any more");
    assert_eq!(ask(&listen, "jis:test:flag", "a"), accepted("2"), "flags win as before");

    // One that is wrong changes nothing.
    write("trust = { \"jis:test:sensor\" = 7 }");
    listen.process.signal("HUP");
    listen.process.wait_for_stderr("the configuration stays as it was: ");
    assert_eq!(ask(&listen, SENSOR, "c"), accepted("3"));
    // What is no file is not waited for, and not read for ever.
    for strange in ["/dev/zero", "pipe"] {
        std::fs::remove_file(&config).expect("it is there");
        match strange {
            "pipe" => drop(std::process::Command::new("mkfifo").arg(&config).status().expect("mkfifo runs")),
            device => std::os::unix::fs::symlink(device, &config).expect("a link"),
        }
        listen.process.signal("HUP");
        listen.process.wait_for_stderr("it is no regular file: a pipe, a socket or a device");
        assert_eq!(ask(&listen, SENSOR, "c"), accepted("3"), "{strange}");
    }
    listen.process.say("quit");
    assert_eq!(listen.process.finish().0, 0);
}

fn every_event_is_in_the_log(runtime: &str) {
    let folder = Folder::new(&format!("log-{runtime}"));
    let path = folder.0.join("hub.log");
    let path = path.to_str().expect("UTF-8");
    let mut listen = Listen::start(runtime, &["--log", path, "--control", &format!("{path}.s")]);
    let raw = Raw::new(listen.addr());
    let mut asked = 0;
    let mut ask = |listen: &Listen| {
        asked += 1;
        let id = format!("p{asked}");
        raw.ask(&Raw::frame(SENSOR, &id, "a", &id)).expect("an answer");
        listen.expect("ping");
    };
    ask(&listen);
    std::fs::rename(path, format!("{path}.1")).expect("it is there");
    listen.process.signal("HUP");
    while !folder.exists("hub.log") {
        std::thread::yield_now();
    }
    ask(&listen);
    listen.process.say("quit");
    let (code, shown) = listen.process.finish();
    let events = |name: &str| folder.text(name).lines().map(Json::parse).collect::<Vec<_>>();
    let names = |events: &[Json]| events.iter().map(|event| event.str("event").to_owned()).collect::<Vec<_>>();
    let (old, new) = (events("hub.log.1"), events("hub.log"));
    assert_eq!(
        (code, names(&old), names(&new)),
        (0, vec!["listening".into(), "ping".into()], vec!["ping".into(), "summary".into()])
    );
    assert_eq!(new[1], Json::parse(&shown[0]), "as on standard output");
    assert_eq!((folder.mode("hub.log"), new[0].find("t").is_some()), (0o600, true));

    // Also where standard output shows less, or something else; and at the end of what is there.
    for flags in [&["--quiet"][..], &[]] {
        let args =
            ["listen", "--did", "jis:test:hub", "--bind", "127.0.0.1:0", "--duration", "10ms", "--log", "hub.log"];
        folder.ends(0, &[&args, flags].concat());
    }
    assert_eq!(names(&events("hub.log"))[2..], ["listening", "summary", "listening", "summary"]);
}

fn silence_is_explained_to_the_operator(runtime: &str) {
    let mut listen = Listen::start(runtime, &[]);
    let raw = Raw::new(listen.addr());
    for n in ["n1", "n2", "n3"] {
        raw.send(&Raw::frame("jis:test:stranger", n, "a", n));
    }
    listen.expect("rejected");
    listen.process.wait_for_stderr("silence met \"jis:test:stranger\" at 127.0.0.1:");
    listen.process.wait_for_stderr("to change that: trust jis:test:stranger=0.9.");
    // The stranger has heard nothing, and does as soon as that is typed.
    listen.process.say("trust jis:test:stranger=0.9");
    listen.expect("trust");
    listen.process.say("list");
    listen.expect("list");
    raw.ask(&Raw::frame("jis:test:stranger", "n4", "a", "n4")).expect("an answer");
    listen.expect("ping");
    for n in ["m1", "m2"] {
        raw.send(&Raw::frame("jis:test:\u{1b}[2J x", n, "a", n));
    }
    listen.expect("rejected");
    listen.process.say("quit");
    listen.process.finish();
    assert_eq!(listen.process.stderr().matches("silence met").count(), 1, "not more than one in ten seconds");
}
