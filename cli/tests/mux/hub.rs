//! A running hub, its agents, and what its clients are answered.

use std::process::Command;

use serde_json::Value;

use crate::common::folder::Folder;
use crate::common::process::Process;

/// `sluis mux serve --json` on a port of its own.
pub(crate) struct Hub {
    pub(crate) process: Process,
    pub(crate) folder: Folder,
    pub(crate) url: String,
    pub(crate) fingerprint: Option<String>,
    runtime: &'static str,
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"))
}

impl Hub {
    pub(crate) fn start(name: &str, runtime: &'static str, args: &[&str]) -> Self {
        Self::in_folder(Folder::new(&format!("{name}-{runtime}")), runtime, args)
    }

    /// One that knows these agents; each has its token in `NAME.token`.
    pub(crate) fn of(name: &str, runtime: &'static str, agents: &[&str], args: &[&str]) -> Self {
        let folder = Folder::new(&format!("{name}-{runtime}"));
        for agent in agents {
            let token = folder.ends(0, &["mux", "token", agent, "--agents", "agents.toml"]);
            std::fs::write(folder.0.join(format!("{agent}.token")), token).expect("written");
        }
        Self::in_folder(folder, runtime, &[&["--agents", "agents.toml"], args].concat())
    }

    pub(crate) fn in_folder(folder: Folder, runtime: &'static str, args: &[&str]) -> Self {
        let usual = ["mux", "serve", "--json", "--runtime", runtime, "--bind", "127.0.0.1:0"];
        let process = Process::spawn("sluis mux serve", &mut folder.command(&[&usual, args].concat()));
        let listening = json(&process.line());
        assert_eq!(listening["event"], "listening", "{listening}");
        let url = listening["url"].as_str().expect("a URL").to_owned();
        let fingerprint = listening["fingerprint"].as_str().map(str::to_owned);
        Self { process, folder, url, fingerprint, runtime }
    }

    pub(crate) fn token(&self, agent: &str) -> String {
        std::fs::read_to_string(self.folder.0.join(format!("{agent}.token"))).expect("a token").trim().to_owned()
    }

    /// Arguments of a client; with the token of this agent, where it is one.
    fn client(&self, command: &str, agent: Option<&str>, args: &[&str]) -> Vec<String> {
        let mut all: Vec<String> =
            ["mux", command, "--runtime", self.runtime, "--url", &self.url].map(Into::into).into();
        if let Some(fingerprint) = &self.fingerprint {
            all.extend(["--pin".into(), fingerprint.clone()]);
        }
        if let Some(agent) = agent {
            all.extend(["--token-file".into(), format!("{agent}.token")]);
        }
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        all
    }

    /// What a client prints, which must end with this code.
    #[track_caller]
    pub(crate) fn asked(&self, code: i32, agent: Option<&str>, command: &str, args: &[&str]) -> String {
        let args = self.client(command, agent, args);
        self.folder.ends(code, &args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What a client says of why nothing came of it.
    #[track_caller]
    pub(crate) fn refused(&self, agent: &str, command: &str, args: &[&str]) -> String {
        let args = self.client(command, Some(agent), args);
        let out = self.folder.sluis(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    }

    #[track_caller]
    pub(crate) fn ask(&self, agent: &str, command: &str, args: &[&str]) -> Value {
        json(&self.asked(0, Some(agent), command, args))
    }

    /// Open a channel and say its name.
    pub(crate) fn open(&self, agent: &str, target: &str, intent: &str) -> String {
        let opened = self.ask(agent, "open", &["--agent", agent, "--target", target, "--intent", intent]);
        opened["channel_id"].as_str().expect("a name").to_owned()
    }

    /// A client of an agent that goes on running.
    pub(crate) fn spawn(&self, agent: &str, command: &str, args: &[&str]) -> Process {
        let args = [&["--agent", agent, "--json"], args].concat();
        Process::spawn(&format!("sluis mux {command}"), &mut self.command(agent, command, &args))
    }

    /// A client of an agent, to be started.
    pub(crate) fn command(&self, agent: &str, command: &str, args: &[&str]) -> Command {
        let args = self.client(command, Some(agent), args);
        self.folder.command(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// An agent that listens, and is there.
    pub(crate) fn listen(&self, agent: &str, args: &[&str]) -> Process {
        let process = self.spawn(agent, "listen", args);
        assert_eq!(json(&process.line())["event"], "ready");
        process
    }

    /// End it by a signal; its summary.
    #[cfg(unix)]
    pub(crate) fn end(self) -> Value {
        self.ended().1.pop().expect("a summary")
    }

    /// End it by a signal; its folder, and all that it has said since it listens.
    #[cfg(unix)]
    pub(crate) fn ended(mut self) -> (Folder, Vec<Value>) {
        self.process.signal("TERM");
        let (code, rest) = self.process.finish();
        let told: Vec<Value> = rest.iter().map(|line| json(line)).collect();
        let summaries = told.iter().filter(|line| line["event"] == "summary").count();
        assert!(code == 0 && summaries == 1 && told.last().is_some_and(|line| line["event"] == "summary"), "{told:?}");
        (self.folder, told)
    }
}
