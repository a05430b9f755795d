//! Commands for a node that runs: `list` and `help` on standard input, and the control socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Output;

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::on_both;
use crate::sluis::{DOOR, Listen, Ping, Raw, SENSOR, assert_counts, command};

on_both! {
    what_waits_can_be_listed
    the_socket_takes_what_standard_input_takes
    strange_clients_do_no_harm
    a_socket_of_somebody_else_stays
}

/// Who ends takes away what he made, and not what stands in its place since.
fn a_socket_of_somebody_else_stays(runtime: &str) {
    let folder = Folder::new(&format!("control-two-{runtime}"));
    let path = folder.0.join("hub.sock");
    let control = ["--control", path.to_str().expect("UTF-8")];
    let first = Listen::start(runtime, &control);
    std::fs::remove_file(&path).expect("it is there");
    let second = Listen::start(runtime, &control);
    first.process.signal("TERM");
    first.finish();
    assert!(path.exists(), "the second one's");
    second.process.signal("TERM");
    second.finish();
    assert!(!path.exists());
}

fn what_waits_can_be_listed(runtime: &str) {
    let mut listen = Listen::start(runtime, &[]);
    let raw = Raw::new(listen.addr());
    for n in ["p1", "p2"] {
        raw.ask(&Raw::frame(DOOR, n, "door.open", n)).expect("an answer");
        listen.expect("ping");
    }
    listen.process.say("list");
    let first = listen.expect("waiting");
    assert_eq!((first.count("wait"), first.str("packet_id"), first.str("source_did")), (1, "p1", DOOR));
    assert_eq!(
        (first.str("intent"), first.str("from")),
        ("door.open", &*raw.socket.local_addr().expect("bound").to_string())
    );
    assert!(first.number("age_s") < 60.0);
    assert_eq!(listen.expect("waiting").count("wait"), 2);
    assert_counts(&listen.expect("list"), &[("waiting", 2)]);
    listen.process.say("approve 2");
    assert_counts(&listen.expect("decided"), &[("wait", 2)]);
    listen.process.say("list");
    assert_counts(&listen.expect("waiting"), &[("wait", 1)]);
    assert_counts(&listen.expect("list"), &[("waiting", 1)]);
    listen.process.say("help");
    let commands: Vec<String> = (0..7).map(|_| listen.expect("help").str("command").to_owned()).collect();
    assert!(commands.iter().any(|command| command == "list") && commands[0].starts_with("approve N"), "{commands:?}");
    listen.process.close_stdin();
    listen.process.wait_for_stderr("standard input has ended, commands are no longer read there");
    listen.process.signal("TERM");
    listen.finish();
}

pub(crate) fn ctl(socket: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let socket = socket.to_str().expect("UTF-8");
    let (flags, args) = args.split_at(args.iter().take_while(|arg| arg.starts_with('-')).count());
    let Output { status, stdout, stderr } =
        command(&[&["ctl"], flags, &[socket], args].concat()).output().expect("sluis runs");
    (status.code(), String::from_utf8(stdout).expect("UTF-8"), String::from_utf8(stderr).expect("UTF-8"))
}

fn the_socket_takes_what_standard_input_takes(runtime: &str) {
    let folder = Folder::new(&format!("ctl-{runtime}"));
    let socket = folder.0.join("s");
    let mut listen = Listen::start(runtime, &["--control", socket.to_str().expect("UTF-8")]);
    assert_eq!(std::fs::metadata(&socket).expect("it is there").permissions().mode() & 0o777, 0o600);
    let (code, _, said) = ctl(&socket, &["list"]);
    assert_eq!((code, &*said), (Some(0), ""));
    let door = Ping::start(runtime, DOOR, &listen.addr, &["--timeout", "50"]);
    let heard = listen.expect("ping");
    let (code, out, _) = ctl(&socket, &["list"]);
    let line = out.lines().next().expect("a line");
    assert!(
        code == Some(0) && line.trim_start().starts_with("1 ") && line.contains("\"jis:test:door\"  \"test.it\""),
        "{out}"
    );
    assert!(out.ends_with("1 ping waits for a decision\n"), "{out}");
    let (code, out, said) = ctl(&socket, &["--json", "approve", heard.str("packet_id")]);
    let told = Json::parse(out.trim_end());
    assert_eq!((code, told.str("event"), told.str("decision"), &*said), (Some(0), "decided", "accept", ""));
    assert_eq!(listen.expect("decided").get("wait"), told.get("wait"));
    assert_eq!(door.finish().0, 0);
    assert_eq!(
        ctl(&socket, &["approve", "1"]),
        (Some(1), String::new(), "sluis ctl: no ping 1 waits for a decision.\n".into())
    );

    // Trust that is given there counts at once.
    let (code, out, _) = ctl(&socket, &["trust", "jis:test:late=0.9"]);
    assert!(code == Some(0) && out.contains("\"jis:test:late\" is 0.9 from now on"), "{out}");
    assert_eq!(Ping::start(runtime, "jis:test:late", &listen.addr, &[]).finish().0, 0);
    listen.expect("ping");
    let (_, out, _) = ctl(&socket, &["--json", "stats"]);
    assert_counts(&Json::parse(out.trim_end()), &[("received", 2), ("accepted", 1), ("pending", 1)]);
    let (_, out, _) = ctl(&socket, &["help"]);
    assert!(out.lines().count() == 16 && out.contains("trust DID=SCORE"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");

    // Another node does not take the socket over, and leaves it alone.
    let path = socket.to_str().expect("UTF-8");
    let other =
        command(&["listen", "--did", "jis:other", "--bind", "127.0.0.1:0", "--control", path]).output().expect("runs");
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    assert!(String::from_utf8_lossy(&other.stderr).contains("a node answers at"), "{other:?}");
    assert_eq!(ctl(&socket, &["quit"]).0, Some(0));
    assert_eq!(listen.process.finish().0, 0);
    assert!(!socket.exists(), "the socket is gone with the node");
    let (code, out, said) = ctl(&socket, &["list"]);
    assert!(code == Some(1) && out.is_empty() && said.contains("no node answers at"), "{said}");

    // What a killed node left behind is replaced.
    let listen = Listen::start(runtime, &["--control", path]);
    listen.process.signal("KILL");
    drop(listen);
    assert!(socket.exists());
    let listen = Listen::start(runtime, &["--control", path]);
    assert_eq!(ctl(&socket, &["list"]).0, Some(0));
    listen.quit();
}

fn strange_clients_do_no_harm(runtime: &str) {
    let folder = Folder::new(&format!("strange-{runtime}"));
    let socket = folder.0.join("s");
    let listen = Listen::start(runtime, &["--control", socket.to_str().expect("UTF-8")]);
    // Some hang up, some say nothing, some say too much; and there are too many.
    let mut silent = Vec::new();
    for n in 0..40 {
        if let Ok(mut connection) = UnixStream::connect(&socket) {
            let _ = match n % 4 {
                0 => connection.write_all(&[b'x'; 10_000]),
                1 => connection.write_all(b"list\n").and_then(|()| connection.shutdown(std::net::Shutdown::Both)),
                2 => connection.write_all(b"\xff\xfe\n"),
                _ => Ok(()),
            };
            silent.push(connection);
        }
    }
    assert_eq!(Ping::start(runtime, SENSOR, &listen.addr, &[]).finish().0, 0);
    listen.expect("ping");
    drop(silent);
    // Once they are gone, there is room again; one connection takes many commands.
    let lines = loop {
        let mut connection = UnixStream::connect(&socket).expect("it listens");
        if connection.write_all(b"list\njson list\nfly\n").is_err() {
            continue;
        }
        let lines: Vec<String> = BufReader::new(connection).lines().map_while(Result::ok).take(6).collect();
        if lines.len() == 6 {
            break lines;
        }
    };
    assert_eq!(lines[..2], [">0 pings wait for a decision", "."]);
    assert!(lines[2].starts_with(r#">{"event":"list","waiting":0,"#) && lines[3] == ".", "{lines:?}");
    assert!(lines[4].starts_with("!`fly` is no command here") && lines[5] == "?", "{lines:?}");
    listen.quit();
}
