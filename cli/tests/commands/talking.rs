//! `sluis signal broker|listen|send|probe`: peers who talk over brokers, ours and mosquitto.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::common::process::Process;
use crate::on_both;

on_both! {
    a_message_is_shown_acknowledged_and_answered
    a_peer_is_there_or_is_not
    who_is_not_asked_for_is_not_acknowledged
    nothing_is_lost_while_brokers_die
    a_broker_over_tls_is_believed_or_nothing_is_said_to_it
}

/// Two keys, and the public one of `bob.key`.
fn peers(name: &str, runtime: &str) -> (Folder, String) {
    let folder = Folder::new(&format!("{name}-{runtime}"));
    for key in ["alice.key", "bob.key"] {
        folder.prints(&["key", "new", key, "--kind", "secp256k1"]);
    }
    let bob = folder.prints(&["signal", "id", "bob.key"]).trim().to_owned();
    (folder, bob)
}

fn start(folder: &Folder, runtime: &str, args: &[&str]) -> Process {
    let mut all = vec!["signal"];
    all.extend(args);
    all.extend(["--runtime", runtime, "--json"]);
    Process::spawn("sluis", &mut folder.command(&all))
}

fn event(process: &Process, name: &str) -> Json {
    loop {
        let json = Json::parse(&process.line());
        if json.str("event") == name {
            return json;
        }
    }
}

/// A broker of ours, and its URL.
fn broker(folder: &Folder, runtime: &str, more: &[&str]) -> (Process, String) {
    let mut args = vec!["broker", "--bind", "127.0.0.1:0"];
    args.extend(more);
    let process = start(folder, runtime, &args);
    let url = event(&process, "listening").str("url").to_owned();
    (process, url)
}

fn a_message_is_shown_acknowledged_and_answered(runtime: &str) {
    let (folder, bob) = peers("talk", runtime);
    let (mut broker, url) = broker(&folder, runtime, &[]);
    let at = ["--broker", &url];
    let mut listen =
        start(&folder, runtime, &[&["listen", "--key", "bob.key", "--echo", "--count", "31"], &at[..]].concat());
    let ready = event(&listen, "ready");
    assert_eq!((ready.str("public_key"), ready.count("joined"), ready.count("wanted")), (&*bob, 1, 1));
    let send = |more: &[&str]| {
        folder
            .events(0, &[&["signal", "send", &bob, "--key", "alice.key", "--runtime", runtime], &at[..], more].concat())
    };
    let events = send(&["--text", "h\u{e9} {i}", "--count", "30", "--in-flight", "8"]);
    let summary = events.last().expect("a summary");
    assert_eq!((summary.str("event"), summary.count("acked"), summary.count("failed")), ("summary", 30, 0));
    let sent = events.iter().filter(|event| event.str("event") == "sent");
    assert!(sent.clone().count() == 30 && sent.into_iter().all(|event| event.get("acked") == &Json::Bool(true)));
    for n in 0..30 {
        let message = event(&listen, "message");
        assert_eq!((message.count("n"), message.str("text")), (n + 1, &*format!("h\u{e9} {n}")));
        assert_eq!((message.count("len"), message.get("sealed")), (5 + u64::from(n > 9), &Json::Bool(true)));
    }
    // The bytes of no text, to the byte; the last one ends it.
    send(&["--hex", "ff00fe", "--quiet"]);
    let last = event(&listen, "message");
    assert_eq!((last.get("text"), last.str("hex")), (&Json::Null, "ff00fe"));
    assert_eq!(event(&listen, "summary").count("messages"), 31);
    assert_eq!(listen.finish().0, 0);
    broker.signal("TERM");
    let summary = event(&broker, "summary");
    assert!(summary.count("published") > 90 && summary.count("lost") == 0, "{summary:?}");
    assert_eq!(broker.finish().0, 0);
}

fn a_peer_is_there_or_is_not(runtime: &str) {
    let (folder, bob) = peers("probe", runtime);
    let (_broker, url) = broker(&folder, runtime, &[]);
    let probe =
        ["signal", "probe", &bob, "--key", "alice.key", "--broker", &url, "--runtime", runtime, "--timeout", "1"];
    let said = folder.fails(1, &probe);
    assert!(said.contains("the peer does not answer"), "{said}");
    let listen = start(&folder, runtime, &["listen", "--key", "bob.key", "--broker", &url]);
    event(&listen, "ready");
    let found = folder.json(&probe);
    assert_eq!((found.str("event"), found.str("kind"), found.str("broker")), ("probe", "sluis", &*url));
    // Nobody listens there: it is said, and a send ends.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    let nowhere = ["--broker", &format!("mqtt://{free}"), "--text", "x", "--timeout", "1", "--runtime", runtime];
    let events = folder.events(1, &[&["signal", "send", &bob, "--key", "alice.key"], &nowhere[..]].concat());
    let sent = events.iter().find(|event| event.str("event") == "sent").expect("it ends");
    assert_eq!((sent.get("acked"), sent.str("reason")), (&Json::Bool(false), "no broker could be joined"));
    assert!(events.iter().any(|event| event.str("event") == "left" && event.str("reason") == "unreachable"));
}

fn who_is_not_asked_for_is_not_acknowledged(runtime: &str) {
    let (folder, bob) = peers("only", runtime);
    folder.prints(&["key", "new", "carol.key", "--kind", "secp256k1"]);
    let (_broker, url) = broker(&folder, runtime, &[]);
    let listen = start(&folder, runtime, &["listen", "--key", "bob.key", "--broker", &url, "--only", "alice.key"]);
    event(&listen, "ready");
    let send = |key, code, timeout| {
        let args = [
            "signal",
            "send",
            &bob,
            "--key",
            key,
            "--broker",
            &url,
            "--text",
            key,
            "--timeout",
            timeout,
            "--runtime",
            runtime,
        ];
        folder.ends(code, &args);
    };
    send("carol.key", 1, "1");
    let rejected = event(&listen, "rejected");
    assert_eq!(rejected.str("reason"), "not_allowed");
    send("alice.key", 0, "20");
    assert_eq!(event(&listen, "message").str("text"), "alice.key");
}

/// A mosquitto, or loud words that nothing was tried; in CI its absence is a failure.
struct Mosquitto {
    program: PathBuf,
    config: PathBuf,
    port: u16,
    child: Child,
}

impl Mosquitto {
    fn start(folder: &Folder, n: usize, more: &str) -> Option<Self> {
        let found = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"].map(PathBuf::from);
        let found = found.into_iter().find(|path| path.exists());
        assert!(found.is_some() || std::env::var_os("CI").is_none(), "CI has no mosquitto: install it");
        let Some(program) = found else {
            eprintln!("NO MOSQUITTO HERE: that the commands work with a real broker was NOT tried");
            return None;
        };
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = folder.0.join(format!("broker{n}.conf"));
        // Root would be exchanged for a user who cannot read the key.
        let text = format!("user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n{more}");
        std::fs::write(&config, text).unwrap();
        let child = Self::spawn(&program, &config);
        Some(Self { program, config, port, child })
    }

    fn spawn(program: &PathBuf, config: &PathBuf) -> Child {
        Command::new(program).arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn revive(&mut self) {
        self.child = Self::spawn(&self.program, &self.config);
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three brokers of which one after the other is killed and comes back: every message is shown once, in order, and acknowledged.
fn nothing_is_lost_while_brokers_die(runtime: &str) {
    let (folder, bob) = peers("die", runtime);
    let started: Option<Vec<Mosquitto>> = (0..3).map(|n| Mosquitto::start(&folder, n, "")).collect();
    let Some(mut brokers) = started else { return };
    let pool: String =
        brokers.iter().map(|broker| format!("[[broker]]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port)).collect();
    folder.write("pool.toml", pool);
    let mut listen = start(&folder, runtime, &["listen", "--key", "bob.key", "--pool", "pool.toml", "--count", "60"]);
    event(&listen, "ready");
    let common = ["--key", "alice.key", "--pool", "pool.toml", "--text", "{i}", "--timeout", "50"];
    let pace = ["--count", "60", "--interval", "50ms", "--in-flight", "60"];
    let mut send = start(&folder, runtime, &[&["send", &bob], &common[..], &pace[..]].concat());
    for n in 0..60_u64 {
        assert_eq!(event(&listen, "message").str("text"), n.to_string());
        match n {
            10 | 30 => brokers[usize::from(n == 30)].kill(),
            25 | 45 => brokers[usize::from(n == 45)].revive(),
            _ => {}
        }
    }
    assert_eq!(event(&listen, "summary").count("messages"), 60);
    assert_eq!(listen.finish().0, 0);
    assert_eq!(event(&send, "summary").count("acked"), 60);
    assert_eq!(send.finish().0, 0);
}

/// With its certificate for a root a broker is joined; without, nothing goes to it, the password least of all.
fn a_broker_over_tls_is_believed_or_nothing_is_said_to_it(runtime: &str) {
    let (folder, bob) = peers("tls", runtime);
    folder.ends(0, &["mux", "serve", "--bind", "127.0.0.1:0", "--self-signed", "tls", "--open", "--duration", "0"]);
    let at = |name: &str| folder.0.join("tls").join(name).display().to_string();
    let tls = format!("certfile {}\nkeyfile {}\n", at("cert.pem"), at("key.pem"));
    let Some(broker) = Mosquitto::start(&folder, 0, &tls) else { return };
    let url = format!("mqtts://localhost:{}", broker.port);
    let entry = format!("[[broker]]\nurl = \"{url}\"\nfamily = \"v4\"\nuser = \"me\"\npassword = \"secret\"\n");
    folder.write("pool.toml", format!("{entry}ca = \"tls/cert.pem\"\n"));
    folder.write("stranger.toml", entry);
    let mut listen = start(&folder, runtime, &["listen", "--key", "bob.key", "--pool", "pool.toml", "--count", "1"]);
    event(&listen, "ready");
    let send = |pool, timeout, code| {
        let to = ["signal", "send", &bob, "--key", "alice.key", "--text", "sealed twice", "--runtime", runtime];
        folder.events(code, &[&to[..], &["--pool", pool, "--timeout", timeout]].concat())
    };
    let events = send("stranger.toml", "1", 1);
    assert!(
        events.iter().any(|event| event.str("event") == "left" && event.str("reason") == "untrusted"),
        "{events:?}"
    );
    send("pool.toml", "20", 0);
    assert_eq!(event(&listen, "message").str("text"), "sealed twice");
    assert_eq!(listen.finish().0, 0);
}

#[test]
fn an_operators_mistake_is_one_sentence() {
    let folder = Folder::new("talk-wrong");
    folder.prints(&["key", "new", "ed.key"]);
    folder.prints(&["key", "new", "s.key", "--kind", "secp256k1"]);
    let of = |key, more: &[&str]| folder.fails(2, &[&["signal", "listen", "--key", key], more].concat());
    let broker = ["--broker", "mqtt://127.0.0.1"];
    assert!(of("ed.key", &broker).contains("signalling needs a secp256k1 key: sluis key new FILE --kind secp256k1"));
    assert!(of("none.key", &broker).contains("none.key"));
    assert!(of("s.key", &[]).contains("no brokers are named, add --pool FILE or --broker URL"));
    folder.set_mode("s.key", 0o644);
    assert!(of("s.key", &broker).contains("chmod"));
    let said = folder.fails(2, &["signal", "broker", "--fault", "sloth"]);
    assert!(said.contains("there is no fault \"sloth\", there are refuse, mute"), "{said}");
    let said = folder.fails(2, &["signal", "send", "02", "--key", "s.key", "--broker", "mqtt://127.0.0.1"]);
    assert!(said.contains("--text"), "{said}");
    folder.set_mode("s.key", 0o600);
    let key = folder.prints(&["signal", "id", "s.key"]);
    let to = ["signal", "send", key.trim(), "--key", "s.key", "--broker", "mqtt://127.0.0.1"];
    for (args, what) in [
        (&["--hex", "+f"][..], "--hex takes an even number of hex digits"),
        (&["--hex", "abc"], "--hex takes an even number of hex digits"),
        (&["--text", "x", "--timeout", "61m"], "a message is tried for an hour at most"),
    ] {
        let said = folder.fails(2, &[&to[..], args].concat());
        assert!(said.contains(what), "{said}");
    }
}
