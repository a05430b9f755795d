//! `sluis doctor`: what keeps a node on this machine from working, and what to do about it.

mod clock;
mod kept;
mod network;
mod reach;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sluis_core::Did;

use crate::common::Common;
use crate::fail::Fail;
use crate::output::{Color, Out, Style, escape};
use crate::overlay::args::{self as overlay, Registry};
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Look at this secret key, and sign the pings with it
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Look at this state of a node; nothing in it is changed
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Ping this node; may be repeated
    #[arg(long, value_name = "DID@HOST:PORT", value_parser = overlay::registry)]
    pub(crate) peer: Vec<Registry>,
    /// The name to ping under [default: jis:sluis:ping- and 8 random hex digits]
    #[arg(long, value_parser = values::own_did)]
    pub(crate) did: Option<Did>,
}

pub(crate) const EXAMPLES: &str = r#"Examples:
  sluis doctor
  sluis doctor --key hub.key --state hub-state --peer jis:home:gate@192.0.2.7:7150

One line for each thing that was looked at: ok, warning (something does not work that
a node can do without) or problem, and then what to do. It looks at the clock, UDP
sockets of both families, multicast and the MTU of each interface, and what the
kernel sends and takes in one call (GSO, GRO); and where they are named, at the key,
the state, and whether peers answer. A peer that does not trust the name of --did
says nothing, as if it were not there.

A state that a running node has open is left alone, and that is said. While it is
looked at no node can open it.

--json prints these objects:
  {"event":"check","check","subject","status","says","mend"}
      check: clock, socket, multicast, mtu, offload, key, state, peer or peer clock;
      status: ok, warning or problem; subject, mend: null where there is none
  {"event":"summary","ok","warnings","problems"}

Exit codes: 0 no problem, 1 there is one, 2 the command line is wrong."#;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ok,
    Warning,
    Problem,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    const fn color(self) -> Color {
        match self {
            Self::Ok => Color::Green,
            Self::Warning => Color::Yellow,
            Self::Problem => Color::Red,
        }
    }
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    check: &'static str,
    /// Which one, where there are several.
    subject: Option<String>,
    status: Status,
    says: String,
    /// What to do.
    mend: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, subject: None, status: Status::Ok, says: says.into(), mend: None }
    }

    fn warning(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { status: Status::Warning, mend: Some(mend.into()), ..Self::ok(check, says) }
    }

    fn problem(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { status: Status::Problem, ..Self::warning(check, says, mend) }
    }

    /// What was said in a sentence. The mend is the command that it names, if it names one.
    fn failed(check: &'static str, why: &Fail, otherwise: &str) -> Self {
        let says = why.to_string();
        let command = says.find("chmod ").and_then(|at| says.get(at..)).map(|command| command.trim_end_matches('`'));
        let mend = command.unwrap_or(otherwise).to_owned();
        Self::problem(check, says, mend)
    }

    fn of(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }
}

/// Look at everything, and tell of each as soon as it is known.
pub(crate) fn run(common: Common, args: &DoctorArgs) -> Result<ExitCode, Fail> {
    let mut told = Told { out: Out::new(common, false).timed(), counts: [0; 3] };
    told.tell(&clock::look());
    network::sockets().iter().for_each(|finding| told.tell(finding));
    network::interfaces().iter().for_each(|finding| told.tell(finding));
    network::offload().iter().for_each(|finding| told.tell(finding));
    let key = args.key.as_deref().map(kept::key);
    let (finding, key) = key.unzip();
    finding.iter().for_each(|finding| told.tell(finding));
    args.state.iter().for_each(|dir| told.tell(&kept::state(dir)));
    let asker = reach::Asker::new(args.did.clone(), key.flatten());
    for peer in &args.peer {
        asker.look(peer).iter().for_each(|finding| told.tell(finding));
    }
    told.finish()
}

struct Told {
    out: Out,
    counts: [u32; 3],
}

impl Told {
    fn tell(&mut self, finding: &Finding) {
        let Finding { check, subject, status, says, mend } = finding;
        self.counts[*status as usize] += 1;
        match self.out.style {
            Style::Json => self.out.json("check", |o| {
                o.str("check", check)
                    .maybe("subject", subject.as_deref())
                    .str("status", status.name())
                    .str("says", says)
                    .maybe("mend", mend.as_deref())
            }),
            // One line whatever its length: it is looked for by its first word.
            Style::Text => self.out.line(|line, paint| {
                paint.put(line, status.color(), |line| drop(write!(line, "{:<8}", status.name())));
                let subject = subject.iter().fold(String::new(), |_, subject| format!(" {subject}"));
                let mend = mend.iter().filter(|mend| !says.contains(*mend));
                let mend = mend.fold(String::new(), |_, mend| format!("; {mend}"));
                escape::put(line, &format!("{check}{subject}: {says}{mend}"));
            }),
        }
        self.out.flush();
    }

    fn finish(mut self) -> Result<ExitCode, Fail> {
        let [ok, warnings, problems] = self.counts;
        if self.out.style == Style::Json {
            self.out.json("summary", |o| o.raw("ok", ok).raw("warnings", warnings).raw("problems", problems));
        }
        self.out.finish().map_err(|why| Fail::output(&why))?;
        Ok(if problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
