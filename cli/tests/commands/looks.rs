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
    let usual = ["ping", HUB, addr, "--did", did, "--count", "1", "--no-wait"];
    let intent = if args.contains(&"--intent") { &[][..] } else { &["--intent", "door.open"] };
    command(&[&usual, intent, args].concat()).stdin(Stdio::null()).output().expect("sluis runs")
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
    assert!(lines.iter().any(|line| line.contains(r#"why "\x1b]0;owned\x07\x9b2J\u{202e}evil""#)), "{lines:?}");
    assert!(text(&out).contains(r#"{"é":"\x1b[2J\x85\u{202e}"}"#), "{out:?}");
}

#[test]
fn a_waiting_ping_comes_with_the_command_that_lets_it_in() {
    let (mut listen, addr) = listen(&[]);
    let out = ping(DOOR, &addr, &[]);
    assert!(text(&out).contains("GEEL   waits"), "{out:?}");
    let hint = loop {
        let line = listen.line();
        if let Some((_, hint)) = line.split_once("  approve ") {
            break hint.split_whitespace().next().expect("a number").to_owned();
        }
    };
    listen.say(&format!("approve {hint}"));
    assert_eq!(unstamped(&listen.line()), format!("accept  {hint}  \"{DOOR}\"  \"door.open\""));
    listen.say("quit");
    let (code, lines) = listen.finish();
    assert_eq!(code, 0);
    let summary: String = lines.iter().map(|line| unstamped(line)).collect::<Vec<_>>().join("");
    assert!(summary.contains("1 received: 0 accepted, 1 made to wait, 0 turned away;"), "{lines:?}");
}

/// A line of `listen` without the time at its start, which must be one.
#[track_caller]
fn unstamped(line: &str) -> &str {
    let (time, rest) = line.split_at_checked(20).unwrap_or_default();
    let parsed = sluis_core::time::iso::parse_zoned(time);
    assert!(time.ends_with('Z') && time.contains('T') && parsed.is_some(), "{line:?}");
    rest.strip_prefix(' ').expect("a space")
}

#[test]
fn strangers_cannot_draw_our_columns() {
    let (mut listen, addr) = listen(&["--color", "never"]);
    // As wide as the terminal, and what is invisible or looks like a column of ours.
    let forged = format!("x{}  trust 1.00  from 10.0.0.1:1\u{3164}\u{2800}\\\"  GROEN  accepted", " ".repeat(200));
    let intent = "a\"  10.0.0.1 \u{115f}\u{ffa0}\u{34f}\u{180b}";
    ping(SENSOR, &addr, &["--purpose", &forged, "--intent", intent, "--payload", &format!("{forged:?}")]);
    let long = "y".repeat(250);
    ping(SENSOR, &addr, &["--intent", &long]);
    listen.say("quit");
    let (code, lines) = listen.finish();
    assert_eq!(code, 0);
    for line in &lines {
        assert!(line.chars().count() <= 80, "{line}");
        let mut quoted = false;
        let mut escaped = false;
        let outside: String = unstamped(line)
            .chars()
            .filter(|c| {
                let quote = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                quoted ^= quote;
                !quoted
            })
            .collect();
        assert!(!quoted && !outside.contains("10.0.0.1") && !outside.contains("1.00"), "{line}");
    }
    let seen = lines.join("\n");
    assert!(seen.contains(r"\u{115f}\u{ffa0}\u{34f}\u{180b}"), "{seen}");
    assert!(seen.chars().all(|c| c == '\n' || c == '…' || c.is_ascii_graphic() || c == ' '), "{seen}");
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
fn silence_is_explained_to_who_waits() {
    let (mut listen, addr) = listen(&[]);
    let out = ping("jis:test:stranger", &addr, &["--timeout", "2.5"]);
    assert!(text(&out).contains("1  no answer within 2.5 s (silence is also how a hub refuses)\n"), "{out:?}");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(said, "sluis ping: no answer yet, 2 s of silence; each is given up after 2.5 s.\n");
    listen.say("quit");
    let (_, lines) = listen.finish();
    let seen: String = lines.iter().map(|line| unstamped(line).trim_start()).collect::<Vec<_>>().join(" ");
    assert!(seen.contains("silence met \"jis:test:stranger\" at 127.0.0.1:"), "{seen}");
    assert!(seen.contains("to change that: trust jis:test:stranger=0.9"), "{seen}");
}

#[test]
fn ping_ends_with_percentiles() {
    let (mut listen, addr) = listen(&[]);
    let out = text(&ping(SENSOR, &addr, &[]));
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[1].starts_with("1  GROEN  accepted  trust 0.90"), "{out}");
    assert!(lines[2].starts_with("1 sent, 1 received, 0 lost: 1 accepted, 0 pending, 0 refused; "), "{out}");
    assert!(lines.iter().any(|line| line.starts_with("round trip in ms: min ") && line.contains("  p99 ")), "{out}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{out}");
    listen.say("quit");
    listen.finish();
}
