//! Signals and terminals as shells use them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::common::folder::Folder;
use crate::common::json::Json;
use crate::discover;
use crate::sluis::{HUB, Raw, SENSOR};

const LISTEN: &str = "listen --did jis:test:hub --bind 127.0.0.1:0 --allow-legacy --trust jis:test:sensor=0.9";

#[track_caller]
fn answers(raw: &Raw, id: &str) {
    raw.ask(&Raw::frame(SENSOR, id, "a", id)).unwrap_or_else(|why| panic!("no answer to {id}: {why}"));
}

/// `listen` under a shell that does something before, and where it listens.
fn under_sh(before: &str) -> (Child, Raw) {
    let script = format!("{before}; exec {} {LISTEN} --json", env!("CARGO_BIN_EXE_sluis"));
    let mut sh = Command::new("sh");
    sh.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut hub = sh.spawn().expect("sh runs");
    let mut first = String::new();
    // What comes later fits into the pipe.
    BufReader::with_capacity(1, hub.stdout.as_mut().expect("piped")).read_line(&mut first).expect("it listens");
    let raw = Raw::new(Json::parse(&first).str("addr").parse().expect("an address"));
    (hub, raw)
}

#[test]
fn signals_that_were_ignored_before_stay_ignored() {
    for (before, ignored, ends) in [
        ("trap '' HUP", vec![Signal::HUP], Signal::TERM),
        ("trap '' INT HUP", vec![Signal::INT, Signal::HUP], Signal::TERM),
        ("trap '' TERM", vec![Signal::TERM], Signal::HUP),
        (":", vec![], Signal::INT),
    ] {
        let (mut hub, raw) = under_sh(before);
        let pid = Pid::from_child(&hub);
        answers(&raw, "before");
        for signal in ignored {
            kill_process(pid, signal).expect("it is there");
            thread::sleep(Duration::from_millis(100));
            answers(&raw, &format!("after-{}", signal.as_raw()));
        }
        kill_process(pid, ends).expect("it is there");
        let mut rest = String::new();
        hub.stdout.take().expect("piped").read_to_string(&mut rest).expect("UTF-8");
        assert_eq!(hub.wait().expect("it ends").code(), Some(0), "{before}");
        assert_eq!(Json::parse(rest.lines().last().expect("a summary")).str("event"), "summary");
    }
}

/// A shell on a terminal of its own.
struct Shell {
    bash: Child,
    terminal: File,
    seen: Arc<Mutex<String>>,
}

impl Shell {
    /// None where there is no `setsid` that gives a terminal away, or no bash.
    fn start() -> Option<Self> {
        Self::of(&["bash", "--norc", "--noprofile", "-i"])
    }

    /// The same with another command than bash.
    fn of(command: &[&str]) -> Option<Self> {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).ok()?;
        grantpt(&main).ok()?;
        unlockpt(&main).ok()?;
        let name = ptsname(&main, Vec::new()).ok()?.into_string().ok()?;
        let side = || File::options().read(true).write(true).open(&name).ok().map(Stdio::from);
        let mut setsid = Command::new("setsid");
        setsid.args(["-c", "-w"]).args(command).env("PS1", "$ ").env("TERM", "dumb").env_remove("COLUMNS");
        let bash = setsid.stdin(side()?).stdout(side()?).stderr(side()?).spawn().ok()?;
        let terminal = File::from(main);
        let seen = Arc::<Mutex<String>>::default();
        let (all, mut reader) = (Arc::clone(&seen), terminal.try_clone().ok()?);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                all.lock().expect("nobody panics").push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        Some(Self { bash, terminal, seen })
    }

    /// Whether the terminal hands on whole lines and shows what is typed, as a shell expects it.
    fn is_usual(&self) -> bool {
        let modes = tcgetattr(&self.terminal).expect("a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    #[track_caller]
    fn waits_until_usual(&self, usual: bool) {
        let start = Instant::now();
        while self.is_usual() != usual {
            assert!(start.elapsed() < Duration::from_secs(30), "the terminal is still {usual}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The terminal has so many columns from now on.
    fn resize(&self, columns: u16) {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.terminal, size).expect("a terminal");
    }

    /// The lines of the next screen that ends with this, from its beginning on.
    #[track_caller]
    fn screen(&self, end: &str) -> Vec<String> {
        const HOME: &str = "\x1b[H\x1b[J";
        let start = Instant::now();
        loop {
            let mut seen = self.seen.lock().expect("nobody panics");
            if let Some((_, screen)) = seen.split_once(HOME)
                && let Some((screen, rest)) = screen.split_once(end)
            {
                let lines = screen.lines().map(|line| line.trim_end().to_owned());
                let lines = lines.filter(|line| !line.is_empty()).collect();
                let rest = rest.to_owned();
                *seen = rest;
                return lines;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "no screen ends with {end:?}: {seen:?}");
            drop(seen);
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).expect("the terminal takes it");
    }

    /// Wait until this is on the screen; what is behind it on its line. Forget the screen up to there.
    #[track_caller]
    fn sees(&self, what: &str) -> String {
        let start = Instant::now();
        loop {
            let mut seen = self.seen.lock().expect("nobody panics");
            if let Some((_, rest)) = seen.split_once(what)
                && let Some((line, rest)) = rest.split_once('\n')
            {
                let (line, rest) = (line.trim().to_owned(), rest.to_owned());
                *seen = rest;
                return line;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{what:?} is not on the screen: {seen:?}");
            drop(seen);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.bash.kill();
        let _ = self.bash.wait();
    }
}

#[test]
fn a_hub_that_is_put_into_the_background_answers_on() {
    let Some(mut shell) = Shell::start() else {
        assert!(std::env::var_os("CI").is_none(), "there is no `setsid -c` or no bash here");
        return;
    };
    // The second time the terminal also stops whoever writes to it from the background.
    for mode in ["-tostop", "tostop"] {
        shell.types(&format!("stty {mode}; {} {LISTEN} --color never\n", env!("CARGO_BIN_EXE_sluis")));
        let addr = shell.sees("listening on ");
        let addr = addr.strip_suffix(&format!(" as {HUB}")).expect("an address").to_owned();
        let raw = Raw::new(addr.parse().expect("an address"));
        answers(&raw, "front");
        shell.types("\x1a");
        shell.sees("Stopped");
        shell.types("bg\n");
        shell.sees("bg");
        for n in 0..3 {
            answers(&raw, &format!("back-{n}"));
            thread::sleep(Duration::from_millis(150));
        }
        shell.types("jobs\n");
        assert!(shell.sees("Running").contains("listen"), "{mode}: it was stopped");
        // In front again, it reads the terminal again.
        shell.types("fg\n");
        shell.sees("fg");
        answers(&raw, "again");
        shell.types("quit\n");
        shell.sees("5 received: 5 accepted");
    }
    shell.types("exit\n");
}

#[test]
fn a_live_trace_ends_with_a_key_and_leaves_the_terminal_as_it_was() {
    let (mut hub, raw) = under_sh(":");
    let trace =
        format!("{} trace {HUB} {} --did {SENSOR} --count 0 --interval 50ms", env!("CARGO_BIN_EXE_sluis"), raw.to());
    // The terminal stays that of the outer shell, which changes nothing of it, when the command has ended.
    let script = format!("trap : INT QUIT HUP; sh -c 'echo pid=$$; exec {trace}'; echo done=$?; exec cat");
    for (ends, code) in [
        (None, "0"),
        (Some(Signal::INT), "0"),
        (Some(Signal::TERM), "0"),
        (Some(Signal::HUP), "0"),
        (Some(Signal::QUIT), "131"),
    ] {
        let Some(mut shell) = Shell::of(&["sh", "-c", &script]) else {
            assert!(std::env::var_os("CI").is_none(), "there is no `setsid -c` here");
            return;
        };
        let pid = shell.sees("pid=").parse().ok().and_then(Pid::from_raw).expect("a number");
        shell.sees("q ends it");
        assert!(!shell.is_usual(), "keys are handed on at once");
        match ends {
            Some(signal) => kill_process(pid, signal).expect("it is there"),
            None => {
                // While it is stopped, the terminal is the shell's.
                kill_process(pid, Signal::TSTP).expect("it is there");
                shell.waits_until_usual(true);
                kill_process(pid, Signal::CONT).expect("it is there");
                shell.waits_until_usual(false);
                shell.sees("q ends it");
                shell.types("q");
            }
        }
        let told = shell.sees("done=");
        assert!(shell.is_usual(), "{ends:?}");
        // What was under way when it ended has no answer.
        assert!(told == code || (code == "0" && told == "1"), "{ends:?}: {told}");
    }
    kill_process(Pid::from_child(&hub), Signal::TERM).expect("it is there");
    hub.wait().expect("it ends");
}

/// Columns stand below each other, names are cut to what is left, and the next screen is as wide as the terminal is by then.
#[test]
fn a_live_trace_fits_the_terminal_and_is_laid_out_anew_when_that_is_resized() {
    let (mut hub, raw) = under_sh(":");
    // Whom the hub does not answer.
    let args = format!("trace {HUB} {} --did jis:test:nobody --count 0 --interval 50ms --color never", raw.to());
    let script = format!("exec {} {args}", env!("CARGO_BIN_EXE_sluis"));
    let Some(mut shell) = Shell::of(&["sh", "-c", &format!("read go; {script}")]) else {
        assert!(std::env::var_os("CI").is_none(), "there is no `setsid -c` here");
        return;
    };
    shell.resize(80);
    shell.types("go\n");
    for columns in [80, 132, 72] {
        shell.resize(columns);
        let verdict = "verdict";
        let fits = |lines: &[String]| lines.iter().all(|line| line.chars().count() <= usize::from(columns));
        let name = (usize::from(columns) - 56).clamp(16, 48);
        let starts = Instant::now();
        // What was on its way when the size changed may still be as wide as before.
        let lines = loop {
            let lines = shell.screen("q ends it");
            if fits(&lines) && lines[0].find("loss").is_some_and(|at| at == 5 + name + 3) && lines.len() == 3 {
                break lines;
            }
            assert!(starts.elapsed() < Duration::from_secs(30), "{columns} columns: {lines:#?}");
        };
        assert!(lines[0].trim_end().ends_with(verdict), "{lines:#?}");
        // Who answers, in the last row; its figures end where their titles do.
        let row = &lines[1];
        assert!(row.contains(HUB), "{lines:#?}");
        let end = lines[0].find("loss").expect("a title") + "loss".len();
        assert_eq!(row.as_bytes()[end - 1], b'%', "{lines:#?}");
        assert!(lines[2].contains("sent, "), "{lines:#?}");
    }
    shell.types("q");
    kill_process(Pid::from_child(&hub), Signal::TERM).expect("it is there");
    hub.wait().expect("it ends");
}

#[test]
fn who_is_on_the_network_is_shown_live_until_a_signal_ends_it() {
    let (folder, group) = (Folder::new("watch"), discover::group());
    let (hub, addr) = discover::listen(&folder, "tokio", HUB, &["--group", &group]);
    let args = format!("discover --watch --iface lo --bind 127.0.0.1:0 --group {group} --color never");
    let script = format!("exec {} {args}", env!("CARGO_BIN_EXE_sluis"));
    let Some(mut shell) = Shell::of(&["sh", "-c", &script]) else {
        assert!(std::env::var_os("CI").is_none(), "there is no `setsid -c` here");
        return;
    };
    let row = shell.sees(&format!("\"{HUB}\""));
    assert!(row.starts_with(&addr) && row.contains("s ago"), "{row}");
    // It is there again a second later.
    shell.sees(&format!("\"{HUB}\""));
    shell.types("\x03");
    shell.sees("1 node found");
    discover::quit(hub);
}

#[test]
fn help_is_coloured_on_a_terminal_unless_that_is_not_wanted() {
    let Some(mut shell) = Shell::start() else { return };
    let sluis = env!("CARGO_BIN_EXE_sluis");
    for (args, coloured) in [("--help", true), ("--color never --help", false), ("--color=never help listen", false)] {
        shell.types(&format!("stty -echo; TERM=xterm {sluis} {args}; echo the-\"\"end\n"));
        let start = Instant::now();
        while !shell.seen.lock().expect("nobody panics").contains("the-end") {
            assert!(start.elapsed() < Duration::from_secs(30));
            thread::sleep(Duration::from_millis(10));
        }
        let seen = std::mem::take(&mut *shell.seen.lock().expect("nobody panics"));
        let at = seen.find("Usage").unwrap_or_else(|| panic!("{args}: no help: {seen:?}"));
        let help = &seen[at..];
        assert_eq!(help.contains('\u{1b}'), coloured, "{args}: {seen:?}");
    }
}

#[test]
fn pings_without_end_end_with_a_signal() {
    let (mut hub, raw) = under_sh(":");
    answers(&raw, "first");
    let addr = raw.to().to_string();
    let mut ping = Command::new(env!("CARGO_BIN_EXE_sluis"));
    ping.args(["ping", HUB, &addr, "--did", SENSOR, "--intent", "x", "-c", "0", "-i", "20ms", "--json"]);
    let mut ping = ping.stdout(Stdio::piped()).spawn().expect("sluis runs");
    let mut lines = BufReader::new(ping.stdout.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    for seq in 1..=6 {
        assert_eq!(Json::parse(&lines.next().expect("an answer")).count("seq"), seq);
    }
    kill_process(Pid::from_child(&ping), Signal::INT).expect("it is there");
    let summary = Json::parse(&lines.last().expect("a summary"));
    assert!(summary.count("sent") >= 6 && summary.count("lost") <= 1, "{summary:?}");
    let all = summary.count("accept") == summary.count("sent");
    assert_eq!(ping.wait().expect("it ends").code(), Some(i32::from(!all)), "{summary:?}");
    kill_process(Pid::from_child(&hub), Signal::TERM).expect("it is there");
    hub.wait().expect("it ends");
}
