//! The binary under test.

use std::collections::BTreeMap;
use std::process::Command;

use crate::Setup;
use crate::common::events::Speaker;
use crate::common::json::Json;
use crate::common::process::Process;

/// The name of `sluis listen` in these tests.
pub(crate) const HUB: &str = "jis:sluis:hub";
/// The name of `sluis ping` in these tests.
pub(crate) const SENSOR: &str = "jis:sluis:sensor";

fn command(setup: Setup, subcommand: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluis"));
    command.args([subcommand, "--json", "--runtime", setup.runtime]).args(args);
    command
}

/// A running `sluis listen --json`, whose every line is checked.
pub(crate) struct Listen {
    process: Process,
    /// Where it listens.
    pub(crate) addr: String,
}

impl Listen {
    pub(crate) fn start(setup: Setup, args: &[&str]) -> Self {
        let mut command = command(setup, "listen", &["--did", HUB, "--bind", "127.0.0.1:0"]);
        let mut listen = Self { process: Process::spawn("sluis listen", command.args(args)), addr: String::new() };
        let listening = listen.expect("listening");
        assert_eq!(listening.str("did"), HUB);
        listen.addr = listening.str("addr").to_owned();
        listen
    }

    /// The next event that is not a count of rejects, which must have this name.
    pub(crate) fn expect(&self, name: &str) -> Json {
        loop {
            let event = Speaker::Listen.read(&self.process.line()).with_payload_as_sent();
            match event.str("event") {
                found if found == name => return event,
                "rejected" => {}
                _ => self.process.fail(&format!("was expected to say {name:?}")),
            }
        }
    }

    /// The next event, which must be a count of rejects.
    pub(crate) fn rejected(&self) -> Json {
        let event = Speaker::Listen.read(&self.process.line());
        if event.str("event") != "rejected" {
            self.process.fail("was expected to turn something away");
        }
        event
    }

    /// Read counts of rejects until they are these, before anything else happens.
    #[track_caller]
    pub(crate) fn expect_rejected(&self, expected: &[(&str, u64)]) {
        let mut counted = BTreeMap::new();
        while counted.values().sum::<u64>() < expected.iter().map(|(_, n)| n).sum() {
            let event = self.rejected();
            *counted.entry(event.str("reason").to_owned()).or_default() += event.count("count");
        }
        assert_eq!(counted, expected.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect());
    }

    /// A line to its standard input.
    pub(crate) fn say(&mut self, line: &str) {
        self.process.say(line);
    }

    /// `quit` it, whatever it still has to say.
    pub(crate) fn end(mut self) {
        self.say("quit");
        assert_eq!(self.process.finish().0, 0);
    }

    /// `quit` it: the summary comes last and the exit code is 0.
    pub(crate) fn quit(mut self) -> Json {
        self.say("quit");
        let summary = self.expect("summary");
        let (code, rest) = self.process.finish();
        if code != 0 || !rest.is_empty() {
            self.process.fail(&format!("ended with {code} and {} lines after the summary", rest.len()));
        }
        summary
    }
}

/// A running `sluis ping --json`, whose every line is checked.
pub(crate) struct Ping(Process);

impl Ping {
    pub(crate) fn start(setup: Setup, target: &str, addr: &str, args: &[&str]) -> Self {
        let mut command = command(setup, "ping", &[target, addr, "--did", SENSOR, "--encoding", setup.encoding]);
        Self(Process::spawn("sluis ping", command.args(args)))
    }

    /// The same over a relay.
    pub(crate) fn over(setup: Setup, target: &str, via: &str, args: &[&str]) -> Self {
        let usual = [target, "--via", via, "--did", SENSOR, "--encoding", setup.encoding];
        Self(Process::spawn("sluis ping", command(setup, "ping", &usual).args(args)))
    }

    /// The next event, which must have this name.
    pub(crate) fn expect(&self, name: &str) -> Json {
        let event = Speaker::Ping.read(&self.0.line()).with_payload_as_sent();
        if event.str("event") != name {
            self.0.fail(&format!("was expected to say {name:?}"));
        }
        event
    }

    /// Let it end: its other events, its summary (always the last line) and the exit code.
    pub(crate) fn finish(mut self) -> Outcome {
        let (code, lines) = self.0.finish();
        let mut events: Vec<Json> = lines.iter().map(|line| Speaker::Ping.read(line).with_payload_as_sent()).collect();
        match events.pop() {
            Some(summary) if summary.str("event") == "summary" => Outcome { code, events, summary },
            _ => self.0.fail(&format!("ended with {code} and no summary in the end")),
        }
    }
}

/// How a `sluis ping` ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) events: Vec<Json>,
    pub(crate) summary: Json,
}

impl Outcome {
    /// Fails unless the exit code and these counts of the summary are as said.
    #[track_caller]
    pub(crate) fn assert(&self, code: i32, counts: &[(&str, u64)]) {
        assert_eq!(self.code, code, "{self:?}");
        for (key, n) in counts {
            assert_eq!(self.summary.count(key), *n, "`{key}` of {self:?}");
        }
    }
}
