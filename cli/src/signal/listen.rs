//! `sluis signal listen`: prints what peers say, and acknowledges it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sluis_core::driver::App;
use sluis_core::framing::Text;
use sluis_core::{Instant, Machine as _, Now, Wall};
use sluis_signal::key::PublicKey;
use sluis_signal::rendezvous::{Event, Message, MessageKey, Rendezvous, Turned};

use super::args::ListenArgs;
use super::node::{Farewell, Node, Reached};
use super::told::{self, Told};
use crate::common::Common;
use crate::fail::Fail;
use crate::input::{Heard, Inbox};
use crate::key::file;
use crate::output::{Out, tell};
use crate::values::Pin;

/// Bytes of a message up to which it is shown.
const SHOWN: usize = 2048;
/// How long an echo is tried.
const ECHO_TIME: Duration = Duration::from_secs(10);
/// How often what was turned away is told.
const TELL: Duration = Duration::from_secs(1);

pub(super) fn run(common: Common, args: &ListenArgs) -> Result<ExitCode, Fail> {
    let only: Result<Vec<PublicKey>, Fail> =
        args.only.iter().map(|word| file::signal_public(word).map_err(Fail::into_usage)).collect();
    let mut node = Node::read(common, &args.node)?;
    node.name(&args.name)?;
    node.legacy(&args.legacy, args.accept_older)?;
    node.keep(&args.state, false)?;
    let inbox = Inbox::with_signals(false);
    let mut app = Listen {
        out: Out::queued(common, args.span.quiet),
        args,
        only: only?,
        names: node.names(),
        inbox: if args.confirm { inbox.with_lines() } else { inbox },
        told_of: Told::default(),
        unconfirmed: BTreeMap::new(),
        began: None,
        reached: Reached::default(),
        ready: false,
        messages: 0,
        sealed: 0,
        not_allowed: 0,
        told: [0; Turned::COUNT + 1],
        told_at: None,
        farewell: Farewell::default(),
    };
    let ended = node.run(common, &mut app);
    app.out.finish_within(told::patience(app.inbox.is_stopped())).map_err(|why| Fail::output(&why))?;
    ended?;
    Ok(ExitCode::SUCCESS)
}

struct Listen<'a> {
    out: Out,
    args: &'a ListenArgs,
    only: Vec<PublicKey>,
    names: Vec<String>,
    inbox: Inbox,
    /// Messages whose lines are on their way to their reader, and what is to be sent back then.
    told_of: Told<(MessageKey, Option<Arc<[u8]>>)>,
    /// What waits for a line on standard input, by how that names it; there may be several of the same name, of different senders.
    unconfirmed: BTreeMap<String, Vec<MessageKey>>,
    began: Option<Instant>,
    reached: Reached,
    ready: bool,
    messages: u64,
    sealed: u64,
    /// Messages of senders who are not in `--only`.
    not_allowed: u64,
    /// What was turned away and told; the last one is those not allowed.
    told: [u64; Turned::COUNT + 1],
    told_at: Option<Instant>,
    farewell: Farewell,
}

impl Listen<'_> {
    fn name(&self, broker: usize) -> &str {
        self.names.get(broker).map_or("?", String::as_str)
    }

    fn event(&mut self, now: Now, event: Event) {
        match event {
            Event::Joined { broker, rtt } => {
                self.reached.note(broker);
                let name = self.name(broker).to_owned();
                joined(&mut self.out, &name, rtt);
            }
            Event::Left { broker, reason } => {
                self.reached.note(broker);
                // Those that were left at the end were meant to be.
                if !self.farewell.has_begun() {
                    let name = self.name(broker).to_owned();
                    left(&mut self.out, &name, reason);
                }
            }
            Event::Message(message) => self.message(now, message),
            Event::Clock { ahead } => clock(&mut self.out, ahead),
            _ => {}
        }
    }

    fn message(&mut self, now: Now, message: Message) {
        let from = message.key.from();
        if !self.only.is_empty() && !self.only.contains(&from) {
            // It is not acknowledged: its sender is not told that anybody has it.
            self.not_allowed += 1;
            return;
        }
        self.messages += 1;
        self.sealed += u64::from(message.key.is_sealed());
        let name = self.name(message.broker).to_owned();
        put(&mut self.out, self.messages, &message, &name, &self.args.name.pin, now.wall);
        if self.args.confirm {
            self.unconfirmed.entry(message.key.to_string()).or_default().push(message.key);
        }
        let echo = self.args.echo.then(|| Arc::from(message.body));
        self.told_of.put(&mut self.out, (message.key, echo));
    }

    /// An acknowledgement says that whoever reads this can have the line.
    fn confirm_told(&mut self, now: Now, machine: &mut Rendezvous) {
        while let Some((key, echo)) = self.told_of.next(&self.out) {
            if !self.args.confirm {
                machine.confirm(now, &key);
            }
            if let Some(echo) = echo
                && machine.send(now, &key.from(), echo, true, ECHO_TIME).is_err()
            {
                tell("An echo has no room: the sender takes none.");
            }
        }
    }

    /// `ok ID`.
    fn line(&mut self, now: Now, machine: &mut Rendezvous, line: &str) {
        let Some(id) = line.trim().strip_prefix("ok ").map(str::trim) else {
            if !line.trim().is_empty() {
                tell("Write `ok` and the id of a message.");
            }
            return;
        };
        let Some(keys) = self.unconfirmed.get_mut(id) else {
            return tell("No message of this id waits to be confirmed.");
        };
        let key = keys.remove(0);
        if keys.is_empty() {
            self.unconfirmed.remove(id);
        }
        machine.confirm(now, &key);
    }

    fn tell_ready(&mut self, machine: &Rendezvous) {
        let (joined, wanted) = machine.joined();
        if self.ready || joined == 0 || !self.reached.all_tried(machine) {
            return;
        }
        self.ready = true;
        let key = machine.public_key().to_string();
        self.out.event(
            "ready",
            |o| o.str("public_key", &key).raw("joined", joined).raw("wanted", wanted),
            |flow| {
                flow.words(&format!("{key} is there, at {joined} of {wanted} brokers"));
            },
        );
    }

    fn tell_turned(&mut self, now: Now, machine: &Rendezvous) {
        if self.told_at.is_some_and(|at| now.mono.saturating_since(at) < TELL) {
            return;
        }
        let counts = Turned::ALL.map(|why| (why.name(), machine.turned(why)));
        let all = counts.into_iter().chain([("not_allowed", self.not_allowed)]);
        for ((reason, count), told) in all.zip(&mut self.told) {
            let new = count - *told;
            if new > 0 {
                (*told, self.told_at) = (count, Some(now.mono));
                self.out.event(
                    "rejected",
                    |o| o.str("reason", reason).raw("count", new),
                    |flow| {
                        flow.words(&format!("{new} turned away: {reason}"));
                    },
                );
            }
        }
    }

    fn summary(&mut self, now: Now, machine: &Rendezvous) {
        let (messages, sealed) = (self.messages, self.sealed);
        let elapsed = self.began.map(|began| now.mono.saturating_since(began).as_secs_f64());
        let counts = Turned::ALL.map(|why| (why.name(), machine.turned(why)));
        let not_allowed = self.not_allowed;
        self.out.summary(
            "summary",
            |o| {
                o.raw("messages", messages)
                    .raw("sealed", sealed)
                    .object("rejected", |o| {
                        let all = counts.into_iter().chain([("not_allowed", not_allowed)]);
                        all.filter(|(_, count)| *count > 0).fold(o, |o, (name, count)| o.raw(name, count))
                    })
                    .rounded("elapsed_s", elapsed, 3)
            },
            |flow| {
                flow.words(&format!("{messages} messages"));
            },
        );
    }
}

impl App<Rendezvous> for Listen<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, machine: &mut Rendezvous) -> Poll<()> {
        self.out.poll(cx, now.wall);
        self.inbox.register(cx);
        let began = *self.began.get_or_insert(now.mono);
        // What was asked to be confirmed is waited for. A reader who does not keep up holds back the messages: so no line about them is lost.
        let full = |this: &Self| this.args.count.is_some_and(|count| this.messages >= count);
        while !full(self)
            && !self.out.is_broken()
            && !self.out.is_behind()
            && let Some(event) = machine.poll_event()
        {
            self.event(now, event);
        }
        self.confirm_told(now, machine);
        self.told_of.tell_full(&self.out);
        while let Some(heard) = self.inbox.next() {
            if let Heard::Line(line) = heard {
                self.line(now, machine, &line);
            }
        }
        if !self.farewell.has_begun() {
            self.reached.poll(now, machine);
        }
        self.tell_ready(machine);
        self.tell_turned(now, machine);
        let over = self.args.span.duration.is_some_and(|time| now.mono.saturating_since(began) >= time);
        let done = full(self) && self.unconfirmed.is_empty() && self.told_of.is_empty();
        let stop = self.inbox.is_stopped() || over || done || self.out.is_broken();
        if !(stop || self.farewell.has_begun()) {
            self.out.flush();
            return Poll::Pending;
        }
        if self.told_of.lingers(now.mono, &self.out) || !self.farewell.poll(now, machine) {
            return Poll::Pending;
        }
        self.summary(now, machine);
        Poll::Ready(())
    }

    fn deadline(&self) -> Option<Instant> {
        let end = self.began.zip(self.args.span.duration).map(|(began, time)| began + time);
        let told = self.told_at.map(|at| at + TELL);
        let end = if self.farewell.has_begun() { self.farewell.deadline() } else { end };
        let end = self.told_of.deadline().filter(|_| !self.farewell.has_begun()).or(end);
        [end, told.filter(|_| !self.farewell.has_begun()), self.reached.deadline()].into_iter().flatten().min()
    }
}

/// A message as it is told, its sender by the name that a pin knows.
pub(super) fn put(out: &mut Out, n: u64, message: &Message, broker: &str, pins: &[Pin], now: Wall) {
    let Message { key, name, said, body, .. } = message;
    let name = name.as_ref();
    let known = name.filter(|name| pins.iter().any(|pin| pin.did == *name.did && pin.key == name.key));
    let claims = if known.is_some() { None } else { name };
    let did = known.map(|name| &*name.did);
    let text = std::str::from_utf8(body).ok();
    let (from, sealed) = (key.from().to_string(), key.is_sealed());
    let digest: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = body.len() <= SHOWN;
    let bytes: String = if shown { body.iter().map(|byte| format!("{byte:02x}")).collect() } else { String::new() };
    out.event(
        "message",
        |o| {
            let o = o.raw("n", n).str("from", &from).maybe("did", did);
            let o = match claims {
                Some(name) => o.object("claims", |o| o.str("did", &name.did).str("key", &name.key.to_string())),
                None => o,
            };
            let o = o.maybe("text", text.filter(|_| shown)).maybe("hex", shown.then_some(&*bytes));
            let o = o.raw("len", body.len()).str("sha256", &digest).raw("sealed", sealed);
            o.str("broker", broker).str("id", &key.to_string()).rounded("age_s", Some(age(*said, now)), 3)
        },
        |flow| {
            match (did, claims) {
                (Some(did), _) => flow.words(&format!("{from},")).quoted("named ", Text::new(did)).words("says:"),
                (None, Some(name)) => {
                    let flow = flow.words(&format!("{from},")).quoted("who claims to be ", Text::new(&name.did));
                    flow.words("by a key that is not pinned, says:")
                }
                (None, None) => flow.words(&format!("{from}{}:", if sealed { "" } else { " (in the clear)" })),
            };
            match text.filter(|_| shown) {
                Some(text) => flow.quoted("", Text::new(text)),
                None => flow.words(&format!("{} bytes, sha256 {digest}", body.len())),
            };
        },
    );
}

/// Seconds since something was said, by the clocks of both.
#[allow(clippy::cast_precision_loss, reason = "far below where it matters")]
fn age(said: u64, now: Wall) -> f64 {
    let now = now.as_micros() as f64 / 1e6;
    now - said as f64 / 1e3
}

pub(super) fn clock(out: &mut Out, ahead: i64) {
    out.event(
        "clock",
        |o| o.raw("off_s", ahead),
        |flow| {
            let (by, way) = (ahead.unsigned_abs(), if ahead < 0 { "behind" } else { "ahead" });
            match ahead {
                0 => flow.words("by the stamps of peers our clock is right again"),
                _ => flow.words(&format!("by the stamps of peers our clock is {by} seconds {way}: set it")),
            };
        },
    );
}

pub(super) fn joined(out: &mut Out, name: &str, rtt: Duration) {
    out.event(
        "joined",
        |o| o.str("broker", name).rounded("rtt_ms", Some(rtt.as_secs_f64() * 1e3), 3),
        |flow| {
            flow.words(&format!("{name} is joined, {:.1} ms away", rtt.as_secs_f64() * 1e3));
        },
    );
}

pub(super) fn left(out: &mut Out, name: &str, reason: sluis_signal::broker::Left) {
    out.event(
        "left",
        |o| o.str("broker", name).str("reason", reason.name()).str("words", &reason.to_string()),
        |flow| {
            flow.words(&format!("{name} is left: {reason}"));
        },
    );
}
