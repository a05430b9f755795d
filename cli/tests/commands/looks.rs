//! What people see.

use std::process::{Command, Output, Stdio};

use crate::common::process::Process;
use crate::sluis::{DOOR, HUB, SENSOR, command};

/// `listen` for people, and where it is.
fn listen(args: &[&str]) -> (Process, String) {
    let usual = ["listen", "--did", HUB, "--bind", "127.0.0.1:0", "--allow-legacy", "--trust", "jis:test:sensor=0.9"];
    let mut command = command(&[&usual[..], &["--trust", "jis:test:door=0.5"], args].concat());
    let listen = Process::spawn("sluis listen", &mut command);
    let first = listen.line();
    let addr = first.split(' ').find(|word| word.starts_with("127.")).expect("an address").to_owned();
    (listen, addr)
}

fn ping(did: &str, addr: &str, args: &[&str]) -> Output {
    let usual = ["ping", HUB, addr, "--did", did, "--intent", "door.open", "--count", "1", "--no-wait"];
    command(&[&usual, args].concat()).stdin(Stdio::null()).output().expect("sluis runs")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn words_of_strangers_cannot_touch_the_terminal() {
    let (mut listen, addr) = listen(&["--reply", r#"{"é":"\u001b[2J\u0085\u202e"}"#, "--color", "never"]);
    let evil = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}evil";
    let out = ping(SENSOR, &addr, &["--purpose", evil, "--payload", r#"{"x":"\u001b[31m"}"#, "--color", "never"]);
    listen.say("quit");
    let (code, lines) = listen.finish();
    let seen = lines.join("\n") + &text(&out);
    assert_eq!((code, out.status.code()), (0, Some(0)));
    assert!(seen.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{seen:?}");
    assert!(lines.iter().any(|line| line.contains(r"(\x1b]0;owned\x07\x9b2J\u{202e}evil)")), "{lines:?}");
    assert!(text(&out).contains(r#"{"é":"\x1b[2J\x85\u{202e}"}"#), "{out:?}");
}

#[test]
fn a_waiting_ping_comes_with_the_command_that_lets_it_in() {
    let (mut listen, addr) = listen(&[]);
    let out = ping(DOOR, &addr, &[]);
    assert!(text(&out).contains("GEEL   waits"), "{out:?}");
    let hint = loop {
        let line = listen.line();
        if let Some(hint) = line.trim().strip_prefix("approve ") {
            break hint.split_whitespace().next().expect("a number").to_owned();
        }
    };
    listen.say(&format!("approve {hint}"));
    let line = listen.line();
    assert!(line.starts_with(&format!("accept: {hint}, ")) && line.contains(&format!(" of {DOOR} (ping_")), "{line}");
    listen.say("quit");
    let (code, lines) = listen.finish();
    assert_eq!(code, 0);
    assert!(lines.last().expect("a summary").starts_with("1 received: 0 accepted, 1 made to wait, 0 turned away; "));
}

#[test]
fn colours_are_for_terminals_and_for_those_who_insist() {
    let has_colours = |args: &[&str], no_color: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluis"));
        command.arg("demo").args(args);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let out = command.output().expect("sluis runs");
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        out.stdout.contains(&0x1b)
    };
    assert!(!has_colours(&[], false), "this is no terminal");
    assert!(!has_colours(&["--color", "never"], false));
    assert!(has_colours(&["--color", "always"], false));
    assert!(!has_colours(&["--color", "always", "--json"], false), "JSON is never coloured");
    assert!(!has_colours(&["--color", "auto"], true));
}

#[test]
fn ping_ends_with_percentiles() {
    let (mut listen, addr) = listen(&[]);
    let out = text(&ping(SENSOR, &addr, &[]));
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[1].starts_with("1  GROEN  accepted  trust 0.90"), "{out}");
    assert!(lines[2].starts_with("1 sent, 1 received, 0 lost: 1 accepted, 0 pending, 0 refused; "), "{out}");
    assert!(lines[3].starts_with("round trip in ms: min ") && lines[3].contains("  p99 "), "{out}");
    listen.say("quit");
    listen.finish();
}
