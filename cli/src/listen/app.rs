//! The app that looks after a listening node.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use sluis_chain::audit::Happening;
use sluis_core::airlock::TrustError;
use sluis_core::driver::{App, DriverStats};
use sluis_core::framing::Text;
use sluis_core::node::{Event, Node, Stats, WaitId, Waiting};
use sluis_core::{Did, Instant, Machine as _, Now, Reject, RejectCounts};

use super::record::Record;
use crate::capture::Capture;
use crate::fail::Fail;
use crate::input::{Inbox, Order};
use crate::output::{Color, Out, Patience, Style, tell};
use crate::run::Bound;
use crate::values::Trust;
use crate::view::{self, Totals};

/// How long rejects gather before they are told.
const SECOND: Duration = Duration::from_secs(1);
/// After a signal, how long the disk and the reader of the output may take; a signal ends it within a second.
const DISK: Duration = Duration::from_millis(250);
const READER: Duration = Duration::from_millis(300);

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
    /// It was said that standard output has no room.
    said_full: bool,
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
        out.event(
            "listening",
            |o| o.str("did", did.as_str()).addr("addr", addr),
            |flow| {
                flow.word(Color::Bold, "listening").words(&format!("on {addr} as {did}"));
            },
        );
        out.flush();
    }
}

impl App<Node> for Listen {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, node: &mut Node) -> Poll<()> {
        self.inbox.register(cx);
        self.out.poll(cx, now.wall);
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
        self.tell_full();
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
            said_full: false,
            zones: (0.0, 0.0),
        }
    }

    /// Record what happens, if there is something to record with; zones are told apart at these two trusts.
    pub(super) fn recording(mut self, record: Option<Record>, zones: (f64, f64)) -> Self {
        (self.record, self.zones) = (record, zones);
        self
    }

    /// Whether everything was captured and recorded that should have been.
    pub(super) fn is_complete(&self) -> bool {
        self.capture.as_ref().is_none_or(|capture| capture.failed().is_none())
            && self.record.as_ref().is_none_or(|record| record.counts().lost == 0)
    }

    /// Say once that standard output has no room, and again only after it had some.
    fn tell_full(&mut self) {
        let full = self.out.full();
        if let Some(why) = full.as_ref().filter(|_| !self.said_full) {
            tell(&format!("sluis listen: cannot write to standard output ({why}), make room; listening goes on."));
        }
        self.said_full = full.is_some();
    }

    /// Tell an event.
    fn tell(&mut self, event: &Event<'_>) {
        match event {
            Event::Ping(ping) => {
                self.passed += 1;
                let heard = ping.into();
                self.out.event("ping", |o| view::ping_json(o, &heard), |flow| view::ping_text(flow, &heard));
            }
            Event::Decided(decided) => self.out.event(
                "decided",
                |object| view::decided_json(object, decided),
                |flow| view::decided_text(flow, decided),
            ),
            Event::PeerSeen { did, path } => {
                self.aside(&format!("at {}", path.remote), "peer ", Text::new(did));
            }
            Event::PeerLost { did } => self.aside("is silent and forgotten", "peer ", Text::new(did)),
            _ => {}
        }
    }

    /// Something that only people are told, about a name: where they look, or with `-v` on standard error.
    fn aside(&mut self, what: &str, before: &str, name: Text<'_>) {
        match self.out.style {
            Style::Text if !self.out.quiet => self.out.flow("", |flow| {
                flow.quoted(before, name).words(what);
            }),
            _ => self.out.say(1, || format!("sluis listen: {before}{name} {what}")),
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
            Style::Text => self.out.flow("", |flow| {
                flow.word(Color::Red, "turned away:").words(&view::reasons_text(news.into_iter()));
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
                Ok(score) => self.aside(&format!("is {score} from now on"), "trust in ", Text::new(&did)),
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

    fn tell_stats(&mut self, stats: &Stats) {
        if self.out.quiet {
            tell(&view::totals_text(stats, &self.totals()));
        } else {
            self.tell_totals("stats", stats);
        }
    }

    fn tell_totals(&mut self, event: &str, stats: &Stats) {
        let totals = self.totals();
        self.out.summary(
            event,
            |o| view::totals_json(o, stats, &totals),
            |flow| {
                flow.words(&view::totals_text(stats, &totals));
            },
        );
    }

    fn totals(&self) -> Totals {
        Totals {
            elapsed: self.started.map_or(Duration::ZERO, |started| self.now.saturating_since(started)),
            recorded: self.record.as_ref().map(Record::counts),
            lost_output: Some(self.out.lost()),
        }
    }

    /// The last words: rejects not told yet, and the summary.
    pub(super) fn finish(&mut self, stats: &Stats, driver: Option<&DriverStats>) -> Result<(), Fail> {
        if self.addr.is_none() {
            return Ok(());
        }
        self.tell_rejects(&stats.rejected, true);
        self.out.flush();
        let (disk, reader) = match (self.inbox.is_stopped(), self.quit) {
            (true, _) => (Some(DISK), Patience::AtMost(READER)),
            (false, true) => (None, Patience::WhileItMoves(SECOND)),
            (false, false) => (None, Patience::Forever),
        };
        let recorded = self.record.as_mut().map_or(Ok(()), |record| record.finish(disk));
        self.tell_totals("summary", stats);
        if let Some(driver) = driver {
            self.out.say(1, || format!("sluis listen: {}", view::driver(driver)));
        }
        self.out.finish_within(reader).map_err(|why| Fail::output(&why))?;
        recorded
    }
}

/// The waiting ping that is meant, or what to write instead: the number that we gave it, or its packet id.
fn one_of(node: &Node, name: &str, sender: Option<&str>) -> Result<WaitId, String> {
    // A packet id of digits is a sender's choice and must not be taken for a number of ours, nor stand in for one that is gone.
    if sender.is_none() && !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
        let ping = name.parse().ok().and_then(|number| node.waiting_number(number));
        return ping.map(|ping| ping.id).ok_or_else(|| format!("no ping {name} waits for a decision"));
    }
    let of_sender = |ping: &Waiting<'_>| sender.is_none_or(|sender| sender == ping.source_did);
    let meant: Vec<Waiting<'_>> = node.waiting().filter(|ping| ping.packet_id == name && of_sender(ping)).collect();
    match meant.as_slice() {
        [ping] => Ok(ping.id),
        [] => Err(match sender {
            Some(sender) => format!("no ping {name} of {sender} waits for a decision"),
            None => format!("no ping {name} waits for a decision"),
        }),
        several => {
            let each = |ping: &Waiting<'_>| format!("{} of {}", ping.id.number(), ping.source_did);
            let each: Vec<String> = several.iter().map(each).collect();
            Err(format!("several pings {name} wait, write the number of the one you mean: {}", each.join(", ")))
        }
    }
}
