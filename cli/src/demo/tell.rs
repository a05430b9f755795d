//! How the story is told: lines for people, or JSON objects.

use std::io::Write as _;
use std::time::Duration;

use sluis_core::RejectCounts;
use sluis_core::driver::{PingNotice, PingReply};
use sluis_core::node::Stats;

use super::cast::{Actor, Cast, TRUST};
use crate::common::Runtime;
use crate::fail::Fail;
use crate::output::{Color, Out, Style};
use crate::view::{self, Totals, Verdict, padded};

pub(super) struct Teller {
    out: Out,
    steps: u32,
    title: &'static str,
    /// What did not go as told, in this step.
    wrong: bool,
    /// In any step.
    ever_wrong: bool,
}

impl Teller {
    pub(super) const fn new(out: Out) -> Self {
        Self { out, steps: 0, title: "", wrong: false, ever_wrong: false }
    }

    /// Who plays, and where.
    pub(super) fn introduce(&mut self, cast: &Cast, runtime: Runtime) {
        for Actor { name, did, addr, handle, .. } in cast.known() {
            let trust = TRUST.iter().find(|(known, _)| known == did).map(|(_, trust)| *trust);
            let fingerprint = handle.with(|node, _| {
                node.config().identity.as_ref().map(|identity| identity.public().fingerprint().to_string())
            });
            match self.out.style {
                Style::Json => {
                    self.out.json("listening", |o| {
                        o.str("did", did).addr("addr", *addr).maybe("fingerprint", fingerprint.as_deref())
                    });
                }
                Style::Text => {
                    if *name == "hub" {
                        self.title_line(&format!(
                            "A hub and four sensors on loopback UDP sockets, {runtime:?} runtime"
                        ));
                    }
                    self.out.line(|line, _| {
                        line.extend_from_slice(b"  ");
                        padded(line, 10, |line| line.extend_from_slice(name.as_bytes()));
                        padded(line, 20, |line| line.extend_from_slice(did.as_bytes()));
                        padded(line, 17, |line| drop(write!(line, "{addr}")));
                        let _ = match (*name, trust) {
                            ("hub", _) => write!(line, "the gate: 0.7 and more comes in, 0.3 and more waits"),
                            ("meter", Some(trust)) => write!(line, "trusted {trust}, its key is pinned"),
                            (_, Some(trust)) => write!(line, "trusted {trust}"),
                            (_, None) => write!(line, "unknown to the hub"),
                        };
                    });
                }
            }
        }
        self.out.flush();
    }

    fn title_line(&mut self, title: &str) {
        self.out.line(|line, paint| paint.text(line, Color::Bold, title));
    }

    /// What comes next.
    pub(super) fn step(&mut self, color: Color, word: &str, title: &'static str) {
        self.steps += 1;
        self.title = title;
        self.wrong = false;
        let n = self.steps;
        match self.out.style {
            Style::Json => self.step_json("null"),
            Style::Text => {
                self.out.line(|_, _| {});
                self.out.line(|line, paint| {
                    let _ = write!(line, "{n} ");
                    paint.put(line, color, |line| padded(line, 8, |line| line.extend_from_slice(word.as_bytes())));
                    paint.text(line, Color::Bold, title);
                });
            }
        }
        self.out.flush();
    }

    fn step_json(&mut self, ok: &str) {
        let (n, title) = (self.steps, self.title);
        self.out.json("step", |o| o.raw("step", n).str("title", title).raw("ok", ok));
    }

    /// The step is over.
    pub(super) fn step_done(&mut self) {
        if self.out.style == Style::Json {
            self.step_json(if self.wrong { "false" } else { "true" });
        }
        self.out.flush();
    }

    /// Something that must be so for the story to be true.
    pub(super) fn check(&mut self, so: bool, what: &str) {
        if so {
            return;
        }
        self.wrong = true;
        self.ever_wrong = true;
        match self.out.style {
            Style::Text => self.out.line(|line, paint| {
                paint.put(line, Color::Red, |line| drop(write!(line, "  This should not be: {what}")));
            }),
            Style::Json => crate::output::tell(&format!("sluis demo: this should not be: {what}")),
        }
    }

    /// A line for people: who, and what they do.
    pub(super) fn says(&mut self, who: &str, what: impl FnOnce(&mut Vec<u8>)) {
        if self.out.style == Style::Text {
            self.out.line(|line, _| {
                line.extend_from_slice(b"  ");
                padded(line, 10, |line| line.extend_from_slice(who.as_bytes()));
                what(line);
            });
        }
        self.out.flush();
    }

    /// The hub heard a ping.
    pub(super) fn hub_heard(&mut self, ping: &PingNotice) {
        if self.out.style == Style::Json {
            self.out.json("ping", |o| view::ping_json(o, &ping.into()));
        }
        self.out.flush();
    }

    /// A sensor heard an answer to its ping, the `seq`th of the story.
    pub(super) fn heard(&mut self, who: &str, seq: u64, packet_id: &str, reply: &PingReply) {
        let reply = view::Reply::new(packet_id, reply);
        match self.out.style {
            Style::Json => self.out.json("response", |o| view::response_json(o, seq, &reply)),
            Style::Text => {
                self.out.flow(&format!("  {who:<10}is told "), |flow| view::response_text(flow, &reply));
            }
        }
        self.out.flush();
    }

    /// A sensor heard nothing.
    pub(super) fn heard_nothing(&mut self, who: &str, seq: u64, within: Duration) {
        if self.out.style == Style::Json {
            self.out.json("timeout", |o| o.raw("seq", seq));
        }
        self.says(who, |line| drop(write!(line, "hears nothing for {} s", within.as_secs_f64())));
    }

    /// The operator decided.
    pub(super) fn decided(&mut self, verdict: &Verdict<'_>) {
        if self.out.style == Style::Json {
            self.out.json("decided", |o| view::decided_json(o, verdict));
        }
        self.out.flush();
    }

    /// Something happened to a session of the hub's.
    pub(super) fn session(&mut self, session: &view::Session<'_>) {
        match self.out.style {
            Style::Json => self.out.json("session", |o| view::session_json(o, session)),
            Style::Text => self.out.flow("  hub       ", |flow| view::session_text(flow, session)),
        }
        self.out.flush();
    }

    /// The hub turned something away.
    pub(super) fn rejected(&mut self, now: &RejectCounts, before: &RejectCounts) {
        for (why, n) in now.iter().map(|(why, n)| (why, n - before.get(why))).filter(|(_, n)| *n > 0) {
            if self.out.style == Style::Json {
                self.out.json("rejected", |o| o.str("reason", why.name()).raw("count", n));
            }
            self.says("hub", |line| drop(write!(line, "counts {n} {why}, keeps nothing, sends nothing")));
        }
    }

    /// The end: what the hub counted in all. Whether everything went as told.
    pub(super) fn finish(&mut self, hub: &Stats, elapsed: Duration) -> Result<bool, Fail> {
        let (steps, good) = (self.steps, !self.ever_wrong);
        let totals = Totals { elapsed, ..Totals::default() };
        match self.out.style {
            Style::Json => self.out.json("summary", |o| view::totals_json(o, hub, &totals)),
            Style::Text => {
                self.out.line(|_, _| {});
                self.out.line(|line, _| {
                    let _ = write!(line, "The hub: {}", view::totals_text(hub, &totals));
                });
                self.out.line(|line, paint| match good {
                    true => paint.text(line, Color::Green, &format!("All {steps} steps went as told.")),
                    false => paint.text(line, Color::Red, "Not everything went as told."),
                });
            }
        }
        self.out.finish().map_err(|why| Fail::output(&why))?;
        Ok(good)
    }
}
