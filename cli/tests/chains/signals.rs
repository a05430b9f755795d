//! Signals that reach `sluis chain run`: each is the command's while that runs, as it is and once.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::folder::Folder;
use crate::common::json::Json;

/// A command that says which signals it gets, and ends well after a second and a half.
const CHILD: &str = r"
import signal, sys, time
def heard(number, frame): print('got', signal.Signals(number).name, flush=True)
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT): signal.signal(each, heard)
print('ready', flush=True)
end = time.time() + 1.5
while time.time() < end: time.sleep(0.05)
";

/// Runs its arguments in a terminal of their own, and once they are ready either types a key or sends a signal to them alone.
const TERMINAL: &str = r"
import os, pty, select, signal, sys, time
act, args = sys.argv[1], sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(args[0], args)
out, acted, start = b'', False, time.time()
while time.time() - start < 60:
    if select.select([fd], [], [], 0.1)[0]:
        try: more = os.read(fd, 4096)
        except OSError: break
        if not more: break
        out += more
    if b'ready' in out and not acted:
        acted = True
        time.sleep(0.2)
        if act == 'type': os.write(fd, b'\x03')
        else: os.kill(pid, getattr(signal, act))
print([line for line in out.decode().split() if line.startswith('SIG')], os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

fn kill(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

fn step(folder: &Folder) -> Json {
    Json::parse(folder.text("c.jsonl").lines().last().expect("a line")).get("erin").clone()
}

fn wait(child: &mut Child, patience: Duration) -> Option<std::process::ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

#[test]
fn each_is_passed_on_as_it_is() {
    let folder = Folder::new("signals-each");
    for signal in ["TERM", "HUP", "INT", "QUIT"] {
        let args = ["chain", "run", "c.jsonl", "--step", signal, "--", "python3", "-c", CHILD];
        let mut child = folder.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("ready"));
        kill(&child, signal);
        assert_eq!(lines.next(), Some(format!("got SIG{signal}")));
        assert_eq!(lines.next(), None, "once, and nothing else");
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        assert_eq!((step(&folder).str("step"), step(&folder).str("status")), (signal, "completed"));
    }
}

#[test]
fn a_terminal_sends_its_own() {
    let folder = Folder::new("signals-terminal");
    let sluis = env!("CARGO_BIN_EXE_sluis");
    for (n, (act, input, expected)) in [
        ("type", "", "['SIGINT'] 0"),
        ("type", "</dev/null", "['SIGINT'] 0"),
        ("SIGINT", "", "['SIGINT'] 0"),
        ("SIGINT", "</dev/null", "['SIGINT'] 0"),
        ("SIGTERM", "", "['SIGTERM'] 0"),
        ("SIGTERM", "</dev/null", "['SIGTERM'] 0"),
        ("SIGHUP", "", "['SIGHUP'] 0"),
    ]
    .into_iter()
    .enumerate()
    {
        let script = format!("exec \"$0\" chain run c.jsonl --step s{n} -- python3 -c \"$1\" {input}");
        let out = Command::new("python3")
            .args(["-c", TERMINAL, act, "bash", "-c", &script, sluis, CHILD])
            .current_dir(&folder.0)
            .output()
            .expect("python3 runs");
        assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), expected, "{act} {input}: {out:?}");
    }
}

#[test]
fn what_was_ignored_stays_ignored() {
    let folder = Folder::new("signals-ignored");
    let script = "trap '' HUP; exec \"$0\" chain run c.jsonl --step a -- sh -c 'echo ready; sleep 1; echo done'";
    let mut child = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_sluis")])
        .current_dir(&folder.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    kill(&child, "HUP");
    assert_eq!(lines.next().as_deref(), Some("done"));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn once_the_command_has_ended_a_signal_ends_it() {
    let folder = Folder::new("signals-after");
    folder.prints(&["chain", "new", "c.jsonl", "--owner", "jis:a"]);
    for signal in ["TERM", "HUP", "INT"] {
        let args = ["chain", "run", "c.jsonl", "--step", "b", "--", "sh", "-c", "echo $$ > pid; sleep 0.3"];
        let mut child = folder.command(&args).stderr(Stdio::piped()).spawn().expect("sluis runs");
        let start = Instant::now();
        while !folder.exists("pid") {
            assert!(start.elapsed() < Duration::from_secs(30), "it does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Somebody holds the log when the command ends: that is waited for, patiently.
        let log = std::fs::File::open(folder.0.join("c.jsonl")).expect("the log");
        log.lock().expect("it is free while the command runs");
        std::thread::sleep(Duration::from_millis(900));
        assert!(child.try_wait().expect("it is ours").is_none(), "it waits for the log");
        kill(&child, signal);
        let status = wait(&mut child, Duration::from_secs(10)).expect("it ends");
        let expected = match signal {
            "TERM" => 15,
            "HUP" => 1,
            _ => 2,
        };
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(expected));
        let mut said = String::new();
        let stderr = child.stderr.take().expect("piped");
        std::io::Read::read_to_string(&mut BufReader::new(stderr), &mut said).expect("text");
        assert!(said.contains("ended by a signal, step b is not recorded"), "{said}");
        drop(log);
        std::fs::remove_file(folder.0.join("pid")).expect("removed");
    }
    assert_eq!(folder.text("c.jsonl").lines().count(), 1);
}
