//! `sluis signal send`: messages to a key, and whether they arrived.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_core::driver::App;
use sluis_core::{Instant, Machine as _, Now};
use sluis_signal::delivery::SendError;
use sluis_signal::key::PublicKey;
use sluis_signal::rendezvous::{Delivered, Event, MessageKey, NotDelivered, Rendezvous};

use super::args::{SendArgs, What};
use super::listen::{clock, joined, left};
use super::node::{Farewell, Node, Reached};
use super::told::{self, Told};
use crate::common::Common;
use crate::fail::Fail;
use crate::files;
use crate::histogram::Histogram;
use crate::input::Inbox;
use crate::key::file;
use crate::output::{Color, Out};

/// The longest message in bytes.
const MAX: usize = 64 * 1024;

/// Exit code 0 when all were acknowledged.
pub(super) fn run(common: Common, args: &SendArgs) -> Result<ExitCode, Fail> {
    let to = file::signal_public(&args.to).map_err(Fail::into_usage)?;
    let body = Body::read(&args.what, args.size)?;
    let mut node = Node::read(common, &args.node)?;
    node.name(&args.name)?;
    node.legacy(&args.legacy, false)?;
    node.keep(&args.state, args.cache)?;
    let hints = node.hints(&args.hints)?;
    let mut app = Send {
        out: Out::queued(common, args.quiet),
        args,
        to,
        body,
        names: node.names(),
        hints,
        inbox: Inbox::with_signals(false),
        told_of: Told::default(),
        began: None,
        next_at: None,
        begun: 0,
        numbers: BTreeMap::new(),
        acked: 0,
        failed: 0,
        replies: 0,
        rtt: Histogram::default(),
        ended_at: None,
        reached: Reached::default(),
        refused: None,
        stopped: false,
        farewell: Farewell::default(),
    };
    let ended = node.run(common, &mut app);
    app.out.finish_within(told::patience(app.inbox.is_stopped())).map_err(|why| Fail::output(&why))?;
    ended?;
    if let Some(why) = app.refused {
        return Err(Fail::runtime(why));
    }
    Ok(if app.acked == args.count { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is said.
enum Body {
    /// With `{i}` for the number of the message.
    Text(String, Option<usize>),
    Bytes(Arc<[u8]>),
}

impl Body {
    fn read(what: &What, size: Option<u64>) -> Result<Self, Fail> {
        let long = |len: usize| {
            (len > MAX).then(|| Fail::usage(format!("{len} bytes are too long for a message, the most are {MAX}")))
        };
        let size = size.and_then(|size| usize::try_from(size).ok());
        long(size.unwrap_or(0)).map_or(Ok(()), Err)?;
        if let Some(text) = &what.text {
            long(text.len()).map_or(Ok(()), Err)?;
            return Ok(Self::Text(text.clone(), size));
        }
        let mut bytes = match (&what.hex, &what.file) {
            (Some(digits), _) => {
                unhex(digits).ok_or_else(|| Fail::usage("--hex takes an even number of hex digits"))?
            }
            (None, Some(path)) => {
                files::read(path, MAX).map_err(|why| Fail::usage(format!("cannot read {} ({why})", path.display())))?
            }
            (None, None) => Vec::new(),
        };
        long(bytes.len()).map_or(Ok(()), Err)?;
        if let Some(size) = size {
            bytes.resize(size, b'.');
        }
        Ok(Self::Bytes(bytes.into()))
    }

    fn of(&self, i: u64) -> Arc<[u8]> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Text(text, size) => {
                let mut bytes = text.replace("{i}", &i.to_string()).into_bytes();
                if let Some(size) = size {
                    bytes.resize(*size, b'.');
                }
                bytes.into()
            }
        }
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    // A sign is no digit, though numbers may have one.
    let two = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(two)?, 16).ok()).collect()
}

struct Send<'a> {
    out: Out,
    args: &'a SendArgs,
    to: PublicKey,
    body: Body,
    names: Vec<String>,
    /// Where the peer is said to be, as long as the machine was not told.
    hints: Vec<usize>,
    inbox: Inbox,
    /// Replies whose lines are on their way to their reader.
    told_of: Told<MessageKey>,
    began: Option<Instant>,
    /// When the next may be sent.
    next_at: Option<Instant>,
    begun: u64,
    /// Which message has which number at the machine.
    numbers: BTreeMap<u64, u64>,
    acked: u64,
    failed: u64,
    replies: u64,
    rtt: Histogram,
    ended_at: Option<Instant>,
    reached: Reached,
    refused: Option<SendError>,
    stopped: bool,
    farewell: Farewell,
}

impl Send<'_> {
    fn is_done(&self) -> bool {
        self.begun == self.args.count && self.numbers.is_empty() && self.told_of.is_empty()
    }

    /// Send what may be sent now.
    fn send(&mut self, now: Now, machine: &mut Rendezvous) {
        while self.begun < self.args.count
            && self.numbers.len() < self.args.in_flight as usize
            && !self.out.is_behind()
            && self.next_at.is_none_or(|at| at <= now.mono)
        {
            let body = self.body.of(self.begun);
            match machine.send(now, &self.to, body, !self.args.unordered, self.args.timeout) {
                Ok(number) => {
                    self.numbers.insert(number, self.begun);
                    self.begun += 1;
                    if !self.args.interval.is_zero() {
                        self.next_at = Some(now.mono + self.args.interval);
                    }
                }
                // There is room again once one of them has come to its end.
                Err(SendError::Full) if !self.numbers.is_empty() => return,
                Err(why) => {
                    (self.refused, self.stopped) = (Some(why), true);
                    return;
                }
            }
        }
    }

    fn event(&mut self, now: Now, event: Event) {
        match event {
            Event::Joined { broker, rtt } => {
                self.reached.note(broker);
                if let Some(name) = self.names.get(broker) {
                    joined(&mut self.out, name, rtt);
                }
            }
            Event::Left { broker, reason } => {
                self.reached.note(broker);
                if let Some(name) = self.names.get(broker).filter(|_| !self.farewell.has_begun()) {
                    left(&mut self.out, name, reason);
                }
            }
            Event::Sent { number, outcome, .. } => self.sent(now, number, outcome),
            Event::Late { after, number, .. } => {
                // All messages go to one peer, so its numbers are ours.
                self.out.event(
                    "late",
                    |o| o.raw("i", number).rounded("ms", Some(millis(after)), 3),
                    |flow| {
                        flow.words(&format!("an acknowledgement came late, after {:.1} ms", millis(after)));
                    },
                );
            }
            Event::Message(message) if message.key.from() == self.to => {
                self.replies += 1;
                let name = self.names.get(message.broker).map_or("?", String::as_str);
                super::listen::put(&mut self.out, self.replies, &message, name, &self.args.name.pin, now.wall);
                self.told_of.put(&mut self.out, message.key);
            }
            Event::Answered { sealed: false, peer, .. }
                if peer == self.to && self.args.legacy.allow_legacy.is_empty() =>
            {
                crate::output::tell(
                    "The peer runs sidewire, which reads only what is in the clear: add --allow-legacy to speak so to it.",
                );
            }
            Event::Clock { ahead } => clock(&mut self.out, ahead),
            _ => {}
        }
    }

    fn sent(&mut self, now: Now, number: u64, outcome: Result<Delivered, NotDelivered>) {
        let Some(i) = self.numbers.remove(&number) else { return };
        self.ended_at = Some(now.mono);
        match outcome {
            Ok(delivered) => {
                self.acked += 1;
                self.rtt.add(delivered.after);
            }
            Err(_) => self.failed += 1,
        }
        let name = outcome.ok().and_then(|delivered| self.names.get(delivered.broker)).map(String::as_str);
        sent(&mut self.out, i, outcome, name);
    }

    fn summary(&mut self, now: Now) {
        let (count, acked, failed, replies) = (self.begun, self.acked, self.failed, self.replies);
        let elapsed = self.began.map(|began| self.ended_at.unwrap_or(now.mono).saturating_since(began).as_secs_f64());
        let rate = elapsed.filter(|s| *s > 0.0).map(|seconds| per_second(acked, seconds));
        let rtt = &self.rtt;
        let points = [
            ("min", rtt.min()),
            ("p50", rtt.percentile(50)),
            ("p90", rtt.percentile(90)),
            ("p99", rtt.percentile(99)),
            ("max", rtt.max()),
        ];
        self.out.summary(
            "summary",
            |o| {
                let o = o.raw("count", count).raw("acked", acked).raw("failed", failed).raw("replies", replies);
                o.rounded("per_second", rate, 1)
                    .object("rtt_ms", |o| {
                        points.into_iter().fold(o, |o, (name, at)| o.rounded(name, at.map(millis), 3))
                    })
                    .rounded("elapsed_s", elapsed, 3)
            },
            |flow| {
                flow.words(&format!("{count} sent, {acked} acknowledged, {failed} not delivered, {replies} replies"));
            },
        );
    }
}

/// The end of a send as it is told.
pub(super) fn sent(out: &mut Out, i: u64, outcome: Result<Delivered, NotDelivered>, broker: Option<&str>) {
    let reason = outcome.err().map(|why| why.to_string());
    let delivered = outcome.ok();
    let ms = delivered.map(|delivered| millis(delivered.after));
    out.event(
        "sent",
        |o| {
            let o = o.raw("i", i).raw("acked", outcome.is_ok()).rounded("ms", ms, 3).maybe("broker", broker);
            let o = match delivered {
                Some(delivered) => o.raw("sealed", delivered.sealed).raw("maybe_dropped", delivered.maybe_dropped),
                None => o.raw("sealed", "null").raw("maybe_dropped", "null"),
            };
            o.maybe("reason", reason.as_deref())
        },
        |flow| {
            let (clear, maybe) = match delivered {
                Some(Delivered { maybe_dropped: true, .. }) => {
                    (", in the clear", ", and perhaps thrown away as a copy")
                }
                Some(Delivered { sealed: false, .. }) => (", in the clear", ""),
                _ => ("", ""),
            };
            match &reason {
                None => flow.words(&format!("{i}: acknowledged after {:.1} ms{clear}{maybe}", ms.unwrap_or(0.0))),
                Some(why) => flow.text(Color::Bold, &format!("{i}: not delivered, {why}")),
            };
        },
    );
}

#[allow(clippy::cast_precision_loss, reason = "a rate to be read")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl App<Rendezvous> for Send<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, machine: &mut Rendezvous) -> Poll<()> {
        self.out.poll(cx, now.wall);
        self.began.get_or_insert(now.mono);
        for broker in std::mem::take(&mut self.hints) {
            // The first peer finds room.
            let _ = machine.hint(now, &self.to, broker);
        }
        self.inbox.register(cx);
        // A reader who does not keep up holds back what there is to tell: so no line is lost.
        while !self.out.is_behind()
            && let Some(event) = machine.poll_event()
        {
            self.event(now, event);
        }
        self.out.flush();
        while let Some(key) = self.told_of.next(&self.out) {
            machine.confirm(now, &key);
        }
        self.told_of.tell_full(&self.out);
        if !self.farewell.has_begun() {
            self.reached.poll(now, machine);
        }
        self.stopped |= self.inbox.is_stopped() || self.out.is_broken();
        if !(self.stopped || self.is_done()) {
            self.send(now, machine);
        }
        self.out.flush();
        if !(self.stopped || self.is_done()) || !self.farewell.poll(now, machine) {
            return Poll::Pending;
        }
        self.summary(now);
        Poll::Ready(())
    }

    fn deadline(&self) -> Option<Instant> {
        if self.farewell.has_begun() {
            return self.farewell.deadline();
        }
        let room = self.numbers.len() < self.args.in_flight as usize && self.begun < self.args.count;
        [self.next_at.filter(|_| room), self.reached.deadline()].into_iter().flatten().min()
    }
}
