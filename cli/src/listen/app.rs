//! The app that looks after a listening node.

use std::io::Write as _;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_chain::audit::Happening;
use sluis_core::airlock::TrustError;
use sluis_core::driver::{App, DriverStats};
use sluis_core::framing::{Decision, Text};
use sluis_core::node::{Event, Node, PingId, Stats};
use sluis_core::{Did, Instant, Machine as _, Now, Reject, RejectCounts};

use super::record::Record;
use crate::capture::Capture;
use crate::fail::Fail;
use crate::input::{Inbox, Order};
use crate::output::{Color, Out, Style, tell};
use crate::run::Bound;
use crate::values::Trust;
use crate::view;

/// How long rejects gather before they are told.
const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Listen {
    out: Out,
    inbox: Inbox,
    did: Did,
    /// End after so many pings past the gate.
    count: Option<u64>,
    duration: Option<Duration>,
    /// Pings past the gate so far.
    passed: u64,
    /// Where the socket is; none until it is open.
    addr: Option<SocketAddr>,
    started: Option<Instant>,
    now: Instant,
    quit: bool,
    rejects: Rejects,
    /// When the counters are to be told again.
    counters: Option<Instant>,
    capture: Option<Capture>,
    record: Option<Record>,
    /// From this trust on GROEN, and below this one ROOD.
    zones: (f64, f64),
}

/// Rejects that were counted but not told yet.
#[derive(Default)]
struct Rejects {
    told: RejectCounts,
    due: Option<Instant>,
}

impl Rejects {
    /// What is to be told now: how often each reason was counted since the last time.
    fn take(&mut self, counts: &RejectCounts, at_once: bool, now: Instant) -> Vec<(Reject, u64)> {
        if *counts == self.told {
            return Vec::new();
        }
        let due = *self.due.get_or_insert(now + SECOND);
        if !at_once && now < due {
            return Vec::new();
        }
        self.due = None;
        let told = std::mem::replace(&mut self.told, *counts);
        counts.iter().map(|(why, n)| (why, n - told.get(why))).filter(|(_, n)| *n > 0).collect()
    }
}

impl Bound for Listen {
    fn bound(&mut self, addr: SocketAddr) {
        self.addr = Some(addr);
        if let Some(capture) = &mut self.capture {
            capture.keep();
        }
        let Self { out, did, .. } = self;
        out.say(1, || format!("sluis listen: {did} on {addr}"));
        if !out.quiet {
            match out.style {
                Style::Json => out.json("listening", |o| o.str("did", did.as_str()).addr("addr", addr)),
                Style::Text => out.line(|line, paint| {
                    paint.text(line, Color::Bold, "listening");
                    let _ = write!(line, " on {addr} as {did}");
                }),
            }
        }
        out.flush();
    }
}

impl App<Node> for Listen {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, node: &mut Node) -> Poll<()> {
        self.inbox.register(cx);
        self.now = now.mono;
        if let (None, Some(addr)) = (self.started, self.addr) {
            node.note_address(addr);
        }
        let started = *self.started.get_or_insert(now.mono);
        while !self.quit
            && let Some(line) = self.inbox.next_line()
        {
            self.obey(now, node, &line);
        }
        while let Some(event) = node.poll_event() {
            if let Some(record) = &mut self.record {
                record.event(now, &event);
            }
            self.tell(&event);
        }
        if let Some(record) = &mut self.record {
            record.poll(cx);
        }
        let stats = node.stats();
        self.tell_rejects(&stats.rejected, false);
        self.tell_counters(&stats);
        self.out.flush();
        if let Some(why) = self.capture.as_mut().and_then(Capture::fails) {
            tell(&format!("sluis listen: {why}; listening goes on."));
        }
        let enough = self.count.is_some_and(|count| self.passed >= count)
            || self.duration.is_some_and(|duration| now.mono >= started + duration);
        if self.quit || enough || self.inbox.is_stopped() || self.out.is_broken() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn deadline(&self) -> Option<Instant> {
        let end = self.started.zip(self.duration).map(|(started, duration)| started + duration);
        [end, self.rejects.due, self.counters].into_iter().flatten().min()
    }
}

impl Listen {
    pub(super) fn new(
        out: Out,
        inbox: Inbox,
        did: Did,
        count: Option<u64>,
        duration: Option<Duration>,
        capture: Option<Capture>,
    ) -> Self {
        Self {
            out,
            inbox,
            did,
            count,
            duration,
            passed: 0,
            addr: None,
            started: None,
            now: Instant::ZERO,
            quit: false,
            rejects: Rejects::default(),
            counters: None,
            capture,
            record: None,
            zones: (0.0, 0.0),
        }
    }

    /// Record what happens, if there is something to record with; zones are told apart at these two trusts.
    pub(super) fn recording(mut self, record: Option<Record>, zones: (f64, f64)) -> Self {
        (self.record, self.zones) = (record, zones);
        self
    }

    /// Whether everything was captured that should have been.
    pub(super) fn is_complete(&self) -> bool {
        self.capture.as_ref().is_none_or(|capture| capture.failed().is_none())
    }

    /// Tell an event.
    fn tell(&mut self, event: &Event<'_>) {
        match event {
            Event::Ping(ping) => {
                self.passed += 1;
                if self.out.quiet {
                    return;
                }
                match self.out.style {
                    Style::Json => self.out.json("ping", |object| view::ping_json(object, &ping.into())),
                    Style::Text => {
                        self.out.line(|line, paint| view::ping_text(line, paint, &ping.into()));
                        if ping.decision == Decision::Pending {
                            self.out.line(|line, paint| view::hint_text(line, paint, ping.packet().packet_id));
                        }
                    }
                }
            }
            Event::Decided(decided) if !self.out.quiet => {
                let name = view::outcome_name(decided.outcome);
                match self.out.style {
                    Style::Json => {
                        self.out.json("decided", |o| o.str("packet_id", decided.packet_id).str("decision", name));
                    }
                    Style::Text => self.words(&format!("{name}: {} of {}", decided.packet_id, decided.source_did)),
                }
            }
            Event::PeerSeen { did, route } => self.aside(|| format!("peer {did} at {}", route.remote)),
            Event::PeerLost { did } => self.aside(|| format!("peer {did} is silent and forgotten")),
            _ => {}
        }
    }

    /// A line for people, with the words of strangers in it.
    fn words(&mut self, what: &str) {
        self.out.line(|line, _| crate::output::escape::put(line, what));
    }

    /// Something that only people are told: where they look, or with `-v` on standard error.
    fn aside(&mut self, what: impl FnOnce() -> String) {
        match self.out.style {
            Style::Text if !self.out.quiet => self.words(&what()),
            _ => self.out.say(1, || format!("sluis listen: {}", what())),
        }
    }

    fn tell_rejects(&mut self, counts: &RejectCounts, at_once: bool) {
        let news = self.rejects.take(counts, at_once, self.now);
        if news.is_empty() || self.out.quiet {
            return;
        }
        match self.out.style {
            Style::Json => {
                for (why, n) in news {
                    self.out.json("rejected", |o| o.str("reason", why.name()).raw("count", n));
                }
            }
            Style::Text => self.out.line(|line, paint| {
                paint.put(line, Color::Red, |line| {
                    view::padded(line, 17, |line| line.extend_from_slice(b"turned away"));
                });
                view::reasons_text(line, news.into_iter());
            }),
        }
    }

    /// With `-vv`: the counters once a second.
    fn tell_counters(&mut self, stats: &Stats) {
        if !self.out.says(2) || self.counters.is_some_and(|at| self.now < at) {
            return;
        }
        self.counters = Some(self.now + SECOND);
        tell(&format!("sluis listen: {}", view::counters(stats)));
    }

    /// Do what a line of standard input asks for.
    fn obey(&mut self, now: Now, node: &mut Node, line: &str) {
        match Order::parse(line) {
            Ok(None) => {}
            Ok(Some(Order::Quit)) => self.quit = true,
            Ok(Some(Order::Stats)) => self.tell_stats(&node.stats()),
            Ok(Some(Order::Trust(Trust { did, score }))) => match self.trust(now, node, &did, score) {
                Ok(score) => self.aside(|| format!("trust in {did} is {score} from now on")),
                Err(why) => tell(&format!("sluis listen: trust in {did}: {why}.")),
            },
            Ok(Some(Order::Decide { approve, packet_id, sender })) => {
                let decided = one_of(node, &packet_id, sender.as_deref()).and_then(|id| {
                    let decided = if approve { node.approve(now, id).map(drop) } else { node.reject(now, id) };
                    decided.map_err(|why| format!("{packet_id}: {why}"))
                });
                if let Err(why) = decided {
                    tell(&format!("sluis listen: {why}."));
                }
            }
            Err(why) => tell(&format!("sluis listen: {why}.")),
        }
    }

    /// Trust somebody from now on so far, and record that.
    fn trust(&mut self, now: Now, node: &mut Node, did: &str, score: f64) -> Result<f64, TrustError> {
        let old = node.standing(did, now.wall).trust;
        let new = node.set_trust(did, score)?;
        if let Some(record) = &mut self.record {
            let (did, zones) = (Text::new(did), self.zones);
            record.happening(now, &Happening::Trust { did, old, new, reason: Text::EMPTY, zones });
        }
        Ok(new)
    }

    fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| self.now.saturating_since(started))
    }

    fn tell_stats(&mut self, stats: &Stats) {
        if self.out.quiet {
            let mut line = Vec::new();
            view::totals_text(&mut line, stats, self.elapsed(), self.record.as_ref().map(Record::counts));
            tell(&String::from_utf8_lossy(&line));
        } else {
            self.tell_totals("stats", stats);
        }
    }

    fn tell_totals(&mut self, event: &str, stats: &Stats) {
        let (elapsed, recorded) = (self.elapsed(), self.record.as_ref().map(Record::counts));
        match self.out.style {
            Style::Text => self.out.line(|line, _| view::totals_text(line, stats, elapsed, recorded)),
            Style::Json => self.out.json(event, |object| view::totals_json(object, stats, elapsed, recorded)),
        }
    }

    /// The last words: rejects not told yet, and the summary.
    pub(super) fn finish(&mut self, stats: &Stats, driver: Option<&DriverStats>) -> Result<(), Fail> {
        if self.addr.is_none() {
            return Ok(());
        }
        self.tell_rejects(&stats.rejected, true);
        let recorded = self.record.as_mut().map_or(Ok(()), Record::finish);
        self.tell_totals("summary", stats);
        if let Some(driver) = driver {
            self.out.say(1, || format!("sluis listen: {}", view::driver(driver)));
        }
        self.out.finish().map_err(|why| Fail::runtime(format!("cannot write to standard output: {why}")))?;
        recorded
    }
}

/// The waiting ping that is meant, or what to write instead.
fn one_of(node: &Node, packet_id: &str, sender: Option<&str>) -> Result<PingId, String> {
    let meant: Vec<(PingId, &str)> =
        node.waiting(packet_id).filter(|(_, did)| sender.is_none_or(|sender| sender == *did)).collect();
    match meant.as_slice() {
        [(id, _)] => Ok(*id),
        [] => Err(match sender {
            Some(sender) => format!("no ping {packet_id} of {sender} waits for a decision"),
            None => format!("no ping {packet_id} waits for a decision"),
        }),
        several => {
            let senders: Vec<&str> = several.iter().map(|(_, did)| *did).collect();
            Err(format!("several pings {packet_id} wait, add the sender's DID behind it: {}", senders.join(", ")))
        }
    }
}
